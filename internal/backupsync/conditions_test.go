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
	"maps"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

func TestConditionsOfEachReason(t *testing.T) {
	for reason, wanted := range conditionTable {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			backup := lives[reason].backup()
			g.Expect(conditionsOf(backup)).To(Equal(wanted.conditions(reason, false)))
			for _, condition := range backup.Status.Conditions {
				g.Expect(condition.Message).NotTo(BeEmpty(), condition.Type)
			}
		})
	}
	for reason := range conditionSets {
		if _, known := conditionTable[reason]; !known {
			t.Errorf("the reason %s is not in the table of the design", reason)
		}
	}
}

// Whatever a BackupSync was before, its conditions are those of what it is now, and nothing of before is left.
func TestConditionsFollowFromTheReasonAlone(t *testing.T) {
	for from, before := range lives {
		for to := range lives {
			g := NewWithT(t)
			backup := before.backup()
			backup.Status.Conditions = conditionSets[to].Apply(&backup.ObjectMeta, backup.Status.Conditions, to, "It is so.", noon)
			g.Expect(conditionsOf(backup)).To(Equal(conditionTable[to].conditions(to, false)), "from %s to %s", from, to)
		}
	}
}

func TestEveryOutcomeObservesTheGeneration(t *testing.T) {
	g := NewWithT(t)
	g.Expect(newBackup().Status.ObservedGeneration).To(BeEquivalentTo(-1))
	for reason, live := range lives {
		if reason == v1alpha1.ReasonQueued { // its default status
			continue
		}
		backup := live.backup()
		g.Expect(backup.Status.ObservedGeneration).To(Equal(backup.Generation), reason)
		for _, condition := range backup.Status.Conditions {
			g.Expect(condition.ObservedGeneration).To(Equal(backup.Generation), "%s of %s", condition.Type, reason)
		}
	}
}

func TestTransitionTimes(t *testing.T) {
	g := NewWithT(t)
	since := func(backup *v1alpha1.BackupSync, kind string) metav1.Time {
		condition := meta.FindStatusCondition(backup.Status.Conditions, kind)
		g.Expect(condition).NotTo(BeNil(), kind)
		return condition.LastTransitionTime
	}
	bare := newBackup(func(b *v1alpha1.BackupSync) { b.Status.Conditions = nil })
	waits := Waiting(bare, Circumstances{ProjectMissing: true}, afterNoon(0))
	runs := Submitted(waits, "operation", itsHash, afterNoon(1), afterNoon(1))
	failed := Finished(runs, end(cbr.TaskFailed), 3, afterNoon(2))
	resubmitted := Submitted(failed, "another", itsHash, afterNoon(3), afterNoon(3))
	done := Finished(resubmitted, end(cbr.TaskSuccess), 3, afterNoon(4))
	drifted := Acknowledged(edit(done), alone, afterNoon(5))
	suspended := Acknowledged(suspend(drifted), alone, afterNoon(6))

	g.Expect(since(waits, v1alpha1.ConditionReady)).To(Equal(afterNoon(0)))
	g.Expect(since(runs, v1alpha1.ConditionReady)).To(Equal(afterNoon(0)), "Unknown all along, with another reason")
	g.Expect(since(runs, v1alpha1.ConditionReconciling)).To(Equal(afterNoon(0)))
	g.Expect(since(resubmitted, v1alpha1.ConditionReady)).To(Equal(afterNoon(0)))
	g.Expect(since(done, v1alpha1.ConditionReady)).To(Equal(afterNoon(4)))
	g.Expect(since(drifted, v1alpha1.ConditionReady)).To(Equal(afterNoon(4)))
	g.Expect(since(drifted, v1alpha1.ConditionDrifted)).To(Equal(afterNoon(5)))
	g.Expect(since(suspended, v1alpha1.ConditionDrifted)).To(Equal(afterNoon(5)))
}

// The CRD's default status cannot tell the time. Its conditions hold since the object was created.
func TestTransitionTimeOfTheDefaultStatus(t *testing.T) {
	g := NewWithT(t)
	created := newBackup(func(b *v1alpha1.BackupSync) { b.CreationTimestamp = afterNoon(-1) })
	for _, condition := range Submitted(created, "operation", itsHash, noon, noon).Status.Conditions {
		g.Expect(condition.LastTransitionTime).To(Equal(afterNoon(-1)), condition.Type)
	}
}

