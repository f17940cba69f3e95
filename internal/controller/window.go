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
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// callWindow is a sliding window over the sync calls of a project. A call counts from before it is sent until
// one length of the window after its end: it reached CBR somewhere in between, so that by CBR's clock, too,
// there are never more calls in any window than allowed.
type callWindow struct {
	length time.Duration
	ends   []time.Time // when the calls ended, in order
}

// available returns how many calls may be made now under a limit.
func (w *callWindow) available(now time.Time, limit int) int {
	w.forget(now)
	return max(limit-len(w.ends), 0)
}

// next returns when at least one call may be made; the zero time means now.
func (w *callWindow) next(now time.Time, limit int) time.Time {
	if w.available(now, limit) > 0 {
		return time.Time{}
	}
	return w.ends[len(w.ends)-limit].Add(w.length)
}

// nextAfter returns when at least one call may be made once a number of calls has been made now.
func (w *callWindow) nextAfter(now time.Time, limit, calls int) time.Time {
	later := w.with(&callWindow{})
	later.ended(now, calls)
	if next := later.next(now, limit); !next.IsZero() {
		return next
	}
	return now
}

// ended counts calls that ended at a time.
func (w *callWindow) ended(at time.Time, calls int) {
	position, _ := slices.BinarySearchFunc(w.ends, at, time.Time.Compare)
	w.ends = slices.Insert(w.ends, position, slices.Repeat([]time.Time{at}, max(calls, 0))...)
}

func (w *callWindow) forget(now time.Time) {
	expired := 0
	for expired < len(w.ends) && !w.ends[expired].Add(w.length).After(now) {
		expired++
	}
	w.ends = slices.Delete(w.ends, 0, expired)
}

// with returns the window with the calls of another one added.
func (w *callWindow) with(other *callWindow) *callWindow {
	merged := &callWindow{length: w.length, ends: slices.Concat(w.ends, other.ends)}
	slices.SortFunc(merged.ends, time.Time.Compare)
	return merged
}

// maxCallCounts is the limit of status.journal.recentCalls.
const maxCallCounts = 64

// counts returns the window for status.journal.recentCalls. When there are more times than it may hold, neighbours are
// counted together at the later time, which errs on the side of fewer calls.
func (w *callWindow) counts(now time.Time) []v1alpha1.CallCount {
	w.forget(now)
	perEntry := (len(w.ends) + maxCallCounts - 1) / maxCallCounts
	var counts []v1alpha1.CallCount
	for group := range slices.Chunk(w.ends, max(perEntry, 1)) {
		latest := metav1.NewMicroTime(roundUp(group[len(group)-1]))
		counts = append(counts, v1alpha1.CallCount{EndTime: latest, Calls: int32(len(group))})
	}
	return counts
}

// roundUp returns a time in the whole microseconds of a status, never earlier than it was.
func roundUp(at time.Time) time.Time {
	if rounded := at.Truncate(time.Microsecond); rounded.Before(at) {
		return rounded.Add(time.Microsecond)
	}
	return at
}

// restoreWindow rebuilds the window from the journal that another process has left. A call that is only recorded
// may have been sent until its time-out. Times that another clock has set later than that are not believed.
func restoreWindow(journal *v1alpha1.Journal, now time.Time, length, callTimeout time.Duration) callWindow {
	window := callWindow{length: length}
	for _, count := range journal.RecentCalls {
		window.ended(earlier(count.EndTime.Time, now.Add(callTimeout)), int(min(count.Calls, maxRestoredCalls)))
	}
	for _, submission := range journal.Submissions {
		window.ended(earlier(submission.StartTime.Time, now).Add(callTimeout), 1)
	}
	return window
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// maxRestoredCalls bounds what a damaged status can make of one entry.
const maxRestoredCalls = 100000
