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

package contract

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cbr/v1/model"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// refusals are errors, and the calls that meet them.
var refusals = map[string]struct {
	asked   question
	prepare func(*stage)
}{
	"a rejected item": {importing(cbrtest.Backups(2)...), func(s *stage) {
		s.Configure(func(options *cbrtest.Options) {
			options.Reject = func(cbr.Backup) *cbrtest.APIError {
				return &cbrtest.APIError{Status: http.StatusBadRequest, Code: "BackupService.7300", Message: `The vault "<v>" & 备份 cannot sync`}
			}
		})
	}},
	"no such task":   {gettingTask("unknown"), func(*stage) {}},
	"no such backup": {gettingBackup("unknown"), func(*stage) {}},
	"a bad limit":    {listingTasks(1001, 0), func(*stage) {}},
	"a quota": {importing(cbrtest.Backup(0)), func(s *stage) {
		s.Configure(func(options *cbrtest.Options) { options.Quota = -1 })
	}},
	"too many calls": {importing(cbrtest.Backup(0)), func(s *stage) {
		s.Configure(func(options *cbrtest.Options) { options.SyncCallsPerMinute = 1 })
		_, _ = importing(cbrtest.Backup(1)).sdk(s.sdk)
	}},
	"too many reads": {listingBackups(1, 0), func(s *stage) {
		s.Configure(func(options *cbrtest.Options) { options.ReadsPerSecond = 1 })
		_, _ = listingBackups(1, 0).sdk(s.sdk)
	}},
	"refused credentials": {gettingBackup("unknown"), func(s *stage) {
		s.Configure(func(options *cbrtest.Options) {
			options.Authenticate = func(*http.Request) *cbrtest.APIError {
				return &cbrtest.APIError{Status: http.StatusUnauthorized, Code: "APIGW.0301", Message: "Incorrect IAM authentication information"}
			}
		})
	}},
	"no such project": {listingBackups(1, 0), func(s *stage) {
		s.Configure(func(options *cbrtest.Options) { options.ProjectIDs = []string{"another"} })
	}},
	"an import that failed": {importing(cbrtest.Backup(0)), func(s *stage) {
		s.Inject(cbrtest.Fault{Status: http.StatusInternalServerError, Code: cbr.CodeImportFailed, Message: "failed"})
	}},
}

// unreadable are what becomes of a code in the shapes in which the SDK reads none: it takes the whole body for the message, as it
// takes no number for a code. Our client reads numbers too.
var unreadable = map[cbrtest.ErrorShape]func(code, status string) string{
	cbrtest.ShapeNumeric:   func(code, _ string) string { return strings.TrimLeft(code[strings.LastIndex(code, ".")+1:], "0") },
	cbrtest.ShapeStatus:    func(_, status string) string { return status },
	cbrtest.ShapeOpenStack: func(_, status string) string { return status },
	cbrtest.ShapeHTML:      func(string, string) string { return "" },
	cbrtest.ShapeEmpty:     func(string, string) string { return "" },
}

// failures returns what the SDK and our client make of the same error.
func (s *stage) failures(t *testing.T, asked question) (sdk *sdkerr.ServiceResponseError, ours *cbr.Error, body string) {
	t.Helper()
	if _, err := asked.sdk(s.sdk); !errors.As(err, &sdk) {
		t.Fatalf("the SDK got %v, want an error of the API", err)
	}
	_, answered := s.recorder.last()
	if _, err := asked.ours(t.Context(), s.ours(t, answered)); !errors.As(err, &ours) {
		t.Fatalf("our client got %v, want an error of the API", err)
	}
	if ours.StatusCode != sdk.StatusCode || ours.RequestID == "" || ours.RequestID != sdk.RequestId {
		t.Errorf("our client got HTTP %d (request %s), the SDK HTTP %d (request %s)", ours.StatusCode, ours.RequestID, sdk.StatusCode, sdk.RequestId)
	}
	return sdk, ours, string(answered.body)
}

