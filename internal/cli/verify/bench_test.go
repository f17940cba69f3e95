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

package verify

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// many is a cluster and a CBR with so many backups, all of them imported and there, of which it makes the pages when it is asked: the memory
// is then that of the command alone.
type many struct {
	client.Reader
	count int
	peak  uint64
}

func (m *many) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	var asked client.ListOptions
	asked.ApplyOptions(options)
	page := list.(*v1alpha1.BackupSyncList)
	from := 0
	_, _ = fmt.Sscan(asked.Continue, &from)
	for number := from; number < min(from+int(asked.Limit), m.count); number++ {
		backup := testbed.Manifest("n", testProject, number, 500)
		backup.Status.Outcome, backup.Status.OperationLogID = v1alpha1.OutcomeImported, fmt.Sprintf("154f0a9d-ba53-4e91-a3e2-%012d", number)
		page.Items = append(page.Items, *backup)
	}
	if from += len(page.Items); from < m.count {
		page.Continue = fmt.Sprint(from)
	}
	m.sample(from)
	return nil
}

func (m *many) ListBackupDetails(_ context.Context, query cbr.BackupsQuery) (cbr.Page[cbr.BackupDetails], error) {
	page := cbr.Page[cbr.BackupDetails]{Count: m.count}
	for number := query.Offset; number < min(query.Offset+query.Limit, m.count); number++ {
		spec := &testbed.Manifest("n", testProject, number, 500).Spec
		page.Items = append(page.Items, cbr.BackupDetails{ListedBackup: cbr.ListedBackup{ID: spec.BackupID, Status: cbr.BackupAvailable}, Name: spec.BackupName, ResourceID: spec.ResourceID})
	}
	page.Size = len(page.Items)
	m.sample(query.Offset)
	return page, nil
}

func (m *many) sample(at int) {
	if at/1000%20 == 0 || at >= m.count-2000 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		m.peak = max(m.peak, stats.HeapAlloc)
	}
}

func (m *many) ListOperationLogs(context.Context, cbr.OperationLogsQuery) (cbr.Page[cbr.OperationLog], error) {
	return cbr.Page[cbr.OperationLog]{}, nil
}

func (m *many) GetOperationLog(context.Context, string) (cbr.OperationLog, error) {
	return cbr.OperationLog{}, &cbr.Error{Class: cbr.NotFound}
}

func (m *many) GetBackup(context.Context, string) (cbr.StoredBackup, error) {
	return cbr.StoredBackup{}, &cbr.Error{Class: cbr.NotFound}
}

func (m *many) Clean(text string) string { return text }

// BenchmarkMemory tells how much memory is in use at most for each of 100,000 backups.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		cluster := &many{count: 100_000}
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		v := newVerification(b, cluster, nil)
		if err := v.compare(b.Context(), cluster, false); err != nil {
			b.Fatal(err)
		}
		if c := v.report.Counts; c.Confirmed != cluster.count || len(v.report.Findings) != 0 {
			b.Fatalf("%+v", c)
		}
		b.ReportMetric(float64(cluster.peak-before.HeapAlloc)/float64(cluster.count), "B/backup")
		b.ReportMetric(float64(cluster.peak-before.HeapAlloc)/(1<<20), "MB")
		b.ReportMetric(time.Since(began).Seconds(), "s")
	}
}
