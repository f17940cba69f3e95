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

package evidence

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// The rules of a judge that tests switch off, each by its own.
const (
	completeNeeded   rule = "absence is told only by a complete list of tasks"
	settledNeeded    rule = "absence is told only by a look that began when the calls had settled"
	freshNeeded      rule = "absence is told only by a fresh look"
	namelessHold     rule = "a task that is nobody's holds up whose it may be"
	resourcePerItem  rule = "a task's resource tells whose it is only if each backup has a task"
	matesShare       rule = "a task of a backup may be that of the others of its call"
	othersOfTheTask  rule = "a task that is not known as a whole may be that of others"
	usableOnly       rule = "only a usable backup is stored"
	unknownIsRunning rule = "a task in an unknown status is under way"
	successSettles   rule = "a task that has just succeeded has a backup to show"
	cloudsClock      rule = "the times of tasks are compared with no clock but CBR's"
	endInSight       rule = "a task that was seen under way has ended when that is first seen"
	lagCounts        rule = "how far CBR's dates of tasks are behind its clock counts as if they had ended later"
)

// Judge turns a look into verdicts. It keeps an index of the tasks under way, and changes nothing.
type Judge struct {
	look  *Look
	known Known

	byID     map[string]*cbr.OperationLog // under way
	own      map[string]*cbr.OperationLog // under way, by the folded ids of the backups whose they certainly are
	anybody  claim                        // those that may be anybody's
	resource map[string]claim             // those that may be any backup's of a resource
}

// claim is which tasks may be those of some backups.
type claim struct {
	young   *cbr.OperationLog // one that is not overdue
	overdue *cbr.OperationLog // one that is
}

// NewJudge makes a Judge.
func NewJudge(look *Look, known Known) *Judge {
	j := &Judge{look: look, known: known, own: map[string]*cbr.OperationLog{},
		byID: map[string]*cbr.OperationLog{}, resource: map[string]claim{}}
	for _, task := range look.Tasks.underWay(look.Began.Add(-known.settleTime()), known) {
		j.index(task)
	}
	return j
}

func (k Known) settleTime() time.Duration {
	if k.off == successSettles {
		return 0
	}
	return k.SettleTime
}

// seenEndedBefore reports whether a task had ended at a time, as it was seen then.
func (k Known) seenEndedBefore(task *cbr.OperationLog, at time.Time) bool {
	seen := k.firstSeen(keyOf(task, true))
	return !seen.IsZero() && !seen.After(at)
}

// firstSeen returns when a task was first seen, by its key, the zero time if that is not known.
func (k Known) firstSeen(key TaskKey) time.Time {
	if k.FirstSeen == nil {
		return time.Time{}
	}
	return k.FirstSeen(key)
}

// index takes in a task that is under way. Of several the first is named, which is the oldest.
func (j *Judge) index(task *cbr.OperationLog) {
	j.byID[task.ID] = task
	owner, known := j.known.Owners[task.ID]
	known = known && task.ID != ""
	name := cbr.Fold(task.ExtraInfo.Backup.ID)
	if j.known.off == foldedIDs {
		name = task.ExtraInfo.Backup.ID
	}
	if name != "" {
		j.ownedBy(name, task)
	}
	if known {
		for _, id := range owner.Backups {
			j.ownedBy(cbr.Fold(id), task)
		}
	}
	somebodys := name != "" || known
	if j.known.Scope != PerBackup && j.known.off != othersOfTheTask {
		somebodys = known && owner.Whole
	}
	if somebodys || j.known.off == namelessHold {
		return
	}
	if resource := j.resourceOf(task, owner); resource != "" {
		j.resource[cbr.Fold(resource)] = j.resource[cbr.Fold(resource)].and(task, j.isOverdue(task))
		return
	}
	j.anybody = j.anybody.and(task, j.isOverdue(task))
}

