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

package listing

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/golden"
	"backupsync.dev/operator/internal/cli/text"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// three are BackupSyncs of a state.
func three(state backupsync.State, reasons ...string) []backups.Backup {
	var made []backups.Backup
	for i, reason := range reasons {
		made = append(made, backups.Backup{
			Namespace: "backups", Name: fmt.Sprintf("erp-%02d", i), Project: "default", State: state, Reason: reason, Attempts: int32(i),
			BackupID: fmt.Sprintf("1f9e6b47-%d", i), Resource: "机器一", Created: noon.Add(time.Duration(i-4) * time.Hour),
			Message: "CBR rejected this backup (BackupService.0401: the bucket was not found). Correct the manifest: an edit sends it again.",
		})
	}
	return made
}

func TestTable(t *testing.T) {
	running := three(backupsync.Running, "OperationRunning", "OperationOverdue")
	running[0].Operation, running[0].Submitted = "154f0a9d-ba53-4e91-a3e2-a918710a9e0d", noon.Add(-90*time.Second)
	pending := three(backupsync.Pending, "Queued", "RetryScheduled", "RetryScheduled")
	pending[1].NextAttempt, pending[2].NextAttempt = noon.Add(5*time.Minute), noon.Add(-time.Second)
	failed := three(backupsync.Failed, "Rejected", "Duplicate")
	failed[0].Finished = noon.Add(-time.Hour)
	ids := three(backupsync.Failed, "Rejected", "Rejected", "Duplicate")
	for i := range ids {
		ids[i].Name = fmt.Sprintf("1f9e6b47-7655-4a19-b563-21b4ef02302%d", i)
	}
	ids[2].Message = "Another BackupSync declares the same backup."
	for name, test := range map[string]struct {
		layout
		of []backups.Backup
	}{
		"failed-ids-80.txt": {layout{state: backupsync.Failed, columns: 80}, ids},
		"failed-80.txt":     {layout{state: backupsync.Failed, columns: 80}, failed},
		"failed-120.txt":    {layout{state: backupsync.Failed, columns: 120}, failed},
		"failed-pipe.txt":   {layout{state: backupsync.Failed}, failed},
		"failed-wide.txt":   {layout{state: backupsync.Failed, wide: true, spread: true}, failed},
		"running-120.txt":   {layout{state: backupsync.Running, columns: 120}, running},
		"pending-80.txt":    {layout{state: backupsync.Pending, columns: 80, headless: true}, pending},
	} {
		t.Run(name, func(t *testing.T) {
			test.now = noon
			chosen := &selection{state: test.state, order: byAge}
			lines := table(chosen.listOf(test.of), test.layout)
			golden.Compare(t, name, lines)
			for _, line := range lines {
				if test.columns > 0 && text.Width(line) > test.columns {
					t.Errorf("too long: %q", line)
				}
			}
		})
	}
}

func TestOrderAndLimit(t *testing.T) {
	for order, want := range map[string]string{byAge: "erp-00 erp-01 erp-02", byName: "erp-00 erp-01 erp-02", byReason: "erp-01 erp-00 erp-02"} {
		found := three(backupsync.Failed, "Rejected", "Duplicate", "Rejected")
		slices.Reverse(found)
		list := (&selection{order: order}).listOf(found)
		var names []string
		for _, each := range list.Items {
			names = append(names, each.Name)
		}
		if got := strings.Join(names, " "); got != want || list.More != 0 {
			t.Errorf("by %s: %s", order, got)
		}
	}
	list := (&selection{order: byAge, limit: 2}).listOf(three(backupsync.Failed, "a", "b", "c"))
	if len(list.Items) != 2 || list.More != 1 || list.Items[0].Name != "erp-00" {
		t.Errorf("two of three: %+v", list)
	}
}

func TestTakes(t *testing.T) {
	chosen := selection{state: backupsync.Failed, reasons: []string{"rejected"}}
	for _, test := range []struct {
		of   backups.Backup
		want bool
	}{
		{backups.Backup{State: backupsync.Failed, Reason: "Rejected"}, true},
		{backups.Backup{State: backupsync.Failed, Reason: "Duplicate"}, false},
		{backups.Backup{State: backupsync.Pending, Reason: "Rejected"}, false},
	} {
		if got := chosen.takes(&test.of); got != test.want {
			t.Errorf("%+v: %t", test.of, got)
		}
	}
}

// What is being deleted is told as such, in the column and below the names.
func TestADeletionIsTold(t *testing.T) {
	deleted := three(backupsync.Pending, "Queued")
	deleted[0].Deleted = noon.Add(-time.Minute)
	list := (&selection{order: byAge}).listOf(deleted)
	for _, columns := range []int{0, 60, 200} {
		if got := strings.Join(table(list, layout{state: backupsync.Pending, columns: columns}), "\n"); !strings.Contains(got, "It is being deleted, and not sent any more.") {
			t.Errorf("in %d columns:\n%s", columns, got)
		}
	}
}

func TestWhatIsNotUnderstood(t *testing.T) {
	for _, arguments := range []string{"--output=table", "--sort-by=size", "--reason=Sad", "--limit=-1", "default -A", "a b", "-l a=b=c", "--colour",
		"--selector=", "--reason=", "-o name --selector="} {
		var errOut bytes.Buffer
		f := cli.NewFactory("test", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &bytes.Buffer{}, ErrOut: &errOut})
		root := cli.NewCommand(f, NewFailedCommand(f))
		root.SetArgs(append([]string{"failed"}, strings.Fields(arguments)...))
		if status := cli.Run(f, root); status != cli.ExitUsage || errOut.Len() == 0 {
			t.Errorf("%s: status %d, %q", arguments, status, errOut.String())
		}
	}
}
