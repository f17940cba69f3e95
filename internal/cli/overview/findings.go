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

package overview

import (
	"fmt"
	"slices"
	"strings"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/liveness"
	"backupsync.dev/operator/internal/cli/text"
)

// findings are what --fail-on can name: what each counts in a project, and what it is called.
var findings = map[string]struct {
	of   func(*Project) int
	what string
}{
	"stalled":     {func(p *Project) int { return one(p.Stalled) }, "stalled CBRProject"},
	"failed":      {func(p *Project) int { _, _, failed := p.found(); return failed }, "failed BackupSync"},
	"pending":     {func(p *Project) int { pending, _, _ := p.found(); return pending }, "pending BackupSync"},
	"running":     {func(p *Project) int { _, running, _ := p.found(); return running }, "running BackupSync"},
	"unknown":     {unknownOf, "BackupSync whose outcome is not known"},
	"drifted":     {func(p *Project) int { return p.Drifted.Count }, "drifted BackupSync"},
	"unavailable": {unavailableOf, "imported BackupSync whose backup cannot be restored"},
	"stale":       {func(p *Project) int { return one(len(p.Stale) > 0) }, "CBRProject whose status may be stale"},
}

// What --fail-on can name besides, which is in no project.
const (
	findMissing = "missing"
	findSilent  = "silent"
)

// findingNames are all that --fail-on can name.
func findingNames() []string {
	names := append(make([]string, 0, len(findings)+2), findMissing, findSilent)
	for name := range findings {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func one(holds bool) int {
	if holds {
		return 1
	}
	return 0
}

func unknownOf(p *Project) int {
	count := 0
	if p.UnknownCalls != nil {
		count = p.UnknownCalls.Backups
	}
	for _, each := range p.Reasons {
		if each.Reason == v1alpha1.ReasonOutcomeUnknown {
			count = max(count, each.Count)
		}
	}
	return count
}

// unavailableOf counts what audits have found missing, or unusable.
func unavailableOf(p *Project) int {
	if p.Audit == nil {
		return 0
	}
	return int(p.Audit.Missing + p.Audit.Unusable)
}

// checkFindings returns an error if --fail-on names what there is not.
func checkFindings(names []string) error {
	known := findingNames()
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("--fail-on=%s is not known: it can be %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

// find says what there is of what --fail-on names, "" if nothing.
func find(in *Overview, names []string) string {
	var found []string
	for _, name := range names {
		if said := findOne(in, name); said != "" {
			found = append(found, said)
		}
	}
	return strings.Join(found, ", ")
}

func findOne(in *Overview, name string) string {
	count, what := 0, ""
	switch name {
	case findSilent:
		if in.Operator.State == liveness.Silent {
			return "the operator is silent"
		}
	case findMissing:
		what = "BackupSync whose CBRProject does not exist"
		for _, each := range in.Orphans {
			count += each.Count
		}
	default:
		what = findings[name].what
		for i := range in.Projects {
			count += findings[name].of(&in.Projects[i])
		}
	}
	if count == 0 {
		return ""
	}
	return plural(count, what)
}

// plural counts things whose name may go on after its noun.
func plural(count int, what string) string {
	noun, rest, goesOn := strings.Cut(what, " whose ")
	if goesOn {
		rest = " whose " + rest
	}
	return text.Count(count, noun) + rest
}
