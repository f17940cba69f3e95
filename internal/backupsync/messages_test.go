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
	"time"
	"unicode"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// whatToDo is what a message of each reason tells a person to do, or what happens next without one.
var whatToDo = map[string]string{
	v1alpha1.ReasonQueued:           "If this lasts, the conditions of the CBRProject say why.",
	v1alpha1.ReasonAwaitingTask:     "The backup is sent when that task has ended, or has run for spec.poll.overdueAfter of the CBRProject, and CBR does not have the backup.",
	v1alpha1.ReasonProjectNotFound:  "Create it, or declare the backup by a BackupSync with another spec.projectRef.",
	v1alpha1.ReasonOutcomeUnknown:   "CBR is asked before the backup is sent again, usually within 3 minutes. If this lasts, the conditions of the CBRProject say why.",
	v1alpha1.ReasonDuplicate:        "Delete one of the two.",
	v1alpha1.ReasonSuspended:        "spec.suspend is set: the backup is not sent to CBR.",
	v1alpha1.ReasonOperationRunning: "If this lasts, the conditions of the CBRProject say whether CBR can be asked about it.",
	v1alpha1.ReasonOperationOverdue: "If the CBRProject is not Ready, fix that first. Else look at the task status.operationLogID in CBR; if it hangs, ask Huawei Cloud.",
	v1alpha1.ReasonImported:         "it can be restored there.",
	v1alpha1.ReasonAlreadyImported:  "the manifest was not compared with what CBR has.",
	v1alpha1.ReasonRejected:         "Correct the manifest: an edit sends it again.",
	v1alpha1.ReasonRetryScheduled:   "It is sent again after status.nextAttemptTime. If it is not, the conditions of the CBRProject say why.",
	v1alpha1.ReasonOperationFailed:  "Fix the reported cause, then edit the manifest or request another import (annotation " + v1alpha1.RequestedAtAnnotation + ").",
	v1alpha1.ReasonBackupUnusable:   "Delete it in CBR, fix the cause, then request another import (annotation " + v1alpha1.RequestedAtAnnotation + ").",
	v1alpha1.ReasonUnknownOutcome:   "Run the version that wrote it, or a later one: until then nothing is done.",
}

func expectSoundMessage(g *WithT, message, reason string) {
	g.Expect(message).To(ContainSubstring(whatToDo[reason]), reason)
	g.Expect(utf8.RuneCountInString(message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength), reason)
	g.Expect(message).To(Equal(CleanMessage(message)), reason)
}

func TestAMessageOfHiddenTasksSaysWhatToDo(t *testing.T) {
	g := NewWithT(t)
	waiting := Waiting(newBackup(), Circumstances{InCall: true, Hidden: true}, noon)
	ready := readyOf(waiting)
	g.Expect(ready.Message).To(ContainSubstring("Check spec.enterpriseProjectID of the CBRProject, and the rights to list tasks and backups."))
	g.Expect(utf8.RuneCountInString(ready.Message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
}

func TestMessagesSayWhatToDo(t *testing.T) {
	g := NewWithT(t)
	g.Expect(whatToDo).To(HaveLen(len(conditionSets)))
	for reason, live := range lives {
		backup := live.backup()
		for _, condition := range backup.Status.Conditions {
			expectSoundMessage(g, condition.Message, reason)
		}
	}
	drifted := Present(edit(importedBackup()), alone, noon)
	for _, condition := range drifted.Status.Conditions {
		if condition.Type == v1alpha1.ConditionDrifted {
			g.Expect(condition.Message).To(ContainSubstring("Revert the edit; or delete the backup in CBR and request another import (annotation " +
				v1alpha1.RequestedAtAnnotation + ")."))
			g.Expect(condition.Message).To(Equal(CleanMessage(condition.Message)), "it fits")
		}
	}
	g.Expect(isDrifted(drifted)).To(BeTrue())
}

// What changes from backup to backup, or from attempt to attempt, stands in fields of its own: messages can be counted.
func TestMessagesHoldNothingThatVaries(t *testing.T) {
	for reason, live := range lives {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			backup := live.backup()
			other := backup.DeepCopy()
			other.Name, other.UID, other.ResourceVersion, other.Generation = "erp-02", "uid-erp-02", "2", 7
			other.Spec = v1alpha1.BackupSyncSpec{ProjectRef: other.Spec.ProjectRef, Suspend: other.Spec.Suspend, BackupID: "2f9e6b47",
				BackupName: "other", BucketName: "other", ImagePath: "other", ResourceID: "other", ResourceName: "other", ResourceType: "other", CreatedAt: 7}
			later := metav1.NewTime(noon.Add(99 * time.Hour))
			for _, at := range []**metav1.Time{&other.Status.SubmittedTime, &other.Status.FinishedTime, &other.Status.NextAttemptTime} {
				if *at != nil {
					*at = &later
				}
			}
			if other.Status.SentHash != "" {
				other.Status.SentHash = Hash(&other.Spec)
			}
			if other.Status.OperationLogID != "" {
				other.Status.OperationLogID = "another"
			}
			other.Status.Attempts += 7
			g.Expect(readyOf(Present(other, live.given, later)).Message).To(Equal(readyOf(backup).Message))
		})
	}
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
		"lines":            {"BackupService.1006", "The image\ndoes not exist.\x00", "failed (BackupService.1006: The image does not exist.)."},
		"a long story":     {"BackupService.1006", strings.Repeat("very ", 1000), "failed (BackupService.1006: very very"},
		"in Chinese":       {"BackupService.1006", strings.Repeat("备份不存在", 1000), "failed (BackupService.1006: 备份不存在备份"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			failure := task(cbr.TaskFailed, c.code, c.message)
			final := readyOf(Finished(runningBackup(), EndOf(failure), 0, noon)).Message
			g.Expect(final).To(HavePrefix("CBR's import task " + c.says))
			expectSoundMessage(g, final, v1alpha1.ReasonOperationFailed)
			retried := readyOf(Finished(runningBackup(), EndOf(failure), 3, noon)).Message
			g.Expect(retried).To(HavePrefix("CBR's import task " + c.says))
			expectSoundMessage(g, retried, v1alpha1.ReasonRetryScheduled)
		})
	}
}

