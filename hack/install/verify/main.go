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

// Command verify does what a newcomer does by the README, on this machine alone, and prints each command with its output: it installs
// the chart, imports the backups of the GitOps example, reads the metrics through the secured endpoint, sees an alert fire, upgrades,
// rolls back and uninstalls. There are no nodes here: in the place of the kubelet it starts the manager from the root of the image, with
// the arguments, the environment and the ServiceAccount that the chart gives it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"backupsync.dev/operator/internal/e2e/cluster"
)

// verifyTimeout bounds everything before the cleanup.
const verifyTimeout = 10 * time.Minute

func main() {
	ctrl.SetLogger(logr.Discard()) // of envtest: what goes wrong is in its errors
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "verify-install:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := cluster.Interruptible(context.Background())
	defer cancel(nil)
	ctx, cancelTimeout := context.WithTimeout(ctx, verifyTimeout)
	defer cancelTimeout()
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	v := &verification{root: filepath.Join(here, "..", ".."), out: os.Stdout, began: time.Now()}
	err = v.run(ctx)
	return errors.Join(err, v.stop(context.WithoutCancel(ctx), err != nil))
}
