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
		"BackupService.6112", "BackupService.6300", "BackupService.6301", "BackupService.7110", "BackupService.4711"}, cbr.Rejected, false},
	{404, []string{"BackupService.6105", "BackupService.6302", "BackupService.4711"}, cbr.Rejected, false},
	{409, []string{"BackupService.4711"}, cbr.Rejected, false},
	{413, []string{"APIGW.0201", "APIG.0201", "BackupService.4711", ""}, cbr.Rejected, false},
	{414, []string{"APIGW.0201", "APIG.0201", ""}, cbr.Rejected, false},

	{400, []string{"BackupService.6114", "BackupService.6142", "BackupService.7303"}, cbr.Quota, false},
	{403, []string{"BackupService.6114"}, cbr.Quota, false},

	{429, []string{"APIGW.0308", "APIG.0308", "APIGW.9999", "Other.1", ""}, cbr.Throttled, true},
	{429, []string{"BackupService.4711"}, cbr.Throttled, false}, // CBR's own
	{503, []string{"APIGW.0308"}, cbr.Throttled, false},
	{400, []string{"APIG.0308"}, cbr.Throttled, false},

	{401, []string{"APIGW.0301", "APIGW.0303", "APIGW.0305", "APIGW.0307", "APIG.0301", "APIG.0307", "APIGW.9999"}, cbr.Credentials, true},
	{403, []string{"APIGW.0306", "APIGW.0310", "APIG.0306"}, cbr.Credentials, true},
	{403, []string{"BackupService.8600"}, cbr.Credentials, false}, // CBR itself says this, behind the gateway
	{401, []string{"BackupService.4711"}, cbr.Credentials, false},
	{500, []string{"BackupService.9998"}, cbr.Credentials, false},

	{403, []string{"APIGW.0302", "APIGW.0802", "APIG.0302", "APIGW.9999"}, cbr.Permission, true},
	{403, []string{"BackupService.9900", "BackupService.4711", "BackupService.6105"}, cbr.Permission, false},

	{400, []string{"APIGW.0104", "APIGW.0105", "APIGW.0106", "APIGW.0201", "APIG.0106", "APIGW.9999"}, cbr.Refused, false},
	{404, []string{"APIGW.9999", "APIGW.0201"}, cbr.Refused, false},
	{405, []string{"APIG.0106"}, cbr.Refused, false},

	{404, []string{"APIGW.0101", "APIG.0101"}, cbr.Misdirected, true},

	{400, []string{"Other.1", "0301", "apigw.0301", "9900", ""}, cbr.Foreign, false},
	{401, []string{"Other.1", "0301", ""}, cbr.Foreign, false},
	{403, []string{"Other.1", ""}, cbr.Foreign, false},
	{404, []string{"Other.1", "404", ""}, cbr.Foreign, false},
	{405, []string{""}, cbr.Foreign, false},
	{407, []string{""}, cbr.Foreign, false},
	{409, []string{""}, cbr.Foreign, false},
	{418, []string{""}, cbr.Foreign, false},
	{451, []string{""}, cbr.Foreign, false},

	{400, []string{"BackupService.7302", "BackupService.6203", "BackupService.6125", "BackupService.6130", "BackupService.6110",
		"BackupService.0002"}, cbr.Transient, false},
	{502, []string{"APIGW.0201", "APIG.0201"}, cbr.Transient, false},
	{503, []string{"APIGW.0613", "APIG.0613"}, cbr.Transient, false},

	{500, []string{"BackupService.1006", "BackupService.9910", "BackupService.4711", "BackupService.6200", ""}, behind, false},
	{502, []string{""}, behind, false},
	{503, []string{"", "0613"}, behind, false},
	{504, []string{"APIGW.0201", "APIG.0201", ""}, behind, false},
	{408, []string{""}, behind, false},
	// The code goes before the status, whichever that is.
	{500, []string{"BackupService.8600", "APIGW.0301", "APIGW.0303", "APIGW.0305", "APIGW.0306", "APIGW.0307", "APIGW.0310"}, cbr.Credentials, false},
	{500, []string{"APIGW.0302", "APIG.0302"}, cbr.Permission, false},
	{500, []string{"BackupService.6105", "BackupService.6302"}, cbr.Rejected, false},
	{500, []string{"BackupService.7303"}, cbr.Quota, false},
	{400, []string{"APIGW.0101"}, cbr.Misdirected, false},
	{500, []string{"BackupService.7302", "APIGW.0613"}, cbr.Transient, false},

	{201, []string{""}, behind, false},
	{202, []string{"", "BackupService.9900"}, behind, false},
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

// reply is a client of a server that answers everything with the same status and body.
func reply(t *testing.T, status int, body string) *cbr.Client {
	t.Helper()
	return clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("X-Request-Id", "from-the-header")
		writer.WriteHeader(status)
		_, _ = writer.Write([]byte(body))
	})
}

