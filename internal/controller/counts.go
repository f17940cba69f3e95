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
	"crypto/sha256"
	"slices"
	"strconv"
	"sync"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// stateCounts counts the BackupSyncs of each project by state, from the watch and from our own writes, so that no
// pass has to list what is imported. It also knows which versions of an object are our own, so that the watch
// events that our writes cause need no pass. It has an entry for each BackupSync there is, so that its entries are small.
type stateCounts struct {
	mutex    sync.Mutex
	entries  map[uidKey]countedBackup
	numbers  map[types.NamespacedName]uint32 // of projects that BackupSyncs name, whether or not they exist
	projects []projectCounts                 // by number
	free     []uint32                        // numbers of projects that no BackupSync names any more
}

// projectCounts is the counts of a project by state, of those that have not ended by the reason of Ready, and of those that are imported by
// what Available says.
type projectCounts struct {
	key          types.NamespacedName
	counts       [backupsync.States]int32
	waiting      [len(waitingReasons)]int32
	availability [backupsync.BackupUndefined + 1]int32
	drifted      int32
}

// add counts a BackupSync, or takes it out again by -1.
func (c *projectCounts) add(entry countedBackup, by int32) {
	c.counts[entry.state()] += by
	switch entry.state() {
	case backupsync.Pending, backupsync.Running:
		c.waiting[entry.detail()] += by
	case backupsync.Imported:
		c.availability[entry.detail()&^driftedDetail] += by
		if entry.detail()&driftedDetail != 0 {
			c.drifted += by
		}
	default:
	}
}

// waitingReasons are the reasons of Ready of BackupSyncs that have not ended. An entry has room for eight.
var waitingReasons = [8]string{
	v1alpha1.ReasonQueued, v1alpha1.ReasonAwaitingTask, v1alpha1.ReasonOutcomeUnknown, v1alpha1.ReasonRetryScheduled,
	v1alpha1.ReasonSuspended, v1alpha1.ReasonProjectNotFound, v1alpha1.ReasonOperationRunning, v1alpha1.ReasonOperationOverdue,
}

// suspended is the number of the reason of a BackupSync that nobody waits for.
var suspended = uint32(slices.Index(waitingReasons[:], v1alpha1.ReasonSuspended))

// waitingReason returns the number of the reason for which a BackupSync waits. Its conditions may still be those from before an
// edit: then it is what they will say first.
func waitingReason(backup *v1alpha1.BackupSync, state backupsync.State) uint32 {
	reason := v1alpha1.ReasonQueued
	if state == backupsync.Running {
		reason = v1alpha1.ReasonOperationRunning
	}
	if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil && slices.Contains(waitingReasons[:], ready.Reason) {
		reason = ready.Reason
	}
	return uint32(slices.Index(waitingReasons[:], reason))
}

// uidKey is a uid without its text.
type uidKey [16]byte

func uidKeyOf(uid types.UID) uidKey {
	if parsed, err := uuid.Parse(string(uid)); err == nil {
		return uidKey(parsed)
	}
	sum := sha256.Sum256([]byte(uid)) // of an API server with uids of its own
	return uidKey(sum[:16])
}

// countedBackup is what is known of a BackupSync.
type countedBackup struct {
	version int64
	created uint32 // in Unix seconds, until 2106
	place   uint32 // the number of the project, a detail of the state in three bits, and the state in the last two
}

func placeOf(project uint32, backup *v1alpha1.BackupSync) uint32 {
	state := backupsync.StateOf(backup)
	return project<<5 | detailOf(backup, state)<<2 | uint32(state)
}

// driftedDetail is the bit of the detail of an imported BackupSync whose manifest was edited since. What Available says takes two.
const driftedDetail = 1 << 2

// detailOf is what is counted of a BackupSync besides its state: of one that is imported what Available and Drifted say, else for which reason
// it waits.
func detailOf(backup *v1alpha1.BackupSync, state backupsync.State) uint32 {
	switch {
	case state != backupsync.Imported:
		return waitingReason(backup, state)
	case driftedCondition(backup):
		return uint32(backupsync.AvailabilityOf(backup)) | driftedDetail
	default:
		return uint32(backupsync.AvailabilityOf(backup))
	}
}

func (e countedBackup) project() uint32         { return e.place >> 5 }
func (e countedBackup) detail() uint32          { return e.place >> 2 & 7 }
func (e countedBackup) state() backupsync.State { return backupsync.State(e.place & 3) }

func newStateCounts() *stateCounts {
	return &stateCounts{entries: map[uidKey]countedBackup{}, numbers: map[types.NamespacedName]uint32{}}
}

// observe takes in a version of a BackupSync that the watch has shown, and reports whether it was news.
func (t *stateCounts) observe(backup *v1alpha1.BackupSync) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	key := uidKeyOf(backup.UID)
	entry, found := t.entries[key]
	if !found {
		entry = countedBackup{created: uint32(backup.CreationTimestamp.Unix()), place: placeOf(t.number(projectKey(backup)), backup)}
		t.projects[entry.project()].add(entry, 1)
	}
	return t.update(key, entry, backup) || !found
}

