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

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/connection"
)

// notice is what is told of an object besides its status.
type notice struct {
	object                        client.Object
	kind, reason, action, message string
}

func (r *Reconciler) emit(e notice) {
	r.events.Eventf(e.object, nil, e.kind, e.reason, e.action, "%s", e.message)
}

// What events are about.
const (
	actionReconcile = "Reconcile"
	actionImport    = "ImportBackup"
	actionDelete    = "Delete"
	actionAudit     = "Audit"
)

// hasEvent reports whether there is an event of BackupSyncs that come to a reason: of all that are stalled, and of what a person may want to
// look at. Successes are in the status and the metrics alone.
func hasEvent(reason string) bool {
	conditions, _ := backupsync.Conditions(reason)
	return conditions.Stalled || reason == v1alpha1.ReasonRetryScheduled || reason == v1alpha1.ReasonOperationOverdue
}

// backupEvent is the event of what a BackupSync has become, if there is one.
func backupEvent(backup *v1alpha1.BackupSync) (notice, bool) {
	ready := readyOf(backup.Status.Conditions)
	return notice{backup, corev1.EventTypeWarning, ready.Reason, actionImport, ready.Message}, hasEvent(ready.Reason)
}

// auditEvent is that of an imported BackupSync whose condition Available has changed.
func auditEvent(backup *v1alpha1.BackupSync) notice {
	kind, said := corev1.EventTypeWarning, meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionAvailable)
	if said.Status == metav1.ConditionTrue {
		kind = corev1.EventTypeNormal
	}
	return notice{backup, kind, said.Reason, actionAudit, said.Message}
}

// projectEvent is that of a project whose Ready has another reason than before.
func projectEvent(project *v1alpha1.CBRProject) notice {
	ready := readyOf(project.Status.Conditions)
	kind := corev1.EventTypeWarning
	if ready.Reason == v1alpha1.ReasonUsable || ready.Reason == v1alpha1.ReasonSuspended {
		kind = corev1.EventTypeNormal
	}
	return notice{project, kind, ready.Reason, actionReconcile, ready.Message}
}

// expiryEvent is that of credentials that have come to end soon.
func expiryEvent(project *v1alpha1.CBRProject, condition *metav1.Condition) notice {
	return notice{project, corev1.EventTypeWarning, condition.Reason, actionReconcile, condition.Message}
}

// callFailedEvent is that of a sync call without a usable answer.
func callFailedEvent(project *v1alpha1.CBRProject, backups int, err error) notice {
	return notice{project, corev1.EventTypeWarning, "SyncCallFailed", actionImport,
		fmt.Sprintf("A sync call failed (backups: %d): %s", backups, connection.DescribeForEvent(err))}
}

// releasedEvent is that of a project that goes before the outcome of its calls is known.
func releasedEvent(project *v1alpha1.CBRProject) notice {
	return notice{project, corev1.EventTypeWarning, "Released", actionDelete,
		fmt.Sprintf("Deleted before the outcome of a sync call was known (calls: %d). A new CBRProject with the default lookupPolicy looks its backups up in CBR "+
			"before it sends them.", len(project.Status.Journal.Submissions))}
}
