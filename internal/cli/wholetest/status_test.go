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
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/overview"
)

// defaultLimit is how many status reads singly if it is told nothing else: see its help.
const defaultLimit = 5000

// sight is what status reads singly of a CBRProject.
type sight struct {
	backups             []*backup
	openCut, failedCut  bool
	withImported, inOne bool
}

// sightOf returns what a query with a limit sees: the API server has the first by name. In a namespace with more than 8 CBRProjects the limit is for
// all of them.
func (w *world) sightOf(namespace, project string, limit int, all bool) sight {
	seen := sight{withImported: all}
	among := of(namespace, project)
	if seen.inOne = namespace == south; seen.inOne {
		among = of(namespace, "")
	}
	opened := w.those(among, func(each *backup) bool { return each.object.Status.Outcome == "" })
	ended := w.those(among, func(each *backup) bool { return each.object.Status.Outcome != "" && (each.state != imported || all) })
	for _, part := range []struct {
		found []*backup
		cut   *bool
	}{{opened, &seen.openCut}, {ended, &seen.failedCut}} {
		slices.SortFunc(part.found, byName)
		if !all && limit > 0 && len(part.found) > limit {
			*part.cut, part.found = true, part.found[:limit]
		}
		seen.backups = append(seen.backups, part.found...)
	}
	seen.backups = slices.DeleteFunc(seen.backups, func(each *backup) bool { return each.project() != project })
	slices.SortFunc(seen.backups, older)
	return seen
}

func (s *sight) count(state string) int {
	return len(slices.DeleteFunc(slices.Clone(s.backups), func(each *backup) bool { return each.state != state }))
}

// reasons are how many have each reason, and the three oldest of them.
func (s *sight) reasons() map[string][]*backup {
	found := map[string][]*backup{}
	for _, each := range s.backups {
		if each.state != imported {
			key := each.state + " " + cmp.Or(each.reason, "Unknown")
			found[key] = append(found[key], each)
		}
	}
	return found
}

func (s *sight) drifted() []*backup {
	return slices.DeleteFunc(slices.Clone(s.backups), func(each *backup) bool { return !each.drifted })
}

// oldest is the oldest that is pending, and not suspended.
func (s *sight) oldest() *backup {
	for _, each := range s.backups {
		if each.state == pending && !each.heldBack() {
			return each
		}
	}
	return nil
}

// heldBack reports whether a backup is not sent, whatever its CBRProject does.
func (b *backup) heldBack() bool { return b.suspended || b.deleting }

// heldBack is how many of those that are pending are not sent.
func (s *sight) heldBack() int {
	count := 0
	for _, each := range s.backups {
		if each.state == pending && each.heldBack() {
			count++
		}
	}
	return count
}

// told is what status tells of what was read, in a form that can be compared.
type told struct {
	Name          string
	Counts        string
	Read          overview.Read
	Reasons       map[string]string
	Oldest        string
	Drifted       int
	DriftComplete bool
	DriftedNames  []string
	Stale         bool
	Ready, Reason string
	Stalled       bool
	Suspended     bool
	Audit         string
	Calls         string
	Minutes       int
}

func toldOf(of *overview.Project) told {
	found := told{Name: of.Namespace + "/" + of.Name, Counts: "0", Read: of.Read, Reasons: map[string]string{},
		Drifted: of.Drifted.Count, DriftComplete: of.Drifted.Complete, DriftedNames: append([]string{}, of.Drifted.Names...), Stale: len(of.Stale) > 0, Ready: string(of.Ready), Reason: of.Reason,
		Stalled: of.Stalled, Suspended: of.Suspended, Audit: auditOf(of.Audit), Minutes: ptr.Deref(of.Pace.LeastMinutes, -1)}
	if of.Counts != nil {
		found.Counts = countsOf(of.Counts)
	}
	for _, each := range of.Reasons {
		var examples []string
		for _, example := range each.Examples {
			examples = append(examples, example.Name+" "+example.Message)
		}
		found.Reasons[each.State+" "+each.Reason] = fmt.Sprint(each.Count, examples)
	}
	if of.OldestPending != nil {
		found.Oldest = of.OldestPending.Name
	}
	if of.UnknownCalls != nil && of.CallsUnderWay != nil {
		found.Calls = fmt.Sprint(of.UnknownCalls.Calls, of.UnknownCalls.Backups, of.CallsUnderWay.Calls, of.CallsUnderWay.Backups, of.Pace.CallsInLastMinute)
	}
	return found
}

func countsOf(of *v1alpha1.BackupCounts) string {
	return fmt.Sprint(of.Total, of.Pending, of.Running, of.Imported, of.Failed, ptr.Deref(of.Drifted, 0))
}

