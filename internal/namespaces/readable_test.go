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

package namespaces_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/namespaces"
)

// guarded is the way to an API server that refuses what is asked of some namespaces, and has their watches end.
type guarded struct {
	http.RoundTripper
	mutex   sync.Mutex
	refused map[string]bool
	ends    []context.CancelFunc
}

// refuse says which namespaces are refused from now on.
func (w *guarded) refuse(names ...string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.refused = map[string]bool{}
	for _, name := range names {
		w.refused[name] = true
	}
	for _, end := range w.ends {
		end()
	}
	w.ends = nil
}

func (w *guarded) RoundTrip(request *http.Request) (*http.Response, error) {
	w.mutex.Lock()
	_, after, _ := strings.Cut(request.URL.Path, "/namespaces/")
	namespace, _, _ := strings.Cut(after, "/")
	if w.refused[namespace] {
		w.mutex.Unlock()
		body := `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"it is forbidden","reason":"Forbidden","code":403}`
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
	}
	if request.URL.Query().Has("watch") {
		ctx, cancel := context.WithCancel(request.Context())
		w.ends = append(w.ends, cancel)
		request = request.WithContext(ctx)
	}
	w.mutex.Unlock()
	return w.RoundTripper.RoundTrip(request)
}

// lines are those of a log.
type lines struct {
	mutex sync.Mutex
	all   []string
}

func (l *lines) add(prefix, line string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.all = append(l.all, prefix+line)
}

// with counts the lines that hold a text.
func (l *lines) with(text string) (count int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, text) {
			count++
		}
	}
	return count
}

// watcher is a manager of two namespaces, of which some are refused.
type watcher struct {
	*guarded
	client        *namespaces.Client
	first, second string
	log           *lines
	queue         workqueue.TypedRateLimitingInterface[reconcile.Request]
	began         chan time.Duration // how long the sources were waited for
	readable      chan string
	stop          func() error
}

// watch starts a manager that watches two namespaces, with a backup in each.
func (c *cluster) watch(t *testing.T, refused func(first, second string) []string) *watcher {
	t.Helper()
	g := NewWithT(t)
	w := &watcher{guarded: &guarded{}, log: &lines{}, began: make(chan time.Duration, 1), readable: make(chan string, 10),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())}
	w.first, w.second = c.fill(t, 1)
	w.refuse(refused(w.first, w.second)...)
	config := rest.CopyConfig(c.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { w.RoundTripper = next; return w.guarded })
	made, err := ctrl.NewManager(config, ctrl.Options{Scheme: c.scheme, Logger: funcr.New(w.log.add, funcr.Options{}),
		Metrics: metricsserver.Options{BindAddress: "0"}, Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{w.first: {}, w.second: {}}}})
	g.Expect(err).NotTo(HaveOccurred())
	w.client, err = namespaces.New(made, []string{w.first, w.second}, namespaces.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	var sources []source.SyncingSource
	for _, each := range w.client.Caches() {
		_, err := each.GetInformer(t.Context(), &v1alpha1.BackupSync{}, cache.BlockUntilSynced(false))
		g.Expect(err).NotTo(HaveOccurred())
		sources = append(sources, namespaces.Source(each, source.Kind[client.Object](each, &v1alpha1.BackupSync{}, &handler.EnqueueRequestForObject{})))
		each.(*namespaces.Cache).OnReadable(func() { w.readable <- "again" })
	}
	g.Expect(made.Add(manager.RunnableFunc(func(ctx context.Context) error { // as a controller does
		from := time.Now()
		for _, each := range sources {
			if err := each.Start(ctx, w.queue); err != nil {
				return err
			}
		}
		for _, each := range sources {
			if err := each.WaitForSync(ctx); err != nil {
				return err
			}
		}
		w.began <- time.Since(from)
		<-ctx.Done()
		return nil
	}))).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- made.Start(ctx) }()
	w.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Second):
			return fmt.Errorf("the manager does not end")
		}
	})
	t.Cleanup(func() { g.Expect(w.stop()).To(Succeed()) })
	return w
}

// keys returns what was enqueued, in a form for matchers.
func (w *watcher) keys() (names []string) {
	for w.queue.Len() > 0 {
		request, _ := w.queue.Get()
		w.queue.Done(request)
		names = append(names, request.Namespace)
	}
	return names
}

func get(ctx context.Context, from client.Reader, namespace string) error {
	return from.Get(ctx, types.NamespacedName{Namespace: namespace, Name: backup(namespace, 0).Name}, &v1alpha1.BackupSync{})
}

