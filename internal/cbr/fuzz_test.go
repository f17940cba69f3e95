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
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// fuzzToken is a token that no answer contains by chance.
const fuzzToken = "MIIFs3cr3tT0kenThatMustNotBeSeenAnywhere=="

// stub answers every request with the same status, headers and body, as a hostile endpoint could.
type stub struct {
	status int
	header http.Header
	body   string
}

func (s stub) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: s.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: s.header.Clone(), Body: io.NopCloser(strings.NewReader(s.body)), ContentLength: -1, Request: request,
	}, nil
}

func (s stub) client(t *testing.T) *cbr.Client {
	t.Helper()
	token, err := auth.NewToken([]byte(fuzzToken), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, cbr.Config{Endpoint: "https://cbr.example.com", ProjectID: cbrtest.ProjectID, Credential: token, Transport: s})
}

// anyStatus maps a number to a status that net/http passes on: three digits.
func anyStatus(number uint16) int { return int(number % 1000) }

// soundFailure returns the *cbr.Error that every failed call must return, after checks of what holds for all of them.
func soundFailure(t *testing.T, operation cbr.Operation, status int, err error) *cbr.Error {
	t.Helper()
	var found *cbr.Error
	if !errors.As(err, &found) {
		t.Fatalf("got %T %v, want a *cbr.Error", err, err)
	}
	if !slices.Contains(cbr.Classes, found.Class) {
		t.Errorf("unknown class %q", found.Class)
	}
	if found.Operation != operation || found.StatusCode != status {
		t.Errorf("got %s with HTTP %d, want %s with %d", found.Operation, found.StatusCode, operation, status)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v %v", err, found, found, found.Err), fuzzToken) {
		t.Errorf("the token is in %v", err)
	}
	if found.RetryAfter < 0 || found.RetryAfter > time.Hour {
		t.Errorf("Retry-After of %s", found.RetryAfter)
	}
	if status == http.StatusOK && (found.Class != behindOf(operation) || found.Untouched) {
		t.Errorf("an answer 200 that cannot be used is %s, untouched %t", found.Class, found.Untouched)
	}
	return found
}

// field returns the last field of a JSON object with this name, in the loose sense in which encoding/json
// compares names; nil without one. It is read with other means than the client's, so that one can be held against the other.
func field(body, name string) (value any) {
	decoder := json.NewDecoder(strings.NewReader(body))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') || !json.Valid([]byte(body)) {
		return nil
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil
		}
		var each any
		if err := decoder.Decode(&each); err != nil {
			return nil
		}
		if text, ok := key.(string); ok && strings.EqualFold(text, name) {
			value = each
		}
	}
	return value
}

// listOf returns the length of the list that a usable answer must hold under this name; without one the call must
// fail.
func listOf(t *testing.T, status int, body, name string, err error) int {
	t.Helper()
	value := field(body, name)
	list, isList := value.([]any)
	if err == nil && (status != http.StatusOK || !isList) {
		t.Fatalf("HTTP %d with %q counts as a good answer", status, body)
	}
	return len(list)
}

