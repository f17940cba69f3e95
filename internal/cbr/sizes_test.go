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
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/racedetector"
)

// maxAllocation is what a call may allocate in all, with what is collected again meanwhile, whatever it is answered.
const maxAllocation = 64 << 20

// members are the documented members of the answers, and whether they are lists.
var members = map[cbr.Operation]struct {
	name   string
	isList bool
}{
	cbr.OperationImport: {"sync", true}, cbr.OperationListTasks: {"operation_logs", true}, cbr.OperationListBackups: {"backups", true},
	cbr.OperationGetTask: {"operation_log", false}, cbr.OperationGetBackup: {"backup", false},
}

// bombs are answers that take a lot of memory to read with patience. Each is longer than any answer may be, MEMBER stands for the
// documented member and HEAD and TAIL for what stands around one element.
var bombs = map[string][3]string{
	"empty elements":        {`{"MEMBER":[`, `{},`, `{}]}`},
	"elements that are odd": {`{"MEMBER":[`, `0,`, `0]}`},
	"empty members":         {`HEAD`, `"a":{},`, `"b":0TAIL`},
	"a text":                {`HEAD"id":"`, `xxxxxxxxxxxxxxxx`, `"TAIL`},
	"a text of escapes":     {`HEAD"id":"`, `\u0061\n\ud83d\ude00`, `"TAIL`},
	"a number":              {`HEAD"extra_info":{"sync":{"sync_backup_num":`, `1111111111111111`, `}}TAIL`},
	"a name":                {`HEAD"`, `xxxxxxxxxxxxxxxx`, `":0TAIL`},
	"white space":           {`{"MEMBER":`, `                `, `[]}`},
	"lists in lists":        {`HEAD"children":`, `[`, ``},
	"objects in objects":    {`HEAD"children":`, `{"` + strings.Repeat("n", 10_000) + `":`, ``},
	"ids again and again":   {`HEAD`, `"id":"` + strings.Repeat("\xff", 9000) + `","backup_id":"",`, `"b":0TAIL`},
	"short ids":             {`HEAD`, `"id":"",`, `"b":0TAIL`},
	"ids of a kilobyte":     {`HEAD`, `"id":"` + strings.Repeat("\xff", 1000) + `",`, `"b":0TAIL`},
	"times":                 {`HEAD`, `"created_at":"2019-13-26T14:35:23.584418",`, `"b":0TAIL`},
	"long times":            {`HEAD`, `"created_at":"` + strings.Repeat("9", 9000) + `",`, `"b":0TAIL`},
	"names in odd letters":  {`HEAD`, `"` + strings.Repeat("\xff", 40) + `":0,`, `"b":0TAIL`},
	"numbers":               {`HEAD"extra_info":{"sync":{`, `"sync_backup_num":` + strings.Repeat("1", 60_000) + `,`, `"b":0}}TAIL`},
	"counts":                {`{`, `"count":` + strings.Repeat("1", 60_000) + `,`, `"count":0}`},
	"lists again and again": {`{`, `"MEMBER":[{"id":"a"},{"id":"b"}],`, `"MEMBER":[]}`},
	"full elements":         {`{"MEMBER":[`, `{"id":"` + strings.Repeat("\xff", 7000) + `","error_info":{"message":"` + strings.Repeat("m", 7000) + `"}},`, `{}]}`},
	"other members":         {`{`, `"other":[{"a":"b"},{"c":[1,2,3]}],`, `"MEMBER":[]}`},
}

// readToTheEnd are the bombs that take long, as no limit but that of the length ends them: two calls are enough.
var readToTheEnd = map[string]bool{"empty members": true, "ids again and again": true, "short ids": true, "ids of a kilobyte": true, "times": true,
	"names in odd letters": true, "full elements": true, "other members": true}

