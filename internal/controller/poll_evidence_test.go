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
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What CBR shows of tasks that are followed.

// Every task fails, and leaves a backup in error: no try finds that for an import.
func TestAFailedImportThatLeavesABrokenBackupIsNotImported(t *testing.T) {
	for _, policy := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
		for _, ended := range []cbr.TaskStatus{cbr.TaskFailed, cbr.TaskTimeout, cbr.TaskSkipped} {
			t.Run(fmt.Sprintf("%s, lookups %s", ended, policy), func(t *testing.T) {
				inEachCloud(t, policy, 2, 3*time.Second, func(t *testing.T, w *world) {
					w.editProject(func(spec *v1alpha1.CBRProjectSpec) { limit := int32(3); spec.Retry.Limit = &limit })
					w.configure(func(o *cbrtest.Options) { o.FailedInError = true })
					w.endsAs(func(cbr.Backup) cbrtest.Outcome {
						return cbrtest.Outcome{Status: ended, Code: "BackupService.1006", Message: "the image is damaged"}
					})
					w.live(w.actors[0], 24*time.Hour)
					for _, backup := range w.server.backups() {
						if backupsync.StateOf(backup) != backupsync.Failed {
							t.Errorf("%s is %s", backup.Name, w.reason(backup.Name))
						}
						if message := readyOf(backup.Status.Conditions).Message; !strings.Contains(message, "the image is damaged") {
							t.Errorf("%s does not tell why: %s", backup.Name, message)
						}
					}
				})
			})
		}
	}
}

// An import that fails once and then succeeds is told as imported, whether or not the failure has left something.
func TestAFailedImportIsTriedAgain(t *testing.T) {
	for _, left := range []bool{false, true} {
		t.Run(fmt.Sprintf("leaves a broken backup %t", left), func(t *testing.T) {
			inEachCloud(t, v1alpha1.LookupNever, 2, 3*time.Second, func(t *testing.T, w *world) {
				w.editProject(func(spec *v1alpha1.CBRProjectSpec) { limit := int32(3); spec.Retry.Limit = &limit })
				w.configure(func(o *cbrtest.Options) { o.FailedInError = left })
				w.endsAs(func(item cbr.Backup) cbrtest.Outcome {
					if len(w.audit.taken[cbr.Fold(item.ID)]) == 0 {
						return cbrtest.Outcome{Status: cbr.TaskFailed, Code: "BackupService.1006"}
					}
					return cbrtest.Outcome{}
				})
				broken := func() bool { return w.allImported() || left && w.reasons()[v1alpha1.ReasonBackupUnusable] == 2 }
				if !w.liveUntil(w.actors[0], 24*time.Hour, broken) {
					t.Errorf("a day later they are %v", w.reasons())
				}
			})
		})
	}
}

// One backup of a task that reports errors is not there; another one cannot be asked for; the others are told.
func TestAnUnreadableIDOfATaskThatEndedHoldsUpNoOther(t *testing.T) {
	for _, refusal := range unreadableAnswers {
		t.Run(told(refusal), func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 3, func(t *testing.T, w *world) {
				w.batchesOf(50)
				w.configure(func(o *cbrtest.Options) { o.SharedTaskIDs = true })
				w.unreadable("bad.id", refusal)
				w.endsAs(func(item cbr.Backup) cbrtest.Outcome {
					if item.ID == itemOf(0).ID {
						return cbrtest.Outcome{Status: cbr.TaskFailed, Code: "BackupService.1006"}
					}
					return cbrtest.Outcome{}
				})
				w.declare("bad", "bad.id", "vm-bad")
				a := w.actors[0]
				w.live(a, time.Hour)
				if w.reason("b1") != v1alpha1.ReasonImported || w.reason("b2") != v1alpha1.ReasonImported || w.reason("b0") != v1alpha1.ReasonOperationFailed {
					t.Errorf("they are %v, the project %s", w.reasons(), w.projectReason())
				}
				if reads := len(w.cloud.Ledger()); reads > 600 {
					t.Errorf("%d calls in an hour", reads)
				}
				w.configure(func(o *cbrtest.Options) { o.GetError = nil })
				if !w.liveUntil(a, time.Hour, func() bool { return w.reason("bad") == v1alpha1.ReasonImported }) {
					t.Errorf("when it can be asked for, it is %s", w.reason("bad"))
				}
			})
		})
	}
}

// A task that fails as that of several leaves open what has become of each, whatever is known of the others: CBR may show one of them a
// moment later. So it is for a process that has not made the call.
func TestAFailedTaskStaysThatOfSeveral(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		for _, others := range []int{1, 2} {
			t.Run(fmt.Sprintf("another process %t, %d others", restarted, others), func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 1+others, func(t *testing.T, w *world) {
					w.batchesOf(50)
					w.configure(func(o *cbrtest.Options) { o.SharedTaskIDs, o.TaskDuration = true, 10*time.Second })
					late := itemOf(others)
					w.endsAs(func(item cbr.Backup) cbrtest.Outcome {
						if item.ID == late.ID {
							return cbrtest.Outcome{Status: cbr.TaskFailed, Code: "BackupService.1006"}
						}
						return cbrtest.Outcome{Status: cbr.TaskFailed, Code: "BackupService.1006", BackupStatus: string(cbr.BackupAvailable)}
					})
					w.reach(w.actors[0], goesWell)
					if restarted {
						w.restart(0)
					}
					known := func() bool { return w.reasons()[v1alpha1.ReasonImported] == others }
					if !w.liveUntil(w.actors[0], time.Minute, known) {
						t.Fatalf("they are %v", w.reasons())
					}
					w.live(w.actors[0], propertySettle/2)
					w.hold(late.ID, string(cbr.BackupAvailable))
					w.live(w.actors[0], 10*time.Minute)
					if !w.allImported() || len(w.posts()) != 1 {
						t.Errorf("they are %v, after %d sync calls", w.reasons(), len(w.posts()))
					}
				})
			})
		}
	}
}

