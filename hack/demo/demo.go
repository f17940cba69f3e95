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
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	// backupCount is how many backups are applied at once, callSize how many CBR takes in a call.
	backupCount = 120
	callSize    = 50
	// sampleCount is how many backups config/samples has.
	sampleCount = 3
	// manifestsFile holds their manifests.
	manifestsFile = "backups.yaml"
	// namespace and projectName are where they go.
	namespace   = "default"
	projectName = "default"

	buildTimeout   = 6 * time.Minute // on two cores, with empty caches
	prepareTimeout = 3 * time.Minute
	importTimeout  = 3 * time.Minute
	waitTimeout    = "60s" // of kubectl wait
)

// The simulated CBR and the pace of the demo's project.
const (
	simulatorLatency      = "200ms"
	simulatorTaskDuration = "3s"
	simulatorLimit        = 60
	batchWindow           = "3s"
	batchMaxWait          = "30s"
	pollInterval          = "1s"
)

// demo is one run.
type demo struct {
	screen  *screen
	keep    bool
	started time.Time

	simulatorBinary, managerBinary string

	cluster     *cluster.Cluster
	simulator   *cluster.Simulator
	manager     *cluster.Manager
	complete    bool // all that --keep leaves running is up
	samples     int  // backups of config/samples
	sampleCalls int  // sync calls that they took
}

// run goes through the stages of the demo.
func (d *demo) run(ctx context.Context) error {
	d.screen.printf("Importing %d VMware backups into a simulated Huawei Cloud CBR, with real Kubernetes parts.\n\n", sampleCount+backupCount)
	for _, stage := range []struct {
		title   string
		timeout time.Duration
		do      func(context.Context) error
	}{
		{"Starting etcd and kube-apiserver: a Kubernetes without nodes", prepareTimeout, d.startCluster},
		{"Looking for bin/manager and bin/cbrsim: what is missing or older than its sources is built", buildTimeout, d.findBinaries},
		{"Applying config/default: kinds, roles, the operator's ServiceAccount", prepareTimeout, d.install},
		{fmt.Sprintf("Starting cbrsim, a CBR in memory: %s per call, %s per import, %d calls a minute",
			simulatorLatency, simulatorTaskDuration, simulatorLimit), prepareTimeout, d.startSimulator},
		{"Starting the manager, as that ServiceAccount", prepareTimeout, d.startManager},
		{fmt.Sprintf("Applying config/samples with cbrsim in place of the region, batch.window %s, batch.maxWait %s, poll.interval %s",
			batchWindow, batchMaxWait, pollInterval), importTimeout, d.importSamples},
		{fmt.Sprintf("Applying %d BackupSyncs with one \"kubectl apply -f\"", backupCount), importTimeout, d.importBackups},
		{"Checking the result against the ledger of cbrsim", importTimeout, d.prove},
	} {
		d.screen.printf("[%s] %s\n", since(d.started), stage.title)
		bounded, cancel := context.WithTimeout(ctx, stage.timeout)
		err := stage.do(bounded)
		cancel()
		if err != nil {
			return err
		}
	}
	d.screen.printf("\nDone in %s: %d backups are in CBR, %d of them by %d calls, and none was sent twice.\n",
		time.Since(d.started).Round(time.Second), d.samples+backupCount, backupCount, expectedCalls)
	return nil
}

// since formats the time since a moment as minutes and seconds.
func since(moment time.Time) string {
	elapsed := int(time.Since(moment).Seconds())
	return fmt.Sprintf("%d:%02d", elapsed/60, elapsed%60)
}

func (d *demo) startCluster(ctx context.Context) error {
	root, err := cluster.ModuleRoot()
	if err != nil {
		return err
	}
	d.cluster, err = cluster.Start(ctx, root)
	return err
}

func (d *demo) install(ctx context.Context) error { return d.cluster.Install(ctx) }

func (d *demo) findBinaries(ctx context.Context) error {
	var err error
	if d.simulatorBinary, err = cluster.Binary(ctx, d.cluster.Root, d.cluster.Dir, "cbrsim", "./hack/cbrsim"); err != nil {
		return err
	}
	d.managerBinary, err = cluster.Binary(ctx, d.cluster.Root, d.cluster.Dir, "manager", ".")
	return err
}

