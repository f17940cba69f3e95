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
	ProjectIDs []string `json:"-"`
	// Tokens are accepted in X-Auth-Token for every project; Token if nil, none if empty but not nil.
	Tokens []string `json:"-"`
	// Keys are the access keys whose signatures are accepted for every project, besides the tokens.
	Keys []Key `json:"-"`
	// IAM, if set, issues tokens and keys that are accepted too, until it lets them expire or revokes them.
	IAM *IAM `json:"-"`
	// Authenticate, if set, decides in place of Tokens, Keys and IAM: nil lets the request pass.
	Authenticate func(*http.Request) *APIError `json:"-"`

	// Clock is the server's clock; the real one if nil. Latency and the delays of faults take real time.
	Clock clock.PassiveClock `json:"-"`
	// ClockOffset is how far the gateway's clock, which judges signatures and stands in the Date headers, is ahead of Clock.
	ClockOffset time.Duration `json:"-"`
	// TimeOffset is how far the times that tasks and backups tell, and that lists select by, are ahead of Clock.
	TimeOffset time.Duration `json:"-"`
	// Latency is how long every call takes. It passes in full even if the client leaves meanwhile.
	Latency time.Duration `json:"-"`
	// TaskDuration is the time from the acceptance of a backup to the final state of its task: a quarter of it
	// the task waits, then it runs.
	TaskDuration time.Duration `json:"-"`
	// TaskRetention is how long tasks are known; the constant TaskRetention if 0.
	TaskRetention time.Duration `json:"-"`
	// VisibleAfter is the least time from the acceptance of a backup until its task, and what becomes of the backup, are
	// to be seen, in lists and by their ids. It holds for what is accepted from then on.
	VisibleAfter time.Duration `json:"-"`

	// SyncCallsPerMinute is the number of ImportBackup calls that may arrive in any RateWindow; 0 for no limit.
	// Calls that are refused, for whatever reason, count too.
	SyncCallsPerMinute int `json:"-"`
	// ReadsPerSecond is the number of reads that may arrive in any second; 0 for no limit. Refused ones count too, and are
	// told to come back after a second.
	ReadsPerSecond int `json:"readsPerSecond"`
	// RateWindow is the length of the "minute" of SyncCallsPerMinute; one minute if 0.
	RateWindow time.Duration `json:"-"`

	// TaskOutcome, if set, says how the task of an accepted backup ends. It is called once for each acceptance.
	TaskOutcome func(cbr.Backup) Outcome `json:"-"`
	// Reject, if set, returns the error of a backup that CBR does not take, or nil. One such backup makes the
	// whole call fail with its error.
	Reject func(cbr.Backup) *APIError `json:"-"`
	// GetError, if set, returns the error that a GET of a task or backup by this id is answered with, or nil.
	GetError func(id string) *APIError `json:"-"`
	// OnImport, if set, is called at the points of an import that Phase names. It may block, and it may panic
	// with http.ErrAbortHandler to drop the connection right there.
	OnImport func(Phase, []cbr.Backup) `json:"-"`

	// SharedTaskIDs gives all backups of a call the same task; otherwise each has its own.
	SharedTaskIDs bool `json:"sharedTaskIDs"`
	// NameFirst makes a task of several backups name the first of them and its resource; otherwise it names none.
	NameFirst bool `json:"nameFirst"`
	// HideTaskBackup leaves extra_info.backup out of the tasks.
	HideTaskBackup bool `json:"hideTaskBackup"`
	// HideTaskResource leaves extra_info.resource out of the tasks.
	HideTaskResource bool `json:"hideTaskResource"`
	// StartTimeIsStart makes start_time compare with when a task started, as the vendor's text says, so that it leaves out
	// the waiting ones; otherwise it compares with when the task was created, as end_time always does.
	StartTimeIsStart bool `json:"startTimeIsStart"`
	// FailedInError makes a task that ends without having imported its backup leave one in status error, until an import of
	// it ends well. Skipped tasks, which never ran, leave nothing.
	FailedInError bool `json:"failedInError"`
	// Quota is the number of backups that a project may hold: an import that would go beyond it is refused as a whole with
	// 400 BackupService.6114. 0 stands for no limit, a negative number lets nothing in.
	Quota int `json:"quota"`

	// FoldCase stores ids of backups and resources in lower case, answers with them so, and compares without case.
	FoldCase bool `json:"foldCase"`
	// RequireUUIDs answers a GET of an id that is no UUID with 400 BackupService.9900.
	RequireUUIDs bool `json:"requireUUIDs"`
	// TaskNotFound and BackupNotFound are the answers for ids that are not known. What they leave open is as the reference
	// says: 404 BackupService.6500 and 6200. Sister clouds use 6501, 6201, 6217, ShapeOpenStack and ShapeEmpty.
	TaskNotFound   *APIError `json:"-"`
	BackupNotFound *APIError `json:"-"`
	// ErrorShape is the shape of all errors that have none of their own; ShapeCBR if empty.
	ErrorShape ErrorShape `json:"errorShape"`
	// Refusals are errors that calls are answered with whatever they ask for, pages of a proxy and missing permissions among
	// them. The first that is in force for a call answers it.
	Refusals []Refusal `json:"-"`

	// NarrowLists lets a list show one enterprise project only: the one that enterprise_project_id names, the default one
	// without. With all_granted_eps it shows everything.
	NarrowLists bool `json:"narrowLists"`
	// GrantDefaultOnly lets the user see nothing but the default enterprise project in lists, with all_granted_eps too.
	GrantDefaultOnly bool `json:"grantDefaultOnly"`
	// ListShift is by how many places the order of a project's lists moves from one read of a list to the next. What moves
	// past the beginning comes to the end: whoever pages by offset sees some elements twice, and misses others.
	ListShift int `json:"listShift"`
	// MaxPage is the largest number of elements on a page, whatever the limit asks for; 0 for no such bound.
	MaxPage int `json:"maxPage"`
	// Count is what lists say in "count"; CountAll if empty.
	Count Count `json:"count"`

	// TLS makes NewServer speak https.
	TLS bool `json:"-"`
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
	// BackupStatus is the status of the backup that is there when the task has ended, however it ended; if empty, that is
	// available after a success, and see Options.FailedInError.
	BackupStatus string `json:"backupStatus,omitempty"`
	// BackupAfter is how much later than the end of the task that backup is to be seen.
	BackupAfter time.Duration `json:"-"`
	// Duration takes the place of Options.TaskDuration if it is not 0.
	Duration time.Duration `json:"-"`
}

