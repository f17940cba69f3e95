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
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// A submission that is recorded at the start of a pass is a call whose outcome is not known: the process ended,
// the answer was lost, or it was a refusal that does not prove that nothing was taken. This file finds out what
// became of it. Until that is known, its backups are not sent again.

// recoverSubmissions looks up the recorded submissions that have settled, writes what CBR shows of their
// backups, and strikes those of which CBR has certainly never heard.
func (p *pass) recoverSubmissions(ctx context.Context) error {
	if p.project == nil || p.outdated != "" {
		return nil
	}
	settled := p.settledSubmissions()
	if len(settled) == 0 {
		return nil
	}
	if ready, err := p.connect(ctx); !ready {
		return err
	}
	lost, err := p.lostBackups(ctx, settled)
	if err != nil {
		return err
	}
	sightings, err := p.lookUp(ctx, settled, lost)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		p.memory.access.failed(err, p.options.Clock.Now())
		p.log.Error(err, "Recorded submissions could not be looked up", "submissions", len(settled))
		p.wakeAt(p.memory.access.retryAt())
		return nil
	}
	p.memory.access.succeeded()
	p.conclude(ctx, settled, lost, sightings)
	return nil
}

// settledSubmissions returns the records whose calls are certainly over, and asks for a pass when the next is.
func (p *pass) settledSubmissions() []v1alpha1.Submission {
	var settled []v1alpha1.Submission
	for _, submission := range p.project.Status.Journal.Submissions {
		from, known := p.memory.lookUpFrom[submission.ID]
		if !known {
			from = earlier(submission.StartTime.Time, p.now).Add(p.options.SettleTime)
		}
		if from.After(p.now) {
			p.wakeAt(from)
			continue
		}
		settled = append(settled, submission)
	}
	return settled
}

// lostBackups returns the BackupSyncs that declare the backups of submissions, by backup id. Some may be gone, and
// some may have been created anew since: that makes no difference to what CBR has.
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

