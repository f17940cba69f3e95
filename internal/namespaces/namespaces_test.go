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
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/controller"
	"backupsync.dev/operator/internal/namespaces"
)

// cluster is a real API server.
type cluster struct {
	config *rest.Config
	scheme *runtime.Scheme
	live   client.Client
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	g := NewWithT(t)
	environment := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		environment.BinaryAssetsDirectory = filepath.Join("..", "..", "bin", "k8s")
	}
	t.Cleanup(func() { _ = environment.Stop() })
	config, err := environment.Start()
	g.Expect(err).NotTo(HaveOccurred(), "make controlplane puts etcd and kube-apiserver into bin/k8s")
	config.QPS = -1
	c := &cluster{config: config, scheme: runtime.NewScheme()}
	g.Expect(clientgoscheme.AddToScheme(c.scheme)).To(Succeed())
	g.Expect(v1alpha1.AddToScheme(c.scheme)).To(Succeed())
	c.live, err = client.New(config, client.Options{Scheme: c.scheme})
	g.Expect(err).NotTo(HaveOccurred())
	return c
}

// fill makes two namespaces with BackupSyncs in each.
func (c *cluster) fill(t *testing.T, backups int) (first, second string) {
	t.Helper()
	g := NewWithT(t)
	names := make([]string, 2)
	for i := range names {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}
		g.Expect(c.live.Create(t.Context(), namespace)).To(Succeed())
		names[i] = namespace.Name
		for number := range backups {
			g.Expect(c.live.Create(t.Context(), backup(namespace.Name, number))).To(Succeed())
		}
	}
	return names[0], names[1]
}

func backup(namespace string, number int) *v1alpha1.BackupSync {
	return &v1alpha1.BackupSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("backup-%d", number)},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: "default"}, BackupID: fmt.Sprintf("1f9e6b47-7655-4a19-b563-%012d", number),
			BackupName: "nightly", BucketName: "vmware-backups", ImagePath: "chains/1", ResourceID: "erp", ResourceName: "erp-01", CreatedAt: 1772388000,
		},
	}
}

// watches is the way to the API server. It holds back what the watches of one namespace show.
type watches struct {
	http.RoundTripper
	of string

	mutex sync.Mutex
	delay func(context.Context) error
}

// holdBack has each piece of what the watches show wait.
func (w *watches) holdBack(delay func(context.Context) error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.delay = delay
}

func (w *watches) wait(ctx context.Context) error {
	w.mutex.Lock()
	delay := w.delay
	w.mutex.Unlock()
	if delay == nil {
		return nil
	}
	return delay(ctx)
}

func (w *watches) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := w.RoundTripper.RoundTrip(request)
	if err == nil && request.URL.Query().Get("watch") != "" && strings.Contains(request.URL.Path, "/namespaces/"+w.of+"/") {
		answer.Body = &heldBack{ReadCloser: answer.Body, ctx: request.Context(), watches: w}
	}
	return answer, err
}

type heldBack struct {
	io.ReadCloser
	ctx     context.Context //nolint:containedctx // of the request
	watches *watches
}

func (b *heldBack) Read(into []byte) (int, error) {
	count, err := b.ReadCloser.Read(into)
	return count, errors.Join(err, b.watches.wait(b.ctx))
}

// start starts a manager and returns a client of two namespaces, and the way that its watches of the first go. In one cache they share that of
// the manager, as controller-runtime makes it.
func (c *cluster) start(t *testing.T, first, second string, inOneCache bool) (controller.Client, *watches) {
	t.Helper()
	g := NewWithT(t)
	way := &watches{of: first}
	config, readOwnWrites := rest.CopyConfig(c.config), true
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { way.RoundTripper = next; return way })
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: c.scheme, Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:  cache.Options{DefaultNamespaces: map[string]cache.Config{first: {}, second: {}}},
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &readOwnWrites}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	var made controller.Client = manager.GetClient()
	caches := []cache.Cache{manager.GetCache()}
	if !inOneCache {
		several, err := namespaces.New(manager, []string{first, second}, namespaces.Options{})
		g.Expect(err).NotTo(HaveOccurred())
		made, caches = several, several.Caches()
	}
	for _, each := range caches {
		_, err := each.GetInformer(t.Context(), &v1alpha1.BackupSync{}, cache.BlockUntilSynced(false))
		g.Expect(err).NotTo(HaveOccurred())
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		g.Expect(<-ended).To(Succeed())
	})
	<-manager.Elected()
	for _, each := range caches {
		g.Expect(each.WaitForCacheSync(ctx)).To(BeTrue())
	}
	return made, way
}

