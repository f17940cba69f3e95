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

package backupsync

import (
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// Where a BackupSync of each reason stands: as it is, after an edit of its item, after a suspension, and after a request.
func TestStates(t *testing.T) {
	for reason, want := range map[string]struct{ state, edited, requested State }{
		v1alpha1.ReasonQueued:           {Pending, Pending, Pending},
		v1alpha1.ReasonAwaitingTask:     {Pending, Pending, Pending},
		v1alpha1.ReasonProjectNotFound:  {Pending, Pending, Pending},
		v1alpha1.ReasonSuspended:        {Pending, Pending, Pending},
		v1alpha1.ReasonOutcomeUnknown:   {Pending, Pending, Pending},
		v1alpha1.ReasonRetryScheduled:   {Pending, Pending, Pending},
		v1alpha1.ReasonOperationRunning: {Running, Running, Running},
		v1alpha1.ReasonOperationOverdue: {Running, Running, Running},
		v1alpha1.ReasonImported:         {Imported, Imported, Imported},
		v1alpha1.ReasonAlreadyImported:  {Imported, Imported, Imported},
		v1alpha1.ReasonRejected:         {Failed, Pending, Pending},
		v1alpha1.ReasonOperationFailed:  {Failed, Pending, Pending},
		v1alpha1.ReasonBackupUnusable:   {Failed, Failed, Pending},
		v1alpha1.ReasonDuplicate:        {Failed, Failed, Failed},
		v1alpha1.ReasonUnknownOutcome:   {Failed, Failed, Failed},
	} {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			backup := lives[reason].backup()
			g.Expect(readyOf(backup).Reason).To(Equal(reason))
			g.Expect(Presented(backup, lives[reason].given)).To(BeTrue())
			g.Expect(StateOf(backup)).To(Equal(want.state))
			g.Expect(StateOf(edit(backup))).To(Equal(want.edited), "edited")
			g.Expect(StateOf(suspend(backup))).To(Equal(want.state), "suspended")
			g.Expect(StateOf(label(backup))).To(Equal(want.state), "labelled")

			requested := ask(backup, "now")
			g.Expect(Requested(requested)).To(BeTrue())
			g.Expect(StateOf(requested)).To(Equal(want.requested), "asked to try again")
			requested.Status.LastHandledRequest = "now"
			g.Expect(Requested(requested)).To(BeFalse())
			g.Expect(StateOf(requested)).To(Equal(want.state), "asked, and answered")
		})
	}
}

// What has ended, and says so, is looked at again only when a person has changed something.
func TestSettled(t *testing.T) {
	for reason, live := range lives {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			backup := live.backup()
			ended := StateOf(backup) == Imported || StateOf(backup) == Failed && reason != v1alpha1.ReasonDuplicate
			g.Expect(Settled(backup)).To(Equal(ended))
			g.Expect(Settled(label(backup))).To(Equal(ended), "labelled")
			g.Expect(Settled(edit(backup))).To(BeFalse(), "edited")
			g.Expect(Settled(suspend(backup))).To(BeFalse(), "suspended: the generation is to be observed")
			g.Expect(Settled(ask(backup, "now"))).To(BeFalse(), "asked to try again")

			stale := backup.DeepCopy()
			stale.Status.Conditions = newBackup().Status.Conditions
			g.Expect(Settled(stale)).To(BeFalse(), "its conditions say something else")
			bare := backup.DeepCopy()
			bare.Status.Conditions = nil
			g.Expect(Settled(bare)).To(BeFalse(), "its conditions were dropped: nobody could wait for Ready")
		})
	}
}

func TestANewOneIsPending(t *testing.T) {
	for name, backup := range map[string]*v1alpha1.BackupSync{
		"with the default status": newBackup(),
		"without a status":        newBackup(func(b *v1alpha1.BackupSync) { b.Status = v1alpha1.BackupSyncStatus{} }),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(StateOf(backup)).To(Equal(Pending))
			g.Expect(ReasonOf(backup, alone)).To(Equal(v1alpha1.ReasonQueued))
			g.Expect(Renewed(backup)).To(BeFalse(), "there is nothing to begin anew")
			g.Expect(Accepted(backup)).To(BeFalse())
			g.Expect(Settled(backup)).To(BeFalse())
		})
	}
}

