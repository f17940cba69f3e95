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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
)

// What must not stand still, or go round in circles.

// suspend suspends a BackupSync, or lets it go on.
func (w *world) suspend(name string, suspended bool) {
	_ = w.server.change(kindBackup, name, func(object client.Object) (client.Object, error) {
		object.(*v1alpha1.BackupSync).Spec.Suspend = suspended
		object.SetGeneration(object.GetGeneration() + 1)
		return object, nil
	})
	w.note("%s is suspended: %t", name, suspended)
}

// Different tasks of backups of different machines do not tell that those of one machine have a task each.
func TestTasksOfDifferentMachinesDoNotTellThatEachBackupHasItsOwn(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.declare("vm1-a", itemOf(0).ID, "vm-1")
		w.declare("vm2-a", itemOf(1).ID, "vm-2")
		if !w.liveUntil(a, time.Minute, w.allImported) {
			t.Fatalf("they are %v", w.reasons())
		}
		w.configure(func(o *cbrtest.Options) { // a task for each machine of a call; it names the first backup
			o.SharedTaskIDs, o.NameFirst, o.TaskDuration = true, true, 30*time.Second
		})
		time.Sleep(2 * time.Minute)
		w.declare("vm3-a", itemOf(2).ID, "vm-3")
		w.declare("vm3-b", itemOf(3).ID, "vm-3")
		w.reach(a, answerLost)
		w.live(a, 30*time.Minute)
		w.wantTries(t, 1, itemOf(2).ID, itemOf(3).ID)
	})
}

// What the tasks of one cloud have told does not hold for another one.
func TestWhoseTasksAreIsLearntAnewInAnotherCloud(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 2, func(t *testing.T, w *world) {
		a := w.actors[0]
		if !w.liveUntil(a, time.Minute, w.allImported) {
			t.Fatalf("they are %v", w.reasons())
		}
		w.configure(func(o *cbrtest.Options) { o.SharedTaskIDs, o.NameFirst, o.TaskDuration = true, true, 30*time.Second })
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = "http://127.0.0.1:81" })
		w.live(a, 10*time.Minute)
		w.declare("a", itemOf(2).ID, "vm-3")
		w.declare("b", itemOf(3).ID, "vm-3")
		w.reach(a, answerLost)
		w.live(a, 30*time.Minute)
		w.wantTries(t, 1, itemOf(2).ID, itemOf(3).ID)
	})
}

// CBR takes 20 reads a second, and its list hides what belongs to other enterprise projects: each backup is asked for.
func TestLooksThatTakeLongAreNotTakenInVain(t *testing.T) {
	for _, count := range []int{400} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				w.batchesOf(50)
				w.configure(func(o *cbrtest.Options) { o.GrantDefaultOnly, o.ReadsPerSecond = true, 20 })
				for number := range 4 {
					w.hold(itemOf(number).ID, string(cbr.BackupAvailable))
					w.declare(fmt.Sprintf("held-%d", number), itemOf(number).ID, "vm")
				}
				w.declareMany(count)
				if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
					t.Errorf("ten minutes later, after %d calls, they are %v, the project is %s", len(w.cloud.Ledger()), w.reasons(), w.projectReason())
				}
			})
		})
	}
}

// One task of somebody else's never ends. All that waits is asked for singly.
func TestATaskThatNeverEndsDoesNotMakeLooksTooSlow(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		w.batchesOf(50)
		w.configure(func(o *cbrtest.Options) {
			o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 1000*time.Hour
		})
		w.importElsewhere(t, itemOf(0))
		w.configure(func(o *cbrtest.Options) { o.TaskDuration, o.ReadsPerSecond = 3*time.Second, 20 })
		time.Sleep(time.Hour)
		w.declareMany(150)
		if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
			t.Errorf("ten minutes later, after %d calls, they are %v, the project is %s", len(w.cloud.Ledger()), w.reasons(), w.projectReason())
		}
	})
}

