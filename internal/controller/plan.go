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
	"container/heap"
	"iter"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// maxCallsPerPass bounds a pass, to about 1,000 backups: between passes new credentials, suspensions and
// edits are seen.
const maxCallsPerPass = 20

// firstCalls bounds a pass that takes a project over: each of its backups is read live, and others wait for the first call.
const firstCalls = 4

// candidate is a BackupSync that may be sent to CBR now.
type candidate struct {
	*v1alpha1.BackupSync
	// arrived is when it became a candidate, as far as this process knows.
	arrived time.Time
}

// ageHeap is a heap of candidates by age (container/heap).
type ageHeap []candidate

func (h ageHeap) Len() int           { return len(h) }
func (h ageHeap) Less(i, j int) bool { return backupsync.Older(h[i].BackupSync, h[j].BackupSync) < 0 }
func (h ageHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push adds a candidate.
func (h *ageHeap) Push(added any) { *h = append(*h, added.(candidate)) }

// Pop removes the last candidate.
func (h *ageHeap) Pop() any {
	last := len(*h) - 1
	popped := (*h)[last]
	*h = (*h)[:last]
	return popped
}

// byAge yields candidates, the oldest first, and leaves the slice in disorder. A pass takes a thousand of them, of a hundred
// thousand perhaps: it need not sort the others.
func byAge(candidates []candidate) iter.Seq[candidate] {
	return func(yield func(candidate) bool) {
		left := ageHeap(candidates)
		heap.Init(&left)
		for len(left) > 0 && yield(heap.Pop(&left).(candidate)) {
		}
	}
}

// batching says when a call goes out.
type batching struct {
	size            int
	window, maxWait time.Duration
	expected        time.Time // when refused calls release others, zero if none is about to
	calls           int       // how many calls may be made now
	bound           int       // how many of them a pass makes at most
	reserved        int       // how many of them are not for cut
}

// schedule is what a plan comes to.
type schedule struct {
	calls [][]candidate
	// more says that the pass's bound has left candidates over: another pass may send them at once.
	more bool
	// held says that only the number of calls that may be made now has left candidates over.
	held bool
	// wake is when a call that is not full has waited long enough; zero if none waits.
	wake time.Time
}

// cut divides candidates, which are ordered by age, into calls. Full calls go at once. One that is not full
// waits until nothing has come for the window, at most maxWait from its oldest member.
func cut(candidates []candidate, rules batching, now time.Time) schedule {
	var plan schedule
	limit := min(rules.calls, rules.bound) - rules.reserved
	for len(candidates) >= rules.size {
		if len(plan.calls) == limit {
			return plan.leave(rules)
		}
		plan.calls = append(plan.calls, candidates[:rules.size])
		candidates = candidates[rules.size:]
	}
	if len(candidates) == 0 {
		return plan
	}
	due := dueTime(candidates, rules)
	switch {
	case due.After(now):
		plan.wake = due
	case len(plan.calls) < limit:
		plan.calls = append(plan.calls, candidates)
	default:
		return plan.leave(rules)
	}
	return plan
}

// with adds calls whose members are given, as far as the bounds allow.
func (s schedule) with(groups [][]candidate, rules batching) schedule {
	for _, group := range groups {
		if len(s.calls) >= min(rules.calls, rules.bound) {
			return s.leave(rules)
		}
		s.calls = append(s.calls, group)
	}
	return s
}

// leave notes why candidates whose time has come are not in the plan.
func (s schedule) leave(rules batching) schedule {
	s.more = rules.calls > rules.bound
	s.held = !s.more
	return s
}

// dueTime is when a call that is not full goes: when nothing has come for a while, nor is about to.
func dueTime(members []candidate, rules batching) time.Time {
	oldest, latest := members[0].arrived, members[0].arrived
	for _, member := range members {
		if member.arrived.Before(oldest) {
			oldest = member.arrived
		}
		if member.arrived.After(latest) {
			latest = member.arrived
		}
	}
	quiet, patience := latest.Add(rules.window), oldest.Add(rules.maxWait)
	if rules.expected.After(quiet) {
		quiet = rules.expected
	}
	if patience.Before(quiet) {
		return patience
	}
	return quiet
}
