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
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// state is where a BackupSync stands, as its status tells.
type state uint8

const (
	// pending: CBR is still to be told of it, now or later.
	pending state = iota
	// running: CBR has accepted it, its task is followed.
	running
	// imported: it is in CBR.
	imported
	// stalled: a person has to change something.
	stalled
)

func (s state) String() string {
	return [...]string{"pending", "running", "imported", "failed"}[s]
}

// stateOf reads the state from the conditions. A failure speaks of the generation that was sent: an edited
// manifest is pending again, and so is one that a person has asked to be tried again.
func stateOf(backup *v1alpha1.BackupSync) state {
	conditions := backup.Status.Conditions
	switch {
	case meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady):
		return imported
	case meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled):
		if renewed(backup) && readyReason(backup) != v1alpha1.ReasonDuplicate {
			return pending
		}
		return stalled
	case readyReason(backup) == v1alpha1.ReasonOperationRunning:
		return running
	default:
		return pending
	}
}

// edited says whether the manifest has changed since the status was written.
func edited(backup *v1alpha1.BackupSync) bool {
	return backup.Status.ObservedGeneration != backup.Generation
}

// maxRequest is the limit of status.lastHandledRequest. The annotation has none.
const maxRequest = 256

// requestOf returns a person's latest request to try again, as status.lastHandledRequest tells it: "" without one.
func requestOf(object metav1.Object) string {
	request := []rune(strings.ToValidUTF8(object.GetAnnotations()[v1alpha1.RequestedAtAnnotation], ""))
	return string(request[:min(len(request), maxRequest)])
}

// requested says whether a person has asked for another try since the status was written.
func requested(backup *v1alpha1.BackupSync) bool {
	request := requestOf(backup)
	return request != "" && request != backup.Status.LastHandledRequest
}

// renewed says whether a person has given reason to begin anew since the status was written.
func renewed(backup *v1alpha1.BackupSync) bool { return edited(backup) || requested(backup) }

// active says whether a pass has to look at the BackupSync: it has not ended, a duplicate's turn may have come,
// or an edit or a request has not been acknowledged.
func active(backup *v1alpha1.BackupSync) bool {
	switch stateOf(backup) {
	case imported:
		return renewed(backup)
	case stalled:
		return readyReason(backup) == v1alpha1.ReasonDuplicate || renewed(backup)
	default:
		return true
	}
}

// accepted says whether CBR has, or has had, the backup from this BackupSync.
func accepted(backup *v1alpha1.BackupSync) bool {
	return meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionSubmitted) ||
		meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionReady)
}

func readyReason(backup *v1alpha1.BackupSync) string {
	if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason
	}
	return ""
}

// older orders BackupSyncs by age; those of the same second by name.
func older(a, b *v1alpha1.BackupSync) int {
	if order := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); order != 0 {
		return order
	}
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	default:
		return 0
	}
}
