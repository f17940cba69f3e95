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

// Reads returns how many calls the look has made.
func (l *Look) Reads() Reads { return l.Tasks.Reads.plus(l.Backups.Reads) }

// AskFor asks CBR for more backups, after the tasks as it must be. A look that has read the list of all backups knows most
// ids without asking: Knows tells.
func (l *Look) AskFor(ctx context.Context, source Source, backupIDs ...string) error {
	return l.Backups.askSingly(ctx, source, unique(backupIDs))
}

// Knows reports whether the look can say of a backup whether CBR shows it.
func (l *Look) Knows(backupID string) bool { return l.Backups.of(Fold(backupID)).sight != notAsked }

// Query says what a look is for.
type Query struct {
	// Questions are those that the look must be able to answer.
	Questions []Question
	// Known is what is known before. Known.Now is when the look begins.
	Known Known
	// Pages is how many pages the list of backups has, as the last look has found (Inventory.Pages); 0 if that is not known.
	Pages int

	few int // tests: how many backups are asked for without a look at the list; fewBackups if 0
}

// Collect looks: at all tasks, then at the backups that are asked about, as far as no task is known to work on them. An error
// is one of a list, or of the context: nothing can be said then. A backup that alone cannot be asked for becomes Unknown.
func Collect(ctx context.Context, source Source, query Query) (*Look, error) {
	look := &Look{Began: query.Known.Now, Tasks: newTaskList(), Backups: NewInventory(query.Pages)}
	look.Tasks.off, look.Backups.off = query.Known.off, query.Known.off
	look.Backups.few = cmp.Or(query.few, fewBackups)
	ids := make([]string, 0, len(query.Questions))
	for _, question := range query.Questions {
		ids = append(ids, question.BackupID)
	}
	if query.Known.off == tasksFirst {
		if err := look.Backups.Read(ctx, source, ids); err != nil {
			return nil, err
		}
	}
	if err := look.Tasks.readAll(ctx, source, TaskQuery{Began: query.Known.Now, Questions: query.Questions}); err != nil {
		return nil, err
	}
	if query.Known.off == tasksFirst {
		return look, nil
	}
	judge := NewJudge(look, query.Known)
	if err := look.Backups.Read(ctx, source, judge.undecided(query.Questions)); err != nil {
		return nil, err
	}
	return look, look.Backups.askSingly(ctx, source, judge.overdue(query.Questions))
}

// PollQuery says which tasks a poll follows.
type PollQuery struct {
	// Began is when the poll begins, by the clock of this process.
	Began time.Time
	// Questions are those of backups whose TaskID is known.
	Questions []Question
	// Since is a time before all these tasks can have started, by CBR's clock.
	Since time.Time
	// Pages is as in Query.
	Pages int
}

// Poll looks at known tasks, and at the backups of those that have ended or that CBR does not know any more. It costs less
// than Collect, and proves no absence: a backup whose task has ended and that is not there is Unknown, and to be looked at
// with Collect. With an error comes what was seen before.
func Poll(ctx context.Context, source Source, query PollQuery) (*Look, error) {
	look := &Look{Began: query.Began, Backups: NewInventory(query.Pages)}
	ids := make([]string, 0, len(query.Questions))
	for _, question := range query.Questions {
		ids = append(ids, question.TaskID)
	}
	var err error
	if look.Tasks, err = PollTasks(ctx, source, ids, query.Since); err != nil {
		return look, err
	}
	var ended []string
	for _, question := range query.Questions {
		task, shown := look.Tasks.Task(question.TaskID)
		if shown && task.Status.Final() || look.Tasks.Forgotten(question.TaskID) {
			ended = append(ended, question.BackupID)
		}
	}
	return look, look.Backups.Read(ctx, source, ended)
}

const tasksFirst rule = "tasks are read before backups"
