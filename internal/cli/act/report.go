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

package act

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/text"
)

// account is what has become of everything that was chosen.
type account struct {
	options *options
	kind    string
	missing []string
	passed  []*target // over
	results []result
	named   bool
	ended   map[string]ending // by name, with --wait
}

// count returns how many results have an outcome.
func (a *account) count(of outcome) int {
	count := 0
	for _, each := range a.results {
		if each.outcome == of {
			count++
		}
	}
	return count
}

// helpless returns how many targets something else must be done for first.
func (a *account) helpless() int {
	count := 0
	for _, each := range a.passed {
		if each.verdict.decision == noHelp {
			count++
		}
	}
	return count
}

// qualified is the name of an object as kubectl -o name writes it.
func qualified(kind, name string) string {
	return strings.ToLower(kind) + "." + v1alpha1.GroupVersion.Group + "/" + name
}

// maxListed is how many objects that were chosen by flags are told singly, of those that nothing was done to.
const maxListed = 10

// tellPassed tells which objects are passed over, and why: those that were named, and those that need something else, singly.
func (a *account) tellPassed(out io.Writer) {
	for _, name := range a.missing {
		_, _ = fmt.Fprintf(out, "%s: does not exist in this namespace\n", qualified(a.kind, name))
	}
	listed := 0
	rest := map[string]int{}
	for _, each := range a.passed {
		if !a.named && (each.verdict.decision == nothingToDo || listed >= maxListed) {
			rest[cmp.Or(each.reason, "without a condition")]++
			continue
		}
		listed++
		_, _ = fmt.Fprintf(out, "%s: nothing done: %s\n", qualified(each.kind, each.name()), sentence(each.verdict.why))
	}
	if len(rest) > 0 {
		_, _ = fmt.Fprintf(out, "Passed over, as there is nothing to do, or something else first: %s.\n", listCounts(rest))
	}
}

// mode says what kind of trial it was.
func (o *options) mode() string {
	switch o.dryRun {
	case dryRunClient:
		return " (dry run)"
	case dryRunServer:
		return " (server dry run)"
	default:
		return ""
	}
}

// tellResults prints what was done, and what failed.
func (a *account) tellResults(out, errOut io.Writer) {
	for _, each := range a.results {
		name := qualified(each.kind, each.name())
		switch {
		case each.outcome == failed:
			_, _ = fmt.Fprintf(errOut, "%s: %s\n", name, text.Clean(each.err.Error())) // a webhook may have written it
		case each.outcome == notReached, a.options.output == outputJSON:
		case a.options.output == outputName:
			_, _ = fmt.Fprintln(out, name)
		default:
			_, _ = fmt.Fprintln(out, name+" "+wordsOf[a.options.verb].done+a.options.mode()+noteOf(each.verdict.note))
		}
	}
}

func noteOf(note string) string {
	if note == "" {
		return ""
	}
	return ": " + note
}

// summary says how many were done and how many not, "" if all were, or if it is told by a line each.
func (a *account) summary() string {
	total, done, lost, left := len(a.results), a.count(written), a.count(failed), a.count(notReached)
	switch {
	case left > 0:
		return fmt.Sprintf("Interrupted: %d of %d were %s, %d could not be written, %d were not touched. The same command goes on with those.",
			done, total, wordsOf[a.options.verb].done, lost, left)
	case lost > 0:
		return fmt.Sprintf("%d of %d were %s, %d could not be written. The same command tries those again.", done, total, wordsOf[a.options.verb].done, lost)
	case total > 1 && a.options.output == outputText:
		return fmt.Sprintf("%d of %d were %s%s.", done, total, wordsOf[a.options.verb].done, a.options.mode())
	default:
		return ""
	}
}

// jsonReport is what -o json prints.
type jsonReport struct {
	Action      string       `json:"action"`
	DryRun      string       `json:"dryRun"`
	Namespace   string       `json:"namespace"`
	Kind        string       `json:"kind"`
	RequestedAt string       `json:"requestedAt,omitempty"`
	Items       []jsonTarget `json:"items"`
}

// jsonTarget is one object of it.
type jsonTarget struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Result string `json:"result"`
	// Reason is that of Ready before, and EndReason that after --wait.
	Reason    string `json:"reason,omitempty"`
	Through   string `json:"through,omitempty"`
	Message   string `json:"message,omitempty"`
	EndReason string `json:"endReason,omitempty"`
	Ended     string `json:"ended,omitempty"`
}

// Results of an object, in JSON.
const (
	resultDone       = "Done"
	resultNothing    = "NothingToDo"
	resultNoHelp     = "FixFirst"
	resultFailed     = "Failed"
	resultNotReached = "NotReached"
	resultMissing    = "NotFound"
)

// json returns the report.
func (a *account) json(namespace, request string) jsonReport {
	report := jsonReport{Action: a.options.verb.String(), DryRun: a.options.dryRun, Namespace: namespace, Kind: a.kind, Items: []jsonTarget{}}
	if a.options.verb == retry {
		report.RequestedAt = request
	}
	for _, each := range a.results {
		report.Items = append(report.Items, a.resultJSON(each))
	}
	for _, each := range a.passed {
		result := resultNothing
		if each.verdict.decision == noHelp {
			result = resultNoHelp
		}
		report.Items = append(report.Items, jsonTarget{Kind: each.kind, Name: each.name(), Result: result, Reason: each.reason, Message: each.verdict.why})
	}
	for _, name := range a.missing {
		report.Items = append(report.Items, jsonTarget{Kind: a.kind, Name: name, Result: resultMissing})
	}
	return report
}

func (a *account) resultJSON(of result) jsonTarget {
	item := jsonTarget{Kind: of.kind, Name: of.name(), Reason: of.reason, Through: of.through, Message: of.verdict.note, Result: resultDone}
	switch of.outcome {
	case failed:
		item.Result, item.Message = resultFailed, of.err.Error()
	case notReached:
		item.Result = resultNotReached
	}
	if end, waited := a.ended[of.name()]; waited {
		item.EndReason, item.Ended = end.reason, string(end.how)
		item.Message = cmp.Or(end.message, item.Message)
	}
	return item
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}
