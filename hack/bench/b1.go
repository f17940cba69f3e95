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
	"strings"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	loadNamespace = "full-load"
	loadLatency   = 50 * time.Millisecond
	loadPoll      = 2 * time.Second
	// quietTime is how long after the last import the operator may still write the project's last counts.
	quietTime = 3 * time.Second
)

// load is what a full load has shown.
type load struct {
	count    int
	took     time.Duration
	floor    time.Duration
	requests record.Requests
	calls    []cluster.Call
	// operatorCPU and serverCPU are seconds of processor time, of the operator and of the kube-apiserver.
	operatorCPU, serverCPU float64
}

// measureFullLoad makes B1 and B2: many pending BackupSyncs, and nothing that slows their import but the API server.
func measureFullLoad(ctx context.Context, s *stand) error {
	seen := load{count: s.sizes.fullLoad}
	simulator, err := s.startSimulator(ctx, "--latency="+loadLatency.String(), "--task-duration=0s")
	if err != nil {
		return err
	}
	s.tell("B1: %d status patches for the first half of the floor", seen.count)
	floor, err := s.newFloor(ctx, "floor", seen.count/2)
	if err != nil {
		return err
	}
	// One half of the floor is before and one after the import, so that both stand on the same machine if it changes.
	before, err := floor.run(ctx)
	if err != nil {
		return err
	}
	s.tell("B1: importing %d BackupSyncs", seen.count)
	if err := s.importFullLoad(ctx, simulator, &seen); err != nil {
		return err
	}
	s.tell("B1: the second half of the floor")
	after, err := floor.run(ctx)
	if err != nil {
		return err
	}
	seen.floor = before + after
	s.tell("B1: took %s; the floor %s and %s", report.Seconds(seen.took), report.Seconds(before), report.Seconds(after))
	seen.report(s)
	return nil
}

func (s *stand) importFullLoad(ctx context.Context, simulator *cluster.Simulator, seen *load) error {
	pending := s.newHerd(loadNamespace, projectName)
	if err := s.createNamespace(ctx, loadNamespace); err != nil {
		return err
	}
	err := s.createProject(ctx, loadNamespace, projectName, simulator.URL, cbrtest.ProjectID, func(spec *v1alpha1.CBRProjectSpec) {
		spec.Limits, spec.Poll.Interval = unlimited, every(loadPoll)
	})
	if err != nil {
		return err
	}
	if err := pending.add(ctx, seen.count); err != nil {
		return err
	}
	before, err := s.readServer(ctx)
	if err != nil {
		return err
	}
	running, err := s.startOperator(ctx)
	if err != nil {
		return err
	}
	profiled := s.profileCPU(ctx, running, "B1-cpu.pprof")
	end, err := awaitTally(ctx, running, ofNamespace(loadNamespace), seen.count)
	if err != nil {
		return err
	}
	seen.took = end.Sub(running.began)
	if err := pause(ctx, quietTime); err != nil {
		return err
	}
	after, err := s.readServer(ctx)
	if err != nil {
		return err
	}
	own, err := record.UsageOf(ctx, running.metrics)
	if err != nil {
		return err
	}
	seen.requests = after.requests.Since(before.requests)
	seen.operatorCPU, seen.serverCPU = own.CPUSeconds, after.usage.CPUSeconds-before.usage.CPUSeconds
	if err := <-profiled; err != nil {
		return err
	}
	if seen.calls, err = simulator.Calls(ctx, ""); err != nil {
		return err
	}
	if err := s.checkImported(ctx, simulator, loadNamespace, seen.count); err != nil {
		return err
	}
	return running.stop(ctx)
}

// serverReading is what the metrics of the API server said at a moment.
type serverReading struct {
	requests record.Requests
	usage    record.ServerUsage
}

func (s *stand) readServer(ctx context.Context) (serverReading, error) {
	requests, err := record.RequestsOf(ctx, s.server)
	if err != nil {
		return serverReading{}, err
	}
	usage, err := record.ServerUsageOf(ctx, s.server)
	return serverReading{requests: requests, usage: usage}, err
}

