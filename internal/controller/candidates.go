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
	"iter"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
)

// Defaults of the durations that the CRD defaults: they hold for objects that were stored without them.
const (
	defaultBatchWindow  = time.Second
	defaultMaxWait      = 10 * time.Second
	defaultPollInterval = 10 * time.Second
	defaultOverdueAfter = 30 * time.Minute
	defaultRetryLimit   = 3
)

func duration(value *metav1.Duration, fallback time.Duration) time.Duration {
	if value == nil {
		return fallback
	}
	return value.Duration
}

// planner is the step plan: it finds what is to be sent, and when.
type planner struct {
	step
	*reader
	*cloudView
	*writer
	*planMemory
	*callMemory
	*claimMemory
	plan plan
}

// plan is what is to be sent, as far as is known.
type plan struct {
	batch.Schedule
	// duplicates are the changes to BackupSyncs that others of the same backup are sent for, which are written with the report.
	duplicates []change
	// proven is when the look at CBR began by which the plan is believed, zero without one.
	proven time.Time
}

// planCalls finds out what may be sent and cuts it into calls.
func (p *planner) planCalls(ctx context.Context) (plan, error) {
	present := p.noteQueueTimes()
	if may, err := p.mayPlan(ctx); !may {
		return p.plan, err
	}
	limit := int(max(p.project.Spec.Limits.SyncCallsPerMinute, 1))
	window := p.rateWindow.Merge(&p.inheritedWindow)
	rules := p.batchRules(window.Available(p.now, limit))
	p.bisection.Prune(p.pending, p.rest)
	p.evidence.pruneWaits(p.pending, p.rest)
	eligible := p.eligibleBackups(present)
	defer func() {
		p.log.V(1).Info("Planned calls", "calls", len(p.plan.Calls), "eligible", len(eligible), "callsAllowed", rules.Calls,
			"rateLimited", p.plan.RateLimited, "moreToSend", p.plan.More, "batchDue", p.plan.RequeueAt)
	}()
	if due := p.batchDue(eligible, rules); due.After(p.now) {
		p.plan.RequeueAt = due
		p.requeueAt(due)
		return p.plan, nil
	}
	candidates, truncated, err := p.candidates(ctx, eligible, rules.Size*rules.MaxCalls)
	if err != nil {
		return p.plan, err
	}
	free, groups := p.bisection.Split(candidates, p.underWay(), rules.Size)
	if len(p.bisection.Released) > 0 { // they are candidates of the next pass
		p.requeueNow()
	}
	rules.Reserved = p.bisection.Share(len(groups), min(rules.Calls, rules.MaxCalls))
	p.plan.Schedule = batch.Cut(free, rules, p.now).WithGroups(groups, rules)
	if !p.plan.RequeueAt.IsZero() {
		p.requeueAt(p.plan.RequeueAt)
	}
	if truncated && !p.plan.More {
		p.plan.Schedule = p.plan.LeaveRest(rules)
	}
	if next := window.NextAfter(p.now, limit, len(p.plan.Calls)); p.plan.RateLimited && next.After(p.now) {
		p.requeueAt(next)
	}
	return p.plan, nil
}

// mayPlan reports whether the project may make calls. While it may not, CBR is not asked again about what backups wait for, which may be over:
// the status of the project says why.
func (p *planner) mayPlan(ctx context.Context) (may bool, err error) {
	if p.project != nil && p.outdated == "" && !p.project.Spec.Suspend && p.project.DeletionTimestamp.IsZero() {
		may, err = p.protocol.mayCall(p, ctx)
	}
	if !may && err == nil {
		clear(p.evidence.waits)
	}
	return may, err
}

// batchRules are the project's, with as many calls as its limit leaves now.
func (p *planner) batchRules(available int) batch.Rules {
	spec := &p.project.Spec.Batch
	rules := batch.Rules{
		Size:     int(max(spec.MaxSize, 1)),
		Window:   duration(spec.Window, defaultBatchWindow),
		MaxWait:  duration(spec.MaxWait, defaultMaxWait),
		Expected: p.nextRelease(),
		MaxCalls: batch.MaxCallsPerPass,
		Calls:    min(available, maxSubmissions-len(p.project.Status.Journal.Submissions)),
	}
	if !p.called {
		rules.MaxCalls = batch.FirstCalls
	}
	return rules
}

