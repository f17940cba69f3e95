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
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync/backupsynctest"
)

// WindowOf is a window of a minute in which calls ended at these numbers of seconds after backupsynctest.Noon.
func windowOf(ends ...float64) *RateWindow {
	window := &RateWindow{Length: time.Minute}
	for _, end := range ends {
		window.CallEnded(seconds(end), 1)
	}
	return window
}

// MicroTime is a time as the API keeps it.
func microTime(at time.Time) metav1.MicroTime { return metav1.NewMicroTime(at) }

func TestWindowAvailable(t *testing.T) {
	for name, c := range map[string]struct {
		window *RateWindow
		now    float64
		limit  int
		want   int
	}{
		"nothing was called":                          {windowOf(), 0, 10, 10},
		"what was called counts":                      {windowOf(-30, -20, -10), 0, 10, 7},
		"the limit is reached":                        {windowOf(-30, -20, -10), 0, 3, 0},
		"the limit was lowered below what was called": {windowOf(-30, -20, -10), 0, 1, 0},
		"calls of the same time count each":           {windowOf(-30, -30, -30), 0, 10, 7},
		"just inside the window":                      {windowOf(0), 59.999999999, 10, 9},
		"just outside of it":                          {windowOf(0), 60, 10, 10},
		"some inside, some outside":                   {windowOf(-90, -70, -50, -10), 0, 10, 8},
		"the clock was set back":                      {windowOf(100, 200), 0, 10, 8},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(c.window.Available(seconds(c.now), c.limit)).To(Equal(c.want))
		})
	}
}

func TestWindowNext(t *testing.T) {
	for name, c := range map[string]struct {
		window *RateWindow
		limit  int
		next   time.Time
		after  int       // so many calls made now
		then   time.Time // when the next may be made after those
	}{
		"free":                             {windowOf(), 2, time.Time{}, 1, backupsynctest.Noon.Time},
		"free, and full after these calls": {windowOf(), 2, time.Time{}, 2, seconds(60)},
		"full, the oldest goes first":      {windowOf(-40, -20), 2, seconds(20), 0, seconds(20)},
		"full after one call":              {windowOf(-40), 2, time.Time{}, 1, seconds(20)},
		"the limit was lowered":            {windowOf(-50, -40, -20), 1, seconds(40), 0, seconds(40)},
		"over the limit after these calls": {windowOf(-50, -40), 3, time.Time{}, 2, seconds(20)},
		"old calls do not count":           {windowOf(-100, -90, -30), 2, time.Time{}, 1, seconds(30)},
		"a limit of one":                   {windowOf(), 1, time.Time{}, 1, seconds(60)},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := slices.Clone(c.window.ends)
			g.Expect(c.window.NextAfter(backupsynctest.Noon.Time, c.limit, c.after)).To(Equal(c.then), "nextAfter")
			g.Expect(c.window.ends).To(Equal(before), "nextAfter only asks")
			g.Expect(c.window.next(backupsynctest.Noon.Time, c.limit)).To(Equal(c.next), "next")
		})
	}
}

// At the time that next names a call may be made, and not a moment before: a pass comes back neither in vain nor late.
func TestWindowNextIsTheFirstMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := &RateWindow{Length: time.Minute}
		for _, end := range rapid.SliceOfN(rapid.Int64Range(-int64(90*time.Second), 0), 1, 40).Draw(t, "ends") {
			window.CallEnded(backupsynctest.Noon.Add(time.Duration(end)), 1)
		}
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		next := window.next(backupsynctest.Noon.Time, limit)
		if next.IsZero() {
			if window.Available(backupsynctest.Noon.Time, limit) == 0 {
				t.Fatal("no call may be made now, but next says now")
			}
			return
		}
		if window.Merge(&RateWindow{}).Available(next.Add(-time.Nanosecond), limit) > 0 {
			t.Fatalf("a call may be made before %v", next)
		}
		if window.Available(next, limit) == 0 {
			t.Fatalf("no call may be made at %v", next)
		}
	})
}