func (d *demo) startSimulator(ctx context.Context) error {
	var err error
	d.simulator, err = d.cluster.StartSimulator(ctx, "cbrsim", d.simulatorBinary, "--latency="+simulatorLatency,
		"--task-duration="+simulatorTaskDuration, fmt.Sprintf("--sync-calls-per-minute=%d", simulatorLimit))
	return err
}

func (d *demo) startManager(ctx context.Context) error {
	var err error
	if d.manager, err = d.cluster.StartManager(ctx, "manager", d.managerBinary); err != nil {
		return err
	}
	d.complete = true
	return nil
}

// importSamples applies the samples as an overlay has changed them, so that nothing is ever sent elsewhere.
func (d *demo) importSamples(ctx context.Context) error {
	overlay, err := d.cluster.WriteSamples("overlay", cluster.SamplePatch{
		Namespace: namespace, Token: cbrtest.Token, Endpoint: d.simulator.URL,
		Project: map[string]any{
			"batch": map[string]string{"window": batchWindow, "maxWait": batchMaxWait},
			"poll":  map[string]string{"interval": pollInterval},
		},
	})
	if err != nil {
		return err
	}
	if _, err := d.cluster.Kubectl(ctx, "apply", "-k", overlay); err != nil {
		return err
	}
	if err := d.watch(ctx, func(s *snapshot) bool { return len(s.backups) > 0 && s.ready() == len(s.backups) }); err != nil {
		return err
	}
	last, err := d.look(ctx)
	if err != nil {
		return err
	}
	d.samples, d.sampleCalls = len(last.backups), last.ledger.SyncCalls
	return nil
}

// importBackups applies the generated backups, and watches them from the first on.
func (d *demo) importBackups(ctx context.Context) error {
	manifests := filepath.Join(d.cluster.Dir, manifestsFile)
	if err := os.WriteFile(manifests, generate(backupCount), 0o600); err != nil {
		return fmt.Errorf("write the manifests: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var apply errgroup.Group
	apply.Go(func() error {
		_, err := d.cluster.Kubectl(ctx, "apply", "-f", manifests)
		if err != nil {
			cancel(err)
		}
		return err
	})
	want := d.samples + backupCount
	if err := d.watch(ctx, func(s *snapshot) bool { return len(s.backups) == want && s.ready() == want }); err != nil {
		cancel(err)
		_ = apply.Wait() // if this has failed by itself, it is the cause of the other
		return err
	}
	return apply.Wait()
}

// prove checks what the demo promises. The project's counts may follow its backups by some seconds.
func (d *demo) prove(ctx context.Context) error {
	settled := func(s *snapshot) bool {
		return s.counts() == importedCounts(d.samples+backupCount) && len(s.project.Status.Journal.Submissions) == 0
	}
	if err := d.settle(ctx, settled); err != nil {
		return err
	}
	last, err := d.look(ctx)
	if err != nil {
		return err
	}
	failed := d.report(proof(last, d.samples, d.sampleCalls)...)
	d.screen.printf("        kubectl wait looks at one backup after the other, some ten a second ...\n")
	_, err = d.cluster.Kubectl(ctx, "wait", "--for=condition="+v1alpha1.ConditionReady, "backupsync", "--all", "--namespace="+namespace, "--timeout="+waitTimeout)
	failed += d.report(check{"kubectl wait --for=condition=Ready backupsync --all", exitText(err), err == nil})
	if failed > 0 {
		return fmt.Errorf("%d checks failed", failed)
	}
	return nil
}

// report prints checks and returns how many have failed.
func (d *demo) report(checks ...check) (failed int) {
	for _, each := range checks {
		mark := "ok  "
		if !each.ok {
			mark, failed = "FAIL", failed+1
		}
		d.screen.printf("  %s  %-52s %s\n", mark, each.what, each.found)
	}
	return failed
}

func exitText(err error) string {
	if err != nil {
		return err.Error()
	}
	return "exit 0"
}
