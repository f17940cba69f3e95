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
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// Bounds of a look at the running tasks.
const (
	// clockSkew is how far CBR's clock may be from ours.
	clockSkew = 5 * time.Minute
	// leadMargin is how much earlier than others CBR may date a task: it begins within its call, which may take long.
	leadMargin = 10 * time.Second
	// maxSinglePolls is how many tasks a pass asks for one by one; others wait for the next.
	maxSinglePolls = 50
	// slowestPoll is the longest time between looks at tasks that take long.
	slowestPoll = time.Minute
	// pollAgeShare: a task is looked at about this many times while its age doubles.
	pollAgeShare = 10
)

// look is what CBR has told of the running tasks.
type look struct {
	ended []change  // what follows for BackupSyncs
	at    time.Time // when it was over
	err   error
	// stopped says that the pass was told to end meanwhile.
	stopped bool
}

// lookDue says whether the pass looks at the running tasks.
func (p *pass) lookDue() bool {
	return p.project != nil && p.outdated == "" && len(p.running) > 0 && !p.now.Before(p.memory.nextPoll)
}

// beginLook looks at the running tasks, beside whatever else the pass does until it tracks them.
func (p *pass) beginLook(ctx context.Context) {
	p.looking = make(chan look, 1)
	go func() {
		ended, err := p.poll(ctx)
		p.looking <- look{ended: ended, at: p.options.Clock.Now(), err: err, stopped: ctx.Err() != nil}
	}()
}

// track looks at the running tasks when that is due, and writes what has ended.
func (p *pass) track(ctx context.Context) error {
	if p.project == nil || p.outdated != "" {
		return nil
	}
	left := len(p.running) > 0
	if p.lookDue() {
		looked, err := p.lookAtTasks(ctx)
		if looked == nil || err != nil {
			return err
		}
		left = p.writeEnded(ctx, looked)
	}
	if !p.accepted.IsZero() {
		due := p.accepted.Add(duration(p.project.Spec.Poll.Interval, defaultPollInterval))
		if !left || due.Before(p.memory.nextPoll) {
			p.memory.nextPoll = due
		}
		left = true
	}
	if left {
		p.wakeAt(p.memory.nextPoll)
	}
	return nil
}

// lookAtTasks returns what CBR tells of the running tasks, nil if it cannot be asked.
func (p *pass) lookAtTasks(ctx context.Context) (*look, error) {
	closed := p.memory.access.closed(p.options.Clock.Now()) // by a call of this pass, which has then asked for another
	if p.looking == nil {
		if ready, err := p.connect(ctx); !ready || closed {
			return nil, err
		}
		p.beginLook(ctx)
	}
	looked := <-p.looking
	switch {
	case looked.stopped: // no failure of the pass: what it has submitted is still to be struck
		return nil, nil
	case closed: // a look that began before that tells nothing new
	case looked.err != nil:
		p.memory.access.failed(looked.err, p.options.Clock.Now())
		p.log.Error(looked.err, "Running tasks could not be followed")
		p.wakeAt(p.memory.access.retryAt())
	default:
		p.memory.access.succeeded()
	}
	return &looked, nil
}

// writeEnded writes what a look has shown, and says whether tasks are left to look at.
func (p *pass) writeEnded(ctx context.Context, looked *look) bool {
	written, unwritten := p.write(ctx, looked.ended)
	for _, backup := range written {
		observeImport(backup)
	}
	p.eventsOf(written)
	for _, change := range looked.ended {
		p.handle(change.backup)
	}
	p.memory.nextPoll = looked.at.Add(p.pollInterval())
	return len(p.running) > len(looked.ended) || len(unwritten) > 0
}

// pollInterval grows with the age of the youngest running task: what has run for an hour is not over in seconds.
func (p *pass) pollInterval() time.Duration {
	interval := duration(p.project.Spec.Poll.Interval, defaultPollInterval)
	youngest := slowestPoll * pollAgeShare
	for _, backup := range p.running {
		if at := backup.Status.SubmittedTime; at != nil {
			youngest = min(youngest, p.now.Sub(at.Time))
		}
	}
	return max(interval, min(youngest/pollAgeShare, slowestPoll))
}

// poll returns what follows for BackupSyncs whose tasks have ended. What it has learnt before an
// error is returned with it.
func (p *pass) poll(ctx context.Context) ([]change, error) {
	byOperation := map[string][]*v1alpha1.BackupSync{} // a task may be that of several backups
	since := p.now
	for _, backup := range p.running {
		id := backup.Status.OperationLogID
		byOperation[id] = append(byOperation[id], backup)
		if at := backup.Status.SubmittedTime; at != nil && at.Time.Before(since) {
			since = at.Time
		}
	}
	tasks, err := p.listTasks(ctx, byOperation, since.Add(-min(p.memory.taskLead+leadMargin, clockSkew)))
	p.memory.learnLead(byOperation, tasks)
	var ended []change
	var doubtful []*v1alpha1.BackupSync
	for id, task := range tasks {
		members := byOperation[id]
		switch {
		case task == nil || task.Status.Final() && task.ExtraInfo.Sync.FailedBackups > 0,
			len(members) > 1 && task.Status.Final() && task.Status != cbr.TaskSuccess:
			doubtful = append(doubtful, members...)
		case task.Status.Final():
			for _, backup := range members {
				ended = append(ended, p.ended(backup, backupsync.EndOf(task)))
			}
		}
	}
	if err != nil || len(doubtful) == 0 {
		return ended, err
	}
	settled, err := p.askForBackups(ctx, doubtful, tasks)
	return append(ended, settled...), err
}

