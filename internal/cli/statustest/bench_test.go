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

package statustest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/overview"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

const (
	// population is the number of BackupSyncs of the benchmark.
	population = 100_000
	crowded    = "crowded"
)

// BenchmarkStatus measures status against a real API server with 100,000 BackupSyncs of a CBRProject: nearly all imported, and none.
//
//	go test -run '^$' -bench Status -benchtime 5x ./internal/cli/statustest
func BenchmarkStatus(b *testing.B) {
	for _, work := range []struct {
		name         string
		open, failed int
		says         string
	}{{"imported=97000,open=2000,failed=1000", 2000, 1000, "1,000 Rejected"}, {"open=100000", population, 0, "of the first 5,000"}} {
		b.Run(work.name, func(b *testing.B) {
			kubeconfig := crowd(b, work.open, work.failed)
			b.ResetTimer()
			for range b.N {
				got := runWith(b.Context(), kubeconfig, overview.NewCommand, "status", "-n", crowded)
				if got.status != 0 || !strings.Contains(got.out, work.says) {
					b.Fatal(got.errOut, got.out)
				}
			}
		})
	}
}

// crowd starts a cluster with that many BackupSyncs, and returns the path of its kubeconfig.
func crowd(b *testing.B, open, failed int) string {
	b.Helper()
	root, err := cluster.ModuleRoot()
	must(b, err)
	assets, err := cluster.Assets(root)
	must(b, err)
	environment := &envtest.Environment{BinaryAssetsDirectory: assets}
	config, err := environment.Start()
	must(b, err)
	b.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			b.Error(err)
		}
	})
	must(b, fill(b.Context(), environment.ControlPlane.Etcd.URL.String(), open, failed)) // before the server looks at them
	must(b, installCRDs(config, filepath.Join(root, "config", "crd", "bases")))
	direct, err := client.New(config, client.Options{Scheme: cli.Scheme()})
	must(b, err)
	must(b, direct.Create(b.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: crowded}}))
	made := testbed.Project(crowded, "default", "https://cbr.example.com", "p")
	must(b, direct.Create(b.Context(), made))
	made.Status = *usable(v1alpha1.BackupCounts{Pending: int32(open), Failed: int32(failed), Imported: int32(population - open - failed)})
	made.Status.ObservedGeneration = 1
	must(b, direct.Status().Update(b.Context(), made))
	awaitCache(b, config)
	path := filepath.Join(b.TempDir(), "kubeconfig")
	must(b, os.WriteFile(path, environment.KubeConfig, 0o600))
	return path
}

// awaitCache waits until the API server has taken all in: what it answers is as new as etcd.
func awaitCache(b *testing.B, config *rest.Config) {
	b.Helper()
	read, err := backups.NewReader(config)
	must(b, err)
	must(b, wait.PollUntilContextTimeout(b.Context(), time.Second, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := read.Each(ctx, backups.Query{Namespace: crowded, Project: "nobody", Ended: backups.Failed}, func(backups.Backup) {})
		return err == nil, ctx.Err()
	}))
}

// fill puts the BackupSyncs into etcd.
func fill(ctx context.Context, etcd string, open, failed int) error {
	generator := &testbed.Generator{Namespace: crowded, Projects: []string{"default"}, InARow: 1, Machines: 500}
	return testbed.Store(ctx, etcd, population, func(number int) *v1alpha1.BackupSync { return storedBackup(generator, number, open, failed) })
}

// storedBackup is a BackupSync as the API server stores it, with managed fields as heavy as real ones.
func storedBackup(generator *testbed.Generator, number, open, failed int) *v1alpha1.BackupSync {
	stored := generator.Manifest(number)
	stored.UID, stored.Generation, stored.CreationTimestamp = types.UID(uuid.NewString()), 1, metav1.NewTime(time.Now().Add(-time.Hour))
	kind := number * 7919 % population // spread
	switch {
	case kind >= open+failed:
		*stored = *imported(stored)
	case kind >= open:
		*stored = *rejected(stored)
	case kind%2 == 0:
		*stored = *running(stored)
	default:
		*stored = *unknown(stored)
	}
	stored.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "cbr.backupsync.dev/v1alpha1",
		FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:backupID":{},"f:backupName":{},"f:bucketName":{},"f:createdAt":{},"f:imagePath":{},` +
			`"f:projectRef":{"f:name":{}},"f:resourceID":{},"f:resourceName":{},"f:resourceType":{}}}`)}}
	return stored
}
