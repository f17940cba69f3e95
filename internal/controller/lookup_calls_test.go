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
	"maps"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// A look at CBR leaves few of what was planned: what is left goes in full calls all the same.

// declareMostlyHeld applies so many manifests, of each ten of which CBR has nine already.
func (w *world) declareMostlyHeld(count int) {
	for number := range count {
		if number%10 != 7 {
			w.hold(cbrtest.Backup(1000+number).ID, string(cbr.BackupAvailable))
		}
	}
	w.declareMany(count)
}

func TestCallsThatALookHasThinnedAreFilledUp(t *testing.T) {
	const count, size = 1000, 50
	unlimited := func(*world) {}
	perMinute := func(calls int32) func(*world) {
		return func(w *world) {
			w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = calls })
		}
	}
	for name, given := range map[string]func(*world){
		"no limit": unlimited,
		"not its first call": func(w *world) { // a pass plans more of them
			w.createBackup()
			w.liveUntil(w.actors[0], time.Minute, w.allImported)
		},
		"ten calls a minute":  perMinute(10),
		"one call a minute":   perMinute(1),
		"asked for by itself": func(w *world) { w.configure(func(o *cbrtest.Options) { o.NarrowLists = true }) },
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
				w.batchesOf(size)
				given(w)
				before, calls := len(w.server.backups()), len(w.posts())
				w.declareMostlyHeld(count)
				if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
					t.Errorf("ten minutes later they are %v", w.reasons())
				}
				want := map[string]int{v1alpha1.ReasonAlreadyImported: count * 9 / 10, v1alpha1.ReasonImported: before + count/10}
				if got := w.reasons(); !maps.Equal(got, want) {
					t.Errorf("they are %v, not %v", got, want)
				}
				if calls = len(w.posts()) - calls; calls > count/10/size+1 {
					t.Errorf("%d sync calls", calls)
				}
			})
		})
	}
}

// If nothing can be written about those that are found, the others do not wait for it.
func TestWhatCannotBeWrittenHoldsUpNoOther(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		const count = 60
		held := map[string]bool{}
		for number := range count {
			held[fmt.Sprintf("good-%03d", number)] = number%10 != 7
		}
		w.server.deny = func(kind, name string) error {
			if held[name] {
				return apierrors.NewForbidden(resourceOf(kind), name, nil)
			}
			return nil
		}
		w.batchesOf(10) // the first pass plans four calls
		w.declareMostlyHeld(count)
		imported := func() bool { return w.reasons()[v1alpha1.ReasonImported] == count/10 }
		if !w.liveUntil(w.actors[0], 10*time.Minute, imported) {
			t.Errorf("ten minutes later they are %v", w.reasons())
		}
	})
}
