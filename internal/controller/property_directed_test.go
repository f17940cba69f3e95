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
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// played runs a directed script in a world of its own, and fails the test if a backup was accepted twice.
func directed(t *testing.T, observe v1alpha1.LookupPolicy, script func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, observe, 3, nil)
		script(w)
		t.Log(strings.Join(w.trace, "\n"))
		if twice := w.cloud.AcceptedTwice(); len(twice) > 0 {
			t.Error("accepted twice: ", strings.Join(twice, " "))
		}
		w.end(cancel)
	})
}

// pass has a process make a pass. The first request of the given name, if any, has the outcome. It reports whether there was one.
func (w *world) pass(a *actor, outcome verdict, name string) (met bool) {
	a.ask()
	w.begin(a)
	for range 200 {
		synctest.Wait()
		w.mutex.Lock()
		waiting, passing := slices.Clone(w.waiting), a.passing()
		w.mutex.Unlock()
		switch {
		case len(waiting) > 0 && name != "" && strings.HasPrefix(waiting[0].name, name):
			name, met = "", true
			w.open(0, outcome)
		case len(waiting) > 0:
			w.open(0, goesWell)
		case !passing:
			return met
		default:
			time.Sleep(50 * time.Millisecond) // a retry's back-off
		}
	}
	return met
}

// One process alone: the answer of a status patch is lost, its retry conflicts with itself, and the cache lags.
func TestPropertyLostAnswerOfAStatusPatch(t *testing.T) {
	directed(t, v1alpha1.LookupNever, func(w *world) {
		w.pass(w.actors[0], goesWell, "") // takes over, submits b0, b1, b2
		w.createBackup()                  // newer than the takeover
		w.actors[0].sees()
		w.pass(w.actors[0], answerLost, "patch status of b3")
		w.pass(w.actors[0], goesWell, "")
	})
}

// What a process has seen of CBR before another one made calls says nothing about the time after them.
func TestPropertyOldSightOfCBR(t *testing.T) {
	directed(t, v1alpha1.LookupBeforeFirstSubmission, func(w *world) {
		w.pass(w.actors[0], failsBefore, "patch status of default") // has seen that CBR has none of them
		w.pass(w.actors[1], goesWell, "")
		time.Sleep(10 * time.Second)
		w.actors[1].sees()
		w.pass(w.actors[1], goesWell, "")
		w.server.remove(kindBackup, "b0")
		w.server.create(modelBackup(0))
		w.actors[0].sees()
		w.pass(w.actors[0], goesWell, "")
	})
}

// A list of all that CBR has, read while a call is under way, says nothing about the backups of that call: they may be
// accepted after it, and their BackupSyncs deleted and created anew when nobody waits for the call any more.
func TestPropertyListDuringACall(t *testing.T) {
	hasty(t)
	directed(t, v1alpha1.LookupBeforeFirstSubmission, func(w *world) {
		w.pass(w.actors[0], arrivesLate, "cloud: POST")
		w.kill(w.actors[0])
		w.createBackup()
		w.createBackup()
		w.actors[1].sees()
		w.pass(w.actors[1], goesWell, "") // lists CBR's backups, and submits the two
		w.arrive(0)
		for _, name := range []string{"b0", "b1", "b2"} {
			w.server.remove(kindBackup, name)
		}
		time.Sleep(propertySettle)
		w.actors[1].sees()
		w.pass(w.actors[1], goesWell, "") // looks up the call
		for number := range 3 {
			w.server.create(modelBackup(number))
		}
		w.actors[1].sees()
		w.pass(w.actors[1], goesWell, "")
		time.Sleep(time.Second)
		w.pass(w.actors[1], goesWell, "")
	})
}

// A process whose cache does not show a BackupSync yet must not take it for deleted: the record of its call would go without
// an outcome.
func TestPropertyRecordOfAnUnseenBackupSync(t *testing.T) {
	directed(t, v1alpha1.LookupNever, func(w *world) {
		w.pass(w.actors[0], goesWell, "") // takes over, submits b0, b1, b2
		w.createBackup()
		w.actors[0].sees()
		w.pass(w.actors[0], answerLost, "cloud: POST")
		w.kill(w.actors[0])
		time.Sleep(propertySettle)
		w.pass(w.actors[1], goesWell, "") // looks up the call of b3, which it has not seen
		w.actors[1].sees()
		w.pass(w.actors[1], goesWell, "")
		w.pass(w.actors[1], goesWell, "")
	})
}

