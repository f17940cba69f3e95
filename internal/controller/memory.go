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

// memory is what this process remembers of a project between passes, each part with the step that owns it. All of it can be lost: it
// makes passes cheaper and calls fewer, and no promise rests on it alone.
//
// Passes of one project never overlap, and within a pass the steps follow each other, so that nothing is locked but what is touched by
// several goroutines of one step: versionMemory has a lock of its own; what calls under way touch (rateWindow, bisection, callMemory,
// connectionMemory.health, knowledge) is guarded by batchRun.mutex until all of them are over. A poll that runs beside calls reads CBR alone. An audit, which runs beside passes, has what it
// needs for itself, but for versionMemory.
type memory struct {
	planMemory
	versionMemory
	claimMemory
	callMemory
	pollMemory
	connectionMemory
	reportMemory
	auditMemory
	evidence knowledge // what CBR has shown
}

// planMemory is what the plan goes by.
type planMemory struct {
	// queueTimes is when each pending BackupSync was first seen.
	queueTimes batch.QueueTimes
	// rateWindow holds this process's sync calls of the last minute, inherited those that another process has left.
	rateWindow, inheritedWindow batch.RateWindow
	// called says that this process has made calls since it became the last writer.
	called bool
	// bisection are the backups of refused calls.
	bisection batch.Bisection
}

// versionMemory is which versions of BackupSyncs can be trusted.
type versionMemory struct {
	// ownedSince is the resource version of the project at which this process became its last writer, 0 before.
	// What the cache holds of older versions may have been overtaken by the writes of another process.
	ownedSince int64
	mutex      sync.Mutex // guards what follows: several are read or written at a time
	// minResourceVersions are the versions of candidates that were read live since the project was last seen to be written by
	// another process. A cached version can be trusted if it is not older.
	minResourceVersions map[types.UID]int64
	// foreign are the ids of backups that CBR has accepted from BackupSyncs of other projects.
	foreign map[string]struct{}
}

// claimMemory is what is known of the claim to the cloud project: see claim.go.
type claimMemory struct {
	// takeoverTime is that of the journal, takeoverSeen the time from which it counts.
	takeoverTime, takeoverSeen time.Time
	// confirmedClaim is the version of the spec for which no rival was found live, "" for none.
	confirmedClaim string
}

// callMemory is what is known of the recorded submissions, by their ids.
type callMemory struct {
	// settledAt is when they have settled.
	settledAt map[string]time.Time
	// lookUpFrom is when one is looked up again that could not be resolved.
	lookUpFrom map[string]time.Time
	// refusals are the failures for which an item may be to blame.
	refusals map[string]refusal
}

// pollMemory is what is known of the running tasks.
type pollMemory struct {
	// endSeen is when tasks were first seen to have ended that leave open what became of their backups, by id.
	endSeen map[string]time.Time
	// underWay is when tasks were last seen under way, by id.
	underWay map[string]time.Time
	// taskLead is how much earlier than this process CBR dates the tasks of its calls, at most, by the latest look at them.
	taskLead time.Duration
	// nextPoll is when the running tasks are looked at again.
	nextPoll time.Time
}

// connectionMemory is what is known of endpoint and credentials.
type connectionMemory struct {
	// target is the endpoint and the cloud project that knowledge speaks of.
	target string
	// shown is the enterprise project that lists show.
	shown string
	// credential authorizes the calls. It is kept from pass to pass: it has fetched something, or must not be used for a while.
	credential heldCredential
	// former are the credentials before it.
	former formerCredentials
	// health is what the latest calls have told of endpoint and credentials.
	health connection.Health
	// readLimiter is how fast CBR is read.
	readLimiter connection.ReadLimiter
}

// reportMemory is what the next report goes by.
type reportMemory struct {
	// countsDue is when counts that have changed are written, zero if none have.
	countsDue time.Time
	// unwritten are the BackupSyncs whose status does not say yet what they wait for.
	unwritten unwrittenStatuses
	// unqueued are those that could not be requeued when that was requested at the project.
	unqueued unwrittenStatuses
}

// lostOwnership notes that another process has written the project: it may have submitted, and finished, anything.
func (m *memory) lostOwnership() {
	m.ownedSince, m.called = 0, false
	m.confirmedClaim = ""
	clear(m.minResourceVersions)
	m.evidence.look = nil
}

// writtenByAnother takes in that another process has written the project, and what that one has left in the journal.
func (m *memory) writtenByAnother(journal *v1alpha1.Journal, now time.Time, options *Options) {
	m.lostOwnership()
	m.evidence.inherit(journal, now, options.settlesWithin())
	m.inheritedWindow = batch.RestoreRateWindow(journal, now, options.RateWindow, options.BeginTimeout+options.CallTimeout)
}

// tookOver returns the time from which a takeover counts: when it was first seen to be written, as whoever had the cloud project before may have
// made calls until then, however long ago the one that took over began to write; or when it began, once calls were made after it. A clock that is
// ahead does not put it into the future.
func (m *claimMemory) tookOver(journal *v1alpha1.Journal, now time.Time) time.Time {
	if at := journal.TakeoverTime.Time; !m.takeoverTime.Equal(at) {
		m.takeoverTime, m.takeoverSeen = at, now
		if journal.ConfirmedGeneration != 0 { // that is written with the first call
			m.takeoverSeen = batch.Earlier(at, now)
		}
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
		known = newMemory()
		m.byProject[project] = known
	}
	return known
}

func newMemory() *memory {
	return &memory{
		planMemory:       planMemory{queueTimes: batch.NewQueueTimes(), bisection: batch.NewBisection()},
		versionMemory:    versionMemory{minResourceVersions: map[types.UID]int64{}, foreign: map[string]struct{}{}},
		callMemory:       callMemory{settledAt: map[string]time.Time{}, lookUpFrom: map[string]time.Time{}, refusals: map[string]refusal{}},
		pollMemory:       pollMemory{endSeen: map[string]time.Time{}, taskLead: clockSkew},
		connectionMemory: connectionMemory{readLimiter: connection.NewReadLimiter()},
		reportMemory:     reportMemory{unwritten: unwrittenStatuses{}, unqueued: unwrittenStatuses{}},
		auditMemory:      newAuditMemory(),
		evidence:         newKnowledge(),
	}
}

// forget forgets a project that does not exist, but for the BackupSyncs that cannot be told so.
func (m *memories) forget(project types.NamespacedName) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	known, found := m.byProject[project]
	delete(m.byProject, project)
	if !found {
		return
	}
	known.holdCredential(nil, time.Now())
	if known.run != nil {
		known.run.cancel()
	}
	if len(known.unwritten) > 0 {
		left := newMemory()
		left.unwritten = known.unwritten
		m.byProject[project] = left
	}
}

// sawLive notes that a version was read live: what the cache holds of older ones is not to be trusted.
func (m *versionMemory) sawLive(backup *v1alpha1.BackupSync) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.minResourceVersions[backup.UID] = max(m.minResourceVersions[backup.UID], resourceVersion(backup))
}

// noteForeign notes that CBR has accepted a backup from a BackupSync of another project.
func (m *versionMemory) noteForeign(backupID string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.foreign[cbr.Fold(backupID)] = struct{}{}
}

// isForeign reports whether CBR has accepted a backup from a BackupSync of another project.
func (m *versionMemory) isForeign(backupID string) bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	_, foreign := m.foreign[cbr.Fold(backupID)]
	return foreign
}
