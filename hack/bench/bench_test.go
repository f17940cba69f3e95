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

package main

import (
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/e2e/cluster"
)

func TestRangesAreOfMeasures(t *testing.T) {
	ranges, err := report.ParseRanges(rangesFile)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for key, expected := range ranges {
		measure, _, _ := strings.Cut(key, ".")
		seen[measure] = true
		if !slices.Contains(allIDs(), measure) {
			t.Errorf("%s is of no measure", key)
		}
		for name, each := range map[string]report.Range{"goal": expected.Goal, "quick": expected.Quick} {
			if each == (report.Range{}) {
				t.Errorf("%s has no %s", key, name)
			}
		}
	}
	for _, id := range allIDs() {
		if !seen[id] {
			t.Errorf("nothing is expected of %s", id)
		}
	}
}

func TestParseOnly(t *testing.T) {
	for list, want := range map[string][]string{
		"":          {"B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8"},
		"B4":        {"B4"},
		"b7, B1,B2": {"B7", "B1", "B2"},
		"B9":        nil,
		"B1,":       nil,
	} {
		if got, err := parseOnly(list); !reflect.DeepEqual(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: got %v, %v", list, got, err)
		}
	}
}

func TestParseFlags(t *testing.T) {
	for _, arguments := range []string{"--fast", "B1", "--scale=x"} {
		if _, err := parseFlags(strings.Fields(arguments), io.Discard); err == nil {
			t.Errorf("%s: not refused", arguments)
		}
	}
	got, err := parseFlags([]string{"--quick", "--only=B1"}, io.Discard)
	if want := (options{quick: true, only: "B1", scale: 1}); err != nil || got != want || got.mode() != report.Quick {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestScaledSizes(t *testing.T) {
	for mode, sizes := range map[string]sizes{report.Full: fullSizes(), report.Quick: quickSizes()} {
		if got, err := sizes.scaled(1); err != nil || !reflect.DeepEqual(got, sizes) {
			t.Errorf("%s: a scale of 1 makes %+v, %v", mode, got, err)
		}
		for _, scale := range []float64{0.0001, 0.1, 3} {
			got, err := sizes.scaled(scale)
			if err != nil {
				t.Fatal(err)
			}
			if got.populations[0] != 0 || len(got.populations) != len(sizes.populations) || !slices.Contains(got.populations, got.takeoverAt) {
				t.Errorf("%s, scale %g: steps %v with the takeover at %d", mode, scale, got.populations, got.takeoverAt)
			}
			if got.fullLoad < fewest || got.added < fewest || got.backupsPerTenant < fewest {
				t.Errorf("%s, scale %g: %+v", mode, scale, got)
			}
		}
	}
	for _, scale := range []float64{0, -1, 11} {
		if _, err := fullSizes().scaled(scale); err == nil {
			t.Errorf("a scale of %g is not refused", scale)
		}
	}
}

func TestInParallel(t *testing.T) {
	var mutex sync.Mutex
	var done []int
	err := inParallel(t.Context(), 4, 3, 20, func(_ context.Context, number int) error {
		mutex.Lock()
		defer mutex.Unlock()
		done = append(done, number)
		return nil
	})
	slices.Sort(done)
	if err != nil || len(done) != 17 || done[0] != 3 || done[16] != 19 || len(slices.Compact(done)) != 17 {
		t.Errorf("got %v, %v", done, err)
	}
}

func TestInParallelEndsWithTheFirstError(t *testing.T) {
	broken, calls := errors.New("broken"), make(chan int, 1000)
	err := inParallel(t.Context(), 4, 0, 1000, func(_ context.Context, number int) error {
		calls <- number
		return broken
	})
	if !errors.Is(err, broken) || len(calls) > 4 {
		t.Errorf("%d calls, %v", len(calls), err)
	}
}

// The statuses of the generator must be what the operator takes for the end, or the population would not be at rest.
func TestImportedStatusIsTheEnd(t *testing.T) {
	herd := &herd{namespace: "here", projects: []string{"one"}, inARow: 1}
	backup := herd.manifest(7)
	backup.Generation, backup.Status = 1, herd.importedStatus(7)
	if !backupsync.Settled(backup) || !meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("imported: %+v", backup.Status)
	}
	status := backup.Status
	if status.Outcome != v1alpha1.OutcomeImported || status.SentHash != backupsync.Hash(&backup.Spec) || status.OperationLogID == "" ||
		status.Attempts != 1 || status.SubmittedTime == nil || status.FinishedTime == nil || status.BackupTime == nil {
		t.Errorf("the facts of an imported one: %+v", status)
	}
}

func TestRunningStatusIsUnderWay(t *testing.T) {
	herd := &herd{namespace: "here", projects: []string{"one"}, inARow: 1}
	backup := herd.manifest(7)
	backup.Generation, backup.Status = 1, herd.runningStatus(7)
	if backupsync.StateOf(backup) != backupsync.Running || !backupsync.Presented(backup, backupsync.Circumstances{}) {
		t.Errorf("running: %+v", backup.Status)
	}
	if !meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionReconciling) {
		t.Error("a running one is not reconciling")
	}
}

