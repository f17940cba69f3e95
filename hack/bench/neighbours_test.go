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

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/record"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

const (
	tenantLatency = 50 * time.Millisecond
	// hanging is how long each call of the bad endpoint takes.
	hanging = "30s"
	// badTenants is the number of the bad ones: one that hangs, one that is throttled.
	badTenants = 2
)

// neighbourhood is what a trial of B8 has prepared.
type neighbourhood struct {
	*env
	namespace string
	good      *testbed.Generator
	simulator *cluster.Simulator // of the good ones
}

// measureNeighbours makes B8: whether tenants feel that two others have a bad endpoint. Runs with and without these take
// turns, so that a machine that changes changes both.
func measureNeighbours(ctx context.Context, e *env) {
	took := map[bool][]time.Duration{} // by whether there are bad ones
	for trial := range 2 * e.sizes.tenantTrials {
		bad := trial%4 == 0 || trial%4 == 3 // with, without, without, with, ...
		each := e.timeNeighbours(ctx, fmt.Sprintf("tenants-%d", trial), bad)
		took[bad] = append(took[bad], each)
		e.tell("B8: %d good projects, bad ones beside them: %t: %s", e.sizes.tenants-badTenants, bad, report.Seconds(each))
	}
	median := func(bad bool) time.Duration {
		return report.Median(took[bad], func(each time.Duration) time.Duration { return each })
	}
	slower := report.Ratio(median(true), median(false))
	work := fmt.Sprintf("%d projects of %d backups each, one hangs %s a call, one is throttled", e.sizes.tenants, e.sizes.backupsPerTenant, hanging)
	e.add("B8", "slow-down", work, slower, "%.2f x: the other %d took %s, %s without the two", slower, e.sizes.tenants-badTenants,
		report.Seconds(median(true)), report.Seconds(median(false)))
}

// timeNeighbours returns how long the good projects take, from their first sync call on.
func (e *env) timeNeighbours(ctx context.Context, namespace string, bad bool) time.Duration {
	n := &neighbourhood{env: e, namespace: namespace}
	n.createNamespace(ctx, namespace)
	if bad {
		n.addBad(ctx)
	}
	n.addGood(ctx)
	running := n.startOperator(ctx, "--leader-elect=false") // it is killed in the end, and would leave its lease
	last := n.awaitImported(ctx, running, n.isGood, n.good.Count)
	calls := n.calls(ctx, n.simulator, cbr.OperationImport)
	if len(calls) == 0 {
		n.Fatal("there is no sync call")
	}
	n.must(running.Kill()) // SIGTERM would wait for the call that hangs
	n.remove(ctx)
	return last.Sub(calls[0].Time)
}

// pacedProject makes a project of a tenant.
func pacedProject(spec *v1alpha1.CBRProjectSpec) {
	spec.Limits, spec.Poll.Interval = unlimited, every(time.Second)
}

func (n *neighbourhood) addGood(ctx context.Context) {
	var names []string
	n.simulator, names = n.createProjects(ctx, n.namespace, n.sizes.tenants-badTenants, tenantLatency, pacedProject)
	n.good = n.newGenerator(n.namespace, names...)
	n.must(n.good.Add(ctx, len(names)*n.sizes.backupsPerTenant))
}

// addBad adds the projects with bad endpoints. Their BackupSyncs are the oldest.
func (n *neighbourhood) addBad(ctx context.Context) {
	next := n.sizes.tenants * n.sizes.backupsPerTenant
	for name, fault := range map[string]map[string]any{
		"hanging":   {"times": cbrtest.Always, "delay": hanging},
		"throttled": {"times": cbrtest.Always, "delay": "0s", "status": 429, "code": "APIGW.0308"},
	} {
		simulator := n.startSimulator(ctx, tenantLatency)
		n.must(simulator.Steer(ctx, "faults", fault))
		n.createProject(ctx, n.namespace, name, simulator.URL, cbrtest.ProjectID, pacedProject)
		generator := n.newGenerator(n.namespace, name)
		generator.First = next // names are made of numbers: the bad ones have theirs beyond those of the good ones
		next += n.sizes.backupsPerTenant
		n.must(generator.Add(ctx, n.sizes.backupsPerTenant))
	}
}

// isGood picks the good projects by the labels of their metrics.
func (n *neighbourhood) isGood(labels record.Labels) bool {
	return string(labels["namespace"]) == n.namespace && strings.HasPrefix(string(labels["project"]), "tenant-")
}

// remove removes all of it: later operators would begin with a look at each project.
func (n *neighbourhood) remove(ctx context.Context) {
	n.must(n.bed.Cluster.Client.DeleteAllOf(ctx, &v1alpha1.BackupSync{}, client.InNamespace(n.namespace)))
	projects := &v1alpha1.CBRProjectList{}
	n.must(n.bed.Cluster.Client.List(ctx, projects, client.InNamespace(n.namespace)))
	for i := range projects.Items {
		project := &projects.Items[i]
		if controllerutil.RemoveFinalizer(project, controller.Finalizer) { // its calls will not come to an end
			n.must(n.bed.Cluster.Client.Update(ctx, project))
		}
		n.must(n.bed.Cluster.Client.Delete(ctx, project))
	}
}
