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

package controller_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/controller"
)

var _ = Describe("A standby", func() {
	It("exports the gauges that the leader exports, as docs/metrics.md says", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		held := metav1.NowMicro()
		Expect(apiserver.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "held"},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("another"), LeaseDurationSeconds: ptr.To[int32](3600),
				AcquireTime: &held, RenewTime: &held}})).To(Succeed())
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))

		yes := true
		manager, err := ctrl.NewManager(restConfig, ctrl.Options{
			Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &yes},
			LeaderElection: true, LeaderElectionID: "held", LeaderElectionNamespace: w.namespace, LeaseDuration: ptr.To(time.Hour),
			Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{w.namespace: {}}, DefaultTransform: controller.TrimCached,
				ReaderFailOnMissingInformer: true},
			Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &yes}},
		})
		Expect(err).NotTo(HaveOccurred())
		endpoints, err := connection.ParseEndpointPatterns(connection.DefaultAllowedEndpoints)
		Expect(err).NotTo(HaveOccurred())
		standby, err := controller.NewReconciler(manager.GetClient(), manager.GetAPIReader(), manager.GetEventRecorder("backupsync"),
			controller.Options{Identity: "standby", AllowedEndpoints: endpoints, Namespaces: []string{w.namespace}})
		Expect(err).NotTo(HaveOccurred())
		running, stop := context.WithCancel(context.Background())
		Expect(standby.SetupWithManager(running, manager, manager.GetCache())).To(Succeed())
		ended := make(chan error, 1)
		go func() { ended <- manager.Start(running) }()
		DeferCleanup(func() {
			stop()
			Eventually(ended).Should(Receive())
		})

		registry := prometheus.NewRegistry()
		Expect(registry.Register(standby)).To(Succeed())
		Eventually(func(g Gomega) {
			families, err := registry.Gather()
			g.Expect(err).NotTo(HaveOccurred())
			for _, name := range []string{"backupsync_backups", "backupsync_backups_waiting", "backupsync_project_condition"} {
				g.Expect(families).To(ContainElement(And(
					HaveField("GetName()", name),
					HaveField("GetMetric()", ContainElement(HaveField("GetGauge().GetValue()", 1.0))))))
			}
		}).Should(Succeed())
		Consistently(w.cloud.Ledger).WithTimeout(time.Second).Should(BeEmpty(), "it does not work")
	})
})
