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
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// documentedErrors are the rows of "Errors" in what is known of the API. A failure "behind" is Unknown for an
// import and Transient for a read.
const behind cbr.Class = "behind"

var documentedErrors = []struct {
	status    int
	codes     []string
	class     cbr.Class
	untouched bool
}{
	{400, []string{"BackupService.9900", "BackupService.7300", "BackupService.7301", "BackupService.6135", "BackupService.6102",
		"BackupService.6112", "BackupService.6300", "BackupService.6301", "BackupService.7110", "BackupService.6114",
		"BackupService.6142", "BackupService.7303"}, cbr.Rejected, false},
	{404, []string{"BackupService.6105", "BackupService.6302"}, cbr.Rejected, false},
	{400, []string{"BackupService.4711", "Other.1", ""}, cbr.Rejected, false},
	{409, []string{"BackupService.4711"}, cbr.Rejected, false},
	{413, []string{"APIGW.0201", "APIG.0201", ""}, cbr.Rejected, false},
	{414, []string{"APIGW.0201", "APIG.0201", ""}, cbr.Rejected, false},

	{429, []string{"APIGW.0308", "APIG.0308", "APIGW.9999", ""}, cbr.Throttled, true},
	{503, []string{"APIGW.0308"}, cbr.Throttled, false},

	{401, []string{"APIGW.0301", "APIGW.0303", "APIGW.0305", "APIGW.0307", "APIG.0301", "APIG.0307", "APIGW.9999", ""}, cbr.Credentials, true},
	{403, []string{"APIGW.0302", "APIGW.0306", "APIGW.0310", "APIG.0302", ""}, cbr.Credentials, true},
	{403, []string{"BackupService.8600"}, cbr.Credentials, false}, // CBR itself says this, behind the gateway
	{500, []string{"BackupService.9998"}, cbr.Credentials, false},

	{404, []string{"APIGW.0101", "APIG.0101"}, cbr.Misdirected, true},
	{404, []string{""}, cbr.Misdirected, false},
	{405, []string{""}, cbr.Misdirected, false},

	{400, []string{"BackupService.7302", "BackupService.0002"}, cbr.Transient, false},
	{502, []string{"APIGW.0201", "APIG.0201"}, cbr.Transient, false},
	{503, []string{"APIGW.0613", "APIG.0613"}, cbr.Transient, false},

	{500, []string{"BackupService.1006", "BackupService.9910", "BackupService.4711", ""}, behind, false},
	{502, []string{""}, behind, false},
	{503, []string{""}, behind, false},
	{504, []string{"APIGW.0201", "APIG.0201", ""}, behind, false},
	{408, []string{""}, behind, false},
	// The code goes before the status, whichever that is.
	{500, []string{"BackupService.8600", "APIGW.0301", "APIGW.0302", "APIGW.0303", "APIGW.0305", "APIGW.0306", "APIGW.0307",
		"APIGW.0310", "APIG.0302"}, cbr.Credentials, false},
	{500, []string{"BackupService.6105", "BackupService.6302"}, cbr.Rejected, false},
	{400, []string{"APIGW.0101"}, cbr.Misdirected, false},
	{500, []string{"BackupService.7302", "APIGW.0613"}, cbr.Transient, false},

	{201, []string{""}, behind, false},
	{202, []string{""}, behind, false},
}

func TestErrorsAreClassified(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	client := server.Client(t)
	for _, row := range documentedErrors {
		for _, code := range row.codes {
			for operation, call := range operations {
				t.Run(fmt.Sprintf("%s/%d %s", operation, row.status, code), func(t *testing.T) {
					server.Inject(cbrtest.Fault{Operation: operation, Status: row.status, Code: code, Message: "what happened"})
					want := row.class
					if want == behind {
						want = behindOf(operation)
					}
					got := failure(t, call(t.Context(), client))
					if got.Class != want || got.Untouched != row.untouched {
						t.Errorf("got %s, untouched %t; want %s, %t", got.Class, got.Untouched, want, row.untouched)
					}
					if got.Operation != operation || got.StatusCode != row.status || row.status >= 300 && (got.Code != code || got.Message != "what happened") {
						t.Errorf("got %+v", got)
					}
				})
			}
		}
	}
}

