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
	"hash/fnv"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/connection"
)

// An audit asks CBR whether it still has what was imported. It goes on beside the passes (audit_run.go), which begin it when it is due and
// take in how it has ended. It only tells: nothing is imported again by it. All that is known of it can be lost: it is made again.

const (
	// defaultAuditInterval is what the CRD has.
	defaultAuditInterval = 24 * time.Hour
	// auditCatchUp is how long the audits take to begin that were due before this process was there: all of them at once would be a herd.
	auditCatchUp = time.Hour
	// auditRetry is the wait after an audit that was not complete. It doubles up to auditMaxRetry.
	auditRetry    = 5 * time.Minute
	auditMaxRetry = time.Hour
	// auditResume is the wait after one that was stopped, or had more to ask for than one asks.
	auditResume = time.Minute
)

// auditMemory is what is known of the audits of a project.
type auditMemory struct {
	// run is the audit that is under way, nil without one.
	run *auditRun
	// seen is when this process first saw that there is something to audit, zero before.
	seen time.Time
	// retryAt is when another is begun after one that was not complete, failures is how many were not in a row.
	retryAt  time.Time
	failures int
	// asked says that a person has asked for one: it begins at once.
	asked bool
	// last is how the latest complete one has ended.
	last auditResult
	// sightings is when the audits first saw tasks as they are; that of one under way is its own.
	sightings sightings
	// idle holds a token while no pass is under way. Between passes an audit may read.
	idle chan struct{}
}

func newAuditMemory() auditMemory {
	idle := make(chan struct{}, 1)
	idle <- struct{}{}
	return auditMemory{idle: idle}
}

// beginPass notes that a pass is under way. Whoever holds the token else gives it back at once: a pass waits for no audit.
func (m *auditMemory) beginPass() { <-m.idle }

func (m *auditMemory) endPass() { m.idle <- struct{}{} }