// A condition that was absent for a while holds since it came back, not since it was there before.
func TestTransitionTimeOfAConditionThatComesBack(t *testing.T) {
	g := NewWithT(t)
	suspended := Waiting(suspend(newBackup()), alone, noon)
	resumed := suspended.DeepCopy()
	resumed.Spec.Suspend = false
	back := Waiting(resumed, alone, afterNoon(60))
	g.Expect(meta.FindStatusCondition(back.Status.Conditions, v1alpha1.ConditionReconciling).LastTransitionTime).To(Equal(afterNoon(60)))
}

func TestTheSameReasonTwiceChangesNothing(t *testing.T) {
	of := &metav1.ObjectMeta{Generation: 1}
	for reason, conditions := range conditionSets {
		once := conditions.Apply(of, newBackup().Status.Conditions, reason, "It is so.", noon)
		twice := conditions.Apply(of, once, reason, "It is so.", afterNoon(60))
		NewWithT(t).Expect(twice).To(Equal(once), reason)
	}
}

func TestWaitingWritesOnlyWhatIsNew(t *testing.T) {
	resume := func(b *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		next := suspend(b)
		next.Spec.Suspend = false
		return next
	}
	duplicate, missing, suspended := lives[v1alpha1.ReasonDuplicate], lives[v1alpha1.ReasonProjectNotFound], lives[v1alpha1.ReasonSuspended].backup()
	for name, c := range map[string]struct {
		backup  *v1alpha1.BackupSync
		given   Circumstances
		written bool
	}{
		"a new one is queued by default":            {newBackup(), alone, false},
		"a new one that is edited is queued still":  {edit(newBackup()), alone, false},
		"a new one with a request is queued still":  {ask(newBackup(), "now"), alone, false},
		"one without a status":                      {newBackup(func(b *v1alpha1.BackupSync) { b.Status = v1alpha1.BackupSyncStatus{} }), alone, true},
		"a suspended one stays so":                  {suspended, alone, false},
		"a suspended one stays so, edited":          {edit(suspended), alone, true},
		"a suspended one is queued when it goes on": {resume(suspended), alone, true},
		"a rejected one is queued after an edit":    {edit(rejectedBackup()), alone, true},
		"one whose retry is due":                    {retriedBackup(), alone, false},
		"one whose retry is due, edited":            {edit(retriedBackup()), alone, true},
		"one whose project is still missing":        {missing.backup(), missing.given, false},
		"one whose project has come":                {missing.backup(), alone, true},
		"a duplicate stays so":                      {duplicate.backup(), duplicate.given, false},
		"a duplicate stays so, edited":              {edit(duplicate.backup()), duplicate.given, true},
		"a duplicate of another one than before":    {duplicate.backup(), Circumstances{Owner: "erp-07"}, true},
		"a duplicate whose owner is gone":           {duplicate.backup(), alone, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			next := Waiting(c.backup, c.given, noon)
			g.Expect(next != nil).To(Equal(c.written))
			if next != nil {
				g.Expect(Presented(next, c.given)).To(BeTrue())
				g.Expect(Waiting(next, c.given, afterNoon(60))).To(BeNil(), "what was written is not written again")
			}
		})
	}
}

// Each turn of a duplicate is told: it is one, of another, and none any more.
func TestTheLifeOfADuplicate(t *testing.T) {
	g := NewWithT(t)
	first := Waiting(ask(newBackup(), "now"), Circumstances{Owner: "erp-00"}, noon)
	g.Expect(first.Status.Outcome).To(Equal(v1alpha1.OutcomeDuplicate))
	g.Expect(IsDuplicate(first)).To(BeTrue())
	g.Expect(readyOf(first).Message).To(ContainSubstring("erp-00"))
	second := Waiting(first, Circumstances{Owner: "erp-07"}, noon)
	g.Expect(readyOf(second).Message).To(ContainSubstring("erp-07"))
	retried := Waiting(retriedBackup(), Circumstances{Owner: "erp-00"}, noon)
	g.Expect(retried.Status.NextAttemptTime).To(BeNil(), "it waits for its owner, not for a time")
	free := Waiting(second, alone, noon)
	g.Expect(free.Status.Outcome).To(BeEmpty())
	g.Expect(StateOf(free)).To(Equal(Pending))
	g.Expect(readyOf(free).Reason).To(Equal(v1alpha1.ReasonQueued))
	g.Expect(readyOf(Waiting(second, Circumstances{ProjectMissing: true}, noon)).Reason).To(Equal(v1alpha1.ReasonProjectNotFound))
}

