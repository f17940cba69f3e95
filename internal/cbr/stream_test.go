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

package cbr

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"
)

// backupPages and taskPages are pages to begin with: regular ones, odd ones, and what is no page.
var (
	backupPages = []string{
		`{"backups":[],"count":0}`, ` {"backups" : [ { "id" : "\u0061\ud83d\ude00" } ] , "count" : null } `,
		`{"count":2,"offset":0,"backups":[{"id":"a","name":null,"children":[{"id":"x"}]},{"extra":{"id":[1]},"id":"b"}],"limit":1000}`,
		`{"BACKUPS":[{"Id":"a"}],"count":"many"}`, `{"backups":[{"\u0069d":"a"}],"\u0063ount":7}`, `{"bacKupſ":[{"İd":"a"}]}`,
		`{"backups":[{"id":"a","status":"available"},{"Status":"\u0065rror","id":"b"},{"status":"","id":"c"},{"id":"d"}]}`,
		`{"backups":[null,{"id":[]},{"id":"a"},"x",{},7,true,[{}]],"count":1}`, `{"backups":[{"id":"a","status":null},{"id":"b","status":7}],"count":1.5}`,
		`{"backups":[{"id":"\ud800"}],"count":1e2}`, `{"backups":[{"id":"a"}],"count":99999999999999999999}`, `{"backups":[{"id":"a"}],"count":-1}`,
		``, ` `, `null`, `[]`, `{}`, `{"backups":null}`, `{"backups":{}}`, `{"backups":[]} {}`, `{"backups":[{"id":"a"}]`, `{"backups":[{"id":"a"},]}`,
	}
	taskPages = []string{
		`{"operation_logs":[{"id":"a","status":"success","created_at":"2019-03-26T14:35:23.584418","error_info":{"code":"c","message":"m"},
			"extra_info":{"backup":{"backup_id":"b","backup_name":"n"},"resource":{"id":"r","name":"n","type":"t"},"sync":{"err_sync_backup_num":1}}}],"count":1}`,
		`{"operation_logs":[null,{"id":7},{"id":"b","extra_info":"text","error_info":[]},{"id":"c","created_at":{}},[],{"status":[]}],"count":"many"}`,
		`{"operation_logs":[{"id":"a","extra_info":{"backup":"text","resource":{"id":7,"name":"n"},"sync":{"sync_backup_num":"1","err_sync_backup_num":2}}}]}`,
		`{"operation_logs":[{"ID":"a","extra_info":{"backup":null,"resource":[],"sync":{"sync_backup_num":1.0,"delete_backup_num":null}}}]}`,
	}
)

// patient reads a page with encoding/json, all of it at once and element by element.
func patient[T any](body []byte, member string, read func(fields map[string]json.RawMessage) T) (page Page[T], readable bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return page, false
	}
	members = lower(members)
	var list []json.RawMessage
	if json.Unmarshal(members[member], &list) != nil || list == nil {
		return page, false
	}
	_ = json.Unmarshal(members["count"], &page.Count)
	page.Size = len(list)
	for _, element := range list {
		if fields := object(element); fields != nil {
			page.Items = append(page.Items, read(fields))
		}
	}
	return page, true
}

// documentedNames are the names of all fields that are kept.
var documentedNames = []string{"backups", "operation_logs", "count", "id", "status", "operation_type", "created_at", "started_at", "ended_at",
	"updated_at", "error_info", "code", "message", "extra_info", "backup", "backup_id", "backup_name", "resource", "name", "type", "sync",
	"sync_backup_num", "delete_backup_num", "err_sync_backup_num"}

func lower(members map[string]json.RawMessage) map[string]json.RawMessage {
	lowered := map[string]json.RawMessage{}
	for name, value := range members {
		for _, documented := range documentedNames {
			if strings.EqualFold(name, documented) {
				lowered[documented] = value
			}
		}
	}
	return lowered
}

// object returns the members of an object, nil of anything else.
func object(element json.RawMessage) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(element, &fields) != nil || fields == nil {
		return nil
	}
	return lower(fields)
}

func textOf(value json.RawMessage) (text string) { _ = json.Unmarshal(value, &text); return text }

func numberOf(value json.RawMessage) int {
	var number int
	if json.Unmarshal(value, &number) != nil {
		return 0
	}
	return number
}

func timeOf(value json.RawMessage) (at Time) { _ = json.Unmarshal(value, &at); return at }

func codeOf(value json.RawMessage) string {
	var number json.Number
	if text := textOf(value); text != "" || json.Unmarshal(value, &number) != nil || value[0] == '"' {
		return text
	}
	return number.String()
}

