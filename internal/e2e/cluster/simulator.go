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

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Simulator is a process of cbrsim, the CBR that lives in memory.
type Simulator struct {
	*Process
	// URL is the endpoint of its API.
	URL string
}

// StartSimulator starts cbrsim and waits until it listens.
func (c *Cluster) StartSimulator(ctx context.Context, name, binary string, arguments ...string) (*Simulator, error) {
	addrFile := filepath.Join(c.Dir, name+".addr")
	process, err := c.startProcess(ctx, name, binary, append([]string{"--addr-file=" + addrFile}, arguments...)...)
	if err != nil {
		return nil, err
	}
	simulator := &Simulator{Process: process}
	err = process.await(ctx, c.startTimeout(), func(context.Context) bool {
		address, err := os.ReadFile(addrFile)
		simulator.URL = strings.TrimSpace(string(address))
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	return simulator, nil
}

// Ledger is what the simulator was sent.
type Ledger struct {
	// SyncCalls is the number of sync calls that arrived.
	SyncCalls int `json:"syncCalls"`
	// AcceptedTwice are the ids of the backups that were accepted more than once.
	AcceptedTwice []string `json:"acceptedTwice"`
	// Answers counts by operation, status and code.
	Answers map[string]int `json:"answers"`
	// MaxCallsInWindow is the largest number of sync calls within any minute.
	MaxCallsInWindow int `json:"maxCallsInWindow"`
	// Backups are those that were accepted.
	Backups []LedgerBackup `json:"backups"`
}

// LedgerBackup is a backup that was accepted.
type LedgerBackup struct {
	BackupID string `json:"backupID"`
	// Accepted is how often it was accepted.
	Accepted int `json:"accepted"`
	// OperationLogIDs are its tasks, the oldest first.
	OperationLogIDs []string `json:"operationLogIDs"`
}

// Accepted returns the backups that were accepted, by their ids.
func (l *Ledger) Accepted() map[string]LedgerBackup {
	accepted := make(map[string]LedgerBackup, len(l.Backups))
	for _, backup := range l.Backups {
		accepted[backup.BackupID] = backup
	}
	return accepted
}

// LedgerURL is where people and programs can read the ledger.
func (s *Simulator) LedgerURL() string { return s.URL + "/_ledger" }

// Ledger asks the simulator for its ledger.
func (s *Simulator) Ledger(ctx context.Context) (*Ledger, error) {
	answer, err := s.call(ctx, http.MethodGet, "/_ledger", nil)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	ledger := &Ledger{}
	if err := json.Unmarshal(answer, ledger); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return ledger, nil
}

// Call is one call that the simulator was sent.
type Call struct {
	// Time is when it arrived, by the clock of this machine.
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`
	ProjectID string    `json:"projectID"`
	// Query is the query of its URL.
	Query string `json:"query"`
	// Backups is the number of items that it carried, Accepted of those that were taken.
	Backups  int `json:"backups"`
	Accepted int `json:"accepted"`
	// Status is that of the answer, 0 while there is none.
	Status int `json:"status"`
}

// Calls asks the simulator for the calls of an operation, or for all of them if it is "", in the order of arrival.
func (s *Simulator) Calls(ctx context.Context, operation string) ([]Call, error) {
	answer, err := s.call(ctx, http.MethodGet, "/_calls?operation="+url.QueryEscape(operation), nil)
	if err != nil {
		return nil, fmt.Errorf("read the calls: %w", err)
	}
	var calls []Call
	if err := json.Unmarshal(answer, &calls); err != nil {
		return nil, fmt.Errorf("read the calls: %w", err)
	}
	return calls, nil
}

// Appearance says from when on the simulator shows a backup in a status.
type Appearance struct {
	ID     string    `json:"id"`
	Status string    `json:"status"`
	Since  time.Time `json:"since"`
}

// Stored asks the simulator for the backups of its default project as they were, are and will be to be seen, whatever its
// lists leave out and whatever calls it refuses.
func (s *Simulator) Stored(ctx context.Context) ([]Appearance, error) {
	answer, err := s.call(ctx, http.MethodGet, "/_stored", nil)
	if err != nil {
		return nil, fmt.Errorf("read what is stored: %w", err)
	}
	var stored []Appearance
	if err := json.Unmarshal(answer, &stored); err != nil {
		return nil, fmt.Errorf("read what is stored: %w", err)
	}
	return stored, nil
}

// IssuedSecrets asks the simulator for the password and the tokens and keys that its IAM has issued so far.
func (s *Simulator) IssuedSecrets(ctx context.Context) ([]string, error) {
	var secrets []string
	err := s.read(ctx, "/_iam/secrets", &secrets)
	return secrets, err
}

// IAMRecord is what the simulator's IAM was asked.
type IAMRecord struct {
	// MaxConcurrent is the largest number of requests that were under way at once.
	MaxConcurrent int `json:"maxConcurrent"`
	// Answers counts by path, status and code.
	Answers map[string]int `json:"answers"`
}

// IAM asks the simulator what its IAM was asked.
func (s *Simulator) IAM(ctx context.Context) (IAMRecord, error) {
	var asked IAMRecord
	err := s.read(ctx, "/_iam", &asked)
	return asked, err
}

func (s *Simulator) read(ctx context.Context, path string, into any) error {
	answer, err := s.call(ctx, http.MethodGet, path, nil)
	if err == nil {
		err = json.Unmarshal(answer, into)
	}
	if err != nil {
		return fmt.Errorf("read %s of the simulator: %w", path, err)
	}
	return nil
}

// Steer posts a body as JSON to one of the simulator's calls under /_admin/, "faults" for one.
func (s *Simulator) Steer(ctx context.Context, what string, body any) error {
	text, err := json.Marshal(body)
	if err == nil {
		_, err = s.call(ctx, http.MethodPost, "/_admin/"+what, text)
	}
	if err != nil {
		return fmt.Errorf("set the %s of the simulator: %w", what, err)
	}
	return nil
}

// ClearFaults forgets the faults that were set and that no call has met yet.
func (s *Simulator) ClearFaults(ctx context.Context) error {
	if _, err := s.call(ctx, http.MethodDelete, "/_admin/faults", nil); err != nil {
		return fmt.Errorf("clear the faults of the simulator: %w", err)
	}
	return nil
}

func (s *Simulator) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(answer))
	}
	return answer, nil
}