// submit writes the status of a BackupSync, as the controller does.
func submit(ctx context.Context, with controller.Client, namespace string, number int, operation string) error {
	written := &v1alpha1.BackupSync{ObjectMeta: backup(namespace, number).ObjectMeta}
	return with.Status().Patch(ctx, written, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{"operationLogID":%q}}`, operation)))
}

// shows returns the operation that a list of a namespace shows of a BackupSync.
func shows(ctx context.Context, with controller.Client, namespace string, number int) (string, error) {
	var list v1alpha1.BackupSyncList
	if err := with.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return "", err
	}
	for i := range list.Items {
		if list.Items[i].Name == backup(namespace, number).Name {
			return list.Items[i].Status.OperationLogID, nil
		}
	}
	return "", fmt.Errorf("backup %d is not in the list", number)
}

// A client of two namespaces, on a real API server.
func TestClient(t *testing.T) {
	c := newCluster(t)
	t.Run("routes", c.testRouting)
	t.Run("reads its own writes though one namespace lags", c.testLag)
	t.Run("reads its own writes among many", c.testMany)
}

// A list shows what was written before, though the watch of its namespace is behind that of another one. A cache of both namespaces does
// not keep that: this is what the package is for, and when it fails it is no longer needed.
func (c *cluster) testLag(t *testing.T) {
	for name, test := range map[string]struct {
		inOneCache bool
		keeps      bool
	}{
		"a cache for each namespace": {keeps: true},
		"a cache of both":            {inOneCache: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			first, second := c.fill(t, 1)
			with, way := c.start(t, first, second, test.inOneCache)
			released := make(chan struct{})
			way.holdBack(func(ctx context.Context) error {
				select {
				case <-released:
				case <-ctx.Done():
				}
				return ctx.Err()
			})
			g.Expect(submit(t.Context(), with, first, 0, "written")).To(Succeed())
			g.Expect(submit(t.Context(), with, second, 0, "later")).To(Succeed())
			g.Expect(shows(t.Context(), with, second, 0)).To(Equal("later"), "the other namespace is not waited for")

			read := make(chan string, 1)
			go func() {
				operation, err := shows(t.Context(), with, first, 0)
				read <- fmt.Sprint(operation, err)
			}()
			if !test.keeps {
				g.Eventually(read, 10*time.Second).Should(Receive(Equal(fmt.Sprint("", nil))), "the state before the write")
				close(released)
				return
			}
			g.Consistently(read, 500*time.Millisecond).ShouldNot(Receive(), "it waits for the watch")
			close(released)
			g.Eventually(read, 10*time.Second).Should(Receive(Equal(fmt.Sprint("written", nil))))
		})
	}
}

// Reads and writes go to the namespace that they are of, and lists without one to all; what is not watched is refused.
func (c *cluster) testRouting(t *testing.T) {
	g := NewWithT(t)
	first, second := c.fill(t, 2)
	with, _ := c.start(t, first, second, false)
	var all, some v1alpha1.BackupSyncList
	g.Expect(with.List(t.Context(), &all)).To(Succeed())
	g.Expect(all.Items).To(HaveLen(4))
	g.Expect(with.List(t.Context(), &some, client.InNamespace(second))).To(Succeed())
	g.Expect(some.Items).To(HaveEach(HaveField("Namespace", second)))

	annotated := backup(second, 1)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"note":"written"}}}`))
	g.Expect(with.Patch(t.Context(), annotated, patch)).To(Succeed())
	read := &v1alpha1.BackupSync{}
	g.Expect(with.Get(t.Context(), client.ObjectKeyFromObject(annotated), read)).To(Succeed())
	g.Expect(read.Annotations).To(HaveKeyWithValue("note", "written"))

	elsewhere := backup(metav1.NamespaceDefault, 0)
	unwatched := MatchError(`the namespace "default" is not watched`)
	g.Expect(with.Get(t.Context(), client.ObjectKeyFromObject(elsewhere), read)).To(unwatched)
	g.Expect(with.List(t.Context(), &some, client.InNamespace(metav1.NamespaceDefault))).To(unwatched)
	g.Expect(with.Patch(t.Context(), elsewhere, patch)).To(unwatched)
	g.Expect(with.Status().Patch(t.Context(), elsewhere, patch)).To(unwatched)
	g.Expect(with.Status().Update(t.Context(), elsewhere)).To(unwatched)
	g.Expect(with.Status().Create(t.Context(), elsewhere, elsewhere)).To(MatchError(errors.ErrUnsupported))
	g.Expect(with.Status().Apply(t.Context(), nil)).To(MatchError(errors.ErrUnsupported))
}

// With many writers in both namespaces, one of which lags a little, no list is without the write before it.
func (c *cluster) testMany(t *testing.T) {
	const writers, patches = 8, 125
	for name, test := range map[string]struct {
		inOneCache bool
		stale      gomegatypes.GomegaMatcher
	}{
		"a cache for each namespace": {stale: BeZero()},
		"a cache of both":            {inOneCache: true, stale: BeNumerically(">", 0)},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			first, second := c.fill(t, writers)
			with, way := c.start(t, first, second, test.inOneCache)
			way.holdBack(func(ctx context.Context) error {
				lag := time.NewTimer(5 * time.Millisecond)
				defer lag.Stop()
				select {
				case <-lag.C:
				case <-ctx.Done():
				}
				return ctx.Err()
			})
			stale := make([]int, writers)
			group, ctx := errgroup.WithContext(t.Context())
			for writer := range writers {
				group.Go(func() error {
					namespace := []string{first, second}[writer%2]
					for patch := range patches {
						operation := fmt.Sprintf("operation-%d", patch)
						if err := submit(ctx, with, namespace, writer, operation); err != nil {
							return err
						}
						switch shown, err := shows(ctx, with, namespace, writer); {
						case err != nil:
							return err
						case shown != operation:
							stale[writer]++
						}
					}
					return nil
				})
			}
			g.Expect(group.Wait()).To(Succeed())
			sum := 0
			for _, count := range stale {
				sum += count
			}
			t.Logf("%d of %d lists were stale", sum, writers*patches)
			g.Expect(sum).To(test.stale)
		})
	}
}
