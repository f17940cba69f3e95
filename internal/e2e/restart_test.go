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
	"net"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	// leaseDuration is how long a standby waits for a leader that has gone silent.
	leaseDuration = 15 * time.Second
	// takeover is how long it takes if the leader releases the lease: clearly less.
	takeover = 10 * time.Second
)

var _ = Describe("When the manager ends", Serial, func() {
	It("hands over to a warm standby within seconds on SIGTERM", func(ctx SpecContext) {
		t := newTenant(ctx, token)
		t.apply(ctx, 3)
		t.expectImported(ctx, 3, 20*time.Second)
		standby, ended := startManager(ctx), leader
		before := leaseHolder(ctx)
		leader = standby

		stopped := time.Now()
		bounded, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		Expect(ended.Stop(bounded)).To(Succeed(), "it ends by itself, with exit code 0")
		t.apply(ctx, 3)
		t.expectImported(ctx, 6, takeover)
		Expect(time.Since(stopped)).To(BeNumerically("<", leaseDuration), "the lease was released")
		Expect(leaseHolder(ctx)).NotTo(Equal(before))
		t.expectInLedger(ctx)
	}, SpecTimeout(specTimeout))

	It("hands over before its servers have ended", func(ctx SpecContext) {
		t := newTenant(ctx, token)
		t.apply(ctx, 3)
		t.expectImported(ctx, 3, 20*time.Second)
		standby, ended, before := startManager(ctx), leader, leaseHolder(ctx)
		leader = standby
		address, err := url.Parse(ended.ProbeURL)
		Expect(err).NotTo(HaveOccurred())
		// A server that ends waits 5 s for the first request of a new connection, and longer for the end of a slow one.
		prober, err := new(net.Dialer).DialContext(ctx, "tcp", address.Host)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = prober.Close() })

		stopped := make(chan error, 1)
		go func() { stopped <- ended.Stop(ctx) }()
		Eventually(func() string { return leaseHolder(ctx) }).Should(And(Not(BeEmpty()), Not(Equal(before))))
		Expect(stopped).NotTo(Receive(), "the open connection holds its servers")
		t.apply(ctx, 3)
		t.expectImported(ctx, 6, takeover)
		Eventually(stopped, stopTimeout).Should(Receive(BeNil()), "it ends by itself, with exit code 0")
		t.expectInLedger(ctx)
	}, SpecTimeout(specTimeout))

	It("submits nothing again after a kill", func(ctx SpecContext) {
		t := newTenant(ctx, token)
		t.apply(ctx, 5)
		t.expectImported(ctx, 5, 20*time.Second)
		calls := ledger(ctx).SyncCalls

		Expect(leader.Kill()).To(Succeed())
		leader = startManager(ctx)
		t.apply(ctx, 1) // what a new process does last: by then it has looked at the others
		t.expectImported(ctx, 6, 2*leaseDuration)
		t.expectInLedger(ctx)
		after := ledger(ctx)
		Expect(after.SyncCalls).To(Equal(calls+1), "sync calls of all namespaces")
		Expect(after.AcceptedTwice).To(BeEmpty())
	}, SpecTimeout(specTimeout))
})

func leaseHolder(ctx context.Context) string {
	GinkgoHelper()
	lease := &coordinationv1.Lease{}
	Expect(kubernetes.Client.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Lease}, lease)).To(Succeed())
	return ptr.Deref(lease.Spec.HolderIdentity, "") // empty while nobody holds it
}
