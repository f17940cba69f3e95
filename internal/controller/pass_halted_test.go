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
	in    string
	on    chan struct{}
	met   bool
}

func (c *haltClock) arm(in string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.in, c.on, c.met = in, make(chan struct{}), false
}

func (c *haltClock) Now() time.Time {
	c.mutex.Lock()
	in, on := c.in, c.on
	c.mutex.Unlock()
	if in != "" {
		pcs := make([]uintptr, 12)
		frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
		for frame, more := frames.Next(); ; frame, more = frames.Next() {
			if strings.HasSuffix(frame.Function, in) {
				c.mutex.Lock()
				c.in, c.met = "", true
				c.mutex.Unlock()
				<-on
				break
			}
			if !more {
				break
			}
		}
	}
	return time.Now()
}

// withHalts runs a script with processes whose clocks halt them, and fails the test if a backup was accepted without need.
func withHalts(t *testing.T, policy v1alpha1.LookupPolicy, backups int, script func(w *world, clocks map[string]*haltClock)) {
	t.Helper()
	hasty(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		clocks := map[string]*haltClock{}
		w := newWorld(ctx, policy, backups, func(r *Reconciler) {
			c := &haltClock{}
			r.options.Clock, clocks[r.options.Identity] = c, c
		})
		script(w, clocks)
		if wrong := w.audit.findings(); wrong != "" {
			t.Errorf("%s\n%s\n%s", wrong, w.describe(), strings.Join(w.trace, "\n"))
		}
		w.end(cancel)
	})
}

// passIn has a process make one pass over one project, of which all goes well, until it halts or is over.
func (w *world) passIn(a *actor, lane int) {
	w.mutex.Lock()
	w.beginIn(a, a.lanes[lane])
	w.mutex.Unlock()
	w.goOn(a, lane)
}

func (w *world) goOn(a *actor, lane int) {
	for range 100 {
		synctest.Wait()
		w.mutex.Lock()
		waiting, passing := len(w.waiting), a.lanes[lane].passing
		w.mutex.Unlock()
		switch {
		case waiting > 0:
			w.open(0, goesWell)
		case !passing:
			return
		default:
			return // halted
		}
	}
}

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
	w.passIn(a, 1) // in use: the first is older
	w.point(firstProject, elsewhere)
	a.sees()
	holdUp()
	time.Sleep(2 * time.Minute)
	w.point(firstProject, cbrtest.ProjectID)
	for range 6 {
		leader.sees()
		w.passIn(leader, 0)
		if len(w.posts()) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.server.remove(kindProject, firstProject)
	for range 3 {
		leader.sees()
		w.passIn(leader, 0)
		if leader != a {
			w.passIn(leader, 1)
		}
	}
	goOn()
	for range 6 {
		leader.sees()
		w.passIn(leader, 1)
		time.Sleep(10 * time.Millisecond)
	}
}

// A takeover counts from when it was seen to be written, not from when it was decided.
func TestATakeoverThatIsDecidedLongBeforeItIsWritten(t *testing.T) {
	withHalts(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(w *world, clocks map[string]*haltClock) {
		a := w.actors[0]
		w.kill(w.actors[1])
		w.takesOverLate(a, a, func() {
			clocks[a.name].arm("(*reporter).projectStatus")
			w.passIn(a, 1)
		}, func() {
			close(clocks[a.name].on)
			w.goOn(a, 1)
		})
	})
}

// So it does if the write takes long.
func TestATakeoverThatIsLongOnItsWay(t *testing.T) {
	withHalts(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(w *world, _ map[string]*haltClock) {
		a := w.actors[0]
		w.kill(w.actors[1])
		var write *gate
		w.takesOverLate(a, a, func() {
			w.passOver(a, 1, "patch status of other")
			w.mutex.Lock()
			write, w.waiting = w.waiting[0], nil
			w.mutex.Unlock()
		}, func() {
			write.opened <- goesWell
			w.goOn(a, 1)
		})
	})
}

// Another process leads meanwhile, and takes over: the one that was halted does not date that back.
func TestATakeoverIsNotDatedBack(t *testing.T) {
	withHalts(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(w *world, clocks map[string]*haltClock) {
		a, b := w.actors[0], w.actors[1]
		w.takesOverLate(a, b, func() {
			clocks[a.name].arm("(*reporter).projectStatus")
			w.passIn(a, 1)
		}, func() {
			close(clocks[a.name].on)
			w.finish(a)
			w.kill(a)
		})
	})
}

