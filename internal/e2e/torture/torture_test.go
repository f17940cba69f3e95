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

// Package torture_test kills, halts and doubles real managers while they import, and then counts what the simulated CBR
// has accepted. TORTURE sets how long it goes on, "5m" for one; a minute by default.
package torture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	namespace = "torture"
	// waves is how many times backups are added: while there is nothing to do, no crash can hurt.
	waves = 40
	// backupsPerSecond makes 2,000 backups of a run of five minutes.
	backupsPerSecond = 7
	settleTimeout    = 3 * time.Minute
)

// The managers of all phases look lost calls up after seconds. A call takes up to half a second.
var impatient = []string{"--call-timeout=3s", "--settle-time=6s"}

// arena is what the phases of the torture share.
type arena struct {
	*GomegaWithT
	kubernetes *cluster.Cluster
	simulator  *cluster.Simulator
	manager    string // path of the binary
	until      time.Time
	random     *rand.Rand
	started    int
	counts     map[string]int
}

func TestTorture(t *testing.T) {
	duration := time.Minute
	if text := os.Getenv("TORTURE"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("TORTURE: %v", err)
		}
	}
	a := newArena(t)
	ctx := t.Context()
	total := max(int(duration.Seconds())*backupsPerSecond, 400)
	a.project(ctx)
	feeding, stopFeeding := context.WithCancel(ctx)
	defer stopFeeding()
	var feeder errgroup.Group
	feeder.Go(func() error { return a.feed(feeding, total, duration/waves) })

	start := time.Now()
	a.until = start.Add(duration * 50 / 100)
	a.killAtRandom(ctx)
	a.until = start.Add(duration * 75 / 100)
	a.haltLeaders(ctx)
	a.until = start.Add(duration)
	a.runTwoAtOnce(ctx)

	a.Expect(feeder.Wait()).To(Succeed())
	a.settle(ctx, total)
	t.Logf("%d backups in %s: %v", total, time.Since(start).Round(time.Second), a.counts)
}

func newArena(t *testing.T) *arena {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	g := NewWithT(t)
	root, err := cluster.ModuleRoot()
	g.Expect(err).NotTo(HaveOccurred())
	if _, err := cluster.Assets(root); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	folder, seed := t.TempDir(), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	a := &arena{GomegaWithT: g, counts: map[string]int{}, random: rand.New(rand.NewPCG(seed, 0))}
	a.manager, err = cluster.Binary(t.Context(), root, folder, "manager", ".")
	g.Expect(err).NotTo(HaveOccurred())
	simulator, err := cluster.Binary(t.Context(), root, folder, "cbrsim", "./hack/cbrsim")
	g.Expect(err).NotTo(HaveOccurred())
	a.kubernetes, err = cluster.Start(t.Context(), root)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the last manager:\n%s", cluster.Tail(a.kubernetes.Dir+fmt.Sprintf("/manager-%d.log", a.started), 20))
		}
		g.Expect(a.kubernetes.Stop(context.Background())).To(Succeed())
	})
	g.Expect(a.kubernetes.Install(t.Context())).To(Succeed())
	a.simulator, err = a.kubernetes.StartSimulator(t.Context(), "cbrsim", simulator, "--latency=400ms", "--task-duration=2s")
	g.Expect(err).NotTo(HaveOccurred())
	return a
}

// project creates a project of small calls, so that there are many, which does not look before it submits: that would
// hide what the other rules are for.
func (a *arena) project(ctx context.Context) {
	second := &metav1.Duration{Duration: time.Second}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cbr"}, Data: map[string][]byte{v1alpha1.TokenKey: []byte(cbrtest.Token)}},
		&v1alpha1.CBRProject{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"},
			Spec: v1alpha1.CBRProjectSpec{
				Endpoint:     a.simulator.URL,
				ProjectID:    cbrtest.ProjectID,
				Credentials:  v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}},
				LookupPolicy: v1alpha1.LookupNever,
				Batch:        v1alpha1.Batch{MaxSize: 5, Window: &metav1.Duration{Duration: 100 * time.Millisecond}, MaxWait: second},
				Limits:       v1alpha1.Limits{SyncCallsPerMinute: 100000},
				Poll:         v1alpha1.Poll{Interval: second},
			},
		},
	} {
		a.Expect(a.kubernetes.Client.Create(ctx, object)).To(Succeed())
	}
}

// feed adds backups in waves, one each interval.
func (a *arena) feed(ctx context.Context, total int, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for created := 0; created < total; {
		for range (total + waves - 1) / waves {
			if err := a.kubernetes.Client.Create(ctx, backup(created)); err != nil {
				return fmt.Errorf("create backup %d: %w", created, err)
			}
			if created++; created == total {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func backup(number int) *v1alpha1.BackupSync {
	return &v1alpha1.BackupSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("backup-%05d", number)},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: "default"},
			BackupID:   fmt.Sprintf("1f9e6b47-7655-4a19-b563-%012d", number),
			BackupName: fmt.Sprintf("nightly_%d", number), BucketName: "vmware-backups", ImagePath: fmt.Sprintf("chains/%d", number),
			ResourceID: "96f7512d-239d-3f31-80cf-d1ce041df9a6", ResourceName: "erp-01", CreatedAt: 1772388000,
		},
	}
}

