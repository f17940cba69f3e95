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

package overview

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/liveness"
	"backupsync.dev/operator/internal/cli/text"
)

// beyond is a namespace of which more is open, and has failed, than was read; of one project nothing was read.
func beyond() *facts {
	single := &tallies{}
	some(single, "default", 40, backupsync.Pending, v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, false)
	some(single, "default", 10, backupsync.Running, v1alpha1.ReasonOperationRunning, "CBR accepted the backup and is importing it.", true)
	some(single, "gone", 50, backupsync.Pending, v1alpha1.ReasonProjectNotFound, "The CBRProject gone does not exist in this namespace.", false)
	for _, query := range []backups.Query{{Ended: backups.Open}, {Ended: backups.Failed}, {Ended: backups.NotImported, NotProjects: []string{"default", "unread"}}} {
		query.Namespace, query.Limit = "backups", 50
		single.truncated(query)
	}
	counts := &v1alpha1.BackupCounts{Total: 400, Pending: 100, Running: 100, Imported: 100, Failed: 100, Drifted: ptr.To(int32(5))}
	return &facts{now: noon, single: single, operator: liveness.Operator{State: liveness.Alive, Message: "manager-0 renewed its lease 2s ago."}, projects: []v1alpha1.CBRProject{
		aProject("default", metav1.ConditionTrue, v1alpha1.ReasonUsable, "Well.", counts), aProject("unread", metav1.ConditionTrue, v1alpha1.ReasonUsable, "Well.", counts)}}
}

// What is found among the first is not said of all.
func TestWhatWasNotReadIsSaid(t *testing.T) {
	written := strings.Join(render(text.Terminal{Width: 300}, compute(beyond()), false), "\n")
	_, unread, _ := strings.Cut(written, "backups/unread")
	for _, says := range []string{
		"queued-039 was created 40m ago: Queued (of the first 50)",
		"15 manifests edited after CBR had accepted their backups: operationrunning-009, operationrunning-008, operationrunning-007, … (of the open ones, the first 50 were looked at)",
		"At least 50 BackupSyncs not in CBR name it (",
	} {
		if !strings.Contains(written, says) {
			t.Errorf("%q is not said", says)
		}
	}
	for _, says := range []string{"Open     none of them is among those that were read; --limit reads more", "lists them; none is among those that were read, --limit reads more",
		"5 manifests edited after CBR had accepted their backups (of the open ones, the first 0 were looked at)"} {
		if !strings.Contains(unread, says) {
			t.Errorf("%q is not said of what was not read", says)
		}
	}
	if orphans := compute(beyond()).Orphans; len(orphans) != 1 || orphans[0].Count != 50 || !orphans[0].Truncated {
		t.Errorf("orphans: %+v", orphans)
	}
	if orphans := compute(busy()).Orphans; len(orphans) != 1 || orphans[0].Truncated {
		t.Errorf("orphans that were all read: %+v", orphans)
	}
}
