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

// resolveSubmissions looks up the recorded submissions that have settled, writes what CBR shows of their
// backups, and clears those of which CBR has certainly never heard.
func (p *pass) resolveSubmissions(ctx context.Context) error {
	if p.project == nil || p.outdated != "" {
		return nil
	}
	settled := p.settledSubmissions()
	if len(settled) == 0 {
		return nil
	}
	if ready, err := p.connect(ctx, connection.ReadRequest); !ready {
		return err
	}
	lost, err := p.lostBackups(ctx, settled)
	if err != nil {
		return err
	}
	open := make([][]openItem, len(settled))
	var questions []evidence.Question
	for i, submission := range settled {
		open[i] = p.openItems(submission, lost)
		for _, item := range open[i] {
			questions = append(questions, item.question)
		}
	}
	query := p.query(questions, nil)
	look, err := evidence.Collect(ctx, p.cloud, query)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !p.noteRead(err, "Recorded submissions could not be looked up", len(settled)) {
		return nil
	}
	p.remember(look)
	judge := p.judge(look, query.Known)
	for i, submission := range settled {
		p.conclude(ctx, submission, open[i], look, judge)
	}
	return nil
}

// settledSubmissions returns the records whose calls are certainly over, and whose effects CBR shows by now; and asks for a pass
// when the next is. Of a call that this process has not made, it knows no more than that it is not recorded later than it was
// seen here: the clocks of two machines are not compared.
func (p *pass) settledSubmissions() []v1alpha1.Submission {
	var settled []v1alpha1.Submission
	var first, soon time.Time // when the first of them had settled, and when the next has
	recorded := make(map[string]struct{}, len(p.project.Status.Journal.Submissions))
	for _, submission := range p.project.Status.Journal.Submissions {
		recorded[submission.ID] = struct{}{}
		from, known := p.memory.settles[submission.ID]
		if !known {
			from = p.now.Add(p.options.settlesWithin())
			p.memory.settles[submission.ID] = from
		}
		if again := p.memory.lookUpFrom[submission.ID]; again.After(from) {
			from = again
		}
		if from.After(p.now) {
			soon = earliest(soon, from)
			continue
		}
		first = earliest(first, from)
		settled = append(settled, submission)
	}
	p.memory.forgetSubmissions(recorded)
	p.requeueAt(soon)
	if len(settled) > 0 && !soon.IsZero() && soon.Sub(first) <= min(resolveTogether, p.options.SettleTime/10) {
		return nil // one look serves them all, and what is pending again goes in the same calls
	}
	return settled
}

// resolveTogether is how long a submission that has settled waits for others at most.
const resolveTogether = 2 * time.Second

// forgetSubmissions forgets what was known of submissions that are not recorded any more.
func (m *memory) forgetSubmissions(recorded map[string]struct{}) {
	for id := range m.settles {
		if _, is := recorded[id]; !is {
			delete(m.settles, id)
			delete(m.lookUpFrom, id)
			delete(m.refusals, id)
		}
	}
}

// lostBackups returns the BackupSyncs that declare the backups of submissions, by backup id. Some may be gone, and
// some may have been created again since: that makes no difference to what CBR has.
func (p *pass) lostBackups(ctx context.Context, submissions []v1alpha1.Submission) (map[string]*v1alpha1.BackupSync, error) {
	lost, unseen, err := p.cachedBackups(ctx, submissions)
	if err != nil {
		return nil, err
	}
	return lost, p.findUnseen(ctx, unseen, lost)
}

