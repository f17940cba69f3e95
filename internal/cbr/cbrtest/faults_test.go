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
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// timeout is far more than a call to this machine takes, and little enough to wait for.
const timeout = 300 * time.Millisecond

// importFault is a fault, and what comes of an import of 4 backups.
type importFault struct {
	fault    cbrtest.Fault
	class    cbr.Class // "" for none
	status   int
	accepted int
	answered int
}

func TestFaultsOfImports(t *testing.T) {
	tests := map[string]importFault{
		"status":                   {fault: cbrtest.Fault{Status: 500, Code: "BackupService.9910"}, class: cbr.Unknown, status: 500},
		"status, half accepted":    {fault: cbrtest.Fault{Status: 500, AcceptItems: 2}, class: cbr.Unknown, status: 500, accepted: 2},
		"rejected, but accepted":   {fault: cbrtest.Fault{Status: 400, Code: "BackupService.9900", AcceptItems: cbrtest.All}, class: cbr.Rejected, status: 400, accepted: 4},
		"close before":             {fault: cbrtest.Fault{CloseBefore: true}, class: cbr.Unknown},
		"close after":              {fault: cbrtest.Fault{CloseAfter: true}, class: cbr.Unknown, accepted: 4},
		"hang":                     {fault: cbrtest.Fault{Hang: true}, class: cbr.Unknown},
		"hang after acceptance":    {fault: cbrtest.Fault{Hang: true, AcceptItems: cbrtest.All}, class: cbr.Unknown, accepted: 4},
		"truncate":                 {fault: cbrtest.Fault{Truncate: true}, class: cbr.Unknown, status: 200, accepted: 4},
		"empty 200":                {fault: cbrtest.Fault{Empty200: true}, class: cbr.Unknown, status: 200},
		"HTML":                     {fault: cbrtest.Fault{Body: "<html>", ContentType: "text/html"}, class: cbr.Unknown, status: 200},
		"half of JSON, accepted":   {fault: cbrtest.Fault{Body: `{"sync":[`, AcceptItems: cbrtest.All}, class: cbr.Unknown, status: 200, accepted: 4},
		"body with another status": {fault: cbrtest.Fault{Status: 502, Body: "bad gateway"}, class: cbr.Unknown, status: 502},
		"missing":                  {fault: cbrtest.Fault{MissingIDs: 3}, accepted: 4, answered: 1},
		"all missing":              {fault: cbrtest.Fault{MissingIDs: 9}, accepted: 4},
		"foreign":                  {fault: cbrtest.Fault{ForeignIDs: 2}, accepted: 4, answered: 6},
		"duplicate":                {fault: cbrtest.Fault{DuplicateIDs: 1}, accepted: 4, answered: 5},
		"delay":                    {fault: cbrtest.Fault{Delay: time.Millisecond}, accepted: 4, answered: 4},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := cbrtest.NewServer(t, cbrtest.Options{})
			config := server.Config(t)
			if test.fault.Hang {
				config.Timeout = timeout
			}
			client, err := cbr.NewClient(config)
			if err != nil {
				t.Fatal(err)
			}
			server.Inject(test.fault)
			imports, err := client.ImportBackups(t.Context(), cbrtest.Backups(4))
			test.checkAnswer(t, imports, err)
			if got := len(server.Accepted()); got != test.accepted {
				t.Errorf("%d accepted, want %d", got, test.accepted)
			}
			if call := server.Ledger()[0]; !call.Faulted || call.Accepted != test.accepted || call.Status != test.status && test.class != "" {
				t.Errorf("the ledger has %+v", call)
			}
			if got := server.PendingFaults(); got != 0 {
				t.Errorf("%d faults left", got)
			}
			mustImport(t, client, cbrtest.Backup(9)) // the fault is used up
		})
	}
}

