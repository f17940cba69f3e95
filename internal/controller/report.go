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
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/connection"
)

const (
	// countsDelay is how long a change of counts waits for another reason to write the project: usually a call.
	countsDelay = 2 * time.Second
	// countsPatience is how much longer it waits for a call whose time is known: the record of the call carries the counts.
	countsPatience = 8 * time.Second
	// projectGrace is how long a BackupSync waits for its project before it says so: the two are often
	// applied together.
	projectGrace = 3 * time.Second
	// maxWaitingWrites bounds the writes of waiting BackupSyncs in a pass.
	maxWaitingWrites = 1000
)

// report writes what the pass has found: the backups that wait for another reason than before, and the project.
func (p *pass) report(ctx context.Context) error {
	if p.checksConnection() {
		if _, err := p.reach(ctx); err != nil {
			return err
		}
	}
	if err := p.probeReads(ctx); err != nil {
		return err
	}
	if len(p.cleared) > 0 { // whatever happens to the process: these are over
		detached, cancel := p.detach(ctx)
		defer cancel()
		ctx = detached
	}
	p.dropLook()
	p.expiring = p.expiresSoon()
	p.awaitRenewal()
	p.forgetFailure()
	failure := p.retryStalled(ctx) // whatever comes of it: records that are over are cleared
	if err := p.reportProject(ctx); err != nil || failure != nil {
		return errors.Join(failure, err)
	}
	if err := p.reportBackups(ctx); err != nil {
		return err
	}
	return p.releaseProject(ctx)
}

// probeReads asks CBR for something when look-ups have failed and none is due: what the status says of it may be over.
func (p *pass) probeReads(ctx context.Context) error {
	if p.project == nil || p.outdated != "" || p.project.Spec.Suspend || p.memory.health.Reads.Failures == 0 {
		return nil
	}
	if ready, err := p.connect(ctx, connection.ReadRequest); !ready {
		return err
	}
	_, err := p.cloud.ListOperationLogs(ctx, cbr.OperationLogsQuery{OperationType: cbr.OperationSync, Limit: cbr.MaxPageSize})
	if ctx.Err() == nil && p.noteRead(err, "Look-ups still fail", 1) {
		p.requeueNow() // what has waited for them
	}
	return nil
}

// forgetFailure forgets that sync calls have failed when there is none to make that could show that they still do: nothing is known
// to be wrong then. Refused credentials concern reads too.
func (p *pass) forgetFailure() {
	calls := &p.memory.health.Calls
	if p.project == nil || len(p.pending)+len(p.project.Status.Journal.Submissions) > 0 {
		return
	}
	if p.memory.health.RefusedKind == connection.SyncRequest {
		p.memory.health.Doubt = connection.Status{}
	}
	if calls.Failures == 0 || calls.Class == cbr.Credentials {
		return
	}
	if calls.Open(p.now) {
		p.requeueAt(calls.OpenUntil)
		return
	}
	*calls = connection.Circuit{}
}

// checksConnection reports whether endpoint and credentials are to be looked at although no call is due: they have not been as they
// are now, or what was wrong with them may be right by now.
func (p *pass) checksConnection() bool {
	switch {
	case p.project == nil || p.outdated != "":
		return false
	case p.project.Spec.Suspend:
		return p.checksExpiry()
	}
	return p.memory.health.Fingerprint != p.fingerprint || !p.memory.health.RecheckAt.IsZero() || p.checksExpiry() || p.renewsIdle()
}

