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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// Back-off between submissions of a backup whose task has failed.
const (
	retryWait    = time.Minute
	retryMaxWait = time.Hour
)

// The functions of this file return what a BackupSync becomes by something that was learnt about it. They change
// nothing but their result, which shares with its origin only what nobody changes.

// meet notes that a person's request is met.
func meet(next *v1alpha1.BackupSync) {
	if Requested(next) {
		next.Status.LastHandledRequest = RequestOf(next)
	}
}

// Submitted is what CBR's acceptance of an item makes of a BackupSync. The hash is that of the item that was sent, which the
// manifest may not declare any more; "" if somebody else sent it.
func Submitted(backup *v1alpha1.BackupSync, operation, hash string, at, now metav1.Time) *v1alpha1.BackupSync {
	next := *backup
	status := &next.Status
	if StateOf(backup) != Running && Renewed(backup) { // begun again: with all its retries
		status.Attempts = 0
	}
	if status.SentHash = hash; hash != "" { // else nobody knows what was sent
		status.Attempts++
	}
	status.Outcome, status.OperationLogID, status.LastError = "", operation, ""
	status.SubmittedTime, status.FinishedTime, status.NextAttemptTime = &at, nil, nil
	meet(&next)
	return Present(withoutAvailable(&next), Circumstances{}, now)
}

// Stored is what a BackupSync becomes when CBR has its backup: from a call of ours whose answer was lost, or from before.
// The hash is that of the item of a call that may have brought it there, the operation its task; each "" if not known.
func Stored(backup *v1alpha1.BackupSync, operation, hash string, now metav1.Time) *v1alpha1.BackupSync {
	next := *backup
	status := &next.Status
	switch {
	case hash != "":
		status.SentHash = hash
	case status.OperationLogID == "": // CBR has taken nothing of ours: what was sent, if anything, is not what it has
		status.SentHash = ""
	}
	if operation != "" {
		status.OperationLogID = operation
	}
	status.Outcome = v1alpha1.OutcomeAlreadyImported
	if status.SentHash != "" {
		status.Outcome = v1alpha1.OutcomeImported
	}
	status.FinishedTime, status.NextAttemptTime, status.LastError = &now, nil, ""
	meet(&next)
	return usableAgain(Present(&next, Circumstances{}, now), now)
}

// Unusable is what a BackupSync becomes when CBR holds its backup in a status that it cannot be restored from. The hash is that
// of the item of a call that may have brought it there, the operation its task; each "" if not known. The end is that of its task,
// nil if there was none of late.
func Unusable(backup *v1alpha1.BackupSync, held cbr.BackupStatus, operation, hash string, end *Ending, now metav1.Time) *v1alpha1.BackupSync {
	next := *backup
	status := &next.Status
	if hash != "" {
		status.SentHash = hash
	}
	if operation != "" {
		status.OperationLogID = operation
	}
	before := status.LastError
	if end != nil {
		before = end.Said
	}
	status.Outcome, status.LastError = v1alpha1.OutcomeBackupUnusable, CleanMessage(unusableAs(held, before))
	status.FinishedTime, status.NextAttemptTime = &now, nil
	meet(&next)
	return Present(withoutAvailable(&next), Circumstances{}, now) // Ready says it now
}

// Texts of status.lastError that others are made of.
const (
	importTask  = "CBR's import task "
	afterTask   = " after its import task "
	gaveNoError = " and gave no error"
	notInCBR    = "CBR does not have this backup"
)

// unusableAs says in which status CBR holds a backup, and how its import had failed, as far as the last error tells.
func unusableAs(held cbr.BackupStatus, before string) string {
	said := fmt.Sprintf("CBR holds the backup in status %q", Quote(string(held)))
	how, failed := strings.CutPrefix(before, importTask)
	if !failed { // or it was unusable before
		_, how, failed = strings.Cut(before, afterTask)
	}
	if !failed {
		return said + ", and cannot restore it"
	}
	for _, joint := range []string{", but ", ", and "} {
		how = strings.TrimSuffix(how, joint+notInCBR) // it has it now
	}
	return said + afterTask + how
}

// Refused is what the refusal of calls with this backup alone makes of it, where it is not CBR itself that blames it: it is
// sent again, ever more rarely, and no more when the retries are used up. What was imported, or a duplicate, waits for that like any
// other. It is nil if the manifest declares another item by now.
func Refused(backup *v1alpha1.BackupSync, hash, said string, refusals, retryLimit int32, now metav1.Time) *v1alpha1.BackupSync {
	if refusals > retryLimit {
		return Rejected(backup, hash, said, now)
	}
	if Hash(&backup.Spec) != hash || !WantsCall(backup) {
		return nil
	}
	next := *backup
	if StateOf(backup) != Pending {
		next = *begunAnew(backup)
	}
	due := metav1.NewTime(now.Add(Backoff(retryWait, retryMaxWait, int(refusals))))
	next.Status.SentHash, next.Status.LastError, next.Status.NextAttemptTime = hash, CleanMessage(said), &due
	return Present(&next, Circumstances{}, now)
}

