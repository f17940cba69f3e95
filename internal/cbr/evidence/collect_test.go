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
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

var _ Source = (*cbr.Client)(nil)

// still is a CBR that does not change.
type still struct {
	tasks   []cbr.OperationLog
	backups []cbr.ListedBackup
	hidden  []string // not in lists
	arrives []string // those of which the first that is asked for is there from then on
	leaves  []string // are there when they are asked for the first time, and gone then
	unstill bool     // the list of backups counts one more than it shows

	failsAfter map[string]error // those of them that leave
	failures   map[string]error
	listErr    error
	down       error // of every question for a backup
	noCount    bool

	mutex   sync.Mutex
	queries []cbr.OperationLogsQuery
	asked   []string
}

func (s *still) count(elements int) int {
	if s.noCount {
		return 0
	}
	return elements
}

func (s *still) ListOperationLogs(_ context.Context, query cbr.OperationLogsQuery) (cbr.Page[cbr.OperationLog], error) {
	s.queries = append(s.queries, query)
	from := min(query.Offset, len(s.tasks))
	to := min(from+query.Limit, len(s.tasks))
	return cbr.Page[cbr.OperationLog]{Items: s.tasks[from:to], Size: to - from, Count: s.count(len(s.tasks)), Date: now}, s.listErr
}

func (s *still) GetOperationLog(_ context.Context, id string) (cbr.OperationLog, error) {
	s.asked = append(s.asked, id)
	for _, task := range s.tasks {
		if task.ID == id {
			return task, s.failures[id]
		}
	}
	return cbr.OperationLog{}, errNotThere
}

func (s *still) ListBackups(_ context.Context, query cbr.BackupsQuery) (cbr.Page[cbr.ListedBackup], error) {
	from := min(query.Offset, len(s.backups))
	to := min(from+query.Limit, len(s.backups))
	count := s.count(len(s.backups))
	if s.unstill {
		count++
	}
	return cbr.Page[cbr.ListedBackup]{Items: s.backups[from:to], Size: to - from, Count: count}, s.listErr
}

func (s *still) GetBackup(_ context.Context, id string) (cbr.StoredBackup, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.asked = append(s.asked, id)
	if err := cmp.Or(s.failures[id], s.down); err != nil {
		return cbr.StoredBackup{}, err
	}
	if slices.Contains(s.hidden, id) {
		return cbr.StoredBackup{ID: id, Status: "available"}, nil
	}
	if i := slices.Index(s.leaves, id); i >= 0 {
		s.leaves = slices.Delete(s.leaves, i, i+1)
		s.failures[id] = s.failsAfter[id]
		return cbr.StoredBackup{ID: id, Status: "available"}, nil
	}
	if slices.Contains(s.arrives, id) { // since the list was read
		s.backups = append(s.backups, cbr.ListedBackup{ID: id, Status: "available"})
		s.arrives = nil
	}
	for _, backup := range s.backups {
		if backup.ID == id {
			return cbr.StoredBackup{ID: id, Status: string(backup.Status)}, nil
		}
	}
	return cbr.StoredBackup{}, errNotThere
}

// holding is a CBR that holds so many backups.
func holding(backups int) *still {
	s := &still{failures: map[string]error{}}
	for n := range backups {
		s.backups = append(s.backups, cbr.ListedBackup{ID: fmt.Sprintf("stored-%d", n), Status: "available"})
	}
	return s
}

// about asks about so many backups, of which CBR has none.
func about(count int, more ...string) (questions []Question) {
	for n := range count {
		questions = append(questions, Question{BackupID: fmt.Sprintf("new-%d", n)})
	}
	for _, id := range more {
		questions = append(questions, Question{BackupID: id})
	}
	return questions
}

func collect(t *testing.T, source Source, query Query) (*Look, *Judge) {
	t.Helper()
	query.Known.Now = now
	look, err := Collect(t.Context(), source, query)
	if err != nil {
		t.Fatal(err)
	}
	return look, NewJudge(look, query.Known)
}

