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

package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	defaultStartTimeout = 30 * time.Second
	startPoll           = 100 * time.Millisecond
)

// Manager is the operator's process.
type Manager struct {
	*Process
	// MetricsURL is where its metrics are, by HTTPS.
	MetricsURL string
	// ProbeURL is where its healthz and readyz are.
	ProbeURL string
}

// StartManager starts the manager as its ServiceAccount, and waits until it is ready: it leads, or stands by warm. It
// talks to simulators on this machine only. Install comes first.
func (c *Cluster) StartManager(ctx context.Context, name, binary string, arguments ...string) (*Manager, error) {
	manager, err := c.LaunchManager(ctx, name, binary, arguments...)
	if err != nil {
		return nil, err
	}
	if err := manager.await(ctx, c.startTimeout(), func(ctx context.Context) bool { return answersOK(ctx, manager.ProbeURL+"/readyz") }); err != nil {
		return nil, err
	}
	return manager, nil
}

// LaunchManager is StartManager without the wait, for one that may never be ready.
func (c *Cluster) LaunchManager(ctx context.Context, name, binary string, arguments ...string) (*Manager, error) {
	addresses, err := FreeAddresses(ctx, 2)
	if err != nil {
		return nil, err
	}
	arguments = append([]string{
		"--kubeconfig=" + c.ManagerKubeconfig(),
		"--allowed-endpoints=http://127.0.0.1:*",
		"--leader-elect",
		"--leader-election-namespace=" + Namespace,
		"--metrics-bind-address=" + addresses[0],
		"--health-probe-bind-address=" + addresses[1],
	}, arguments...)
	process, err := c.startProcess(ctx, name, binary, arguments...)
	if err != nil {
		return nil, err
	}
	return &Manager{Process: process, MetricsURL: "https://" + addresses[0] + "/metrics", ProbeURL: "http://" + addresses[1]}, nil
}

func (c *Cluster) startTimeout() time.Duration { return cmp.Or(c.StartTimeout, defaultStartTimeout) }

// await waits until a process that was just started is up.
func (p *Process) await(ctx context.Context, timeout time.Duration, up func(context.Context) bool) error {
	err := wait.PollUntilContextTimeout(ctx, startPoll, timeout, true, func(ctx context.Context) (bool, error) {
		if !p.Running() {
			return false, errors.New("it has ended")
		}
		return up(ctx), nil
	})
	if err != nil {
		return fmt.Errorf("%s did not come up: %w\n%s", p.Name, err, Tail(p.LogFile, 5))
	}
	return nil
}

func answersOK(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// FreeAddresses returns addresses of this machine that nobody listens on: all are held until all are found.
func FreeAddresses(ctx context.Context, count int) ([]string, error) {
	addresses := make([]string, 0, count)
	for range count {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = listener.Close() }()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
