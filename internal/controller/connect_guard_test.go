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
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/controller"
)

// phonebook is a resolver that gives one address for all names.
type phonebook struct{ address atomic.Value }

func (p *phonebook) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{p.address.Load().(netip.Addr)}, nil
}

var _ = Describe("The name of an endpoint", func() {
	It("that leads to an address that is not allowed gets no token, until it leads elsewhere", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		var connections atomic.Int32
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.2:"+portOf(w.cloud.URL))
		Expect(err).NotTo(HaveOccurred())
		hostile := &httptest.Server{Listener: listener, Config: &http.Server{ReadHeaderTimeout: time.Minute,
			ConnState: func(net.Conn, http.ConnState) { connections.Add(1) }}}
		hostile.Start()
		DeferCleanup(hostile.Close)
		names := &phonebook{}
		names.address.Store(netip.MustParseAddr("127.0.0.2"))
		w.start(func(options *controller.Options) {
			options.AllowedEndpoints, err = connection.ParseEndpointPatterns("http://*.example.com:*,127.0.0.1/32")
			Expect(err).NotTo(HaveOccurred())
			guard, err := connection.NewGuard(options.AllowedEndpoints, names)
			Expect(err).NotTo(HaveOccurred())
			options.Transports = &cbr.Transports{Dial: guard.DialContext, Proxy: direct}
		})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.Endpoint = "http://cbr.example.com:" + portOf(w.cloud.URL)
		}), w.backup(1))
		Eventually(w.current(ctx)).Should(HaveField("Status.Conditions", ConsistOf(
			And(HaveField("Type", "Ready"), HaveField("Status", metav1.ConditionFalse), HaveField("Reason", v1alpha1.ReasonEndpointNotAllowed),
				HaveField("Message", ContainSubstring("cbr.example.com resolves to 127.0.0.2, which is a loopback address"))),
			HaveField("Type", "Stalled"))))
		w.expectUntouched(ctx, 1)
		Expect(connections.Load()).To(BeZero(), "connections to the other address")

		names.address.Store(netip.MustParseAddr("127.0.0.1"))
		w.requestNow(ctx)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		Expect(connections.Load()).To(BeZero(), "connections to the other address")
	})

	It("that leads to this machine gets no token by default", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start(func(options *controller.Options) {
			var err error
			options.AllowedEndpoints, err = connection.ParseEndpointPatterns("http://localhost:*")
			Expect(err).NotTo(HaveOccurred())
		})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.Endpoint = "http://localhost:" + portOf(w.cloud.URL)
		}), w.backup(1))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonEndpointNotAllowed)))
		w.expectUntouched(ctx, 1)
		Expect(w.cloud.Ledger()).To(BeEmpty())
	})
})

func portOf(address string) string {
	GinkgoHelper()
	parsed, err := url.Parse(address)
	Expect(err).NotTo(HaveOccurred())
	return parsed.Port()
}
