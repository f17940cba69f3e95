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
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/controller"
)

// coldStart is what one start has shown.
type coldStart struct {
	firstCall time.Duration // from the start of the process to its first sync call
	looked    time.Duration // of it, from its first call of CBR on
	informer  time.Duration // of a bare informer
}

// measureColdStart makes the first half of B5: a start with much to read.
func (p *population) measureColdStart(ctx context.Context) {
	starts := make([]coldStart, 0, p.sizes.trials)
	for range p.sizes.trials {
		start := p.startCold(ctx)
		p.tell("B5: first call %s after the start, %s of it since the first look at CBR; a bare informer takes %s",
			report.Seconds(start.firstCall), report.Seconds(start.looked), report.Seconds(start.informer))
		starts = append(starts, start)
	}
	ratio := report.Median(starts, func(s coldStart) float64 { return report.Ratio(s.firstCall, s.informer) })
	median := func(of func(coldStart) time.Duration) time.Duration { return report.Seconds(report.Median(starts, of)) }
	p.add("B5", "cold-start", fmt.Sprintf("%s imported, %s pending", grouped(p.sizes.takeoverAt), grouped(p.sizes.added)), ratio,
		"%.2f x: first sync call %s after the start (%s of it looking at CBR), a bare informer reads all in %s", ratio,
		median(func(s coldStart) time.Duration { return s.firstCall }),
		median(func(s coldStart) time.Duration { return s.looked }),
		median(func(s coldStart) time.Duration { return s.informer }))
}

func (p *population) startCold(ctx context.Context) coldStart {
	informer := p.timeBareInformer(ctx)
	p.must(p.generator.Add(ctx, p.sizes.added))
	p.outlast(ctx)
	running := p.startOperator(ctx)
	look, first := p.awaitCall(ctx, "", running.began), p.awaitCall(ctx, cbr.OperationImport, running.began)
	p.awaitAll(ctx, running)
	p.retire(ctx, running)
	return coldStart{firstCall: first.Sub(running.began), looked: first.Sub(look), informer: informer}
}

// awaitAll waits until all of the population is imported.
func (p *population) awaitAll(ctx context.Context, running *operator) {
	p.awaitImported(ctx, running, ofNamespace(populationNamespace), p.generator.Count)
	p.imported = time.Now()
}

// outlast waits until no import has ended lately.
func (p *population) outlast(ctx context.Context) {
	p.pause(ctx, time.Until(p.imported.Add(p.sizes.outlast)))
}

// awaitCall waits for the first call of an operation after a moment, of any if it is "", and returns when it arrived:
// the simulator has noted the time.
func (p *population) awaitCall(ctx context.Context, operation cbr.Operation, after time.Time) (first time.Time) {
	p.await(ctx, "a call of CBR", 100*time.Millisecond, func() bool {
		for _, call := range p.calls(ctx, p.simulator, operation) {
			if call.Time.After(after) {
				first = call.Time
				return true
			}
		}
		return false
	})
	return first
}

// ending is a way for a leader to end.
type ending struct {
	name, how string
	end       func(*operator) error
	lease     time.Duration // that the successor must wait for
	took      []time.Duration
}

// measureFailovers makes the other half of B5. It ends leaders, by SIGKILL and by SIGTERM, while another one stands by and a
// project has work that its suspension holds back. It is resumed at that moment, so that the next call is the successor's.
func (p *population) measureFailovers(ctx context.Context) {
	leader := p.startOperator(ctx, p.sizes.leaseArguments()...)
	for _, by := range []*ending{
		{name: "killed", how: "SIGKILL of the leader", end: func(o *operator) error { return o.Kill() }, lease: p.sizes.lease},
		{name: "terminated", how: "SIGTERM of the leader", end: func(o *operator) error { return o.stop(ctx) }},
	} {
		for range p.sizes.trials {
			leader = p.failOver(ctx, leader, by)
		}
		by.report(p)
	}
	p.retire(ctx, leader)
}

// failOver ends the leader, and returns its successor.
func (p *population) failOver(ctx context.Context, leader *operator, by *ending) *operator {
	p.changeProject(ctx, map[string]any{"suspend": true})
	standby := p.startOperator(ctx, p.sizes.leaseArguments()...)
	p.must(p.generator.Add(ctx, p.sizes.added))
	p.pause(ctx, settleTime)
	p.outlast(ctx)
	began, ended := time.Now(), make(chan error, 1)
	go func() { ended <- by.end(leader) }()
	p.changeProject(ctx, map[string]any{"suspend": false})
	took := p.awaitCall(ctx, cbr.OperationImport, began).Sub(began)
	p.tell("B5: %s, next sync call after %s", by.how, report.Seconds(took))
	by.took = append(by.took, took)
	p.awaitAll(ctx, standby)
	p.must(<-ended)
	return standby
}

// report says how long the takeover took beyond the lease that had to expire.
func (e *ending) report(p *population) {
	took := report.Median(e.took, func(each time.Duration) time.Duration { return each })
	beyond := (took - e.lease).Seconds()
	text := fmt.Sprintf("next sync call %s after %s", report.Seconds(took), e.how)
	if e.lease > 0 {
		text += fmt.Sprintf(": lease of %s %+.2f s", e.lease, beyond)
	}
	p.add("B5", e.name, "the same, a warm standby", beyond, "%s", text)
}

const (
	bareInformerFlag = "bare-informer"
	// informerSynced is what a bare informer prints when it has read everything.
	informerSynced = "synced"
)

// kubeconfig makes this program a bare informer. It is not for people.
var kubeconfig = flag.String(bareInformerFlag, "", "used by the benchmark itself: read all BackupSyncs with this kubeconfig, and end")

// runBareInformer reads all BackupSyncs into a cache, as the operator does, and nothing more.
func runBareInformer(ctx context.Context, path string, output io.Writer) error {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("make the scheme: %w", err)
	}
	informers, err := cache.New(config, cache.Options{Scheme: scheme, DefaultTransform: controller.TrimCached})
	if err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := informers.GetInformer(ctx, &v1alpha1.BackupSync{}); err != nil {
		return fmt.Errorf("make the informer: %w", err)
	}
	go func() { _ = informers.Start(ctx) }() // what fails shows in that the cache is not filled
	if !informers.WaitForCacheSync(ctx) {
		return errors.New("the cache was not filled")
	}
	_, err = fmt.Fprintln(output, informerSynced)
	return err
}

// timeBareInformer runs a bare informer as a process of its own, with the operator's identity, and returns how long it
// took from its start until it had read everything.
func (e *env) timeBareInformer(ctx context.Context) time.Duration {
	program, err := os.Executable()
	e.must(err)
	ctx, cancel := context.WithTimeout(ctx, processStart)
	defer cancel()
	began := time.Now()
	output, err := exec.CommandContext(ctx, program, "-"+bareInformerFlag+"="+e.bed.Cluster.ManagerKubeconfig()).CombinedOutput()
	if err != nil || !strings.Contains(string(output), informerSynced) {
		e.Fatalf("run a bare informer: %v\n%s", err, output)
	}
	return time.Since(began)
}
