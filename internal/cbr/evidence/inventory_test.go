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
	"slices"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

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
