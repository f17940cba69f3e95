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
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/explain"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// Characters that cannot be seen turn lines around: the CRD takes them, and no command shows them as they are.
func TestPathsCannotTurnLinesAround(t *testing.T) {
	here := namespace(t)
	made := testbed.Manifest(here, "default", 1, 1)
	made.Spec.ImagePath, made.Spec.ResourceID, made.Spec.BucketName = "a/\u202eb", "r\u202ed", "b\u2066c"
	of := backup(t, made, nil)
	if got := runCommand(t, explain.NewCommand, "explain", of.Name, "-n", here); strings.ContainsAny(got.out, "\u202e\u2066") {
		t.Errorf("%q", got.out)
	}
}

// An audit has found that CBR does not have it any more: explain does not say that it is there, and needs nobody.
func TestExplainTellsWhatAnAuditHasFound(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{Imported: 1}))
	of := backup(t, testbed.Manifest(here, "default", 1, 1), func(made *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return backupsync.Audited(imported(made), backupsync.BackupMissing, time.Now(), now())
	})
	got := runCommand(t, explain.NewCommand, "explain", of.Name, "-n", here)
	if strings.Contains(got.out, "Nothing: the backup is in CBR") || !strings.Contains(got.out, "any more") {
		t.Errorf("%s", got.out)
	}
}
