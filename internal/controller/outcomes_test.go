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
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

func afterAttempts(attempts int32) *v1alpha1.BackupSync {
	backup := runningBackup()
	backup.Status.Attempts = attempts
	return backup
}

func TestRetryLimit(t *testing.T) {
	for name, c := range map[string]struct {
		status          cbr.TaskStatus
		attempts, limit int32
		reason          string
	}{
		"the first failure is retried":            {cbr.TaskFailed, 1, 3, v1alpha1.ReasonRetryScheduled},
		"the last retry is made":                  {cbr.TaskFailed, 3, 3, v1alpha1.ReasonRetryScheduled},
		"the failure of the last retry is final":  {cbr.TaskFailed, 4, 3, v1alpha1.ReasonOperationFailed},
		"no retries: the first failure is final":  {cbr.TaskFailed, 1, 0, v1alpha1.ReasonOperationFailed},
		"one retry: the first failure is retried": {cbr.TaskFailed, 1, 1, v1alpha1.ReasonRetryScheduled},
		"one retry: the second failure is final":  {cbr.TaskFailed, 2, 1, v1alpha1.ReasonOperationFailed},
		"the limit was lowered in the meantime":   {cbr.TaskFailed, 7, 3, v1alpha1.ReasonOperationFailed},
		"a time-out is retried":                   {cbr.TaskTimeout, 1, 3, v1alpha1.ReasonRetryScheduled},
		"a time-out of the last retry is final":   {cbr.TaskTimeout, 4, 3, v1alpha1.ReasonOperationFailed},
		"what CBR's checks skip is final at once": {cbr.TaskSkipped, 1, 3, v1alpha1.ReasonOperationFailed},
		"success needs no retry":                  {cbr.TaskSuccess, 1, 3, v1alpha1.ReasonImported},
		"success of the last retry":               {cbr.TaskSuccess, 4, 3, v1alpha1.ReasonImported},
		"success, though the limit was lowered":   {cbr.TaskSuccess, 9, 0, v1alpha1.ReasonImported},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			next := finished(afterAttempts(c.attempts), endOf(task(c.status, "", "")), c.limit, noon)
			g.Expect(readyReason(next)).To(Equal(c.reason))
			g.Expect(next.Status.Attempts).To(Equal(c.attempts), "the end of a task is no attempt")
			if c.reason == v1alpha1.ReasonRetryScheduled {
				g.Expect(next.Status.CompletedAt).To(BeNil(), "it has not ended")
				g.Expect(next.Status.NextAttemptAt).NotTo(BeNil())
			} else {
				g.Expect(next.Status.CompletedAt).NotTo(BeNil())
				g.Expect(next.Status.NextAttemptAt).To(BeNil(), "there is no next attempt")
			}
		})
	}
}

func TestRetryBackoff(t *testing.T) {
	g := NewWithT(t)
	for attempts, minutes := range map[int32]int{1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 32, 7: 60, 8: 60, 100: 60} {
		next := finished(afterAttempts(attempts), endOf(task(cbr.TaskFailed, "", "")), 100, noon)
		g.Expect(next.Status.NextAttemptAt.Sub(noon.Time)).To(Equal(time.Duration(minutes)*time.Minute), "after %d attempts", attempts)
	}
}

// A backup that fails all the way: so many calls, and no more.
func TestALifeOfFailures(t *testing.T) {
	g := NewWithT(t)
	backup := newBackup()
	const limit = 3
	for attempt := int32(1); attempt <= limit; attempt++ {
		backup = submitted(backup, "operation", noon)
		g.Expect(backup.Status.Attempts).To(Equal(attempt))
		g.Expect(backup.Status.NextAttemptAt).To(BeNil(), "a running one has no next attempt")
		backup = finished(backup, endOf(task(cbr.TaskFailed, "", "")), limit, noon)
		g.Expect(readyReason(backup)).To(Equal(v1alpha1.ReasonRetryScheduled))
	}
	backup = finished(submitted(backup, "operation", noon), endOf(task(cbr.TaskFailed, "", "")), limit, noon)
	g.Expect(readyReason(backup)).To(Equal(v1alpha1.ReasonOperationFailed))
	g.Expect(backup.Status.Attempts).To(BeEquivalentTo(1 + limit))
}

