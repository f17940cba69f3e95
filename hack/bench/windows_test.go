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
	"net/http"
	"strconv"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// batchWindow is the default of a CBRProject's batch.window.
const batchWindow = time.Second

// measureSingle makes B7: how long a single BackupSync takes that nothing is in the way of. The simulator answers at
// once, so that of the calls that come before the sync call only their number counts, and nothing has to be taken off.
func measureSingle(ctx context.Context, e *env) {
	const namespace = "single"
	e.tell("B7: applying %d single BackupSyncs", e.sizes.applied)
	simulator := e.startSimulator(ctx, 0)
	e.createNamespace(ctx, namespace)
	e.createProject(ctx, namespace, projectName, simulator.URL, cbrtest.ProjectID, func(spec *v1alpha1.CBRProjectSpec) {
		spec.Poll.Interval = every(200 * time.Millisecond)
	})
	running := e.startOperator(ctx)
	generator, single := e.newGenerator(namespace, projectName), make([]time.Duration, 0, e.sizes.applied)
	for range e.sizes.applied {
		single = append(single, e.timeSingle(ctx, generator)-batchWindow)
	}
	calls := len(e.calls(ctx, simulator, ""))
	took := report.Median(single, func(each time.Duration) time.Duration { return each })
	e.add("B7", "overhead", "one BackupSync applied to an idle system", float64(took)/float64(time.Millisecond),
		"operationLogID in its status %s after apply and batch window (%.1f calls of CBR to its end)",
		report.Seconds(took), report.Ratio(calls, len(single)))
	e.must(running.stop(ctx))
}

// timeSingle applies a BackupSync, and returns how long it took until its status named the task. It returns when the
// system is idle again.
func (e *env) timeSingle(ctx context.Context, to *testbed.Generator) time.Duration {
	e.pause(ctx, settleTime)
	accepted := e.when(ctx, to.Namespace, func(backup *v1alpha1.BackupSync) bool { return backup.Status.OperationLogID != "" })
	imported := e.whenImported(ctx, to.Namespace, 1)
	began := time.Now()
	e.must(to.Add(ctx, 1))
	took := e.seen(ctx, accepted).Sub(began)
	e.seen(ctx, imported)
	return took
}

// The account of B3. What is known of such limits was measured on a sister service of CBR: 10 calls in a minute, refused
// ones counted.
const (
	accountCalls   = 10
	accountWindow  = time.Minute
	accountLatency = 50 * time.Millisecond
	accountTask    = 5 * time.Second
)

// measureLimit makes B3: whether an account's limit is kept, and whether it is used. It needs more calls than go at once.
func measureLimit(ctx context.Context, e *env) {
	const namespace = "limited"
	e.tell("B3: importing %d backups with %d calls a minute", e.sizes.limited, accountCalls)
	simulator := e.startSimulator(ctx, accountLatency, "--sync-calls-per-minute="+strconv.Itoa(accountCalls),
		"--rate-window="+accountWindow.String(), "--task-duration="+accountTask.String())
	e.createNamespace(ctx, namespace)
	e.createProject(ctx, namespace, projectName, simulator.URL, cbrtest.ProjectID, func(*v1alpha1.CBRProjectSpec) {})
	running := e.startOperator(ctx)
	took := e.timeAdditions(ctx, e.newGenerator(namespace, projectName), e.sizes.limited)
	e.tell("B3: took %s", report.Seconds(took))
	e.checkImported(ctx, simulator, namespace, e.sizes.limited)
	work := fmt.Sprintf("%s backups, %d calls a minute", grouped(e.sizes.limited), accountCalls)
	calls := e.calls(ctx, simulator, cbr.OperationImport)
	refused := count(calls, func(call cluster.Call) bool { return call.Status == http.StatusTooManyRequests })
	e.add("B3", "refused", work, float64(refused), "%d of %d sync calls refused for their rate", refused, len(calls))
	share := 100 * shareOfLimit(calls, accountCalls, accountWindow)
	e.add("B3", "share-of-limit", work, share, "%.1f %% of the limit used while it bound: all Imported in %s", share, report.Seconds(took))
	e.must(running.stop(ctx))
}

// shareOfLimit returns how much of a limit calls have used from when on it bound them. A call may come one window after the
// one that is a limit's worth before it; the share is that time over the time after which calls came. It is not a number
// if there are no more calls than may come at once.
func shareOfLimit(calls []cluster.Call, limit int, window time.Duration) float64 {
	var allowed, took time.Duration
	for i := limit; i < len(calls); i++ {
		allowed += window
		took += calls[i].Time.Sub(calls[i-limit].Time)
	}
	return report.Ratio(allowed, took)
}
