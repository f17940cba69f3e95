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

package controller

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
	"backupsync.dev/operator/internal/connection"
)

// Back-off of a project after failures that concern all of its calls, or all of its reads.
const (
	throttledWait    = time.Minute
	throttledMaxWait = 15 * time.Minute
	failureWait      = time.Second
	failureMaxWait   = 5 * time.Minute
	partialWait      = 10 * time.Second // until a look is taken again that did not show all
	misdirectedWait  = 15 * time.Second
	refusedWait      = time.Minute // of what no item is to blame for: a quota, a gateway
	refusedMaxWait   = 15 * time.Minute
	permissionWait   = 15 * time.Minute // a permission takes effect 15 to 30 minutes after it is granted
	notAllowedWait   = 5 * time.Minute  // until a name that leads to refused addresses is looked up again
	credentialsWait  = time.Hour        // until refused credentials are tried again as they are
	lockedWait       = 5 * time.Minute  // until a refused access key is tried again
	clockWait        = time.Minute      // until signatures are tried again that were refused for the clock
	contentWait      = 10 * time.Second // until a Secret that is missing or refused is read again
	backoffJitter    = 0.2
)

const usableMessage = "Endpoint and credentials are set, and CBR has not refused them."

// partialLooks is how many looks in a row may fail to show all of CBR's tasks, as they change meanwhile, before the project says so.
const partialLooks = 3

const partialMessage = "CBR's list of tasks cannot be read as a whole: it counts more than it shows, or changes all the time. " +
	"Nothing is sent that may be among them. CBR is asked again; if this lasts, check spec.enterpriseProjectID, and that the credentials may list all tasks."

// access is what is known of a project's endpoint and credentials, and with that whether CBR may be asked.
type access struct {
	// inputs identifies the project's spec, content what its Secret and CA bundle hold, that the rest speaks of. When they
	// change, the rest is forgotten: whatever was wrong may be right now. The content is "" while it cannot be used.
	inputs, content string
	// obstacle is why CBR cannot be asked at all, the zero value if it can as far as is known.
	obstacle standing
	// doubt is why credentials may be no good that can be used again: CBR has refused those that were fetched just before. It lasts
	// until a request of the kind that was refused goes well.
	doubt       standing
	refusedKind requestKind
	// connects says that endpoint and credentials are complete.
	connects bool
	// recheck is when the Secret and the CA bundle are read again, zero if they are fine as far as is known.
	recheck time.Time
	// partial is how many looks in a row have not shown all of CBR's tasks, wholeFrom when the next may.
	partial   int
	wholeFrom time.Time
	// credentials is the type of the credentials, of which some are renewed, and some must not be tried for a while.
	credentials v1alpha1.CredentialsType
	// reads is how look-ups go, calls how sync calls do: they fail, and back off, apart.
	reads, calls circuit
}

// standing is what the project's Ready says.
type standing struct {
	reason, message string
	// stalled marks a failure that a person must mend although its reason may also name a passing one.
	stalled bool
}

// circuit is how the latest requests of one kind went, and with that when the next may be made.
type circuit struct {
	standing
	class    cbr.Class
	failures int       // since the last good answer
	until    time.Time // when the next may be made
	proven   bool      // the latest one went well
	borrowed bool      // it is the other kind that the credentials were refused for
}

// closed reports whether no request may be made now.
func (c *circuit) closed(now time.Time) bool { return now.Before(c.until) }

// closed reports whether CBR may be asked nothing now.
func (a *access) closed(now time.Time) bool { return a.reads.closed(now) && a.calls.closed(now) }

// proven reports whether sync calls may be expected to go well.
func (a *access) proven() bool {
	return a.calls.failures == 0 && (a.calls.proven || a.reads.proven && a.reads.failures == 0)
}

// retryAt returns when there may be something new to learn by one kind of requests: when they may go on, or when the Secret is read
// again. It is zero if neither is still to come.
func (a *access) retryAt(kind *circuit, now time.Time) (next time.Time) {
	for _, at := range []time.Time{a.recheck, kind.until} {
		if at.After(now) {
			next = sooner(next, at)
		}
	}
	return next
}