func TestWindowWith(t *testing.T) {
	g := NewWithT(t)
	own, inherited := windowOf(-10, -30), windowOf(-20, -70)
	merged := own.Merge(inherited)
	g.Expect(merged.ends).To(Equal([]time.Time{seconds(-70), seconds(-30), seconds(-20), seconds(-10)}))
	g.Expect(merged.Available(backupsynctest.Noon.Time, 10)).To(Equal(7))
	merged.CallEnded(seconds(0), 1)
	g.Expect(own.ends).To(HaveLen(2), "the windows that were merged stay as they are")
	g.Expect(inherited.ends).To(HaveLen(2))
}

// span is a call as the outside sees it: it reached CBR at some time from start to end.
type span struct{ start, end time.Time }

// most returns how many of the calls can have reached CBR within one length of time, at worst. A window that
// holds that many can be moved until it begins with the end of one of them. It knows nothing of callWindow.
func most(calls []span, length time.Duration) int {
	worst := 0
	for _, first := range calls {
		opens, closes := first.end, first.end.Add(length)
		count := 0
		for _, call := range calls {
			if call.start.Before(closes) && !call.end.Before(opens) {
				count++
			}
		}
		worst = max(worst, count)
	}
	return worst
}

func TestTheCheckOfTheWindow(t *testing.T) {
	g := NewWithT(t)
	calls := []span{{seconds(0), seconds(1)}, {seconds(0), seconds(30)}, {seconds(61), seconds(62)}, {seconds(89), seconds(91)}}
	g.Expect(most(calls, time.Minute)).To(Equal(3), "the window from 30 holds three of them")
	g.Expect(most(calls[:1], time.Minute)).To(Equal(1))
	g.Expect(most(calls, time.Second)).To(Equal(2), "the two that began together")
	g.Expect(most(calls, 2*time.Minute)).To(Equal(4))
}

// limitedCaller is a controller that makes as many calls as it may, is restarted, and dies in the middle of calls.
type limitedCaller struct {
	*rapid.T
	limit          int
	callTimeout    time.Duration
	now            time.Time
	own, inherited RateWindow
	status         v1alpha1.Journal // what outlives the process
	calls          []span
}

func (c *limitedCaller) duration(longest time.Duration, label string) time.Duration {
	return time.Duration(rapid.Int64Range(0, int64(longest/time.Microsecond)).Draw(c.T, label)) * time.Microsecond
}

// pass makes calls as a pass does: so many as the window has room for, several at a time.
func (c *limitedCaller) pass() {
	window := c.own.Merge(&c.inherited)
	count := min(window.Available(c.now, c.limit), rapid.IntRange(0, 20).Draw(c.T, "wanted"))
	lanes := make([]time.Time, rapid.IntRange(1, 4).Draw(c.T, "at a time"))
	for i := range lanes {
		lanes[i] = c.now
	}
	ended := c.now
	for i := range count {
		lane := &lanes[i%len(lanes)]
		start := lane.Add(c.duration(time.Second, "delay"))
		end := start.Add(c.duration(c.callTimeout, "latency"))
		*lane = end
		c.own.CallEnded(end, 1)
		c.calls = append(c.calls, span{start, end})
		if end.After(ended) {
			ended = end
		}
	}
	c.now = ended
	c.status.RecentCalls = c.own.Merge(&c.inherited).Counts(c.now)
}

// crash begins the calls that a pass would make, and dies before it has learnt anything of them.
func (c *limitedCaller) crash() {
	window := c.own.Merge(&c.inherited)
	c.status.RecentCalls = window.Counts(c.now)
	c.status.Submissions = nil
	for range min(window.Available(c.now, c.limit), rapid.IntRange(0, 20).Draw(c.T, "wanted")) {
		c.status.Submissions = append(c.status.Submissions, v1alpha1.Submission{StartTime: microTime(c.now)})
		c.calls = append(c.calls, span{c.now, c.now.Add(c.callTimeout)})
	}
	c.restart()
}

