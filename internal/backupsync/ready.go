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
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// Circumstances are what a pass knows of a BackupSync besides its spec and the facts in its status.
type Circumstances struct {
	// ProjectMissing: the CBRProject does not exist.
	ProjectMissing bool
	// InCall: it is in a recorded call whose outcome is not known.
	InCall bool
	// Hidden: CBR's lists do not seem to show all that it holds, and may hide the task of that call.
	Hidden bool
	// AwaitsTask: a task of CBR may be its own import.
	AwaitsTask bool
	// AwaitedTask is the id of that task, if it is waited for longer than poll.overdueAfter.
	AwaitedTask string
	// HeldAs is the passing status in which CBR shows the backup, where it waits for that; "" if it waits for a task.
	HeldAs string
	// Unclear is why it is not known whether CBR has the backup; "" if nobody has to know, or it is.
	Unclear string
	// QuestionRefused: CBR answers with an error when it is asked for the backup, and Unclear is that error.
	QuestionRefused bool
	// Overdue: its task runs for longer than poll.overdueAfter.
	Overdue bool
	// Owner is the name of the BackupSync that owns the same backup; "" if it is this one.
	Owner string
}

// ReasonOf returns the reason of Ready that follows from the facts, the spec and the circumstances.
func ReasonOf(backup *v1alpha1.BackupSync, given Circumstances) string {
	switch StateOf(backup) {
	case Imported:
		return string(backup.Status.Outcome)
	case Failed:
		return failureReason(backup, given)
	case Running:
		return runningReason(given)
	default:
		return pendingReason(backup, given)
	}
}

func failureReason(backup *v1alpha1.BackupSync, given Circumstances) string {
	switch {
	case IsDuplicate(backup) && given.Owner == "":
		return pendingReason(backup, given)
	case isUnknown(backup):
		return v1alpha1.ReasonUnknownOutcome
	default:
		return string(backup.Status.Outcome)
	}
}

func runningReason(given Circumstances) string {
	switch {
	case given.ProjectMissing:
		return v1alpha1.ReasonProjectNotFound
	case given.Overdue:
		return v1alpha1.ReasonOperationOverdue
	default:
		return v1alpha1.ReasonOperationRunning
	}
}

func pendingReason(backup *v1alpha1.BackupSync, given Circumstances) string {
	switch {
	case given.InCall:
		return v1alpha1.ReasonOutcomeUnknown
	case given.AwaitsTask:
		return v1alpha1.ReasonAwaitingTask
	case backup.Spec.Suspend:
		return v1alpha1.ReasonSuspended
	case given.ProjectMissing:
		return v1alpha1.ReasonProjectNotFound
	case given.Owner != "":
		return v1alpha1.ReasonDuplicate
	case retryDue(&backup.Status) && !Renewed(backup):
		return v1alpha1.ReasonRetryScheduled
	default:
		return v1alpha1.ReasonQueued
	}
}

// requestAgain says how to ask for another try.
const requestAgain = "request another import (annotation " + v1alpha1.RequestedAtAnnotation + ")"

// driftedMessage is that of Drifted.
const driftedMessage = "The manifest was edited after its backup was sent, and CBR cannot change a backup that it has accepted. " +
	"Revert the edit; or delete the backup in CBR and " + requestAgain + "."

// hiddenMessage is that of OutcomeUnknown where CBR can be asked, and its answer is no proof.
const hiddenMessage = "A call with this backup was sent, and CBR's lists, which seem to hide some, may hide its task. If CBR does not have the backup " +
	"when spec.poll.overdueAfter (if not 0) has passed since then, it is sent again. Check spec.enterpriseProjectID of the CBRProject, and the rights to list tasks and backups."

