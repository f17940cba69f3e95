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
	"compress/gzip"
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

func TestAnswersThatAreNotTheDocumentedJSON(t *testing.T) {
	for _, body := range []string{
		``, ` `, `<html>It works!</html>`, `null`, `[]`, `"sync"`, `7`, `true`, `{}`, `{"sync":`, `{"sync":[`, `{"sync":[]}}`,
		`{"sync":null,"operation_logs":null,"backups":null,"operation_log":null,"backup":null}`,
		`{"sync":{},"operation_logs":{},"backups":{},"operation_log":[],"backup":[]}`,
		`{"sync":"","operation_logs":"","backups":"","operation_log":"","backup":""}`,
		`{"operation_log":{"id":"another"},"backup":{"id":"another"}}`,
		`{"error_code":"BackupService.9900","error_msg":"with status 200"}`,
	} {
		client := answering(t, body)
		for operation, call := range operations {
			got := failure(t, call(t.Context(), client))
			if got.Class != behindOf(operation) || got.StatusCode != http.StatusOK || got.Untouched {
				t.Errorf("%s with %s: got %+v, want %s", operation, body, got, behindOf(operation))
			}
		}
	}
}

func TestTruncatedAnswers(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	server.Inject(cbrtest.Fault{Truncate: true, Times: cbrtest.Always})
	client := server.Client(t)
	for _, operation := range []cbr.Operation{cbr.OperationImport, cbr.OperationListTasks, cbr.OperationListBackups} {
		got := failure(t, operations[operation](t.Context(), client))
		if got.Class != behindOf(operation) || got.StatusCode != http.StatusOK || got.Untouched {
			t.Errorf("%s: got %+v", operation, got)
		}
	}
}

func TestImportPassesOnWhatWasAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want []cbr.Import
	}{
		"nothing accepted": {`{"sync":[]}`, nil},
		"any order, unknown fields, foreign and repeated ids": {
			`{"sync":[{"backup_id":"b","operation_log_id":"t2","new":1},{"backup_id":"a","operation_log_id":"t1"},
				{"backup_id":"foreign","operation_log_id":"t3"},{"backup_id":"a","operation_log_id":"t1"}],"also":{}}`,
			[]cbr.Import{{BackupID: "b", OperationLogID: "t2"}, {BackupID: "a", OperationLogID: "t1"}, {BackupID: "foreign", OperationLogID: "t3"}, {BackupID: "a", OperationLogID: "t1"}}},
		"a shared task": {`{"sync":[{"backup_id":"a","operation_log_id":"t"},{"backup_id":"b","operation_log_id":"t"}]}`,
			[]cbr.Import{{BackupID: "a", OperationLogID: "t"}, {BackupID: "b", OperationLogID: "t"}}},
		"odd elements": {
			`{"sync":[null,7,"x",[],{},{"backup_id":null,"operation_log_id":null},{"backup_id":"c"},{"operation_log_id":"t"},
				{"backup_id":"d","operation_log_id":""},{"backup_id":"e","operation_log_id":"../x"},{"backup_id":"f","operation_log_id":7},
				{"backup_id":"a","operation_log_id":"t1"}]}`,
			[]cbr.Import{{BackupID: "a", OperationLogID: "t1"}}},
	} {
		got, err := answering(t, test.body).ImportBackups(t.Context(), cbrtest.Backups(cbr.MaxImportItems))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		NewWithT(t).Expect(got).To(HaveExactElements(anySlice(test.want)...), name)
	}
}

func anySlice[T any](values []T) []any {
	converted := make([]any, 0, len(values))
	for _, value := range values {
		converted = append(converted, value)
	}
	return converted
}