// nextRelease returns when the last of the refused calls has settled that are still to be resolved: their members are then sent
// again, and one call serves those of several. It is zero if there is none.
func (p *planner) nextRelease() (last time.Time) {
	for _, submission := range p.project.Status.Journal.Submissions {
		_, refused := p.refusals[submission.ID]
		if at := p.settledAt[submission.ID]; refused && at.After(p.now) && at.After(last) {
			last = at
		}
	}
	return last
}

// underWay returns the backups in recorded calls of which is known soon what became of them. For the others, of which a look has
// left that open, nobody waits.
func (p *planner) underWay() map[string]struct{} {
	ids := make(map[string]struct{}, len(p.recorded))
	for _, submission := range p.project.Status.Journal.Submissions {
		if !p.lookUpFrom[submission.ID].IsZero() {
			continue
		}
		for _, item := range submission.Items {
			ids[cbr.Fold(item.BackupID)] = struct{}{}
		}
	}
	return ids
}

// noteQueueTimes returns the pending backups and the rest with the times at which they arrived, and forgets those that are neither
// any more.
func (p *planner) noteQueueTimes() []batch.Candidate {
	present := make([]batch.Candidate, 0, len(p.pending)+len(p.rest))
	p.queueTimes.BeginPass()
	for _, backup := range slices.Concat(p.pending, p.rest) {
		at := p.queueTimes.QueuedAt(backup, p.now)
		if _, released := p.bisection.Released[cbr.Fold(backup.Spec.BackupID)]; released {
			at = p.queueTimes.Requeue(backup, p.now)
		}
		present = append(present, batch.Candidate{BackupSync: backup, QueuedAt: at})
	}
	p.queueTimes.Prune(len(present))
	clear(p.bisection.Released)
	return present
}

// eligibleBackups leaves of the backups those that may be sent as far as each alone is concerned, in no order.
func (p *planner) eligibleBackups(present []batch.Candidate) []batch.Candidate {
	var held [lastHold + 1]int
	eligible := slices.DeleteFunc(present, func(each batch.Candidate) bool {
		why, until := p.holds(each.BackupSync)
		held[why]++
		p.requeueAt(until)
		return why != notHeld
	})
	p.log.V(1).Info("Backups are held back", "eligible", held[notHeld], "ended", held[heldEnded], "suspended", held[heldSuspended], "inCalls", held[heldInCall],
		"bisection", held[heldByBisection], "awaitingCBR", held[heldByCBR], "retryLater", held[heldForRetry])
	return eligible
}

// batchDue returns when a call is due, if what is there is too little for a full one: until then nobody needs to know
// which of the backups have duplicates. It is zero if there is more to consider.
func (p *planner) batchDue(eligible []batch.Candidate, rules batch.Rules) time.Time {
	if len(eligible) == 0 || len(eligible) >= rules.Size || p.bisection.Active() {
		return time.Time{}
	}
	return batch.DueTime(eligible, rules)
}

// candidates returns the oldest of the backups that no other BackupSync owns, in order, and whether there are more than the limit.
func (p *planner) candidates(ctx context.Context, eligible []batch.Candidate, limit int) ([]batch.Candidate, bool, error) {
	var found []batch.Candidate
	owners := owners{}
	for next := range p.inOrder(eligible) {
		owner, err := owners.of(ctx, p, next.BackupSync)
		if err != nil {
			return nil, false, err
		}
		if owner.UID != next.UID {
			p.duplicate(next.BackupSync, owner)
			continue
		}
		if backupsync.StateOf(next.BackupSync) != backupsync.Pending { // a duplicate whose turn has come, or one to be imported again
			p.pending = append(p.pending, next.BackupSync)
		}
		if len(found) == limit {
			return found, true, nil
		}
		found = append(found, next)
	}
	return found, false, nil
}

