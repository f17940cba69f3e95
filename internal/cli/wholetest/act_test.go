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

package wholetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/listing"
)

// report is what retry, suspend and resume print for programs.
type report struct {
	RequestedAt string
	Items       []struct{ Name, Result, Through string }
}

// The results of an object.
const (
	done     = "Done"
	nothing  = "NothingToDo"
	fixFirst = "FixFirst"
)

// results are those of a report, by name.
func (r *report) results() map[string]string {
	found := map[string]string{}
	for _, each := range r.Items {
		found[each.Name] = strings.TrimSpace(each.Result + " " + each.Through)
	}
	return found
}

// stored are all objects that there are, by namespace and name.
type stored struct {
	backups  map[types.NamespacedName]*v1alpha1.BackupSync
	projects map[types.NamespacedName]*v1alpha1.CBRProject
}

// read reads all.
func (w *world) read(t *testing.T) stored {
	t.Helper()
	found := stored{map[types.NamespacedName]*v1alpha1.BackupSync{}, map[types.NamespacedName]*v1alpha1.CBRProject{}}
	var backups v1alpha1.BackupSyncList
	must(t, cluster.Client.List(t.Context(), &backups))
	for i := range backups.Items {
		found.backups[client.ObjectKeyFromObject(&backups.Items[i])] = &backups.Items[i]
	}
	var projects v1alpha1.CBRProjectList
	must(t, cluster.Client.List(t.Context(), &projects))
	for i := range projects.Items {
		found.projects[client.ObjectKeyFromObject(&projects.Items[i])] = &projects.Items[i]
	}
	return found
}

// unchanged reports an error for whatever has changed since all was read.
func (w *world) unchanged(t *testing.T, what string) {
	t.Helper()
	var backups, projects metav1.PartialObjectMetadataList
	backups.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("BackupSyncList"))
	projects.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CBRProjectList"))
	must(t, cluster.Client.List(t.Context(), &backups))
	must(t, cluster.Client.List(t.Context(), &projects))
	same(t, what+": number of objects", []int{len(backups.Items), len(projects.Items)}, []int{len(w.latest.backups), len(w.latest.projects)})
	for i := range backups.Items {
		key := client.ObjectKeyFromObject(&backups.Items[i])
		if was := w.latest.backups[key]; was == nil || was.ResourceVersion != backups.Items[i].ResourceVersion {
			t.Fatalf("%s: %s has changed", what, key)
		}
	}
	for i := range projects.Items {
		key := client.ObjectKeyFromObject(&projects.Items[i])
		if was := w.latest.projects[key]; was == nil || was.ResourceVersion != projects.Items[i].ResourceVersion {
			t.Fatalf("%s: the CBRProject %s has changed", what, key)
		}
	}
}

// changes are what is to have become of objects, by namespace and name.
type changes struct {
	backups  map[types.NamespacedName]bool
	backup   func(*v1alpha1.BackupSync)
	projects map[types.NamespacedName]bool
	project  func(*v1alpha1.CBRProject)
}

// changed reports an error unless exactly that has changed since all was read.
func (w *world) changed(t *testing.T, what string, to changes) {
	t.Helper()
	before := w.latest
	w.latest = w.read(t)
	same(t, what+": number of objects", []int{len(w.latest.backups), len(w.latest.projects)}, []int{len(before.backups), len(before.projects)})
	for key, was := range before.backups {
		want := was
		if to.backups[key] {
			want = was.DeepCopy()
			to.backup(want)
		}
		compareWritten(t, what, w.latest.backups[key], was, want, to.backups[key])
	}
	for key, was := range before.projects {
		want := was
		if to.projects[key] {
			want = was.DeepCopy()
			to.project(want)
		}
		compareWritten(t, what, w.latest.projects[key], was, want, to.projects[key])
	}
}

// compareWritten compares an object with what it was, and with what it is to be.
func compareWritten(t *testing.T, what string, is, was, want client.Object, written bool) {
	t.Helper()
	if !written {
		if is.GetResourceVersion() != was.GetResourceVersion() {
			t.Fatalf("%s: %s is written: %+v", what, was.GetName(), is)
		}
		return
	}
	compared := is.DeepCopyObject().(client.Object)
	others := func(of client.Object) []metav1.ManagedFieldsEntry {
		return slices.DeleteFunc(slices.Clone(of.GetManagedFields()), func(entry metav1.ManagedFieldsEntry) bool { return entry.Manager == cli.FieldOwner })
	}
	for _, each := range []client.Object{compared, want} {
		each.SetManagedFields(others(each))
		each.SetResourceVersion("")
	}
	if is.GetResourceVersion() == was.GetResourceVersion() || !equality.Semantic.DeepEqual(compared, want) {
		t.Fatalf("%s: %s is %+v, not %+v", what, was.GetName(), is, want)
	}
}