func TestAnEditGivesAllRetriesAgain(t *testing.T) {
	failed := func() *v1alpha1.BackupSync { return endedAs(cbr.TaskFailed, 0)() }
	for name, backup := range map[string]*v1alpha1.BackupSync{
		"failed for good":   edit(func() *v1alpha1.BackupSync { b := failed(); b.Status.Attempts = 4; return b }()),
		"rejected":          edit(settledAs(v1alpha1.ReasonRejected)()),
		"waits for a retry": edit(finished(afterAttempts(3), endOf(task(cbr.TaskFailed, "", "")), 3, noon)),
	} {
		t.Run(name+", sent at once", func(t *testing.T) {
			g := NewWithT(t)
			next := submitted(backup, "another", noon)
			g.Expect(next.Status.Attempts).To(BeEquivalentTo(1))
			g.Expect(next.Status.NextAttemptAt).To(BeNil())
			g.Expect(next.Status.CompletedAt).To(BeNil(), "it runs again")
			g.Expect(next.Status.OperationLogID).To(Equal("another"))
		})
		t.Run(name+", seen waiting in between", func(t *testing.T) {
			g := NewWithT(t)
			queued := waiting(backup, v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, noon)
			g.Expect(queued.Status.Attempts).To(BeZero())
			g.Expect(queued.Status.NextAttemptAt).To(BeNil())
			g.Expect(submitted(queued, "another", noon).Status.Attempts).To(BeEquivalentTo(1))
		})
	}
}

// Running tasks are not edited away: a suspension, the only edit that is open then, leaves the count alone.
func TestAnEditOfARunningBackupKeepsItsAttempts(t *testing.T) {
	g := NewWithT(t)
	next := finished(edit(afterAttempts(4)), endOf(task(cbr.TaskFailed, "", "")), 3, noon)
	g.Expect(readyReason(next)).To(Equal(v1alpha1.ReasonOperationFailed))
	g.Expect(next.Status.ObservedGeneration).To(BeEquivalentTo(2))
}

func TestSubmitted(t *testing.T) {
	g := NewWithT(t)
	next := submitted(newBackup(), "154f0a9d-ba53-4e91-a3e2-a918710a9e0d", noon)
	g.Expect(next.Status.OperationLogID).To(Equal("154f0a9d-ba53-4e91-a3e2-a918710a9e0d"))
	g.Expect(next.Status.SubmittedAt).To(HaveValue(Equal(noon)))
	g.Expect(next.Status.Attempts).To(BeEquivalentTo(1))
	g.Expect(readyMessageOf(next)).NotTo(ContainSubstring("154f0a9d"), "messages hold no ids")
}

func TestCompletedAt(t *testing.T) {
	g := NewWithT(t)
	ended := noon.Add(-90 * time.Second)
	for _, status := range []cbr.TaskStatus{cbr.TaskSuccess, cbr.TaskSkipped, cbr.TaskFailed, cbr.TaskTimeout} {
		end := task(status, "", "")
		end.EndedAt = cbr.Time{Time: ended}
		g.Expect(finished(runningBackup(), endOf(end), 0, noon).Status.CompletedAt.Time).To(Equal(ended), "%s: CBR says when", status)
		end.EndedAt = cbr.Time{}
		g.Expect(finished(runningBackup(), endOf(end), 0, noon).Status.CompletedAt).To(HaveValue(Equal(noon)), "%s: CBR does not say when", status)
	}
}

func TestFoundStored(t *testing.T) {
	g := NewWithT(t)
	before := foundStored(newBackup(), false, "", noon)
	g.Expect(readyReason(before)).To(Equal(v1alpha1.ReasonAlreadyImported))
	g.Expect(before.Status.CompletedAt).To(HaveValue(Equal(noon)))
	g.Expect(before.Status.Attempts).To(BeZero(), "nothing was sent")

	retried := finished(runningBackup(), endOf(task(cbr.TaskFailed, "", "")), 3, noon)
	ours := foundStored(retried, true, "", noon)
	g.Expect(readyReason(ours)).To(Equal(v1alpha1.ReasonImported))
	g.Expect(ours.Status.NextAttemptAt).To(BeNil())
	g.Expect(ours.Status.OperationLogID).To(Equal("operation"), "the last task that is known")
	g.Expect(foundStored(retried, true, "another", noon).Status.OperationLogID).To(Equal("another"))
}

