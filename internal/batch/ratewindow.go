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
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// RateWindow is a sliding window over the sync calls of a project. A call counts from before it is sent until
// one length of the window after its end: it reached CBR somewhere in between, so that by CBR's clock, too,
// there are never more calls in any window than allowed.
type RateWindow struct {
	Length time.Duration
	ends   []time.Time // when the calls ended, in order
}

// Available returns how many calls may be made now under a limit.
func (w *RateWindow) Available(now time.Time, limit int) int {
	w.forget(now)
	return max(limit-len(w.ends), 0)
}

// next returns when at least one call may be made; the zero time means now.
func (w *RateWindow) next(now time.Time, limit int) time.Time {
	if w.Available(now, limit) > 0 {
		return time.Time{}
	}
	return w.ends[len(w.ends)-limit].Add(w.Length)
}

// NextAfter returns when at least one call may be made once a number of calls has been made now.
func (w *RateWindow) NextAfter(now time.Time, limit, calls int) time.Time {
	later := w.Merge(&RateWindow{})
	later.CallEnded(now, calls)
	if next := later.next(now, limit); !next.IsZero() {
		return next
	}
	return now
}

// CallEnded counts calls that ended at a time.
func (w *RateWindow) CallEnded(at time.Time, calls int) {
	position, _ := slices.BinarySearchFunc(w.ends, at, time.Time.Compare)
	w.ends = slices.Insert(w.ends, position, slices.Repeat([]time.Time{at}, max(calls, 0))...)
}

func (w *RateWindow) forget(now time.Time) {
	expired := 0
	for expired < len(w.ends) && !w.ends[expired].Add(w.Length).After(now) {
		expired++
	}
	w.ends = slices.Delete(w.ends, 0, expired)
}

// Merge returns the window with the calls of another one added.
func (w *RateWindow) Merge(other *RateWindow) *RateWindow {
	merged := &RateWindow{Length: w.Length, ends: slices.Concat(w.ends, other.ends)}
	slices.SortFunc(merged.ends, time.Time.Compare)
	return merged
}

// maxCallCounts is the limit of status.journal.recentCalls.
const maxCallCounts = 64

// Counts returns the window for status.journal.recentCalls. When there are more times than it may hold, neighbours are
// counted together at the later time, which errs on the side of fewer calls.
func (w *RateWindow) Counts(now time.Time) []v1alpha1.CallCount {
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

// RestoreRateWindow rebuilds the window from the journal that another process has left. A call that is only recorded
// may have been sent until its time-out. Times that another clock has set later than that are not believed.
func RestoreRateWindow(journal *v1alpha1.Journal, now time.Time, length, callTimeout time.Duration) RateWindow {
	window := RateWindow{Length: length}
	for _, count := range journal.RecentCalls {
		window.CallEnded(Earlier(count.EndTime.Time, now.Add(callTimeout)), int(min(count.Calls, maxRestoredCalls)))
	}
	for _, submission := range journal.Submissions {
		window.CallEnded(Earlier(submission.StartTime.Time, now).Add(callTimeout), 1)
	}
	return window
}

// Earlier returns the earlier of two times.
func Earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// maxRestoredCalls bounds what a damaged status can make of one entry.
const maxRestoredCalls = 100000
