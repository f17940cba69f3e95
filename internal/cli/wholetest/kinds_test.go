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

package wholetest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// The states of a BackupSync.
const (
	pending  = "pending"
	running  = "running"
	imported = "imported"
	failed   = "failed"
)

// kind is a way in which a BackupSync can stand there, and what is true of it: written down here, and not computed.
type kind struct {
	name string
	// state and reason are what the commands are to tell of it.
	state, reason string
	// before is what its manifest says when the operator sees it, becomes is what the operator makes of it, after is what happens then.
	before  func(*v1alpha1.BackupSync)
	becomes func(*v1alpha1.BackupSync, times) *v1alpha1.BackupSync
	after   func(*v1alpha1.BackupSync, times)
	// What else is true.
	suspended, requested, deleting bool
	// drifted: the manifest differs from what CBR has accepted. The operator has counted it if its condition says so.
	drifted, countedDrifted bool
	// lost is the reason of Available=False.
	lost string
	// hopeless: no retry helps; the manifest or the operator must change.
	hopeless bool
	// advice is a part of what explain advises.
	advice string
}

// times are when things happen to a BackupSync.
type times struct{ now, submitted, finished metav1.Time }

type outcome = func(*v1alpha1.BackupSync, times) *v1alpha1.BackupSync

func waits(given backupsync.Circumstances) outcome {
	return func(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
		return backupsync.Waiting(backup, given, at.submitted)
	}
}

func submitted(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
	return backupsync.Submitted(backup, "task-"+backup.Name, backupsync.Hash(&backup.Spec), at.submitted, at.submitted)
}

func presented(given backupsync.Circumstances) outcome {
	return func(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
		return backupsync.Present(submitted(backup, at), given, at.finished)
	}
}

func succeeded(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
	return backupsync.Finished(submitted(backup, at), backupsync.Ending{Status: cbr.TaskSuccess}, 0, at.finished)
}

func already(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
	return backupsync.Stored(backup, "", "", at.finished)
}

func rejected(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
	return backupsync.Rejected(backup, backupsync.Hash(&backup.Spec), "BackupService.0401: bucket not found", at.finished)
}

// ended is a task that has failed, of a project that allows so many retries. The retry is due a minute after the operator has seen that.
func ended(status cbr.TaskStatus, retries int32, seen time.Duration) outcome {
	return func(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
		end := backupsync.Ending{Status: status, At: cbr.Time{Time: at.finished.Time}, Said: "CBR's import task failed (BackupService.9900: no space)"}
		return backupsync.Finished(submitted(backup, at), end, retries, metav1.NewTime(at.now.Add(-seen)))
	}
}

func refused(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
	return backupsync.Refused(backup, backupsync.Hash(&backup.Spec), "a proxy answers 403", 1, 3, metav1.NewTime(at.now.Add(-30*time.Second)))
}

func broken(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
	return backupsync.Unusable(submitted(backup, at), "error", "", "", nil, at.finished)
}

func archived(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
	next := succeeded(backup, at)
	next.Status.Outcome = "Archived"
	return backupsync.Present(next, backupsync.Circumstances{}, at.finished)
}

// drifting is a BackupSync whose manifest was edited, and the operator has seen that.
func drifting(of outcome) outcome {
	return func(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
		next := of(backup, at)
		edit(next, at)
		return backupsync.Acknowledged(next, backupsync.Circumstances{}, at.finished)
	}
}

func audited(of outcome, found ...backupsync.Availability) outcome {
	return func(backup *v1alpha1.BackupSync, at times) *v1alpha1.BackupSync {
		next := of(backup, at)
		for _, each := range found {
			next = backupsync.Audited(next, each, at.finished.Time, at.finished)
		}
		return next
	}
}

// bare is a status that nobody has written, and the CRD's default is gone.
func bare(backup *v1alpha1.BackupSync, _ times) *v1alpha1.BackupSync {
	backup.Status = v1alpha1.BackupSyncStatus{ObservedGeneration: -1}
	return backup
}

func suspend(backup *v1alpha1.BackupSync) { backup.Spec.Suspend = true }

func edit(backup *v1alpha1.BackupSync, _ times) {
	backup.Spec.BucketName, backup.Generation = "another-bucket", backup.Generation+1
}

func toggle(suspended bool) func(*v1alpha1.BackupSync, times) {
	return func(backup *v1alpha1.BackupSync, _ times) {
		backup.Spec.Suspend, backup.Generation = suspended, backup.Generation+1
	}
}

// earlierRequest is a request for another import that the operator has not acted on.
const earlierRequest = "2026-01-02T03:04:05Z"

func request(backup *v1alpha1.BackupSync, _ times) {
	backup.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: earlierRequest}
}

func remove(backup *v1alpha1.BackupSync, at times) {
	backup.DeletionTimestamp, backup.Finalizers = &at.finished, []string{"example.com/hold"}
	backup.DeletionGracePeriodSeconds, backup.Generation = new(int64), backup.Generation+1
}

