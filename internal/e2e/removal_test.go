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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// What is removed: namespaces with projects in them, the operator, and its CRDs.
const (
	theNamespaces = "namespaces"
	theOperator   = "operator"
	theCRDs       = "CRDs"
)

const (
	// removalGrace is what a project waits for the outcome of its calls when it is deleted, where production waits for 5 minutes.
	removalGrace = 8 * time.Second
	// removalTimeout is in which time each step of a removal ends: the grace, a call that hangs, and a slow machine.
	removalTimeout = removalGrace + 40*time.Second
	// removeFinalizer is the end of the command that lets a project go when there is no operator any more, as docs/operations.md has it.
	removeFinalizer = `--type=merge --patch='{"metadata":{"finalizers":null}}'`
)

// removalBed is a cluster in which the operator is installed and removed several times.
type removalBed struct {
	*GomegaWithT
	*testbed.TestBed
	cloud   *cluster.Simulator
	manager *cluster.Manager
	// resting is a namespace whose backups are imported, open one whose calls have no outcome.
	resting, open string
}

// The namespaces of projects, the operator and its CRDs can be removed in any order, also while CBR hangs or is gone: each step ends in a
// stated time. Calls that are open when the operator is gone are the one thing that takes a command.
func TestRemovalInAnyOrder(t *testing.T) {
	documented, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil || !strings.Contains(string(documented), removeFinalizer) {
		t.Fatalf("docs/operations.md does not have the command %s: %v", removeFinalizer, err)
	}
	bed := testbed.NewWithoutOperator(t.Context(), t)
	for number, order := range [][]string{
		{theNamespaces, theOperator, theCRDs},
		{theNamespaces, theCRDs, theOperator},
		{theCRDs, theNamespaces, theOperator},
		{theCRDs, theOperator, theNamespaces},
		{theOperator, theNamespaces, theCRDs},
		{theOperator, theCRDs, theNamespaces},
	} {
		t.Run(strings.Join(order, ", "), func(t *testing.T) {
			b := &removalBed{GomegaWithT: NewWithT(t), TestBed: bed}
			b.begin(t.Context(), number)
			for _, what := range order {
				started := time.Now()
				b.remove(t.Context(), what)
				t.Logf("%s: removed in %s", what, time.Since(started).Round(100*time.Millisecond))
			}
		})
	}
}

// begin installs the operator, and brings a project to rest, and another one to a call without an outcome.
func (b *removalBed) begin(ctx context.Context, number int) {
	b.Expect(b.Cluster.Install(ctx)).To(Succeed())
	var err error
	b.cloud, err = b.Cluster.StartSimulator(ctx, fmt.Sprintf("cbrsim-%d", number), b.Simulator, "--project-id="+strings.Join(cloudProjects()[:2], ","))
	b.Expect(err).NotTo(HaveOccurred())
	b.manager, err = b.Cluster.StartManager(ctx, fmt.Sprintf("manager-%d", number), b.Manager, "--leader-elect=false",
		"--call-timeout=3s", "--settle-time=1m", "--deletion-grace="+removalGrace.String())
	b.Expect(err).NotTo(HaveOccurred())
	b.resting, b.open = fmt.Sprintf("resting-%d", number), fmt.Sprintf("open-%d", number)
	b.declare(ctx, tenant{b.resting, cloudProjects()[0]}, v1alpha1.ReasonImported)
	b.Expect(b.cloud.Steer(ctx, "faults", map[string]any{"operation": "ImportBackup", "times": -1, "closeAfter": true})).To(Succeed())
	b.declare(ctx, tenant{b.open, cloudProjects()[1]}, v1alpha1.ReasonOutcomeUnknown)
	b.Expect(b.project(ctx, b.open)).To(HaveField("Finalizers", HaveLen(1)))
	if number%2 == 0 {
		b.Expect(b.cloud.Pause()).To(Succeed()) // CBR hangs
	} else {
		b.Expect(b.cloud.Kill()).To(Succeed()) // and here it cannot be reached
	}
}

