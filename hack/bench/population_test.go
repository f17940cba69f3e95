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
	"os"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

const (
	populationNamespace = "population"
	populationLatency   = 5 * time.Millisecond
	// nowhere is the endpoint of a project before its simulator has one.
	nowhere = "http://127.0.0.1:9"
)

// population is a growing number of imported BackupSyncs of one project. They are in CBR, too, as they would be: whoever
// reads the list of all backups reads them.
type population struct {
	*env
	generator *testbed.Generator
	simulator *cluster.Simulator
	imported  time.Time // when B5 has seen the latest import end

	atRest []restingState // B4, by step
	added  []growth       // B6, by lookupPolicy
}

// measurePopulation makes B4, B5 and B6, which share a population that grows from step to step.
func measurePopulation(ctx context.Context, e *env) {
	p := &population{env: e, generator: e.newGenerator(populationNamespace, projectName), added: newGrowths()}
	e.createNamespace(ctx, populationNamespace)
	e.createProject(ctx, populationNamespace, projectName, nowhere, cbrtest.ProjectID, quickProject)
	for _, size := range e.sizes.populations {
		if size > e.sizes.takeoverAt && !e.wanted("B4") && !e.wanted("B6") {
			break
		}
		p.grow(ctx, size)
		p.renewSimulator(ctx)
		p.measureStep(ctx, size)
	}
	p.reportAtRest()
	p.reportAdditions()
}

// measureStep makes what was asked for at one size of the population, with an operator that is started for it: B4 and B6 compare the
// first size and the last.
func (p *population) measureStep(ctx context.Context, size int) {
	compared := size == p.sizes.populations[0] || size == slices.Max(p.sizes.populations)
	if compared && (p.wanted("B4") || p.wanted("B6")) {
		running := p.startOperator(ctx)
		if p.wanted("B4") {
			p.measureRest(ctx, running)
		}
		if p.wanted("B6") {
			p.measureAdditions(ctx, running)
		}
		p.retire(ctx, running)
	}
	if size == p.sizes.takeoverAt && p.wanted("B5") {
		p.measureColdStart(ctx)
		p.measureFailovers(ctx)
	}
}

// changeProject patches fields of the project's spec.
func (p *population) changeProject(ctx context.Context, spec map[string]any) {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	p.must(err)
	project := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: populationNamespace, Name: projectName}}
	p.must(p.bed.Cluster.Client.Patch(ctx, project, client.RawPatch(types.MergePatchType, patch)))
}

// changeEndpoint patches the endpoint, which is locked while calls are open or tasks run.
func (p *population) changeEndpoint(ctx context.Context, endpoint string) {
	p.awaitJournal(ctx)
	p.changeProject(ctx, map[string]any{"endpoint": endpoint})
}

// retire stops an operator when it has closed its journal and followed its tasks: nobody else would before the next one starts.
func (p *population) retire(ctx context.Context, running *operator) {
	p.awaitJournal(ctx)
	p.must(running.stop(ctx))
}

// awaitJournal waits until the project's journal holds no calls, and no task runs.
func (p *population) awaitJournal(ctx context.Context) {
	p.await(ctx, "the end of the project's calls and tasks", 100*time.Millisecond, func() bool {
		project := &v1alpha1.CBRProject{}
		p.must(p.bed.Cluster.Client.Get(ctx, client.ObjectKey{Namespace: populationNamespace, Name: projectName}, project))
		counts := project.Status.Backups
		return len(project.Status.Journal.Submissions) == 0 && (counts == nil || counts.Running == 0)
	})
}

// grow brings the population to a size, if it is not there yet.
func (p *population) grow(ctx context.Context, size int) {
	if missing := size - p.generator.Count; missing > 0 {
		p.tell("B4-B6: growing the population to %s", grouped(size))
		p.must(p.generator.StoreImported(ctx, p.bed.Cluster.Etcd(), missing))
	}
}

// renewSimulator gives each step a CBR that has all backups, and no tasks: the operator lists the tasks of the last
// minutes, so that those of earlier steps would weigh on later ones.
func (p *population) renewSimulator(ctx context.Context) {
	if p.simulator != nil {
		p.must(p.simulator.Kill())
	}
	p.simulator = p.startSimulator(ctx, populationLatency)
	p.changeEndpoint(ctx, p.simulator.URL)
	p.store(ctx)
}

// storedAtOnce keeps a request to the simulator well below the limit of its size.
const storedAtOnce = 20_000

// store tells the simulator that it has all backups of the population.
func (p *population) store(ctx context.Context) {
	for first := 0; first < p.generator.Count; first += storedAtOnce {
		backups := make([]map[string]string, 0, storedAtOnce)
		for number := first; number < min(first+storedAtOnce, p.generator.Count); number++ {
			spec := p.generator.Manifest(number).Spec
			backups = append(backups, map[string]string{
				"id": spec.BackupID, "name": spec.BackupName, "resource_id": spec.ResourceID, "resource_type": spec.ResourceType,
			})
		}
		p.must(p.simulator.Steer(ctx, "backups", map[string]any{"backups": backups}))
	}
}

