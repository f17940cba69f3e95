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
	"slices"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// Refused calls of what is sent again though it is not pending: imported backups, and duplicates whose owners are gone.

// againCount is how many backups of newWorld are sent again.
const againCount = 4

// sentAgain are the ways in which backups that are imported, and gone in CBR, are sent again. Each returns the names of their BackupSyncs.
var sentAgain = map[string]func(*world) []string{
	"imported again": func(w *world) (names []string) {
		for number := range againCount {
			w.removeInCBR(itemOf(number).ID)
			names = append(names, fmt.Sprintf("b%d", number))
			w.request(kindBackup, names[number])
		}
		return names
	},
	"freed duplicates": func(w *world) (names []string) {
		for number := range againCount {
			names = append(names, fmt.Sprintf("again-%d", number))
			w.declare(names[number], itemOf(number).ID, itemOf(number).ResourceID)
		}
		w.live(w.actors[0], time.Minute)
		for number, name := range names {
			if reason := w.reason(name); reason != v1alpha1.ReasonDuplicate {
				w.audit.found("%s is %s", name, reason)
			}
			w.removeInCBR(itemOf(number).ID)
			w.server.remove(kindBackup, fmt.Sprintf("b%d", number))
		}
		return names
	},
}

// One of them with which every call is refused, whatever the words, does not hold up the others, and comes to its end too.
func TestAPoisonedBackupThatIsSentAgainHoldsUpNoOther(t *testing.T) {
	for kind, again := range sentAgain {
		for _, refusal := range poisons {
			t.Run(kind+", "+told(refusal), func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, againCount, func(t *testing.T, w *world) {
					a, most := w.actors[0], 150
					if refusal.Code == "BackupService.9900" {
						most = 12 // it is halved
					}
					w.batchesOf(againCount)
					w.live(a, time.Hour)
					names, before := again(w), len(w.posts())
					w.refuse(itemOf(0).ID, refusal)
					w.live(a, 4*time.Hour)
					for number := 1; number < againCount; number++ {
						if reason, tries := w.reason(names[number]), w.audit.tries(itemOf(number).ID); reason != v1alpha1.ReasonImported || tries != 2 {
							t.Errorf("four hours later %s is %s, and was taken %d times", names[number], reason, tries)
						}
					}
					ends := []string{v1alpha1.ReasonRejected, v1alpha1.ReasonRetryScheduled}
					if reason := w.reason(names[0]); !slices.Contains(ends, reason) {
						t.Errorf("the one that is refused is %s", reason)
					}
					if calls := len(w.posts()) - before; calls > most {
						t.Errorf("%d sync calls in four hours", calls)
					}
				})
			})
		}
	}
}

// What is refused by itself, and not by a word of CBR's own, is imported when it is taken.
func TestAPoisonedBackupThatIsSentAgainIsImportedWhenCBRTakesIt(t *testing.T) {
	for kind, again := range sentAgain {
		t.Run(kind, func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, againCount, func(t *testing.T, w *world) {
				w.editProject(func(spec *v1alpha1.CBRProjectSpec) { limit := int32(10); spec.Retry.Limit = &limit })
				w.batchesOf(againCount)
				w.live(w.actors[0], time.Hour)
				again(w)
				w.refuse(itemOf(0).ID, cbrtest.APIError{Status: 400, Shape: cbrtest.ShapeHTML})
				w.live(w.actors[0], 20*time.Minute)
				w.configure(func(o *cbrtest.Options) { o.Reject = nil })
				w.wantHealed(t, 4*time.Hour)
				if tries := w.audit.tries(itemOf(0).ID); tries != 2 {
					t.Errorf("it was taken %d times", tries)
				}
			})
		})
	}
}

// One that was rejected for good, and is requested again, has all its retries, whoever else declares the backup.
func TestARejectedBackupWithADuplicateHasAllItsRetriesAgain(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { limit := int32(3); spec.Retry.Limit = &limit })
		duplicate := modelBackup(0)
		duplicate.Name = "duplicate"
		w.server.create(duplicate)
		w.refuse(itemOf(0).ID, cbrtest.APIError{Status: 400, Shape: cbrtest.ShapeHTML})
		for range 2 {
			after := func(reason string) {
				t.Helper()
				if !w.liveUntil(a, 4*time.Hour, func() bool { return w.reason("b0") == reason }) {
					t.Fatalf("it is not %s, but %s", reason, w.reason("b0"))
				}
			}
			after(v1alpha1.ReasonRetryScheduled)
			after(v1alpha1.ReasonRejected)
			w.live(a, time.Hour)
			w.request(kindBackup, "b0")
			w.createBackup() // a call that goes through blames it
		}
	})
}