// A process that was halted before it wrote its report keeps what another one has counted.
func TestCallsOfAnotherProcessAreCountedAfterAConflict(t *testing.T) {
	withHalts(t, v1alpha1.LookupNever, 12, func(w *world, clocks map[string]*haltClock) {
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Batch.MaxSize, spec.Limits.SyncCallsPerMinute = 1, 3 })
		a, b := w.actors[0], w.actors[1]
		// the first call alone
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = 1 })
		for range 6 {
			a.sees()
			clocks[a.name].arm("(*reporter).projectStatus")
			if w.passIn(a, 0); len(w.posts()) > 0 {
				break
			}
			close(clocks[a.name].on)
			w.goOn(a, 0)
			time.Sleep(100 * time.Millisecond)
		}
		w.note("posts %v halted %v", len(w.posts()), clocks[a.name].met)
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = 3 })
		time.Sleep(5 * time.Second)
		for range 8 {
			b.sees()
			w.passIn(b, 0)
			time.Sleep(200 * time.Millisecond)
		}
		w.note("posts %v", len(w.posts()))
		close(clocks[a.name].on)
		w.finish(a)
		w.kill(a)
		w.restart(1) // another one
		c := w.actors[1]
		time.Sleep(time.Second)
		for range 8 {
			c.sees()
			w.passIn(c, 0)
			time.Sleep(200 * time.Millisecond)
		}
		if calls := len(w.posts()); calls > 3 { // within some eight seconds
			t.Errorf("%d calls, 3 a minute are allowed", calls)
		}
	})
}

// A process is halted after it has looked up a lost call: what it writes then does not go over a call that another one has made since.
func TestAnOldVerdictDoesNotGoOverANewerCall(t *testing.T) {
	withHalts(t, v1alpha1.LookupNever, 1, func(w *world, clocks map[string]*haltClock) {
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
		clocks[a.name].arm("(*cloudView).remember")
		w.passIn(a, 0)
		w.note("halted: %v", clocks[a.name].met)
		w.liveUntil(b, 10*time.Minute, func() bool { return len(w.posts()) > 1 })
		w.live(b, 5*time.Second)
		close(clocks[a.name].on)
		w.goOn(a, 0)
		w.kill(a)
		w.live(b, 10*time.Minute)
		if calls := len(w.posts()); calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
}

// A first claim that was decided before a halt does not go over what another process has written since.
func TestAClaimThatAnotherProcessHasOvertaken(t *testing.T) {
	withHalts(t, v1alpha1.LookupNever, 1, func(w *world, clocks map[string]*haltClock) {
		w.cloud.Configure(func(o *cbrtest.Options) {
			o.ProjectIDs, o.TaskDuration = []string{cbrtest.ProjectID, elsewhere}, 5*time.Minute
		})
		a, b := w.actors[0], w.actors[1]
		time.Sleep(2 * time.Second)
		w.createProject(secondProject)
		w.server.create(modelBackupOf(secondProject, "c0", 0))
		w.point(firstProject, elsewhere)
		a.sees()
		clocks[a.name].arm("(*reporter).projectStatus")
		w.passIn(a, 1) // nobody had the cloud project before
		w.note("halted: %v", clocks[a.name].met)
		time.Sleep(2 * time.Minute)
		w.point(firstProject, cbrtest.ProjectID)
		for range 6 {
			b.sees()
			w.passIn(b, 1)
			w.passIn(b, 0)
			time.Sleep(10 * time.Millisecond)
		}
		w.server.remove(kindProject, firstProject)
		for range 3 {
			b.sees()
			w.passIn(b, 0)
		}
		w.server.remove(kindBackup, "b0")
		close(clocks[a.name].on)
		w.finish(a)
		w.kill(a)
		w.restart(1)
		w.live(w.actors[1], time.Minute)
	})
}

// So it is of an import that was found, and has been lost and asked for again since.
func TestAnOldSightDoesNotGoOverANewerImport(t *testing.T) {
	withHalts(t, v1alpha1.LookupNever, 1, func(w *world, clocks map[string]*haltClock) {
		w.configure(func(o *cbrtest.Options) { o.TaskDuration = 10 * time.Second })
		a, b := w.actors[0], w.actors[1]
		w.reach(a, answerLost)
		time.Sleep(25 * time.Second)
		a.sees()
		clocks[a.name].arm("(*cloudView).remember")
		w.passIn(a, 0)
		w.note("halted: %v", clocks[a.name].met)
		w.live(b, time.Minute)
		id := w.backup("b0").Spec.BackupID
		w.removeInCBR(id)
		w.request(kindBackup, "b0")
		w.endsAs(func(cbr.Backup) cbrtest.Outcome {
			return cbrtest.Outcome{Status: cbr.TaskFailed, Duration: 20 * time.Minute}
		})
		w.liveUntil(b, 2*time.Minute, func() bool { return len(w.posts()) > 1 })
		w.live(b, 5*time.Second)
		close(clocks[a.name].on)
		w.finish(a)
		w.kill(a)
		w.live(b, time.Hour)
		if reason := w.reason("b0"); reason != v1alpha1.ReasonOperationFailed {
			t.Errorf("after the import that was asked for has failed, it is %s", reason)
		}
	})
}
