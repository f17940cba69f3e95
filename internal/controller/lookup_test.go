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

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What CBR shows before a backup is first sent.

// The statuses of backups in CBR, by what they mean. The last one is not documented.
var (
	usableStatuses  = []cbr.BackupStatus{cbr.BackupAvailable, cbr.BackupRestoring, cbr.BackupWaitingRestore}
	passingStatuses = []cbr.BackupStatus{cbr.BackupDeleting, "waiting_delete", "protecting", "waiting_protect", "odd"}
)

// unreadableAnswers are answers to a question for one id that say nothing of it.
var unreadableAnswers = []cbrtest.APIError{
	{Status: 400, Code: "BackupService.9900", Message: "id is not a UUID"}, {Status: 400, Shape: cbrtest.ShapeOpenStack},
	{Status: 409, Code: "BackupService.6125"}, {Status: 500, Code: "BackupService.9910"}, {Status: 500, Shape: cbrtest.ShapeHTML},
	{Status: 502, Shape: cbrtest.ShapeHTML}, {Status: 504, Code: "APIGW.0201"},
}

// missingAnswers are answers that say that there is no backup or task of an id, here or in a sister cloud.
var missingAnswers = []cbrtest.APIError{
	{Status: 404, Code: "BackupService.6200"}, {Status: 404, Code: "BackupService.6201"}, {Status: 404, Code: "BackupService.6217"},
	{Status: 404, Code: "BackupService.6500"}, {Status: 404, Code: "BackupService.6501"}, {Status: 404, Shape: cbrtest.ShapeOpenStack},
	{Status: 404, Shape: cbrtest.ShapeEmpty},
}

// isStalled reports whether a person has to do something about a BackupSync.
func isStalled(backup *v1alpha1.BackupSync) bool {
	return meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionStalled)
}

func TestAUsableBackupInCBRIsAlreadyImported(t *testing.T) {
	for _, status := range usableStatuses {
		t.Run(string(status), func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 2, func(t *testing.T, w *world) {
				w.hold(itemOf(0).ID, string(status))
				w.live(w.actors[0], time.Minute)
				if w.reason("b0") != v1alpha1.ReasonAlreadyImported || w.reason("b1") != v1alpha1.ReasonImported {
					t.Errorf("the one that CBR has is %s, the other one %s", w.reason("b0"), w.reason("b1"))
				}
			})
		})
	}
}

// One alone is asked for by its id, several are looked for in the list of all.
func TestABrokenBackupInCBRIsUnusable(t *testing.T) {
	for _, backups := range []int{1, 12} {
		t.Run(fmt.Sprint(backups), func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, backups, func(t *testing.T, w *world) {
				w.hold(itemOf(0).ID, string(cbr.BackupError))
				a := w.actors[0]
				w.live(a, 5*time.Minute)
				if ready := readyOf(w.backup("b0").Status.Conditions); ready.Reason != v1alpha1.ReasonBackupUnusable || ready.Status != metav1.ConditionFalse || !isStalled(w.backup("b0")) {
					t.Errorf("CBR has it in status error, and it is %s %s", ready.Status, ready.Reason)
				}
				if w.reasons()[v1alpha1.ReasonImported] != backups-1 {
					t.Errorf("the others are %v", w.reasons())
				}
				w.removeInCBR(itemOf(0).ID)
				w.request(kindBackup, "b0")
				if !w.liveUntil(a, 10*time.Minute, w.allImported) {
					t.Errorf("deleted in CBR and requested again, it is %s", w.reason("b0"))
				}
			})
		})
	}
}

func TestABackupInAPassingStatusIsWaitedFor(t *testing.T) {
	for _, status := range passingStatuses {
		for _, becomes := range []string{"gone", string(cbr.BackupAvailable), string(cbr.BackupError)} {
			t.Run(string(status)+", then "+becomes, func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, 2, func(t *testing.T, w *world) { waitsForStatus(t, w, string(status), becomes) })
			})
		}
	}
}

func waitsForStatus(t *testing.T, w *world, status, becomes string) {
	t.Helper()
	a, id := w.actors[0], itemOf(0).ID
	w.hold(id, status)
	w.live(a, 10*time.Minute)
	waiting := w.backup("b0")
	if state := backupsync.StateOf(waiting); state != backupsync.Pending || isStalled(waiting) {
		t.Errorf("in status %s, it is %s", status, w.reason("b0"))
	}
	if w.reason("b1") != v1alpha1.ReasonImported {
		t.Errorf("the other one is %s", w.reason("b1"))
	}
	want, tries := v1alpha1.ReasonAlreadyImported, 0
	switch w.removeInCBR(id); becomes {
	case "gone":
		want, tries = v1alpha1.ReasonImported, 1
	case string(cbr.BackupError):
		want = v1alpha1.ReasonBackupUnusable
		fallthrough
	default:
		w.hold(id, becomes)
	}
	w.live(a, 2*time.Hour)
	if w.reason("b0") != want || w.audit.tries(id) != tries {
		t.Errorf("after that it is %s, and was sent %d times, not %s and %d", w.reason("b0"), w.audit.tries(id), want, tries)
	}
}

