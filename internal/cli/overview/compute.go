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

package overview

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/liveness"
)

// facts are what was read of the cluster.
type facts struct {
	now      time.Time
	scope    scope
	operator liveness.Operator
	projects []v1alpha1.CBRProject
	single   *tallies
}

// compute works out an overview.
func compute(from *facts) *Overview {
	made := &Overview{Time: metav1.NewTime(from.now), Operator: from.operator, Projects: []Project{}, Done: true}
	exists := map[projectName]bool{}
	for i := range from.projects {
		found := &from.projects[i]
		name := projectName{found.Namespace, found.Name}
		exists[name] = true
		tally := from.single.of(name)
		looked := projectOf(from, found, tally)
		made.Projects = append(made.Projects, *looked)
		made.Done = made.Done && looked.done() && (from.operator.State == liveness.Silent || looked.counted())
	}
	slices.SortFunc(made.Projects, func(a, b Project) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	made.Orphans = orphans(from.single, exists)
	made.Done = made.Done && len(made.Orphans) == 0
	return made
}

func projectOf(from *facts, found *v1alpha1.CBRProject, single *tally) *Project {
	name := projectName{found.Namespace, found.Name}
	open, failed := from.single.isCut(name, backups.Open), from.single.isCut(name, backups.Failed)
	made := &Project{
		Namespace: found.Namespace, Name: found.Name, Suspended: found.Spec.Suspend, Counts: found.Status.Backups,
		Stalled: meta.IsStatusConditionTrue(found.Status.Conditions, v1alpha1.ConditionStalled),
		Stale:   stale(found, from.operator.State, single, open || failed), Reasons: single.byReason(),
		Read: Read{Pending: single.states[backupsync.Pending], Running: single.states[backupsync.Running], Failed: single.states[backupsync.Failed], Imported: single.states[backupsync.Imported],
			OpenTruncated: open, FailedTruncated: failed, All: from.scope.all},
		Pace: paceOf(found, pendingOf(found, single), single.heldBack, from.now), Drifted: driftOf(found, single, from.scope.all), Audit: found.Status.Audit,
	}
	made.Ready, made.Reason, made.Message = metav1.ConditionUnknown, v1alpha1.ReasonPending, "It has no condition yet."
	if ready := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		made.Ready, made.Reason, made.Message = ready.Status, ready.Reason, backupsync.CleanMessage(ready.Message)
	}
	if expiring := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionCredentialsExpiring); expiring != nil && expiring.Status == metav1.ConditionTrue {
		made.CredentialsExpiring = backupsync.CleanMessage(expiring.Message)
	}
	if single.oldest != nil {
		made.OldestPending = exampleOf(single.oldest)
	}
	if made.DeletionTime = found.DeletionTimestamp; made.DeletionTime != nil {
		made.Finalizers = found.Finalizers
	}
	made.UnknownCalls, made.CallsUnderWay = callsOf(&found.Status.Journal, from.now)
	return made
}

// stale says why what the status of a project tells may be older than the truth.
func stale(found *v1alpha1.CBRProject, operator liveness.State, single *tally, truncated bool) []string {
	var why []string
	status := &found.Status
	switch {
	case status.ObservedGeneration < 0:
		why = append(why, "the operator has not looked at this CBRProject yet")
	case status.ObservedGeneration != found.Generation:
		why = append(why, "the operator has not taken in the latest edit of this CBRProject")
	case status.Backups == nil:
		why = append(why, "the operator has not counted its BackupSyncs yet")
	}
	if operator == liveness.Silent {
		why = append(why, "the operator is silent")
	}
	if counts := status.Backups; operator != liveness.Alive && counts != nil && !truncated && int(counts.Pending+counts.Running) != single.open() {
		why = append(why, fmt.Sprintf("it counts %d open BackupSyncs, and there are %d", counts.Pending+counts.Running, single.open()))
	}
	return why
}