// holds reports whether nothing of a project is sent before a person does something.
func holds(project string) bool {
	return slices.Contains([]string{"paused", "stalled", "gone"}, project)
}

// retried is what becomes of a BackupSync that is chosen to be tried again, as the help of retry says. Of an imported one that depends on
// whether those are asked for.
func (b *backup) retried(asked bool) string {
	switch {
	case b.deleting:
		return nothing
	case b.hopeless:
		return fixFirst
	case b.state == running:
		return nothing
	case b.suspended, holds(b.project()):
		return fixFirst
	case b.requested:
		return nothing
	case b.state == failed, b.state == imported && asked, b.reason == v1alpha1.ReasonRetryScheduled:
		return done
	default:
		return nothing
	}
}

// testRetry has more and more tried again.
func (w *world) testRetry(t *testing.T) {
	isFailed := in(failed)
	for _, test := range []struct {
		namespace, arguments string
		takes                func(*backup) bool
		asked                bool
	}{
		{north, "--reason=Rejected --project=files", func(each *backup) bool { return each.project() == "files" && each.reason == v1alpha1.ReasonRejected }, true},
		{north, "--reason=AlreadyImported,retryscheduled", func(each *backup) bool {
			return each.reason == v1alpha1.ReasonAlreadyImported || each.reason == v1alpha1.ReasonRetryScheduled
		}, true},
		{north, "--unavailable --project=erp", func(each *backup) bool { return each.project() == "erp" && each.lost != "" }, true},
		{north, "-l team=mail", func(each *backup) bool { return each.object.Labels["team"] == "mail" }, false},
		{south, "--all-failed --project=erp -l team=erp", func(each *backup) bool { return isFailed(each) && each.project() == "erp" && each.erp() }, false},
		{north, "--all-failed", isFailed, false},
		{south, "--all-failed", isFailed, false},
		{attic, "--all-failed", isFailed, false},
	} {
		what := "retry " + test.arguments + " -n " + test.namespace
		w.retry(t, what, test.namespace, strings.Fields(test.arguments), w.those(of(test.namespace, ""), test.takes), test.asked)
	}
	got, errOut := read[listing.List](t, w, 0, north, failed, "-A")
	w.compareList(t, "failed after retry", &got, errOut, w.those(isFailed), older, 0)
}

// retry compares a dry run, a run without a yes, and then a run, with what is true of those that are chosen.
func (w *world) retry(t *testing.T, what, namespace string, arguments []string, chosen []*backup, asked bool) {
	t.Helper()
	truth, written, atProjects := map[string]string{}, map[types.NamespacedName]bool{}, map[types.NamespacedName]bool{}
	var taken []*backup
	atProject := w.requestedAtProjects(chosen, slices.Equal(arguments, []string{"--all-failed"}))
	status := 0
	for _, each := range chosen {
		result := each.retried(asked)
		switch {
		case result == done && atProject[each.project()]:
			result += " CBRProject/" + each.project()
			atProjects[types.NamespacedName{Namespace: namespace, Name: each.project()}] = true
		case result == done:
			written[client.ObjectKeyFromObject(each.object)] = true
		case result == fixFirst:
			status = cli.ExitFound
		}
		if strings.HasPrefix(result, done) {
			taken = append(taken, each)
		}
		truth[each.object.Name] = result
	}
	tries := []string{"--dry-run=server"}
	if len(chosen) < 500 {
		tries = append(tries, "--dry-run=client")
		if got := w.run(t, namespace, append([]string{"retry"}, arguments...)...); len(taken) > 1 && got.Status != cli.ExitUsage {
			t.Errorf("%s without a yes: exit status %d: %s", what, got.Status, got.Err)
		}
	}
	for _, dryRun := range tries {
		got, _ := read[report](t, w, status, namespace, append([]string{"retry", dryRun}, arguments...)...)
		same(t, what+" "+dryRun, got.results(), truth)
	}
	w.unchanged(t, what+" without a yes, and as a dry run")

	got, _ := read[report](t, w, status, namespace, append([]string{"retry", "--yes"}, arguments...)...)
	same(t, what, got.results(), truth)
	w.changed(t, what, changes{written, func(backup *v1alpha1.BackupSync) { annotate(backup, got.RequestedAt) },
		atProjects, func(project *v1alpha1.CBRProject) { annotate(project, got.RequestedAt) }})
	for _, each := range taken {
		if written[client.ObjectKeyFromObject(each.object)] {
			each.requested = true
			if each.state == failed {
				each.state = pending
			}
		}
	}
	t.Logf("%s: %d chosen, %d written, by requests at the CBRProjects %v", what, len(chosen), len(written), slices.Sorted(maps.Keys(atProject)))
}

