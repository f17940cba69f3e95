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

package backupsync

import (
	"testing"
	"time"

	kstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync/backupsynctest"
	"backupsync.dev/operator/internal/cbr"
)

// noon is the time at which these tests play.
var noon = backupsynctest.Noon

func afterNoon(minutes int) metav1.Time {
	return metav1.NewTime(noon.Add(time.Duration(minutes) * time.Minute))
}

// newBackup is a BackupSync as the API server makes it of a manifest.
func newBackup(changes ...func(*v1alpha1.BackupSync)) *v1alpha1.BackupSync {
	return backupsynctest.New(changes...)
}

// edit is what the API server makes of a BackupSync whose item is changed.
func edit(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync { return backupsynctest.Edited(backup) }

// suspend is what the API server makes of a BackupSync that is suspended: another generation, the same item.
func suspend(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	next := backup.DeepCopy()
	next.Generation++
	next.Spec.Suspend = true
	return next
}

// label returns a BackupSync with other labels and annotations.
func label(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	next := backup.DeepCopy()
	next.Labels, next.Annotations = map[string]string{"tier": "gold"}, map[string]string{"owner": "erp"}
	return next
}

// ask returns a BackupSync with a request to try again.
func ask(backup *v1alpha1.BackupSync, request string) *v1alpha1.BackupSync {
	next := backup.DeepCopy()
	next.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: request}
	return next
}

// Hashes of the item of newBackup, of what edit makes of it, and of a version that nobody knows yet.
var (
	itsHash      = Hash(&newBackup().Spec)
	editedHash   = Hash(&edit(newBackup()).Spec)
	unknownHash  = "v9:x"
	alone        = Circumstances{}
	unknownValue = v1alpha1.Outcome("ImportedByMagic")
)

// task is a task of CBR that has ended.
func task(status cbr.TaskStatus, code, message string) *cbr.OperationLog {
	return &cbr.OperationLog{ID: "operation", Status: status, ErrorInfo: cbr.ErrorInfo{Code: code, Message: message}}
}

func end(status cbr.TaskStatus) Ending {
	return EndOf(task(status, "BackupService.1006", "import failed"))
}

func runningBackup() *v1alpha1.BackupSync {
	return Submitted(newBackup(), "operation", itsHash, noon, noon)
}

func endedBackup(status cbr.TaskStatus, retryLimit int32) *v1alpha1.BackupSync {
	return Finished(runningBackup(), end(status), retryLimit, noon)
}

func importedBackup() *v1alpha1.BackupSync { return endedBackup(cbr.TaskSuccess, 3) }
func retriedBackup() *v1alpha1.BackupSync  { return endedBackup(cbr.TaskFailed, 3) }
func failedBackup() *v1alpha1.BackupSync   { return endedBackup(cbr.TaskFailed, 0) }
func rejectedBackup() *v1alpha1.BackupSync {
	return Rejected(newBackup(), itsHash, "no such image", noon)
}

// withOutcome is a BackupSync whose import has ended in a way that no function of this package makes.
func withOutcome(outcome v1alpha1.Outcome) *v1alpha1.BackupSync {
	backup := failedBackup()
	backup.Status.Outcome = outcome
	return Present(backup, alone, noon)
}

// life is a BackupSync with the circumstances in which its conditions were written.
type life struct {
	given  Circumstances
	backup func() *v1alpha1.BackupSync
}