// bomb is the answer of this name to an operation.
func bomb(name string, operation cbr.Operation) []byte {
	member, parts := members[operation], bombs[name]
	head, tail := `{"`+member.name+`":{`, `}}`
	if member.isList {
		head, tail = `{"`+member.name+`":[{`, `}]}`
	}
	within := func(text string) string {
		return strings.NewReplacer("HEAD", head, "TAIL", tail, "MEMBER", member.name).Replace(text)
	}
	part := within(parts[1])
	return []byte(within(parts[0]) + strings.Repeat(part, 13<<20/len(part)) + within(parts[2]))
}

func zip(body []byte) []byte {
	var zipped bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	_, _ = writer.Write(body)
	_ = writer.Close()
	return zipped.Bytes()
}

// expectModest makes a call of a server that answers with a body, and measures what that takes.
func expectModest(t *testing.T, name string, operation cbr.Operation, status int, header http.Header, body []byte, beside ...string) *cbr.Error {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			writer.Header()[name] = values
		}
		writer.WriteHeader(status)
		_, _ = writer.Write(body)
	}))
	defer server.Close()
	config := configFor(t, server.URL, strings.Repeat("MIIFs3cr3tT0ken+", 4<<10), "") // the longest token there is
	config.Hidden = func() []string { return beside }
	client := newClient(t, config)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := operations[operation](t.Context(), client)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > maxAllocation {
		t.Errorf("%s, %s, HTTP %d: %d MiB were allocated", name, operation, status, took>>20)
	}
	return failure(t, err)
}

// No answer may take the memory of the process: it would be there again after each start.
func TestMemoryOfAnyAnswerIsBounded(t *testing.T) {
	if racedetector.Enabled {
		t.Skip("memory is measured without the race detector")
	}
	for name := range bombs {
		for operation := range members {
			if readToTheEnd[name] && operation != cbr.OperationListTasks && operation != cbr.OperationGetBackup {
				continue
			}
			body := bomb(name, operation)
			got := expectModest(t, name, operation, http.StatusOK, nil, body)
			if got.Class != behindOf(operation) || got.Untouched {
				t.Errorf("%s, %s: got %v", name, operation, got)
			}
			if name == "empty elements" || name == "ids of a kilobyte" {
				expectModest(t, name+", zipped", operation, http.StatusOK, http.Header{"Content-Encoding": {"gzip"}}, zip(body))
			}
		}
	}
}

func TestMemoryOfAnyRefusalIsBounded(t *testing.T) {
	if racedetector.Enabled {
		t.Skip("memory is measured without the race detector")
	}
	for name, parts := range map[string][3]string{
		"a message": {`{"error_code":"BackupService.9900","error_msg":"`, `xxxxxxxxxxxxxxxx`, `"}`},
		"a code":    {`{"error_code":`, `1111111111111111`, `}`},
		"members":   {`{`, `"a":{"code":1},`, `"b":0}`},
		"depth":     {`{"error":`, `{"error":`, ``},
		"lists":     {``, `[`, ``},
		"a title":   {`<title>`, `xxxxxxxxxxxxxxxx`, `</title>`},
		"tags":      {`<html>`, `<title <`, `</html>`},
		"text":      {``, "\xff\x00ab", ``},
	} {
		for _, size := range []int{60 << 10, 16 << 20} {
			body := []byte(parts[0] + strings.Repeat(parts[1], size/len(parts[1])) + parts[2])
			for _, header := range []http.Header{nil, {"Content-Encoding": {"gzip"}}} {
				answer := body
				if header != nil {
					answer = zip(body)
				}
				for _, operation := range []cbr.Operation{cbr.OperationImport, cbr.OperationGetBackup} {
					got := expectModest(t, fmt.Sprintf("%s of %d bytes", name, size), operation, http.StatusForbidden, header, answer)
					if len(got.Error()) > 4<<10 {
						t.Errorf("%s: an error of %d bytes", name, len(got.Error()))
					}
				}
			}
		}
	}
}

