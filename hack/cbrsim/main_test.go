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

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// process is a cbrsim that runs in this one.
type process struct {
	url      string
	addrFile string
	stop     func() error
}

// start runs cbrsim until stop, or until the test ends.
func start(t *testing.T, arguments ...string) process {
	t.Helper()
	started := process{addrFile: filepath.Join(t.TempDir(), "addr")}
	parsed, err := parse(append(arguments, "--addr-file", started.addrFile), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	output, input := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, parsed, input)
		input.CloseWithError(errors.Join(err, io.EOF))
		ended <- err
	}()
	started.stop = func() error { cancel(); return <-ended }
	line, err := bufio.NewReader(output).ReadString('\n')
	url, found := strings.CutPrefix(strings.TrimSpace(line), "cbrsim listening on ")
	if err != nil || !found {
		t.Fatalf("the first line is %q, %v", line, err)
	}
	t.Cleanup(cancel)
	started.url = url
	return started
}

func client(t *testing.T, url, project, token, caBundle string) *cbr.Client {
	t.Helper()
	credential, err := auth.NewToken([]byte(token), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	transports := &cbr.Transports{}
	t.Cleanup(transports.CloseIdleConnections)
	transport, err := transports.For(caBundle)
	if err != nil {
		t.Fatal(err)
	}
	made, err := cbr.NewClient(cbr.Config{Endpoint: url, ProjectID: project, Credential: credential, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// send makes a request to what is beside the API, and returns the status and the body.
func send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func steerTo(t *testing.T, url, body string) {
	t.Helper()
	if status, text := send(t, http.MethodPost, url, body); status != http.StatusNoContent {
		t.Fatalf("POST %s %s: HTTP %d %s", url, body, status, text)
	}
}

func codeOf(err error) string {
	var failure *cbr.Error
	if errors.As(err, &failure) {
		return failure.Code
	}
	return ""
}

func TestServesTheAPIAndItsLedger(t *testing.T) {
	sim := start(t, "--task-duration", "0s", "--project-id", "one,two", "--project-id", "three", "--token", "secret-token")
	written, err := os.ReadFile(sim.addrFile)
	if err != nil || string(written) != sim.url+"\n" {
		t.Errorf("the address file holds %q, %v; want %s", written, err, sim.url)
	}
	three := client(t, sim.url, "three", "secret-token", "")
	for _, backups := range [][]cbr.Backup{cbrtest.Backups(2), cbrtest.Backups(1)} {
		if _, err := three.ImportBackups(t.Context(), backups); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := three.GetBackup(t.Context(), cbrtest.Backup(0).ID); err != nil {
		t.Errorf("the imported backup: %v", err)
	}
	_, text := send(t, http.MethodGet, sim.url+"/_ledger", "")
	var got ledger
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	twice := cbrtest.Backup(0).ID
	for _, each := range got.Backups {
		if want := map[bool]int{true: 2, false: 1}[each.BackupID == twice]; each.Accepted != want || len(each.OperationLogIDs) != want {
			t.Errorf("%+v, want accepted %d times", each, want)
		}
	}
	expect := NewWithT(t)
	expect.Expect(got.Backups).To(HaveLen(2))
	got.Backups = nil
	expect.Expect(got).To(Equal(ledger{
		SyncCalls: 2, AcceptedUnique: 2, AcceptedTwice: []string{twice}, MaxCallsInWindow: 2, RateWindow: "1m0s", MaxConcurrentSyncCalls: 1,
		Calls: map[string]int{"ImportBackup": 2, "ShowBackup": 1}, Answers: map[string]int{"ImportBackup 200": 2, "ShowBackup 200": 1},
	}))
}

func TestShowsCalls(t *testing.T) {
	sim := start(t)
	api := client(t, sim.url, cbrtest.ProjectID, cbrtest.Token, "")
	if _, err := api.ImportBackups(t.Context(), cbrtest.Backups(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ListBackupIDs(t.Context(), cbr.BackupsQuery{Limit: 7}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string][]call{
		"":                       {{Operation: "ImportBackup", Backups: 2, Accepted: 2, Status: 200}, {Operation: "ListBackups", Query: "limit=7", Status: 200}},
		"?operation=ListBackups": {{Operation: "ListBackups", Query: "limit=7", Status: 200}},
		"?operation=ShowBackup":  {},
	} {
		var got []call
		if _, text := send(t, http.MethodGet, sim.url+"/_calls"+query, ""); json.Unmarshal([]byte(text), &got) != nil || got == nil {
			t.Fatalf("%s: %s", query, text)
		}
		for i := range got {
			if got[i].Time.IsZero() || got[i].ProjectID != cbrtest.ProjectID {
				t.Errorf("%s: got %+v", query, got[i])
			}
			got[i].Time, got[i].ProjectID = time.Time{}, ""
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %+v", query, got)
		}
	}
}

func TestShowsWhatIsStored(t *testing.T) {
	sim := start(t, "--task-duration", "0s", "--project-id", cbrtest.ProjectID+",other", "--refusal", `{"calls":"reads"}`)
	if _, err := client(t, sim.url, "other", cbrtest.Token, "").ImportBackups(t.Context(), cbrtest.Backups(1)); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{"": 0, "?project=other": 1} {
		var got []cbrtest.Appearance
		if _, text := send(t, http.MethodGet, sim.url+"/_stored"+query, ""); json.Unmarshal([]byte(text), &got) != nil || got == nil || len(got) != want {
			t.Errorf("%q: %s", query, text)
		}
	}
}

func TestPageShowsWhatWasAcceptedTwice(t *testing.T) {
	sim := start(t, "--token", "secret-token")
	for range 2 {
		if _, err := client(t, sim.url, cbrtest.ProjectID, "secret-token", "").ImportBackups(t.Context(), cbrtest.Backups(1)); err != nil {
			t.Fatal(err)
		}
	}
	twice := "<td class=\"bad\">1 " + cbrtest.Backup(0).ID
	for _, path := range []string{"/", "/_ledger/"} {
		if status, page := send(t, http.MethodGet, sim.url+path, ""); status != 200 || !strings.Contains(page, twice) || strings.Contains(page, "secret-token") {
			t.Errorf("%s: HTTP %d %s", path, status, page)
		}
	}
}

func TestIsSteered(t *testing.T) {
	sim := start(t, "--task-duration", "0s")
	admin := sim.url + "/_admin/"
	api := client(t, sim.url, cbrtest.ProjectID, cbrtest.Token, "")
	imports := func(number int) error {
		_, err := api.ImportBackups(t.Context(), []cbr.Backup{cbrtest.Backup(number)})
		return err
	}

	steerTo(t, admin+"faults", `[{"operation":"ImportBackup","status":500,"code":"BackupService.1006"}, {"delay":"1ms","closeAfter":true}]`)
	steerTo(t, admin+"faults", `{"operation":"ImportBackup","status":503,"times":-1}`)
	if code := codeOf(imports(1)); code != "BackupService.1006" {
		t.Errorf("the first fault: got %q", code)
	}
	if err := imports(1); cbr.ClassOf(err) != cbr.Unknown {
		t.Errorf("the second fault: got %v", err)
	}
	if status, text := send(t, http.MethodDelete, admin+"faults", ""); status != http.StatusNoContent {
		t.Errorf("clear faults: HTTP %d %s", status, text)
	}
	if err := imports(2); err != nil {
		t.Errorf("without faults: %v", err)
	}

	steerTo(t, admin+"tokens", `["another"]`)
	if code := codeOf(imports(3)); code != "APIGW.0301" {
		t.Errorf("the old token: got %q", code)
	}
	steerTo(t, admin+"tokens", `["another","`+cbrtest.Token+`"]`)

	steerTo(t, admin+"limit", `{"syncCallsPerMinute":1,"rateWindow":"1h"}`)
	if code := codeOf(imports(3)); code != "APIGW.0308" {
		t.Errorf("over the limit: got %q", code)
	}
	steerTo(t, admin+"limit", `{"syncCallsPerMinute":0}`)

	steerTo(t, admin+"rejects", `{"`+cbrtest.Backup(4).ID+`":{"code":"BackupService.6135","message":"no such resource"}}`)
	if code := codeOf(imports(4)); code != "BackupService.6135" {
		t.Errorf("the rejected backup: got %q", code)
	}
	steerTo(t, admin+"rejects", `{}`)

	steerTo(t, admin+"outcomes", `{"`+cbrtest.Backup(5).ID+`":{"status":"failed","code":"x"},"*":{"duration":"1h"}}`)
	for number, want := range map[int]cbr.TaskStatus{5: cbr.TaskFailed, 6: cbr.TaskWaiting} {
		answer, err := api.ImportBackups(t.Context(), []cbr.Backup{cbrtest.Backup(number)})
		if err != nil {
			t.Fatal(err)
		}
		if task, err := api.GetOperationLog(t.Context(), answer[0].OperationLogID); err != nil || task.Status != want {
			t.Errorf("task of backup %d: got %s and %v, want %s", number, task.Status, err, want)
		}
	}

	steerTo(t, admin+"backups", `{"backups":[{"id":"there-already"}]}`)
	if _, err := api.GetBackup(t.Context(), "there-already"); err != nil {
		t.Errorf("the preloaded backup: %v", err)
	}
}

func TestRefusesToBeSteeredWrongly(t *testing.T) {
	sim := newSimulator(cbrtest.Options{}, cbrtest.IAMOptions{})
	for path, bodies := range map[string][]string{
		"faults":   {``, `{"operatio":"x"}`, `[{"delay":5}]`, `[{"delay":"5"}]`, `{} {}`, `null x`},
		"tokens":   {`{}`, `"one"`},
		"limit":    {`{"syncCallsPerMinute":-1}`, `{"perMinute":1}`},
		"outcomes": {`[]`, `{"a":{"state":"failed"}}`},
		"rejects":  {`[]`},
		"backups":  {`{"backups":[{}]}`, `[]`},
		"else":     {`{}`},
	} {
		for _, body := range bodies {
			recorder := httptest.NewRecorder()
			sim.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/_admin/"+path, strings.NewReader(body)))
			if recorder.Code != http.StatusBadRequest && (path != "else" || recorder.Code != http.StatusNotFound) {
				t.Errorf("%s %s: got HTTP %d", path, body, recorder.Code)
			}
		}
	}
}

func TestStopsCleanlyWithCallsUnderWay(t *testing.T) {
	sim := start(t)
	steerTo(t, sim.url+"/_admin/faults", `{"operation":"ImportBackup","hang":true,"acceptItems":-1}`)
	ended := make(chan error, 1)
	api := client(t, sim.url, cbrtest.ProjectID, cbrtest.Token, "")
	go func() {
		_, err := api.ImportBackups(t.Context(), cbrtest.Backups(1))
		ended <- err
	}()
	NewWithT(t).Eventually(func() string {
		_, text := send(t, http.MethodGet, sim.url+"/_ledger", "")
		return text
	}, "10s").Should(ContainSubstring(`"acceptedUnique": 1`))
	if err := sim.stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if err := <-ended; cbr.ClassOf(err) != cbr.Unknown {
		t.Errorf("the call that hung: %v", err)
	}
	if _, err := os.Stat(sim.addrFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the address file is left behind (%v)", err)
	}
}

func TestServesTLS(t *testing.T) {
	certificate, key, bundle := certificateFiles(t)
	sim := start(t, "--tls-cert", certificate, "--tls-key", key)
	if !strings.HasPrefix(sim.url, "https://127.0.0.1:") {
		t.Errorf("the URL is %s", sim.url)
	}
	if _, err := client(t, sim.url, cbrtest.ProjectID, cbrtest.Token, bundle).ImportBackups(t.Context(), cbrtest.Backups(1)); err != nil {
		t.Error(err)
	}
}

// certificateFiles writes the certificate that httptest uses for 127.0.0.1, and its key.
func certificateFiles(t *testing.T) (certificate, key, bundle string) {
	t.Helper()
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	defer lender.Close()
	pair := lender.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	certificate, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	err = errors.Join(os.WriteFile(certificate, encoded, 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key, string(encoded)
}

func TestRefusesFlags(t *testing.T) {
	for _, arguments := range []string{
		"--addr 0.0.0.0:0", "--addr :0", "--addr 192.0.2.1:80", "--addr [::]:0", "--addr nowhere", "--addr example.com:80",
		"--latency -1s", "--rate-window 0s", "--sync-calls-per-minute -1", "--project-id ,", "--tls-cert x", "--unknown", "argument",
	} {
		var output bytes.Buffer
		if _, err := parse(strings.Fields(arguments), &output); err == nil {
			t.Errorf("%s: not refused", arguments)
		}
	}
	for _, arguments := range []string{"", "--addr 0.0.0.0:0 --allow-remote", "--addr [::1]:0", "--addr localhost:8080", "--addr 127.0.0.2:1"} {
		if _, err := parse(strings.Fields(arguments), io.Discard); err != nil {
			t.Errorf("%s: %v", arguments, err)
		}
	}
}

func TestFailsToStart(t *testing.T) {
	busy := start(t)
	_, address, _ := strings.Cut(busy.url, "//")
	for name, arguments := range map[string][]string{
		"address in use": {"--addr", address},
		"no certificate": {"--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"},
		"no directory":   {"--addr-file", "/nonexistent/addr"},
	} {
		parsed, err := parse(arguments, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), parsed, io.Discard); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}