// wrote takes in a version that this process has written.
func (t *stateCounts) wrote(backup *v1alpha1.BackupSync) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	key := uidKeyOf(backup.UID)
	if entry, found := t.entries[key]; found { // else it is deleted, or the watch will show it
		t.update(key, entry, backup)
	}
}

// update keeps an entry as of a version, and reports whether that is newer than the one before.
func (t *stateCounts) update(key uidKey, entry countedBackup, backup *v1alpha1.BackupSync) bool {
	version := resourceVersion(backup)
	newer := version > entry.version
	if newer {
		project := &t.projects[entry.project()]
		project.add(entry, -1)
		entry.version, entry.place = version, placeOf(entry.project(), backup)
		project.add(entry, 1)
	}
	t.entries[key] = entry
	return newer
}

// forget removes a BackupSync that is deleted.
func (t *stateCounts) forget(backup *v1alpha1.BackupSync) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	key := uidKeyOf(backup.UID)
	if entry, found := t.entries[key]; found {
		t.projects[entry.project()].add(entry, -1)
		delete(t.entries, key)
		t.vacate(entry.project())
	}
}

// vacate forgets a project that no BackupSync names any more.
func (t *stateCounts) vacate(number uint32) {
	if project := &t.projects[number]; project.counts == ([backupsync.States]int32{}) {
		delete(t.numbers, project.key)
		*project = projectCounts{}
		t.free = append(t.free, number)
	}
}

// counts returns the counts of a project.
func (t *stateCounts) counts(project types.NamespacedName) v1alpha1.BackupCounts {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	counted := t.of(project)
	counts := counted.counts
	pending, running, imported, failed := counts[backupsync.Pending], counts[backupsync.Running], counts[backupsync.Imported], counts[backupsync.Failed]
	told := v1alpha1.BackupCounts{Total: pending + running + imported + failed,
		Pending: pending, Running: running, Imported: imported, Failed: failed}
	if counted.drifted > 0 {
		told.Drifted = ptr.To(counted.drifted)
	}
	return told
}

// unavailable returns how many imported BackupSyncs of a project CBR was seen not to have any more, and how many in status error.
func (t *stateCounts) unavailable(project types.NamespacedName) (missing, unusable int32) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	found := t.of(project).availability
	return found[backupsync.BackupMissing], found[backupsync.BackupUnusable]
}

// of returns what is counted of a project; the mutex is held.
func (t *stateCounts) of(project types.NamespacedName) (counted projectCounts) {
	if number, found := t.numbers[project]; found {
		counted = t.projects[number]
	}
	return counted
}

// countSummary is what the metrics tell of a project.
type countSummary struct {
	counts        [backupsync.States]int32
	waiting       [len(waitingReasons)]int32
	availability  [backupsync.BackupUndefined + 1]int32
	oldestPending uint32 // when it was created, in Unix seconds; 0 without one
}

// add takes in the counts of a project.
func (s *countSummary) add(project *projectCounts, oldestPending uint32) {
	for state, count := range project.counts {
		s.counts[state] += count
	}
	for reason, count := range project.waiting {
		s.waiting[reason] += count
	}
	for said, count := range project.availability {
		s.availability[said] += count
	}
	if s.oldestPending == 0 || oldestPending != 0 && oldestPending < s.oldestPending {
		s.oldestPending = oldestPending
	}
}

// summaries returns the counts and the oldest pending BackupSync of each project that exists, and of all others of a namespace together, under
// the name "": BackupSyncs may name whatever their authors like. One that is suspended is meant to wait.
func (t *stateCounts) summaries(existing sets.Set[types.NamespacedName]) map[types.NamespacedName]countSummary {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	oldest := make([]uint32, len(t.projects))
	for _, entry := range t.entries {
		known := oldest[entry.project()]
		if entry.state() == backupsync.Pending && entry.detail() != suspended && (known == 0 || entry.created < known) {
			oldest[entry.project()] = entry.created
		}
	}
	summaries := make(map[types.NamespacedName]countSummary, len(existing))
	for number := range t.projects {
		project := &t.projects[number]
		if project.counts == ([backupsync.States]int32{}) {
			continue // a series of a project that is gone would never end
		}
		key := project.key
		if !existing.Has(key) {
			key.Name = ""
		}
		summary := summaries[key]
		summary.add(project, oldest[number])
		summaries[key] = summary
	}
	return summaries
}

// number returns the number of a project, which it has for as long as a BackupSync names it.
func (t *stateCounts) number(key types.NamespacedName) uint32 {
	number, found := t.numbers[key]
	switch {
	case found:
		return number
	case len(t.free) > 0:
		number, t.free = t.free[len(t.free)-1], t.free[:len(t.free)-1]
	default:
		number = uint32(len(t.projects))
		t.projects = append(t.projects, projectCounts{})
	}
	t.numbers[key], t.projects[number].key = number, key
	return number
}

func projectKey(backup *v1alpha1.BackupSync) types.NamespacedName {
	return types.NamespacedName{Namespace: backup.Namespace, Name: backup.Spec.ProjectRef.Name}
}

// resourceVersion returns an object's resource version as the number that it is (Kubernetes guarantees the
// order of resource versions since 1.35, etcd has always had it).
func resourceVersion(object interface{ GetResourceVersion() string }) int64 {
	version, err := strconv.ParseInt(object.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return version
}