// A fault that takes what a call carries does not take what CBR refuses, whatever it answers.
func TestFaultsTakeNothingThatIsRefused(t *testing.T) {
	refused := cbrtest.Backup(2).ID
	server := cbrtest.NewServer(t, cbrtest.Options{Reject: func(item cbr.Backup) *cbrtest.APIError {
		if item.ID == refused {
			return &cbrtest.APIError{Status: http.StatusBadRequest, Code: "BackupService.7300"}
		}
		return nil
	}})
	server.Inject(cbrtest.Fault{Status: http.StatusGatewayTimeout, AcceptItems: cbrtest.All})
	if _, err := server.Client(t).ImportBackups(t.Context(), cbrtest.Backups(4)); err == nil {
		t.Error("the fault is not seen")
	}
	if accepted := server.Accepted(); len(accepted) != 3 || accepted[refused] != 0 {
		t.Errorf("accepted: %v", accepted)
	}
}

func (f importFault) checkAnswer(t *testing.T, imports []cbr.Import, err error) {
	t.Helper()
	if f.class == "" {
		if err != nil || len(imports) != f.answered {
			t.Errorf("got %d imports and %v, want %d", len(imports), err, f.answered)
		}
		return
	}
	if got := failure(t, err); got.Class != f.class || got.StatusCode != f.status {
		t.Errorf("got %s with HTTP %d, want %s with %d", got.Class, got.StatusCode, f.class, f.status)
	}
}

func TestFaultsAreMatched(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	client := server.Client(t)
	poisoned := func(_ *http.Request, items []cbr.Backup) bool {
		return len(items) > 0 && items[0].ID == cbrtest.Backup(7).ID
	}
	server.Inject(
		cbrtest.Fault{Operation: cbr.OperationImport, Match: poisoned, Times: cbrtest.Always, Status: 500, Code: "BackupService.1006"},
		cbrtest.Fault{Operation: cbr.OperationGetBackup, Skip: 1, Times: 2, Status: 503, Headers: map[string]string{"Retry-After": "7"}},
	)
	for range 3 {
		if _, err := client.ImportBackups(t.Context(), []cbr.Backup{cbrtest.Backup(7)}); failure(t, err).Code != "BackupService.1006" {
			t.Errorf("the poisoned backup: %v", err)
		}
		mustImport(t, client, cbrtest.Backup(8))
	}
	for i, want := range []time.Duration{0, 7 * time.Second, 7 * time.Second, 0} {
		_, err := client.GetBackup(t.Context(), "x")
		if got := failure(t, err); got.RetryAfter != want || cbr.IsNotFound(err) != (want == 0) {
			t.Errorf("read %d: got %v with Retry-After %s, want the first and the last let through", i, got, got.RetryAfter)
		}
	}
	if got := server.PendingFaults(); got != 1 {
		t.Errorf("%d faults left, want the one for always", got)
	}
	server.ClearFaults()
	mustImport(t, client, cbrtest.Backup(7))
}

func TestReadsMeetFaultsToo(t *testing.T) {
	for name, fault := range map[string]cbrtest.Fault{
		"close before": {CloseBefore: true, Times: cbrtest.Always}, "close after": {CloseAfter: true, Times: cbrtest.Always},
		"truncate": {Truncate: true}, "empty": {Empty200: true},
	} {
		server := cbrtest.NewServer(t, cbrtest.Options{})
		server.Inject(fault)
		_, err := server.Client(t).ListBackupIDs(t.Context(), cbr.BackupsQuery{Limit: 1})
		if got := failure(t, err); got.Class != cbr.Transient {
			t.Errorf("%s: got %s, want Transient", name, got.Class)
		}
	}
}

func TestDelayedImportIsAcceptedThoughTheClientLeft(t *testing.T) {
	accepted := make(chan struct{})
	server := cbrtest.NewServer(t, cbrtest.Options{OnImport: func(phase cbrtest.Phase, _ []cbr.Backup) {
		if phase == cbrtest.AfterAccept {
			close(accepted)
		}
	}})
	server.Inject(cbrtest.Fault{Delay: timeout})
	ctx, cancel := context.WithTimeout(t.Context(), timeout/10)
	defer cancel()
	_, err := server.Client(t).ImportBackups(ctx, cbrtest.Backups(1))
	if got := failure(t, err); got.Class != cbr.Unknown || len(server.Accepted()) != 0 {
		t.Errorf("got %s with %d accepted, want Unknown with none yet", got.Class, len(server.Accepted()))
	}
	select {
	case <-accepted:
	case <-time.After(100 * timeout):
		t.Error("the backup was never accepted")
	}
}

