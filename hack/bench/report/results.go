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

// Package report holds what a run of the benchmark has found against what it should find, and shows it: as a table, as a
// file of results, and as plots.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Figure is one number that a measure has found.
type Figure struct {
	// Measure is the measure that found it, "B1" for one.
	Measure string `json:"measure"`
	// Name is unique within the measure. Measure and Name together are its key in the ranges.
	Name string `json:"name"`
	// Work says what was done.
	Work string `json:"work"`
	// Value is what is held against the range.
	Value float64 `json:"value"`
	// Text says the value with its unit, and what it was made of.
	Text string `json:"text"`
	// Verdict is what the range says of it. Judge fills it in.
	Verdict Verdict `json:"verdict"`
}

// MarshalJSON writes null for a value that is no number, which JSON cannot hold.
func (f Figure) MarshalJSON() ([]byte, error) {
	type plain Figure
	written := struct {
		plain
		Value *float64 `json:"value"`
	}{plain: plain(f)}
	if !math.IsNaN(f.Value) && !math.IsInf(f.Value, 0) {
		written.Value = &f.Value
	}
	return json.Marshal(written)
}

// Key is the figure's name in the ranges.
func (f *Figure) Key() string { return f.Measure + "." + f.Name }

// Series is a figure over the size of the work, for a plot.
type Series struct {
	// Name is the name of the plot's file.
	Name string `json:"name"`
	// Title, X and Y are the texts of the plot and its axes.
	Title string `json:"title"`
	X     string `json:"x"`
	Y     string `json:"y"`
	// Lines are the curves, in the order of the legend.
	Lines []Line `json:"lines"`
}

// Line is one curve of a plot.
type Line struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Point is one point of a curve.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Results are what one run has found.
type Results struct {
	// Started is when the run began, Took how long it took, in seconds.
	Started time.Time `json:"started"`
	Took    float64   `json:"tookSeconds"`
	// Mode is the profile of sizes and ranges: "full" or "quick". Scale is by how much the sizes were changed.
	Mode  string  `json:"mode"`
	Scale float64 `json:"scale"`
	// Machine describes where it ran.
	Machine Machine  `json:"machine"`
	Figures []Figure `json:"figures"`
	Series  []Series `json:"series"`
	// Failures are the measures that came to no result, and why.
	Failures []string `json:"failures,omitempty"`
}

// Machine describes where a run took place.
type Machine struct {
	Cores     int    `json:"cores"`
	System    string `json:"system"`
	GoVersion string `json:"goVersion"`
}

// Add adds a figure.
func (r *Results) Add(figure Figure) { r.Figures = append(r.Figures, figure) }

// Plot adds a series.
func (r *Results) Plot(series Series) { r.Series = append(r.Series, series) }

// Sort orders the figures by their measures; those of a measure stay in the order in which they were found.
func (r *Results) Sort() {
	slices.SortStableFunc(r.Figures, func(a, b Figure) int { return cmp.Compare(a.Measure, b.Measure) })
}

// Write writes results.json and the plots into a folder.
func (r *Results) Write(folder string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, resultsFile), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	for _, series := range r.Series {
		if err := os.WriteFile(filepath.Join(folder, series.Name+".svg"), []byte(SVG(series)), 0o644); err != nil {
			return fmt.Errorf("write the plot %s: %w", series.Name, err)
		}
	}
	return nil
}

const resultsFile = "results.json"

// Prepare makes a folder for results, and removes the results, plots and profiles of an earlier run from it: they would be
// taken for those of the next one.
func Prepare(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make the folder of the results: %w", err)
	}
	for _, pattern := range []string{resultsFile, "*.svg", "*.pprof"} {
		earlier, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return fmt.Errorf("look for earlier results: %w", err)
		}
		for _, path := range earlier {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove earlier results: %w", err)
			}
		}
	}
	return nil
}