func (c *limitedCaller) restart() {
	c.own = RateWindow{Length: c.own.Length}
	stored := throughJSON(c.T, c.status)
	c.inherited = RestoreRateWindow(&stored, c.now, c.own.Length, c.callTimeout)
	c.status.Submissions = nil // found out about, and struck
	c.status.RecentCalls = c.inherited.Merge(&RateWindow{}).Counts(c.now)
}

// rest lets time pass: some of it, or until a call may be made.
func (c *limitedCaller) rest() {
	if rapid.Bool().Draw(c.T, "until the next call") {
		if next := c.own.Merge(&c.inherited).next(c.now, c.limit); next.After(c.now) {
			c.now = next
		}
		return
	}
	c.now = c.now.Add(c.duration(2*c.own.Length, "rest"))
}

type fatal interface{ Fatal(...any) }

// throughJSON is what is left of a status once the API server has stored it.
func throughJSON(t fatal, status v1alpha1.Journal) (stored v1alpha1.Journal) {
	data, err := json.Marshal(status)
	if err == nil {
		err = json.Unmarshal(data, &stored)
	}
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestNeverMoreCallsInAnyWindowThanAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.IntRange(1, 90).Draw(t, "length")) * time.Second
		caller := &limitedCaller{T: t, now: backupsynctest.Noon.Time, own: RateWindow{Length: length},
			limit:       rapid.IntRange(1, 30).Draw(t, "limit"),
			callTimeout: time.Duration(rapid.IntRange(1, 60).Draw(t, "timeout")) * time.Second}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				caller.crash()
			case 1:
				caller.restart()
			case 2, 3, 4:
				caller.rest()
			default:
				caller.pass()
			}
		}
		if worst := most(caller.calls, length); worst > caller.limit {
			t.Fatalf("%d calls can have reached CBR within %v, %d are allowed", worst, length, caller.limit)
		}
	})
}

// The limit is used, not only kept: a caller that always has something to send makes all the calls it may.
func TestTheWindowWastesNoCall(t *testing.T) {
	g := NewWithT(t)
	window := &RateWindow{Length: time.Minute}
	now, made := backupsynctest.Noon.Time, 0
	for now.Before(seconds(600)) {
		count := window.Available(now, 10)
		made += count
		window.CallEnded(now, count) // calls that take no time
		now = window.next(now, 10)
	}
	g.Expect(made).To(Equal(100))
}

func TestWindowCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := &RateWindow{Length: time.Minute}
		calls := rapid.IntRange(0, 300).Draw(t, "calls") // a slice of any length would be a short one nearly always
		for _, end := range rapid.SliceOfN(rapid.Int64Range(-int64(70*time.Second), 0), calls, calls).Draw(t, "ends") {
			window.CallEnded(backupsynctest.Noon.Add(time.Duration(end)), 1)
		}
		counts := window.Counts(backupsynctest.Noon.Time)
		if len(counts) > 64 {
			t.Fatalf("%d entries do not fit into status.recentCalls", len(counts))
		}
		restored := RestoreRateWindow(&v1alpha1.Journal{RecentCalls: counts}, backupsynctest.Noon.Time, window.Length, time.Minute)
		if got, want := len(restored.ends), len(window.ends); got != want {
			t.Fatalf("%d calls, not %d", got, want)
		}
		for i := range window.ends {
			if restored.ends[i].Before(window.ends[i]) {
				t.Fatalf("call %d ended at %v, and is said to have ended at %v", i, window.ends[i], restored.ends[i])
			}
		}
		sameTime := func(a, b time.Time) bool { return a.Sub(b).Abs() < time.Microsecond } // what a status can hold
		if len(window.ends) <= 64 && !slices.EqualFunc(restored.ends, window.ends, sameTime) {
			t.Fatal("the times of so few calls need not be coarser than they are")
		}
	})
}

