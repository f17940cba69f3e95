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
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

const (
	projectName = "default"
	// machines is the number of virtual machines that the backups are of.
	machines = 500
	// processStart is long: an operator has read a hundred thousand objects when it is ready.
	processStart = 2 * time.Minute
	// processStop is more than a manager waits for its calls.
	processStop = 30 * time.Second
	// settleTime lets an operator come to rest: it writes the counts of its projects every two seconds.
	settleTime = 2500 * time.Millisecond
	// importedPoll is how exactly the end of an import is known. A look takes the operator some milliseconds.
	importedPoll = 200 * time.Millisecond
)

// env is a control plane with the operator's roles and kinds, on which measures are made one after the other, each in
// namespaces of its own and with simulators of its own.
type env struct {
	*testing.B // of the measure under way
	*benchmark
	bed     *testbed.TestBed
	server  rest.Interface // as the administrator
	started int            // processes, to name them
	running []*cluster.Process
}

func newEnv(parent *testing.B, run *benchmark) *env {
	e := &env{B: parent, benchmark: run, bed: testbed.New(run.ctx, parent)}
	e.bed.Cluster.StartTimeout = processStart
	var err error
	e.server, err = testbed.NewServer(e.bed.Cluster.Config)
	e.must(err)
	return e
}

// must ends the measure if something has failed. It is for the measure's own goroutine only.
func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// clear ends what a measure has left running, well or not: the next one is to find an idle machine.
func (e *env) clear() {
	for _, process := range e.running {
		if err := process.Kill(); err != nil {
			e.Error(err)
		}
	}
	e.running = nil
}

// add adds a figure to the results, and to the metrics of the benchmark.
func (e *env) add(measure, name, work string, value float64, text string, arguments ...any) {
	figure := report.Figure{Measure: measure, Name: name, Work: work, Value: value, Text: fmt.Sprintf(text, arguments...)}
	e.ReportMetric(value, figure.Key())
	e.results.Figures = append(e.results.Figures, figure)
}

// plot adds what was found at one size of the work, for a plot over all of them.
func (e *env) plot(measure, line string, size int, of string, value float64, unit string) {
	e.results.Points = append(e.results.Points, report.Point{Measure: measure, Line: line, Size: size, Of: of, Value: value, Unit: unit})
}

// thisMachine are the simulators' endpoints.
const thisMachine = "http://127.0.0.1:*"

// operator is a process of the manager.
type operator struct {
	*cluster.Manager
	// began is the time just before it was started.
	began time.Time
	// metrics is the URL of its metrics, by HTTP, profiles that of the folder of its profiles.
	metrics, profiles string
}

// startOperator starts a manager and waits until its caches are filled.
func (e *env) startOperator(ctx context.Context, arguments ...string) *operator {
	profiler, err := cluster.FreeAddresses(ctx, 1)
	e.must(err)
	e.started++
	began := time.Now()
	manager, err := e.bed.Cluster.StartManager(ctx, fmt.Sprintf("manager-%d", e.started), e.bed.Manager,
		append([]string{"--metrics-secure=false", "--pprof-bind-address=" + profiler[0], "--allowed-endpoints=" + thisMachine}, arguments...)...)
	e.must(err)
	e.running = append(e.running, manager.Process)
	return &operator{Manager: manager, began: began, metrics: strings.Replace(manager.MetricsURL, "https:", "http:", 1),
		profiles: "http://" + profiler[0] + "/debug/pprof/"}
}

// stop ends an operator by SIGTERM.
func (o *operator) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, processStop)
	defer cancel()
	return o.Stop(ctx)
}

// startSimulator starts a CBR in memory, whose tasks take no time, and which runs until its measure has ended.
func (e *env) startSimulator(ctx context.Context, latency time.Duration, arguments ...string) *cluster.Simulator {
	e.started++
	simulator, err := e.bed.Cluster.StartSimulator(ctx, fmt.Sprintf("cbrsim-%d", e.started), e.bed.Simulator,
		append([]string{"--latency=" + latency.String(), "--task-duration=0s"}, arguments...)...)
	e.must(err)
	e.running = append(e.running, simulator.Process)
	return simulator
}

// count returns how many a function picks.
func count[T any](of []T, pick func(T) bool) int {
	picked := 0
	for _, each := range of {
		if pick(each) {
			picked++
		}
	}
	return picked
}

// calls returns the calls of an operation that a simulator was sent, all if it is "".
func (e *env) calls(ctx context.Context, simulator *cluster.Simulator, operation cbr.Operation) []cluster.Call {
	calls, err := simulator.Calls(ctx, string(operation))
	e.must(err)
	return calls
}

