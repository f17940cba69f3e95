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

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	secretName  = "cbr"
	projectName = "default"
	// processStart is long: an operator has read a hundred thousand objects when it is ready.
	processStart = 2 * time.Minute
	// processStop is more than a manager waits for its calls.
	processStop = 30 * time.Second
)

// stand is a control plane with the operator's roles and kinds, on which measures run one after the other, each in
// namespaces of its own and with simulators of its own.
type stand struct {
	*bench
	cluster *cluster.Cluster
	watcher client.WithWatch
	server  rest.Interface // as the administrator
	started int            // processes, to name them
	running []*cluster.Process
}

func (b *bench) newStand(ctx context.Context) (*stand, error) {
	b.tell("starting etcd and kube-apiserver, applying config/default")
	kubernetes, err := cluster.Start(ctx, b.root)
	if err != nil {
		return nil, err
	}
	kubernetes.StartTimeout = processStart
	s := &stand{bench: b, cluster: kubernetes}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

func (s *stand) prepare(ctx context.Context) error {
	if err := s.cluster.Install(ctx); err != nil {
		return err
	}
	var err error
	if s.server, err = newRawClient(s.cluster.Config); err != nil {
		return err
	}
	if s.watcher, err = client.NewWithWatch(s.cluster.Config, client.Options{Scheme: s.cluster.Client.Scheme()}); err != nil {
		return fmt.Errorf("make the client that watches: %w", err)
	}
	return nil
}

func (s *stand) close(ctx context.Context) error { return s.cluster.Stop(context.WithoutCancel(ctx)) }

// thisMachine are the simulators' endpoints, in both ways to write their host.
const thisMachine = "http://127.0.0.1:*,http://localhost:*"

// operator is a process of the manager.
type operator struct {
	*cluster.Manager
	// began is the time just before it was started.
	began time.Time
	// metrics is the URL of its metrics, by HTTP, profiles that of the folder of its profiles.
	metrics, profiles string
}

// startOperator starts a manager and waits until its caches are filled.
func (s *stand) startOperator(ctx context.Context, arguments ...string) (*operator, error) {
	profiler, err := cluster.FreeAddresses(ctx, 1)
	if err != nil {
		return nil, err
	}
	s.started++
	began := time.Now()
	manager, err := s.cluster.StartManager(ctx, fmt.Sprintf("manager-%d", s.started), s.managerBinary,
		append([]string{"--metrics-secure=false", "--pprof-bind-address=" + profiler[0], "--allowed-endpoints=" + thisMachine}, arguments...)...)
	if err != nil {
		return nil, err
	}
	s.running = append(s.running, manager.Process)
	return &operator{Manager: manager, began: began, metrics: strings.Replace(manager.MetricsURL, "https:", "http:", 1),
		profiles: "http://" + profiler[0] + "/debug/pprof/"}, nil
}

// stop ends an operator by SIGTERM.
func (o *operator) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, processStop)
	defer cancel()
	return o.Stop(ctx)
}

// startSimulator starts a CBR in memory, which runs until its measure has ended.
func (s *stand) startSimulator(ctx context.Context, arguments ...string) (*cluster.Simulator, error) {
	s.started++
	simulator, err := s.cluster.StartSimulator(ctx, fmt.Sprintf("cbrsim-%d", s.started), s.simulatorBinary, arguments...)
	if err != nil {
		return nil, err
	}
	s.running = append(s.running, simulator.Process)
	return simulator, nil
}

// clear ends what a measure has left running, well or not: the next one is to find an idle machine.
func (s *stand) clear() error {
	errs := make([]error, 0, len(s.running))
	for _, process := range s.running {
		errs = append(errs, process.Kill())
	}
	s.running = nil
	return errors.Join(errs...)
}

// createNamespace creates a namespace with the Secret of its projects.
func (s *stand) createNamespace(ctx context.Context, name string) error {
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: secretName}, Data: map[string][]byte{v1alpha1.TokenKey: []byte(cbrtest.Token)}},
	} {
		if err := s.cluster.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("prepare the namespace %s: %w", name, err)
		}
	}
	return nil
}

// unlimited are limits that no measure but B3 comes near.
var unlimited = v1alpha1.Limits{SyncCallsPerMinute: 100_000, ConcurrentSyncCalls: 20}

// createProject creates a CBRProject. The change makes its spec differ from the defaults.
func (s *stand) createProject(ctx context.Context, namespace, name, endpoint, projectID string, change func(*v1alpha1.CBRProjectSpec)) error {
	project := &v1alpha1.CBRProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.CBRProjectSpec{
			Endpoint: endpoint, ProjectID: projectID,
			Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: secretName}},
		},
	}
	change(&project.Spec)
	if err := s.cluster.Client.Create(ctx, project); err != nil {
		return fmt.Errorf("create the CBRProject %s/%s: %w", namespace, name, err)
	}
	return nil
}

// newHerd prepares BackupSyncs of some projects of a namespace.
func (s *stand) newHerd(namespace string, projects ...string) *herd {
	return &herd{server: s.server, namespace: namespace, projects: projects, inARow: 1}
}

// every returns a duration of a CBRProject's spec.
func every(interval time.Duration) *metav1.Duration { return &metav1.Duration{Duration: interval} }
