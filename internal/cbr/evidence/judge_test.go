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
	"errors"
	"maps"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

var (
	now     = worldBegan
	errDown = errors.New("down")
)

// task is a task under way that was created ten minutes ago, as far as it is not changed.
func task(id string, changes ...func(*cbr.OperationLog)) cbr.OperationLog {
	log := cbr.OperationLog{ID: id, Status: cbr.TaskRunning, CreatedAt: cbr.Time{Time: now.Add(-10 * time.Minute)}}
	for _, change := range changes {
		change(&log)
	}
	return log
}

func naming(id string) func(*cbr.OperationLog) {
	return func(log *cbr.OperationLog) { log.ExtraInfo.Backup.ID = id }
}

func ofResource(id string) func(*cbr.OperationLog) {
	return func(log *cbr.OperationLog) { log.ExtraInfo.Resource.ID = id }
}

func inStatus(status cbr.TaskStatus) func(*cbr.OperationLog) {
	return func(log *cbr.OperationLog) { log.Status = status }
}

func endedFor(ago time.Duration) func(*cbr.OperationLog) {
	return func(log *cbr.OperationLog) { log.EndedAt.Time = now.Add(-ago) }
}

func createdFor(ago time.Duration) func(*cbr.OperationLog) {
	return func(log *cbr.OperationLog) { log.CreatedAt.Time = now.Add(-ago) }
}

func uncreated(log *cbr.OperationLog) { log.CreatedAt.Time = time.Time{} }

// judged is a case of the judge. It asks about the backup "b" of the resource "r", of which a complete look has shown nothing.
type judged struct {
	name     string
	tasks    []cbr.OperationLog
	status   cbr.BackupStatus // of the backup, if CBR shows it
	listed   bool             // it was looked for in a list only
	unasked  bool
	failed   error
	partial  bool          // the list of tasks was not read as a whole
	ahead    time.Duration // of CBR's clock, by which tasks are dated
	question func(*Question)
	known    func(*Known)
	want     Verdict
}

func (c judged) verdict() Verdict {
	look := &Look{Began: now, Tasks: newTaskList(), Backups: NewInventory(0)}
	look.Tasks.Complete, look.Tasks.date = !c.partial, now.Add(c.ahead)
	for i := range c.tasks {
		look.Tasks.keep(&c.tasks[i], true)
	}
	switch {
	case c.status != "":
		look.Backups.shown["b"] = c.status
	case c.failed != nil:
		look.Backups.failed["b"] = c.failed
	case c.listed:
		look.Backups.whole = true
	case !c.unasked:
		look.Backups.absent["b"] = struct{}{}
	}
	question := Question{BackupID: "B", ResourceID: "r"}
	known := Known{Now: now.Add(time.Second), Scope: PerBackup, OverdueAfter: time.Hour, SettleTime: time.Minute, Owners: map[string]Owner{}}
	if c.question != nil {
		c.question(&question)
	}
	if c.known != nil {
		c.known(&known)
	}
	return NewJudge(look, known).Verdict(question)
}

func perCall(known *Known)      { known.Scope = PerCall }
func scopeUnknown(known *Known) { known.Scope = ScopeUnknown }

// owned makes an answer name whose the task "t" is.
func owned(owner Owner, scope TaskScope) func(*Known) {
	return func(known *Known) { known.Owners["t"], known.Scope = owner, scope }
}

func inCall(question *Question) { question.Call = &Call{Items: []string{"A", "b"}} }

func run(t *testing.T, cases []judged) {
	t.Helper()
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			got := each.verdict()
			if got.Kind == Unknown && got.Why == "" {
				t.Error("it does not say why")
			}
			if got.Why = ""; each.want.Err == nil && got.Err != nil || !errors.Is(got.Err, each.want.Err) {
				t.Errorf("got the error %v, want %v", got.Err, each.want.Err)
			}
			got.Err, each.want.Err = nil, nil
			if got != each.want {
				t.Errorf("got %+v, want %+v", got, each.want)
			}
		})
	}
}

