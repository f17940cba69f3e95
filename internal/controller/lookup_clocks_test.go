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

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// CBR's clock is another than ours, and that of what answers for it may be a third.

// clockDifferences are by how much the clocks of a cloud are ahead of ours.
var clockDifferences = map[string]func(*cbrtest.Options){
	"a minute behind":             func(o *cbrtest.Options) { o.ClockOffset, o.TimeOffset = -time.Minute, -time.Minute },
	"eight hours behind":          func(o *cbrtest.Options) { o.ClockOffset, o.TimeOffset = -8*time.Hour, -8*time.Hour },
	"eight hours ahead":           func(o *cbrtest.Options) { o.ClockOffset, o.TimeOffset = 8*time.Hour, 8*time.Hour },
	"tasks a little behind":       func(o *cbrtest.Options) { o.TimeOffset = -30 * time.Second },
	"tasks in another time zone":  func(o *cbrtest.Options) { o.TimeOffset = 8 * time.Hour },
	"tasks in the next century":   func(o *cbrtest.Options) { o.TimeOffset = 80 * 365 * 24 * time.Hour },
	"a proxy that is late":        func(o *cbrtest.Options) { o.ClockOffset = -10 * time.Minute },
	"as ours, to compare it with": func(*cbrtest.Options) {},
}

// The answer to a call is lost, and its task ends while it is looked up: its backup is shown only a moment later.
func TestALostCallWhoseTaskHasJustEndedByAnotherClockIsNotSentAgain(t *testing.T) {
	for name, differ := range clockDifferences {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 1, func(t *testing.T, w *world) {
				w.configure(func(o *cbrtest.Options) {
					differ(o)
					o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 20*time.Second
				})
				w.endsAs(func(cbr.Backup) cbrtest.Outcome { return cbrtest.Outcome{BackupAfter: propertySettle / 2} })
				w.reach(w.actors[0], answerLost)
				if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
					t.Errorf("ten minutes later it is %s", w.reason("b0"))
				}
				if posts := len(w.posts()); posts != 1 {
					t.Errorf("%d sync calls", posts)
				}
			})
		})
	}
}

// So it is of a process that sees that task for the first time when it has ended.
func TestATaskThatHasJustEndedByAnotherClockIsWaitedForByANewProcess(t *testing.T) {
	for name, differ := range clockDifferences {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				w.configure(func(o *cbrtest.Options) {
					differ(o)
					o.HideTaskBackup, o.HideTaskResource = true, true
				})
				w.endsAs(func(cbr.Backup) cbrtest.Outcome { return cbrtest.Outcome{BackupAfter: propertySettle / 2} })
				w.importElsewhere(t, itemOf(0))
				time.Sleep(w.cloud.Options().TaskDuration + time.Second)
				w.declare("b0", itemOf(0).ID, itemOf(0).ResourceID)
				if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) || w.reason("b0") != v1alpha1.ReasonAlreadyImported {
					t.Errorf("ten minutes later it is %s", w.reason("b0"))
				}
			})
		})
	}
}

// A success of somebody else holds up nobody for long, whenever it was by CBR's clock; and it is not said to run.
func TestASuccessOfAnotherClockHoldsUpNobody(t *testing.T) {
	for name, differ := range clockDifferences {
		for _, ago := range []time.Duration{0, 24 * time.Hour} {
			t.Run(fmt.Sprintf("%s, %s ago", name, ago), func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
					w.configure(func(o *cbrtest.Options) {
						differ(o)
						o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 2*time.Minute // longer than poll.overdueAfter
					})
					w.importElsewhere(t, itemOf(0))
					time.Sleep(2*time.Minute + ago)
					w.configure(func(o *cbrtest.Options) { o.TaskDuration = time.Second })
					w.declare("b1", itemOf(1).ID, itemOf(1).ResourceID)
					const within = 3 * propertySettle
					imported := func() bool {
						if ready := readyOf(w.backup("b1").Status.Conditions); strings.Contains(ready.Message, "for longer than") {
							w.audit.found("it says %s", ready.Message)
						}
						return w.allImported()
					}
					if !w.liveUntil(w.actors[0], within, imported) {
						t.Errorf("%s later it is %s", within, w.reason("b1"))
					}
				})
			})
		}
	}
}