// awaitIdle returns when no pass is under way. What a pass asks CBR goes first.
func (m *auditMemory) awaitIdle(ctx context.Context) error {
	select {
	case <-m.idle:
		m.idle <- struct{}{}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// auditor is the step audit. It takes in how an audit has ended before the project is reported, and begins the next one afterwards.
type auditor struct {
	step
	*cloudView
	memory *memory
}

// conclude takes in how an audit has ended, and stops one that must not go on.
func (a *auditor) conclude() {
	known := &a.memory.auditMemory
	if a.project != nil && requested(a.project) {
		known.asked, known.retryAt = true, time.Time{}
	}
	if known.run == nil {
		return
	}
	if a.unaudited() != "" || known.run.generation != a.generation {
		known.run.cancel()
	}
	select {
	case ended := <-known.run.ended:
		run := known.run
		known.run, known.sightings = nil, run.seen
		a.takeIn(run, ended)
	default: // it goes on
	}
}

// requested reports whether a person has asked for another try that the project's status does not echo yet.
func requested(project *v1alpha1.CBRProject) bool {
	request := backupsync.RequestOf(project)
	return request != "" && request != project.Status.LastHandledRequest
}

// takeIn takes in how an audit has ended.
func (a *auditor) takeIn(run *auditRun, ended auditResult) {
	known := &a.memory.auditMemory
	switch now := a.options.Clock.Now(); {
	case ended.stopped, ended.more && ended.changed > 0: // the next one gets further
		known.retryAt = now.Add(auditResume)
	case ended.why != "":
		known.failures++
		known.retryAt = now.Add(backupsync.Backoff(auditRetry, min(auditMaxRetry, max(auditInterval(a.project), auditRetry)), known.failures))
	default:
		known.retryAt, known.failures, known.last = time.Time{}, 0, ended
		a.log.V(1).Info("Audit ended", "backups", ended.checked, "changed", ended.changed)
		return
	}
	a.log.V(1).Info("Audit is not complete", "why", ended.why, "cause", causeOf(ended.err), "changed", ended.changed, "retryAt", known.retryAt)
	// Refused credentials concern all that is asked, and are to be renewed. All else that an audit meets is left to those who need an answer.
	if cbr.ClassOf(ended.err) == cbr.Credentials && a.project != nil && run.generation == a.generation && run.content == a.health.ContentFingerprint {
		a.noteRead(ended.err, "Imported backups could not be asked for", 1)
	}
}

func causeOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// unaudited says why the project must not be audited, "" if it may be.
func (a *auditor) unaudited() string {
	switch {
	case a.project == nil || !a.project.DeletionTimestamp.IsZero():
		return "it is deleted"
	case a.outdated != "":
		return "the CRDs are outdated"
	case a.project.Spec.Suspend:
		return "it is suspended"
	case auditInterval(a.project) <= 0:
		return "audits are off"
	case a.claim.rival != nil || a.claim.from.After(a.now):
		return "another project has its cloud project"
	case a.health.Reads.Failures > 0 || a.health.Reads.Open(a.now):
		return "look-ups fail"
	}
	return ""
}

// begin begins an audit if one is due. The pass does not wait for it, and whatever keeps it from beginning is no failure of the pass.
func (a *auditor) begin(ctx context.Context) {
	known := &a.memory.auditMemory
	if why := a.unaudited(); why != "" || known.run != nil {
		return
	}
	if a.counts.counts(a.key).Imported == 0 {
		known.asked = false
		return
	}
	if known.seen.IsZero() {
		known.seen = a.now
	}
	if at := known.nextAudit(a.project); at.After(a.now) {
		a.requeueAt(at)
		return
	}
	if ready, err := a.connect(ctx, connection.ReadRequest); !ready {
		known.retryAt = a.now.Add(auditResume)
		a.requeueAt(known.retryAt)
		a.log.V(1).Info("Audit cannot begin", "cause", causeOf(err), "retryAt", known.retryAt)
		return
	}
	source, err := a.clientAside(known.awaitIdle)
	if err != nil { // the pass has made one of the same
		return
	}
	known.asked = false
	known.run = a.newRun(source)
	a.audits.begin(ctx, known.run)
}

// clientAside makes a client of the project's calls whose reads go before nobody's.
func (c *connector) clientAside(idle func(context.Context) error) (*cbr.Client, error) {
	aside, limiter := c.dialled, c.readLimiter
	aside.Pace = func(ctx context.Context) error {
		if err := limiter.WaitAside(ctx); err != nil {
			return err
		}
		return idle(ctx)
	}
	aside.Observe = func(call cbr.Call) {
		observeCall(call)
		limiter.ObserveAside(call)
	}
	return cbr.NewClient(aside)
}

// nextAudit returns when the next audit of a project begins.
func (m *auditMemory) nextAudit(project *v1alpha1.CBRProject) time.Time {
	due := auditDue(project)
	switch {
	case m.asked:
		return m.retryAt
	case !due.After(m.seen): // it was due before this process was there
		due = m.seen.Add(shareOf(project, min(auditInterval(project), auditCatchUp)))
	}
	if m.retryAt.After(due) {
		return m.retryAt
	}
	return due
}

// auditInterval is the time between two audits of a project, 0 if there are none. It is in whole seconds, as the times in a status are.
func auditInterval(project *v1alpha1.CBRProject) time.Duration {
	if project == nil {
		return 0
	}
	return duration(project.Spec.Audit.Interval, defaultAuditInterval).Truncate(time.Second)
}

// auditDue returns when the next audit of a project is due after the latest complete one, or after its creation: at a time of its own in
// each interval, so that those of projects that were created together are spread over it, whatever becomes of the process. It is zero if
// there are none.
func auditDue(project *v1alpha1.CBRProject) time.Time {
	interval, after := auditInterval(project), project.CreationTimestamp.Time
	if interval <= 0 {
		return time.Time{}
	}
	if last := project.Status.Audit; last != nil && last.FinishedTime != nil {
		after = last.FinishedTime.Time
	}
	first := time.Unix(0, 0).Add(shareOf(project, interval))
	return first.Add((after.Sub(first)/interval + 1) * interval)
}

// shareOf returns a part of a time, from none to nearly all of it, that is the project's own.
func shareOf(project *v1alpha1.CBRProject, of time.Duration) time.Duration {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(project.UID)) // never fails
	const parts = 1 << 20
	return (of / parts * time.Duration(sum.Sum64()%parts)).Truncate(time.Second)
}

// auditSummary returns what the project's status says of audits, nil if there is nothing to say.
func (m *auditMemory) auditSummary(before *v1alpha1.AuditSummary, missing, unusable int32) *v1alpha1.AuditSummary {
	var next v1alpha1.AuditSummary
	if before != nil {
		next = *before
	}
	if last := m.last; !last.ended.IsZero() && (next.FinishedTime == nil || last.ended.After(next.FinishedTime.Time)) {
		next.FinishedTime, next.Checked = &last.ended, last.checked
	}
	if next.Missing, next.Unusable = missing, unusable; next == (v1alpha1.AuditSummary{}) {
		return nil
	}
	return &next
}
