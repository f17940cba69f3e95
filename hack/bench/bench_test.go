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

// Package bench_test measures the operator: how near it comes to what its parts allow, what it costs at rest, and whether
// that stays so when there is more. Its benchmarks need etcd, kube-apiserver and kubectl in bin/k8s ("make controlplane"),
// start everything else themselves, and are run once each: "make bench".
//
// All times are ratios of what was measured in the same run on the same machine, or seconds where a promise is in seconds.
// The figures are metrics of the benchmarks, for benchstat. They are also printed as a table and held against ranges.yaml;
// the run fails if one leaves its range.
package bench_test

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/e2e/cluster"
)

//go:embed ranges.yaml
var rangesFile []byte

var (
	quick = flag.Bool("quick", false, "small sizes and wide ranges: some minutes, to see a collapse")
	only  = flag.String("only", "", "measures to make, \"B1,B4\" for two of them; all if empty")
	scale = flag.Float64("scale", 1, "factor of the numbers of objects")
)

var (
	errTimeout        = errors.New("the time of the whole run is over")
	errMeasureTimeout = errors.New("the time of the measure is over")
	errRanges         = errors.New("results are not as they should be")
)

// measure is a part of the benchmark that is made as a whole.
type measure struct {
	name string
	// ids are the rows of the table that it fills.
	ids []string
	run func(context.Context, *env)
}

// sharing are the measures that share a control plane. The first one needs an idle system: before there is anything else.
var sharing = []measure{
	{name: "Single", ids: []string{"B7"}, run: measureSingle},
	{name: "FullLoad", ids: []string{"B1", "B2"}, run: measureFullLoad},
	{name: "Projects", ids: []string{"B6"}, run: measureSpread},
	{name: "Neighbours", ids: []string{"B8"}, run: measureNeighbours},
	{name: "Limit", ids: []string{"B3"}, run: measureLimit},
}

// growing are the measures of a population that grows, on a control plane of its own.
var growing = []measure{
	{name: "Population", ids: []string{"B4", "B5", "B6"}, run: measurePopulation},
}

func BenchmarkControlPlane(b *testing.B) { underWay.measure(b, sharing) }

func BenchmarkGrowth(b *testing.B) { underWay.measure(b, growing) }

// TestMain runs the benchmarks, if there are to be any, as one run with one table.
func TestMain(m *testing.M) {
	flag.Parse()
	benchmarks := flag.Lookup("test.bench").Value.String() != ""
	if !benchmarks && *kubeconfig == "" {
		os.Exit(m.Run())
	}
	ctx, cancel := cluster.Interruptible(context.Background())
	var err error
	if benchmarks {
		err = runBenchmarks(ctx, m)
	} else {
		err = runBareInformer(ctx, *kubeconfig, os.Stdout)
	}
	cancel(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// benchmark is one run of the benchmark.
type benchmark struct {
	ctx     context.Context // of the benchmarks, which have no arguments
	folder  string          // of the results
	only    []string
	sizes   sizes
	ranges  report.Ranges
	started time.Time
	results report.Results
}

var underWay *benchmark

// runBenchmarks makes the measures and shows what they have found, also if one has failed or all were cut short.
func runBenchmarks(ctx context.Context, m *testing.M) error {
	var err error
	if underWay, err = newBenchmark(); err != nil {
		return err
	}
	var cancel context.CancelFunc
	underWay.ctx, cancel = context.WithTimeoutCause(ctx, underWay.sizes.timeout, errTimeout)
	defer cancel()
	var failed error
	if m.Run() != 0 {
		failed = errors.New("not all measures came to a result")
	}
	return errors.Join(failed, underWay.finish())
}

func newBenchmark() (*benchmark, error) {
	b := &benchmark{started: time.Now(), sizes: fullSizes(), results: report.Results{Mode: report.Full}}
	if *quick {
		b.sizes, b.results.Mode = quickSizes(), report.Quick
	}
	root, err := cluster.ModuleRoot()
	if err != nil {
		return nil, err
	}
	b.folder = filepath.Join(root, "bench")
	if b.ranges, err = report.ParseRanges(rangesFile); err != nil {
		return nil, err
	}
	if b.only, err = parseOnly(*only); err != nil {
		return nil, err
	}
	if b.sizes, err = b.sizes.scaled(*scale); err != nil {
		return nil, err
	}
	return b, os.MkdirAll(b.folder, 0o755)
}

// measure makes those of some measures that were asked for. One that fails does not keep the others from being made.
func (b *benchmark) measure(parent *testing.B, measures []measure) {
	measures = slices.DeleteFunc(slices.Clone(measures), func(m measure) bool { return !m.wanted(b) })
	if len(measures) == 0 {
		parent.Skip("was not asked for")
	}
	if b.ctx.Err() != nil {
		parent.Fatal(context.Cause(b.ctx))
	}
	b.tell("starting etcd and kube-apiserver, applying config/default")
	e := newEnv(parent, b)
	for _, each := range measures {
		parent.Run(each.name, func(measuring *testing.B) {
			ctx, cancel := context.WithTimeoutCause(b.ctx, b.sizes.measureTimeout, errMeasureTimeout)
			defer cancel()
			measuring.ReportMetric(0, "ns/op") // is left out: what a measure takes is no figure
			e.B = measuring
			defer e.clear()
			each.run(ctx, e)
		})
	}
}

// finish shows the results, and returns what is wrong with them.
func (b *benchmark) finish() error {
	b.results.Sort()
	wrong := b.results.Judge(b.ranges, b.only)
	fmt.Printf("\n%s\n", b.results.Table())
	if err := b.results.Write(b.folder); err != nil {
		return err
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w:\n- %s", errRanges, strings.Join(wrong, "\n- "))
	}
	return nil
}

// tell says what is going on.
func (b *benchmark) tell(format string, arguments ...any) {
	elapsed := int(time.Since(b.started).Seconds())
	fmt.Fprintf(os.Stderr, "[%d:%02d] %s\n", elapsed/60, elapsed%60, fmt.Sprintf(format, arguments...))
}

// allIDs returns the ids of all measures, sorted.
func allIDs() []string {
	var ids []string
	for _, each := range slices.Concat(sharing, growing) {
		ids = append(ids, each.ids...)
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
	var chosen []string
	for id := range strings.SplitSeq(list, ",") {
		id = strings.ToUpper(strings.TrimSpace(id))
		if !slices.Contains(known, id) {
			return nil, fmt.Errorf("there is no measure %q: they are %s", id, strings.Join(known, " "))
		}
		chosen = append(chosen, id)
	}
	return chosen, nil
}

func (b *benchmark) wanted(id string) bool { return slices.Contains(b.only, id) }

func (m measure) wanted(b *benchmark) bool { return slices.ContainsFunc(m.ids, b.wanted) }
