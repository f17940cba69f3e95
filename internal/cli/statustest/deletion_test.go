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
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/explain"
	"backupsync.dev/operator/internal/cli/overview"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// Nothing of a CBRProject is sent that is being deleted, and nothing is Ready of it, whatever its conditions said before.
func TestACBRProjectThatIsBeingDeletedIsToldAsSuch(t *testing.T) {
	here := namespace(t)
	made := project(t, here, "default", usable(v1alpha1.BackupCounts{Pending: 1}))
	made.Finalizers = []string{"cbr.backupsync.dev/calls"}
	must(t, bed.Client.Update(t.Context(), made))
	of := backup(t, testbed.Manifest(here, "default", 1, 1), nil)
	must(t, bed.Client.Delete(t.Context(), made))
	t.Cleanup(func() {
		made.Finalizers = nil
		_ = bed.Client.Patch(context.WithoutCancel(t.Context()), made, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))
	})
	if got := runCommand(t, overview.NewCommand, "status", "-n", here); !strings.Contains(got.out, "delet") {
		t.Errorf("status tells nothing of the deletion:\n%s", got.out)
	}
	if got := runCommand(t, explain.NewCommand, "explain", of.Name, "-n", here); !strings.Contains(got.out, "delet") {
		t.Errorf("explain tells nothing of the deletion:\n%s", got.out)
	}
}

// What is being deleted is not sent any more, whatever holds it.
func TestABackupSyncThatIsBeingDeletedIsToldAsSuch(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{}))
	made := testbed.Manifest(here, "default", 1, 1)
	made.Finalizers = []string{"example.com/held"}
	of := backup(t, made, nil)
	must(t, bed.Client.Delete(t.Context(), of))
	t.Cleanup(func() {
		must(t, bed.Client.Patch(context.WithoutCancel(t.Context()), of, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
	})
	if got := runCommand(t, explain.NewCommand, "explain", of.Name, "-n", here); !strings.Contains(got.out, "delet") {
		t.Errorf("explain tells nothing of the deletion:\n%s", got.out)
	}
}