// waits reports whether there is nothing new to learn yet: no request may be made, or what they need is missing, and the Secret is not
// to be read again.
func (a *access) waits(now time.Time) bool {
	if a.recheck.IsZero() {
		return a.closed(now)
	}
	return now.Before(a.recheck) && (a.closed(now) || a.obstacle.reason != "")
}

// usable notes that endpoint and credentials are complete and may be tried.
func (a *access) usable() { a.obstacle, a.connects = standing{}, true }

// unusable notes that CBR cannot be asked with what is configured.
func (a *access) unusable(reason, message string) {
	a.obstacle = standing{reason: reason, message: message, stalled: true}
	a.reads.proven, a.calls.proven = false, false
}

// unread notes that the Secret or the CA bundle cannot be used as it is. It is read again in a while.
func (a *access) unread(reason, message string, now time.Time) {
	a.unusable(reason, message)
	a.content, a.recheck = "", now.Add(contentWait)
	a.reads.until, a.calls.until = time.Time{}, time.Time{}
}

// standing returns what the project's Ready says of the access: "" if nothing is known yet.
func (a *access) standing() standing {
	switch {
	case a.obstacle.reason != "":
		return a.obstacle
	case a.doubt.reason != "":
		return a.doubt
	case a.reads.failures > 0 && (a.calls.failures == 0 || a.calls.borrowed || passes(a.calls.class)):
		return a.reads.standing
	case a.calls.failures > 0:
		return a.calls.standing
	case a.partial >= partialLooks:
		return standing{reason: v1alpha1.ReasonEndpointUnavailable, message: partialMessage}
	case a.connects:
		return standing{reason: v1alpha1.ReasonUsable, message: usableMessage}
	default:
		return standing{}
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

// refusesCredentials reports whether the credentials were refused, and not taken since.
func (a *access) refusesCredentials() bool {
	return a.reads.failures > 0 && a.reads.class == cbr.Credentials || a.calls.failures > 0 && a.calls.class == cbr.Credentials
}

// of returns the circuit of the requests of one kind, and the other one.
func (a *access) of(kind requestKind) (this, other *circuit) {
	if kind == aRead {
		return &a.reads, &a.calls
	}
	return &a.calls, &a.reads
}

// requestKind tells sync calls from reads.
type requestKind int

const (
	aRead requestKind = iota
	aCall
)

// succeeded notes that CBR has answered a request of a kind well. What it says of one kind tells nothing of the other, but where
// the credentials were refused.
func (a *access) succeeded(kind requestKind) {
	this, other := a.of(kind)
	*this = circuit{proven: true}
	if kind == a.refusedKind {
		a.doubt = standing{}
	}
	if other.borrowed {
		*other = circuit{}
	}
	if !a.refusesCredentials() {
		a.recheck = time.Time{}
	}
}

// looked notes whether a look has shown all of CBR's tasks.
func (a *access) looked(whole bool, now time.Time) {
	if whole {
		a.partial, a.wholeFrom = 0, time.Time{}
		return
	}
	if a.partial++; a.partial >= partialLooks {
		a.wholeFrom = now.Add(backupsync.Backoff(partialWait, failureMaxWait, a.partial+1-partialLooks))
	}
}

// failed notes the failure of a request of a kind, and reports whether it concerns all of that kind. A refusal of what a request
// contains concerns that one alone; but a list contains nothing.
func (a *access) failed(kind requestKind, err error, now time.Time) bool {
	class := cbr.ClassOf(err)
	if kind == aCall && class == cbr.Rejected {
		return false
	}
	if errors.Is(err, auth.ErrKeyLocked) && a.refusesCredentials() { // what was refused is told
		a.rest(err, now)
		return true
	}
	this, other := a.of(kind)
	a.doubt = standing{}
	this.fail(kind, class, err, now)
	if class != cbr.Credentials {
		return true
	}
	this.standing, this.until = a.rejected(err), now.Add(a.rejectedWait(err))
	a.recheck = now.Add(contentWait)
	*other = *this
	other.borrowed = true
	return true
}

// rest notes that a key is still not to be used: other calls were refused later than the one that is known.
func (a *access) rest(err error, now time.Time) {
	failure, told := errors.AsType[*cbr.Error](err)
	if !told {
		return
	}
	for _, each := range []*circuit{&a.reads, &a.calls} {
		each.until = now.Add(failure.RetryAfter)
	}
	a.recheck = now.Add(contentWait)
}

// rejected says in a condition's words that CBR refuses the credentials.
func (a *access) rejected(err error) standing {
	said, known := rejections[a.credentials]
	if !known {
		said = rejections[v1alpha1.CredentialsToken]
	}
	refused := said.about(describe(err))
	if skew := skewOf(err); skew != 0 {
		refused.message = fmt.Sprintf("The operator's clock is %s CBR's, and signatures are refused for it (%s). Set the clock of its node; imports resume automatically.",
			aheadOf(skew), describe(err))
	}
	return refused
}

// rejectedWait is how long refused credentials are not tried again as they are: CBR may have been wrong. The cloud locks an access
// key for five minutes, and a clock is set without a change of the Secret.
func (a *access) rejectedWait(err error) time.Duration {
	wait := credentialsWait
	switch {
	case skewOf(err) != 0:
		wait = clockWait
	case a.credentials == v1alpha1.CredentialsAccessKey:
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

// unfetched notes why there are no credentials: they could not be fetched, and are when that is due, or when the Secret changes.
// Those that were refused may be fetched again, and be refused again.
func (a *access) unfetched(said standing, refused bool, now time.Time) {
	a.obstacle = said
	if refused {
		a.doubt = said
	}
	a.reads.proven, a.calls.proven = false, false
	a.recheck = now.Add(contentWait)
}

func (c *circuit) fail(kind requestKind, class cbr.Class, err error, now time.Time) {
	c.proven, c.borrowed, c.class = false, false, class
	c.failures++
	c.until = now.Add(backoff(class, err, c.failures))
	c.standing = explain(kind, class, err)
}

// refuseAll notes that sync calls are refused whatever is sent, so that no item is to blame.
func (a *access) refuseAll(err error, now time.Time) {
	a.calls.fail(aCall, cbr.Refused, err, now)
}

// backoff is how long requests of a kind wait after a failure. Refused credentials wait for other content of the Secret; as
// they are, they are tried again rarely: CBR may have been wrong.
func backoff(class cbr.Class, err error, failures int) time.Duration {
	var wait time.Duration
	switch {
	case leadsToRefused(err):
		wait = notAllowedWait
	case class == cbr.Credentials:
		return credentialsWait
	case class == cbr.Permission:
		wait = permissionWait
	case class == cbr.Throttled:
		wait = backupsync.Backoff(throttledWait, throttledMaxWait, failures)
	case class == cbr.Quota, class == cbr.Refused, class == cbr.Rejected:
		wait = backupsync.Backoff(refusedWait, refusedMaxWait, failures)
	case class == cbr.Misdirected:
		wait = backupsync.Backoff(misdirectedWait, failureMaxWait, failures)
	default:
		wait = backupsync.Backoff(failureWait, failureMaxWait, failures)
	}
	var failure *cbr.Error
	if errors.As(err, &failure) && failure.RetryAfter > 0 && class != cbr.Permission {
		wait = failure.RetryAfter
	}
	return jittered(wait)
}

// jittered returns a wait that is a little longer each time, so that projects that failed together do not come back together.
func jittered(wait time.Duration) time.Duration {
	return wait + time.Duration(backoffJitter*rand.Float64()*float64(wait))
}

// leadsToRefused reports whether a request was not sent as the host of the endpoint leads to addresses that are not allowed.
func leadsToRefused(err error) bool {
	_, refused := errors.AsType[*connection.AddressError](err)
	return refused
}
