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
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

func TestImportIsAcceptedAndAnsweredOutOfOrder(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	backups := cbrtest.Backups(cbr.MaxImportItems)
	imports, err := server.Client(t).ImportBackups(t.Context(), backups)
	if err != nil || len(imports) != len(backups) {
		t.Fatalf("got %d imports and %v, want %d", len(imports), err, len(backups))
	}
	if imports[0].BackupID == backups[0].ID {
		t.Error("the answer is in the order of the request: clients could get away with matching by position")
	}
	seen := map[string]bool{}
	for _, each := range imports {
		seen[each.OperationLogID] = true
		if got := server.OperationLogIDs(each.BackupID); len(got) != 1 || got[0] != each.OperationLogID {
			t.Errorf("the ledger has tasks %v for %s, the answer %s", got, each.BackupID, each.OperationLogID)
		}
	}
	if len(seen) != len(backups) {
		t.Errorf("%d different tasks for %d backups", len(seen), len(backups))
	}
}

func TestSecondImportIsAcceptedAndCounted(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	client := server.Client(t)
	first := mustImport(t, client, cbrtest.Backup(1), cbrtest.Backup(2))
	second := mustImport(t, client, cbrtest.Backup(2))
	id := cbrtest.Backup(2).ID
	if first[id] == second[id] {
		t.Error("the second import has the task of the first")
	}
	if got, want := server.Accepted(), map[string]int{cbrtest.Backup(1).ID: 1, id: 2}; !maps.Equal(got, want) {
		t.Errorf("accepted %v, want %v", got, want)
	}
	if got := server.AcceptedTwice(); len(got) != 1 || got[0] != id {
		t.Errorf("accepted twice: %v, want %s", got, id)
	}
}

func TestSharedTask(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{SharedTaskIDs: true, TaskOutcome: func(item cbr.Backup) cbrtest.Outcome {
		if item.ID == cbrtest.Backup(1).ID {
			return cbrtest.Outcome{Status: cbr.TaskFailed, Code: "BackupService.1006"}
		}
		return cbrtest.Outcome{}
	}})
	client := server.Client(t)
	tasks := mustImport(t, client, cbrtest.Backups(3)...)
	if len(tasks) != 3 || tasks[cbrtest.Backup(0).ID] != tasks[cbrtest.Backup(2).ID] {
		t.Fatalf("got tasks %v, want one for all", tasks)
	}
	got := mustGetTask(t, client, tasks[cbrtest.Backup(0).ID])
	if got.Status != cbr.TaskSuccess || got.ExtraInfo.Sync.FailedBackups != 1 || got.ExtraInfo.Sync.SyncBackups != 2 {
		t.Errorf("got %s with %+v, want success with 2 imported and 1 failed", got.Status, got.ExtraInfo.Sync)
	}
	if _, err := client.GetBackup(t.Context(), cbrtest.Backup(1).ID); !cbr.IsNotFound(err) {
		t.Errorf("the failed one of a shared task: got %v, want not found", err)
	}
	if _, err := client.GetBackup(t.Context(), cbrtest.Backup(2).ID); err != nil {
		t.Errorf("the good one of a shared task: %v", err)
	}
}

func TestPoisonedBackupFailsItsWholeCall(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Reject: func(item cbr.Backup) *cbrtest.APIError {
		if item.ID == cbrtest.Backup(2).ID {
			return &cbrtest.APIError{Code: "BackupService.7300", Message: "vault cannot sync"}
		}
		return nil
	}})
	_, err := server.Client(t).ImportBackups(t.Context(), cbrtest.Backups(5))
	if got := failure(t, err); got.StatusCode != http.StatusBadRequest || got.Code != "BackupService.7300" || got.Class != cbr.Rejected {
		t.Errorf("got %+v, want 400 BackupService.7300", got)
	}
	if got := server.Accepted(); len(got) != 0 {
		t.Errorf("%d backups were accepted by a call that failed", len(got))
	}
}

// item is a valid item of an import as JSON, with one field replaced; "" leaves it out.
func item(field, value string) string {
	fields := map[string]json.RawMessage{}
	encoded, _ := json.Marshal(cbrtest.Backup(1))
	_ = json.Unmarshal(encoded, &fields)
	if value == "" {
		delete(fields, field)
	} else {
		fields[field] = json.RawMessage(value)
	}
	encoded, _ = json.Marshal(fields)
	return string(encoded)
}