func expect(t *testing.T, judge *Judge, kind Kind, questions ...Question) {
	t.Helper()
	for _, question := range questions {
		if got := judge.Verdict(question); got.Kind != kind {
			t.Errorf("%s is %+v, want %s", question.BackupID, got, kind)
		}
	}
}

// A look takes few calls: the list of tasks is one page and the empty one after it, or just the empty one.
func TestReadsOfALook(t *testing.T) {
	for name, each := range map[string]struct {
		source    *still
		questions []Question
		pages     int
		want      Reads
	}{
		"few backups are asked for":                     {holding(50), about(5), 0, Reads{Lists: 1, Singles: 5}},
		"many are looked for in the list":               {holding(50), about(100), 0, Reads{Lists: 1 + 2, Singles: maxProbes}},
		"some are asked for, as the list is known long": {holding(50), about(7), 8, Reads{Lists: 1, Singles: 7}},
		"ids in capitals may take two questions": {holding(50), about(0, "NEW-1", "NEW-2", "NEW-3", "NEW-4", "NEW-5", "NEW-6"), 8,
			Reads{Lists: 1 + 2, Singles: 2 * maxProbes}},
		"some are asked for, as the list turns out long": {holding(10_000), about(7), 0, Reads{Lists: 1 + 1, Singles: 7}},
		"a long list":    {holding(10_000), about(100), 0, Reads{Lists: 1 + 12, Singles: maxProbes}},
		"all are found":  {holding(2_500), about(0, idsOf(holding(900))...), 0, Reads{Lists: 1 + 1}},
		"no count":       {&still{backups: holding(50).backups, noCount: true}, about(100), 0, Reads{Lists: 1 + 4, Singles: maxProbes}},
		"nothing stored": {holding(0), about(100), 0, Reads{Lists: 1 + 1, Singles: maxProbes}},
	} {
		t.Run(name, func(t *testing.T) {
			look, judge := collect(t, each.source, Query{Questions: each.questions, Pages: each.pages})
			if look.Reads() != each.want {
				t.Errorf("got %+v, want %+v", look.Reads(), each.want)
			}
			for _, question := range each.questions {
				kind := Absent
				if strings.HasPrefix(question.BackupID, "stored") {
					kind = Stored
				}
				expect(t, judge, kind, question)
			}
		})
	}
}

func idsOf(s *still) (ids []string) {
	for _, backup := range s.backups {
		ids = append(ids, backup.ID)
	}
	return ids
}

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

// What a task is known to work on is not asked for, and what is stored in other case is found.
func TestOnlyTheUndecidedAreAskedFor(t *testing.T) {
	source := holding(1)
	source.tasks = []cbr.OperationLog{task("t", naming("new-0")), task("done", naming("stored-0"), inStatus(cbr.TaskSuccess), endedFor(time.Second))}
	_, judge := collect(t, source, Query{Questions: about(2, "STORED-0"), Known: Known{Scope: PerBackup, SettleTime: time.Minute}})
	slices.Sort(source.asked)
	if want := []string{"STORED-0", "new-1", "stored-0"}; !slices.Equal(source.asked, want) {
		t.Errorf("asked for %v, want %v", source.asked, want)
	}
	expect(t, judge, Stored, Question{BackupID: "STORED-0"})
	if got := judge.Verdict(Question{BackupID: "Stored-0"}).Task; got != "done" {
		t.Errorf("imported by %q", got)
	}
}

