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
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clockAt is a clock that tests move.
func clockAt(at time.Time) *clocktesting.FakePassiveClock {
	return clocktesting.NewFakePassiveClock(at)
}

// failure returns the client's error, which must be there.
func failure(t *testing.T, err error) *cbr.Error {
	t.Helper()
	var found *cbr.Error
	if !errors.As(err, &found) {
		t.Fatalf("got %v, want a *cbr.Error", err)
	}
	return found
}

func mustImport(t *testing.T, client *cbr.Client, backups ...cbr.Backup) map[string]string {
	t.Helper()
	imports, err := client.ImportBackups(t.Context(), backups)
	if err != nil {
		t.Fatalf("import: %v", err)
	}
	tasks := map[string]string{}
	for _, each := range imports {
		tasks[each.BackupID] = each.OperationLogID
	}
	return tasks
}

func mustGetTask(t *testing.T, client *cbr.Client, id string) cbr.OperationLog {
	t.Helper()
	found, err := client.GetOperationLog(t.Context(), id)
	if err != nil {
		t.Fatalf("get task: %v", err)
	}
	return found
}

// answer is what a raw request was answered.
type answer struct {
	status    int
	Code      string `json:"error_code"`
	Message   string `json:"error_msg"`
	RequestID string `json:"request_id"`
	body      map[string]any
}

// send makes a raw request with the right token, changed by the edits.
func send(t *testing.T, method, url, body string, edits ...func(*http.Request)) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Auth-Token", cbrtest.Token)
	request.Header.Set("Content-Type", "application/json")
	for _, edit := range edits {
		edit(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := answer{status: response.StatusCode}
	if json.Unmarshal(content, &got) != nil || json.Unmarshal(content, &got.body) != nil {
		t.Fatalf("HTTP %d with %q, want a JSON object", got.status, content)
	}
	return got
}

func projectURL(server *cbrtest.Server) string { return server.URL + "/v3/" + cbrtest.ProjectID }
