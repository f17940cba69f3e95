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
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
	"backupsync.dev/operator/internal/connection"
)

// A submission that is recorded at the start of a pass is a call whose outcome is not known: the process ended,
// the answer was lost, or it was a refusal that does not prove that nothing was taken. This file finds out what
// became of it. Until that is known, its backups are not sent again.

// resolver is the step resolve.
type resolver struct {
	step
	*reader
	*cloudView
	*writer
	*planMemory
	*callMemory
}

// resolveSubmissions looks up the recorded submissions that have settled, writes what CBR shows of their
// backups, and clears those of which CBR has certainly never heard.
func (r *resolver) resolveSubmissions(ctx context.Context) error {
	if r.project == nil || r.outdated != "" {
		return nil
	}
	settled, more := r.limitLook(r.settledSubmissions())
	if len(settled) == 0 {
		return nil
	}
	if ready, err := r.connect(ctx, connection.ReadRequest); !ready {
		return err
	}
	lost, err := r.lostBackups(ctx, settled)
	if err != nil {
		return err
	}
	open := make([][]openItem, len(settled))
	var questions []evidence.Question
	for i, submission := range settled {
		open[i] = r.openItems(submission, lost)
		if len(settled) == 1 {
			open[i] = r.limitItems(open[i])
		}
		for _, item := range open[i] {
			if !item.later {
				questions = append(questions, item.question)
			}
		}
	}
	query := r.query(questions, nil)
	query.Running = r.listedTasks()
	look, err := evidence.Collect(ctx, r.cloud, query)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !r.noteRead(err, "Recorded submissions could not be looked up", len(settled)) {
		return nil
	}
	r.remember(look)
	if more {
		r.requeueNow()
	}
	judge := r.judge(look, query.Known)
	r.noteTaken(look, judge, len(questions), func(i int) evidence.Question { return questions[i] })
	for i, submission := range settled {
		r.conclude(ctx, submission, open[i], look, judge)
	}
	return nil
}

// lostBackups returns the BackupSyncs that declare the backups of submissions, by backup id. Some may be gone, and
// some may have been created again since: that makes no difference to what CBR has.
func (r *resolver) lostBackups(ctx context.Context, submissions []v1alpha1.Submission) (map[string]*v1alpha1.BackupSync, error) {
	lost, unseen, err := r.cachedBackups(ctx, submissions)
	if err != nil {
		return nil, err
	}
	return lost, r.findUnseen(ctx, unseen, lost)
}

// cachedBackups is lostBackups as far as the cache shows, with the ids of which it shows no BackupSync.
func (r *resolver) cachedBackups(ctx context.Context, submissions []v1alpha1.Submission) (
	lost map[string]*v1alpha1.BackupSync, unseen []string, err error) {
	lost = map[string]*v1alpha1.BackupSync{}
	for _, submission := range submissions {
		for _, item := range submission.Items {
			id := item.BackupID
			duplicates, err := r.syncsForBackup(ctx, id)
			if err != nil {
				return nil, nil, err
			}
			if lost[id] = backupsync.Owner(duplicates); lost[id] == nil {
				unseen = append(unseen, id)
			}
		}
	}
	return lost, unseen, nil
}

// findUnseen adds BackupSyncs that the cache does not show. It may lag behind the creation of one that another process has
// submitted, and if that one were taken for deleted its record would go without an outcome.
func (r *resolver) findUnseen(ctx context.Context, unseen []string, lost map[string]*v1alpha1.BackupSync) error {
	var mutex sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.options.StatusWriters)
	for _, id := range unseen {
		group.Go(func() error {
			duplicates, err := r.syncsForBackupLive(ctx, id)
			mutex.Lock()
			defer mutex.Unlock()
			lost[id] = backupsync.Owner(duplicates)
			return err
		})
	}
	return group.Wait()
}

// openItem is a backup of a submission of which the outcome is not written yet.
type openItem struct {
	v1alpha1.SubmittedItem
	backup   *v1alpha1.BackupSync // nil if there is none
	question evidence.Question
	later    bool // CBR is not asked about it by this look
}

// openItems returns the backups of a submission of which the outcome is not written yet.
func (r *resolver) openItems(submission v1alpha1.Submission, lost map[string]*v1alpha1.BackupSync) []openItem {
	call := &evidence.Call{Items: idsIn(submission)}
	left := unwritten(submission, lost)
	_, hidden := r.evidence.hidden[submission.ID]
	items := make([]openItem, 0, len(left))
	for _, item := range left {
		open := openItem{SubmittedItem: item, backup: lost[item.BackupID],
			question: evidence.Question{BackupID: item.BackupID, Call: call, Hidden: hidden, SettledAt: r.settledAt[submission.ID]}}
		if open.backup != nil {
			open.question.ResourceID = open.backup.Spec.ResourceID
		}
		items = append(items, open)
	}
	return items
}

