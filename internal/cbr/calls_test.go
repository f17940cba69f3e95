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
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// The example of ImportBackup in the vendor's API reference.
const (
	documentedRequest = `{"sync": [{"backup_id": "1f9e6b47-7655-4a19-b563-21b4ef023025", "resource_id": "96f7512d-239d-3f31-80cf-d1ce041df9a6",
		"resource_name": "resource_name", "resource_type": "OS::Native::Server",
		"bucket_name": "1555230361623e4ce4700dab84b7d8169a5eaec05227d",
		"image_path": "6abec15e-7baf-4d79-b5a9-6b98a2da7020/cfe0295c-5939-4b31-96cd-161b4725e7ad/cfe0295c-5939-4b31-96cd-161b4725e7ad",
		"created_at": 1553587260, "backup_name": "backup_name"}]}`
	documentedAnswer = `{"sync": [{"backup_id": "1f9e6b47-7655-4a19-b563-21b4ef023025", "operation_log_id": "154f0a9d-ba53-4e91-a3e2-a918710a9e0d"}]}`
)

var documentedBackup = cbr.Backup{
	ID: "1f9e6b47-7655-4a19-b563-21b4ef023025", Name: "backup_name", BucketName: "1555230361623e4ce4700dab84b7d8169a5eaec05227d",
	ImagePath:  "6abec15e-7baf-4d79-b5a9-6b98a2da7020/cfe0295c-5939-4b31-96cd-161b4725e7ad/cfe0295c-5939-4b31-96cd-161b4725e7ad",
	ResourceID: "96f7512d-239d-3f31-80cf-d1ce041df9a6", ResourceName: "resource_name", ResourceType: "OS::Native::Server", CreatedAt: 1553587260,
}

func TestImportIsTheDocumentedExchange(t *testing.T) {
	expect := NewWithT(t)
	var seen *http.Request
	var body []byte
	client := clientOf(t, func(writer http.ResponseWriter, request *http.Request) {
		seen = request
		body, _ = io.ReadAll(request.Body)
		_, _ = writer.Write([]byte(documentedAnswer))
	})
	imports, err := client.ImportBackups(t.Context(), []cbr.Backup{documentedBackup})
	expect.Expect(err).NotTo(HaveOccurred())
	expect.Expect(imports).To(Equal([]cbr.Import{{BackupID: documentedBackup.ID, OperationLogID: "154f0a9d-ba53-4e91-a3e2-a918710a9e0d"}}))
	expect.Expect(seen.Method).To(Equal(http.MethodPost))
	expect.Expect(seen.RequestURI).To(Equal("/v3/f841e01fd2b14e7fa41b6ae7aa6b0594/backups/sync"))
	expect.Expect(seen.Header.Values("X-Auth-Token")).To(Equal([]string{cbrtest.Token}))
	expect.Expect(seen.Header.Get("Content-Type")).To(Equal("application/json"))
	expect.Expect(seen.ContentLength).To(BeEquivalentTo(len(body)), "the body must not be chunked")
	expect.Expect(body).To(MatchJSON(documentedRequest))
}

func TestEveryFieldIsSentEvenWhenEmpty(t *testing.T) {
	var body map[string][]map[string]any
	client := clientOf(t, func(writer http.ResponseWriter, request *http.Request) {
		_ = json.NewDecoder(request.Body).Decode(&body)
		_, _ = writer.Write([]byte(`{"sync":[]}`))
	})
	if _, err := client.ImportBackups(t.Context(), []cbr.Backup{{}}); err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Expect(body["sync"][0]).To(And(HaveLen(8), HaveKey("resource_name"), HaveKeyWithValue("created_at", 0.0)))
}

