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

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
	"backupsync.dev/operator/internal/e2e/cluster"
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
	*stand
	namespace string
	good      *herd
	simulator *cluster.Simulator // of the good ones
	bad       []*herd
}

// measureNeighbours makes B8: whether tenants feel that two others have a bad endpoint. Runs with and without these take
// turns, so that a machine that changes changes both.
func measureNeighbours(ctx context.Context, s *stand) error {
	var with, without []time.Duration
	for trial := range 2 * s.sizes.tenantTrials {
		bad := trial%4 == 0 || trial%4 == 3 // with, without, without, with, ...
		took, err := s.timeNeighbours(ctx, fmt.Sprintf("tenants-%d", trial), bad)
		if err != nil {
			return err
		}
		if bad {
			with = append(with, took)
		} else {
			without = append(without, took)
		}
		s.tell("B8: %d good projects, bad ones beside them: %t: %s", s.sizes.tenants-badTenants, bad, report.Seconds(took))
	}
	slower := report.Ratio(report.Median(with), report.Median(without))
	s.results.Add(report.Figure{Measure: "B8", Name: "slow-down", Value: slower,
		Work: fmt.Sprintf("%d projects of %d backups each, one hangs %s a call, one is throttled", s.sizes.tenants, s.sizes.backupsPerTenant, hanging),
		Text: fmt.Sprintf("%.2f x: the other %d took %s, %s without the two", slower, s.sizes.tenants-badTenants,
			report.Seconds(report.Median(with)), report.Seconds(report.Median(without)))})
	return nil
}

// timeNeighbours returns how long the good projects take, from their first sync call on.
func (s *stand) timeNeighbours(ctx context.Context, namespace string, bad bool) (time.Duration, error) {
	n := &neighbourhood{stand: s, namespace: namespace}
	if err := n.prepare(ctx, bad); err != nil {
		return 0, err
	}
	running, err := s.startOperator(ctx, "--leader-elect=false") // it is killed in the end, and would leave its lease
	if err != nil {
		return 0, err
	}
	end, err := awaitTally(ctx, running, n.imported, n.good.count)
	if err != nil {
		return 0, err
	}
	calls, err := n.simulator.Calls(ctx, string(cbr.OperationImport))
	if err != nil || len(calls) == 0 {
		return 0, fmt.Errorf("find the first sync call: %w", err)
	}
	// SIGTERM would wait for the call that hangs.
	return end.Sub(calls[0].Time), errors.Join(running.Kill(), n.remove(ctx))
}

func (n *neighbourhood) prepare(ctx context.Context, bad bool) error {
	if err := n.createNamespace(ctx, n.namespace); err != nil {
		return err
	}
	if bad {
		if err := n.addBad(ctx); err != nil {
			return err
		}
	}
	return n.addGood(ctx)
}

func (n *neighbourhood) addGood(ctx context.Context) error {
	names, projectIDs := make([]string, 0, n.sizes.tenants), make([]string, 0, n.sizes.tenants)
	for number := range n.sizes.tenants - badTenants {
		names, projectIDs = append(names, fmt.Sprintf("tenant-%03d", number)), append(projectIDs, cloudProject(number))
	}
	var err error
	if n.simulator, err = n.startTenantSimulator(ctx, "--project-id="+strings.Join(projectIDs, ",")); err != nil {
		return err
	}
	for number, name := range names {
		if err := n.createTenant(ctx, name, n.simulator.URL, projectIDs[number]); err != nil {
			return err
		}
	}
	n.good = n.newHerd(n.namespace, names...)
	return n.good.add(ctx, len(names)*n.sizes.backupsPerTenant)
}

func (n *neighbourhood) startTenantSimulator(ctx context.Context, arguments ...string) (*cluster.Simulator, error) {
	return n.startSimulator(ctx, append([]string{"--latency=" + tenantLatency.String(), "--task-duration=0s"}, arguments...)...)
}

func (n *neighbourhood) createTenant(ctx context.Context, name, endpoint, projectID string) error {
	return n.createProject(ctx, n.namespace, name, endpoint, projectID, func(spec *v1alpha1.CBRProjectSpec) {
		spec.Limits, spec.Poll.Interval = unlimited, every(time.Second)
	})
}

// fault is a fault of the simulator that befalls every call.
type fault struct {
	Times  int    `json:"times"`
	Delay  string `json:"delay,omitempty"`
	Status int    `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
}

// addBad adds the projects with bad endpoints. Their BackupSyncs are the oldest.
func (n *neighbourhood) addBad(ctx context.Context) error {
	for name, what := range map[string]fault{
		"hanging":   {Times: cbrtest.Always, Delay: hanging},
		"throttled": {Times: cbrtest.Always, Delay: "0s", Status: 429, Code: "APIGW.0308"},
	} {
		simulator, err := n.startTenantSimulator(ctx)
		if err != nil {
			return err
		}
		if err := simulator.Steer(ctx, "faults", what); err != nil {
			return err
		}
		if err := n.createTenant(ctx, name, simulator.URL, cbrtest.ProjectID); err != nil {
			return err
		}
		herd := n.newHerd(n.namespace, name)
		// Names are made of numbers: the bad ones have theirs beyond those of the good ones.
		herd.first = (n.sizes.tenants + len(n.bad)) * n.sizes.backupsPerTenant
		n.bad = append(n.bad, herd)
		if err := herd.add(ctx, n.sizes.backupsPerTenant); err != nil {
			return err
		}
	}
	return nil
}

// imported counts the imported backups of the good projects in an operator's metrics.
func (n *neighbourhood) imported(labels map[string]string) bool {
	return labels["namespace"] == n.namespace && strings.HasPrefix(labels["project"], "tenant-")
}

// remove removes all of it: later operators would begin with a look at each project.
func (n *neighbourhood) remove(ctx context.Context) error {
	for _, herd := range append(n.bad, n.good) {
		if err := herd.remove(ctx); err != nil {
			return err
		}
	}
	projects := &v1alpha1.CBRProjectList{}
	if err := n.cluster.Client.List(ctx, projects, client.InNamespace(n.namespace)); err != nil {
		return fmt.Errorf("list the CBRProjects of the namespace %s: %w", n.namespace, err)
	}
	for i := range projects.Items {
		if err := n.removeProject(ctx, &projects.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (n *neighbourhood) removeProject(ctx context.Context, project *v1alpha1.CBRProject) error {
	if controllerutil.RemoveFinalizer(project, controller.Finalizer) { // its calls will not come to an end
		if err := n.cluster.Client.Update(ctx, project); err != nil {
			return fmt.Errorf("release the CBRProject %s: %w", project.Name, err)
		}
	}
	if err := n.cluster.Client.Delete(ctx, project); err != nil {
		return fmt.Errorf("delete the CBRProject %s: %w", project.Name, err)
	}
	return nil
}