// A person suspends the two backups that the events speak of. The others of their call do not wait for them for ever.
func TestParkedBackupsDoNotWaitForThoseThatAreSuspended(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.batchesOf(4)
		for number := range 4 {
			w.declare(fmt.Sprintf("b%d", number), itemOf(number).ID, "vm-1")
		}
		w.refuse(itemOf(0).ID, cbrtest.APIError{Status: 400, Code: "BackupService.9900"})
		w.liveUntil(a, 10*time.Minute, func() bool { return len(w.posts()) == 2 })
		w.live(a, 2*propertySettle)
		w.suspend("b0", true)
		w.suspend("b1", true)
		w.live(a, 24*time.Hour)
		for _, name := range []string{"b2", "b3"} {
			if reason := w.reason(name); reason != v1alpha1.ReasonImported {
				t.Errorf("a day later %s is %s, the project %s, after %d calls", name, reason, w.projectReason(), len(w.posts()))
			}
		}
	})
}

// Calls were refused, and what they were made for is gone: nothing is known to be wrong any more.
func TestARefusalOfCallsIsForgottenWhenNothingIsLeftToSend(t *testing.T) {
	for name, refusal := range map[string]cbrtest.APIError{
		"a quota":             {Status: 400, Code: "BackupService.6114"},
		"a bad manifest each": {Status: 400, Code: "BackupService.9900"},
		"a permission":        {Status: 403, Message: "Policy doesn't allow cbr:backups:sync to be performed."},
		"no such call":        {Status: 404, Code: "APIGW.0101"},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 2, func(t *testing.T, w *world) {
				a := w.actors[0]
				w.refuseAll(during(time.Hour, cbrtest.Imports, refusal))
				w.live(a, 30*time.Minute)
				if readyOf(w.project().Status.Conditions).Status == metav1.ConditionTrue {
					t.Errorf("the project is %s while calls are refused", w.projectReason())
				}
				time.Sleep(time.Hour)
				w.server.remove(kindBackup, "b0")
				w.server.remove(kindBackup, "b1")
				w.live(a, 48*time.Hour)
				if ready := readyOf(w.project().Status.Conditions); ready.Status != metav1.ConditionTrue {
					t.Errorf("nothing is refused, nothing is left to send, and two days later the project is %s %s: %s", ready.Status, ready.Reason, ready.Message)
				}
			})
		})
	}
}

// CBR answers well, and leaves one backup out of every answer. It is not sent for ever at the same pace, and its status says something.
func TestABackupThatCBRLeavesOutOfItsAnswersIsSentEverMoreRarely(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(t *testing.T, w *world) {
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, Times: cbrtest.Always, Body: `{"sync":[]}`})
		w.live(w.actors[0], 2*time.Hour)
		if calls := len(w.posts()); calls > 60 {
			t.Errorf("%d calls in two hours, the project is %s, the backup %s", calls, w.projectReason(), w.reason("b0"))
		}
	})
}

// A backup that waited for a task, and is suspended, is not looked at any more: its status must not go on telling of the task.
func TestASuspendedBackupDoesNotSayThatItAwaitsATask(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		w.configure(func(o *cbrtest.Options) {
			o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 50*time.Second
		})
		w.importElsewhere(t, itemOf(0))
		w.declare("again", itemOf(1).ID, itemOf(1).ResourceID)
		w.live(w.actors[0], 20*time.Second)
		w.suspend("again", true)
		w.live(w.actors[0], time.Hour)
		if reason := w.reason("again"); reason != v1alpha1.ReasonSuspended {
			t.Errorf("the task has long ended, the backup is suspended, and it is %s", reason)
		}
	})
}

