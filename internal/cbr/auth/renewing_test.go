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

package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// inMemory carries requests to a handler without a network, so that time can be the test's.
type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(request *http.Request) (*http.Response, error) {
	recorder, served := httptest.NewRecorder(), make(chan any, 1)
	go func() {
		defer func() { served <- recover() }()
		m.handler.ServeHTTP(recorder, request)
	}()
	select {
	case failed := <-served:
		if failed != nil {
			return nil, errors.New("connection reset by peer")
		}
		response := recorder.Result()
		response.Request = request
		return response, nil
	case <-request.Context().Done():
		return nil, request.Context().Err()
	}
}

// passwordConfig is the configuration of a Password that an IAM with default options takes.
func passwordConfig(iam http.Handler) auth.PasswordConfig {
	return auth.PasswordConfig{
		IAMEndpoint: "https://iam.example.com", ProjectID: cbrtest.ProjectID, Transport: inMemory{iam},
		DomainName: []byte(cbrtest.DomainName), Username: []byte(cbrtest.Username), Password: []byte(cbrtest.Password),
	}
}

func newPassword(t *testing.T, config auth.PasswordConfig) *auth.Password {
	t.Helper()
	password, err := auth.NewPassword(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(password.Close)
	return password
}

// fetchedState asks for the state, and again when a fetch that it started has ended. The test is in a bubble.
func fetchedState(credential auth.Renewing) auth.State {
	credential.State()
	synctest.Wait()
	return credential.State()
}

// tokenOf is the token that a request would carry.
func tokenOf(t *testing.T, credential cbr.Credential) (string, error) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://cbr.example.com/v3/p/backups", nil)
	err := credential.Authorize(t.Context(), request, nil)
	return request.Header.Get("X-Auth-Token"), err
}

func mustToken(t *testing.T, credential cbr.Credential) string {
	t.Helper()
	token, err := tokenOf(t, credential)
	if err != nil || token == "" {
		t.Fatalf("got token %q and %v", token, err)
	}
	return token
}

func failure(t *testing.T, err error) *cbr.Error {
	t.Helper()
	var found *cbr.Error
	if !errors.As(err, &found) {
		t.Fatalf("got %v, want a *cbr.Error", err)
	}
	return found
}

// unavailable makes an IAM answer 503 from now on.
func unavailable(iam *cbrtest.IAM) {
	answerAll(iam, http.StatusServiceUnavailable, `{"error":{"code":503,"message":"busy"}}`)
}

func answerAll(iam *cbrtest.IAM, status int, body string) {
	iam.Configure(func(options *cbrtest.IAMOptions) {
		options.Intercept = func(writer http.ResponseWriter, _ *http.Request) bool {
			writer.WriteHeader(status)
			_, _ = writer.Write([]byte(body))
			return true
		}
	})
}

func answerAgain(iam *cbrtest.IAM) {
	iam.Configure(func(options *cbrtest.IAMOptions) { options.Intercept = nil })
}

func TestTokenIsFetchedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{Latency: 3 * time.Second})
		config := passwordConfig(iam)
		var changes atomic.Int32
		config.Changed = func() { changes.Add(1) }
		password := newPassword(t, config)
		start := time.Now()
		for range 10 {
			if state := password.State(); state != (auth.State{}) {
				t.Fatalf("the first fetch is under way, and the state is %+v", state)
			}
		}
		if _, err := tokenOf(t, password); failure(t, err).Class != cbr.Transient || !failure(t, err).Untouched {
			t.Errorf("without a token a request fails with %v", err)
		}
		if time.Since(start) != 0 || changes.Load() != 0 {
			t.Errorf("it took %s, and %d changes were told", time.Since(start), changes.Load())
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		state := password.State()
		if !state.Ready || state.Err != nil || changes.Load() != 1 || len(iam.Requests()) != 1 {
			t.Errorf("got %+v after %d requests, %d changes told", state, len(iam.Requests()), changes.Load())
		}
		if end := start.Add(cbrtest.TokenLife); state.Expires.After(end) || state.Expires.Before(end.Add(-time.Second)) || !password.Expiry().Equal(state.Expires) {
			t.Errorf("it expires at %s, want %s", state.Expires, end)
		}
		if refusal, known := iam.Token(mustToken(t, password)); refusal != nil || !known || !password.Renews() {
			t.Errorf("the token is not the one that IAM issued: %v", refusal)
		}
	})
}