// answers are bodies to begin with: documented ones, odd ones, and ones that echo the token.
var answers = []string{
	documentedAnswer,
	`{"sync":[]}`, `{"sync":null}`, `{"sync":{}}`, `{"SYNC":[]}`, `{"sync":[],"sync":null}`, `{"sync":[1],"sync":[{"backup_id":"a","operation_log_id":"b"}]}`,
	`{"sync":[null,7,"x",[],{},{"backup_id":"d","operation_log_id":""},{"backup_id":"e","operation_log_id":"../x"},{"backup_id":"f","operation_log_id":7}]}`,
	`{"sync":[{"backup_id":"a","operation_log_id":".."},{"backup_id":"\u0000","operation_log_id":"b\n"},{"backup_id":"` + fuzzToken + `","operation_log_id":"c"}]}`,
	`{"operation_logs":[{"id":"some-id","status":"success","created_at":"2019-03-26T14:35:23.584418","extra_info":{"backup":{"backup_id":"a"},"sync":{"err_sync_backup_num":1}}}],"count":1}`,
	`{"operation_logs":[null,{"id":7},{"id":"b","extra_info":"text"},{"id":"c","created_at":{}},[],{"status":[]}],"count":"many"}`,
	`{"operation_logs":[],"count":1e99}`, `{"operation_logs":[],"count":-1}`, `{"operation_logs":{}}`, `{"operation_logs":null}`,
	`{"operation_log":{"id":"some-id","status":"failed","error_info":{"code":"BackupService.1006","message":"image path"},"ended_at":"2020-01-04T09:05:22Z"}}`,
	`{"operation_log":{"id":"another"}}`, `{"operation_log":{}}`, `{"operation_log":[]}`, `{"operation_log":null}`, `{"operation_log":{"id":7,"status":"\ud800"}}`,
	`{"backup":{"id":"some-id","status":"available","image_type":"new"},"backups":[{"id":"some-id"}],"count":1}`,
	`{"backup":{"id":"another"}}`, `{"backup":null,"backups":null}`, `{"backup":[],"backups":{}}`, `{"backups":[null,{"id":[]},{"id":"a"},"x"]}`,
	`{"error_code":"BackupService.6500","error_msg":"The task does not exist"}`, `{"error_code":"BackupService.6200"}`,
	`{"error_code":"APIGW.0301","error_msg":"x-auth-token ` + fuzzToken + ` expires","request_id":"` + fuzzToken + `"}`,
	`{"error_code":"` + fuzzToken + `","error_msg":"\u004dIIFs3cr3tT0kenThatMustNotBeSeenAnywhere=="}`,
	`{"error":{"code":"BackupService.6200","message":"` + fuzzToken + `"}}`, `{"itemNotFound":{"message":"m","code":404}}`, `{"badRequest":{"code":400}}`,
	`<html><title>` + fuzzToken + `</title></html>`, `no such page: ` + fuzzToken,
	`{"error_code":7}`, `{"error_code":"\u0000","error_msg":"` + "\xff\xfe\x00" + `"}`,
	``, ` `, "\xef\xbb\xbf{}", `null`, `[]`, `{}`, `"text"`, `7`, `{"sync":`, `{"sync":[]}}`, `<html>It works!</html>`,
	strings.Repeat(`{"sync":[`, 50), `{"sync":` + strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200) + `}`,
}

// seedAnswers adds the answers with a good status, an error and an odd one.
func seedAnswers(f *testing.F) {
	for _, body := range answers {
		for _, status := range []uint16{200, 404, 500, 302, 101} {
			f.Add(status, body)
		}
	}
}

// A sync call counts as accepted only with a 200 and the documented list, and only for what the list names in full.
func FuzzDecodeImport(f *testing.F) {
	seedAnswers(f)
	f.Fuzz(func(t *testing.T, number uint16, body string) {
		status := anyStatus(number)
		imports, err := stub{status: status, body: body}.client(t).ImportBackups(t.Context(), cbrtest.Backups(2))
		longest := listOf(t, status, body, "sync", err)
		if err != nil {
			if failed := soundFailure(t, cbr.OperationImport, status, err); len(imports) > 0 || failed.Class == cbr.NotFound {
				t.Errorf("got %d imports and %s with an error", len(imports), failed.Class)
			}
			return
		}
		if len(imports) > longest {
			t.Errorf("%d imports of a list of %d", len(imports), longest)
		}
		for _, each := range imports {
			if each.BackupID == "" || !plainID(each.OperationLogID) {
				t.Errorf("%+v is passed on", each)
			}
		}
	})
}

// plainID reports whether a task's id can be asked for later: it becomes a segment of a URL.
func plainID(id string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-"
	return id != "" && len(id) <= 128 && strings.Trim(id, ".") != "" && strings.Trim(id, allowed) == ""
}

// A list of tasks is never read from anything else: an empty one would mean that CBR knows of no task.
func FuzzDecodeOperationLogs(f *testing.F) {
	seedAnswers(f)
	f.Fuzz(func(t *testing.T, number uint16, body string) {
		status := anyStatus(number)
		page, err := stub{status: status, body: body}.client(t).ListOperationLogs(t.Context(), cbr.OperationLogsQuery{})
		longest := listOf(t, status, body, "operation_logs", err)
		if err != nil {
			soundFailure(t, cbr.OperationListTasks, status, err)
		}
		if len(page.Items) > longest {
			t.Errorf("%d tasks of a list of %d", len(page.Items), longest)
		}
	})
}