// notFoundBodies are the answers to an unknown id that are known of CBR and its sister clouds, all with a 404.
var notFoundBodies = []string{
	`{"error_code":6200}`, `{"code":"6217","message":"m"}`, `{"error_code":"BackupService.6200"}`, `{"error_code":"BackupService.6201"}`, `{"error_code":"BackupService.6217"}`,
	`{"error_code":"BackupService.6500"}`, `{"error_code":"BackupService.6501"}`, `{"error":{"code":"BackupService.6200","message":"m"}}`,
	`{"itemNotFound":{"message":"no such backup","code":404}}`, `{"itemNotFound":{"message":"no such backup","code":"404"}}`, ``,
}

func TestOnlyReadsByIDAreNotFound(t *testing.T) {
	for _, body := range notFoundBodies {
		client := reply(t, http.StatusNotFound, body)
		for operation, call := range operations {
			err := call(t.Context(), client)
			byID := operation == cbr.OperationGetTask || operation == cbr.OperationGetBackup
			if cbr.IsNotFound(err) != byID {
				t.Errorf("%s with %q: got %s", operation, body, cbr.ClassOf(err))
			}
			if got := failure(t, err); !byID && got.FromCBR() != (got.Class == cbr.Rejected) || got.Untouched {
				t.Errorf("%s with %q: got %+v", operation, body, got)
			}
		}
	}
}

// What is not there may be sent: nothing that a proxy, a wrong path or a broken connection makes may pass for that.
func TestAnswersThatDoNotMeanNotFound(t *testing.T) {
	for body, want := range map[string]cbr.Class{
		`<html><title>404 Not Found</title></html>`: cbr.Foreign, "404 page not found\n": cbr.Foreign, " ": cbr.Foreign, "\n": cbr.Foreign,
		`{}`: cbr.Foreign, `null`: cbr.Foreign, `[]`: cbr.Foreign, `{"code":404,"message":"not found"}`: cbr.Foreign,
		`{"itemNotFound":null}`: cbr.Foreign, `{"itemNotFound":{}}`: cbr.Foreign, `{"itemNotFound":{"code":403}}`: cbr.Foreign,
		`{"itemNotFound":"404","code":404}`: cbr.Foreign, `{"itemNotFound":{"code":404},"code":403}`: cbr.Foreign,
		`{"itemNotFound":{"code":404}`: cbr.Foreign, `{"outer":{"itemNotFound":{"code":404}}}`: cbr.Foreign,
		`{"itemNotFound":{"code":404},"error_code":"APIGW.0101"}`: cbr.Misdirected, `{"error_code":"APIGW.0106"}`: cbr.Refused,
		`{"error_code":"BackupService.9900"}`: cbr.Rejected,
	} {
		client := reply(t, http.StatusNotFound, body)
		for _, operation := range []cbr.Operation{cbr.OperationGetTask, cbr.OperationGetBackup} {
			if got := failure(t, operations[operation](t.Context(), client)); got.Class != want {
				t.Errorf("%s with %q: got %s, want %s", operation, body, got.Class, want)
			}
		}
	}
	for _, status := range []int{400, 401, 403, 405, 410, 500} {
		for _, body := range notFoundBodies {
			client := reply(t, status, body)
			if err := operations[cbr.OperationGetBackup](t.Context(), client); cbr.IsNotFound(err) {
				t.Errorf("HTTP %d with %q counts as not found", status, body)
			}
		}
	}
}

func TestBodyThatIsCutOffIsNotEmpty(t *testing.T) {
	client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
		connection, buffer, _ := writer.(http.Hijacker).Hijack()
		defer connection.Close()
		_, _ = buffer.WriteString("HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n")
		_ = buffer.Flush()
	})
	if got := failure(t, operations[cbr.OperationGetBackup](t.Context(), client)); got.Class != cbr.Foreign {
		t.Errorf("got %+v, want Foreign", got)
	}
}

func TestErrorBodiesThatAreNotCBRs(t *testing.T) {
	for _, body := range []string{"", "<html>503</html>", "null", "[]", `"text"`, `{"error_code":`, `{"error_code":[7]}`, `{"error":{"error":{"code":"BackupService.7302"}}}`} {
		client := reply(t, http.StatusServiceUnavailable, body)
		for operation, call := range operations {
			got := failure(t, call(t.Context(), client))
			if got.Class != behindOf(operation) || got.StatusCode != http.StatusServiceUnavailable || got.Code != "" || got.Message != "" || got.RequestID != "from-the-header" {
				t.Errorf("%s with %q: got %+v", operation, body, got)
			}
		}
	}
}