// Of several reasons to wait, the one that tells most of what becomes of the backup is told.
func TestReasonsOfAPendingOne(t *testing.T) {
	everything := Circumstances{ProjectMissing: true, InCall: true, AwaitsTask: true, Overdue: true, Owner: "erp-00"}
	for name, c := range map[string]struct {
		change func(*Circumstances)
		backup *v1alpha1.BackupSync
		want   string
	}{
		"it may have been sent":           {func(*Circumstances) {}, suspend(newBackup()), v1alpha1.ReasonOutcomeUnknown},
		"a task may be its own":           {func(g *Circumstances) { g.InCall = false }, suspend(newBackup()), v1alpha1.ReasonAwaitingTask},
		"it is suspended":                 {func(g *Circumstances) { g.InCall, g.AwaitsTask = false, false }, suspend(newBackup()), v1alpha1.ReasonSuspended},
		"its project is missing":          {func(g *Circumstances) { g.InCall, g.AwaitsTask = false, false }, newBackup(), v1alpha1.ReasonProjectNotFound},
		"another one owns it":             {func(g *Circumstances) { *g = Circumstances{Owner: "erp-00"} }, retriedBackup(), v1alpha1.ReasonDuplicate},
		"a retry is due":                  {func(g *Circumstances) { *g = alone }, retriedBackup(), v1alpha1.ReasonRetryScheduled},
		"a retry is due, of another item": {func(g *Circumstances) { *g = alone }, edit(retriedBackup()), v1alpha1.ReasonQueued},
		"a retry is due, and asked for":   {func(g *Circumstances) { *g = alone }, ask(retriedBackup(), "now"), v1alpha1.ReasonQueued},
		"nothing keeps it":                {func(g *Circumstances) { *g = alone }, newBackup(), v1alpha1.ReasonQueued},
		"overdue is said of tasks alone":  {func(g *Circumstances) { *g = Circumstances{Overdue: true} }, newBackup(), v1alpha1.ReasonQueued},
	} {
		t.Run(name, func(t *testing.T) {
			given := everything
			c.change(&given)
			NewWithT(t).Expect(ReasonOf(c.backup, given)).To(Equal(c.want))
		})
	}
}

func TestReasonsOfARunningOne(t *testing.T) {
	g := NewWithT(t)
	g.Expect(ReasonOf(runningBackup(), alone)).To(Equal(v1alpha1.ReasonOperationRunning))
	g.Expect(ReasonOf(suspend(runningBackup()), alone)).To(Equal(v1alpha1.ReasonOperationRunning), "a task that runs is followed to its end")
	g.Expect(ReasonOf(runningBackup(), Circumstances{Overdue: true})).To(Equal(v1alpha1.ReasonOperationOverdue))
	g.Expect(ReasonOf(runningBackup(), Circumstances{Overdue: true, ProjectMissing: true})).To(Equal(v1alpha1.ReasonProjectNotFound),
		"nobody follows it")
	g.Expect(ReasonOf(runningBackup(), Circumstances{InCall: true, AwaitsTask: true, Owner: "erp-00"})).To(Equal(v1alpha1.ReasonOperationRunning))
}

func TestStateNames(t *testing.T) {
	g := NewWithT(t)
	names := map[State]string{Pending: "pending", Running: "running", Imported: "imported", Failed: "failed"}
	g.Expect(names).To(HaveLen(States))
	for state, name := range names {
		g.Expect(state.String()).To(Equal(name), "the names of the metric's label and of status.backups")
	}
}

// The annotation may hold anything: what is compared is what the status can hold of it.
func TestRequests(t *testing.T) {
	g := NewWithT(t)
	long := strings.Repeat("备", 300)
	for text, want := range map[string]string{"": "", "now": "now", long: strings.Repeat("备", 256), "a\xffb": "ab", "\xff": ""} {
		backup := ask(newBackup(), text)
		g.Expect(RequestOf(backup)).To(Equal(want))
		g.Expect(Requested(backup)).To(Equal(want != ""))
		backup.Status.LastHandledRequest = RequestOf(backup)
		g.Expect(Requested(backup)).To(BeFalse(), "what was acted on is not asked for again")
	}
	g.Expect(RequestOf(newBackup())).To(BeEmpty())
	handled := newBackup(func(b *v1alpha1.BackupSync) { b.Status.LastHandledRequest = "before" })
	g.Expect(Requested(handled)).To(BeFalse(), "an annotation that is taken away asks for nothing")
	g.Expect(Requested(ask(handled, "now"))).To(BeTrue())
}