func TestHerdTakesTurns(t *testing.T) {
	herd := &herd{namespace: "here", projects: []string{"one", "two"}}
	for inARow, want := range map[int][]string{1: {"one", "two", "one", "two", "one"}, 2: {"one", "one", "two", "two", "one"}} {
		herd.inARow = inARow
		for number, project := range want {
			if got := herd.manifest(number).Spec.ProjectRef.Name; got != project {
				t.Errorf("%d in a row: number %d is of %s", inARow, number, got)
			}
		}
	}
	first, second := herd.manifest(0), herd.manifest(1)
	if first.Spec.BackupID == second.Spec.BackupID || first.Name == second.Name {
		t.Error("two are the same")
	}
}

func TestLongestPoll(t *testing.T) {
	list := func(query string) cluster.Call { return cluster.Call{Operation: "ListOpLogs", Query: query} }
	for name, test := range map[string]struct {
		calls []cluster.Call
		want  int
	}{
		"none": {nil, 0},
		"only the look before the first submission": {[]cluster.Call{list("limit=1000&offset=0&status=waiting")}, 0},
		"two polls, the second longer": {[]cluster.Call{
			list("limit=1000&offset=0&start_time=x"),
			{Operation: "ImportBackup"},
			list("limit=1000&offset=0&start_time=x"), list("limit=1000&offset=1000&start_time=x"), list("limit=1000&offset=2000&start_time=x"),
		}, 3},
	} {
		if got := longestPoll(test.calls); got != test.want {
			t.Errorf("%s: got %d", name, got)
		}
	}
}

func TestCountLookups(t *testing.T) {
	began := time.Now()
	at := func(after time.Duration, operation cbr.Operation) cluster.Call {
		return cluster.Call{Time: began.Add(after), Operation: string(operation)}
	}
	calls := []cluster.Call{
		at(-time.Second, cbr.OperationListBackups),
		at(time.Second, cbr.OperationListBackups), at(time.Second, cbr.OperationGetBackup), at(time.Second, cbr.OperationListTasks),
		at(time.Second, cbr.OperationImport),
	}
	if got := countLookups(calls, began); got != 2 {
		t.Errorf("got %d", got)
	}
}

func TestOfOperator(t *testing.T) {
	requests := record.Requests{
		{Resource: "backupsyncs", Subresource: "status", Verb: "PATCH"}: 5,
		{Resource: "events", Verb: "POST"}:                              1,
		{Resource: "leases", Verb: "PUT"}:                               30,
		{Resource: "secrets", Verb: "GET"}:                              2,
	}
	if got := requests.Count(ofOperator(record.Request.Writes)); got != 6 {
		t.Errorf("got %d writes", got)
	}
}

func TestRefusedForRate(t *testing.T) {
	if got := refusedForRate(map[string]int{"ImportBackup 429 APIGW.0308": 3, "ImportBackup 200": 20, "ListOpLogs 429": 1}); got != 3 {
		t.Errorf("got %d", got)
	}
}

func TestGrouped(t *testing.T) {
	for number, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 100000: "100,000", 1234567: "1,234,567"} {
		if got := grouped(number); got != want {
			t.Errorf("%d is written %s", number, got)
		}
	}
}