// unwritten returns the backups of a submission whose outcome their BackupSyncs do not tell yet: the task in the status is
// none, or the one that was there before the call.
func unwritten(submission v1alpha1.Submission, lost map[string]*v1alpha1.BackupSync) []v1alpha1.SubmittedItem {
	var items []v1alpha1.SubmittedItem
	for _, item := range submission.Items {
		if backup := lost[item.BackupID]; backup == nil || newTaskOf(backup, item) == "" {
			items = append(items, item)
		}
	}
	return items
}

// newTaskOf returns the task that a BackupSync tells of since a call with its backup was recorded, "" if it tells of none, or of the one before.
func newTaskOf(backup *v1alpha1.BackupSync, item v1alpha1.SubmittedItem) string {
	if task := backup.Status.OperationLogID; task != item.PreviousOperationLogID {
		return task
	}
	return ""
}

// conclude writes what was found of some backups of a submission, and clears what is settled by it. Those that CBR was not asked about stay recorded.
func (r *resolver) conclude(ctx context.Context, submission v1alpha1.Submission, items []openItem, look *evidence.Look, judge *evidence.Judge) {
	detached, cancel := r.detach(ctx)
	defer cancel()
	var changes []change
	var absent []batch.Member
	var open []string
	if look.Hides() {
		r.evidence.hide(submission)
	}
	for _, item := range items {
		if item.later {
			open = append(open, item.BackupID)
			continue
		}
		verdict := verdictOn(item.SubmittedItem, submission.StartTime.Time, judge.Verdict(item.question), look)
		switch {
		case verdict.Kind == evidence.Absent && item.backup != nil:
			absent = append(absent, batch.Member{BackupSync: item.backup, Hash: item.Hash})
		case verdict.Kind == evidence.Absent: // deleted, and never taken
		case undecided(verdict, item.PreviousOperationLogID):
			open = append(open, item.BackupID)
		case item.backup == nil: // there is nothing to write; if it is applied again, it is looked up
			r.evidence.unclaimed.add(markOf(item.BackupID))
		default:
			changes = append(changes, r.resolved(item, submission.StartTime.Time, verdict))
		}
	}
	if len(changes) > 0 { // whatever it answered: CBR takes calls
		r.health.Taken(submission.StartTime.Time)
	}
	changes = append(changes, r.blameMembers(submission, absent)...)
	if len(absent) > 0 {
		r.requeueNow() // they are pending again once the record is cleared
	}
	_, unwritten := r.apply(detached, changes)
	for _, backup := range unwritten {
		open = append(open, backup.Spec.BackupID)
	}
	r.clearLater(submission, open)
	left := slices.ContainsFunc(items, func(item openItem) bool { return item.later })
	if left && len(open) < len(items) { // the others at once, behind other calls; if this was of no use, later
		r.lookUpFrom[submission.ID] = r.now
		r.requeueNow()
	}
	r.log.Info("Looked up a submission", "submission", submission.ID, "backups", len(submission.Items),
		"found", len(changes), "absent", len(absent), "open", len(open))
}

// verdictOn is the verdict on a backup of a call: a task of that call that has ended, and of which nothing is left, is followed like
// one that runs, as its failure is to be told. One of an earlier import says nothing.
func verdictOn(item v1alpha1.SubmittedItem, sent time.Time, verdict evidence.Verdict, look *evidence.Look) evidence.Verdict {
	if verdict.Kind != evidence.Absent {
		return verdict
	}
	task, named := look.Tasks.Naming(item.BackupID)
	if !named || task.ID == "" || task.ID == item.PreviousOperationLogID || !task.Status.Final() {
		return verdict
	}
	if created, told := look.When(task.CreatedAt); !told || created.Before(sent.Add(-clockSkew)) {
		return verdict
	}
	return evidence.Verdict{Kind: evidence.InProgress, Task: task.ID, Own: true}
}

// resolved is the change to a BackupSync whose backup a call has brought to CBR.
func (r *resolver) resolved(item openItem, sent time.Time, verdict evidence.Verdict) change {
	backup, hash := item.backup, item.Hash
	now, started := metav1.NewTime(r.options.Clock.Now()), metav1.NewTime(sent)
	r.bisection.Resolved(backup.Spec.BackupID)
	become := func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		status := &version.Status
		foundBefore := status.Outcome == v1alpha1.OutcomeAlreadyImported && status.OperationLogID == "" // by another process, of this call
		if backupsync.StateOf(version) == backupsync.Imported && !foundBefore && !backupsync.Reimport(version) {
			return nil
		}
		if verdict.Kind == evidence.Broken {
			return backupsync.Unusable(version, verdict.Status, verdict.Task, hash, nil, now)
		}
		return backupsync.Stored(version, verdict.Task, hash, now)
	}
	if verdict.Kind == evidence.InProgress {
		r.scheduleNow()
		become = func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
			return backupsync.Followed(version, verdict.Task, hash, started, now)
		}
	}
	return change{backup: backup, lasting: true, become: unlessTold(item.SubmittedItem, verdict.Task, become)}
}

