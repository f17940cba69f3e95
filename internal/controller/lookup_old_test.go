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
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What a process has seen or done a moment ago, and what has happened since.

// ticking is a clock that moves on between any two looks at it, as real ones do.
type ticking struct{ looks atomic.Int64 }

func (c *ticking) Now() time.Time {
	return time.Now().Add(time.Duration(c.looks.Add(1)) * time.Microsecond)
}

func (c *ticking) Since(at time.Time) time.Duration { return c.Now().Sub(at) }

// A look serves the passes of the next minute, on a clock that does not stand still during a pass, too.
func TestALookServesLaterPassesOnAClockThatMoves(t *testing.T) {
	lists := func(t *testing.T, moves clock.PassiveClock) (lists int) {
		t.Helper()
		scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(_ *testing.T, w *world) {
			w.actors[0].reconciler.options.Clock = moves
			w.declareMany(200) // a pass makes 20 calls of 2
			w.liveUntil(w.actors[0], time.Minute, w.allImported)
			for _, call := range w.cloud.Ledger() {
				if call.Operation == cbr.OperationListBackups {
					lists++
				}
			}
		})
		return lists
	}
	if still, moving := lists(t, clock.RealClock{}), lists(t, &ticking{}); moving > still {
		t.Errorf("%d pages of CBR's backups are read if the clock stands still during a pass, %d if it moves", still, moving)
	}
}

// A look from before a backup was imported says nothing of the time after it, when its BackupSync is applied again.
func TestALookFromBeforeAnImportIsNotBelievedAfterIt(t *testing.T) {
	for _, backups := range []int{1, 5, 12} {
		t.Run(fmt.Sprint(backups), func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, backups, func(t *testing.T, w *world) {
				if !w.liveUntil(w.actors[0], 30*time.Second, w.allImported) {
					t.Fatalf("they are %v", w.reasons())
				}
				for number := range backups {
					w.recreate(number)
				}
				w.live(w.actors[0], 5*time.Minute)
				w.wantTries(t, 1, itemOf(0).ID)
			})
		})
	}
}

// A person does what the message says: deletes the backup in CBR, then requests another import.
func TestARequestSoonAfterABackupWasFoundBrokenIsMetByANewLook(t *testing.T) {
	for _, backups := range []int{1, 12} {
		t.Run(fmt.Sprint(backups), func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, backups, func(t *testing.T, w *world) {
				a := w.actors[0]
				w.hold(itemOf(0).ID, string(cbr.BackupError))
				broken := func() bool { return w.reason("b0") == v1alpha1.ReasonBackupUnusable }
				if !w.liveUntil(a, time.Minute, broken) {
					t.Fatalf("it is %s", w.reason("b0"))
				}
				w.removeInCBR(itemOf(0).ID)
				w.request(kindBackup, "b0")
				if !w.liveUntil(a, time.Hour, w.allImported) {
					t.Errorf("deleted in CBR and requested again, it is %s an hour later", w.reason("b0"))
				}
			})
		})
	}
}

// A backup that was in CBR a moment ago, and is not any more, is not said to be imported when it is declared again.
func TestABackupDeletedInCBRSinceTheLookIsNotAlreadyImported(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.hold(itemOf(0).ID, string(cbr.BackupAvailable))
		if !w.liveUntil(a, time.Minute, w.allImported) {
			t.Fatalf("it is %s", w.reason("b0"))
		}
		w.recreate(0)
		w.removeInCBR(itemOf(0).ID)
		w.live(a, time.Hour)
		w.wantTries(t, 1, itemOf(0).ID)
		if reason := w.reason("b0"); reason == v1alpha1.ReasonAlreadyImported {
			t.Errorf("CBR does not have it, and it is %s", reason)
		}
	})
}

// CBR keeps the tasks of earlier imports for a month. A call that never arrived is not taken for one of them.
func TestALostCallIsNotGivenTheTaskOfAnEarlierImport(t *testing.T) {
	for _, ended := range []cbr.TaskStatus{cbr.TaskSuccess, cbr.TaskFailed, cbr.TaskSkipped} {
		t.Run(string(ended), func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				w.endsAs(func(item cbr.Backup) cbrtest.Outcome {
					if len(w.audit.taken[cbr.Fold(item.ID)]) == 0 {
						return cbrtest.Outcome{Status: ended}
					}
					return cbrtest.Outcome{}
				})
				w.importElsewhere(t, itemOf(0))
				time.Sleep(24 * time.Hour)
				w.removeInCBR(itemOf(0).ID)
				w.declare("b0", itemOf(0).ID, itemOf(0).ResourceID)
				w.reach(w.actors[0], failsBefore)
				w.live(w.actors[0], time.Hour)
				if there := len(w.cloud.StoredBackups("")); there != 1 || w.audit.tries(itemOf(0).ID) != 2 {
					t.Errorf("it is %s, CBR has %d backups", w.reason("b0"), there)
				}
				if backupsync.StateOf(w.backup("b0")) != backupsync.Imported {
					t.Errorf("it is %s", w.reason("b0"))
				}
			})
		})
	}
}
