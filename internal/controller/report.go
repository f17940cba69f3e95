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
)

// reporter is the step report: it writes what the pass has found, and clears what is over.
type reporter struct {
	step
	*reader
	*cloudView
	*writer
	*planMemory
	*reportMemory
	memory   *memory
	plan     plan
	request  string // the request at the project that the pass has met
	expiring bool   // the credentials end soon
}

// report writes what the pass has found: the backups that wait for another reason than before, and the project.
func (r *reporter) report(ctx context.Context) error {
	if r.checksConnection() {
		if _, err := r.reach(ctx); err != nil {
			return err
		}
	}
	if err := r.probeReads(ctx); err != nil {
		return err
	}
	if len(r.cleared) > 0 { // whatever happens to the process: these are over
		detached, cancel := r.detach(ctx)
		defer cancel()
		ctx = detached
	}
	r.dropLook()
	expiring, due := r.expiresSoon()
	r.expiring = expiring
	r.requeueAt(due)
	r.awaitRenewal()
	r.forgetFailure()
	failure := r.retryStalled(ctx) // whatever comes of it: records that are over are cleared
	if err := r.reportProject(ctx); err != nil || failure != nil {
		return errors.Join(failure, err)
	}
	if err := r.reportBackups(ctx); err != nil {
		return err
	}
	if r.project == nil {
		r.memories.forget(r.key)
	}
	return r.releaseProject(ctx)
}

// probeReads asks CBR for something when look-ups have failed and none is due: what the status says of it may be over.
func (r *reporter) probeReads(ctx context.Context) error {
	if r.project == nil || r.outdated != "" || r.project.Spec.Suspend || r.health.Reads.Failures == 0 {
		return nil
	}
	if ready, err := r.connect(ctx, connection.ReadRequest); !ready {
		return err
	}
	_, err := r.cloud.ListOperationLogs(ctx, cbr.OperationLogsQuery{OperationType: cbr.OperationSync, Limit: cbr.MaxPageSize})
	if ctx.Err() == nil && r.noteRead(err, "Look-ups still fail", 1) {
		r.requeueNow() // what has waited for them
	}
	return nil
}

// forgetFailure forgets that sync calls have failed when there is none to make that could show that they still do: nothing is known
// to be wrong then. Refused credentials concern reads too.
func (c *connector) forgetFailure() {
	calls := &c.health.Calls
	if c.project == nil || len(c.pending)+len(c.project.Status.Journal.Submissions) > 0 {
		return
	}
	if len(c.running) == 0 {
		c.health.WantsNothing()
	}
	if c.health.RefusedKind == connection.SyncRequest {
		c.health.Doubt = connection.Status{}
	}
	if calls.Failures == 0 || calls.Class == cbr.Credentials {
		return
	}
	if calls.Open(c.now) {
		c.requeueAt(calls.OpenUntil)
		return
	}
	*calls = connection.Circuit{}
}

// checksConnection reports whether endpoint and credentials are to be looked at although no call is due: they have not been as they
// are now, or what was wrong with them may be right by now.
func (c *connector) checksConnection() bool {
	switch {
	case c.project == nil || c.outdated != "":
		return false
	case c.project.Spec.Suspend:
		return c.checksExpiry()
	}
	return c.health.Fingerprint != c.fingerprint || !c.health.RecheckAt.IsZero() || c.checksExpiry() || c.renewsIdle()
}

