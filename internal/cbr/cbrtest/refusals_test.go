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
	"net/http"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// statuses asks for everything the API offers once, and returns the HTTP statuses by operation.
func statuses(t *testing.T, server *cbrtest.Server, number int) map[cbr.Operation]int {
	t.Helper()
	project, unknown := projectURL(server), cbrtest.Backup(999).ID
	return map[cbr.Operation]int{
		cbr.OperationImport:      visit(t, http.MethodPost, project+"/backups/sync", `{"sync":[`+item("backup_id", `"`+cbrtest.Backup(number).ID+`"`)+`]}`).status,
		cbr.OperationListTasks:   visit(t, http.MethodGet, project+"/operation-logs", "").status,
		cbr.OperationGetTask:     visit(t, http.MethodGet, project+"/operation-logs/"+unknown, "").status,
		cbr.OperationListBackups: visit(t, http.MethodGet, project+"/backups", "").status,
		cbr.OperationGetBackup:   visit(t, http.MethodGet, project+"/backups/"+unknown, "").status,
	}
}

// undisturbed are the statuses of calls that are carried out.
var undisturbed = map[cbr.Operation]int{
	cbr.OperationImport: 200, cbr.OperationListTasks: 200, cbr.OperationGetTask: 404, cbr.OperationListBackups: 200, cbr.OperationGetBackup: 404,
}

func TestCallsAreRefusedForATime(t *testing.T) {
	for calls, refused := range map[cbrtest.Calls][]cbr.Operation{
		cbrtest.AllCalls:                      cbr.Operations,
		cbrtest.Imports:                       {cbr.OperationImport},
		cbrtest.Reads:                         {cbr.OperationListTasks, cbr.OperationGetTask, cbr.OperationListBackups, cbr.OperationGetBackup},
		cbrtest.Calls(cbr.OperationGetBackup): {cbr.OperationGetBackup},
	} {
		clock := clockAt(start)
		server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, Refusals: []cbrtest.Refusal{
			{Until: start, APIError: cbrtest.APIError{Status: 402}}, // has ended
			{Calls: calls, Until: start.Add(time.Minute), APIError: cbrtest.APIError{Status: 418}},
			{Calls: calls, Until: start.Add(time.Second), APIError: cbrtest.APIError{Status: 402}}, // comes second
		}})
		want := map[cbr.Operation]int{}
		for _, operation := range cbr.Operations {
			want[operation] = undisturbed[operation]
		}
		for _, operation := range refused {
			want[operation] = 418
		}
		for _, step := range []struct {
			after time.Duration
			want  map[cbr.Operation]int
		}{{0, want}, {time.Minute - 1, want}, {time.Minute, undisturbed}} {
			clock.SetTime(start.Add(step.after))
			before := len(server.Accepted())
			for operation, status := range statuses(t, server, int(step.after/time.Second)) {
				if status != step.want[operation] {
					t.Errorf("refused %q, after %s: %s has HTTP %d, want %d", calls, step.after, operation, status, step.want[operation])
				}
			}
			if took := len(server.Accepted()) > before; took != (step.want[cbr.OperationImport] == 200) {
				t.Errorf("refused %q, after %s: a backup was accepted: %t", calls, step.after, took)
			}
		}
	}
}

func TestPages(t *testing.T) {
	for status, text := range map[int]string{400: "Request Header Or Cookie Too Large", 403: "web application firewall", 502: "502 Bad Gateway"} {
		server := cbrtest.NewServer(t, cbrtest.Options{Tokens: []string{"another"}, SyncCallsPerMinute: 1,
			Refusals: []cbrtest.Refusal{cbrtest.Page(cbrtest.AllCalls, status, time.Time{})}})
		for _, path := range []string{projectURL(server) + "/backups", server.URL + "/v3/else/backups", server.URL + "/anything"} {
			got := visit(t, http.MethodGet, path, "")
			if got.status != status || got.contentType != "text/html" || !strings.HasPrefix(got.text, "<html>") || !strings.Contains(got.text, text) {
				t.Errorf("HTTP %d at %s: got %+v, want a page with %s", status, path, got, text)
			}
		}
		for range 3 {
			got := visit(t, http.MethodPost, projectURL(server)+"/backups/sync", `{"sync":[`+item("", "")+`]}`)
			if got.status != status || len(server.Accepted()) != 0 {
				t.Errorf("an import: got HTTP %d with %d accepted, want %d with none", got.status, len(server.Accepted()), status)
			}
		}
	}
}