// Where CBR shows ids with capitals, a backup is asked for in capitals, too; elsewhere that costs no question.
func TestBackupsAreAskedForInCapitalsWhereCBRShowsSome(t *testing.T) {
	for name, each := range map[string]struct {
		tasks    []cbr.OperationLog
		capitals bool
		asked    []string
		want     Kind
	}{
		"no ids with capitals":           {nil, false, []string{"b-0"}, Absent},
		"a task names one":               {[]cbr.OperationLog{task("t", naming("B-7"), inStatus(cbr.TaskFailed))}, false, []string{"b-0", "B-0"}, Stored},
		"one was shown before":           {nil, true, []string{"b-0", "B-0"}, Stored},
		"a task names one in lower case": {[]cbr.OperationLog{task("t", naming("b-7"), inStatus(cbr.TaskFailed))}, false, []string{"b-0"}, Absent},
	} {
		t.Run(name, func(t *testing.T) {
			source := &still{tasks: each.tasks, backups: []cbr.ListedBackup{{ID: "B-0", Status: "available"}}}
			look, judge := collect(t, source, Query{Questions: []Question{{BackupID: "b-0"}}, Capitals: each.capitals, Known: Known{Scope: PerBackup}})
			expect(t, judge, each.want, Question{BackupID: "b-0"})
			if !slices.Equal(source.asked, each.asked) {
				t.Errorf("asked for %v, want %v", source.asked, each.asked)
			}
			if look.Backups.Capitals != (each.want == Stored) {
				t.Errorf("capitals %t", look.Backups.Capitals)
			}
		})
	}
}

// A read that fails for one id concerns that id. Where CBR does not answer at all, it is left in peace.
func TestSingleReadsThatFail(t *testing.T) {
	source := holding(0)
	source.failures = map[string]error{"new-1": errOutage, "new-3": errOutage}
	_, judge := collect(t, source, Query{Questions: about(5)})
	expect(t, judge, Absent, about(1)...)
	expect(t, judge, Absent, Question{BackupID: "new-2"}, Question{BackupID: "new-4"})
	expect(t, judge, Unknown, Question{BackupID: "new-1"}, Question{BackupID: "new-3"})
	if err := judge.Verdict(Question{BackupID: "new-3"}).Err; !errors.Is(err, errOutage) {
		t.Errorf("the failure is %v", err)
	}

	source = holding(0)
	for _, question := range about(100) {
		source.failures[question.BackupID] = errOutage
	}
	if _, err := Collect(t.Context(), source, Query{Questions: about(100), Pages: 100}); !errors.Is(err, errOutage) {
		t.Errorf("got %v, though nothing was answered", err)
	}
	if len(source.asked) > maxFailures+singleReaders {
		t.Errorf("%d questions, though nothing was answered", len(source.asked))
	}
}

// Where none of a few questions is answered, one for a backup that does not exist tells whether it is for their ids.
func TestFewSingleReadsThatAllFail(t *testing.T) {
	source := holding(0)
	source.failures = map[string]error{"new-0": errOutage}
	_, judge := collect(t, source, Query{Questions: about(1)})
	expect(t, judge, Unknown, about(1)...)
	if len(source.asked) != 2 {
		t.Errorf("asked for %v", source.asked)
	}
	source = holding(0)
	source.down = errOutage
	if _, err := Collect(t.Context(), source, Query{Questions: about(1)}); !errors.Is(err, errOutage) {
		t.Errorf("got %v, though nothing is answered", err)
	}
}

// What is refused for the credentials, or for the rate, is refused for all.
func TestARefusalThatConcernsAll(t *testing.T) {
	for _, class := range []cbr.Class{cbr.Credentials, cbr.Throttled} {
		refusal := &cbr.Error{Class: class}
		source := holding(0)
		for _, question := range about(100)[50:] {
			source.failures[question.BackupID] = refusal
		}
		if _, err := Collect(t.Context(), source, Query{Questions: about(100), Pages: 100}); !errors.Is(err, refusal) {
			t.Errorf("got %v, want the refusal", err)
		}
		if _, err := Poll(t.Context(), &still{tasks: []cbr.OperationLog{task("t")}, failures: map[string]error{"t": refusal}}, PollQuery{Questions: []Question{{TaskID: "t"}}}); !errors.Is(err, refusal) {
			t.Errorf("got %v, want the refusal", err)
		}
	}
}

