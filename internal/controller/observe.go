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
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// Backups are looked up in CBR before this process first submits them: clusters are rebuilt from Git with empty
// statuses. What CBR has, or is importing, is marked and leaves the plan.

// unobserved returns the planned backups that CBR is still to be asked for, by id. If they are many, all pending
// ones are asked for at once, as the list of CBR's backups then serves all of them.
func (p *pass) unobserved() map[string]*v1alpha1.BackupSync {
	found := map[string]*v1alpha1.BackupSync{}
	if p.memory.survey.over(p.now) {
		p.memory.survey = nil
	}
	add := func(backup *v1alpha1.BackupSync) {
		id := backup.Spec.BackupID
		if backupsync.Reimport(backup) { // it was there: only a look of now tells that it was deleted
			found[id] = backup
			return
		}
		if _, known := p.memory.observed[id]; known || !p.looksUp() && !p.memory.isForeign(id) && !outcomeLost(backup) {
			return
		}
		if p.memory.survey != nil && p.memory.survey.excludes(id) {
			p.memory.observed[id] = struct{}{}
			return
		}
		found[id] = backup
	}
	for _, call := range p.plan.calls {
		for _, member := range call {
			add(member.BackupSync)
		}
	}
	if len(found) > maxSingleLookUps {
		for _, backup := range p.pending {
			if p.eligible(backup) {
				add(backup)
			}
		}
	}
	return found
}

// looksUp reports whether backups are looked up before their first submission. After another CBRProject has used the cloud
// project they are, whatever the policy: what that one has imported is in no status of this one's backups.
func (p *pass) looksUp() bool {
	return p.project.Spec.LookupPolicy != v1alpha1.LookupNever || p.project.Status.Journal.TakeoverTime != nil
}

// outcomeLost reports whether a pending backup has a task that has ended, and neither an outcome nor a retry: it is begun anew, or
// its outcome was written while the CRDs did not keep it.
func outcomeLost(backup *v1alpha1.BackupSync) bool {
	status := &backup.Status
	return status.OperationLogID != "" && status.Outcome == "" && status.NextAttemptTime == nil
}

// alreadyThere returns what CBR has or is importing: first the tasks under way, then the backups, so that an
// import that ends meanwhile is not missed.
func (p *pass) alreadyThere(ctx context.Context, wanted map[string]*v1alpha1.BackupSync) (map[string]sighting, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	found, seen := map[string]sighting{}, newSurvey(p.options.Clock.Now())
	for _, status := range []cbr.TaskStatus{cbr.TaskWaiting, cbr.TaskRunning} {
		err := p.eachTask(ctx, cbr.OperationLogsQuery{Status: status}, func(task *cbr.OperationLog) {
			id := task.ExtraInfo.Backup.ID
			seen.note(id)
			if wanted[id] != nil && task.ID != "" && !task.Status.Final() {
				found[id] = sighting{task: task}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	ids := make([]string, 0, len(wanted))
	for id := range wanted {
		if found[id].task == nil {
			ids = append(ids, id)
		}
	}
	stored, err := p.stored(ctx, ids, seen)
	if err != nil {
		return nil, err
	}
	if seen.whole {
		for id := range p.recorded { // a call that is under way may have its effect at any time
			seen.note(id)
		}
		p.memory.survey = seen
	}
	p.noteObserved(ids, stored)
	for id := range stored {
		found[id] = sighting{stored: true}
	}
	return found, p.nameTasks(ctx, wanted, found)
}

// noteObserved remembers which backups CBR does not have.
func (p *pass) noteObserved(ids []string, stored map[string]struct{}) {
	for _, id := range ids {
		if _, has := stored[id]; !has {
			p.memory.observed[id] = struct{}{}
		}
	}
}

// nameTasks finds the tasks that imported stored backups, as far as CBR still knows them. With few backups it
// asks for the tasks of their resources, with many it reads the list of all.
func (p *pass) nameTasks(ctx context.Context, wanted map[string]*v1alpha1.BackupSync, found map[string]sighting) error {
	see := func(task *cbr.OperationLog) {
		id := task.ExtraInfo.Backup.ID
		if seen, has := found[id]; has && seen.stored && task.Status == cbr.TaskSuccess {
			found[id] = sighting{stored: true, task: task}
		}
	}
	resources := map[string]struct{}{}
	for id, seen := range found {
		if seen.stored {
			resources[wanted[id].Spec.ResourceID] = struct{}{}
		}
	}
	queries := make([]cbr.OperationLogsQuery, 0, len(resources))
	for resource := range resources {
		queries = append(queries, cbr.OperationLogsQuery{ResourceID: resource})
	}
	if len(queries) > maxSingleLookUps {
		queries = []cbr.OperationLogsQuery{{}}
	}
	for _, query := range queries {
		if err := p.eachTask(ctx, query, see); err != nil && !errors.Is(err, errTooManyTasks) {
			return err
		}
	}
	return nil
}

// markFound writes what was found, and leaves it out of the plan.
func (p *pass) markFound(ctx context.Context, found map[string]sighting) {
	if len(found) == 0 {
		return
	}
	now := metav1.NewTime(p.options.Clock.Now())
	var changes []change
	for _, backup := range p.pending {
		seen, has := found[backup.Spec.BackupID]
		if _, handled := p.handled[backup.UID]; !has || handled {
			continue
		}
		p.handle(backup)
		switch {
		case !seen.stored:
			changes = append(changes, to(backup, backupsync.Submitted(backup, seen.task.ID, "", now, now)))
			p.scheduleNow()
		case backupsync.Reimport(backup): // it is still there
			changes = append(changes, to(backup, backupsync.Acknowledged(backup, backupsync.Circumstances{}, now)))
		default:
			changes = append(changes, to(backup, backupsync.Stored(backup, taskID(seen.task), "", now)))
		}
	}
	p.write(ctx, changes) // what cannot be written stays pending, and is found again
	p.plan.calls = p.withoutHandled(p.plan.calls)
	p.log.Info("Found backups in CBR before their first submission", "backups", len(changes))
}

func taskID(task *cbr.OperationLog) string {
	if task == nil {
		return ""
	}
	return task.ID
}

func (p *pass) withoutHandled(calls [][]candidate) [][]candidate {
	return withoutMembers(calls, func(member candidate) bool {
		_, handled := p.handled[member.UID]
		return handled
	})
}

// withoutMembers returns calls without some of their members, and without those that are empty then.
func withoutMembers(calls [][]candidate, drop func(candidate) bool) [][]candidate {
	var left [][]candidate
	for _, call := range calls {
		if members := slices.DeleteFunc(slices.Clone(call), drop); len(members) > 0 {
			left = append(left, members)
		}
	}
	return left
}
