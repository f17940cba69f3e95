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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What status.journal.settling and unclaimed tell is not lost on the way from process to process.

// lateReport has a process halt in a call, another one send b1 meanwhile, and the first write what is over after that.
func lateReport(t *testing.T, then func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, v1alpha1.LookupBeforeFirstSubmission, 2, nil)
		w.configure(func(o *cbrtest.Options) {
			o.VisibleAfter, o.TaskDuration = propertySettle-time.Second, time.Millisecond
		})
		w.batchesOf(1)
		late, other := w.actors[0], w.actors[1]
		w.suspend("b1", true)
		w.stopAt(late, "cloud: POST")
		held := w.takeAll(late)
		w.suspend("b1", false)
		w.live(other, time.Second)
		if !w.marks(w.backup("b1").Spec.BackupID) {
			t.Fatalf("the other process does not tell of its call: %s", w.describe())
		}
		w.giveBack(held)
		w.finish(late)
		if w.project().Status.Journal.WriterID != late.name {
			t.Fatalf("the late process has not written: %s", w.describe())
		}
		then(t, w)
		if wrong := w.audit.findings(); wrong != "" {
			t.Error(wrong)
		}
		if t.Failed() || testing.Verbose() {
			t.Log(w.describe() + "\n" + strings.Join(w.excerpt(), "\n"))
		}
		w.end(cancel)
	})
}

// A process that was halted in its call writes what is over after another one has written: it keeps what that one has left there,
// of which it knows nothing.
func TestSettlingOfAnotherProcessOutlivesALateReport(t *testing.T) {
	lateReport(t, func(t *testing.T, w *world) {
		if !w.marks(w.backup("b1").Spec.BackupID) {
			t.Errorf("what settles of the other process's call is lost: %+v", w.project().Status.Journal.Settling)
		}
	})
}

// What comes of it: a third process takes CBR's silence for absence.
func TestNothingIsSentTwiceAfterALateReport(t *testing.T) {
	lateReport(t, func(t *testing.T, w *world) {
		w.kill(w.actors[1])
		w.recreate(1)
		w.restart(0)
		w.live(w.actors[0], time.Minute)
		if times := w.cloud.Accepted()[w.backup("b1").Spec.BackupID]; times != 1 {
			t.Errorf("b1 was sent %d times", times)
		}
	})
}

// marks reports whether the journal tells that a backup settles.
func (w *world) marks(id string) bool {
	for _, left := range w.project().Status.Journal.Settling {
		if told := marksOf(left.Backups); told.has(markOf(id)) {
			return true
		}
	}
	return false
}

// takeAll takes the waiting requests of a process away, so that others have their turns; giveBack gives them back.
func (w *world) takeAll(a *actor) []*gate {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var taken, left []*gate
	for _, g := range w.waiting {
		if g.actor == a {
			taken = append(taken, g)
		} else {
			left = append(left, g)
		}
	}
	w.waiting = left
	return taken
}

func (w *world) giveBack(taken []*gate) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.waiting = append(w.waiting, taken...)
}

// With lookupPolicy Never, what stands in status.journal.settling is looked up all the same (rule 5): by the process that wrote it, too.
func TestWhatSettlesIsLookedUpByTheProcessThatSentIt(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 1, func(t *testing.T, w *world) {
		if !w.liveUntil(w.actors[0], time.Minute, w.allImported) {
			t.Fatal("it is not imported")
		}
		id := w.backup("b0").Spec.BackupID
		if !w.marks(id) {
			t.Fatalf("the journal does not tell: %+v", w.project().Status.Journal)
		}
		w.recreate(0)
		w.live(w.actors[0], time.Minute)
		if times := w.cloud.Accepted()[id]; times != 1 {
			t.Errorf("it was sent %d times", times)
		}
	})
}
