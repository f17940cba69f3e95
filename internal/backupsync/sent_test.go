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

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// revert is what the API server makes of an edited BackupSync whose edit is taken back.
func revert(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	next := backup.DeepCopy()
	next.Generation++
	next.Spec.ImagePath = newBackup().Spec.ImagePath
	return next
}

// sendUnknown returns a BackupSync of which a later version of the operator has sent the item.
func sendUnknown(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	next := backup.DeepCopy()
	next.Status.SentHash = unknownHash
	return next
}

// The manifest is edited while its item is on the way: what CBR took is the item that was sent.
func TestAnEditDuringACall(t *testing.T) {
	g := NewWithT(t)
	follows := Followed(edit(newBackup()), "operation", itsHash, noon, noon)
	g.Expect(follows.Status.SentHash).To(Equal(itsHash))
	g.Expect(StateOf(follows)).To(Equal(Running))
	g.Expect(Drifted(follows)).To(BeTrue())
	g.Expect(conditionsOf(follows)).To(Equal(progressRow.conditions(v1alpha1.ReasonOperationRunning, true)))
	g.Expect(follows.Status.ObservedGeneration).To(BeEquivalentTo(2))

	done := Finished(follows, end(cbr.TaskSuccess), 3, noon)
	g.Expect(done.Status.SentHash).To(Equal(itsHash))
	g.Expect(conditionsOf(done)).To(Equal(readyRow.conditions(v1alpha1.ReasonImported, true)))

	for _, limit := range []int32{0, 3} {
		failed := Finished(follows, end(cbr.TaskFailed), limit, noon)
		g.Expect(failed.Status.SentHash).To(Equal(itsHash))
		g.Expect(StateOf(failed)).To(Equal(Pending), "what has failed is not what the manifest declares")
		g.Expect(conditionsOf(failed)).To(Equal(progressRow.conditions(v1alpha1.ReasonQueued, false)), "it is sent at once")
		g.Expect(Renewed(failed)).To(BeTrue())
		g.Expect(Submitted(failed, "another", editedHash, noon, noon).Status.Attempts).To(BeEquivalentTo(1), "of another item")
	}
}

// The hash of what was sent comes with the call, never from the manifest.
func TestTheSentHashIsThatOfTheCall(t *testing.T) {
	g := NewWithT(t)
	for reason, live := range lives {
		backup := edit(live.backup())
		before := backup.Status.SentHash
		for name, become := range outcomes(alone) {
			next := become(backup)
			if next == nil || next.Status.SentHash == before {
				continue
			}
			g.Expect(name).To(ContainSubstring(next.Status.SentHash), "%s, then %s", reason, name)
		}
	}
}

func TestDriftOfAnImportedOne(t *testing.T) {
	g := NewWithT(t)
	edited := edit(importedBackup())
	g.Expect(Drifted(edited)).To(BeTrue())
	g.Expect(StateOf(edited)).To(Equal(Imported))
	g.Expect(Renewed(edited)).To(BeFalse(), "CBR cannot change what it has")

	told := Acknowledged(edited, alone, afterNoon(1))
	g.Expect(conditionsOf(told)).To(Equal(readyRow.conditions(v1alpha1.ReasonImported, true)))
	g.Expect(told.Status.SentHash).To(Equal(itsHash))
	g.Expect(told.Status.FinishedTime).To(Equal(edited.Status.FinishedTime))
	g.Expect(Settled(told)).To(BeTrue())
	g.Expect(Acknowledged(told, alone, afterNoon(2))).To(BeNil())

	suspended := Acknowledged(suspend(told), alone, afterNoon(2))
	g.Expect(isDrifted(suspended)).To(BeTrue(), "another edit does not hide it")

	reverted := Acknowledged(revert(suspended), alone, afterNoon(3))
	g.Expect(conditionsOf(reverted)).To(Equal(readyRow.conditions(v1alpha1.ReasonImported, false)), "the edit is taken back")
	g.Expect(reverted.Status.ObservedGeneration).To(BeEquivalentTo(4))
	g.Expect(Settled(reverted)).To(BeTrue())
}

func TestDriftOfARunningOne(t *testing.T) {
	g := NewWithT(t)
	edited := Acknowledged(edit(runningBackup()), alone, noon)
	g.Expect(isDrifted(edited)).To(BeTrue())
	g.Expect(edited.Status.Attempts).To(BeEquivalentTo(1), "nothing begins anew while its task runs")
	reverted := Acknowledged(revert(edited), alone, noon)
	g.Expect(isDrifted(reverted)).To(BeFalse())
}

