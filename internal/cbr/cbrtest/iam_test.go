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

package cbrtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// login asks an IAM for a token.
func login(t *testing.T, iam *cbrtest.IAM, password string) *httptest.ResponseRecorder {
	t.Helper()
	body := fmt.Sprintf(`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": %q, "password": %q, "domain": {"name": %q}}}},
		"scope": {"project": {"id": %q}}}}`, cbrtest.Username, password, cbrtest.DomainName, cbrtest.ProjectID)
	return ask(t, iam, http.MethodPost, "/v3/auth/tokens?nocatalog=true", body, "")
}

func ask(t *testing.T, iam *cbrtest.IAM, method, path, body, authorization string) *httptest.ResponseRecorder {
	t.Helper()
	recorder, request := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	request.Header.Set("Authorization", authorization)
	iam.ServeHTTP(recorder, request)
	return recorder
}

func TestIAMIssuesTokensAsDocumented(t *testing.T) {
	iam := cbrtest.NewIAM(cbrtest.IAMOptions{Clock: clockAt(start)})
	answer := login(t, iam, cbrtest.Password)
	var body struct {
		Token struct {
			ExpiresAt string `json:"expires_at"`
		} `json:"token"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || answer.Code != http.StatusCreated || body.Token.ExpiresAt != "2026-03-02T12:00:00.000000Z" {
		t.Errorf("got HTTP %d %s", answer.Code, answer.Body)
	}
	token := answer.Header().Get("X-Subject-Token")
	if refusal, issued := iam.Token(token); len(token) != 2<<10 || refusal != nil || !issued || answer.Header().Get("Date") != start.Format(http.TimeFormat) {
		t.Errorf("the headers are %v", answer.Header())
	}
	if second := login(t, iam, cbrtest.Password).Header().Get("X-Subject-Token"); second == token {
		t.Error("the same token was issued twice")
	}
	if _, issued := iam.Token(token + "x"); issued {
		t.Error("a token is known that was not issued")
	}
}

func TestIAMLocksAnAccount(t *testing.T) {
	clock := clockAt(start)
	iam := cbrtest.NewIAM(cbrtest.IAMOptions{Clock: clock})
	expect := func(password string, status int, message string) {
		t.Helper()
		answer := login(t, iam, password)
		want := fmt.Sprintf(`{"error":{"code":%d,"message":%q,"title":"Unauthorized"}}`, status, message)
		if answer.Code != status || status != http.StatusCreated && answer.Body.String() != want {
			t.Errorf("got HTTP %d %s, want %d %s", answer.Code, answer.Body, status, want)
		}
	}
	const wrong, locked = "The username or password is wrong.", "The account is locked."
	for range 4 {
		expect("wrong", 401, wrong)
	}
	expect(cbrtest.Password, 201, "")
	for range 5 {
		expect("wrong", 401, wrong)
	}
	expect(cbrtest.Password, 401, locked)
	clock.SetTime(start.Add(cbrtest.LockFor))
	expect(cbrtest.Password, 201, "")
}

func TestErrorsOfIAM(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*cbrtest.IAM) *httptest.ResponseRecorder
		status int
		code   string
	}{
		"wrong password": {func(iam *cbrtest.IAM) *httptest.ResponseRecorder { return login(t, iam, "wrong") }, 401, "IAM.0062"},
		"no JSON": {func(iam *cbrtest.IAM) *httptest.ResponseRecorder {
			return ask(t, iam, http.MethodPost, cbrtest.TokensPath, "x", "")
		}, 400, "IAM.0011"},
		"GET": {func(iam *cbrtest.IAM) *httptest.ResponseRecorder {
			return ask(t, iam, http.MethodGet, cbrtest.TokensPath, "", "")
		}, 404, "APIGW.0101"},
		"another path": {func(iam *cbrtest.IAM) *httptest.ResponseRecorder {
			return ask(t, iam, http.MethodPost, "/v3/auth", "", "")
		}, 404, "APIGW.0101"},
		"another pod": {func(iam *cbrtest.IAM) *httptest.ResponseRecorder {
			return ask(t, iam, http.MethodPost, cbrtest.PodIdentityPath, "{}", "x")
		}, 401, "PAS5.0001"},
		"too often": {func(iam *cbrtest.IAM) *httptest.ResponseRecorder {
			iam.Configure(func(options *cbrtest.IAMOptions) { options.RequestsPerMinute = 1 })
			login(t, iam, cbrtest.Password)
			return login(t, iam, cbrtest.Password)
		}, 429, "IAM.0012"},
	} {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{ErrorShape: cbrtest.ShapeCBR})
		answer := c.answer(iam)
		if answer.Code != c.status || !strings.HasPrefix(answer.Body.String(), `{"error_code":"`+c.code+`","error_msg":"`) {
			t.Errorf("%s: got HTTP %d %s, want %d %s", name, answer.Code, answer.Body, c.status, c.code)
		}
		requests := iam.Requests()
		if last := requests[len(requests)-1]; last.Status != c.status || last.Code != c.code {
			t.Errorf("%s: the record is %d %s", name, last.Status, last.Code)
		}
	}
}

func TestIssuedTokensEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*cbrtest.IAM)
		code string
	}{
		"expired": {(*cbrtest.IAM).Expire, "APIGW.0307"}, "revoked": {(*cbrtest.IAM).Revoke, "APIGW.0301"},
	} {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
		server := cbrtest.NewServer(t, cbrtest.Options{IAM: iam})
		token := login(t, iam, cbrtest.Password).Header().Get("X-Subject-Token")
		with := func(request *http.Request) { request.Header.Set("X-Auth-Token", token) }
		if got := send(t, http.MethodGet, projectURL(server)+"/backups", "", with); got.status != http.StatusOK {
			t.Errorf("%s: before: %+v", name, got)
		}
		c.end(iam)
		if got := send(t, http.MethodGet, projectURL(server)+"/backups", "", with); got.status != http.StatusUnauthorized || got.Code != c.code {
			t.Errorf("%s: got %+v, want %s", name, got, c.code)
		}
		calls := server.Ledger()
		if !calls[0].Authorized || calls[1].Authorized {
			t.Errorf("%s: the ledger has %+v", name, calls)
		}
		if got := send(t, http.MethodGet, projectURL(server)+"/backups", ""); got.status != http.StatusOK {
			t.Errorf("%s: the tokens of the options are taken too: %+v", name, got)
		}
	}
}

func TestTokensEndByTheClockOfIAM(t *testing.T) {
	clock := clockAt(start)
	iam := cbrtest.NewIAM(cbrtest.IAMOptions{Clock: clock, TokenLife: time.Minute})
	token := login(t, iam, cbrtest.Password).Header().Get("X-Subject-Token")
	clock.SetTime(start.Add(59 * time.Second))
	if refusal, _ := iam.Token(token); refusal != nil {
		t.Errorf("a second before its end: %v", refusal)
	}
	clock.SetTime(start.Add(time.Minute))
	if refusal, _ := iam.Token(token); refusal == nil || refusal.Code != "APIGW.0307" {
		t.Errorf("at its end: %v", refusal)
	}
}

func TestKeysOfAPod(t *testing.T) {
	for _, long := range []bool{false, true} {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{Clock: clockAt(start), LongNames: long, KeyLife: time.Hour})
		answer := ask(t, iam, http.MethodPost, cbrtest.PodIdentityPath, "{}", cbrtest.PodToken)
		var body struct{ Credentials map[string]string }
		if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || answer.Code != http.StatusOK || len(body.Credentials) != 4 {
			t.Fatalf("got HTTP %d %s", answer.Code, answer.Body)
		}
		name, end := "access", "expires_at"
		if long {
			name, end = "accessKeyId", "expiration"
		}
		key, issued := iam.Key(body.Credentials[name])
		if !issued || key.Secret == "" || key.SecurityToken == "" || !key.Expires.Equal(start.Add(time.Hour)) || body.Credentials[end] != "2026-03-01T13:00:00.000000Z" {
			t.Errorf("got %+v for %s", key, answer.Body)
		}
		for _, secret := range []string{key.Secret, key.SecurityToken} {
			if !strings.Contains(strings.Join(iam.Secrets(), "\n"), secret) {
				t.Error("a secret is not listed")
			}
		}
	}
}
