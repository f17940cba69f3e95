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

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// bed is what the scenarios of TestEvidence share: an API server and a manager, which works for all of them.
type bed struct {
	kubernetes *cluster.Cluster
	watcher    client.WithWatch
	simulator  string // path of the binary
	binary     string // path of the manager's
	manager    *cluster.Manager
}

// newBed starts an API server and a manager that waits for seconds where production waits for a minute.
func newBed(t *testing.T) *bed {
	t.Helper()
	b := newBedWithoutManager(t)
	b.startManager(t)
	return b
}

func newBedWithoutManager(t *testing.T) *bed {
	t.Helper()
	shared := testbed.New(t.Context(), t)
	b := &bed{kubernetes: shared.Cluster, watcher: shared.Watcher, simulator: shared.Simulator, binary: shared.Manager}
	t.Cleanup(func() { b.end(NewWithT(t)) })
	return b
}

// startManager starts the manager with further flags.
func (b *bed) startManager(t *testing.T, flags ...string) {
	t.Helper()
	var err error
	b.manager, err = b.kubernetes.StartManager(t.Context(), "manager", b.binary,
		append([]string{"--leader-elect=false", "--call-timeout=3s", "--settle-time=4s", "--zap-log-level=debug"}, flags...)...)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

// end checks that the manager has had the roles that it needs, and no panic.
func (b *bed) end(g *GomegaWithT) {
	if b.manager == nil {
		return
	}
	log, err := b.manager.Log()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(b.manager.Running()).To(BeTrue(), cluster.Tail(b.manager.LogFile, 5))
	for _, word := range []string{"is forbidden", "panic"} {
		g.Expect(strings.Contains(log, word)).To(BeFalse(), "the log holds %q", word)
	}
}

// run is one scenario under way, with a namespace and a cloud of its own.
type run struct {
	*GomegaWithT
	*testing.T
	bed       *bed
	scenario  scenario
	namespace string
	cloud     *cluster.Simulator
	recorder  *recorder
	manifests []*v1alpha1.BackupSync
	numbers   map[string]int // of the manifests, by their names
	outages   []outage
}

// newRun starts the cloud of a scenario, and creates the namespace and the project.
func (b *bed) newRun(ctx context.Context, t *testing.T, s scenario) *run {
	t.Helper()
	namespace, cloud := b.prepare(ctx, t, s.cloud)
	r := b.join(ctx, t, s, namespace, cloud)
	r.createProject(ctx)
	return r
}

// prepare creates the namespace of a scenario, and starts its cloud.
func (b *bed) prepare(ctx context.Context, t *testing.T, flags []string) (string, *cluster.Simulator) {
	t.Helper()
	g := NewWithT(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "scenario-"}}
	g.Expect(b.kubernetes.Client.Create(ctx, namespace)).To(Succeed())
	cloud, err := b.kubernetes.StartSimulator(ctx, namespace.Name, b.simulator, append([]string{"--latency=20ms", "--task-duration=1s"}, flags...)...)
	g.Expect(err).NotTo(HaveOccurred())
	return namespace.Name, cloud
}

// join begins a scenario in its namespace, and with its cloud, which ends with it. All versions of its objects are recorded.
func (b *bed) join(ctx context.Context, t *testing.T, s scenario, namespace string, cloud *cluster.Simulator) *run {
	t.Helper()
	r := &run{GomegaWithT: NewWithT(t), T: t, bed: b, scenario: s, namespace: namespace, cloud: cloud, numbers: map[string]int{}}
	t.Cleanup(func() { r.end(context.WithoutCancel(ctx)) })
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	t.Cleanup(stop)
	var err error
	r.recorder, err = record(watching, b.watcher, r.namespace)
	r.Expect(err).NotTo(HaveOccurred())
	r.makeManifests(ctx)
	return r
}

func (r *run) createProject(ctx context.Context) {
	r.Helper()
	r.Expect(r.bed.kubernetes.Client.Create(ctx, testbed.Secret(r.namespace))).To(Succeed())
	r.createProjectWith(ctx, v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}}, "")
}

func (r *run) createProjectWith(ctx context.Context, credentials v1alpha1.Credentials, iamEndpoint string) {
	r.Helper()
	r.Expect(r.bed.kubernetes.Client.Create(ctx, &v1alpha1.CBRProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "default"},
		Spec: v1alpha1.CBRProjectSpec{
			Endpoint:    r.cloud.URL,
			IAMEndpoint: iamEndpoint,
			ProjectID:   cbrtest.ProjectID,
			Credentials: credentials,
			Batch:       v1alpha1.Batch{MaxSize: r.scenario.batch, Window: seconds(3), MaxWait: seconds(10)},
			Poll:        v1alpha1.Poll{Interval: seconds(0.5)},
			Limits:      v1alpha1.Limits{SyncCallsPerMinute: 1000},
		},
	})).To(Succeed())
}

