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
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// What the demo says it imports is what it applies.
func TestTheSamplesAreCounted(t *testing.T) {
	samples, err := filepath.Glob("../../config/samples/backupsync*.yaml")
	if err != nil || len(samples) != sampleCount {
		t.Errorf("config/samples has %d backups (%v), and the demo speaks of %d", len(samples), err, sampleCount)
	}
}

// imported is the state that the demo should end in: four calls, one of them for the samples.
func imported() *snapshot {
	total := sampleCount + backupCount
	ready := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonImported}}
	s := &snapshot{ledger: &cluster.Ledger{SyncCalls: 4, MaxCallsInWindow: 4, Answers: map[string]int{"ImportBackup 200": 4}}}
	counts := importedCounts(total)
	s.project.Status = v1alpha1.CBRProjectStatus{Conditions: ready, Backups: &counts}
	for number := range total {
		backup, task := fmt.Sprintf("backup-%d", number), fmt.Sprintf("task-%d", number)
		s.backups = append(s.backups, v1alpha1.BackupSync{
			Spec:   v1alpha1.BackupSyncSpec{BackupID: backup},
			Status: v1alpha1.BackupSyncStatus{Conditions: slices.Clone(ready), OperationLogID: task},
		})
		s.ledger.Backups = append(s.ledger.Backups, cluster.LedgerBackup{BackupID: backup, Accepted: 1, OperationLogIDs: []string{task}})
	}
	return s
}

func failures(checks []check) []int {
	var failed []int
	for i, each := range checks {
		if !each.ok {
			failed = append(failed, i)
		}
	}
	return failed
}

func TestProof(t *testing.T) {
	for name, test := range map[string]struct {
		spoil  func(*snapshot)
		failed []int
	}{
		"all is well":             {func(*snapshot) {}, nil},
		"a backup not Ready":      {func(s *snapshot) { s.backups[7].Status.Conditions[0].Status = metav1.ConditionUnknown }, []int{0}},
		"a backup too few":        {func(s *snapshot) { s.backups = s.backups[1:] }, []int{0, 3, 4}},
		"a call too many":         {func(s *snapshot) { s.ledger.SyncCalls++ }, []int{1}},
		"a call too few":          {func(s *snapshot) { s.ledger.SyncCalls-- }, []int{1}},
		"over the limit":          {func(s *snapshot) { s.ledger.MaxCallsInWindow = simulatorLimit + 1 }, []int{2}},
		"refused":                 {func(s *snapshot) { s.ledger.Answers["ImportBackup 429 APIGW.0308"] = 1 }, []int{2}},
		"another task in status":  {func(s *snapshot) { s.backups[7].Status.OperationLogID = "task-0" }, []int{3}},
		"no task in status":       {func(s *snapshot) { s.backups[7].Status.OperationLogID = "" }, []int{3}},
		"accepted twice":          {func(s *snapshot) { s.ledger.Backups[7].Accepted, s.ledger.AcceptedTwice = 2, []string{"backup-7"} }, []int{4}},
		"accepted but not ours":   {func(s *snapshot) { s.ledger.Backups = append(s.ledger.Backups, cluster.LedgerBackup{BackupID: "x"}) }, []int{4}},
		"project not Ready":       {func(s *snapshot) { s.project.Status.Conditions = nil }, []int{5}},
		"project counts are late": {func(s *snapshot) { s.project.Status.Backups.Running = 1 }, []int{5}},
		"no project counts":       {func(s *snapshot) { s.project.Status.Backups = nil }, []int{5}},
		"a call without outcome":  {func(s *snapshot) { s.project.Status.Journal.Submissions = make([]v1alpha1.Submission, 1) }, []int{5}},
	} {
		t.Run(name, func(t *testing.T) {
			s := imported()
			test.spoil(s)
			if failed := failures(proof(s, sampleCount, 1)); !slices.Equal(failed, test.failed) {
				t.Errorf("the checks %v have failed, expected %v", failed, test.failed)
			}
		})
	}
}

func TestGenerate(t *testing.T) {
	manifests := bytes.Split(generate(backupCount), []byte("---\n"))[1:]
	if len(manifests) != backupCount {
		t.Fatalf("%d manifests", len(manifests))
	}
	var names, ids []string
	for _, manifest := range manifests {
		for line := range strings.Lines(string(manifest)) {
			if name, found := strings.CutPrefix(line, "  name: "); found {
				names = append(names, name)
			}
			if id, found := strings.CutPrefix(line, "  backupID: "); found {
				ids = append(ids, id)
			}
		}
	}
	if !slices.IsSorted(names) {
		t.Error("the names are not in order")
	}
	slices.Sort(ids)
	if len(slices.Compact(names)) != backupCount || len(slices.Compact(ids)) != backupCount {
		t.Error("names or ids are not unique")
	}
}
