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
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync/backupsynctest"
)

// queuedAt are candidates by the seconds before backupsynctest.Noon at which they arrived, named in their order.
func queuedAt(secondsBeforeNoon ...float64) []Candidate {
	candidates := make([]Candidate, 0, len(secondsBeforeNoon))
	for i, seconds := range secondsBeforeNoon {
		backup := backupsynctest.New(func(b *v1alpha1.BackupSync) { b.Name = fmt.Sprintf("backup-%04d", i) })
		arrived := backupsynctest.Noon.Add(-time.Duration(seconds * float64(time.Second)))
		candidates = append(candidates, Candidate{BackupSync: backup, QueuedAt: arrived})
	}
	return candidates
}

// Queued are candidates that arrived at the same number of seconds before backupsynctest.Noon.
func queued(count int, secondsBeforeNoon float64) []Candidate {
	return queuedAt(slices.Repeat([]float64{secondsBeforeNoon}, count)...)
}

func sizes(plan Schedule) []int {
	found := []int{}
	for _, call := range plan.Calls {
		found = append(found, len(call))
	}
	return found
}

func seconds(after float64) time.Time {
	return backupsynctest.Noon.Add(time.Duration(after * float64(time.Second)))
}

// The rules of these tables, unless they say otherwise: calls of 50, a window of 1 s, at most 10 s.
func rulesWith(changes ...func(*Rules)) Rules {
	rules := Rules{Size: 50, Window: time.Second, MaxWait: 10 * time.Second, Calls: 100, MaxCalls: MaxCallsPerPass}
	for _, change := range changes {
		change(&rules)
	}
	return rules
}

func allowed(calls int) func(*Rules) { return func(r *Rules) { r.Calls = calls } }
func ofSize(size int) func(*Rules)   { return func(r *Rules) { r.Size = size } }
func within(window, maxWait time.Duration) func(*Rules) {
	return func(r *Rules) { r.Window, r.MaxWait = window, maxWait }
}