// What a person reads of a task that ended without a word on the cause, or of which CBR does not have the backup: whom to ask.
func TestMessagesOfFailuresWithoutACause(t *testing.T) {
	const ask = ". Ask Huawei Cloud about the task status.operationLogID, then "
	const again = "request another import (annotation " + v1alpha1.RequestedAtAnnotation + ")."
	const absent = "CBR does not have this backup"
	for name, c := range map[string]struct {
		end  Ending
		says string
	}{
		"failed":                      {EndOf(task(cbr.TaskFailed, "", "")), "CBR's import task ended with status failed and gave no error" + ask + "edit the manifest or " + again},
		"timeout":                     {EndOf(task(cbr.TaskTimeout, "", "")), "CBR's import task ended with status timeout and gave no error" + ask + "edit the manifest or " + again},
		"timeout, with an error":      {EndOf(task(cbr.TaskTimeout, "A.1", "")), "CBR's import task ended with status timeout (A.1). Fix the reported cause, then edit the manifest or " + again},
		"not there, success":          {Unaccounted(task(cbr.TaskSuccess, "", "")), "CBR's import task ended with status success, but " + absent + ask + again},
		"not there, with an error":    {Unaccounted(task(cbr.TaskSuccess, "A.1", "no")), "CBR's import task ended with status success (A.1: no), but " + absent + ". Fix the reported cause, then edit the manifest or " + again},
		"not there, failed":           {Unaccounted(task(cbr.TaskFailed, "A.1", "no")), "CBR's import task failed (A.1: no), and " + absent + ". Fix the reported cause, then edit the manifest or " + again},
		"neither the task nor backup": {Forgotten(), "CBR knows neither the task of the import any more, nor the backup" + ask + again},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			message := readyOf(Finished(runningBackup(), c.end, 0, noon)).Message
			g.Expect(message).To(Equal(c.says))
			g.Expect(utf8.RuneCountInString(message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
			g.Expect(readyOf(Finished(runningBackup(), c.end, 3, noon)).Message).To(HaveSuffix(whatToDo[v1alpha1.ReasonRetryScheduled]))
		})
	}
}

// A backup that CBR holds in an error still tells why its import failed, however often it is looked at.
func TestMessagesOfUnusableBackupsKeepTheCause(t *testing.T) {
	unusable := func(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return Unusable(backup, cbr.BackupError, "", "", nil, noon)
	}
	const holds = `CBR holds the backup in status "error"`
	for name, c := range map[string]struct {
		before *v1alpha1.BackupSync
		says   string
	}{
		"nothing had failed":       {newBackup(), holds + ", and cannot restore it."},
		"its import had failed":    {retriedBackup(), holds + " after its import task failed (BackupService.1006: import failed)."},
		"it was unusable before":   {unusable(retriedBackup()), holds + " after its import task failed (BackupService.1006: import failed)."},
		"CBR did not have it":      {Finished(runningBackup(), Unaccounted(task(cbr.TaskFailed, "A.1", "no")), 3, noon), holds + " after its import task failed (A.1: no)."},
		"no error was given":       {Finished(runningBackup(), EndOf(task(cbr.TaskTimeout, "", "")), 3, noon), holds + " after its import task ended with status timeout and gave no error."},
		"calls with it had failed": {Refused(newBackup(), itsHash, "Calls are refused (A.1)", 1, 3, noon), holds + ", and cannot restore it."},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			message := readyOf(unusable(c.before)).Message
			g.Expect(message).To(HavePrefix(c.says))
			expectSoundMessage(g, message, v1alpha1.ReasonBackupUnusable)
		})
	}
	long := Finished(runningBackup(), EndOf(task(cbr.TaskFailed, strings.Repeat("x", 500), strings.Repeat("very ", 500))), 3, noon)
	expectSoundMessage(NewWithT(t), readyOf(unusable(long)).Message, v1alpha1.ReasonBackupUnusable)
}

