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

// Package testbed is what the black-box tests, the torture and the benchmarks share: a cluster with the operator's roles
// and kinds, the binaries that run on it, and a generator of BackupSyncs.
package testbed

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// TestBed is a cluster that ends with its test.
type TestBed struct {
	// Cluster is etcd, kube-apiserver and what is started beside them.
	Cluster *cluster.Cluster
	// Watcher is the administrator's client, which can watch as well.
	Watcher client.WithWatch
	// Manager and Simulator are the paths of the binaries, built from the sources as they are.
	Manager, Simulator string
}

// New starts a cluster and applies config/default to it.
func New(ctx context.Context, tb testing.TB) *TestBed {
	tb.Helper()
	bed := NewWithoutOperator(ctx, tb)
	if err := bed.Cluster.Install(ctx); err != nil {
		tb.Fatal(err)
	}
	return bed
}

// NewWithoutOperator starts a cluster that knows neither the operator's kinds nor its roles. Without the binaries of a control
// plane the test is skipped, but not in CI.
func NewWithoutOperator(ctx context.Context, tb testing.TB) *TestBed {
	tb.Helper()
	ctrl.SetLogger(logr.Discard()) // of envtest: what goes wrong is in its errors
	root, err := cluster.ModuleRoot()
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := cluster.Assets(root); err != nil && os.Getenv("CI") == "" {
		tb.Skip(err)
	}
	bed := &TestBed{}
	if err := bed.start(ctx, root, tb.TempDir()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := bed.Cluster.Stop(context.WithoutCancel(ctx)); err != nil {
			tb.Error(err)
		}
	})
	return bed
}

func (b *TestBed) start(ctx context.Context, root, folder string) error {
	var err error
	if b.Manager, err = cluster.Binary(ctx, root, folder, "manager", "."); err != nil {
		return err
	}
	if b.Simulator, err = cluster.Binary(ctx, root, folder, "cbrsim", "./hack/cbrsim"); err != nil {
		return err
	}
	if b.Cluster, err = cluster.Start(ctx, root); err != nil {
		return err
	}
	if b.Watcher, err = client.NewWithWatch(b.Cluster.Config, client.Options{Scheme: b.Cluster.Client.Scheme()}); err != nil {
		return fmt.Errorf("make the client that watches: %w", err)
	}
	return nil
}

// secretName is the Secret of the projects of a namespace.
const secretName = "cbr"

// Secret returns the Secret of the projects of a namespace, with the IAM token that simulators take if they are told nothing else.
func Secret(namespace string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secretName},
		Data:       map[string][]byte{v1alpha1.TokenKey: []byte(cbrtest.Token)},
	}
}

// Project returns a CBRProject that uses the Secret of its namespace.
func Project(namespace, name, endpoint, projectID string) *v1alpha1.CBRProject {
	return &v1alpha1.CBRProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.CBRProjectSpec{
			Endpoint: endpoint, ProjectID: projectID,
			Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: secretName}},
		},
	}
}

// Pause lets time go by. It returns why the context ended, if it did before.
func Pause(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Watch watches the objects of a namespace from now on; the list tells of which kind. An API server ends watches as it
// likes, for one when CRDs change: this one goes on from the version that it has seen.
func Watch(ctx context.Context, watcher client.WithWatch, namespace string, list client.ObjectList) (watch.Interface, error) {
	if err := watcher.List(ctx, list, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return nil, fmt.Errorf("list %T: %w", list, err)
	}
	source := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		return watcher.Watch(ctx, list, client.InNamespace(namespace), &client.ListOptions{Raw: &options})
	}}
	events, err := toolswatch.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), source)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", list, err)
	}
	return events, nil
}
