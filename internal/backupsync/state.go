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
	"cmp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// State is where a BackupSync stands.
type State uint8

const (
	// Pending means that CBR is still to be told of it, now or later.
	Pending State = iota
	// Running means that CBR has accepted it, and its task is followed.
	Running
	// Imported means that it is in CBR.
	Imported
	// Failed means that a person has to change something.
	Failed
	// States is the number of states.
	States = int(Failed) + 1
)

// String returns the name of a state, as metrics and counts tell it.
func (s State) String() string {
	return [States]string{"pending", "running", "imported", "failed"}[s]
}

// StateOf returns the state that follows from the facts in the status and from the spec. A failure speaks of the item
// that was sent: a manifest that declares another one is pending again, and so is one that a person has asked to be
// tried again. An outcome that is not known stays as it is: a later version of the operator has written it.
func StateOf(backup *v1alpha1.BackupSync) State {
	switch backup.Status.Outcome {
	case "":
		if runs(&backup.Status) {
			return Running
		}
		return Pending
	case v1alpha1.OutcomeImported, v1alpha1.OutcomeAlreadyImported:
		return Imported
	case v1alpha1.OutcomeRejected, v1alpha1.OutcomeOperationFailed, v1alpha1.OutcomeBackupUnusable:
		if Renewed(backup) {
			return Pending
		}
		return Failed
	default:
		return Failed
	}
}

// runs reports whether a task is under way: an attempt was accepted, and has not ended.
func runs(status *v1alpha1.BackupSyncStatus) bool {
	return status.OperationLogID != "" && status.FinishedTime == nil
}

// IsDuplicate reports whether another BackupSync was found to own the backup. That may change with any pass.
func IsDuplicate(backup *v1alpha1.BackupSync) bool {
	return backup.Status.Outcome == v1alpha1.OutcomeDuplicate
}

// Renewed reports whether a person has given reason to begin again: by a request, or, of what has failed, by an edit of
// the item that was sent. Suspension, labels and annotations are no such reason. A backup that is broken in CBR is not
// helped by an edit.
func Renewed(backup *v1alpha1.BackupSync) bool {
	if Requested(backup) {
		return true
	}
	switch backup.Status.Outcome {
	case v1alpha1.OutcomeRejected, v1alpha1.OutcomeOperationFailed:
		return Differs(&backup.Spec, backup.Status.SentHash)
	default:
		return retryDue(&backup.Status) && Differs(&backup.Spec, backup.Status.SentHash)
	}
}

// retryDue reports whether a failed import is to be sent again at a later time.
func retryDue(status *v1alpha1.BackupSyncStatus) bool {
	return status.Outcome == "" && !runs(status) && status.NextAttemptTime != nil
}

// maxRequest is the limit of status.lastHandledRequest. The annotation has none.
const maxRequest = 256

// RequestOf returns a person's latest request to try again, as status.lastHandledRequest tells it: "" without one.
func RequestOf(object metav1.Object) string {
	request := []rune(strings.ToValidUTF8(object.GetAnnotations()[v1alpha1.RequestedAtAnnotation], ""))
	return string(request[:min(len(request), maxRequest)])
}

// Requested reports whether a person has asked for another try that is not met yet.
func Requested(backup *v1alpha1.BackupSync) bool {
	request := RequestOf(backup)
	return request != "" && request != backup.Status.LastHandledRequest
}

// Reimport reports whether a person has asked to have an imported backup imported again, after it was deleted in CBR. It
// is sent only if a fresh look shows that CBR does not have it.
func Reimport(backup *v1alpha1.BackupSync) bool {
	return StateOf(backup) == Imported && Requested(backup)
}

// WantsCall reports whether a backup is to be sent as far as its facts are concerned: it is pending, may be a duplicate whose turn
// has come, or is to be imported again.
func WantsCall(backup *v1alpha1.BackupSync) bool {
	return StateOf(backup) == Pending || IsDuplicate(backup) || Reimport(backup)
}

// Accepted reports whether CBR has, or has had, the backup from this BackupSync, or may have: of an outcome that is not known
// that cannot be excluded.
func Accepted(backup *v1alpha1.BackupSync) bool {
	return StateOf(backup) == Imported || backup.Status.OperationLogID != "" ||
		backup.Status.Outcome == v1alpha1.OutcomeBackupUnusable || isUnknown(backup)
}

// isUnknown reports whether a BackupSync has an outcome that this version of the operator does not know. It is left alone.
func isUnknown(backup *v1alpha1.BackupSync) bool {
	switch backup.Status.Outcome {
	case "", v1alpha1.OutcomeImported, v1alpha1.OutcomeAlreadyImported, v1alpha1.OutcomeBackupUnusable, v1alpha1.OutcomeRejected,
		v1alpha1.OutcomeOperationFailed, v1alpha1.OutcomeDuplicate:
		return false
	default:
		return true
	}
}

// Drifted reports whether the manifest of a backup that CBR has accepted declares another item than was sent.
func Drifted(backup *v1alpha1.BackupSync) bool {
	accepted := backup.Status.Outcome == v1alpha1.OutcomeImported || backup.Status.Outcome == "" && runs(&backup.Status)
	return accepted && Differs(&backup.Spec, backup.Status.SentHash)
}

// Older orders BackupSyncs by age; those of the same second by name.
func Older(a, b *v1alpha1.BackupSync) int {
	if order := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); order != 0 {
		return order
	}
	return cmp.Compare(a.Name, b.Name)
}

// Owner returns which of the BackupSyncs that declare the same backup may have it: one that CBR has accepted,
// whatever its age, as a second submission is never worth it; else the oldest.
func Owner(duplicates []*v1alpha1.BackupSync) *v1alpha1.BackupSync {
	var first *v1alpha1.BackupSync
	for _, each := range duplicates {
		switch {
		case first == nil,
			Accepted(each) && !Accepted(first),
			Accepted(each) == Accepted(first) && Older(each, first) < 0:
			first = each
		}
	}
	return first
}
