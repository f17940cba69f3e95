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
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/golden"
	"backupsync.dev/operator/internal/cli/liveness"
	"backupsync.dev/operator/internal/cli/text"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func micro(before time.Duration) metav1.MicroTime { return metav1.NewMicroTime(noon.Add(-before)) }

// aProject is a CBRProject with a condition, counts and a name.
func aProject(name string, ready metav1.ConditionStatus, reason, message string, counts *v1alpha1.BackupCounts) v1alpha1.CBRProject {
	made := v1alpha1.CBRProject{}
	made.Namespace, made.Name, made.Generation = "backups", name, 3
	made.Status.ObservedGeneration = 3
	made.Status.Backups = counts
	made.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready, Reason: reason, Message: message}}
	if ready == metav1.ConditionFalse {
		made.Status.Conditions = append(made.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason})
	}
	made.Spec.Limits.SyncCallsPerMinute, made.Spec.Batch.MaxSize = 10, 50
	return made
}

func submission(before time.Duration, items int) v1alpha1.Submission {
	return v1alpha1.Submission{ID: before.String(), StartTime: micro(before), Items: make([]v1alpha1.SubmittedItem, items)}
}

// some adds so many BackupSyncs of a state and reason, each a minute older than the one before.
func some(to *tallies, project string, count int, state backupsync.State, reason, message string, drifted bool) {
	for i := range count {
		to.add(backups.Backup{Namespace: "backups", Name: fmt.Sprintf("%s-%03d", strings.ToLower(reason), i), Project: project, State: state,
			Reason: reason, Message: message, Created: noon.Add(-time.Duration(i+1) * time.Minute), Drifted: drifted, Suspended: reason == v1alpha1.ReasonSuspended})
	}
}

// busy is a namespace in which much goes on, and much has gone wrong.
func busy() *facts {
	well := aProject("default", metav1.ConditionTrue, v1alpha1.ReasonUsable, "Endpoint and credentials are set, and CBR has not refused them.",
		&v1alpha1.BackupCounts{Total: 100_000, Imported: 60_000, Running: 9_990, Pending: 30_000, Failed: 10})
	well.Status.Journal.Submissions = []v1alpha1.Submission{submission(3*time.Minute, 50), submission(5*time.Minute, 12), submission(2*time.Second, 50)}
	well.Status.Journal.RecentCalls = []v1alpha1.CallCount{{EndTime: micro(10 * time.Second), Calls: 7}, {EndTime: micro(2 * time.Minute), Calls: 9}}
	well.Status.Audit = &v1alpha1.AuditSummary{FinishedTime: ptr.To(metav1.NewTime(noon.Add(-5 * time.Hour))), Checked: 60_000, Missing: 2}
	stalled := aProject("other", metav1.ConditionFalse, v1alpha1.ReasonCredentialsMissing, "The Secret cbr does not exist. Create it: imports resume automatically.",
		&v1alpha1.BackupCounts{Total: 3, Pending: 3})
	stalled.Generation = 4
	unseen := aProject("unseen", metav1.ConditionUnknown, v1alpha1.ReasonPending, "Waiting for the controller.", nil)
	unseen.Status.ObservedGeneration = -1

	single := &tallies{}
	some(single, "default", 120, backupsync.Pending, v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, false)
	some(single, "default", 4, backupsync.Pending, v1alpha1.ReasonRetryScheduled, "CBR's import task failed (BackupService.9900: no space). It is sent again after status.nextAttemptTime. If it is not, the conditions of the CBRProject say why.", false)
	some(single, "default", 62, backupsync.Pending, v1alpha1.ReasonOutcomeUnknown, "A call with this backup was sent.", false)
	some(single, "default", 200, backupsync.Pending, v1alpha1.ReasonSuspended, "spec.suspend is set: the backup is not sent to CBR.", false)
	some(single, "default", 90, backupsync.Running, v1alpha1.ReasonOperationRunning, "CBR accepted the backup and is importing it.", false)
	some(single, "default", 4, backupsync.Running, v1alpha1.ReasonOperationOverdue, "CBR accepted the backup, but the end of its import is not known.", true)
	some(single, "default", 8, backupsync.Failed, v1alpha1.ReasonRejected, "CBR rejected this backup (BackupService.0401: bucket not found). Correct the manifest: an edit sends it again.", false)
	some(single, "default", 2, backupsync.Failed, v1alpha1.ReasonDuplicate, "The BackupSync a of this namespace declares the same backup and owns it. Delete one of the two.", false)
	some(single, "other", 3, backupsync.Pending, v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, false)
	some(single, "unseen", 5, backupsync.Pending, v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, false)
	some(single, "gone", 5, backupsync.Pending, v1alpha1.ReasonProjectNotFound, "The CBRProject gone does not exist in this namespace.", false)
	single.truncated(backups.Query{Namespace: "backups", Project: "default", Ended: backups.Open})
	renewed := micro(2 * time.Second)
	return &facts{now: noon, single: single, projects: []v1alpha1.CBRProject{unseen, stalled, well},
		operator: liveness.Operator{State: liveness.Alive, Message: "manager-0 renewed its lease 2s ago.", Namespace: "backupsync-system", Holder: "manager-0", RenewTime: &renewed}}
}