func TestCloseReleasesCallsThatHang(t *testing.T) {
	for name, fault := range map[string]cbrtest.Fault{"hang": {Hang: true}, "delay": {Delay: time.Hour}} {
		t.Run(name, func(t *testing.T) { closeReleases(t, fault) })
	}
}

func closeReleases(t *testing.T, fault cbrtest.Fault) {
	t.Helper()
	server := cbrtest.NewServer(t, cbrtest.Options{})
	arrived := make(chan struct{})
	fault.Match = func(*http.Request, []cbr.Backup) bool { close(arrived); return true }
	server.Inject(fault)
	ended := make(chan error, 1)
	client := server.Client(t)
	go func() {
		_, err := client.ImportBackups(t.Context(), cbrtest.Backups(1))
		ended <- err
	}()
	<-arrived
	server.Close()
	if got := failure(t, <-ended); got.Class != cbr.Unknown {
		t.Errorf("got %s, want Unknown", got.Class)
	}
	if _, err := client.GetBackup(t.Context(), "x"); !failure(t, err).Untouched {
		t.Errorf("after Close: got %v, want a connection refused", err)
	}
}

func TestRedirect(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	server.Inject(cbrtest.Fault{RedirectTo: "https://elsewhere.invalid/"})
	_, err := server.Client(t).GetBackup(t.Context(), "x")
	if got := failure(t, err); got.StatusCode != http.StatusFound {
		t.Errorf("got %+v, want a 302", got)
	}
}

func TestResetOverTLS(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{TLS: true})
	client := server.Client(t)
	mustImport(t, client, cbrtest.Backup(1))
	server.Inject(cbrtest.Fault{CloseAfter: true})
	if _, err := client.ImportBackups(t.Context(), cbrtest.Backups(1)); failure(t, err).Class != cbr.Unknown {
		t.Errorf("got %v, want Unknown", err)
	}
	if !strings.HasPrefix(server.URL, "https://") {
		t.Errorf("the URL is %s", server.URL)
	}
}

func TestConnectionsAreReset(t *testing.T) {
	for name, fault := range map[string]cbrtest.Fault{"before": {CloseBefore: true}, "after": {CloseAfter: true}} {
		server := cbrtest.NewServer(t, cbrtest.Options{})
		server.Inject(fault)
		_, err := server.Client(t).ImportBackups(t.Context(), cbrtest.Backups(1))
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("close %s: got %v, want a connection reset", name, err)
		}
	}
}

func TestBrokenOffImportIsNotAccepted(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	body := strings.NewReader(`{"sync":[` + item("", "") + `]}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, projectURL(server)+"/backups/sync", body)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = int64(body.Len())
	request.Body = io.NopCloser(io.MultiReader(io.LimitReader(body, 20), iotest.ErrReader(errors.New("broken off"))))
	request.Header.Set("X-Auth-Token", cbrtest.Token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		response.Body.Close()
		t.Errorf("got HTTP %d", response.StatusCode)
	}
	if got := len(server.Accepted()); got != 0 {
		t.Errorf("%d backups were accepted", got)
	}
}

func TestFaultsWithoutAConnection(t *testing.T) {
	cloud := cbrtest.New(cbrtest.Options{})
	cloud.Inject(cbrtest.Fault{CloseBefore: true})
	defer func() {
		if got, ok := recover().(error); !ok || !errors.Is(got, http.ErrAbortHandler) {
			t.Errorf("panicked with %v, want http.ErrAbortHandler", got)
		}
	}()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v3/"+cbrtest.ProjectID+"/backups?limit=1", nil)
	cloud.ServeHTTP(httptest.NewRecorder(), request)
}
