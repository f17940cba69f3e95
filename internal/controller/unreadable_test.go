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

package controller

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/namespaces"
)

// Metrics are answered though the cache is not filled, and may never be: the alert that nobody leads rests on that.
func TestMetricsDoNotWaitForTheCache(t *testing.T) {
	g := NewWithT(t)
	unfilled := interceptor.NewClient(clusterOf(g), interceptor.Funcs{
		List: func(ctx context.Context, _ client.WithWatch, _ client.ObjectList, _ ...client.ListOption) error {
			<-ctx.Done() // as a cache does
			return apierrors.NewTimeoutError("failed waiting for the informer to sync", 0)
		},
	})
	known, registry := &Reconciler{counts: newStateCounts(), client: unfilled}, prometheus.NewRegistry()
	known.counts.observe(newBackup())
	g.Expect(registry.Register(known)).To(Succeed())
	gathered := make(chan map[string]float64, 1)
	go func() { gathered <- gather(g, registry) }()
	g.Eventually(gathered, 10*time.Second).Should(Receive(HaveKey("backupsync_backups namespace=team project= state=pending")))
}

// Which of several namespaces can be read is exported.
func TestReadableNamespacesAreExported(t *testing.T) {
	g := NewWithT(t)
	registry := prometheus.NewRegistry()
	g.Expect(registry.Register(&Reconciler{counts: newStateCounts(), client: clusterOf(g), options: Options{
		Namespaces: []string{"team-a", "team-b"}, Unreadable: func() []string { return []string{"team-b"} },
	}})).To(Succeed())
	g.Expect(gather(g, registry)).To(Equal(map[string]float64{
		"backupsync_namespace_readable namespace=team-a": 1, "backupsync_namespace_readable namespace=team-b": 0,
	}))
}

// A pass over a project whose namespace cannot be read is no failure that is logged each time: it comes again later.
func TestPassInANamespaceThatCannotBeRead(t *testing.T) {
	g := NewWithT(t)
	unreadable := interceptor.NewClient(clusterOf(g), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return &namespaces.UnreadableError{Namespace: "team", Refusal: "forbidden"}
		},
	})
	endpoints, err := connection.ParseEndpointPatterns(connection.DefaultAllowedEndpoints)
	g.Expect(err).NotTo(HaveOccurred())
	reconciler, err := NewReconciler(unreadable, unreadable, silentRecorder{}, Options{Identity: "test", AllowedEndpoints: endpoints})
	g.Expect(err).NotTo(HaveOccurred())
	result, err := reconciler.Reconcile(t.Context(), reconcileRequest{NamespacedName: client.ObjectKeyFromObject(newProject())})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result).To(Equal(reconcile.Result{RequeueAfter: unreadableWait}))
}

// A process that ends lets go of its idle projects, though it may not list those of another namespace.
func TestIdleProjectsAreReleasedBesideANamespaceThatCannotBeRead(t *testing.T) {
	g := NewWithT(t)
	idle := newProject(func(p *v1alpha1.CBRProject) {
		p.Status.Journal.WriterID = "test"
		controllerutil.AddFinalizer(p, Finalizer)
	})
	cluster := interceptor.NewClient(clusterOf(g, idle), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			var selected client.ListOptions
			if selected.ApplyOptions(options).Namespace == "gone" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "cbrprojects"}, "", nil)
			}
			return c.List(ctx, list, options...)
		},
	})
	ending := &Reconciler{client: cluster, live: cluster, options: Options{Identity: "test", Namespaces: []string{"gone", idle.Namespace}}}
	g.Expect(ending.releaseIdle(t.Context())).To(MatchError(apierrors.IsForbidden, "is forbidden"))
	g.Expect(cluster.Get(t.Context(), client.ObjectKeyFromObject(idle), idle)).To(Succeed())
	g.Expect(idle.Finalizers).To(BeEmpty())
}

// The message of a project that waits names a namespace, and fits into a condition whatever its name.
func TestMessageOfAnUnreadableNamespace(t *testing.T) {
	g := NewWithT(t)
	long := "n123456789-123456789-123456789-123456789-123456789-123456789-12"
	reporting := &reporter{step: step{scope: &scope{claim: claim{unreadable: []string{long, "b", "c"}}}}}
	g.Expect(reporting.unreadableMessage()).To(And(ContainSubstring(long+" (and 2 more)"), WithTransform(func(text string) int { return len(text) },
		BeNumerically("<=", v1alpha1.MaxMessageLength))))
}
