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

// Package cluster runs the operator as its users do: a real etcd and kube-apiserver with RBAC, config/default applied
// by kubectl, and the manager and the simulator of CBR as processes of their own. The demo and the black-box
// tests stand on it.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// stopGrace is how long a process may take to end after SIGTERM before it is killed.
const stopGrace = 15 * time.Second

// Cluster is a Kubernetes API server without nodes, and the processes that were started beside it.
type Cluster struct {
	// Root is the root of the Go module.
	Root string
	// Assets is the folder of etcd, kube-apiserver and kubectl.
	Assets string
	// Dir holds all files of the cluster. It is in the arguments of each of its processes.
	Dir string
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string
	// Config and Client are the administrator's. The client knows the operator's kinds and reads live.
	Config *rest.Config
	Client client.Client
	// StartTimeout is how long the manager and the simulator may take to come up; 30 s if 0.
	StartTimeout time.Duration

	controlPlane *controlPlane
	mutex        sync.Mutex // of processes
	processes    []*Process
}

// Start starts etcd and kube-apiserver, with their files in a new temporary folder. If it fails, nothing is left behind.
func Start(ctx context.Context, root string) (*Cluster, error) {
	assets, err := Assets(root)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "backupsync-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	c := &Cluster{Root: root, Assets: assets, Dir: dir}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.controlPlane, err = newControlPlane(c.Assets, c.Dir); err != nil {
		return err
	}
	if c.Config, err = c.controlPlane.start(ctx); err != nil {
		return err
	}
	c.Kubeconfig = filepath.Join(c.Dir, "admin.kubeconfig")
	if err := writeKubeconfig(c.Kubeconfig, c.Config); err != nil {
		return err
	}
	c.Client, err = newClient(c.Config)
	return err
}

func newClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("make the scheme: %w", err)
	}
	made, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	return made, nil
}

// Stop ends the processes, the latest first, then the control plane, and removes the folder. It returns what did not
// end well; nothing is left running in any case.
func (c *Cluster) Stop(ctx context.Context) error {
	var errs []error
	for _, process := range slices.Backward(c.started()) {
		bounded, cancel := context.WithTimeout(ctx, stopGrace)
		errs = append(errs, process.Stop(bounded))
		cancel()
	}
	if c.controlPlane != nil {
		errs = append(errs, c.controlPlane.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(c.Dir))...)
}

// Etcd returns the URL of etcd, to which a test may write what would take the API server too long.
func (c *Cluster) Etcd() string { return c.controlPlane.environment.ControlPlane.Etcd.URL.String() }

// started returns the processes that were started, the latest last.
func (c *Cluster) started() []*Process {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return slices.Clone(c.processes)
}

// Child names a process of the cluster.
type Child struct {
	Name string
	PID  int
}

// Children returns the processes that run, in the order in which they should be stopped.
func (c *Cluster) Children() ([]Child, error) {
	var children []Child
	for _, process := range slices.Backward(c.started()) {
		if process.Running() {
			children = append(children, Child{Name: process.Name, PID: process.PID()})
		}
	}
	controlPlane, err := c.controlPlane.children()
	return append(children, controlPlane...), err
}

// Kubectl runs kubectl as the administrator and returns its standard output. What it wrote to its standard error is
// part of the error, if it fails.
func (c *Cluster) Kubectl(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(c.Assets, "kubectl"), arguments...)
	// Neither the caches nor the preferences of whoever runs this have a part in it.
	command.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "KUBECACHEDIR="+filepath.Join(c.Dir, "kubectl-cache"), "KUBERC=off")
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
