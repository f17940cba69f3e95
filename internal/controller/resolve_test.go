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

	"k8s.io/utils/clock"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What CBR shows of a recorded call whose outcome is not known.

// lostCalls are the ways in which a call ends without an outcome, and whether CBR has taken it.
var lostCalls = map[string]struct {
	outcome verdict
	taken   bool
}{
	"it never arrived":        {failsBefore, false},
	"the answer was lost":     {answerLost, true},
	"it arrived later":        {arrivesLate, true},
	"the process ended first": {crashBefore, false},
	"the process ended":       {crashAfter, true},
}

// Two backups of one machine, in two calls: the task of the first must not be taken for that of the second.
func TestALostCallIsNotGivenTheTaskOfAnother(t *testing.T) {
	for name, lost := range lostCalls {
		t.Run(name, func(t *testing.T) {
			inEachCloud(t, v1alpha1.LookupBeforeFirstSubmission, 0, 30*time.Second, func(t *testing.T, w *world) {
				w.declare("monday", itemOf(0).ID, "vm-1")
				w.reach(w.actors[0], goesWell)
				w.configure(func(o *cbrtest.Options) { o.TaskDuration = 40 * time.Second })
				w.declare("tuesday", itemOf(1).ID, "vm-1")
				w.loseTheNext(lost.outcome)
				if !w.liveUntil(w.actors[0], 30*time.Minute, w.allImported) {
					t.Errorf("half an hour later they are %v", w.reasons())
				}
				w.wantTries(t, 1, itemOf(0).ID, itemOf(1).ID)
			})
		})
	}
}

// loseTheNext loses the next sync call, made by a call or, where the judge waits for other tasks first, later.
func (w *world) loseTheNext(outcome verdict) {
	for range 200 {
		a := w.actors[0]
		a.sees()
		if w.pass(a, outcome, "cloud: POST") {
			return
		}
		time.Sleep(time.Second)
	}
	w.audit.found("no sync call is made")
}

// wantTries checks how often CBR has taken backups.
func (w *world) wantTries(t *testing.T, want int, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if got := w.audit.tries(id); got != want {
			t.Errorf("%s was accepted %d times, not %d", id, got, want)
		}
	}
}

// A call of several backups is lost: none is sent while its task may run, and each that was not taken is sent again.
func TestALostCallIsSentAgainOnlyAsFarAsItWasNotTaken(t *testing.T) {
	for name, lost := range lostCalls {
		for _, visible := range []time.Duration{0, propertySettle - time.Second} {
			t.Run(fmt.Sprintf("%s, shown after %s", name, visible), func(t *testing.T) {
				inEachCloud(t, v1alpha1.LookupNever, 3, 30*time.Second, func(t *testing.T, w *world) {
					w.batchesOf(3)
					w.configure(func(o *cbrtest.Options) { o.VisibleAfter = visible })
					w.loseTheNext(lost.outcome)
					if !w.liveUntil(w.actors[0], 30*time.Minute, w.allImported) {
						t.Errorf("half an hour later they are %v", w.reasons())
					}
					w.wantTries(t, 1, itemOf(0).ID, itemOf(1).ID, itemOf(2).ID)
				})
			})
		}
	}
}

// Waiting tasks have not started: start_time may leave them out.
func TestALostCallWhoseTasksWaitIsNotSentAgain(t *testing.T) {
	inEachCloud(t, v1alpha1.LookupNever, 3, 50*time.Second, func(t *testing.T, w *world) {
		w.configure(func(o *cbrtest.Options) { o.StartTimeIsStart = true })
		w.reach(w.actors[0], answerLost)
		if !w.liveUntil(w.actors[0], 30*time.Minute, w.allImported) {
			t.Errorf("half an hour later they are %v", w.reasons())
		}
	})
}

// The settling time counts from when the call is over, at the latest: CBR may take it just before its caller gives up.
func TestSettlingCountsFromTheEndOfTheCall(t *testing.T) {
	for _, visible := range []time.Duration{0, time.Second, 4 * time.Second, propertySettle - 100*time.Millisecond} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("shown after %s, another process %t", visible, restarted), func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
					w.configure(func(o *cbrtest.Options) { o.VisibleAfter, o.TaskDuration = visible, 30*time.Second })
					w.reach(w.actors[0], arrivesLate)
					if restarted {
						w.restart(0)
					}
					if !w.liveUntil(w.actors[0], 30*time.Minute, w.allImported) {
						t.Errorf("half an hour later they are %v", w.reasons())
					}
				})
			})
		}
	}
}

// partialAnswers are answers to a call of which CBR has taken one item all the same.
var partialAnswers = []cbrtest.Fault{
	{Status: 400, Code: "BackupService.9900"}, {Status: 400, Code: "BackupService.7302"}, {Status: 409, Code: "BackupService.6125"},
	{Status: 403, Code: "BackupService.8600"}, {Status: 500, Code: "BackupService.1006"}, {Status: 500}, {Status: 502}, {Status: 504, Code: "APIGW.0201"},
	{Empty200: true}, {Body: `{"sync":[]}`}, {Body: "<html>", ContentType: "text/html"}, {Status: 400, Shape: cbrtest.ShapeHTML},
	{Status: 404, Shape: cbrtest.ShapeOpenStack}, {Status: 418, Shape: cbrtest.ShapeHTML},
}