func TestStrictAboutBodies(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	valid := item("resource_name", `""`)
	many := make([]string, cbr.MaxImportItems+1)
	for i := range many {
		many[i] = item("backup_id", fmt.Sprintf(`"id-%d"`, i))
	}
	bodies := map[string]string{
		"nothing":            ``,
		"null":               `null`,
		"a list":             `[]`,
		"no sync":            `{}`,
		"SYNC":               `{"SYNC":[` + valid + `]}`,
		"null sync":          `{"sync":null}`,
		"an object for sync": `{"sync":{}}`,
		"no items":           `{"sync":[]}`,
		"51 items":           `{"sync":[` + strings.Join(many, ",") + `]}`,
		"null item":          `{"sync":[null]}`,
		"another field":      `{"sync":[` + valid + `],"dry_run":true}`,
		"trailing data":      `{"sync":[` + valid + `]} {}`,
		"same backup twice":  `{"sync":[` + valid + `,` + valid + `]}`,
		"truncated":          `{"sync":[` + valid,
		"second item bad":    `{"sync":[` + valid + `,` + item("backup_name", "") + `]}`,
		"unknown item field": `{"sync":[` + item("vault_id", `"v"`) + `]}`,
	}
	for _, field := range []string{"backup_id", "backup_name", "bucket_name", "image_path", "resource_id", "resource_name", "resource_type"} {
		bodies["without "+field] = `{"sync":[` + item(field, "") + `]}`
		bodies["null "+field] = `{"sync":[` + item(field, "null") + `]}`
		bodies["number "+field] = `{"sync":[` + item(field, "7") + `]}`
	}
	values := map[string][]string{
		"backup_id": {`""`}, "image_path": {`""`}, "resource_id": {`""`}, "resource_type": {`""`},
		"backup_name": {`""`, `"a b"`, `"a.b"`, `"ä"`, `"` + strings.Repeat("a", 65) + `"`, `"a\n"`},
		"bucket_name": {`""`, `"` + strings.Repeat("b", 256) + `"`},
		"created_at":  {``, `null`, `"1553587260"`, `1.5`, `1553587260.0`, `1e9`, `2147483648`, `true`},
	}
	for field, list := range values {
		for _, value := range list {
			bodies[field+" "+value] = `{"sync":[` + item(field, value) + `]}`
		}
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			got := send(t, http.MethodPost, projectURL(server)+"/backups/sync", body)
			if got.status != 400 || got.Code != "BackupService.9900" || got.Message == "" {
				t.Errorf("got HTTP %d %s %q, want 400 BackupService.9900 with a reason", got.status, got.Code, got.Message)
			}
		})
	}
	if got := server.Accepted(); len(got) != 0 {
		t.Errorf("accepted %v", got)
	}
}

func TestLimitsThemselvesAreAccepted(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	for _, body := range []string{
		item("backup_name", `"`+strings.Repeat("備", 64)+`"`), item("backup_name", `"A_z-09"`),
		item("bucket_name", `"`+strings.Repeat("b", 255)+`"`),
		item("created_at", "2147483647"), item("created_at", "0"), item("resource_name", `""`),
	} {
		got := send(t, http.MethodPost, projectURL(server)+"/backups/sync", `{"sync":[`+body+`]}`)
		if got.status != 200 {
			t.Errorf("got HTTP %d %q for %s", got.status, got.Message, body)
		}
	}
}