const (
	kibi = 1 << 10
	mebi = 1 << 20
)

// restingState is an operator that has nothing to do.
type restingState struct {
	count            int     // BackupSyncs
	heap             float64 // bytes alive
	resident         float64 // bytes
	cpu              float64 // share of a core
	writes, reads    float64 // to and of the API server
	calls            int     // of CBR
	stored, serverIn float64 // bytes, of etcd's database and of the kube-apiserver's memory
}

// measureRest makes a step of B4.
func (p *population) measureRest(ctx context.Context, running *operator) {
	state := restingState{count: p.generator.Count}
	p.tell("B4: %s at rest for %s", grouped(state.count), p.sizes.rest)
	p.pause(ctx, settleTime)
	p.takeStock(ctx, running, &state)
	p.pause(ctx, p.sizes.calm)
	p.watchRest(ctx, running, &state)
	p.tell("B4: heap %.1f MiB, RSS %.1f MiB, %.3f %% of a core, %g writes, %g reads, %d calls of CBR; etcd %.0f MiB, kube-apiserver RSS %.0f MiB",
		state.heap/mebi, state.resident/mebi, 100*state.cpu, state.writes, state.reads, state.calls, state.stored/mebi, state.serverIn/mebi)
	p.atRest = append(p.atRest, state)
	p.plot("B4", "live heap", state.count, importedBackups, state.heap/mebi, "MiB")
	p.plot("B4", "RSS", state.count, importedBackups, state.resident/mebi, "MiB")
}

// takeStock counts what is alive, and keeps a profile of it. It is right after a collection, the second one, as the first
// still finds what finalizers and pools hold.
func (p *population) takeStock(ctx context.Context, running *operator, state *restingState) {
	var profile []byte
	for range 2 {
		var err error
		profile, err = record.Get(ctx, running.profiles+"heap?gc=1")
		p.must(err)
	}
	state.heap = p.read(ctx, running).Value(record.HeapBytes)
	server := p.readServer(ctx)
	state.stored, state.serverIn = server.Value(record.StorageBytes), server.Value(record.ResidentBytes)
	p.must(os.WriteFile(filepath.Join(p.folder, fmt.Sprintf("B4-heap-%d.pprof", state.count)), profile, 0o644))
}

// watchRest compares what was used before and after a time without work.
func (p *population) watchRest(ctx context.Context, running *operator, state *restingState) {
	began, before := time.Now(), p.read(ctx, running)
	serverBefore, callsBefore := p.readServer(ctx), len(p.calls(ctx, p.simulator, ""))
	p.pause(ctx, p.sizes.rest)
	took, after := time.Since(began), p.read(ctx, running)
	server := p.readServer(ctx)
	state.resident = after.Value(record.ResidentBytes)
	state.cpu = (after.Value(record.CPUSeconds) - before.Value(record.CPUSeconds)) / took.Seconds()
	state.writes, state.reads = more(serverBefore, server, isWrite), more(serverBefore, server, isRead)
	state.calls = len(p.calls(ctx, p.simulator, "")) - callsBefore
}

// reportAtRest reports the largest step, whose numbers have the least noise.
func (p *population) reportAtRest() {
	if len(p.atRest) < 2 {
		return
	}
	empty, largest := p.atRest[0], p.atRest[len(p.atRest)-1]
	work := fmt.Sprintf("%s imported, at rest for %s", grouped(largest.count), p.sizes.rest)
	perBackup := func(bytes func(restingState) float64) float64 {
		return report.Ratio(bytes(largest)-bytes(empty), float64(largest.count-empty.count)) / kibi
	}
	heap := perBackup(func(s restingState) float64 { return s.heap })
	p.add("B4", "heap-per-backup", work, heap, "%.2f KiB of live heap per BackupSync over the empty operator (%.1f MiB against %.1f MiB)",
		heap, largest.heap/mebi, empty.heap/mebi)
	p.add("B4", "resident", work, largest.resident/mebi, "RSS %.0f MiB, %.0f MiB of it without BackupSyncs", largest.resident/mebi, empty.resident/mebi)
	// What the lease and the runtime's timers cost, and with them the machine's day, is in both.
	more := 100 * (largest.cpu - empty.cpu)
	p.add("B4", "cpu-over-empty", work, more, "%.3f %% of a core more than without BackupSyncs (%.3f %% against %.3f %%)", more, 100*largest.cpu, 100*empty.cpu)
	p.add("B4", "writes", work, largest.writes, "%g writes to the API server (and %g reads)", largest.writes, largest.reads)
	p.add("B4", "calls", work, float64(largest.calls), "%d calls of CBR", largest.calls)
	stored := perBackup(func(s restingState) float64 { return s.stored })
	p.add("B4", "control-plane", work, stored, "%.1f KiB in etcd and %.1f KiB of kube-apiserver's RSS per BackupSync (%.0f MiB and %.0f MiB in all)",
		stored, perBackup(func(s restingState) float64 { return s.serverIn }), largest.stored/mebi, largest.serverIn/mebi)
}