// lives are BackupSyncs of each reason, reached as the operator reaches them.
var lives = map[string]life{
	v1alpha1.ReasonQueued:           {alone, func() *v1alpha1.BackupSync { return newBackup() }},
	v1alpha1.ReasonAwaitingTask:     waitingIn(Circumstances{AwaitsTask: true}),
	v1alpha1.ReasonProjectNotFound:  waitingIn(Circumstances{ProjectMissing: true}),
	v1alpha1.ReasonOutcomeUnknown:   waitingIn(Circumstances{InCall: true}),
	v1alpha1.ReasonDuplicate:        waitingIn(Circumstances{Owner: "erp-00"}),
	v1alpha1.ReasonSuspended:        {alone, func() *v1alpha1.BackupSync { return Waiting(suspend(newBackup()), alone, noon) }},
	v1alpha1.ReasonOperationRunning: {alone, runningBackup},
	v1alpha1.ReasonOperationOverdue: {Circumstances{Overdue: true}, func() *v1alpha1.BackupSync {
		return Acknowledged(runningBackup(), Circumstances{Overdue: true}, noon)
	}},
	v1alpha1.ReasonImported:        {alone, importedBackup},
	v1alpha1.ReasonAlreadyImported: {alone, func() *v1alpha1.BackupSync { return Stored(newBackup(), "", "", noon) }},
	v1alpha1.ReasonRejected:        {alone, rejectedBackup},
	v1alpha1.ReasonRetryScheduled:  {alone, retriedBackup},
	v1alpha1.ReasonOperationFailed: {alone, failedBackup},
	v1alpha1.ReasonBackupUnusable:  {alone, func() *v1alpha1.BackupSync { return withOutcome(v1alpha1.OutcomeBackupUnusable) }},
	v1alpha1.ReasonUnknownOutcome:  {alone, func() *v1alpha1.BackupSync { return withOutcome(unknownValue) }},
}

func waitingIn(given Circumstances) life {
	return life{given, func() *v1alpha1.BackupSync { return Waiting(newBackup(), given, noon) }}
}

// row is a row of the condition table of the design, with what Flux makes of it.
type row struct {
	ready                metav1.ConditionStatus
	reconciling, stalled bool
	flux                 kstatus.Status // what Flux makes of it
}

var (
	progressRow = row{metav1.ConditionUnknown, true, false, kstatus.InProgressStatus}
	readyRow    = row{metav1.ConditionTrue, false, false, kstatus.CurrentStatus}
	stalledRow  = row{metav1.ConditionFalse, false, true, kstatus.FailedStatus}
)

// conditionTable is the table of the design, section "Conditions", by the reason of Ready.
var conditionTable = map[string]row{
	v1alpha1.ReasonQueued:           progressRow,
	v1alpha1.ReasonAwaitingTask:     progressRow,
	v1alpha1.ReasonProjectNotFound:  progressRow,
	v1alpha1.ReasonSuspended:        {metav1.ConditionUnknown, false, false, kstatus.InProgressStatus},
	v1alpha1.ReasonOperationRunning: progressRow,
	v1alpha1.ReasonOperationOverdue: progressRow,
	v1alpha1.ReasonImported:         readyRow,
	v1alpha1.ReasonAlreadyImported:  readyRow,
	v1alpha1.ReasonBackupUnusable:   stalledRow,
	v1alpha1.ReasonRejected:         stalledRow,
	v1alpha1.ReasonRetryScheduled:   progressRow,
	v1alpha1.ReasonOperationFailed:  stalledRow,
	v1alpha1.ReasonDuplicate:        stalledRow,
	v1alpha1.ReasonOutcomeUnknown:   progressRow,
	v1alpha1.ReasonUnknownOutcome:   stalledRow,
}

// conditions returns the conditions of a row by type, each as its status and reason.
func (r row) conditions(reason string, drifted bool) map[string]string {
	wanted := map[string]string{v1alpha1.ConditionReady: string(r.ready) + " " + reason}
	if r.reconciling {
		wanted[v1alpha1.ConditionReconciling] = "True " + reason
	}
	if r.stalled {
		wanted[v1alpha1.ConditionStalled] = "True " + reason
	}
	if drifted {
		wanted[v1alpha1.ConditionDrifted] = "True " + v1alpha1.ReasonEditedAfterImport
	}
	return wanted
}

// conditionsOf returns the conditions of a BackupSync by type, each as its status and reason.
func conditionsOf(backup *v1alpha1.BackupSync) map[string]string {
	found := map[string]string{}
	for _, condition := range backup.Status.Conditions {
		found[condition.Type] = string(condition.Status) + " " + condition.Reason
	}
	return found
}

func readyOf(backup *v1alpha1.BackupSync) metav1.Condition {
	if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return *ready
	}
	return metav1.Condition{}
}

func isDrifted(backup *v1alpha1.BackupSync) bool {
	return meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionDrifted)
}

// kstatusOf is what Flux makes of an object, from what the API server would hand it.
func kstatusOf(t *testing.T, object any) kstatus.Status {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	result, err := kstatus.Compute(&unstructured.Unstructured{Object: content})
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}
