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
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// measure is a part of the benchmark that is made as a whole.
type measure struct {
	// ids are the rows of the table that it fills.
	ids []string
	run func(context.Context, *stand) error
}

// stages are the measures in the order in which they are made. Those of a stage share a control plane; a stage begins
// with an empty one.
var stages = [][]measure{
	{
		{ids: []string{"B7"}, run: measureSingle}, // on an idle system: before there is anything else
		{ids: []string{"B1", "B2"}, run: measureFullLoad},
		{ids: []string{"B6"}, run: measureSpread},
		{ids: []string{"B8"}, run: measureNeighbours},
		{ids: []string{"B3"}, run: measureRivals},
	},
	{
		{ids: []string{"B4", "B5", "B6"}, run: measurePopulation},
	},
}

// bench is one run of the benchmark.
type bench struct {
	root     string
	folder   string // of the results
	only     []string
	sizes    sizes
	profile  bool
	progress io.Writer

	managerBinary, simulatorBinary string

	results *report.Results
}

// allIDs returns the ids of all measures, sorted.
func allIDs() []string {
	var ids []string
	for _, stage := range stages {
		for _, each := range stage {
			ids = append(ids, each.ids...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// parseOnly reads a comma-separated list of ids; none stands for all.
func parseOnly(list string) ([]string, error) {
	known := allIDs()
	if list == "" {
		return known, nil
	}
	var only []string
	for id := range strings.SplitSeq(list, ",") {
		id = strings.ToUpper(strings.TrimSpace(id))
		if !slices.Contains(known, id) {
			return nil, fmt.Errorf("there is no measure %q: they are %s", id, strings.Join(known, " "))
		}
		only = append(only, id)
	}
	return only, nil
}

func (b *bench) wanted(id string) bool { return slices.Contains(b.only, id) }

func (m measure) wanted(b *bench) bool { return slices.ContainsFunc(m.ids, b.wanted) }

// newResults prepares the results of a run.
func newResults(mode string, scale float64) *report.Results {
	return &report.Results{Started: time.Now().UTC().Truncate(time.Second), Mode: mode, Scale: scale,
		Machine: report.Machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, GoVersion: runtime.Version()}}
}

// run makes the measures. One that fails does not keep the others from being made; it is among the results' failures.
func (b *bench) run(ctx context.Context) (err error) {
	defer func() { b.results.Took = time.Since(b.results.Started).Seconds() }()
	built, err := os.MkdirTemp("", "backupsync-bench-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(built)) }()
	if err := b.findBinaries(ctx, built); err != nil {
		return err
	}
	for _, stage := range stages {
		if !slices.ContainsFunc(stage, func(m measure) bool { return m.wanted(b) }) {
			continue
		}
		if err := b.runStage(ctx, stage); err != nil {
			return err
		}
	}
	return nil
}

// runStage makes the measures of a stage. What it returns ends the run: the control plane, or an interruption.
func (b *bench) runStage(ctx context.Context, stage []measure) (err error) {
	s, err := b.newStand(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	for _, each := range stage {
		if !each.wanted(b) {
			continue
		}
		err := errors.Join(s.runBounded(ctx, each), s.clear())
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		if err != nil {
			failure := fmt.Sprintf("%s: %v", strings.Join(each.ids, ", "), err)
			b.tell("%s", failure)
			b.results.Failures = append(b.results.Failures, failure)
		}
	}
	return nil
}

var errMeasureTimeout = errors.New("the time of the measure is over")

func (s *stand) runBounded(ctx context.Context, chosen measure) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.sizes.measureTimeout, errMeasureTimeout)
	defer cancel()
	return chosen.run(ctx, s)
}

// findBinaries finds the manager and the simulator, and builds what is missing or older than its sources into a folder.
func (b *bench) findBinaries(ctx context.Context, folder string) error {
	b.tell("looking for bin/manager and bin/cbrsim: what is missing or older than its sources is built")
	var err error
	if b.managerBinary, err = cluster.Binary(ctx, b.root, folder, "manager", "."); err != nil {
		return err
	}
	b.simulatorBinary, err = cluster.Binary(ctx, b.root, folder, "cbrsim", "./hack/cbrsim")
	return err
}

// tell says what is going on.
func (b *bench) tell(format string, arguments ...any) {
	elapsed := int(time.Since(b.results.Started).Seconds())
	_, _ = fmt.Fprintf(b.progress, "[%d:%02d] %s\n", elapsed/60, elapsed%60, fmt.Sprintf(format, arguments...))
}
