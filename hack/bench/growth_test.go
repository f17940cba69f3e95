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

package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// importedBackups is what the size of a population counts.
const importedBackups = "imported BackupSyncs"

// effort is what the import of some BackupSyncs took.
type effort struct {
	took      time.Duration // from the first manifest to the last import
	allocated float64       // bytes, by the operator
}

func (e effort) String() string {
	return fmt.Sprintf("%s and %.0f MiB", report.Seconds(e.took), e.allocated/mebi)
}

// median returns the effort in the middle, of each kind by itself.
func median(efforts []effort) effort {
	return effort{
		took:      report.Median(efforts, func(e effort) time.Duration { return e.took }),
		allocated: report.Median(efforts, func(e effort) float64 { return e.allocated }),
	}
}

// addition is the effort at one size of what is there.
type addition struct {
	effort
	size int
}

// growth is how the effort grows with the size of what is there.
type growth struct {
	// name is part of the keys of its figures, legend of their texts, of is what its sizes count.
	name, legend, of string
	lookup           v1alpha1.LookupPolicy
	steps            []addition
}

// newGrowths are the two ways to import. CBR is asked for what it has before the first submission: by a list of all
// backups, if it is asked for many. That list grows with what is imported. Without it the operator itself shows.
func newGrowths() []growth {
	return []growth{
		{name: "imported", legend: "lookupPolicy: BeforeFirstSubmission", of: importedBackups, lookup: v1alpha1.LookupBeforeFirstSubmission},
		{name: "imported-without-lookup", legend: "lookupPolicy: Never", of: importedBackups, lookup: v1alpha1.LookupNever},
	}
}

// measureAdditions makes a step of B6. The ways take turns, so that both see a control plane of the same age.
func (p *population) measureAdditions(ctx context.Context, running *operator) {
	size, efforts := p.generator.Count, make([][]effort, len(p.added))
	for range p.sizes.additions {
		for i, way := range p.added {
			efforts[i] = append(efforts[i], p.measureAddition(ctx, running, way.lookup))
		}
	}
	for i := range p.added {
		p.tell("B6: %d more with %s imported, %s: %v", p.sizes.added, grouped(size), p.added[i].legend, efforts[i])
		p.added[i].steps = append(p.added[i].steps, addition{median(efforts[i]), size})
	}
	p.changeProject(ctx, map[string]any{"lookupPolicy": v1alpha1.LookupBeforeFirstSubmission})
}

// measureAddition makes one trial.
func (p *population) measureAddition(ctx context.Context, running *operator, lookup v1alpha1.LookupPolicy) effort {
	p.changeProject(ctx, map[string]any{"lookupPolicy": lookup})
	p.replaceLook(ctx)
	p.pause(ctx, settleTime)
	began := time.Now()
	each := p.makeEffort(ctx, running, p.generator)
	asked := func(operation cbr.Operation) int {
		return count(p.calls(ctx, p.simulator, operation), func(call cluster.Call) bool { return call.Time.After(began) })
	}
	// One that has not read the list of all backups, or has looked some up, as it should not, would have measured something else.
	pages, backups := asked(cbr.OperationListBackups), asked(cbr.OperationGetBackup)
	if looks := lookup == v1alpha1.LookupBeforeFirstSubmission; looks && pages == 0 || !looks && pages+backups > 0 {
		p.Fatalf("with lookupPolicy: %s %d pages of the list of backups were read, and %d backups were asked for", lookup, pages, backups)
	}
	return each
}

// replaceLook requests another import of an imported backup, if there is one. CBR has it, so nothing is sent; but the operator asks for it, and
// that look takes the place of the one by which it would know all backups for a minute. The next ones to be sent need another.
func (p *population) replaceLook(ctx context.Context) {
	if p.generator.Count == 0 {
		return
	}
	backup, now := p.generator.Manifest(0), time.Now().Format(time.RFC3339Nano)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.RequestedAtAnnotation: now}}})
	p.must(err)
	p.must(p.bed.Cluster.Client.Patch(ctx, backup, client.RawPatch(types.MergePatchType, patch)))
	p.await(ctx, "the answer to a request", 100*time.Millisecond, func() bool {
		p.must(p.bed.Cluster.Client.Get(ctx, client.ObjectKeyFromObject(backup), backup))
		return backup.Status.LastHandledRequest == now
	})
}

