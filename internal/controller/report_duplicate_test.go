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
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// The owner of a backup is deleted. The BackupSync that was its duplicate tells what it waits for itself, and names nobody who is gone.
func TestADuplicateWhoseOwnerIsGoneTellsWhatItWaitsFor(t *testing.T) {
	suspended := func(t *testing.T, w *world) {
		t.Helper()
		owner := modelBackup(0)
		owner.Spec.Suspend = true
		w.server.create(owner)
		time.Sleep(2 * time.Second)
		w.declare("dup", itemOf(0).ID, itemOf(0).ResourceID)
		w.live(w.actors[0], 20*time.Second)
	}
	for name, row := range map[string]struct {
		begin  func(*testing.T, *world)
		hold   func(*testing.T, *world)
		reason string
	}{
		"a task that may be its own": {suspended, func(t *testing.T, w *world) {
			t.Helper()
			w.configure(func(o *cbrtest.Options) {
				o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 50*time.Second
			})
			w.importElsewhere(t, itemOf(1))
		}, v1alpha1.ReasonAwaitingTask},
		"a suspended project": {suspended, func(_ *testing.T, w *world) {
			w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Suspend = true })
		}, v1alpha1.ReasonQueued},
		"CBR, which cannot be asked": {suspended, func(_ *testing.T, w *world) {
			w.unreadable(itemOf(0).ID, cbrtest.APIError{Status: 409, Code: "BackupService.6125"})
		}, v1alpha1.ReasonQueued},
		"a call that was lost": {func(_ *testing.T, w *world) {
			w.configure(func(o *cbrtest.Options) { o.TaskDuration = time.Minute })
			w.server.create(modelBackup(0))
			time.Sleep(2 * time.Second)
			w.declare("dup", itemOf(0).ID, itemOf(0).ResourceID)
			w.reach(w.actors[0], answerLost)
			w.live(w.actors[0], time.Second)
		}, func(*testing.T, *world) {}, v1alpha1.ReasonOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				a := w.actors[0]
				row.begin(t, w)
				if got := w.reason("dup"); got != v1alpha1.ReasonDuplicate {
					t.Fatalf("while its owner is there, it is %s", got)
				}
				row.hold(t, w)
				w.server.remove(kindBackup, "b0")
				w.live(a, 3*time.Second)
				if ready := readyOf(w.backup("dup").Status.Conditions); ready.Reason != row.reason || strings.Contains(ready.Message, "b0") {
					t.Errorf("its owner is gone, and it is %s: %s", ready.Reason, ready.Message)
				}
				w.configure(func(o *cbrtest.Options) { o.GetError = nil })
				w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Suspend = false })
				if !w.liveUntil(a, time.Hour, w.allImported) {
					t.Errorf("an hour later they are %v", w.reasons())
				}
			})
		})
	}
}

// Whoever is still a duplicate says so, whatever the project waits for.
func TestADuplicateWhoseOwnerIsThereRemainsOne(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		owner := modelBackup(0)
		owner.Spec.Suspend = true
		w.server.create(owner)
		time.Sleep(2 * time.Second)
		w.declare("dup", itemOf(0).ID, itemOf(0).ResourceID)
		w.live(w.actors[0], 20*time.Second)
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Suspend = true })
		w.declare("another", itemOf(1).ID, itemOf(1).ResourceID)
		w.live(w.actors[0], time.Hour)
		if got := w.reason("dup"); got != v1alpha1.ReasonDuplicate {
			t.Errorf("it is %s", got)
		}
	})
}