// retryStalled requeues all that is stalled, once for each request at the project. It is met then: what cannot be written is tried again by
// itself, as the others may be stalled anew by the time it can.
func (r *reporter) retryStalled(ctx context.Context) error {
	if r.project == nil || r.outdated != "" {
		return nil
	}
	asked, due := requested(r.project), r.unqueued.next()
	if !asked && (due.IsZero() || due.After(r.now)) {
		r.requeueAt(due)
		return nil
	}
	var backups v1alpha1.BackupSyncList
	if err := r.client.List(ctx, &backups, client.InNamespace(r.key.Namespace),
		client.MatchingFields{indexStalled: r.key.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the stalled BackupSyncs: %w", err)
	}
	changes := r.requeues(backups.Items, asked)
	written, failed := r.apply(ctx, changes)
	if ctx.Err() != nil { // whoever comes next meets the request
		return fmt.Errorf("requeue the stalled BackupSyncs: %w", ctx.Err())
	}
	r.unqueued.note(changes, failed, r.options.Clock.Now())
	r.requeueAt(r.unqueued.next())
	if written > 0 {
		r.requeueNow()
	}
	if asked {
		r.request = backupsync.RequestOf(r.project)
	}
	return nil
}

// reportBackups writes what has changed about those of which nothing was written yet: why they wait, and edits and requests
// that are to be acknowledged.
func (r *reporter) reportBackups(ctx context.Context) error {
	if r.outdated != "" { // what is written would not be kept
		return nil
	}
	freed, err := r.freedDuplicates(ctx)
	if err != nil {
		return err
	}
	changes := r.plan.duplicates
	now := metav1.NewTime(r.now)
	for _, backup := range slices.Concat(r.pending, r.rest, r.running) {
		if _, handled := r.handled[backup.UID]; handled {
			continue
		}
		r.handle(backup) // one may be in two of the lists
		r.requeueAt(r.graceEnds(backup))
		if next := r.waitingStatus(backup, freed, now); next != nil {
			changes = append(changes, to(backup, next))
		}
	}
	r.unwritten.keep(changes)
	return r.writeWaiting(ctx, r.unwritten.due(changes, r.now))
}

// waitingStatus returns a BackupSync as one whose status says what is known of it, nil if it does.
func (r *reporter) waitingStatus(backup *v1alpha1.BackupSync, freed map[types.UID]struct{}, now metav1.Time) *v1alpha1.BackupSync {
	given := r.circumstances(backup)
	_, isFreed := freed[backup.UID]
	switch {
	case backupsync.IsDuplicate(backup) && !backup.Spec.Suspend && r.project != nil && !isFreed:
		return nil // it is one, as far as is known
	case backupsync.IsDuplicate(backup), backupsync.StateOf(backup) == backupsync.Pending:
		return backupsync.Waiting(backup, given, now)
	case backupsync.Reimport(backup):
		return nil // the request is met when CBR was asked, or has taken it
	default:
		return backupsync.Acknowledged(backup, given, now)
	}
}

// circumstances returns what the pass knows of a BackupSync besides its own spec and status.
func (v *cloudView) circumstances(backup *v1alpha1.BackupSync) backupsync.Circumstances {
	call, recorded := v.recorded[cbr.Fold(backup.Spec.BackupID)]
	var wait pause // what is suspended waits for a person alone
	if !backup.Spec.Suspend {
		wait = v.evidence.waits[cbr.Fold(backup.Spec.BackupID)]
	}
	_, hidden := v.evidence.hidden[call]
	given := backupsync.Circumstances{InCall: recorded, Hidden: hidden, ProjectMissing: v.project == nil, AwaitsTask: wait.awaits, AwaitedTask: wait.overdue,
		HeldAs: wait.heldAs, Unclear: wait.unclear, QuestionRefused: wait.refused}
	if v.project != nil {
		given.Overdue = v.runs(backup, v.overdueAfter())
	} else {
		given.ProjectMissing = v.graceEnds(backup).IsZero()
	}
	return given
}

// graceEnds is when a BackupSync without a project says so, zero if it does already: nothing is written about a new one at first.
func (v *cloudView) graceEnds(backup *v1alpha1.BackupSync) time.Time {
	if at := backup.CreationTimestamp.Add(projectGrace); v.project == nil && at.After(v.now) && backup.Status.ObservedGeneration == -1 {
		return at
	}
	return time.Time{}
}

// reportProject writes the project's status if it has changed.
func (r *reporter) reportProject(ctx context.Context) error {
	if r.project == nil {
		return nil
	}
	next := r.projectStatus(r.project)
	if r.sameForNow(next) {
		return nil
	}
	before, expiring := readyOf(r.project.Status.Conditions).Reason,
		meta.IsStatusConditionTrue(r.project.Status.Conditions, v1alpha1.ConditionCredentialsExpiring)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		project := r.project.DeepCopy()
		project.Status = *r.projectStatus(project)
		err := r.writeProject(ctx, project)
		if apierrors.IsConflict(err) { // usually an edit: what is over is cleared from the version of now
			return r.reread(ctx, err)
		}
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if errors.Is(err, errCRDsOutdated) { // what could be kept says so
		r.foundOutdated(err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("update the status of the CBRProject: %w", err)
	}
	r.announce(before)
	r.announceExpiry(expiring)
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
func (r *reporter) announce(before string) {
	if ready := readyOf(r.project.Status.Conditions); ready.Reason != before {
		r.log.V(1).Info("Project changed", "before", before, "reason", ready.Reason, "message", ready.Message)
		r.emit(projectEvent(r.project))
	}
}

// reread takes the current version of the project for another try, and returns the conflict that made it needed.
func (r *reporter) reread(ctx context.Context, conflict error) error {
	project := &v1alpha1.CBRProject{}
	if err := r.live.Get(ctx, r.key, project); err != nil {
		return err
	}
	if project.Generation != r.project.Generation {
		r.requeueNow() // the conditions speak of the edited spec only after another pass
	}
	if project.Status.Journal.WriterID != r.options.Identity {
		r.memory.writtenByAnother(&project.Status.Journal, r.options.Clock.Now(), &r.options) // it is written again
		r.claim.overtaken = true
		r.requeueNow()
	}
	r.setProject(project)
	return conflict
}

// sameForNow reports whether the project needs no write: nothing has changed, or counts alone and not long ago. That the claim was confirmed is
// written with the first call, and with what an edit has written anyway; and how far CBR's dates are behind, with the counts of what was imported,
// unless that is further than the journal says.
func (r *reporter) sameForNow(next *v1alpha1.CBRProjectStatus) bool {
	current := r.project.Status
	current.Journal.ConfirmedGeneration = next.Journal.ConfirmedGeneration
	if before, after := current.Journal.TaskDateLagMilliseconds, next.Journal.TaskDateLagMilliseconds; before == nil || after == nil || *after-*before < dateLagRise.Milliseconds() {
		current.Journal.TaskDateLagMilliseconds = after
	}
	if equality.Semantic.DeepEqual(&current, next) {
		r.countsDue = time.Time{}
		return true
	}
	current.Backups = next.Backups
	if current.Audit != nil && next.Audit != nil {
		counted := *current.Audit
		counted.Missing, counted.Unusable = next.Audit.Missing, next.Audit.Unusable
		current.Audit = &counted
	}
	if !equality.Semantic.DeepEqual(&current, next) {
		return false
	}
	if r.countsDue.IsZero() {
		r.countsDue = r.now.Add(countsDelay)
	}
	if r.countsDue.After(r.now) {
		r.requeueAt(r.countsDue)
		return true
	}
	call := r.plan.RequeueAt // of which planCalls has taken care
	return !call.IsZero() && !call.After(r.countsDue.Add(countsPatience))
}

// dateLagRise is by how much further than the journal says CBR's dates must be behind for that to be written at once: for as long as that is not
// known, another process would believe dates that it must not.
const dateLagRise = 2 * time.Second

// projectStatus computes the status that follows from the pass for a version of the project.
func (r *reporter) projectStatus(project *v1alpha1.CBRProject) *v1alpha1.CBRProjectStatus {
	status := project.Status.DeepCopy()
	now := r.options.Clock.Now()
	reason, message, set := r.projectVerdict()
	if reason != "" && project.Generation == r.generation && !r.claim.overtaken {
		status.ObservedGeneration = project.Generation
		status.Conditions = set.Apply(&project.ObjectMeta, status.Conditions, reason, message, metav1.NewTime(now))
		r.applyExpiring(project, &status.Conditions, metav1.NewTime(now))
	}
	status.CredentialsExpiryTime = r.expiryTime(status.CredentialsExpiryTime)
	counts := r.counts.counts(r.key)
	status.Backups = &counts
	missing, unusable := r.counts.unavailable(r.key)
	status.Audit = r.memory.auditSummary(status.Audit, missing, unusable)
	if r.request != "" {
		status.LastHandledRequest = r.request
	}
	journal := &status.Journal
	journal.TaskScope = learnt(journal.TaskScope, r.taskScope)
	r.noteDateLag(journal)
	journal.RefusedSecret = r.refusedSecret(journal.RefusedSecret)
	journal.CredentialFailures = r.credentialFailures(journal.CredentialFailures)
	if len(r.cleared) > 0 {
		journal.Submissions = withoutCleared(journal.Submissions, r.cleared)
		journal.RecentCalls = r.rateWindow.Merge(&r.inheritedWindow).Counts(now)
		journal.Settling, journal.Unclaimed = r.evidence.settling(now), r.evidence.unclaimed.text()
	}
	r.applyClaim(journal)
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
	v1alpha1.ReasonNamespaceUnreadable: {Ready: metav1.ConditionFalse, Stalled: true},
	v1alpha1.ReasonThrottled:           {Ready: metav1.ConditionUnknown, Reconciling: true},
	v1alpha1.ReasonCRDsOutdated:        {Ready: metav1.ConditionFalse, Stalled: true},
}

// projectVerdict returns the reason and message of the project's Ready, and what goes with it.
func (r *reporter) projectVerdict() (reason, message string, set backupsync.ConditionSet) {
	known := r.health.Status()
	reason, message = known.Reason, known.Message
	passing, lasting := false, known.Stalled
	switch takesOver := r.claim.from.After(r.now); {
	case r.outdated != "":
		reason, message = v1alpha1.ReasonCRDsOutdated, "Nothing is sent: "+r.outdated+". "+applyCRDs
	case r.project.Spec.Suspend:
		reason, message = v1alpha1.ReasonSuspended, "spec.suspend is set: no new sync calls are made. Running tasks are followed to their end."
	case r.claim.rival != nil || takesOver:
		reason, message = v1alpha1.ReasonProjectInUse, r.inUseMessage()
		passing = r.claim.rival == nil || !olderProject(r.claim.rival, r.project)
	case len(r.claim.unreadable) > 0:
		reason, message = v1alpha1.ReasonNamespaceUnreadable, r.unreadableMessage()
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
				return !slices.Contains(open, cbr.Fold(item.BackupID))
			})
		}
		if len(submission.Items) > 0 {
			left = append(left, submission)
		}
	}
	return left
}
