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

package generate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/generate/fields"
	"backupsync.dev/operator/internal/cli/generate/inventory"
	"backupsync.dev/operator/internal/cli/generate/rules"
)

// read is a row with the meaning of its columns.
type read struct {
	row    inventory.Row
	file   int // its number
	layout *fields.Layout
	err    error // why its columns have no meaning
}

// judged is a row that is a backup, or has problems.
type judged struct {
	read
	spec     v1alpha1.BackupSyncSpec
	problems []fields.Problem
	notes    []fields.Note
}

// judge decides whether rows are backups. Several goroutines may use it.
type judge struct {
	rules   *rules.Rules
	zone    *time.Location
	project string
	suspend bool
}

func (j *judge) row(ctx context.Context, one read) judged {
	result := judged{read: one}
	switch {
	case one.row.Err != nil:
		result.problems = []fields.Problem{{Rule: one.row.Err.Error()}}
		return result
	case one.err != nil:
		result.problems = []fields.Problem{{Rule: one.err.Error()}}
		return result
	}
	item := one.layout.Item(one.row, j.zone)
	result.notes, result.problems = item.Notes, item.Problems
	result.problems = append(result.problems, j.check(ctx, item)...)
	inOrder(result.problems)
	if len(result.problems) == 0 {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Spec, &result.spec); err != nil {
			result.problems = []fields.Problem{{Rule: err.Error()}}
		}
	}
	return result
}

// check holds what a row says against the rules. What could not be read at all is told once.
func (j *judge) check(ctx context.Context, item fields.Item) []fields.Problem {
	told := map[string]bool{}
	for _, problem := range item.Problems {
		told[problem.Field] = true
	}
	object := j.object(item.Spec)
	_, typed := item.Spec["resourceType"]
	var problems []fields.Problem
	for _, found := range j.rules.Check(ctx, object) {
		if problem := problemOf(found, item.Spec); !told[problem.Field] {
			problems = append(problems, problem)
		}
	}
	if !typed {
		delete(item.Spec, "resourceType") // the default: the API server fills it in
	}
	return problems
}

// object returns the object that the rules judge.
func (j *judge) object(spec map[string]any) map[string]any {
	spec["projectRef"] = map[string]any{"name": j.project}
	if j.suspend {
		spec["suspend"] = true
	}
	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "BackupSync",
		"metadata": map[string]any{"name": "backup"}, // names are judged when they are given
		"spec":     spec,
	}
}

// problemOf returns what a rule says, in the words of inventories.
func problemOf(found *field.Error, spec map[string]any) fields.Problem {
	problem := fields.Problem{Field: found.Field, Value: found.BadValue}
	if known := fields.InSpec(found.Field); known != nil {
		problem.Field, problem.Value = known.Name, spec[known.Spec] // errors leave out long values
	}
	detail := strings.TrimPrefix(found.Detail, found.Field+" in body ")
	if found.Field == "<nil>" { // it is about the object
		problem.Field, problem.Value = "", nil
	}
	switch found.Type {
	case field.ErrorTypeRequired:
		problem.Value, problem.Rule = nil, "it is missing or empty: every backup must have one"
	case field.ErrorTypeTooLong: // it says bytes, and means characters
		problem.Rule = strings.TrimSuffix(detail, " bytes") + " characters"
	case field.ErrorTypeTypeInvalid:
		problem.Rule, _, _ = strings.Cut(detail, ": ")
	case field.ErrorTypeInvalid:
		problem.Rule = detail
	default:
		problem.Rule = fmt.Sprintf("%s: %s", found.Type, detail)
	}
	return problem
}

// inOrder sorts problems as the API sorts the fields.
func inOrder(problems []fields.Problem) {
	place := func(problem fields.Problem) int {
		return slices.IndexFunc(fields.All(), func(known *fields.Field) bool { return known.Name == problem.Field })
	}
	slices.SortStableFunc(problems, func(a, b fields.Problem) int { return place(a) - place(b) })
}
