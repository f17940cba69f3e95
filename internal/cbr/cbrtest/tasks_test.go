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
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

func TestTaskPassesThroughItsStates(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, TaskDuration: 8 * time.Second})
	client := server.Client(t)
	backup := cbrtest.Backup(1)
	id := mustImport(t, client, backup)[backup.ID]
	for _, step := range []struct {
		after          time.Duration
		status         cbr.TaskStatus
		started, ended bool
	}{
		{0, cbr.TaskWaiting, false, false},
		{1999 * time.Millisecond, cbr.TaskWaiting, false, false},
		{2 * time.Second, cbr.TaskRunning, true, false},
		{7999 * time.Millisecond, cbr.TaskRunning, true, false},
		{8 * time.Second, cbr.TaskSuccess, true, true},
		{time.Hour, cbr.TaskSuccess, true, true},
	} {
		clock.SetTime(start.Add(step.after))
		got := mustGetTask(t, client, id)
		if got.Status != step.status || got.StartedAt.IsZero() == step.started || got.EndedAt.IsZero() == step.ended {
			t.Errorf("after %s: %s, started %s, ended %s", step.after, got.Status, got.StartedAt, got.EndedAt)
		}
		if got.OperationType != cbr.OperationSync || got.ExtraInfo.Backup.ID != backup.ID || !got.CreatedAt.Equal(start) {
			t.Errorf("after %s: got %+v", step.after, got)
		}
		_, err := client.GetBackup(t.Context(), backup.ID)
		if stored := err == nil; stored != step.ended {
			t.Errorf("after %s: the backup is there: %t, want %t (%v)", step.after, stored, step.ended, err)
		}
	}
}

func TestTaskOutcomes(t *testing.T) {
	outcomes := []cbrtest.Outcome{
		{},
		{Status: cbr.TaskFailed, Code: "BackupService.1006", Message: "import failed"},
		{Status: cbr.TaskSkipped, Message: "checks failed"},
		{Status: cbr.TaskTimeout},
		{FailedBackups: 1},
		{Status: "paused"},
	}
	server := cbrtest.NewServer(t, cbrtest.Options{TaskOutcome: func(backup cbr.Backup) cbrtest.Outcome {
		return outcomes[backup.CreatedAt-cbrtest.Backup(0).CreatedAt]
	}})
	client := server.Client(t)
	tasks := mustImport(t, client, cbrtest.Backups(len(outcomes))...)
	for i, outcome := range outcomes {
		backup := cbrtest.Backup(i)
		got := mustGetTask(t, client, tasks[backup.ID])
		want := outcome.Status
		if want == "" {
			want = cbr.TaskSuccess
		}
		if got.Status != want || got.ErrorInfo.Code != outcome.Code || got.ErrorInfo.Message != outcome.Message ||
			got.ExtraInfo.Sync.FailedBackups != outcome.FailedBackups || got.EndedAt.IsZero() == want.Final() {
			t.Errorf("outcome %+v: got %+v", outcome, got)
		}
		stored, err := client.GetBackup(t.Context(), backup.ID)
		if i == 0 && (err != nil || stored.ProviderID != cbrtest.ImportedProviderID || stored.Name != backup.Name) {
			t.Errorf("imported backup: got %+v, %v", stored, err)
		}
		if i > 0 && !cbr.IsNotFound(err) {
			t.Errorf("outcome %+v: the backup is there", outcome)
		}
	}
}

func TestTaskShape(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, TaskDuration: time.Minute, HideTaskBackup: true})
	id := mustImport(t, server.Client(t), cbrtest.Backup(1))[cbrtest.Backup(1).ID]
	task := send(t, http.MethodGet, projectURL(server)+"/operation-logs/"+id, "").body["operation_log"].(map[string]any)
	for _, name := range []string{"error_info", "checkpoint_id", "vault_id", "started_at", "ended_at"} {
		if value, found := task[name]; !found || value != nil {
			t.Errorf("%s of a waiting task is %v (there: %t), want null", name, value, found)
		}
	}
	extra := task["extra_info"].(map[string]any)
	if value, found := extra["backup"]; !found || value != nil {
		t.Errorf("extra_info.backup is %v (there: %t), want null", value, found)
	}
	if extra["common"].(map[string]any)["progress"] != 0.0 || extra["resource"].(map[string]any)["name"] != "vm-1" {
		t.Errorf("extra_info is %v", extra)
	}
}