// What is suspended is told by the manifest: the operator may not have seen it yet.
func TestTheOldestPendingIsNotSuspended(t *testing.T) {
	single := &tallies{}
	pending := backups.Backup{Namespace: "backups", Project: "default", State: backupsync.Pending}
	suspended, resumed := pending, pending
	suspended.Name, suspended.Reason, suspended.Suspended, suspended.Created = "suspended", v1alpha1.ReasonQueued, true, noon.Add(-2*time.Hour)
	resumed.Name, resumed.Reason, resumed.Created = "resumed", v1alpha1.ReasonSuspended, noon.Add(-time.Hour)
	single.add(suspended)
	single.add(resumed)
	if oldest := single.of(projectName{"backups", "default"}).oldest; oldest == nil || oldest.Name != "resumed" {
		t.Errorf("the oldest is %+v", oldest)
	}
}

// A BackupSync without conditions is pending for no reason that is known.
func TestTheOldestPendingHasAReason(t *testing.T) {
	from := busy()
	from.single = &tallies{}
	some(from.single, "default", 1, backupsync.Pending, "", "", false)
	if written := strings.Join(render(text.Terminal{Width: 120}, compute(from), false), "\n"); !strings.Contains(written, "-000 was created 60s ago: Unknown\n") {
		t.Error(written)
	}
}

// resting is a namespace in which all is done.
func resting() *facts {
	return &facts{now: noon, single: &tallies{}, operator: liveness.Operator{State: liveness.Unknown, Message: "You may not read its lease."},
		projects: []v1alpha1.CBRProject{aProject("default", metav1.ConditionTrue, v1alpha1.ReasonUsable, "Well.", &v1alpha1.BackupCounts{Total: 12, Imported: 12})}}
}

func TestRender(t *testing.T) {
	watched := compute(busy())
	watched.Projects[0].Pace.since(432.15, 39_990)
	for name, lines := range map[string][]string{
		"busy-80.txt":      render(text.Terminal{Width: 80}, compute(busy()), false),
		"busy-120.txt":     render(text.Terminal{Width: 120}, compute(busy()), false),
		"busy-colours.txt": render(text.Terminal{Width: 80, Colour: true}, compute(busy()), false),
		"busy-wide.txt":    render(text.Terminal{Width: 120}, compute(busy()), true),
		"busy-watched.txt": render(text.Terminal{Width: 80}, watched, false),
		"resting-80.txt":   render(text.Terminal{Width: 80}, compute(resting()), false),
	} {
		t.Run(name, func(t *testing.T) { golden.Compare(t, name, lines) })
	}
}