// Nor must it when its project makes no calls any more.
func TestABackupWhoseProjectMakesNoCallsDoesNotSayThatItAwaitsATask(t *testing.T) {
	for name, row := range map[string]struct {
		stop   func(*world)
		reason string
	}{
		"it is suspended": {reason: v1alpha1.ReasonQueued, stop: func(w *world) {
			w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Suspend = true })
		}},
		"it is in use by an older one": {reason: v1alpha1.ReasonQueued, stop: func(w *world) {
			w.createProject(secondProject)
			_ = w.server.change(kindProject, secondProject, func(object client.Object) (client.Object, error) {
				object.SetCreationTimestamp(metav1.NewTime(time.Unix(0, 0)))
				return object, nil
			})
		}},
		"it is deleted": {reason: v1alpha1.ReasonProjectNotFound, stop: func(w *world) {
			w.server.remove(kindProject, firstProject)
		}},
	} {
		for what, hold := range map[string]func(*testing.T, *world){
			"a task": func(t *testing.T, w *world) {
				t.Helper()
				w.configure(func(o *cbrtest.Options) {
					o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 50*time.Second
				})
				w.importElsewhere(t, itemOf(0))
			},
			"an answer": func(_ *testing.T, w *world) {
				w.unreadable(itemOf(1).ID, cbrtest.APIError{Status: 409, Code: "BackupService.6125"})
			},
		} {
			t.Run(name+", it waited for "+what, func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
					hold(t, w)
					w.declare("again", itemOf(1).ID, itemOf(1).ResourceID)
					w.live(w.actors[0], 20*time.Second)
					before := readyOf(w.backup("again").Status.Conditions)
					if before.Message == v1alpha1.QueuedMessage {
						t.Fatalf("it does not wait: %s", before.Reason)
					}
					row.stop(w)
					w.live(w.actors[0], time.Hour)
					after := readyOf(w.backup("again").Status.Conditions)
					if after.Reason != row.reason || after.Message == before.Message {
						t.Errorf("the project is %s, nobody asks CBR, and the backup is %s: %s", name, after.Reason, after.Message)
					}
				})
			})
		}
	}
}

// All that waits for the same task is looked at together.
func TestWhatWaitsForOneTaskIsLookedAtTogether(t *testing.T) {
	looks := func(t *testing.T, count int) (lists int) {
		t.Helper()
		scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
			w.configure(func(o *cbrtest.Options) {
				o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 50*time.Second
			})
			w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Poll.Interval.Duration = 10 * time.Second })
			w.importElsewhere(t, itemOf(0))
			w.declareMany(count)
			w.liveUntil(w.actors[0], 50*time.Second, func() bool { return len(w.posts()) > 1 })
			for _, call := range w.cloud.Ledger() {
				if call.Operation == cbr.OperationListTasks {
					lists++
				}
			}
		})
		return lists
	}
	few, many := looks(t, 8), looks(t, 400)
	if many > 2*few {
		t.Errorf("%d lists of tasks for 8 backups, and %d for 400", few, many)
	}
}

// What waits for the same is looked at together, whenever it has begun to wait, on a clock that moves.
func TestWhatBeganToWaitApartIsLookedAtTogether(t *testing.T) {
	const batches, window = 10, 10 // intervals
	for _, apart := range []time.Duration{10 * time.Millisecond, 370 * time.Millisecond, 970 * time.Millisecond, 2 * time.Second} {
		t.Run(apart.String(), func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				a := w.actors[0]
				a.reconciler.options.Clock, a.reconciler.options.SettleTime = &ticking{}, time.Minute
				w.configure(func(o *cbrtest.Options) { o.TaskDuration, o.Latency = 0, 5*time.Millisecond })
				w.batchesOf(50)
				w.importElsewhere(t, itemOf(0)) // its task has just succeeded: until that has settled, it may be anybody's
				began := time.Now()
				for batch := range batches {
					for number := range 20 {
						w.declare(fmt.Sprintf("good-%d-%02d", batch, number), cbrtest.Backup(1000+20*batch+number).ID, fmt.Sprintf("vm-%02d", number))
					}
					w.live(a, apart)
				}
				if !w.liveUntil(a, endSettleTime+3*time.Second-time.Since(began), func() bool { return len(w.posts()) > 1 }) {
					t.Error("they still wait when the task has long settled")
				}
				var looks [4]int // in each window
				for _, call := range w.cloud.Ledger() {
					if call.Operation == cbr.OperationListTasks && strings.Contains(call.Query+"&", "offset=0&") {
						looks[call.Time.Sub(began)/(window*time.Second)]++
					}
				}
				for i, count := range looks[:3] { // those at the end find all that is sent
					if count < window/4 || count > window*3/2 {
						t.Errorf("in each %d intervals CBR is looked at %v times: too few or too many in window %d", window, looks, i)
					}
				}
			})
		})
	}
}

