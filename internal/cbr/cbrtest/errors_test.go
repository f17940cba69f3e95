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
	"io"
	"net/http"
	"strings"
	"testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// page is an answer of any kind.
type page struct {
	status            int
	contentType, text string
}

// visit makes a raw request with the right token, whatever the answer is.
func visit(t *testing.T, method, url, body string) page {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Auth-Token", cbrtest.Token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{status: response.StatusCode, contentType: response.Header.Get("Content-Type"), text: string(content)}
}

func TestErrorShapes(t *testing.T) {
	refused := cbrtest.APIError{Status: 409, Code: "BackupService.6110", Message: "in progress"}
	plain := `{"error_code":"BackupService.6110","error_msg":"in progress"}`
	for shape, want := range map[cbrtest.ErrorShape]string{
		"":                     plain,
		cbrtest.ShapeCBR:       plain,
		cbrtest.ShapeNumeric:   `{"error_code":6110,"error_msg":"in progress"}`,
		cbrtest.ShapeStatus:    `{"code":409,"message":"in progress","title":"Conflict"}`,
		cbrtest.ShapeNested:    `{"error":{"code":"BackupService.6110","message":"in progress"}}`,
		cbrtest.ShapeOpenStack: `{"conflictingRequest":{"code":409,"message":"in progress"}}`,
		cbrtest.ShapeEmpty:     ``,
	} {
		own := refused
		own.Shape = shape
		for name, options := range map[string]cbrtest.Options{
			"for all": {ErrorShape: shape, Refusals: []cbrtest.Refusal{{APIError: refused}}},
			"its own": {ErrorShape: cbrtest.ShapeCBR, Refusals: []cbrtest.Refusal{{APIError: own}}},
		} {
			server := cbrtest.NewServer(t, options)
			got := visit(t, http.MethodGet, projectURL(server)+"/backups", "")
			if got.status != 409 || got.text != want || strings.Contains(got.contentType, "json") != (want != "") {
				t.Errorf("shape %q %s: got HTTP %d %s %s, want %s", shape, name, got.status, got.contentType, got.text, want)
			}
			if call := server.Ledger()[0]; call.Status != 409 || call.Code != refused.Code {
				t.Errorf("shape %q %s: the ledger has %d %s", shape, name, call.Status, call.Code)
			}
		}
	}
}

func TestNamesOfOpenStack(t *testing.T) {
	for status, want := range map[int]string{
		400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest", 429: "overLimit", 500: "computeFault",
	} {
		server := cbrtest.NewServer(t, cbrtest.Options{ErrorShape: cbrtest.ShapeOpenStack})
		server.Inject(cbrtest.Fault{Status: status, Message: "m"})
		got := send(t, http.MethodGet, projectURL(server)+"/backups", "")
		if content, _ := got.body[want].(map[string]any); content["code"] != float64(status) || content["message"] != "m" {
			t.Errorf("HTTP %d: got %v, want %s", status, got.body, want)
		}
	}
}

func TestNumericCodes(t *testing.T) {
	for code, want := range map[string]int{"APIGW.0301": 301, "9900": 9900, "": 400, "Odd": 400} {
		server := cbrtest.NewServer(t, cbrtest.Options{})
		server.Inject(cbrtest.Fault{Status: 400, Code: code, Shape: cbrtest.ShapeNumeric})
		if got := visit(t, http.MethodGet, projectURL(server)+"/backups", ""); !strings.Contains(got.text, fmt.Sprintf(`"error_code":%d,`, want)) {
			t.Errorf("code %q: got %s, want %d", code, got.text, want)
		}
	}
}

