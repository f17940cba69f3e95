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

// Command bench measures the operator: how near it comes to what its parts allow, how it compares with what users would
// do without it, what it costs at rest, and whether that stays so when there is more. It needs etcd, kube-apiserver and
// kubectl in bin/k8s ("make controlplane") and starts everything else itself.
//
// All times are ratios of what was measured in the same run on the same machine, or seconds where a promise is in seconds.
// The figures are printed as a table and held against ranges.yaml; the exit code is 1 if one leaves its range.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/e2e/cluster"
)

//go:embed ranges.yaml
var rangesFile []byte

// exitInterrupted is what shells report for Ctrl-C.
const exitInterrupted = 130

var (
	errTimeout = errors.New("the time of the whole run is over")
	errRanges  = errors.New("results are not as they should be")
)

// options are the flags.
type options struct {
	quick        bool
	only         string
	scale        float64
	profile      bool
	bareInformer string
}

func main() {
	options, err := parseFlags(os.Args[1:], os.Stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		os.Exit(2)
	}
	ctrl.SetLogger(logr.Discard()) // of envtest and the rivals: what goes wrong is in their errors
	ctx, cancel := cluster.Interruptible(context.Background())
	if options.bareInformer != "" {
		err = runBareInformer(ctx, options.bareInformer, os.Stdout)
	} else {
		err = run(ctx, options, os.Stdout, os.Stderr)
	}
	cancel(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		if errors.Is(err, cluster.ErrInterrupted) {
			os.Exit(exitInterrupted)
		}
		os.Exit(1)
	}
}

func parseFlags(arguments []string, output io.Writer) (options, error) {
	var parsed options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.BoolVar(&parsed.quick, "quick", false, "small sizes and wide ranges: three minutes, to see a collapse")
	flags.StringVar(&parsed.only, "only", "", "measures to make, \"B1,B4\" for two of them; all if empty")
	flags.Float64Var(&parsed.scale, "scale", 1, "factor of the numbers of objects")
	flags.BoolVar(&parsed.profile, "profile", false, "keep profiles: of the processor time of B1, which costs some per cent of it, and of the allocations of B6 over projects")
	flags.StringVar(&parsed.bareInformer, bareInformerFlag, "", "used by the bench itself: read all BackupSyncs with this kubeconfig, and end")
	if err := flags.Parse(arguments); err != nil {
		return parsed, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", flags.Arg(0))
		_, _ = fmt.Fprintln(output, "bench:", err)
		return parsed, err
	}
	return parsed, nil
}

func (o options) mode() string {
	if o.quick {
		return report.Quick
	}
	return report.Full
}

// run makes the measures and shows what they have found, also if it was cut short.
func run(ctx context.Context, chosen options, output, progress io.Writer) error {
	ranges, err := report.ParseRanges(rangesFile)
	if err != nil {
		return err
	}
	b, err := newBench(chosen, progress)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.sizes.timeout, errTimeout)
	defer cancel()
	err = b.run(ctx)
	b.results.Sort()
	wrong := b.results.Judge(ranges, b.only)
	if len(b.results.Figures) > 0 {
		_, printErr := fmt.Fprintf(output, "\n%s\n", b.results.Table())
		err = errors.Join(err, printErr)
	}
	if err := errors.Join(err, b.results.Write(b.folder)); err != nil {
		return err
	}
	if wrong = append(b.results.Failures, wrong...); len(wrong) > 0 {
		return fmt.Errorf("%w:\n- %s", errRanges, strings.Join(wrong, "\n- "))
	}
	return nil
}

func newBench(chosen options, progress io.Writer) (*bench, error) {
	only, err := parseOnly(chosen.only)
	if err != nil {
		return nil, err
	}
	sizes, err := sizesOf(chosen.mode()).scaled(chosen.scale)
	if err != nil {
		return nil, err
	}
	root, err := cluster.ModuleRoot()
	if err != nil {
		return nil, err
	}
	b := &bench{root: root, folder: filepath.Join(root, "bench"), only: only, sizes: sizes, profile: chosen.profile,
		progress: progress, results: newResults(chosen.mode(), chosen.scale)}
	return b, report.Prepare(b.folder)
}
