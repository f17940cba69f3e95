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

package bench_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
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
		id, _, _ := strings.Cut(key, ".")
		seen[id] = true
		if !slices.Contains(allIDs(), id) {
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

func TestScaledSizes(t *testing.T) {
	for mode, sizes := range map[string]sizes{report.Full: fullSizes(), report.Quick: quickSizes()} {
		if got, err := sizes.scaled(1); err != nil || !reflect.DeepEqual(got, sizes) {
			t.Errorf("%s: a scale of 1 makes %+v, %v", mode, got, err)
		}
		for _, factor := range []float64{0.0001, 0.1, 3} {
			got, err := sizes.scaled(factor)
			if err != nil {
				t.Fatal(err)
			}
			if got.populations[0] != 0 || len(got.populations) != len(sizes.populations) || !slices.Contains(got.populations, got.takeoverAt) {
				t.Errorf("%s, scale %g: steps %v with the takeover at %d", mode, factor, got.populations, got.takeoverAt)
			}
			if got.fullLoad < fewest || got.added < fewest || got.backupsPerTenant < fewest || got.limited <= accountCalls*cbr.MaxImportItems {
				t.Errorf("%s, scale %g: %+v", mode, factor, got)
			}
		}
	}
	for _, factor := range []float64{0, -1, 11} {
		if _, err := fullSizes().scaled(factor); err == nil {
			t.Errorf("a scale of %g is not refused", factor)
		}
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

func TestRequestsOfTheOperator(t *testing.T) {
	for _, test := range []struct {
		labels      record.Labels
		write, read bool
	}{
		{record.Labels{"resource": "backupsyncs", "subresource": "status", "verb": "PATCH"}, true, false},
		{record.Labels{"resource": "events", "verb": "POST"}, true, false},
		{record.Labels{"resource": "secrets", "verb": "GET"}, false, true},
		{record.Labels{"resource": "leases", "verb": "PUT"}, false, false},
	} {
		if isWrite(test.labels) != test.write || isRead(test.labels) != test.read {
			t.Errorf("%v: a write %t, a read %t", test.labels, isWrite(test.labels), isRead(test.labels))
		}
	}
}

func TestShareOfLimit(t *testing.T) {
	for name, test := range map[string]struct {
		seconds []int // of the calls, with a limit of two in ten
		want    float64
	}{
		"as soon as allowed":     {[]int{0, 0, 10, 10, 20}, 1},
		"half as fast":           {[]int{0, 0, 20, 20, 40}, 0.5},
		"spread, and all used":   {[]int{0, 5, 10, 15, 20}, 1},
		"never held back":        {[]int{0, 5}, math.NaN()},
		"more than was allowed":  {[]int{0, 0, 5}, 2},
		"late once, on the half": {[]int{0, 0, 10, 30}, 0.5},
	} {
		calls, began := make([]cluster.Call, 0, len(test.seconds)), time.Now()
		for _, second := range test.seconds {
			calls = append(calls, cluster.Call{Time: began.Add(time.Duration(second) * time.Second)})
		}
		if got := shareOfLimit(calls, 2, 10*time.Second); got != test.want && !(math.IsNaN(got) && math.IsNaN(test.want)) {
			t.Errorf("%s: got %g", name, got)
		}
	}
}

func TestGrouped(t *testing.T) {
	for number, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 100000: "100,000", 1234567: "1,234,567"} {
		if got := grouped(number); got != want {
			t.Errorf("%d is written %s", number, got)
		}
	}
}
