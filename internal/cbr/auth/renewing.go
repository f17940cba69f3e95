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

package auth

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"backupsync.dev/operator/internal/cbr"
)

// Renewing is a credential that is fetched in the background, and again before it expires.
type Renewing interface {
	cbr.Credential
	// State returns what is there to authorize with. It starts a fetch if one is due and none is under way, and never blocks.
	State() State
}

// State is what a Renewing credential has.
type State struct {
	// Ready reports whether requests can be authorized now.
	Ready bool
	// Expires is when what is there ends, by our clock; zero if that is not known or nothing is there.
	Expires time.Time
	// Err is a *cbr.Error, why the latest fetch failed or what it brought was refused; nil if it went well. What had been there
	// before stays in use as long as it is valid.
	Err error
	// RetryAt is when the next fetch is due, to renew or after a failure: State is worth asking again then. It is zero while
	// a fetch is under way, and if the same content would be refused again.
	RetryAt time.Time
}

// When to fetch again.
const (
	// renewalMargin is how long before its end a credential is renewed at the latest, if it lives long enough.
	renewalMargin = 5 * time.Minute
	// unknownLife is after what time a credential is renewed that does not tell how long it lives. It is used until then.
	unknownLife = time.Hour
	// longestLife bounds how long a credential is used without another fetch, however long it says to live.
	longestLife = 24 * time.Hour
	// shortestPause is the least time between two fetches that went well, for however short a time what they bring is valid.
	shortestPause = 10 * time.Second
	// freshFor is how old a credential is at most that counts as refused from the start. One that was refused later had been
	// good before, so that another is worth fetching at once.
	freshFor = 10 * time.Minute
)

// pace is how the fetches after failures follow each other: the first pause, doubled with each failure in a row, and the
// longest.
type pace struct{ first, longest time.Duration }

var (
	transientPace  = pace{time.Second, 5 * time.Minute}
	throttledPace  = pace{10 * time.Second, 5 * time.Minute}
	strayPace      = pace{time.Minute, 15 * time.Minute} // an answer of something else, or none that can be used
	permissionPace = pace{15 * time.Minute, 15 * time.Minute}
	hourlyPace     = pace{time.Hour, time.Hour}
	refusalPace    = pace{10 * time.Second, time.Hour}       // CBR refuses what was fetched just before
	refusedPace    = pace{time.Minute, time.Minute}          // what IAM refuses: Attempts know when it may be sent again
	lostPace       = pace{10 * time.Second, 5 * time.Minute} // a password that was sent, and may have been refused
)

// after returns the pause after so many failures in a row: up to a fifth shorter than the pace says, so that operators that
// failed together do not come back together.
func (p pace) after(failures int, random float64) time.Duration {
	pause := p.first
	for range min(failures-1, 20) {
		pause = min(2*pause, p.longest)
	}
	return pause - time.Duration(random*float64(pause)/5)
}

// fetched is what a fetch brought.
type fetched struct {
	credential cbr.Credential
	expires    time.Time     // by our clock; zero if not known
	life       time.Duration // from the beginning of the fetch; 0 if not known
}

// setback is a fetch that failed, and how to go on.
type setback struct {
	*cbr.Error
	pace pace
	// how is what it shows of what was sent.
	how result
	// sent says that the request went out, paused that nothing was asked.
	sent, paused bool
}

// steep is how many failures more one counts for whose answer may have been lost: one quick retry is worth its while, more are not.
const steep = 5

// fetcher fetches a credential, and bounds its time itself. It is called by one goroutine at a time.
type fetcher func(context.Context) (fetched, *setback)

// issued is a credential that was fetched.
type issued struct {
	fetched
	at time.Time // when it was taken into use
}

// validAt reports whether it can be used at a time.
func (i *issued) validAt(now time.Time) bool {
	return i != nil && (i.expires.IsZero() || now.Before(i.expires))
}