func listed(ctx context.Context, from client.Reader) (in []string, err error) {
	var all v1alpha1.BackupSyncList
	err = from.List(ctx, &all)
	for _, each := range all.Items {
		in = append(in, each.Namespace)
	}
	return in, err
}

// readAgain is in which time a namespace is read again: reflectors of client-go back off to 30 s, and as much again by chance.
const readAgain = 90 * time.Second

// A namespace that cannot be read, from the beginning or later, holds up nothing.
func TestUnreadable(t *testing.T) {
	c := newCluster(t)
	t.Run("from the beginning", c.testRefusedFirst)
	t.Run("later", c.testRefusedLater)
	t.Run("all of them", c.testRefusedAll)
}

func (c *cluster) testRefusedFirst(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := c.watch(t, func(_, second string) []string { return []string{second} })
	g.Eventually(func() error { return get(t.Context(), w.client, w.first) }, 5*time.Second).Should(Succeed())
	g.Expect(w.client.Ready()).To(MatchError(ContainSubstring(w.second+" cannot be read yet")), "it may be a moment's refusal")
	g.Expect(get(t.Context(), w.client, w.second)).To(MatchError(ContainSubstring(w.second)), "at once")
	g.Expect(w.began).NotTo(Receive(), "the other namespace may come in a moment")

	g.Eventually(w.began, 20*time.Second).Should(Receive(BeNumerically(">", 4*time.Second)))
	g.Expect(w.client.Ready()).To(Succeed())
	g.Expect(w.client.Unreadable()).To(Equal([]string{w.second}))
	g.Expect(w.keys()).To(Equal([]string{w.first}))
	g.Expect(listed(t.Context(), w.client)).To(Equal([]string{w.first}))
	refusal := get(t.Context(), w.client, w.second)
	g.Expect(refusal).To(MatchError(And(ContainSubstring(w.second), ContainSubstring("it is forbidden"))))
	unreadable := &namespaces.UnreadableError{}
	g.Expect(refusal).To(BeAssignableToTypeOf(unreadable))
	var some v1alpha1.BackupSyncList
	g.Expect(w.client.List(t.Context(), &some, client.InNamespace(w.second))).To(MatchError(refusal.Error()))
	g.Expect(submit(t.Context(), w.client, w.second, 0, "written")).To(MatchError(ContainSubstring(w.second)), "it does not wait for the cache")

	w.refuse()
	g.Eventually(w.readable, readAgain).Should(Receive())
	g.Expect(w.client.Unreadable()).To(BeEmpty())
	g.Eventually(w.keys, 5*time.Second).Should(ContainElement(w.second))
	g.Expect(submit(t.Context(), w.client, w.second, 0, "written")).To(Succeed())
	g.Expect(shows(t.Context(), w.client, w.second, 0)).To(Equal("written"))
	g.Expect(w.log.with("cannot be read")).To(Equal(1))
	g.Expect(w.log.with("forbidden")).To(Equal(1))
	g.Expect(w.log.with("can be read again")).To(Equal(1))
}

func (c *cluster) testRefusedLater(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := c.watch(t, func(_, _ string) []string { return nil })
	g.Eventually(w.began, 10*time.Second).Should(Receive(BeNumerically("<", 4*time.Second)))
	g.Expect(w.client.Ready()).To(Succeed())
	g.Expect(w.keys()).To(ConsistOf(w.first, w.second))
	w.refuse(w.second)
	g.Eventually(w.client.Unreadable, time.Minute).Should(Equal([]string{w.second}))
	g.Expect(get(t.Context(), w.client, w.second)).To(MatchError(ContainSubstring("it is forbidden")), "what is known of it is old")
	g.Expect(listed(t.Context(), w.client)).To(Equal([]string{w.first}))
	g.Expect(w.client.Ready()).To(Succeed())
	w.refuse()
	g.Eventually(w.readable, readAgain).Should(Receive())
	g.Expect(listed(t.Context(), w.client)).To(ConsistOf(w.first, w.second))
}

func (c *cluster) testRefusedAll(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := c.watch(t, func(first, second string) []string { return []string{first, second} })
	g.Eventually(w.began, 20*time.Second).Should(Receive())
	g.Expect(w.client.Ready()).To(MatchError(And(ContainSubstring(w.first), ContainSubstring(w.second))))
	g.Expect(listed(t.Context(), w.client)).To(BeEmpty())
	g.Expect(w.stop()).To(Succeed(), "it ends though nothing was read")
}
