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
	"fmt"
	"slices"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"backupsync.dev/operator/internal/cbr"
)

// counter is what the cloud counts of one user, or of one access key.
type counter struct{ failures []time.Time }

// lately returns how many failures there were in a time before now.
func (c *counter) lately(now time.Time, window time.Duration) int {
	count := 0
	for _, at := range c.failures {
		if now.Sub(at) < window {
			count++
		}
	}
	return count
}

// underWay is an attempt that has begun.
type underWay struct {
	user                *user
	secret, scope, name int
}

// lockModel is a cloud that counts, and those who try. Secret 0 or 1 of each name is right, or none: it may be replaced in the cloud. In
// scope 0 all are refused.
type lockModel struct {
	rt       *rapid.T
	rules    *lockRules
	bears    int // failures within the window
	clock    *clocktesting.FakePassiveClock
	attempts *Attempts
	counted  map[int]*counter
	right    int
	running  []underWay
}

func newLockModel(rt *rapid.T, rules *lockRules, bears int) *lockModel {
	clock := clocktesting.NewFakePassiveClock(attemptsBegin)
	return &lockModel{rt: rt, rules: rules, bears: bears, clock: clock, attempts: NewAttempts(clock), counted: map[int]*counter{0: {}, 1: {}}}
}

func (m *lockModel) step() {
	switch rapid.IntRange(0, 5).Draw(m.rt, "step") {
	case 0, 1, 2:
		m.try()
	case 3:
		m.finish()
	case 4:
		m.right = rapid.IntRange(-1, 1).Draw(m.rt, "right")
	default:
		m.clock.SetTime(m.clock.Now().Add(time.Duration(rapid.IntRange(0, 600).Draw(m.rt, "seconds")) * time.Second))
	}
}

func (m *lockModel) try() {
	name, secret := rapid.IntRange(0, 1).Draw(m.rt, "name"), rapid.IntRange(0, 3).Draw(m.rt, "secret")
	scope := rapid.IntRange(0, 3).Draw(m.rt, "scope")
	if rapid.Bool().Draw(m.rt, "likely") {
		name, secret = 0, 0
	}
	tried := &user{Attempts: m.attempts, rules: m.rules, endpoint: m.endpoint(), scope: fmt.Sprint(scope),
		secret: m.attempts.digest("s", fmt.Sprint(name, secret)), name: m.attempts.digest("n", fmt.Sprint(name))}
	if rapid.IntRange(0, 20).Draw(m.rt, "again") == 0 {
		tried.prepare(History{}, true)
	}
	_, verdict, _ := tried.records(m.clock.Now())
	proven := verdict.stands()
	began, why := tried.try(m.clock.Now())
	if began {
		m.running = append(m.running, underWay{tried, secret, scope, name})
	}
	if proven && why != nil && why.wait > max(m.rules.window, m.rules.rest) {
		m.rt.Fatalf("what was taken waits for %s", why.wait)
	}
}

// endpoint is one of those that a password may be sent to. Those of keys take turns of each other only as long as the key is good.
func (m *lockModel) endpoint() string {
	if m.rules != &loginRules {
		return "one"
	}
	return fmt.Sprint(rapid.IntRange(0, 5).Draw(m.rt, "endpoint"))
}

func (m *lockModel) finish() {
	if len(m.running) == 0 {
		return
	}
	which := rapid.IntRange(0, len(m.running)-1).Draw(m.rt, "which")
	lost := rapid.IntRange(0, 4).Draw(m.rt, "lost") == 0
	each := m.running[which]
	m.running = slices.Delete(m.running, which, which+1)
	counted, good := m.counted[each.name], each.secret == m.right && each.scope != 0
	if good {
		counted.failures = nil
	} else {
		counted.failures = append(counted.failures, m.clock.Now())
	}
	switch {
	case lost && m.rules == &loginRules:
		each.user.end(unclear, nil)
	case good:
		each.user.end(taken, nil)
	default:
		each.user.end(wrong, &cbr.Error{Class: cbr.Credentials})
	}
	if lately := counted.lately(m.clock.Now(), m.rules.window); lately > m.bears {
		m.rt.Fatalf("%s: the cloud counts %d failures", m.clock.Now().Sub(attemptsBegin), lately)
	}
}

// Whatever is tried by whom, and however it ends, the cloud never counts so many failures that it locks; and who has been taken before
// never waits for long.
func TestNothingThatIsTriedLocks(t *testing.T) {
	for name, c := range map[string]struct {
		rules *lockRules
		bears int
	}{
		"passwords": {&loginRules, 4},
		"keys":      {&keyRules, 5},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				model := newLockModel(rt, c.rules, c.bears)
				for range rapid.IntRange(50, 300).Draw(rt, "steps") {
					model.step()
				}
			})
		})
	}
}

// Many contents come and go: what is remembered is bounded, and of what was used last nothing is lost.
func TestWhatIsRememberedOfAttemptsIsBounded(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(attemptsBegin)
	attempts := NewAttempts(clock)
	for i := range 3 * maxRemembered {
		clock.SetTime(clock.Now().Add(10 * time.Minute))
		tried := attempts.login("iam", &login{domain: "d", user: fmt.Sprint(i), password: "p", project: "x"})
		if began, why := tried.try(clock.Now()); !began {
			t.Fatalf("attempt %d: %v", i, why)
		}
		tried.end(wrong, &cbr.Error{Class: cbr.Credentials})
		if !tried.wasRefused() {
			t.Fatalf("attempt %d is not remembered", i)
		}
	}
	if len(attempts.secrets) > maxRemembered || len(attempts.rows) > maxRemembered+1 {
		t.Errorf("%d secrets and %d users are remembered", len(attempts.secrets), len(attempts.rows))
	}
}

// A project that cannot use a password, as it is another account's, does not keep others from it that can.
func TestAProjectThatIsToBlameHoldsUpNoOther(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(attemptsBegin)
	attempts := NewAttempts(clock)
	of := func(project string) *user {
		return attempts.login("iam", &login{domain: "d", user: "u", password: "p", project: project})
	}
	try := func(project string, good, want bool) {
		t.Helper()
		tried := of(project)
		began, why := tried.try(clock.Now())
		if began != want {
			t.Fatalf("%s: began %v, %v", project, began, why)
		}
		switch {
		case began && good:
			tried.end(taken, nil)
		case began:
			tried.end(wrong, &cbr.Error{Class: cbr.Credentials})
		}
	}
	try("bad", false, true)
	try("good", true, false)
	clock.SetTime(clock.Now().Add(20 * time.Minute))
	try("bad", false, false)
	try("good", true, true)
	try("another", true, true)
	try("bad", false, false)
	clock.SetTime(clock.Now().Add(time.Hour))
	try("bad", false, true)
	try("good", true, true)
	try("another", true, true)
	try("third", true, true)
}
