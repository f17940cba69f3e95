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

package cbr_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// credential is a cbr.Credential of functions.
type credential struct {
	authorize func(*http.Request, []byte) error
	secrets   func() []string
	ended     func(*cbr.Error)
}

func (c credential) Authorize(_ context.Context, request *http.Request, body []byte) error {
	request.Header.Set("X-Auth-Token", cbrtest.Token)
	if c.authorize != nil {
		return c.authorize(request, body)
	}
	return nil
}

func (c credential) Secrets() []string {
	if c.secrets != nil {
		return c.secrets()
	}
	return nil
}

func (c credential) Ended(failure *cbr.Error) {
	if c.ended != nil {
		c.ended(failure)
	}
}

func clientWith(t *testing.T, endpoint string, with cbr.Credential) *cbr.Client {
	t.Helper()
	config := configFor(t, endpoint, cbrtest.Token, "")
	config.Credential = with
	return newClient(t, config)
}

func TestNoClientWithoutACredential(t *testing.T) {
	config := configFor(t, "https://cbr.example.com", cbrtest.Token, "")
	config.Credential = nil
	if _, err := cbr.NewClient(config); err == nil {
		t.Error("a client that authorizes nothing was made")
	}
}

// A credential is given each body, whole, before the request has one.
func TestCredentialsAreGivenTheBody(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	var given [][]byte
	client := clientWith(t, server.URL, credential{authorize: func(request *http.Request, body []byte) error {
		if request.Body != nil || request.GetBody != nil {
			t.Error("the request has a body already")
		}
		given = append(given, body)
		return nil
	}})
	for _, operation := range []cbr.Operation{cbr.OperationImport, cbr.OperationGetTask} {
		_ = operations[operation](t.Context(), client)
	}
	if len(given) != 2 || !json.Valid(given[0]) || string(given[0]) != string(server.Ledger()[0].Body) || given[1] != nil {
		t.Errorf("the credential was given %q", given)
	}
}

// bodyThief does to a request what a credential must not do. With the header, net/http holds the request for one that may be sent twice.
func bodyThief(request *http.Request, body []byte) error {
	request.Header.Set("Idempotency-Key", "1")
	request.Body = io.NopCloser(strings.NewReader(string(body)))
	request.ContentLength = int64(len(body))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(body))), nil }
	return nil
}

// Rule 7 of never-twice holds whatever a credential does: the body begins in time or not at all.
func TestNoCredentialLetsACallBeginLate(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	client := clientWith(t, server.URL, credential{authorize: bodyThief})
	_, err := client.ImportBackups(cbr.BeginBefore(t.Context(), time.Now().Add(-time.Second)), cbrtest.Backups(1))
	if got := failure(t, err); !errors.Is(got, cbr.ErrTooLate) || !got.Untouched {
		t.Errorf("got %+v, want ErrTooLate", got)
	}
	if got := len(server.Accepted()); got != 0 {
		t.Errorf("%d backups were accepted", got)
	}
}

// Rule 6 of never-twice holds, too: net/http repeats a request whose body it can make anew when a connection that was in use
// before turns out to be closed.
func TestNoCredentialLetsACallBeRepeated(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	client := clientWith(t, server.URL, credential{authorize: bodyThief})
	if err := operations[cbr.OperationListTasks](t.Context(), client); err != nil {
		t.Fatal(err)
	}
	server.Inject(cbrtest.Fault{Operation: cbr.OperationImport, CloseBefore: true, Times: cbrtest.Always})
	if got := failure(t, operations[cbr.OperationImport](t.Context(), client)); got.Class != cbr.Unknown {
		t.Errorf("got %+v, want Unknown", got)
	}
	if got := server.SyncCalls(); got != 1 {
		t.Errorf("%d imports were sent, want 1", got)
	}
}

func TestCallsThatTheirCredentialDoesNotLetOut(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	for name, c := range map[string]struct {
		err  error
		want cbr.Class
	}{
		"any error":           {errors.New("no"), cbr.Credentials},
		"an *Error":           {&cbr.Error{Class: cbr.Transient, RetryAfter: time.Minute}, cbr.Transient},
		"an *Error, wrapped":  {fmt.Errorf("fetch: %w", &cbr.Error{Class: cbr.Throttled, RetryAfter: time.Minute}), cbr.Throttled},
		"an *Error of a call": {&cbr.Error{Class: cbr.Unknown, StatusCode: 500, RetryAfter: time.Minute}, cbr.Unknown},
	} {
		client := clientWith(t, server.URL, credential{authorize: func(*http.Request, []byte) error { return c.err }})
		for operation, call := range operations {
			got := failure(t, call(t.Context(), client))
			if got.Class != c.want || !got.Untouched || got.StatusCode != 0 || !errors.Is(got, c.err) {
				t.Errorf("%s, %s: got %+v, want %s and Untouched", name, operation, got, c.want)
			}
			if c.want != cbr.Credentials && got.RetryAfter != time.Minute {
				t.Errorf("%s, %s: when to come back is lost", name, operation)
			}
		}
	}
	if got := len(server.Ledger()); got != 0 {
		t.Errorf("%d calls were sent", got)
	}
}

func TestCredentialIsToldOnceHowEachRequestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		fault   *cbrtest.Fault
		refuses bool
	}{
		"nothing":          {nil, false},
		"the gateway":      {&cbrtest.Fault{Status: 401, Code: "APIGW.0307"}, true},
		"CBR":              {&cbrtest.Fault{Status: 500, Code: "BackupService.9998"}, true},
		"a permission":     {&cbrtest.Fault{Status: 403, Code: "APIGW.0302"}, false},
		"something else":   {&cbrtest.Fault{Status: 401, Body: "<html>"}, false},
		"no answer at all": {&cbrtest.Fault{CloseBefore: true}, false},
		"half an answer":   {&cbrtest.Fault{Status: 200, Body: `{"sync_resu`}, false},
	} {
		server := cbrtest.NewServer(t, cbrtest.Options{})
		var told []*cbr.Error
		client := clientWith(t, server.URL, credential{ended: func(failure *cbr.Error) { told = append(told, failure) }})
		if c.fault != nil {
			server.Inject(*c.fault)
		}
		err := operations[cbr.OperationImport](t.Context(), client)
		if len(told) != 1 || (told[0] == nil) != (err == nil) {
			t.Errorf("%s: %v, told %v", name, err, told)
			continue
		}
		if refuses := told[0] != nil && told[0].Class == cbr.Credentials && told[0].StatusCode != 0 && told[0].Code == c.fault.Code; refuses != c.refuses {
			t.Errorf("%s: told of %+v", name, told[0])
		}
	}
}

// Every secret of a credential is hidden, not the one of its header alone.
func TestErrorsRepeatNoSecretOfACredential(t *testing.T) {
	const key, session = "5ecretKeyThatSignsAndIsNeverSent", "session/token+of=temporary keys"
	for name, secrets := range map[string][]string{"the first": {key, session}, "the last": {session, key}, "one of many": {"", session, key, "x"}} {
		server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
			writer.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(writer).Encode(map[string]string{"error_code": "APIGW.0301", "request_id": key,
				"error_msg": "verify " + key + " or " + base64.StdEncoding.EncodeToString([]byte(key)) + ", " + url.QueryEscape(session)})
		}))
		t.Cleanup(server.Close)
		client := clientWith(t, server.URL, credential{secrets: func() []string { return secrets }})
		for operation, call := range operations {
			got := failure(t, call(t.Context(), client))
			if text := got.Error(); !strings.Contains(text, ": verify [redacted] or [redacted], [redacted] (request [redacted])") {
				t.Errorf("%s, %s: %s", name, operation, text)
			}
		}
	}
}

// The answer to a call may repeat what was secret when it was sent, and is not any more.
func TestErrorsRepeatNoSecretOfBefore(t *testing.T) {
	const before = "the secret before its renewal"
	secrets := []string{before}
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		secrets = []string{"and the one after it"}
		http.Error(writer, "no good: "+before, http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	client := clientWith(t, server.URL, credential{secrets: func() []string { return secrets }})
	if got := failure(t, operations[cbr.OperationGetBackup](t.Context(), client)); got.Message != "no good: [redacted]" {
		t.Errorf("got %+v", got)
	}
}

func TestSkewOfTheServersClock(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		date string
		want time.Duration
	}{
		"ahead":         {now.Add(time.Hour).UTC().Format(http.TimeFormat), time.Hour},
		"behind":        {now.Add(-20 * time.Minute).UTC().Format(http.TimeFormat), -20 * time.Minute},
		"right":         {now.UTC().Format(http.TimeFormat), 0},
		"no such date":  {"yesterday", 0},
		"an empty line": {"", 0},
	} {
		for _, status := range []int{http.StatusOK, http.StatusUnauthorized} {
			client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
				writer.Header()["Date"] = []string{c.date}
				writer.WriteHeader(status)
				_, _ = io.WriteString(writer, "{")
			})
			for operation, call := range operations {
				if got := failure(t, call(t.Context(), client)); (got.Skew - c.want).Abs() > 10*time.Second {
					t.Errorf("%s, %s, HTTP %d: got %s, want %s", name, operation, status, got.Skew, c.want)
				}
			}
		}
	}
}