// fixedMessages are the messages of the reasons that have but one.
var fixedMessages = map[string]string{
	v1alpha1.ReasonQueued: v1alpha1.QueuedMessage,
	v1alpha1.ReasonOutcomeUnknown: "A call with this backup was sent, and it is not known whether CBR took it. CBR is asked before the backup is " +
		"sent again, usually within 3 minutes. If this lasts, the conditions of the CBRProject say why.",
	v1alpha1.ReasonAwaitingTask: "CBR runs a task that may be the import of this backup. The backup is sent when that task has ended, or has run " +
		"for spec.poll.overdueAfter of the CBRProject, and CBR does not have the backup.",
	v1alpha1.ReasonSuspended: "spec.suspend is set: the backup is not sent to CBR.",
	v1alpha1.ReasonOperationRunning: "CBR accepted the backup and is importing it. Its task is status.operationLogID. If this lasts, the conditions " +
		"of the CBRProject say whether CBR can be asked about it.",
	v1alpha1.ReasonOperationOverdue: "CBR accepted the backup, but the end of its import is not known: it takes longer than spec.poll.overdueAfter. " +
		"If the CBRProject is not Ready, fix that first. Else look at the task status.operationLogID in CBR; if it hangs, ask Huawei Cloud.",
	v1alpha1.ReasonImported: "CBR imported the backup; it can be restored there.",
	v1alpha1.ReasonAlreadyImported: "CBR had the backup before it was ever sent from here. Nothing was sent, and the manifest was not compared " +
		"with what CBR has.",
}

// messageOf returns the message that goes with a reason, as clean as a condition carries it.
func messageOf(backup *v1alpha1.BackupSync, reason string, given Circumstances) string {
	said := backup.Status.LastError
	switch reason {
	case v1alpha1.ReasonProjectNotFound:
		return around("The CBRProject ", backup.Spec.ProjectRef.Name, " does not exist in this namespace. Create it, or declare the backup by a "+
			"BackupSync with another spec.projectRef.")
	case v1alpha1.ReasonDuplicate:
		return around("The BackupSync ", given.Owner, " of this namespace declares the same backup and owns it. Delete one of the two.")
	case v1alpha1.ReasonBackupUnusable:
		return around("", said, ". Delete it in CBR, fix the cause, then "+requestAgain+".")
	case v1alpha1.ReasonRejected:
		return rejectedMessage(said)
	case v1alpha1.ReasonRetryScheduled:
		if given.Unclear != "" {
			return around("", said+". It is not sent again while it is not known whether CBR has it: "+given.Unclear, ". CBR is asked again.")
		}
		return around("", said, ". It is sent again after status.nextAttemptTime. If it is not, the conditions of the CBRProject say why.")
	case v1alpha1.ReasonOperationFailed:
		return around("", said, ". "+afterFailure(said))
	case v1alpha1.ReasonUnknownOutcome:
		return fmt.Sprintf("status.outcome is %q, which this version of the operator does not know. Run the version that wrote it, or a later "+
			"one: until then nothing is done.", Quote(string(backup.Status.Outcome)))
	case v1alpha1.ReasonAwaitingTask:
		return awaitingMessage(given)
	case v1alpha1.ReasonOutcomeUnknown:
		if given.Hidden {
			return hiddenMessage
		}
	case v1alpha1.ReasonQueued:
		if given.Unclear != "" {
			return unclearMessage(given)
		}
	}
	return fixedMessages[reason]
}

// rejectedMessage names the way without an edit too, if that leaves room for what CBR said.
func rejectedMessage(said string) string {
	const before, after = "CBR rejected this backup (", "). Correct the manifest: an edit sends it again."
	const elsewhere = " If the cause is elsewhere, fix it and " + requestAgain + "."
	if whole := before + said + after + elsewhere; utf8.RuneCountInString(whole) <= v1alpha1.MaxMessageLength {
		return whole
	}
	return around(before, said, after)
}

// afterFailure is what to do after a failed import: what CBR said of the cause stands in brackets.
func afterFailure(said string) string {
	switch {
	case strings.Contains(said, "("):
		return "Fix the reported cause, then edit the manifest or " + requestAgain + "."
	case strings.HasSuffix(said, gaveNoError):
		return askAboutTask + "edit the manifest or " + requestAgain + "."
	default: // the manifest is not to blame
		return askAboutTask + requestAgain + "."
	}
}

const askAboutTask = "Ask Huawei Cloud about the task status.operationLogID, then "

// unclearMessage tells a question about the backup that CBR answers with an error from all else that keeps its answer from being known.
func unclearMessage(given Circumstances) string {
	if given.QuestionRefused {
		return around("It is not known whether CBR has this backup: CBR answers with an error when asked for it (", given.Unclear, "). CBR is "+
			"asked again, and the backup is sent once CBR reports that it does not have it. If this lasts, check spec.backupID.")
	}
	return around("It is not known whether CBR has this backup: ", given.Unclear, ". CBR is asked again, and the backup is sent once CBR reports "+
		"that it does not have it. If this lasts, look at the conditions of the CBRProject.")
}

