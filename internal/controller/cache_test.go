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
	"backupsync.dev/operator/internal/backupsync"
)

// What is trimmed for the cache looks the same to a pass.
func TestTrimCached(t *testing.T) {
	for reason, live := range lives {
		for variant, change := range map[string]func(*v1alpha1.BackupSync) *v1alpha1.BackupSync{
			"":           func(b *v1alpha1.BackupSync) *v1alpha1.BackupSync { return b },
			", edited":   edit,
			", asked to": func(b *v1alpha1.BackupSync) *v1alpha1.BackupSync { return asked(b, "now") },
			", asked to before": func(b *v1alpha1.BackupSync) *v1alpha1.BackupSync {
				b = asked(b, "before")
				b.Status.LastHandledRequest = "before"
				return b
			},
			", with damaged conditions": func(b *v1alpha1.BackupSync) *v1alpha1.BackupSync {
				b = b.DeepCopy()
				b.Status.Conditions = nil
				return b
			},
		} {
			t.Run(reason+variant, func(t *testing.T) {
				expectTrimmed(t, change(live()).DeepCopy())
			})
		}
	}
}

func expectTrimmed(t *testing.T, backup *v1alpha1.BackupSync) {
	t.Helper()
	g := NewWithT(t)
	backup.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	before := backup.DeepCopy()
	result, err := TrimCached(backup)
	g.Expect(err).NotTo(HaveOccurred())
	kept := result.(*v1alpha1.BackupSync)
	g.Expect(kept.ManagedFields).To(BeEmpty())
	g.Expect([]any{backupsync.StateOf(kept), activeKeys(kept), stalledKeys(kept), backupsync.Accepted(kept), backupsync.Requested(kept)}).To(
		Equal([]any{backupsync.StateOf(before), activeKeys(before), stalledKeys(before), backupsync.Accepted(before), backupsync.Requested(before)}))
	g.Expect([]any{kept.UID, kept.ResourceVersion, kept.Name, kept.Namespace, kept.CreationTimestamp, kept.Spec.BackupID, kept.Spec.ProjectRef.Name}).To(
		Equal([]any{before.UID, before.ResourceVersion, before.Name, before.Namespace, before.CreationTimestamp, before.Spec.BackupID, before.Spec.ProjectRef.Name}))
	if backupsync.StateOf(before) != backupsync.Imported || len(activeKeys(before)) > 0 {
		before.ManagedFields = nil
		g.Expect(kept).To(Equal(before), "what a pass may write is whole")
	} else {
		g.Expect(trimmed(kept)).To(BeTrue())
	}
	again, err := TrimCached(kept.DeepCopy())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(kept))
}

// A state that another version of the operator has written is not guessed at.
func TestTrimCachedKeepsWhatItDoesNotKnow(t *testing.T) {
	g := NewWithT(t)
	backup := lives[v1alpha1.ReasonUnknownOutcome]()
	kept, err := TrimCached(backup.DeepCopy())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(kept).To(Equal(backup))
}