func TestOddElementsOfListsArePassedOver(t *testing.T) {
	client := answering(t, `{"count":3,"limit":null,
		"operation_logs":[null,7,"x",[],{"id":7},{"id":"a","status":"running"},{"id":"b","extra_info":"text"},{"id":"c","created_at":"nonsense"},{"id":"d","created_at":7}],
		"backups":[null,{"id":[]},{"id":"a","status":null},"x",{"id":"b","image_type":"new","children":[{}]}]}`)
	tasks, err := client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{})
	if err != nil || tasks.Count != 3 {
		t.Errorf("tasks: count %d, %v", tasks.Count, err)
	}
	ids := make([]string, 0, len(tasks.Items))
	for _, task := range tasks.Items {
		ids = append(ids, task.ID)
	}
	if got := strings.Join(ids, " "); got != " a b c d" { // the first has no id that can be read, but is there
		t.Errorf("got the tasks %q", got)
	}
	if tasks.Size != 9 { // what cannot be read is there, too, or a full page would pass for the last
		t.Errorf("the page of tasks counts %d elements", tasks.Size)
	}
	backups, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{})
	if err != nil || !slices.Equal(backups.Items, []string{"a", "b"}) || backups.Size != 5 || backups.Count != 3 {
		t.Errorf("got the backups %+v, %v", backups, err)
	}
}

func TestNullEverywhere(t *testing.T) {
	const task = `{"id":"some-id","operation_type":null,"status":null,"error_info":null,"checkpoint_id":null,"vault_id":null,
		"created_at":null,"started_at":null,"ended_at":null,"updated_at":null,"extra_info":null}`
	const inner = `{"id":"some-id","error_info":{"code":null,"message":null},
		"extra_info":{"backup":null,"resource":{"id":null,"name":null,"type":null},"common":null,"sync":{"sync_backup_num":null,"err_sync_backup_num":null}}}`
	const backup = `{"id":"some-id","name":null,"status":null,"resource_id":null,"resource_type":null,"provider_id":null}`
	for _, each := range []string{task, inner} {
		client := answering(t, `{"operation_log":`+each+`,"operation_logs":[`+each+`],"count":null,"offset":null,"backup":`+backup+`,"backups":[`+backup+`]}`)
		if got, err := client.GetOperationLog(t.Context(), "some-id"); err != nil || got != (cbr.OperationLog{ID: "some-id"}) {
			t.Errorf("task: got %+v, %v", got, err)
		}
		if got, err := client.GetBackup(t.Context(), "some-id"); err != nil || got != (cbr.StoredBackup{ID: "some-id"}) {
			t.Errorf("backup: got %+v, %v", got, err)
		}
		tasks, err := client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{})
		if err != nil || len(tasks.Items) != 1 || tasks.Count != 0 {
			t.Errorf("tasks: got %+v, %v", tasks, err)
		}
		if backups, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{}); err != nil || len(backups.Items) != 1 {
			t.Errorf("backups: got %+v, %v", backups, err)
		}
	}
}

