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
	"fmt"
	"strings"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

const (
	loadNamespace = "full-load"
	loadLatency   = 50 * time.Millisecond
	loadPoll      = 2 * time.Second
	// quietTime is how long after the last import the operator may still write the project's last counts.
	quietTime = 3 * time.Second
	// statusWriters is the manager's default of --status-writers.
	statusWriters = 16
)

// load is what a full load has shown.
type load struct {
	count         int
	took, floor   time.Duration
	writes, reads float64 // of what the operator works on; of single BackupSyncs
	calls         []cluster.Call
	// operatorCPU and serverCPU are seconds of processor time, of the operator and of the kube-apiserver.
	operatorCPU, serverCPU float64
}

// measureFullLoad makes B1 and B2: many pending BackupSyncs, and nothing that slows their import but the API server. One
// half of the floor is before and one after the import, so that both stand on the same machine if it changes.
func measureFullLoad(ctx context.Context, e *env) {
	seen := load{count: e.sizes.fullLoad}
	simulator := e.startSimulator(ctx, loadLatency)
	e.tell("B1: %d status patches for the first half of the floor", seen.count)
	floor := e.newFloor(ctx, seen.count/2)
	before := e.timeFloor(ctx, floor)
	e.tell("B1: importing %d BackupSyncs", seen.count)
	e.importFullLoad(ctx, simulator, &seen)
	e.tell("B1: the second half of the floor")
	after := e.timeFloor(ctx, floor)
	seen.floor = before + after
	e.tell("B1: took %s; the floor %s and %s", report.Seconds(seen.took), report.Seconds(before), report.Seconds(after))
	seen.report(e)
}

// newFloor creates the BackupSyncs of the floor, which is the least that importing can take on a control plane: two status
// patches for each backup, with as many writers and the same identity as the operator has, and nothing else. They are at
// rest: an operator that runs later leaves them alone.
func (e *env) newFloor(ctx context.Context, count int) *testbed.Generator {
	const namespace = "floor"
	e.createNamespace(ctx, namespace)
	floor := e.newGenerator(namespace, projectName)
	e.must(floor.StoreImported(ctx, e.bed.Cluster.Etcd(), count))
	config, err := e.bed.Cluster.ConfigOf(ctx, cluster.Namespace, cluster.ServiceAccount)
	e.must(err)
	floor.Server, err = testbed.NewServer(config)
	e.must(err)
	return floor
}

// timeFloor writes the two statuses of each BackupSync, and returns how long that took.
func (e *env) timeFloor(ctx context.Context, floor *testbed.Generator) time.Duration {
	began := time.Now()
	e.must(floor.WriteStatuses(ctx, statusWriters, floor.RunningStatus))
	e.must(floor.WriteStatuses(ctx, statusWriters, floor.ImportedStatus))
	return time.Since(began)
}

func (e *env) importFullLoad(ctx context.Context, simulator *cluster.Simulator, seen *load) {
	e.createNamespace(ctx, loadNamespace)
	e.createProject(ctx, loadNamespace, projectName, simulator.URL, cbrtest.ProjectID, func(spec *v1alpha1.CBRProjectSpec) {
		spec.Limits, spec.Poll.Interval = unlimited, every(loadPoll)
	})
	e.must(e.newGenerator(loadNamespace, projectName).StorePending(ctx, e.bed.Cluster.Etcd(), seen.count))
	before := e.readServer(ctx)
	running := e.startOperator(ctx)
	seen.took = e.awaitImported(ctx, running, ofNamespace(loadNamespace), seen.count).Sub(running.began)
	e.pause(ctx, quietTime)
	after := e.readServer(ctx)
	seen.operatorCPU = e.read(ctx, running).Value(record.CPUSeconds)
	seen.serverCPU = after.Value(record.CPUSeconds) - before.Value(record.CPUSeconds)
	seen.writes = more(before, after, isWrite)
	seen.reads = more(before, after, func(labels record.Labels) bool { return labels["resource"] == "backupsyncs" && labels["verb"] == "GET" })
	seen.calls = e.calls(ctx, simulator, "")
	e.checkImported(ctx, simulator, loadNamespace, seen.count)
	e.must(running.stop(ctx))
}