// A process whose cache does not show the rival of a BackupSync that another process has submitted must not submit it.
func TestPropertyUnseenRival(t *testing.T) {
	for name, list := range map[string]bool{"read one by one": false, "read by a list": true} {
		t.Run(name, func(t *testing.T) {
			if list {
				hasty(t)
			}
			directed(t, v1alpha1.LookupNever, func(w *world) {
				w.actors[1].sees() // b0, b1, b2
				for number := range 3 {
					rival := modelBackup(number)
					rival.Name = fmt.Sprintf("a%d", number) // of the same second, and comes first by its name
					w.server.create(rival)
				}
				w.actors[0].sees()
				w.pass(w.actors[0], goesWell, "")
				w.pass(w.actors[1], goesWell, "")
			})
		})
	}
}

// halted has a process halt with its call on the way, let another one find out that CBR knows nothing of it, and go on.
func halted(t *testing.T, alter func(*Reconciler)) (twice []string, trace string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, v1alpha1.LookupNever, 2, alter)
		w.stopAt(w.actors[0], "cloud: POST")
		post := w.holdUp()
		w.note("%s is halted", post.actor.name)
		w.live(w.actors[1], 2*time.Minute)
		w.note("%s goes on", post.actor.name)
		post.opened <- goesWell
		w.finish(w.actors[0])
		twice, trace = w.cloud.AcceptedTwice(), strings.Join(w.trace, "\n")
		w.end(cancel)
	})
	return twice, trace
}

// A process that is halted between its record and its call, and goes on when others have looked the record up, sends nothing. The
// rule has teeth: without it the call goes out.
func TestPropertyCallOfAHaltedProcess(t *testing.T) {
	if twice, trace := halted(t, nil); len(twice) > 0 {
		t.Errorf("accepted twice: %v\n%s", twice, trace)
	}
	unchecked := func(r *Reconciler) { r.options.Transports.(*actor).unchecked = true }
	if twice, trace := halted(t, unchecked); len(twice) == 0 {
		t.Errorf("without the rule that no call begins late, nothing is found\n%s", trace)
	}
}

// A pass that is halted before it reads the project has seen nothing of it when it began: a call that another process records meanwhile has not settled
// when that pass is over.
func TestPropertyPassThatBeganLongAgo(t *testing.T) {
	hasty(t)
	directed(t, v1alpha1.LookupNever, func(w *world) {
		w.configure(func(o *cbrtest.Options) {
			o.VisibleAfter, o.TaskDuration = propertySettle-propertyCall-10*time.Millisecond, 5*time.Minute
		})
		w.stopAt(w.actors[0], "live: get CBRProject")
		read := w.holdUp()
		time.Sleep(5 * time.Minute)
		w.reach(w.actors[1], crashAfter)
		read.opened <- goesWell
		w.finish(w.actors[0])
		for range 3 {
			w.actors[0].sees()
			w.pass(w.actors[0], goesWell, "")
		}
	})
}

// A duplicate that is deleted while a pass considers it must not be sent: its backup has another owner.
func TestPropertyDuplicateDeletedDuringAPass(t *testing.T) {
	directed(t, v1alpha1.LookupNever, func(w *world) {
		a := w.actors[0]
		w.pass(a, goesWell, "") // takes over
		w.pass(a, goesWell, "") // submits b0, b1, b2
		w.createBackup()
		a.sees()
		w.pass(a, answerLost, "cloud: POST") // is to be looked up
		w.server.create(modelBackupOf(firstProject, "again", 0))
		a.sees()
		time.Sleep(2 * propertySettle)
		if met := w.during(a, "cloud: GET", func() {
			w.server.remove(kindBackup, "again")
			a.sees()
		}); !met {
			t.Error("the pass did not look up the call")
		}
	})
}

// during has a process make a pass, and does something before the first request of a name. It reports whether there was one.
func (w *world) during(a *actor, name string, do func()) (met bool) {
	a.ask()
	w.begin(a)
	for range 200 {
		synctest.Wait()
		w.mutex.Lock()
		waiting, passing := slices.Clone(w.waiting), a.passing()
		w.mutex.Unlock()
		switch {
		case len(waiting) == 0 && !passing:
			return met
		case len(waiting) == 0:
			time.Sleep(50 * time.Millisecond)
			continue
		case !met && strings.HasPrefix(waiting[0].name, name):
			met = true
			do()
		}
		w.open(0, goesWell)
	}
	return met
}