// pendingOf returns how many are pending: as the operator counts them, or as many as were read.
func pendingOf(found *v1alpha1.CBRProject, single *tally) int {
	if found.Status.Backups == nil {
		return single.states[backupsync.Pending]
	}
	return int(found.Status.Backups.Pending)
}

// The defaults of the CRD, for a project that was read without them.
const (
	defaultCallsPerMinute = 10
	defaultBackupsPerCall = 50
)

// paceOf works out how fast a project may import, and how long its pending backups take at least, but for those that are held back.
func paceOf(found *v1alpha1.CBRProject, pending, heldBack int, now time.Time) Pace {
	pace := Pace{
		HeldBack:       heldBack,
		CallsPerMinute: cmp.Or(int(found.Spec.Limits.SyncCallsPerMinute), defaultCallsPerMinute),
		BackupsPerCall: cmp.Or(int(found.Spec.Batch.MaxSize), defaultBackupsPerCall),
	}
	pace.BackupsPerMinute = pace.CallsPerMinute * pace.BackupsPerCall
	for _, count := range found.Status.Journal.RecentCalls {
		if age := now.Sub(count.EndTime.Time); age < time.Minute {
			pace.CallsInLastMinute += int(count.Calls)
		}
	}
	if sendable := pending - heldBack; sends(found) && sendable > 0 {
		calls := (sendable + pace.BackupsPerCall - 1) / pace.BackupsPerCall
		least := (calls - 1) / pace.CallsPerMinute // the first minute's calls go at once
		pace.LeastMinutes = &least
	}
	return pace
}

// sends reports whether a project sends anything at present.
func sends(found *v1alpha1.CBRProject) bool {
	ready := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady)
	return found.DeletionTimestamp == nil && !found.Spec.Suspend && ready != nil && ready.Status == metav1.ConditionTrue
}

// answered is the time after which a call has certainly ended: the operator waits for its answer for 60 s, by default, and then writes
// what came of it.
const answered = 75 * time.Second

// callsOf returns the calls of the journal whose outcome is not known, and those that may just be under way.
func callsOf(journal *v1alpha1.Journal, now time.Time) (unknown, underWay *Calls) {
	for i := range journal.Submissions {
		submission := &journal.Submissions[i]
		if now.Sub(submission.StartTime.Time) > answered {
			unknown = addCall(unknown, submission)
		} else {
			underWay = addCall(underWay, submission)
		}
	}
	return unknown, underWay
}

func addCall(to *Calls, submission *v1alpha1.Submission) *Calls {
	if to == nil {
		to = &Calls{Since: submission.StartTime}
	}
	to.Calls++
	to.Backups += len(submission.Items)
	if submission.StartTime.Before(&to.Since) {
		to.Since = submission.StartTime
	}
	return to
}

// orphans returns those whose project does not exist.
func orphans(single *tallies, exists map[projectName]bool) []Orphans {
	var found []Orphans
	for name, tally := range single.by {
		if exists[name] || tally.open()+tally.states[backupsync.Failed] == 0 {
			continue
		}
		var of examples
		for _, some := range tally.reasons {
			for i := range some.first {
				of.add(&some.first[i])
			}
		}
		found = append(found, Orphans{Namespace: name.namespace, Project: name.name,
			Count: tally.open() + tally.states[backupsync.Failed], Truncated: single.isCutOrphan(name), Names: of.names()})
	}
	slices.SortFunc(found, func(a, b Orphans) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Project, b.Project))
	})
	return found
}

// driftOf returns how many manifests of a project differ from what CBR has accepted: the operator counts the imported ones.
func driftOf(found *v1alpha1.CBRProject, single *tally, all bool) Drift {
	drift := Drift{Count: single.drifted.count, Complete: all, Names: single.drifted.names()}
	if counts := found.Status.Backups; counts != nil && !all {
		drift.Count, drift.Complete = drift.Count+int(ptr.Deref(counts.Drifted, 0)), true
	}
	return drift
}