// unlessTold changes a BackupSync only as long as no other process has told what became of its backup in a call: then it may have been sent again.
func unlessTold(item v1alpha1.SubmittedItem, task string, become func(*v1alpha1.BackupSync) *v1alpha1.BackupSync) func(*v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		if told := newTaskOf(version, item); told != "" && told != task {
			return nil
		}
		return become(version)
	}
}

// blameMembers draws the conclusion from a refusal, now that it is certain that CBR has taken none of what it refused:
// the backup of a call with no other is rejected, several come under bisection. A refusal of an item that the manifest does
// not declare any more says nothing of the one that it declares now.
func (r *resolver) blameMembers(call v1alpha1.Submission, absent []batch.Member) []change {
	refused, known := r.refusals[call.ID]
	if !known || len(absent) == 0 {
		return nil
	}
	alone, bisection := refused.members == 1, &r.bisection
	if errors.Is(refused.err, errLeftOut) {
		r.slowDown(absent)
	}
	blamed := blamesItem(refused.err)
	if !blamed && !bisection.CallFailed(absent, alone, refused.through) {
		return nil
	}
	switch bisection.CallRefused(absent, alone, blamed, refused.through, codeOf(refused.err)) {
	case batch.Common:
		if now := r.options.Clock.Now(); cbr.ClassOf(refused.err) == cbr.Rejected && !r.health.Calls.Open(now) {
			r.health.RefuseAll(refused.err, now)
		}
		return nil
	case batch.Isolated:
		return []change{r.rejects(absent[0], refused.err)}
	default:
		return nil
	}
}

// slowDown has backups wait that CBR has left out of its answers: such an answer is no failure of the project, which would wait.
func (r *resolver) slowDown(absent []batch.Member) {
	now := r.options.Clock.Now()
	for _, item := range absent {
		failed := r.bisection.Failures[cbr.Fold(item.Spec.BackupID)].Count
		r.pauses(item.BackupSync, pause{since: now, until: now.Add(backupsync.Backoff(connection.FailureWait, connection.FailureMaxWait, failed+1))})
	}
}

// rejects is the change to the BackupSync that is to blame for the refusal of a call with no other.
func (r *resolver) rejects(only batch.Member, err error) change {
	now, limit, said := metav1.NewTime(r.options.Clock.Now()), r.retryLimit(), connection.Describe(err)
	refusals := r.bisection.Failures[cbr.Fold(only.Spec.BackupID)].Alone
	if cbr.ClassOf(err) == cbr.Transient {
		limit = math.MaxInt32 // CBR says itself that it is to be tried again
	}
	if blamesItem(err) || refusals > limit { // it is over, whoever else declares the backup
		r.bisection.Resolved(only.Spec.BackupID)
	}
	return change{backup: only.BackupSync, lasting: true, become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		if blamesItem(err) {
			return backupsync.Rejected(version, only.Hash, said, now)
		}
		return backupsync.Refused(version, only.Hash, "Calls with this backup alone are refused, while others go through ("+said+")", refusals, limit, now)
	}}
}

// blamesItem reports whether a failure of a call says that one of its items is to blame.
func blamesItem(err error) bool {
	var failure *cbr.Error
	return errors.As(err, &failure) && (failure.Class == cbr.Rejected && (failure.FromCBR() || failure.FromGateway()) || failure.Code == cbr.CodeImportFailed)
}

// codeOf tells a failure from others.
func codeOf(err error) string {
	failure, answered := errors.AsType[*cbr.Error](err)
	switch {
	case !answered:
		return ""
	case failure.Code != "":
		return failure.Code
	default:
		return strconv.Itoa(failure.StatusCode)
	}
}

// clearLater notes that a submission is over but for the backups that stay open, which are looked at again.
func (r *resolver) clearLater(submission v1alpha1.Submission, open []string) {
	r.clear(submission.ID, open)
	if len(open) == 0 {
		return
	}
	r.lookUpFrom[submission.ID] = r.now.Add(r.askAgain(r.now.Sub(r.settledAt[submission.ID])))
	r.requeueAt(r.lookUpFrom[submission.ID])
}

// scheduleNow lets the next pass look at the running tasks.
func (v *cloudView) scheduleNow() {
	v.nextPoll = time.Time{}
	v.requeueNow()
}
