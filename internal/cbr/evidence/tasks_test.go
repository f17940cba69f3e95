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
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// Waiting tasks have no start, and a list that is narrowed by status loses elements while it is read.
func TestTasksAreListedWithoutFilters(t *testing.T) {
	source := holding(0)
	for n := range 2500 {
		source.tasks = append(source.tasks, task(fmt.Sprintf("t%d", n), naming("else"), inStatus(cbr.TaskFailed)))
	}
	source.tasks = append(source.tasks, task("last", naming("new-0")))
	_, judge := collect(t, source, Query{Questions: about(1), Known: Known{Scope: PerBackup}})
	expect(t, judge, InProgress, about(1)...)
	for _, query := range source.queries {
		if query.Status != "" || !query.StartTime.IsZero() || query.ResourceID != "" || query.Limit != cbr.MaxPageSize || query.OperationType != cbr.OperationSync {
			t.Errorf("asked for %+v", query)
		}
	}
}

// A running task that the list lacks is hidden if CBR has it. If it does not say so, this look alone is in doubt.
func TestARunningTaskThatTheListLacks(t *testing.T) {
	for name, c := range map[string]struct {
		known          bool
		hides, doubted bool
	}{"CBR has it": {true, true, false}, "CBR does not know it": {false, false, true}} {
		t.Run(name, func(t *testing.T) {
			source := &unlisting{still: holding(3), known: c.known}
			look, judge := collect(t, source, Query{Questions: about(1), Running: []string{"runs"}})
			if look.Tasks.Hides != c.hides || look.Tasks.Doubted != c.doubted {
				t.Errorf("hides %t, doubted %t", look.Tasks.Hides, look.Tasks.Doubted)
			}
			if got := judge.Verdict(Question{BackupID: "new-0", Call: &Call{Items: []string{"new-0"}}}); got.Kind != Unknown {
				t.Errorf("of a lost call it says %+v", got)
			}
			expect(t, judge, Absent, about(1)...)
		})
	}
}

// unlisting is a CBR that lists no tasks.
type unlisting struct {
	*still
	known bool
}

func (u *unlisting) GetOperationLog(_ context.Context, id string) (cbr.OperationLog, error) {
	if !u.known {
		return cbr.OperationLog{}, errNotThere
	}
	return task(id), nil
}

// What one look has told of a lost call holds for the next.
func TestALostCallWhoseTaskWasSaidToBeHidden(t *testing.T) {
	source := holding(3)
	_, judge := collect(t, source, Query{Questions: about(1)})
	question := Question{BackupID: "new-0", Call: &Call{Items: []string{"new-0"}}}
	expect(t, judge, Absent, question)
	question.Hidden = true
	expect(t, judge, Unknown, question)
	long, settled := NewJudge(judge.look, Known{Now: now, OverdueAfter: time.Hour}), question
	settled.SettledAt = now.Add(-time.Hour)
	expect(t, long, Absent, settled)
}

func TestPoll(t *testing.T) {
	source := holding(1)
	withErrors := func(log *cbr.OperationLog) { log.ExtraInfo.Sync.FailedBackups = 1 }
	source.tasks = []cbr.OperationLog{task("runs"), task("done", inStatus(cbr.TaskSuccess), withErrors), task("lost", inStatus(cbr.TaskFailed)),
		task("else"), task("well", inStatus(cbr.TaskSuccess)), task("shared", inStatus(cbr.TaskFailed)), task("other", inStatus(cbr.TaskSuccess), naming("x"))}
	questions := []Question{{BackupID: "new-0", TaskID: "runs"}, {BackupID: "stored-0", TaskID: "done"}, {BackupID: "new-1", TaskID: "lost"},
		{BackupID: "new-2", TaskID: "forgotten"}, {BackupID: "new-3", TaskID: "well"}, {BackupID: "new-4", TaskID: "shared"},
		{BackupID: "new-5", TaskID: "shared"}}
	since := now.Add(-time.Hour)
	look, err := Poll(t.Context(), source, PollQuery{Began: now, Questions: questions, Since: since})
	if err != nil {
		t.Fatal(err)
	}
	judge := NewJudge(look, Known{Now: now, Scope: PerBackup, Owners: map[string]Owner{"runs": {Backups: []string{"new-0"}}}})
	expect(t, judge, InProgress, questions[0])
	expect(t, judge, Stored, questions[1])
	expect(t, judge, Unknown, questions[2], questions[3]) // a poll proves no absence
	if failed, shown := look.Tasks.Task("lost"); !shown || failed.Status != cbr.TaskFailed || !look.Tasks.Forgotten("forgotten") {
		t.Error("the ends of the tasks are not told")
	}
	var asked []string // of those whose task does not tell
	for _, question := range questions {
		if look.Knows(question.BackupID) {
			asked = append(asked, question.BackupID)
		}
	}
	if want := []string{"stored-0", "new-1", "new-2", "new-4", "new-5"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
	if want := (Reads{Lists: 1, Singles: 1 + 5}); look.Reads() != want {
		t.Errorf("got %+v, want %+v", look.Reads(), want)
	}
	if source.queries[0].StartTime != since {
		t.Error("a poll reads older tasks than it must")
	}
	if look, err = Poll(t.Context(), source, PollQuery{Began: now, Questions: []Question{{BackupID: "new-6", TaskID: "other"}}}); err != nil || !look.Lacks("new-6") {
		t.Errorf("the end of a task that names another backup was believed: %v", err)
	}
}

// One task is asked for; of many, the list is read no further than it shows more of them than single questions would.
func TestReadsOfAPoll(t *testing.T) {
	for wanted, want := range map[int]Reads{1: {Singles: 1}, 2: {Lists: 1, Singles: 2}, 900: {Lists: 6}} /* pages overlap */ {
		source := holding(0)
		for n := range 5000 {
			source.tasks = append(source.tasks, task(fmt.Sprintf("t%d", n)))
		}
		ids := make([]string, 0, wanted)
		for n := range wanted {
			ids = append(ids, fmt.Sprintf("t%d", 4999-5*n))
		}
		tasks, err := PollTasks(t.Context(), source, ids, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if tasks.Reads != want {
			t.Errorf("%d tasks: got %+v, want %+v", wanted, tasks.Reads, want)
		}
	}
}

// Where lists have hidden something of a lost call, a list that is believed again is no answer about its backups: they are asked for.
func TestALostCallWhoseTaskWasSaidToBeHiddenAndABackupThatCannotBeAskedFor(t *testing.T) {
	source := holding(3)
	source.failures = map[string]error{"new-0": errOutage, "no-uuid": errNotAnID}
	call, settled := &Call{Items: []string{"new-0", "new-1", "no-uuid"}}, now.Add(-time.Hour)
	questions := about(20, "no-uuid")
	for i := range questions {
		questions[i].Call, questions[i].Hidden, questions[i].SettledAt = call, true, settled
	}
	look, judge := collect(t, source, Query{Questions: questions, Probes: []string{"new-5", "new-6"}, Known: Known{OverdueAfter: time.Hour}})
	if look.Hides() {
		t.Fatal("lists hide some")
	}
	for _, question := range questions {
		want := Absent
		if question.BackupID == "new-0" {
			want = Unknown
		}
		expect(t, judge, want, question)
	}
}
