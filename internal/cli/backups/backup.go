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

// Package backups reads BackupSyncs by the thousands: page by page, each while it arrives, and keeps of each what commands show.
package backups

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// Backup is what commands show of a BackupSync.
type Backup struct {
	Namespace, Name string
	Created         time.Time
	// Project is the CBRProject that it names.
	Project, BackupID, Resource string
	// State is where it stands, by the facts in its status and its manifest, as the operator counts it.
	State backupsync.State
	// Reason and Message are those of Ready. They may be older than the facts by a moment.
	Reason, Message string
	Operation       string
	Attempts        int32
	// Submitted, Finished and NextAttempt are zero where there is no such time.
	Submitted, Finished, NextAttempt time.Time
	// Drifted says that its manifest differs from what CBR has accepted.
	Drifted bool
	// Suspended is spec.suspend. The reason may tell of it a moment later.
	Suspended bool
	// Deleted is when its deletion was asked for, which its finalizers hold up; zero if it was not.
	Deleted time.Time
}

// object is a BackupSync without what is read for nothing, such as its managed fields.
type object struct {
	Metadata struct {
		Namespace         string            `json:"namespace"`
		Name              string            `json:"name"`
		Generation        int64             `json:"generation"`
		CreationTimestamp metav1.Time       `json:"creationTimestamp"`
		DeletionTimestamp *metav1.Time      `json:"deletionTimestamp"`
		Annotations       map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec   v1alpha1.BackupSyncSpec   `json:"spec"`
	Status v1alpha1.BackupSyncStatus `json:"status"`
}

// trimmed returns what is kept of an object.
func (o *object) trimmed() Backup {
	whole := v1alpha1.BackupSync{Spec: o.Spec, Status: o.Status}
	whole.Namespace, whole.Name, whole.Generation = o.Metadata.Namespace, o.Metadata.Name, o.Metadata.Generation
	whole.CreationTimestamp, whole.DeletionTimestamp, whole.Annotations = o.Metadata.CreationTimestamp, o.Metadata.DeletionTimestamp, o.Metadata.Annotations
	return Of(&whole)
}

// Of returns what is kept of a BackupSync.
func Of(whole *v1alpha1.BackupSync) Backup {
	status := &whole.Status
	kept := Backup{
		Namespace: whole.Namespace, Name: whole.Name, Created: whole.CreationTimestamp.Time, Project: whole.Spec.ProjectRef.Name,
		BackupID: whole.Spec.BackupID, Resource: whole.Spec.ResourceName, State: backupsync.StateOf(whole), Operation: status.OperationLogID,
		Attempts: status.Attempts, Submitted: at(status.SubmittedTime), Finished: at(status.FinishedTime), NextAttempt: at(status.NextAttemptTime),
		Drifted: backupsync.Drifted(whole), Suspended: whole.Spec.Suspend, Deleted: at(whole.DeletionTimestamp),
	}
	if ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady); ready != nil {
		kept.Reason, kept.Message = backupsync.CleanMessage(ready.Reason), backupsync.CleanMessage(ready.Message)
	}
	return kept
}

// HeldBack reports whether it is not sent, whatever its CBRProject does: it is suspended itself, or being deleted.
func (b *Backup) HeldBack() bool { return b.Suspended || !b.Deleted.IsZero() }

func at(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// Older orders by age, those of the same second by name.
func Older(a, b Backup) int {
	return cmp.Or(a.Created.Compare(b.Created), ByName(a, b))
}

// ByName orders by namespace and name.
func ByName(a, b Backup) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