func auditOf(of *v1alpha1.AuditSummary) string {
	if of == nil {
		return ""
	}
	return fmt.Sprint(of.Checked, of.Missing, of.Unusable, of.FinishedTime.Unix())
}

// truthOf is what is to be told of a CBRProject.
func (w *world) truthOf(of *v1alpha1.CBRProject, seen sight) told {
	truth := told{Name: of.Namespace + "/" + of.Name, Counts: "0", Reasons: map[string]string{}, Stale: of.Status.Backups == nil, Ready: "Unknown", Reason: v1alpha1.ReasonPending,
		Suspended: of.Spec.Suspend, Audit: auditOf(of.Status.Audit), Minutes: -1,
		Read: overview.Read{Pending: seen.count(pending), Running: seen.count(running), Failed: seen.count(failed), Imported: seen.count(imported),
			OpenTruncated: seen.openCut, FailedTruncated: seen.failedCut, All: seen.withImported}}
	for _, condition := range of.Status.Conditions {
		switch condition.Type {
		case v1alpha1.ConditionReady:
			truth.Ready, truth.Reason = string(condition.Status), condition.Reason
		case v1alpha1.ConditionStalled:
			truth.Stalled = true
		}
	}
	for key, those := range seen.reasons() {
		var examples []string
		for _, each := range those[:min(len(those), 3)] {
			examples = append(examples, each.object.Name+" "+each.message())
		}
		truth.Reasons[key] = fmt.Sprint(len(those), examples)
	}
	if oldest := seen.oldest(); oldest != nil {
		truth.Oldest = oldest.object.Name
	}
	drifted := seen.drifted()
	truth.Drifted, truth.DriftComplete, truth.DriftedNames = len(drifted), seen.withImported, names(drifted[:min(len(drifted), 3)])
	if counts := of.Status.Backups; counts != nil {
		truth.Counts = countsOf(counts)
		if !seen.withImported {
			truth.Drifted, truth.DriftComplete = truth.Drifted+int(ptr.Deref(counts.Drifted, 0)), true
		}
		if truth.Ready == "True" {
			truth.Minutes = (max(int(counts.Pending)-seen.heldBack(), 1)+49)/50 - 1
			truth.Minutes /= 10
		}
	}
	if len(of.Status.Journal.Submissions) > 0 {
		truth.Calls = "1 50 1 20 7"
	}
	return truth
}

// testStatus reads all, and compares all.
func (w *world) testStatus(t *testing.T) {
	for _, arguments := range []string{"-A --limit=0", "-A --all", "-A --limit=6000"} {
		got, _ := read[overview.Overview](t, w, 0, north, append([]string{"status"}, strings.Fields(arguments)...)...)
		w.compare(t, "status "+arguments, &got, w.projects, 0, strings.Contains(arguments, "--all"))
		w.compareOrphans(t, &got, "", 0)
		same(t, "the operator", got.Operator.State, "Alive")
	}
	for _, namespace := range []string{north, south, attic} {
		got, errOut := read[overview.Overview](t, w, 0, namespace, "status", "--limit=0")
		w.compare(t, "status of "+namespace, &got, w.projectsOf(namespace), 0, false)
		w.compareOrphans(t, &got, namespace, 0)
		if none := strings.Contains(errOut, "No CBRProjects in namespace attic."); none != (namespace == attic) && namespace != attic {
			t.Errorf("of %s: %s", namespace, errOut)
		}
	}
	for _, each := range w.projects {
		got, _ := read[overview.Overview](t, w, 0, each.Namespace, "status", each.Name, "--limit=0")
		w.compare(t, "status of one", &got, []*v1alpha1.CBRProject{each}, 0, false)
		same(t, "orphans", len(got.Orphans), 0)
	}
}

func (w *world) projectsOf(namespace string) []*v1alpha1.CBRProject {
	return slices.DeleteFunc(slices.Clone(w.projects), func(each *v1alpha1.CBRProject) bool { return each.Namespace != namespace })
}

func (w *world) compare(t *testing.T, what string, got *overview.Overview, projects []*v1alpha1.CBRProject, limit int, all bool) {
	t.Helper()
	if len(got.Projects) != len(projects) || got.Done {
		t.Fatalf("%s: %d projects, not %d; done is %t", what, len(got.Projects), len(projects), got.Done)
	}
	for i, each := range projects {
		seen := w.sightOf(each.Namespace, each.Name, limit, all)
		if len(projects) == 1 { // that alone is read
			seen = w.sightOfOne(each, limit)
		}
		same(t, what, toldOf(&got.Projects[i]), w.truthOf(each, seen))
	}
}

