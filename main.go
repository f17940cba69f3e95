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

// The manager of the BackupSync operator: it imports on-premises backups into Huawei Cloud CBR.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/google/uuid"
	_ "golang.org/x/crypto/x509roots/fallback" // the image has no CA certificates: without any of the system, Go then trusts those of Mozilla
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/controller"
	"backupsync.dev/operator/internal/election"
	"backupsync.dev/operator/internal/namespaces"
)

// version is set by the linker.
var version = "dev"

// leaseName is the name of the lease of the leader election.
const leaseName = "cbr.backupsync.dev"

func main() {
	f := parseFlags()
	if f.version {
		fmt.Println(version)
		return
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&f.zap)))
	log.SetOutput(cbr.QuietLog(os.Stderr))
	if err := run(ctrl.SetupSignalHandler(), f); err != nil {
		ctrl.Log.Error(err, "The manager has ended")
		os.Exit(1)
	}
}

func run(ctx context.Context, f *flags) error {
	if err := f.validate(flag.Args()); err != nil {
		return err
	}
	options, err := f.controllerOptions()
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	askDirectly(config)
	lock, err := newLock(config, f)
	if err != nil {
		return fmt.Errorf("make the lock of the leader election: %w", err)
	}
	manager, err := newManager(config, f, options.Namespaces, lock)
	if err != nil {
		return err
	}
	reading, err := readingOf(manager, options.Namespaces)
	if err != nil {
		return err
	}
	schema, err := newSchemaCheck(config)
	if err != nil {
		return err
	}
	options.Identity, options.Schema, options.Unreadable = uuid.NewString(), schema, reading.unreadable
	reconciler, err := controller.NewReconciler(reading.client, manager.GetAPIReader(), manager.GetEventRecorder("backupsync"), options)
	if err != nil {
		return fmt.Errorf("make the controller: %w", err)
	}
	defer complete(context.WithoutCancel(ctx), reconciler, f.grace())
	if err := reconciler.SetupWithManager(ctx, manager, reading.caches...); err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	if err := addHandover(manager, reconciler, lock, f.grace()); err != nil {
		return err
	}
	if err := errors.Join(addProbes(manager, reading.ready, schema), metrics.Registry.Register(reconciler)); err != nil {
		return fmt.Errorf("add the probes and the metrics: %w", err)
	}
	ctrl.Log.Info("Starting", "version", version, "identity", options.Identity)
	_ = schema.Check(ctx, time.Now()) // it says so itself; what hangs on it asks again
	return start(ctx, manager)
}

// start runs the manager until the context ends, and what was begun has. A manager whose caches are not filled yet does not end: nothing was
// begun then, and it is left behind.
func start(ctx context.Context, manager ctrl.Manager) error {
	filled := make(whenFilled)
	if err := manager.Add(filled); err != nil {
		return fmt.Errorf("add the end of the start: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case <-filled:
		return <-ended
	default:
		ctrl.Log.Info("Ended before the caches were filled")
		return nil
	}
}

// whenFilled is closed when the manager has filled its caches.
type whenFilled chan struct{}

// NeedLeaderElection says that a standby fills them, too.
func (whenFilled) NeedLeaderElection() bool { return false }

// Start is called after that.
func (w whenFilled) Start(context.Context) error {
	close(w)
	return nil
}

// newSchemaCheck makes the check of the CRDs.
func newSchemaCheck(config *rest.Config) (*controller.SchemaCheck, error) {
	published, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the client of the API server's schemas: %w", err)
	}
	return controller.NewSchemaCheck(published.OpenAPIV3(), ctrl.Log.WithName("crds")), nil
}

// complete completes what was begun, also after the lease was lost and the manager has returned at once.
func complete(ctx context.Context, reconciler *controller.Reconciler, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := reconciler.Close(ctx); err != nil {
		ctrl.Log.Error(err, "The shutdown left something undone")
	}
}

// addHandover has the leader give its lease away when it ends, if there is a leader election.
func addHandover(manager ctrl.Manager, reconciler *controller.Reconciler, lock *election.Lock, grace time.Duration) error {
	if lock == nil {
		return nil
	}
	if err := manager.Add(election.Handover{Lock: lock, Drain: reconciler.Drain, Grace: grace}); err != nil {
		return fmt.Errorf("add the handover: %w", err)
	}
	return nil
}

