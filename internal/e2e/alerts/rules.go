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

// Package alerts lets each alert of config/monitoring fire: a real Prometheus scrapes real managers whose CBR misbehaves, with the rules
// in a time of their own, in which hours take seconds. `make alerts` runs that; what `make test` runs are the tests of the files alone.
package alerts

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"
)

// RuleFile is a file of rules, as Prometheus loads it.
type RuleFile struct {
	Groups []Group `json:"groups"`
}

// Group is rules that are evaluated one after the other.
type Group struct {
	Name  string `json:"name"`
	Rules []Rule `json:"rules"`
}

// Rule is an alert.
type Rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// Parse reads a file of rules. It refuses fields that it does not know, as they may hold a time.
func Parse(text []byte) (*RuleFile, error) {
	file := &RuleFile{}
	if err := yaml.UnmarshalStrict(text, file); err != nil {
		return nil, fmt.Errorf("read the rules: %w", err)
	}
	return file, nil
}

// Rules returns the rules of all groups.
func (f *RuleFile) Rules() []Rule {
	var all []Rule
	for _, group := range f.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// Compress divides all times of the rules: how long a condition has to hold, the ranges of the expressions, and the seconds that they
// compare with.
func (f *RuleFile) Compress(divisor int) error {
	for i := range f.Groups {
		for j := range f.Groups[i].Rules {
			rule := &f.Groups[i].Rules[j]
			var err error
			if rule.For, err = shorter(rule.For, divisor); err != nil {
				return fmt.Errorf("%s: for: %w", rule.Alert, err)
			}
			if rule.Expr, err = compressed(rule.Expr, divisor); err != nil {
				return fmt.Errorf("%s: expr: %w", rule.Alert, err)
			}
		}
	}
	return nil
}

var (
	// ranges are those of range vectors.
	ranges = regexp.MustCompile(`\[([^\]]*)\]`)
	// seconds are the numbers that times are compared with. Smaller ones are numbers of other things.
	seconds = regexp.MustCompile(`([<>]=?) ([1-9]\d+)\b`)
)

// leastSeconds is the smallest number that is taken for a time.
const leastSeconds = 60

// compressed divides the times of an expression.
func compressed(expr string, divisor int) (string, error) {
	var failed error
	expr = ranges.ReplaceAllStringFunc(expr, func(found string) string {
		short, err := shorter(found[1:len(found)-1], divisor)
		if err != nil {
			failed = err
		}
		return "[" + short + "]"
	})
	return seconds.ReplaceAllStringFunc(expr, func(found string) string {
		parts := seconds.FindStringSubmatch(found)
		number, err := strconv.ParseFloat(parts[2], 64)
		if err != nil {
			failed = err
		}
		if number < leastSeconds {
			return found
		}
		return parts[1] + " " + strconv.FormatFloat(number/float64(divisor), 'g', -1, 64)
	}), failed
}

// units are those of Prometheus' durations.
var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

// durations are those with one unit.
var durations = regexp.MustCompile(`^([1-9]\d*)([smhd])$`)

// shorter divides a duration of Prometheus.
func shorter(text string, divisor int) (string, error) {
	parts := durations.FindStringSubmatch(text)
	if parts == nil {
		return "", fmt.Errorf("%q is not a number and one of the units s, m, h, d", text)
	}
	number, err := strconv.Atoi(parts[1])
	if err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	length := time.Duration(number) * units[parts[2]] / time.Duration(divisor)
	return strconv.FormatInt(max(length.Milliseconds(), 1), 10) + "ms", nil
}
