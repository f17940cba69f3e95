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
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

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

// Verdict is what the ranges say of a figure.
type Verdict struct {
	// Goal is what is shown as the goal, "" for a figure that is shown for information.
	Goal string `json:"goal,omitempty"`
	// Met reports whether the value is within the goal.
	Met bool `json:"met"`
	// Left says that the value is outside of the range that the run must not leave.
	Left bool `json:"left,omitempty"`
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
			figure.Verdict = Verdict{Met: true}
			continue
		}
		held := expected.held(r.Mode)
		figure.Verdict = Verdict{Goal: strings.TrimSpace(expected.shown(r.Mode).String() + " " + expected.Unit),
			Met: expected.shown(r.Mode).Holds(figure.Value), Left: !held.Holds(figure.Value)}
		if figure.Verdict.Left {
			wrong = append(wrong, fmt.Sprintf("%s is %s, which is not in %s", figure.Key(), number(figure.Value), held))
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
