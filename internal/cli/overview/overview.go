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

package overview

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/liveness"
)

// Overview is what status prints with -o json and -o yaml. Fields are added over time, and none is taken away or changes its meaning.
type Overview struct {
	// Time is when it was read.
	Time metav1.Time `json:"time"`
	// Operator says whether the operator is alive.
	Operator liveness.Operator `json:"operator"`
	// Projects are the CBRProjects, by namespace and name.
	Projects []Project `json:"projects"`
	// Orphans are BackupSyncs that are not in CBR, and name a CBRProject that does not exist.
	Orphans []Orphans `json:"orphans,omitempty"`
	// Done says that nothing is pending or running, or names a CBRProject that does not exist.
	Done bool `json:"done"`
}

// Project is how the imports of a CBRProject go.
type Project struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Ready, Reason and Message are those of its condition Ready, Stalled says that a person has to change something.
	Ready   metav1.ConditionStatus `json:"ready"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
	Stalled bool                   `json:"stalled"`
	// Suspended is spec.suspend.
	Suspended bool `json:"suspended"`
	// DeletionTime is when its deletion was asked for; absent if it was not. Nothing of it is sent any more.
	DeletionTime *metav1.Time `json:"deletionTime,omitempty"`
	// Finalizers are what holds the deletion up.
	Finalizers []string `json:"finalizers,omitempty"`
	// CredentialsExpiring is the message of that condition; "" while it does not hold.
	CredentialsExpiring string `json:"credentialsExpiring,omitempty"`
	// Counts are those of the operator, in status.backups; absent if it has never counted.
	Counts *v1alpha1.BackupCounts `json:"counts,omitempty"`
	// Stale says why the counts, or the conditions, may be older than the truth.
	Stale []string `json:"stale,omitempty"`
	// Read says how many BackupSyncs the rest was found among.
	Read Read `json:"read"`
	// Reasons are the reasons of Ready of those that were read, the most frequent first.
	Reasons []ReasonCount `json:"reasons,omitempty"`
	// OldestPending is the oldest of those that were read that is pending, and neither suspended nor being deleted.
	OldestPending *Example `json:"oldestPending,omitempty"`
	Pace          Pace     `json:"pace"`
	// UnknownCalls are the calls whose outcome is not known, CallsUnderWay those that may not have been answered yet.
	UnknownCalls  *Calls `json:"unknownCalls,omitempty"`
	CallsUnderWay *Calls `json:"callsUnderWay,omitempty"`
	Drifted       Drift  `json:"drifted"`
	// Audit is status.audit of the CBRProject; absent without one.
	Audit *v1alpha1.AuditSummary `json:"audit,omitempty"`
}

// Read says how many BackupSyncs were read singly.
type Read struct {
	Pending  int `json:"pending"`
	Running  int `json:"running"`
	Failed   int `json:"failed"`
	Imported int `json:"imported"`
	// OpenTruncated and FailedTruncated say that there were more than --limit of those.
	OpenTruncated   bool `json:"openTruncated"`
	FailedTruncated bool `json:"failedTruncated"`
	// All says that imported ones were read as well, by --all.
	All bool `json:"all"`
}

// ReasonCount is how many of those that were read have a reason.
type ReasonCount struct {
	State  string `json:"state"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	// Examples are some of them, the oldest first.
	Examples []Example `json:"examples"`
}

// Example is a BackupSync.
type Example struct {
	Name         string      `json:"name"`
	Reason       string      `json:"reason"`
	Message      string      `json:"message"`
	CreationTime metav1.Time `json:"creationTime"`
}

// Pace is how fast a CBRProject may import, and does.
type Pace struct {
	// CallsPerMinute and BackupsPerCall are its limits, BackupsPerMinute is what they come to.
	CallsPerMinute   int `json:"callsPerMinute"`
	BackupsPerCall   int `json:"backupsPerCall"`
	BackupsPerMinute int `json:"backupsPerMinute"`
	// CallsInLastMinute is how many the operator has noted in its journal.
	CallsInLastMinute int `json:"callsInLastMinute"`
	// HeldBack is how many of those that were read are pending, and not sent: they are suspended themselves, or being deleted.
	HeldBack int `json:"heldBack,omitempty"`
	// LeastMinutes is how long it takes at least until the last call for what else is pending; absent while nothing is, or nothing is sent.
	LeastMinutes *int `json:"leastMinutes,omitempty"`
	// ImportedPerMinute is what --watch has seen, SecondsLeft what follows for all that is open; absent before they are known.
	ImportedPerMinute *float64 `json:"importedPerMinute,omitempty"`
	SecondsLeft       *int     `json:"secondsLeft,omitempty"`
}

// Calls are sync calls of the operator's journal.
type Calls struct {
	Calls   int `json:"calls"`
	Backups int `json:"backups"`
	// Since is when the oldest of them began.
	Since metav1.MicroTime `json:"since"`
}

// Drift is how many manifests differ from what CBR has accepted.
type Drift struct {
	Count int `json:"count"`
	// Complete says that imported ones were looked at, too.
	Complete bool     `json:"complete"`
	Names    []string `json:"names,omitempty"`
}

// Orphans are BackupSyncs that name a CBRProject that does not exist.
type Orphans struct {
	Namespace string `json:"namespace"`
	Project   string `json:"project"`
	Count     int    `json:"count"`
	// Truncated says that there are more: --limit left them out.
	Truncated bool `json:"truncated"`
	// Names are some of them.
	Names []string `json:"names"`
}

// counts returns how many are in each state: as the operator counts them, or as many as were read if it never has.
func (p *Project) counts() v1alpha1.BackupCounts {
	if p.Counts != nil {
		return *p.Counts
	}
	return v1alpha1.BackupCounts{Total: int32(p.Read.Pending + p.Read.Running + p.Read.Failed + p.Read.Imported),
		Pending: int32(p.Read.Pending), Running: int32(p.Read.Running), Failed: int32(p.Read.Failed), Imported: int32(p.Read.Imported)}
}

// done reports whether nothing of the project is pending or running. What has failed may be pending again: of those that were not read, the
// operator's count tells.
func (p *Project) done() bool {
	counts := p.counts()
	return p.Read.Pending+p.Read.Running == 0 && !p.Read.OpenTruncated && (!p.Read.FailedTruncated || counts.Pending == 0)
}

// counted reports whether the operator has counted that nothing is pending or running. It counts some seconds later: whoever waits for the end is
// told the last numbers, too.
func (p *Project) counted() bool { return p.Counts == nil || p.Counts.Pending+p.Counts.Running == 0 }

// found returns how many are in each state that has not succeeded: as many as were read, or, if not all were, as the operator counts them.
func (p *Project) found() (pending, running, failed int) {
	pending, running, failed = p.Read.Pending, p.Read.Running, p.Read.Failed
	if p.Read.OpenTruncated && p.Counts != nil {
		pending, running = max(pending, int(p.Counts.Pending)), max(running, int(p.Counts.Running))
	}
	if p.Read.FailedTruncated && p.Counts != nil {
		failed = max(failed, int(p.Counts.Failed))
	}
	return pending, running, failed
}
