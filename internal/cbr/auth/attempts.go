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
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"backupsync.dev/operator/internal/cbr"
)

// Attempts is what a process remembers of its attempts with passwords and access keys, for all projects that use them: the cloud
// locks an account after five wrong passwords in 15 minutes, and an access key after more than five failures in a row. It holds
// hashes alone, with a salt of its own. It is safe for concurrent use.
type Attempts struct {
	clock clock.PassiveClock
	salt  []byte

	mutex   sync.Mutex
	ended   chan struct{} // closed, and made again, when an attempt ends, or waits no more
	secrets map[Digest]*secretRecord
	rows    map[Digest]*row
}

// maxRemembered bounds how many secrets are remembered. Those that were used last are.
const maxRemembered = 4096

// NewAttempts makes an Attempts without any. The clock is the real one if nil.
func NewAttempts(passive clock.PassiveClock) *Attempts {
	if passive == nil {
		passive = clock.RealClock{}
	}
	return &Attempts{clock: passive, salt: []byte(rand.Text()), ended: make(chan struct{}),
		secrets: map[Digest]*secretRecord{}, rows: map[Digest]*row{}}
}

// secretRecord is what is known of a password of a user, or of a pair of keys.
type secretRecord struct {
	underWay int
	usedAt   time.Time
	verdict  // the latest of all scopes
	scopes   map[string]*verdict
}

// verdict is how attempts went of late.
type verdict struct {
	takenAt, refusedAt time.Time
	refusals           int        // since it was taken, without those that were under way at the time of the one before
	failure            *cbr.Error // the latest refusal
}

// stands reports whether it was taken, and not refused since.
func (v *verdict) stands() bool { return v.refusals == 0 && !v.takenAt.IsZero() }

// refused reports whether it was refused, and not taken since.
func (v *verdict) refused() bool { return v.refusals > 0 }

func (v *verdict) refuse(failure *cbr.Error, now time.Time, rest time.Duration) {
	if v.refusals == 0 || now.Sub(v.refusedAt) >= rest {
		v.refusals++
	}
	v.refusedAt, v.failure = now, failure
}

// retry lets what was refused be tried once more after a rest, as if it had been refused for the first time.
func (v *verdict) retry(now time.Time, rest time.Duration) {
	if v.refusals = min(v.refusals, 1); now.Sub(v.refusedAt) >= rest {
		v.refusals = 0
	}
}

// row is what the cloud counts: the failures of a user, or of an access key, whatever the password or the secret key.
type row struct {
	turns
	failures []time.Time // since the latest that was taken, within the time that counts
	takenAt  time.Time   // of that one, zero before
	// fromFuture are the times of inherited failures that were later than now, which are in failures with another time.
	fromFuture []time.Time
}

// lockRules say how to stay away from a lock.
type lockRules struct {
	window   time.Duration // in which failures count
	most     int           // failures in it are borne
	unproven int           // of them may be of what was never taken: the rest is for those who have the right secret
	parallel int           // attempts may be under way at the same time, with what was taken before
	rest     time.Duration // after a refusal, until the next attempt for another scope
	// standing says that a scope need not rest for another one's refusal as long as it stands itself: it is asked all the time.
	standing bool
	// restAnyway is the rest after a refusal even if a person asks for another attempt.
	restAnyway time.Duration
	// own is how long a scope waits that was refused itself; never if it says so.
	own func(scope *verdict, secret *secretRecord) (wait time.Duration, ever bool)
}

var loginRules = lockRules{window: 15 * time.Minute, most: 4, unproven: 4, parallel: 3, rest: 20 * time.Minute,
	own: func(scope *verdict, secret *secretRecord) (time.Duration, bool) {
		return time.Hour, secret.takenAt.After(scope.refusedAt) // it is the project that is refused then
	}}

var keyRules = lockRules{window: lockTime, most: 5, unproven: 4, parallel: 5, rest: lockTime, standing: true, restAnyway: lockTime,
	own: func(scope *verdict, _ *secretRecord) (time.Duration, bool) {
		if scope.refusals < 3 {
			return lockTime, true
		}
		return time.Hour, true // else this one could be the reason why the key is always locked
	}}