func TestCut(t *testing.T) {
	full := slices.Repeat([]int{50}, MaxCallsPerPass)
	for name, c := range map[string]struct {
		candidates []Candidate
		rules      Rules
		calls      []int
		more, held bool
		wake       time.Time
	}{
		"nothing to send":                           {candidates: nil, rules: rulesWith(), calls: []int{}},
		"nothing to send, and nothing allowed":      {candidates: nil, rules: rulesWith(allowed(0)), calls: []int{}},
		"a full call goes at once":                  {candidates: queued(50, 0), rules: rulesWith(), calls: []int{50}},
		"full calls do not wait for the one behind": {candidates: queued(120, 0), rules: rulesWith(), calls: []int{50, 50}, wake: seconds(1)},
		"one alone waits for the window":            {candidates: queued(1, 0), rules: rulesWith(), calls: []int{}, wake: seconds(1)},
		"one alone, a part of the window over":      {candidates: queued(1, 0.4), rules: rulesWith(), calls: []int{}, wake: seconds(0.6)},
		"one alone, the window over":                {candidates: queued(1, 1), rules: rulesWith(), calls: []int{1}},
		"the latest arrival starts the window anew": {candidates: queuedAt(5, 3, 0.1, 2), rules: rulesWith(), calls: []int{}, wake: seconds(0.9)},
		"the oldest waits no longer than maxWait":   {candidates: queuedAt(9.5, 3, 0), rules: rulesWith(), calls: []int{}, wake: seconds(0.5)},
		"at maxWait all go, quiet or not":           {candidates: queuedAt(10, 3, 0), rules: rulesWith(), calls: []int{3}},
		"the oldest need not be the first":          {candidates: queuedAt(0, 10, 3), rules: rulesWith(), calls: []int{3}},
		"a due rest goes with the full calls":       {candidates: queued(101, 2), rules: rulesWith(), calls: []int{50, 50, 1}},
		"no window: at once":                        {candidates: queued(1, 0), rules: rulesWith(within(0, 10*time.Second)), calls: []int{1}},
		"no patience: at once":                      {candidates: queued(1, 0), rules: rulesWith(within(time.Second, 0)), calls: []int{1}},
		"maxWait shorter than the window":           {candidates: queued(1, 0), rules: rulesWith(within(time.Hour, time.Minute)), calls: []int{}, wake: seconds(60)},
		"calls of one go at once":                   {candidates: queued(3, 0), rules: rulesWith(ofSize(1)), calls: []int{1, 1, 1}},
		"an arrival in the future waits":            {candidates: queued(1, -3), rules: rulesWith(), calls: []int{}, wake: seconds(4)},

		"no call allowed, full":               {candidates: queued(50, 0), rules: rulesWith(allowed(0)), calls: []int{}, held: true},
		"no call allowed, due":                {candidates: queued(2, 2), rules: rulesWith(allowed(0)), calls: []int{}, held: true},
		"no call allowed, not due":            {candidates: queued(2, 0), rules: rulesWith(allowed(0)), calls: []int{}, wake: seconds(1)},
		"fewer calls allowed than full":       {candidates: queued(150, 2), rules: rulesWith(allowed(2)), calls: []int{50, 50}, held: true},
		"as many calls allowed as full":       {candidates: queued(100, 2), rules: rulesWith(allowed(2)), calls: []int{50, 50}},
		"no call left for a rest that is due": {candidates: queued(101, 2), rules: rulesWith(allowed(2)), calls: []int{50, 50}, held: true},
		"no call left for a rest that waits":  {candidates: queued(101, 0), rules: rulesWith(allowed(2)), calls: []int{50, 50}, wake: seconds(1)},

		"as much as a pass may send":               {candidates: queued(1000, 2), rules: rulesWith(), calls: full},
		"more than a pass may send":                {candidates: queued(1050, 2), rules: rulesWith(), calls: full, more: true},
		"a due rest beyond what a pass may send":   {candidates: queued(1001, 2), rules: rulesWith(), calls: full, more: true},
		"a rest beyond it that waits":              {candidates: queued(1001, 0), rules: rulesWith(), calls: full, wake: seconds(1)},
		"the bound and the allowance are the same": {candidates: queued(1050, 2), rules: rulesWith(allowed(MaxCallsPerPass)), calls: full, held: true},
		"one call more allowed than the bound":     {candidates: queued(1050, 2), rules: rulesWith(allowed(MaxCallsPerPass + 1)), calls: full, more: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			plan := Cut(c.candidates, c.rules, backupsynctest.Noon.Time)
			g.Expect(sizes(plan)).To(Equal(c.calls))
			g.Expect(plan.More).To(Equal(c.more), "more")
			g.Expect(plan.RateLimited).To(Equal(c.held), "held")
			g.Expect(plan.RequeueAt).To(Equal(c.wake), "wake")
		})
	}
}

// What has waited longest is never overtaken: the calls are the candidates, in their order.
func TestCutKeepsTheOrder(t *testing.T) {
	g := NewWithT(t)
	candidates := queued(130, 2)
	plan := Cut(candidates, rulesWith(), backupsynctest.Noon.Time)
	g.Expect(slices.Concat(plan.Calls...)).To(Equal(candidates))
	plan = Cut(candidates, rulesWith(allowed(2)), backupsynctest.Noon.Time)
	g.Expect(slices.Concat(plan.Calls...)).To(Equal(candidates[:100]))
}

