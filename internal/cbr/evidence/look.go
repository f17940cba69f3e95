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
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// Source is what looks read: a *cbr.Client.
type Source interface {
	ListOperationLogs(ctx context.Context, query cbr.OperationLogsQuery) (cbr.Page[cbr.OperationLog], error)
	GetOperationLog(ctx context.Context, id string) (cbr.OperationLog, error)
	ListBackups(ctx context.Context, query cbr.BackupsQuery) (cbr.Page[cbr.ListedBackup], error)
	GetBackup(ctx context.Context, id string) (cbr.StoredBackup, error)
}

// FreshFor is how long a look's absences are believed.
const FreshFor = time.Minute

// Reads counts the calls that a look made.
type Reads struct {
	Lists   int // pages of lists
	Singles int // tasks and backups that were asked for by their ids
}

func (r Reads) plus(other Reads) Reads {
	return Reads{Lists: r.Lists + other.Lists, Singles: r.Singles + other.Singles}
}

// Look is what CBR has shown. What it holds of tasks was read before what it holds of backups. It does not change by being
// judged, and may be judged from several goroutines; AskFor changes it.
type Look struct {
	// Began is when the first read began, by the clock of this process.
	Began time.Time
	// Tasks is what CBR has shown of tasks.
	Tasks *TaskList
	// Backups is what CBR has shown of backups.
	Backups *Inventory
}

// Fresh reports whether absences of the look are still believed.
func (l *Look) Fresh(now time.Time) bool {
	age := now.Sub(l.Began)
	return age >= 0 && age < FreshFor // a clock that was set back tells nothing
}

// Hides reports whether the lists hide some of what CBR holds, or may: then a task that they do not show may be under way.
func (l *Look) Hides() bool {
	return l.Backups.Narrowed || l.Backups.Doubted || l.Tasks.Hides || l.Tasks.Doubted
}

// When returns when a time that CBR tells of a task was by the clock of this process, if CBR's own clock says how long ago that is.
func (l *Look) When(at cbr.Time) (when time.Time, told bool) {
	age, told := l.Tasks.age(at.Time)
	return l.Began.Add(-age), told
}

// Reads returns how many calls the look has made.
func (l *Look) Reads() Reads { return l.Tasks.Reads.plus(l.Backups.Reads) }

// AskFor asks CBR for more backups, after the tasks as it must be. A look that has read the list of all backups knows most
// ids without asking: Knows tells.
func (l *Look) AskFor(ctx context.Context, source Source, backupIDs ...string) error {
	if err := l.Backups.askSingly(ctx, source, unique(backupIDs)); err != nil {
		return err
	}
	return l.Backups.recheck(ctx, source, l.Backups.unlisted)
}

// Knows reports whether the look can say of a backup whether CBR shows it.
func (l *Look) Knows(backupID string) bool { return l.Backups.of(cbr.Fold(backupID)).sight != notAsked }

// Listed reports whether that CBR does not show a backup is known from a list alone.
func (l *Look) Listed(backupID string) bool {
	return l.Backups.of(cbr.Fold(backupID)).sight == notListed
}

// Lacks reports whether CBR, when asked, did not show a backup. That alone proves no absence.
func (l *Look) Lacks(backupID string) bool {
	sight := l.Backups.of(cbr.Fold(backupID)).sight
	return sight == notThere || sight == notListed
}

// Query says what a look is for.
type Query struct {
	// Questions are those that the look must be able to answer.
	Questions []Question
	// Known is what is known before. Known.Now is when the look begins.
	Known Known
	// Pages is how many pages the list of backups has, as the last look has found (Inventory.Pages); 0 if that is not known.
	Pages int
	// Probes are the backups by which a list that lacks them is checked: some of those that it lacks if there is none.
	Probes []string
	// Narrowed says that the list of backups is known to hide some: it is not read then.
	Narrowed bool
	// Singly is of how many of the first questions the backups may be asked for by themselves in spite of an overdue task; all
	// if 0.
	Singly int
	// Few is how many backups are asked for without a look at the list; FewBackups if 0.
	Few int
	// Running are tasks that are known to be under way, for long enough to be in the list of tasks.
	Running []string
	// Hides says that the list of tasks is known to hide some.
	Hides bool
	// Capitals says that CBR is known to show ids with capitals (Inventory.Capitals).
	Capitals bool
}

