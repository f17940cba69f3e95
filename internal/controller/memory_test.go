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
	"fmt"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What is remembered for too long, or not for long enough.

// What a process remembers of backups that wait goes with their BackupSyncs.
func TestWhatIsRememberedOfWaitingBackupsGoesWithThem(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.configure(func(o *cbrtest.Options) {
			o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 50*time.Second
		})
		w.importElsewhere(t, itemOf(0))
		w.declareMany(100)
		w.live(a, 20*time.Second)
		for number := range 100 {
			w.server.remove(kindBackup, fmt.Sprintf("good-%03d", number))
		}
		w.declare("b0", itemOf(0).ID, "vm")
		w.live(a, 24*time.Hour)
		learnt := a.knows()
		if len(learnt.waits) > 0 {
			t.Errorf("%d waits of backups of which there is no BackupSync any more", len(learnt.waits))
		}
	})
}

// With lookupPolicy Never, what a lost call has brought to CBR while its BackupSync was gone is looked up when it comes back, by whatever
// process.
func TestWhatALostCallHasLeftWithoutABackupSyncIsLookedUpAfterARestart(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted %t", restarted), func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 1, func(t *testing.T, w *world) {
				w.reach(w.actors[0], answerLost)
				w.server.remove(kindBackup, "b0")
				w.live(w.actors[0], 5*time.Minute)
				if records := len(w.project().Status.Journal.Submissions); records > 0 {
					t.Fatalf("%d records are left", records)
				}
				if restarted {
					w.restart(0)
				}
				w.server.create(modelBackup(0))
				w.live(w.actors[0], 5*time.Minute)
				w.wantTries(t, 1, itemOf(0).ID)
			})
		})
	}
}

// A project that is pointed elsewhere and back within the settling time still knows what it has sent.
func TestAnEndpointThatIsEditedAndEditedBackForgetsNoCall(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.configure(func(o *cbrtest.Options) { o.VisibleAfter = 5 * time.Second })
		w.reach(a, goesWell)
		w.finish(a)
		w.live(a, time.Second)
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = "http://127.0.0.1:81" })
		w.live(a, time.Second)
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = "http://127.0.0.1:80" })
		w.recreate(0)
		w.live(a, 10*time.Minute)
		w.wantTries(t, 1, itemOf(0).ID)
	})
}

// Calls with one backup have failed while others went through. When all calls fail then, its own are no proof that it is to blame.
func TestABackupIsNotRejectedForAnOutageThatFollows(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { limit := int32(3); spec.Retry.Limit = &limit })
		page := cbrtest.APIError{Status: 502, Shape: cbrtest.ShapeHTML}
		w.refuse("poison", page)
		w.declare("b-poison", "poison", "vm-1")
		w.declareMany(6)
		if !w.liveUntil(a, time.Hour, func() bool { return w.reason("b-poison") == v1alpha1.ReasonRetryScheduled }) {
			t.Fatalf("they are %v", w.reasons())
		}
		w.configure(func(o *cbrtest.Options) { o.Reject = nil }) // it is well again, and now all calls fail
		w.refuseAll(during(2*time.Hour, cbrtest.AllCalls, page))
		w.live(a, 2*time.Hour)
		if state := backupsync.StateOf(w.backup("b-poison")); state == backupsync.Failed {
			t.Errorf("nothing goes through, and it is %s: %s", w.reason("b-poison"), readyOf(w.backup("b-poison").Status.Conditions).Message)
		}
		w.wantHealed(t, 4*time.Hour)
	})
}

// Only CBR rejects backups: a proxy that takes no body of any size says nothing of the only one there is.
func TestAProxyThatTakesNoBodiesRejectsNoBackup(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(t *testing.T, w *world) {
		w.refuseAll(during(time.Hour, cbrtest.Imports, cbrtest.APIError{Status: 413, Shape: cbrtest.ShapeHTML}))
		w.live(w.actors[0], 30*time.Minute)
		if reason := w.reason("b0"); reason == v1alpha1.ReasonRejected {
			t.Errorf("nothing has gone through, and it is %s after %d calls; the project is %s", reason, len(w.posts()), w.projectReason())
		}
		time.Sleep(time.Hour)
		w.wantHealed(t, 4*time.Hour)
	})
}

// A call that CBR has answered, and cleared from the journal, may not show yet when its BackupSync is applied again. Another
// process knows of it by the journal.
func TestAnAnsweredCallSettlesAcrossARestart(t *testing.T) {
	for _, policy := range []v1alpha1.LookupPolicy{v1alpha1.LookupBeforeFirstSubmission, v1alpha1.LookupNever} {
		t.Run(string(policy), func(t *testing.T) {
			scripted(t, policy, 1, func(t *testing.T, w *world) {
				w.configure(func(o *cbrtest.Options) { o.VisibleAfter, o.TaskDuration = propertySettle/2, time.Minute })
				w.reach(w.actors[0], goesWell)
				w.finish(w.actors[0])
				if records := len(w.project().Status.Journal.Submissions); records > 0 {
					t.Fatalf("%d records are left", records)
				}
				w.recreate(0)
				w.restart(0)
				w.live(w.actors[0], 5*time.Minute)
				w.wantTries(t, 1, itemOf(0).ID)
				if reason := w.reason("b0"); reason != v1alpha1.ReasonImported && reason != v1alpha1.ReasonAlreadyImported {
					t.Errorf("b0 is %s", reason)
				}
			})
		})
	}
}
