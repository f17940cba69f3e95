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
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

func afterAttempts(attempts int32) *v1alpha1.BackupSync {
	backup := runningBackup()
	backup.Status.Attempts = attempts
	return backup
}

func TestRetryLimit(t *testing.T) {
	const foreign = -1 // the task is of a call that somebody else has made, after some of ours
	for name, c := range map[string]struct {
		status          cbr.TaskStatus
		attempts, limit int32
		reason          string
	}{
		"the first failure is retried":             {cbr.TaskFailed, 1, 3, v1alpha1.ReasonRetryScheduled},
		"the last retry is made":                   {cbr.TaskFailed, 3, 3, v1alpha1.ReasonRetryScheduled},
		"the failure of the last retry is final":   {cbr.TaskFailed, 4, 3, v1alpha1.ReasonOperationFailed},
		"no retries: the first failure is final":   {cbr.TaskFailed, 1, 0, v1alpha1.ReasonOperationFailed},
		"one retry: the first failure is retried":  {cbr.TaskFailed, 1, 1, v1alpha1.ReasonRetryScheduled},
		"one retry: the second failure is final":   {cbr.TaskFailed, 2, 1, v1alpha1.ReasonOperationFailed},
		"the limit was lowered in the meantime":    {cbr.TaskFailed, 7, 3, v1alpha1.ReasonOperationFailed},
		"a time-out is retried":                    {cbr.TaskTimeout, 1, 3, v1alpha1.ReasonRetryScheduled},
		"a time-out of the last retry is final":    {cbr.TaskTimeout, 4, 3, v1alpha1.ReasonOperationFailed},
		"what CBR's checks skip is final at once":  {cbr.TaskSkipped, 1, 3, v1alpha1.ReasonOperationFailed},
		"no attempt of ours is counted":            {cbr.TaskSkipped, 0, 3, v1alpha1.ReasonRetryScheduled},
		"somebody else's failure is no attempt":    {cbr.TaskFailed, foreign, 0, v1alpha1.ReasonRetryScheduled},
		"somebody else's skip is none, either":     {cbr.TaskSkipped, foreign, 3, v1alpha1.ReasonRetryScheduled},
		"success needs no retry":                   {cbr.TaskSuccess, 1, 3, v1alpha1.ReasonImported},
		"success of the last retry":                {cbr.TaskSuccess, 4, 3, v1alpha1.ReasonImported},
		"success, though the limit was lowered":    {cbr.TaskSuccess, 9, 0, v1alpha1.ReasonImported},
		"success of a task that somebody else has": {cbr.TaskSuccess, foreign, 0, v1alpha1.ReasonImported},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			backup := afterAttempts(c.attempts)
			if c.attempts == foreign {
				backup = Submitted(afterAttempts(4), "foreign", "", noon, noon)
			}
			next := Finished(backup, end(c.status), c.limit, noon)
			status := &next.Status
			g.Expect(readyOf(next).Reason).To(Equal(c.reason))
			g.Expect(status.Attempts).To(Equal(backup.Status.Attempts), "the end of a task is no attempt")
			g.Expect(status.FinishedTime).NotTo(BeNil(), "the attempt has ended, well or not")
			g.Expect(status.OperationLogID).To(Equal(backup.Status.OperationLogID))
			g.Expect(status.NextAttemptTime != nil).To(Equal(c.reason == v1alpha1.ReasonRetryScheduled))
			if c.reason == v1alpha1.ReasonImported {
				g.Expect(status.LastError).To(BeEmpty())
			} else {
				g.Expect(status.LastError).To(And(HavePrefix("CBR's import task "), ContainSubstring(string(c.status)+" (BackupService.1006: import failed)")))
			}
		})
	}
}

