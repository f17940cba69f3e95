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
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"backupsync.dev/operator/internal/cbr"
)

// What is hidden may be a word of CBR's: users, accounts and even passwords are called as people like. What a failure means, and what has
// become of a task or a backup, is known all the same.

// answeringBeside is a client of a server that answers everything with the same text, from whose answers a word is hidden.
func answeringBeside(t *testing.T, word string, status int, body string) *cbr.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		writer.WriteHeader(status)
		_, _ = writer.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	config := configFor(t, server.URL, "some-token", "")
	config.Hidden = func() []string { return []string{word} }
	return newClient(t, config)
}

func TestNoHiddenWordHidesAnErrorCode(t *testing.T) {
	for _, row := range documentedErrors {
		for _, code := range row.codes {
			if row.status < 300 || code == "" || code == "Other.1" || strings.HasPrefix(code, "apigw") {
				continue
			}
			for _, word := range []string{"BackupService", "Backup", "Service.", "APIGW.03", "IAM.", code} {
				client := answeringBeside(t, word, row.status, fmt.Sprintf(`{"error_code":%q,"error_msg":"of %s, it is so"}`, code, word))
				got := failure(t, operations[cbr.OperationImport](t.Context(), client))
				if got.Code != code || got.Message != "of [redacted], it is so" {
					t.Errorf("HTTP %d %s beside %q: got %+v", row.status, code, word, got)
				}
			}
		}
	}
}

func TestNoHiddenWordHidesWhatHasBecomeOfATaskOrABackup(t *testing.T) {
	for _, status := range []cbr.TaskStatus{cbr.TaskWaiting, cbr.TaskRunning, cbr.TaskSuccess, cbr.TaskFailed, cbr.TaskSkipped, cbr.TaskTimeout} {
		one := fmt.Sprintf(`{"id":"some-id","status":%q,"error_info":{"code":"BackupService.1006","message":"m"}}`, status)
		for _, word := range []string{string(status), "BackupService", "1006"} {
			task, err := answeringBeside(t, word, http.StatusOK, `{"operation_log":`+one+`}`).GetOperationLog(t.Context(), "some-id")
			if err != nil || task.Status != status || task.ErrorInfo.Code != "BackupService.1006" {
				t.Errorf("a task beside %q: got %+v, %v", word, task, err)
			}
			page, err := answeringBeside(t, word, http.StatusOK, `{"operation_logs":[`+one+`]}`).ListOperationLogs(t.Context(), cbr.OperationLogsQuery{})
			if err != nil || page.Items[0].Status != status || page.Items[0].ErrorInfo.Code != "BackupService.1006" {
				t.Errorf("a list of tasks beside %q: got %+v, %v", word, page, err)
			}
		}
	}
	for _, status := range []cbr.BackupStatus{cbr.BackupAvailable, cbr.BackupError, cbr.BackupWaitingRestore} {
		one := fmt.Sprintf(`{"id":"some-id","status":%q}`, status)
		backup, err := answeringBeside(t, string(status), http.StatusOK, `{"backup":`+one+`}`).GetBackup(t.Context(), "some-id")
		if err != nil || backup.Status != string(status) {
			t.Errorf("got %+v, %v", backup, err)
		}
		page, err := answeringBeside(t, string(status), http.StatusOK, `{"backups":[`+one+`]}`).ListBackups(t.Context(), cbr.BackupsQuery{})
		if err != nil || page.Items[0].Status != status {
			t.Errorf("got %+v, %v", page, err)
		}
	}
}

// Undocumented codes may be anything that a server makes of a secret.
func TestACodeThatIsNoneIsHidden(t *testing.T) {
	const word = "the-secret-word"
	for code, want := range map[string]string{
		word: "[redacted]", "Other." + word: "Other.[redacted]", "BackupService." + word: "BackupService.[redacted]",
		"BackupService.9900 " + word: "BackupService.[redacted]", "APIGW.9900": "APIGW.9900", "BackupService.12345": "BackupService.12345",
		strings.Repeat("x", 2000): strings.Repeat("x", 1024),
	} {
		client := answeringBeside(t, word, http.StatusBadRequest, fmt.Sprintf(`{"error_code":%q}`, code))
		if got := failure(t, operations[cbr.OperationImport](t.Context(), client)); got.Code != want {
			t.Errorf("%.40q is told as %.40q, want %.40q", code, got.Code, want)
		}
	}
}

// namedError is an error of a type, as those are by which is decided what to do.
type namedError struct{ text string }

func (e namedError) Error() string { return e.text }

// A user named as a word of an error's text, or of the URL in it, hides neither what the error is nor what has caused it.
func TestWhatAnErrorIsStaysKnown(t *testing.T) {
	sentinel := errors.New("the backup is still being fetched")
	secret := cbr.NewRedactor(func() []string { return []string{"backup"} })
	for name, c := range map[string]struct {
		err       error
		is, as    bool
		contained string
	}{
		"its own text tells":     {fmt.Errorf("get /v3/backups: %w", sentinel), true, false, "get /v3/[redacted]s: the [redacted] is"},
		"its cause tells none":   {fmt.Errorf("get /v3/backups: %w", namedError{"refused"}), false, true, "get /v3/[redacted]s: refused"},
		"its cause tells it too": {fmt.Errorf("get /v3/backups: %w", namedError{"no backup"}), false, false, "no [redacted]"},
		"none does":              {fmt.Errorf("get: %w", namedError{"refused"}), false, true, "get: refused"},
		"of the standard":        {fmt.Errorf("get /v3/backups: %w", context.DeadlineExceeded), false, false, "context deadline exceeded"},
	} {
		got := secret.HideError(c.err)
		if _, as := errors.AsType[namedError](got); errors.Is(got, sentinel) != c.is || as != c.as {
			t.Errorf("%s: is %t, as %t", name, errors.Is(got, sentinel), as)
		}
		if errors.Is(c.err, context.DeadlineExceeded) != errors.Is(got, context.DeadlineExceeded) {
			t.Errorf("%s: it is not known for what it is", name)
		}
		for told := got; told != nil; told = errors.Unwrap(told) {
			if text := fmt.Sprintf("%v %+v %#v", told, told, struct{ Err error }{told}); strings.Contains(text, "backup") {
				t.Errorf("%s: %s", name, text)
			}
		}
		if !strings.Contains(got.Error(), c.contained) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