// awaitingMessage names the task only when it takes too long: till then there may be another one each time.
func awaitingMessage(given Circumstances) string {
	if given.HeldAs != "" {
		return around("CBR shows this backup in the status \"", Quote(given.HeldAs), "\", which is neither usable nor an error. It is not sent, and "+
			"CBR is asked again. If this lasts, look at the backup in CBR; if it hangs, ask Huawei Cloud.")
	}
	if given.AwaitedTask == "" {
		return fixedMessages[v1alpha1.ReasonAwaitingTask]
	}
	return around("CBR runs the task ", Quote(given.AwaitedTask), " for longer than spec.poll.overdueAfter of the CBRProject, and it may be the "+
		"import of this backup. Look at it in CBR; if it hangs, ask Huawei Cloud. The backup is sent when CBR, asked for it, does not have it.")
}

// around returns a message around a text of any length, which is cut so that what to do is not.
func around(before, text, after string) string {
	return before + clean(text, v1alpha1.MaxMessageLength-utf8.RuneCountInString(before)-utf8.RuneCountInString(after)) + after
}

// Present returns the BackupSync with the conditions that follow from its facts.
func Present(backup *v1alpha1.BackupSync, given Circumstances, now metav1.Time) *v1alpha1.BackupSync {
	next := *backup
	reason := ReasonOf(backup, given)
	conditions := conditionSets[reason].Apply(&backup.ObjectMeta, backup.Status.Conditions, reason, messageOf(backup, reason, given), now)
	setOrRemove(&conditions, &backup.ObjectMeta, v1alpha1.ConditionDrifted, Drifted(backup), v1alpha1.ReasonEditedAfterImport, driftedMessage, now)
	next.Status.Conditions = conditions
	next.Status.ObservedGeneration = backup.Generation
	next.Status.BackupTime = &metav1.Time{Time: time.Unix(backup.Spec.CreatedAt, 0)}
	return &next
}

// Presented reports whether the conditions of a BackupSync are those that follow from its facts: their types and statuses, and
// the reason and message of Ready. That a new one is Queued stands in its default status, without a write.
func Presented(backup *v1alpha1.BackupSync, given Circumstances) bool {
	reason := ReasonOf(backup, given)
	ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Message != messageOf(backup, reason, given) || !matches(backup, reason) {
		return false
	}
	return reason == v1alpha1.ReasonQueued || backup.Status.ObservedGeneration == backup.Generation
}

// matches reports whether the conditions of the operator's types are those of a reason.
func matches(backup *v1alpha1.BackupSync, reason string) bool {
	wanted := conditionSets[reason]
	ready, reconciling, stalled, drifted := false, metav1.ConditionStatus(""), metav1.ConditionStatus(""), metav1.ConditionStatus("")
	for i := range backup.Status.Conditions {
		condition := &backup.Status.Conditions[i]
		switch condition.Type {
		case v1alpha1.ConditionReady:
			ready = condition.Status == wanted.Ready && condition.Reason == reason
		case v1alpha1.ConditionReconciling:
			reconciling = condition.Status
		case v1alpha1.ConditionStalled:
			stalled = condition.Status
		case v1alpha1.ConditionDrifted:
			drifted = condition.Status
		}
	}
	return ready && reconciling == present(wanted.Reconciling) && stalled == present(wanted.Stalled) && drifted == present(Drifted(backup))
}

// present returns the status of a condition that is True or absent.
func present(holds bool) metav1.ConditionStatus {
	if holds {
		return metav1.ConditionTrue
	}
	return ""
}

// Settled reports whether nothing is to be done about a BackupSync before a person or CBR changes something: it has ended, its
// conditions say so, and every edit and request is acknowledged. Duplicates are looked at in every pass.
func Settled(backup *v1alpha1.BackupSync) bool {
	switch StateOf(backup) {
	case Imported, Failed:
		return !IsDuplicate(backup) && !Requested(backup) && backup.Status.ObservedGeneration == backup.Generation &&
			matches(backup, ReasonOf(backup, Circumstances{}))
	default:
		return false
	}
}
