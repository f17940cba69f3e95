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
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/internal/cbr"
)

var attemptsBegin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func wrongCredentials() *cbr.Error { return &cbr.Error{Class: cbr.Credentials, StatusCode: 401} }

// One user, one wrong password: it is remembered by whatever name IAM is asked, as five failures lock the account.
func TestAPasswordIsRememberedForAllNamesOfIAM(t *testing.T) {
	for name, endpoints := range map[string][]string{
		"same host": {"https://iam.cn-north-4.myhuaweicloud.com", "https://IAM.cn-north-4.myhuaweicloud.com", "https://iam.cn-north-4.myhuaweicloud.com:443"},
		"regions": {"https://iam.cn-north-1.myhuaweicloud.com", "https://iam.cn-north-4.myhuaweicloud.com", "https://iam.cn-east-3.myhuaweicloud.com",
			"https://iam.cn-south-1.myhuaweicloud.com", "https://iam.ap-southeast-1.myhuaweicloud.com"},
	} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakePassiveClock(attemptsBegin)
			attempts, sent := NewAttempts(clock), 0
			for i, endpoint := range endpoints {
				p, err := NewPassword(PasswordConfig{IAMEndpoint: endpoint, ProjectID: fmt.Sprint(i), DomainName: []byte("d"), Username: []byte("u"),
					Password: []byte("wrong"), Transport: http.DefaultTransport, Clock: clock, Attempts: attempts})
				if err != nil {
					t.Fatal(err)
				}
				if began, _ := p.source.user.try(clock.Now()); began {
					sent++
					p.source.user.end(wrong, wrongCredentials())
				}
			}
			if sent > 1 {
				t.Errorf("the same wrong password of the same user is sent %d times at once", sent)
			}
		})
	}
}

// Two projects were refused with the same password, and both journals say so. The next process remembers both.
func TestEachProjectKeepsItsRefusalAtARestart(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(attemptsBegin)
	attempts := NewAttempts(clock)
	of := func(project string) *user {
		return attempts.login("iam", &login{domain: "d", user: "u", password: "p", project: project})
	}
	first, second := of("1"), of("2")
	first.prepare(History{Refused: true}, false)
	second.prepare(History{Refused: true}, false)
	if !second.wasRefused() {
		t.Error("status.journal.refusedSecret of the second is cleared by the first status that is written")
	}
	clock.SetTime(clock.Now().Add(20 * time.Minute))
	if began, _ := second.try(clock.Now()); began {
		t.Error("IAM is sent again what it has refused to this very project")
	}
}

// Projects that had a token before do not all send a password again that IAM has refused since.
func TestProvenProjectsDoNotSendARefusedPasswordAtOnce(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(attemptsBegin)
	attempts, sent := NewAttempts(clock), 0
	of := func(project int, password string) *user {
		return attempts.login("iam", &login{domain: "d", user: "u", password: password, project: fmt.Sprint(project)})
	}
	for i := range 4 {
		u := of(i, "old")
		if began, why := u.try(clock.Now()); !began {
			t.Fatal(why)
		}
		u.end(taken, nil)
	}
	clock.SetTime(clock.Now().Add(time.Hour)) // the password is replaced in IAM first, as documented
	for i := range 4 {
		if u := of(i, "old"); func() bool { began, _ := u.try(clock.Now()); return began }() {
			sent++
			u.end(wrong, wrongCredentials())
		}
	}
	if sent > 1 {
		t.Errorf("the refused password is sent %d times at once", sent)
	}
	clock.SetTime(clock.Now().Add(10 * time.Second)) // then at once in the Secret
	if began, why := of(0, "new").try(clock.Now()); !began {
		t.Errorf("the new password, which is right, waits for %s: %v", why.wait, why.Err)
	}
}

func countedKey(t *testing.T, attempts *Attempts, endpoint, project string) *AccessKey {
	t.Helper()
	key, err := NewAccessKey(AccessKeyConfig{Access: []byte("QTWAOYTTINDUT2QVKYUC"), Secret: []byte("MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"),
		Endpoint: endpoint, ProjectID: project, Attempts: attempts})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signWith(ctx context.Context, key *AccessKey) error {
	return key.Authorize(ctx, httptest.NewRequestWithContext(ctx, http.MethodGet, "https://cbr.example.com/v3/p/backups", nil), nil)
}

// An endpoint that hangs does not take all turns of a key: a project elsewhere whose key was taken just before makes its call.
func TestAnEndpointThatHangsHoldsUpNoOtherOfTheKey(t *testing.T) {
	attempts := NewAttempts(nil)
	good, slow := countedKey(t, attempts, "https://good", "g"), countedKey(t, attempts, "https://slow", "s")
	if err := signWith(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	good.Ended(nil)
	if err := signWith(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	slow.Ended(nil) // it hangs from now on
	for range 5 {
		if err := signWith(t.Context(), slow); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := signWith(ctx, good); err != nil {
		t.Errorf("the good project is held up until a call to the other endpoint ends: %v", err)
	}
}

// What another endpoint takes says nothing of how many failures this one has counted.
func TestATakingEndpointHidesNoFailuresOfAnother(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(attemptsBegin)
	attempts, failures := NewAttempts(clock), 0
	taking := countedKey(t, attempts, "https://taking", "x")
	for i := range 8 {
		if began, _ := taking.user.try(clock.Now()); began {
			taking.user.end(taken, nil)
		}
		if refusing := countedKey(t, attempts, "https://refusing", fmt.Sprint(i)); func() bool { began, _ := refusing.user.try(clock.Now()); return began }() {
			failures++
			refusing.user.end(wrong, wrongCredentials())
		}
		clock.SetTime(clock.Now().Add(10 * time.Second))
	}
	if failures > 5 {
		t.Errorf("%d failures in a row at one endpoint in 80 s: more than five lock the key there", failures)
	}
}

// What other processes have seen counts once, by whomever it is told, whatever their clocks; and not any more when the secret was taken.
func TestWhatOthersHaveSeenCountsOnce(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(attemptsBegin)
	attempts := NewAttempts(clock)
	tried := func(project string) *user {
		return attempts.login("iam", &login{domain: "d", user: "u", password: "p", project: project})
	}
	ahead, past := attemptsBegin.Add(3*time.Minute), attemptsBegin.Add(-time.Minute)
	for _, project := range []string{"one", "two", "three", "four", "five"} {
		tried(project).prepare(History{Failures: []time.Time{past, ahead}}, false)
		clock.SetTime(clock.Now().Add(time.Second))
	}
	if failures := tried("one").failures(); len(failures) != 2 {
		t.Errorf("two failures count as %v", failures)
	}
	began, why := tried("one").try(clock.Now())
	if !began {
		t.Fatalf("not tried: %v", why)
	}
	tried("one").end(taken, nil)
	tried("two").prepare(History{Failures: []time.Time{past}}, false)
	if failures := tried("one").failures(); len(failures) != 0 {
		t.Errorf("after it was taken there are %v", failures)
	}
}
