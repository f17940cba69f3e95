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
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/controller"
	"backupsync.dev/operator/internal/namespaces"
)

var (
	scheme     = runtime.NewScheme()
	restConfig *rest.Config
	apiserver  client.Client // reads and writes live
)

func TestController(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute) // a slow machine is no fault
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	SetDefaultConsistentlyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Controller")
}

// Parallel processes of the suite share one API server; each spec has a namespace of its own.
var _ = SynchronizedBeforeSuite(func() []byte {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		GinkgoT().Setenv("KUBEBUILDER_ASSETS", filepath.Join("..", "..", "bin", "k8s"))
	}
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	DeferCleanup(environment.Stop) // also of what has started when the CRDs are refused
	_, err := environment.Start()
	Expect(err).NotTo(HaveOccurred(), "make controlplane puts etcd and kube-apiserver into bin/k8s")
	return environment.KubeConfig
}, func(kubeconfig []byte) {
	ctrl.SetLogger(zap.New(zap.WriteTo(GinkgoWriter), zap.UseDevMode(true)))
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	var err error
	restConfig, err = clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	restConfig.QPS = -1
	apiserver, err = client.New(restConfig, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

// world is a namespace with its own CBR and its own controllers: specs do not see each other.
type world struct {
	namespace string
	cloud     *cbrtest.Server
	requests  *requestLog // what the controllers ask of the API server
}

func newWorld(ctx context.Context, options cbrtest.Options) *world {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "flow-"}}
	Expect(apiserver.Create(ctx, namespace)).To(Succeed())
	return &world{namespace: namespace.Name, cloud: cbrtest.NewServer(GinkgoTB(), options), requests: &requestLog{}}
}

// process is a controller, as one process would run it.
type process struct {
	stop     context.CancelFunc
	stopped  chan struct{}
	complete func(context.Context) error // what a process does after its manager has stopped
}

func (p *process) Stop() {
	p.stop()
	Eventually(p.stopped).Should(BeClosed())
}

// start starts a controller for the namespace of the world, or for those that the changes name. It stops with the spec.
func (w *world) start(changes ...func(*controller.Options)) *process {
	GinkgoHelper()
	endpoints, err := connection.ParseEndpointPatterns("http://127.0.0.1:*,127.0.0.1:*")
	Expect(err).NotTo(HaveOccurred())
	options := controller.Options{Identity: uuid.NewString(), AllowedEndpoints: endpoints, Namespaces: []string{w.namespace}}
	for _, change := range changes {
		change(&options)
	}
	enabled, cached := true, cache.Options{DefaultTransform: controller.TrimCached, ReaderFailOnMissingInformer: true}
	watched := map[string]cache.Config{}
	for _, namespace := range options.Namespaces {
		watched[namespace] = cache.Config{}
	}
	manager, err := ctrl.NewManager(w.requests.watching(restConfig), ctrl.Options{
		Scheme:     scheme,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &enabled},
		Cache:      cache.Options{DefaultNamespaces: watched, DefaultTransform: cached.DefaultTransform, ReaderFailOnMissingInformer: true},
		Client:     client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &enabled}},
	})
	Expect(err).NotTo(HaveOccurred())
	var reading controller.Client = manager.GetClient()
	caches := []cache.Cache{manager.GetCache()}
	if len(options.Namespaces) > 1 { // as main does
		several, err := namespaces.New(manager, options.Namespaces, namespaces.Options{Cache: cached})
		Expect(err).NotTo(HaveOccurred())
		reading, caches, options.Unreadable = several, several.Caches(), several.Unreadable
	}
	reconciler, err := controller.NewReconciler(reading, manager.GetAPIReader(), manager.GetEventRecorder("backupsync"), options)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	Expect(reconciler.SetupWithManager(ctx, manager, caches...)).To(Succeed())
	running := &process{stop: cancel, stopped: make(chan struct{}), complete: reconciler.Close}
	go func() {
		defer GinkgoRecover()
		defer close(running.stopped)
		Expect(manager.Start(ctx)).To(Succeed())
	}()
	DeferCleanup(running.Stop)
	return running
}

// project returns a CBRProject of the world, paced for tests.
func (w *world) project(changes ...func(*v1alpha1.CBRProjectSpec)) *v1alpha1.CBRProject {
	project := &v1alpha1.CBRProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "default"},
		Spec: v1alpha1.CBRProjectSpec{
			Endpoint:    w.cloud.URL,
			ProjectID:   cbrtest.ProjectID,
			Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}},
			Batch:       v1alpha1.Batch{Window: &metav1.Duration{Duration: 200 * time.Millisecond}, MaxWait: &metav1.Duration{Duration: 2 * time.Second}},
			Limits:      v1alpha1.Limits{SyncCallsPerMinute: 100000},
			Poll:        v1alpha1.Poll{Interval: &metav1.Duration{Duration: 200 * time.Millisecond}},
		},
	}
	for _, change := range changes {
		change(&project.Spec)
	}
	return project
}