func TestNoDrift(t *testing.T) {
	for name, backup := range map[string]*v1alpha1.BackupSync{
		"not edited":                           importedBackup(),
		"suspended":                            suspend(importedBackup()),
		"labelled":                             label(importedBackup()),
		"it was in CBR, nothing was ever sent": edit(Stored(newBackup(), "", "", noon)),
		"what was sent is not known to this version":   edit(sendUnknown(importedBackup())),
		"what runs is not known to this version":       edit(sendUnknown(runningBackup())),
		"what has failed is no backup that CBR has":    edit(failedBackup()),
		"what is sent again is none yet":               edit(retriedBackup()),
		"what was rejected is none":                    edit(rejectedBackup()),
		"a task that is nobody's tells no item":        edit(Submitted(newBackup(), "operation", "", noon, noon)),
		"not sent":                                     edit(newBackup()),
		"an outcome that is not known to this version": edit(withOutcome(unknownValue)),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(Drifted(backup)).To(BeFalse())
			g.Expect(isDrifted(Present(backup, alone, noon))).To(BeFalse())
		})
	}
}

// The item that CBR rejected is not what CBR has, when somebody else has brought the backup there.
func TestNoDriftFromARejectedItem(t *testing.T) {
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

// A refusal speaks of what was sent.
func TestRejectedOfAnotherItem(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Rejected(edit(newBackup()), itsHash, "no such image", noon)).To(BeNil(), "the manifest declares another item by now")
	g.Expect(Rejected(newBackup(), unknownHash, "no such image", noon)).To(BeNil(), "it cannot be told which item it was")
	g.Expect(Rejected(newBackup(), "", "no such image", noon)).To(BeNil())
	g.Expect(Rejected(suspend(newBackup()), itsHash, "no such image", noon)).NotTo(BeNil(), "a suspension makes no other item of it")
}

// What has failed is sent again when its item is another one, and by nothing else but a request.
func TestWhatRenewsAFailedOne(t *testing.T) {
	for reason, byEdit := range map[string]bool{
		v1alpha1.ReasonRejected: true, v1alpha1.ReasonOperationFailed: true, v1alpha1.ReasonRetryScheduled: true,
		v1alpha1.ReasonBackupUnusable: false, v1alpha1.ReasonUnknownOutcome: false, v1alpha1.ReasonDuplicate: false,
	} {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			backup := lives[reason].backup()
			g.Expect(Renewed(backup)).To(BeFalse())
			g.Expect(Renewed(edit(backup))).To(Equal(byEdit), "edited")
			g.Expect(Renewed(revert(edit(backup)))).To(BeFalse(), "edited, and taken back: the generation alone says nothing")
			g.Expect(Renewed(suspend(backup))).To(BeFalse(), "suspended")
			g.Expect(Renewed(label(backup))).To(BeFalse(), "labelled")
			g.Expect(Renewed(edit(sendUnknown(backup)))).To(BeFalse(), "it cannot be told whether its item is another one")
			g.Expect(Renewed(ask(backup, "now"))).To(BeTrue(), "asked to try again")
			g.Expect(Renewed(ask(sendUnknown(backup), "now"))).To(BeTrue(), "a request needs no hash")
		})
	}
}

// A manifest that is corrected is sent with all its retries, at once.
func TestAnEditGivesAllRetriesAgain(t *testing.T) {
	exhausted := failedBackup()
	exhausted.Status.Attempts = 4
	for name, backup := range map[string]*v1alpha1.BackupSync{
		"failed for good, edited":        edit(exhausted),
		"rejected, edited":               edit(rejectedBackup()),
		"waits for a retry, edited":      edit(retriedBackup()),
		"failed for good, asked for":     ask(exhausted, "now"),
		"rejected, asked for":            ask(rejectedBackup(), "now"),
		"waits for a retry, asked for":   ask(retriedBackup(), "now"),
		"unusable in CBR, asked for":     ask(withOutcome(v1alpha1.OutcomeBackupUnusable), "now"),
		"of a later version, asked for":  ask(sendUnknown(exhausted), "now"),
		"failed for good, edited, asked": ask(edit(exhausted), "now"),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(StateOf(backup)).To(Equal(Pending))
			g.Expect(ReasonOf(backup, alone)).To(Equal(v1alpha1.ReasonQueued))
			hash := Hash(&backup.Spec)
			for _, sent := range []*v1alpha1.BackupSync{
				Submitted(backup, "another", hash, noon, noon),
				Submitted(Waiting(backup, alone, noon), "another", hash, noon, noon),
			} {
				status := &sent.Status
				g.Expect(status.Attempts).To(BeEquivalentTo(1))
				g.Expect(status.NextAttemptTime).To(BeNil())
				g.Expect(status.FinishedTime).To(BeNil(), "it runs again")
				g.Expect(status.LastError).To(BeEmpty())
				g.Expect(status.OperationLogID).To(Equal("another"))
				g.Expect(status.SentHash).To(Equal(hash))
				g.Expect(Requested(sent)).To(BeFalse(), "the request is met")
			}
			queued := Waiting(backup, alone, noon).Status
			g.Expect(queued.Attempts).To(BeZero())
			g.Expect(queued.NextAttemptTime).To(BeNil())
			g.Expect(queued.Outcome).To(BeEmpty())
			g.Expect(queued.LastError).To(BeEmpty())
			g.Expect(queued.SentHash).To(Equal(backup.Status.SentHash), "that it was sent stays known")
		})
	}
}