// Ids are compared without case: CBR may answer in lower case what was sent in capitals.
func TestIdsInCapitalsAreThoseInLowerCase(t *testing.T) {
	const lower = "1f9e6b47-7655-4a19-b563-21b4ef023025"
	upper := strings.ToUpper(lower)
	for name, fold := range map[string]bool{"kept as sent": false, "kept in lower case": true} {
		keep := func(options *cbrtest.Options) { options.FoldCase, options.TaskDuration = fold, 20*time.Second }
		t.Run(name+", two spellings", func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
				w.configure(keep)
				w.declare("low", lower, "vm-1")
				w.declare("up", upper, "vm-1")
				w.live(w.actors[0], time.Minute)
				if reasons := w.reasons(); reasons[v1alpha1.ReasonImported] != 1 || reasons[v1alpha1.ReasonDuplicate] != 1 {
					t.Errorf("one backup in two spellings: %v", reasons)
				}
			})
		})
		t.Run(name+", there already", func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 8, func(t *testing.T, w *world) {
				w.configure(keep)
				w.hold(lower, "available")
				w.declare("up", upper, "vm-1")
				w.live(w.actors[0], time.Minute)
				if w.reason("up") != v1alpha1.ReasonAlreadyImported || !w.allImported() {
					t.Errorf("%s, all: %v", w.reason("up"), w.reasons())
				}
			})
		})
		t.Run(name+", its task runs", func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				w.configure(keep)
				item := itemOf(0)
				item.ID = lower
				w.importElsewhere(t, item)
				w.declare("up", upper, "vm-1")
				if !w.liveUntil(w.actors[0], 5*time.Minute, w.allImported) {
					t.Errorf("it is %s", w.reason("up"))
				}
			})
		})
		t.Run(name+", declared again by another process", func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				w.configure(keep)
				w.declare("up", upper, "vm-1")
				if !w.liveUntil(w.actors[0], time.Minute, w.allImported) {
					t.Fatalf("it is %s", w.reason("up"))
				}
				w.server.remove(kindBackup, "up")
				time.Sleep(time.Hour)
				w.restart(0)
				w.declare("low", lower, "vm-1")
				if !w.liveUntil(w.actors[0], time.Minute, w.allImported) || w.reason("low") != v1alpha1.ReasonAlreadyImported {
					t.Errorf("it is %s", w.reason("low"))
				}
			})
		})
		t.Run(name+", the answer is lost", func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 1, func(t *testing.T, w *world) {
				w.configure(keep)
				w.declare("up", upper, "vm-1")
				w.reach(w.actors[0], answerLost)
				if !w.liveUntil(w.actors[0], 5*time.Minute, w.allImported) {
					t.Errorf("they are %v", w.reasons())
				}
			})
		})
	}
}

// A BackupSync that spells the backup in another way, and that the cache does not show, is its owner all the same.
func TestAnUnseenDuplicateInAnotherSpelling(t *testing.T) {
	directed(t, v1alpha1.LookupNever, func(w *world) {
		w.configure(func(options *cbrtest.Options) { options.FoldCase = true })
		w.actors[1].sees() // b0, b1, b2
		for number := range 3 {
			other := modelBackup(number)
			other.Name, other.Spec.BackupID = fmt.Sprintf("a%d", number), strings.ToUpper(other.Spec.BackupID)
			w.server.create(other)
		}
		w.actors[0].sees()
		w.pass(w.actors[0], goesWell, "")
		w.pass(w.actors[1], goesWell, "")
	})
}

// namelessClouds are clouds whose tasks do not tell, or not all, whose they are.
var namelessClouds = map[string]func(*cbrtest.Options){
	"tasks name the backup":         func(*cbrtest.Options) {},
	"tasks name the resource alone": func(o *cbrtest.Options) { o.HideTaskBackup = true },
	"tasks name nothing":            func(o *cbrtest.Options) { o.HideTaskBackup, o.HideTaskResource = true, true },
	"one task a call":               func(o *cbrtest.Options) { o.SharedTaskIDs = true },
	"one task a call, names one":    func(o *cbrtest.Options) { o.SharedTaskIDs, o.NameFirst = true, true },
	"one task a call, names its resource": func(o *cbrtest.Options) {
		o.SharedTaskIDs, o.NameFirst, o.HideTaskBackup = true, true, true
	},
}

