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
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// The tests of this file fail: each shows where the package does not keep what the design or its own comments promise.

// Settled says "its conditions say so". Of one whose conditions were dropped nobody writes them again: kubectl wait hangs.
func TestDoubtSettledWithoutReady(t *testing.T) {
	for _, reason := range []string{v1alpha1.ReasonImported, v1alpha1.ReasonAlreadyImported} {
		backup := lives[reason].backup()
		backup.Status.Conditions = nil
		NewWithT(t).Expect(Settled(backup)).To(BeFalse(), reason)
	}
}

// The item that CBR rejected is not what CBR has, when somebody else has brought the backup there.
func TestDoubtDriftFromARejectedItem(t *testing.T) {
	corrected := edit(rejectedBackup())
	for name, found := range map[string]*v1alpha1.BackupSync{
		"stored":                    Stored(corrected, "", "", noon),
		"stored, by a task":         Stored(corrected, "foreign", "", noon),
		"somebody else's task runs": Submitted(corrected, "foreign", "", noon, noon),
		"somebody else's task done": Finished(Submitted(corrected, "foreign", "", noon, noon), end(cbr.TaskSuccess), 3, noon),
		"stored, queued before":     Stored(Waiting(corrected, alone, noon), "", "", noon),
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(isDrifted(found)).To(BeFalse(), "it cannot be told what CBR has")
		})
	}
}

// "An outcome that is not known stays as it is: a later version of the operator has written it."
func TestDoubtUnknownOutcomeIsOverwritten(t *testing.T) {
	unknown := withOutcome(unknownValue)
	for name, next := range map[string]*v1alpha1.BackupSync{
		"by a task of another call":    Followed(unknown, "another", itsHash, noon, noon),
		"by a refusal of another call": Rejected(unknown, itsHash, "no such image", noon),
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(next).To(BeNil())
		})
	}
}

// Nothing is done for one with an unknown outcome, so its request was not acted on: a later version is to see it.
func TestDoubtRequestOfAnUnknownOutcome(t *testing.T) {
	g := NewWithT(t)
	asked := ask(withOutcome(unknownValue), "now")
	if next := Acknowledged(asked, alone, noon); next != nil {
		g.Expect(next.Status.LastHandledRequest).To(BeEmpty())
	}
}

// Of both CBR may have the backup, or has it: a duplicate that is older must not be sent in their place.
func TestDoubtAccepted(t *testing.T) {
	for _, outcome := range []v1alpha1.Outcome{v1alpha1.OutcomeBackupUnusable, unknownValue} {
		t.Run(string(outcome), func(t *testing.T) {
			backup := newBackup(func(b *v1alpha1.BackupSync) { b.Status.Outcome, b.Status.FinishedTime = outcome, &noon })
			NewWithT(t).Expect(Accepted(backup)).To(BeTrue(), "found in CBR, without a task")
		})
	}
}

// A duplicate waits for its owner, not for a time: nextAttemptTime "is absent when none is due".
func TestDoubtNextAttemptOfADuplicate(t *testing.T) {
	duplicate := Waiting(retriedBackup(), Circumstances{Owner: "erp-00"}, noon)
	NewWithT(t).Expect(duplicate.Status.NextAttemptTime).To(BeNil())
}

// What CBR says, and the names of objects, may be long: what to do stands at the end of a message, and is cut.
func TestDoubtLongMessagesSayWhatToDo(t *testing.T) {
	long := strings.Repeat("very ", 1000)
	longest := strings.Repeat("x", 253)
	coded := task(cbr.TaskSuccess, "BackupService.1006", long)
	hostile := task(cbr.TaskFailed, long, long)
	quoted := Quote(long) + ": " + Quote(long) // as the controller describes a refusal
	unusable := failedBackup()
	unusable.Status.Outcome, unusable.Status.LastError = v1alpha1.OutcomeBackupUnusable, quoted
	elsewhere := newBackup(func(b *v1alpha1.BackupSync) { b.Spec.ProjectRef.Name = longest })
	for name, c := range map[string]struct {
		backup *v1alpha1.BackupSync
		reason string
	}{
		"a task without the backup, a usual code":  {Finished(runningBackup(), Unaccounted(coded), 0, noon), v1alpha1.ReasonOperationFailed},
		"a task without the backup, a long code":   {Finished(runningBackup(), Unaccounted(hostile), 0, noon), v1alpha1.ReasonOperationFailed},
		"it is retried":                            {Finished(runningBackup(), Unaccounted(hostile), 3, noon), v1alpha1.ReasonRetryScheduled},
		"a failed task, a long code":               {Finished(runningBackup(), EndOf(hostile), 0, noon), v1alpha1.ReasonOperationFailed},
		"a refusal, a long code":                   {Rejected(newBackup(), itsHash, quoted, noon), v1alpha1.ReasonRejected},
		"unusable, a long code":                    {Present(unusable, alone, noon), v1alpha1.ReasonBackupUnusable},
		"the project has the longest name":         {Present(elsewhere, Circumstances{ProjectMissing: true}, noon), v1alpha1.ReasonProjectNotFound},
		"the owner of a duplicate has the longest": {Present(newBackup(), Circumstances{Owner: longest}, noon), v1alpha1.ReasonDuplicate},
	} {
		t.Run(name, func(t *testing.T) {
			expectSoundMessage(NewWithT(t), readyOf(c.backup).Message, c.reason)
		})
	}
}
