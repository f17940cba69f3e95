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
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// slowClouds take so long to answer that a question for each backup of a full call takes longer than absence is believed.
var slowClouds = map[string]slowCloud{
	"answers late":                      {func(o *cbrtest.Options) { o.Latency = 5 * time.Second }, 1500},
	"lets one read a second through":    {func(o *cbrtest.Options) { o.ReadsPerSecond = 1 }, 1500},
	"answers at once, to compare it to": {func(*cbrtest.Options) {}, 4500},
}

// slowCloud is one, and how often it may be asked while nothing can be said of fifty backups for half an hour, and till it can.
type slowCloud struct {
	is    func(*cbrtest.Options)
	reads int
}

// within lives for so many times ten minutes, at most, until all are imported: a world takes a bounded number of steps at a time.
func (w *world) within(tens int) bool {
	for range tens {
		if w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
			return true
		}
	}
	return false
}

// slowAndHiding runs a story in clouds that are slow, and of which the lists are known to hide some backups.
func slowAndHiding(t *testing.T, story func(t *testing.T, w *world, slow slowCloud)) {
	for name, slow := range slowClouds {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 12, func(t *testing.T, w *world) {
				w.actors[0].reconciler.options.CallTimeout = cbr.DefaultTimeout
				w.findHidden(t)
				w.configure(func(o *cbrtest.Options) { o.TaskDuration = time.Second })
				w.batchesOf(50)
				story(t, w, slow)
				if !w.within(12) {
					t.Errorf("two hours later they are %v: %s; project %s", w.reasons(), readyOf(w.backup("good-000").Status.Conditions).Message, w.projectReason())
				}
				for number := range 50 {
					w.wantTries(t, 1, w.backup(fmt.Sprintf("good-%03d", number)).Spec.BackupID)
				}
			})
		})
	}
}

// A call has no more backups than a look can ask about in time.
func TestBackupsAreSentByACloudThatIsSlowAndHidesSome(t *testing.T) {
	slowAndHiding(t, func(_ *testing.T, w *world, slow slowCloud) {
		w.configure(slow.is)
		w.declareMany(50)
	})
}

// A lost call is looked up by parts.
func TestALostCallIsLookedUpInACloudThatIsSlowAndHidesSome(t *testing.T) {
	for _, outcome := range []verdict{failsBefore, answerLost} {
		t.Run(fmt.Sprint(outcome), func(t *testing.T) {
			slowAndHiding(t, func(t *testing.T, w *world, slow slowCloud) {
				w.declareMany(50)
				w.loseTheNext(outcome)
				if !w.liveUntil(w.actors[0], 10*time.Minute, func() bool { return w.reason("good-000") == v1alpha1.ReasonOutcomeUnknown }) {
					t.Fatalf("they are %v", w.reasons())
				}
				w.configure(slow.is)
				before := len(w.cloud.Ledger())
				t.Cleanup(func() {
					if reads := len(w.cloud.Ledger()) - before; reads > slow.reads {
						t.Errorf("%d reads", reads)
					}
				})
			})
		})
	}
}

// Backups that are not looked up are sent in full calls, however slowly CBR has answered questions.
func TestWhatIsNotLookedUpIsSentInFullCallsByASlowCloud(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 12, func(t *testing.T, w *world) {
		if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
			t.Fatalf("they are %v", w.reasons())
		}
		learnt := w.actors[0].knows()
		learnt.narrowed, learnt.perQuestion = true, 5*time.Second
		w.batchesOf(50)
		before := len(w.posts())
		w.declareMany(50)
		if !w.within(1) {
			t.Errorf("they are %v", w.reasons())
		}
		if calls := len(w.posts()) - before; calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}