// What a waiting backup waits for, in each case with what to do if it lasts.
func TestMessagesOfWaitingBackups(t *testing.T) {
	long := strings.Repeat("very ", 1000)
	for name, c := range map[string]struct {
		given       Circumstances
		says, after string
	}{
		"a passing status": {Circumstances{AwaitsTask: true, HeldAs: "deleting"}, `CBR shows this backup in the status "deleting", which is neither usable nor an error.`,
			"If this lasts, look at the backup in CBR; if it hangs, ask Huawei Cloud."},
		"a status of any length": {Circumstances{AwaitsTask: true, HeldAs: long}, `CBR shows this backup in the status "very very`, "if it hangs, ask Huawei Cloud."},
		"a task that hangs":      {Circumstances{AwaitsTask: true, AwaitedTask: "operation"}, "CBR runs the task operation for longer than spec.poll.overdueAfter", "CBR, asked for it, does not have it."},
		"a question that CBR refuses": {Circumstances{Unclear: "BackupService.9900: Parameter error", QuestionRefused: true},
			"It is not known whether CBR has this backup: CBR answers with an error when asked for it (BackupService.9900: Parameter error). CBR is asked again,", "If this lasts, check spec.backupID."},
		"a long refusal": {Circumstances{Unclear: Quote(long) + Quote(long), QuestionRefused: true}, "It is not known", "If this lasts, check spec.backupID."},
		"calls that settle": {Circumstances{Unclear: "calls that may have carried it are still settling"},
			"It is not known whether CBR has this backup: calls that may have carried it are still settling. CBR is asked again,", "If this lasts, look at the conditions of the CBRProject."},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			message := readyOf(Waiting(newBackup(), c.given, noon)).Message
			g.Expect(message).To(And(HavePrefix(c.says), HaveSuffix(c.after)))
			g.Expect(utf8.RuneCountInString(message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
			g.Expect(message).To(Equal(CleanMessage(message)))
			g.Expect(Presented(Waiting(newBackup(), c.given, noon), c.given)).To(BeTrue(), "it is not written again")
		})
	}
}

// A refusal tells what to do if the manifest is right, where there is room for it.
func TestMessagesOfRejections(t *testing.T) {
	g := NewWithT(t)
	g.Expect(readyOf(Rejected(newBackup(), itsHash, "BackupService.9900: no such image", noon)).Message).To(Equal(
		"CBR rejected this backup (BackupService.9900: no such image). Correct the manifest: an edit sends it again. If the cause is elsewhere, " +
			"fix it and request another import (annotation " + v1alpha1.RequestedAtAnnotation + ")."))
	g.Expect(readyOf(Rejected(newBackup(), itsHash, strings.Repeat("very ", 28), noon)).Message).To(HaveSuffix("an edit sends it again."))
}