// asked moves time in steps, and returns when IAM was asked for a token, from the beginning of the test.
func asked(credential auth.Renewing, iam *cbrtest.IAM, step, until time.Duration) (times []time.Duration) {
	start, before := time.Now(), len(iam.Requests())
	for time.Since(start) < until {
		fetchedState(credential)
		time.Sleep(step)
	}
	for _, request := range iam.Requests()[before:] {
		times = append(times, request.Time.Sub(start))
	}
	return times
}

func TestTokenIsRenewedWellBeforeItsEnd(t *testing.T) {
	for life, least := range map[time.Duration]time.Duration{
		24 * time.Hour: 16 * time.Hour, time.Hour: 40 * time.Minute, 20 * time.Minute: 13 * time.Minute, 8 * time.Minute: 4 * time.Minute,
		time.Minute: 30 * time.Second,
	} {
		different := map[time.Duration]bool{}
		for range 5 {
			synctest.Test(t, func(t *testing.T) {
				iam := cbrtest.NewIAM(cbrtest.IAMOptions{TokenLife: life})
				password := newPassword(t, passwordConfig(iam))
				fetchedState(password)
				first := mustToken(t, password)
				times := asked(password, iam, life/200, life*81/100)
				if len(times) != 1 || times[0] < least || times[0] > max(life-5*time.Minute, life*4/5)+life/200 {
					t.Fatalf("of a life of %s: asked after %s", life, times)
				}
				different[times[0]] = true
				if second := mustToken(t, password); second == first {
					t.Errorf("of a life of %s: the old token is in use", life)
				}
			})
		}
		if life >= time.Hour && len(different) < 2 {
			t.Errorf("of a life of %s: renewed at the same time in each of 5 processes", life)
		}
	}
}

// Calls may go on for hours without anybody asking for the state.
func TestUseRenewsTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
		password := newPassword(t, passwordConfig(iam))
		fetchedState(password)
		first := mustToken(t, password)
		time.Sleep(20 * time.Hour)
		if mustToken(t, password) != first {
			t.Error("a token that is valid was not used while it is renewed")
		}
		synctest.Wait()
		if mustToken(t, password) == first || len(iam.Requests()) != 2 {
			t.Errorf("after %d requests the first token is in use", len(iam.Requests()))
		}
	})
}

func TestOldTokenIsUsedWhileItCannotBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
		password := newPassword(t, passwordConfig(iam))
		fetchedState(password)
		first, secrets := mustToken(t, password), password.Secrets()
		unavailable(iam)
		time.Sleep(23 * time.Hour)
		state := fetchedState(password)
		if !state.Ready || failure(t, state.Err).Class != cbr.Transient || state.RetryAt.IsZero() || mustToken(t, password) != first {
			t.Errorf("an hour before its end: %+v", state)
		}
		time.Sleep(time.Hour)
		state = fetchedState(password)
		if state.Ready || !state.Expires.IsZero() || failure(t, state.Err).Class != cbr.Transient {
			t.Errorf("after its end: %+v", state)
		}
		if _, err := tokenOf(t, password); failure(t, err).StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a request fails with %v, want what IAM answered", err)
		}
		answerAgain(iam)
		time.Sleep(5 * time.Minute)
		if state = fetchedState(password); !state.Ready || state.Err != nil {
			t.Errorf("when IAM is back: %+v", state)
		}
		if got := password.Secrets(); len(got) != len(secrets)+1 || mustToken(t, password) == first {
			t.Errorf("%d secrets, want also the token before, which calls under way carry", len(got))
		}
		unavailable(iam)
		time.Sleep(20 * time.Hour)
		if state = fetchedState(password); state.Err == nil || time.Until(state.RetryAt) > 10*time.Second {
			t.Errorf("the pauses begin anew with what went well, and the next fetch is due in %s", time.Until(state.RetryAt))
		}
	})
}