func TestTimesComeInAllFormats(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clockAt(start)})
	for _, id := range mustImport(t, server.Client(t), cbrtest.Backups(3)...) {
		task := send(t, http.MethodGet, projectURL(server)+"/operation-logs/"+id, "").body["operation_log"].(map[string]any)
		var kinds []string
		for _, name := range []string{"created_at", "started_at", "ended_at"} {
			switch text := task[name].(string); {
			case strings.HasSuffix(text, "Z"):
				kinds = append(kinds, "Z")
			case strings.HasSuffix(text, "+00:00"):
				kinds = append(kinds, "zone")
			default:
				kinds = append(kinds, "none")
			}
		}
		slices.Sort(kinds)
		if fmt.Sprint(kinds) != "[Z none zone]" {
			t.Errorf("formats %v in one task, want all three", kinds)
		}
	}
}

func TestTasksAreForgotten(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock})
	client := server.Client(t)
	id := mustImport(t, client, cbrtest.Backup(1))[cbrtest.Backup(1).ID]
	clock.SetTime(start.Add(cbrtest.TaskRetention))
	mustGetTask(t, client, id)
	clock.SetTime(start.Add(cbrtest.TaskRetention + time.Second))
	if _, err := client.GetOperationLog(t.Context(), id); !cbr.IsNotFound(err) {
		t.Errorf("got %v, want not found", err)
	}
	if page, err := client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{}); err != nil || page.Count != 0 {
		t.Errorf("got %d tasks and %v, want none", page.Count, err)
	}
}

func TestTaskFilters(t *testing.T) {
	clock := clockAt(start)
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, TaskDuration: 4 * time.Second})
	client := server.Client(t)
	for i := range 5 { // at 0, 1, 2, 3 and 4 seconds; then it is 4 seconds past
		clock.SetTime(start.Add(time.Duration(i) * time.Second))
		mustImport(t, client, cbrtest.Backup(i))
	}
	at := func(seconds int) string {
		return start.Add(time.Duration(seconds) * time.Second).Format("2006-01-02T15:04:05Z")
	}
	for name, test := range map[string]struct {
		query url.Values
		want  float64
	}{
		"all":            {url.Values{}, 5},
		"sync":           {url.Values{"operation_type": {"sync"}}, 5},
		"another type":   {url.Values{"operation_type": {"backup"}}, 0},
		"waiting":        {url.Values{"status": {"waiting"}}, 1},
		"running":        {url.Values{"status": {"running"}}, 3},
		"success":        {url.Values{"status": {"success"}}, 1},
		"of a resource":  {url.Values{"resource_id": {cbrtest.Backup(3).ResourceID}}, 1},
		"since":          {url.Values{"start_time": {at(3)}}, 2},
		"until":          {url.Values{"end_time": {at(1)}}, 2},
		"within":         {url.Values{"start_time": {at(1)}, "end_time": {at(3)}}, 3},
		"since and type": {url.Values{"start_time": {at(3)}, "operation_type": {"sync"}, "status": {"success"}}, 0},
	} {
		test.query.Set("limit", "2")
		got := send(t, http.MethodGet, projectURL(server)+"/operation-logs?"+test.query.Encode(), "")
		listed := len(got.body["operation_logs"].([]any))
		if got.body["count"] != test.want || listed != min(2, int(test.want)) {
			t.Errorf("%s: got %d of %v, want 2 of %v", name, listed, got.body["count"], test.want)
		}
	}
}