// A task that CBR has dated hours back by a clock that is behind is young all the same, and may be anybody's.
func TestATaskIsNotOverdueByAnotherClock(t *testing.T) {
	for name, differ := range clockDifferences {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				w.configure(func(o *cbrtest.Options) {
					differ(o)
					o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 25*time.Second
				})
				w.importElsewhere(t, itemOf(0))
				w.declare("b0", itemOf(0).ID, itemOf(0).ResourceID)
				if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
					t.Errorf("ten minutes later it is %s", w.reason("b0"))
				}
			})
		})
	}
}

// What CBR remembers of an import by hand, which a person has deleted since, is no import of ours, whatever the clocks.
func TestATaskOfAnEarlierImportIsNotFollowedByAnotherClock(t *testing.T) {
	for name, differ := range clockDifferences {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				w.configure(differ)
				w.importElsewhere(t, itemOf(0))
				time.Sleep(time.Hour)
				w.removeInCBR(itemOf(0).ID)
				w.declare("b0", itemOf(0).ID, itemOf(0).ResourceID)
				a := w.actors[0]
				if !w.liveUntil(a, 10*time.Minute, func() bool { return backupsync.StateOf(w.backup("b0")) == backupsync.Imported }) {
					t.Fatalf("ten minutes later it is %s", w.reason("b0"))
				}
				w.wantTries(t, 2, itemOf(0).ID)
			})
		})
	}
}

// A task that was seen under way is waited for after it has ended, although others have been dated well.
func TestATaskThatEndsInSightIsWaitedForWhateverItsDates(t *testing.T) {
	for _, behind := range []time.Duration{0, 25 * time.Second, 4 * time.Minute} {
		for _, extra := range []time.Duration{2 * time.Second, 8 * time.Second, 15 * time.Second} {
			t.Run(fmt.Sprintf("%s/%s", behind, extra), func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
					options := &w.actors[0].reconciler.options
					options.SettleTime = DefaultSettleTime // as it is by default: 30 s after the end of a task
					w.configure(func(o *cbrtest.Options) { o.HideTaskBackup, o.HideTaskResource = true, true })
					w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Poll.OverdueAfter.Duration = 6 * time.Hour })
					if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
						t.Fatalf("they are %v", w.reasons())
					}
					w.live(w.actors[0], 10*time.Minute)
					if lag := w.project().Status.Journal.TaskDateLagMilliseconds; lag == nil {
						t.Fatal("no lag learnt")
					} else {
						t.Logf("lag %d ms", *lag)
					}
					w.configure(func(o *cbrtest.Options) {
						o.TimeOffset = -behind
						o.TaskDuration = options.settlesWithin() + extra
					})
					w.endsAs(func(cbr.Backup) cbrtest.Outcome {
						return cbrtest.Outcome{BackupAfter: options.endSettles() - time.Second}
					})
					w.declare("new", itemOf(20).ID, itemOf(20).ResourceID)
					w.loseTheNext(answerLost)
					if !w.liveUntil(w.actors[0], 30*time.Minute, w.allImported) {
						t.Errorf("it is %s", w.reason("new"))
					}
					w.wantTries(t, 1, itemOf(20).ID)
				})
			})
		}
	}
}

// Ends that are dated after the Date of an answer tell nothing of how far dates are behind: that Date is wrong, and may be right later.
func TestEndsInTheFutureTeachNothing(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.configure(func(o *cbrtest.Options) {
			o.HideTaskBackup, o.HideTaskResource = true, true
			o.TimeOffset = -50 * time.Second  // all the time; less than ten settling times
			o.ClockOffset = -10 * time.Minute // of a proxy, or of one node of the gateway
		})
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Poll.OverdueAfter.Duration = 6 * time.Hour })
		if !w.liveUntil(a, 10*time.Minute, w.allImported) {
			t.Fatalf("they are %v", w.reasons())
		}
		w.live(a, 10*time.Minute)
		w.configure(func(o *cbrtest.Options) { o.ClockOffset, o.TaskDuration = 0, 20*time.Second }) // its clock was set right
		w.endsAs(func(cbr.Backup) cbrtest.Outcome { return cbrtest.Outcome{BackupAfter: propertySettle - time.Second} })
		w.declare("new", itemOf(20).ID, itemOf(20).ResourceID)
		w.loseTheNext(answerLost)
		if !w.liveUntil(a, 30*time.Minute, w.allImported) {
			t.Errorf("it is %s", w.reason("new"))
		}
		w.wantTries(t, 1, itemOf(20).ID)
	})
}
