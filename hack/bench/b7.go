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
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	singleNamespace = "single"
	// batchWindow is the default of a CBRProject's batch.window.
	batchWindow = time.Second
)

// measureSingle makes B7: how long a single BackupSync takes that nothing is in the way of. The simulator answers at
// once, so that of the calls that come before the sync call only their number counts, and nothing has to be taken off.
func measureSingle(ctx context.Context, s *stand) error {
	s.tell("B7: applying %d single BackupSyncs", s.sizes.applied)
	simulator, err := s.startSimulator(ctx, "--latency=0s", "--task-duration=0s")
	if err != nil {
		return err
	}
	if err := s.createNamespace(ctx, singleNamespace); err != nil {
		return err
	}
	err = s.createProject(ctx, singleNamespace, projectName, simulator.URL, cbrtest.ProjectID, func(spec *v1alpha1.CBRProjectSpec) {
		spec.Poll.Interval = every(shortPoll)
	})
	if err != nil {
		return err
	}
	running, err := s.startOperator(ctx)
	if err != nil {
		return err
	}
	herd, single := s.newHerd(singleNamespace, projectName), make([]time.Duration, 0, s.sizes.applied)
	for range s.sizes.applied {
		took, err := s.timeSingle(ctx, herd)
		if err != nil {
			return err
		}
		single = append(single, took-batchWindow)
	}
	calls, err := simulator.Calls(ctx, "")
	if err != nil {
		return err
	}
	reportSingle(s, single, calls)
	return running.stop(ctx)
}

// timeSingle applies a BackupSync, and returns how long it took until its status named the task. It returns when the
// system is idle again.
func (s *stand) timeSingle(ctx context.Context, to *herd) (time.Duration, error) {
	if err := pause(ctx, settleTime); err != nil {
		return 0, err
	}
	accepted, err := s.when(ctx, to.namespace, func(backup *v1alpha1.BackupSync) bool { return backup.Status.OperationLogID != "" })
	if err != nil {
		return 0, err
	}
	imported, err := s.whenImported(ctx, to.namespace, 1)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := to.add(ctx, 1); err != nil {
		return 0, err
	}
	end, last := <-accepted, <-imported
	return end.at.Sub(began), errors.Join(end.err, last.err)
}

func reportSingle(s *stand, single []time.Duration, calls []cluster.Call) {
	took := report.Median(single)
	s.results.Add(report.Figure{Measure: "B7", Name: "overhead", Value: float64(took) / float64(time.Millisecond),
		Work: "one BackupSync applied to an idle system",
		Text: fmt.Sprintf("operationLogID in its status %s after apply and batch window (%.1f calls of CBR to its end)",
			report.Seconds(took), report.Ratio(float64(len(calls)), float64(len(single))))})
}