func TestAcknowledged(t *testing.T) {
	g := NewWithT(t)
	done := importedBackup()
	g.Expect(Acknowledged(done, alone, noon)).To(BeNil())
	next := Acknowledged(suspend(done), alone, afterNoon(60))
	g.Expect(next.Status.ObservedGeneration).To(BeEquivalentTo(2))
	g.Expect(readyOf(next).Message).To(Equal(readyOf(done).Message))
	g.Expect(next.Status.FinishedTime).To(Equal(done.Status.FinishedTime))

	running := Acknowledged(ask(runningBackup(), "now"), alone, noon)
	g.Expect(running.Status.LastHandledRequest).To(Equal("now"), "it is looked at at once")
	overdue := Acknowledged(running, Circumstances{Overdue: true}, noon)
	g.Expect(readyOf(overdue).Reason).To(Equal(v1alpha1.ReasonOperationOverdue))
	g.Expect(readyOf(Acknowledged(overdue, alone, noon)).Reason).To(Equal(v1alpha1.ReasonOperationRunning), "poll.overdueAfter was raised")

	damaged := newBackup(func(b *v1alpha1.BackupSync) {
		b.Status = *importedBackup().Status.DeepCopy()
		b.Status.Conditions = nil
	})
	g.Expect(conditionsOf(Acknowledged(damaged, alone, noon))).To(Equal(readyRow.conditions(v1alpha1.ReasonImported, false)), "what was dropped is written again")
}

// Whatever somebody makes of the conditions is seen, and written as it should be.
func TestDamagedConditionsAreSeen(t *testing.T) {
	type conditions = []metav1.Condition
	damage := map[string]func(conditions, string) conditions{
		"dropped": func(current conditions, kind string) conditions {
			return slices.DeleteFunc(current, func(c metav1.Condition) bool { return c.Type == kind })
		},
		"with another status": func(current conditions, kind string) conditions {
			meta.SetStatusCondition(&current, metav1.Condition{Type: kind, Status: "Odd", Reason: "Odd"})
			return current
		},
		"set by somebody else": func(current conditions, kind string) conditions {
			if meta.FindStatusCondition(current, kind) == nil {
				meta.SetStatusCondition(&current, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "Odd"})
			}
			return current
		},
	}
	drifted := life{alone, func() *v1alpha1.BackupSync { return Acknowledged(edit(importedBackup()), alone, noon) }}
	all := maps.Clone(lives)
	all["Drifted"] = drifted
	for reason, live := range all {
		for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionDrifted} {
			for how, apply := range damage {
				g := NewWithT(t)
				sound := live.backup()
				damaged := sound.DeepCopy()
				damaged.Status.Conditions = apply(damaged.Status.Conditions, kind)
				if maps.Equal(conditionsOf(sound), conditionsOf(damaged)) {
					continue
				}
				g.Expect(Presented(damaged, live.given)).To(BeFalse(), "%s: %s is %s", reason, kind, how)
				g.Expect(conditionsOf(Acknowledged(damaged, live.given, noon))).To(Equal(conditionsOf(sound)), "%s: %s is %s", reason, kind, how)
			}
		}
	}
}

func TestForeignConditionsAreKept(t *testing.T) {
	g := NewWithT(t)
	foreign := metav1.Condition{Type: "example.com/Audited", Status: metav1.ConditionTrue, Reason: "Audited", LastTransitionTime: noon}
	backup := newBackup(func(b *v1alpha1.BackupSync) { b.Status.Conditions = append(b.Status.Conditions, foreign) })
	done := Finished(Submitted(backup, "operation", itsHash, noon, noon), end(cbr.TaskSuccess), 3, noon)
	g.Expect(done.Status.Conditions).To(ContainElement(foreign))
	g.Expect(Settled(done)).To(BeTrue(), "they are nothing to the operator")
}