// A task is the one that was asked for, or one that has no id of its own.
func FuzzDecodeOperationLog(f *testing.F) {
	seedAnswers(f)
	f.Fuzz(func(t *testing.T, number uint16, body string) {
		const asked = "some-id"
		status := anyStatus(number)
		task, err := stub{status: status, body: body}.client(t).GetOperationLog(t.Context(), asked)
		if err != nil {
			soundFailure(t, cbr.OperationGetTask, status, err)
			expectNotFoundOnlyByCode(t, status, body, err)
			return
		}
		value := field(body, "operation_log")
		if _, isObject := value.(map[string]any); status != http.StatusOK || !isObject || task.ID != "" && task.ID != asked {
			t.Errorf("HTTP %d with %q counts as the task %+v", status, body, task)
		}
	})
}

// A backup is in CBR only if CBR shows that very one, and is not only if CBR says so by its code.
func FuzzDecodeBackups(f *testing.F) {
	seedAnswers(f)
	f.Fuzz(func(t *testing.T, number uint16, body string) {
		const asked = "some-id"
		status := anyStatus(number)
		client := stub{status: status, body: body}.client(t)
		page, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{})
		longest := listOf(t, status, body, "backups", err)
		if err != nil {
			soundFailure(t, cbr.OperationListBackups, status, err)
		}
		if len(page.Items) > longest {
			t.Errorf("%d backups of a list of %d", len(page.Items), longest)
		}
		backup, err := client.GetBackup(t.Context(), asked)
		if err != nil {
			soundFailure(t, cbr.OperationGetBackup, status, err)
			expectNotFoundOnlyByCode(t, status, body, err)
			return
		}
		value := field(body, "backup")
		if _, isObject := value.(map[string]any); status != http.StatusOK || !isObject || !strings.EqualFold(backup.ID, asked) {
			t.Errorf("HTTP %d with %q counts as the backup %+v", status, body, backup)
		}
	})
}

// expectNotFoundOnlyByCode: what is not in CBR may be sent. A proxy's 404 must not be taken for that.
func expectNotFoundOnlyByCode(t *testing.T, status int, body string, err error) {
	t.Helper()
	if !cbr.IsNotFound(err) {
		return
	}
	_, openStack := field(body, "itemNotFound").(map[string]any)
	if status != http.StatusNotFound || body != "" && !openStack && !slices.ContainsFunc(codesIn(body), notFoundCode) {
		t.Errorf("HTTP %d with %q counts as not found", status, body)
	}
}

func notFoundCode(code string) bool {
	return slices.Contains([]string{"6200", "6201", "6217", "6500", "6501"}, strings.TrimPrefix(code, "BackupService."))
}

// codesIn returns all texts that stand in an object, or in an object that is a member of it.
func codesIn(body string) (codes []string) {
	var members map[string]any
	_ = json.Unmarshal([]byte(body), &members)
	for _, member := range members {
		inner, _ := member.(map[string]any)
		for _, value := range append(slices.Collect(maps.Values(inner)), member) {
			if text, isText := value.(string); isText {
				codes = append(codes, text)
			}
		}
	}
	return codes
}

// Every answer but a 200 has a class, and by it nothing is sent twice and no token is tried again and again.
func FuzzClassify(f *testing.F) {
	for _, row := range documentedErrors {
		for _, code := range row.codes {
			f.Add(uint16(row.status), code, "what happened", "7")
		}
	}
	for _, code := range []string{cbr.CodeTaskNotFound, cbr.CodeBackupNotFound, "0301", "APIGW.", "apigw.0301", "APIGW.0301 ", "BackupService.", "BackupService.9998\x00"} {
		for _, status := range []uint16{0, 100, 201, 204, 304, 400, 401, 403, 404, 418, 429, 451, 500, 599, 999} {
			f.Add(status, code, "", "")
		}
	}
	for _, wait := range []string{"-1", "1e9", "18446744073709551615", "18446744073709551616", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "\x00", fuzzToken} {
		f.Add(uint16(429), "APIGW.0308", fuzzToken, wait)
	}
	f.Fuzz(func(t *testing.T, number uint16, code, message, wait string) {
		status := anyStatus(number)
		if status == http.StatusOK {
			return
		}
		body, err := json.Marshal(map[string]string{"error_code": code, "error_msg": message, "request_id": message})
		if err != nil {
			t.Fatal(err)
		}
		answer := stub{status: status, body: string(body), header: http.Header{"Retry-After": {wait}}}
		client := answer.client(t)
		for operation, call := range operations {
			failed := soundFailure(t, operation, status, call(t.Context(), client))
			checkClass(t, failed, toValidJSON(code))
		}
	})
}

