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
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const (
	controlPlaneStart = 60 * time.Second // usually 5 s, more on a busy machine
	controlPlaneStop  = 20 * time.Second
	etcdQuota         = "8589934592" // bytes; the default of 2 GiB is near to what a hundred thousand objects take
)

// controlPlane is etcd and kube-apiserver, run by envtest.
type controlPlane struct {
	dir         string
	environment *envtest.Environment
	logs        []*os.File
}

func newControlPlane(assets, dir string) (*controlPlane, error) {
	c := &controlPlane{dir: dir, environment: &envtest.Environment{
		BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: controlPlaneStart, ControlPlaneStopTimeout: controlPlaneStop,
	}}
	c.environment.ControlPlane.Etcd = &envtest.Etcd{DataDir: filepath.Join(dir, "etcd-data")}
	etcd, apiserver := c.environment.ControlPlane.Etcd, c.environment.ControlPlane.GetAPIServer()
	etcd.Configure().Set("quota-backend-bytes", etcdQuota)
	apiserver.CertDir = filepath.Join(dir, "kube-apiserver-certificates")
	apiserver.Configure().Set("authorization-mode", "RBAC")
	etcdLog, etcdErr := c.openLog("etcd")
	apiserverLog, apiserverErr := c.openLog("kube-apiserver")
	if err := errors.Join(etcdErr, apiserverErr, os.Mkdir(etcd.DataDir, 0o700), os.Mkdir(apiserver.CertDir, 0o700)); err != nil {
		return nil, fmt.Errorf("prepare the folder of the control plane: %w", err)
	}
	etcd.Out, etcd.Err = etcdLog, etcdLog
	apiserver.Out, apiserver.Err = apiserverLog, apiserverLog
	var err error
	if etcd.Path, err = c.wrap(assets, "etcd"); err != nil {
		return nil, err
	}
	apiserver.Path, err = c.wrap(assets, "kube-apiserver")
	return c, err
}

// openLog returns a file and not another writer: the process can go on writing to it when this one has ended.
func (c *controlPlane) openLog(name string) (*os.File, error) {
	file, err := os.Create(filepath.Join(c.dir, name+".log"))
	if err == nil {
		c.logs = append(c.logs, file)
	}
	return file, err
}

// wrap writes a script that notes its process id and becomes the binary: envtest keeps the id to itself.
func (c *controlPlane) wrap(assets, name string) (string, error) {
	path := filepath.Join(c.dir, name)
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s\nexec %s \"$@\"\n", quote(path+".pid"), quote(filepath.Join(assets, name)))
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", fmt.Errorf("write the start script of %s: %w", name, err)
	}
	return path, nil
}

// quote makes one word of a text for a POSIX shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// start cannot be interrupted, but it is bounded.
func (c *controlPlane) start(ctx context.Context) (*rest.Config, error) {
	config, err := c.environment.Start()
	if err != nil {
		return nil, fmt.Errorf("start etcd and kube-apiserver: %w\n%s", err, c.tails())
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

func (c *controlPlane) tails() string {
	tails := make([]string, 0, len(c.logs))
	for _, log := range c.logs {
		tails = append(tails, Tail(log.Name(), 5))
	}
	return strings.Join(tails, "\n")
}

func (c *controlPlane) stop() error {
	err := c.environment.Stop()
	for _, log := range c.logs {
		err = errors.Join(err, log.Close())
	}
	return err
}

func (c *controlPlane) children() ([]Child, error) {
	var children []Child
	for _, name := range []string{"kube-apiserver", "etcd"} {
		text, err := os.ReadFile(filepath.Join(c.dir, name+".pid"))
		if err != nil {
			return nil, fmt.Errorf("read the process id of %s: %w", name, err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return nil, fmt.Errorf("read the process id of %s: %w", name, err)
		}
		children = append(children, Child{Name: name, PID: pid})
	}
	return children, nil
}