func (a *arena) start(ctx context.Context, arguments ...string) *cluster.Manager {
	a.started++
	manager, err := a.kubernetes.StartManager(ctx, fmt.Sprintf("manager-%d", a.started), a.manager, append(impatient, arguments...)...)
	a.Expect(err).NotTo(HaveOccurred())
	return manager
}

// pause lets a random time go by.
func (a *arena) pause(ctx context.Context, shortest, longest time.Duration) {
	timer := time.NewTimer(shortest + time.Duration(a.random.Int64N(int64(longest-shortest))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (a *arena) over() bool { return !time.Now().Before(a.until) }

// killAtRandom ends one manager after the other with SIGKILL.
func (a *arena) killAtRandom(ctx context.Context) {
	for !a.over() {
		manager := a.start(ctx, "--leader-elect=false")
		a.pause(ctx, 0, 2*time.Second)
		a.Expect(manager.Kill()).To(Succeed())
		a.counts["kills"]++
	}
}

// haltLeaders halts the leader of two managers, usually inside a call, for longer than its lease, and lets it go on
// when the other one has taken over.
func (a *arena) haltLeaders(ctx context.Context) {
	lease := []string{"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms"}
	leader, standby := a.start(ctx, lease...), a.start(ctx, lease...)
	for !a.over() {
		a.awaitCall(ctx)
		a.Expect(leader.Pause()).To(Succeed())
		a.pause(ctx, 5*time.Second, 9*time.Second) // some times until its calls are looked up, some times not
		a.Expect(leader.Resume()).To(Succeed())
		a.counts["halts"]++
		a.Eventually(leader.Done(), time.Minute).Should(BeClosed(), "a manager ends when it has lost its lease")
		leader, standby = standby, a.start(ctx, lease...)
	}
	a.Expect(leader.Kill()).To(Succeed())
	a.Expect(standby.Kill()).To(Succeed())
	a.counts["kills"] += 2
}

// awaitCall waits until a sync call arrives.
func (a *arena) awaitCall(ctx context.Context) {
	before, err := a.simulator.Ledger(ctx)
	a.Expect(err).NotTo(HaveOccurred())
	a.Eventually(func(g Gomega) {
		now, err := a.simulator.Ledger(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(now.SyncCalls > before.SyncCalls || a.over()).To(BeTrue())
	}, 30*time.Second, 20*time.Millisecond).Should(Succeed())
}

// runTwoAtOnce has two managers work at the same time, without leader election, and kills one or the other.
func (a *arena) runTwoAtOnce(ctx context.Context) {
	managers := []*cluster.Manager{a.start(ctx, "--leader-elect=false"), a.start(ctx, "--leader-elect=false")}
	for !a.over() {
		a.pause(ctx, time.Second, 4*time.Second)
		victim := a.random.IntN(len(managers))
		a.Expect(managers[victim].Kill()).To(Succeed())
		a.counts["kills"]++
		managers[victim] = a.start(ctx, "--leader-elect=false")
	}
}

// settle waits until all is imported, and holds the ledger against the statuses.
func (a *arena) settle(ctx context.Context, total int) {
	a.Eventually(func(g Gomega) {
		g.Expect(a.reasons(ctx, g)).To(Equal(map[string]int{v1alpha1.ReasonImported: total}))
		project := &v1alpha1.CBRProject{}
		g.Expect(a.kubernetes.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, project)).To(Succeed())
		g.Expect(project.Status.Journal.Submissions).To(BeEmpty())
	}, settleTimeout, time.Second).Should(Succeed())
	ledger, err := a.simulator.Ledger(ctx)
	a.Expect(err).NotTo(HaveOccurred())
	a.Expect(ledger.AcceptedTwice).To(BeEmpty())
	accepted := ledger.Accepted()
	a.Expect(accepted).To(HaveLen(total))
	for _, backup := range a.list(ctx, a) {
		a.Expect(accepted[backup.Spec.BackupID].OperationLogIDs).To(Equal([]string{backup.Status.OperationLogID}), backup.Name)
	}
	a.counts["sync calls"] = ledger.SyncCalls
}

func (a *arena) list(ctx context.Context, g interface {
	Expect(actual any, extra ...any) Assertion
}) []v1alpha1.BackupSync {
	var list v1alpha1.BackupSyncList
	g.Expect(a.kubernetes.Client.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
	return list.Items
}

func (a *arena) reasons(ctx context.Context, g Gomega) map[string]int {
	counts := map[string]int{}
	for _, backup := range a.list(ctx, g) {
		if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			counts[ready.Reason]++
		}
	}
	return counts
}