func TestManyTasksAndBackupsArePaged(t *testing.T) {
	const count = 4_000
	cloud := cbrtest.NewServer(t, cbrtest.Options{})
	client := cloud.Client(t)
	backups := cbrtest.Backups(count)
	for chunk := range slices.Chunk(backups, cbr.MaxImportItems) {
		mustImport(t, client, chunk...)
	}
	tasks, order := map[string]bool{}, []time.Time{}
	for offset := 0; offset < count; offset += cbr.MaxPageSize {
		page, err := client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{
			OperationType: cbr.OperationSync, Limit: cbr.MaxPageSize, Offset: offset})
		if err != nil || page.Count != count {
			t.Fatalf("got %d tasks in all and %v", page.Count, err)
		}
		for _, task := range page.Items {
			tasks[task.ExtraInfo.Backup.ID] = true
			order = append(order, task.CreatedAt.Time)
		}
	}
	stored, marker := map[string]bool{}, ""
	for {
		page, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{Limit: cbr.MaxPageSize, Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) == 0 {
			break
		}
		for _, id := range page.Items {
			stored[id], marker = true, id
		}
	}
	if len(tasks) != count || len(stored) != count {
		t.Errorf("listed %d tasks and %d backups, want %d of each", len(tasks), len(stored), count)
	}
	if slices.IsSortedFunc(order, time.Time.Compare) || slices.IsSortedFunc(order, func(a, b time.Time) int { return b.Compare(a) }) {
		t.Error("tasks are listed in an order of time that the API does not promise")
	}
}

func TestBackupsAlreadyThere(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	client := server.Client(t)
	server.AddBackups("", cbr.StoredBackup{ID: "a", ResourceID: "r"}, cbr.StoredBackup{ID: "b", Status: "error"}, cbr.StoredBackup{ID: "c"})
	got, err := client.GetBackup(t.Context(), "a")
	if err != nil || got.Status != "available" || got.ProviderID != cbrtest.ImportedProviderID || got.ResourceID != "r" {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(server.Accepted()) != 0 {
		t.Error("backups that were there count as accepted")
	}
	page, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{Limit: 1, Marker: "a"})
	if err != nil || !slices.Equal(page.Items, []string{"b"}) || page.Count != 3 {
		t.Errorf("after a: got %+v and %v, want b of 3", page, err)
	}
	server.RemoveBackups("", "b")
	page, err = client.ListBackupIDs(t.Context(), cbr.BackupsQuery{Limit: 10, Marker: "a"})
	if err != nil || len(page.Items) != 1 || page.Items[0] != "c" || page.Count != 2 {
		t.Errorf("after a: got %+v and %v, want c alone of 2", page, err)
	}
	for query, want := range map[string]int{"offset=1": 1, "resource_id=r": 1, "status=available": 2, "status=error": 0, "marker=c": 0} {
		got := send(t, http.MethodGet, projectURL(server)+"/backups?limit=1000&"+query, "")
		if listed := len(got.body["backups"].([]any)); listed != want {
			t.Errorf("%s: got %d backups, want %d", query, listed, want)
		}
	}
	if got := server.StoredBackups(""); fmt.Sprint(got) != "[a c]" {
		t.Errorf("stored: %v", got)
	}
}

func TestLaterImportDoesNotHideAnEarlierOne(t *testing.T) {
	clock := clockAt(start)
	outcome := cbrtest.Outcome{}
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clock, TaskOutcome: func(cbr.Backup) cbrtest.Outcome { return outcome }})
	client := server.Client(t)
	mustImport(t, client, cbrtest.Backup(1))
	for _, outcome = range []cbrtest.Outcome{{Status: cbr.TaskFailed}, {Duration: time.Hour}} {
		mustImport(t, client, cbrtest.Backup(1))
		if _, err := client.GetBackup(t.Context(), cbrtest.Backup(1).ID); err != nil {
			t.Errorf("after another import with %+v: got %v, want the backup of the first", outcome, err)
		}
	}
}
