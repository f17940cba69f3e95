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
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
	"backupsync.dev/operator/internal/connection"
)

// Bounds of a look at the running tasks.
const (
	// clockSkew is how far CBR's clock may be from ours.
	clockSkew = 5 * time.Minute
	// leadMargin is how much earlier than others CBR may date a task: it begins within its call, which may take long.
	leadMargin = 10 * time.Second
	// slowestPoll is the longest time between looks at tasks that take long.
	slowestPoll = time.Minute
	// pollAgeShare: a task is looked at about this many times while its age doubles.
	pollAgeShare = 10
)

// pollResult is what CBR has told of the running tasks.
type pollResult struct {
	questions []evidence.Question // about p.running, in its order
	seen      *evidence.Look
	at        time.Time // when it was over
	err       error
	// stopped says that the pass was told to end meanwhile.
	stopped bool
}

// poller is the step poll: it follows the running tasks to their end.
type poller struct {
	step
	*cloudView
	*writer
	*pollMemory
	polling chan pollResult // brings what CBR tells of the running tasks; nil until it is asked
}

// pollDue reports whether the pass looks at the running tasks.
func (p *poller) pollDue() bool {
	return p.project != nil && p.outdated == "" && len(p.running) > 0 && !p.now.Before(p.nextPoll)
}

// beginPoll looks at the running tasks, beside whatever else the pass does until it tracks them. It only reads CBR: what follows
// from it is found out when nothing else goes on.
func (p *poller) beginPoll(ctx context.Context) chan pollResult {
	looked := make(chan pollResult, 1)
	query, source := p.pollQuery(), p.cloud
	go func() {
		seen, err := evidence.Poll(ctx, source, query)
		looked <- pollResult{questions: query.Questions, seen: seen, at: p.options.Clock.Now(), err: err, stopped: ctx.Err() != nil}
	}()
	return looked
}

// pollQuery asks about the tasks of all running backups.
func (p *poller) pollQuery() evidence.PollQuery {
	since := p.now
	questions := make([]evidence.Question, 0, len(p.running))
	for _, backup := range p.running {
		question := p.questionOf(backup)
		question.TaskID = backup.Status.OperationLogID
		questions = append(questions, question)
		if at := backup.Status.SubmittedTime; at != nil && at.Time.Before(since) {
			since = at.Time
		}
	}
	return evidence.PollQuery{Began: p.options.Clock.Now(), Questions: questions, Pages: p.evidence.pages, Narrowed: p.evidence.narrowed,
		Since: since.Add(-min(p.taskLead+leadMargin, clockSkew))}
}

// poll looks at the running tasks when that is due, and writes what has ended.
func (p *poller) poll(ctx context.Context, accepted time.Time) error {
	if p.project == nil || p.outdated != "" {
		return nil
	}
	left := len(p.running) > 0
	if p.pollDue() {
		looked, err := p.awaitPoll(ctx)
		if looked == nil || err != nil {
			return err
		}
		left = p.writeEnded(ctx, looked)
	}
	if !accepted.IsZero() {
		due := accepted.Add(duration(p.project.Spec.Poll.Interval, defaultPollInterval))
		if !left || due.Before(p.nextPoll) {
			p.nextPoll = due
		}
		left = true
	}
	if left {
		p.requeueAt(p.nextPoll)
	}
	return nil
}

// awaitPoll returns what CBR tells of the running tasks, nil if it cannot be asked.
func (p *poller) awaitPoll(ctx context.Context) (*pollResult, error) {
	closed := p.health.Reads.Open(p.options.Clock.Now()) // by a read of this pass, which has then asked for another
	if p.polling == nil {
		if ready, err := p.connect(ctx, connection.ReadRequest); !ready {
			return nil, err
		}
		p.polling = p.beginPoll(ctx)
	}
	looked := <-p.polling
	switch {
	case looked.stopped: // no failure of the pass: what it has submitted is still to be cleared
		return nil, nil
	case closed: // a look that began before that tells nothing new
	default:
		p.noteRead(looked.err, "Running tasks could not be followed", len(p.running))
	}
	return &looked, nil
}