// resourceOf returns the only resource of whose backups a task may be, "" if there is no such one.
func (j *Judge) resourceOf(task *cbr.OperationLog, owner Owner) string {
	switch {
	case j.known.Scope == PerBackup, j.known.off == resourcePerItem:
		return task.ExtraInfo.Resource.ID
	case j.known.Scope == PerResource:
		return cmp.Or(task.ExtraInfo.Resource.ID, owner.ResourceID)
	default:
		return ""
	}
}

func (j *Judge) ownedBy(id string, task *cbr.OperationLog) {
	if j.own[id] == nil || j.own[id].Status.Final() && !task.Status.Final() {
		j.own[id] = task
	}
}

func (c claim) and(task *cbr.OperationLog, overdue bool) claim {
	switch {
	case overdue && c.overdue == nil:
		c.overdue = task
	case !overdue && c.young == nil:
		c.young = task
	}
	return c
}

func (c claim) merge(other claim) claim {
	return claim{young: cmp.Or(c.young, other.young), overdue: cmp.Or(c.overdue, other.overdue)}
}

// isOverdue reports whether a task runs for so long that it probably never ends.
func (j *Judge) isOverdue(task *cbr.OperationLog) bool {
	if task.Status.Final() {
		return false
	}
	since := j.runsSince(task)
	return j.known.OverdueAfter > 0 && !since.IsZero() && j.known.Now.Sub(since) >= j.known.OverdueAfter
}

// runsSince returns since when a task runs by the clock of this process, the zero time if that is not known: since it was first seen, or
// for as long as CBR says by its own clock.
func (j *Judge) runsSince(task *cbr.OperationLog) time.Time {
	since := j.known.firstSeen(keyOf(task, false))
	if created, told := j.look.When(task.CreatedAt); told && (since.IsZero() || created.Before(since)) {
		return created
	}
	return since
}

// Verdict says what the look tells of a backup. It reads nothing, and has an answer for every question.
func (j *Judge) Verdict(question Question) Verdict {
	id := cbr.Fold(question.BackupID)
	seen := j.look.Backups.of(id)
	running := j.workingOn(question)
	switch {
	case seen.sight == there && (seen.status.Usable() || j.known.off == usableOnly):
		return j.shown(Stored, question, seen)
	case seen.sight == there && seen.status == cbr.BackupError && (running == nil || running.Status.Final()):
		return j.shown(Broken, question, seen)
	case running != nil:
		return Verdict{Kind: InProgress, Task: running.ID, Own: j.own[id] == running || running.ID == question.TaskID,
			Ended: running.Status.Final(), Status: seen.status}
	case seen.sight == there:
		return Verdict{Kind: InProgress, Status: seen.status}
	}
	claim := j.claimOn(question)
	switch {
	case claim.young != nil:
		return Verdict{Kind: InProgress, Task: claim.young.ID, Ended: claim.young.Status.Final()}
	case claim.overdue == nil:
		return j.absent(question, seen, "")
	case seen.sight != notThere: // only what was asked for singly may be sent in spite of a task
		return Verdict{Kind: InProgress, Task: claim.overdue.ID}
	default:
		return j.absent(question, seen, claim.overdue.ID)
	}
}

// shown is the verdict on a backup that CBR shows.
func (j *Judge) shown(kind Kind, question Question, seen sighting) Verdict {
	task := question.TaskID
	if naming, named := j.look.Tasks.Naming(question.BackupID); named && naming.Status == cbr.TaskSuccess {
		task = naming.ID
	}
	return Verdict{Kind: kind, Task: task, Own: task != "", Status: seen.status}
}

// workingOn returns a task under way that is the backup's, or that of another of its call where that may be the same.
func (j *Judge) workingOn(question Question) *cbr.OperationLog {
	if task := j.own[cbr.Fold(question.BackupID)]; task != nil {
		return task
	}
	if task := j.byID[question.TaskID]; task != nil && question.TaskID != "" {
		return task
	}
	if question.Call == nil || j.known.Scope == PerBackup || j.known.off == matesShare {
		return nil
	}
	for _, mate := range question.Call.Items {
		if task := j.own[cbr.Fold(mate)]; task != nil {
			return task
		}
	}
	return nil
}