// cachedBackups is lostBackups as far as the cache shows, with the ids of which it shows no BackupSync.
func (p *pass) cachedBackups(ctx context.Context, submissions []v1alpha1.Submission) (
	lost map[string]*v1alpha1.BackupSync, unseen []string, err error) {
	lost = map[string]*v1alpha1.BackupSync{}
	for _, submission := range submissions {
		for _, item := range submission.Items {
			id := item.BackupID
			duplicates, err := p.syncsForBackup(ctx, id)
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
func (p *pass) findUnseen(ctx context.Context, unseen []string, lost map[string]*v1alpha1.BackupSync) error {
	var mutex sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.options.StatusWriters)
	for _, id := range unseen {
		group.Go(func() error {
			duplicates, err := p.syncsForBackupLive(ctx, id)
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
}

// openItems returns the backups of a submission of which the outcome is not written yet.
func (p *pass) openItems(submission v1alpha1.Submission, lost map[string]*v1alpha1.BackupSync) []openItem {
	call := &evidence.Call{}
	for _, item := range submission.Items {
		call.Items = append(call.Items, item.BackupID)
	}
	left := unwritten(submission, lost)
	items := make([]openItem, 0, len(left))
	for _, item := range left {
		open := openItem{SubmittedItem: item, backup: lost[item.BackupID],
			question: evidence.Question{BackupID: item.BackupID, Call: call, SettledAt: p.memory.settles[submission.ID]}}
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
		if backup := lost[item.BackupID]; backup != nil {
			if known := backup.Status.OperationLogID; known != "" && known != item.PreviousOperationLogID {
				continue
			}
		}
		items = append(items, item)
	}
	return items
}

// conclude writes what was found of the backups of a submission, and clears what is settled by it.
func (p *pass) conclude(ctx context.Context, submission v1alpha1.Submission, items []openItem, look *evidence.Look, judge *evidence.Judge) {
	detached, cancel := p.detach(ctx)
	defer cancel()
	var changes []change
	var absent []batch.Member
	var open []string
	for _, item := range items {
		verdict := verdictOn(item.SubmittedItem, submission.StartTime.Time, judge.Verdict(item.question), look)
		switch {
		case verdict.Kind == evidence.Absent && item.backup != nil:
			absent = append(absent, batch.Member{BackupSync: item.backup, Hash: item.Hash})
		case verdict.Kind == evidence.Absent: // deleted, and never taken
		case undecided(verdict, item.PreviousOperationLogID):
			open = append(open, item.BackupID)
		case item.backup == nil: // there is nothing to write; if it is applied again, it is looked up
			p.memory.evidence.unclaimed.add(markOf(item.BackupID))
		default:
			changes = append(changes, p.resolved(item.backup, item.Hash, submission.StartTime.Time, verdict))
		}
	}
	if len(changes) > 0 { // whatever it answered: CBR takes calls
		p.memory.health.Succeeded(connection.SyncRequest)
	}
	changes = append(changes, p.blameMembers(submission, absent)...)
	if len(absent) > 0 {
		p.requeueNow() // they are pending again once the record is cleared
	}
	written, unwritten := p.write(detached, changes)
	for _, backup := range unwritten {
		open = append(open, backup.Spec.BackupID)
	}
	for _, change := range changes {
		p.handle(change.backup)
	}
	p.clearLater(submission, open)
	p.emitEvents(written)
	p.log.Info("Looked up a submission", "submission", submission.ID, "backups", len(submission.Items),
		"found", len(changes), "absent", len(absent), "open", len(open))
}

// verdictOn is the verdict on a backup of a call: a task of that call that has ended, and of which nothing is left, is followed like
// one that runs, as its failure is to be told. One of an earlier import says nothing.
func verdictOn(item v1alpha1.SubmittedItem, sent time.Time, verdict evidence.Verdict, look *evidence.Look) evidence.Verdict {
	if verdict.Kind != evidence.Absent {
		return verdict
	}
	task, named := look.Tasks.Naming(item.BackupID)
	if !named || task.ID == "" || task.ID == item.PreviousOperationLogID || !task.Status.Final() || task.CreatedAt.Before(sent.Add(-clockSkew)) {
		return verdict
	}
	return evidence.Verdict{Kind: evidence.InProgress, Task: task.ID, Own: true}
}

// resolved is the change to a BackupSync whose backup a call has brought to CBR.
func (p *pass) resolved(backup *v1alpha1.BackupSync, hash string, sent time.Time, verdict evidence.Verdict) change {
	now, started := metav1.NewTime(p.options.Clock.Now()), metav1.NewTime(sent)
	p.memory.bisection.Resolved(backup.Spec.BackupID)
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
		p.scheduleNow()
		become = func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
			return backupsync.Followed(version, verdict.Task, hash, started, now)
		}
	}
	return change{backup: backup, lasting: true, become: become}
}

// blameMembers draws the conclusion from a refusal, now that it is certain that CBR has taken none of what it refused:
// the backup of a call with no other is rejected, several come under bisection. A refusal of an item that the manifest does
// not declare any more says nothing of the one that it declares now.
func (p *pass) blameMembers(call v1alpha1.Submission, absent []batch.Member) []change {
	refused, known := p.memory.refusals[call.ID]
	if !known || len(absent) == 0 {
		return nil
	}
	alone, bisection := refused.members == 1, &p.memory.bisection
	if errors.Is(refused.err, errLeftOut) {
		p.slowDown(absent)
	}
	blamed := blamesItem(refused.err)
	if !blamed && !bisection.CallFailed(absent, alone, refused.through) {
		return nil
	}
	switch bisection.CallRefused(absent, alone, blamed, refused.through, codeOf(refused.err)) {
	case batch.Common:
		if now := p.options.Clock.Now(); cbr.ClassOf(refused.err) == cbr.Rejected && !p.memory.health.Calls.Open(now) {
			p.memory.health.RefuseAll(refused.err, now)
		}
		return nil
	case batch.Isolated:
		return []change{p.rejects(absent[0], refused.err)}
	default:
		return nil
	}
}

// slowDown has backups wait that CBR has left out of its answers: such an answer is no failure of the project, which would wait.
func (p *pass) slowDown(absent []batch.Member) {
	now := p.options.Clock.Now()
	for _, item := range absent {
		failed := p.memory.bisection.Failures[cbr.Fold(item.Spec.BackupID)].Count
		p.pauses(item.BackupSync, pause{since: now, until: now.Add(backupsync.Backoff(connection.FailureWait, connection.FailureMaxWait, failed+1))})
	}
}

// rejects is the change to the BackupSync that is to blame for the refusal of a call with no other.
func (p *pass) rejects(only batch.Member, err error) change {
	now, limit, said := metav1.NewTime(p.options.Clock.Now()), p.retryLimit(), connection.Describe(err)
	refusals := p.memory.bisection.Failures[cbr.Fold(only.Spec.BackupID)].Alone
	if cbr.ClassOf(err) == cbr.Transient {
		limit = math.MaxInt32 // CBR says itself that it is to be tried again
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
func (p *pass) clearLater(submission v1alpha1.Submission, open []string) {
	p.cleared[submission.ID] = open
	if len(open) == 0 {
		return
	}
	p.memory.lookUpFrom[submission.ID] = p.now.Add(p.askAgain(p.now.Sub(p.memory.settles[submission.ID])))
	p.requeueAt(p.memory.lookUpFrom[submission.ID])
}

// scheduleNow lets the next pass look at the running tasks.
func (p *pass) scheduleNow() {
	p.memory.nextPoll = time.Time{}
	p.requeueNow()
}
