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

// Command demo shows the operator's main job from end to end, on this machine alone: it starts a Kubernetes API server,
// a simulated CBR and the manager, applies the 3 samples and 120 more backups with kubectl, shows how they turn
// Ready, and proves from the simulator's ledger that they took three calls and none was sent twice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"backupsync.dev/operator/internal/e2e/cluster"
)

// demoTimeout bounds everything before the cleanup.
const demoTimeout = 15 * time.Minute

// exitInterrupted is what shells report for Ctrl-C.
const exitInterrupted = 130

func main() {
	keep := flag.Bool("keep", false, "leave everything running at the end, and say how to stop it")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctrl.SetLogger(logr.Discard()) // of envtest: what goes wrong is in its errors
	if err := run(*keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		if errors.Is(err, cluster.ErrInterrupted) {
			os.Exit(exitInterrupted)
		}
		os.Exit(1)
	}
}

func run(keep bool) error {
	ctx, cancel := cluster.Interruptible(context.Background())
	defer cancel(nil)
	ctx, cancelTimeout := context.WithTimeout(ctx, demoTimeout)
	defer cancelTimeout()
	d := &demo{screen: newScreen(os.Stdout), keep: keep, started: time.Now()}
	err := d.run(ctx)
	interrupted := errors.Is(context.Cause(ctx), cluster.ErrInterrupted)
	if err != nil && !interrupted {
		d.diagnose(context.WithoutCancel(ctx))
	}
	if keep && d.complete && !interrupted {
		return errors.Join(err, d.leave())
	}
	stopErr := d.stop(context.WithoutCancel(ctx))
	if interrupted {
		return errors.Join(cluster.ErrInterrupted, stopErr)
	}
	return errors.Join(err, stopErr)
}