// A list that is never complete, and reads of backups that all fail though lists do not, leave open for all what CBR has: that is the
// project's to say, be it that one backup waits or many.
func TestReadsThatTellNothingAreTheProjects(t *testing.T) {
	down := &cbrtest.APIError{Status: 500, Code: "BackupService.9910", Message: "internal error"}
	clouds := map[string]struct{ ill, well func(*cbrtest.Options) }{
		"lists that are never complete": {func(o *cbrtest.Options) { o.Count = cbrtest.CountMore }, func(o *cbrtest.Options) { o.Count = "" }},
		"questions that fail": {func(o *cbrtest.Options) { o.GetError = func(string) *cbrtest.APIError { return down } },
			func(o *cbrtest.Options) { o.GetError = nil }},
	}
	for name, cloud := range clouds {
		for _, count := range []int{1, 2, 20} {
			t.Run(fmt.Sprintf("%s, %d backups", name, count), func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
					w.configure(cloud.ill)
					w.declareMany(count)
					w.live(w.actors[0], time.Hour)
					w.wantHeldUp(t, v1alpha1.ReasonEndpointUnavailable)
					if reads := len(w.cloud.Ledger()); reads > 900 {
						t.Errorf("%d calls in an hour", reads)
					}
					w.configure(cloud.well)
					w.wantHealed(t, 10*time.Minute)
				})
			})
		}
	}
}

// One that alone cannot be asked for is no failure of the project, although nothing else is there to ask for.
func TestTheOnlyBackupThatCannotBeAskedForIsNotTheProjects(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		w.unreadable("bad.id", cbrtest.APIError{Status: 500, Code: "BackupService.9910"})
		w.declare("bad", "bad.id", "vm-bad")
		w.live(w.actors[0], time.Hour)
		if got := w.projectReason(); got != v1alpha1.ReasonUsable {
			t.Errorf("the project is %s", got)
		}
	})
}

// However much there is to send: as long as calls or reads pause, there is nothing to do before they may go on.
func TestAPauseWithMuchToSendIsOne(t *testing.T) {
	for name, calls := range map[string]cbrtest.Calls{"calls": cbrtest.Imports, "reads": cbrtest.Reads} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				w.refuseAll(during(time.Hour, calls, cbrtest.APIError{Status: 503, Code: "APIGW.0613"}))
				w.batchesOf(2)
				w.declareMany(200) // more than the calls of a pass take
				w.live(w.actors[0], 30*time.Minute)
				time.Sleep(30 * time.Minute)
				w.wantHealed(t, time.Hour)
			})
		})
	}
}

// A request is a reason to ask CBR at once, and once: if that cannot be answered, it is asked again as it would be without.
func TestARequestThatCannotBeMetIsNoReasonToAskWithoutEnd(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(t *testing.T, w *world) {
		w.unreadable(itemOf(0).ID, cbrtest.APIError{Status: 409, Code: "BackupService.6125"})
		w.live(w.actors[0], 10*time.Minute)
		before := len(w.cloud.Ledger())
		w.request(kindBackup, "b0")
		w.live(w.actors[0], time.Second)
		if len(w.cloud.Ledger()) == before {
			t.Error("CBR is not asked when a person wants it")
		}
		w.live(w.actors[0], time.Hour)
		if reads := len(w.cloud.Ledger()); reads > 600 {
			t.Errorf("%d calls in an hour", reads)
		}
		w.configure(func(o *cbrtest.Options) { o.GetError = nil })
		w.wantHealed(t, 10*time.Minute)
	})
}

// Refused credentials are tried again every hour. Around that, too, passes wait for each other.
func TestRefusedCredentialsMakeNoPassesWithoutEnd(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		w.refuseAll(during(5*time.Hour, cbrtest.AllCalls, cbrtest.APIError{Status: 401, Code: "APIGW.0301"}))
		w.declareMany(3)
		w.live(w.actors[0], 4*time.Hour)
		passes := 0
		for _, each := range w.trace {
			if strings.Contains(each, "begins a pass over "+firstProject) {
				passes++
			}
		}
		if most := int(4*time.Hour/connection.ContentWait) + 20; passes > most { // the Secret is read again every 10 s
			t.Errorf("%d passes in 4 hours, more than %d", passes, most)
		}
		if calls := len(w.cloud.Ledger()); calls > 15 {
			t.Errorf("%d calls in 4 hours", calls)
		}
	})
}
