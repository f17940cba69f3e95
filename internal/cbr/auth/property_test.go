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
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// wrongPassword are answers that stand for a wrong password or a locked account.
var wrongPassword = []answer{
	{401, nil, `{"error":{"code":401,"message":"The username or password is wrong.","title":"Unauthorized"}}`},
	{401, nil, `{"error":{"code":401,"message":"The account is locked.","title":"Unauthorized"}}`},
	{401, nil, `{"error_code":"IAM.0062","error_msg":"Incorrect password."}`}, {400, nil, `{"error_code":"IAM.0011","error_msg":"no"}`},
	{403, nil, `{"error_code":"IAM.0061","error_msg":"Account locked."}`}, {401, nil, `{}`},
}

// anyAnswer draws what IAM, a gateway or something in between may answer; nil stands for a token.
func anyAnswer(t *rapid.T) *answer {
	switch rapid.SampledFrom([]string{"token", "token", "token", "wrong", "other", "odd token"}).Draw(t, "answer") {
	case "token":
		return nil
	case "wrong":
		return &wrongPassword[rapid.IntRange(0, len(wrongPassword)-1).Draw(t, "wrong")]
	case "odd token":
		odd := issuing(rapid.SampledFrom([]string{"", "Sat, 01 Jan 2000 00:00:00 GMT", "x"}).Draw(t, "date"),
			rapid.SampledFrom([]string{"", page, `{"token":{"expires_at":"1999-12-31T00:00:00Z"}}`, `{"token":{"expires_at":"2000-01-01T00:00:05Z"}}`}).Draw(t, "body"))
		return &odd
	default:
		headers := http.Header{}
		if wait := rapid.SampledFrom([]string{"", "0", "90", "100000", "-1", "soon"}).Draw(t, "Retry-After"); wait != "" {
			headers.Set("Retry-After", wait)
		}
		status := rapid.SampledFrom([]int{200, 201, 204, 302, 307, 400, 403, 404, 418, 429, 500, 502, 503, 504}).Draw(t, "status")
		return &answer{status, headers, rapid.SampledFrom([]string{"", "{}", page, `{"error":{"code":400,"message":"x"}}`, "\xff"}).Draw(t, "body")}
	}
}

func isWrong(each *answer) bool {
	return each != nil && slices.ContainsFunc(wrongPassword, func(wrong answer) bool {
		return wrong.status == each.status && wrong.body == each.body
	})
}

// script is an IAM that answers what was drawn before, and counts.
type script struct {
	iam     *cbrtest.IAM
	answers []*answer
	next    atomic.Int32
}

func newScript(t *rapid.T) *script {
	s := &script{}
	for range 50 {
		s.answers = append(s.answers, anyAnswer(t))
	}
	s.iam = cbrtest.NewIAM(cbrtest.IAMOptions{Latency: rapid.SampledFrom([]time.Duration{0, time.Second, 29 * time.Second}).Draw(t, "latency"),
		TokenLife: rapid.SampledFrom([]time.Duration{20 * time.Second, 10 * time.Minute, 24 * time.Hour}).Draw(t, "life"),
		Intercept: s.answer})
	return s
}

func (s *script) answer(writer http.ResponseWriter, request *http.Request) bool {
	each := s.answers[min(int(s.next.Add(1)), len(s.answers))-1]
	return each != nil && each.options().Intercept(writer, request)
}

// refused reports whether IAM has said so far that the password is wrong.
func (s *script) refused() bool {
	return slices.ContainsFunc(s.answers[:min(int(s.next.Load()), len(s.answers))], isWrong)
}

// Whatever IAM answers, whatever CBR refuses, and whenever anybody asks: there are never two requests at once, never another
// after a wrong password, not many in a short time, and no call waits.
func TestPropertyOfAllAnswers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newScript(rt)
		var steps []string
		var pauses []time.Duration
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			steps = append(steps, rapid.SampledFrom([]string{"state", "use", "refuse", "refuse late", "wait"}).Draw(rt, "step"))
			pauses = append(pauses, rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 15 * time.Second, 10 * time.Minute, 5 * time.Hour}).Draw(rt, "pause"))
		}
		var problem string
		synctest.Test(t, func(t *testing.T) { problem = play(t, s, steps, pauses) })
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

// play takes the steps, and returns what was wrong.
func play(t *testing.T, s *script, steps []string, pauses []time.Duration) string {
	t.Helper()
	password := newPassword(t, passwordConfig(s.iam))
	defer func() { // the bubble must be empty at its end
		time.Sleep(time.Minute)
		synctest.Wait()
	}()
	refusals, sentAfter := 0, -1
	for i, step := range steps {
		before := time.Now()
		switch step {
		case "state":
			if problem := checkState(password.State()); problem != "" {
				return problem
			}
		case "use":
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://cbr.example.com/", nil)
			if err := password.Authorize(t.Context(), request, nil); (err == nil) != (request.Header.Get("X-Auth-Token") != "") {
				return fmt.Sprintf("authorized with %v, and %v", request.Header, err)
			}
		case "refuse":
			password.Ended(refusal())
			refusals++
		case "refuse late":
			late := refusal()
			late.AuthorizedAt = late.AuthorizedAt.Add(-time.Minute)
			password.Ended(late)
		}
		if waited := time.Since(before); waited != 0 {
			return fmt.Sprintf("%s took %s", step, waited)
		}
		time.Sleep(pauses[i])
		synctest.Wait()
		if requests := len(s.iam.Requests()); s.refused() && sentAfter < 0 {
			sentAfter = requests
		} else if sentAfter >= 0 && requests > sentAfter {
			return fmt.Sprintf("request %d was sent after a wrong password", requests)
		}
	}
	if s.iam.MaxConcurrent() > 1 {
		return fmt.Sprintf("%d requests at once", s.iam.MaxConcurrent())
	}
	return checkRate(s.iam.Requests(), refusals)
}

func checkState(state auth.State) string {
	var failed *cbr.Error
	if state.Err != nil && (!errors.As(state.Err, &failed) || failed.Class == "") {
		return fmt.Sprintf("the error is no *cbr.Error with a class: %#v", state.Err)
	}
	if state.Ready && !state.Expires.IsZero() && !state.Expires.After(time.Now()) {
		return fmt.Sprintf("ready with a token that ended at %s", state.Expires)
	}
	return ""
}

// checkRate looks for more requests in ten seconds than failures whose pauses double, and refusals, can account for.
func checkRate(requests []cbrtest.IAMRequest, refusals int) string {
	for first, request := range requests {
		count := 0
		for _, other := range requests[first:] {
			if other.Time.Sub(request.Time) < 10*time.Second {
				count++
			}
		}
		if most := 6 + min(refusals, 2); count > most {
			return fmt.Sprintf("%d requests within 10 s, want at most %d", count, most)
		}
	}
	return ""
}
