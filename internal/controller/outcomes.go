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

package controller

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// Back-off between submissions of a backup whose task has failed.
const (
	retryWait    = time.Minute
	retryMaxWait = time.Hour
)

// The functions of this file return what a BackupSync becomes by something that was learnt about it. They change
// nothing but their result, which shares with its origin only what nobody changes.

// settle returns the BackupSync with the conditions of a reason.
func settle(backup *v1alpha1.BackupSync, reason, message string, now metav1.Time) *v1alpha1.BackupSync {
	next := *backup
	next.Status.ObservedGeneration = backup.Generation
	next.Status.Conditions = applyConditions(&backup.ObjectMeta, backup.Status.Conditions, backupShapes[reason], reason, message, now)
	if requested(backup) {
		next.Status.LastHandledRequest = requestOf(backup)
	}
	return &next
}

// submitted is what CBR's acceptance makes of a BackupSync.
func submitted(backup *v1alpha1.BackupSync, operation string, now metav1.Time) *v1alpha1.BackupSync {
	next := settle(backup, v1alpha1.ReasonOperationRunning,
		"CBR has accepted the backup and imports it; the operation log in status.operationLogID is followed to its end.", now)
	next.Status.OperationLogID = operation
	next.Status.SubmittedAt = &now
	next.Status.CompletedAt = nil
	next.Status.NextAttemptAt = nil
	next.Status.Attempts++
	if stateOf(backup) == pending && renewed(backup) { // a mended manifest has all its retries again
		next.Status.Attempts = 1
	}
	return next
}

// foundStored is what a BackupSync becomes when CBR has its backup: from a call of ours whose answer was lost, or
// from before. The task is "" where CBR does not tell it.
func foundStored(backup *v1alpha1.BackupSync, ours bool, operation string, now metav1.Time) *v1alpha1.BackupSync {
	reason, message := v1alpha1.ReasonAlreadyImported, "CBR had the backup before it was ever sent from here; nothing was sent."
	if ours {
		reason, message = v1alpha1.ReasonImported, "The backup is in CBR and can be restored there."
	}
	next := settle(backup, reason, message, now)
	next.Status.CompletedAt = &now
	next.Status.NextAttemptAt = nil
	if operation != "" {
		next.Status.OperationLogID = operation
	}
	return next
}

// followed returns what a task that names a BackupSync makes of a version of it: nil if it tells so already. Another
// process may have found the backup in CBR before the task's id was written, and taken it for an earlier import.
func followed(backup *v1alpha1.BackupSync, operation string, at metav1.Time) *v1alpha1.BackupSync {
	switch {
	case backup.Status.OperationLogID == operation && readyReason(backup) != v1alpha1.ReasonAlreadyImported:
		return nil
	case stateOf(backup) != imported:
		return submitted(backup, operation, at)
	case readyReason(backup) != v1alpha1.ReasonAlreadyImported:
		return nil
	}
	next := foundStored(backup, true, operation, at)
	next.Status.CompletedAt = backup.Status.CompletedAt
	next.Status.SubmittedAt = &at
	next.Status.Attempts++
	return next
}

// ending is how an import has ended.
type ending struct {
	status cbr.TaskStatus
	at     cbr.Time // zero if CBR does not say
	said   string   // what has happened, for a failure
}

// endOf is the end that a task reports.
func endOf(task *cbr.OperationLog) ending {
	return ending{status: task.Status, at: task.EndedAt,
		said: fmt.Sprintf("CBR ended the import as %s%s", shorten(string(task.Status)), taskError(task))}
}

// unaccounted is the end of a task that reports errors, or speaks of several backups, for one that CBR does not have.
func unaccounted(task *cbr.OperationLog) ending {
	return ending{status: cbr.TaskFailed, at: task.EndedAt,
		said: fmt.Sprintf("CBR ended the import as %s%s, and does not have this backup", shorten(string(task.Status)), taskError(task))}
}

// forgotten is the end of a task that CBR does not know, of a backup that it does not have.
func forgotten() ending {
	return ending{status: cbr.TaskFailed, said: "CBR knows neither the task of the import any more, nor the backup"}
}

// kept is the end of an import of which CBR has the backup, whatever its task says.
func kept(task *cbr.OperationLog) ending {
	if task == nil {
		return ending{status: cbr.TaskSuccess}
	}
	return ending{status: cbr.TaskSuccess, at: task.EndedAt}
}