func TestReadsAreTheDocumentedRequests(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	config := server.Config(t)
	config.Endpoint += "/" // as users write it
	config.UserAgent = "backupsync/test"
	client := newClient(t, config)
	since := time.Date(2018, 2, 1, 13, 0, 0, 999, time.FixedZone("", 3600))
	_, _ = client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{OperationType: "sync", StartTime: since, Limit: 10, Offset: 20})
	_, _ = client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{Limit: 5000})
	_, _ = client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{Status: cbr.TaskRunning, ResourceID: "r/1", Limit: 1})
	_, _ = client.GetOperationLog(t.Context(), "task-1")
	_, _ = client.ListBackupIDs(t.Context(), cbr.BackupsQuery{Limit: 7})
	_, _ = client.ListBackupIDs(t.Context(), cbr.BackupsQuery{Marker: "last"})
	_, _ = client.GetBackup(t.Context(), "backup-1")
	project := "/v3/" + cbrtest.ProjectID
	want := []string{
		project + "/operation-logs?limit=10&offset=20&operation_type=sync&start_time=2018-02-01T12%3A00%3A00Z",
		project + "/operation-logs?limit=1000&offset=0",
		project + "/operation-logs?limit=1&offset=0&resource_id=r%2F1&status=running",
		project + "/operation-logs/task-1?",
		project + "/backups?limit=7",
		project + "/backups?limit=1000&marker=last",
		project + "/backups/backup-1?",
	}
	for i, call := range server.Ledger() {
		if got := call.Path + "?" + call.Query; got != want[i] || call.Method != http.MethodGet || !call.Authorized {
			t.Errorf("call %d: %s %s, authorized %t; want GET %s", i, call.Method, got, call.Authorized, want[i])
		}
		if got := call.Header.Get("User-Agent"); got != "backupsync/test" {
			t.Errorf("call %d: User-Agent %q", i, got)
		}
	}
	if got := len(server.Ledger()); got != len(want) {
		t.Errorf("%d calls, want %d", got, len(want))
	}
}

func TestImportOfTooManyOrNoneIsNotSent(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	for _, count := range []int{0, cbr.MaxImportItems + 1} {
		_, err := server.Client(t).ImportBackups(t.Context(), cbrtest.Backups(count))
		if got := failure(t, err); got.Class != cbr.Rejected || !got.Untouched {
			t.Errorf("%d backups: got %+v, want Rejected and Untouched", count, got)
		}
	}
	if got := len(server.Ledger()); got != 0 {
		t.Errorf("%d calls were sent", got)
	}
}

func TestIDsThatWouldChangeThePathAreNotSent(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	client := server.Client(t)
	for _, id := range []string{"", ".", "..", "a/b", "a?b", "a#b", "a%2Fb", "ü", "a b", "a\n", strings.Repeat("a", 129)} {
		_, taskErr := client.GetOperationLog(t.Context(), id)
		_, backupErr := client.GetBackup(t.Context(), id)
		for _, err := range []error{taskErr, backupErr} {
			if got := failure(t, err); got.Class != cbr.Rejected || !got.Untouched {
				t.Errorf("%q: got %v, want Rejected and Untouched", id, got)
			}
		}
	}
	if got := len(server.Ledger()); got != 0 {
		t.Errorf("%d calls were sent", got)
	}
}

func TestConfigurationsThatCannotBePartOfAURL(t *testing.T) {
	for _, config := range []cbr.Config{
		{ProjectID: "p"}, {Endpoint: "cbr.example.com", ProjectID: "p"}, {Endpoint: "ftp://example.com", ProjectID: "p"},
		{Endpoint: "https://", ProjectID: "p"}, {Endpoint: "https://a b", ProjectID: "p"}, {Endpoint: "https://[::1", ProjectID: "p"},
		{Endpoint: "https://example.com"}, {Endpoint: "https://example.com", ProjectID: ".."}, {Endpoint: "https://example.com", ProjectID: "a/b"},
	} {
		if _, err := cbr.NewClient(config); err == nil {
			t.Errorf("endpoint %q with project %q is not refused", config.Endpoint, config.ProjectID)
		}
	}
}

func TestObserverIsToldOfEveryCallThatWasMade(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	var calls []cbr.Call
	config := server.Config(t)
	config.Observe = func(call cbr.Call) { calls = append(calls, call) }
	client := newClient(t, config)
	_, _ = client.ImportBackups(t.Context(), cbrtest.Backups(1))
	_, _ = client.GetBackup(t.Context(), "unknown")
	server.Close()
	_, _ = client.ListBackupIDs(t.Context(), cbr.BackupsQuery{})
	for i := range calls {
		if calls[i].Duration <= 0 {
			t.Errorf("call %d took %s", i, calls[i].Duration)
		}
		calls[i].Duration = 0
	}
	want := []cbr.Call{
		{Operation: cbr.OperationImport, StatusCode: 200},
		{Operation: cbr.OperationGetBackup, StatusCode: 404, Code: cbr.CodeBackupNotFound, Class: cbr.NotFound},
		{Operation: cbr.OperationListBackups, Class: cbr.Transient},
	}
	if !slices.Equal(calls, want) {
		t.Errorf("got %+v, want %+v", calls, want)
	}
}