func TestWhatCBRShowsOfABackup(t *testing.T) {
	stored := func(status cbr.BackupStatus) Verdict { return Verdict{Kind: Stored, Status: status} }
	passing := func(status cbr.BackupStatus) Verdict { return Verdict{Kind: InProgress, Status: status} }
	var cases []judged
	for status, want := range map[cbr.BackupStatus]Verdict{
		"available": stored("available"), "restoring": stored("restoring"), "waiting_restore": stored("waiting_restore"),
		"error":    {Kind: Broken, Status: "error"},
		"deleting": passing("deleting"), "waiting_delete": passing("waiting_delete"), "protecting": passing("protecting"),
		"waiting_protect": passing("waiting_protect"), "new": passing("new"), "AVAILABLE": passing("AVAILABLE"),
	} {
		cases = append(cases, judged{name: string(status), status: status, want: want})
	}
	run(t, append(cases, []judged{
		{name: "not at all", want: Verdict{Kind: Absent}},
		{name: "not in a list that is believed", listed: true, want: Verdict{Kind: Absent}},
		{name: "usable, by a task that has succeeded", status: "available",
			tasks: []cbr.OperationLog{task("t", naming("b"), inStatus(cbr.TaskSuccess))},
			want:  Verdict{Kind: Stored, Task: "t", Own: true, Status: "available"}},
		{name: "usable, and its task only failed", status: "available", tasks: []cbr.OperationLog{task("t", naming("b"), inStatus(cbr.TaskFailed))},
			want: stored("available")},
		{name: "usable while a task runs that may be its", status: "available", tasks: []cbr.OperationLog{task("t")}, want: stored("available")},
		{name: "broken by an earlier try while the next one runs", status: "error", tasks: []cbr.OperationLog{task("t", naming("b"))},
			want: Verdict{Kind: InProgress, Task: "t", Own: true, Status: "error"}},
		{name: "broken by a task that has just succeeded", status: "error",
			tasks: []cbr.OperationLog{task("t", naming("b"), inStatus(cbr.TaskSuccess), endedFor(time.Second))},
			want:  Verdict{Kind: Broken, Task: "t", Own: true, Status: "error"}},
		{name: "it could not be asked for", failed: errDown, want: Verdict{Kind: Unknown, Err: errDown}},
		{name: "it was not asked for", unasked: true, want: Verdict{Kind: Unknown}},
	}...))
}

func TestWhoseATaskIs(t *testing.T) {
	own := Verdict{Kind: InProgress, Task: "t", Own: true}
	may := Verdict{Kind: InProgress, Task: "t"}
	absent := Verdict{Kind: Absent}
	tasks := func(changes ...func(*cbr.OperationLog)) []cbr.OperationLog {
		return []cbr.OperationLog{task("t", changes...)}
	}
	run(t, []judged{
		{name: "it names the backup, in other case", tasks: tasks(naming("B")), want: own},
		{name: "it names the backup, which was not asked for", tasks: tasks(naming("b")), unasked: true, want: own},
		{name: "it is the one in the status", tasks: tasks(), question: func(q *Question) { q.TaskID = "t" }, want: own},
		{name: "an answer named it", tasks: tasks(), known: owned(Owner{Backups: []string{"B"}}, PerBackup), want: own},
		{name: "it is in a status that is not known", tasks: tasks(naming("b"), inStatus("queued")), want: own},
		{name: "it waits", tasks: tasks(naming("b"), inStatus(cbr.TaskWaiting)), want: own},
		{name: "it is another's", tasks: tasks(naming("a")), want: absent},
		{name: "it is another's by an answer", tasks: tasks(), known: owned(Owner{Backups: []string{"a"}}, PerBackup), want: absent},
		{name: "it is nobody's", tasks: tasks(), want: may},
		{name: "it is nobody's and has no id", tasks: []cbr.OperationLog{task("")}, want: Verdict{Kind: InProgress}},
		{name: "it is nobody's, of the backup's resource", tasks: tasks(ofResource("R")), want: may},
		{name: "it is nobody's, of another resource", tasks: tasks(ofResource("other")), want: absent},
		{name: "it is nobody's, of another resource, and may be of several backups", tasks: tasks(ofResource("other")), known: perCall, want: may},
		{name: "it is nobody's, and the backup has no resource", tasks: tasks(ofResource("other")),
			question: func(q *Question) { q.ResourceID = "" }, want: may},

		{name: "it is another's of the call", tasks: tasks(naming("a")), question: inCall, known: perCall, want: may},
		{name: "it is another's of the call by an answer", tasks: tasks(), question: inCall,
			known: owned(Owner{Backups: []string{"a"}}, PerCall), want: may},
		{name: "it may be another's of the call", tasks: tasks(naming("a")), question: inCall, known: scopeUnknown, want: may},
		{name: "it is another's of the call, where each has its own", tasks: tasks(naming("a")), question: inCall, want: absent},
		{name: "it is another's of the call, and overdue", tasks: tasks(naming("a"), createdFor(2*time.Hour)), question: inCall, known: perCall, want: may},

		{name: "it is another's, and may be that of a backup that was applied again", tasks: tasks(naming("a")), known: perCall, want: may},
		{name: "the same by an answer of which not all is known", tasks: tasks(), known: owned(Owner{Backups: []string{"a"}}, PerCall), want: may},
		{name: "it is another's, and known as a whole", tasks: tasks(), known: owned(Owner{Backups: []string{"a"}, Whole: true}, PerCall), want: absent},
	})
}