func (l *load) report(s *stand) {
	work := fmt.Sprintf("%s BackupSyncs pending, one project, %s per call", grouped(l.count), loadLatency)
	ratio := report.Ratio(l.took, l.floor)
	s.results.Add(report.Figure{Measure: "B1", Name: "time-over-floor", Work: work, Value: ratio, Text: fmt.Sprintf(
		"%.2f x: all Imported in %s, %s bare status patches in %s", ratio, report.Seconds(l.took), grouped(2*l.count), report.Seconds(l.floor))})

	perThousand := 1000 / float64(l.count)
	s.results.Add(report.Figure{Measure: "B1", Name: "server-over-operator", Work: work, Value: report.Ratio(l.serverCPU, l.operatorCPU), Text: fmt.Sprintf(
		"processor time for 1,000 of them: kube-apiserver %.2fs, operator %.2fs", l.serverCPU*perThousand, l.operatorCPU*perThousand)})

	fewest := (l.count + cbr.MaxImportItems - 1) / cbr.MaxImportItems
	syncCalls := countCalls(l.calls, cbr.OperationImport)
	s.results.Add(report.Figure{Measure: "B2", Name: "sync-calls", Work: "the same run", Value: report.Ratio(float64(syncCalls), float64(fewest)),
		Text: fmt.Sprintf("%d sync calls, %.2f x the fewest", syncCalls, report.Ratio(float64(syncCalls), float64(fewest)))})

	pages := (l.count + cbr.MaxPageSize - 1) / cbr.MaxPageSize
	lists := longestPoll(l.calls)
	s.results.Add(report.Figure{Measure: "B2", Name: "lists-beyond-pages", Work: "the same run", Value: float64(lists - pages),
		Text: fmt.Sprintf("%d task lists in a poll of %d pages", lists, pages)})

	questions, looked := countCalls(l.calls, cbr.OperationGetBackup), countCalls(l.calls, cbr.OperationListBackups)+l.lookLists()
	s.results.Add(report.Figure{Measure: "B2", Name: "questions-per-call", Work: "the same run", Value: report.Ratio(float64(questions), float64(syncCalls)),
		Text: fmt.Sprintf("%d backups asked for by themselves for %d calls, and %d pages of lists, by the looks before them", questions, syncCalls, looked)})

	writes := l.requests.Count(ofOperator(record.Request.Writes))
	s.results.Add(report.Figure{Measure: "B2", Name: "writes-per-backup", Work: "the same run", Value: report.Ratio(float64(writes), float64(l.count)),
		Text: fmt.Sprintf("%.3f writes per backup", report.Ratio(float64(writes), float64(l.count)))})

	reads := l.requests.Count(func(r record.Request) bool { return r.Resource == backupSyncs && r.Verb == "GET" })
	s.results.Add(report.Figure{Measure: "B2", Name: "reads-per-backup", Work: "the same run", Value: report.Ratio(float64(reads), float64(l.count)),
		Text: fmt.Sprintf("%.3f reads per backup", report.Ratio(float64(reads), float64(l.count)))})
}

// lookLists counts the pages of tasks that looks have read: those of polls have a start_time.
func (l *load) lookLists() int {
	count := 0
	for _, call := range l.calls {
		if call.Operation == string(cbr.OperationListTasks) && !strings.Contains(call.Query, "start_time=") {
			count++
		}
	}
	return count
}

// ofOperator picks the requests for what the operator works on. The renewals of leases are no work.
func ofOperator(pick func(record.Request) bool) func(record.Request) bool {
	return func(request record.Request) bool {
		switch request.Resource {
		case backupSyncs, "cbrprojects", "events", "secrets", "configmaps":
			return pick(request)
		default:
			return false
		}
	}
}

func countCalls(calls []cluster.Call, operation cbr.Operation) int {
	count := 0
	for _, call := range calls {
		if call.Operation == string(operation) {
			count++
		}
	}
	return count
}

// longestPoll returns the most lists of tasks that one look at the running tasks took. A look begins with the first page
// of the tasks since a time; lists by status belong to the look before the first submission.
func longestPoll(calls []cluster.Call) int {
	longest, current := 0, 0
	for _, call := range calls {
		if call.Operation != string(cbr.OperationListTasks) || !strings.Contains(call.Query, "start_time=") {
			continue
		}
		if strings.Contains(call.Query+"&", "offset=0&") {
			current = 0
		}
		current++
		longest = max(longest, current)
	}
	return longest
}
