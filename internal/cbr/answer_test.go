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
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// A credential is told which of its contents was refused: what it had when the call was authorized, however late the answer comes.
func TestRefusalsTellWhenTheCallWasAuthorized(t *testing.T) {
	var authorized, told time.Time
	config := configFor(t, "", "some-token", "")
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		writer.WriteHeader(http.StatusUnauthorized)
		_, _ = writer.Write([]byte(`{"error_code":"APIGW.0307","error_msg":"m"}`))
	}))
	defer server.Close()
	config.Endpoint = server.URL
	config.Credential = credential{
		authorize: func(*http.Request, []byte) error { authorized = time.Now(); return nil },
		ended:     func(failure *cbr.Error) { told = failure.AuthorizedAt },
	}
	before := time.Now()
	_ = operations[cbr.OperationListBackups](t.Context(), newClient(t, config))
	if told.Before(before) || told.After(authorized) {
		t.Errorf("authorized between %s and %s, told %s", before, authorized, told)
	}
}

func TestErrorsOfOtherServices(t *testing.T) {
	for body, want := range map[string]struct {
		code, message string
		spoken        bool
	}{
		`{"error":{"code":"IAM.0061","message":"locked the-secret-word","title":"t"}}`: {"IAM.0061", "locked [redacted]", true},
		`{"error_code":"IAM.0012","error_msg":"m"}`:                                    {"IAM.0012", "m", true},
		`{}`: {"", "", true}, `[]`: {}, `null`: {}, ``: {}, `<html><title>No</title></html>`: {message: "No"}, `no`: {message: "no"},
	} {
		response := &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Retry-After": {"7"}}, Body: io.NopCloser(strings.NewReader(body))}
		got, spoken := cbr.ReadError("CreateToken", response, cbr.NewRedactor(func() []string { return []string{"the-secret-word"} }))
		if got.Code != want.code || got.Message != want.message || spoken != want.spoken || got.Class != "" ||
			got.StatusCode != http.StatusForbidden || got.RetryAfter != 7*time.Second || got.Operation != "CreateToken" {
			t.Errorf("%s: got %+v, spoken %t", body, got, spoken)
		}
	}
}
