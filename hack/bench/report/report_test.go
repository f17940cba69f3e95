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

package report

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func bound(value float64) *float64 { return &value }

func TestRange(t *testing.T) {
	for text, test := range map[string]struct {
		is     Range
		inside []float64
		beyond []float64
	}{
		"≤ 1.25": {Range{Max: bound(1.25)}, []float64{-1, 0, 1.25}, []float64{1.26, math.Inf(1), math.NaN()}},
		"≥ 40":   {Range{Min: bound(40)}, []float64{40, math.Inf(1)}, []float64{39.9, math.NaN()}},
		"0":      {Range{Min: bound(0), Max: bound(0)}, []float64{0}, []float64{-1, 1, math.NaN()}},
		"1 to 3": {Range{Min: bound(1), Max: bound(3)}, []float64{1, 2, 3}, []float64{0.9, 3.1}},
		"any":    {Range{}, []float64{-1, 1}, []float64{math.NaN()}},
	} {
		if got := test.is.String(); got != text {
			t.Errorf("%s is shown as %s", text, got)
		}
		for _, value := range test.inside {
			if !test.is.Holds(value) {
				t.Errorf("%g is not in %s", value, text)
			}
		}
		for _, value := range test.beyond {
			if test.is.Holds(value) {
				t.Errorf("%g is in %s", value, text)
			}
		}
	}
}

const someRanges = `
B1.ratio: {goal: {max: 1.25}, quick: {max: 4}}
B2.calls: {goal: {min: 1, max: 1}, quick: {max: 2}, unit: x}
B4.heap: {goal: {max: 1.2}, range: {max: 3}, quick: {max: 9}, unit: KiB}
`

func TestParseRangesRefuses(t *testing.T) {
	for _, text := range []string{"B1: {goal: {max: 1}}", "B1.a: {gaol: {max: 1}}", "B1.a: {goal: {min: 2, max: 1}}", "B1.a: 5",
		"B1.a: {goal: {max: 1}, quick: {min: 2, max: 1}}", "B1.a: {goal: {max: 1}, range: {min: 2, max: 1}}", "B1.a: {}\nB1.a: {}"} {
		if got, err := ParseRanges([]byte(text)); err == nil {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func someResults(t *testing.T, mode string) (*Results, []string) {
	t.Helper()
	ranges, err := ParseRanges([]byte(someRanges))
	if err != nil {
		t.Fatal(err)
	}
	results := &Results{Mode: mode, Figures: []Figure{
		{Measure: "B4", Name: "heap", Work: "50,000 | at rest", Text: "2.5 KiB", Value: 2.5},
		{Measure: "B1", Name: "ratio", Work: "10,000", Text: "2 x", Value: 2},
		{Measure: "B1", Name: "seconds", Work: "10,000", Text: "9 s", Value: 9},
	}}
	results.Sort()
	return results, results.Judge(ranges, []string{"B1", "B2", "B4"})
}

func TestJudge(t *testing.T) {
	for mode, want := range map[string][]string{
		Full:  {"B1.ratio is 2, which is not in ≤ 1.25", "B2.calls was not measured"},
		Quick: {"B2.calls was not measured"},
	} {
		if _, got := someResults(t, mode); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q", mode, got)
		}
	}
}

func TestTable(t *testing.T) {
	results, _ := someResults(t, Full)
	want := `
| id  | work              | figure  | goal      | met     |
| --- | ---               | ---     | ---       | ---     |
| B1  | 10,000            | 2 x     | ≤ 1.25    | **no**  |
| B1  | 10,000            | 9 s     |           |         |
| B4  | 50,000 \| at rest | 2.5 KiB | ≤ 1.2 KiB | not yet |
`
	if got := results.Table(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestMedianAndRatio(t *testing.T) {
	for _, test := range []struct {
		values []float64
		median float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(test.values, func(value float64) float64 { return value }); got != test.median {
			t.Errorf("the median of %v is %g", test.values, got)
		}
	}
	if got := Ratio(time.Second, 0); !math.IsNaN(got) {
		t.Errorf("a ratio to nothing is %g", got)
	}
}

func TestWrite(t *testing.T) {
	folder := t.TempDir()
	results := &Results{Points: []Point{{Measure: "B4", Line: "live heap", Size: 50000, Of: "BackupSyncs", Value: 2.5, Unit: "MiB"}}}
	if err := results.Write(folder); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, pointsFile))
	if want := "B4,live heap,50000,BackupSyncs,2.5,MiB\n"; err != nil || !strings.HasSuffix(string(text), want) {
		t.Errorf("%v: the points are\n%s", err, text)
	}
}
