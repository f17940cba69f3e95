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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What a status costs the others that cannot be written for long, as an admission policy refuses it.

// eventCounts counts events by the name of their object and their reason.
type eventCounts struct {
	mutex sync.Mutex
	of    map[string]int
}

func (c *eventCounts) Eventf(object, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.of[object.(client.Object).GetName()+" "+reason]++
}

// postsOf counts the sync calls that carried a backup.
func (w *world) postsOf(id string) (count int) {
	for _, call := range w.posts() {
		if slices.Contains(call, id) {
			count++
		}
	}
	return count
}

// A request at the project is met once. What is rejected again is not sent again as another one cannot be requeued, and that one is when it can.
func TestARequestIsMetOnceThoughAStatusCannotBeWritten(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		a, told := w.actors[0], &eventCounts{of: map[string]int{}}
		a.reconciler.events = told
		w.configure(func(o *cbrtest.Options) {
			o.Reject = func(backup cbr.Backup) *cbrtest.APIError {
				if backup.ID == "bad" || backup.ID == "wrong" {
					return &cbrtest.APIError{Status: 400, Code: "BackupService.9900"}
				}
				return nil
			}
		})
		for _, name := range []string{"good-1", "wrong", "good-2", "bad", "good-3"} { // others go through meanwhile: they are to blame
			w.declare(name, name, "vm-"+name)
			w.live(a, time.Minute)
		}
		if w.reason("bad") != v1alpha1.ReasonRejected || w.reason("wrong") != v1alpha1.ReasonRejected {
			t.Fatalf("they are %v", w.reasons())
		}
		w.denyStatus()
		posts, rejected, looks := w.postsOf("wrong"), told.of["wrong Rejected"], len(w.cloud.Ledger())
		w.request(kindProject, firstProject)
		w.declare("good-4", "good-4", "vm-4")
		w.live(a, 6*time.Hour)
		if got := w.postsOf("wrong") - posts; got < 1 || got > 2 { // with another one perhaps, and alone
			t.Errorf("what is rejected was sent %d times for one request", got)
		}
		if got := told.of["wrong Rejected"] - rejected; got != 1 {
			t.Errorf("%d events tell that it is rejected", got)
		}
		if got := len(w.cloud.Ledger()) - looks; got > 60 {
			t.Errorf("%d calls of CBR in six hours", got)
		}
		if project := w.project(); project.Status.LastHandledRequest != project.Annotations[v1alpha1.RequestedAtAnnotation] {
			t.Error("the project does not say that the request was met")
		}
		w.server.deny = nil
		w.declare("good-5", "good-5", "vm-5")
		w.live(a, time.Hour)
		if got := w.postsOf("bad"); got < 2 || got > 4 {
			t.Errorf("what could not be requeued was sent %d times", got)
		}
	})
}

// A status of what waits that cannot be written for good does not slow down the project: others are imported as soon as ever.
func TestAnUnwritableStatusSlowsDownNoOther(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.denyStatus()
		suspended := modelBackup(w.created)
		suspended.Name, suspended.Spec.Suspend = "bad", true
		w.server.create(suspended)
		w.live(a, 20*time.Minute)
		passes := w.passes()
		w.live(a, 2*time.Hour)
		if got := w.passes() - passes; got > 60 {
			t.Errorf("%d passes in two hours", got)
		}
		w.declare("good", "good", "vm-good")
		if !w.liveUntil(a, 30*time.Second, func() bool { return w.reason("good") == v1alpha1.ReasonImported }) {
			t.Errorf("half a minute later it is %s", w.reason("good"))
		}
		w.server.deny = nil
		if !w.liveUntil(a, 10*time.Minute, func() bool { return w.reason("bad") == v1alpha1.ReasonSuspended }) {
			t.Errorf("when it can be written, the status is %s", w.reason("bad"))
		}
	})
}

// Nor does it make passes without end where the project does not exist, of which nothing is remembered.
func TestAnUnwritableStatusWithoutAProjectIsTriedEverMoreRarely(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.live(a, time.Minute)
		w.server.remove(kindProject, firstProject)
		w.denyStatus()
		w.declare("bad", "bad", "vm-bad")
		passes := w.passes()
		w.live(a, 2*time.Hour)
		if got := w.passes() - passes; got > 70 {
			t.Errorf("%d passes in two hours", got)
		}
		w.server.deny = nil
		if !w.liveUntil(a, 10*time.Minute, func() bool { return w.reason("bad") == v1alpha1.ReasonProjectNotFound }) {
			t.Errorf("when it can be written, the status is %s", w.reason("bad"))
		}
	})
}

// passes counts the passes over the first project so far.
func (w *world) passes() (count int) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, each := range w.trace {
		if strings.Contains(each, "begins a pass over "+firstProject) {
			count++
		}
	}
	return count
}
