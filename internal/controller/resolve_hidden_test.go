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
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// Lists of CBR hide what lies in other enterprise projects, tasks too. In the cloud of these tests that is every other task, the first
// one among them.

// hiding has a cloud hide some in its lists, and its tasks take ten minutes. Of tasks that nobody knows half an hour is waited for.
func (w *world) hiding() {
	w.configure(func(o *cbrtest.Options) { o.GrantDefaultOnly, o.TaskDuration = true, 10*time.Minute })
	w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Poll.OverdueAfter.Duration = 30 * time.Minute })
}

// findHidden has the operator find twelve backups that the list hides every other of.
func (w *world) findHidden(t *testing.T) {
	t.Helper()
	w.hiding()
	for number := range 12 {
		w.hold(itemOf(number).ID, "available")
	}
	if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
		t.Fatalf("they are %v", w.reasons())
	}
}

// loseNew loses a call with a new backup, of which the status comes to say that its task may be hidden.
func (w *world) loseNew(t *testing.T, outcome verdict) {
	t.Helper()
	w.declare("new", itemOf(20).ID, itemOf(20).ResourceID)
	w.loseTheNext(outcome)
	told := func() bool {
		return strings.Contains(readyOf(w.backup("new").Status.Conditions).Message, "may hide its task") && w.reason("new") == v1alpha1.ReasonOutcomeUnknown
	}
	if !w.liveUntil(w.actors[0], 10*time.Minute, told) {
		t.Fatalf("ten minutes later it says %s", readyOf(w.backup("new").Status.Conditions).Message)
	}
}

// The list is known to hide some for the backups that it has hidden.
func TestALostCallWhoseTaskIsHiddenLikeBackupsIsNotSentAgain(t *testing.T) {
	for name, lost := range lostCalls {
		if lost.outcome == crashBefore || lost.outcome == crashAfter {
			continue // what was seen is forgotten
		}
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 12, func(t *testing.T, w *world) {
				w.findHidden(t)
				if !w.actors[0].knows().narrowed {
					t.Fatal("the list is not known to hide some")
				}
				w.loseNew(t, lost.outcome)
				if !w.liveUntil(w.actors[0], 2*time.Hour, w.allImported) {
					t.Errorf("two hours later it is %s", w.reason("new"))
				}
				w.wantTries(t, 1, itemOf(20).ID)
			})
		})
	}
}

// A person who looks for the cause may edit the project: what lists have hidden of a lost call they may go on hiding.
func TestALostCallWhoseTaskIsHiddenIsNotSentAgainAfterAnEditOfTheEnterpriseProject(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, *world){
		"when its status has said so": func(t *testing.T, w *world) { w.loseNew(t, answerLost) },
		"before it has settled": func(_ *testing.T, w *world) {
			w.declare("new", itemOf(20).ID, itemOf(20).ResourceID)
			w.loseTheNext(answerLost)
		},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 12, func(t *testing.T, w *world) {
				w.findHidden(t)
				lose(t, w)
				own := cbrtest.DefaultEnterpriseProject
				w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.EnterpriseProjectID = &own })
				if !w.liveUntil(w.actors[0], 2*time.Hour, w.allImported) {
					t.Errorf("two hours later it is %s", w.reason("new"))
				}
				w.wantTries(t, 1, itemOf(20).ID)
			})
		})
	}
}

// It is known to hide some for a task that runs.
func TestALostCallWhoseTaskIsHiddenLikeAnotherIsNotSentAgain(t *testing.T) {
	for name, lost := range lostCalls {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 1, func(t *testing.T, w *world) {
				w.hiding()
				w.reach(w.actors[0], goesWell) // its task is hidden
				w.configure(func(o *cbrtest.Options) { o.TaskDuration = time.Second })
				w.importElsewhere(t, itemOf(10)) // its task is not
				w.configure(func(o *cbrtest.Options) { o.TaskDuration = 10 * time.Minute })
				w.live(w.actors[0], time.Minute)
				w.declare("new", itemOf(1).ID, itemOf(1).ResourceID)
				w.loseTheNext(lost.outcome)
				if !w.liveUntil(w.actors[0], 2*time.Hour, w.allImported) {
					t.Errorf("two hours later they are %v", w.reasons())
				}
				w.wantTries(t, 1, itemOf(0).ID, itemOf(1).ID)
			})
		})
	}
}

// What lists have lacked of one enterprise project says nothing of another one.
func TestALookFromBeforeAnEditOfTheEnterpriseProjectIsNotBelieved(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 12, func(t *testing.T, w *world) {
		own, all := cbrtest.DefaultEnterpriseProject, cbr.AllEnterpriseProjects
		w.configure(func(o *cbrtest.Options) { o.NarrowLists = true })
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.EnterpriseProjectID = &own })
		for number := range 8 { // the list shows the second of each two
			w.hold(itemOf(100+number).ID, "available")
			w.hold(itemOf(200+number).ID, "available")
		}
		w.live(w.actors[0], 10*time.Second)
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.EnterpriseProjectID = &all })
		for number := range 8 {
			w.declare(fmt.Sprintf("hidden-%d", number), itemOf(100+number).ID, "vm-1")
			w.declare(fmt.Sprintf("new-%d", number), itemOf(300+number).ID, "vm-2")
		}
		if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
			t.Errorf("ten minutes later they are %v", w.reasons())
		}
	})
}