// Followed returns what a task that was started for a BackupSync makes of a version of it: nil if it tells so already.
// Another process may have found the backup in CBR before the task's id was written, and taken it for an earlier import.
func Followed(backup *v1alpha1.BackupSync, operation, hash string, at, now metav1.Time) *v1alpha1.BackupSync {
	status := &backup.Status
	switch {
	case isUnknown(backup), status.OperationLogID == operation && StateOf(backup) == Running:
		return nil
	case StateOf(backup) != Imported, Reimport(backup): // a retry may have got the id of the attempt before
		return Submitted(backup, operation, hash, at, now)
	case status.Outcome == v1alpha1.OutcomeImported && status.OperationLogID != "":
		return nil
	}
	next := *backup
	next.Status.Outcome, next.Status.OperationLogID, next.Status.SubmittedTime = v1alpha1.OutcomeImported, operation, &at
	next.Status.Attempts++
	if hash != "" {
		next.Status.SentHash = hash
	}
	return Present(&next, Circumstances{}, now)
}

// Rejected is what CBR's refusal of an item makes of a version of a BackupSync: nil if the manifest declares another item by
// now, of which the refusal says nothing.
func Rejected(backup *v1alpha1.BackupSync, hash, said string, now metav1.Time) *v1alpha1.BackupSync {
	state := StateOf(backup)
	if Hash(&backup.Spec) != hash || state == Running || state == Imported && !Reimport(backup) || isUnknown(backup) {
		return nil
	}
	next := *backup
	status := &next.Status
	status.Outcome, status.SentHash, status.LastError = v1alpha1.OutcomeRejected, hash, CleanMessage(said)
	status.FinishedTime, status.NextAttemptTime = &now, nil
	meet(&next)
	return Present(&next, Circumstances{}, now)
}

// Ending is how the task of an import has ended.
type Ending struct {
	Status cbr.TaskStatus
	At     cbr.Time // zero if CBR does not say
	Said   string   // what has happened, for a failure
}

// EndOf is the end that a task reports.
func EndOf(task *cbr.OperationLog) Ending {
	return Ending{Status: task.Status, At: task.EndedAt, Said: taskEnd(task)}
}

// Unaccounted is the end of a task that reports errors, or speaks of several backups, for one that CBR does not have.
func Unaccounted(task *cbr.OperationLog) Ending {
	joint := ", and "
	if task.Status == cbr.TaskSuccess {
		joint = ", but "
	}
	return Ending{Status: cbr.TaskFailed, At: task.EndedAt, Said: taskEnd(task) + joint + notInCBR}
}

// Forgotten is the end of a task that CBR does not know, of a backup that it does not have.
func Forgotten() Ending {
	return Ending{Status: cbr.TaskFailed, Said: "CBR knows neither the task of the import any more, nor the backup"}
}

// Kept is the end of an import of which CBR has the backup, whatever its task says.
func Kept(task *cbr.OperationLog) Ending {
	if task == nil {
		return Ending{Status: cbr.TaskSuccess}
	}
	return Ending{Status: cbr.TaskSuccess, At: task.EndedAt}
}

// taskEnd says how a task has ended, with CBR's error in brackets.
func taskEnd(task *cbr.OperationLog) string {
	reported := taskError(task)
	switch {
	case task.Status == cbr.TaskFailed && reported != "":
		return importTask + "failed" + reported
	case task.Status != cbr.TaskSuccess && reported == "":
		reported = gaveNoError
	}
	return importTask + "ended with status " + Quote(string(task.Status)) + reported
}

func taskError(task *cbr.OperationLog) string {
	code, message := Quote(task.ErrorInfo.Code), Quote(task.ErrorInfo.Message)
	switch {
	case code != "" && message != "":
		return fmt.Sprintf(" (%s: %s)", code, message)
	case code != "" || message != "":
		return fmt.Sprintf(" (%s%s)", code, message)
	default:
		return ""
	}
}

