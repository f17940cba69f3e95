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
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// recentEnd is how old the end of a task may be that is kept whatever backup it names; Known.SettleTime is less.
const recentEnd = 10 * time.Minute

// maxSingleTasks is how many tasks a poll asks for one by one; the others wait for the next.
const maxSingleTasks = 50

// TaskQuery says which tasks are kept of a list, besides those that have not ended.
type TaskQuery struct {
	// Known is what is known as the look begins.
	Known Known
	// Questions: tasks that name one of these backups, or are known as one's, are kept.
	Questions []Question
}

// TaskList is what CBR has shown of its sync tasks. Only those are kept that can matter.
type TaskList struct {
	// Complete reports whether all tasks were seen, so that what is not in it is not under way.
	Complete bool
	// Reads counts the calls that were made.
	Reads Reads

	tasks     map[string]cbr.OperationLog // by id
	anonymous []cbr.OperationLog          // without an id
	named     map[string]cbr.OperationLog // the youngest that names a backup, by its folded id
	forgotten map[string]struct{}         // ids that CBR does not know
	undated   map[string]int              // see Undated
	off       rule
}

func newTaskList() *TaskList {
	return &TaskList{tasks: map[string]cbr.OperationLog{}, named: map[string]cbr.OperationLog{},
		forgotten: map[string]struct{}{}, undated: map[string]int{}}
}

// Task returns a task by its id, and whether CBR has shown it.
func (l *TaskList) Task(id string) (cbr.OperationLog, bool) {
	task, shown := l.tasks[id]
	return task, shown
}

// Naming returns the youngest task that names a backup, and whether there is one.
func (l *TaskList) Naming(backupID string) (cbr.OperationLog, bool) {
	task, shown := l.named[cbr.Fold(backupID)]
	return task, shown
}

// Forgotten reports whether CBR, when asked for a task, did not know it: it keeps tasks for about 30 days. That says
// nothing of the backup.
func (l *TaskList) Forgotten(id string) bool {
	_, forgotten := l.forgotten[id]
	return forgotten
}

// Undated counts, by their keys, the tasks of which CBR leaves out the time that matters: when one under way was created, or when one
// that has succeeded ended.
func (l *TaskList) Undated() map[string]int { return l.undated }

func (l *TaskList) countUndated(task *cbr.OperationLog) {
	switch key := keyOf(task); {
	case !isUndated(task):
	case task.ID == "":
		l.undated[key]++
	default:
		l.undated[key] = 1 // pages overlap
	}
}

func isUndated(task *cbr.OperationLog) bool {
	if task.Status.Final() {
		return task.Status == cbr.TaskSuccess && endOf(task).IsZero()
	}
	return task.CreatedAt.IsZero()
}

// keyOf tells an undated task from others. Without an id what else CBR shows of it has to do.
func keyOf(task *cbr.OperationLog) string {
	key := task.ID
	if key == "" {
		extra := &task.ExtraInfo
		key = fmt.Sprintf("%q %q %s", cbr.Fold(extra.Backup.ID), cbr.Fold(extra.Resource.ID), task.StartedAt.Time)
	}
	if task.Status.Final() {
		return key + " ended"
	}
	return key
}

// all goes through the tasks that were kept.
func (l *TaskList) all() iter.Seq[cbr.OperationLog] {
	return func(yield func(cbr.OperationLog) bool) {
		for _, task := range l.tasks {
			if !yield(task) {
				return
			}
		}
		for _, task := range l.anonymous {
			if !yield(task) {
				return
			}
		}
	}
}

// underWay returns the tasks that have not ended, or have succeeded since a time, the oldest first: what a task that has just
// succeeded has imported may not be shown yet.
func (l *TaskList) underWay(since time.Time, known Known) []*cbr.OperationLog {
	var tasks []*cbr.OperationLog
	for task := range l.all() {
		ended := task.Status.Final() || known.off == unknownIsRunning && task.Status != cbr.TaskWaiting && task.Status != cbr.TaskRunning
		if !ended || task.Status == cbr.TaskSuccess && known.succeededSince(&task, since) {
			tasks = append(tasks, &task)
		}
	}
	slices.SortFunc(tasks, func(a, b *cbr.OperationLog) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt.Time), strings.Compare(a.ID, b.ID))
	})
	return tasks
}

