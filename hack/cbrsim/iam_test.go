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
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// fetching is a credential that the simulator's IAM or agent gives, and the end of its fetches.
type fetching struct {
	auth.Renewing
	ended chan struct{}
}

// fetch starts a fetch and waits for its end.
func (f fetching) fetch(t *testing.T) auth.State {
	t.Helper()
	f.State()
	select {
	case <-f.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("no fetch has ended within 20 s")
	}
	return f.State()
}

func passwordOf(t *testing.T, url, word string) fetching {
	t.Helper()
	ended := make(chan struct{}, 10)
	password, err := auth.NewPassword(auth.PasswordConfig{IAMEndpoint: url, ProjectID: cbrtest.ProjectID, DomainName: []byte(cbrtest.DomainName),
		Username: []byte(cbrtest.Username), Password: []byte(word), Transport: http.DefaultTransport, Changed: func() { ended <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	return fetching{password, ended}
}

func podOf(t *testing.T, url, token string) fetching {
	t.Helper()
	file, ended := filepath.Join(t.TempDir(), "token"), make(chan struct{}, 10)
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	identity, err := auth.NewPodIdentity(auth.PodIdentityConfig{URL: url + cbrtest.PodIdentityPath, TokenFile: file, ProjectID: cbrtest.ProjectID,
		Changed: func() { ended <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	return fetching{identity, ended}
}

// listWith lists backups with a credential, and returns the code of the answer.
func listWith(t *testing.T, url string, credential cbr.Credential) string {
	t.Helper()
	made, err := cbr.NewClient(cbr.Config{Endpoint: url, ProjectID: cbrtest.ProjectID, Credential: credential, Transport: http.DefaultTransport})
	if err != nil {
		t.Fatal(err)
	}
	_, err = made.ListBackups(t.Context(), cbr.BackupsQuery{})
	return codeOf(err)
}

func TestIssuedCredentialsAreTakenUntilTheyEnd(t *testing.T) {
	sim := start(t)
	for _, step := range []struct{ steer, code string }{{`{}`, ""}, {`{"expire":true}`, "APIGW.0307"}, {`{"revoke":true}`, "APIGW.0301"}} {
		for name, credential := range map[string]fetching{"token": passwordOf(t, sim.url, cbrtest.Password), "key": podOf(t, sim.url, cbrtest.PodToken)} {
			if state := credential.fetch(t); !state.Ready {
				t.Fatalf("%s: got %+v", name, state)
			}
			steerTo(t, sim.url+"/_admin/iam", step.steer)
			if code := listWith(t, sim.url, credential); code != step.code {
				t.Errorf("%s after %s: got %q, want %q", name, step.steer, code, step.code)
			}
		}
	}
}

func TestIAMIsSteered(t *testing.T) {
	sim := start(t, "--iam-lock-after", "2", "--iam-error-shape", "cbr")
	for _, step := range []struct{ steer, word, code string }{
		{`{}`, "wrong-1", "IAM.0062"},
		{`{"password":"another word"}`, cbrtest.Password, "IAM.0062"},
		{`{}`, "another word", "IAM.0061"},
		{`{"unlock":true,"tokenLife":"2h"}`, "another word", ""},
		{`{"answer":{"status":503,"code":"IAM.0006","message":"busy"}}`, "another word", "IAM.0006"},
		{`{"answer":{}}`, "another word", ""},
		{`{"requestsPerMinute":1}`, "another word", "IAM.0012"},
	} {
		steerTo(t, sim.url+"/_admin/iam", step.steer)
		state := passwordOf(t, sim.url, step.word).fetch(t)
		if code := codeOf(state.Err); code != step.code || state.Ready != (code == "") {
			t.Errorf("after %s: got %+v, want %q", step.steer, state, step.code)
		}
		if state.Ready && time.Until(state.Expires) > 2*time.Hour+time.Second { // dates are in whole seconds
			t.Errorf("the token expires at %s", state.Expires)
		}
	}
	for _, body := range []string{`[]`, `{"pass":"x"}`, `{"tokenLife":"-1s"}`, `{"requestsPerMinute":-1}`, `{"errorShape":"xml"}`} {
		if status, text := send(t, http.MethodPost, sim.url+"/_admin/iam", body); status != http.StatusBadRequest {
			t.Errorf("%s: HTTP %d %s", body, status, text)
		}
	}
}

func TestIAMShowsWhatItWasAsked(t *testing.T) {
	sim := start(t)
	credential := passwordOf(t, sim.url, cbrtest.Password)
	credential.fetch(t)
	status, text := send(t, http.MethodGet, sim.url+"/_iam", "")
	var record iamRecord
	if err := json.Unmarshal([]byte(text), &record); err != nil || status != http.StatusOK || record.Requests != 1 || record.MaxConcurrent != 1 ||
		record.Answers["/v3/auth/tokens 201"] != 1 || len(record.Times) != 1 {
		t.Errorf("HTTP %d %s", status, text)
	}
	_, all := send(t, http.MethodGet, sim.url+"/_iam/secrets", "")
	var secrets []string
	if err := json.Unmarshal([]byte(all), &secrets); err != nil {
		t.Fatalf("%s: %v", all, err)
	}
	for _, secret := range credential.Secrets() {
		if !slices.Contains(secrets, secret) || strings.Contains(text, secret) {
			t.Error("a secret is not listed, or is shown where it should not be")
		}
	}
}

func TestRefusesFlagsOfIAM(t *testing.T) {
	for _, flags := range []string{"--token-life -1s", "--key-life -1s", "--iam-latency -1s", "--iam-requests-per-minute -1", "--iam-error-shape xml"} {
		if _, err := parse(strings.Fields(flags), io.Discard); err == nil {
			t.Errorf("%s: not refused", flags)
		}
	}
}