func TestPermissionsTakeEffectLate(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock,
		Refusals: []cbrtest.Refusal{cbrtest.NotPermitted(cbrtest.AllCalls, start.Add(15*time.Minute))}})
	for path, action := range map[string]string{
		"/backups": "cbr:backups:list", "/backups/x": "cbr:backups:get", "/operation-logs": "cbr:tasks:list", "/operation-logs/x": "cbr:tasks:get",
	} {
		got := send(t, http.MethodGet, projectURL(server)+path, "")
		if want := "Policy doesn't allow " + action + " to be performed."; got.status != 403 || got.Message != want {
			t.Errorf("%s: got HTTP %d %q, want 403 %q", path, got.status, got.Message, want)
		}
	}
	body := `{"sync":[` + item("", "") + `]}`
	if got := send(t, http.MethodPost, projectURL(server)+"/backups/sync", body); !strings.Contains(got.Message, "cbr:backups:sync") {
		t.Errorf("an import: got %q", got.Message)
	}
	wrongToken := func(request *http.Request) { request.Header.Set("X-Auth-Token", "wrong") }
	if got := send(t, http.MethodGet, projectURL(server)+"/backups", "", wrongToken); got.status != 401 {
		t.Errorf("a wrong token: got HTTP %d, want 401 before permissions count", got.status)
	}
	clock.SetTime(start.Add(15 * time.Minute))
	if got := send(t, http.MethodPost, projectURL(server)+"/backups/sync", body); got.status != 200 {
		t.Errorf("a quarter of an hour later: got HTTP %d", got.status)
	}
}

func TestQuota(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Quota: -1, TaskDuration: time.Hour})
	imports := func(first, last int) answer {
		t.Helper()
		var items []string
		for i := first; i <= last; i++ {
			items = append(items, item("backup_id", `"`+cbrtest.Backup(i).ID+`"`))
		}
		return send(t, http.MethodPost, projectURL(server)+"/backups/sync", `{"sync":[`+strings.Join(items, ",")+`]}`)
	}
	expect := func(got answer, status, accepted int) {
		t.Helper()
		if got.status != status || status == 400 && got.Code != "BackupService.6114" || len(server.Accepted()) != accepted {
			t.Errorf("got HTTP %d %s with %d accepted, want %d with %d", got.status, got.Code, len(server.Accepted()), status, accepted)
		}
	}
	raise := func(quota int) { server.Configure(func(options *cbrtest.Options) { options.Quota = quota }) }
	expect(imports(1, 1), 400, 0)
	raise(3)
	expect(imports(1, 4), 400, 0)
	expect(imports(1, 2), 200, 2)
	expect(imports(3, 4), 400, 2)
	expect(imports(2, 3), 200, 3) // one of them is there already
	expect(imports(4, 4), 400, 3)
	server.RemoveBackups("", cbrtest.Backup(1).ID)
	expect(imports(4, 4), 200, 4)
	expect(imports(1, 1), 400, 4) // the one that was removed needs room again
	raise(0)
	expect(imports(1, 9), 200, 9)
}

func TestItemsAreRefusedWithAnything(t *testing.T) {
	bad := cbrtest.Backup(1)
	for _, refused := range []cbrtest.APIError{
		{Status: 403, Shape: cbrtest.ShapeHTML}, {Status: 403, Message: "no right to the bucket"}, {Status: 418}, {Status: 409, Code: "Odd.1"},
		{Status: 500, Code: "BackupService.9910"}, {Status: 400, Code: "BackupService.7302"},
	} {
		server := cbrtest.NewServer(t, cbrtest.Options{Reject: func(backup cbr.Backup) *cbrtest.APIError {
			if backup.ID == bad.ID {
				return &refused
			}
			return nil
		}})
		body := `{"sync":[` + item("backup_id", `"another"`) + "," + item("", "") + `]}`
		got := visit(t, http.MethodPost, projectURL(server)+"/backups/sync", body)
		if got.status != refused.Status || len(server.Accepted()) != 0 || server.Ledger()[0].Code != refused.Code {
			t.Errorf("%+v: got HTTP %d with %d accepted", refused, got.status, len(server.Accepted()))
		}
		if isPage := got.contentType == "text/html"; isPage != (refused.Shape == cbrtest.ShapeHTML) {
			t.Errorf("%+v: got %s", refused, got.contentType)
		}
		if got := send(t, http.MethodPost, projectURL(server)+"/backups/sync", `{"sync":[`+item("backup_id", `"another"`)+`]}`); got.status != 200 {
			t.Errorf("%+v: the other item alone: HTTP %d", refused, got.status)
		}
	}
}
