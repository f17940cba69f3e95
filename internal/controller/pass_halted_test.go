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
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// haltClock halts a process where it asks for the time, in a function of a name.
type haltClock struct {
	clock.RealClock
	mutex sync.Mutex
	in    string        // "" once the process has halted there
	on    chan struct{} // closed to let it go on
}

func (c *haltClock) arm(in string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.in, c.on = in, make(chan struct{})
}

func (c *haltClock) Now() time.Time {
	c.mutex.Lock()
	on, here := c.on, c.in != "" && calledBy(c.in)
	if here {
		c.in = ""
	}
	c.mutex.Unlock()
	if here {
		<-on
	}
	return time.Now()
}

// halted reports whether the process has halted since the clock was armed.
func (c *haltClock) halted() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.in == ""
}

// calledBy reports whether a function whose name ends so is on the stack, not far up.
func calledBy(name string) bool {
	callers := make([]uintptr, 12)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for more := true; more; {
		var frame runtime.Frame
		if frame, more = frames.Next(); strings.HasSuffix(frame.Function, name) {
			return true
		}
	}
	return false
}

// withHalts runs a script with processes whose clocks halt them, and fails the test if a backup was accepted without need.
func withHalts(t *testing.T, policy v1alpha1.LookupPolicy, backups int, script func(w *world)) {
	t.Helper()
	hasty(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, policy, backups, func(r *Reconciler) { r.options.Clock = &haltClock{} })
		script(w)
		if wrong := w.audit.findings(); wrong != "" {
			t.Errorf("%s\n%s\n%s", wrong, w.describe(), strings.Join(w.trace, "\n"))
		}
		w.end(cancel)
	})
}

// toItsEnd is the name of no request.
const toItsEnd = "no request"

// haltIn has a process make a pass over one project, in which it halts in a function.
func (w *world) haltIn(t *testing.T, a *actor, project int, function string) {
	t.Helper()
	own := clockOf(a)
	own.arm(function)
	w.passOver(a, project, toItsEnd)
	if !own.halted() {
		t.Fatalf("%s does not halt in %s", a.name, function)
	}
}

// clockOf is the clock of a process that withHalts has made.
func clockOf(a *actor) *haltClock { return a.reconciler.options.Clock.(*haltClock) }

// release lets a process go on that halts.
func release(a *actor) { close(clockOf(a).on) }

// takesOverLate has a younger project take over a cloud project that the older one leaves; and while the write of that is held up, the older one
// comes back, makes a call, and is deleted. The leader makes the passes meanwhile.
func (w *world) takesOverLate(a, leader *actor, holdUp, goOn func()) {
	w.configure(func(o *cbrtest.Options) {
		o.ProjectIDs = []string{cbrtest.ProjectID, elsewhere}
		o.VisibleAfter, o.TaskDuration = propertySettle-propertyCall-10*time.Millisecond, 5*time.Minute
	})
	time.Sleep(2 * time.Second)
	w.createProject(secondProject)
	w.server.create(modelBackupOf(secondProject, "c0", 0))
	a.sees()
	w.passOver(a, 1, toItsEnd) // in use: the first is older
	w.point(firstProject, elsewhere)
	a.sees()
	holdUp()
	time.Sleep(2 * time.Minute)
	w.point(firstProject, cbrtest.ProjectID)
	for range 6 {
		leader.sees()
		w.passOver(leader, 0, toItsEnd)
		if len(w.posts()) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.server.remove(kindProject, firstProject)
	for range 3 {
		leader.sees()
		w.passOver(leader, 0, toItsEnd)
		if leader != a {
			w.passOver(leader, 1, toItsEnd)
		}
	}
	goOn()
	for range 6 {
		leader.sees()
		w.passOver(leader, 1, toItsEnd)
		time.Sleep(10 * time.Millisecond)
	}
}

// A takeover counts from when it was seen to be written, not from when it was decided.
func TestATakeoverThatIsDecidedLongBeforeItIsWritten(t *testing.T) {
	withHalts(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(w *world) {
		a := w.actors[0]
		w.kill(w.actors[1])
		w.takesOverLate(a, a, func() {
			w.haltIn(t, a, 1, "(*reporter).projectStatus")
		}, func() {
			release(a)
			w.goOn(a, 1, toItsEnd)
		})
	})
}

// So it does if the write takes long.
func TestATakeoverThatIsLongOnItsWay(t *testing.T) {
	withHalts(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(w *world) {
		a := w.actors[0]
		w.kill(w.actors[1])
		var write *gate
		w.takesOverLate(a, a, func() {
			w.passOver(a, 1, "patch status of other")
			write = w.holdUp()
		}, func() {
			write.opened <- goesWell
			w.goOn(a, 1, toItsEnd)
		})
	})
}

// Another process leads meanwhile, and takes over: the one that was halted does not date that back.
func TestATakeoverIsNotDatedBack(t *testing.T) {
	withHalts(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(w *world) {
		a, b := w.actors[0], w.actors[1]
		w.takesOverLate(a, b, func() {
			w.haltIn(t, a, 1, "(*reporter).projectStatus")
		}, func() {
			release(a)
			w.finish(a)
			w.kill(a)
		})
	})
}

// A process that was halted before it wrote its report keeps what another one has counted.
func TestCallsOfAnotherProcessAreCountedAfterAConflict(t *testing.T) {
	withHalts(t, v1alpha1.LookupNever, 12, func(w *world) {
		a, b := w.actors[0], w.actors[1]
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Batch.MaxSize, spec.Limits.SyncCallsPerMinute = 1, 1 }) // the first call alone
		for range 6 {
			a.sees()
			if w.haltIn(t, a, 0, "(*reporter).projectStatus"); len(w.posts()) > 0 {
				break
			}
			release(a)
			w.goOn(a, 0, toItsEnd)
			time.Sleep(100 * time.Millisecond)
		}
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = 3 })
		time.Sleep(5 * time.Second)
		for range 8 {
			b.sees()
			w.passOver(b, 0, toItsEnd)
			time.Sleep(200 * time.Millisecond)
		}
		release(a)
		w.finish(a)
		w.kill(a)
		w.restart(1) // another one
		c := w.actors[1]
		time.Sleep(time.Second)
		for range 8 {
			c.sees()
			w.passOver(c, 0, toItsEnd)
			time.Sleep(200 * time.Millisecond)
		}
		if calls := len(w.posts()); calls > 3 { // within some eight seconds
			t.Errorf("%d calls, 3 a minute are allowed", calls)
		}
	})
}