func TestEndedTasksClaimNothing(t *testing.T) {
	var cases []judged
	for _, status := range []cbr.TaskStatus{cbr.TaskSuccess, cbr.TaskFailed, cbr.TaskSkipped, cbr.TaskTimeout} {
		cases = append(cases, judged{name: string(status), tasks: []cbr.OperationLog{task("t", naming("b"), inStatus(status), endedFor(time.Hour))},
			want: Verdict{Kind: Absent}})
	}
	success := func(changes ...func(*cbr.OperationLog)) []cbr.OperationLog {
		return []cbr.OperationLog{task("t", append(changes, inStatus(cbr.TaskSuccess), endedFor(30*time.Second))...)}
	}
	run(t, append(cases, []judged{
		{name: "a success that has just been reported", tasks: success(naming("b")), want: Verdict{Kind: InProgress, Task: "t", Own: true, Ended: true}},
		{name: "the same of somebody", tasks: success(), want: Verdict{Kind: InProgress, Task: "t", Ended: true}},
		{name: "a failure that has just been reported", tasks: []cbr.OperationLog{task("t", naming("b"), inStatus(cbr.TaskFailed), endedFor(time.Second))},
			want: Verdict{Kind: Absent}},
		{name: "the resource's", tasks: []cbr.OperationLog{task("t", ofResource("r"), inStatus(cbr.TaskSuccess), endedFor(time.Hour))},
			want: Verdict{Kind: Absent}},
	}...))
}

func TestWhatProvesAbsence(t *testing.T) {
	unknown := Verdict{Kind: Unknown}
	run(t, []judged{
		{name: "all tasks", partial: true, want: unknown},
		{name: "calls that have settled", question: func(q *Question) { q.SettledAt = now.Add(time.Second) }, want: unknown},
		{name: "calls that have just settled", question: func(q *Question) { q.SettledAt = now }, want: Verdict{Kind: Absent}},
		{name: "an old look", known: func(k *Known) { k.Now = now.Add(FreshFor) }, want: unknown},
		{name: "a look that is not old", known: func(k *Known) { k.Now = now.Add(FreshFor - 1) }, want: Verdict{Kind: Absent}},
		{name: "a clock that was set back", known: func(k *Known) { k.Now = now.Add(-1) }, want: unknown},
		{name: "presence needs none of it", partial: true, status: "available", known: func(k *Known) { k.Now = now.Add(time.Hour) },
			question: func(q *Question) { q.SettledAt = now.Add(time.Hour) }, want: Verdict{Kind: Stored, Status: "available"}},
	})
}