// inEachCloud plays a script in each of namelessClouds, where tasks take a time.
func inEachCloud(t *testing.T, policy v1alpha1.LookupPolicy, backups int, takes time.Duration, script func(*testing.T, *world)) {
	t.Helper()
	for name, configure := range namelessClouds {
		t.Run(name, func(t *testing.T) {
			scripted(t, policy, backups, func(t *testing.T, w *world) {
				w.configure(func(options *cbrtest.Options) {
					configure(options)
					options.TaskDuration = takes
				})
				script(t, w)
			})
		})
	}
}

func TestABackupSyncAppliedAgainWaitsForTheTaskThatMayBeItsOwn(t *testing.T) {
	inEachCloud(t, v1alpha1.LookupBeforeFirstSubmission, 2, 30*time.Second, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.reach(a, goesWell)
		w.recreate(0)
		w.recreate(1)
		if !w.liveUntil(a, 30*time.Minute, w.allImported) {
			t.Errorf("half an hour later they are %v", w.reasons())
		}
	})
}

// So does one of a process that was started meanwhile, and one that is applied again under another name.
func TestARebuiltClusterWaitsForTheTasksThatRun(t *testing.T) {
	inEachCloud(t, v1alpha1.LookupBeforeFirstSubmission, 0, 30*time.Second, func(t *testing.T, w *world) {
		w.importElsewhere(t, itemOf(0), itemOf(1))
		w.importElsewhere(t, itemOf(2))
		for number := range 4 { // the last one was never imported
			w.declare(fmt.Sprintf("again-%d", number), itemOf(number).ID, itemOf(number).ResourceID)
		}
		a := w.actors[0]
		w.live(a, 15*time.Second)
		for number := range 3 {
			if backup := w.backup(fmt.Sprintf("again-%d", number)); backupsync.StateOf(backup) > backupsync.Running {
				t.Errorf("%s is %s while its task runs", backup.Name, w.reason(backup.Name))
			}
		}
		if !w.liveUntil(a, 30*time.Minute, w.allImported) {
			t.Errorf("half an hour later they are %v", w.reasons())
		}
		if got := w.audit.tries(itemOf(3).ID); got != 1 {
			t.Errorf("the one that CBR did not have was sent %d times", got)
		}
	})
}

// What waits for a task that may be its own says so, and says it once.
func TestABackupThatAwaitsATaskSaysSo(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		w.configure(func(o *cbrtest.Options) {
			o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 50*time.Second
		})
		w.importElsewhere(t, itemOf(0))
		w.declare("again", itemOf(0).ID, itemOf(0).ResourceID)
		w.live(w.actors[0], 20*time.Second)
		ready := readyOf(w.backup("again").Status.Conditions)
		if ready.Reason != v1alpha1.ReasonAwaitingTask || ready.Status != metav1.ConditionUnknown {
			t.Errorf("it is %s %s", ready.Status, ready.Reason)
		}
	})
}

// A task of nobody that runs for ever is waited for until poll.overdueAfter, and no longer by what is certainly not there.
func TestATaskThatNeverEndsIsNotWaitedForForEver(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		w.configure(func(o *cbrtest.Options) {
			o.HideTaskBackup, o.HideTaskResource, o.TaskDuration = true, true, 1000*time.Hour
		})
		w.importElsewhere(t, itemOf(0))
		w.configure(func(o *cbrtest.Options) { o.TaskDuration = 3 * time.Second })
		w.declare("other", itemOf(1).ID, itemOf(1).ResourceID)
		a := w.actors[0]
		w.live(a, 40*time.Second)
		if len(w.posts()) != 1 {
			t.Errorf("it was sent while the task was young")
		}
		if !w.liveUntil(a, 30*time.Minute, w.allImported) {
			t.Errorf("it is %s", w.reason("other"))
		}
	})
}

// Tasks leave a list by status while it is read: those on later pages move forward.
func TestTasksThatBeginToRunAreNotMissed(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		w.configure(func(o *cbrtest.Options) { o.MaxPage, o.TaskDuration = 2, 40*time.Second }) // they wait for 10 s
		for number := range 8 {
			w.importElsewhere(t, itemOf(number))
			if number%2 == 1 {
				time.Sleep(time.Second)
			}
			w.declare(fmt.Sprintf("again-%d", number), itemOf(number).ID, itemOf(number).ResourceID)
		}
		a := w.actors[0]
		time.Sleep(5 * time.Second)
		w.stopAt(a, "cloud: GET")
		for range 8 { // some begin to run between one page and the next
			if !strings.HasPrefix(w.next(), "cloud: GET") {
				break
			}
			w.open(0, goesWell)
			time.Sleep(time.Second)
		}
		w.finish(a)
		if !w.liveUntil(a, 30*time.Minute, w.allImported) {
			t.Errorf("they are %v", w.reasons())
		}
	})
}