func TestTimeFormats(t *testing.T) {
	for text, want := range map[string]time.Time{
		`"2019-03-26T14:35:23.584418"`:       time.Date(2019, 3, 26, 14, 35, 23, 584418000, time.UTC),
		`"2019-03-26T14:35:23.584+00:00"`:    time.Date(2019, 3, 26, 14, 35, 23, 584000000, time.UTC),
		`"2019-03-26T14:35:23.584418+02:00"`: time.Date(2019, 3, 26, 12, 35, 23, 584418000, time.UTC),
		`"2019-03-26T01:00:32Z"`:             time.Date(2019, 3, 26, 1, 0, 32, 0, time.UTC),
		`"2019-03-26T01:00:32"`:              time.Date(2019, 3, 26, 1, 0, 32, 0, time.UTC),
		`"2019-03-26T01:00:32.5+0000"`:       time.Date(2019, 3, 26, 1, 0, 32, 500000000, time.UTC),
		`" 2019-03-26T01:00:32Z "`:           time.Date(2019, 3, 26, 1, 0, 32, 0, time.UTC),
		`"2019-03-26"`:                       {}, `"yesterday"`: {}, `""`: {}, `null`: {}, `7`: {}, `{}`: {}, `[]`: {}, `true`: {},
	} {
		var got cbr.Time
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: got %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestTaskStatusThatIsFinal(t *testing.T) {
	for status, want := range map[cbr.TaskStatus]bool{
		cbr.TaskSuccess: true, cbr.TaskFailed: true, cbr.TaskSkipped: true, cbr.TaskTimeout: true,
		cbr.TaskWaiting: false, cbr.TaskRunning: false, "": false, "paused": false, "SUCCESS": false,
	} {
		if got := status.Final(); got != want {
			t.Errorf("%q: final is %t, want %t", status, got, want)
		}
	}
}

// pad writes white space, a little at a time, and says whether it could write all of it.
func pad(writer io.Writer, length int) bool {
	chunk := []byte(strings.Repeat(" ", 64<<10))
	for ; length > 0; length -= len(chunk) {
		if _, err := writer.Write(chunk); err != nil {
			return false
		}
	}
	return true
}

func TestEndlessAnswerIsBrokenOff(t *testing.T) {
	complete := make(chan bool, 1)
	client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
		complete <- pad(writer, 128<<20)
	})
	got := failure(t, operations[cbr.OperationImport](t.Context(), client))
	if got.Class != cbr.Unknown || <-complete {
		t.Errorf("got %v after an answer of 128 MiB was read to its end", got)
	}
}

func TestGiantAnswers(t *testing.T) {
	const length = 16<<20 + 1 // more than the client reads
	zipped := func(writer http.ResponseWriter, request *http.Request, act func(io.Writer)) {
		if request.Header.Get("Accept-Encoding") != "gzip" {
			t.Error("the client does not take gzip: the test proves nothing")
		}
		writer.Header().Set("Content-Encoding", "gzip")
		compressed := gzip.NewWriter(writer)
		act(compressed)
		_ = compressed.Close()
	}
	giant := func(writer io.Writer) {
		_, _ = io.WriteString(writer, `{"sync":[],"operation_logs":[],"backups":[],"operation_log":{},"backup":{"id":"some-id"}`)
		pad(writer, length)
		_, _ = io.WriteString(writer, `}`)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"plain": func(writer http.ResponseWriter, _ *http.Request) { giant(writer) },
		"gzip":  func(writer http.ResponseWriter, request *http.Request) { zipped(writer, request, giant) },
	} {
		client := clientOf(t, handler)
		got := failure(t, operations[cbr.OperationImport](t.Context(), client))
		if got.Class != cbr.Unknown || !strings.Contains(got.Error(), "longer than") {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestCompressedAnswerIsRead(t *testing.T) {
	client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Encoding", "gzip")
		compressed := gzip.NewWriter(writer)
		_, _ = io.WriteString(compressed, documentedAnswer)
		_ = compressed.Close()
	})
	if got, err := client.ImportBackups(t.Context(), cbrtest.Backups(1)); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestLastPage(t *testing.T) {
	const full = cbr.MaxPageSize
	for name, test := range map[string]struct {
		size, count, before int
		want                bool
	}{
		"empty":                                {0, 0, 0, true},
		"empty, though there should be more":   {0, 5000, 2 * full, true},
		"short, without a count":               {7, 0, full, true},
		"short, all are counted":               {7, full + 7, full, true},
		"short, more are counted":              {100, full, 0, false},
		"full, without a count":                {full, 0, 0, false},
		"full, more are counted":               {full, full + 1, 0, false},
		"full, of a count that may be its own": {full, full, 0, false},
		"full, all are counted":                {full, 3 * full, 2 * full, false},
		"short, of a count that is its own":    {7, 7, full, true},
		"full, though fewer should be there":   {full, full / 2, 0, false},
	} {
		if got := (cbr.Page[string]{Size: test.size, Count: test.count}).Last(test.before); got != test.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
