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
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/explain"
	"backupsync.dev/operator/internal/cli/overview"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// Several queries are under way at once when the first is told that the CRD is older.
func TestStatusWithAnOlderCRD(t *testing.T) {
	here := namespace(t)
	for _, name := range []string{"one", "two", "three"} {
		project(t, here, name, usable(v1alpha1.BackupCounts{}))
	}
	changeFields(t, func(fields []apiextensionsv1.SelectableField) []apiextensionsv1.SelectableField {
		return slices.DeleteFunc(fields, func(field apiextensionsv1.SelectableField) bool { return field.JSONPath == ".status.outcome" })
	})
	t.Cleanup(func() {
		changeFields(t, func(fields []apiextensionsv1.SelectableField) []apiextensionsv1.SelectableField {
			return append(fields, apiextensionsv1.SelectableField{JSONPath: ".status.outcome"})
		})
	})
	for range 10 {
		if got := runCommand(t, overview.NewCommand, "status", "-n", here); got.status != 0 {
			t.Fatalf("%+v", got)
		}
	}
}

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

// A pipeline that waits in a namespace that does not exist, for a slip, has not seen that all is done.
func TestNothingIsDoneWhereThereIsNothing(t *testing.T) {
	got := runCommand(t, overview.NewCommand, "status", "-n", "no-such-namespace", "--until-done", "--fail-on=failed,stalled")
	if got.status == 0 {
		t.Errorf("it exits with 0: %+v", got)
	}
}

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

// Nothing of what is suspended is sent, in no minute.
func TestWhatIsSuspendedIsNotLeftForAMinute(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{Pending: 1}))
	made := testbed.Manifest(here, "default", 1, 1)
	made.Spec.Suspend = true
	backup(t, made, func(made *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return backupsync.Present(made, backupsync.Circumstances{}, now())
	})
	if got := runCommand(t, overview.NewCommand, "status", "-n", here); strings.Contains(got.out, "fit into a minute") {
		t.Errorf("%s", got.out)
	}
}