func TestLinesFitTheirWidth(t *testing.T) {
	for _, width := range []int{80, 120} {
		for _, line := range render(text.Terminal{Width: width}, compute(busy()), false) {
			if text.Width(line) > width {
				t.Errorf("longer than %d: %q", width, line)
			}
		}
	}
}

func TestWithoutColoursThereAreNoCodes(t *testing.T) {
	if lines := strings.Join(render(text.Terminal{Width: 80}, compute(busy()), true), ""); strings.Contains(lines, "\x1b") {
		t.Errorf("codes in %q", lines)
	}
}

func TestComputed(t *testing.T) {
	got := compute(busy())
	well := &got.Projects[0]
	if well.Name != "default" || got.Done || well.Read != (Read{Pending: 386, Running: 94, Failed: 10, OpenTruncated: true}) {
		t.Errorf("read: %+v, done is %t", well.Read, got.Done)
	}
	if well.OldestPending == nil || well.OldestPending.Name != "queued-119" {
		t.Errorf("the oldest that nobody has suspended: %+v", well.OldestPending)
	}
	if calls := well.UnknownCalls; calls == nil || calls.Calls != 2 || calls.Backups != 62 || !calls.Since.Equal(ptr.To(micro(5*time.Minute))) {
		t.Errorf("unknown: %+v", calls)
	}
	if calls := well.CallsUnderWay; calls == nil || calls.Calls != 1 || calls.Backups != 50 {
		t.Errorf("under way: %+v", calls)
	}
	if well.Pace.CallsInLastMinute != 7 || well.Pace.BackupsPerMinute != 500 || well.Pace.LeastMinutes == nil || *well.Pace.LeastMinutes != 59 {
		t.Errorf("pace: %+v", well.Pace)
	}
	if well.Drifted.Count != 4 || !well.Drifted.Complete {
		t.Errorf("drifted: %+v", well.Drifted)
	}
	if want := []Orphans{{Namespace: "backups", Project: "gone", Count: 5, Names: []string{"projectnotfound-004", "projectnotfound-003", "projectnotfound-002"}}}; !reflect.DeepEqual(got.Orphans, want) {
		t.Errorf("orphans: %+v", got.Orphans)
	}
	if !compute(resting()).Done {
		t.Error("all has ended, and it is not done")
	}
}

func TestTheOperatorsCountOfDriftedIsBelieved(t *testing.T) {
	from := resting()
	from.projects[0].Status.Backups.Drifted = ptr.To(int32(7))
	if got := compute(from).Projects[0].Drifted; got.Count != 7 || !got.Complete {
		t.Errorf("got %+v", got)
	}
}

// What the operator has counted among imported ones has no names, unless these are read.
func TestDriftedThatWereNotRead(t *testing.T) {
	from := resting()
	from.projects[0].Status.Backups.Drifted = ptr.To(int32(7))
	said := strings.Join(render(text.Terminal{Width: 120}, compute(from), false), "\n")
	if want := "Drifted  7 manifests edited after CBR had accepted their backups (all were looked at); --all names some of them"; !strings.Contains(said, want) {
		t.Errorf("no %q in\n%s", want, said)
	}
}

// A rate of 0 tells nothing of how long the rest takes, and not that there is none.
func TestRateWhileNothingIsImported(t *testing.T) {
	for pending, want := range map[int32]string{0: "seen, nothing is left.", 900: "seen, so it cannot be told how long the rest takes."} {
		from := resting()
		from.projects[0].Status.Backups = &v1alpha1.BackupCounts{Total: 12 + pending, Imported: 12, Pending: pending}
		computed := compute(from)
		computed.Projects[0].Pace.since(0, int(pending))
		if said := strings.Join(render(text.Terminal{Width: 120}, computed, false), "\n"); !strings.Contains(said, want) {
			t.Errorf("%d pending: no %q in\n%s", pending, want, said)
		}
	}
}

