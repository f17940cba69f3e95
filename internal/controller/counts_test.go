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
	"strconv"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
)

var defaultProject = types.NamespacedName{Namespace: "team", Name: "default"}

// versionOf is a version of a BackupSync in the state of a reason.
func versionOf(name, reason string, version int) *v1alpha1.BackupSync {
	backup := lives[reason]().DeepCopy()
	backup.Name, backup.UID, backup.ResourceVersion = name, types.UID("uid of "+name), strconv.Itoa(version)
	return backup
}

func TestTallyCounts(t *testing.T) {
	g := NewWithT(t)
	counted := newStateCounts()
	version := 0
	for reason := range lives {
		version++
		counted.observe(versionOf(reason, reason, version))
	}
	elsewhere := versionOf("elsewhere", v1alpha1.ReasonImported, 99)
	elsewhere.Spec.ProjectRef.Name = "other"
	foreign := versionOf("foreign", v1alpha1.ReasonImported, 99)
	foreign.Namespace = "other"
	counted.observe(elsewhere)
	counted.observe(foreign)

	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 15, Pending: 6, Running: 2, Imported: 2, Failed: 5}))
	g.Expect(counted.counts(types.NamespacedName{Namespace: "team", Name: "other"})).To(Equal(v1alpha1.BackupCounts{Total: 1, Imported: 1}))
	g.Expect(counted.counts(types.NamespacedName{Namespace: "team", Name: "none"})).To(Equal(v1alpha1.BackupCounts{}))
}

func TestDriftedBackupsAreCounted(t *testing.T) {
	g := NewWithT(t)
	counted := newStateCounts()
	edited := versionOf("a", v1alpha1.ReasonImported, 1)
	meta.SetStatusCondition(&edited.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionDrifted, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonEditedAfterImport})
	missing := withAvailable(edited, metav1.ConditionFalse, v1alpha1.ReasonMissing)
	missing.UID = "b"
	counted.observe(edited)
	counted.observe(missing)
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 2, Imported: 2, Drifted: ptr.To(int32(2))}))
	lost, broken := counted.unavailable(defaultProject)
	g.Expect([]int32{lost, broken}).To(Equal([]int32{1, 0}))

	counted.observe(versionOf("a", v1alpha1.ReasonImported, 2))
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 2, Imported: 2, Drifted: ptr.To(int32(1))}), "the edit was reverted")
}

func TestTallyFollowsABackup(t *testing.T) {
	g := NewWithT(t)
	counted := newStateCounts()
	g.Expect(counted.observe(versionOf("a", v1alpha1.ReasonQueued, 1))).To(BeTrue(), "a new one is news")
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 1, Pending: 1}))
	g.Expect(counted.observe(versionOf("a", v1alpha1.ReasonQueued, 2))).To(BeTrue(), "a change by someone else is news")
	g.Expect(counted.observe(versionOf("a", v1alpha1.ReasonQueued, 2))).To(BeFalse(), "a resync is none")

	counted.wrote(versionOf("a", v1alpha1.ReasonOperationRunning, 3))
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 1, Running: 1}), "what was written counts at once")
	g.Expect(counted.observe(versionOf("a", v1alpha1.ReasonOperationRunning, 3))).To(BeFalse(), "our own write is no news")
	g.Expect(counted.observe(versionOf("a", v1alpha1.ReasonQueued, 2))).To(BeFalse(), "nor is what it has overtaken")
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 1, Running: 1}))
	g.Expect(counted.observe(versionOf("a", v1alpha1.ReasonImported, 10))).To(BeTrue(), "versions are numbers: 10 comes after 3")

	counted.forget(versionOf("a", v1alpha1.ReasonImported, 10))
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{}))
	counted.forget(versionOf("a", v1alpha1.ReasonImported, 10))
	counted.wrote(versionOf("a", v1alpha1.ReasonImported, 11))
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{}), "it is gone, whatever was under way")
}

// One of the same name that is created anew is another one, even if its creation is seen before the deletion.
func TestTallyTellsNamesakesApart(t *testing.T) {
	g := NewWithT(t)
	counted := newStateCounts()
	first, second := versionOf("a", v1alpha1.ReasonImported, 1), versionOf("a", v1alpha1.ReasonQueued, 2)
	second.UID = "another uid"
	counted.observe(first)
	counted.observe(second)
	counted.forget(first)
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 1, Pending: 1}))
}

func TestTallyCountsAnEditedFailureAsPending(t *testing.T) {
	g := NewWithT(t)
	counted := newStateCounts()
	counted.observe(versionOf("a", v1alpha1.ReasonRejected, 1))
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 1, Failed: 1}))
	mended := edit(versionOf("a", v1alpha1.ReasonRejected, 2))
	g.Expect(counted.observe(mended)).To(BeTrue())
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 1, Pending: 1}))
}

// The watch and the writers of several projects use it at the same time.
func TestTallyAtTheSameTime(t *testing.T) {
	g := NewWithT(t)
	counted := newStateCounts()
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 100 {
				name := strconv.Itoa(worker*100 + i)
				counted.observe(versionOf(name, v1alpha1.ReasonQueued, 1))
				counted.wrote(versionOf(name, v1alpha1.ReasonImported, 2))
				counted.observe(versionOf(name, v1alpha1.ReasonImported, 2))
				counted.counts(defaultProject)
				if i%2 == 0 {
					counted.forget(versionOf(name, v1alpha1.ReasonImported, 2))
				}
			}
		})
	}
	group.Wait()
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 400, Imported: 400}))
}

// Projects come and go, and BackupSyncs name what was never there: what is remembered is as much as there is now.
func TestTallyForgetsProjectsThatNobodyNames(t *testing.T) {
	g := NewWithT(t)
	counted := newStateCounts()
	kept := versionOf("kept", v1alpha1.ReasonImported, 1)
	counted.observe(kept)
	for number := range 1000 {
		passing := versionOf("passing", v1alpha1.ReasonQueued, 1)
		passing.Spec.ProjectRef.Name = strconv.Itoa(number)
		counted.observe(passing)
		g.Expect(counted.counts(projectKey(passing))).To(Equal(v1alpha1.BackupCounts{Total: 1, Pending: 1}))
		counted.forget(passing)
		g.Expect(counted.counts(projectKey(passing))).To(Equal(v1alpha1.BackupCounts{}))
	}
	g.Expect(counted.numbers).To(HaveLen(1))
	g.Expect(len(counted.projects)).To(BeNumerically("<=", 2))
	g.Expect(counted.counts(defaultProject)).To(Equal(v1alpha1.BackupCounts{Total: 1, Imported: 1}))
}

func TestResourceVersion(t *testing.T) {
	g := NewWithT(t)
	for text, version := range map[string]int64{"1": 1, "9007199254740993": 9007199254740993, "": 0, "odd": 0} {
		backup := newBackup(func(b *v1alpha1.BackupSync) { b.ResourceVersion = text })
		g.Expect(resourceVersion(backup)).To(Equal(version), text)
	}
}
