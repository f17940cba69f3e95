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
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// What is trimmed for the cache looks the same to a pass.
func TestTrimCached(t *testing.T) {
	for name, row := range conditionTable {
		for variant, change := range map[string]func(*v1alpha1.BackupSync) *v1alpha1.BackupSync{
			"":           func(b *v1alpha1.BackupSync) *v1alpha1.BackupSync { return b },
			", edited":   edit,
			", asked to": func(b *v1alpha1.BackupSync) *v1alpha1.BackupSync { return asked(b, "now") },
			", asked to before": func(b *v1alpha1.BackupSync) *v1alpha1.BackupSync {
				b = asked(b, "before")
				b.Status.LastHandledRequest = "before"
				return b
			},
		} {
			t.Run(name+variant, func(t *testing.T) {
				g := NewWithT(t)
				backup := change(row.backup()).DeepCopy()
				backup.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
				before := backup.DeepCopy()
				result, err := TrimCached(backup)
				g.Expect(err).NotTo(HaveOccurred())
				trimmed := result.(*v1alpha1.BackupSync)
				g.Expect(trimmed.ManagedFields).To(BeEmpty())
				g.Expect([]any{stateOf(trimmed), active(trimmed), accepted(trimmed), edited(trimmed), requested(trimmed), readyReason(trimmed)}).To(
					Equal([]any{stateOf(before), active(before), accepted(before), edited(before), requested(before), readyReason(before)}))
				g.Expect([]any{trimmed.UID, trimmed.ResourceVersion, trimmed.Name, trimmed.Namespace, trimmed.CreationTimestamp, trimmed.Spec.BackupID, trimmed.Spec.ProjectRef}).To(
					Equal([]any{before.UID, before.ResourceVersion, before.Name, before.Namespace, before.CreationTimestamp, before.Spec.BackupID, before.Spec.ProjectRef}))
				if stateOf(before) != imported || active(before) {
					before.ManagedFields = nil
					g.Expect(trimmed).To(Equal(before), "what a pass may write is whole")
				}
				again, err := TrimCached(trimmed.DeepCopy())
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(again).To(Equal(trimmed))
			})
		}
	}
}

// A state that another version of the operator has written is not guessed at.
func TestTrimCachedKeepsWhatItDoesNotKnow(t *testing.T) {
	g := NewWithT(t)
	backup := settledAs(v1alpha1.ReasonImported)()
	backup.Status.Conditions[0].Reason = "ImportedByMagic"
	trimmed, err := TrimCached(backup.DeepCopy())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(trimmed).To(Equal(backup))
}

// asked returns a BackupSync with a request to try again.
func asked(backup *v1alpha1.BackupSync, request string) *v1alpha1.BackupSync {
	next := *backup
	next.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: request}
	return &next
}
