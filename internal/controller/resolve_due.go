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
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
)

// Which of the recorded calls are looked up by a pass, and about how many of their backups CBR is asked.

// listedTasks returns the tasks that CBR's list must show: they run, and have been known for long enough.
func (r *resolver) listedTasks() []string {
	var tasks []string
	for _, backup := range r.running {
		at := backup.Status.SubmittedTime
		if at != nil && r.now.Sub(at.Time) >= r.options.settlesWithin() && r.now.Sub(at.Time) < shownFor {
			tasks = append(tasks, backup.Status.OperationLogID)
		}
	}
	return tasks
}

// shownFor is how long CBR shows a task for certain: it keeps them for about 30 days.
const shownFor = 24 * time.Hour

// settledSubmissions returns the records whose calls are certainly over, and whose effects CBR shows by now, the one that was due first at the
// front; and asks for a pass when the next is. Of a call that this process has not made, it knows no more than that it is not recorded later
// than it was seen here: the clocks of two machines are not compared.
func (r *resolver) settledSubmissions() []v1alpha1.Submission {
	var settled []v1alpha1.Submission
	due := map[string]time.Time{} // by their ids
	var first, soon time.Time     // when the first of them had settled, and when the next has
	recorded := make(map[string]struct{}, len(r.project.Status.Journal.Submissions))
	for _, submission := range r.project.Status.Journal.Submissions {
		recorded[submission.ID] = struct{}{}
		from, known := r.settledAt[submission.ID]
		if !known {
			from = r.now.Add(r.options.settlesWithin())
			r.settledAt[submission.ID] = from
		}
		if again := r.lookUpFrom[submission.ID]; again.After(from) {
			from = again
		}
		if from.After(r.now) {
			soon = earliest(soon, from)
			continue
		}
		first = earliest(first, from)
		due[submission.ID] = from
		settled = append(settled, submission)
	}
	slices.SortStableFunc(settled, func(a, b v1alpha1.Submission) int { return due[a.ID].Compare(due[b.ID]) })
	r.forgetSubmissions(recorded)
	maps.DeleteFunc(r.evidence.hidden, func(id string, _ struct{}) bool { _, is := recorded[id]; return !is })
	r.requeueAt(soon)
	if len(settled) > 0 && !soon.IsZero() && soon.Sub(first) <= min(resolveTogether, r.options.SettleTime/10) {
		return nil // one look serves them all, and what is pending again goes in the same calls
	}
	return settled
}

// limitLook leaves fewer submissions to a look if looks have taken a question for each backup. If that goes well the others are looked up in
// passes that come at once; those that stay open after that wait behind them.
func (r *resolver) limitLook(settled []v1alpha1.Submission) (now []v1alpha1.Submission, more bool) {
	now = fittingOneLook(r.evidence, settled, idsIn)
	return now, len(now) < len(settled)
}

// idsIn returns the backups of a submission.
func idsIn(call v1alpha1.Submission) []string {
	ids := make([]string, len(call.Items))
	for i, item := range call.Items {
		ids[i] = item.BackupID
	}
	return ids
}

// limitItems leaves for later what a look may not ask about of the backups of one submission: not always the same, as some that stay open are to hold
// up no others.
func (r *resolver) limitItems(items []openItem) []openItem {
	if len(items) == 0 {
		return nil
	}
	first := rand.IntN(len(items))
	turned := slices.Concat(items[first:], items[:first])
	for i := len(fittingOneLook(r.evidence, turned, func(item openItem) []string { return []string{item.BackupID} })); i < len(turned); i++ {
		turned[i].later = true
	}
	return turned
}

// resolveTogether is how long a submission that has settled waits for others at most.
const resolveTogether = 2 * time.Second

// forgetSubmissions forgets what was known of submissions that are not recorded any more.
func (m *callMemory) forgetSubmissions(recorded map[string]struct{}) {
	for id := range m.settledAt {
		if _, is := recorded[id]; !is {
			delete(m.settledAt, id)
			delete(m.lookUpFrom, id)
			delete(m.refusals, id)
		}
	}
}
