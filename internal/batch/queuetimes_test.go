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

package batch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/backupsync/backupsynctest"
)

// someBackups were created a minute before backupsynctest.Noon.
func someBackups(count int) []*v1alpha1.BackupSync {
	backups := make([]*v1alpha1.BackupSync, 0, count)
	for i := range count {
		backups = append(backups, backupsynctest.New(func(b *v1alpha1.BackupSync) {
			b.Name, b.UID = fmt.Sprintf("backup-%04d", i), types.UID(fmt.Sprintf("uid-%d", i))
			b.CreationTimestamp = metav1.NewTime(backupsynctest.Noon.Add(-time.Minute))
		}))
	}
	return backups
}

func TestArrivals(t *testing.T) {
	g := NewWithT(t)
	backups, known := someBackups(2), NewQueueTimes()
	early, late := backups[0], backups[1]
	pass := func(present ...*v1alpha1.BackupSync) (times []time.Time) {
		known.BeginPass()
		now := backupsynctest.Noon.Add(time.Duration(known.passes) * time.Second)
		for _, backup := range present {
			times = append(times, known.QueuedAt(backup, now))
		}
		known.Prune(len(present))
		return times
	}
	created, second := backupsynctest.Noon.Add(-time.Minute), func(n int) time.Time { return backupsynctest.Noon.Add(time.Duration(n) * time.Second) }

	g.Expect(pass(early)).To(Equal([]time.Time{created}), "what waits when a process starts has waited since it was created")
	g.Expect(pass(early, late)).To(Equal([]time.Time{created, second(2)}), "what comes later arrives when it is seen")
	g.Expect(pass(early, late)).To(Equal([]time.Time{created, second(2)}), "who waits keeps his time")
	g.Expect(pass(late)).To(Equal([]time.Time{second(2)}))
	g.Expect(pass(early, late)).To(Equal([]time.Time{second(5), second(2)}), "who was gone arrives anew")
	g.Expect(known.Requeue(late, second(5))).To(Equal(second(5)))
	g.Expect(pass(late)).To(Equal([]time.Time{second(5)}))
	g.Expect(pass()).To(BeEmpty())
	g.Expect(known.byUID).To(BeEmpty(), "nothing is kept of those that are gone")
}

func TestForgottenArrivalsAreFewerThanThoseThatWait(t *testing.T) {
	g := NewWithT(t)
	backups, known := someBackups(1000), NewQueueTimes()
	for gone := range backups {
		known.BeginPass()
		for _, backup := range backups[gone:] {
			known.QueuedAt(backup, backupsynctest.Noon.Time)
		}
		known.Prune(len(backups) - gone)
		g.Expect(len(known.byUID)).To(BeNumerically("<=", 2*(len(backups)-gone)))
	}
}

func TestByAge(t *testing.T) {
	g := NewWithT(t)
	backups := someBackups(100)
	for i, backup := range backups { // several are of the same second
		backup.CreationTimestamp = metav1.NewTime(backupsynctest.Noon.Add(-time.Duration((i*7)%10) * time.Second))
	}
	candidates := make([]Candidate, 0, len(backups))
	for _, i := range rand.Perm(len(backups)) {
		candidates = append(candidates, Candidate{BackupSync: backups[i]})
	}
	slices.SortFunc(backups, backupsync.Older)
	for count := range len(backups) + 1 {
		var found []*v1alpha1.BackupSync
		for next := range ByAge(slices.Clone(candidates)) {
			if len(found) == count {
				break
			}
			found = append(found, next.BackupSync)
		}
		g.Expect(slices.Equal(found, backups[:count])).To(BeTrue(), "the %d oldest are %v", count, found)
	}
}
