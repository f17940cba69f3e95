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

package controller

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// Where a BackupSync of each reason stands, as it is and after an edit, and whether a pass has to look at it.
func TestStates(t *testing.T) {
	for reason, want := range map[string]struct {
		state, edited            state
		active, activeWhenEdited bool
	}{
		v1alpha1.ReasonQueued:            {pending, pending, true, true},
		v1alpha1.ReasonWaitingForProject: {pending, pending, true, true},
		v1alpha1.ReasonSuspended:         {pending, pending, true, true},
		v1alpha1.ReasonOutcomeUnknown:    {pending, pending, true, true},
		v1alpha1.ReasonRetryScheduled:    {pending, pending, true, true},
		v1alpha1.ReasonOperationRunning:  {running, running, true, true},
		v1alpha1.ReasonImported:          {imported, imported, false, true},
		v1alpha1.ReasonAlreadyImported:   {imported, imported, false, true},
		v1alpha1.ReasonRejected:          {stalled, pending, false, true},
		v1alpha1.ReasonOperationFailed:   {stalled, pending, false, true},
		v1alpha1.ReasonDuplicate:         {stalled, stalled, true, true},
	} {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			backup := settledAs(reason)()
			g.Expect(readyReason(backup)).To(Equal(reason))
			g.Expect(edited(backup)).To(BeFalse())
			g.Expect(stateOf(backup)).To(Equal(want.state))
			g.Expect(active(backup)).To(Equal(want.active), "active")

			backup = edit(backup)
			g.Expect(edited(backup)).To(BeTrue())
			g.Expect(stateOf(backup)).To(Equal(want.edited), "edited")
			g.Expect(active(backup)).To(Equal(want.activeWhenEdited), "active when edited")

			backup = asked(settledAs(reason)(), "now")
			g.Expect(stateOf(backup)).To(Equal(want.edited), "asked to try again")
			g.Expect(active(backup)).To(Equal(want.activeWhenEdited), "active when asked to try again")
			backup.Status.LastHandledRequest = "now"
			g.Expect(stateOf(backup)).To(Equal(want.state), "asked, and answered")
			g.Expect(active(backup)).To(Equal(want.active))
		})
	}
	for name, backup := range map[string]*v1alpha1.BackupSync{
		"with the default status": newBackup(),
		"without a status":        newBackup(func(b *v1alpha1.BackupSync) { b.Status = v1alpha1.BackupSyncStatus{} }),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(stateOf(backup)).To(Equal(pending))
			g.Expect(edited(backup)).To(BeTrue(), "nobody has acted on it yet")
			g.Expect(active(backup)).To(BeTrue())
			g.Expect(accepted(backup)).To(BeFalse())
		})
	}
}

// Once CBR has, or has had, a backup, no rival may be sent in its place.
func TestAccepted(t *testing.T) {
	g := NewWithT(t)
	for name, row := range conditionTable {
		backup := row.backup()
		g.Expect(accepted(backup)).To(Equal(row.submitted || row.ready == metav1.ConditionTrue), name)
		g.Expect(accepted(edit(backup))).To(Equal(accepted(backup)), "%s, edited", name)
	}
}

func TestActiveKeys(t *testing.T) {
	g := NewWithT(t)
	g.Expect(activeKeys(newBackup())).To(Equal([]string{"default"}))
	done := settledAs(v1alpha1.ReasonImported)()
	g.Expect(activeKeys(done)).To(BeEmpty())
	g.Expect(activeKeys(edit(done))).To(Equal([]string{"default"}))
	g.Expect(backupKeys(done)).To(Equal([]string{backupKey(done.Spec.BackupID)}), "imported ones, too, are rivals")
}

func TestStateNames(t *testing.T) {
	g := NewWithT(t)
	names := map[state]string{pending: "pending", running: "running", imported: "imported", stalled: "failed"}
	for state, name := range names {
		g.Expect(state.String()).To(Equal(name), "the names of the metric's label and of status.backups")
	}
}

func TestOlder(t *testing.T) {
	g := NewWithT(t)
	at := func(name string, created time.Time) *v1alpha1.BackupSync {
		return newBackup(func(b *v1alpha1.BackupSync) { b.Name, b.CreationTimestamp = name, metav1.NewTime(created) })
	}
	first, second := at("z", seconds(0)), at("a", seconds(1))
	g.Expect(older(first, second)).To(BeNumerically("<", 0))
	g.Expect(older(second, first)).To(BeNumerically(">", 0))
	g.Expect(older(at("a", seconds(0)), at("b", seconds(0)))).To(BeNumerically("<", 0))
	g.Expect(older(at("b", seconds(0)), at("a", seconds(0)))).To(BeNumerically(">", 0))
	g.Expect(older(first, first)).To(BeZero())
}