func TestStrictAboutRequests(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Tokens: []string{cbrtest.Token, "other"}})
	body, project := `{"sync":[`+item("", "")+`]}`, projectURL(server)
	header := func(name, value string) func(*http.Request) {
		return func(request *http.Request) { request.Header.Set(name, value) }
	}
	tests := map[string]struct {
		method, url string
		edit        func(*http.Request)
		status      int
		code        string
	}{
		"trailing slash":    {method: "POST", url: project + "/backups/sync/", status: 404, code: "APIGW.0101"},
		"unknown path":      {method: "POST", url: project + "/backups/import", status: 404, code: "APIGW.0101"},
		"no version":        {method: "POST", url: server.URL + "/" + cbrtest.ProjectID + "/backups/sync", status: 404, code: "APIGW.0101"},
		"escaped path":      {method: "POST", url: project + "/backups%2Fsync", status: 404, code: "APIGW.0101"},
		"unknown project":   {method: "POST", url: server.URL + "/v3/else/backups/sync", status: 404, code: "APIGW.0101"},
		"PUT":               {method: "PUT", url: project + "/backups/sync", status: 404, code: "APIGW.0101"},
		"DELETE a backup":   {method: "DELETE", url: project + "/backups/x", status: 404, code: "APIGW.0101"},
		"no token":          {method: "POST", url: project + "/backups/sync", edit: header("X-Auth-Token", ""), status: 401, code: "APIGW.0301"},
		"wrong token":       {method: "GET", url: project + "/backups?limit=1", edit: header("X-Auth-Token", "wrong"), status: 401, code: "APIGW.0301"},
		"no content type":   {method: "POST", url: project + "/backups/sync", edit: header("Content-Type", ""), status: 400, code: "BackupService.9900"},
		"text/plain":        {method: "POST", url: project + "/backups/sync", edit: header("Content-Type", "text/plain"), status: 400, code: "BackupService.9900"},
		"import with query": {method: "POST", url: project + "/backups/sync?x=1", status: 400, code: "BackupService.9900"},
		"empty limit":       {method: "GET", url: project + "/backups?limit=", status: 400, code: "BackupService.9900"},
		"limit 0":           {method: "GET", url: project + "/operation-logs?limit=0", status: 400, code: "BackupService.9900"},
		"limit 1001":        {method: "GET", url: project + "/operation-logs?limit=1001", status: 400, code: "BackupService.9900"},
		"offset -1":         {method: "GET", url: project + "/operation-logs?limit=1&offset=-1", status: 400, code: "BackupService.9900"},
		"odd time":          {method: "GET", url: project + "/operation-logs?limit=1&start_time=yesterday", status: 400, code: "BackupService.9900"},
		"unknown parameter": {method: "GET", url: project + "/operation-logs?limit=1&ids=a", status: 400, code: "BackupService.9900"},
		"unknown marker":    {method: "GET", url: project + "/backups?limit=1&marker=a", status: 400, code: "BackupService.9900"},
		"unknown task":      {method: "GET", url: project + "/operation-logs/x", status: 404, code: "BackupService.6500"},
		"unknown backup":    {method: "GET", url: project + "/backups/x", status: 404, code: "BackupService.6200"},
		"another token":     {method: "POST", url: project + "/backups/sync", edit: header("X-Auth-Token", "other"), status: 200},
		"charset":           {method: "POST", url: project + "/backups/sync", edit: header("Content-Type", "application/json; charset=utf-8"), status: 200},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.edit == nil {
				test.edit = func(*http.Request) {}
			}
			got := send(t, test.method, test.url, body, test.edit)
			if got.status != test.status || got.Code != test.code {
				t.Errorf("got HTTP %d %s %q, want %d %s", got.status, got.Code, got.Message, test.status, test.code)
			}
			if fromGateway := strings.HasPrefix(test.code, "APIGW."); fromGateway != (got.RequestID != "") {
				t.Errorf("request id %q in an error of code %s", got.RequestID, test.code)
			}
		})
	}
}

func TestTokensExpire(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	client := server.Client(t)
	mustImport(t, client, cbrtest.Backup(1))
	server.SetTokens("renewed")
	_, err := client.ImportBackups(t.Context(), cbrtest.Backups(1))
	if got := failure(t, err); got.StatusCode != http.StatusUnauthorized || got.Class != cbr.Credentials || got.RequestID == "" {
		t.Errorf("with the old token: got %+v", got)
	}
	mustImport(t, server.Client(t), cbrtest.Backup(2))
	calls := server.Ledger()
	if !calls[0].Authorized || calls[1].Authorized || !calls[2].Authorized {
		t.Error("the ledger does not tell the call with the old token from the others")
	}
}

func TestAuthenticateHook(t *testing.T) {
	renew := &cbrtest.APIError{Status: 401, Code: "APIGW.0307", Message: "The token must be updated"}
	server := cbrtest.NewServer(t, cbrtest.Options{Authenticate: func(*http.Request) *cbrtest.APIError { return renew }})
	_, err := server.Client(t).GetBackup(t.Context(), "x")
	if got := failure(t, err); got.Code != "APIGW.0307" {
		t.Errorf("got %+v, want APIGW.0307", got)
	}
}

func TestReadsHaveALimitOfTheirOwn(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, ReadsPerSecond: 2})
	client := server.Client(t)
	for i := range 4 {
		_, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{})
		if i < 2 && err != nil || i >= 2 && failure(t, err).Class != cbr.Throttled {
			t.Errorf("read %d: got %v", i, err)
		}
	}
	if _, err := client.ImportBackups(t.Context(), cbrtest.Backups(1)); err != nil {
		t.Errorf("an import counts as a read: %v", err)
	}
	clock.SetTime(clock.Now().Add(time.Second))
	if _, err := client.GetBackup(t.Context(), "other"); !cbr.IsNotFound(err) {
		t.Errorf("a second later: %v", err)
	}
}