// retryStalled requeues all that is stalled, once for each request at the project.
func (p *pass) retryStalled(ctx context.Context) error {
	if p.project == nil || p.outdated != "" {
		return nil
	}
	request := backupsync.RequestOf(p.project)
	if request == "" || request == p.project.Status.LastHandledRequest {
		return nil
	}
	var backups v1alpha1.BackupSyncList
	if err := p.client.List(ctx, &backups, client.InNamespace(p.key.Namespace),
		client.MatchingFields{indexStalled: p.key.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the stalled BackupSyncs: %w", err)
	}
	changes := make([]change, 0, len(backups.Items))
	now := metav1.NewTime(p.now)
	for i := range backups.Items {
		if _, handled := p.handled[backups.Items[i].UID]; !handled { // else the pass has just tried it
			changes = append(changes, change{backup: &backups.Items[i], lasting: true,
				become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync { return backupsync.Requeued(version, now) }})
		}
	}
	written, unwritten := p.write(ctx, changes)
	if len(unwritten) > 0 {
		return fmt.Errorf("%d of %d stalled BackupSyncs could not be requeued", len(unwritten), len(changes))
	}
	if len(written) > 0 {
		p.requeueNow()
	}
	p.request = request
	return nil
}

// reportBackups writes what has changed about those of which nothing was written yet: why they wait, and edits and requests
// that are to be acknowledged.
func (p *pass) reportBackups(ctx context.Context) error {
	if p.outdated != "" { // what is written would not be kept
		return nil
	}
	changes := p.changes
	now := metav1.NewTime(p.now)
	for _, backup := range slices.Concat(p.pending, p.rest, p.running) {
		if _, handled := p.handled[backup.UID]; handled {
			continue
		}
		p.handle(backup) // one may be in two of the lists
		if next := p.waitingStatus(backup, now); next != nil {
			changes = append(changes, to(backup, next))
		}
	}
	if len(changes) > maxWaitingWrites {
		changes = changes[:maxWaitingWrites]
		p.requeueNow()
	}
	before := make(map[types.UID]string, len(changes))
	for _, change := range changes {
		before[change.backup.UID] = readyOf(change.backup.Status.Conditions).Reason
	}
	written, unwritten := p.write(ctx, changes)
	p.emitEvents(slices.DeleteFunc(written, func(backup *v1alpha1.BackupSync) bool { // an edit that changes nothing is no event
		return before[backup.UID] == readyOf(backup.Status.Conditions).Reason
	}))
	if len(unwritten) > 0 {
		return fmt.Errorf("the status of %d of %d waiting BackupSyncs could not be written", len(unwritten), len(changes))
	}
	return nil
}

// waitingStatus returns a BackupSync as one whose status says what is known of it, nil if it does.
func (p *pass) waitingStatus(backup *v1alpha1.BackupSync, now metav1.Time) *v1alpha1.BackupSync {
	given := p.circumstances(backup)
	switch {
	case backupsync.IsDuplicate(backup) && !backup.Spec.Suspend && p.project != nil:
		return nil // whether it still is one is found out when its turn to be sent comes
	case backupsync.IsDuplicate(backup), backupsync.StateOf(backup) == backupsync.Pending:
		return backupsync.Waiting(backup, given, now)
	case backupsync.Reimport(backup):
		return nil // the request is met when CBR was asked, or has taken it
	default:
		return backupsync.Acknowledged(backup, given, now)
	}
}

// circumstances returns what the pass knows of a BackupSync besides its own spec and status.
func (p *pass) circumstances(backup *v1alpha1.BackupSync) backupsync.Circumstances {
	_, recorded := p.recorded[cbr.Fold(backup.Spec.BackupID)]
	var wait pause // what is suspended waits for a person alone
	if !backup.Spec.Suspend {
		wait = p.memory.evidence.waits[cbr.Fold(backup.Spec.BackupID)]
	}
	given := backupsync.Circumstances{InCall: recorded, ProjectMissing: p.project == nil, AwaitsTask: wait.awaits, AwaitedTask: wait.overdue,
		HeldAs: wait.heldAs, Unclear: wait.unclear, QuestionRefused: wait.refused}
	if p.project != nil {
		given.Overdue = p.runs(backup, p.overdueAfter())
	} else if soon := backup.CreationTimestamp.Add(projectGrace); soon.After(p.now) && backup.Status.ObservedGeneration == -1 { // nothing is written about it yet
		given.ProjectMissing = false
		p.requeueAt(soon)
	}
	return given
}

// reportProject writes the project's status if it has changed.
func (p *pass) reportProject(ctx context.Context) error {
	if p.project == nil {
		p.memories.forget(p.key)
		return nil
	}
	next := p.projectStatus(p.project)
	if p.sameForNow(next) {
		return nil
	}
	before, expiring := readyOf(p.project.Status.Conditions).Reason,
		meta.IsStatusConditionTrue(p.project.Status.Conditions, v1alpha1.ConditionCredentialsExpiring)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		project := p.project.DeepCopy()
		project.Status = *p.projectStatus(project)
		err := p.writeProject(ctx, project)
		if apierrors.IsConflict(err) { // usually an edit: what is over is cleared from the version of now
			return p.reread(ctx, err)
		}
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if errors.Is(err, errCRDsOutdated) { // what could be kept says so
		p.foundOutdated(err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("update the status of the CBRProject: %w", err)
	}
	p.announce(before)
	p.announceExpiry(expiring)
	return nil
}

// readyOf returns the condition Ready of an object, without content if it has none.
func readyOf(conditions []metav1.Condition) metav1.Condition {
	if ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil {
		return *ready
	}
	return metav1.Condition{}
}

// announce emits an event when the project's Ready has another reason than before.
func (p *pass) announce(before string) {
	if ready := readyOf(p.project.Status.Conditions); ready.Reason != before {
		p.log.V(1).Info("Project changed", "before", before, "reason", ready.Reason, "message", ready.Message)
		p.emit(projectEvent(p.project))
	}
}

// reread takes the current version of the project for another try, and returns the conflict that made it needed.
func (p *pass) reread(ctx context.Context, conflict error) error {
	project := &v1alpha1.CBRProject{}
	if err := p.live.Get(ctx, p.key, project); err != nil {
		return err
	}
	if project.Generation != p.project.Generation {
		p.requeueNow() // the conditions speak of the edited spec only after another pass
	}
	if project.Status.Journal.WriterID != p.options.Identity {
		p.memory.lostOwnership()
		p.memory.evidence.inherit(&project.Status.Journal, p.options.Clock.Now(), p.options.settlesWithin()) // it is written again
	}
	p.setProject(project)
	return conflict
}

// sameForNow reports whether the project needs no write: nothing has changed, or counts alone and not long ago.
func (p *pass) sameForNow(next *v1alpha1.CBRProjectStatus) bool {
	current := p.project.Status
	if equality.Semantic.DeepEqual(&current, next) {
		p.memory.countsDue = time.Time{}
		return true
	}
	current.Backups = next.Backups
	if !equality.Semantic.DeepEqual(&current, next) {
		return false
	}
	if p.memory.countsDue.IsZero() {
		p.memory.countsDue = p.now.Add(countsDelay)
	}
	if p.memory.countsDue.After(p.now) {
		p.requeueAt(p.memory.countsDue)
		return true
	}
	call := p.plan.RequeueAt // of which planCalls has taken care
	return !call.IsZero() && !call.After(p.memory.countsDue.Add(countsPatience))
}

// projectStatus computes the status that follows from the pass for a version of the project.
func (p *pass) projectStatus(project *v1alpha1.CBRProject) *v1alpha1.CBRProjectStatus {
	status := project.Status.DeepCopy()
	now := p.options.Clock.Now()
	reason, message, set := p.projectVerdict()
	if reason != "" && project.Generation == p.generation {
		status.ObservedGeneration = project.Generation
		status.Conditions = set.Apply(&project.ObjectMeta, status.Conditions, reason, message, metav1.NewTime(now))
		p.applyExpiring(project, &status.Conditions, metav1.NewTime(now))
	}
	status.CredentialsExpiryTime = p.expiryTime(status.CredentialsExpiryTime)
	counts := p.counts.counts(p.key)
	status.Backups = &counts
	if p.request != "" {
		status.LastHandledRequest = p.request
	}
	journal := &status.Journal
	journal.TaskScope = learnt(journal.TaskScope, p.taskScope)
	journal.RefusedSecret = p.refusedSecret(journal.RefusedSecret)
	if len(p.cleared) > 0 {
		journal.Submissions = withoutCleared(journal.Submissions, p.cleared)
		journal.RecentCalls = p.memory.rateWindow.Merge(&p.memory.inheritedWindow).Counts(now)
		journal.Settling, journal.Unclaimed = p.memory.evidence.settling(now), p.memory.evidence.unclaimed.text()
	}
	p.applyClaim(journal)
	return status
}

// projectSets are the rows of the condition table of CBRProject, by the reason of Ready. What a person must fix is Stalled; what
// may pass is Reconciling.
var projectSets = map[string]backupsync.ConditionSet{
	v1alpha1.ReasonUsable:              {Ready: metav1.ConditionTrue},
	v1alpha1.ReasonSuspended:           {Ready: metav1.ConditionUnknown},
	v1alpha1.ReasonCredentialsMissing:  {Ready: metav1.ConditionFalse, Stalled: true},
	v1alpha1.ReasonCredentialsRejected: {Ready: metav1.ConditionFalse, Stalled: true},
	v1alpha1.ReasonPermissionDenied:    {Ready: metav1.ConditionFalse, Stalled: true},
	v1alpha1.ReasonEndpointNotAllowed:  {Ready: metav1.ConditionFalse, Stalled: true},
	v1alpha1.ReasonEndpointUnavailable: {Ready: metav1.ConditionFalse, Reconciling: true},
	v1alpha1.ReasonNotCBR:              {Ready: metav1.ConditionFalse, Stalled: true},
	v1alpha1.ReasonRequestsRefused:     {Ready: metav1.ConditionFalse, Stalled: true},
	v1alpha1.ReasonQuotaExceeded:       {Ready: metav1.ConditionFalse, Stalled: true},
	v1alpha1.ReasonProjectInUse:        {Ready: metav1.ConditionFalse, Stalled: true},
	v1alpha1.ReasonThrottled:           {Ready: metav1.ConditionUnknown, Reconciling: true},
	v1alpha1.ReasonCRDsOutdated:        {Ready: metav1.ConditionFalse, Stalled: true},
}

// projectVerdict returns the reason and message of the project's Ready, and what goes with it.
func (p *pass) projectVerdict() (reason, message string, set backupsync.ConditionSet) {
	known := p.memory.health.Status()
	reason, message = known.Reason, known.Message
	passing, lasting := false, known.Stalled
	switch takesOver := p.claim.from.After(p.now); {
	case p.outdated != "":
		reason, message = v1alpha1.ReasonCRDsOutdated, "Nothing is sent: "+p.outdated+". "+applyCRDs
	case p.project.Spec.Suspend:
		reason, message = v1alpha1.ReasonSuspended, "spec.suspend is set: no new sync calls are made. Running tasks are followed to their end."
	case p.claim.rival != nil || takesOver:
		reason, message = v1alpha1.ReasonProjectInUse, p.inUseMessage()
		passing = p.claim.rival == nil || !olderProject(p.claim.rival, p.project)
	}
	set = projectSets[reason]
	switch {
	case reason == v1alpha1.ReasonEndpointUnavailable && lasting:
		set.Reconciling, set.Stalled = false, true
	case passing:
		set.Reconciling, set.Stalled = true, false
	}
	return reason, message, set
}

// withoutCleared returns the submissions without those that are over. Of those with backups whose outcome is still open,
// these backups remain.
func withoutCleared(submissions []v1alpha1.Submission, strikes map[string][]string) []v1alpha1.Submission {
	var left []v1alpha1.Submission
	for _, submission := range submissions {
		open, over := strikes[submission.ID]
		if over {
			submission.Items = slices.DeleteFunc(slices.Clone(submission.Items), func(item v1alpha1.SubmittedItem) bool {
				return !slices.Contains(open, item.BackupID)
			})
		}
		if len(submission.Items) > 0 {
			left = append(left, submission)
		}
	}
	return left
}
