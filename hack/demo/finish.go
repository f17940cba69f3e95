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
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	diagnoseTimeout = 10 * time.Second
	tailLines       = 15
	shownUnready    = 5
)

// stop ends and removes everything.
func (d *demo) stop(ctx context.Context) error {
	if d.cluster == nil {
		return nil
	}
	d.screen.printf("[%s] Stopping all processes, removing their files\n", since(d.started))
	return d.cluster.Stop(ctx)
}

// diagnose prints what helps to see why the demo has failed.
func (d *demo) diagnose(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	if d.manager == nil {
		return
	}
	d.screen.printf("\nThe end of the manager's log:\n%s\n", cluster.Tail(d.manager.LogFile, tailLines))
	s, err := d.look(ctx)
	if err != nil {
		d.screen.printf("\nThe state cannot be read: %v\n", err)
		return
	}
	d.screen.printf("\nCBRProject %s:\n%s", projectName, conditionLines(s.project.Status.Conditions))
	shown := 0
	for i := range s.backups {
		backup := &s.backups[i]
		if ready(backup).Status == metav1.ConditionTrue || shown == shownUnready {
			continue
		}
		shown++
		d.screen.printf("BackupSync %s:\n%s", backup.Name, conditionLines(backup.Status.Conditions))
	}
}

func conditionLines(conditions []metav1.Condition) string {
	var lines strings.Builder
	for _, condition := range conditions {
		fmt.Fprintf(&lines, "  %s=%s %s: %s\n", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	return lines.String()
}

// leave leaves everything running, and tells how to use it and how to stop it.
func (d *demo) leave() error {
	children, err := d.cluster.Children()
	if err != nil {
		return errors.Join(err, d.stop(context.Background()))
	}
	script, another := filepath.Join(d.cluster.Dir, "stop"), filepath.Join(d.cluster.Dir, "one-more.yaml")
	err = errors.Join(os.WriteFile(script, []byte(stopScript(d.cluster.Dir, children)), 0o700),
		os.WriteFile(another, []byte(manifest(1, days)), 0o600))
	if err != nil {
		return errors.Join(fmt.Errorf("write the stop script: %w", err), d.stop(context.Background()))
	}
	d.screen.printf(`
Everything goes on running. In this shell:

  export KUBECONFIG=%[1]s PATH="%[9]s:%[2]s:$PATH"

Try:

  kubectl get bsync -o wide
  kubectl get cbr
  kubectl describe cbrp %[3]s
  kubectl explain backupsync.spec
  kubectl apply -f %[4]s
  kubectl wait --for=condition=Ready backupsync --all
  kubectl backupsync status
  kubectl backupsync verify --allowed-endpoints='http://127.0.0.1:*'

What CBR was sent: %[5]s/ in a browser, or: curl %[6]s
The logs are in %[7]s

Stop everything and remove its files:

  sh %[8]s
`, d.cluster.Kubeconfig, d.cluster.Assets, projectName, another, d.simulator.URL, d.simulator.LedgerURL(), d.cluster.Dir, script,
		filepath.Join(d.cluster.Root, "bin"))
	return nil
}

// stopScript returns a shell script that ends processes and removes their folder. It leaves a process alone that does
// not have the folder in its arguments: the id may belong to another one by then.
func stopScript(dir string, children []cluster.Child) string {
	var script strings.Builder
	fmt.Fprintf(&script, `#!/bin/sh
# Stops what "make demo KEEP=1" has left running, and removes its files.
dir='%s'
ours() {
  if [ -r "/proc/$1/cmdline" ]; then tr '\0' ' ' <"/proc/$1/cmdline"; else ps -o args= -p "$1"; fi 2>/dev/null | grep -qF "$dir"
}
stop() {
  ours "$2" || return 0
  echo "stopping $1 ($2)"
  kill -TERM "$2"
  tries=0
  while ours "$2"; do
    tries=$((tries + 1))
    [ "$tries" -lt 150 ] || kill -KILL "$2"
    sleep 0.1
  done
}
`, strings.ReplaceAll(dir, "'", `'\''`))
	for _, child := range children {
		fmt.Fprintf(&script, "stop %s %d\n", child.Name, child.PID)
	}
	script.WriteString("rm -rf \"$dir\"\n")
	return script.String()
}