func TestRateLimitCountsRefusedCalls(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, SyncCallsPerMinute: 2, RateWindow: time.Second})
	client := server.Client(t)
	statuses := ""
	for i, wait := range []time.Duration{0, 400, 400, 100, 300, 1100} {
		clock.SetTime(clock.Now().Add(wait * time.Millisecond))
		_, err := client.ImportBackups(t.Context(), []cbr.Backup{cbrtest.Backup(i)})
		switch {
		case err == nil:
			statuses += "+"
		case failure(t, err).Code == "APIGW.0308" && failure(t, err).Class == cbr.Throttled:
			statuses += "-"
		default:
			t.Fatal(err)
		}
	}
	// At 0 and 400 ms within the limit; at 800 and 900 over it; at 1,200 still, as those two count; then free.
	if want := "++---+"; statuses != want {
		t.Errorf("got %s, want %s", statuses, want)
	}
	if got := server.MaxCallsInWindow(time.Second); got != 4 {
		t.Errorf("at most %d calls in a window, want 4", got)
	}
	if got := server.SyncCalls(); got != 6 {
		t.Errorf("%d sync calls, want 6", got)
	}
	server.SetSyncLimit(0, 0)
	mustImport(t, client, cbrtest.Backup(9))
}

func TestImportHookSeesBothSidesOfTheAcceptance(t *testing.T) {
	var server *cbrtest.Server
	var phases []string
	server = cbrtest.NewServer(t, cbrtest.Options{OnImport: func(phase cbrtest.Phase, items []cbr.Backup) {
		phases = append(phases, fmt.Sprintf("%s %d of %d", phase, len(server.Accepted()), len(items)))
	}})
	mustImport(t, server.Client(t), cbrtest.Backups(2)...)
	if got, want := fmt.Sprint(phases), "[BeforeAccept 0 of 2 AfterAccept 2 of 2]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestImportHookMayDropTheConnection(t *testing.T) {
	for phase, accepted := range map[cbrtest.Phase]int{cbrtest.BeforeAccept: 0, cbrtest.AfterAccept: 1} {
		server := cbrtest.NewServer(t, cbrtest.Options{OnImport: func(at cbrtest.Phase, _ []cbr.Backup) {
			if at == phase {
				panic(http.ErrAbortHandler)
			}
		}})
		_, err := server.Client(t).ImportBackups(t.Context(), cbrtest.Backups(1))
		if got := failure(t, err); got.Class != cbr.Unknown || len(server.Accepted()) != accepted {
			t.Errorf("%s: got %s with %d accepted, want Unknown with %d", phase, got.Class, len(server.Accepted()), accepted)
		}
	}
}

func TestConcurrentSyncCallsAreCounted(t *testing.T) {
	var arrived atomic.Int32
	both := make(chan struct{})
	server := cbrtest.NewServer(t, cbrtest.Options{OnImport: func(phase cbrtest.Phase, _ []cbr.Backup) {
		if phase == cbrtest.BeforeAccept && arrived.Add(1) == 2 {
			close(both)
		}
		<-both
	}})
	client := server.Client(t)
	ended := make(chan error, 2)
	for i := range 2 {
		go func() {
			_, err := client.ImportBackups(t.Context(), []cbr.Backup{cbrtest.Backup(i)})
			ended <- err
		}()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 { // one after the other: never more at once than before
		mustImport(t, client, cbrtest.Backup(10+i))
	}
	if got := server.MaxConcurrentSyncCalls(); got != 2 {
		t.Errorf("at most %d sync calls at once, want 2", got)
	}
}

func TestProjectsAreApart(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{ProjectIDs: []string{"one", "two"}})
	one := server.Client(t)
	config := server.Config(t)
	config.ProjectID = "two"
	two, err := cbr.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	tasks := mustImport(t, one, cbrtest.Backup(1))
	if _, err := two.GetBackup(t.Context(), cbrtest.Backup(1).ID); !cbr.IsNotFound(err) {
		t.Errorf("the other project's backup: got %v, want not found", err)
	}
	if _, err := two.GetOperationLog(t.Context(), tasks[cbrtest.Backup(1).ID]); !cbr.IsNotFound(err) {
		t.Errorf("the other project's task: got %v, want not found", err)
	}
}
