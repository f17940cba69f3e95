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

// Package torture_test kills, halts and doubles real managers while they import into a simulated CBR that behaves in a way
// drawn at random and is disturbed now and then. Then it counts what that has accepted. TORTURE sets how long it goes on, "5m"
// for one; a minute by default, in a cloud that is always the same, so that a change is judged by what it changes.
// TORTURE_SEED repeats what was drawn in another run.
package torture_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

const (
	namespace = "torture"
	// waves is how many times backups are added: while there is nothing to do, no crash can hurt.
	waves = 40
	// backupsPerSecond makes 2,000 backups of a run of five minutes.
	backupsPerSecond = 7
	// settleTimeout is enough for the retry of a failed import, which comes after a minute, and for the pauses after failures.
	settleTimeout = 4 * time.Minute
	// awaitCallTimeout is how long a leader may make no call before it is halted all the same.
	awaitCallTimeout = 10 * time.Second
	// startTimeout is how long the cluster may take to start, and a phase to end once its time is over.
	startTimeout = 3 * time.Minute
)

// The managers of all phases look lost calls up after seconds. The cloud shows what it has taken within 3 s, and carries
// a call out half a second after its sender has given up at the latest.
var impatient = []string{"--call-timeout=3s", "--settle-time=6s"}

// arena is what the phases of the torture share.
type arena struct {
	*GomegaWithT
	kubernetes *cluster.Cluster
	simulator  *cluster.Simulator
	cloud      cloud
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
	seed := gatedSeed
	if os.Getenv("TORTURE") != "" {
		seed = uint64(time.Now().UnixNano())
	}
	if text := os.Getenv("TORTURE_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TORTURE_SEED: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), duration+settleTimeout+startTimeout)
	defer cancel()
	total := max(int(duration.Seconds())*backupsPerSecond, 400)
	a := newArena(ctx, t, seed, total)
	a.project(ctx)
	a.torture(ctx, seed, total, duration)
	start := time.Now()
	a.settle(ctx, total)
	t.Logf("%d backups in %s, settled in %s: %v", total, duration, time.Since(start).Round(time.Second), a.counts)
}

// gatedSeed is that of the cloud where no time is given: shared and late tasks, ids in other case, short pages, numbers for codes.
const gatedSeed uint64 = 1795624713932389973

// torture goes through all phases, while backups are added and the cloud is disturbed.
func (a *arena) torture(ctx context.Context, seed uint64, total int, duration time.Duration) {
	disturbing, calm := context.WithCancel(ctx)
	defer calm()
	var beside errgroup.Group
	beside.Go(func() error { return a.feed(ctx, total, duration/waves) })
	var disturbances map[string]int
	beside.Go(func() (err error) {
		disturbances, err = disturb(disturbing, rand.New(rand.NewPCG(seed, 1)), a.simulator)
		return err
	})
	start := time.Now()
	a.until = start.Add(duration * 50 / 100)
	a.killAtRandom(ctx)
	a.until = start.Add(duration * 75 / 100)
	a.haltLeaders(ctx)
	a.until = start.Add(duration)
	a.runTwoAtOnce(ctx)
	calm()
	a.Expect(beside.Wait()).To(Succeed())
	maps.Copy(a.counts, disturbances)
}

func newArena(ctx context.Context, t *testing.T, seed uint64, total int) *arena {
	t.Helper()
	a := &arena{GomegaWithT: NewWithT(t), counts: map[string]int{}, random: rand.New(rand.NewPCG(seed, 0))}
	a.cloud = draw(a.random, total)
	t.Logf("TORTURE_SEED=%d: %s", seed, &a.cloud)
	shared := testbed.New(ctx, t)
	a.kubernetes, a.manager = shared.Cluster, shared.Manager
	t.Cleanup(func() {
		if t.Failed() {
			a.explain(context.WithoutCancel(ctx), t)
			t.Logf("log of the last manager:\n%s", cluster.Tail(a.kubernetes.Dir+fmt.Sprintf("/manager-%d.log", a.started), 20))
		}
	})
	var err error
	a.simulator, err = a.kubernetes.StartSimulator(ctx, "cbrsim", shared.Simulator, a.cloud.flags...)
	a.Expect(err).NotTo(HaveOccurred())
	a.Expect(a.cloud.setUp(ctx, a.simulator)).To(Succeed())
	return a
}

// project creates a project of small calls, so that there are many. Failed imports are not tried again by themselves.
func (a *arena) project(ctx context.Context) {
	project := testbed.Project(namespace, "default", a.simulator.URL, cbrtest.ProjectID)
	second := &metav1.Duration{Duration: time.Second}
	project.Spec.LookupPolicy = a.cloud.policy
	project.Spec.Retry = v1alpha1.Retry{Limit: new(int32)}
	project.Spec.Batch = v1alpha1.Batch{MaxSize: 5, Window: &metav1.Duration{Duration: 100 * time.Millisecond}, MaxWait: second}
	project.Spec.Limits = v1alpha1.Limits{SyncCallsPerMinute: 100000}
	project.Spec.Poll = v1alpha1.Poll{Interval: second}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, testbed.Secret(namespace), project,
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
			if err := a.kubernetes.Client.Create(ctx, a.backup(created)); err != nil {
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

// backup makes a BackupSync: one of several backups of one of 30 machines.
func (a *arena) backup(number int) *v1alpha1.BackupSync {
	backup := testbed.Manifest(namespace, "default", number, 30)
	backup.Spec.BackupID = a.cloud.id(number)
	return backup
}

func (a *arena) start(ctx context.Context, arguments ...string) *cluster.Manager {
	a.started++
	manager, err := a.kubernetes.StartManager(ctx, fmt.Sprintf("manager-%d", a.started), a.manager, append(impatient, arguments...)...)
	a.Expect(err).NotTo(HaveOccurred())
	return manager
}

// pause lets a random time go by.
func (a *arena) pause(ctx context.Context, shortest, longest time.Duration) {
	wait(ctx, shortest+time.Duration(a.random.Int64N(int64(longest-shortest))))
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

// awaitCall waits until a sync call arrives, or for some seconds: the managers may wait too, for a cloud that is disturbed.
func (a *arena) awaitCall(ctx context.Context) {
	before, err := a.simulator.Ledger(ctx)
	a.Expect(err).NotTo(HaveOccurred())
	for end := time.Now().Add(awaitCallTimeout); time.Now().Before(end) && !a.over() && wait(ctx, 20*time.Millisecond); {
		now, err := a.simulator.Ledger(ctx)
		a.Expect(err).NotTo(HaveOccurred())
		if now.SyncCalls > before.SyncCalls {
			return
		}
	}
}

// runTwoAtOnce has two managers work at the same time, without leader election, and kills one or the other. One is left at the end: two that
// spoil each other's passes promise no pace.
func (a *arena) runTwoAtOnce(ctx context.Context) {
	managers := []*cluster.Manager{a.start(ctx, "--leader-elect=false"), a.start(ctx, "--leader-elect=false")}
	for !a.over() {
		a.pause(ctx, time.Second, 4*time.Second)
		victim := a.random.IntN(len(managers))
		a.Expect(managers[victim].Kill()).To(Succeed())
		a.counts["kills"]++
		managers[victim] = a.start(ctx, "--leader-elect=false")
	}
	a.Expect(managers[a.random.IntN(len(managers))].Kill()).To(Succeed())
	a.counts["kills"]++
}

// settle waits until each backup has come to its end, and holds the ledger against the statuses.
func (a *arena) settle(ctx context.Context, total int) {
	a.Eventually(func(g Gomega) {
		if twice := a.twice(ctx, g); len(twice) > 0 {
			StopTrying(fmt.Sprintf("accepted twice, and more: %v", twice[:min(len(twice), 3)])).Now()
		}
		g.Expect(a.wrong(a.list(ctx, g))).To(BeEmpty(), "the reasons, where they are not what the cloud makes of the backups")
		project := &v1alpha1.CBRProject{}
		g.Expect(a.kubernetes.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, project)).To(Succeed())
		g.Expect(project.Status.Journal.Submissions).To(BeEmpty())
	}, settleTimeout, time.Second).Should(Succeed())
	ledger, err := a.simulator.Ledger(ctx)
	a.Expect(err).NotTo(HaveOccurred())
	backups := a.list(ctx, a)
	a.Expect(backups).To(HaveLen(total))
	accepted := map[string]cluster.LedgerBackup{}
	for _, each := range ledger.Backups {
		accepted[cbr.Fold(each.BackupID)] = each
	}
	a.Expect(a.miscounted(backups, accepted)).To(BeEmpty(), "backups that were not accepted as often as they should")
	a.Expect(a.misnamed(backups, accepted)).To(BeEmpty(), "backups whose status names a task that is not theirs")
	a.counts["sync calls"] = ledger.SyncCalls
}

// wrong counts the backups by the reason of Ready, where that is not one in which they should end.
func (a *arena) wrong(backups []v1alpha1.BackupSync) map[string]int {
	wrong := map[string]int{}
	for _, backup := range backups {
		var reason string
		if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			reason = ready.Reason
		}
		if kind := a.kind(backup.Spec.BackupID); !slices.Contains(kind.ends, reason) {
			wrong[reason+" of those that "+kind.what]++
		}
	}
	return wrong
}

// kind is what the cloud does with a backup, and how it ends then.
type kind struct {
	what        string
	ends        []string
	least, most int // how often it is accepted
}

func (a *arena) kind(id string) kind {
	_, refused := a.cloud.refused[id]
	switch {
	case refused:
		return kind{what: "are refused", ends: []string{v1alpha1.ReasonRejected}}
	case a.cloud.failing[id]:
		// One that has failed is sent again if the answer was lost and its task names nothing: CBR does not have it then.
		return kind{what: "fail", ends: []string{v1alpha1.ReasonOperationFailed, v1alpha1.ReasonBackupUnusable}, least: 1, most: 9}
	default:
		return kind{what: "are imported", ends: []string{v1alpha1.ReasonImported}, least: 1, most: 1}
	}
}

// twice returns what was accepted more often than it ever may be: waiting does not help there.
func (a *arena) twice(ctx context.Context, g Gomega) []cluster.LedgerBackup {
	ledger, err := a.simulator.Ledger(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	return slices.DeleteFunc(ledger.Backups, func(each cluster.LedgerBackup) bool {
		return each.Accepted <= a.kind(a.cloud.spelt(each.BackupID)).most
	})
}

// miscounted tells how often backups were accepted, where that is wrong.
func (a *arena) miscounted(backups []v1alpha1.BackupSync, accepted map[string]cluster.LedgerBackup) []string {
	var found []string
	for _, backup := range backups {
		each, kind := accepted[cbr.Fold(backup.Spec.BackupID)], a.kind(backup.Spec.BackupID)
		if each.Accepted < kind.least || each.Accepted > kind.most {
			found = append(found, fmt.Sprintf("%s, of those that %s, %d times: %v", backup.Spec.BackupID, kind.what, each.Accepted, each.OperationLogIDs))
		}
	}
	return found
}

// misnamed tells which statuses name a task that is not the backup's. One that was found in CBR may name none.
func (a *arena) misnamed(backups []v1alpha1.BackupSync, accepted map[string]cluster.LedgerBackup) []string {
	var found []string
	for _, backup := range backups {
		tasks := accepted[cbr.Fold(backup.Spec.BackupID)].OperationLogIDs
		if id := backup.Status.OperationLogID; id != "" && !slices.Contains(tasks, id) {
			found = append(found, fmt.Sprintf("%s: %s, not of %v", backup.Name, id, tasks))
		}
	}
	return found
}

// explain logs what is needed to understand a failure.
func (a *arena) explain(ctx context.Context, t *testing.T) {
	ledger, err := a.simulator.Ledger(ctx)
	if err != nil {
		t.Log(err)
		return
	}
	t.Logf("%d calls, %d backups accepted, twice or more %d; answers %v", ledger.SyncCalls, len(ledger.Backups), len(ledger.AcceptedTwice), ledger.Answers)
	project, err := a.kubernetes.Kubectl(ctx, "get", "cbrproject", "--namespace", namespace, "--output=jsonpath={.items[*].status}")
	t.Logf("project: %s %v", project, err)
	backups := a.list(ctx, NewGomega(func(message string, _ ...int) { t.Log(message) }))
	t.Logf("reasons that are wrong: %v", a.wrong(backups))
	for _, backup := range backups {
		if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil && len(a.wrong([]v1alpha1.BackupSync{backup})) > 0 {
			t.Logf("one of them: %s, task %q: %s %s", backup.Spec.BackupID, backup.Status.OperationLogID, ready.Reason, ready.Message)
			return
		}
	}
}

func (a *arena) list(ctx context.Context, g interface {
	Expect(actual any, extra ...any) Assertion
}) []v1alpha1.BackupSync {
	var list v1alpha1.BackupSyncList
	g.Expect(a.kubernetes.Client.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
	return list.Items
}
