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

package explain

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cli/golden"
	"backupsync.dev/operator/internal/cli/liveness"
	"backupsync.dev/operator/internal/cli/text"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func before(span time.Duration) metav1.Time { return metav1.NewTime(noon.Add(-span)) }

// manifest is a BackupSync that the operator has not seen.
func manifest() *v1alpha1.BackupSync {
	made := &v1alpha1.BackupSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: "backups", Name: "erp-01", Generation: 1, CreationTimestamp: before(time.Hour)},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: "default"}, BackupID: "1f9e6b47-7655-4a19-b563-21b4ef023025", BackupName: "backup_name",
			BucketName: "bucket", ImagePath: "6abec15e/cfe0295c/cfe0295c", ResourceID: "96f7512d-239d-3f31-80cf-d1ce041df9a6", ResourceName: "机器一",
			ResourceType: "OS::Native::Server", CreatedAt: 1553587260,
		},
	}
	made.Status.ObservedGeneration = -1
	made.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonQueued,
		Message: v1alpha1.QueuedMessage, LastTransitionTime: metav1.Unix(0, 0)}}
	return made
}

func running(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Submitted(backup, "task-1", backupsync.Hash(&backup.Spec), before(50*time.Minute), before(50*time.Minute))
}

func imported(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Finished(running(backup), backupsync.Ending{Status: cbr.TaskSuccess}, 3, before(40*time.Minute))
}

func failedTask(limit int32) func(*v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return func(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return backupsync.Finished(running(backup), backupsync.Ending{Status: cbr.TaskFailed, Said: "CBR's import task failed (BackupService.9900: no space)"}, limit, before(30*time.Second))
	}
}

func waiting(given backupsync.Circumstances) func(*v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return func(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		if next := backupsync.Waiting(backup, given, before(time.Minute)); next != nil {
			return next
		}
		return backup
	}
}

// lost is one that an audit has found not to be available any more.
func lost(found backupsync.Availability) func(*v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return func(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return backupsync.Audited(imported(backup), found, noon.Add(-5*time.Minute), before(4*time.Minute))
	}
}

func rejected(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	return backupsync.Rejected(backup, backupsync.Hash(&backup.Spec), "BackupService.0401: bucket not found", before(10*time.Minute))
}

// edited is one that was imported, and edited since, by kubectl edit: kubectl apply has left what was sent.
func edited(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	applied, err := json.Marshal(map[string]any{"spec": backup.Spec})
	if err != nil {
		panic(err)
	}
	next := imported(backup)
	next.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(applied)}
	next.Spec.ResourceName, next.Spec.CreatedAt, next.Generation = "erp-02", 1553587261, 2
	return backupsync.Acknowledged(next, backupsync.Circumstances{}, before(time.Minute))
}

func usable() *v1alpha1.CBRProject {
	made := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: "backups", Name: "default"}}
	made.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonUsable,
		Message: "Endpoint and credentials are set, and CBR has not refused them."}}
	return made
}

func blocked() *v1alpha1.CBRProject {
	made := usable()
	made.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonCredentialsMissing, Message: "The Secret cbr does not exist. Create it."},
		{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonCredentialsMissing}}
	return made
}

func withJournal() *v1alpha1.CBRProject {
	made := usable()
	made.Status.Journal.Submissions = []v1alpha1.Submission{{ID: "call-1", StartTime: metav1.NewMicroTime(noon.Add(-90 * time.Second)),
		Items: []v1alpha1.SubmittedItem{{BackupID: "another"}, {BackupID: "1F9E6B47-7655-4A19-B563-21B4EF023025"}}}}
	return made
}

var alive = liveness.Operator{State: liveness.Alive, Message: "manager-0 renewed its lease 2s ago."}

