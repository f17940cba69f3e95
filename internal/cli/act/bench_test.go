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

package act

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// BenchmarkOneByOne measures a thousand requests at BackupSyncs, each a write of its own.
func BenchmarkOneByOne(b *testing.B) {
	const count = 1000
	cluster.Create(b, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bench"}})
	for i := range count {
		backup := backupWith(fmt.Sprintf("failed-%d", i), backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeRejected))
		backup.Namespace, backup.Generation = "bench", 0
		cluster.Create(b, backup)
	}
	given := &options{dryRun: dryRunNone, output: outputText, allFailed: true}
	if err := given.validate(kindBackup, nil); err != nil {
		b.Fatal(err)
	}
	round := 0
	for b.Loop() {
		targets, err := (&reader{client: cluster.Client, namespace: "bench"}).chosen(b.Context(), kindBackup, &options{chosen: given.chosen})
		if err != nil || len(targets) != count {
			b.Fatalf("%d, %v", len(targets), err)
		}
		round++
		writer := &writer{client: cluster.Client, options: given, request: fmt.Sprint(round), progress: func(int, int) {}}
		told := &account{options: given, results: writer.all(b.Context(), singly(targets))}
		if done := told.count(written); done != count {
			b.Fatalf("%d of %d written", done, count)
		}
	}
	b.ReportMetric(float64(count*b.N)/b.Elapsed().Seconds(), "writes/s")
}