// finished is what the end of an import makes of a BackupSync.
func finished(backup *v1alpha1.BackupSync, end ending, retryLimit int32, now metav1.Time) *v1alpha1.BackupSync {
	ended := now
	if !end.at.IsZero() {
		ended = metav1.NewTime(end.at.Time)
	}
	if end.status == cbr.TaskSuccess {
		next := settle(backup, v1alpha1.ReasonImported, "The backup is in CBR and can be restored there.", now)
		next.Status.CompletedAt = &ended
		return next
	}
	if end.status != cbr.TaskSkipped && backup.Status.Attempts <= retryLimit {
		return retried(backup, end, now)
	}
	next := settle(backup, v1alpha1.ReasonOperationFailed,
		end.said+". Mend what it names, in the manifest if it is there: an edit sends the backup again.", now)
	next.Status.CompletedAt = &ended
	next.Status.LastHandledRequest = backup.Status.LastHandledRequest // a request to try again is still to be met
	return next
}

// retried is what a failed task makes of a BackupSync that has attempts left.
func retried(backup *v1alpha1.BackupSync, end ending, now metav1.Time) *v1alpha1.BackupSync {
	next := settle(backup, v1alpha1.ReasonRetryScheduled, end.said+". It is sent again at status.nextAttemptAt.", now)
	next.Status.LastHandledRequest = backup.Status.LastHandledRequest
	at := metav1.NewTime(now.Add(doubled(retryWait, retryMaxWait, int(backup.Status.Attempts))))
	next.Status.NextAttemptAt = &at
	return next
}

func taskError(task *cbr.OperationLog) string {
	code, message := shorten(task.ErrorInfo.Code), shorten(task.ErrorInfo.Message)
	switch {
	case code != "" && message != "":
		return fmt.Sprintf(" (%s: %s)", code, message)
	case code != "" || message != "":
		return fmt.Sprintf(" (%s%s)", code, message)
	default:
		return " without an error"
	}
}

// waiting returns the BackupSync with the reason why it waits, or nil if its status says so already. The default
// status of a new object says Queued without a write.
func waiting(backup *v1alpha1.BackupSync, reason, message string, now metav1.Time) *v1alpha1.BackupSync {
	told := readyReason(backup) == reason && says(backup, message)
	if told && (reason == v1alpha1.ReasonQueued && stateOf(backup) == pending || !renewed(backup)) {
		return nil
	}
	next := settle(backup, reason, message, now)
	if renewed(backup) && reason != v1alpha1.ReasonRetryScheduled {
		next.Status.NextAttemptAt = nil
		next.Status.Attempts = 0
	}
	return next
}

// overdueMessage is that of a task that takes longer than spec.poll.timeout.
const overdueMessage = "CBR has accepted the backup, but its import takes longer than spec.poll.timeout of the CBRProject. " +
	"It is followed on. Look at the operation log in status.operationLogID in CBR; if it hangs, ask Huawei Cloud."

// overdue returns a running BackupSync that takes too long, or nil if its status says so already.
func overdue(backup *v1alpha1.BackupSync, now metav1.Time) *v1alpha1.BackupSync {
	if says(backup, overdueMessage) {
		return nil
	}
	return settle(backup, v1alpha1.ReasonOperationRunning, overdueMessage, now)
}

// requeued returns a stalled BackupSync as one to be tried again: nil if it is not stalled, or as a duplicate.
func requeued(backup *v1alpha1.BackupSync, now metav1.Time) *v1alpha1.BackupSync {
	if stateOf(backup) != stalled || readyReason(backup) == v1alpha1.ReasonDuplicate {
		return nil
	}
	next := settle(backup, v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, now)
	next.Status.NextAttemptAt = nil
	next.Status.Attempts = 0
	return next
}

// says tells whether a message is already that of Ready. Most are clean, and each pass asks it of all that wait.
func says(backup *v1alpha1.BackupSync, message string) bool {
	said := readyMessageOf(backup)
	return said == message || said == cleanMessage(message)
}

// acknowledged returns a BackupSync whose edit or request changes nothing about it (suspend, for one).
func acknowledged(backup *v1alpha1.BackupSync, now metav1.Time) *v1alpha1.BackupSync {
	for _, condition := range backup.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady {
			return settle(backup, condition.Reason, condition.Message, now)
		}
	}
	return nil
}
