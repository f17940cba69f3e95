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

const (
	// watchedFor is how long the end of a task is watched after it was first seen; Known.SettleTime is less.
	watchedFor = 10 * time.Minute
	// doubtfulFor is how long ago a task must have ended that is seen for the first time, in settling times, where Known.DateLag does not tell:
	// CBR's clocks, of which one dates tasks and another one answers, may be that far apart.
	doubtfulFor = 10
)

// maxSingleTasks is how many tasks a poll asks for one by one; the others wait for the next.
const maxSingleTasks = 50

// TaskQuery says which tasks are kept of a list, besides those that have not ended.
type TaskQuery struct {
	// Known is what is known as the look begins.
	Known Known
	// Questions: tasks that name one of these backups, or are known as one's, are kept.
	Questions []Question
	// Running are tasks that the list must show.
	Running []string
}

// TaskList is what CBR has shown of its sync tasks. Only those are kept that can matter.
type TaskList struct {
	// Complete reports whether all tasks were seen, so that what is not in it is not under way.
	Complete bool
	// Hides reports whether the list is known to hide some: it was read as a whole, and lacked a task of TaskQuery.Running that CBR has.
	Hides bool
	// Doubted reports whether it may hide some: it lacked such a task, of which CBR, when asked, did not tell either.
	Doubted bool
	// Reads counts the calls that were made.
	Reads Reads

	tasks     map[string]*cbr.OperationLog // by id
	anonymous []*cbr.OperationLog          // without an id
	named     map[string]*cbr.OperationLog // the youngest that names a backup, by its folded id
	texts     int                          // bytes that their texts take, about
	overfull  bool                         // more was to be kept than may be
	capitals  bool                         // some name a backup by an id with capitals
	forgotten map[string]struct{}          // ids that CBR does not know
	watched   map[TaskKey]int              // see Watched
	date      time.Time                    // when CBR began to show it, by its own clock; zero if it did not say
	off       rule
}

func newTaskList() *TaskList {
	tasks := &TaskList{forgotten: map[string]struct{}{}}
	tasks.clear()
	return tasks
}

// clear lets go of all tasks.
func (l *TaskList) clear() {
	l.tasks, l.anonymous, l.named = map[string]*cbr.OperationLog{}, nil, map[string]*cbr.OperationLog{}
	l.watched = map[TaskKey]int{}
}

// Task returns a task by its id, and whether CBR has shown it.
func (l *TaskList) Task(id string) (cbr.OperationLog, bool) {
	return orNone(l.tasks[id])
}

func orNone(task *cbr.OperationLog) (cbr.OperationLog, bool) {
	if task == nil {
		return cbr.OperationLog{}, false
	}
	return *task, true
}

// Naming returns the youngest task that names a backup, and whether there is one.
func (l *TaskList) Naming(backupID string) (cbr.OperationLog, bool) {
	return orNone(l.named[cbr.Fold(backupID)])
}

// Forgotten reports whether CBR, when asked for a task, did not know it: it keeps tasks for about 30 days. That says
// nothing of the backup.
func (l *TaskList) Forgotten(id string) bool {
	_, forgotten := l.forgotten[id]
	return forgotten
}

// Watched counts, by their keys, the tasks of which it matters since when they are seen as they are: those under way, and those that may
// have succeeded just now.
func (l *TaskList) Watched() map[TaskKey]int { return l.watched }

// watch counts a task, and reports whether it is watched.
func (l *TaskList) watch(task *cbr.OperationLog, known Known) bool {
	if task.Status.Final() && !l.mayHaveJustSucceeded(task, known) {
		return false
	}
	if len(l.watched) >= maxWatched {
		l.overfull = true
	}
	if l.overfull {
		return true
	}
	if key := keyOf(task, task.Status.Final()); task.ID == "" {
		l.watched[key]++
	} else {
		l.watched[key] = 1 // pages overlap
	}
	if ran := keyOf(task, false); task.Status.Final() && !known.firstSeen(ran).IsZero() { // that is known as long as its end is watched
		l.watched[ran] = max(l.watched[ran], 1)
	}
	return true
}