// scenes are what is explained, by the names of their golden files.
func scenes() map[string]*facts {
	scene := func(project *v1alpha1.CBRProject, becomes func(*v1alpha1.BackupSync) *v1alpha1.BackupSync) *facts {
		backup := manifest()
		if becomes != nil {
			backup = becomes(backup)
		}
		return &facts{now: noon, backup: backup, project: project, same: []*v1alpha1.BackupSync{backup}, operator: alive}
	}
	duplicate := scene(usable(), waiting(backupsync.Circumstances{Owner: "a-first"}))
	owner := manifest()
	owner.Name, owner.CreationTimestamp = "a-first", before(2*time.Hour)
	elsewhere := manifest()
	elsewhere.Name, elsewhere.Spec.ProjectRef.Name = "b-elsewhere", "other"
	duplicate.same = append(duplicate.same, owner, elsewhere)

	suspended := manifest()
	suspended.Spec.Suspend = true

	silent := scene(usable(), nil)
	silent.operator = liveness.Operator{State: liveness.Silent, Message: "Nobody holds the lease system/cbr.backupsync.dev."}

	unreadable := scene(nil, nil)
	unreadable.projectError, unreadable.notes = "you may not read it", []string{"Its events could not be read: forbidden."}

	events := scene(usable(), rejected)
	events.events = []corev1.Event{
		{Reason: "Rejected", Message: "CBR rejected this backup.", LastTimestamp: before(9 * time.Minute), Count: 3},
		{Reason: "RetryScheduled", Message: "It failed.", EventTime: metav1.NewMicroTime(noon.Add(-20 * time.Minute))},
	}
	unclear := scene(usable(), edited)
	unclear.backup.Annotations = nil

	missing := scene(usable(), lost(backupsync.BackupMissing))
	asked := scene(usable(), lost(backupsync.BackupMissing))
	asked.backup.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: "2026-03-01T11:59:00Z"}

	deleted := func(of *facts) *facts {
		of.backup.DeletionTimestamp, of.backup.Finalizers = ptr(before(2*time.Minute)), []string{"example.com/hold"}
		return of
	}

	requested := scene(usable(), rejected)
	requested.backup.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: "2026-03-01T11:59:00Z"}
	return map[string]*facts{
		"queued": scene(usable(), nil), "blocked": scene(blocked(), nil), "no-project": scene(nil, waiting(backupsync.Circumstances{ProjectMissing: true})),
		"in-call": scene(withJournal(), waiting(backupsync.Circumstances{InCall: true})), "running": scene(usable(), running), "imported": scene(usable(), imported),
		"retry": scene(usable(), failedTask(3)), "operation-failed": scene(usable(), failedTask(0)), "rejected": events, "duplicate": duplicate,
		"suspended": {now: noon, backup: suspended, project: usable(), same: []*v1alpha1.BackupSync{suspended}, operator: alive},
		"drifted":   scene(usable(), edited), "drifted-unclear": unclear, "silent": silent, "unreadable": unreadable, "requested": requested,
		"deleted": deleted(scene(usable(), nil)), "deleted-running": deleted(scene(usable(), running)), "deleted-rejected": deleted(scene(usable(), rejected)),
		"missing": missing, "missing-asked": asked, "unusable": scene(usable(), lost(backupsync.BackupUnusable)),
	}
}

func TestRender(t *testing.T) {
	for name, scene := range scenes() {
		t.Run(name, func(t *testing.T) { golden.Compare(t, name+".txt", render(text.Terminal{Width: 80}, compute(scene))) })
	}
	golden.Compare(t, "drifted-120.txt", render(text.Terminal{Width: 120}, compute(scenes()["drifted"])))
	golden.Compare(t, "rejected-colours.txt", render(text.Terminal{Width: 80, Colour: true}, compute(scenes()["rejected"])))
}

// Of an imported backup that CBR does not show usable any more, nobody is told that it can be restored, and that there is nothing to do.
func TestWhatAnAuditHasFoundIsTold(t *testing.T) {
	for name, advised := range map[string]string{"missing": "have it imported again: kubectl", "unusable": "request another import: kubectl", "missing-asked": "Wait: another import was requested"} {
		got := compute(scenes()[name])
		advice, last := strings.Join(got.Advice, " "), got.History[len(got.History)-1]
		if !strings.Contains(advice, advised) || strings.Contains(advice, "Nothing") || !strings.Contains(got.Unavailable, "it cannot be restored") {
			t.Errorf("%s: advised is %q, told %q", name, advice, got.Unavailable)
		}
		if !last.Time.Equal(ptr(before(4*time.Minute))) || !strings.HasPrefix(last.What, "Available became False; its reason is ") {
			t.Errorf("%s: what has happened last is %+v", name, last)
		}
	}
}

// A BackupSync without conditions has no reason.
func TestWithoutAReasonNoneIsTold(t *testing.T) {
	from := scenes()["queued"]
	from.backup.Status.Conditions = nil
	if first := render(text.Terminal{Width: 80}, compute(from))[0]; first != "backups/erp-01  pending" {
		t.Errorf("it begins with %q", first)
	}
}

