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
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/connection"
)

// memory is what this process remembers of a project between passes. All of it can be lost: it makes passes
// cheaper and calls fewer, and no promise rests on it alone.
type memory struct {
	// queueTimes is when each pending BackupSync was first seen.
	queueTimes batch.QueueTimes
	// rateWindow holds this process's sync calls of the last minute, inherited those that another process has left.
	rateWindow, inheritedWindow batch.RateWindow
	// ownedSince is the resource version of the project at which this process became its last writer, 0 before.
	// What the cache holds of older versions may have been overtaken by the writes of another process.
	ownedSince int64
	// called says that this process has made calls since it became the last writer.
	called bool
	// minResourceVersions are the versions of candidates that were read live since the project was last seen to be written by
	// another process. A cached version can be trusted if it is not older.
	minResourceVersions map[types.UID]int64
	versionsMutex       sync.Mutex // guards minResourceVersions and foreign
	// evidence is what CBR has shown.
	evidence knowledge
	// foreign are the ids of backups that CBR has accepted from BackupSyncs of other projects.
	foreign map[string]struct{}
	// target is the endpoint and the cloud project that evidence speaks of.
	target string
	// takeoverTime is that of the journal, takeoverSeen the time from which it counts.
	takeoverTime, takeoverSeen time.Time
	// confirmedClaim is the version of the spec for which no rival was found live, "" for none: see claim.go.
	confirmedClaim string
	// settles is when recorded submissions have settled, by their ids.
	settles map[string]time.Time
	// lookUpFrom is when a recorded submission is looked up again that could not be resolved.
	lookUpFrom map[string]time.Time
	// refusals are the failures of recorded submissions, by their ids, for which an item of theirs may be to blame.
	refusals map[string]refusal
	// bisection are the backups of refused calls.
	bisection batch.Bisection
	// credential authorizes the calls. It is kept from pass to pass: it has fetched something, or must not be used for a while.
	credential heldCredential
	// former are the credentials before it.
	former formerCredentials
	// health is what the latest calls have told of endpoint and credentials.
	health connection.Health
	// readLimiter is how fast CBR is read.
	readLimiter connection.ReadLimiter
	// ended is when tasks were first seen to have ended that leave open what became of their backups, by id.
	ended map[string]time.Time
	// taskLead is how much earlier than this process CBR dates the tasks of its calls, at most, by the latest look at them.
	taskLead time.Duration
	// nextPoll is when the running tasks are looked at again.
	nextPoll time.Time
	// countsDue is when counts that have changed are written, zero if none have.
	countsDue time.Time
}

// lostOwnership notes that another process has written the project: it may have submitted, and finished, anything.
func (m *memory) lostOwnership() {
	m.ownedSince, m.called = 0, false
	m.confirmedClaim = ""
	clear(m.minResourceVersions)
	m.evidence.look = nil
}

// tookOver returns the time from which a takeover counts: a clock that is ahead does not put it into the future.
func (m *memory) tookOver(at, now time.Time) time.Time {
	if !m.takeoverTime.Equal(at) {
		m.takeoverTime, m.takeoverSeen = at, batch.Earlier(at, now)
	}
	return m.takeoverSeen
}

// refusal is the failure of a call for which an item may be to blame.
type refusal struct {
	err     error
	members int // of the call
	through int // how many calls had gone through then
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
			queueTimes:          batch.NewQueueTimes(),
			minResourceVersions: map[types.UID]int64{},
			evidence:            newKnowledge(),
			settles:             map[string]time.Time{},
			ended:               map[string]time.Time{},
			foreign:             map[string]struct{}{},
			lookUpFrom:          map[string]time.Time{},
			refusals:            map[string]refusal{},
			bisection:           batch.NewBisection(),
			readLimiter:         connection.NewReadLimiter(),
			taskLead:            clockSkew,
		}
		m.byProject[project] = known
	}
	return known
}

func (m *memories) forget(project types.NamespacedName) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if known, found := m.byProject[project]; found {
		known.holdCredential(nil, time.Now())
	}
	delete(m.byProject, project)
}

// sawLive notes that a version was read live: what the cache holds of older ones is not to be trusted.
func (m *memory) sawLive(backup *v1alpha1.BackupSync) {
	m.versionsMutex.Lock()
	defer m.versionsMutex.Unlock()
	m.minResourceVersions[backup.UID] = max(m.minResourceVersions[backup.UID], resourceVersion(backup))
}

// noteForeign notes that CBR has accepted a backup from a BackupSync of another project.
func (m *memory) noteForeign(backupID string) {
	m.versionsMutex.Lock()
	defer m.versionsMutex.Unlock()
	m.foreign[cbr.Fold(backupID)] = struct{}{}
}

// isForeign reports whether CBR has accepted a backup from a BackupSync of another project.
func (m *memory) isForeign(backupID string) bool {
	m.versionsMutex.Lock()
	defer m.versionsMutex.Unlock()
	_, foreign := m.foreign[cbr.Fold(backupID)]
	return foreign
}