// writeEnded writes what a look has shown, and says whether tasks are left to look at.
func (p *poller) writeEnded(ctx context.Context, looked *pollResult) bool {
	changes := p.endings(looked)
	_, unwritten := p.apply(ctx, changes)
	p.nextPoll = looked.at.Add(p.pollInterval())
	return len(p.running) > len(changes) || len(unwritten) > 0
}

// pollInterval grows with the age of the youngest running task: what has run for an hour is not over in seconds.
func (p *poller) pollInterval() time.Duration {
	youngest := slowestPoll * pollAgeShare
	for _, backup := range p.running {
		if at := backup.Status.SubmittedTime; at != nil {
			youngest = min(youngest, p.now.Sub(at.Time))
		}
	}
	return p.askAgain(youngest)
}

// endings returns what follows for BackupSyncs whose tasks have ended.
func (p *poller) endings(looked *pollResult) []change {
	byTask := map[string][]*v1alpha1.BackupSync{} // a task may be that of several backups
	for _, backup := range p.running {
		byTask[backup.Status.OperationLogID] = append(byTask[backup.Status.OperationLogID], backup)
	}
	p.learnLead(byTask, looked.seen.Tasks.Task)
	p.evidence.narrowed = p.evidence.narrowed || looked.seen.Backups.Narrowed
	p.learnDates(byTask, looked)
	judge := evidence.NewJudge(looked.seen, p.known())
	var ended []change
	for i, backup := range p.running {
		verdict := judge.Verdict(looked.questions[i])
		id := backup.Status.OperationLogID
		if next, over := p.followed(backup, looked.seen, verdict, p.mayBeShared(id, len(byTask[id]))); over {
			ended = append(ended, next)
			// What became of its call is known; what was seen of CBR before that is not believed of this backup any more.
			p.evidence.settled[cbr.Fold(backup.Spec.BackupID)] = looked.at
		}
	}
	p.forgetEnded(byTask)
	return ended
}

// mayBeShared reports whether a task may be that of several backups, of which so many run: what has become of the others does not make
// it that of one. Of a call that another process has made it is not known how many it had.
func (p *poller) mayBeShared(id string, running int) bool {
	task, known := p.evidence.tasks[id]
	switch {
	case running > 1:
		return true
	case known && task.owner.Whole:
		return len(task.owner.Backups) > 1
	default:
		return p.learntScope() != v1alpha1.TaskPerBackup
	}
}

// followed is the change to a running BackupSync by what a look shows of its task and its backup; false if there is none.
func (p *poller) followed(backup *v1alpha1.BackupSync, look *evidence.Look, verdict evidence.Verdict, shared bool) (change, bool) {
	id := backup.Status.OperationLogID
	task, shown := look.Tasks.Task(id)
	question := evidence.Question{BackupID: backup.Spec.BackupID, TaskID: id}
	switch {
	case look.Tasks.Forgotten(id):
		return p.lostTask(backup, look, verdict)
	case !shown || !task.Status.Final():
		return change{}, false
	case task.Status == cbr.TaskSuccess && !look.Tasks.LeavesOpen(question, shared):
		return p.ended(backup, backupsync.EndOf(&task)), true
	case verdict.Kind == evidence.Stored:
		return p.ended(backup, backupsync.Kept(&task)), true
	case verdict.Kind == evidence.Broken:
		end := backupsync.EndOf(&task)
		return p.broken(backup, verdict.Status, &end), true
	case !look.Tasks.LeavesOpen(question, shared):
		return p.ended(backup, backupsync.EndOf(&task)), true
	case look.Lacks(backup.Spec.BackupID) && p.settledSinceEnd(id):
		return p.ended(backup, backupsync.Unaccounted(&task)), true
	default:
		return change{}, false
	}
}

// lostTask is followed for a task that CBR does not know. A backup that is not there either may still be on its way: it fails only
// after poll.overdueAfter.
func (p *poller) lostTask(backup *v1alpha1.BackupSync, look *evidence.Look, verdict evidence.Verdict) (change, bool) {
	switch {
	case verdict.Kind == evidence.Stored:
		return p.ended(backup, backupsync.Kept(nil)), true
	case verdict.Kind == evidence.Broken:
		return p.broken(backup, verdict.Status, nil), true
	case look.Lacks(backup.Spec.BackupID) && p.runs(backup, max(p.overdueAfter(), p.options.settlesWithin())):
		return p.ended(backup, backupsync.Forgotten()), true
	default:
		return change{}, false
	}
}

