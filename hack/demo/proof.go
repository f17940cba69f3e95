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
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// expectedCalls is the fewest calls that can import the backups.
const expectedCalls = (backupCount + callSize - 1) / callSize

// check is one thing that the demo promises, and what was found.
type check struct {
	what, found string
	ok          bool
}

// proof checks the final state: what the API server says of the backups, against what the simulator was sent.
func proof(s *snapshot, samples, callsBefore int) []check {
	want := samples + backupCount
	ready, calls, refused := s.ready(), s.ledger.SyncCalls-callsBefore, refusals(s.ledger)
	same, once := matches(s)
	return []check{
		{fmt.Sprintf("backups Ready (%d samples and %d more)", samples, backupCount),
			fmt.Sprintf("%d of %d", ready, len(s.backups)), ready == want && len(s.backups) == want},
		{fmt.Sprintf("sync calls for the %d, of up to %d backups each", backupCount, callSize),
			fmt.Sprintf("%d", calls), calls == expectedCalls},
		{fmt.Sprintf("most calls within a minute (limit %d), calls refused", simulatorLimit),
			fmt.Sprintf("%d, %d", s.ledger.MaxCallsInWindow, refused), s.ledger.MaxCallsInWindow <= simulatorLimit && refused == 0},
		{"status.operationLogID is the task in the ledger", fmt.Sprintf("%d of %d", same, want), same == want},
		{"backups that CBR has accepted exactly once", fmt.Sprintf("%d of %d", once, len(s.ledger.Backups)),
			once == want && len(s.ledger.Backups) == want && len(s.ledger.AcceptedTwice) == 0},
		projectCheck(s, want),
	}
}

// matches counts the backups whose task in status is the ledger's, and those that the ledger has once.
func matches(s *snapshot) (same, once int) {
	accepted := s.ledger.Accepted()
	for i := range s.backups {
		entry, found := accepted[s.backups[i].Spec.BackupID]
		if !found {
			continue
		}
		if entry.Accepted == 1 {
			once++
		}
		if len(entry.OperationLogIDs) == 1 && entry.OperationLogIDs[0] == s.backups[i].Status.OperationLogID {
			same++
		}
	}
	return same, once
}

// refusals counts the calls that were answered with 429.
func refusals(ledger *cluster.Ledger) int {
	refused := 0
	for answer, count := range ledger.Answers {
		if strings.Contains(answer+" ", " 429 ") {
			refused += count
		}
	}
	return refused
}

func projectCheck(s *snapshot, want int) check {
	ready := meta.IsStatusConditionTrue(s.project.Status.Conditions, v1alpha1.ConditionReady)
	counts := s.counts()
	return check{
		"CBRProject: Ready, and its counts",
		fmt.Sprintf("%t, %d imported, %d pending, %d running, %d failed", ready, counts.Imported, counts.Pending, counts.Running, counts.Failed),
		ready && counts == importedCounts(want) && len(s.project.Status.Journal.Submissions) == 0,
	}
}

// importedCounts are the counts of a project all of whose backups are imported.
func importedCounts(count int) v1alpha1.BackupCounts {
	return v1alpha1.BackupCounts{Total: int32(count), Imported: int32(count)}
}