func TestShapesOfErrorBodies(t *testing.T) {
	for body, want := range map[string]cbr.Error{
		`{"error_code":"BackupService.7300","error_msg":"m","request_id":"r"}`:                     {Class: cbr.Rejected, Code: "BackupService.7300", Message: "m", RequestID: "r"},
		`{"errorCode":"BackupService.7300","errorMsg":"m"}`:                                        {Class: cbr.Rejected, Code: "BackupService.7300", Message: "m"},
		`{"code":"BackupService.7300","message":"m","title":"t"}`:                                  {Class: cbr.Rejected, Code: "BackupService.7300", Message: "m"},
		`{"error":{"code":"BackupService.7300","message":"m","request_id":"r"}}`:                   {Class: cbr.Rejected, Code: "BackupService.7300", Message: "m", RequestID: "r"},
		`{"error":{"error_code":"APIGW.0106","error_msg":"m"},"request_id":"r"}`:                   {Class: cbr.Refused, Code: "APIGW.0106", Message: "m", RequestID: "r"},
		`{"code":400,"message":"Bad Request","error":{"code":"BackupService.7300","message":"m"}}`: {Class: cbr.Rejected, Code: "BackupService.7300", Message: "m"},
		`{"code":400,"message":"m","title":"Bad Request"}`:                                         {Class: cbr.Foreign, Code: "400", Message: "m"},
		`{"badRequest":{"message":"Invalid project id","code":400}}`:                               {Class: cbr.Foreign, Code: "400", Message: "Invalid project id"},
		`{"error":{"code":"400","title":"Bad Request"}}`:                                           {Class: cbr.Foreign, Code: "400", Message: "Bad Request"},
		`{"title":"Bad Request","error":{"message":"m"}}`:                                          {Class: cbr.Foreign, Message: "m"},
		`{"error_code":9900,"error_msg":"m"}`:                                                      {Class: cbr.Foreign, Code: "9900", Message: "m"},
		`{"error_code":-1.5e3}`:                                                                    {Class: cbr.Foreign, Code: "-1.5e3"},
		`{"error_code":null,"error_msg":true,"code":[1],"message":{"text":"x"}}`:                   {Class: cbr.Foreign},
		`{"b":{"code":"2","message":"b"},"a":{"code":"1","message":"a"}}`:                          {Class: cbr.Foreign, Code: "1", Message: "a"},
		`{"error_code":"APIGW.0106","error_code":"BackupService.7300"}`:                            {Class: cbr.Rejected, Code: "BackupService.7300"},
		`{"errors":[{"code":"BackupService.7300"}],"message":"m"}`:                                 {Class: cbr.Foreign, Message: "m"},
		"<html>\r\n<head><TITLE>400 Request Header\n Or Cookie Too Large</TITLE></head>":           {Class: cbr.Foreign, Message: "400 Request Header Or Cookie Too Large"},
		`<!DOCTYPE html><title lang="en">Blocked &lt;403&gt;</title>`:                              {Class: cbr.Foreign, Message: "Blocked <403>"},
		"Client sent an HTTP request to an HTTPS server.\n":                                        {Class: cbr.Foreign, Message: "Client sent an HTTP request to an HTTPS server."},
		"two\x00 \tlines\r\nof text":                                                               {Class: cbr.Foreign, Message: "two lines of text"},
		strings.Repeat("é", 300):                                                                   {Class: cbr.Foreign, Message: strings.Repeat("é", 200)},
		strings.Repeat("x", 1025):                                                                  {Class: cbr.Foreign},
		"<title>" + strings.Repeat("x", 300) + "</title>":                                          {Class: cbr.Foreign, Message: strings.Repeat("x", 200)},
		"<title>long page</title>" + strings.Repeat("é", 1<<20):                                    {Class: cbr.Foreign, Message: "long page"},
		"\xff\xfe\x00\x01": {Class: cbr.Foreign}, `{"error_code":"BackupService.7300"`: {Class: cbr.Foreign}, `"text"`: {Class: cbr.Foreign}, `7`: {Class: cbr.Foreign},
		strings.Repeat(`{"error":`, 9000) + `{"code":"BackupService.7300"}` + strings.Repeat(`}`, 9000): {Class: cbr.Foreign},
	} {
		if want.RequestID == "" {
			want.RequestID = "from-the-header"
		}
		want.Operation, want.StatusCode = cbr.OperationImport, http.StatusBadRequest
		if got := failure(t, operations[cbr.OperationImport](t.Context(), reply(t, http.StatusBadRequest, body))); *got != want {
			t.Errorf("%.200q: got %+v, want %+v", body, *got, want)
		}
	}
}

