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

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// B6 loses little time by waiting: what that costs is set by the user.
const (
	shortWindow = 300 * time.Millisecond
	shortPoll   = 200 * time.Millisecond
)

// effort is what the import of some BackupSyncs took.
type effort struct {
	took      time.Duration // from the first manifest to the last import
	allocated float64       // bytes, by the operator
	calls     int           // sync calls, 0 if they were not counted
}

// countCalls counts the calls of an effort that had a simulator of its own.
func (e *effort) countCalls(ctx context.Context, simulator *cluster.Simulator) error {
	ledger, err := simulator.Ledger(ctx)
	if err == nil {
		e.calls = ledger.SyncCalls
	}
	return err
}

func (e effort) String() string {
	text := fmt.Sprintf("%s and %.0f MiB", report.Seconds(e.took), e.allocated/mebi)
	if e.calls > 0 {
		text += fmt.Sprintf(" by %d calls", e.calls)
	}
	return text
}

// addition is the effort at one size of what is there.
type addition struct {
	size    int
	efforts []effort
}

func (a addition) took() time.Duration {
	return medianOf(a.efforts, func(e effort) time.Duration { return e.took })
}

func (a addition) allocated() float64 {
	return medianOf(a.efforts, func(e effort) float64 { return e.allocated })
}

// growth is how the effort grows with the size of what is there.
type growth struct {
	// name is part of the keys of its figures, legend of their texts.
	name, legend string
	lookup       v1alpha1.LookupPolicy
	steps        []addition
}

// newGrowths are the two ways to import. CBR is asked for what it has before the first submission: by a list of all
// backups, if it is asked for many. That list grows with what is imported. Without it the operator itself shows.
func newGrowths() []growth {
	return []growth{
		{name: "imported", legend: "lookupPolicy: BeforeFirstSubmission", lookup: v1alpha1.LookupBeforeFirstSubmission},
		{name: "imported-without-lookup", legend: "lookupPolicy: Never", lookup: v1alpha1.LookupNever},
	}
}

// measureAdditions makes a step of B6. The ways take turns, so that both see a control plane of the same age.
func (p *population) measureAdditions(ctx context.Context, running *operator) error {
	if !p.wanted("B6") {
		return nil
	}
	size, steps := p.herd.count, make([]addition, len(p.added))
	for trial := range p.sizes.additions {
		for i, way := range p.added {
			each, err := p.measureAddition(ctx, running, way.lookup, trial)
			if err != nil {
				return err
			}
			steps[i].efforts = append(steps[i].efforts, each)
		}
	}
	for i := range p.added {
		steps[i].size = size
		p.tell("B6: %d more with %s imported, %s: %s", p.sizes.added, grouped(size), p.added[i].legend, steps[i])
		p.added[i].steps = append(p.added[i].steps, steps[i])
	}
	return p.changeProject(ctx, map[string]any{"lookupPolicy": v1alpha1.LookupBeforeFirstSubmission})
}

// measureAddition makes one trial. In each the host of the endpoint, which stays the same, is written in another way than
// before: the operator then forgets what it has seen of CBR, and has to look at all of it again.
func (p *population) measureAddition(ctx context.Context, running *operator, lookup v1alpha1.LookupPolicy, trial int) (effort, error) {
	endpoint := p.simulator.URL
	if trial%2 == 1 {
		endpoint = strings.Replace(endpoint, "127.0.0.1", "localhost", 1)
	}
	if err := p.changeEndpoint(ctx, endpoint); err != nil {
		return effort{}, err
	}
	if err := p.changeProject(ctx, map[string]any{"lookupPolicy": lookup}); err != nil {
		return effort{}, err
	}
	if err := pause(ctx, settleTime); err != nil {
		return effort{}, err
	}
	began := time.Now()
	each, err := p.timeAddition(ctx, running, p.herd, p.sizes.added)
	return each, errors.Join(err, p.checkLookup(ctx, lookup, began))
}

// checkLookup makes sure that a trial has looked backups up, or has not, as it should: else it would measure something else.
func (p *population) checkLookup(ctx context.Context, lookup v1alpha1.LookupPolicy, began time.Time) error {
	calls, err := p.simulator.Calls(ctx, "")
	if err != nil {
		return err
	}
	if made := countLookups(calls, began); (made > 0) != (lookup == v1alpha1.LookupBeforeFirstSubmission) {
		return fmt.Errorf("%d look-ups of backups with lookupPolicy: %s", made, lookup)
	}
	return nil
}

// countLookups counts the calls since a moment that ask for backups.
func countLookups(calls []cluster.Call, since time.Time) int {
	count := 0
	for _, call := range calls {
		if asked := call.Operation == string(cbr.OperationListBackups) || call.Operation == string(cbr.OperationGetBackup); asked && call.Time.After(since) {
			count++
		}
	}
	return count
}

// String tells each of the efforts.
func (a addition) String() string {
	texts := make([]string, 0, len(a.efforts))
	for _, each := range a.efforts {
		texts = append(texts, each.String())
	}
	return strings.Join(texts, ", ")
}

// timeAddition adds BackupSyncs to a running operator.
func (s *stand) timeAddition(ctx context.Context, running *operator, to *herd, count int) (effort, error) {
	before, err := record.UsageOf(ctx, running.metrics)
	if err != nil {
		return effort{}, err
	}
	done, err := s.whenImported(ctx, to.namespace, count)
	if err != nil {
		return effort{}, err
	}
	began := time.Now()
	if err := to.add(ctx, count); err != nil {
		return effort{}, err
	}
	end := <-done
	if end.err != nil {
		return effort{}, end.err
	}
	after, err := record.UsageOf(ctx, running.metrics)
	return effort{took: end.at.Sub(began), allocated: after.AllocatedBytes - before.AllocatedBytes}, err
}

