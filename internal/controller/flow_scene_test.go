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
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	"go.uber.org/goleak"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/controller"
)

// scene is a world in which something goes wrong.
type scene struct {
	*world
	seen       *witness
	front      *front
	transports *cbr.Transports
	running    *process
	before     goleak.Option // the goroutines that were there before the controller
	ends       []func()      // what else the spec has started since
}

// begin sets a scene: the backups are there before the controller starts, so that they make one call.
func (t trouble) begin(ctx context.Context) *scene {
	GinkgoHelper()
	s := &scene{world: newWorld(ctx, t.options), transports: &cbr.Transports{}}
	if t.fault != nil {
		fault := *t.fault
		fault.Operation = cmp.Or(fault.Operation, cbr.OperationImport)
		s.cloud.Inject(fault)
	}
	s.front = newFront(ctx, s.cloud, t)
	changes := []func(*v1alpha1.CBRProjectSpec){func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = s.front.url }}
	if t.spec != nil {
		changes = append(changes, t.spec)
	}
	s.apply(ctx, s.secret(cmp.Or(t.token, cbrtest.Token)), s.project(changes...))
	s.applyBackups(ctx, cmp.Or(t.count, backupsOfATrouble))
	s.seen = s.watch(ctx)
	s.start(t.tune) //nolint:contextcheck // a controller has a context of its own
	return s
}

// start starts the controller of a scene.
func (s *scene) start(tune func(*controller.Options)) {
	GinkgoHelper()
	endpoints, err := connection.ParseEndpointPatterns("http://127.0.0.1:*,127.0.0.1:*,http://does-not-exist.invalid")
	Expect(err).NotTo(HaveOccurred())
	guard, err := connection.NewGuard(endpoints, nil)
	Expect(err).NotTo(HaveOccurred())
	s.transports.Dial = guard.DialContext
	s.transports.Proxy = direct
	if tune == nil {
		tune = patient
	}
	s.before = goleak.IgnoreCurrent()
	s.running = s.world.start(tune, func(options *controller.Options) {
		options.Transports = s.transports
		options.AllowedEndpoints = endpoints
	})
	DeferCleanup(s.front.release) // before the controller is waited for
}

// direct is the proxy of no request: one would answer in place of what cannot be reached.
func direct(*http.Request) (*url.URL, error) { return nil, nil }

// lift ends what goes wrong.
func (s *scene) lift() {
	s.cloud.ClearFaults()
	s.front.lift()
}

// expectSoundTexts expects that nothing that CBR says makes a text that a person cannot read.
func (s *scene) expectSoundTexts(ctx context.Context) {
	GinkgoHelper()
	for _, condition := range slices.Concat(s.seen.projects(), s.seen.backups()) {
		Expect(condition.Message).To(beSound(v1alpha1.MaxMessageLength), condition.Reason)
	}
	var events eventsv1.EventList
	Expect(apiserver.List(ctx, &events, client.InNamespace(s.namespace))).To(Succeed())
	for _, event := range events.Items {
		Expect(event.Note).To(beSound(1000), event.Reason)
	}
}

func beSound(longest int) gomegatypes.GomegaMatcher {
	return WithTransform(func(text string) string {
		switch {
		case !utf8.ValidString(text):
			return "invalid UTF-8"
		case utf8.RuneCountInString(text) > longest:
			return fmt.Sprintf("%d characters", utf8.RuneCountInString(text))
		case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
			return "unprintable characters"
		}
		return "sound"
	}, Equal("sound"))
}

// expectNoLeaks stops the controller and expects that nothing is left of it, connections to CBR included.
func (s *scene) expectNoLeaks() {
	GinkgoHelper()
	s.running.Stop()
	s.transports.CloseIdleConnections()
	for _, end := range s.ends {
		end()
	}
	Eventually(func() error {
		return goleak.Find(s.before,
			// A flaw of the library: what filters a watch stays if nobody takes its last event (watch.Filter).
			goleak.IgnoreTopFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop"),
			// The suite's own connections to the API server, which all controllers share.
			goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"),
			goleak.IgnoreAnyFunction("net/http.(*http2ClientConn).readLoop"))
	}).Should(Succeed())
}

// witness remembers every condition that the API server has shown of the objects of a world: what passes quickly is
// seen too, and what was never seen never was.
type witness struct {
	mutex      sync.Mutex
	conditions map[string][]metav1.Condition // by kind
}

const kindProject, kindBackup = "CBRProject", "BackupSync"

// watch starts a witness, until the spec ends.
func (w *world) watch(ctx context.Context) *witness {
	GinkgoHelper()
	watcher, err := client.NewWithWatch(restConfig, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	seen := &witness{conditions: map[string][]metav1.Condition{}}
	for _, list := range []client.ObjectList{&v1alpha1.CBRProjectList{}, &v1alpha1.BackupSyncList{}} {
		stream, err := watcher.Watch(context.WithoutCancel(ctx), list, client.InNamespace(w.namespace))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(stream.Stop)
		go seen.follow(stream)
	}
	return seen
}

func (s *witness) follow(stream watch.Interface) {
	for event := range stream.ResultChan() {
		s.mutex.Lock()
		switch object := event.Object.(type) {
		case *v1alpha1.CBRProject:
			s.conditions[kindProject] = append(s.conditions[kindProject], object.Status.Conditions...)
		case *v1alpha1.BackupSync:
			s.conditions[kindBackup] = append(s.conditions[kindBackup], object.Status.Conditions...)
		}
		s.mutex.Unlock()
	}
}

func (s *witness) projects() []metav1.Condition { return s.of(kindProject) }
func (s *witness) backups() []metav1.Condition  { return s.of(kindBackup) }

func (s *witness) of(kind string) []metav1.Condition {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.conditions[kind])
}

// reasons returns the reasons of Ready among conditions.
func (s *witness) reasons(conditions []metav1.Condition) []string {
	reasons := map[string]struct{}{}
	for _, condition := range conditions {
		if condition.Type == v1alpha1.ConditionReady {
			reasons[condition.Reason] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(reasons))
}

// front is the endpoint of a scene: it lets the requests through to the cloud, but for those that it answers itself.
type front struct {
	url     string
	cloud   http.Handler
	hostile http.HandlerFunc
	reads   bool
	release context.CancelFunc // ends the context of all requests, those of hijacked connections included

	mutex sync.Mutex
	left  int // hostile answers, cbrtest.Always for no end
	given int // hostile answers so far

	holding atomic.Int32 // requests under way that get a hostile answer
}

func newFront(ctx context.Context, cloud http.Handler, t trouble) *front {
	f := &front{cloud: cloud, hostile: t.hostile, reads: t.reads, left: cmp.Or(t.times, 1)}
	ctx, f.release = context.WithCancel(context.WithoutCancel(ctx))
	server := httptest.NewUnstartedServer(f)
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	DeferCleanup(server.Close)
	DeferCleanup(f.release)
	f.url = server.URL
	return f
}

func (f *front) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	if f.isHostile(request) {
		f.holding.Add(1)
		defer f.holding.Add(-1)
		_, _ = io.Copy(io.Discard, request.Body) // only then does the server notice that the client leaves
		f.hostile(writer, request)
		return
	}
	f.cloud.ServeHTTP(writer, request)
}

func (f *front) isHostile(request *http.Request) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.hostile == nil || f.left == 0 || f.reads != (request.Method == http.MethodGet) {
		return false
	}
	if f.left > 0 {
		f.left--
	}
	f.given++
	return true
}

func (f *front) answered() int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.given
}

func (f *front) lift() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.left = 0
}