// Finished is what the end of a task makes of a BackupSync whose task it is. A request to try again stays unmet by a
// failure.
func Finished(backup *v1alpha1.BackupSync, end Ending, retryLimit int32, now metav1.Time) *v1alpha1.BackupSync {
	next := *backup
	status := &next.Status
	ended := now
	if !end.At.IsZero() {
		ended = metav1.NewTime(end.At.Time)
	}
	status.FinishedTime, status.LastError = &ended, CleanMessage(end.Said)
	// A task that somebody else started is no attempt of ours: what we would send may do better.
	ours := status.Attempts > 0 && status.SentHash != ""
	switch {
	case end.Status == cbr.TaskSuccess:
		status.Outcome, status.LastError = v1alpha1.OutcomeImported, ""
		meet(&next)
	case !ours || end.Status != cbr.TaskSkipped && status.Attempts <= retryLimit:
		due := metav1.NewTime(now.Add(Backoff(retryWait, retryMaxWait, int(status.Attempts))))
		status.NextAttemptTime = &due
	default:
		status.Outcome = v1alpha1.OutcomeOperationFailed
	}
	return Present(&next, Circumstances{}, now)
}

// Backoff is a wait that doubles with each failure, up to the longest.
func Backoff(base, longest time.Duration, failures int) time.Duration {
	wait := base
	for ; failures > 1 && wait < longest; failures-- {
		wait *= 2
	}
	return min(wait, longest)
}

// Requeued returns a failed BackupSync as one to be tried again with all its retries: nil if it has not failed, or as a
// duplicate, or in a way that this version does not know.
func Requeued(backup *v1alpha1.BackupSync, now metav1.Time) *v1alpha1.BackupSync {
	if IsDuplicate(backup) || StateOf(backup) != Failed || isUnknown(backup) {
		return nil
	}
	return Present(begunAnew(backup), Circumstances{}, now)
}

// begunAnew returns a BackupSync without what its failed attempts have left.
func begunAnew(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	next := *backup
	next.Status.Outcome, next.Status.Attempts, next.Status.NextAttemptTime, next.Status.LastError = "", 0, nil, ""
	meet(&next)
	return &next
}

// Waiting returns a BackupSync that is not sent yet as one whose status says why: nil if it says so already.
func Waiting(backup *v1alpha1.BackupSync, given Circumstances, now metav1.Time) *v1alpha1.BackupSync {
	next := backup
	switch {
	case ReasonOf(backup, given) == v1alpha1.ReasonDuplicate:
		marked := *backup
		marked.Status.Outcome, marked.Status.NextAttemptTime = v1alpha1.OutcomeDuplicate, nil
		meet(&marked)
		next = &marked
	case IsDuplicate(backup), StateOf(backup) == Pending && Renewed(backup) && !isNew(backup):
		next = begunAnew(backup)
	}
	if Presented(backup, given) && sameFacts(&backup.Status, &next.Status) {
		return nil
	}
	return Present(next, given, now)
}

// isNew reports whether nothing has happened to a BackupSync yet: its default status says all there is to say.
func isNew(backup *v1alpha1.BackupSync) bool {
	status := &backup.Status
	return status.Outcome == "" && status.SentHash == "" && status.NextAttemptTime == nil
}

// Locate notes in which cloud project it was learnt what a BackupSync has become, if CBR has accepted the backup, or has it.
func Locate(next, before *v1alpha1.BackupSync, cloudProject string) {
	now, then := &next.Status, &before.Status
	if !Accepted(next) || now.Outcome == then.Outcome && now.OperationLogID == then.OperationLogID && now.SubmittedTime.Equal(then.SubmittedTime) &&
		now.FinishedTime.Equal(then.FinishedTime) {
		return
	}
	now.CloudProject = &cloudProject
}

// LiesIn reports whether the backup of a BackupSync is in a cloud project, as far as is known: earlier versions did not note where.
func LiesIn(backup *v1alpha1.BackupSync, cloudProject string) bool {
	in := backup.Status.CloudProject
	return in == nil || *in == cloudProject
}

func sameFacts(a, b *v1alpha1.BackupSyncStatus) bool {
	return a.Outcome == b.Outcome && a.Attempts == b.Attempts && a.NextAttemptTime.Equal(b.NextAttemptTime) && a.LastError == b.LastError &&
		a.LastHandledRequest == b.LastHandledRequest
}

// Acknowledged returns a BackupSync that is not pending as one whose status has taken in its latest edit and request, and
// says what its facts say: nil if it does already. The edit may have made it drift.
func Acknowledged(backup *v1alpha1.BackupSync, given Circumstances, now metav1.Time) *v1alpha1.BackupSync {
	next := *backup
	if !isUnknown(backup) { // a later version is to see the request
		meet(&next)
	}
	if Presented(backup, given) && sameFacts(&backup.Status, &next.Status) {
		return nil
	}
	return Present(&next, given, now)
}