func annotate(object client.Object, request string) {
	annotations := maps.Clone(object.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.RequestedAtAnnotation] = request
	object.SetAnnotations(annotations)
}

// requestedAtProjects are the CBRProjects at which one request does the same as one at each of several that have failed: it would try
// those that are suspended, too.
func (w *world) requestedAtProjects(chosen []*backup, allFailed bool) map[string]bool {
	found, counts := map[string]bool{}, map[string]int{}
	if !allFailed {
		return found
	}
	for _, each := range chosen {
		if each.retried(false) == done {
			counts[each.project()]++
			found[each.project()] = counts[each.project()] > 1
		}
	}
	for _, each := range chosen {
		if each.retried(false) != done && !each.hopeless {
			delete(found, each.project())
		}
	}
	return found
}

// testSuspension suspends and resumes, and then looks whether the lists know.
func (w *world) testSuspension(t *testing.T) {
	suspends := func(each *backup) string {
		if each.deleting || each.suspended || each.state == imported && !each.requested {
			return nothing
		}
		return done
	}
	resumes := func(each *backup) string {
		switch {
		case each.deleting:
			return nothing
		case each.suspended:
			return done
		case holds(each.project()):
			return fixFirst
		default:
			return nothing
		}
	}
	everything := func(*backup) bool { return true }
	for _, test := range []struct {
		verb, namespace, arguments string
		takes                      func(*backup) bool
		becomes                    func(*backup) string
	}{
		{"suspend", north, "--project=files", func(each *backup) bool { return each.project() == "files" }, suspends},
		{"suspend", south, "-l team=mail", func(each *backup) bool { return each.object.Labels["team"] == "mail" }, suspends},
		{"suspend", attic, "--all", everything, suspends},
		{"resume", north, "-l team=erp", (*backup).erp, resumes},
		{"resume", south, "--project=erp", func(each *backup) bool { return each.project() == "erp" }, resumes},
		{"resume", attic, "--all", everything, resumes},
	} {
		w.suspend(t, test.verb, test.namespace, strings.Fields(test.arguments), w.those(of(test.namespace, ""), test.takes), test.becomes)
	}
	for _, verb := range []string{"suspend", "resume"} {
		w.suspendProject(t, verb, north, "erp")
		w.suspendProject(t, verb, south, "erp")
	}
	for _, state := range []string{pending, running, failed} {
		got, errOut := read[listing.List](t, w, 0, north, state, "-A")
		w.compareList(t, state+" in the end", &got, errOut, w.those(in(state)), older, 0)
	}
}

func (w *world) suspend(t *testing.T, verb, namespace string, arguments []string, chosen []*backup, becomes func(*backup) string) {
	t.Helper()
	what := fmt.Sprintf("%s %v -n %s", verb, arguments, namespace)
	truth, written, status := map[string]string{}, map[types.NamespacedName]bool{}, 0
	for _, each := range chosen {
		truth[each.object.Name] = becomes(each)
		switch becomes(each) {
		case done:
			written[client.ObjectKeyFromObject(each.object)] = true
		case fixFirst:
			status = cli.ExitFound
		}
	}
	tried, _ := read[report](t, w, status, namespace, append([]string{verb, "--dry-run=server"}, arguments...)...)
	same(t, what+" --dry-run=server", tried.results(), truth)
	w.unchanged(t, what+" as a dry run")
	got, _ := read[report](t, w, status, namespace, append([]string{verb, "--yes"}, arguments...)...)
	same(t, what, got.results(), truth)
	w.changed(t, what, changes{backups: written, backup: func(backup *v1alpha1.BackupSync) {
		backup.Spec.Suspend = verb == "suspend"
		backup.Generation++
	}})
	for _, each := range chosen {
		if written[client.ObjectKeyFromObject(each.object)] {
			each.suspended = verb == "suspend"
		}
	}
	t.Logf("%s: %d chosen, %d written", what, len(chosen), len(written))
}

// suspendProject suspends a CBRProject, or resumes it: by one write, and none at its BackupSyncs.
func (w *world) suspendProject(t *testing.T, verb, namespace, name string) {
	t.Helper()
	if got := w.run(t, namespace, verb, "project", name); got.Status != 0 {
		t.Errorf("%s project %s: exit status %d: %s", verb, name, got.Status, got.Err)
	}
	w.changed(t, verb+" project", changes{projects: map[types.NamespacedName]bool{{Namespace: namespace, Name: name}: true}, project: func(project *v1alpha1.CBRProject) {
		project.Spec.Suspend = verb == "suspend"
		project.Generation++
	}})
}
