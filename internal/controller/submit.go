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
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
	"backupsync.dev/operator/internal/connection"
)

// maxSubmissions is the limit of status.journal.submissions.
const maxSubmissions = 64

// errConflict ends a pass whose project was written by someone else in the meantime.
var errConflict = errors.New("the CBRProject has changed since it was read")

// submission is one call on its way.
type submission struct {
	v1alpha1.Submission
	members []batch.Candidate
}

// submitter is the step submit: it makes the planned calls.
type submitter struct {
	step
	*cloudView
	*writer
	*poller
	*planMemory
	*callMemory
	plan plan
	sent sent
}

// sent is what has come of the calls.
type sent struct {
	// accepted is when the first of them was accepted, zero if none was.
	accepted time.Time
	// polling brings what CBR tells of the running tasks; nil until it is asked.
	polling chan pollResult
}

// submit records the planned calls in the project's status, makes them, and writes what CBR answered. From the
// record on it goes on through a shutdown or a loss of leadership, within a time of its own: a call that is
// given up half way would have to be looked up later.
func (s *submitter) submit(ctx context.Context) (sent, error) {
	if len(s.plan.Calls) == 0 {
		if s.plan.More && s.cloud != nil { // all of them were found in CBR; the next ones may not be
			s.requeueNow()
		}
		return s.sent, nil
	}
	if ready, err := s.connect(ctx, connection.SyncRequest); !ready {
		return s.sent, err
	}
	submissions, err := s.protocol.record(s, ctx, s.plan.Calls)
	if errors.Is(err, errCRDsOutdated) { // the record was not kept: nothing is sent
		s.foundOutdated(err)
		return s.sent, nil
	}
	if err != nil {
		return s.sent, err
	}
	s.called = true
	s.cloudProjects.use(s.claim.cloudProject, s.project.UID)
	if s.pollDue() && s.health.Proven() { // CBR lists tasks while the API server writes
		s.sent.polling = s.beginPoll(ctx)
	}
	s.makeCalls(ctx, submissions)
	if s.plan.More && !s.health.Calls.Open(s.options.Clock.Now()) {
		s.requeueNow()
	}
	return s.sent, nil
}

// record writes the calls into the project's status before any of them is made. The resource version is a
// precondition: if anyone has written the project since it was read, another controller perhaps, nothing is sent.
func (s *submitter) record(ctx context.Context, calls [][]batch.Candidate) ([]submission, error) {
	if err := s.holdProject(ctx); err != nil {
		return nil, asConflict(err)
	}
	submissions := make([]submission, 0, len(calls))
	project := s.project.DeepCopy()
	counts := s.counts.counts(s.key)
	project.Status.Backups = &counts
	s.noteDateLag(&project.Status.Journal)
	for _, members := range calls {
		call := submission{members: members, Submission: v1alpha1.Submission{
			ID: uuid.NewString(), StartTime: metav1.NewMicroTime(s.options.Clock.Now()),
		}}
		for _, member := range members {
			call.Items = append(call.Items, v1alpha1.SubmittedItem{BackupID: member.Spec.BackupID, Hash: backupsync.Hash(&member.Spec),
				PreviousOperationLogID: member.Status.OperationLogID})
		}
		submissions = append(submissions, call)
		project.Status.Journal.Submissions = append(project.Status.Journal.Submissions, call.Submission)
	}
	if err := s.writeProject(ctx, project); err != nil {
		return nil, fmt.Errorf("record %d submissions: %w", len(calls), asConflict(err))
	}
	return submissions, nil
}

// asConflict returns errConflict for a failed precondition, and other errors as they are.
func asConflict(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return errConflict
	}
	return err
}

// makeCalls makes the recorded calls. While it is not proven that calls go well, one goes first and alone: an
// expired token or a dead endpoint should cost one call, not several.
func (s *submitter) makeCalls(ctx context.Context, submissions []submission) {
	detached, cancel := s.detach(ctx)
	defer cancel()
	run := &batchRun{submitter: s, stop: ctx}
	if !s.health.Proven() {
		run.call(detached, submissions[0])
		submissions = submissions[1:]
	}
	var group errgroup.Group
	group.SetLimit(int(max(s.project.Spec.Limits.ConcurrentSyncCalls, 1)))
	for _, call := range submissions {
		group.Go(func() error {
			run.call(detached, call)
			return nil
		})
	}
	_ = group.Wait() // the calls report through the batch run
}

// detach returns a context for a call and the writes that follow it, which a shutdown does not cancel.
func (r *Reconciler) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), r.options.BeginTimeout+r.options.CallTimeout+r.options.WriteTimeout)
}

// batchRun is the calls of one pass, of which several are under way at the same time.
type batchRun struct {
	*submitter
	stop  context.Context // no call is begun after it has ended
	mutex sync.Mutex      // guards what is remembered, and sent
	abort bool            // a failure concerns all calls
}