// makeEffort adds BackupSyncs to a running operator.
func (e *env) makeEffort(ctx context.Context, running *operator, to *testbed.Generator) effort {
	before := e.read(ctx, running).Value(record.AllocatedBytes)
	took := e.timeAdditions(ctx, to, e.sizes.added)
	return effort{took: took, allocated: e.read(ctx, running).Value(record.AllocatedBytes) - before}
}

func (p *population) reportAdditions() {
	for _, way := range p.added {
		if len(way.steps) < 2 {
			return
		}
		way.report(p.env, way.legend)
	}
}

// measureSpread makes the other half of B6: the same BackupSyncs in one project, and spread over many.
func measureSpread(ctx context.Context, e *env) {
	over := growth{name: "projects", legend: "spread over projects", of: "projects"}
	for _, count := range e.sizes.projects {
		var efforts []effort
		for trial := range e.sizes.additions {
			efforts = append(efforts, e.timeSpread(ctx, fmt.Sprintf("spread-%d-%d", count, trial), count))
		}
		e.tell("B6: %d over %d projects: %v", e.sizes.added, count, efforts)
		over.steps = append(over.steps, addition{median(efforts), count})
	}
	over.report(e, "one after the other")
}

// timeSpread adds BackupSyncs to new projects, one project after the other, as from a folder for each. If the projects took
// turns, hardly a call could go before all manifests are there: the measure would be one of windows. Each trial has its own CBR,
// which has none of the backups.
func (e *env) timeSpread(ctx context.Context, namespace string, projects int) effort {
	e.createNamespace(ctx, namespace)
	_, names := e.createProjects(ctx, namespace, projects, populationLatency, quickProject)
	running := e.startOperator(ctx)
	e.pause(ctx, settleTime)
	generator := e.newGenerator(namespace, names...)
	generator.InARow = max(e.sizes.added/projects, 1)
	each := e.makeEffort(ctx, running, generator)
	e.must(running.stop(ctx))
	return each
}

// createProjects creates projects of one CBR, each of a cloud project of its own, and returns their names.
func (e *env) createProjects(ctx context.Context, namespace string, count int, latency time.Duration,
	change func(*v1alpha1.CBRProjectSpec)) (*cluster.Simulator, []string) {
	names, projectIDs := make([]string, count), make([]string, count)
	for number := range count {
		names[number], projectIDs[number] = fmt.Sprintf("tenant-%03d", number), fmt.Sprintf("f841e01fd2b14e7fa41b6ae7aa%06d", number)
	}
	simulator := e.startSimulator(ctx, latency, "--project-id="+strings.Join(projectIDs, ","))
	for number, name := range names {
		e.createProject(ctx, namespace, name, simulator.URL, projectIDs[number], change)
	}
	return simulator, names
}

// report compares the largest step with the smallest, and plots all.
func (g growth) report(e *env, how string) {
	first, last := g.steps[0], g.steps[len(g.steps)-1]
	work := fmt.Sprintf("%s pending added to %s to %s %s, %s", grouped(e.sizes.added), grouped(first.size), grouped(last.size), g.of, how)
	slower := report.Ratio(last.took, first.took)
	e.add("B6", "time-over-"+g.name, work, slower,
		"%.2f x the time: all Imported in %s against %s", slower, report.Seconds(last.took), report.Seconds(first.took))
	heavier := report.Ratio(last.allocated, first.allocated)
	e.add("B6", "allocations-over-"+g.name, work, heavier,
		"%.2f x the allocations: %.1f MiB against %.1f MiB", heavier, last.allocated/mebi, first.allocated/mebi)
	for _, step := range g.steps {
		e.plot("B6", g.legend, step.size, g.of, step.took.Seconds(), "s")
		e.plot("B6", g.legend, step.size, g.of, step.allocated/mebi, "MiB allocated")
	}
}