func TestErrorsAreReadAlike(t *testing.T) {
	for _, shape := range []cbrtest.ErrorShape{cbrtest.ShapeCBR, cbrtest.ShapeNested} {
		for name, refusal := range refusals {
			t.Run(string(shape)+"/"+name, func(t *testing.T) {
				s := newStage(t, cbrtest.Options{ErrorShape: shape})
				refusal.prepare(s)
				sdk, ours, body := s.failures(t, refusal.asked)
				if ours.Code == "" || ours.Code != sdk.ErrorCode || ours.Message == "" || ours.Message != sdk.ErrorMessage {
					t.Errorf("our client read %s %q, the SDK %s %q\nof %s", ours.Code, ours.Message, sdk.ErrorCode, sdk.ErrorMessage, body)
				}
				ledger := s.Ledger()
				if last := ledger[len(ledger)-1]; last.Code != sdk.ErrorCode || last.Status != sdk.StatusCode {
					t.Errorf("the SDK read HTTP %d %s, sent was HTTP %d %s", sdk.StatusCode, sdk.ErrorCode, last.Status, last.Code)
				}
			})
		}
	}
}

func TestErrorsThatTheSDKCannotRead(t *testing.T) {
	for shape, codeIn := range unreadable {
		for name, refusal := range refusals {
			t.Run(string(shape)+"/"+name, func(t *testing.T) {
				s := newStage(t, cbrtest.Options{ErrorShape: shape})
				refusal.prepare(s)
				sdk, ours, body := s.failures(t, refusal.asked)
				if sdk.ErrorCode != "" || sdk.ErrorMessage != body && body != "" {
					t.Errorf("the SDK read %s %q\nof %s", sdk.ErrorCode, sdk.ErrorMessage, body)
				}
				ledger := s.Ledger()
				last := ledger[len(ledger)-1]
				if want := codeIn(last.Code, strconv.Itoa(last.Status)); ours.Code != want {
					t.Errorf("our client read the code %q, want %q\nof %s", ours.Code, want, body)
				}
			})
		}
	}
}

// TestAnswersThatTheSDKTakesForSuccess are why the SDK is no way to call CBR: it finds nothing wrong with a redirect, nor with
// an answer that holds nothing. Our client does.
func TestAnswersThatTheSDKTakesForSuccess(t *testing.T) {
	for name, test := range map[string]struct {
		fault  cbrtest.Fault
		status int
		class  cbr.Class
	}{
		"a redirect":           {cbrtest.Fault{RedirectTo: "https://elsewhere.example/"}, http.StatusFound, cbr.Misdirected},
		"an empty answer":      {cbrtest.Fault{Empty200: true}, http.StatusOK, cbr.Unknown},
		"JSON of another kind": {cbrtest.Fault{Body: `{"status":"ok"}`}, http.StatusOK, cbr.Unknown},
	} {
		s := newStage(t, cbrtest.Options{})
		s.Inject(test.fault)
		asked := importing(cbrtest.Backup(0))
		read, err := asked.sdk(s.sdk)
		if err != nil || read.(*model.ImportBackupResponse).Sync != nil || read.(*model.ImportBackupResponse).HttpStatusCode != test.status {
			t.Errorf("%s: the SDK got %v, %v, want HTTP %d and no error", name, read, err, test.status)
		}
		_, answered := s.recorder.last()
		if _, err := asked.ours(t.Context(), s.ours(t, answered)); cbr.ClassOf(err) != test.class {
			t.Errorf("%s: our client got %v, want class %s", name, err, test.class)
		}
	}
}

// TestAnswersThatTheSDKGivesUpOn are odd in a way that our client does not mind.
func TestAnswersThatTheSDKGivesUpOn(t *testing.T) {
	s := newStage(t, cbrtest.Options{Count: cbrtest.CountText, TaskDuration: time.Minute})
	if _, err := importing(cbrtest.Backups(3)...).sdk(s.sdk); err != nil {
		t.Fatal(err)
	}
	if _, err := listingTasks(1000, 0).sdk(s.sdk); err == nil {
		t.Error("the SDK read a count that is a text")
	}
	_, answered := s.recorder.last()
	page, err := s.ours(t, answered).ListOperationLogs(t.Context(), cbr.OperationLogsQuery{Limit: 1000})
	if err != nil || len(page.Items) != 3 {
		t.Errorf("our client got %+v, %v", page, err)
	}
}