// settledSinceEnd reports whether CBR shows by now what a task has left that has ended.
func (p *poller) settledSinceEnd(task string) bool {
	since, known := p.endSeen[task]
	if !known {
		since = p.options.Clock.Now() // not when the pass began: it was seen after that
		p.endSeen[task] = since
	}
	return p.now.Sub(since) >= p.options.endSettles()
}

// forgetEnded forgets when tasks have ended that are not followed any more.
func (m *pollMemory) forgetEnded(running map[string][]*v1alpha1.BackupSync) {
	for id := range m.endSeen {
		if running[id] == nil {
			delete(m.endSeen, id)
		}
	}
}

// broken is the change to a running backup that CBR holds, and cannot restore.
func (p *poller) broken(backup *v1alpha1.BackupSync, held cbr.BackupStatus, end *backupsync.Ending) change {
	now := metav1.NewTime(p.options.Clock.Now())
	return whileRunning(backup, func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return backupsync.Unusable(version, held, "", "", end, now)
	})
}

// whileRunning is a change to a running backup that lapses when another task is followed, or none.
func whileRunning(backup *v1alpha1.BackupSync, become func(*v1alpha1.BackupSync) *v1alpha1.BackupSync) change {
	operation := backup.Status.OperationLogID
	return change{backup: backup, lasting: true, become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		if backupsync.StateOf(version) != backupsync.Running || version.Status.OperationLogID != operation {
			return nil
		}
		return become(version)
	}}
}

// learnLead notes how much earlier than this process CBR dates a task, at most. Tasks that were found rather than started
// tell nothing. It keeps lists short: whatever was imported in the last minutes is in a list that begins minutes earlier.
func (m *pollMemory) learnLead(running map[string][]*v1alpha1.BackupSync, shown func(id string) (cbr.OperationLog, bool)) {
	lead, learnt := time.Duration(0), false
	for id, backups := range running {
		task, found := shown(id)
		if !found || task.CreatedAt.IsZero() {
			continue
		}
		for _, backup := range backups {
			if at := backup.Status.SubmittedTime; at != nil && at.Sub(task.CreatedAt.Time) <= clockSkew {
				lead, learnt = max(lead, at.Sub(task.CreatedAt.Time)), true
			}
		}
	}
	if learnt {
		m.taskLead = lead
	}
}

// learnDates takes in what tasks that have ended tell of how far CBR's dates are behind: none can have ended later than now, and none before it
// was seen under way.
func (p *poller) learnDates(running map[string][]*v1alpha1.BackupSync, looked *pollResult) {
	before := p.underWay
	p.underWay = make(map[string]time.Time, len(running))
	latest, took := time.Duration(math.MaxInt64), looked.at.Sub(looked.seen.Began)
	for id := range running {
		began, seen := before[id]
		switch task, shown := looked.seen.Tasks.Task(id); {
		case shown && !task.Status.Final():
			p.underWay[id] = looked.seen.Began
		case !shown && seen:
			p.underWay[id] = began
		}
		ended, told := looked.seen.Tasks.EndedFor(id)
		if told {
			latest = min(latest, ended)
		}
		if told && seen {
			p.evidence.doubtDates(ended, looked.at.Sub(began), took)
		}
	}
	if latest <= maxDateLag {
		p.evidence.learnDateLag(latest + took)
	}
}

// ended is the change to a running backup by the end of its import.
func (p *poller) ended(backup *v1alpha1.BackupSync, end backupsync.Ending) change {
	now, limit := metav1.NewTime(p.options.Clock.Now()), p.retryLimit()
	return whileRunning(backup, func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return backupsync.Finished(version, end, limit, now)
	})
}

// runs reports whether the import of a running backup takes that long already.
func (s *scope) runs(backup *v1alpha1.BackupSync, long time.Duration) bool {
	at := backup.Status.SubmittedTime
	return at != nil && s.now.Sub(at.Time) >= long
}

func (s *scope) overdueAfter() time.Duration {
	return duration(s.project.Spec.Poll.OverdueAfter, defaultOverdueAfter)
}

func (s *scope) retryLimit() int32 {
	if limit := s.project.Spec.Retry.Limit; limit != nil {
		return *limit
	}
	return defaultRetryLimit
}