// inOrder goes through backups by age, those last whose calls have failed. It takes the slice for itself.
func (p *planner) inOrder(backups []batch.Candidate) iter.Seq[batch.Candidate] {
	var frail []batch.Candidate
	sound := slices.DeleteFunc(backups, func(each batch.Candidate) bool {
		failed := p.bisection.Failing(each.Spec.BackupID)
		if failed {
			frail = append(frail, each)
		}
		return failed
	})
	return func(yield func(batch.Candidate) bool) {
		for _, part := range [][]batch.Candidate{sound, frail} {
			for each := range batch.ByAge(part) {
				if !yield(each) {
					return
				}
			}
		}
	}
}

// hold is why a backup is not sent in a pass.
type hold int

const (
	notHeld hold = iota
	heldEnded
	heldSuspended
	heldInCall
	heldByBisection
	heldByCBR
	heldForRetry
	lastHold = heldForRetry
)

// holds returns why a backup may not be sent as far as it alone is concerned, and until when if that is known.
func (p *planner) holds(backup *v1alpha1.BackupSync) (why hold, until time.Time) {
	id := cbr.Fold(backup.Spec.BackupID)
	_, handled := p.handled[backup.UID]
	_, recorded := p.recorded[id]
	wait, retry := p.evidence.waits[id], backup.Status.NextAttemptTime
	switch {
	case !backupsync.WantsCall(backup) || !backup.DeletionTimestamp.IsZero() || handled:
		return heldEnded, until
	case backup.Spec.Suspend:
		return heldSuspended, until
	case recorded:
		return heldInCall, until
	case p.bisection.Parked(id):
		return heldByBisection, until
	case wait.until.After(p.now) && !wait.overriddenBy(backup):
		return heldByCBR, wait.until
	case retry != nil && retry.After(p.now) && !backupsync.Renewed(backup):
		return heldForRetry, retry.Time
	default:
		return notHeld, until
	}
}

// eligible reports whether a backup may be sent as far as it alone is concerned.
func (p *planner) eligible(backup *v1alpha1.BackupSync) bool {
	why, _ := p.holds(backup)
	return why == notHeld
}

// owners are the BackupSyncs that own the backups of a plan, by folded id. Each is looked for once, however many declare its backup: the
// cache may show another one a moment later, and both would be sent.
type owners map[string]*v1alpha1.BackupSync

// of returns which of the BackupSyncs that declare a backup may have it.
func (o owners) of(ctx context.Context, p *planner, backup *v1alpha1.BackupSync) (*v1alpha1.BackupSync, error) {
	id := cbr.Fold(backup.Spec.BackupID)
	if owner, known := o[id]; known {
		return owner, nil
	}
	owner, err := p.ownerOf(ctx, backup)
	if err == nil {
		o[id] = owner
	}
	return owner, err
}

// ownerOf returns which of the BackupSyncs that declare a backup may have it: usually itself.
func (p *planner) ownerOf(ctx context.Context, backup *v1alpha1.BackupSync) (*v1alpha1.BackupSync, error) {
	duplicates, err := p.syncsForBackup(ctx, backup.Spec.BackupID)
	switch {
	case err != nil:
		return nil, err
	case len(duplicates) == 0:
		return backup, p.expectGone(ctx, backup)
	default:
		return backupsync.Owner(duplicates), nil
	}
}

// expectGone returns an error if a BackupSync that syncsForBackup has not found is in the cache: the index would show no others either,
// and what they own would be submitted again.
func (p *planner) expectGone(ctx context.Context, backup *v1alpha1.BackupSync) error {
	found := &v1alpha1.BackupSync{}
	err := p.client.Get(ctx, client.ObjectKeyFromObject(backup), found, uncopied)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("get BackupSync %s: %w", backup.Name, err)
	case found.UID == backup.UID:
		return fmt.Errorf("the index %s does not show BackupSync %s, which is there: nothing is sent, as duplicates could not be seen",
			indexBackup, backup.Name)
	default:
		return nil
	}
}

// duplicate notes that another BackupSync owns the backup.
func (p *planner) duplicate(backup, owner *v1alpha1.BackupSync) {
	given := p.circumstances(backup)
	given.Owner = owner.Name
	if next := backupsync.Waiting(backup, given, metav1.NewTime(p.now)); next != nil {
		p.plan.duplicates = append(p.plan.duplicates, to(backup, next))
	}
	p.handle(backup)
}