// call makes one call, unless one before has failed in a way that concerns all, and notes what came of it.
func (r *batchRun) call(ctx context.Context, call submission) {
	if r.aborted(call) {
		r.clear(call.ID, nil) // never sent
		r.requeueNow()
		return
	}
	begin := cbr.BeginBefore(ctx, call.StartTime.Add(r.options.BeginTimeout))
	imports, err := r.cloud.ImportBackups(begin, items(call.members))
	ended, operations := r.options.Clock.Now(), operationsByBackup(imports)
	r.noteCall(call, err, ended, err == nil && namesAny(call, operations))
	if err != nil {
		r.callRefused(call, err, ended)
		return
	}
	r.callAccepted(ctx, call, operations)
}

// errLeftOut is the failure of backups that an answer does not name.
var errLeftOut = &cbr.Error{Operation: cbr.OperationImport, StatusCode: http.StatusOK, Class: cbr.Unknown, Err: errors.New("the answer leaves them out")}

// namesAny reports whether an answer names one of the backups of a call.
func namesAny(call submission, operations map[string]string) bool {
	return slices.ContainsFunc(call.Items, func(item v1alpha1.SubmittedItem) bool { return operations[cbr.Fold(item.BackupID)] != "" })
}

// aborted reports whether a call must not begin: after a failure that concerns all, during a shutdown, when its
// record is so old that another process might look it up soon, and when the look at CBR is.
func (r *batchRun) aborted(call submission) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	now := r.options.Clock.Now()
	return r.abort || r.stop.Err() != nil || now.After(call.StartTime.Add(r.options.BeginTimeout)) || r.stale(now)
}

// requeueNow asks for another pass after the current one.
func (r *batchRun) requeueNow() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if calls, now := &r.health.Calls, r.options.Clock.Now(); calls.Open(now) {
		r.requeueAt(r.health.RequeueAt(calls, now))
		return
	}
	r.submitter.requeueNow()
}

// noteCall counts the call and what it tells of the project's access. An answer that names none of the backups tells nothing.
func (r *batchRun) noteCall(call submission, err error, ended time.Time, taken bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.rateWindow.CallEnded(ended, 1)
	observeSubmission(len(call.members), err)
	if taken {
		r.bisection.CallAccepted()
	}
	switch {
	case r.abort: // the calls under way then tell no more about the project than the first failure did
		return
	case taken:
		r.health.Succeeded(connection.SyncRequest)
		return
	case err == nil:
		return
	}
	if r.renews(connection.SyncRequest, err) {
		r.abort = true
		r.requeueAt(ended.Add(renewalWait))
		return
	}
	if !r.blamesMembers(call, err) {
		r.abort = r.health.Failed(connection.SyncRequest, err, ended) || r.isCommonRefusal(err, ended)
	}
}

// blamesMembers reports whether a failure speaks of the members of a call alone: others have gone through since theirs first failed. One
// denial of CBR's own, while calls go well, may be theirs too.
func (r *batchRun) blamesMembers(call submission, err error) bool {
	var failure *cbr.Error
	if !errors.As(err, &failure) || !failure.MayBlameItem() {
		return false
	}
	if failure.Class == cbr.Permission && r.health.Calls.Proven && r.bisection.Denials == 0 {
		r.bisection.Denials++
		return true
	}
	return !slices.ContainsFunc(call.Items, func(item v1alpha1.SubmittedItem) bool { return !r.bisection.AcceptedSince(item.BackupID) })
}

// isCommonRefusal reports whether a refusal is one of those that no item is to blame for.
func (r *batchRun) isCommonRefusal(err error, ended time.Time) bool {
	code := r.bisection.CommonCode
	if code == "" || code != codeOf(err) {
		return false
	}
	r.health.RefuseAll(err, ended)
	return true
}

// callRefused handles a call without a usable answer. If CBR has certainly not touched it, its record goes and its
// backups stay pending; otherwise the record stays until it is known what became of them.
func (r *batchRun) callRefused(call submission, err error, ended time.Time) {
	// What CBR answers is no error of the program: no stack trace.
	r.log.Info("Sync call failed", "submission", call.ID, "backups", len(call.members), "class", cbr.ClassOf(err), "cause", err.Error())
	r.emit(callFailedEvent(r.project, len(call.members), err))
	r.mutex.Lock()
	r.rememberRefusal(call, err, ended)
	r.mutex.Unlock()
	r.requeueNow()
}

// rememberRefusal keeps what a refusal says until it is known whether CBR has taken any of the call: that is looked up when its effects
// have settled, after a refusal by CBR itself soon.
func (r *batchRun) rememberRefusal(call submission, err error, ended time.Time) {
	var failure *cbr.Error
	if errors.As(err, &failure) && failure.Untouched {
		r.clear(call.ID, nil)
		return
	}
	r.settles(call, r.settledAfter(call, failure, ended))
	if failure != nil && failure.MayBlameItem() {
		r.doubts(call, err)
	}
}