type given = backupsync.Circumstances

// open are the kinds of BackupSyncs that have not ended.
var open = []kind{
	{name: "queued", state: pending, reason: v1alpha1.ReasonQueued, advice: "Wait: nothing needs a person."},
	{name: "bare", state: pending, becomes: bare, advice: "Wait: nothing needs a person."},
	{name: "unclear", state: pending, reason: v1alpha1.ReasonQueued, becomes: waits(given{Unclear: "CBR answers 500"}), advice: "Wait"},
	{name: "question-refused", state: pending, reason: v1alpha1.ReasonQueued, becomes: waits(given{Unclear: "CBR answers 400", QuestionRefused: true}), advice: "Wait"},
	{name: "awaiting", state: pending, reason: v1alpha1.ReasonAwaitingTask, becomes: waits(given{AwaitsTask: true}), advice: "look at what the message names in CBR"},
	{name: "awaiting-long", state: pending, reason: v1alpha1.ReasonAwaitingTask, becomes: waits(given{AwaitsTask: true, AwaitedTask: "some-task"}), advice: "Wait"},
	{name: "held", state: pending, reason: v1alpha1.ReasonAwaitingTask, becomes: waits(given{AwaitsTask: true, HeldAs: "deleting"}), advice: "Wait"},
	{name: "unknown", state: pending, reason: v1alpha1.ReasonOutcomeUnknown, becomes: waits(given{InCall: true}), advice: "Wait"},
	{name: "retrying", state: pending, reason: v1alpha1.ReasonRetryScheduled, becomes: ended(cbr.TaskFailed, 3, 30*time.Second), advice: "fix what the message names"},
	{name: "retry-due", state: pending, reason: v1alpha1.ReasonRetryScheduled, becomes: ended(cbr.TaskFailed, 3, 2*time.Minute), advice: "fix what the message names"},
	{name: "refused", state: pending, reason: v1alpha1.ReasonRetryScheduled, becomes: refused, advice: "fix what the message names"},
	{name: "suspended", state: pending, reason: v1alpha1.ReasonSuspended, before: suspend, becomes: waits(given{}), suspended: true, advice: "Remove spec.suspend: "},
	{name: "suspended-unseen", state: pending, reason: v1alpha1.ReasonQueued, after: toggle(true), suspended: true, advice: "Remove spec.suspend: "},
	{name: "resumed-unseen", state: pending, reason: v1alpha1.ReasonSuspended, before: suspend, becomes: waits(given{}), after: toggle(false), advice: "Wait"},
	{name: "suspended-awaiting", state: pending, reason: v1alpha1.ReasonAwaitingTask, before: suspend, becomes: waits(given{AwaitsTask: true}), suspended: true, advice: "Remove spec.suspend: "},
	{name: "edited", state: pending, reason: v1alpha1.ReasonRejected, becomes: rejected, after: edit, advice: "Wait"},
	{name: "requested", state: pending, reason: v1alpha1.ReasonOperationFailed, becomes: ended(cbr.TaskFailed, 0, time.Hour), after: request, requested: true, advice: "Wait"},
	{name: "deleting-queued", state: pending, reason: v1alpha1.ReasonQueued, after: remove, deleting: true, advice: "See what the finalizers example.com/hold hold it for"},
	{name: "running", state: running, reason: v1alpha1.ReasonOperationRunning, becomes: submitted, advice: "Wait: nothing needs a person."},
	{name: "overdue", state: running, reason: v1alpha1.ReasonOperationOverdue, becomes: presented(given{Overdue: true}), advice: "Look at the task task-"},
	{name: "drifted-running", state: running, reason: v1alpha1.ReasonOperationRunning, becomes: drifting(submitted), drifted: true, advice: "Revert the edit of the manifest."},
	{name: "edited-running", state: running, reason: v1alpha1.ReasonOperationRunning, becomes: submitted, after: edit, drifted: true, advice: "Revert the edit of the manifest."},
	{name: "suspended-running", state: running, reason: v1alpha1.ReasonOperationRunning, becomes: submitted, after: toggle(true), suspended: true, advice: "Wait"},
	{name: "deleting-running", state: running, reason: v1alpha1.ReasonOperationRunning, becomes: submitted, after: remove, deleting: true, advice: "See what the finalizers example.com/hold hold it for"},
}

// duplicateKind declares the backup of the BackupSync before it, which is imported.
const duplicateKind = "duplicate"

