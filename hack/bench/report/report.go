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

// Package report holds what a run of the benchmark has found against what it should find, and shows it: as a table, and as
// comma-separated values for plots.
package report

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/yaml"
)

// Figure is one number that a measure has found.
type Figure struct {
	// Measure is the measure that found it, "B1" for one.
	Measure string
	// Name is unique within the measure.
	Name string
	// Work says what was done.
	Work string
	// Value is what is held against the range.
	Value float64
	// Text says the value with its unit, and what it was made of.
	Text string
	// Goal is shown as the goal, "" for a figure that is shown for information. Met says how the figure stands: "not yet" if
	// it misses the goal but has not left its range. Judge fills them in.
	Goal, Met string
}

// Key is the figure's name in the ranges.
func (f *Figure) Key() string { return f.Measure + "." + f.Name }

// Point is what was found at one size of the work.
type Point struct {
	// Measure and Line name the curve that it is a point of.
	Measure, Line string
	// Size is the size of the work, Of what it counts.
	Size int
	Of   string
	// Value is what was found, in Unit.
	Value float64
	Unit  string
}

// Results are what one run has found.
type Results struct {
	// Mode is the profile of sizes and ranges: Full or Quick.
	Mode    string
	Figures []Figure
	Points  []Point
}

// Sort orders the figures by their measures; those of a measure stay in the order in which they were found.
func (r *Results) Sort() {
	slices.SortStableFunc(r.Figures, func(a, b Figure) int { return cmp.Compare(a.Measure, b.Measure) })
}

// Table shows the figures as a markdown table whose columns are aligned for those who read it as text.
func (r *Results) Table() string {
	var table strings.Builder
	aligned := tabwriter.NewWriter(&table, 0, 0, 1, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintf(aligned, "| %s\t|\n", strings.Join(cells, "\t| ")) } // neither writer fails
	row("id", "work", "figure", "goal", "met")
	row("---", "---", "---", "---", "---")
	for i := range r.Figures {
		figure := &r.Figures[i]
		row(figure.Measure, cell(figure.Work), cell(figure.Text), figure.Goal, figure.Met)
	}
	_ = aligned.Flush()
	return table.String()
}

// cell keeps a text from ending its cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// pointsFile is where the points go. The figures are in the output of the benchmarks.
const pointsFile = "points.csv"

// Write writes the points into a folder.
func (r *Results) Write(folder string) error {
	rows := make([][]string, 1, 1+len(r.Points))
	rows[0] = []string{"measure", "line", "size", "of", "value", "unit"}
	for _, point := range r.Points {
		rows = append(rows, []string{point.Measure, point.Line, strconv.Itoa(point.Size), point.Of, number(point.Value), point.Unit})
	}
	var text bytes.Buffer
	if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
		return fmt.Errorf("encode the points: %w", err)
	}
	return os.WriteFile(filepath.Join(folder, pointsFile), text.Bytes(), 0o644)
}

// Median returns the middle of what a function picks of each element, halfway between two, and 0 without any.
func Median[T any, N ~int64 | ~float64](all []T, pick func(T) N) N {
	if len(all) == 0 {
		return 0
	}
	picked := make([]N, 0, len(all))
	for _, each := range all {
		picked = append(picked, pick(each))
	}
	slices.Sort(picked)
	low, high := picked[(len(picked)-1)/2], picked[len(picked)/2]
	return low + (high-low)/2
}

// Ratio returns a/b, or what is not a number without a b: no range holds it.
func Ratio[N ~int | ~int64 | ~float64](a, b N) float64 {
	if b == 0 {
		return math.NaN()
	}
	return float64(a) / float64(b)
}

// Seconds rounds a duration to what is worth reading.
func Seconds(duration time.Duration) time.Duration {
	switch {
	case duration >= 10*time.Second:
		return duration.Round(100 * time.Millisecond)
	case duration >= time.Second:
		return duration.Round(10 * time.Millisecond)
	default:
		return duration.Round(100 * time.Microsecond)
	}
}

// Range is where a value should be. A bound that is not set does not bind.
type Range struct {
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
}