// Once CBR has, or has had, a backup, no other BackupSync may be sent in its place.
func TestAccepted(t *testing.T) {
	g := NewWithT(t)
	want := map[string]bool{
		v1alpha1.ReasonOperationRunning: true, v1alpha1.ReasonOperationOverdue: true, v1alpha1.ReasonImported: true,
		v1alpha1.ReasonAlreadyImported: true, v1alpha1.ReasonRetryScheduled: true, v1alpha1.ReasonOperationFailed: true,
		v1alpha1.ReasonBackupUnusable: true, v1alpha1.ReasonUnknownOutcome: true,
	}
	for reason, live := range lives {
		backup := live.backup()
		g.Expect(Accepted(backup)).To(Equal(want[reason]), reason)
		g.Expect(Accepted(edit(backup))).To(Equal(want[reason]), "%s, edited", reason)
	}
	for _, outcome := range []v1alpha1.Outcome{v1alpha1.OutcomeBackupUnusable, unknownValue} {
		found := newBackup(func(b *v1alpha1.BackupSync) { b.Status.Outcome, b.Status.FinishedTime = outcome, &noon })
		g.Expect(Accepted(found)).To(BeTrue(), "%s: CBR has it, or may have it, without a task of ours", outcome)
	}
	again := Requeued(failedBackup(), noon)
	g.Expect(Accepted(again)).To(BeTrue(), "CBR has had it, though it begins anew")
}

func TestOlder(t *testing.T) {
	g := NewWithT(t)
	at := func(name string, minutes int) *v1alpha1.BackupSync {
		return newBackup(func(b *v1alpha1.BackupSync) { b.Name, b.CreationTimestamp = name, afterNoon(minutes) })
	}
	first, second := at("z", 0), at("a", 1)
	g.Expect(Older(first, second)).To(BeNumerically("<", 0))
	g.Expect(Older(second, first)).To(BeNumerically(">", 0))
	g.Expect(Older(at("a", 0), at("b", 0))).To(BeNumerically("<", 0))
	g.Expect(Older(at("b", 0), at("a", 0))).To(BeNumerically(">", 0))
	g.Expect(Older(first, first)).To(BeZero())
}

func TestOwner(t *testing.T) {
	named := func(name string, secondsBeforeNoon int, of *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		of.Name, of.UID = name, ""
		of.CreationTimestamp = metav1.NewTime(noon.Add(-time.Duration(secondsBeforeNoon) * time.Second))
		return of
	}
	duplicate := lives[v1alpha1.ReasonDuplicate].backup
	type backups = []*v1alpha1.BackupSync
	for name, c := range map[string]struct {
		duplicates backups
		want       string
	}{
		"one alone":                         {backups{named("a", 0, newBackup())}, "a"},
		"the oldest":                        {backups{named("a", 1, newBackup()), named("b", 3, newBackup()), named("c", 2, newBackup())}, "b"},
		"of the same second the first name": {backups{named("c", 1, newBackup()), named("a", 1, newBackup()), named("b", 1, newBackup())}, "a"},
		"a running one, though younger":     {backups{named("a", 9, newBackup()), named("b", 1, runningBackup()), named("c", 5, newBackup())}, "b"},
		"an imported one, though younger":   {backups{named("a", 9, newBackup()), named("b", 1, importedBackup())}, "b"},
		"one that was in CBR before, though younger": {
			backups{named("a", 9, newBackup()), named("b", 1, Stored(newBackup(), "", "", noon))}, "b"},
		"one that has failed in CBR, though younger": {
			backups{named("a", 9, newBackup()), named("b", 1, endedBackup(cbr.TaskSkipped, 0))}, "b"},
		"one whose retry is due, though younger": {backups{named("a", 9, newBackup()), named("b", 1, retriedBackup())}, "b"},
		"one that begins anew, though younger":   {backups{named("a", 9, newBackup()), named("b", 1, Requeued(failedBackup(), noon))}, "b"},
		"of two that CBR has accepted the older": {
			backups{named("a", 1, runningBackup()), named("b", 2, importedBackup()), named("c", 9, newBackup())}, "b"},
		"a rejected one has no claim but its age":     {backups{named("a", 1, rejectedBackup()), named("b", 2, newBackup())}, "b"},
		"the duplicate itself, once it is the oldest": {backups{named("a", 2, duplicate()), named("b", 1, newBackup())}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			// The order of a list from the cache is not defined.
			for range c.duplicates {
				g.Expect(Owner(c.duplicates).Name).To(Equal(c.want))
				c.duplicates = append(c.duplicates[1:], c.duplicates[0])
			}
			slices.Reverse(c.duplicates)
			g.Expect(Owner(c.duplicates).Name).To(Equal(c.want))
		})
	}
	NewWithT(t).Expect(Owner(nil)).To(BeNil())
}