// lookUp asks CBR what became of the backups of submissions: first for the tasks since the oldest call, then for
// the backups that no task names. In this order a backup that comes into being meanwhile is not missed.
func (p *pass) lookUp(ctx context.Context, submissions []v1alpha1.Submission, lost map[string]*v1alpha1.BackupSync) (map[string]sighting, error) {
	oldest := p.now
	for _, submission := range submissions {
		if submission.StartTime.Time.Before(oldest) {
			oldest = submission.StartTime.Time
		}
	}
	var tasks []*cbr.OperationLog
	err := p.eachTask(ctx, cbr.OperationLogsQuery{StartTime: oldest.Add(-clockSkew)}, func(task *cbr.OperationLog) {
		tasks = append(tasks, task)
	})
	if err != nil {
		return nil, err
	}
	sightings := map[string]sighting{}
	var unseen []string
	for _, submission := range submissions {
		submission.Items = unwritten(submission, lost)
		window := taskWindow{from: submission.StartTime.Add(-clockSkew), to: submission.StartTime.Add(p.options.SettleTime + clockSkew)}
		for id, seen := range attribute(submission, lost, tasks, window) {
			sightings[id] = seen
			if seen.task == nil {
				unseen = append(unseen, id)
			}
		}
	}
	stored, err := p.stored(ctx, unseen, nil)
	for id := range stored {
		sightings[id] = sighting{stored: true}
	}
	return sightings, err
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

// attribute finds the tasks of a submission's backups. A task that names its backup is that backup's, unless it is
// the task of an earlier attempt. One that names none may be told by its resource, if there is no other backup
// and no other task of that resource; if not, it makes every backup unclear that it could be.
func attribute(submission v1alpha1.Submission, lost map[string]*v1alpha1.BackupSync, tasks []*cbr.OperationLog, window taskWindow) map[string]sighting {
	sightings := make(map[string]sighting, len(submission.Items))
	known := map[string]struct{}{} // tasks of earlier attempts
	for _, item := range submission.Items {
		sightings[item.BackupID] = sighting{}
		if item.PreviousOperationLogID != "" {
			known[item.PreviousOperationLogID] = struct{}{}
		}
		if backup := lost[item.BackupID]; backup != nil && backup.Status.OperationLogID != "" {
			known[backup.Status.OperationLogID] = struct{}{}
		}
	}
	var nameless []*cbr.OperationLog
	for _, task := range tasks {
		_, old := known[task.ID]
		if old || task.ID == "" {
			continue
		}
		named := task.ExtraInfo.Backup.ID
		if seen, ours := sightings[named]; ours {
			if seen.task == nil || task.CreatedAt.After(seen.task.CreatedAt.Time) {
				sightings[named] = sighting{task: task}
			}
		} else if named == "" && window.holds(task.CreatedAt) {
			nameless = append(nameless, task)
		}
	}
	attributeByResource(sightings, lost, nameless)
	return sightings
}

func attributeByResource(sightings map[string]sighting, lost map[string]*v1alpha1.BackupSync, nameless []*cbr.OperationLog) {
	for id, seen := range sightings {
		backup := lost[id]
		if seen.task != nil || backup == nil {
			continue
		}
		var possible []*cbr.OperationLog
		for _, task := range nameless {
			if resource := task.ExtraInfo.Resource.ID; resource == "" || resource == backup.Spec.ResourceID {
				possible = append(possible, task)
			}
		}
		switch {
		case len(possible) == 1 && possible[0].ExtraInfo.Resource.ID != "" && alone(id, sightings, lost):
			sightings[id] = sighting{task: possible[0]}
		case slices.ContainsFunc(possible, func(task *cbr.OperationLog) bool { return !task.Status.Final() }):
			sightings[id] = sighting{unclear: true}
		}
	}
}

// alone says whether no other backup of a submission is of the same resource.
func alone(id string, sightings map[string]sighting, lost map[string]*v1alpha1.BackupSync) bool {
	for other := range sightings {
		if other != id && lost[other] != nil && lost[other].Spec.ResourceID == lost[id].Spec.ResourceID {
			return false
		}
	}
	return true
}

// conclude writes what was found, and strikes what is settled by it.
func (p *pass) conclude(ctx context.Context, submissions []v1alpha1.Submission, lost map[string]*v1alpha1.BackupSync, sightings map[string]sighting) {
	detached, cancel := p.detach(ctx)
	defer cancel()
	for _, submission := range submissions {
		refusal := p.memory.refusals[submission.ID]
		changes, absent, open := p.findings(submission, lost, sightings)
		changes = append(changes, p.blame(submission, absent, refusal)...)
		if len(absent) > 0 {
			p.again() // they are pending again once the record is struck
		}
		written, unwritten := p.write(detached, changes)
		for _, backup := range unwritten {
			open = append(open, backup.Spec.BackupID)
		}
		for _, change := range changes {
			p.handle(change.backup)
			p.memory.suspects.settled(change.backup.Spec.BackupID)
		}
		p.strikeLater(submission.ID, open)
		p.eventsOf(written)
		p.log.Info("Looked up a submission", "submission", submission.ID, "backups", len(submission.Items),
			"found", len(changes), "absent", len(absent), "open", len(open))
	}
}

// findings classifies the backups of a submission: those that CBR shows, as they are to be written, those that it
// certainly does not have, and those of which that cannot be said yet.
func (p *pass) findings(submission v1alpha1.Submission, lost map[string]*v1alpha1.BackupSync, sightings map[string]sighting) (
	changes []change, absent []lostItem, open []string) {
	now, started := metav1.NewTime(p.options.Clock.Now()), metav1.NewTime(submission.StartTime.Time)
	for _, item := range unwritten(submission, lost) {
		backup, seen := lost[item.BackupID], sightings[item.BackupID]
		switch {
		case seen.unclear:
			open = append(open, item.BackupID)
		case backup == nil: // deleted: there is nothing to write
		case seen.task != nil:
			p.scheduleNow()
			changes = append(changes, change{backup: backup, lasting: true, become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
				return backupsync.Followed(version, seen.task.ID, item.Hash, started, now)
			}})
		case seen.stored:
			changes = append(changes, change{backup: backup, lasting: true, become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
				if backupsync.StateOf(version) == backupsync.Imported && !backupsync.Reimport(version) {
					return nil
				}
				return backupsync.Stored(version, "", item.Hash, now)
			}})
		default:
			absent = append(absent, lostItem{BackupSync: backup, hash: item.Hash})
		}
	}
	return changes, absent, open
}

// lostItem is a backup of a call of which CBR has taken nothing, with what was sent of it.
type lostItem struct {
	*v1alpha1.BackupSync
	hash string
}

// blame draws the conclusion from a refusal, now that it is certain that CBR has taken none of what it refused:
// the backup of a call with no other is rejected, several are suspects. A refusal of an item that the manifest does
// not declare any more says nothing of the one that it declares now.
func (p *pass) blame(call v1alpha1.Submission, absent []lostItem, refusal error) []change {
	if refusal == nil || len(absent) == 0 {
		return nil
	}
	p.memory.suspects.refused(absent)
	if len(call.Items) > 1 {
		return nil
	}
	now, only := metav1.NewTime(p.options.Clock.Now()), absent[0]
	return []change{{backup: only.BackupSync, lasting: true, become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return backupsync.Rejected(version, only.hash, describe(refusal), now)
	}}}
}

// strikeLater notes that a submission is over but for the backups that stay open, which are looked at again.
func (p *pass) strikeLater(id string, open []string) {
	p.strikes[id] = open
	delete(p.memory.refusals, id)
	if len(open) == 0 {
		delete(p.memory.lookUpFrom, id)
		return
	}
	p.memory.lookUpFrom[id] = p.now.Add(slowestPoll)
	p.wakeAt(p.memory.lookUpFrom[id])
}

// scheduleNow lets the next pass look at the running tasks.
func (p *pass) scheduleNow() {
	p.memory.nextPoll = time.Time{}
	p.again()
}
