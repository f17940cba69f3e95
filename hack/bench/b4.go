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
	"fmt"
	"time"

	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
)

// restingState is an operator that has nothing to do.
type restingState struct {
	count    int     // BackupSyncs
	heap     float64 // bytes alive
	resident float64 // bytes
	cpu      float64 // share of a core
	writes   int     // to the API server
	reads    int     // of the API server
	calls    int     // of CBR
	server   record.ServerUsage
}

// settleTime lets an operator come to rest: it writes the counts of its projects every two seconds.
const settleTime = 2500 * time.Millisecond

// measureRest makes a step of B4.
func (p *population) measureRest(ctx context.Context, running *operator) error {
	if !p.wanted("B4") {
		return nil
	}
	count := p.herd.count
	p.tell("B4: %s at rest for %s", grouped(count), p.sizes.rest)
	if err := pause(ctx, settleTime); err != nil {
		return err
	}
	state, err := p.takeStock(ctx, running)
	if err != nil {
		return err
	}
	if err := p.watchRest(ctx, running, &state); err != nil {
		return err
	}
	p.tell("B4: heap %.1f MiB, RSS %.1f MiB, %.3f %% of a core, %d writes, %d reads, %d calls of CBR; etcd %.0f MiB, kube-apiserver RSS %.0f MiB",
		state.heap/mebi, state.resident/mebi, 100*state.cpu, state.writes, state.reads, state.calls,
		state.server.StorageBytes/mebi, state.server.ResidentBytes/mebi)
	p.atRest = append(p.atRest, state)
	return nil
}

// takeStock counts what is alive, right after a collection, and keeps a profile of it.
func (p *population) takeStock(ctx context.Context, running *operator) (restingState, error) {
	state := restingState{count: p.herd.count}
	profile, err := collectGarbage(ctx, running)
	if err != nil {
		return state, err
	}
	usage, err := record.UsageOf(ctx, running.metrics)
	if err != nil {
		return state, err
	}
	state.heap = usage.HeapBytes
	if state.server, err = record.ServerUsageOf(ctx, p.server); err != nil {
		return state, err
	}
	return state, p.keepProfile(fmt.Sprintf("B4-heap-%d.pprof", state.count), profile)
}

// calmTime lets the operator's runtime hand back what its start took: it does so bit by bit, with a hundredth of a core.
const calmTime = 10 * time.Second

// watchRest compares what was used before and after a time without work.
func (p *population) watchRest(ctx context.Context, running *operator, state *restingState) error {
	if err := pause(ctx, calmTime); err != nil {
		return err
	}
	before, err := p.read(ctx, running)
	if err != nil {
		return err
	}
	if err := pause(ctx, p.sizes.rest); err != nil {
		return err
	}
	after, err := p.read(ctx, running)
	if err != nil {
		return err
	}
	requests := after.requests.Since(before.requests)
	state.resident = after.usage.ResidentBytes
	state.cpu = (after.usage.CPUSeconds - before.usage.CPUSeconds) / after.at.Sub(before.at).Seconds()
	state.writes = requests.Count(ofOperator(record.Request.Writes))
	state.reads = requests.Count(ofOperator(func(r record.Request) bool { return !r.Writes() }))
	state.calls = after.calls - before.calls
	return nil
}

// reading is what all counters said at a moment.
type reading struct {
	at       time.Time
	usage    record.Usage
	requests record.Requests
	calls    int
}

func (p *population) read(ctx context.Context, running *operator) (reading, error) {
	now := reading{at: time.Now()}
	var err error
	if now.usage, err = record.UsageOf(ctx, running.metrics); err != nil {
		return now, err
	}
	if now.requests, err = record.RequestsOf(ctx, p.server); err != nil {
		return now, err
	}
	calls, err := p.simulator.Calls(ctx, "")
	now.calls = len(calls)
	return now, err
}

const (
	kibi = 1 << 10
	mebi = 1 << 20
)

// reportAtRest reports the largest step, whose numbers have the least noise, and plots all.
func (p *population) reportAtRest() {
	if len(p.atRest) < 2 {
		return
	}
	empty, largest := p.atRest[0], p.atRest[len(p.atRest)-1]
	work := fmt.Sprintf("%s imported, at rest for %s", grouped(largest.count), p.sizes.rest)
	perBackup := func(bytes func(restingState) float64) float64 {
		return (bytes(largest) - bytes(empty)) / float64(largest.count-empty.count) / kibi
	}
	each := perBackup(func(s restingState) float64 { return s.heap })
	add := func(name string, value float64, text string, arguments ...any) {
		p.results.Add(report.Figure{Measure: "B4", Name: name, Work: work, Value: value, Text: fmt.Sprintf(text, arguments...)})
	}
	add("heap-per-backup", each, "%.2f KiB of live heap per BackupSync over the empty operator (%.1f MiB against %.1f MiB)",
		each, largest.heap/mebi, empty.heap/mebi)
	add("resident", largest.resident/mebi, "RSS %.0f MiB, %.0f MiB of it without BackupSyncs", largest.resident/mebi, empty.resident/mebi)
	add("cpu", 100*largest.cpu, "%.3f %% of a core, %.3f %% without BackupSyncs", 100*largest.cpu, 100*empty.cpu)
	add("writes", float64(largest.writes), "%d writes to the API server (and %d reads)", largest.writes, largest.reads)
	add("calls", float64(largest.calls), "%d calls of CBR", largest.calls)
	stored := perBackup(func(s restingState) float64 { return s.server.StorageBytes })
	served := perBackup(func(s restingState) float64 { return s.server.ResidentBytes })
	add("control-plane", stored, "%.1f KiB in etcd and %.1f KiB of kube-apiserver's RSS per BackupSync (%.0f MiB and %.0f MiB in all)",
		stored, served, largest.server.StorageBytes/mebi, largest.server.ResidentBytes/mebi)
	heap, resident := report.Line{Name: "live heap"}, report.Line{Name: "RSS"}
	for _, state := range p.atRest {
		heap.Points = append(heap.Points, report.Point{X: float64(state.count), Y: state.heap / mebi})
		resident.Points = append(resident.Points, report.Point{X: float64(state.count), Y: state.resident / mebi})
	}
	p.results.Plot(report.Series{Name: "B4-memory", Title: "Memory of the operator at rest", X: "imported BackupSyncs", Y: "MiB",
		Lines: []report.Line{heap, resident}})
}
