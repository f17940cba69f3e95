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
