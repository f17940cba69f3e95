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
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

const (
	// countsDelay is how long a change of counts waits for another reason to write the project: a call, as a rule.
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
	if p.project != nil && !p.project.Spec.Suspend && p.memory.access.inputs != p.inputs {
		if _, err := p.connect(ctx); err != nil {
			return err
		}
	}
	if len(p.strikes) > 0 { // whatever happens to the process: these are over
		detached, cancel := p.detach(ctx)
		defer cancel()
		ctx = detached
	}
	p.dropSurvey()
	if err := p.retryStalled(ctx); err != nil {
		return err
	}
	if err := p.reportProject(ctx); err != nil {
		return err
	}
	if err := p.reportBackups(ctx); err != nil {
		return err
	}
	return p.releaseProject(ctx)
}

// retryStalled requeues all that is stalled, once for each request at the project.
func (p *pass) retryStalled(ctx context.Context) error {
	if p.project == nil {
		return nil
	}
	request := requestOf(p.project)
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
				become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync { return requeued(version, now) }})
		}
	}
	written, unwritten := p.write(ctx, changes)
	if len(unwritten) > 0 {
		return fmt.Errorf("%d of %d stalled BackupSyncs could not be requeued", len(unwritten), len(changes))
	}
	if len(written) > 0 {
		p.again()
	}
	p.request = request
	return nil
}

// reportBackups writes why backups wait.
func (p *pass) reportBackups(ctx context.Context) error {
	changes := p.changes
	now := metav1.NewTime(p.now)
	for _, backup := range p.pending {
		if _, handled := p.handled[backup.UID]; handled {
			continue
		}
		reason, message := p.whyWaiting(backup)
		if next := waiting(backup, reason, message, now); next != nil {
			changes = append(changes, to(backup, next))
		}
	}
	for _, backup := range slices.Concat(p.rest, p.running) {
		if _, handled := p.handled[backup.UID]; handled || !renewed(backup) || stateOf(backup) == stalled {
			continue
		}
		if next := acknowledged(backup, now); next != nil {
			changes = append(changes, to(backup, next))
		}
	}
	if len(changes) > maxWaitingWrites {
		changes = changes[:maxWaitingWrites]
		p.again()
	}
	written, unwritten := p.write(ctx, changes)
	p.eventsOf(written)
	if len(unwritten) > 0 {
		return fmt.Errorf("the status of %d of %d waiting BackupSyncs could not be written", len(unwritten), len(changes))
	}
	return nil
}

// whyWaiting says why a pending backup is not sent now.
func (p *pass) whyWaiting(backup *v1alpha1.BackupSync) (reason, message string) {
	_, recorded := p.recorded[backup.Spec.BackupID]
	next := backup.Status.NextAttemptAt
	switch {
	case recorded:
		return v1alpha1.ReasonOutcomeUnknown, "A call with this backup was sent and its answer is not known. " +
			"It is not sent again before it is known what CBR made of that call."
	case backup.Spec.Suspend:
		return v1alpha1.ReasonSuspended, "spec.suspend is set: the backup is not sent to CBR."
	case p.project == nil:
		return p.whyWithoutProject(backup)
	case next != nil && !renewed(backup) && readyReason(backup) == v1alpha1.ReasonRetryScheduled:
		return v1alpha1.ReasonRetryScheduled, readyMessageOf(backup)
	default:
		return v1alpha1.ReasonQueued, v1alpha1.QueuedMessage
	}
}

