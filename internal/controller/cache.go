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
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// TrimCached is the transform of the cache: what no pass reads is not kept. Of a BackupSync that is imported, that is
// nearly all: it only has to be known as the owner of its backup.
func TrimCached(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return object, nil //nolint:nilerr // tombstones and the like pass as they are
	}
	accessor.SetManagedFields(nil)
	if annotations := accessor.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
	}
	if backup, ok := object.(*v1alpha1.BackupSync); ok && backupsync.StateOf(backup) == backupsync.Imported && backupsync.Settled(backup) {
		return trim(backup), nil
	}
	return object, nil
}

// trim returns what a pass may need of an imported BackupSync. Nobody writes its status from it: an edit or a request
// comes with the whole object.
func trim(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	name, uid, version, id := packed(backup)
	kept := &v1alpha1.BackupSync{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: shared(backup.Namespace), Name: name, UID: types.UID(uid), Generation: backup.Generation,
			ResourceVersion: version, CreationTimestamp: backup.CreationTimestamp, DeletionTimestamp: backup.DeletionTimestamp,
		},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: shared(backup.Spec.ProjectRef.Name)}, BackupID: id,
		},
		Status: v1alpha1.BackupSyncStatus{
			ObservedGeneration: backup.Status.ObservedGeneration,
			Outcome:            v1alpha1.Outcome(shared(string(backup.Status.Outcome))),
			LastHandledRequest: backup.Status.LastHandledRequest,
		},
	}
	if request := backupsync.RequestOf(backup); request != "" {
		kept.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: request}
	}
	return kept
}

// packed returns the texts that are a BackupSync's own as parts of one: four pieces of memory would take a quarter more.
func packed(backup *v1alpha1.BackupSync) (name, uid, version, id string) {
	all := backup.Name + string(backup.UID) + backup.ResourceVersion + backup.Spec.BackupID
	cut := func(length int) string {
		part := all[:length]
		all = all[length:]
		return part
	}
	return cut(len(backup.Name)), cut(len(backup.UID)), cut(len(backup.ResourceVersion)), all
}

// trimmed reports whether a BackupSync of the cache is what trim has left: the name of a backup is never empty otherwise.
func trimmed(backup *v1alpha1.BackupSync) bool { return backup.Spec.BackupName == "" }

// shared returns an equal string that all equal ones share.
func shared(text string) string { return unique.Make(text).Value() }
