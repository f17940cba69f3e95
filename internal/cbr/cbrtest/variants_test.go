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
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// extraInfo asks for a task, and returns what it says of its backups.
func extraInfo(t *testing.T, server *cbrtest.Server, id string) map[string]any {
	t.Helper()
	return send(t, http.MethodGet, projectURL(server)+"/operation-logs/"+id, "").body["operation_log"].(map[string]any)["extra_info"].(map[string]any)
}

func TestWhatTasksName(t *testing.T) {
	first := cbrtest.Backup(0)
	for name, test := range map[string]struct {
		options          cbrtest.Options
		backups          int
		backup, resource any
	}{
		"all":                       {cbrtest.Options{}, 1, first.ID, first.ResourceID},
		"no backup":                 {cbrtest.Options{HideTaskBackup: true}, 1, nil, first.ResourceID},
		"no resource":               {cbrtest.Options{HideTaskResource: true}, 1, first.ID, nil},
		"nothing":                   {cbrtest.Options{HideTaskBackup: true, HideTaskResource: true}, 1, nil, nil},
		"shared":                    {cbrtest.Options{SharedTaskIDs: true}, 3, nil, nil},
		"shared, the first":         {cbrtest.Options{SharedTaskIDs: true, NameFirst: true}, 3, first.ID, first.ResourceID},
		"shared, the first, hidden": {cbrtest.Options{SharedTaskIDs: true, NameFirst: true, HideTaskBackup: true}, 3, nil, first.ResourceID},
	} {
		server := cbrtest.NewServer(t, test.options)
		tasks := mustImport(t, server.Client(t), cbrtest.Backups(test.backups)...)
		extra := extraInfo(t, server, tasks[first.ID])
		backup, _ := extra["backup"].(map[string]any)
		resource, _ := extra["resource"].(map[string]any)
		if backup["backup_id"] != test.backup || resource["id"] != test.resource {
			t.Errorf("%s: the task names backup %v and resource %v, want %v and %v", name, backup["backup_id"], resource["id"], test.backup, test.resource)
		}
	}
}

func TestStartTimeIsTheStart(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, StartTimeIsStart: true, TaskDuration: 8 * time.Second})
	mustImport(t, server.Client(t), cbrtest.Backup(1)) // starts after 2 seconds
	since := func(seconds int) string {
		return "start_time=" + start.Add(time.Duration(seconds)*time.Second).Format("2006-01-02T15:04:05Z")
	}
	for _, step := range []struct {
		at, since, want int
	}{{1, -60, 0}, {2, -60, 1}, {2, 1, 1}, {2, 2, 1}, {2, 3, 0}, {60, 2, 1}, {60, 3, 0}} {
		clock.SetTime(start.Add(time.Duration(step.at) * time.Second))
		if ids, got := listed(t, server, "/operation-logs", since(step.since)); len(ids) != step.want || got.body["count"] != float64(step.want) {
			t.Errorf("after %d s, since %d s: got %d, want %d", step.at, step.since, len(ids), step.want)
		}
		if ids, _ := listed(t, server, "/operation-logs", ""); len(ids) != 1 {
			t.Errorf("after %d s, without start_time: got %d, want 1", step.at, len(ids))
		}
	}
}

func TestLateVisibility(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, VisibleAfter: 10 * time.Second, TaskDuration: 4 * time.Second})
	early, late := cbrtest.Backup(1), cbrtest.Backup(2)
	task := mustImport(t, server.Client(t), early)[early.ID]
	server.Configure(func(options *cbrtest.Options) { options.TaskDuration = time.Minute })
	mustImport(t, server.Client(t), late)
	server.AddBackups("", cbr.StoredBackup{ID: "always"})
	for _, step := range []struct{ at, task, tasks, backup, backups int }{
		{0, 404, 0, 404, 1}, {9, 404, 0, 404, 1}, {10, 200, 2, 200, 2}, {59, 200, 2, 200, 2}, {60, 200, 2, 200, 3},
	} {
		clock.SetTime(start.Add(time.Duration(step.at) * time.Second))
		tasks, _ := listed(t, server, "/operation-logs", "")
		backups, _ := listed(t, server, "/backups", "")
		got := []int{send(t, http.MethodGet, projectURL(server)+"/operation-logs/"+task, "").status, len(tasks),
			send(t, http.MethodGet, projectURL(server)+"/backups/"+early.ID, "").status, len(backups)}
		if want := []int{step.task, step.tasks, step.backup, step.backups}; !slices.Equal(got, want) {
			t.Errorf("after %d s: got %v, want %v", step.at, got, want)
		}
	}
}