func (p *pass) whyWithoutProject(backup *v1alpha1.BackupSync) (reason, message string) {
	patience := backup.CreationTimestamp.Add(projectGrace)
	if patience.After(p.now) && readyReason(backup) == v1alpha1.ReasonQueued {
		p.wakeAt(patience)
		return v1alpha1.ReasonQueued, v1alpha1.QueuedMessage
	}
	return v1alpha1.ReasonWaitingForProject, fmt.Sprintf(
		"The CBRProject %s does not exist in this namespace. Create it, or correct spec.projectRef in a new BackupSync.", p.key.Name)
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
	before := readyOf(p.project).Reason
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		project := p.project.DeepCopy()
		project.Status = *p.projectStatus(project)
		err := p.writeProject(ctx, project)
		if apierrors.IsConflict(err) { // an edit, as a rule: what is over is struck from the version of now
			return p.reread(ctx, err)
		}
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("update the status of the CBRProject: %w", err)
	}
	p.announce(before)
	return nil
}

// announce emits an event when the project's Ready has another reason than before.
func (p *pass) announce(before string) {
	ready := readyOf(p.project)
	if ready.Reason == before {
		return
	}
	kind := corev1.EventTypeWarning
	if ready.Reason == v1alpha1.ReasonReady || ready.Reason == v1alpha1.ReasonSuspended {
		kind = corev1.EventTypeNormal
	}
	p.events.Eventf(p.project, nil, kind, ready.Reason, "Reconcile", "%s", ready.Message)
}

func readyOf(project *v1alpha1.CBRProject) metav1.Condition {
	if ready := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return *ready
	}
	return metav1.Condition{}
}

// reread takes the current version of the project for another try, and returns the conflict that made it needed.
func (p *pass) reread(ctx context.Context, conflict error) error {
	project := &v1alpha1.CBRProject{}
	if err := p.live.Get(ctx, p.key, project); err != nil {
		return err
	}
	if project.Generation != p.project.Generation {
		p.again() // the conditions speak of the edited spec only after another pass
	}
	if project.Status.LastWriter != p.options.Identity {
		p.memory.overtaken()
	}
	p.adopt(project)
	return conflict
}

// sameForNow says whether the project needs no write: nothing has changed, or counts alone and not long ago.
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
		p.wakeAt(p.memory.countsDue)
		return true
	}
	call := p.plan.wake // of which planCalls has taken care
	return !call.IsZero() && !call.After(p.memory.countsDue.Add(countsPatience))
}

// projectStatus computes the status that follows from the pass for a version of the project.
func (p *pass) projectStatus(project *v1alpha1.CBRProject) *v1alpha1.CBRProjectStatus {
	status := project.Status.DeepCopy()
	now := p.options.Clock.Now()
	reason, message, form := p.projectVerdict()
	if reason != "" && project.Generation == p.generation {
		status.ObservedGeneration = project.Generation
		status.Conditions = applyConditions(&project.ObjectMeta, status.Conditions, form, reason, message, metav1.NewTime(now))
	}
	status.Backups = p.tally.counts(p.key)
	if p.request != "" {
		status.LastHandledRequest = p.request
	}
	if len(p.strikes) > 0 {
		status.Submissions = struck(status.Submissions, p.strikes)
		status.RecentCalls = p.memory.window.with(&p.memory.inherited).counts(now)
	}
	return status
}

// projectVerdict returns the reason and message of the project's Ready.
func (p *pass) projectVerdict() (reason, message string, form shape) {
	reason, message = p.memory.access.reason, p.memory.access.message
	if p.project.Spec.Suspend {
		reason, message = v1alpha1.ReasonSuspended, "spec.suspend is set: no new sync calls are made. Running tasks are followed to their end."
	}
	form = projectShapes[reason]
	if reason == v1alpha1.ReasonEndpointUnavailable && p.memory.access.stalled {
		form.reconciling, form.stalled = false, true
	}
	return reason, message, form
}

// struck returns the submissions without those that are over. Of those with backups whose outcome is still open,
// these backups remain.
func struck(submissions []v1alpha1.Submission, strikes map[string][]string) []v1alpha1.Submission {
	var left []v1alpha1.Submission
	for _, submission := range submissions {
		open, over := strikes[submission.ID]
		switch {
		case !over:
			left = append(left, submission)
		case len(open) > 0:
			submission.BackupIDs = open
			left = append(left, submission)
		}
	}
	return left
}
