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
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/overview"
	"backupsync.dev/operator/internal/e2e/testbed"
)

type becoming = func(*v1alpha1.BackupSync) *v1alpha1.BackupSync

func running(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Submitted(backup, "task-"+backup.Name, backupsync.Hash(&backup.Spec), now(), now())
}

func imported(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Finished(running(backup), backupsync.Ending{Status: cbr.TaskSuccess}, 0, now())
}

func already(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Stored(backup, "", "", now())
}

func rejected(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Rejected(backup, backupsync.Hash(&backup.Spec), "BackupService.0401: bucket not found", now())
}

func failing(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Finished(running(backup), backupsync.Ending{Status: cbr.TaskFailed, Said: "CBR's import task failed (BackupService.9900: no space)"}, 0, now())
}

func retrying(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Finished(running(backup), backupsync.Ending{Status: cbr.TaskFailed, Said: "CBR's import task failed (BackupService.9900: no space)"}, 3, now())
}

func duplicate(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Waiting(backup, backupsync.Circumstances{Owner: "another"}, now())
}

func unknown(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Waiting(backup, backupsync.Circumstances{InCall: true}, now())
}

// all are the states, by the names of their BackupSyncs.
var all = map[string]becoming{
	"queued": nil, "running": running, "imported": imported, "already": already, "rejected": rejected, "failing": failing,
	"retrying": retrying, "duplicate": duplicate, "unknown": unknown,
}

// oneOfEach makes a BackupSync in each state.
func oneOfEach(t *testing.T, namespace string) {
	t.Helper()
	for name, becomes := range all {
		made := testbed.Manifest(namespace, "default", int(number.Add(1)), 7)
		made.Name = name
		backup(t, made, becomes)
	}
}

// names returns what a query finds.
func names(t *testing.T, reader *backups.Reader, query backups.Query) []string {
	t.Helper()
	found, more, err := reader.All(t.Context(), query)
	must(t, err)
	if more {
		t.Error("there was more")
	}
	var read []string
	for _, each := range found {
		read = append(read, each.Name)
	}
	slices.Sort(read)
	return read
}

var byEnded = map[backups.Ended][]string{
	backups.Open:        {"queued", "retrying", "running", "unknown"},
	backups.Failed:      {"duplicate", "failing", "rejected"},
	backups.NotImported: {"duplicate", "failing", "queued", "rejected", "retrying", "running", "unknown"},
	backups.Any:         {"already", "duplicate", "failing", "imported", "queued", "rejected", "retrying", "running", "unknown"},
}

func TestTheServerSelectsByOutcome(t *testing.T) {
	here := namespace(t)
	oneOfEach(t, here)
	read := reader(t)
	for ended, want := range byEnded {
		if got := names(t, read, backups.Query{Namespace: here, Project: "default", Ended: ended}); !slices.Equal(got, want) {
			t.Errorf("ended %d: got %v, want %v", ended, got, want)
		}
	}
	if !read.SelectsOutcome() {
		t.Error("the server was said not to select by outcome")
	}
	if got := names(t, read, backups.Query{Namespace: here, NotProjects: []string{"default"}}); len(got) > 0 {
		t.Errorf("of other projects: %v", got)
	}
	if got := names(t, read, backups.Query{NotNamespaces: []string{here}, Project: "default"}); slices.Contains(got, "retrying") {
		t.Errorf("of other namespaces: %v", got)
	}
}

func TestAListEndsAtItsLimit(t *testing.T) {
	here := namespace(t)
	oneOfEach(t, here)
	for limit, want := range map[int]int{1: 1, 3: 3, 9: 9} {
		found, more, err := reader(t).All(t.Context(), backups.Query{Namespace: here, Limit: limit})
		must(t, err)
		if len(found) != want || more != (limit < 9) {
			t.Errorf("limit %d: %d, more is %t", limit, len(found), more)
		}
	}
}

// TestAnOlderCRDSelectsNothingByOutcome takes the selectable field away, as it was before there was one, and puts it back.
func TestAnOlderCRDSelectsNothingByOutcome(t *testing.T) {
	here := namespace(t)
	oneOfEach(t, here)
	olderCRD(t)
	read := reader(t)
	for ended, want := range byEnded {
		if got := names(t, read, backups.Query{Namespace: here, Project: "default", Ended: ended}); !slices.Equal(got, want) {
			t.Errorf("ended %d: got %v, want %v", ended, got, want)
		}
	}
	if read.SelectsOutcome() {
		t.Error("the server was not said to be older")
	}
	found, more, err := read.All(t.Context(), backups.Query{Namespace: here, Ended: backups.Open, Limit: 2})
	if err != nil || len(found) != 2 || !more {
		t.Errorf("two of the open ones: %v, more is %t, %v", found, more, err)
	}
}

// Several queries are under way at once when the first is told that the CRD is older.
func TestStatusWithAnOlderCRD(t *testing.T) {
	here := namespace(t)
	for _, name := range []string{"one", "two", "three"} {
		project(t, here, name, usable(v1alpha1.BackupCounts{}))
	}
	olderCRD(t)
	for range 10 {
		if got := runCommand(t, overview.NewCommand, "status", "-n", here); got.status != 0 {
			t.Fatalf("%+v", got)
		}
	}
}

// olderCRD has the cluster serve BackupSyncs, for the time of a test, by a CRD from before outcomes could be selected.
func olderCRD(t *testing.T) {
	t.Helper()
	changeFields(t, func(fields []apiextensionsv1.SelectableField) []apiextensionsv1.SelectableField {
		return slices.DeleteFunc(fields, func(field apiextensionsv1.SelectableField) bool { return field.JSONPath == ".status.outcome" })
	})
	t.Cleanup(func() {
		changeFields(t, func(fields []apiextensionsv1.SelectableField) []apiextensionsv1.SelectableField {
			return append(fields, apiextensionsv1.SelectableField{JSONPath: ".status.outcome"})
		})
	})
}

// changeFields changes the selectable fields of BackupSyncs, and waits until the server serves them.
func changeFields(t *testing.T, change func([]apiextensionsv1.SelectableField) []apiextensionsv1.SelectableField) {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, apiextensionsv1.AddToScheme(scheme))
	cluster, err := client.New(bed.Config, client.Options{Scheme: scheme})
	must(t, err)
	crd := &apiextensionsv1.CustomResourceDefinition{}
	ctx := context.WithoutCancel(t.Context()) // that of a test has ended when it cleans up
	must(t, cluster.Get(ctx, client.ObjectKey{Name: "backupsyncs.cbr.backupsync.dev"}, crd))
	version := &crd.Spec.Versions[0]
	before := len(version.SelectableFields)
	version.SelectableFields = change(version.SelectableFields)
	must(t, cluster.Update(ctx, crd))
	wanted := len(version.SelectableFields) > before
	must(t, wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		list := &v1alpha1.BackupSyncList{}
		err := bed.Client.List(ctx, list, client.InNamespace("default"), client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("status.outcome", "x")})
		if err != nil && !strings.Contains(err.Error(), "status.outcome") {
			return false, err
		}
		return (err == nil) == wanted, nil
	}))
}
