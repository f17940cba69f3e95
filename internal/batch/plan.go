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

package batch

import (
	"container/heap"
	"iter"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// MaxCallsPerPass bounds a pass, to about 1,000 backups: between passes new credentials, suspensions and
// edits are seen.
const MaxCallsPerPass = 20

// FirstCalls bounds a pass that takes a project over: each of its backups is read live, and others wait for the first call.
const FirstCalls = 4

// Candidate is a BackupSync that may be sent to CBR now.
type Candidate struct {
	*v1alpha1.BackupSync
	// QueuedAt is when it became a candidate, as far as this process knows.
	QueuedAt time.Time
}

// ageHeap is a heap of candidates by age (container/heap).
type ageHeap []Candidate

func (h ageHeap) Len() int           { return len(h) }
func (h ageHeap) Less(i, j int) bool { return backupsync.Older(h[i].BackupSync, h[j].BackupSync) < 0 }
func (h ageHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push adds a candidate.
func (h *ageHeap) Push(added any) { *h = append(*h, added.(Candidate)) }

// Pop removes the last candidate.
func (h *ageHeap) Pop() any {
	last := len(*h) - 1
	popped := (*h)[last]
	*h = (*h)[:last]
	return popped
}

// ByAge yields candidates, the oldest first, and leaves the slice in disorder. A pass takes a thousand of them, of a hundred
// thousand perhaps: it need not sort the others.
func ByAge(candidates []Candidate) iter.Seq[Candidate] {
	return func(yield func(Candidate) bool) {
		left := ageHeap(candidates)
		heap.Init(&left)
		for len(left) > 0 && yield(heap.Pop(&left).(Candidate)) {
		}
	}
}

// Rules says when a call goes out.
type Rules struct {
	Size            int
	Window, MaxWait time.Duration
	Expected        time.Time // when refused calls release others, zero if none is about to
	Calls           int       // how many calls may be made now
	MaxCalls        int       // how many of them a pass makes at most
	Reserved        int       // how many of them are not for cut
}

// Schedule is what a plan comes to.
type Schedule struct {
	Calls [][]Candidate
	// More says that the pass's bound has left candidates over: another pass may send them at once.
	More bool
	// RateLimited says that only the number of calls that may be made now has left candidates over.
	RateLimited bool
	// RequeueAt is when a call that is not full has waited long enough; zero if none waits.
	RequeueAt time.Time
}

// Cut divides candidates, which are ordered by age, into calls. Full calls go at once. One that is not full
// waits until nothing has come for the window, at most maxWait from its oldest member.
func Cut(candidates []Candidate, rules Rules, now time.Time) Schedule {
	var plan Schedule
	limit := min(rules.Calls, rules.MaxCalls) - rules.Reserved
	for len(candidates) >= rules.Size {
		if len(plan.Calls) == limit {
			return plan.LeaveRest(rules)
		}
		plan.Calls = append(plan.Calls, candidates[:rules.Size])
		candidates = candidates[rules.Size:]
	}
	if len(candidates) == 0 {
		return plan
	}
	due := DueTime(candidates, rules)
	switch {
	case due.After(now):
		plan.RequeueAt = due
	case len(plan.Calls) < limit:
		plan.Calls = append(plan.Calls, candidates)
	default:
		return plan.LeaveRest(rules)
	}
	return plan
}

// WithGroups adds calls whose members are given, as far as the bounds allow.
func (s Schedule) WithGroups(groups [][]Candidate, rules Rules) Schedule {
	for _, group := range groups {
		if len(s.Calls) >= min(rules.Calls, rules.MaxCalls) {
			return s.LeaveRest(rules)
		}
		s.Calls = append(s.Calls, group)
	}
	return s
}

// LeaveRest notes why candidates whose time has come are not in the plan.
func (s Schedule) LeaveRest(rules Rules) Schedule {
	s.More = rules.Calls > rules.MaxCalls
	s.RateLimited = !s.More
	return s
}

// DueTime is when a call that is not full goes: when nothing has come for a while, nor is about to.
func DueTime(members []Candidate, rules Rules) time.Time {
	oldest, latest := members[0].QueuedAt, members[0].QueuedAt
	for _, member := range members {
		if member.QueuedAt.Before(oldest) {
			oldest = member.QueuedAt
		}
		if member.QueuedAt.After(latest) {
			latest = member.QueuedAt
		}
	}
	quiet, patience := latest.Add(rules.Window), oldest.Add(rules.MaxWait)
	if rules.Expected.After(quiet) {
		quiet = rules.Expected
	}
	if patience.Before(quiet) {
		return patience
	}
	return quiet
}