// over are the kinds of those that have ended.
var over = []kind{
	{name: "imported", state: imported, reason: v1alpha1.ReasonImported, becomes: succeeded, advice: "Nothing: the backup was imported"},
	{name: duplicateKind, state: failed, reason: v1alpha1.ReasonDuplicate, hopeless: true, advice: "Delete one of the two"},
	{name: "already", state: imported, reason: v1alpha1.ReasonAlreadyImported, becomes: already, advice: "Nothing: the backup was imported"},
	{name: "drifted", state: imported, reason: v1alpha1.ReasonImported, becomes: drifting(succeeded), drifted: true, countedDrifted: true, advice: "Revert the edit"},
	{name: "missing", state: imported, reason: v1alpha1.ReasonImported, becomes: audited(succeeded, backupsync.BackupMissing), lost: v1alpha1.ReasonMissing, advice: "If the bucket still holds it, have it imported again"},
	{name: "unusable", state: imported, reason: v1alpha1.ReasonAlreadyImported, becomes: audited(already, backupsync.BackupUnusable), lost: v1alpha1.ReasonUnusable, advice: "Look at the backup in CBR"},
	{name: "usable-again", state: imported, reason: v1alpha1.ReasonImported, becomes: audited(succeeded, backupsync.BackupMissing, backupsync.BackupAvailable), advice: "Nothing"},
	{name: "drifted-missing", state: imported, reason: v1alpha1.ReasonImported, becomes: audited(drifting(succeeded), backupsync.BackupMissing), drifted: true, countedDrifted: true,
		lost: v1alpha1.ReasonMissing, advice: "Revert the edit"},
	{name: "reimport", state: imported, reason: v1alpha1.ReasonImported, becomes: succeeded, after: request, requested: true, advice: "Wait: another import was requested"},
	{name: "deleting-imported", state: imported, reason: v1alpha1.ReasonImported, becomes: succeeded, after: remove, deleting: true, advice: "See what the finalizers example.com/hold hold it for"},
	{name: "rejected", state: failed, reason: v1alpha1.ReasonRejected, becomes: rejected, advice: "Correct the manifest: an edit sends it again."},
	{name: "failed", state: failed, reason: v1alpha1.ReasonOperationFailed, becomes: ended(cbr.TaskFailed, 0, time.Hour), advice: "Fix the cause that CBR reports."},
	{name: "skipped", state: failed, reason: v1alpha1.ReasonOperationFailed, becomes: ended(cbr.TaskSkipped, 3, time.Hour), advice: "Fix the cause that CBR reports."},
	{name: "broken", state: failed, reason: v1alpha1.ReasonBackupUnusable, becomes: broken, advice: "Delete the backup in CBR"},
	{name: "edited-broken", state: failed, reason: v1alpha1.ReasonBackupUnusable, becomes: broken, after: edit, advice: "An edit does not send it again."},
	{name: "archived", state: failed, reason: v1alpha1.ReasonUnknownOutcome, becomes: archived, hopeless: true, advice: "Run the version of the operator"},
	{name: "suspended-rejected", state: failed, reason: v1alpha1.ReasonRejected, becomes: rejected, after: toggle(true), suspended: true, advice: "Correct the manifest"},
	{name: "deleting-failed", state: failed, reason: v1alpha1.ReasonOperationFailed, becomes: ended(cbr.TaskFailed, 0, time.Hour), after: remove, deleting: true, advice: "See what the finalizers example.com/hold hold it for"},
}

// orphaned are kinds of those whose CBRProject does not exist.
var orphaned = []kind{
	{name: "lost", state: pending, reason: v1alpha1.ReasonProjectNotFound, becomes: waits(given{ProjectMissing: true}), advice: "Create the CBRProject gone"},
	{name: "lost-running", state: running, reason: v1alpha1.ReasonProjectNotFound, becomes: presented(given{ProjectMissing: true}), advice: "Create the CBRProject gone"},
	{name: "imported", state: imported, reason: v1alpha1.ReasonImported, becomes: succeeded, advice: "Nothing: the backup was imported"},
	{name: "lost-rejected", state: failed, reason: v1alpha1.ReasonRejected, becomes: rejected, advice: "Correct the manifest"},
	{name: "lost-new", state: pending, reason: v1alpha1.ReasonQueued, advice: "Create the CBRProject gone"},
}

// simple are kinds of which those that have failed are all helped by a request at their CBRProject, or by none.
var simple = slices.DeleteFunc(slices.Concat(open, over), func(of kind) bool {
	return of.state == failed && (of.suspended || of.deleting)
})

// The kinds are all that the documentation of BackupSyncs tells of.
func TestAllReasonsArePlayed(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "backupsync.md"))
	must(t, err)
	played := map[string]bool{}
	for _, each := range newWorld().backups {
		for _, condition := range each.object.Status.Conditions {
			played[condition.Reason] = true
		}
	}
	documented := regexp.MustCompile("(?m)^#### `([A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	if len(documented) < 19 {
		t.Errorf("%d reasons are documented", len(documented))
	}
	for _, match := range documented {
		if !played[match[1]] {
			t.Errorf("no BackupSync has the reason %s", match[1])
		}
	}
}