// askDirectly keeps the API server from being asked through the proxy of the environment, which is for CBR. A kubeconfig may name
// one for the API server.
func askDirectly(config *rest.Config) {
	if config.Proxy == nil {
		config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
}

// cacheOptions are those of each cache, but for what it watches.
var cacheOptions = cache.Options{DefaultTransform: controller.TrimCached, ReaderFailOnMissingInformer: true}

// fieldOwner owns what the operator writes.
const fieldOwner = "backupsync-operator"

// reading is how the controller reads what it watches.
type reading struct {
	client     controller.Client
	caches     []cache.Cache
	ready      func(context.Context) error // nil when the caches are filled, as far as they may be
	unreadable func() []string             // those of several namespaces that cannot be read; nil for one or all
}

// readingOf reads through the cache of the manager, or one for each of several namespaces: the client does not read its own writes from a
// cache of several.
func readingOf(manager ctrl.Manager, watched []string) (*reading, error) {
	if len(watched) <= 1 {
		return &reading{client: manager.GetClient(), caches: []cache.Cache{manager.GetCache()}, ready: filled(manager.GetCache())}, nil
	}
	made, err := namespaces.New(manager, watched, namespaces.Options{Cache: cacheOptions, FieldOwner: fieldOwner})
	if err != nil {
		return nil, err
	}
	ready := func(context.Context) error { return made.Ready() }
	return &reading{client: made, caches: made.Caches(), ready: ready, unreadable: made.Unreadable}, nil
}

// filled returns an error while a cache is not filled.
func filled(each cache.Cache) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if !each.WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet")
		}
		return nil
	}
}

// newLock makes the lock of the leader election, nil if there is none.
func newLock(config *rest.Config, f *flags) (*election.Lock, error) {
	if !f.leaderElect {
		return nil, nil
	}
	return election.NewLock(config, election.Options{
		Namespace: f.leaderElectionNamespace, Name: leaseName, Duration: f.leaseDuration, Deadline: f.renew})
}

func newManager(config *rest.Config, f *flags, watched []string, lock *election.Lock) (ctrl.Manager, error) {
	config.QPS = -1 // the API server's priority and fairness regulates, not the client
	config.UserAgent = "backupsync-operator/" + version
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	grace := f.grace()
	readOwnWrites, cached := true, cacheOptions
	cached.DefaultNamespaces = map[string]cache.Config{}
	for _, namespace := range watched {
		cached.DefaultNamespaces[namespace] = cache.Config{}
	}
	var held resourcelock.Interface // not a nil *Lock in an interface
	if lock != nil {
		held = lock
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsOptions(f),
		HealthProbeBindAddress:        f.probeAddress,
		PprofBindAddress:              f.pprofAddress,
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionReleaseOnCancel: true, // the process ends when the manager does
		LeaseDuration:                 &f.leaseDuration,
		RenewDeadline:                 &f.renew,
		RetryPeriod:                   &f.retry,
		GracefulShutdownTimeout:       &grace,

		LeaderElectionResourceLockInterface: held,
		Cache:                               cached,
		Client: client.Options{
			FieldOwner: fieldOwner,
			Cache:      &client.CacheOptions{EnableReadYourWritesConsistency: &readOwnWrites},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	return manager, nil
}

func metricsOptions(f *flags) metricsserver.Options {
	options := metricsserver.Options{
		BindAddress:   f.metricsAddress,
		SecureServing: f.secureMetrics,
		CertDir:       f.metricsCertPath,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) {
			c.MinVersion = tls.VersionTLS12
			c.NextProtos = []string{"http/1.1"} // no HTTP/2: clients could reset streams faster than they cost them anything
		}},
	}
	if f.secureMetrics {
		options.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return options
}

// addProbes adds the health probes: alive is a process that answers, ready is one that has read what it may read, in a cluster whose
// CRDs are not older than it.
func addProbes(manager ctrl.Manager, ready func(context.Context) error, schema *controller.SchemaCheck) error {
	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add the liveness probe: %w", err)
	}
	synced := func(request *http.Request) error { return ready(request.Context()) }
	if err := manager.AddReadyzCheck("caches", synced); err != nil {
		return fmt.Errorf("add the readiness probe: %w", err)
	}
	fits := func(request *http.Request) error { return schema.Check(request.Context(), time.Now()) }
	if err := manager.AddReadyzCheck("crds", fits); err != nil {
		return fmt.Errorf("add the readiness probe of the CRDs: %w", err)
	}
	return nil
}