// makeManifests makes all BackupSyncs of the scenario: several backups of each of 20 machines. It tells the cloud which
// of them it does not take.
func (r *run) makeManifests(ctx context.Context) {
	r.Helper()
	rejects := map[string]cbrtest.APIError{}
	for number := range population {
		id := uuid.NewString()
		if r.scenario.id != nil {
			id = r.scenario.id(number)
		}
		manifest := testbed.Manifest(r.namespace, "default", number, 20)
		manifest.Spec.BackupID, manifest.Spec.ImagePath = id, "chains/"+id
		r.numbers[manifest.Name] = number
		r.manifests = append(r.manifests, manifest)
		if refusal, found := r.scenario.refused[number]; found {
			rejects[id] = refusal
		}
	}
	r.steer(ctx, "rejects", rejects)
}

// apply creates some of the manifests, all at once.
func (r *run) apply(ctx context.Context, from, to int) {
	r.Helper()
	var creating errgroup.Group
	creating.SetLimit(8)
	for _, manifest := range r.manifests[from:to] {
		creating.Go(func() error { return r.bed.kubernetes.Client.Create(ctx, manifest.DeepCopy()) })
	}
	r.Expect(creating.Wait()).To(Succeed())
}

// deleteAll deletes all BackupSyncs, and waits until they are gone.
func (r *run) deleteAll(ctx context.Context) {
	r.Helper()
	r.Expect(r.bed.kubernetes.Client.DeleteAllOf(ctx, &v1alpha1.BackupSync{}, client.InNamespace(r.namespace))).To(Succeed())
	r.await(ctx, "all to be deleted", func(g Gomega) { g.Expect(r.list(ctx, g)).To(BeEmpty()) })
}

// waitOn is what a person does where the operator goes on by itself.
func (r *run) waitOn(context.Context) {}

// request asks for another try at the project, as a person does.
func (r *run) request(ctx context.Context) {
	r.Helper()
	r.patchProject(ctx, func(project *v1alpha1.CBRProject) { project.Annotations = anotherTry() })
}

// requestBackup asks for another try of one backup.
func (r *run) requestBackup(ctx context.Context, number int) {
	r.Helper()
	backup := r.manifests[number].DeepCopy()
	changed := backup.DeepCopy()
	changed.Annotations = anotherTry()
	r.Expect(r.bed.kubernetes.Client.Patch(ctx, changed, client.MergeFrom(backup))).To(Succeed())
}

func anotherTry() map[string]string {
	return map[string]string{v1alpha1.RequestedAtAnnotation: time.Now().Format(time.RFC3339)}
}

// editProject changes something of the project's spec that matters little.
func (r *run) editProject(ctx context.Context) {
	r.Helper()
	r.patchProject(ctx, func(project *v1alpha1.CBRProject) { project.Spec.Poll.OverdueAfter = seconds(900) })
}

func (r *run) patchProject(ctx context.Context, change func(*v1alpha1.CBRProject)) {
	r.Helper()
	project := r.project(ctx, r)
	changed := project.DeepCopy()
	change(changed)
	r.Expect(r.bed.kubernetes.Client.Patch(ctx, changed, client.MergeFrom(project))).To(Succeed())
}

func (r *run) steer(ctx context.Context, what string, body any) {
	r.Helper()
	r.Expect(r.cloud.Steer(ctx, what, body)).To(Succeed())
}

// beginOutage notes that the cloud refuses what is needed from now on, until the returned function is called.
func (r *run) beginOutage() (end func()) {
	from := time.Now()
	return func() { r.outages = append(r.outages, outage{from: from, to: time.Now()}) }
}

// expecter is what both Gomega and run are.
type expecter interface {
	Expect(actual any, extra ...any) Assertion
}

func (r *run) list(ctx context.Context, g expecter) []v1alpha1.BackupSync {
	var list v1alpha1.BackupSyncList
	g.Expect(r.bed.kubernetes.Client.List(ctx, &list, client.InNamespace(r.namespace))).To(Succeed())
	return list.Items
}

// counts counts the BackupSyncs by the reason of Ready.
func (r *run) counts(ctx context.Context, g expecter) map[string]int {
	counts := map[string]int{}
	for _, backup := range r.list(ctx, g) {
		counts[readyOf(backup.Status.Conditions).Reason]++
	}
	return counts
}

