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
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/controller"
)

const (
	// bareInformerFlag makes this program a bare informer. It is not for people.
	bareInformerFlag = "bare-informer"
	// informerSynced is what it prints when it has read everything.
	informerSynced = "synced"
)

// runBareInformer reads all BackupSyncs into a cache, as the operator does, and nothing more.
func runBareInformer(ctx context.Context, kubeconfig string, output io.Writer) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("make the scheme: %w", err)
	}
	informers, err := cache.New(config, cache.Options{Scheme: scheme, DefaultTransform: controller.TrimCached})
	if err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := informers.GetInformer(ctx, &v1alpha1.BackupSync{}); err != nil {
		return fmt.Errorf("make the informer: %w", err)
	}
	go func() { _ = informers.Start(ctx) }() // what fails shows in that the cache is not filled
	if !informers.WaitForCacheSync(ctx) {
		return errors.New("the cache was not filled")
	}
	_, err = fmt.Fprintln(output, informerSynced)
	return err
}

// timeBareInformer runs a bare informer as a process of its own, with the operator's identity, and returns how long it
// took from its start until it had read everything.
func (s *stand) timeBareInformer(ctx context.Context) (time.Duration, error) {
	program, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find this program: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, processStart)
	defer cancel()
	began := time.Now()
	output, err := exec.CommandContext(ctx, program, "--"+bareInformerFlag+"="+s.cluster.ManagerKubeconfig()).CombinedOutput()
	if err != nil || !strings.Contains(string(output), informerSynced) {
		return 0, fmt.Errorf("run a bare informer: %w\n%s", err, output)
	}
	return time.Since(began), nil
}