func TestRetryBackoff(t *testing.T) {
	g := NewWithT(t)
	for attempts, minutes := range map[int32]int{0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 32, 7: 60, 8: 60, 100: 60} {
		next := Finished(afterAttempts(attempts), end(cbr.TaskFailed), 100, noon)
		g.Expect(next.Status.NextAttemptTime.Sub(noon.Time)).To(Equal(time.Duration(minutes)*time.Minute), "after %d attempts", attempts)
	}
}

func TestBackoff(t *testing.T) {
	g := NewWithT(t)
	for failures, seconds := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, 3: 4, 9: 256, 10: 300, 11: 300, 1 << 30: 300} {
		g.Expect(Backoff(time.Second, 5*time.Minute, failures)).To(Equal(time.Duration(seconds)*time.Second), "after %d failures", failures)
	}
	g.Expect(Backoff(time.Hour, time.Minute, 1)).To(Equal(time.Minute), "never longer than the longest")
}

// A backup that fails all the way: so many calls, and no more.
func TestALifeOfFailures(t *testing.T) {
	g := NewWithT(t)
	backup := newBackup()
	const limit = 3
	for attempt := int32(1); attempt <= limit; attempt++ {
		backup = Submitted(backup, "operation", itsHash, noon, noon)
		g.Expect(backup.Status.Attempts).To(Equal(attempt))
		g.Expect(backup.Status.NextAttemptTime).To(BeNil(), "a running one has no next attempt")
		g.Expect(backup.Status.LastError).To(BeEmpty())
		backup = Finished(backup, end(cbr.TaskFailed), limit, noon)
		g.Expect(readyOf(backup).Reason).To(Equal(v1alpha1.ReasonRetryScheduled))
	}
	backup = Finished(Submitted(backup, "operation", itsHash, noon, noon), end(cbr.TaskFailed), limit, noon)
	g.Expect(readyOf(backup).Reason).To(Equal(v1alpha1.ReasonOperationFailed))
	g.Expect(backup.Status.Attempts).To(BeEquivalentTo(1 + limit))
}

func TestSubmitted(t *testing.T) {
	g := NewWithT(t)
	status := Submitted(newBackup(), "154f0a9d-ba53-4e91-a3e2-a918710a9e0d", itsHash, afterNoon(-1), noon).Status
	g.Expect(status.OperationLogID).To(Equal("154f0a9d-ba53-4e91-a3e2-a918710a9e0d"))
	g.Expect(status.SubmittedTime).To(HaveValue(Equal(afterNoon(-1))))
	g.Expect(status.Attempts).To(BeEquivalentTo(1))
	g.Expect(status.SentHash).To(Equal(itsHash))
	g.Expect(status.FinishedTime).To(BeNil())

	foreign := Submitted(newBackup(), "operation", "", noon, noon)
	g.Expect(StateOf(foreign)).To(Equal(Running))
	g.Expect(foreign.Status.Attempts).To(BeZero(), "somebody else sent it")
	g.Expect(foreign.Status.SentHash).To(BeEmpty())
	g.Expect(Submitted(retriedBackup(), "foreign", "", noon, noon).Status.SentHash).To(BeEmpty(), "nobody knows what was sent")

	asked := ask(runningBackup(), "now")
	again := Submitted(asked, "another", itsHash, noon, noon)
	g.Expect(again.Status.Attempts).To(BeEquivalentTo(2), "one that runs does not begin anew")
	g.Expect(Requested(again)).To(BeFalse())
}

func TestFinishedTime(t *testing.T) {
	g := NewWithT(t)
	ended := noon.Add(-90 * time.Second)
	for _, status := range []cbr.TaskStatus{cbr.TaskSuccess, cbr.TaskSkipped, cbr.TaskFailed, cbr.TaskTimeout} {
		task := task(status, "", "")
		task.EndedAt = cbr.Time{Time: ended}
		g.Expect(Finished(runningBackup(), EndOf(task), 0, noon).Status.FinishedTime.Time).To(Equal(ended), "%s: CBR says when", status)
		g.Expect(Finished(runningBackup(), Kept(task), 0, noon).Status.FinishedTime.Time).To(Equal(ended))
		g.Expect(Finished(runningBackup(), Unaccounted(task), 0, noon).Status.FinishedTime.Time).To(Equal(ended))
		task.EndedAt = cbr.Time{}
		g.Expect(Finished(runningBackup(), EndOf(task), 0, noon).Status.FinishedTime).To(HaveValue(Equal(noon)), "%s: CBR does not say when", status)
	}
	g.Expect(Finished(runningBackup(), Forgotten(), 0, noon).Status.FinishedTime).To(HaveValue(Equal(noon)))
}