// sightOfOne is what is seen of a CBRProject that is named.
func (w *world) sightOfOne(each *v1alpha1.CBRProject, limit int) sight {
	alone := &world{backups: w.those(of(each.Namespace, each.Name))}
	return alone.sightOf(each.Namespace, each.Name, limit, false)
}

func (w *world) compareOrphans(t *testing.T, got *overview.Overview, namespace string, limit int) {
	t.Helper()
	found := map[string]string{}
	for _, each := range got.Orphans {
		found[each.Namespace+"/"+each.Project] = fmt.Sprint(each.Count, each.Names, each.Truncated)
	}
	truth := map[string]string{}
	for _, each := range []string{north, south, attic} {
		if namespace == "" || namespace == each {
			lost, truncated := w.orphansSeen(each, limit)
			if len(lost) > 0 {
				truth[each+"/gone"] = fmt.Sprint(len(lost), names(lost[:min(3, len(lost))]), truncated)
			}
		}
	}
	same(t, "orphans", found, truth)
}

// orphansSeen are those that are not in CBR of the CBRProject that does not exist, as far as they are read: in south with all others.
func (w *world) orphansSeen(namespace string, limit int) (seen []*backup, truncated bool) {
	isLost := func(each *backup) bool { return each.state != imported }
	if namespace == south {
		all := w.sightOf(south, "gone", limit, false)
		return slices.DeleteFunc(all.backups, func(each *backup) bool { return !isLost(each) }), all.openCut || all.failedCut
	}
	seen = w.those(of(namespace, "gone"), isLost)
	slices.SortFunc(seen, byName)
	if limit > 0 && len(seen) > limit {
		seen, truncated = seen[:limit], true
	}
	slices.SortFunc(seen, older)
	return seen, truncated
}

// testStatusBeyondTheLimit has more than is read singly: what was not read is said to be so.
func (w *world) testStatusBeyondTheLimit(t *testing.T) {
	whole := w.sightOf(north, "erp", 0, false)
	first := w.sightOf(north, "erp", defaultLimit, false)
	if !first.openCut || whole.oldest() == first.oldest() {
		t.Fatal("the oldest is among the first: this shows little")
	}
	for limit, arguments := range map[int]string{defaultLimit: "-A", 300: "-A --limit=300", 1: "-A --limit=1"} {
		got, _ := read[overview.Overview](t, w, 0, north, append([]string{"status"}, strings.Fields(arguments)...)...)
		w.compare(t, "status "+arguments, &got, w.projects, limit, false)
		w.compareOrphans(t, &got, "", limit)
	}
	got, _ := read[overview.Overview](t, w, 0, north, "status", "erp")
	w.compare(t, "status erp", &got, []*v1alpha1.CBRProject{w.projectsOf(north)[0]}, defaultLimit, false)
}

// testFailOn has each finding found, with its number.
func (w *world) testFailOn(t *testing.T) {
	exists := func(each *backup) bool { return each.project() != "gone" }
	lost := w.count(of("", "gone"), func(each *backup) bool { return each.state != imported })
	drifted := w.count(exists, func(each *backup) bool { return each.drifted && (each.state == running || each.project() != "unseen") })
	unknown := w.count(exists, func(each *backup) bool { return each.reason == v1alpha1.ReasonOutcomeUnknown })
	for arguments, says := range map[string]string{
		"--fail-on=failed,pending,running,stalled,stale": fmt.Sprintf("%s failed BackupSyncs, %s pending BackupSyncs, %s running BackupSyncs, 1 stalled CBRProject, 1 CBRProject whose status may be stale",
			grouped(int(w.count(exists, in(failed)))), grouped(int(w.count(exists, in(pending)))), grouped(int(w.count(exists, in(running))))), // also of what is not read
		"--limit=0 --fail-on=missing,drifted,unknown": fmt.Sprintf("%d BackupSyncs whose CBRProject does not exist, %d drifted BackupSyncs, %d BackupSyncs whose outcome is not known", lost, drifted, unknown),
	} {
		if got := w.run(t, north, append([]string{"status", "-A"}, strings.Fields(arguments)...)...); got.Status != cli.ExitFound || got.Err != "Error: found what --fail-on names: "+says+"\n" {
			t.Errorf("%s: exit status %d: %s, and true is %s", arguments, got.Status, got.Err, says)
		}
	}
	if got := w.run(t, north, "status", "-A", "--fail-on=silent"); got.Status != 0 {
		t.Errorf("silent: exit status %d: %s", got.Status, got.Err)
	}
	if got := w.run(t, north, "status", "erp", "--fail-on=stalled,stale,missing"); got.Status != 0 {
		t.Errorf("of one: exit status %d: %s", got.Status, got.Err)
	}
}