// What CBR says, and the names of objects, may be long: that is cut, and not what to do.
func TestLongMessagesSayWhatToDo(t *testing.T) {
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

// What does not fit is cut. It is not taken for another message, and written again, by every pass.
func TestMessagesThatAreCutSettleDown(t *testing.T) {
	g := NewWithT(t)
	given := Circumstances{Owner: strings.Repeat("x", 500)}
	duplicate := Waiting(newBackup(), given, noon)
	g.Expect(readyOf(duplicate).Message).To(ContainSubstring("x… of this namespace"))
	g.Expect(Waiting(duplicate, given, noon)).To(BeNil())
	rejected := Rejected(newBackup(), itsHash, strings.Repeat("very ", 100), noon)
	g.Expect(utf8.RuneCountInString(readyOf(rejected).Message)).To(BeNumerically("~", v1alpha1.MaxMessageLength, 1), "cut at a space")
	g.Expect(Acknowledged(rejected, alone, noon)).To(BeNil())
}

func TestMessagesQuoteWhatIsNotKnown(t *testing.T) {
	g := NewWithT(t)
	hostile := withOutcome(v1alpha1.Outcome("Done\n\"by\x00 magic\"" + strings.Repeat("备", 500)))
	message := readyOf(hostile).Message
	g.Expect(message).To(HavePrefix(`status.outcome is "Done \"by magic\"备备`))
	expectSoundMessage(g, message, v1alpha1.ReasonUnknownOutcome)
}

func TestCleanMessage(t *testing.T) {
	limit := v1alpha1.MaxMessageLength
	for name, c := range map[string]struct{ text, want string }{
		"plain text stays":                     {"vault not found", "vault not found"},
		"Chinese stays":                        {"备份不存在。", "备份不存在。"},
		"nothing":                              {"", ""},
		"nothing but white space":              {" \t\r\n ", ""},
		"one line":                             {"first\nsecond\r\n\tthird  fourth", "first second third fourth"},
		"white space around":                   {"\n text \n", "text"},
		"NUL":                                  {"a\x00b", "ab"},
		"control characters":                   {"a\x1b[31mb\x07\x7f\u0085c", "a[31mb c"},
		"invalid UTF-8":                        {"a\xff\xfe\xc3(b", "a(b"},
		"half a character":                     {"备份"[:5], "备"},
		"the replacement character":            {"a\ufffdb", "ab"},
		"bidirectional overrides":              {"a\u202eb\u2066c", "abc"},
		"zero-width space and byte-order mark": {"\ufeffa\u200bb", "ab"},
		"no-break and ideographic space":       {"a\u00a0b\u3000c", "a b c"},
		"line and paragraph separators":        {"a\u2028b\u2029c", "a b c"},
		"as long as allowed":                   {strings.Repeat("x", limit), strings.Repeat("x", limit)},
		"too long":                             {strings.Repeat("x", limit+1), strings.Repeat("x", limit-1) + "…"},
		"Chinese as long as allowed":           {strings.Repeat("备", limit), strings.Repeat("备", limit)},
		"Chinese, too long":                    {strings.Repeat("备", 2*limit), strings.Repeat("备", limit-1) + "…"},
		"cut at a space":                       {strings.Repeat("x", limit-2) + " yyy", strings.Repeat("x", limit-2) + "…"},
		"long only by what is not kept":        {strings.Repeat("\x00 ", 5*limit) + "text", "text"},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(CleanMessage(c.text)).To(Equal(c.want))
		})
	}
}

func TestQuote(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Quote("Invalid\nparameters.")).To(Equal("Invalid parameters."))
	g.Expect(Quote(strings.Repeat("备", maxQuoted))).To(Equal(strings.Repeat("备", maxQuoted)))
	g.Expect(Quote(strings.Repeat("备", maxQuoted+1))).To(Equal(strings.Repeat("备", maxQuoted-1) + "…"))
	g.Expect(Quote("")).To(BeEmpty())
}

func TestConditionsCarryCleanMessages(t *testing.T) {
	g := NewWithT(t)
	dirty := "first\nsecond\x00" + strings.Repeat("备", 400)
	conditions := failed.Apply(&metav1.ObjectMeta{Generation: 1}, nil, v1alpha1.ReasonRejected, dirty, noon)
	g.Expect(conditions).To(HaveLen(2))
	for _, condition := range conditions {
		g.Expect(condition.Message).To(Equal(CleanMessage(dirty)), condition.Type)
	}
	g.Expect(Rejected(newBackup(), itsHash, dirty, noon).Status.LastError).To(Equal(CleanMessage(dirty)))
	end := Ending{Status: cbr.TaskFailed, Said: dirty}
	g.Expect(Finished(runningBackup(), end, 0, noon).Status.LastError).To(Equal(CleanMessage(dirty)))
}

func FuzzCleanMessage(f *testing.F) {
	for _, seed := range []string{
		"", " ", "plain", "备份不存在", "a\x00b\nc", "\xff\xfe\xfd", "a\u202eb", "\u200b \u200b", strings.Repeat("x ", 400),
		strings.Repeat("备", 301), strings.Repeat("\xe5\xa4", 500), strings.Repeat("é", 299) + "\u0301\u0301\u0301", "\ufffd", "…",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for limit, cleaned := range map[int]string{v1alpha1.MaxMessageLength: CleanMessage(text), maxQuoted: Quote(text)} {
			if !utf8.ValidString(cleaned) {
				t.Errorf("%q is not valid UTF-8", cleaned)
			}
			if count := utf8.RuneCountInString(cleaned); count > limit {
				t.Errorf("%d characters", count)
			}
			if strings.IndexFunc(cleaned, unicode.IsControl) >= 0 {
				t.Errorf("%q has a control character", cleaned)
			}
			if again := clean(cleaned, limit); again != cleaned {
				t.Errorf("%q becomes %q when it is cleaned again", cleaned, again)
			}
			if strings.TrimSpace(cleaned) != cleaned {
				t.Errorf("%q has white space around it", cleaned)
			}
		}
	})
}
