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

// Package testcluster is what the tests of the commands share: a real API server with the CRDs, command lines that speak to it, and the
// operator over a CBR in memory.
package testcluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/controller"
)

// Cluster is an API server with the CRDs.
type Cluster struct {
	Config *rest.Config
	// Client is an administrator's.
	Client client.Client

	environment *envtest.Environment
	dir         string
	namespaces  atomic.Int64
}

// Start starts a cluster. The root is the path of the module's root.
func Start(root string) (*Cluster, error) {
	ctrl.SetLogger(logr.Discard())
	environment := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join(root, "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		environment.BinaryAssetsDirectory = filepath.Join(root, "bin", "k8s")
	}
	environment.ControlPlane.GetAPIServer().Configure().Set("authorization-mode", "RBAC")
	started, err := environment.Start()
	if err != nil {
		return nil, fmt.Errorf("make controlplane puts etcd and kube-apiserver into bin/k8s: %w", err)
	}
	started.QPS = -1
	c := &Cluster{Config: started, environment: environment}
	if c.Client, err = client.New(started, client.Options{Scheme: cli.Scheme()}); err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	if c.dir, err = os.MkdirTemp("", "testcluster-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	return c, os.WriteFile(filepath.Join(c.dir, "admin"), environment.KubeConfig, 0o600)
}

// Run starts a cluster for the tests of a package, and returns the status to exit with.
func Run(m *testing.M, root string, into **Cluster) int {
	started, err := Start(root)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer started.Stop()
	*into = started
	return m.Run()
}

// Stop stops the cluster.
func (c *Cluster) Stop() {
	_ = c.environment.Stop()
	_ = os.RemoveAll(c.dir)
}

// Etcd is the URL of its etcd.
func (c *Cluster) Etcd() string { return c.environment.ControlPlane.Etcd.URL.String() }

// Namespace makes a namespace for a test.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test-%d", c.namespaces.Add(1))
	c.Create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	return name
}

// Create creates objects, with their statuses.
func (c *Cluster) Create(t testing.TB, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		wanted := object.DeepCopyObject()
		if err := c.Client.Create(t.Context(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
		switch of := wanted.(type) {
		case *v1alpha1.BackupSync:
			object.(*v1alpha1.BackupSync).Status = of.Status
			c.writeStatus(t, object, of.Status.Conditions)
		case *v1alpha1.CBRProject:
			object.(*v1alpha1.CBRProject).Status = of.Status
			c.writeStatus(t, object, of.Status.Conditions)
		}
	}
}

func (c *Cluster) writeStatus(t testing.TB, object client.Object, conditions []metav1.Condition) {
	t.Helper()
	if len(conditions) == 0 {
		return
	}
	if err := c.Client.Status().Update(t.Context(), object); err != nil {
		t.Fatalf("write the status of %s: %v", object.GetName(), err)
	}
}

// User returns the name of a kubeconfig of somebody who is no administrator.
func (c *Cluster) User(t testing.TB, name string, groups ...string) string {
	t.Helper()
	user, err := c.environment.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, name), kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Output is what a command line has written, and how it has ended.
type Output struct {
	Out, Err string
	Status   int
}

// CommandLine is a command line that speaks to the cluster.
type CommandLine struct {
	Cluster *Cluster
	// User is the administrator if it is empty.
	User, Namespace string
	In              io.Reader
	// Change, if set, changes the factory.
	Change func(*cli.Factory)
	// Commands make the commands.
	Commands func(*cli.Factory) []*cobra.Command
	// Err, if set, gets what is written to the standard error, too.
	Err io.Writer
}

// Run runs it.
func (l CommandLine) Run(ctx context.Context, arguments ...string) Output {
	out, errOut := &Buffer{}, &Buffer{}
	streams := genericiooptions.IOStreams{In: l.In, Out: out, ErrOut: errOut}
	if streams.In == nil {
		streams.In = strings.NewReader("")
	}
	if l.Err != nil {
		streams.ErrOut = io.MultiWriter(errOut, l.Err)
	}
	f := cli.NewFactory("test", streams)
	if l.Change != nil {
		l.Change(f)
	}
	root := cli.NewCommand(f, l.Commands(f)...)
	root.SetContext(ctx)
	user := l.User
	if user == "" {
		user = "admin"
	}
	root.SetArgs(append(arguments, "--kubeconfig="+filepath.Join(l.Cluster.dir, user), "--namespace="+l.Namespace))
	status := cli.Run(f, root)
	return Output{Out: out.String(), Err: errOut.String(), Status: status}
}

// Buffer is a buffer that several goroutines may write.
type Buffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

// Write writes.
func (b *Buffer) Write(data []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(data)
}

// String returns what was written.
func (b *Buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}

// StartOperator runs the operator in a namespace until the test ends.
func (c *Cluster) StartOperator(t testing.TB, namespace string) {
	t.Helper()
	enabled := true
	manager, err := ctrl.NewManager(c.Config, ctrl.Options{
		Scheme: cli.Scheme(), Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &enabled},
		Cache: cache.Options{DefaultTransform: controller.TrimCached, ReaderFailOnMissingInformer: true,
			DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &enabled}},
	})
	if err != nil {
		t.Fatal(err)
	}
	endpoints, err := connection.ParseEndpointPatterns("http://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	reconciler, err := controller.NewReconciler(manager.GetClient(), manager.GetAPIReader(), manager.GetEventRecorder("backupsync"),
		controller.Options{Identity: uuid.NewString(), AllowedEndpoints: endpoints, Namespaces: []string{namespace}, SettleTime: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := reconciler.SetupWithManager(ctx, manager, manager.GetCache()); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("the manager: %v", err)
		}
	})
}
