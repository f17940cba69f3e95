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
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/batch"
)

// Several BackupSyncs that declare the same backup.

// watchedClient tells of each look for the BackupSyncs of a backup, when it is over.
type watchedClient struct {
	Client
	looked func()
}

func (c watchedClient) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	err := c.Client.List(ctx, list, options...)
	var selected client.ListOptions
	selected.ApplyOptions(options)
	if selected.FieldSelector != nil && selected.FieldSelector.Requirements()[0].Field == indexBackup {
		c.looked()
	}
	return err
}

// Whoever of them is deleted while a pass plans: it sends the backup once.
func TestAnOwnerThatIsDeletedWhileAPassPlans(t *testing.T) {
	for _, policy := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
		for looks := 1; looks <= 3; looks++ {
			for _, gone := range []string{"first", "second", "third"} {
				t.Run(fmt.Sprintf("%s after look %d, lookups %s", gone, looks, policy), func(t *testing.T) {
					scripted(t, policy, 1, func(t *testing.T, w *world) { loseWhilePlanned(t, w, gone, looks) })
				})
			}
		}
	}
}

func loseWhilePlanned(t *testing.T, w *world, gone string, looks int) {
	t.Helper()
	const id = "declared-three-times"
	a := w.actors[0]
	w.batchesOf(4)
	w.live(a, time.Hour) // it is the last writer: nothing is read live
	for _, name := range []string{"first", "second", "third"} {
		w.declare(name, id, "vm")
	}
	a.reconciler.client = watchedClient{Client: a.reconciler.client, looked: func() {
		if looks--; looks == 0 {
			w.server.remove(kindBackup, gone)
			a.sees()
		}
	}}
	a.sees()
	w.pass(a, goesWell, "")
	for _, call := range w.posts() {
		if len(call) != 1 {
			t.Errorf("a call has carried %v", call)
		}
	}
	w.live(a, time.Hour)
	if tries := w.audit.tries(id); tries != 1 {
		t.Errorf("it was taken %d times", tries)
	}
	others := len(w.server.backups()) - 2 // b0, and the owner
	if got := w.reasons()[v1alpha1.ReasonDuplicate]; got != others {
		t.Errorf("%d are duplicates, not %d: %v", got, others, w.reasons())
	}
}

// One whose owner goes takes its place, and CBR is asked first, whatever the policy: the owner may have been imported long ago. So a
// manifest may get another name: the new one is applied, then the old one is pruned.
func TestAFreedDuplicateIsLookedUp(t *testing.T) {
	for _, backups := range []int{1, 12} {
		t.Run(fmt.Sprint(backups), func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, backups, func(t *testing.T, w *world) {
				a := w.actors[0]
				w.live(a, time.Hour)
				for number := range backups {
					w.declare(fmt.Sprintf("renamed-%d", number), itemOf(number).ID, itemOf(number).ResourceID)
				}
				w.live(a, time.Minute)
				if got := w.reasons()[v1alpha1.ReasonDuplicate]; got != backups {
					t.Errorf("%d are duplicates", got)
				}
				for number := range backups {
					w.server.remove(kindBackup, fmt.Sprintf("b%d", number))
				}
				w.live(a, 10*time.Minute)
				if got := w.reasons()[v1alpha1.ReasonAlreadyImported]; got != backups {
					t.Errorf("they are %v", w.reasons())
				}
				for number := range backups {
					if tries := w.audit.tries(itemOf(number).ID); tries != 1 {
						t.Errorf("backup %d was taken %d times", number, tries)
					}
				}
			})
		})
	}
}

// storedClient shows the same BackupSyncs to everybody.
type storedClient struct {
	Client
	stored []v1alpha1.BackupSync
}

func (c storedClient) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	var selected client.ListOptions
	selected.ApplyOptions(options)
	for i := range c.stored {
		if backupKeys(&c.stored[i])[0] == selected.FieldSelector.Requirements()[0].Value {
			list.(*v1alpha1.BackupSyncList).Items = append(list.(*v1alpha1.BackupSyncList).Items, c.stored[i])
		}
	}
	return nil
}

// However many declare the same backup, a pass looks for its owner once.
func TestManyDuplicatesCostNoMoreThanOne(t *testing.T) {
	const backups, each = 5, 1000
	g := NewWithT(t)
	var stored []v1alpha1.BackupSync
	for number := range backups * each {
		stored = append(stored, *newBackup(func(b *v1alpha1.BackupSync) {
			b.Name, b.UID = fmt.Sprintf("backup-%04d", number), types.UID(fmt.Sprintf("uid-%d", number))
			b.Spec.BackupID = fmt.Sprintf("id-%d", number%backups)
		}))
	}
	looks := 0
	cached := watchedClient{Client: storedClient{stored: stored}, looked: func() { looks++ }}
	p := passAt(&Reconciler{client: cached}, scope{key: defaultProject, now: noon.Time, project: newProject()}, newMemory()).planner()
	var eligible []batch.Candidate
	for i := range stored {
		eligible = append(eligible, batch.Candidate{BackupSync: &stored[i], QueuedAt: noon.Time})
	}
	found, truncated, err := p.candidates(t.Context(), eligible, 1000)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(truncated).To(BeFalse())
	g.Expect(found).To(HaveLen(backups))
	g.Expect(p.plan.duplicates).To(HaveLen(backups * (each - 1)))
	g.Expect(looks).To(Equal(backups))
}