func TestOverdueTasks(t *testing.T) {
	old := []cbr.OperationLog{task("t", createdFor(time.Hour))}
	undated := []cbr.OperationLog{task("t", uncreated)}
	firstSeen := func(ago time.Duration) func(*Known) {
		return func(k *Known) { k.FirstSeen = func(TaskKey) time.Time { return k.Now.Add(-ago) } }
	}
	absent, may := Verdict{Kind: Absent, Task: "t"}, Verdict{Kind: InProgress, Task: "t"}
	run(t, []judged{
		{name: "what is asked for singly does not wait", tasks: old, want: absent},
		{name: "what is not in a list does", tasks: old, listed: true, want: may},
		{name: "what could not be asked for does", tasks: old, failed: errDown, want: may},
		{name: "a younger one holds up", tasks: append([]cbr.OperationLog{task("young")}, old...), want: Verdict{Kind: InProgress, Task: "young"}},
		{name: "the backup's own holds up", tasks: []cbr.OperationLog{task("t", naming("b"), createdFor(time.Hour))},
			want: Verdict{Kind: InProgress, Task: "t", Own: true}},
		{name: "without a limit it holds up", tasks: old, known: func(k *Known) { k.OverdueAfter = 0 }, want: may},
		{name: "since when is not known", tasks: undated, want: may},
		{name: "since when is known from before", tasks: undated, known: firstSeen(time.Hour), want: absent},
		{name: "first seen just now", tasks: undated, known: firstSeen(time.Minute), want: may},
		{name: "first seen by nobody", tasks: undated, known: func(k *Known) { k.FirstSeen = func(TaskKey) time.Time { return time.Time{} } }, want: may},
		{name: "of another call, that may be its", tasks: []cbr.OperationLog{task("t", naming("a"), createdFor(time.Hour))}, known: perCall, want: absent},
	})
}

// Of a task without an id, and of one that does not say when it ended, it counts since when it was seen as it is.
func TestTasksWithoutAnIDOrAnEnd(t *testing.T) {
	nameless := []cbr.OperationLog{task("", uncreated)}
	endless := []cbr.OperationLog{task("t", inStatus(cbr.TaskSuccess))}
	firstSeen := func(ago time.Duration) func(*Known) {
		return func(k *Known) {
			k.SettleTime, k.FirstSeen = 30*time.Second, func(TaskKey) time.Time { return k.Now.Add(-ago) }
		}
	}
	unseen := func(k *Known) { k.SettleTime = 30 * time.Second }
	run(t, []judged{
		{name: "nameless and young", tasks: nameless, known: firstSeen(time.Minute), want: Verdict{Kind: InProgress}},
		{name: "nameless and overdue", tasks: nameless, known: firstSeen(time.Hour), want: Verdict{Kind: Absent}},
		{name: "success, seen for the first time", tasks: endless, known: unseen, want: Verdict{Kind: InProgress, Task: "t", Ended: true}},
		{name: "success, seen a moment ago", tasks: endless, known: firstSeen(29 * time.Second), want: Verdict{Kind: InProgress, Task: "t", Ended: true}},
		{name: "success, seen long ago", tasks: endless, known: firstSeen(31 * time.Second), want: Verdict{Kind: Absent}},
		{name: "failure", tasks: []cbr.OperationLog{task("t", inStatus(cbr.TaskFailed))}, known: unseen, want: Verdict{Kind: Absent}},
	})
}