// renewer keeps a credential that must be fetched. All of its owners hold a pointer to it: formatting them shows an address.
type renewer struct {
	operation cbr.Operation
	fetch     fetcher
	static    func() []string // the secrets that a fetch takes
	clock     clock.PassiveClock
	changed   func()
	random    func() float64
	context   context.Context // of all fetches
	cancel    context.CancelFunc

	mutex    sync.Mutex
	current  *issued
	former   []*issued // some may still be valid, or be carried by calls under way: their secrets stay hidden
	fetching bool
	due      time.Time  // of the next fetch; zero stands for at once
	failures int        // of fetches, in a row
	refusals int        // by CBR of what was fetched just before, in a row
	failed   *cbr.Error // see State.Err
	again    bool       // a person has asked for a fetch while one was under way
	retried  bool       // a person has asked for the fetch that is due, so that what it ends with is told
	refused  bool       // the latest fetch was refused, or would have been: it takes a person, or another project, to change that
}

// renewal is what a renewer is made of.
type renewal struct {
	operation cbr.Operation
	fetch     fetcher
	static    func() []string
	clock     clock.PassiveClock
	changed   func()
}

func newRenewer(config renewal) *renewer {
	ctx, cancel := context.WithCancel(context.Background())
	r := &renewer{operation: config.operation, fetch: config.fetch, static: config.static, clock: config.clock,
		changed: config.changed, random: rand.Float64, context: ctx, cancel: cancel}
	if r.clock == nil {
		r.clock = clock.RealClock{}
	}
	if r.changed == nil {
		r.changed = func() {}
	}
	return r
}

// State implements Renewing.
func (r *renewer) State() State {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	now := r.clock.Now()
	r.begin(now)
	state := State{Ready: r.current.validAt(now)}
	if state.Ready {
		state.Expires = r.current.expires
	}
	if r.failed != nil { // an explicit nil: a nil *Error in an error is not nil
		state.Err = r.failed
	}
	if !r.fetching && !r.refused {
		state.RetryAt = r.due
	}
	return state
}

// Expiry returns when what is there ends, zero if that is not known or nothing is there.
func (r *renewer) Expiry() time.Time {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.current == nil {
		return time.Time{}
	}
	return r.current.expires
}

// Renews reports that it needs nobody to renew it.
func (*renewer) Renews() bool { return true }

// Authorize adds the headers of what is there. Without anything it returns why, as a *cbr.Error, and does not wait.
func (r *renewer) Authorize(ctx context.Context, request *http.Request, body []byte) error {
	credential, err := r.usable()
	if err != nil {
		return err
	}
	return credential.Authorize(ctx, request, body)
}

var errNotFetched = errors.New("the credentials are still being fetched")

// usable returns what is there to authorize with. Calls go on for a while between two questions for the State, so it sees to
// the renewal too.
func (r *renewer) usable() (cbr.Credential, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	now := r.clock.Now()
	r.begin(now)
	switch {
	case r.current.validAt(now):
		return r.current.credential, nil
	case r.failed != nil:
		return nil, r.failed
	default:
		return nil, &cbr.Error{Operation: r.operation, Class: cbr.Transient, Untouched: true, Err: errNotFetched}
	}
}

// maxFormer is how many credentials are remembered for the sake of their secrets that were replaced.
const maxFormer = 4

// Secrets returns the texts that must not be seen: what a fetch takes, what the latest brought, and some before.
func (r *renewer) Secrets() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	secrets := r.static()
	for _, each := range append(r.former[:len(r.former):len(r.former)], r.current) {
		if each != nil {
			secrets = append(secrets, each.credential.Secrets()...)
		}
	}
	return secrets
}

// Close ends a fetch under way, and lets none begin any more. What is there can still be used.
func (r *renewer) Close() { r.cancel() }

// Retry has what could not be fetched asked for at once. What is there stays in use.
func (r *renewer) Retry() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.again = r.fetching; r.again { // it may have come to its end before a person asked
		return
	}
	r.failures, r.refusals, r.refused, r.due, r.retried = 0, 0, false, r.clock.Now(), true
}

// inheritFrom takes over what another one holds that was made of the same, so that a valid credential is not fetched anew.
func (r *renewer) inheritFrom(other *renewer) {
	other.mutex.Lock()
	current, former, due := other.current, slices.Clone(other.former), other.due
	other.mutex.Unlock()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.fetching || r.current != nil || !current.validAt(r.clock.Now()) {
		return
	}
	r.current, r.former, r.due = current, former, due
}

// begin starts a fetch if one is due; the mutex is held.
func (r *renewer) begin(now time.Time) {
	if r.fetching || now.Before(r.due) || r.context.Err() != nil {
		return
	}
	r.fetching = true
	go r.run()
}