func TestOnlyReadsAreNotFound(t *testing.T) {
	for _, code := range []string{cbr.CodeTaskNotFound, cbr.CodeBackupNotFound} {
		server := cbrtest.NewServer(t, cbrtest.Options{})
		server.Inject(cbrtest.Fault{Times: cbrtest.Always, Status: http.StatusNotFound, Code: code})
		client := server.Client(t)
		for _, operation := range []cbr.Operation{cbr.OperationGetTask, cbr.OperationGetBackup} {
			if err := operations[operation](t.Context(), client); !cbr.IsNotFound(err) {
				t.Errorf("%s with %s: got %v, want not found", operation, code, err)
			}
		}
		err := operations[cbr.OperationImport](t.Context(), client)
		if cbr.IsNotFound(err) || cbr.ClassOf(err) != cbr.Rejected {
			t.Errorf("an import with %s: got %s, want Rejected", code, cbr.ClassOf(err))
		}
	}
}

func TestErrorBodiesThatAreNotCBRs(t *testing.T) {
	for _, body := range []string{"", "<html>503</html>", "null", "[]", `"text"`, `{"error_code":`, `{"error_code":7}`, `{"error":{"code":"BackupService.7302"}}`} {
		client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
			writer.Header().Set("X-Request-Id", "from-the-header")
			writer.WriteHeader(http.StatusServiceUnavailable)
			_, _ = writer.Write([]byte(body))
		})
		for operation, call := range operations {
			got := failure(t, call(t.Context(), client))
			if got.Class != behindOf(operation) || got.StatusCode != http.StatusServiceUnavailable || got.Code != "" || got.RequestID != "from-the-header" {
				t.Errorf("%s with %q: got %+v", operation, body, got)
			}
		}
	}
}

func TestErrorTextSaysWhatIsNeededForSupport(t *testing.T) {
	client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
		writer.WriteHeader(http.StatusTooManyRequests)
		_, _ = writer.Write([]byte(`{"error_code":"APIGW.0308","error_msg":"too fast","request_id":"r-1"}`))
	})
	_, err := client.ImportBackups(t.Context(), cbrtest.Backups(1))
	if got, want := err.Error(), "ImportBackup: HTTP 429 APIGW.0308: too fast (request r-1)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	without := &cbr.Error{Operation: cbr.OperationGetTask, Err: errors.New("cause")}
	if got, want := without.Error(), "ShowOpLog: no answer: cause"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(without, without.Err) {
		t.Error("the cause is not in the chain")
	}
}

func TestClassesOfOtherErrors(t *testing.T) {
	if got := cbr.ClassOf(errors.New("else")); got != cbr.Transient {
		t.Errorf("got %s, want Transient", got)
	}
	wrapped := fmt.Errorf("list: %w", &cbr.Error{Class: cbr.NotFound})
	if cbr.ClassOf(wrapped) != cbr.NotFound || !cbr.IsNotFound(wrapped) || cbr.IsNotFound(nil) {
		t.Error("wrapped errors lose their class")
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string][2]time.Duration{
		"":        {0, 0},
		"7":       {7 * time.Second, 7 * time.Second},
		"\t8":     {8 * time.Second, 8 * time.Second},
		"0":       {0, 0},
		"-3":      {0, 0},
		"soon":    {0, 0},
		"1.5":     {0, 0},
		"1000000": {time.Hour, time.Hour},
		time.Now().UTC().Add(90 * time.Second).Format(http.TimeFormat): {60 * time.Second, 90 * time.Second},
		time.Now().UTC().Add(-time.Minute).Format(http.TimeFormat):     {0, 0},
		time.Now().UTC().AddDate(1, 0, 0).Format(http.TimeFormat):      {time.Hour, time.Hour},
	} {
		client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
			if header != "" {
				writer.Header().Set("Retry-After", header)
			}
			writer.WriteHeader(http.StatusTooManyRequests)
		})
		got := failure(t, operations[cbr.OperationImport](t.Context(), client))
		if got.RetryAfter < want[0] || got.RetryAfter > want[1] || got.Class != cbr.Throttled {
			t.Errorf("%q: got %s, want %s to %s", header, got.RetryAfter, want[0], want[1])
		}
	}
}

func TestLongErrorBodiesAreClassifiedByStatus(t *testing.T) {
	client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
		writer.WriteHeader(http.StatusBadRequest)
		pad(writer, 17<<20)
	})
	got := failure(t, operations[cbr.OperationImport](t.Context(), client))
	if got.Class != cbr.Rejected || strings.Contains(got.Error(), "   ") {
		t.Errorf("got %s with a text of %d bytes", got.Class, len(got.Error()))
	}
}