// What a person reads of a failed task: what CBR said, and what to do.
func TestMessagesOfFailedTasks(t *testing.T) {
	for name, c := range map[string]struct {
		code, message string
		says          string
	}{
		"code and message": {"BackupService.1006", "The image does not exist.", "failed (BackupService.1006: The image does not exist.)."},
		"code alone":       {"BackupService.1006", "", "failed (BackupService.1006)."},
		"message alone":    {"", "The image does not exist.", "failed (The image does not exist.)."},
		"neither":          {"", "", "failed without an error."},
		"lines":            {"BackupService.1006", "The image\ndoes not exist.\x00", "failed (BackupService.1006: The image does not exist.)."},
		"a long story":     {"BackupService.1006", strings.Repeat("very ", 1000), "failed (BackupService.1006: very very"},
		"in Chinese":       {"BackupService.1006", strings.Repeat("备份不存在", 1000), "failed (BackupService.1006: 备份不存在备份"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			failed := task(cbr.TaskFailed, c.code, c.message)
			final := readyMessageOf(finished(runningBackup(), endOf(failed), 0, noon))
			g.Expect(final).To(And(ContainSubstring(c.says), ContainSubstring("an edit sends the backup again.")))
			g.Expect(utf8.RuneCountInString(final)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
			retried := readyMessageOf(finished(runningBackup(), endOf(failed), 3, noon))
			g.Expect(retried).To(And(ContainSubstring(c.says), ContainSubstring("It is sent again at status.nextAttemptAt.")))
			g.Expect(utf8.RuneCountInString(retried)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
		})
	}
}

func TestWaitingWritesOnlyWhatIsNew(t *testing.T) {
	queued := func(b *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return waiting(b, v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, noon)
	}
	suspended := waitingFor(v1alpha1.ReasonSuspended)
	for name, c := range map[string]struct {
		next    *v1alpha1.BackupSync
		written bool
	}{
		"a new one is queued by default":            {queued(newBackup()), false},
		"a new one that is edited is queued still":  {queued(edit(newBackup())), false},
		"one without a status":                      {queued(newBackup(func(b *v1alpha1.BackupSync) { b.Status = v1alpha1.BackupSyncStatus{} })), true},
		"a suspended one is queued when it goes on": {queued(edit(suspended())), true},
		"a rejected one is queued after an edit":    {queued(edit(settledAs(v1alpha1.ReasonRejected)())), true},
		"one whose project has come is queued":      {queued(waitingFor(v1alpha1.ReasonWaitingForProject)()), true},
		"a suspended one stays so":                  {waiting(suspended(), v1alpha1.ReasonSuspended, "It waits.", noon), false},
		"a suspended one stays so, edited":          {waiting(edit(suspended()), v1alpha1.ReasonSuspended, "It waits.", noon), true},
		"a duplicate stays so":                      {waiting(waitingFor(v1alpha1.ReasonDuplicate)(), v1alpha1.ReasonDuplicate, "It waits.", noon), false},
		"a duplicate of another one than before":    {waiting(waitingFor(v1alpha1.ReasonDuplicate)(), v1alpha1.ReasonDuplicate, "Of another.", noon), true},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(c.next != nil).To(Equal(c.written))
		})
	}
}

// Waiting in vain would end in a write per pass: what was written is not written again.
func TestWaitingSettlesDown(t *testing.T) {
	g := NewWithT(t)
	later := metav1.NewTime(noon.Add(time.Hour))
	reasons := []string{v1alpha1.ReasonQueued, v1alpha1.ReasonWaitingForProject, v1alpha1.ReasonSuspended,
		v1alpha1.ReasonDuplicate, v1alpha1.ReasonOutcomeUnknown, v1alpha1.ReasonRetryScheduled}
	for name, row := range conditionTable {
		for _, reason := range reasons {
			next := waiting(edit(row.backup()), reason, "It waits.", noon)
			if next == nil {
				continue
			}
			g.Expect(waiting(next, reason, "It waits.", later)).To(BeNil(), "%s, then %s", name, reason)
		}
	}
}

func TestAcknowledged(t *testing.T) {
	g := NewWithT(t)
	done := endedAs(cbr.TaskSuccess, 3)()
	next := acknowledged(edit(done), metav1.NewTime(noon.Add(time.Hour)))
	g.Expect(next.Status.ObservedGeneration).To(BeEquivalentTo(2))
	g.Expect(readyMessageOf(next)).To(Equal(readyMessageOf(done)))
	g.Expect(next.Status.CompletedAt).To(Equal(done.Status.CompletedAt))
	g.Expect(acknowledged(newBackup(func(b *v1alpha1.BackupSync) { b.Status.Conditions = nil }), noon)).To(BeNil())
}

// Another process may see the backup in CBR before the answer to its call is written.
func TestFollowed(t *testing.T) {
	found := func(operation string) *v1alpha1.BackupSync { return foundStored(newBackup(), false, operation, noon) }
	for name, c := range map[string]struct {
		version *v1alpha1.BackupSync
		reason  string // "" for no write
	}{
		"a pending one runs":                            {newBackup(), v1alpha1.ReasonOperationRunning},
		"one that runs already":                         {submitted(newBackup(), "operation", noon), ""},
		"one that runs as another task":                 {submitted(newBackup(), "earlier", noon), v1alpha1.ReasonOperationRunning},
		"one that has ended":                            {endedAs(cbr.TaskSuccess, 3)(), ""},
		"taken for an earlier import":                   {found(""), v1alpha1.ReasonImported},
		"taken for an earlier import, though by a task": {found("operation"), v1alpha1.ReasonImported},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			next := followed(c.version, "operation", noon)
			if c.reason == "" {
				g.Expect(next).To(BeNil())
				return
			}
			g.Expect(readyReason(next)).To(Equal(c.reason))
			g.Expect(next.Status.OperationLogID).To(Equal("operation"))
			g.Expect(next.Status.SubmittedAt).To(HaveValue(Equal(noon)))
			g.Expect(next.Status.CompletedAt).To(Equal(c.version.Status.CompletedAt))
			g.Expect(followed(next, "operation", noon)).To(BeNil(), "settles down")
		})
	}
}
