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
	"slices"
	"sync"
	"unique"
	"unsafe"

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
	if backup, ok := object.(*v1alpha1.BackupSync); ok {
		detach(backup)
		if backupsync.StateOf(backup) == backupsync.Imported && backupsync.Settled(backup) {
			return trim(backup), nil
		}
	}
	return object, nil
}

// detach removes what others may attach to a BackupSync, as much as they like, but for their request. Nobody reads it here, and all that is written
// are patches of the status, which leave it on the API server.
func detach(backup *v1alpha1.BackupSync) {
	request := backupsync.RequestOf(backup)
	backup.Labels, backup.Annotations, backup.OwnerReferences, backup.Finalizers = nil, nil, nil, nil
	if request != "" {
		backup.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: request}
	}
}

// imported is a trimmed BackupSync and the room that is left beside it. Go's memory comes in pieces of set sizes: a BackupSync takes 576
// bytes and 8 of Go's own, and would get 640 anyway. If it grows, TestHeapOfImported fails: 704 is the next size.
type imported struct {
	backup v1alpha1.BackupSync
	room   [640 - 8 - unsafe.Sizeof(v1alpha1.BackupSync{})]byte
}

// trim returns what a pass may need of an imported BackupSync. Nobody writes its status from it: an edit or a request
// comes with the whole object.
func trim(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	kept := &imported{}
	uid, version := packed(kept.room[:0], string(backup.UID), backup.ResourceVersion)
	name, id := packed(nil, backup.Name, backup.Spec.BackupID)
	kept.backup = v1alpha1.BackupSync{
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
			CloudProject:       sharedPointer(backup.Status.CloudProject),
			LastHandledRequest: backup.Status.LastHandledRequest,
			Conditions:         keptConditions(backup),
		},
	}
	if request := backupsync.RequestOf(backup); request != "" {
		kept.backup.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: request}
	}
	return &kept.backup
}

// keptConditions returns what is kept of the conditions of an imported BackupSync: whether it is said not to be available, and to have drifted.
// All that say the same share them, so that they take no memory. Nobody may change them.
func keptConditions(backup *v1alpha1.BackupSync) []metav1.Condition {
	if driftedCondition(backup) {
		return keptOfDrifted[backupsync.AvailabilityOf(backup)]
	}
	return keptOfOthers[backupsync.AvailabilityOf(backup)]
}

// driftedCondition reports whether the conditions say that the manifest was edited since it was sent.
func driftedCondition(backup *v1alpha1.BackupSync) bool {
	return meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionDrifted)
}

var (
	keptOfOthers  = keptOf()
	keptOfDrifted = keptOf(metav1.Condition{Type: v1alpha1.ConditionDrifted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonEditedAfterImport})
)

// keptOf returns what is kept of the conditions, by what Available says, with some more.
func keptOf(more ...metav1.Condition) [backupsync.BackupUndefined + 1][]metav1.Condition {
	unavailable := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return append([]metav1.Condition{{Type: v1alpha1.ConditionAvailable, Status: status, Reason: reason}}, more...)
	}
	return [...][]metav1.Condition{
		backupsync.BackupAvailable: more,
		backupsync.BackupMissing:   unavailable(metav1.ConditionFalse, v1alpha1.ReasonMissing),
		backupsync.BackupUnusable:  unavailable(metav1.ConditionFalse, v1alpha1.ReasonUnusable),
		backupsync.BackupUndefined: unavailable(metav1.ConditionUnknown, ""),
	}
}

// packed returns two texts as parts of one, as two pieces of memory would take more. It lies in the room if they fit, as a uid and a
// resource version always do. Nobody else may write there.
func packed(room []byte, first, second string) (string, string) {
	bytes := append(append(slices.Grow(room, len(first)+len(second)), first...), second...)
	both := unsafe.String(unsafe.SliceData(bytes), len(bytes))
	return both[:len(first)], both[len(first):]
}

// trimmed reports whether a BackupSync of the cache is what trim has left: the name of a backup is never empty otherwise.
func trimmed(backup *v1alpha1.BackupSync) bool { return backup.Spec.BackupName == "" }

// shared returns an equal string that all equal ones share.
func shared(text string) string { return unique.Make(text).Value() }

// pointers are those to the texts that trimmed BackupSyncs share: there are as many as cloud projects.
var pointers sync.Map

// sharedPointer returns a pointer to an equal text that all equal ones share, nil for none. Nobody may write there.
func sharedPointer(text *string) *string {
	if text == nil {
		return nil
	}
	kept, _ := pointers.LoadOrStore(*text, text)
	return kept.(*string)
}