// What is made of the end of a task when the backup itself was asked for.
func TestEndings(t *testing.T) {
	g := NewWithT(t)
	g.Expect(StateOf(Finished(runningBackup(), Kept(nil), 3, noon))).To(Equal(Imported))
	g.Expect(StateOf(Finished(runningBackup(), Kept(task(cbr.TaskFailed, "", "")), 3, noon))).To(Equal(Imported), "CBR has it, whatever its task says")
	g.Expect(StateOf(Finished(runningBackup(), Unaccounted(task(cbr.TaskSuccess, "", "")), 0, noon))).To(Equal(Failed), "a success without the backup is none")
	g.Expect(readyOf(Finished(runningBackup(), Unaccounted(task(cbr.TaskSuccess, "", "")), 3, noon)).Reason).To(Equal(v1alpha1.ReasonRetryScheduled))
	g.Expect(StateOf(Finished(runningBackup(), Forgotten(), 0, noon))).To(Equal(Failed))
}

// A request that comes while the task runs is for what comes after its failure. Its success meets it.
func TestARequestWhileItsTaskRuns(t *testing.T) {
	g := NewWithT(t)
	asked := ask(runningBackup(), "now")
	for _, limit := range []int32{0, 3} {
		failed := Finished(asked, end(cbr.TaskFailed), limit, noon)
		g.Expect(Requested(failed)).To(BeTrue())
		g.Expect(StateOf(failed)).To(Equal(Pending))
		g.Expect(readyOf(failed).Reason).To(Equal(v1alpha1.ReasonQueued), "it does not wait for its next attempt")
	}
	done := Finished(asked, end(cbr.TaskSuccess), 3, noon)
	g.Expect(Requested(done)).To(BeFalse())
	g.Expect(Settled(done)).To(BeTrue())
}

func TestStored(t *testing.T) {
	g := NewWithT(t)
	before := Stored(newBackup(), "", "", noon)
	g.Expect(readyOf(before).Reason).To(Equal(v1alpha1.ReasonAlreadyImported))
	g.Expect(before.Status.FinishedTime).To(HaveValue(Equal(noon)))
	g.Expect(before.Status.Attempts).To(BeZero(), "nothing was sent")
	g.Expect(before.Status.SentHash).To(BeEmpty())
	g.Expect(Stored(newBackup(), "operation", "", noon).Status.OperationLogID).To(Equal("operation"))

	lost := Stored(lives[v1alpha1.ReasonOutcomeUnknown].backup(), "", itsHash, noon)
	g.Expect(readyOf(lost).Reason).To(Equal(v1alpha1.ReasonImported), "a call of ours may have brought it there")
	g.Expect(lost.Status.SentHash).To(Equal(itsHash))
	g.Expect(Drifted(Stored(edit(newBackup()), "", itsHash, noon))).To(BeTrue(), "what was sent is not what the manifest declares by now")

	g.Expect(Requested(Stored(ask(newBackup(), "now"), "", "", noon))).To(BeFalse(), "the request is met: there is nothing to try again")

	ours := Stored(retriedBackup(), "", "", noon)
	g.Expect(readyOf(ours).Reason).To(Equal(v1alpha1.ReasonImported))
	g.Expect(ours.Status.NextAttemptTime).To(BeNil())
	g.Expect(ours.Status.LastError).To(BeEmpty())
	g.Expect(ours.Status.OperationLogID).To(Equal("operation"), "the last task that is known")
	g.Expect(Stored(retriedBackup(), "another", "", noon).Status.OperationLogID).To(Equal("another"))
}

