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
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

func TestLedgerHoldsEveryCallWithoutSecrets(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock})
	client := server.Client(t)
	mustImport(t, client, cbrtest.Backup(1))
	_, _ = client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{Limit: 5})
	_, _ = client.GetBackup(t.Context(), "unknown")
	send(t, http.MethodPatch, server.URL+"/else?a=b", "x")
	calls := server.Ledger()
	if len(calls) != 4 {
		t.Fatalf("%d calls, want 4", len(calls))
	}
	if text := fmt.Sprintf("%+v", calls); strings.Contains(text, cbrtest.Token) {
		t.Error("the ledger holds the token")
	}
	if got := string(calls[0].Body); !strings.HasPrefix(got, `{"sync":`) {
		t.Errorf("the body of the import is %q", got)
	}
	project := "/v3/" + cbrtest.ProjectID
	want := []cbrtest.Call{
		{Operation: cbr.OperationImport, Method: "POST", Path: project + "/backups/sync", ProjectID: cbrtest.ProjectID, Status: 200,
			BackupIDs: []string{cbrtest.Backup(1).ID}, Accepted: 1},
		{Operation: cbr.OperationListTasks, Method: "GET", Path: project + "/operation-logs", Query: "limit=5&offset=0",
			ProjectID: cbrtest.ProjectID, Status: 200},
		{Operation: cbr.OperationGetBackup, Method: "GET", Path: project + "/backups/unknown", ProjectID: cbrtest.ProjectID,
			Status: 404, Code: cbr.CodeBackupNotFound},
		{Method: "PATCH", Path: "/else", Query: "a=b", Status: 404, Code: "APIGW.0101"},
	}
	for i := range want {
		calls[i].Header, calls[i].Body = nil, nil
		want[i].Time, want[i].Authorized = start, true
	}
	NewWithT(t).Expect(calls).To(Equal(want))
	if got := server.Calls(""); got != 1 {
		t.Errorf("%d calls that are none of the API, want 1", got)
	}
}

func TestLedgerCountsManyCalls(t *testing.T) {
	const count = 30_000
	clock := clockAt(start)
	cloud := cbrtest.New(cbrtest.Options{Clock: clock, SyncCallsPerMinute: 10, RateWindow: time.Minute})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/v3/"+cbrtest.ProjectID+"/backups/sync", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		clock.SetTime(start.Add(time.Duration(i) * time.Second))
		cloud.ServeHTTP(discard{http.Header{}}, request)
	}
	if got := cloud.SyncCalls(); got != count {
		t.Errorf("%d sync calls, want %d", got, count)
	}
	if got := cloud.MaxCallsInWindow(time.Minute); got != 60 {
		t.Errorf("at most %d calls in a minute, want 60", got)
	}
}

// discard is a ResponseWriter for calls of which only the ledger matters.
type discard struct{ header http.Header }

func (d discard) Header() http.Header               { return d.header }
func (d discard) Write(content []byte) (int, error) { return len(content), nil }
func (d discard) WriteHeader(int)                   {}

// perWorker is the number of backups that each worker imports.
const perWorker = 10

func TestEverythingAtOnce(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{SyncCallsPerMinute: 1000, TaskDuration: time.Millisecond})
	client := server.Client(t)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() { useEverything(t.Context(), server, client, worker) })
	}
	group.Wait()
	if got := len(server.Accepted()); got != 4*perWorker {
		t.Errorf("%d backups accepted, want %d", got, 4*perWorker)
	}
}

func useEverything(ctx context.Context, server *cbrtest.Server, client *cbr.Client, worker int) {
	for i := range perWorker {
		_, _ = client.ImportBackups(ctx, []cbr.Backup{cbrtest.Backup(100*worker + i)})
		_, _ = client.ListOperationLogs(ctx, cbr.OperationLogsQuery{})
		_, _ = client.ListBackupIDs(ctx, cbr.BackupsQuery{})
		server.Inject(cbrtest.Fault{Operation: cbr.OperationGetTask, Status: 500})
		_, _ = client.GetOperationLog(ctx, "x")
		server.SetTokens(cbrtest.Token)
		server.SetSyncLimit(1000, time.Minute)
		server.AddBackups("", cbr.StoredBackup{ID: fmt.Sprint(worker, i)})
		_ = server.Ledger()
		_ = server.MaxCallsInWindow(time.Second)
		_ = server.StoredBackups("")
	}
}