// Collect looks: at all tasks, then at the backups that are asked about, as far as no task is known to work on them. An error
// is one of a list, or of the context: nothing can be said then. A backup that alone cannot be asked for becomes Unknown.
func Collect(ctx context.Context, source Source, query Query) (*Look, error) {
	look := &Look{Began: query.Known.Now, Tasks: newTaskList(), Backups: NewInventory(query.Pages)}
	look.Tasks.off, look.Backups.off = query.Known.off, query.Known.off
	look.Tasks.Hides = query.Hides
	look.Backups.few = cmp.Or(query.Few, FewBackups)
	look.Backups.probes, look.Backups.Narrowed = query.Probes, query.Narrowed
	ids := make([]string, 0, len(query.Questions))
	for _, question := range query.Questions {
		ids = append(ids, question.BackupID)
	}
	if query.Known.off == tasksFirst {
		if err := look.Backups.Read(ctx, source, ids); err != nil {
			return nil, err
		}
	}
	if err := look.Tasks.readAll(ctx, source, TaskQuery{Known: query.Known, Questions: query.Questions, Running: query.Running}); err != nil {
		return nil, err
	}
	if query.Known.off == tasksFirst {
		return look, nil
	}
	look.Backups.Capitals = query.Capitals || look.Tasks.capitals
	judge := NewJudge(look, query.Known)
	if err := look.Backups.Read(ctx, source, judge.undecided(query.Questions)); err != nil {
		return nil, err
	}
	singly := query.Questions
	if query.Singly > 0 && query.Singly < len(singly) {
		singly = singly[:query.Singly]
	}
	return look, look.AskFor(ctx, source, judge.overdue(singly)...)
}

// PollQuery says which tasks a poll follows.
type PollQuery struct {
	// Began is when the poll begins, by the clock of this process.
	Began time.Time
	// Questions are those of backups whose TaskID is known.
	Questions []Question
	// Since is a time before all these tasks can have started, by CBR's clock.
	Since time.Time
	// Pages and Narrowed are as in Query.
	Pages    int
	Narrowed bool
}

// Poll looks at known tasks, and at the backups of those that have not simply succeeded. It costs less than Collect, and proves no
// absence. With an error comes what was seen before.
func Poll(ctx context.Context, source Source, query PollQuery) (*Look, error) {
	look := &Look{Began: query.Began, Backups: NewInventory(query.Pages)}
	look.Backups.Narrowed = query.Narrowed
	ids := make([]string, 0, len(query.Questions))
	for _, question := range query.Questions {
		ids = append(ids, question.TaskID)
	}
	var err error
	if look.Tasks, err = PollTasks(ctx, source, ids, query.Since); err != nil {
		return look, err
	}
	var asked []string
	for _, question := range query.Questions {
		if look.Tasks.Forgotten(question.TaskID) || look.Tasks.asksFor(question) {
			asked = append(asked, question.BackupID)
		}
	}
	return look, look.Backups.Read(ctx, source, asked)
}

// asksFor reports whether the backup is to be asked for when its task has ended: it may be there although the task failed, and the
// end of another backup's task tells nothing.
func (l *TaskList) asksFor(question Question) bool {
	task, shown := l.Task(question.TaskID)
	return shown && task.Status.Final() && (task.Status != cbr.TaskSuccess || l.LeavesOpen(question, false))
}

// LeavesOpen reports whether the end of a backup's task does not tell what became of the backup: it names another one, it
// succeeded with errors, or it failed as that of several.
func (l *TaskList) LeavesOpen(question Question, shared bool) bool {
	task, shown := l.Task(question.TaskID)
	if !shown || !task.Status.Final() {
		return false
	}
	name := cbr.Fold(task.ExtraInfo.Backup.ID)
	namesAnother := name != "" && name != cbr.Fold(question.BackupID)
	if task.Status == cbr.TaskSuccess {
		return namesAnother || task.ExtraInfo.Sync.FailedBackups > 0
	}
	return namesAnother || shared
}

const tasksFirst rule = "tasks are read before backups"