// Another process may see the backup in CBR before the answer to its call is written.
func TestFollowed(t *testing.T) {
	found := func(operation, hash string) *v1alpha1.BackupSync { return Stored(newBackup(), operation, hash, noon) }
	for name, c := range map[string]struct {
		version *v1alpha1.BackupSync
		reason  string // "" for no write
	}{
		"a pending one runs":                              {newBackup(), v1alpha1.ReasonOperationRunning},
		"one that is suspended meanwhile runs":            {suspend(newBackup()), v1alpha1.ReasonOperationRunning},
		"one that is edited meanwhile runs":               {edit(newBackup()), v1alpha1.ReasonOperationRunning},
		"one that was a duplicate runs":                   {lives[v1alpha1.ReasonDuplicate].backup(), v1alpha1.ReasonOperationRunning},
		"one that was rejected before runs":               {rejectedBackup(), v1alpha1.ReasonOperationRunning},
		"one that runs already":                           {Submitted(newBackup(), "latest", itsHash, noon, noon), ""},
		"one that runs as another task":                   {runningBackup(), v1alpha1.ReasonOperationRunning},
		"one that has ended with it":                      {Finished(Submitted(newBackup(), "latest", itsHash, noon, noon), Kept(nil), 3, noon), ""},
		"one that has failed with the same id runs again": {Finished(Submitted(newBackup(), "latest", itsHash, noon, noon), Forgotten(), 3, noon), v1alpha1.ReasonOperationRunning},
		"one that has ended with another task":            {importedBackup(), ""},
		"taken for an earlier import":                     {found("", ""), v1alpha1.ReasonImported},
		"taken for an earlier import, though by a task":   {found("latest", ""), v1alpha1.ReasonImported},
		"found without its task":                          {found("", itsHash), v1alpha1.ReasonImported},
		"found with its task":                             {found("latest", itsHash), ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			next := Followed(c.version, "latest", itsHash, afterNoon(-1), noon)
			if c.reason == "" {
				g.Expect(next).To(BeNil())
				return
			}
			g.Expect(readyOf(next).Reason).To(Equal(c.reason))
			g.Expect(next.Status.OperationLogID).To(Equal("latest"))
			g.Expect(next.Status.SentHash).To(Equal(itsHash))
			g.Expect(next.Status.SubmittedTime).To(HaveValue(Equal(afterNoon(-1))))
			g.Expect(next.Status.Attempts).To(Equal(c.version.Status.Attempts + 1))
			g.Expect(next.Status.FinishedTime == nil).To(Equal(c.reason == v1alpha1.ReasonOperationRunning))
			g.Expect(Followed(next, "latest", itsHash, noon, noon)).To(BeNil(), "settles down")
		})
	}
}

func TestRejected(t *testing.T) {
	g := NewWithT(t)
	next := Rejected(ask(newBackup(), "now"), itsHash, "BackupService.9900:\nno such image", noon)
	g.Expect(next.Status.Outcome).To(Equal(v1alpha1.OutcomeRejected))
	g.Expect(next.Status.SentHash).To(Equal(itsHash))
	g.Expect(next.Status.LastError).To(Equal("BackupService.9900: no such image"))
	g.Expect(next.Status.FinishedTime).To(HaveValue(Equal(noon)))
	g.Expect(next.Status.Attempts).To(BeZero(), "CBR has accepted nothing")
	g.Expect(StateOf(next)).To(Equal(Failed), "it is not sent again by the request that has sent it")
	g.Expect(Rejected(retriedBackup(), itsHash, "no such image", noon).Status.NextAttemptTime).To(BeNil())

	g.Expect(Rejected(runningBackup(), itsHash, "no such image", noon)).To(BeNil(), "CBR has accepted it meanwhile")
	g.Expect(Rejected(importedBackup(), itsHash, "no such image", noon)).To(BeNil(), "CBR has it")
}

