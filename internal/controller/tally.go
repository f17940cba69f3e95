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
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// tally counts the BackupSyncs of each project by state, from the watch and from our own writes, so that no
// pass has to list what is imported. It also knows which versions of an object are our own, so that the watch
// events that our writes cause need no pass.
type tally struct {
	mutex    sync.Mutex
	entries  map[types.UID]*tallyEntry
	projects map[types.NamespacedName]*[backupsync.States]int32
}

type tallyEntry struct {
	project *[backupsync.States]int32
	version int64
	created time.Time
	state   backupsync.State
}

func newTally() *tally {
	return &tally{entries: map[types.UID]*tallyEntry{}, projects: map[types.NamespacedName]*[backupsync.States]int32{}}
}

// observe takes in a version of a BackupSync that the watch has shown, and says whether it was news.
func (t *tally) observe(backup *v1alpha1.BackupSync) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	entry, found := t.entries[backup.UID]
	if !found {
		entry = &tallyEntry{project: t.project(projectKey(backup)), state: backupsync.StateOf(backup), created: backup.CreationTimestamp.Time}
		entry.project[entry.state]++
		t.entries[backup.UID] = entry
	}
	return entry.update(backup) || !found
}

// wrote takes in a version that this process has written.
func (t *tally) wrote(backup *v1alpha1.BackupSync) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if entry, found := t.entries[backup.UID]; found { // else it is deleted, or the watch will show it
		entry.update(backup)
	}
}

func (e *tallyEntry) update(backup *v1alpha1.BackupSync) bool {
	version := resourceVersion(backup)
	if version <= e.version {
		return false
	}
	e.version = version
	e.project[e.state]--
	e.state = backupsync.StateOf(backup)
	e.project[e.state]++
	return true
}

// forget removes a BackupSync that is deleted.
func (t *tally) forget(backup *v1alpha1.BackupSync) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if entry, found := t.entries[backup.UID]; found {
		entry.project[entry.state]--
		delete(t.entries, backup.UID)
	}
}

// counts returns the counts of a project.
func (t *tally) counts(project types.NamespacedName) v1alpha1.BackupCounts {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	counts := t.project(project)
	return v1alpha1.BackupCounts{
		Total:   counts[backupsync.Pending] + counts[backupsync.Running] + counts[backupsync.Imported] + counts[backupsync.Failed],
		Pending: counts[backupsync.Pending], Running: counts[backupsync.Running], Imported: counts[backupsync.Imported], Failed: counts[backupsync.Failed],
	}
}

// tallySummary is what the metrics tell of a project.
type tallySummary struct {
	counts        [backupsync.States]int32
	oldestPending time.Time // zero without one
}

// summaries returns the counts and the oldest pending BackupSync of each project.
func (t *tally) summaries() map[types.NamespacedName]tallySummary {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	oldest := map[*[backupsync.States]int32]time.Time{}
	for _, entry := range t.entries {
		known, found := oldest[entry.project]
		if entry.state == backupsync.Pending && (!found || entry.created.Before(known)) {
			oldest[entry.project] = entry.created
		}
	}
	summaries := make(map[types.NamespacedName]tallySummary, len(t.projects))
	for key, counts := range t.projects {
		if *counts == ([backupsync.States]int32{}) {
			continue // a series of a project that is gone would never end
		}
		summaries[key] = tallySummary{counts: *counts, oldestPending: oldest[counts]}
	}
	return summaries
}

func (t *tally) project(key types.NamespacedName) *[backupsync.States]int32 {
	counts, found := t.projects[key]
	if !found {
		counts = new([backupsync.States]int32)
		t.projects[key] = counts
	}
	return counts
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