// What CBR took of a call that it refuses is shown a while later: for a refusal of its own within the shorter time.
func TestWhatARefusedCallHasLeftIsNotSentAgain(t *testing.T) {
	for _, fault := range partialAnswers {
		for _, visible := range []time.Duration{0, time.Second, 4 * time.Second} {
			t.Run(fmt.Sprintf("%d %s %s%s, shown after %s", fault.Status, fault.Code, fault.Shape, fault.Body, visible), func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
					w.configure(func(o *cbrtest.Options) { o.VisibleAfter, o.TaskDuration = visible, 30*time.Second })
					fault.Operation, fault.AcceptItems = cbr.OperationImport, 1
					w.cloud.Inject(fault)
					if !w.liveUntil(w.actors[0], 2*time.Hour, w.allImported) {
						t.Errorf("two hours later they are %v, the project %s", w.reasons(), w.projectReason())
					}
					w.wantTries(t, 1, itemOf(0).ID, itemOf(1).ID)
				})
			})
		}
	}
}

// The backup itself decides, when its task has ended: it may be there, broken, or not at all.
func TestALostCallEndsAsItsBackups(t *testing.T) {
	for _, status := range append(append([]cbr.BackupStatus{"", cbr.BackupError}, usableStatuses...), passingStatuses...) {
		for _, ended := range []cbr.TaskStatus{cbr.TaskSuccess, cbr.TaskFailed} {
			if status == "" && ended == cbr.TaskSuccess {
				continue // CBR says itself whether it has the backup
			}
			t.Run(fmt.Sprintf("task %s, backup %q", ended, status), func(t *testing.T) {
				inEachCloud(t, v1alpha1.LookupBeforeFirstSubmission, 2, 20*time.Second, func(t *testing.T, w *world) {
					w.configure(func(o *cbrtest.Options) { // a task that names its backup is believed, how ever it ended
						o.HideTaskBackup = true
					})
					w.endsAs(func(item cbr.Backup) cbrtest.Outcome {
						if item.ID == itemOf(0).ID && w.audit.taken[cbr.Fold(item.ID)] == nil {
							return cbrtest.Outcome{Status: ended, BackupStatus: string(status)}
						}
						return cbrtest.Outcome{}
					})
					w.loseTheNext(answerLost)
					w.live(w.actors[0], 10*time.Minute)
					w.checkEnd(t, "b0", status)
					if w.reason("b1") != v1alpha1.ReasonImported {
						t.Errorf("the other one of its call is %s", w.reason("b1"))
					}
				})
			})
		}
	}
}

// checkEnd checks what has become of a BackupSync whose only task has ended, and has left its backup in a status.
func (w *world) checkEnd(t *testing.T, name string, status cbr.BackupStatus) {
	t.Helper()
	backup := w.backup(name)
	state := backupsync.StateOf(backup)
	switch {
	case status.Usable():
		if state != backupsync.Imported {
			t.Errorf("CBR has it in status %s, and it is %s", status, w.reason(name))
		}
	case status == cbr.BackupError:
		if state != backupsync.Failed {
			t.Errorf("CBR has it in status error, and it is %s", w.reason(name))
		}
	case status != "": // the audit sees to it that it is not imported, and not sent
		if state == backupsync.Imported {
			t.Errorf("CBR has it in status %s, and it is %s", status, w.reason(name))
		}
	}
}

// One of a call cannot be asked for: that keeps the others no longer than they need.
func TestAnUnreadableIDOfALostCallHoldsUpNoOther(t *testing.T) {
	for _, refusal := range unreadableAnswers {
		for name, lost := range lostCalls {
			t.Run(told(refusal)+", "+name, func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 3, func(t *testing.T, w *world) {
					w.batchesOf(50)
					w.unreadable("bad.id", refusal)
					w.declare("bad", "bad.id", "vm-bad")
					w.loseTheNext(lost.outcome)
					w.live(w.actors[0], time.Hour)
					if got := w.reasons()[v1alpha1.ReasonImported]; got < 3 {
						t.Errorf("an hour later %d of 3 others are imported; the project is %s", got, w.projectReason())
					}
				})
			})
		}
	}
}

// The same where CBR refuses the call for that very item.
func TestAnUnreadableIDOfARefusedCallHoldsUpNoOther(t *testing.T) {
	for _, refusal := range unreadableAnswers {
		t.Run(told(refusal), func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 3, func(t *testing.T, w *world) {
				w.batchesOf(50)
				w.unreadable("bad.id", refusal)
				w.refuse("bad.id", cbrtest.APIError{Status: 400, Code: "BackupService.9900", Message: "backup_id"})
				w.declare("bad", "bad.id", "vm-bad")
				w.live(w.actors[0], time.Hour)
				if got := w.reasons()[v1alpha1.ReasonImported]; got < 3 {
					t.Errorf("an hour later %d of 3 others are imported; the project is %s", got, w.projectReason())
				}
			})
		})
	}
}