// Whatever is sent, and refused by itself, waits for its retry: what was imported, or a duplicate, begins anew for that.
func TestRefused(t *testing.T) {
	waits := map[string]*v1alpha1.BackupSync{
		"queued":           newBackup(),
		"retried":          retriedBackup(),
		"a duplicate":      lives[v1alpha1.ReasonDuplicate].backup(),
		"imported again":   ask(importedBackup(), "now"),
		"was there, again": ask(lives[v1alpha1.ReasonAlreadyImported].backup(), "now"),
	}
	for name, backup := range waits {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			next := Refused(backup, itsHash, "refused", 1, 3, noon)
			g.Expect(conditionsOf(next)).To(Equal(progressRow.conditions(v1alpha1.ReasonRetryScheduled, false)))
			g.Expect(StateOf(next)).To(Equal(Pending))
			g.Expect(Renewed(next)).To(BeFalse(), "it waits")
			g.Expect(next.Status.NextAttemptTime).To(HaveValue(Equal(afterNoon(1))))
			g.Expect(Refused(next, itsHash, "refused", 4, 3, noon).Status.Outcome).To(Equal(v1alpha1.OutcomeRejected), "the retries are used up")
			g.Expect(Refused(backup, editedHash, "refused", 1, 3, noon)).To(BeNil(), "the manifest declares another item")
		})
	}
	for _, reason := range []string{v1alpha1.ReasonImported, v1alpha1.ReasonOperationRunning, v1alpha1.ReasonRejected, v1alpha1.ReasonUnknownOutcome} {
		NewWithT(t).Expect(Refused(lives[reason].backup(), itsHash, "refused", 1, 3, noon)).To(BeNil(), reason)
	}
}

func TestRequeued(t *testing.T) {
	for reason, live := range lives {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			next := Requeued(live.backup(), noon)
			switch reason {
			case v1alpha1.ReasonRejected, v1alpha1.ReasonOperationFailed, v1alpha1.ReasonBackupUnusable:
				g.Expect(StateOf(next)).To(Equal(Pending))
				g.Expect(readyOf(next).Reason).To(Equal(v1alpha1.ReasonQueued))
				g.Expect(next.Status.Attempts).To(BeZero(), "with all its retries")
				g.Expect(next.Status.LastError).To(BeEmpty())
				g.Expect(Requeued(next, noon)).To(BeNil())
			default:
				g.Expect(next).To(BeNil())
			}
		})
	}
}

// A BackupSync tells in which cloud project its backup was accepted or found, whatever its CBRProject names later.
func TestLocate(t *testing.T) {
	const first, second = "cbr.example.com:443/first", "cbr.example.com:443/second"
	g := NewWithT(t)
	running := runningBackup()
	Locate(running, newBackup(), first)
	g.Expect(running.Status.CloudProject).To(HaveValue(Equal(first)))
	g.Expect([]bool{LiesIn(running, first), LiesIn(running, second), LiesIn(newBackup(), second)}).To(Equal([]bool{true, false, true}))

	drifted := edit(running)
	Locate(drifted, running, second)
	g.Expect(drifted.Status.CloudProject).To(HaveValue(Equal(first)), "nothing was learnt of CBR")

	for name, next := range map[string]*v1alpha1.BackupSync{
		"found there":    Stored(running, "", "", noon),
		"broken there":   Unusable(running, cbr.BackupError, "", "", nil, noon),
		"accepted there": Submitted(running, "another", itsHash, noon, noon),
	} {
		Locate(next, running, second)
		g.Expect(next.Status.CloudProject).To(HaveValue(Equal(second)), name)
	}
	rejected := rejectedBackup()
	Locate(rejected, newBackup(), first)
	g.Expect(rejected.Status.CloudProject).To(BeNil(), "CBR does not have it")
}