func (r *renewer) run() {
	began := r.clock.Now()
	got, failed := r.fetch(r.context)
	r.ended(began, got, failed)
	r.changed()
}

func (r *renewer) ended(began time.Time, got fetched, failed *setback) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.fetching = false
	if failed != nil {
		r.failures++
		r.retryAfter(failed, r.failures)
		return
	}
	r.drop()
	r.current = &issued{fetched: got, at: r.clock.Now()}
	r.failures, r.failed, r.refused, r.retried, r.again = 0, nil, false, false, false
	r.due = began.Add(r.pauseFor(got.life))
}

// drop takes what is there out of use; the mutex is held.
func (r *renewer) drop() {
	if r.current != nil {
		r.former, r.current = append(r.former, r.current), nil
		r.former = r.former[max(0, len(r.former)-maxFormer):]
	}
}

// retryAfter takes note of a failure, the n-th in a row, and of when to fetch again; the mutex is held.
func (r *renewer) retryAfter(failed *setback, n int) {
	if !failed.paused || r.failed == nil || failed.Class == cbr.Credentials || r.retried {
		r.failed, r.refused = failed.Error, failed.how == wrong
	}
	if failed.how == unclear && n > 1 {
		n += steep
	}
	r.due = r.clock.Now().Add(max(failed.pace.after(n, r.random()), failed.RetryAfter))
	if r.retried = r.again; r.again {
		r.again, r.refused, r.due = false, false, r.clock.Now()
	}
}

// pauseFor is the time from a fetch to the next one for something that lives so long: at 70 to 80 % of its life.
func (r *renewer) pauseFor(life time.Duration) time.Duration {
	if life <= 0 {
		return unknownLife
	}
	life = min(life, longestLife)
	part := time.Duration((0.7 + 0.1*r.random()) * float64(life))
	return max(min(part, life-renewalMargin), life/2, shortestPause)
}

var errFreshRefused = errors.New("credentials that had been fetched just before were refused too, so that renewing them does not help; " +
	"check the project, and what the user may do in it")

// Ended implements cbr.Judged. What CBR refuses is taken out of use, and fetched again: at once if it had been in use for a
// while, later and later if it had been fetched just before. There is one fetch for one refusal.
func (r *renewer) Ended(failure *cbr.Error) {
	if failure == nil || failure.StatusCode == 0 {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	now := r.clock.Now()
	if r.current == nil || !blamesCredential(failure) || failure.AuthorizedAt.Before(r.current.at) && !failure.AuthorizedAt.IsZero() {
		return
	}
	if now.Sub(r.current.at) > freshFor {
		r.refusals = 0
	}
	r.refusals++
	r.drop()
	switch {
	case r.fetching:
	case r.refusals > 1:
		r.retryAfter(refusedAnew(failure), r.refusals-1)
	case r.failures == 0: // else the pause after a fetch that failed holds
		r.due = now
		r.begin(now)
	}
}

// RenewalHelps reports whether a failed call tells of nothing but credentials that are about to be renewed: they were refused, or not
// there yet. State tells whether they can be used again.
func RenewalHelps(err error) bool {
	if errors.Is(err, errNotFetched) {
		return true
	}
	failure, answered := errors.AsType[*cbr.Error](err)
	return answered && failure.StatusCode != 0 && blamesCredential(failure)
}

// RefusedByCBR reports whether State.Err says that CBR has refused what was fetched just before.
func RefusedByCBR(err error) bool { return errors.Is(err, errFreshRefused) }

func refusedAnew(failure *cbr.Error) *setback {
	copied := *failure
	copied.Class, copied.Err = cbr.Credentials, errFreshRefused
	return &setback{Error: &copied, pace: refusalPace}
}

// blamesCredential reports whether a failure of class Credentials says that the token or key that was sent is no good, so that
// another may be. A clock that is off (0303), a project that is not available (0310) and an account that is not verified (8600)
// stay as they are with any other.
func blamesCredential(failure *cbr.Error) bool {
	switch failure.Code {
	case "APIGW.0310", "APIG.0310", "BackupService.8600":
		return false
	}
	return failure.Class == cbr.Credentials && !failure.BlamesClock()
}