func TestAnAuditThatHasFoundNothing(t *testing.T) {
	from := resting()
	from.projects[0].Status.Audit = &v1alpha1.AuditSummary{FinishedTime: ptr.To(metav1.NewTime(noon.Add(-time.Hour))), Checked: 12}
	said := strings.Join(render(text.Terminal{Width: 120}, compute(from), false), "\n")
	if want := "Audit    no imported one was found missing in CBR, or in error (the latest looked at 12, 60m ago)"; !strings.Contains(said, want) {
		t.Errorf("no %q in\n%s", want, said)
	}
}

func TestStale(t *testing.T) {
	counted := &v1alpha1.BackupCounts{Total: 2, Pending: 2}
	for _, test := range []struct {
		name     string
		change   func(*v1alpha1.CBRProject)
		operator liveness.State
		open     int
		want     []string
	}{
		{"fresh", func(*v1alpha1.CBRProject) {}, liveness.Alive, 1, nil},
		{"never seen", func(p *v1alpha1.CBRProject) { p.Status.ObservedGeneration = -1 }, liveness.Alive, 2, []string{"the operator has not looked at this CBRProject yet"}},
		{"edited", func(p *v1alpha1.CBRProject) { p.Generation++ }, liveness.Alive, 2, []string{"the operator has not taken in the latest edit of this CBRProject"}},
		{"never counted", func(p *v1alpha1.CBRProject) { p.Status.Backups = nil }, liveness.Alive, 2, []string{"the operator has not counted its BackupSyncs yet"}},
		{"silent", func(*v1alpha1.CBRProject) {}, liveness.Silent, 3, []string{"the operator is silent", "it counts 2 open BackupSyncs, and there are 3"}},
		{"not known", func(*v1alpha1.CBRProject) {}, liveness.Unknown, 2, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			of := aProject("default", metav1.ConditionTrue, v1alpha1.ReasonUsable, "", counted)
			test.change(&of)
			single := &tallies{}
			some(single, "default", test.open, backupsync.Pending, v1alpha1.ReasonQueued, "", false)
			if got := stale(&of, test.operator, single.of(projectName{"backups", "default"}), false); !slices.Equal(got, test.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	projects := func(names ...string) (made []v1alpha1.CBRProject) {
		for _, name := range names {
			namespace, name, _ := strings.Cut(name, "/")
			of := v1alpha1.CBRProject{}
			of.Namespace, of.Name = namespace, name
			made = append(made, of)
		}
		return made
	}
	open := func(q backups.Query) backups.Query { q.Ended, q.Limit = backups.Open, 9; return q }
	failed := func(q backups.Query) backups.Query { q.Ended, q.Limit = backups.Failed, 9; return q }
	orphans := func(q backups.Query) backups.Query { q.Ended, q.Limit = backups.NotImported, 9; return q }
	of := backups.Query{Namespace: "a", Project: "p"}
	for _, test := range []struct {
		name     string
		scope    scope
		projects []v1alpha1.CBRProject
		want     []backups.Query
	}{
		{"a project", scope{namespace: "a", project: "p", limit: 9}, projects("a/p"), []backups.Query{open(of), failed(of)}},
		{"a namespace", scope{namespace: "a", limit: 9}, projects("a/p"), []backups.Query{open(of), failed(of), orphans(backups.Query{Namespace: "a", NotProjects: []string{"p"}})}},
		{"without projects", scope{namespace: "a", limit: 9}, nil, []backups.Query{orphans(backups.Query{Namespace: "a"})}},
		{"all namespaces", scope{limit: 9}, projects("a/p"), []backups.Query{open(of), failed(of), orphans(backups.Query{Namespace: "a", NotProjects: []string{"p"}}),
			orphans(backups.Query{NotNamespaces: []string{"a"}})}},
		{"many projects", scope{namespace: "a", limit: 9}, projects("a/1", "a/2", "a/3", "a/4", "a/5", "a/6", "a/7", "a/8", "a/9"),
			[]backups.Query{open(backups.Query{Namespace: "a"}), failed(backups.Query{Namespace: "a"})}},
		{"imported ones too", scope{namespace: "a", project: "p", limit: 9, all: true}, projects("a/p"), []backups.Query{of}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := plan(test.scope, test.projects); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestFind(t *testing.T) {
	got := compute(busy())
	for name, want := range map[string]string{
		"stalled": "1 stalled CBRProject", "failed": "10 failed BackupSyncs", "pending": "30,008 pending BackupSyncs", "running": "9,990 running BackupSyncs",
		"unknown": "62 BackupSyncs whose outcome is not known", "drifted": "4 drifted BackupSyncs", "missing": "5 BackupSyncs whose CBRProject does not exist",
		"silent": "", "stale": "2 CBRProjects whose status may be stale", "unavailable": "2 imported BackupSyncs whose backup cannot be restored",
	} {
		if found := find(got, []string{name}); found != want {
			t.Errorf("%s: got %q, want %q", name, found, want)
		}
		if found := find(compute(resting()), []string{name}); found != "" {
			t.Errorf("%s: found %q where all is done", name, found)
		}
		if err := checkFindings([]string{name}); err != nil {
			t.Error(err)
		}
	}
	if err := checkFindings([]string{"failed", "sad"}); err == nil {
		t.Error("--fail-on=sad is taken")
	}
}

func TestProgress(t *testing.T) {
	seen := progress{}
	at := func(minutes float64, imported, pending int32) Pace {
		from := resting()
		from.now = noon.Add(time.Duration(minutes * float64(time.Minute)))
		from.projects[0].Status.Backups = &v1alpha1.BackupCounts{Total: imported + pending, Imported: imported, Pending: pending}
		made := compute(from)
		seen.observe(made)
		return made.Projects[0].Pace
	}
	if first := at(0, 0, 1000); first.ImportedPerMinute != nil || first.SecondsLeft != nil {
		t.Errorf("a rate of a single look: %+v", first)
	}
	if second := at(0.5, 100, 900); *second.ImportedPerMinute != 200 || *second.SecondsLeft != 270 {
		t.Errorf("200 a minute: %v, %v", *second.ImportedPerMinute, *second.SecondsLeft)
	}
	at(4, 100, 900)
	if later := at(9, 100, 900); *later.ImportedPerMinute != 0 || later.SecondsLeft != nil {
		t.Errorf("nothing for five minutes: %v", *later.ImportedPerMinute)
	}
	if fewer := at(10, 50, 0); *fewer.ImportedPerMinute != 0 {
		t.Errorf("imported ones were deleted: %v", *fewer.ImportedPerMinute)
	}
}

func TestRedrawn(t *testing.T) {
	if got, want := redrawn([]string{"a", "b"}, 24), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"; got != want {
		t.Errorf("got %q", got)
	}
	got := redrawn([]string{"1", "2", "3", "4", "5"}, 4)
	if strings.Count(got, "\n") != 3 || !strings.Contains(got, "… 3 lines more") {
		t.Errorf("more lines than fit: %q", got)
	}
}

func TestDoneDoesNotWaitForFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		of   Project
		want bool
	}{
		{"nothing", Project{}, true},
		{"pending", Project{Read: Read{Pending: 1}}, false},
		{"running", Project{Read: Read{Running: 1}}, false},
		{"all that failed were read", Project{Read: Read{Failed: 5}}, true},
		{"more have failed than were read", Project{Read: Read{Failed: 5, FailedTruncated: true}, Counts: &v1alpha1.BackupCounts{Failed: 9}}, true},
		{"one of those may be pending again", Project{Read: Read{Failed: 5, FailedTruncated: true}, Counts: &v1alpha1.BackupCounts{Failed: 8, Pending: 1}}, false},
	} {
		if got := test.of.done(); got != test.want {
			t.Errorf("%s: got %t", test.name, got)
		}
	}
}