// What CBR did not have a while ago is looked up again, whatever has held up the call meanwhile.
func TestAnOldLookIsNotBelieved(t *testing.T) {
	holdUps := map[string]cbrtest.Refusal{
		"the credentials were refused": {APIError: cbrtest.APIError{Status: 401, Code: "APIGW.0307"}},
		"calls were throttled":         {APIError: cbrtest.APIError{Status: 429, Code: "APIGW.0308", Headers: map[string]string{"Retry-After": "3600"}}},
		"the vault was synchronized":   {APIError: cbrtest.APIError{Status: 400, Code: "BackupService.7302"}},
		"CBR was down":                 {APIError: cbrtest.APIError{Status: 503}},
	}
	for name, refusal := range holdUps {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(t *testing.T, w *world) {
				refusal.Calls, refusal.Until = cbrtest.Imports, time.Now().Add(90*time.Minute)
				w.configure(func(o *cbrtest.Options) { o.Refusals = []cbrtest.Refusal{refusal} })
				a := w.actors[0]
				w.live(a, 85*time.Minute)
				w.hold(itemOf(0).ID, "available") // a person did not want to wait
				if !w.liveUntil(a, 3*time.Hour, w.allImported) {
					t.Errorf("it is %s, the project %s", w.reason("b0"), w.projectReason())
				}
			})
		})
	}
}

// A list of all that CBR has counts for those declared later only as long as it is fresh.
func TestAnOldListIsNotBelieved(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 12, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.live(a, 30*time.Second)
		w.hold("late", "available")
		time.Sleep(time.Minute)
		w.declare("late", "late", "vm-late")
		if !w.liveUntil(a, 10*time.Minute, w.allImported) || w.reason("late") != v1alpha1.ReasonAlreadyImported {
			t.Errorf("they are %v", w.reasons())
		}
	})
}

// Lists may show some enterprise projects only.
func TestAListThatHidesBackupsIsNotBelieved(t *testing.T) {
	own := cbrtest.DefaultEnterpriseProject
	for name, narrow := range map[string]func(*world){
		"all are asked for": func(w *world) { w.configure(func(o *cbrtest.Options) { o.NarrowLists = true }) },
		"one is granted":    func(w *world) { w.configure(func(o *cbrtest.Options) { o.GrantDefaultOnly = true }) },
		"one is configured": func(w *world) {
			w.configure(func(o *cbrtest.Options) { o.NarrowLists = true })
			w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.EnterpriseProjectID = &own })
		},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 12, func(t *testing.T, w *world) {
				narrow(w)
				for number := range 12 {
					w.hold(itemOf(number).ID, "available")
				}
				if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
					t.Errorf("they are %v", w.reasons())
				}
			})
		})
	}
}

// One id that CBR cannot be asked for concerns that backup alone, however many there are.
func TestAnUnreadableIDHoldsUpNoOther(t *testing.T) {
	for _, refusal := range unreadableAnswers {
		for _, backups := range []int{2, 12} {
			t.Run(fmt.Sprintf("%s, %d others", told(refusal), backups), func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, backups, func(t *testing.T, w *world) {
					w.unreadable("bad.id", refusal)
					w.declare("bad", "bad.id", "vm-bad")
					w.live(w.actors[0], time.Hour)
					if got := w.reasons()[v1alpha1.ReasonImported]; got < backups {
						t.Errorf("an hour later %d of %d others are imported; the project is %s", got, backups, w.projectReason())
					}
					if reads := len(w.cloud.Ledger()); reads > 600 {
						t.Errorf("%d calls in an hour", reads)
					}
				})
			})
		}
	}
}

// It is imported when CBR can be asked for it again.
func TestAnUnreadableIDIsSentWhenItCanBeRead(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 2, func(t *testing.T, w *world) {
		w.unreadable("bad.id", cbrtest.APIError{Status: 500, Code: "BackupService.9910"})
		w.declare("bad", "bad.id", "vm-bad")
		a := w.actors[0]
		w.live(a, time.Hour)
		if w.audit.tries("bad.id") > 0 {
			t.Error("it was sent though nobody knows whether CBR has it")
		}
		w.configure(func(o *cbrtest.Options) { o.GetError = nil })
		if !w.liveUntil(a, time.Hour, w.allImported) {
			t.Errorf("another hour later it is %s", w.reason("bad"))
		}
	})
}

// No such backup is told in many words.
func TestABackupThatCBRDoesNotHaveInOtherWords(t *testing.T) {
	for _, answer := range missingAnswers {
		t.Run(told(answer), func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
				w.configure(func(o *cbrtest.Options) { o.BackupNotFound = &answer })
				if !w.liveUntil(w.actors[0], time.Hour, w.allImported) {
					t.Errorf("an hour later they are %v, the project %s", w.reasons(), w.projectReason())
				}
			})
		})
	}
}