func TestCaseIsFolded(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{FoldCase: true})
	backup := cbrtest.Backup(1)
	lower, lowerResource := backup.ID, backup.ResourceID
	backup.ID, backup.ResourceID = strings.ToUpper(backup.ID), strings.ToUpper(backup.ResourceID)
	upper := item("backup_id", `"`+backup.ID+`"`)
	got := send(t, http.MethodPost, projectURL(server)+"/backups/sync", `{"sync":[`+strings.Replace(upper, lowerResource, backup.ResourceID, 1)+`]}`)
	answered := got.body["sync"].([]any)[0].(map[string]any)
	if answered["backup_id"] != lower {
		t.Errorf("the answer names %v, want %s", answered["backup_id"], lower)
	}
	extra := extraInfo(t, server, strings.ToUpper(answered["operation_log_id"].(string)))
	if extra["backup"].(map[string]any)["backup_id"] != lower || extra["resource"].(map[string]any)["id"] != lowerResource {
		t.Errorf("the task names %v", extra)
	}
	for _, id := range []string{lower, backup.ID} {
		stored := send(t, http.MethodGet, projectURL(server)+"/backups/"+id, "").body["backup"].(map[string]any)
		if stored["id"] != lower || stored["resource_id"] != lowerResource {
			t.Errorf("asked for %s: got %v of %v", id, stored["id"], stored["resource_id"])
		}
		if tasks := server.OperationLogIDs(id); len(tasks) != 1 {
			t.Errorf("the ledger has tasks %v for %s", tasks, id)
		}
	}
	for path := range lists {
		if ids, _ := listed(t, server, path, "resource_id="+backup.ResourceID); len(ids) != 1 {
			t.Errorf("%s of the resource: %v", path, ids)
		}
	}
	listed(t, server, "/backups", "marker="+backup.ID)
	if got := send(t, http.MethodPost, projectURL(server)+"/backups/sync", `{"sync":[`+upper+","+item("", "")+`]}`); got.status != 400 {
		t.Errorf("one backup in two spellings: HTTP %d, want 400", got.status)
	}
	mustImport(t, server.Client(t), cbrtest.Backup(1))
	if got := server.AcceptedTwice(); !slices.Equal(got, []string{lower}) {
		t.Errorf("accepted twice: %v, want %s", got, lower)
	}
	server.AddBackups("", cbr.StoredBackup{ID: "UP"})
	server.RemoveBackups("", backup.ID)
	if got := server.StoredBackups(""); !slices.Equal(got, []string{"up"}) {
		t.Errorf("stored: %v, want up", got)
	}
}

// statusOf is the status of a stored backup, "" if there is none.
func statusOf(t *testing.T, server *cbrtest.Server, id string) string {
	t.Helper()
	got := send(t, http.MethodGet, projectURL(server)+"/backups/"+id, "")
	if got.status == http.StatusNotFound {
		return ""
	}
	return got.body["backup"].(map[string]any)["status"].(string)
}

func TestBackupsHaveAnyStatus(t *testing.T) {
	backup := cbrtest.Backup(1)
	for _, status := range []string{"available", "protecting", "deleting", "restoring", "error", "waiting_protect", "waiting_delete", "waiting_restore", "odd"} {
		server := cbrtest.NewServer(t, cbrtest.Options{TaskOutcome: func(cbr.Backup) cbrtest.Outcome { return cbrtest.Outcome{BackupStatus: status} }})
		mustImport(t, server.Client(t), backup)
		if got := statusOf(t, server, backup.ID); got != status {
			t.Errorf("after the import: %s, want %s", got, status)
		}
		server.AddBackups("", cbr.StoredBackup{ID: "there", Status: "other"})
		server.AddBackups("", cbr.StoredBackup{ID: "there", Status: status}) // in its place
		if got := statusOf(t, server, "there"); got != status {
			t.Errorf("put there: %s, want %s", got, status)
		}
		if ids, _ := listed(t, server, "/backups", "status="+status); len(ids) != 2 {
			t.Errorf("listed as %s: %v, want both", status, ids)
		}
	}
}