func (r *run) project(ctx context.Context, g expecter) *v1alpha1.CBRProject {
	project := &v1alpha1.CBRProject{}
	g.Expect(r.bed.kubernetes.Client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: "default"}, project)).To(Succeed())
	return project
}

func (r *run) projectReady(ctx context.Context, g expecter) metav1.Condition {
	return readyOf(r.project(ctx, g).Status.Conditions)
}

func (r *run) ledger(ctx context.Context, g expecter) *cluster.Ledger {
	ledger, err := r.cloud.Ledger(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	return ledger
}

// await waits until something is so; the scenario ends if it is not a little before its time is over.
func (r *run) await(ctx context.Context, what string, so func(g Gomega)) {
	r.Helper()
	end, _ := ctx.Deadline()
	left := max(time.Until(end)-2*time.Second, 0)
	r.Eventually(so).WithContext(ctx).WithTimeout(left).WithPolling(200*time.Millisecond).Should(Succeed(), "waiting for %s", what)
}

// pause lets time go by in which the operator may do something wrong.
func (r *run) pause(ctx context.Context, length time.Duration) { _ = testbed.Pause(ctx, length) }

// check fails the test, but lets it go on.
func (r *run) check(ok bool, format string, arguments ...any) {
	r.Helper()
	if !ok {
		r.Errorf(format, arguments...)
	}
}

func (r *run) expectation() expectation {
	expected := expectation{refused: map[string]bool{}, anew: r.scenario.anew, reasons: r.scenario.reasons, outages: r.outages}
	for number := range r.scenario.refused {
		expected.refused[cbr.Fold(r.manifests[number].Spec.BackupID)] = true
	}
	return expected
}

// expectReasons checks that the project has said why it waited.
func (r *run) expectReasons() {
	r.Helper()
	said := r.recorder.projectReasons()
	r.check(len(r.scenario.mustSay) == 0 || slices.ContainsFunc(said, func(reason string) bool { return slices.Contains(r.scenario.mustSay, reason) }),
		"the project has said %q, none of which is of %q", said, r.scenario.mustSay)
}

// end shows what is needed to understand a failure, and stops the cloud.
func (r *run) end(ctx context.Context) {
	if r.Failed() {
		r.explain(ctx)
	}
	r.check(r.cloud.Kill() == nil, "the simulator could not be stopped")
}

// described tells calls: when each came, how many backups it had, and what became of it.
func described(calls []cluster.Call) string {
	var text strings.Builder
	for _, call := range calls {
		fmt.Fprintf(&text, "%s %d->%d (HTTP %d), ", call.Time.Format("05.0"), call.Backups, call.Accepted, call.Status)
	}
	return text.String()
}

// explain logs the ledger, the statuses and the end of the manager's log, as far as they are of this scenario.
func (r *run) explain(ctx context.Context) {
	g := NewGomega(func(message string, _ ...int) { r.Log(message) })
	if ledger, err := r.cloud.Ledger(ctx); err == nil {
		r.Logf("ledger: %d calls, %d backups taken, twice %d; answers %v", ledger.SyncCalls, len(ledger.Backups), len(ledger.AcceptedTwice), ledger.Answers)
	}
	calls, err := r.cloud.Calls(ctx, string(cbr.OperationImport))
	r.Logf("sync calls: %s %v", described(calls), err)
	r.Logf("reasons: %v", r.counts(ctx, g))
	for _, backup := range r.list(ctx, g) {
		if ready := readyOf(backup.Status.Conditions); ready.Status != metav1.ConditionTrue {
			r.Logf("%s (%s): %s %s: %s", backup.Name, backup.Spec.BackupID, ready.Status, ready.Reason, ready.Message)
			break
		}
	}
	project := r.project(ctx, g)
	r.Logf("project: %+v, %d recorded calls, scope %q", project.Status.Conditions, len(project.Status.Journal.Submissions), project.Status.Journal.TaskScope)
	r.Logf("the project has said %q", r.recorder.projectReasons())
	log, err := r.bed.manager.Log()
	if err != nil {
		r.Log(err)
	}
	var lines []string
	for line := range strings.SplitSeq(log, "\n") {
		if strings.Contains(line, r.namespace) {
			lines = append(lines, strings.ToValidUTF8(line[:min(len(line), 500)], ""))
		}
	}
	r.Logf("log of the manager, %d lines:\n%s", len(lines), strings.Join(lines[max(0, len(lines)-40):], "\n"))
}