// batched makes a project's calls that are not full wait for so long.
func batched(window, maxWait time.Duration) func(*v1alpha1.CBRProjectSpec) {
	return func(spec *v1alpha1.CBRProjectSpec) {
		spec.Batch.Window, spec.Batch.MaxWait = &metav1.Duration{Duration: window}, &metav1.Duration{Duration: maxWait}
	}
}

func (w *world) secret(token string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "cbr"},
		StringData: map[string]string{v1alpha1.TokenKey: token},
	}
}

// backup returns a BackupSync of the world that CBR takes.
func (w *world) backup(number int) *v1alpha1.BackupSync {
	return &v1alpha1.BackupSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: fmt.Sprintf("backup-%05d", number)},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef:   v1alpha1.ProjectReference{Name: "default"},
			BackupID:     fmt.Sprintf("1f9e6b47-7655-4a19-b563-%012d", number),
			BackupName:   fmt.Sprintf("backup_%d", number),
			BucketName:   "1555230361623e4ce4700dab84b7d8169a5eaec05227d",
			ImagePath:    fmt.Sprintf("6abec15e-7baf-4d79-b5a9-6b98a2da7020/%d", number),
			ResourceID:   "96f7512d-239d-3f31-80cf-d1ce041df9a6",
			ResourceName: "erp-01",
			CreatedAt:    1553587260,
		},
	}
}

func (w *world) apply(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, object := range objects {
		Expect(apiserver.Create(ctx, object)).To(Succeed())
	}
}

// applyBackups creates BackupSyncs, several at a time, as one apply of many manifests would.
func (w *world) applyBackups(ctx context.Context, count int) {
	GinkgoHelper()
	numbers := make(chan int)
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			var failed error
			for number := range numbers {
				if err := apiserver.Create(ctx, w.backup(number)); err != nil {
					failed = err
				}
			}
			errs <- failed
		}()
	}
	for number := range count {
		numbers <- number
	}
	close(numbers)
	for range cap(errs) {
		Expect(<-errs).NotTo(HaveOccurred())
	}
}

func (w *world) backups(ctx context.Context) []v1alpha1.BackupSync {
	GinkgoHelper()
	var list v1alpha1.BackupSyncList
	Expect(apiserver.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	return list.Items
}

// reasons counts the BackupSyncs by the reason of Ready.
func (w *world) reasons(ctx context.Context) func(Gomega) map[string]int {
	return func(g Gomega) map[string]int {
		var list v1alpha1.BackupSyncList
		g.Expect(apiserver.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
		counts := map[string]int{}
		for _, backup := range list.Items {
			counts[ready(backup.Status.Conditions).Reason]++
		}
		return counts
	}
}

// expectMany expects the reasons of many BackupSyncs in the end. It lists them rarely: to list a thousand takes a test, with the race
// detector, as long as the controller needs for its work.
func (w *world) expectMany(ctx context.Context, reasons map[string]int) {
	GinkgoHelper()
	Eventually(w.reasons(ctx), 4*time.Minute, time.Second).Should(Equal(reasons))
}

func (w *world) current(ctx context.Context) func(Gomega) *v1alpha1.CBRProject {
	return func(g Gomega) *v1alpha1.CBRProject {
		project := &v1alpha1.CBRProject{}
		g.Expect(apiserver.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "default"}, project)).To(Succeed())
		return project
	}
}

func ready(conditions []metav1.Condition) metav1.Condition {
	for _, condition := range conditions {
		if condition.Type == v1alpha1.ConditionReady {
			return condition
		}
	}
	return metav1.Condition{}
}

func projectReason(project *v1alpha1.CBRProject) string {
	return ready(project.Status.Conditions).Reason
}

// requestLog counts the requests of controllers to the API server, by method and path.
type requestLog struct {
	mutex  sync.Mutex
	counts map[string]int
	doom   *doom // nil, or the end of the process
}

var errCrashed = errors.New("the process of this request has crashed")

func (l *requestLog) watching(original *rest.Config) *rest.Config {
	watched := rest.CopyConfig(original)
	watched.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			l.mutex.Lock()
			if l.counts == nil {
				l.counts = map[string]int{}
			}
			l.counts[request.Method+" "+request.URL.Path]++
			l.mutex.Unlock()
			return l.doom.pass(request, next)
		})
	})
	return watched
}

// matching returns the counts of the requests whose method and path contain all the texts.
func (l *requestLog) matching(texts ...string) map[string]int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	found := map[string]int{}
	for request, count := range l.counts {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(request, text) }) {
			found[request] = count
		}
	}
	return found
}

func total(counts map[string]int) int {
	sum := 0
	for _, count := range counts {
		sum += count
	}
	return sum
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func rateWindow(length time.Duration) func(*controller.Options) {
	return func(options *controller.Options) { options.RateWindow = length }
}