// user is one of those that use a secret: a credential of a project.
type user struct {
	*Attempts
	rules  *lockRules
	secret Digest // what is tried
	name   Digest // whose failures the cloud counts
	// endpoint and scope are what it is tried for: where, and for which cloud project there.
	endpoint, scope string
}

// login is the use of a password at a host. Users, and what locks them, are the same at all endpoints of IAM.
func (a *Attempts) login(endpoint string, l *login) *user {
	endpoint = strings.TrimSuffix(strings.ToLower(endpoint), ":443")
	return &user{Attempts: a, rules: &loginRules, endpoint: endpoint, scope: endpoint + " " + l.project,
		secret: a.digest("password", l.domain, l.user, l.password), name: a.digest("user", l.domain, l.user)}
}

// key is the use of a pair of keys. What one endpoint takes another may refuse; the failures of a key are counted together.
func (a *Attempts) key(access, secret, session, endpoint, project string) *user {
	return &user{Attempts: a, rules: &keyRules, endpoint: endpoint, scope: project,
		secret: a.digest("keys", access, secret, session, endpoint), name: a.digest("key", access)}
}

func (a *Attempts) digest(texts ...string) Digest {
	parts := make([][]byte, len(texts))
	for i, text := range texts {
		parts[i] = []byte(text)
	}
	return NewDigest(a.salt, parts...)
}

// pause is why there may be no attempt, and for how long.
type pause struct {
	*cbr.Error
	wait time.Duration
}

// proven reports whether there is no reason to doubt what is tried.
func (u *user) proven(secret *secretRecord, scope *verdict) bool {
	return secret.stands() || u.rules.standing && scope.stands()
}

// pause returns why there may be no attempt, whatever is under way.
func (u *user) pause(secret *secretRecord, scope *verdict, row *row, now time.Time) *pause {
	if scope.refused() {
		wait, ever := u.rules.own(scope, secret)
		if wait -= now.Sub(scope.refusedAt); !ever {
			wait = time.Hour // to be asked again: nothing is sent
		}
		if wait > 0 {
			return &pause{scope.failure, wait}
		}
	} else if wait := u.rules.rest - now.Sub(secret.refusedAt); secret.refused() && !u.proven(secret, scope) && wait > 0 {
		return &pause{elsewhere(secret.failure), wait}
	}
	most := u.rules.most
	if !u.proven(secret, scope) {
		most = u.rules.unproven
	}
	if excess := len(row.failures) - most; excess >= 0 {
		return &pause{manyFailures, u.rules.window - now.Sub(row.failures[excess])}
	}
	return nil
}

var (
	// ErrRefusedElsewhere is why a password is not sent that IAM has refused to another project. It may be that one's own fault.
	ErrRefusedElsewhere = errors.New("IAM has refused them to another project")
	// ErrRefusedBefore is why a password is not sent, or a key not used, that this process has not tried.
	ErrRefusedBefore = errors.New("they were refused before the operator started")
	// ErrManyFailures is why a password is not sent for some minutes, whether or not it is right: others of the same user were wrong, or
	// answers were lost.
	ErrManyFailures = errors.New("requests for this user have failed several times in 15 minutes, and more could lock the account")

	manyFailures = &cbr.Error{Class: cbr.Transient, Untouched: true, Err: ErrManyFailures}
)

func elsewhere(failure *cbr.Error) *cbr.Error {
	copied := *failure
	copied.Err = ErrRefusedElsewhere
	return &copied
}

// records returns what is known for a user, without failures that count no more; the mutex is held.
func (u *user) records(now time.Time) (*secretRecord, *verdict, *row) {
	secret, found := u.secrets[u.secret]
	if !found {
		u.makeRoom(now)
		secret = &secretRecord{scopes: map[string]*verdict{}}
		u.secrets[u.secret] = secret
	}
	secret.usedAt = now
	if secret.scopes[u.scope] == nil {
		secret.scopes[u.scope] = &verdict{}
	}
	counted := u.rows[u.name]
	if counted == nil {
		counted = &row{turns: newTurns()}
		u.rows[u.name] = counted
	}
	for len(counted.failures) > 0 && now.Sub(counted.failures[0]) >= u.rules.window {
		counted.failures = counted.failures[1:]
	}
	return secret, secret.scopes[u.scope], counted
}