// readAll reads the list of all sync tasks. It has no filter by status, under which tasks would leave the list while it is
// read, and none by time: the API compares when a task started, and one that waits has not.
func (l *TaskList) readAll(ctx context.Context, source Source, query TaskQuery) error {
	ids, backups := map[string]struct{}{}, map[string]struct{}{}
	for _, question := range query.Questions {
		ids[question.TaskID], backups[cbr.Fold(question.BackupID)] = struct{}{}, struct{}{}
	}
	list := listing[cbr.OperationLog]{
		off: l.off,
		id:  func(task *cbr.OperationLog) string { return task.ID },
		begin: func() { // the others stay: whatever was seen under way is waited for
			l.anonymous = nil
			clear(l.undated)
		},
		fetch: func(ctx context.Context, offset int) (cbr.Page[cbr.OperationLog], error) {
			return source.ListOperationLogs(ctx, cbr.OperationLogsQuery{OperationType: cbr.OperationSync, Limit: cbr.MaxPageSize, Offset: offset})
		},
		see: func(task *cbr.OperationLog) {
			_, wanted := ids[task.ID]
			_, about := backups[cbr.Fold(task.ExtraInfo.Backup.ID)]
			l.keep(task, wanted || about || query.endedLately(task))
		},
	}
	how, err := list.read(ctx)
	l.Complete = how == complete
	l.Reads.Lists += list.pages
	return err
}

// endOf is when a task ended, as far as it tells.
func endOf(task *cbr.OperationLog) time.Time {
	if task.EndedAt.IsZero() {
		return task.UpdatedAt.Time
	}
	return task.EndedAt.Time
}

// endedLately reports whether a task may have ended a short time ago.
func (q *TaskQuery) endedLately(task *cbr.OperationLog) bool {
	end := endOf(task)
	if isUndated(task) {
		if end = q.Known.firstSeen(task); end.IsZero() {
			return true
		}
	}
	return q.Known.Now.Sub(end) < recentEnd
}

// keep takes in a task as it is now; one that has ended only if it is wanted.
func (l *TaskList) keep(task *cbr.OperationLog, wanted bool) {
	l.countUndated(task)
	switch {
	case task.ID == "" && (wanted || !task.Status.Final()):
		l.anonymous = append(l.anonymous, *task)
	case wanted || !task.Status.Final():
		l.tasks[task.ID] = *task
	default:
		delete(l.tasks, task.ID) // it was under way when it was last seen
	}
	if name := cbr.Fold(task.ExtraInfo.Backup.ID); name != "" && wanted {
		if other, has := l.named[name]; !has || other.ID == task.ID || task.CreatedAt.After(other.CreatedAt.Time) {
			l.named[name] = *task
		}
	}
}

// PollTasks finds tasks by their ids: in pages of the tasks since a time, as long as a page is likely to show more of them
// than asking one by one would; then one by one, up to 50. It proves no absence, and is not complete. An error is one of
// the list; what was seen before is returned with it.
func PollTasks(ctx context.Context, source Source, ids []string, since time.Time) (*TaskList, error) {
	tasks := newTaskList()
	left := map[string]struct{}{}
	for _, id := range ids {
		if id != "" {
			left[id] = struct{}{}
		}
	}
	list := listing[cbr.OperationLog]{
		id:    func(task *cbr.OperationLog) string { return task.ID },
		begin: func() {},
		fetch: func(ctx context.Context, offset int) (cbr.Page[cbr.OperationLog], error) {
			return source.ListOperationLogs(ctx, cbr.OperationLogsQuery{
				OperationType: cbr.OperationSync, StartTime: since, Limit: cbr.MaxPageSize, Offset: offset})
		},
		see: func(task *cbr.OperationLog) {
			if _, wanted := left[task.ID]; wanted {
				delete(left, task.ID)
				tasks.keep(task, true)
			} else if _, again := tasks.tasks[task.ID]; again {
				tasks.keep(task, true)
			}
		},
		enough: func(more int) bool { return more == 0 || len(left) <= pagesOf(more) },
	}
	if len(left) > 1 {
		_, err := list.readOnce(ctx)
		tasks.Reads.Lists = list.pages
		if err != nil {
			return tasks, err
		}
	}
	return tasks, tasks.askSingly(ctx, source, left)
}

// askSingly asks for tasks one by one. A failure concerns that task alone, but where it concerns all, or nothing was answered.
func (l *TaskList) askSingly(ctx context.Context, source Source, ids map[string]struct{}) error {
	answered := len(l.tasks) > 0 || l.Reads.Lists > 0
	var failure error
	for id := range ids { // in no order, so that none is always among those that have to wait
		if l.Reads.Singles == maxSingleTasks {
			break
		}
		l.Reads.Singles++
		task, err := source.GetOperationLog(ctx, id)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case cbr.IsNotFound(err):
			l.forgotten[id] = struct{}{}
		case ofAll(err):
			return err
		case err != nil:
			failure = err
			continue
		default:
			task.ID = id
			l.keep(&task, true)
		}
		answered = true
	}
	if answered {
		return nil
	}
	return failure
}