// Holds reports whether a value is in the range. No range holds what is not a number.
func (r Range) Holds(value float64) bool {
	return !math.IsNaN(value) && (r.Min == nil || value >= *r.Min) && (r.Max == nil || value <= *r.Max)
}

// String says the range as a table does.
func (r Range) String() string {
	switch {
	case r.Min != nil && r.Max != nil && *r.Min == *r.Max:
		return number(*r.Min)
	case r.Min != nil && r.Max != nil:
		return number(*r.Min) + " to " + number(*r.Max)
	case r.Min != nil:
		return "≥ " + number(*r.Min)
	case r.Max != nil:
		return "≤ " + number(*r.Max)
	default:
		return "any"
	}
}

func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }

// Expectation is what is expected of a figure.
type Expectation struct {
	// Goal is what the project promises. It is shown for full runs.
	Goal Range `json:"goal"`
	// Range is what a full run must not leave; the goal if it is not set. It is wider than a goal that is not met yet, and
	// is then to keep what there is from getting worse, and than one that is met so narrowly that noise could decide.
	Range *Range `json:"range,omitempty"`
	// Quick is what a quick run must not leave: wide, to see a collapse and not the noise of small numbers.
	Quick Range `json:"quick"`
	// Unit follows the numbers of the goal where they are shown.
	Unit string `json:"unit,omitempty"`
}

// Ranges are the expectations by the keys of the figures.
type Ranges map[string]Expectation

// ParseRanges reads ranges from YAML. It refuses fields that it does not know, and ranges that nothing can be in.
func ParseRanges(text []byte) (Ranges, error) {
	var ranges Ranges
	if err := yaml.UnmarshalStrict(text, &ranges); err != nil {
		return nil, fmt.Errorf("read the ranges: %w", err)
	}
	for key, expected := range ranges {
		measure, name, found := strings.Cut(key, ".")
		if !found || measure == "" || name == "" {
			return nil, fmt.Errorf("read the ranges: %q is not MEASURE.NAME", key)
		}
		for _, each := range []Range{expected.Goal, expected.Quick, expected.held(Full)} {
			if each.Min != nil && each.Max != nil && *each.Min > *each.Max {
				return nil, fmt.Errorf("read the ranges: %s: nothing is in %s", key, each)
			}
		}
	}
	return ranges, nil
}

// The profiles of sizes and ranges.
const (
	Full  = "full"
	Quick = "quick"
)

// held returns the range that a run in a mode must not leave.
func (e Expectation) held(mode string) Range {
	switch {
	case mode == Quick:
		return e.Quick
	case e.Range != nil:
		return *e.Range
	default:
		return e.Goal
	}
}

// shown returns what a table of a run in a mode shows as the goal.
func (e Expectation) shown(mode string) Range {
	if mode == Quick {
		return e.Quick
	}
	return e.Goal
}

// Judge holds each figure against its range, and returns what is wrong: figures that have left their range, and ranges
// without a figure although their measure was to be made. A measure that comes to nothing must not pass.
func (r *Results) Judge(ranges Ranges, made []string) []string {
	var wrong []string
	found := map[string]bool{}
	for i := range r.Figures {
		figure := &r.Figures[i]
		found[figure.Key()] = true
		expected, known := ranges[figure.Key()]
		if !known {
			continue
		}
		held, goal := expected.held(r.Mode), expected.shown(r.Mode)
		figure.Goal = strings.TrimSpace(goal.String() + " " + expected.Unit)
		switch {
		case !held.Holds(figure.Value):
			figure.Met = "**no**"
			wrong = append(wrong, fmt.Sprintf("%s is %s, which is not in %s", figure.Key(), number(figure.Value), held))
		case !goal.Holds(figure.Value):
			figure.Met = "not yet"
		default:
			figure.Met = "yes"
		}
	}
	for key := range ranges {
		if measure, _, _ := strings.Cut(key, "."); slices.Contains(made, measure) && !found[key] {
			wrong = append(wrong, key+" was not measured")
		}
	}
	slices.Sort(wrong)
	return wrong
}