func (p *population) reportAdditions() {
	for _, way := range p.added {
		if len(way.steps) < 2 {
			return
		}
		way.report(p.stand, fmt.Sprintf("%s pending added to %s to %s imported, %s", grouped(p.sizes.added),
			grouped(way.first().size), grouped(way.last().size), way.legend))
	}
	plotGrowth(p.stand, "imported", "imported BackupSyncs", p.added)
}

// measureSpread makes the other half of B6: the same BackupSyncs in one project, and spread over many.
func measureSpread(ctx context.Context, s *stand) error {
	projectIDs := make([]string, 0, len(s.sizes.projects))
	for number := range s.sizes.projects[len(s.sizes.projects)-1] {
		projectIDs = append(projectIDs, cloudProject(number))
	}
	over := growth{name: "projects", legend: "median of the trials"}
	for _, count := range s.sizes.projects {
		step := addition{size: count}
		for trial := range s.sizes.additions {
			each, err := s.timeSpread(ctx, fmt.Sprintf("spread-%d-%d", count, trial), projectIDs[:count])
			if err != nil {
				return fmt.Errorf("over %d projects: %w", count, err)
			}
			step.efforts = append(step.efforts, each)
		}
		s.tell("B6: %d over %d projects: %s", s.sizes.added, count, step)
		over.steps = append(over.steps, step)
	}
	over.report(s, fmt.Sprintf("%s pending added to %d to %d projects", grouped(s.sizes.added), over.first().size, over.last().size))
	plotGrowth(s, "projects", "projects", []growth{over})
	return nil
}

func cloudProject(number int) string { return fmt.Sprintf("f841e01fd2b14e7fa41b6ae7aa%06d", number) }

// timeSpread adds BackupSyncs to new projects, one project after the other, as from a folder for each. If the projects took
// turns, hardly a call could go before all manifests are there: the measure would be one of windows. Each trial has its own CBR,
// which has none of the backups.
func (s *stand) timeSpread(ctx context.Context, namespace string, projectIDs []string) (effort, error) {
	simulator, err := s.startSimulator(ctx, "--latency="+populationLatency, "--task-duration=0s", "--project-id="+strings.Join(projectIDs, ","))
	if err != nil {
		return effort{}, err
	}
	if err := s.createNamespace(ctx, namespace); err != nil {
		return effort{}, err
	}
	names := make([]string, 0, len(projectIDs))
	for number, projectID := range projectIDs {
		names = append(names, fmt.Sprintf("tenant-%03d", number))
		if err := s.createProject(ctx, namespace, names[number], simulator.URL, projectID, quickProject); err != nil {
			return effort{}, err
		}
	}
	running, err := s.startOperator(ctx)
	if err != nil {
		return effort{}, err
	}
	if err := pause(ctx, settleTime); err != nil {
		return effort{}, err
	}
	manifests := s.newHerd(namespace, names...)
	manifests.inARow = max(s.sizes.added/len(names), 1)
	each, err := s.timeAddition(ctx, running, manifests, s.sizes.added)
	if err == nil {
		err = errors.Join(each.countCalls(ctx, simulator), s.profileAllocations(ctx, running, fmt.Sprintf("B6-%d-projects-heap.pprof", len(projectIDs))))
	}
	return each, errors.Join(err, running.stop(ctx))
}

func (g growth) first() addition { return g.steps[0] }

func (g growth) last() addition { return g.steps[len(g.steps)-1] }

// report compares the largest step with the smallest.
func (g growth) report(s *stand, work string) {
	first, last := g.first(), g.last()
	slower := report.Ratio(last.took(), first.took())
	s.results.Add(report.Figure{Measure: "B6", Name: "time-over-" + g.name, Work: work, Value: slower, Text: fmt.Sprintf(
		"%.2f x the time: all Imported in %s against %s", slower, report.Seconds(last.took()), report.Seconds(first.took()))})
	more := report.Ratio(last.allocated(), first.allocated())
	s.results.Add(report.Figure{Measure: "B6", Name: "allocations-over-" + g.name, Work: work, Value: more, Text: fmt.Sprintf(
		"%.2f x the allocations: %.1f MiB against %.1f MiB", more, last.allocated()/mebi, first.allocated()/mebi)})
}

// plotGrowth draws all steps.
func plotGrowth(s *stand, name, axis string, growths []growth) {
	title := fmt.Sprintf("Import of %s more BackupSyncs", grouped(s.sizes.added))
	took := report.Series{Name: "B6-time-over-" + name, Title: title, X: axis, Y: "seconds"}
	allocated := report.Series{Name: "B6-allocations-over-" + name, Title: title, X: axis, Y: "MiB allocated"}
	for _, each := range growths {
		seconds, bytes := report.Line{Name: each.legend}, report.Line{Name: each.legend}
		for _, step := range each.steps {
			seconds.Points = append(seconds.Points, report.Point{X: float64(step.size), Y: step.took().Seconds()})
			bytes.Points = append(bytes.Points, report.Point{X: float64(step.size), Y: step.allocated() / mebi})
		}
		took.Lines, allocated.Lines = append(took.Lines, seconds), append(allocated.Lines, bytes)
	}
	s.results.Plot(took)
	s.results.Plot(allocated)
}