// A long list of tasks is no reason not to look.
func TestALostCallAmongManyTasks(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
		w.configure(func(o *cbrtest.Options) { o.MaxPage = 2 })
		w.reach(w.actors[0], failsBefore)
		for number := range 300 {
			w.importElsewhere(t, cbrtest.Backup(500+number))
		}
		if !w.liveUntil(w.actors[0], time.Hour, w.allImported) {
			t.Errorf("an hour later they are %v, the project %s", w.reasons(), w.projectReason())
		}
	})
}

// A list that does not hold still tells nothing; when it does, everything goes on.
func TestALostCallIsNotJudgedByAListThatMoves(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
		w.configure(func(o *cbrtest.Options) { o.MaxPage, o.ListShift, o.TaskDuration = 2, 1, 50*time.Second })
		for number := range 8 {
			w.importElsewhere(t, cbrtest.Backup(500+number))
		}
		w.reach(w.actors[0], answerLost)
		w.live(w.actors[0], 20*time.Minute)
		w.configure(func(o *cbrtest.Options) { o.ListShift = 0 })
		if !w.liveUntil(w.actors[0], time.Hour, w.allImported) {
			t.Errorf("an hour later they are %v, the project %s", w.reasons(), w.projectReason())
		}
	})
}

// aheadClock is a clock that is ahead. A clock that is behind would have every call begin late: package cbr has the real one.
type aheadClock struct {
	clock.RealClock
	by time.Duration
}

func (c *aheadClock) Now() time.Time { return c.RealClock.Now().Add(c.by) }

func (c *aheadClock) Since(at time.Time) time.Duration { return c.Now().Sub(at) }

// The clock is set back between two attempts, or ahead, and the answer to the second is lost: no time tells which attempt it is.
func TestAClockThatIsSetBetweenTwoAttempts(t *testing.T) {
	for _, ahead := range [][2]time.Duration{{10 * time.Minute, 0}, {24 * time.Hour, 0}, {0, 10 * time.Minute}} {
		for name, lost := range lostCalls {
			t.Run(fmt.Sprintf("from %s ahead to %s, %s", ahead[0], ahead[1], name), func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 1, func(t *testing.T, w *world) {
					retriesWithAnotherClock(t, w, ahead[0], ahead[1], lost.outcome)
				})
			})
		}
	}
}

func retriesWithAnotherClock(t *testing.T, w *world, first, second time.Duration, outcome verdict) {
	t.Helper()
	set := &aheadClock{by: first}
	w.actors[0].reconciler.options.Clock = set
	w.endsAs(func(item cbr.Backup) cbrtest.Outcome {
		if w.audit.taken[cbr.Fold(item.ID)] == nil {
			return cbrtest.Outcome{Status: cbr.TaskFailed, Code: "BackupService.1006"}
		}
		return cbrtest.Outcome{}
	})
	w.configure(func(o *cbrtest.Options) { o.TaskDuration = 20 * time.Second })
	w.editProject(func(spec *v1alpha1.CBRProjectSpec) { limit := int32(3); spec.Retry.Limit = &limit })
	a := w.actors[0]
	w.liveUntil(a, 10*time.Minute, func() bool { return w.reason("b0") == v1alpha1.ReasonRetryScheduled })
	set.by = second
	w.request(kindBackup, "b0") // the time of the retry is far away by this clock
	w.loseTheNext(outcome)
	w.actors[0].reconciler.options.Clock = set // if it was restarted
	if !w.liveUntil(w.actors[0], 48*time.Hour, w.allImported) {
		t.Errorf("two days later it is %s", w.reason("b0"))
	}
	w.wantTries(t, 2, itemOf(0).ID)
}

// A record of whose backups none has a BackupSync any more goes as soon as CBR shows what became of it, and not before.
func TestARecordOfDeletedBackupSyncsIsClearedByEvidence(t *testing.T) {
	for name, lost := range lostCalls {
		t.Run(name, func(t *testing.T) {
			inEachCloud(t, v1alpha1.LookupBeforeFirstSubmission, 2, 30*time.Second, func(t *testing.T, w *world) {
				w.loseTheNext(lost.outcome)
				for number := range 2 {
					w.server.remove(kindBackup, fmt.Sprintf("b%d", number))
				}
				w.live(w.actors[0], 3*time.Second)
				for number := range 2 {
					w.server.create(modelBackup(number))
				}
				settled := func() bool { return w.allImported() && len(w.project().Status.Journal.Submissions) == 0 }
				if !w.liveUntil(w.actors[0], 30*time.Minute, settled) {
					t.Errorf("half an hour later they are %v, with %d records", w.reasons(), len(w.project().Status.Journal.Submissions))
				}
			})
		})
	}
}