// A denial of the policy engine comes in the style of OpenStack, too; the page of a firewall is no such word.
func TestDenialByPolicy(t *testing.T) {
	const denial = "Policy doesn't allow cbr:backups:sync to be performed."
	for body, want := range map[string]cbr.Class{
		`{"error_code":"BackupService.4711","error_msg":"` + denial + `"}`: cbr.Permission,
		`{"forbidden":{"message":"` + denial + `","code":403}}`:            cbr.Permission,
		`{"message":"` + denial + `"}`:                                     cbr.Permission,
		denial:                                                             cbr.Foreign,
		`<title>` + denial + `</title>`:                                    cbr.Foreign,
		`{"message":"Forbidden"}`:                                          cbr.Foreign,
	} {
		got := failure(t, operations[cbr.OperationImport](t.Context(), reply(t, http.StatusForbidden, body)))
		if got.Class != want || got.Untouched || !got.MayBlameItem() {
			t.Errorf("%s: got %+v, want %s", body, got, want)
		}
	}
}

func TestWhoAnsweredAndWhatMayBeBlamed(t *testing.T) {
	for name, test := range map[string]struct {
		failed           cbr.Error
		fromCBR, anItems bool
	}{
		"a rejected call":            {cbr.Error{Class: cbr.Rejected, StatusCode: 400, Code: "BackupService.9900"}, true, true},
		"a call that is too large":   {cbr.Error{Class: cbr.Rejected, StatusCode: 413}, false, true},
		"what was not sent":          {cbr.Error{Class: cbr.Rejected}, false, true},
		"import failed":              {cbr.Error{Class: cbr.Unknown, StatusCode: 500, Code: cbr.CodeImportFailed}, true, true},
		"an outage":                  {cbr.Error{Class: cbr.Unknown, StatusCode: 502}, false, true},
		"no answer":                  {cbr.Error{Class: cbr.Unknown}, false, false},
		"no connection":              {cbr.Error{Class: cbr.Transient}, false, false},
		"being synchronized":         {cbr.Error{Class: cbr.Transient, StatusCode: 400, Code: "BackupService.7302"}, true, true},
		"a firewall":                 {cbr.Error{Class: cbr.Foreign, StatusCode: 403}, false, true},
		"a bucket without a right":   {cbr.Error{Class: cbr.Permission, StatusCode: 403, Code: "BackupService.4711"}, true, true},
		"no permission":              {cbr.Error{Class: cbr.Permission, StatusCode: 403, Code: "APIGW.0302"}, false, false},
		"too many calls":             {cbr.Error{Class: cbr.Throttled, StatusCode: 429, Code: "APIGW.0308"}, false, false},
		"refused credentials":        {cbr.Error{Class: cbr.Credentials, StatusCode: 403, Code: "BackupService.8600"}, true, false},
		"a full vault":               {cbr.Error{Class: cbr.Quota, StatusCode: 400, Code: "BackupService.6114"}, true, false},
		"no such API":                {cbr.Error{Class: cbr.Misdirected, StatusCode: 404, Code: "APIGW.0101"}, false, false},
		"refused by the gateway":     {cbr.Error{Class: cbr.Refused, StatusCode: 400, Code: "APIGW.0106"}, false, false},
		"a code that only begins so": {cbr.Error{Class: cbr.Foreign, StatusCode: 400, Code: "BackupServices.9900"}, false, true},
	} {
		if got := test.failed.FromCBR(); got != test.fromCBR {
			t.Errorf("%s: from CBR %t", name, got)
		}
		if got := test.failed.MayBlameItem(); got != test.anItems {
			t.Errorf("%s: an item may be blamed %t", name, got)
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

// A pause until a time is one by the server's clock, however far that is from ours.
func TestRetryAfterIsByTheServersClock(t *testing.T) {
	for _, offset := range []time.Duration{0, time.Hour, -time.Hour, 8 * time.Hour} {
		for wait, want := range map[time.Duration]time.Duration{10 * time.Second: 10 * time.Second, -time.Minute: 0, 5 * time.Hour: time.Hour} {
			client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
				date := time.Now().UTC().Add(offset)
				writer.Header().Set("Date", date.Format(http.TimeFormat))
				writer.Header().Set("Retry-After", date.Add(wait).Format(http.TimeFormat))
				writer.WriteHeader(http.StatusServiceUnavailable)
			})
			if got := failure(t, operations[cbr.OperationImport](t.Context(), client)); got.RetryAfter != want {
				t.Errorf("%s by a clock that is off by %s: got %s, want %s", wait, offset, got.RetryAfter, want)
			}
		}
	}
}

func TestLongErrorBodiesAreNotRead(t *testing.T) {
	complete := make(chan bool, 1)
	client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
		writer.WriteHeader(http.StatusBadRequest)
		complete <- pad(writer, 128<<20)
	})
	got := failure(t, operations[cbr.OperationImport](t.Context(), client))
	if got.Class != cbr.Foreign || got.Message != "" || <-complete {
		t.Errorf("got %+v after a body of 128 MiB was read to its end", got)
	}
}