func TestUnknownTextsAreRefused(t *testing.T) {
	var (
		shape cbrtest.ErrorShape
		calls cbrtest.Calls
		count cbrtest.Count
	)
	for text, read := range map[string]func([]byte) error{"html": shape.UnmarshalText, "reads": calls.UnmarshalText, "page": count.UnmarshalText} {
		if err := read([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := read(nil); err != nil {
			t.Errorf("the empty text: %v", err)
		}
		if read([]byte(text+"x")) == nil {
			t.Errorf("%sx is taken", text)
		}
	}
	if err := calls.UnmarshalText([]byte(cbr.OperationGetTask)); err != nil || calls != cbrtest.Calls(cbr.OperationGetTask) {
		t.Errorf("an operation: got %q and %v", calls, err)
	}
}

func TestIDsThatAreNotKnown(t *testing.T) {
	paths := []string{"/operation-logs/", "/backups/"}
	unknown := cbrtest.Backup(7).ID
	for name, test := range map[string]struct {
		answer *cbrtest.APIError
		status int
		task   string
		backup string
	}{
		"as documented": {nil, 404, `{"error_code":"BackupService.6500","error_msg":"The task does not exist"}`,
			`{"error_code":"BackupService.6200","error_msg":"The backup does not exist"}`},
		"another code": {&cbrtest.APIError{Code: "BackupService.6201"}, 404, `{"error_code":"BackupService.6201","error_msg":"The task does not exist"}`,
			`{"error_code":"BackupService.6201","error_msg":"The backup does not exist"}`},
		"OpenStack": {&cbrtest.APIError{Shape: cbrtest.ShapeOpenStack, Message: "none"}, 404, `{"itemNotFound":{"code":404,"message":"none"}}`,
			`{"itemNotFound":{"code":404,"message":"none"}}`},
		"empty": {&cbrtest.APIError{Shape: cbrtest.ShapeEmpty}, 404, ``, ``},
		"400": {&cbrtest.APIError{Status: 400, Code: "BackupService.9900", Message: "m"}, 400, `{"error_code":"BackupService.9900","error_msg":"m"}`,
			`{"error_code":"BackupService.9900","error_msg":"m"}`},
	} {
		server := cbrtest.NewServer(t, cbrtest.Options{TaskNotFound: test.answer, BackupNotFound: test.answer})
		for i, want := range []string{test.task, test.backup} {
			if got := visit(t, http.MethodGet, projectURL(server)+paths[i]+unknown, ""); got.status != test.status || got.text != want {
				t.Errorf("%s, %s: got HTTP %d %s, want %d %s", name, paths[i], got.status, got.text, test.status, want)
			}
		}
	}
}

func TestIDsMustBeUUIDs(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{RequireUUIDs: true})
	server.AddBackups("", cbr.StoredBackup{ID: "there"})
	for id, want := range map[string]int{
		cbrtest.Backup(1).ID: 404, strings.ToUpper(cbrtest.Backup(1).ID): 404, "there": 400, "x": 400, "1f9e6b47-7655-4a19-b563-21b4ef02302g": 400,
		"1f9e6b4776554a19b56321b4ef023025": 400,
	} {
		for _, path := range []string{"/operation-logs/", "/backups/"} {
			got := send(t, http.MethodGet, projectURL(server)+path+id, "")
			if got.status != want || want == 400 && got.Code != "BackupService.9900" {
				t.Errorf("%s%s: got HTTP %d %s, want %d", path, id, got.status, got.Code, want)
			}
		}
	}
}

func TestSomeIDsCannotBeAskedFor(t *testing.T) {
	bad := cbrtest.Backup(1).ID
	server := cbrtest.NewServer(t, cbrtest.Options{GetError: func(id string) *cbrtest.APIError {
		if id == bad {
			return &cbrtest.APIError{Status: 500, Code: "BackupService.9910"}
		}
		return nil
	}})
	server.AddBackups("", cbr.StoredBackup{ID: bad})
	for _, path := range []string{"/operation-logs/", "/backups/"} {
		if got := send(t, http.MethodGet, projectURL(server)+path+bad, ""); got.status != 500 || got.Code != "BackupService.9910" {
			t.Errorf("%s: got HTTP %d %s, want 500 BackupService.9910", path, got.status, got.Code)
		}
		if got := send(t, http.MethodGet, projectURL(server)+path+cbrtest.Backup(2).ID, ""); got.status != 404 {
			t.Errorf("%s: another id: got HTTP %d, want 404", path, got.status)
		}
	}
}