func TestFailedFetchesFollowEachOtherSlowlier(t *testing.T) {
	for name, c := range map[string]struct {
		answer         func(*cbrtest.IAM)
		first, longest time.Duration
	}{
		"not there": {func(iam *cbrtest.IAM) { answerAll(iam, 404, "{}") }, 48 * time.Second, 15 * time.Minute},
		"throttled": {func(iam *cbrtest.IAM) { answerAll(iam, 429, "") }, 8 * time.Second, 5 * time.Minute},
		"a page":    {func(iam *cbrtest.IAM) { answerAll(iam, 403, "<html>") }, 48 * time.Second, 15 * time.Minute},
		"forbidden": {func(iam *cbrtest.IAM) { answerAll(iam, 403, "{}") }, 12 * time.Minute, 15 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
			c.answer(iam)
			times := asked(newPassword(t, passwordConfig(iam)), iam, 200*time.Millisecond, 40*time.Minute)
			if len(times) < 3 || times[1] < c.first || times[1] > c.first*5/4+400*time.Millisecond {
				t.Fatalf("%s: asked after %s", name, times)
			}
			for i := 2; i < len(times); i++ {
				pause, before := times[i]-times[i-1], times[i-1]-times[i-2]
				if pause > c.longest+400*time.Millisecond || pause < before && pause < c.longest*4/5 {
					t.Errorf("%s: pause %d is %s, after %s", name, i, pause, before)
				}
			}
		})
	}
}

// While IAM is down, or answers are lost, nobody knows whether it has refused the password: five wrong ones in 15 minutes lock the account.
func TestAPasswordIsSentRarelyWhileNothingIsKnownOfIt(t *testing.T) {
	for name, answer := range map[string]func(*cbrtest.IAM){
		"IAM is down":     unavailable,
		"a page with 401": func(iam *cbrtest.IAM) { answerAll(iam, 401, "<html>") },
		"a page with 403": func(iam *cbrtest.IAM) { answerAll(iam, 403, "<html>") },
	} {
		for _, proven := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
				password := newPassword(t, passwordConfig(iam))
				if proven {
					fetchedState(password)
					time.Sleep(25 * time.Hour)
				}
				answer(iam)
				times := asked(password, iam, 200*time.Millisecond, 3*time.Hour)
				if len(times) < 3 {
					t.Fatalf("%s: asked after %s", name, times)
				}
				for i := range times {
					if i >= 4 && times[i]-times[i-4] < 15*time.Minute || i > 0 && times[i]-times[i-1] > time.Hour {
						t.Errorf("%s: asked after %s", name, times)
						break
					}
				}
			})
		}
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{Intercept: func(writer http.ResponseWriter, _ *http.Request) bool {
			writer.Header().Set("Retry-After", "600")
			writer.WriteHeader(http.StatusTooManyRequests)
			return true
		}})
		password := newPassword(t, passwordConfig(iam))
		state := fetchedState(password)
		if time.Until(state.RetryAt) != 10*time.Minute || failure(t, state.Err).RetryAfter != 10*time.Minute {
			t.Errorf("got %+v", state)
		}
	})
}

// refusal is what CBR answers a token with that is no good, to a call that was authorized just now.
func refusal() *cbr.Error {
	return &cbr.Error{Operation: cbr.OperationListBackups, StatusCode: 401, Code: "APIGW.0307", Message: "The token must be updated.",
		Class: cbr.Credentials, AuthorizedAt: time.Now()}
}

func TestRefusedTokenIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{Latency: time.Second})
		password := newPassword(t, passwordConfig(iam))
		password.State()
		time.Sleep(time.Second)
		synctest.Wait()
		first := mustToken(t, password)
		time.Sleep(time.Hour)
		late := refusal()
		password.Ended(refusal())
		if _, err := tokenOf(t, password); failure(t, err).Class != cbr.Transient {
			t.Errorf("the refused token was used, or %v", err)
		}
		password.Ended(late) // of another call with the same token
		time.Sleep(time.Second)
		synctest.Wait()
		second := mustToken(t, password)
		password.Ended(late) // the answer to a slow call with the first token
		if state := fetchedState(password); !state.Ready || mustToken(t, password) != second || second == first || len(iam.Requests()) != 2 {
			t.Errorf("got %+v after %d requests", state, len(iam.Requests()))
		}
	})
}