// claimOn returns the tasks that may be a backup's. One of which the resource is not known may be that of any task.
func (j *Judge) claimOn(question Question) claim {
	merged := j.anybody
	if question.ResourceID != "" {
		return merged.merge(j.resource[cbr.Fold(question.ResourceID)])
	}
	for _, resource := range slices.Sorted(maps.Keys(j.resource)) {
		merged = merged.merge(j.resource[resource])
	}
	return merged
}

// absent is the verdict on a backup that CBR does not show, and whose no task under way is: Absent if that is certain.
func (j *Judge) absent(question Question, seen sighting, overdue string) Verdict {
	unknown := func(why string) Verdict { return Verdict{Kind: Unknown, Why: why, Err: seen.err} }
	switch {
	case seen.sight == unreadable:
		return unknown("CBR could not be asked for it")
	case seen.sight == notAsked:
		return unknown("CBR was not asked for it")
	case seen.sight == listedAlone:
		return unknown("CBR lists it, and did not show it when it was asked for it")
	case !j.look.Tasks.Complete && j.known.off != completeNeeded:
		return unknown("the list of CBR's tasks was not read as a whole")
	case j.look.Began.Before(question.SettledAt) && j.known.off != settledNeeded:
		return unknown("calls that may have carried it are still settling")
	case !j.look.Fresh(j.known.Now) && j.known.off != freshNeeded:
		return unknown("what CBR showed first was too old to be believed when it had been asked for all")
	case j.mayBeHidden(question) && (!j.answered(seen) || !j.settledLongAgo(question)):
		return unknown("CBR's lists do not seem to show all that it holds, and may hide the task of its call")
	}
	return Verdict{Kind: Absent, Task: overdue}
}

// mayBeHidden reports whether the backup's call may have a task that is not shown: its outcome is not known, and lists hide some.
func (j *Judge) mayBeHidden(question Question) bool {
	return question.Call != nil && (question.Hidden || j.look.Hides())
}

// answered reports whether CBR was asked for a backup itself, and said that it does not have it. Of an id that it takes in no question its list
// tells, if that does not hide any.
func (j *Judge) answered(seen sighting) bool {
	return seen.sight == notThere || seen.sight == notListed && seen.refused && !j.look.Hides()
}

// settledLongAgo reports whether a task of the backup's call would be overdue by now.
func (j *Judge) settledLongAgo(question Question) bool {
	return j.known.OverdueAfter > 0 && j.known.Now.Sub(question.SettledAt) >= j.known.OverdueAfter
}

// undecided returns the ids of those that are to be asked for: no task works on them.
func (j *Judge) undecided(questions []Question) []string {
	ids := make([]string, 0, len(questions))
	for _, question := range questions {
		if task := j.workingOn(question); task == nil || task.Status.Final() {
			ids = append(ids, question.BackupID)
		}
	}
	return ids
}

// overdue returns the ids of those that only an overdue task holds up, or one that may be hidden: they are to be asked for singly.
func (j *Judge) overdue(questions []Question) []string {
	var ids []string
	for _, question := range questions {
		claim := j.claimOn(question)
		if claim.young == nil && (claim.overdue != nil || j.mayBeHidden(question)) && j.workingOn(question) == nil {
			ids = append(ids, question.BackupID)
		}
	}
	return ids
}

// RunsSince returns since when a task that is waited for runs, the zero time if that is not known, or if it has just ended.
func (j *Judge) RunsSince(taskID string) time.Time {
	task, shown := j.look.Tasks.Task(taskID)
	if shown && task.Status.Final() {
		return time.Time{}
	}
	task.ID = taskID
	return j.runsSince(&task)
}