// A process is halted after it has looked up a lost call: what it writes then does not go over a call that another one has made since.
func TestAnOldVerdictDoesNotGoOverANewerCall(t *testing.T) {
	withHalts(t, v1alpha1.LookupNever, 1, func(w *world) {
		tries := 0
		w.configure(func(o *cbrtest.Options) { o.TaskDuration = time.Minute })
		w.endsAs(func(cbr.Backup) cbrtest.Outcome { // the first fails, the second is imported after a while
			if tries++; tries == 1 {
				return cbrtest.Outcome{Status: cbr.TaskFailed}
			}
			return cbrtest.Outcome{Duration: 20 * time.Minute}
		})
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Retry.Limit = new(int32(9)) })
		a, b := w.actors[0], w.actors[1]
		w.reach(a, answerLost)
		time.Sleep(25 * time.Second)
		a.sees()
		w.haltIn(t, a, 0, "(*cloudView).remember")
		w.liveUntil(b, 10*time.Minute, func() bool { return len(w.posts()) > 1 })
		w.live(b, 5*time.Second)
		release(a)
		w.goOn(a, 0, toItsEnd)
		w.kill(a)
		w.live(b, 10*time.Minute)
		if calls := len(w.posts()); calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
}

// A first claim that was decided before a halt does not go over what another process has written since.
func TestAClaimThatAnotherProcessHasOvertaken(t *testing.T) {
	withHalts(t, v1alpha1.LookupNever, 1, func(w *world) {
		w.cloud.Configure(func(o *cbrtest.Options) {
			o.ProjectIDs, o.TaskDuration = []string{cbrtest.ProjectID, elsewhere}, 5*time.Minute
		})
		a, b := w.actors[0], w.actors[1]
		time.Sleep(2 * time.Second)
		w.createProject(secondProject)
		w.server.create(modelBackupOf(secondProject, "c0", 0))
		w.point(firstProject, elsewhere)
		a.sees()
		w.haltIn(t, a, 1, "(*reporter).projectStatus") // nobody had the cloud project before
		time.Sleep(2 * time.Minute)
		w.point(firstProject, cbrtest.ProjectID)
		for range 6 {
			b.sees()
			w.passOver(b, 1, toItsEnd)
			w.passOver(b, 0, toItsEnd)
			time.Sleep(10 * time.Millisecond)
		}
		w.server.remove(kindProject, firstProject)
		for range 3 {
			b.sees()
			w.passOver(b, 0, toItsEnd)
		}
		w.server.remove(kindBackup, "b0")
		release(a)
		w.finish(a)
		w.kill(a)
		w.restart(1)
		w.live(w.actors[1], time.Minute)
	})
}

// So it is of an import that was found, and has been lost and asked for again since.
func TestAnOldSightDoesNotGoOverANewerImport(t *testing.T) {
	withHalts(t, v1alpha1.LookupNever, 1, func(w *world) {
		w.configure(func(o *cbrtest.Options) { o.TaskDuration = 10 * time.Second })
		a, b := w.actors[0], w.actors[1]
		w.reach(a, answerLost)
		time.Sleep(25 * time.Second)
		a.sees()
		w.haltIn(t, a, 0, "(*cloudView).remember")
		w.live(b, time.Minute)
		id := w.backup("b0").Spec.BackupID
		w.removeInCBR(id)
		w.request(kindBackup, "b0")
		w.endsAs(func(cbr.Backup) cbrtest.Outcome {
			return cbrtest.Outcome{Status: cbr.TaskFailed, Duration: 20 * time.Minute}
		})
		w.liveUntil(b, 2*time.Minute, func() bool { return len(w.posts()) > 1 })
		w.live(b, 5*time.Second)
		release(a)
		w.finish(a)
		w.kill(a)
		w.live(b, time.Hour)
		if reason := w.reason("b0"); reason != v1alpha1.ReasonOperationFailed {
			t.Errorf("after the import that was asked for has failed, it is %s", reason)
		}
	})
}
