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
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
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
	results := &Results{Mode: mode}
	results.Add(Figure{Measure: "B4", Name: "heap", Work: "50,000 | at rest", Text: "2.5 KiB", Value: 2.5})
	results.Add(Figure{Measure: "B1", Name: "ratio", Work: "10,000", Text: "2 x", Value: 2})
	results.Add(Figure{Measure: "B1", Name: "seconds", Work: "10,000", Text: "9 s", Value: 9})
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
| id | work              | figure  | goal      | met     |
|----|-------------------|---------|-----------|---------|
| B1 | 10,000            | 2 x     | ≤ 1.25    | **no**  |
| B1 | 10,000            | 9 s     |           |         |
| B4 | 50,000 \| at rest | 2.5 KiB | ≤ 1.2 KiB | not yet |
`
	if got := results.Table(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		median float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(test.values); got != test.median {
			t.Errorf("the median of %v is %g", test.values, got)
		}
	}
	if got := Ratio(time.Second, 0); !math.IsNaN(got) {
		t.Errorf("a ratio to nothing is %g", got)
	}
}

func TestStep(t *testing.T) {
	for end, want := range map[float64]float64{0: 1, 1: 0.2, 4.9: 1, 100000: 20000, 0.03: 0.01, math.NaN(): 1} {
		if got := step(end); math.Abs(got-want) > 1e-9 {
			t.Errorf("the step of an axis to %g is %g", end, got)
		}
	}
	if got := label(0.6000000000000001, 0.2); got != "0.6" {
		t.Errorf("got the label %s", got)
	}
}

func someSeries() Series {
	return Series{Name: "heap", Title: "Heap & more <of it>", X: "BackupSyncs", Y: "MiB", Lines: []Line{
		{Name: "heap", Points: []Point{{X: 100000, Y: 300}, {X: 0, Y: 5}}},
		{Name: "nothing yet"},
	}}
}

func TestSVG(t *testing.T) {
	drawn := SVG(someSeries())
	decoder, elements := xml.NewDecoder(strings.NewReader(drawn)), map[string]int{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, drawn)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
		}
	}
	if elements["circle"] != 2 || elements["polyline"] != 2 {
		t.Errorf("got %v", elements)
	}
	for _, want := range []string{"Heap &amp; more &lt;of it&gt;", `points="80.0,335.0 620.0,40.0"`, ">100000<", ">300<"} {
		if !strings.Contains(drawn, want) {
			t.Errorf("no %s in\n%s", want, drawn)
		}
	}
}

func TestWrite(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "bench")
	results, _ := someResults(t, Full)
	results.Plot(someSeries())
	results.Add(Figure{Measure: "B9", Name: "nothing", Value: math.NaN()})
	for range 2 { // a second run takes the place of the first
		if err := Prepare(folder); err != nil {
			t.Fatal(err)
		}
		if err := results.Write(folder); err != nil {
			t.Fatal(err)
		}
		results.Series[0].Name = "another"
	}
	text, err := os.ReadFile(filepath.Join(folder, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read Results
	if err := json.Unmarshal(text, &read); err != nil || len(read.Figures) != 4 || read.Figures[0].Value != 2 || !read.Figures[0].Verdict.Left {
		t.Errorf("%v: read %+v", err, read)
	}
	plots, err := filepath.Glob(filepath.Join(folder, "*.svg"))
	if err != nil || len(plots) != 1 || filepath.Base(plots[0]) != "another.svg" {
		t.Errorf("the plots are %v, %v", plots, err)
	}
}