// Ids that CBR refuses one by one do not keep others from being asked for, and are told by the list.
func TestManyIDsThatAreRefused(t *testing.T) {
	source := holding(0)
	for _, question := range about(50) {
		source.failures[question.BackupID] = errNotAnID
	}
	_, judge := collect(t, source, Query{Questions: about(60), Pages: 100})
	expect(t, judge, Absent, about(60)...)
}

// Where CBR refuses the only question there is, the list tells of an id that is no UUID. A refused UUID stays unknown.
func TestTheOnlyIDIsRefused(t *testing.T) {
	const ordinary = "1f9e6b47-7655-4a19-b563-21b4ef023025"
	source := holding(3)
	source.failures = map[string]error{"new-0": errNotAnID, "stored-1": errNotAnID, ordinary: errNotAnID}
	for id, want := range map[string]Kind{"new-0": Absent, "stored-1": Stored, ordinary: Unknown} {
		_, judge := collect(t, source, Query{Questions: []Question{{BackupID: id}}})
		expect(t, judge, want, Question{BackupID: id})
	}
}

func TestAListThatFails(t *testing.T) {
	source := holding(0)
	source.listErr = errOutage
	if _, err := Collect(t.Context(), source, Query{Questions: about(1)}); !errors.Is(err, errOutage) {
		t.Errorf("got %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Collect(canceled, holding(0), Query{Questions: about(1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A list that lacks what is there is not believed: all that it lacks is asked for.
func TestANarrowedList(t *testing.T) {
	source := holding(3)
	for _, question := range about(20) {
		source.hidden = append(source.hidden, question.BackupID)
	}
	look, judge := collect(t, source, Query{Questions: about(20, "really-new", "stored-0")})
	expect(t, judge, Stored, about(20, "stored-0")...)
	expect(t, judge, Absent, Question{BackupID: "really-new"})
	expect(t, judge, Unknown, Question{BackupID: "not asked about"})
	if look.Backups.Whole() {
		t.Error("the list is believed")
	}
}

// What has come since the list was read was not hidden by it, whether the look itself finds that or another one which it serves.
func TestABackupThatComesAfterTheListWasRead(t *testing.T) {
	for name, find := range map[string]func(*still) (*Look, *Judge){
		"by a probe": func(source *still) (*Look, *Judge) {
			for _, question := range about(20) {
				source.arrives = append(source.arrives, question.BackupID)
			}
			return collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
		},
		"by a later question": func(source *still) (*Look, *Judge) {
			look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
			source.arrives = []string{"new-7"}
			if err := look.AskFor(t.Context(), source, "new-7"); err != nil {
				t.Fatal(err)
			}
			return look, judge
		},
	} {
		t.Run(name, func(t *testing.T) {
			source := holding(3)
			look, judge := find(source)
			came := source.backups[3].ID
			if look.Backups.Narrowed || !look.Backups.Whole() {
				t.Errorf("narrowed %t, whole %t", look.Backups.Narrowed, look.Backups.Whole())
			}
			for _, question := range about(20) {
				want := Absent
				if question.BackupID == came {
					want = Stored
				}
				expect(t, judge, want, question)
			}
		})
	}
}

// One that is hidden still when the list is read again was hidden.
func TestABackupThatALookFindsHiddenLater(t *testing.T) {
	source := holding(3)
	look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
	source.hidden = []string{"new-7"}
	if err := look.AskFor(t.Context(), source, "new-7"); err != nil {
		t.Fatal(err)
	}
	if !look.Backups.Narrowed || look.Backups.Whole() {
		t.Errorf("narrowed %t, whole %t", look.Backups.Narrowed, look.Backups.Whole())
	}
	expect(t, judge, Stored, Question{BackupID: "new-7"})
	for _, question := range about(20) {
		if !slices.Contains(source.asked, question.BackupID) {
			expect(t, judge, Unknown, question)
		}
	}
}

// One that comes, and one that is hidden, are found at the same time.
func TestAHiddenBackupBesideOneThatComes(t *testing.T) {
	for _, order := range [][]string{{"new-7", "new-8"}, {"new-8", "new-7"}} {
		source := holding(3)
		look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
		source.arrives, source.hidden = order[:1], order[1:]
		if err := look.AskFor(t.Context(), source, "new-7", "new-8"); err != nil {
			t.Fatal(err)
		}
		if !look.Backups.Narrowed || look.Backups.Whole() {
			t.Errorf("%v: narrowed %t, whole %t", order, look.Backups.Narrowed, look.Backups.Whole())
		}
		expect(t, judge, Stored, Question{BackupID: "new-7"}, Question{BackupID: "new-8"})
	}
}

// What was found and is gone when the list is read again was not hidden; of a list that cannot be read as a whole again nobody knows, and
// this look alone is in doubt.
func TestAListThatCannotBeHeldAgainstWhatWasFound(t *testing.T) {
	call := &Call{Items: []string{"new-7", "new-9"}}
	for name, c := range map[string]struct {
		change  func(*still)
		doubted bool
	}{
		"it is gone":                      {func(s *still) { s.leaves = []string{"new-7"} }, false},
		"the list does not hold still":    {func(s *still) { s.hidden, s.unstill = []string{"new-7"}, true }, true},
		"it comes, and is listed unstill": {func(s *still) { s.arrives, s.unstill = []string{"new-7"}, true }, true},
	} {
		t.Run(name, func(t *testing.T) {
			source := holding(3)
			look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
			c.change(source)
			if err := look.AskFor(t.Context(), source, "new-7", "new-9"); err != nil {
				t.Fatal(err)
			}
			if look.Backups.Narrowed || look.Backups.Doubted != c.doubted {
				t.Errorf("narrowed %t, doubted %t", look.Backups.Narrowed, look.Backups.Doubted)
			}
			if got := judge.Verdict(Question{BackupID: "new-9", Call: call}); (got.Kind != Absent) != c.doubted {
				t.Errorf("of a lost call it says %+v", got)
			}
		})
	}
}

// A list that is read for an id that CBR takes in no question is held against what others were told.
func TestAListThatHidesWhatWasAskedForBefore(t *testing.T) {
	source := holding(3)
	source.failures = map[string]error{"no-uuid": errNotAnID}
	source.hidden = []string{"new-0"}
	look, judge := collect(t, source, Query{Questions: about(1, "no-uuid")})
	if !look.Backups.Narrowed || look.Backups.Whole() {
		t.Errorf("narrowed %t, whole %t", look.Backups.Narrowed, look.Backups.Whole())
	}
	expect(t, judge, Stored, about(1)...)
	expect(t, judge, Unknown, Question{BackupID: "no-uuid"})
}

// What was not there when it was asked for, and is listed then, is not absent.
func TestABackupThatIsListedAfterItWasAskedFor(t *testing.T) {
	source := holding(3)
	source.failures = map[string]error{"no-uuid": errNotAnID}
	look, judge := collect(t, source, Query{Questions: about(1, "no-uuid", "StoreD-1")}) // CBR keeps it in lower case, and finds it in no other
	expect(t, judge, Absent, about(1, "no-uuid")...)
	expect(t, judge, Stored, Question{BackupID: "stored-1"})
	source.backups = append(source.backups, cbr.ListedBackup{ID: "new-0", Status: "available"}, cbr.ListedBackup{ID: "neW-1", Status: "available"})
	source.arrives = []string{"new-2"}
	if err := look.AskFor(t.Context(), source, "new-1", "new-2"); err != nil {
		t.Fatal(err)
	}
	expect(t, judge, Unknown, about(2)...)
	expect(t, judge, Stored, Question{BackupID: "new-2"})
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

// A question that fails says nothing of what the list hides.
func TestAListThatCannotBeHeldAgainstAFailedQuestion(t *testing.T) {
	source := holding(3)
	look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0"}})
	source.leaves = []string{"new-7"}
	source.failsAfter = map[string]error{"new-7": errOutage}
	if err := look.AskFor(t.Context(), source, "new-7"); err != nil {
		t.Fatal(err)
	}
	if look.Backups.Narrowed || !look.Backups.Doubted || look.Backups.Whole() {
		t.Errorf("narrowed %t, doubted %t, whole %t", look.Backups.Narrowed, look.Backups.Doubted, look.Backups.Whole())
	}
	expect(t, judge, Stored, Question{BackupID: "new-7"})
}

// A list that was read as a whole serves those who ask later, without another call.
func TestALookServesOthers(t *testing.T) {
	source := holding(100)
	source.tasks = []cbr.OperationLog{task("t", naming("running"))}
	look, judge := collect(t, source, Query{Questions: about(10), Known: Known{Scope: PerBackup}})
	before := look.Reads()
	expect(t, judge, Absent, Question{BackupID: "another"})
	expect(t, judge, InProgress, Question{BackupID: "Running"})
	expect(t, judge, Unknown, Question{BackupID: "stored-7"}) // it is in the list, but its status was not kept
	if look.Knows("stored-7") || !look.Knows("another") {
		t.Error("Knows is wrong")
	}
	if look.Reads() != before {
		t.Error("judging reads")
	}
	if err := look.AskFor(t.Context(), source, "STORED-7", "another"); err != nil {
		t.Fatal(err)
	}
	expect(t, judge, Stored, Question{BackupID: "stored-7"})
	if look.Backups.Narrowed || !look.Backups.Whole() {
		t.Error("the list is not believed any more, though it has shown that backup")
	}
	if len(look.Backups.shown) > 1 || len(look.Tasks.tasks) > 1 {
		t.Error("more is kept than was asked about")
	}
}

// What only an overdue task holds up is asked for singly.
func TestOverdueTasksMakeSingleQuestions(t *testing.T) {
	source := holding(100)
	source.tasks = []cbr.OperationLog{task("t", createdFor(2*time.Hour))}
	look, judge := collect(t, source, Query{Questions: about(10), Known: Known{OverdueAfter: time.Hour}})
	for _, question := range about(10) {
		if got, want := judge.Verdict(question), (Verdict{Kind: Absent, Task: "t"}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if look.Reads().Singles != 10 {
		t.Errorf("%d single questions", look.Reads().Singles)
	}
}

// Elements that cannot be read do not make a list of tasks incomplete for good.
func TestElementsWithoutIDs(t *testing.T) {
	source := holding(0)
	source.tasks = []cbr.OperationLog{task("", inStatus(cbr.TaskFailed)), task("", inStatus(cbr.TaskFailed)), task("t", inStatus(cbr.TaskFailed))}
	_, judge := collect(t, source, Query{Questions: about(1)})
	expect(t, judge, Absent, about(1)...)
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

// The real client reads what the server of cbrtest holds, in capitals, on short pages, with the order of the list moving.
func TestWithTheClient(t *testing.T) {
	for name, options := range map[string]cbrtest.Options{
		"as documented":  {},
		"short pages":    {MaxPage: 7},
		"without case":   {FoldCase: true},
		"a moving order": {MaxPage: 7, ListShift: 2},
	} {
		t.Run(name, func(t *testing.T) {
			server := cbrtest.NewServer(t, options)
			var questions []Question
			for n := range 30 {
				id := fmt.Sprintf("b-%d", n)
				server.AddBackups("", cbr.StoredBackup{ID: id, Status: "available"})
				if options.FoldCase {
					id = strings.ToUpper(id)
				}
				questions = append(questions, Question{BackupID: id})
			}
			_, judge := collect(t, server.Client(t), Query{Questions: append(about(3), questions...)})
			expect(t, judge, Absent, about(3)...)
			expect(t, judge, Stored, questions...)
		})
	}
}