// A token that had been good before it was refused is no reason to wait, however often that happens.
func TestTokensThatAreRefusedAfterAWhileAreReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
		password := newPassword(t, passwordConfig(iam))
		fetchedState(password)
		for i := range 10 {
			time.Sleep(time.Hour)
			password.Ended(refusal())
			if state := fetchedState(password); !state.Ready || state.Err != nil || len(iam.Requests()) != i+2 {
				t.Fatalf("after %d refusals: %+v, %d requests", i+1, state, len(iam.Requests()))
			}
		}
	})
}

// A token that is refused from the start is no matter of renewal.
func TestFreshTokenThatIsRefusedIsNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
		password := newPassword(t, passwordConfig(iam))
		start, refusals := time.Now(), 0
		var pauses []time.Duration
		for time.Since(start) < 12*time.Hour {
			if state := fetchedState(password); state.Ready {
				mustToken(t, password)
				password.Ended(refusal())
				refusals++
				synctest.Wait()
			} else if err := failure(t, state.Err); err.Class != cbr.Credentials || err.Code != "APIGW.0307" || state.RetryAt.IsZero() {
				t.Fatalf("got %+v", state)
			} else {
				pauses = append(pauses, time.Until(state.RetryAt))
				time.Sleep(time.Until(state.RetryAt))
			}
		}
		if requests := len(iam.Requests()); requests > refusals+1 || requests > 25 {
			t.Errorf("%d requests for %d refusals", requests, refusals)
		}
		if last := pauses[len(pauses)-1]; last < 48*time.Minute || last > time.Hour || pauses[0] > 10*time.Second {
			t.Errorf("the pauses are %s, want up to an hour", pauses)
		}
	})
}

func TestRefusalsThatSayNothingOfTheToken(t *testing.T) {
	for _, code := range []string{"APIGW.0303", "APIG.0310", "BackupService.8600", "permission"} {
		synctest.Test(t, func(t *testing.T) {
			iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
			password := newPassword(t, passwordConfig(iam))
			fetchedState(password)
			refused := refusal()
			if refused.Code = code; code == "permission" {
				refused.Class = cbr.Permission
			}
			password.Ended(refused)
			if state := fetchedState(password); !state.Ready || len(iam.Requests()) != 1 {
				t.Errorf("%s: got %+v after %d requests", code, state, len(iam.Requests()))
			}
		})
	}
}

// While IAM fails, refusals of the token do not make it be asked more often.
func TestRefusalKeepsThePauseAfterAFailedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
		password := newPassword(t, passwordConfig(iam))
		fetchedState(password)
		time.Sleep(20 * time.Hour)
		answerAll(iam, http.StatusTooManyRequests, "")
		retryAt := fetchedState(password).RetryAt
		password.Ended(refusal())
		synctest.Wait()
		if state := password.State(); state.Ready || !state.RetryAt.Equal(retryAt) || len(iam.Requests()) != 2 {
			t.Errorf("got %+v after %d requests, want to wait until %s", state, len(iam.Requests()), retryAt)
		}
	})
}

func TestCloseEndsTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{Intercept: func(_ http.ResponseWriter, request *http.Request) bool {
			<-request.Context().Done()
			return true
		}})
		password := newPassword(t, passwordConfig(iam))
		start := time.Now()
		password.State()
		synctest.Wait()
		password.Close()
		synctest.Wait()
		if state := fetchedState(password); state.Err == nil || time.Since(start) != 0 || len(iam.Requests()) != 1 {
			t.Errorf("got %+v after %s and %d requests", state, time.Since(start), len(iam.Requests()))
		}
	})
}

func TestFetchTakesNoLongerThanItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{Intercept: func(_ http.ResponseWriter, request *http.Request) bool {
			<-request.Context().Done()
			return true
		}})
		config := passwordConfig(iam)
		config.Timeout = 7 * time.Second
		password := newPassword(t, config)
		password.State()
		time.Sleep(7 * time.Second)
		synctest.Wait()
		if err := failure(t, password.State().Err); err.Class != cbr.Transient || !strings.Contains(err.Error(), "deadline exceeded") {
			t.Errorf("got %v", err)
		}
	})
}