// Tasks that cannot be told apart count together, and one that has ended is not the one that ran. That it was seen under way is not forgotten.
func TestWatchedTasks(t *testing.T) {
	tasks := newTaskList()
	tasks.date = now
	ended := func(ago time.Duration) func(*cbr.OperationLog) {
		return func(log *cbr.OperationLog) { inStatus(cbr.TaskSuccess)(log); endedFor(ago)(log) }
	}
	for _, each := range []cbr.OperationLog{task("a", uncreated), task("b"), task("b"), task("c", inStatus(cbr.TaskSuccess)),
		task("", uncreated, naming("x")), task("", uncreated, naming("X")), task("long ago", ended(time.Hour)), task("lately", ended(time.Minute)),
		task("to come", ended(-time.Hour)), task("in sight", ended(time.Hour)), task("f", inStatus(cbr.TaskFailed), endedFor(0))} {
		tasks.watch(&each, Known{Now: now, SettleTime: 30 * time.Second, FirstSeen: func(key TaskKey) time.Time {
			return map[TaskKey]time.Time{{id: "in sight"}: now.Add(-2 * time.Hour)}[key]
		}})
	}
	want := map[TaskKey]int{{id: "a"}: 1, {id: "b"}: 1, {"c", true}: 1, {"lately", true}: 1, {"to come", true}: 1, {"in sight", true}: 1, {"in sight", false}: 1,
		keyOf(&cbr.OperationLog{ExtraInfo: cbr.ExtraInfo{Backup: cbr.TaskBackup{ID: "x"}}}, false): 2}
	if got := tasks.Watched(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Verdicts are counted by what they say.
func TestWordsOfVerdicts(t *testing.T) {
	for want, verdict := range map[string]Verdict{
		"Absent":                               {Kind: Absent, Task: "overdue"},
		"Unknown: asked too long ago":          {Kind: Unknown, Why: "asked too long ago"},
		"InProgress: its own task":             {Kind: InProgress, Task: "t", Own: true},
		"InProgress: some task has just ended": {Kind: InProgress, Task: "t", Ended: true},
		"InProgress: in a passing status":      {Kind: InProgress, Status: "restoring"},
	} {
		if got := verdict.String(); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}

// Whatever CBR's clock says, and however it differs from ours: only what it says of itself tells that a task ended long ago, or began so.
func TestClocksThatDiffer(t *testing.T) {
	success := func(ago time.Duration) []cbr.OperationLog {
		return []cbr.OperationLog{task("t", inStatus(cbr.TaskSuccess), endedFor(ago))}
	}
	firstSeen := func(key TaskKey, ago time.Duration) func(*Known) {
		return func(k *Known) {
			k.FirstSeen = func(of TaskKey) time.Time { return map[TaskKey]time.Time{key: k.Now.Add(-ago)}[of] }
		}
	}
	lag := func(most time.Duration) func(*Known) { return func(k *Known) { k.DateLag = &most } }
	waits, absent := Verdict{Kind: InProgress, Task: "t", Ended: true}, Verdict{Kind: Absent}
	run(t, []judged{
		{name: "ended just now by a clock that is behind", ahead: -time.Hour, tasks: success(time.Hour + 5*time.Second), want: waits},
		{name: "ended long ago by a clock that is ahead", ahead: 8 * time.Hour, tasks: success(-7 * time.Hour), want: absent},
		{name: "ended a little too long ago for clocks of one cloud", tasks: success(10 * time.Minute), want: absent},
		{name: "ended in what clocks of one cloud may differ", tasks: success(10*time.Minute - 1), want: waits},
		{name: "ended before the backup must be shown, by clocks that differ less than that", tasks: success(80 * time.Second), known: lag(20 * time.Second), want: absent},
		{name: "ended before that, and was seen so a moment ago", tasks: success(80 * time.Second), known: func(k *Known) {
			firstSeen(TaskKey{"t", true}, 10*time.Second)(k)
			lag(20 * time.Second)(k)
		}, want: absent},
		{name: "ended in sight by clocks that hardly differ", tasks: success(80 * time.Second), known: func(k *Known) {
			firstSeen(TaskKey{id: "t"}, 10*time.Second)(k)
			lag(20 * time.Second)(k)
		}, want: waits},
		{name: "ended in what these clocks differ", tasks: success(80*time.Second - 1), known: lag(20 * time.Second), want: waits},
		{name: "ended in the future", tasks: success(-24 * time.Hour), known: lag(0), want: waits},
		{name: "ended in the future, and was seen so", tasks: success(-24 * time.Hour), known: firstSeen(TaskKey{"t", true}, time.Minute+time.Second), want: absent},
		{name: "ended in sight, long ago by CBR", tasks: success(time.Hour), known: firstSeen(TaskKey{id: "t"}, 2*time.Minute), want: waits},
		{name: "ended in sight a moment ago, long ago by CBR", tasks: success(time.Hour), known: firstSeen(TaskKey{"t", true}, 10*time.Second), want: waits},
		{name: "runs for long by a clock that is behind", ahead: -8 * time.Hour, tasks: []cbr.OperationLog{task("t", createdFor(8*time.Hour+time.Minute))},
			want: Verdict{Kind: InProgress, Task: "t"}},
		{name: "created in the future, and seen for long", tasks: []cbr.OperationLog{task("t", createdFor(-8*time.Hour))}, known: firstSeen(TaskKey{id: "t"}, time.Hour),
			want: Verdict{Kind: Absent, Task: "t"}},
	})
}

// How long ago a task ended by its date is told against the Date of the answer alone.
func TestForHowLongTasksHaveEnded(t *testing.T) {
	for name, c := range map[string]struct {
		task  cbr.OperationLog
		since time.Duration
		told  bool
	}{
		"it runs":                                {task("t"), 0, false},
		"it does not tell when":                  {task("t", inStatus(cbr.TaskSuccess)), 0, false},
		"it has ended":                           {task("t", inStatus(cbr.TaskFailed), endedFor(4*time.Second)), 4 * time.Second, true},
		"in the second of the Date":              {task("t", inStatus(cbr.TaskSuccess), endedFor(-time.Second)), 0, true},
		"it ends in the future, by wrong clocks": {task("t", inStatus(cbr.TaskSuccess), endedFor(-time.Second-1)), 0, false},
	} {
		tasks := newTaskList()
		tasks.keep(&c.task, true)
		if _, told := tasks.EndedFor("t"); told {
			t.Errorf("%s: told without a Date", name)
		}
		tasks.date = now
		if since, told := tasks.EndedFor("t"); since != c.since || told != c.told {
			t.Errorf("%s: %s, %t", name, since, told)
		}
		if _, told := tasks.EndedFor("another"); told {
			t.Errorf("%s: another is told of", name)
		}
	}
}

// What is waited for does not change from one look to the next.
func TestTheOldestTaskIsNamed(t *testing.T) {
	tasks := []cbr.OperationLog{task("z"), task("b", createdFor(20*time.Minute)), task("a", createdFor(20*time.Minute))}
	for range 20 {
		if got := (judged{tasks: tasks}).verdict().Task; got != "a" {
			t.Fatalf("got %q", got)
		}
	}
}

// Where only tasks of different resources were seen to differ, a task may be that of any backup of its resource.
func TestTasksOfOneResource(t *testing.T) {
	perResource := func(known *Known) { known.Scope = PerResource }
	waits := Verdict{Kind: InProgress, Task: "t"}
	run(t, []judged{
		{name: "nobody's, of the resource", tasks: []cbr.OperationLog{task("t", ofResource("R"))}, known: perResource, want: waits},
		{name: "names another backup of the resource", tasks: []cbr.OperationLog{task("t", naming("x"), ofResource("r"))}, known: perResource, want: waits},
		{name: "names another backup, and no resource", tasks: []cbr.OperationLog{task("t", naming("x"))}, known: perResource, want: waits},
		{name: "of another resource", tasks: []cbr.OperationLog{task("t", naming("x"), ofResource("q"))}, known: perResource, want: Verdict{Kind: Absent}},
		{name: "known as that of a backup of another resource", tasks: []cbr.OperationLog{task("t")},
			known: owned(Owner{Backups: []string{"x"}, ResourceID: "q"}, PerResource), want: Verdict{Kind: Absent}},
		{name: "known as that of a backup of the resource", tasks: []cbr.OperationLog{task("t")},
			known: owned(Owner{Backups: []string{"x"}, ResourceID: "r"}, PerResource), want: waits},
		{name: "known as a whole", tasks: []cbr.OperationLog{task("t", ofResource("r"))},
			known: owned(Owner{Backups: []string{"x"}, ResourceID: "r", Whole: true}, PerResource), want: Verdict{Kind: Absent}},
	})
}