func patientBackup(fields map[string]json.RawMessage) ListedBackup {
	return ListedBackup{ID: textOf(fields["id"]), Status: BackupStatus(textOf(fields["status"]))}
}

func patientTask(fields map[string]json.RawMessage) OperationLog {
	failure, extra := object(fields["error_info"]), object(fields["extra_info"])
	backup, resource, counts := object(extra["backup"]), object(extra["resource"]), object(extra["sync"])
	return OperationLog{
		ID: textOf(fields["id"]), OperationType: textOf(fields["operation_type"]), Status: TaskStatus(textOf(fields["status"])),
		CreatedAt: timeOf(fields["created_at"]), StartedAt: timeOf(fields["started_at"]), EndedAt: timeOf(fields["ended_at"]), UpdatedAt: timeOf(fields["updated_at"]),
		ErrorInfo: ErrorInfo{Code: codeOf(failure["code"]), Message: textOf(failure["message"])},
		ExtraInfo: ExtraInfo{
			Backup:   TaskBackup{ID: textOf(backup["backup_id"]), Name: textOf(backup["backup_name"])},
			Resource: TaskResource{ID: textOf(resource["id"]), Name: textOf(resource["name"]), Type: textOf(resource["type"])},
			Sync: TaskCounts{SyncBackups: numberOf(counts["sync_backup_num"]), DeleteBackups: numberOf(counts["delete_backup_num"]),
				FailedBackups: numberOf(counts["err_sync_backup_num"])},
		},
	}
}

// bothAlike reports whether both ways must read a body alike: no name comes twice, no text is invalid, and no limit is touched.
func bothAlike(body []byte) bool {
	return jsontext.Value(bytes.ToLower(bytes.ToUpper(body))).IsValid() == jsontext.Value(body).IsValid() && len(body) < maxTokenBytes &&
		bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) < maxDepth && bytes.Count(body, []byte(",")) < MaxPageSize
}

// expectAlike holds what is read as a stream, a byte at a time, against what encoding/json reads: an id that is not seen passes
// for a backup that is not in CBR.
func expectAlike[T interface {
	ListedBackup | OperationLog
}](t *testing.T, body []byte, member string, read func(*T, *stream) error, patiently func(map[string]json.RawMessage) T) {
	t.Helper()
	got, err := readPage(newStream(iotest.OneByteReader(bytes.NewReader(body))), member, MaxPageSize, read)
	want, readable := patient(body, member, patiently)
	switch {
	case err == nil && !json.Valid(body):
		t.Errorf("%q is read as %+v, but is no JSON", body, got)
	case !bothAlike(body) || !jsontext.Value(body).IsValid() && json.Valid(body):
	case (err == nil) != readable:
		t.Errorf("%q: %v, but readable is %t", body, err, readable)
	case readable && (!slices.Equal(any(got.Items).([]T), want.Items) || got.Size != want.Size || got.Count != want.Count):
		t.Errorf("%q is read as %+v, but is %+v", body, got, want)
	}
}

func FuzzStream(f *testing.F) {
	for _, body := range slices.Concat(backupPages, taskPages) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		expectAlike(t, body, "backups", (*ListedBackup).read, patientBackup)
		expectAlike(t, body, "operation_logs", (*OperationLog).read, patientTask)
	})
}

func TestPagesThatAreNotBelieved(t *testing.T) {
	for body, want := range map[string]error{
		`{"backups":[],"backups":[{"id":"a"}]}`: errRepeated, `{"backups":null,"Backups":[]}`: errNoList, `{"backups":[],"BACKUPS":null}`: errRepeated,
		`{"backups":[{"id":"a"}]}{}`: errTrailing, `{"backups":[{"id":"a"}]} 7`: errTrailing, `{"count":1}`: errMissing, `[]`: errNotAnObject,
	} {
		if page, err := readPage(newStream(strings.NewReader(body)), "backups", MaxPageSize, (*ListedBackup).read); !errors.Is(err, want) {
			t.Errorf("%s: got %+v, %v; want %v", body, page, err, want)
		}
	}
}

func TestFieldsThatComeTwice(t *testing.T) {
	const body = `{"operation_logs":[{"id":"a","id":"b","status":"success","status":7,"extra_info":{"backup":{"backup_id":"x"}},"extra_info":null}]}`
	page, err := readPage(newStream(strings.NewReader(body)), "operation_logs", 1, (*OperationLog).read)
	if err != nil || page.Items[0] != (OperationLog{ID: "b", ExtraInfo: ExtraInfo{Backup: TaskBackup{ID: "x"}}}) {
		t.Errorf("got %+v, %v", page, err)
	}
}