func (o Outcome) stored() bool { return o.Status == cbr.TaskSuccess && o.FailedBackups == 0 }

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
	o.ProjectIDs, o.Tokens, o.Refusals = slices.Clone(o.ProjectIDs), slices.Clone(o.Tokens), slices.Clone(o.Refusals)
	o.Keys = slices.Clone(o.Keys)
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

// left is the status of the backup that a task leaves behind; "" for none.
func (o Options) left(outcome Outcome) string {
	switch {
	case outcome.BackupStatus != "":
		return outcome.BackupStatus
	case outcome.stored():
		return statusAvailable
	case o.FailedInError && outcome.Status.Final() && outcome.Status != cbr.TaskSkipped:
		return statusError
	default:
		return ""
	}
}

func (o Options) onImport(phase Phase, backups []cbr.Backup) {
	if o.OnImport != nil {
		o.OnImport(phase, backups)
	}
}

// tokenRefusal returns the error of a call with a token, nil for one that is accepted.
func (o Options) tokenRefusal(token string) *APIError {
	if slices.Contains(o.Tokens, token) {
		return nil
	}
	if o.IAM != nil {
		if refusal, issued := o.IAM.Token(token); issued {
			return refusal
		}
	}
	return &APIError{Status: http.StatusUnauthorized, Code: "APIGW.0301", Message: "Incorrect IAM authentication information: token expires"}
}