// The API server stores whole microseconds. A call that is said to have ended earlier than it did is forgotten too early.
func TestStoredCountsAreNotEarlierThanTruth(t *testing.T) {
	g := NewWithT(t)
	end := backupsynctest.Noon.Add(1999 * time.Nanosecond)
	window := RateWindow{Length: time.Minute}
	window.CallEnded(end, 1)
	stored := throughJSON(t, v1alpha1.Journal{RecentCalls: window.Counts(backupsynctest.Noon.Time)})
	g.Expect(stored.RecentCalls).To(HaveLen(1))
	g.Expect(stored.RecentCalls[0].EndTime.Time).NotTo(BeTemporally("<", end))
}

func TestCountsAtTheHighestLimit(t *testing.T) {
	g := NewWithT(t)
	window := &RateWindow{Length: time.Minute}
	for i := range 100_000 {
		window.CallEnded(seconds(-50+float64(i)/10_000), 1)
	}
	counts := window.Counts(backupsynctest.Noon.Time)
	g.Expect(len(counts)).To(BeNumerically("<=", 64))
	restored := RestoreRateWindow(&v1alpha1.Journal{RecentCalls: counts}, backupsynctest.Noon.Time, time.Minute, time.Minute)
	g.Expect(restored.Available(backupsynctest.Noon.Time, 100_000)).To(BeZero())
}

func TestRestoreWindow(t *testing.T) {
	for name, c := range map[string]struct {
		status v1alpha1.Journal
		now    float64
		want   int // available of 10
	}{
		"an empty status": {now: 0, want: 10},
		"calls that ended": {v1alpha1.Journal{RecentCalls: []v1alpha1.CallCount{
			{EndTime: microTime(seconds(-70)), Calls: 5}, {EndTime: microTime(seconds(-30)), Calls: 2}, {EndTime: microTime(seconds(-10)), Calls: 1}}}, 0, 7},
		"a call that may still be on its way": {v1alpha1.Journal{Submissions: []v1alpha1.Submission{
			{StartTime: microTime(seconds(-70))}}}, 0, 9},
		"a call that has timed out a window ago": {v1alpha1.Journal{Submissions: []v1alpha1.Submission{
			{StartTime: microTime(seconds(-90))}}}, 0, 10},
		"both": {v1alpha1.Journal{
			RecentCalls: []v1alpha1.CallCount{{EndTime: microTime(seconds(-30)), Calls: 4}},
			Submissions: []v1alpha1.Submission{{StartTime: microTime(seconds(-31))}}}, 0, 5},
		"entries that are out of order": {v1alpha1.Journal{RecentCalls: []v1alpha1.CallCount{
			{EndTime: microTime(seconds(-10)), Calls: 1}, {EndTime: microTime(seconds(-70)), Calls: 5}}}, 0, 9},
		"a negative count": {v1alpha1.Journal{RecentCalls: []v1alpha1.CallCount{
			{EndTime: microTime(seconds(-10)), Calls: -1}}}, 0, 10},
	} {
		t.Run(name, func(t *testing.T) {
			restored := RestoreRateWindow(&c.status, backupsynctest.Noon.Time, time.Minute, 30*time.Second)
			NewWithT(t).Expect(restored.Available(seconds(c.now), 10)).To(Equal(c.want))
		})
	}
}

// A status that someone has damaged must not hold up every pass: it is restored at the begin of each until this
// process has written the project.
func TestADamagedCountIsRestoredQuickly(t *testing.T) {
	g := NewWithT(t)
	damaged := v1alpha1.Journal{RecentCalls: []v1alpha1.CallCount{{EndTime: microTime(seconds(-10)), Calls: math.MaxInt32}}}
	began := time.Now()
	restored := RestoreRateWindow(&damaged, backupsynctest.Noon.Time, time.Minute, time.Minute)
	g.Expect(time.Since(began)).To(BeNumerically("<", 2*time.Second), "a copy of 100,000 times takes a millisecond")
	g.Expect(restored.Available(backupsynctest.Noon.Time, 10)).To(BeZero())
	g.Expect(restored.Available(seconds(50), 10)).To(Equal(10))
}