// What is being deleted is not sent any more: nobody is told to wait for that, or to correct it.
func TestADeletionThatIsHeldUpIsTold(t *testing.T) {
	for name, waits := range map[string]string{"deleted": "its deletion, which the finalizers example.com/hold hold up", "deleted-running": "the end of CBR's task task-1", "deleted-rejected": ""} {
		got := compute(scenes()[name])
		advice, notes := strings.Join(got.Advice, " "), strings.Join(got.Notes, " ")
		if !strings.Contains(advice, "finalizers example.com/hold") || strings.Contains(advice, "Wait") || strings.Contains(advice, "Correct") ||
			!strings.Contains(notes, "It is being deleted since 2026-03-01T11:58:00Z") {
			t.Errorf("%s: advised is %q, noted %q", name, advice, notes)
		}
		if (got.Waits == nil) != (waits == "") || got.Waits != nil && !strings.Contains(got.Waits.For, waits) {
			t.Errorf("%s: it waits for %+v", name, got.Waits)
		}
	}
}

func TestWhatItWaitsFor(t *testing.T) {
	for name, want := range map[string]struct {
		says  string
		until *metav1.Time
	}{
		"queued": {says: "its turn in a sync call"}, "blocked": {says: "is not Ready (CredentialsMissing)"}, "no-project": {says: "does not exist"},
		"in-call": {says: "the outcome of the sync call call-1", until: ptr(metav1.NewTime(noon.Add(45 * time.Second)))},
		"running": {says: "which is overdue since", until: ptr(before(20 * time.Minute))},
		"retry":   {says: "the next attempt", until: ptr(metav1.NewTime(noon.Add(30 * time.Second)))}, "suspended": {says: "removes spec.suspend"},
		"unreadable": {says: "you may not read it"},
	} {
		got := compute(scenes()[name]).Waits
		if got == nil || !strings.Contains(got.For, want.says) || !reflect.DeepEqual(got.Until, want.until) {
			t.Errorf("%s: got %+v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"imported", "rejected", "operation-failed", "duplicate", "drifted"} {
		if got := compute(scenes()[name]).Waits; got != nil {
			t.Errorf("%s: it waits for %s", name, got.For)
		}
	}
}

func ptr[T any](of T) *T { return &of }

func TestDriftIsShownFieldByFieldOnlyIfItIsCertain(t *testing.T) {
	want := []FieldDrift{{"spec.resourceName", "机器一", "erp-02"}, {"spec.createdAt", "1553587260", "1553587261"}}
	if got := compute(scenes()["drifted"]).Drift; got == nil || !reflect.DeepEqual(got.Fields, want) {
		t.Errorf("got %+v", got)
	}
	wrong := scenes()["drifted"].backup
	wrong.Annotations[corev1.LastAppliedConfigAnnotation] = strings.Replace(wrong.Annotations[corev1.LastAppliedConfigAnnotation], "bucket", "another", 1)
	if got := driftOf(wrong); got == nil || len(got.Fields) > 0 {
		t.Errorf("of another item than was sent: %+v", got)
	}
	if got := compute(scenes()["imported"]).Drift; got != nil {
		t.Errorf("of one that does not drift: %+v", got)
	}
}

func TestTheDefaultOfTheCRDIsNoDrift(t *testing.T) {
	backup := manifest()
	backup.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: `{"spec":{"backupID":"a","createdAt":1}}`}
	if got := lastApplied(backup).ResourceType; got != "OS::Native::Server" {
		t.Errorf("got %q", got)
	}
}

// The operator's own test of its marks has the same example: TestMarksOfTheJournalAreTheOnesThatExplainReads.
func TestMarks(t *testing.T) {
	project := usable()
	project.Status.Journal.Settling = []v1alpha1.SettlingBackups{{InMilliseconds: 1, Backups: "tzeedw=="}}
	from := scenes()["queued"]
	from.project = project
	if got := markOf(from.backup.Spec.BackupID); got != markOf(strings.ToUpper(from.backup.Spec.BackupID)) {
		t.Errorf("case matters: %x", got)
	}
	if !compute(from).Settling {
		t.Error("it settles, and is not said to")
	}
	project.Status.Journal.Settling[0].Backups = "AAAAAA=="
	if compute(from).Settling {
		t.Error("another one settles")
	}
	for _, broken := range []string{"?", "AAAA"} {
		if project.Status.Journal.Settling[0].Backups = broken; compute(from).Settling {
			t.Errorf("%s marks it", broken)
		}
	}
	if project.Status.Journal.Settling[0].Backups = "*"; !compute(from).Settling {
		t.Error("all settle, and it is not said to")
	}
}