// doubts notes a failure for which an item of a call may be to blame.
func (r *batchRun) doubts(call submission, err error) {
	r.refusals[call.ID] = refusal{err: err, members: len(call.Items), through: r.bisection.Accepted}
}

// settledAfter is when a failed call has settled. An answer of CBR's own is the end of the call, and so is a refusal by the gateway.
// But a connection may be lost, and the gateway or a proxy may give up, before the request has arrived.
func (r *batchRun) settledAfter(call submission, failure *cbr.Error, ended time.Time) time.Time {
	switch {
	case failure != nil && failure.FromCBR() && failure.StatusCode/100 == 4:
		return ended.Add(min(r.options.SettleTime, refusalSettleTime))
	case failure != nil && (failure.FromCBR() || failure.FromGateway() && failure.StatusCode/100 == 4):
		return ended.Add(r.options.SettleTime)
	default:
		return call.StartTime.Add(r.options.settlesWithin())
	}
}

// settles notes when a call has settled. CBR may have its backups from now on.
func (r *batchRun) settles(call submission, at time.Time) {
	r.settledAt[call.ID] = at
	r.evidence.carried(call.Items, at)
}

// callAccepted writes what CBR has accepted. What it left out, and what could not be written, stays recorded.
func (r *batchRun) callAccepted(ctx context.Context, call submission, operations map[string]string) {
	now := metav1.NewTime(r.options.Clock.Now())
	r.learn(call, operations, now.Time)
	changes := make([]change, 0, len(call.members))
	var open []string
	for i, member := range call.members {
		if operation, found := operations[cbr.Fold(member.Spec.BackupID)]; found {
			hash := call.Items[i].Hash
			become := func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
				return backupsync.Followed(version, operation, hash, now, now)
			}
			changes = append(changes, change{backup: member.BackupSync, lasting: true, become: unlessTold(call.Items[i], operation, become)})
		} else {
			open = append(open, member.Spec.BackupID)
		}
	}
	if len(open) > 0 {
		r.leftOut(call)
	}
	_, unwritten := r.apply(ctx, changes)
	r.submitted(changes, now.Time)
	for _, backup := range unwritten {
		open = append(open, backup.Spec.BackupID)
	}
	r.protocol.clear(r.writer, call.ID, open)
	r.log.Info("Submitted backups", "submission", call.ID, "backups", len(changes), "unanswered", len(open))
}

// leftOut notes that an answer does not name all backups of a call.
func (r *batchRun) leftOut(call submission) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.doubts(call, errLeftOut)
}

// learn notes whose the tasks are that an answer names, and whether the backups of a call share one.
func (r *batchRun) learn(call submission, operations map[string]string, now time.Time) {
	owners := map[string]evidence.Owner{} // by task
	answered := 0
	for _, member := range call.members {
		if operation := operations[cbr.Fold(member.Spec.BackupID)]; operation != "" {
			owners[operation] = with(owners[operation], member.BackupSync)
			answered++
		}
	}
	whole := answered == len(call.members)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for operation, owner := range owners {
		owner.Whole = whole
		r.evidence.tasks[operation] = namedTask{owner: owner, needed: now}
	}
	r.taskScope = learnt(r.taskScope, scopeOf(owners, answered, whole))
	r.settles(call, now.Add(r.options.SettleTime))
}

// scopeOf returns what an answer tells of whose tasks are: "" for nothing, as that for one backup. That each has its own is told by
// different tasks of one resource alone, and by an answer that leaves none out.
func scopeOf(owners map[string]evidence.Owner, answered int, whole bool) v1alpha1.TaskScope {
	resources := map[string]struct{}{}
	for _, owner := range owners {
		resources[owner.ResourceID] = struct{}{}
	}
	switch {
	case len(owners) < answered:
		return v1alpha1.TaskPerCall
	case !whole || answered < 2:
		return ""
	case len(resources) < answered:
		return v1alpha1.TaskPerBackup
	default:
		return v1alpha1.TaskPerResource
	}
}

// submitted notes what was accepted, and when.
func (r *batchRun) submitted(accepted []change, now time.Time) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, change := range accepted {
		r.bisection.Resolved(change.backup.Spec.BackupID)
	}
	if r.sent.accepted.IsZero() {
		r.sent.accepted = now
	}
}

func items(members []batch.Candidate) []cbr.Backup {
	backups := make([]cbr.Backup, 0, len(members))
	for _, member := range members {
		backups = append(backups, backupsync.Item(&member.Spec))
	}
	return backups
}

// operationsByBackup matches an answer by folded backup id: nothing promises its order. Of several tasks that are
// named for one backup the first counts.
func operationsByBackup(imports []cbr.Import) map[string]string {
	operations := make(map[string]string, len(imports))
	for _, accepted := range imports {
		if id := cbr.Fold(accepted.BackupID); operations[id] == "" {
			operations[id] = accepted.OperationLogID
		}
	}
	return operations
}