// Without a reason to begin anew, an attempt is one more.
func TestARetryIsOneMoreAttempt(t *testing.T) {
	g := NewWithT(t)
	for _, backup := range []*v1alpha1.BackupSync{retriedBackup(), suspend(retriedBackup()), label(retriedBackup()), edit(sendUnknown(retriedBackup()))} {
		g.Expect(Submitted(backup, "another", itsHash, noon, noon).Status.Attempts).To(BeEquivalentTo(2))
	}
	edited := edit(runningBackup())
	edited.Status.Attempts = 4
	next := Finished(edited, end(cbr.TaskFailed), 3, noon)
	g.Expect(next.Status.Attempts).To(BeEquivalentTo(4), "the end of a task is no attempt, whatever the manifest declares by now")
	g.Expect(next.Status.Outcome).To(Equal(v1alpha1.OutcomeOperationFailed))
}

// Whoever asks for another import of what CBR has gets it when a look shows that CBR has it no more. Until then, it is imported.
func TestReimport(t *testing.T) {
	for name, imported := range map[string]*v1alpha1.BackupSync{
		"imported":         importedBackup(),
		"already imported": Stored(newBackup(), "", "", noon),
		"edited":           Acknowledged(edit(importedBackup()), alone, noon),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(Reimport(imported)).To(BeFalse())
			asked := ask(imported, "now")
			g.Expect(Reimport(asked)).To(BeTrue())
			g.Expect(StateOf(asked)).To(Equal(Imported))
			for _, given := range everyCircumstances() {
				g.Expect(ReasonOf(asked, given)).To(Equal(string(imported.Status.Outcome)))
			}
			g.Expect(Settled(asked)).To(BeFalse(), "somebody has to look")
			g.Expect(Requeued(asked, noon)).To(BeNil())
			g.Expect(Waiting(asked, alone, noon)).To(BeNil(), "nothing is written before")

			still := Acknowledged(asked, alone, noon)
			g.Expect(still.Status.Outcome).To(Equal(imported.Status.Outcome), "CBR has it still")
			g.Expect(still.Status.LastHandledRequest).To(Equal("now"))
			g.Expect(Settled(still)).To(BeTrue())

			hash := Hash(&asked.Spec)
			for _, sent := range []*v1alpha1.BackupSync{
				Submitted(asked, "another", hash, noon, noon), Followed(asked, "another", hash, noon, noon)} {
				g.Expect(StateOf(sent)).To(Equal(Running))
				g.Expect(sent.Status.Attempts).To(BeEquivalentTo(1))
				g.Expect(Reimport(sent)).To(BeFalse())
				g.Expect(Drifted(sent)).To(BeFalse(), "what is sent is what the manifest declares by now")
			}
			rejected := Rejected(asked, hash, "no such image", noon)
			g.Expect(StateOf(rejected)).To(Equal(Failed), "CBR has it no more, and does not take it")
			g.Expect(Requested(rejected)).To(BeFalse())
			g.Expect(Rejected(imported, hash, "no such image", noon)).To(BeNil(), "nobody has asked for it")
		})
	}
}

// What a later version of the operator has written is left alone: until then nothing is done.
func TestAnUnknownOutcome(t *testing.T) {
	g := NewWithT(t)
	backup := withOutcome(unknownValue)
	for _, each := range []*v1alpha1.BackupSync{backup, edit(backup), suspend(backup), label(backup), ask(backup, "now"), ask(edit(backup), "now")} {
		g.Expect(StateOf(each)).To(Equal(Failed))
		for _, given := range everyCircumstances() {
			g.Expect(ReasonOf(each, given)).To(Equal(v1alpha1.ReasonUnknownOutcome))
		}
		g.Expect(Requeued(each, noon)).To(BeNil())
		g.Expect(Reimport(each)).To(BeFalse())
		for _, next := range []*v1alpha1.BackupSync{Waiting(each, alone, noon), Acknowledged(each, alone, noon)} {
			if next != nil {
				g.Expect(next.Status.Outcome).To(Equal(unknownValue))
			}
		}
	}
	g.Expect(Settled(backup)).To(BeTrue())
	g.Expect(Waiting(backup, alone, noon)).To(BeNil())
}

// An outcome that is not known stays as it is, whatever becomes of a call of this version.
func TestAnUnknownOutcomeIsNotOverwritten(t *testing.T) {
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
func TestRequestOfAnUnknownOutcome(t *testing.T) {
	g := NewWithT(t)
	asked := ask(withOutcome(unknownValue), "now")
	if next := Acknowledged(asked, alone, noon); next != nil {
		g.Expect(next.Status.LastHandledRequest).To(BeEmpty())
	}
}
