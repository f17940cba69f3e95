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
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
)

// memory is what this process remembers of a project between passes. All of it can be lost: it makes passes
// cheaper and calls fewer, and no promise rests on it alone.
type memory struct {
	// arrivals is when each pending BackupSync was first seen.
	arrivals arrivals
	// window holds this process's sync calls of the last minute, inherited those that another process has left.
	window, inherited callWindow
	// takeover is the resource version of the project at which this process became its last writer, 0 before.
	// What the cache holds of older versions may have been overtaken by the writes of another process.
	takeover int64
	// called says that this process has made calls since it became the last writer.
	called bool
	// verified are the versions of candidates that were read live since the project was last seen to be written by
	// another process. A cached version can be trusted if it is not older.
	verified map[types.UID]int64
	floors   sync.Mutex // guards verified and foreign
	// observed are the ids of backups that CBR was asked for and did not have, since when nobody else has made calls.
	observed map[string]struct{}
	// survey is the latest look at all that CBR has, nil if there is none that counts.
	survey *survey
	// foreign are the ids of backups that CBR has accepted from BackupSyncs of other projects.
	foreign map[string]struct{}
	// target is the endpoint and the cloud project that observed and survey speak of.
	target string
	// confirmedClaim is the version of the spec for which no rival was found live, "" for none: see claim.go.
	confirmedClaim string
	// lookUpFrom is when a recorded submission may be looked up, where that is known better than by its age.
	lookUpFrom map[string]time.Time
	// refusals are the failures of recorded submissions, by their ids, that blame what was sent.
	refusals map[string]error
	// suspects are the backups of refused calls.
	suspects suspects
	// access is what the latest calls have told of endpoint and credentials.
	access access
	// pace is how fast CBR is read.
	pace pace
	// storedPages is how many pages the list of CBR's backups had when it was last looked at, 0 before.
	storedPages int
	// taskLead is how much earlier than this process CBR dates the tasks of its calls, at most, by the latest look at them.
	taskLead time.Duration
	// nextPoll is when the running tasks are looked at again.
	nextPoll time.Time
	// countsDue is when counts that have changed are written, zero if none have.
	countsDue time.Time
}

// overtaken notes that another process has written the project: it may have submitted, and finished, anything.
func (m *memory) overtaken() {
	m.takeover, m.called = 0, false
	m.confirmedClaim = ""
	clear(m.verified)
	m.forgetObserved()
}

// forgetObserved forgets what CBR was seen not to have.
func (m *memory) forgetObserved() {
	clear(m.observed)
	m.survey = nil
}

// memories holds the memory of each project. Passes of one project never overlap, so that only the map is locked.
type memories struct {
	mutex     sync.Mutex
	byProject map[types.NamespacedName]*memory
}

func (m *memories) of(project types.NamespacedName) *memory {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known, found := m.byProject[project]
	if !found {
		known = &memory{
			arrivals:   newArrivals(),
			verified:   map[types.UID]int64{},
			observed:   map[string]struct{}{},
			foreign:    map[string]struct{}{},
			lookUpFrom: map[string]time.Time{},
			refusals:   map[string]error{},
			suspects:   newSuspects(),
			pace:       newPace(),
			taskLead:   clockSkew,
		}
		m.byProject[project] = known
	}
	return known
}

func (m *memories) forget(project types.NamespacedName) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.byProject, project)
}

// sawLive notes that a version was read live: what the cache holds of older ones is not to be trusted.
func (m *memory) sawLive(backup *v1alpha1.BackupSync) {
	m.floors.Lock()
	defer m.floors.Unlock()
	m.verified[backup.UID] = max(m.verified[backup.UID], resourceVersion(backup))
}

// noteForeign notes that CBR has accepted a backup from a BackupSync of another project.
func (m *memory) noteForeign(backupID string) {
	m.floors.Lock()
	defer m.floors.Unlock()
	m.foreign[fold(backupID)] = struct{}{}
}

// isForeign reports whether CBR has accepted a backup from a BackupSync of another project.
func (m *memory) isForeign(backupID string) bool {
	m.floors.Lock()
	defer m.floors.Unlock()
	_, foreign := m.foreign[fold(backupID)]
	return foreign
}
