/*
Copyright 2026 The BackupSync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package connection

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// Back-off of a project after failures that concern all of its calls, or all of its reads.
const (
	throttledWait    = time.Minute
	throttledMaxWait = 15 * time.Minute
	FailureWait      = time.Second
	FailureMaxWait   = 5 * time.Minute
	incompleteWait   = 10 * time.Second // until a look is taken again that did not show all
	misdirectedWait  = 15 * time.Second
	refusedWait      = time.Minute // of what no item is to blame for: a quota, a gateway
	refusedMaxWait   = 15 * time.Minute
	permissionWait   = 15 * time.Minute // a permission takes effect 15 to 30 minutes after it is granted
	notAllowedWait   = 5 * time.Minute  // until a name that leads to refused addresses is looked up again
	credentialsWait  = time.Hour        // until refused credentials are tried again as they are
	lockedWait       = 5 * time.Minute  // until a refused access key is tried again
	clockWait        = time.Minute      // until signatures are tried again that were refused for the clock
	turnWait         = 10 * time.Second // until a request that had no turn with its access key waits again
	ContentWait      = 10 * time.Second // until a Secret that is missing or refused is read again
	backoffJitter    = 0.2
)

const usableMessage = "Endpoint and credentials are set, and CBR has not refused them."

// incompleteReads is how many looks in a row may fail to show all of CBR's tasks, as they change meanwhile, before the project says so.
const incompleteReads = 3

const incompleteMessage = "CBR's list of tasks cannot be read as a whole: it counts more than it shows, or changes all the time. " +
	"Nothing is sent that may be among them. CBR is asked again; if this lasts, check spec.enterpriseProjectID, and that the credentials may list all tasks."

// Health is what is known of a project's endpoint and credentials, and with that whether CBR may be asked.
type Health struct {
	// Fingerprint identifies the project's spec, ContentFingerprint what its Secret and CA bundle hold, that the rest speaks of. When they
	// change, the rest is forgotten: whatever was wrong may be right now. The content is "" while it cannot be used.
	Fingerprint, ContentFingerprint string
	// Obstacle is why CBR cannot be asked at all, the zero value if it can as far as is known.
	Obstacle Status
	// Doubt is why credentials may be no good that can be used again: CBR has refused those that were fetched just before. It lasts
	// until a request of the kind that was refused goes well.
	Doubt       Status
	RefusedKind RequestKind
	// connects says that endpoint and credentials are complete.
	connects bool
	// RecheckAt is when the Secret and the CA bundle are read again, zero if they are fine as far as is known.
	RecheckAt time.Time
	// crowded says that the latest request had no turn, as others with the same access key were under way all the time.
	crowded bool
	// incomplete is how many reads of the list of tasks in a row have not shown all of them, CompleteFrom when the next may.
	incomplete   int
	CompleteFrom time.Time
	// CredentialsType is the type of the credentials, of which some are renewed, and some must not be tried for a while.
	CredentialsType v1alpha1.CredentialsType
	// Reads is how look-ups go, Calls how sync calls do: they fail, and back off, apart.
	Reads, Calls Circuit
}

// Status is what the project's Ready says.
type Status struct {
	Reason, Message string
	// Stalled marks a failure that a person must fix although its reason may also name a passing one.
	Stalled bool
}

// Circuit is how the latest requests of one kind went, and with that when the next may be made.
type Circuit struct {
	Status
	Class     cbr.Class
	Failures  int       // since the last good answer
	FailedAt  time.Time // when the latest was
	OpenUntil time.Time // when the next may be made
	Proven    bool      // the latest one went well
	asked     bool      // the latest failure has named how long to wait
	shared    bool      // it is the other kind that the credentials were refused for
}

// Open reports whether no request may be made now.
func (c *Circuit) Open(now time.Time) bool { return now.Before(c.OpenUntil) }

// Open reports whether CBR may be asked nothing now.
func (h *Health) Open(now time.Time) bool { return h.Reads.Open(now) && h.Calls.Open(now) }

// Proven reports whether sync calls may be expected to go well.
func (h *Health) Proven() bool {
	return h.Calls.Failures == 0 && (h.Calls.Proven || h.Reads.Proven && h.Reads.Failures == 0)
}

// RequeueAt returns when there may be something new to learn by one kind of requests: when they may go on, or when the Secret is read
// again. It is zero if neither is still to come.
func (h *Health) RequeueAt(kind *Circuit, now time.Time) (next time.Time) {
	for _, at := range []time.Time{h.RecheckAt, kind.OpenUntil} {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// Waits reports whether there is nothing new to learn yet: no request may be made, or what they need is missing, and the Secret is not
// to be read again.
func (h *Health) Waits(now time.Time) bool {
	if h.RecheckAt.IsZero() {
		return h.Open(now)
	}
	return now.Before(h.RecheckAt) && (h.Open(now) || h.Obstacle.Reason != "")
}

// SetUsable notes that endpoint and credentials are complete and may be tried.
func (h *Health) SetUsable() { h.Obstacle, h.connects = Status{}, true }

// SetUnusable notes that CBR cannot be asked with what is configured.
func (h *Health) SetUnusable(reason, message string) {
	h.Obstacle = Status{Reason: reason, Message: message, Stalled: true}
	h.Reads.Proven, h.Calls.Proven = false, false
}

// SetUnreadable notes that the Secret or the CA bundle cannot be used as it is. It is read again in a while.
func (h *Health) SetUnreadable(reason, message string, now time.Time) {
	h.SetUnusable(reason, message)
	h.ContentFingerprint, h.RecheckAt = "", now.Add(ContentWait)
	h.Reads.OpenUntil, h.Calls.OpenUntil = time.Time{}, time.Time{}
}

// Status returns what the project's Ready says of the connection: "" if nothing is known yet.
func (h *Health) Status() Status {
	switch {
	case h.Obstacle.Reason != "":
		return h.Obstacle
	case h.Doubt.Reason != "":
		return h.Doubt
	case h.Reads.Failures > 0 && (h.Calls.Failures == 0 || h.Calls.shared || passes(h.Calls.Class)):
		return h.Reads.Status
	case h.Calls.Failures > 0:
		return h.Calls.Status
	case h.crowded:
		return keyBusy.About(auth.ErrKeyBusy.Error())
	case h.incomplete >= incompleteReads:
		return Status{Reason: v1alpha1.ReasonEndpointUnavailable, Message: incompleteMessage}
	case h.connects:
		return Status{Reason: v1alpha1.ReasonUsable, Message: usableMessage}
	default:
		return Status{}
	}
}

// passes reports whether a failure of a class may pass by itself soon.
func passes(class cbr.Class) bool {
	switch class {
	case cbr.Transient, cbr.Unknown, cbr.Foreign, cbr.Throttled:
		return true
	default:
		return false
	}
}

// CredentialsRefused reports whether the credentials were refused, and not taken since.
func (h *Health) CredentialsRefused() bool {
	return h.Reads.Failures > 0 && h.Reads.Class == cbr.Credentials || h.Calls.Failures > 0 && h.Calls.Class == cbr.Credentials
}

// CredentialsTaken reports whether CBR has taken the credentials, by the latest requests of a kind.
func (h *Health) CredentialsTaken() bool { return h.Reads.Proven || h.Calls.Proven }

// RefusedBefore notes that the same credentials were refused before anything was known of them, unless requests have told more since. That
// is so until CBR takes them; they may be tried at once.
func (h *Health) RefusedBefore(now time.Time) {
	if h.Reads != (Circuit{}) || h.Calls != (Circuit{}) {
		return
	}
	refused := h.rejection(&cbr.Error{Class: cbr.Credentials, Untouched: true, Err: auth.ErrRefusedBefore})
	h.Reads = Circuit{Status: refused, Class: cbr.Credentials, Failures: 1}
	h.Calls = h.Reads
	h.Calls.shared = true
	h.RecheckAt = now.Add(ContentWait)
}

// Circuits returns the circuit of the requests of one kind, and the other one.
func (h *Health) Circuits(kind RequestKind) (this, other *Circuit) {
	if kind == ReadRequest {
		return &h.Reads, &h.Calls
	}
	return &h.Calls, &h.Reads
}

// RequestKind tells sync calls from reads.
type RequestKind int

// The kinds of requests.
const (
	ReadRequest RequestKind = iota
	SyncRequest
)

// String names the kind in logs.
func (k RequestKind) String() string {
	if k == SyncRequest {
		return "sync calls"
	}
	return "reads"
}

// Succeeded notes that CBR has answered a request of a kind well. What it says of one kind tells nothing of the other, but where
// the credentials were refused.
func (h *Health) Succeeded(kind RequestKind) {
	this, other := h.Circuits(kind)
	*this, h.crowded = Circuit{Proven: true}, false
	if kind == h.RefusedKind {
		h.Doubt = Status{}
	}
	if other.shared {
		*other = Circuit{}
	}
	if !h.CredentialsRefused() {
		h.RecheckAt = time.Time{}
	}
}

// Taken notes that CBR has taken a sync call which began at a time, as is known only now. It ends no pause that a later refusal has begun;
// but a failure that leaves open what became of its call tells nothing against it, and may be that of this one.
func (h *Health) Taken(began time.Time) {
	calls := &h.Calls
	refused := calls.Failures > 0 && (calls.Class != cbr.Unknown || calls.asked)
	if !refused || began.After(calls.FailedAt) {
		h.Succeeded(SyncRequest)
	}
}

// ListRead notes whether a look has shown all of CBR's tasks.
func (h *Health) ListRead(whole bool, now time.Time) {
	if whole {
		h.incomplete, h.CompleteFrom = 0, time.Time{}
		return
	}
	if h.incomplete++; h.incomplete >= incompleteReads {
		h.CompleteFrom = now.Add(backupsync.Backoff(incompleteWait, FailureMaxWait, h.incomplete+1-incompleteReads))
	}
}

// Failed notes the failure of a request of a kind, and reports whether it concerns all of that kind. A refusal of what a request
// contains concerns that one alone; but a list contains nothing.
func (h *Health) Failed(kind RequestKind, err error, now time.Time) bool {
	class := cbr.ClassOf(err)
	if kind == SyncRequest && class == cbr.Rejected {
		return false
	}
	if errors.Is(err, auth.ErrKeyLocked) && h.CredentialsRefused() { // what was refused is told
		h.rest(err, now)
		return true
	}
	this, other := h.Circuits(kind)
	if errors.Is(err, auth.ErrKeyBusy) { // nothing was sent
		h.crowded, this.OpenUntil = true, now.Add(jittered(turnWait))
		return true
	}
	h.Doubt, h.crowded = Status{}, false
	this.fail(kind, class, err, now)
	if class != cbr.Credentials {
		return true
	}
	this.Status, this.OpenUntil = h.rejection(err), now.Add(h.rejectedWait(err))
	h.RecheckAt = now.Add(ContentWait)
	*other = *this
	other.shared = true
	return true
}

// WantsNothing notes that there is nothing to ask CBR for, so that nothing waits for its turn.
func (h *Health) WantsNothing() { h.crowded = false }

// rest notes that a key is still not to be used: other calls were refused later than the one that is known.
func (h *Health) rest(err error, now time.Time) {
	failure, told := errors.AsType[*cbr.Error](err)
	if !told {
		return
	}
	for _, each := range []*Circuit{&h.Reads, &h.Calls} {
		each.FailedAt, each.OpenUntil = now, now.Add(failure.RetryAfter)
	}
	h.RecheckAt = now.Add(ContentWait)
}

// rejection says in a condition's words that CBR refuses the credentials.
func (h *Health) rejection(err error) Status {
	said, known := rejections[h.CredentialsType]
	if !known {
		said = rejections[v1alpha1.CredentialsToken]
	}
	refused := said.About(Describe(err))
	if skew := skewOf(err); skew != 0 {
		refused.Message = fmt.Sprintf("The operator's clock is %s CBR's, and signatures are refused for it (%s). Set the clock of its node; imports resume automatically.",
			aheadOf(skew), Describe(err))
	}
	return refused
}

// rejectedWait is how long refused credentials are not tried again as they are: CBR may have been wrong. The cloud locks an access
// key for five minutes, and a clock is set without a change of the Secret.
func (h *Health) rejectedWait(err error) time.Duration {
	wait := credentialsWait
	switch {
	case skewOf(err) != 0:
		wait = clockWait
	case errors.Is(err, auth.ErrKeyLocked):
		failure, _ := errors.AsType[*cbr.Error](err)
		return failure.RetryAfter
	case h.CredentialsType == v1alpha1.CredentialsAccessKey:
		wait = lockedWait
	}
	return jittered(wait)
}

// skewOf returns how far CBR's clock is ahead of ours if it refuses a signature for that, else 0.
func skewOf(err error) time.Duration {
	failure, answered := errors.AsType[*cbr.Error](err)
	if !answered || !failure.BlamesClock() {
		return 0
	}
	return failure.Skew
}

// aheadOf says how one clock differs from another.
func aheadOf(skew time.Duration) string {
	whole := skew.Abs().Round(time.Minute)
	text := strings.TrimSuffix(whole.String(), "0s")
	if whole%time.Hour == 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	if skew > 0 {
		return text + " behind"
	}
	return text + " ahead of"
}

// SetNotFetched notes why there are no credentials: they could not be fetched, and are when that is due, or when the Secret changes.
// Those that were refused may be fetched again, and be refused again.
func (h *Health) SetNotFetched(said Status, refused bool, now time.Time) {
	h.Obstacle = said
	if refused {
		h.Doubt = said
	}
	h.Reads.Proven, h.Calls.Proven = false, false
	h.RecheckAt = now.Add(ContentWait)
}

func (c *Circuit) fail(kind RequestKind, class cbr.Class, err error, now time.Time) {
	c.Proven, c.shared, c.Class = false, false, class
	c.Failures++
	c.FailedAt, c.asked = now, askedWait(err) > 0
	c.OpenUntil = now.Add(backoff(class, err, c.Failures))
	c.Status = Explain(kind, class, err)
}

// RefuseAll notes that sync calls are refused whatever is sent, so that no item is to blame.
func (h *Health) RefuseAll(err error, now time.Time) {
	h.Calls.fail(SyncRequest, cbr.Refused, err, now)
}

// backoff is how long requests of a kind wait after a failure. Refused credentials wait for other content of the Secret; as
// they are, they are tried again rarely: CBR may have been wrong.
func backoff(class cbr.Class, err error, failures int) time.Duration {
	asked := askedWait(err)
	switch {
	case errors.Is(err, auth.ErrKeyRests): // it is the operator itself that asks for it, and knows when it ends
		return asked
	case LeadsToRefused(err):
		return jittered(notAllowedWait)
	case class == cbr.Credentials:
		return credentialsWait
	case class == cbr.Permission:
		return jittered(permissionWait)
	case class == cbr.Throttled && asked > 0 && failures <= askedOften:
		return jittered(asked)
	case class == cbr.Throttled && asked > 0:
		failures -= askedOften
	}
	return jittered(max(growingWait(class, failures), asked))
}

// askedOften is how many times in a row CBR is believed that refuses calls for their rate and asks for a shorter pause than that of
// the back-off. Any other failure knows nothing of when it is over.
const askedOften = 3

// askedWait is the pause that an answer asks for, 0 for none.
func askedWait(err error) time.Duration {
	failure, answered := errors.AsType[*cbr.Error](err)
	if !answered {
		return 0
	}
	return failure.RetryAfter
}

// growingWait is how long requests wait after so many failures of a class in a row.
func growingWait(class cbr.Class, failures int) time.Duration {
	switch class {
	case cbr.Throttled:
		return backupsync.Backoff(throttledWait, throttledMaxWait, failures)
	case cbr.Quota, cbr.Refused, cbr.Rejected:
		return backupsync.Backoff(refusedWait, refusedMaxWait, failures)
	case cbr.Misdirected:
		return backupsync.Backoff(misdirectedWait, FailureMaxWait, failures)
	default:
		return backupsync.Backoff(FailureWait, FailureMaxWait, failures)
	}
}

// jittered returns a wait that is a little longer each time, so that projects that failed together do not come back together.
func jittered(wait time.Duration) time.Duration {
	return wait + time.Duration(backoffJitter*rand.Float64()*float64(wait))
}

// LeadsToRefused reports whether a request was not sent as the host of the endpoint leads to addresses that are not allowed.
func LeadsToRefused(err error) bool {
	_, refused := errors.AsType[*AddressError](err)
	return refused
}
