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
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

const turnsEndpoint = "https://cbr.example.com"

// hanging is a key of a project that was taken before, and of which so many requests are not answered.
func hanging(t *testing.T, attempts *Attempts, requests int) *AccessKey {
	t.Helper()
	key := countedKey(t, attempts, turnsEndpoint, "hanging")
	for i := range requests + 1 {
		if err := signWith(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			key.Ended(nil)
		}
	}
	return key
}

// begins signs with a key when it may, and counts that.
func begins(ctx context.Context, key *AccessKey, began *atomic.Int32) {
	go func() {
		if signWith(ctx, key) == nil {
			began.Add(1)
		}
	}()
}

// slowCBR answers after a while, if it is waited for.
type slowCBR struct {
	takes    time.Duration
	requests int
}

func (s *slowCBR) RoundTrip(request *http.Request) (*http.Response, error) {
	s.requests++
	select {
	case <-time.After(s.takes):
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"backup":{"id":"some-id"}}`))}, nil
	case <-request.Context().Done():
		return nil, request.Context().Err()
	}
}

// A request that waits for its turn is not sent when that takes too long, and says so: it is no failure of the endpoint. When it has its
// turn, there is as much time for the answer as ever.
func TestWhatWaitsForItsTurnIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts, server, observed := NewAttempts(nil), &slowCBR{takes: 600 * time.Millisecond}, 0
		hung := hanging(t, attempts, 5)
		client, err := cbr.NewClient(cbr.Config{Endpoint: turnsEndpoint, ProjectID: "p", Credential: countedKey(t, attempts, turnsEndpoint, "p"),
			Transport: server, Timeout: time.Second, Observe: func(cbr.Call) { observed++ }})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(err error, began time.Time, after time.Duration) {
			t.Helper()
			failure, is := errors.AsType[*cbr.Error](err)
			if !is || !errors.Is(err, ErrKeyBusy) || failure.Class != cbr.Transient || !failure.Untouched || failure.StatusCode != 0 || server.requests+observed > 0 {
				t.Errorf("%d requests, %d observed: got %+v", server.requests, observed, err)
			}
			if took := time.Since(began); took != after {
				t.Errorf("it has waited for %s, not %s", took, after)
			}
		}
		began := time.Now()
		_, err = client.GetBackup(t.Context(), "some-id")
		expect(err, began, time.Second)
		began = time.Now()
		_, err = client.ImportBackups(cbr.BeginBefore(t.Context(), began.Add(300*time.Millisecond)), []cbr.Backup{{ID: "some-id"}})
		expect(err, began, 300*time.Millisecond)
		go func() {
			time.Sleep(800 * time.Millisecond)
			hung.Ended(&cbr.Error{Class: cbr.Transient})
		}()
		if _, err = client.GetBackup(t.Context(), "some-id"); err != nil || server.requests != 1 || observed != 1 {
			t.Errorf("it had its turn after 0.8 s, and %d times an answer after 0.6 s: %v", server.requests, err)
		}
	})
}

// Requests that hang end one by one, and more of the same project wait: the next turn is that of a project without any.
func TestAProjectThatHangsDoesNotTakeAllTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		attempts := NewAttempts(nil)
		hung, other, third := hanging(t, attempts, 5), countedKey(t, attempts, turnsEndpoint, "other"), countedKey(t, attempts, turnsEndpoint, "third")
		var hungBegan, otherBegan, thirdBegan atomic.Int32
		for range 20 {
			begins(ctx, hung, &hungBegan)
		}
		synctest.Wait()
		begins(ctx, other, &otherBegan)
		begins(ctx, other, &otherBegan)
		begins(ctx, third, &thirdBegan)
		synctest.Wait()
		expect := func(what string, hung, other, third int32) {
			t.Helper()
			synctest.Wait()
			if hungBegan.Load() != hung || otherBegan.Load() != other || thirdBegan.Load() != third {
				t.Errorf("%s: %d, %d and %d have begun, want %d, %d and %d", what, hungBegan.Load(), otherBegan.Load(), thirdBegan.Load(), hung, other, third)
			}
		}
		expect("at first", 0, 0, 0)
		for range 2 {
			hung.Ended(&cbr.Error{Class: cbr.Transient})
		}
		expect("after two have ended", 0, 1, 1)
		third.Ended(nil)
		other.Ended(nil)
		synctest.Wait()
		if all := hungBegan.Load() + otherBegan.Load(); all != 3 {
			t.Errorf("%d begin in two turns", all-1)
		}
	})
}

// Who makes way for one that waits goes on when that one gives up.
func TestWhoGivesUpHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		attempts := NewAttempts(nil)
		good := hanging(t, attempts, 3)
		wrongKey := func(secret, project string) *AccessKey {
			key, err := NewAccessKey(AccessKeyConfig{Access: []byte("QTWAOYTTINDUT2QVKYUC"), Secret: []byte(secret), Endpoint: turnsEndpoint, ProjectID: project, Attempts: attempts})
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		first := wrongKey("first-wrong-secret", "first")
		if err := signWith(ctx, first); err != nil {
			t.Fatal(err)
		}
		first.Ended(wrongCredentials())
		var goodBegan, secondBegan atomic.Int32
		short, end := context.WithTimeout(ctx, time.Second)
		defer end()
		begins(short, wrongKey("second-wrong-secret", "second"), &secondBegan) // it may begin when fewer are under way
		synctest.Wait()
		begins(ctx, good, &goodBegan)
		synctest.Wait()
		if goodBegan.Load()+secondBegan.Load() != 0 {
			t.Error("nobody makes way")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if goodBegan.Load() != 1 {
			t.Error("nobody goes on")
		}
	})
}
