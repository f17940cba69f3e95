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
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
)

// What a status costs the others that cannot be written for long, as an admission policy refuses it.

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