// TestBackupsHaveAllMandatoryMembers holds the answer of ShowBackup against the members that the reference calls mandatory.
func TestBackupsHaveAllMandatoryMembers(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	mustImport(t, server.Client(t), cbrtest.Backup(1))
	backup := send(t, http.MethodGet, projectURL(server)+"/backups/"+cbrtest.Backup(1).ID, "").body["backup"].(map[string]any)
	for _, name := range strings.Fields("checkpoint_id created_at description expired_at extend_info id image_type name parent_id " +
		"project_id protected_at provider_id resource_az resource_id resource_name resource_size resource_type status updated_at vault_id") {
		if _, found := backup[name]; !found {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestFailedTasksLeaveABackupInError(t *testing.T) {
	backup := cbrtest.Backup(1)
	for status, want := range map[cbr.TaskStatus]string{cbr.TaskFailed: "error", cbr.TaskTimeout: "error", cbr.TaskSkipped: "", "paused": "", "": "available"} {
		server := cbrtest.NewServer(t, cbrtest.Options{FailedInError: true,
			TaskOutcome: func(cbr.Backup) cbrtest.Outcome { return cbrtest.Outcome{Status: status} }})
		mustImport(t, server.Client(t), backup)
		if got := statusOf(t, server, backup.ID); got != want {
			t.Errorf("after a task that ends %q: %q, want %q", status, got, want)
		}
	}
	server := cbrtest.NewServer(t, cbrtest.Options{FailedInError: true,
		TaskOutcome: func(cbr.Backup) cbrtest.Outcome { return cbrtest.Outcome{FailedBackups: 1} }})
	mustImport(t, server.Client(t), backup)
	if got := statusOf(t, server, backup.ID); got != "error" {
		t.Errorf("after a success without the backup: %q, want error", got)
	}
}

func TestImportReplacesABackupInError(t *testing.T) {
	clock, backup := clockAt(start), cbrtest.Backup(1)
	var outcome cbrtest.Outcome
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, FailedInError: true, TaskOutcome: func(cbr.Backup) cbrtest.Outcome { return outcome }})
	expect := func(after int, want string) {
		t.Helper()
		clock.SetTime(start.Add(time.Duration(after) * time.Second))
		if got := statusOf(t, server, backup.ID); got != want {
			t.Errorf("after %d s: %q, want %q", after, got, want)
		}
	}
	for _, outcome = range []cbrtest.Outcome{
		{Duration: 9 * time.Second}, {Status: cbr.TaskFailed, Duration: 2 * time.Second}, {Status: cbr.TaskFailed, Duration: 5 * time.Second}, {Duration: 8 * time.Second},
	} { // two successes that take long, and two failures meanwhile
		mustImport(t, server.Client(t), backup)
	}
	for after, want := range map[int]string{1: "", 2: "error", 5: "error", 7: "error", 8: "available", 9: "available", 60: "available"} {
		expect(after, want)
	}
	outcome = cbrtest.Outcome{Status: cbr.TaskFailed, Duration: time.Second}
	mustImport(t, server.Client(t), backup)
	expect(70, "available")
	for status, want := range map[string]string{"error": "available", "deleting": "deleting"} {
		server.AddBackups("", cbr.StoredBackup{ID: backup.ID, Status: status})
		expect(80, status)
		outcome = cbrtest.Outcome{}
		mustImport(t, server.Client(t), backup)
		expect(80, want)
	}
}

func TestAppearancesTellFromWhenOnABackupIsThere(t *testing.T) {
	clock, backup := clockAt(start), cbrtest.Backup(1)
	outcome := cbrtest.Outcome{Status: cbr.TaskFailed, Duration: time.Second}
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, FailedInError: true, VisibleAfter: 5 * time.Second,
		Refusals:    []cbrtest.Refusal{cbrtest.NotPermitted(cbrtest.Reads, time.Time{})},
		TaskOutcome: func(cbr.Backup) cbrtest.Outcome { return outcome }})
	mustImport(t, server.Client(t), backup)
	outcome = cbrtest.Outcome{Duration: 9 * time.Second}
	mustImport(t, server.Client(t), backup)
	server.AddBackups("", cbr.StoredBackup{ID: "removed"})
	server.RemoveBackups("", "removed")
	NewWithT(t).Expect(server.Appearances("")).To(ConsistOf(
		cbrtest.Appearance{ID: backup.ID, Status: "error", Since: start.Add(5 * time.Second)},
		cbrtest.Appearance{ID: backup.ID, Status: "available", Since: start.Add(9 * time.Second)},
	))
}

// An imported backup may come to be in another status, in lists and when it is asked for; one that is not there stays so.
func TestStatusesOfImportedBackupsChange(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{FoldCase: true})
	backup := cbrtest.Backup(1)
	mustImport(t, server.Client(t), backup)
	server.SetBackupStatus("", "error", strings.ToUpper(backup.ID), cbrtest.Backup(2).ID)
	page, err := server.Client(t).ListBackups(t.Context(), cbr.BackupsQuery{Limit: 10})
	if err != nil || len(page.Items) != 1 || page.Items[0].Status != cbr.BackupError {
		t.Errorf("listed: %+v, %v", page.Items, err)
	}
	if shown, err := server.Client(t).GetBackup(t.Context(), backup.ID); err != nil || shown.Status != "error" || shown.ResourceID != backup.ResourceID {
		t.Errorf("shown: %+v, %v", shown, err)
	}
	if _, err := server.Client(t).GetBackup(t.Context(), cbrtest.Backup(2).ID); !cbr.IsNotFound(err) {
		t.Errorf("one that was never there: %v", err)
	}
}