// A plan that ignored its own wake time would spin, or never come back.
func TestCutSendsAtTheTimeItWakes(t *testing.T) {
	g := NewWithT(t)
	for _, candidates := range [][]Candidate{queued(1, 0), queuedAt(9.5, 3, 0), queuedAt(4, 0.25), queued(51, 0)} {
		first := Cut(candidates, rulesWith(), backupsynctest.Noon.Time)
		g.Expect(first.RequeueAt).NotTo(BeZero())
		waiting := candidates[len(slices.Concat(first.Calls...)):]
		early := Cut(waiting, rulesWith(), first.RequeueAt.Add(-time.Nanosecond))
		g.Expect(early.Calls).To(BeEmpty())
		g.Expect(early.RequeueAt).To(Equal(first.RequeueAt))
		g.Expect(slices.Concat(Cut(waiting, rulesWith(), first.RequeueAt).Calls...)).To(Equal(waiting))
	}
}

// Refused calls are about to release others: a call that is not full waits for them, but no longer than for anything else.
func TestCutWaitsForWhatIsAboutToBeReleased(t *testing.T) {
	g := NewWithT(t)
	expecting := func(at time.Time) Rules {
		return rulesWith(func(r *Rules) { r.Expected = at })
	}
	g.Expect(Cut(queued(3, 2), expecting(seconds(5)), backupsynctest.Noon.Time).RequeueAt).To(Equal(seconds(5)))
	g.Expect(Cut(queued(3, 2), expecting(seconds(60)), backupsynctest.Noon.Time).RequeueAt).To(Equal(seconds(8)), "maxWait after they came")
	g.Expect(sizes(Cut(queued(3, 2), expecting(seconds(-1)), backupsynctest.Noon.Time))).To(Equal([]int{3}))
	g.Expect(sizes(Cut(queued(50, 2), expecting(seconds(5)), backupsynctest.Noon.Time))).To(Equal([]int{50}), "a full call waits for nobody")
}

func TestCutNeverLosesOrRepeatsACandidate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(0, 300).Draw(t, "count") // a slice of any length would be a short one nearly always
		ages := rapid.SliceOfN(rapid.Float64Range(-1, 12), count, count).Draw(t, "ages")
		candidates := queuedAt(ages...)
		drawn := Rules{
			Size:     rapid.IntRange(1, 50).Draw(t, "size"),
			Window:   time.Duration(rapid.IntRange(0, 5000).Draw(t, "window")) * time.Millisecond,
			MaxWait:  time.Duration(rapid.IntRange(0, 12000).Draw(t, "maxWait")) * time.Millisecond,
			Calls:    rapid.IntRange(0, 30).Draw(t, "calls"),
			MaxCalls: rapid.IntRange(1, 20).Draw(t, "bound"),
		}
		plan := Cut(candidates, drawn, backupsynctest.Noon.Time)
		planned := slices.Concat(plan.Calls...)
		if len(plan.Calls) > min(drawn.Calls, drawn.MaxCalls) {
			t.Fatalf("%d calls", len(plan.Calls))
		}
		for i, call := range plan.Calls {
			if len(call) == 0 || len(call) > drawn.Size || len(call) < drawn.Size && i < len(plan.Calls)-1 {
				t.Fatalf("call %d of %d has %d members", i, len(plan.Calls), len(call))
			}
		}
		for i := range planned {
			if planned[i].BackupSync != candidates[i].BackupSync {
				t.Fatalf("candidate %d is not in its place", i)
			}
		}
		// Whoever is not in a call has one reason, and one only, to be looked at again.
		reasons := 0
		for _, holds := range []bool{plan.More, plan.RateLimited, !plan.RequeueAt.IsZero()} {
			if holds {
				reasons++
			}
		}
		if left := len(candidates) > len(planned); left && reasons != 1 || !left && reasons != 0 {
			t.Fatalf("%d of %d are planned: more %v, held %v, wake %v", len(planned), len(candidates), plan.More, plan.RateLimited, plan.RequeueAt)
		}
		if !plan.RequeueAt.IsZero() && !plan.RequeueAt.After(backupsynctest.Noon.Time) {
			t.Fatalf("the wake time %v has passed", plan.RequeueAt)
		}
	})
}