// more returns how many requests of a kind the API server has answered between two readings.
func more(before, after record.Reading, kind func(record.Labels) bool) float64 {
	return after.Sum(record.Requests, kind) - before.Sum(record.Requests, kind)
}

// isWork reports whether requests are for what the operator works on. The renewals of leases are no work.
func isWork(labels record.Labels) bool {
	switch labels["resource"] {
	case "backupsyncs", "cbrprojects", "events", "secrets", "configmaps":
		return true
	default:
		return false
	}
}

// isWrite reports whether requests are work that changes something. A verb is an HTTP method, or LIST, WATCH or APPLY.
func isWrite(labels record.Labels) bool {
	switch labels["verb"] {
	case "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION":
		return isWork(labels)
	default:
		return false
	}
}

func isRead(labels record.Labels) bool { return isWork(labels) && !isWrite(labels) }

func (l *load) report(e *env) {
	work := fmt.Sprintf("%s BackupSyncs pending, one project, %s per call", grouped(l.count), loadLatency)
	slower := report.Ratio(l.took, l.floor)
	e.add("B1", "time-over-floor", work, slower, "%.2f x: all Imported in %s, %s bare status patches in %s",
		slower, report.Seconds(l.took), grouped(2*l.count), report.Seconds(l.floor))
	perThousand := 1000 / float64(l.count)
	e.add("B1", "server-over-operator", work, report.Ratio(l.serverCPU, l.operatorCPU),
		"processor time for 1,000 of them: kube-apiserver %.2fs, operator %.2fs", l.serverCPU*perThousand, l.operatorCPU*perThousand)

	const same = "the same run"
	calls := func(of cbr.Operation) int {
		return count(l.calls, func(call cluster.Call) bool { return call.Operation == string(of) })
	}
	syncCalls, fewest := calls(cbr.OperationImport), pagesOf(l.count, cbr.MaxImportItems)
	e.add("B2", "sync-calls", same, report.Ratio(syncCalls, fewest), "%d sync calls, %.2f x the fewest", syncCalls, report.Ratio(syncCalls, fewest))
	lists, pages := longestPoll(l.calls), pagesOf(l.count, cbr.MaxPageSize)
	e.add("B2", "lists-beyond-pages", same, float64(lists-pages), "%d task lists in a poll of %d pages", lists, pages)
	questions := calls(cbr.OperationGetBackup)
	looks := calls(cbr.OperationListBackups) + calls(cbr.OperationListTasks) - count(l.calls, isPoll)
	e.add("B2", "questions-per-call", same, report.Ratio(questions, syncCalls),
		"%d backups asked for by themselves for %d calls, and %d pages of lists, by the looks before them",
		questions, syncCalls, looks)
	writes, reads := l.writes/float64(l.count), l.reads/float64(l.count)
	e.add("B2", "writes-per-backup", same, writes, "%.3f writes per backup", writes)
	e.add("B2", "reads-per-backup", same, reads, "%.3f reads per backup", reads)
}

func pagesOf(count, size int) int { return (count + size - 1) / size }

// isPoll reports whether a call is a page of a look at the running tasks, which asks for those since a time. Lists by status
// belong to the look before the first submission.
func isPoll(call cluster.Call) bool {
	return call.Operation == string(cbr.OperationListTasks) && strings.Contains(call.Query, "start_time=")
}

// longestPoll returns the most lists of tasks that one look at the running tasks took.
func longestPoll(calls []cluster.Call) int {
	longest, current := 0, 0
	for _, call := range calls {
		if !isPoll(call) {
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