// declare creates a namespace with a project and backups, and waits until all of them say why.
func (b *removalBed) declare(ctx context.Context, t tenant, reason string) {
	project := testbed.Project(t.namespace, "default", b.cloud.URL, t.projectID)
	project.Spec.Batch, project.Spec.Poll = v1alpha1.Batch{Window: seconds(0.3), MaxWait: seconds(3)}, v1alpha1.Poll{Interval: seconds(0.3)}
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.namespace}}, testbed.Secret(t.namespace), project}
	for range 3 {
		objects = append(objects, t.backup("default"))
	}
	for _, object := range objects {
		b.Expect(b.Cluster.Client.Create(ctx, object)).To(Succeed())
	}
	b.Eventually(func() map[string]int {
		var list v1alpha1.BackupSyncList
		b.Expect(b.Cluster.Client.List(ctx, &list, client.InNamespace(t.namespace))).To(Succeed())
		counts := map[string]int{}
		for _, backup := range list.Items {
			if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
				counts[ready.Reason]++
			}
		}
		return counts
	}, time.Minute, "100ms").Should(Equal(map[string]int{reason: 3}))
}

// remove removes one of the three, and waits until it is gone.
func (b *removalBed) remove(ctx context.Context, what string) {
	switch what {
	case theOperator:
		bounded, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		b.Expect(b.manager.Stop(bounded)).To(Succeed())
	case theNamespaces:
		for _, name := range []string{b.resting, b.open} {
			b.Expect(b.Cluster.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
		}
		b.Eventually(b.namespaceGone(ctx, b.resting), removalTimeout, "200ms").Should(BeTrue(), b.resting)
		b.release(ctx, b.namespaceGone(ctx, b.open))
	case theCRDs:
		_, err := b.Cluster.Kubectl(ctx, "delete", "--wait=false", "customresourcedefinition", "backupsyncs.cbr.backupsync.dev", "cbrprojects.cbr.backupsync.dev")
		b.Expect(err).NotTo(HaveOccurred())
		b.release(ctx, b.kindsGone(ctx))
	}
}

// release waits until something is gone that holds the project with the open calls. Without an operator nobody lets that go: then the
// documented command does.
func (b *removalBed) release(ctx context.Context, gone func() bool) {
	if !b.manager.Running() && b.projectIsThere(ctx) {
		b.Consistently(gone, removalGrace, "500ms").Should(BeFalse(), "the command that the documentation has would not be needed")
		_, err := b.Cluster.Kubectl(ctx, append([]string{"-n", b.open, "patch", "cbrp", "default"}, strings.Fields(strings.ReplaceAll(removeFinalizer, "'", ""))...)...)
		b.Expect(err).NotTo(HaveOccurred())
	}
	b.Eventually(gone, removalTimeout, "200ms").Should(BeTrue())
}

func (b *removalBed) projectIsThere(ctx context.Context) bool {
	_, err := b.project(ctx, b.open)
	return err == nil
}

func (b *removalBed) project(ctx context.Context, namespace string) (*v1alpha1.CBRProject, error) {
	project := &v1alpha1.CBRProject{}
	err := b.Cluster.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, project)
	return project, err
}

// kindsGone reports whether neither CRD is there.
func (b *removalBed) kindsGone(ctx context.Context) func() bool {
	return func() bool {
		left, err := b.Cluster.Kubectl(ctx, "get", "customresourcedefinition", "--output=name")
		return err == nil && !strings.Contains(left, ours)
	}
}

// namespaceGone plays the namespace controller, which is in no kube-apiserver: it deletes what is in a namespace that is being deleted, and
// lets the namespace go when nothing is left. It reports whether it has gone.
func (b *removalBed) namespaceGone(ctx context.Context, name string) func() bool {
	return func() bool {
		namespace := &corev1.Namespace{}
		if err := b.Cluster.Client.Get(ctx, client.ObjectKey{Name: name}, namespace); err != nil {
			return apierrors.IsNotFound(err)
		}
		for _, kind := range []client.Object{&corev1.Secret{}, &v1alpha1.BackupSync{}, &v1alpha1.CBRProject{}} {
			if err := b.Cluster.Client.DeleteAllOf(ctx, kind, client.InNamespace(name)); err != nil && !apierrors.IsNotFound(err) {
				return false // the kind may be gone
			}
		}
		for _, kind := range []client.ObjectList{&v1alpha1.BackupSyncList{}, &v1alpha1.CBRProjectList{}} {
			err := b.Cluster.Client.List(ctx, kind, client.InNamespace(name))
			if err == nil && meta.LenList(kind) > 0 || client.IgnoreNotFound(err) != nil {
				return false
			}
		}
		namespace.Spec.Finalizers = nil
		b.Expect(client.IgnoreNotFound(b.Cluster.Client.SubResource("finalize").Update(ctx, namespace))).To(Succeed())
		return false // as the next look shows
	}
}