// mayHaveJustSucceeded reports whether it takes the first sight of a task to tell that its success is not of this moment. When it ended
// is never compared with the clock of this process: it was seen under way before, or CBR's own clock does not say that it was long ago.
func (l *TaskList) mayHaveJustSucceeded(task *cbr.OperationLog, known Known) bool {
	settle := known.settleTime()
	if task.Status != cbr.TaskSuccess || settle == 0 {
		return false
	}
	// Dates that have been seen to tell when a task ended tell it of one that was over when it was first seen.
	dated := known.DateLag != nil && !task.EndedAt.IsZero()
	if age, told := l.age(endOf(task)); !told || age < known.doubtfulFor(dated) {
		return true
	}
	ran, ended := known.firstSeen(keyOf(task, false)), known.firstSeen(keyOf(task, true))
	inSight := !ran.IsZero() || !dated && !ended.IsZero()
	return inSight && (ended.IsZero() || known.Now.Sub(ended) < watchedFor) && known.off != endInSight
}

// doubtfulFor is how long ago a task must have ended, by CBR's clocks, that has certainly not ended just now.
func (k Known) doubtfulFor(dated bool) time.Duration {
	longest := doubtfulFor * k.settleTime()
	if !dated {
		return longest
	}
	if k.off == lagCounts {
		return k.settleTime()
	}
	return min(longest, k.settleTime()+*k.DateLag)
}

// DateResolution is how exact CBR's Date is.
const DateResolution = time.Second

// EndedFor returns how long before CBR's Date a task ended by its own date. One that ended later tells nothing: one of the two clocks is wrong.
func (l *TaskList) EndedFor(id string) (since time.Duration, told bool) {
	task := l.tasks[id]
	if task == nil || l.date.IsZero() || !task.Status.Final() || task.EndedAt.IsZero() {
		return 0, false
	}
	since = l.date.Sub(task.EndedAt.Time)
	return max(0, since), since >= -DateResolution
}

// age returns how long ago a time of CBR's was, by its own clock. One that is still to come tells nothing.
func (l *TaskList) age(at time.Time) (age time.Duration, told bool) {
	if at.IsZero() || at.After(l.date) {
		return 0, false
	}
	return l.date.Sub(at), true
}

// TaskKey tells a task under way, or one that has ended, from others.
type TaskKey struct {
	id    string // or what else CBR shows of a task without one
	ended bool
}

// keyOf returns the key of a task as it is under way, or has ended.
func keyOf(task *cbr.OperationLog, ended bool) TaskKey {
	key := TaskKey{id: task.ID, ended: ended}
	if key.id == "" {
		extra := &task.ExtraInfo
		key.id = fmt.Sprintf("%q %q %s", cbr.Fold(extra.Backup.ID), cbr.Fold(extra.Resource.ID), task.StartedAt.Time)
		if ended {
			key.id += fmt.Sprintf(" to %s", task.EndedAt.Time)
		}
	}
	return key
}

