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

package cbrtest

import (
	"net/http"
	"slices"
	"time"

	"k8s.io/utils/clock"

	"backupsync.dev/operator/internal/cbr"
)

// What a Cloud has if its Options do not say otherwise.
const (
	// ProjectID is the project id of the vendor's examples.
	ProjectID = "f841e01fd2b14e7fa41b6ae7aa6b0594"
	// Token is a token that is accepted.
	Token = "demo-token"
	// ImportedProviderID is the provider_id of backups that were imported from VMware.
	ImportedProviderID = "a13639de-00be-4e94-af30-26912d75e4a2"
	// TaskRetention is how long CBR knows a task.
	TaskRetention = 30 * 24 * time.Hour
)

// Options say how a Cloud behaves. The zero value is a CBR with one project and one token whose tasks succeed
// at once. Hooks are called without locks held, from the goroutines of the requests.
type Options struct {
	// ProjectIDs are the known projects; ProjectID if empty.
	ProjectIDs []string
	// Tokens are accepted in X-Auth-Token for every project; Token if nil, none if empty but not nil.
	Tokens []string
	// Authenticate, if set, decides in place of Tokens: nil lets the request pass.
	Authenticate func(*http.Request) *APIError

	// Clock is the server's clock; the real one if nil. Latency and the delays of faults take real time.
	Clock clock.PassiveClock
	// Latency is how long every call takes. It passes in full even if the client leaves meanwhile.
	Latency time.Duration
	// TaskDuration is the time from the acceptance of a backup to the final state of its task: a quarter of it
	// the task waits, then it runs.
	TaskDuration time.Duration
	// TaskRetention is how long tasks are known; the constant TaskRetention if 0.
	TaskRetention time.Duration

	// SyncCallsPerMinute is the number of ImportBackup calls that may arrive in any RateWindow; 0 for no limit.
	// Calls that are refused, for whatever reason, count too.
	SyncCallsPerMinute int
	// ReadsPerSecond is the number of reads that may arrive in any second; 0 for no limit. Refused ones count too, and are
	// told to come back after a second.
	ReadsPerSecond int
	// RateWindow is the length of the "minute" of SyncCallsPerMinute; one minute if 0.
	RateWindow time.Duration

	// TaskOutcome, if set, says how the task of an accepted backup ends. It is called once for each acceptance.
	TaskOutcome func(cbr.Backup) Outcome
	// Reject, if set, returns the error of a backup that CBR does not take, or nil. One such backup makes the
	// whole call fail with its error.
	Reject func(cbr.Backup) *APIError
	// OnImport, if set, is called at the points of an import that Phase names. It may block, and it may panic
	// with http.ErrAbortHandler to drop the connection right there.
	OnImport func(Phase, []cbr.Backup)
	// SharedTaskIDs gives all backups of a call the same task; otherwise each has its own.
	SharedTaskIDs bool
	// HideTaskBackup leaves extra_info.backup out of the tasks.
	HideTaskBackup bool

	// TLS makes NewServer speak https.
	TLS bool
}

// Phase is a point in the course of an import.
type Phase string

// The phases of an import.
const (
	// BeforeAccept: the call is in order and will be accepted, nothing has been taken yet.
	BeforeAccept Phase = "BeforeAccept"
	// AfterAccept: all backups of the call are taken, the answer has not been sent.
	AfterAccept Phase = "AfterAccept"
)

// Outcome is how a task ends.
type Outcome struct {
	// Status is the final status; success if empty. A status that is not final lasts for ever.
	Status cbr.TaskStatus `json:"status,omitempty"`
	// Code and Message are the error_info.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// FailedBackups is err_sync_backup_num. If it is not 0 the backup does not appear, even after a success.
	FailedBackups int `json:"failedBackups,omitempty"`
	// Duration takes the place of Options.TaskDuration if it is not 0.
	Duration time.Duration `json:"-"`
}

func (o Outcome) stored() bool { return o.Status == cbr.TaskSuccess && o.FailedBackups == 0 }

// APIError is an error answer. Codes of the gateway (APIGW.*, APIG.*) come with a request_id, CBR's own do not.
type APIError struct {
	// Status is the HTTP status; 400 if 0.
	Status  int               `json:"status,omitempty"`
	Code    string            `json:"code,omitempty"`
	Message string            `json:"message,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

// withDefaults fills in what the zero value stands for, and detaches the slices from the caller's.
func (o Options) withDefaults() Options {
	if len(o.ProjectIDs) == 0 {
		o.ProjectIDs = []string{ProjectID}
	}
	if o.Tokens == nil {
		o.Tokens = []string{Token}
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.TaskRetention == 0 {
		o.TaskRetention = TaskRetention
	}
	if o.RateWindow == 0 {
		o.RateWindow = time.Minute
	}
	o.ProjectIDs, o.Tokens = slices.Clone(o.ProjectIDs), slices.Clone(o.Tokens)
	return o
}

func (o Options) outcome(backup cbr.Backup) Outcome {
	var outcome Outcome
	if o.TaskOutcome != nil {
		outcome = o.TaskOutcome(backup)
	}
	if outcome.Status == "" {
		outcome.Status = cbr.TaskSuccess
	}
	if outcome.Duration == 0 {
		outcome.Duration = o.TaskDuration
	}
	return outcome
}

func (o Options) onImport(phase Phase, backups []cbr.Backup) {
	if o.OnImport != nil {
		o.OnImport(phase, backups)
	}
}
