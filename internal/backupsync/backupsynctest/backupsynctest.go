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

// Package backupsynctest makes BackupSyncs for tests.
package backupsynctest

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// Noon is the time at which tests with fixed times play.
var Noon = metav1.NewTime(time.Date(2026, 3, 26, 12, 0, 0, 0, time.UTC))

// New is a BackupSync as the API server makes it of a manifest: with the default status of the CRD. It declares the
// item of the vendor's example of ImportBackup.
func New(changes ...func(*v1alpha1.BackupSync)) *v1alpha1.BackupSync {
	queued := metav1.Condition{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonQueued,
		Message: v1alpha1.QueuedMessage, LastTransitionTime: metav1.NewTime(time.Unix(0, 0))}
	ready, reconciling := queued, queued
	ready.Type, ready.Status = v1alpha1.ConditionReady, metav1.ConditionUnknown
	reconciling.Type = v1alpha1.ConditionReconciling
	backup := &v1alpha1.BackupSync{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "BackupSync"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "erp-01", UID: "uid-erp-01", Generation: 1,
			ResourceVersion: "1", CreationTimestamp: Noon},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef:   v1alpha1.ProjectReference{Kind: v1alpha1.ProjectKindCBRProject, Name: "default"},
			BackupID:     "1f9e6b47-7655-4a19-b563-21b4ef023025",
			BackupName:   "backup_name",
			BucketName:   "1555230361623e4ce4700dab84b7d8169a5eaec05227d",
			ImagePath:    "6abec15e-7baf-4d79-b5a9-6b98a2da7020/cfe0295c-5939-4b31-96cd-161b4725e7ad/cfe0295c-5939-4b31-96cd-161b4725e7ad",
			ResourceID:   "96f7512d-239d-3f31-80cf-d1ce041df9a6",
			ResourceName: "resource_name",
			ResourceType: "OS::Native::Server",
			CreatedAt:    1553587260,
		},
		Status: v1alpha1.BackupSyncStatus{ObservedGeneration: -1, Conditions: []metav1.Condition{ready, reconciling}},
	}
	for _, change := range changes {
		change(backup)
	}
	return backup
}

// Edited is what the API server makes of a BackupSync whose item is changed.
func Edited(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	next := backup.DeepCopy()
	next.Generation++
	next.Spec.ImagePath += "/Editeded"
	return next
}