// all goes through the tasks that were kept.
func (l *TaskList) all() iter.Seq[*cbr.OperationLog] {
	return func(yield func(*cbr.OperationLog) bool) {
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

// underWay returns the tasks that have not ended, or may have succeeded since a time, the oldest first: what a task that has just
// succeeded has imported may not be shown yet.
func (l *TaskList) underWay(since time.Time, known Known) []*cbr.OperationLog {
	var tasks []*cbr.OperationLog
	for task := range l.all() {
		ended := task.Status.Final() || known.off == unknownIsRunning && task.Status != cbr.TaskWaiting && task.Status != cbr.TaskRunning
		if !ended || l.mayHaveJustSucceeded(task, known) && !known.seenEndedBefore(task, since) {
			tasks = append(tasks, task)
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
	delete(ids, "")
	list := listing[cbr.OperationLog]{
		off: l.off,
		id:  func(task *cbr.OperationLog) string { return task.ID },
		begin: func() { // the others stay: whatever was seen under way is waited for
			l.anonymous = nil
			clear(l.watched)
		},
		fetch: func(ctx context.Context, offset int) (cbr.Page[cbr.OperationLog], error) {
			page, err := l.page(ctx, source, cbr.OperationLogsQuery{OperationType: cbr.OperationSync, Limit: cbr.MaxPageSize, Offset: offset})
			if l.off == cloudsClock {
				l.date = query.Known.Now
			}
			return page, err
		},
		see: func(task *cbr.OperationLog) {
			_, wanted := ids[task.ID]
			_, about := backups[cbr.Fold(task.ExtraInfo.Backup.ID)]
			l.capitals = l.capitals || hasCapitals(task.ExtraInfo.Backup.ID)
			doubtful := l.watch(task, query.Known) && !query.Known.seenEndedBefore(task, query.Known.Now.Add(-watchedFor))
			l.keep(task, wanted || about || doubtful)
		},
		enough: func(int) bool { return l.overfull },
	}
	how, err := list.read(ctx)
	l.Complete = how == complete && !l.overfull
	if l.overfull { // what is kept of it proves nothing
		l.clear()
	}
	l.Reads.Lists += list.pages
	if err == nil && l.Complete && !l.Hides {
		l.checkListed(ctx, source, slices.DeleteFunc(slices.Clone(query.Running), func(id string) bool {
			_, listed := list.seen[hashOf(id)]
			return listed
		}))
	}
	return cmp.Or(err, ctx.Err())
}

// checkListed asks for some tasks that a list lacks, until CBR shows one: it may have forgotten others.
func (l *TaskList) checkListed(ctx context.Context, source Source, lacking []string) {
	for _, id := range lacking[:min(len(lacking), maxProbes)] {
		l.Reads.Singles++
		if _, err := source.GetOperationLog(ctx, id); err == nil {
			l.Hides = true
			return
		}
		l.Doubted = true
	}
}

// page reads a page of the list, and notes when CBR began to show it.
func (l *TaskList) page(ctx context.Context, source Source, query cbr.OperationLogsQuery) (cbr.Page[cbr.OperationLog], error) {
	page, err := source.ListOperationLogs(ctx, query)
	if l.date.IsZero() {
		l.date = page.Date
	}
	return page, err
}

// endOf is when a task ended, as far as it tells.
func endOf(task *cbr.OperationLog) time.Time {
	if task.EndedAt.IsZero() {
		return task.UpdatedAt.Time
	}
	return task.EndedAt.Time
}

// keep takes in a task as it is now; one that has ended only if it is wanted.
func (l *TaskList) keep(task *cbr.OperationLog, wanted bool) {
	switch {
	case !wanted && task.Status.Final():
		delete(l.tasks, task.ID) // it was under way when it was last seen
		return
	case l.overfull, len(l.tasks)+len(l.anonymous) >= maxKept, l.texts >= maxKeptBytes:
		l.overfull = true
		return
	}
	kept := l.take(task)
	if name := cbr.Fold(kept.ExtraInfo.Backup.ID); name != "" && wanted {
		if other, has := l.named[name]; !has || other.ID == kept.ID || kept.CreatedAt.After(other.CreatedAt.Time) {
			l.named[name] = kept
		}
	}
}

// take keeps what matters of a task, and counts what it takes: of one that is seen again only once.
func (l *TaskList) take(task *cbr.OperationLog) *cbr.OperationLog {
	kept := *task
	extra := &kept.ExtraInfo
	kept.OperationType, extra.Backup.Name, extra.Resource.Name, extra.Resource.Type = "", "", "", ""
	if _, again := l.tasks[kept.ID]; !again {
		l.texts += len(kept.ID) + len(kept.Status) + len(kept.ErrorInfo.Code) + len(kept.ErrorInfo.Message) + len(extra.Backup.ID) + len(extra.Resource.ID)
	}
	if kept.ID == "" {
		l.anonymous = append(l.anonymous, &kept)
	} else {
		l.tasks[kept.ID] = &kept
	}
	return &kept
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
			return tasks.page(ctx, source, cbr.OperationLogsQuery{
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
