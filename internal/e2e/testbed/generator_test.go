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

package testbed

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

func generator() *Generator {
	return &Generator{Namespace: "here", Projects: []string{"one", "two"}, InARow: 1, Machines: 20}
}

// The statuses of the generator must be what the operator takes for the end, or what it makes would not be at rest.
func TestImportedStatusIsTheEnd(t *testing.T) {
	backup := generator().Manifest(7)
	backup.Generation, backup.Status = 1, generator().ImportedStatus(7)
	if !backupsync.Settled(backup) || !meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("imported: %+v", backup.Status)
	}
	status := backup.Status
	if status.Outcome != v1alpha1.OutcomeImported || status.SentHash != backupsync.Hash(&backup.Spec) || status.OperationLogID == "" ||
		status.Attempts != 1 || status.SubmittedTime == nil || status.FinishedTime == nil || status.BackupTime == nil {
		t.Errorf("the facts of an imported one: %+v", status)
	}
}

func TestRunningStatusIsUnderWay(t *testing.T) {
	backup := generator().Manifest(7)
	backup.Generation, backup.Status = 1, generator().RunningStatus(7)
	if backupsync.StateOf(backup) != backupsync.Running || !backupsync.Presented(backup, backupsync.Circumstances{}) {
		t.Errorf("running: %+v", backup.Status)
	}
	if !meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionReconciling) {
		t.Error("a running one is not reconciling")
	}
}

func TestProjectsTakeTurns(t *testing.T) {
	made := generator()
	for inARow, want := range map[int][]string{1: {"one", "two", "one", "two", "one"}, 2: {"one", "one", "two", "two", "one"}} {
		made.InARow = inARow
		for number, project := range want {
			if got := made.Manifest(number).Spec.ProjectRef.Name; got != project {
				t.Errorf("%d in a row: number %d is of %s", inARow, number, got)
			}
		}
	}
}

func TestManifestsDiffer(t *testing.T) {
	first, later := generator().Manifest(0), generator().Manifest(20)
	if first.Spec.BackupID == later.Spec.BackupID || first.Name == later.Name {
		t.Error("two are the same")
	}
	if first.Spec.ResourceID != later.Spec.ResourceID {
		t.Error("a machine has one backup only")
	}
}

func TestInParallel(t *testing.T) {
	var mutex sync.Mutex
	var done []int
	err := inParallel(t.Context(), 4, 3, 20, func(_ context.Context, number int) error {
		mutex.Lock()
		defer mutex.Unlock()
		done = append(done, number)
		return nil
	})
	slices.Sort(done)
	if err != nil || len(done) != 17 || done[0] != 3 || done[16] != 19 || len(slices.Compact(done)) != 17 {
		t.Errorf("got %v, %v", done, err)
	}
}

func TestInParallelEndsWithTheFirstError(t *testing.T) {
	broken, calls := errors.New("broken"), make(chan int, 1000)
	err := inParallel(t.Context(), 4, 0, 1000, func(_ context.Context, number int) error {
		calls <- number
		return broken
	})
	if !errors.Is(err, broken) || len(calls) > 8 {
		t.Errorf("%d calls, %v", len(calls), err)
	}
}