// A task that fails as that of one backup is told at once.
func TestAFailedTaskOfOneIsToldAtOnce(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 1, func(t *testing.T, w *world) {
		w.endsAs(func(cbr.Backup) cbrtest.Outcome {
			return cbrtest.Outcome{Status: cbr.TaskFailed, Code: "BackupService.1006"}
		})
		w.reach(w.actors[0], goesWell)
		w.live(w.actors[0], 5*time.Second) // its task takes 3 s, and CBR may take 6 s to show what one of several has left
		if reason := w.reason("b0"); reason != v1alpha1.ReasonOperationFailed {
			t.Errorf("it is %s", reason)
		}
	})
}

// A task that cannot be asked for holds up no other, and is followed when it can be.
func TestAnUnreadableTaskHoldsUpNoOther(t *testing.T) {
	for _, refusal := range unreadableAnswers {
		t.Run(told(refusal), func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 1, func(t *testing.T, w *world) {
				w.configure(func(o *cbrtest.Options) { o.TaskDuration = 10 * time.Second })
				w.loseTheNext(goesWell)
				task := w.backup("b0").Status.OperationLogID
				w.unreadable(task, refusal)
				a := w.actors[0]
				w.live(a, time.Minute) // alone, it is asked for by its id
				w.declareMany(3)
				w.liveUntil(a, time.Hour, func() bool { return w.reasons()[v1alpha1.ReasonImported] >= 3 })
				if got := w.reasons()[v1alpha1.ReasonImported]; got < 3 {
					t.Errorf("%d of 3 others are imported, the project %s", got, w.projectReason())
				}
				w.configure(func(o *cbrtest.Options) { o.GetError = nil })
				if !w.liveUntil(a, time.Hour, w.allImported) {
					t.Errorf("when it can be asked for, it is %s", w.reason("b0"))
				}
			})
		})
	}
}

// CBR forgets tasks, and says so in many words. The backup itself decides then.
func TestATaskThatCBRHasForgottenIsSettledByItsBackup(t *testing.T) {
	for _, answer := range missingAnswers {
		for _, there := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the backup is there %t", told(answer), there), func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
					w.configure(func(o *cbrtest.Options) {
						o.TaskNotFound, o.BackupNotFound, o.TaskRetention, o.TaskDuration = &answer, &answer, 5*time.Second, 20*time.Second
					})
					if !there {
						w.endsAs(func(cbr.Backup) cbrtest.Outcome { return cbrtest.Outcome{Status: cbr.TaskFailed} })
					}
					w.live(w.actors[0], 30*time.Minute)
					want := v1alpha1.ReasonImported
					if !there {
						want = v1alpha1.ReasonOperationFailed
					}
					if w.reasons()[want] != 2 {
						t.Errorf("they are %v, the project %s", w.reasons(), w.projectReason())
					}
				})
			})
		}
	}
}

// One status that cannot be written holds up nobody, and is written when it can be.
func TestAStatusThatCannotBeWrittenHoldsUpNoOther(t *testing.T) {
	for name, begin := range map[string]func(*world, *actor){
		"of one that is stalled, and requested at the project": func(w *world, a *actor) {
			w.refuse("bad", cbrtest.APIError{Status: 400, Code: "BackupService.9900"})
			w.declare("bad", "bad", "vm-bad")
			w.live(a, time.Minute)
			w.denyStatus()
			w.request(kindProject, firstProject)
		},
		"of one that is suspended": func(w *world, a *actor) {
			w.denyStatus()
			suspended := modelBackup(w.created)
			suspended.Name, suspended.Spec.Suspend = "bad", true
			w.server.create(suspended)
			w.live(a, time.Minute)
		},
		"of one that is accepted": func(w *world, a *actor) {
			w.denyStatus()
			w.declare("bad", "bad", "vm-bad")
			w.live(a, time.Minute)
		},
		"of one that is rejected": func(w *world, a *actor) {
			w.denyStatus()
			w.refuse("bad", cbrtest.APIError{Status: 400, Code: "BackupService.9900"})
			w.declare("bad", "bad", "vm-bad")
			w.live(a, time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
				a := w.actors[0]
				begin(w, a)
				for number := range 150 { // more than there may be records
					w.declare(fmt.Sprintf("good-%03d", number), fmt.Sprintf("good-%03d", number), fmt.Sprintf("vm-%d", number))
					w.live(a, 10*time.Second)
				}
				good := func() bool { return w.reasons()[v1alpha1.ReasonImported] >= 150 }
				if !w.liveUntil(a, 2*time.Hour, good) {
					t.Errorf("they are %v", w.reasons())
				}
			})
		})
	}
}

// denyStatus has an admission policy refuse the status of the BackupSync bad.
func (w *world) denyStatus() {
	w.server.deny = func(kind, name string) error {
		if kind != kindBackup || name != "bad" {
			return nil
		}
		return apierrors.NewForbidden(resourceOf(kindBackup), name, fmt.Errorf("admission webhook %q denied the request", "policy"))
	}
}

// Calls of a clock that was ahead do not count for longer than others.
func TestCallsOfAClockThatWasAheadDoNotFillTheWindow(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = 1 })
		set := &aheadClock{by: 24 * time.Hour}
		w.actors[0].reconciler.options.Clock = set
		w.live(w.actors[0], time.Minute)
		set.by = 0
		w.restart(0)
		w.declare("late", "late", "vm-late")
		if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
			t.Errorf("ten minutes later they are %v\n%s", w.reasons(), strings.Join(w.excerpt(), "\n"))
		}
	})
}