// toValidJSON is a text as it arrives in JSON.
func toValidJSON(text string) string { return strings.ToValidUTF8(text, "\ufffd") }

func checkClass(t *testing.T, failed *cbr.Error, code string) {
	t.Helper()
	fail := func(rule string) {
		t.Helper()
		t.Errorf("%s, HTTP %d %q: got %s, untouched %t: %s", failed.Operation, failed.StatusCode, code, failed.Class, failed.Untouched, rule)
	}
	if want, documented := documentedClass(failed.Operation, failed.StatusCode, code); documented && failed.Class != want {
		fail("documented as " + string(want))
	}
	imports, ofCBR := failed.Operation == cbr.OperationImport, strings.HasPrefix(code, "BackupService.")
	ofGateway := strings.HasPrefix(code, "APIGW.") || strings.HasPrefix(code, "APIG.")
	switch failed.Class {
	case cbr.Rejected:
		if !ofCBR && failed.StatusCode != http.StatusRequestEntityTooLarge && failed.StatusCode != http.StatusRequestURITooLong {
			fail("only CBR itself blames a backup")
		}
	case cbr.Quota:
		if !ofCBR {
			fail("only CBR knows of its vaults")
		}
	case cbr.Credentials:
		if !ofCBR && !ofGateway {
			fail("something in between knows nothing of the credentials")
		}
	case cbr.Permission:
		if !ofCBR && !ofGateway && (failed.StatusCode != http.StatusForbidden || !strings.HasPrefix(failed.Message, "Policy doesn't allow ")) {
			fail("something in between knows nothing of permissions")
		}
	case cbr.Refused, cbr.Misdirected:
		if !ofGateway && failed.StatusCode >= 400 {
			fail("only the gateway refuses a call as such")
		}
	case cbr.Foreign:
		if failed.StatusCode >= 500 || failed.StatusCode >= 400 && (ofCBR || ofGateway) {
			fail("who answered is known")
		}
	case cbr.NotFound:
		if failed.StatusCode != http.StatusNotFound || !notFoundCode(code) || failed.Operation != cbr.OperationGetTask && failed.Operation != cbr.OperationGetBackup {
			fail("only a read by an id finds nothing, and only CBR can say so")
		}
	case cbr.Unknown:
		if !imports {
			fail("a read has nothing to be unknown about")
		}
	case cbr.Transient:
		if imports && !slices.Contains(certainlyTransient, code) {
			fail("an import that failed behind the gateway may have been taken")
		}
	case cbr.Throttled:
	}
	tooMany := failed.StatusCode == http.StatusTooManyRequests && !failed.FromCBR()
	if failed.Untouched && !tooMany && (!ofGateway || !slices.Contains([]int{401, 403, 404}, failed.StatusCode)) {
		fail("only the gateway can turn a call away before CBR has seen it")
	}
	if failed.Untouched && failed.StatusCode == http.StatusNotFound && failed.Class != cbr.Misdirected {
		fail("a 404 turns a call away only if there is no such API")
	}
}

// certainlyTransient are the codes by which an import that failed may simply be sent again, after a look.
var certainlyTransient = []string{"BackupService.7302", "BackupService.6203", "BackupService.6125", "BackupService.6130", "BackupService.6110",
	"BackupService.0002", "APIGW.0201", "APIG.0201", "APIGW.0613", "APIG.0613"}

// documentedClass is the class of a row of the table of errors, if the answer is one.
func documentedClass(operation cbr.Operation, status int, code string) (cbr.Class, bool) {
	for _, row := range documentedErrors {
		if row.status == status && slices.Contains(row.codes, code) {
			if row.class == behind {
				return behindOf(operation), true
			}
			return row.class, true
		}
	}
	return "", false
}