// learnLead notes how much earlier than this process CBR dates a task, at most. Tasks that were found rather than started
// tell nothing. It keeps lists short: whatever was imported in the last minutes is in a list that begins minutes earlier.
func (m *memory) learnLead(running map[string][]*v1alpha1.BackupSync, tasks map[string]*cbr.OperationLog) {
	lead, learnt := time.Duration(0), false
	for id, task := range tasks {
		if task == nil || task.CreatedAt.IsZero() {
			continue
		}
		for _, backup := range running[id] {
			if at := backup.Status.SubmittedTime; at != nil && at.Sub(task.CreatedAt.Time) <= clockSkew {
				lead, learnt = max(lead, at.Sub(task.CreatedAt.Time)), true
			}
		}
	}
	if learnt {
		m.taskLead = lead
	}
}

// ended is the change to a running backup by the end of its import.
func (p *pass) ended(backup *v1alpha1.BackupSync, end backupsync.Ending) change {
	now, limit, operation := metav1.NewTime(p.options.Clock.Now()), p.retryLimit(), backup.Status.OperationLogID
	return change{backup: backup, lasting: true, become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		if backupsync.StateOf(version) != backupsync.Running || version.Status.OperationLogID != operation {
			return nil
		}
		return backupsync.Finished(version, end, limit, now)
	}}
}

// askForBackups settles by the backups themselves what the tasks of running ones leave open: a task that CBR no longer
// knows, one that reports errors, or one that failed for several backups at once. A backup that is not there while its
// task is unknown may still be on its way: it fails only after poll.overdueAfter.
func (p *pass) askForBackups(ctx context.Context, doubtful []*v1alpha1.BackupSync, tasks map[string]*cbr.OperationLog) ([]change, error) {
	ids := make([]string, 0, len(doubtful))
	for _, backup := range doubtful {
		ids = append(ids, backup.Spec.BackupID)
	}
	stored, err := p.stored(ctx, ids, nil)
	if err != nil {
		return nil, err
	}
	var settled []change
	for _, backup := range doubtful {
		task := tasks[backup.Status.OperationLogID]
		_, has := stored[backup.Spec.BackupID]
		switch {
		case has:
			settled = append(settled, p.ended(backup, backupsync.Kept(task)))
		case task != nil:
			settled = append(settled, p.ended(backup, backupsync.Unaccounted(task)))
		case p.runs(backup, max(p.overdueAfter(), p.options.SettleTime)):
			settled = append(settled, p.ended(backup, backupsync.Forgotten()))
		}
	}
	return settled, nil
}

// runs says whether the import of a running backup takes that long already.
func (p *pass) runs(backup *v1alpha1.BackupSync, long time.Duration) bool {
	at := backup.Status.SubmittedTime
	return at != nil && p.now.Sub(at.Time) >= long
}

func (p *pass) overdueAfter() time.Duration {
	return duration(p.project.Spec.Poll.OverdueAfter, defaultOverdueAfter)
}

// listTasks finds tasks by their ids: in pages of all sync tasks since a time, as long as a page is likely to
// show more of them than asking one by one would; then one by one. Those that CBR does not know are nil.
func (p *pass) listTasks(ctx context.Context, wanted map[string][]*v1alpha1.BackupSync, since time.Time) (map[string]*cbr.OperationLog, error) {
	found := make(map[string]*cbr.OperationLog, len(wanted))
	for offset, pagesLeft := 0, 1; len(found)+pagesLeft < len(wanted) && pagesLeft > 0; {
		page, err := p.cloud.ListOperationLogs(ctx, cbr.OperationLogsQuery{
			OperationType: cbr.OperationSync, StartTime: since, Limit: cbr.MaxPageSize, Offset: offset})
		if err != nil {
			return found, err
		}
		for i := range page.Items {
			if task := &page.Items[i]; wanted[task.ID] != nil {
				found[task.ID] = task
			}
		}
		pagesLeft = pagesAfter(page, offset)
		offset += page.Size
	}
	return found, p.askForTasks(ctx, wanted, found)
}

// pagesAfter returns how many pages follow one, at least as far as is known.
func pagesAfter(page cbr.Page[cbr.OperationLog], before int) int {
	if page.Last(before) {
		return 0
	}
	left := page.Count - before - page.Size
	return max((left+cbr.MaxPageSize-1)/cbr.MaxPageSize, 1)
}

// askForTasks asks one by one for the tasks that no page has shown.
func (p *pass) askForTasks(ctx context.Context, wanted map[string][]*v1alpha1.BackupSync, found map[string]*cbr.OperationLog) error {
	asked := 0
	for id := range wanted {
		if _, known := found[id]; known || id == "" {
			continue
		}
		if asked++; asked > maxSinglePolls {
			return nil
		}
		task, err := p.cloud.GetOperationLog(ctx, id)
		if cbr.IsNotFound(err) {
			found[id] = nil // CBR forgets tasks; that says nothing of the backup
			continue
		}
		if err != nil {
			return err
		}
		found[id] = &task
	}
	return nil
}

func (p *pass) retryLimit() int32 {
	if limit := p.project.Spec.Retry.Limit; limit != nil {
		return *limit
	}
	return defaultRetryLimit
}

// eventsOf emits an event for each failure; successes are in the status and the metrics alone.
func (p *pass) eventsOf(changes []*v1alpha1.BackupSync) {
	for _, backup := range changes {
		switch ready := readyOf(backup.Status.Conditions); ready.Reason {
		case v1alpha1.ReasonOperationFailed, v1alpha1.ReasonRetryScheduled, v1alpha1.ReasonRejected, v1alpha1.ReasonBackupUnusable,
			v1alpha1.ReasonDuplicate, v1alpha1.ReasonOperationOverdue:
			p.events.Eventf(backup, nil, corev1.EventTypeWarning, ready.Reason, "ImportBackup", "%s", ready.Message)
		}
	}
}