// makeRoom forgets the secret that was used least lately, if there are many.
func (a *Attempts) makeRoom(now time.Time) {
	if len(a.secrets) < maxRemembered {
		return
	}
	byAge := slices.SortedFunc(maps.Keys(a.secrets), func(x, y Digest) int { return a.secrets[x].usedAt.Compare(a.secrets[y].usedAt) })
	for _, old := range byAge[:len(byAge)/4] { // room for many: this looks at all
		if a.secrets[old].underWay == 0 {
			delete(a.secrets, old)
		}
	}
	for name, row := range a.rows {
		if row.allUnderWay()+len(row.waiting) == 0 && (len(row.failures) == 0 || now.Sub(row.failures[len(row.failures)-1]) >= loginRules.window) {
			delete(a.rows, name)
		}
	}
}

// result is how an attempt went.
type result int

const (
	neither result = iota // nothing is known of the secret, and nothing was counted
	taken
	wrong
	unclear // it may have been counted as a failure
)

// end notes how an attempt went that began.
func (u *user) end(how result, failure *cbr.Error) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	now := u.clock.Now()
	secret, scope, row := u.records(now)
	secret.underWay--
	row.underWay.drop(u.place())
	switch how {
	case taken:
		secret.verdict, *scope = verdict{takenAt: now}, verdict{takenAt: now}
		row.failures, row.fromFuture, row.takenAt = nil, nil, now
	case wrong:
		u.refuse(secret, scope, failure, now)
		row.failures = append(row.failures, now)
	case unclear:
		row.failures = append(row.failures, now)
	case neither:
	}
	u.wake()
}

func (u *user) refuse(secret *secretRecord, scope *verdict, failure *cbr.Error, now time.Time) {
	if !scope.refused() || !secret.stands() { // else it is known that it is the scope that is refused
		secret.refuse(failure, now, u.rules.rest)
	}
	scope.refuse(failure, now, u.rules.rest)
}

// wasRefused reports whether what is tried was refused for this scope, and not taken since.
func (u *user) wasRefused() bool {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	_, scope, _ := u.records(u.clock.Now())
	return scope.refused()
}

// History is what other processes have seen of credentials.
type History struct {
	// Refused says that the same were refused for the same scope, Elsewhere that they were for another one.
	Refused, Elsewhere bool
	// Failures is when requests of the same user, or with the same key, have failed of late.
	Failures []time.Time
}

// prepare takes in what other processes have seen, and that a person wants another try.
func (u *user) prepare(before History, again bool) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	now := u.clock.Now()
	secret, scope, row := u.records(now)
	row.inherit(before.Failures, now, u.rules.window)
	failure := &cbr.Error{Class: cbr.Credentials, Untouched: true, Err: ErrRefusedBefore}
	switch {
	case before.Refused && scope.takenAt.IsZero() && !scope.refused(): // it may be the fault of this scope alone
		scope.refuse(failure, now, u.rules.rest)
	case before.Elsewhere && secret.takenAt.IsZero() && !secret.refused():
		secret.refuse(failure, now, u.rules.rest)
	}
	if again {
		scope.retry(now, u.rules.restAnyway)
		secret.retry(now, u.rules.restAnyway)
	}
}

// sameFailure is how far two records of one failure may be apart: they are written in microseconds.
const sameFailure = time.Microsecond

// inherit adds failures that are not known yet. Clocks of machines differ: what is later than now is now.
func (r *row) inherit(failures []time.Time, now time.Time, window time.Duration) {
	for _, at := range failures {
		known := func(before time.Time) bool { return before.Sub(at).Abs() <= sameFailure }
		if now.Sub(at) >= window || !at.After(r.takenAt) || slices.ContainsFunc(r.failures, known) || slices.ContainsFunc(r.fromFuture, known) {
			continue
		}
		if at.After(now) {
			r.fromFuture = append(r.fromFuture, at)
			at = now
		}
		r.failures = append(r.failures, at)
	}
	slices.SortFunc(r.failures, time.Time.Compare)
}

// failures is when requests of the user, or with the key, have failed of late.
func (u *user) failures() []time.Time {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	_, _, row := u.records(u.clock.Now())
	return slices.Clone(row.failures)
}

// wasTaken reports whether the latest that is known of the scope is that it was taken.
func (u *user) wasTaken() bool {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	_, scope, _ := u.records(u.clock.Now())
	return scope.stands()
}