// Who writes a Secret says how much there is to hide, and may replace it all day. What cannot be searched for all of it is not told.
func TestMemoryOfWhatIsHiddenIsBounded(t *testing.T) {
	if racedetector.Enabled {
		t.Skip("memory is measured without the race detector")
	}
	var texts []string
	for i := range 32 * 3 {
		texts = append(texts, strings.Repeat(fmt.Sprintf("the secret text of number %04d, ", i), 2<<10))
	}
	for _, beside := range [][]string{texts, texts[:2], texts[:1], {texts[0], texts[0], texts[0]}} {
		for _, echoed := range []string{beside[0], beside[len(beside)-1]} {
			body := fmt.Appendf(nil, `{"error_code":"APIGW.0301","error_msg":"it is not %s","request_id":"r"}`, echoed[:50])
			got := expectModest(t, fmt.Sprintf("%d texts", len(beside)), cbr.OperationImport, http.StatusUnauthorized, nil, body, beside...)
			if got.Class != cbr.Credentials || got.Code != "APIGW.0301" || strings.Contains(got.Error(), "secret") {
				t.Fatalf("%d texts: got %v", len(beside), got)
			}
			if within := len(beside[0])*len(slices.Compact(slices.Clone(beside))) <= 64<<10; within != (got.RequestID == "r") {
				t.Errorf("%d texts: got %v", len(beside), got)
			}
		}
	}
}

// 16 KB on the wire were 5.6 million backups.
func TestMoreElementsThanWereAskedFor(t *testing.T) {
	elements := func(operation cbr.Operation, size int) string {
		return `{"` + members[operation].name + `":[` + strings.TrimSuffix(strings.Repeat(`{"id":"a","backup_id":"a","operation_log_id":"b"},`, size), ",") + `]}`
	}
	calls := map[cbr.Operation]func(client *cbr.Client) (int, error){
		cbr.OperationImport: func(client *cbr.Client) (int, error) {
			imports, err := client.ImportBackups(t.Context(), cbrtest.Backups(7))
			return len(imports), err
		},
		cbr.OperationListTasks: func(client *cbr.Client) (int, error) {
			page, err := client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{Limit: 7})
			return len(page.Items), err
		},
		cbr.OperationListBackups: func(client *cbr.Client) (int, error) {
			page, err := client.ListBackups(t.Context(), cbr.BackupsQuery{Limit: 7})
			return len(page.Items), err
		},
	}
	for operation, call := range calls {
		most := 7
		if operation == cbr.OperationImport { // ids may come twice, or some that nobody has asked for
			most = 10 * cbr.MaxImportItems
		}
		if got, err := call(answering(t, elements(operation, most))); got != most || err != nil {
			t.Errorf("%s: got %d elements, %v", operation, got, err)
		}
		got, err := call(answering(t, elements(operation, most+1)))
		if failed := failure(t, err); got != 0 || failed.Class != behindOf(operation) || failed.Untouched || !strings.Contains(err.Error(), fmt.Sprintf("more than the %d elements", most)) {
			t.Errorf("%s: got %d elements, %v", operation, got, err)
		}
	}
}

func TestLimitsOfAnAnswer(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"a long text":  {`{"backups":[],"other":"` + strings.Repeat("x", 10<<20) + `"}`, "a part of it is longer than"},
		"depth":        {`{"backups":[],"other":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested more than"},
		"values":       {`{"backups":[{` + strings.Repeat(`"id":"a",`, 40_000) + `"id":"b"}]}`, "more than 32000 values"},
		"depth of ids": {`{"backups":[{"id":` + strings.Repeat(`{"id":`, 40) + `0` + strings.Repeat("}", 40) + `}]}`, "nested more than"},
		"length":       {`{"backups":[],"other":[` + strings.Repeat(`"x",`, 4<<20) + `0]}`, "it is longer than"},
	} {
		_, err := answering(t, test.body).ListBackups(t.Context(), cbr.BackupsQuery{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	long := `{"backups":[{"id":"a","status":"` + strings.Repeat("s", 50<<10) + `","name":"` + strings.Repeat("n", 50<<10) + `"}]}`
	page, err := answering(t, long).ListBackups(t.Context(), cbr.BackupsQuery{})
	if err != nil || len(page.Items) != 1 || len(page.Items[0].Status) > 1024 {
		t.Errorf("a backup with long texts: got %d, %v", len(page.Items), err)
	}
}
