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
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// The manager of the image works under its roles on a real API server. A CBR with a certificate of an unknown authority is not talked to until
// the project names the authority; then the backup is imported.
func TestAProjectInTheImage(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	started := startCluster(t)
	start(t, started)
	cloud := cbrtest.NewServer(t, cbrtest.Options{TLS: true, TaskDuration: time.Second})
	const namespace = metav1.NamespaceDefault
	project := testbed.Project(namespace, "private", cloud.URL, cbrtest.ProjectID)
	backup := testbed.Manifest(namespace, project.Name, 1, 1)
	for _, object := range []client.Object{testbed.Secret(namespace), project, backup} {
		g.Expect(started.Client.Create(ctx, object)).To(Succeed())
	}

	g.Eventually(ready(ctx, started, project), time.Minute, time.Second/5).Should(And(
		HaveField("Reason", v1alpha1.ReasonEndpointUnavailable),
		HaveField("Message", ContainSubstring("the endpoint's TLS certificate is not trusted: its issuer is unknown"))))

	trusted := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "private-ca"}, Data: map[string]string{"ca.crt": cloud.CABundle()}}
	g.Expect(started.Client.Create(ctx, trusted)).To(Succeed())
	before := project.DeepCopy()
	project.Spec.CABundleRef.Name = trusted.Name
	g.Expect(started.Client.Patch(ctx, project, client.MergeFrom(before))).To(Succeed())
	g.Eventually(ready(ctx, started, backup), time.Minute, time.Second/5).Should(And(
		HaveField("Status", metav1.ConditionTrue), HaveField("Reason", v1alpha1.ReasonImported)))
}

// startCluster starts an API server with the kinds and roles of the operator. Without its binaries the test is skipped, but not in CI.
func startCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	started, err := cluster.Start(t.Context(), root)
	if errors.Is(err, cluster.ErrNoControlPlane) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := started.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	return started
}

// start starts the manager of the image with the arguments of config/manager, but for the addresses and what a test may be sent.
func start(t *testing.T, on *cluster.Cluster) {
	t.Helper()
	running := newContainer(t)
	running.add(t, "kubeconfig", []byte(read(t, on.ManagerKubeconfig())))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	command := running.command(t.Context(), nil, "--kubeconfig=/kubeconfig", "--allowed-endpoints=127.0.0.1:*", "--leader-elect",
		"--leader-election-namespace="+cluster.Namespace, "--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0")
	command.Stdout, command.Stderr = log, log
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the context of the test has ended, and with it the manager
		if err := command.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("the manager did not end well: %v", err)
		}
		if t.Failed() {
			t.Logf("the manager has logged:\n%s", cluster.Tail(log.Name(), 30))
		}
		_ = log.Close()
	})
}

// ready returns a function that reads the condition Ready of an object.
func ready(ctx context.Context, in *cluster.Cluster, object client.Object) func(Gomega) metav1.Condition {
	return func(g Gomega) metav1.Condition {
		g.Expect(in.Client.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
		var conditions []metav1.Condition
		switch read := object.(type) {
		case *v1alpha1.CBRProject:
			conditions = read.Status.Conditions
		case *v1alpha1.BackupSync:
			conditions = read.Status.Conditions
		}
		found := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
		g.Expect(found).NotTo(BeNil())
		return *found
	}
}