// createNamespace creates a namespace with the Secret of its projects.
func (e *env) createNamespace(ctx context.Context, name string) {
	e.must(e.bed.Cluster.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	e.must(e.bed.Cluster.Client.Create(ctx, testbed.Secret(name)))
}

// unlimited are limits that no measure but B3 comes near.
var unlimited = v1alpha1.Limits{SyncCallsPerMinute: 100_000, ConcurrentSyncCalls: 20}

// quickProject makes a project lose no time by waiting: what that costs is set by the user.
func quickProject(spec *v1alpha1.CBRProjectSpec) {
	spec.Limits = unlimited
	spec.Batch.Window, spec.Poll.Interval = every(300*time.Millisecond), every(200*time.Millisecond)
}

// createProject creates a CBRProject. The change makes its spec differ from the defaults.
func (e *env) createProject(ctx context.Context, namespace, name, endpoint, projectID string, change func(*v1alpha1.CBRProjectSpec)) {
	project := testbed.Project(namespace, name, endpoint, projectID)
	change(&project.Spec)
	e.must(e.bed.Cluster.Client.Create(ctx, project))
}

// newGenerator prepares BackupSyncs of some projects of a namespace.
func (e *env) newGenerator(namespace string, projects ...string) *testbed.Generator {
	return &testbed.Generator{Server: e.server, Namespace: namespace, Projects: projects, InARow: 1, Machines: machines}
}

// every returns a duration of a CBRProject's spec.
func every(interval time.Duration) *metav1.Duration { return &metav1.Duration{Duration: interval} }

// read reads the metrics of an operator.
func (e *env) read(ctx context.Context, running *operator) record.Reading {
	reading, err := record.Read(ctx, running.metrics)
	e.must(err)
	return reading
}

func (e *env) readServer(ctx context.Context) record.Reading {
	reading, err := record.ReadServer(ctx, e.server)
	e.must(err)
	return reading
}

// ofNamespace picks the projects of a namespace by the labels of their metrics.
func ofNamespace(name string) func(record.Labels) bool {
	return func(labels record.Labels) bool { return string(labels["namespace"]) == name }
}

// awaitImported waits until an operator says that so many backups of some projects are imported, and returns when it did. It
// is cheaper than a watch where there are many, but grows with the number of all BackupSyncs: the operator counts them.
func (e *env) awaitImported(ctx context.Context, running *operator, of func(record.Labels) bool, want int) time.Time {
	e.await(ctx, fmt.Sprintf("%d backups to be imported", want), importedPoll, func() bool {
		imported := e.read(ctx, running).Sum(record.Backups, func(labels record.Labels) bool { return of(labels) && labels["state"] == "imported" })
		return int(imported) >= want
	})
	return time.Now()
}

// await waits until something is so.
func (e *env) await(ctx context.Context, what string, interval time.Duration, so func() bool) {
	e.Helper()
	for !so() {
		if err := testbed.Pause(ctx, interval); err != nil {
			e.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// whenImported watches a namespace from now on, and tells when so many more BackupSyncs are Ready.
func (e *env) whenImported(ctx context.Context, namespace string, count int) <-chan time.Time {
	ready := map[types.UID]struct{}{}
	return e.when(ctx, namespace, func(backup *v1alpha1.BackupSync) bool {
		if isReady(backup) {
			ready[backup.UID] = struct{}{}
		}
		return len(ready) == count
	})
}

func isReady(backup *v1alpha1.BackupSync) bool {
	return meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionReady)
}

// when watches a namespace from now on, and tells when a function has seen what it waits for. It tells nothing if the watch
// ends before.
func (e *env) when(ctx context.Context, namespace string, seen func(*v1alpha1.BackupSync) bool) <-chan time.Time {
	watcher, err := testbed.Watch(ctx, e.bed.Watcher, namespace, &v1alpha1.BackupSyncList{})
	e.must(err)
	done := make(chan time.Time, 1)
	go func() {
		defer close(done)
		defer watcher.Stop()
		for event := range watcher.ResultChan() {
			if backup, ok := event.Object.(*v1alpha1.BackupSync); ok && seen(backup) {
				done <- time.Now()
				return
			}
		}
	}()
	return done
}

// seen returns when a watch has seen what it waits for.
func (e *env) seen(ctx context.Context, done <-chan time.Time) time.Time {
	e.Helper()
	at, seen := <-done
	if !seen {
		e.Fatalf("the watch of BackupSyncs has ended early: %v", context.Cause(ctx))
	}
	return at
}

// timeAdditions adds BackupSyncs to a running operator, and returns how long it took from the first manifest to the last
// import.
func (e *env) timeAdditions(ctx context.Context, to *testbed.Generator, count int) time.Duration {
	done := e.whenImported(ctx, to.Namespace, count)
	began := time.Now()
	e.must(to.Add(ctx, count))
	return e.seen(ctx, done).Sub(began)
}

// checkImported makes sure that a figure is about work that was done: each BackupSync says so, and each backup was
// accepted once.
func (e *env) checkImported(ctx context.Context, simulator *cluster.Simulator, namespace string, want int) {
	ready, page := 0, &v1alpha1.BackupSyncList{}
	for first := true; first || page.Continue != ""; first = false {
		e.must(e.bed.Cluster.Client.List(ctx, page, client.InNamespace(namespace), client.Limit(500), client.Continue(page.Continue)))
		ready += count(page.Items, func(backup v1alpha1.BackupSync) bool { return isReady(&backup) })
	}
	if ready != want {
		e.Fatalf("%d of %d BackupSyncs of the namespace %s are Ready", ready, want, namespace)
	}
	ledger, err := simulator.Ledger(ctx)
	e.must(err)
	if len(ledger.AcceptedTwice) > 0 {
		e.Fatalf("backups were accepted more than once: %s", strings.Join(ledger.AcceptedTwice, " "))
	}
}

// pause lets time go by.
func (e *env) pause(ctx context.Context, duration time.Duration) {
	e.Helper()
	e.must(testbed.Pause(ctx, duration))
}

// grouped writes a number as people read it: 100,000.
func grouped(number int) string {
	digits := fmt.Sprint(number)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
