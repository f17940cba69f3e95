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
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// queuedAt are candidates by the seconds before noon at which they arrived, named in their order.
func queuedAt(secondsBeforeNoon ...float64) []candidate {
	candidates := make([]candidate, 0, len(secondsBeforeNoon))
	for i, seconds := range secondsBeforeNoon {
		backup := newBackup(func(b *v1alpha1.BackupSync) { b.Name = fmt.Sprintf("backup-%04d", i) })
		arrived := noon.Add(-time.Duration(seconds * float64(time.Second)))
		candidates = append(candidates, candidate{BackupSync: backup, arrived: arrived})
	}
	return candidates
}

// queued are candidates that arrived at the same number of seconds before noon.
func queued(count int, secondsBeforeNoon float64) []candidate {
	return queuedAt(slices.Repeat([]float64{secondsBeforeNoon}, count)...)
}

func sizes(plan schedule) []int {
	found := []int{}
	for _, call := range plan.calls {
		found = append(found, len(call))
	}
	return found
}

func seconds(after float64) time.Time { return noon.Add(time.Duration(after * float64(time.Second))) }

// The rules of these tables, unless they say otherwise: calls of 50, a window of 1 s, at most 10 s.
func rules(changes ...func(*batching)) batching {
	rules := batching{size: 50, window: time.Second, maxWait: 10 * time.Second, calls: 100, bound: maxCallsPerPass}
	for _, change := range changes {
		change(&rules)
	}
	return rules
}

func allowed(calls int) func(*batching) { return func(r *batching) { r.calls = calls } }
func ofSize(size int) func(*batching)   { return func(r *batching) { r.size = size } }
func within(window, maxWait time.Duration) func(*batching) {
	return func(r *batching) { r.window, r.maxWait = window, maxWait }
}

func TestCut(t *testing.T) {
	full := slices.Repeat([]int{50}, maxCallsPerPass)
	for name, c := range map[string]struct {
		candidates []candidate
		rules      batching
		calls      []int
		more, held bool
		wake       time.Time
	}{
		"nothing to send":                           {candidates: nil, rules: rules(), calls: []int{}},
		"nothing to send, and nothing allowed":      {candidates: nil, rules: rules(allowed(0)), calls: []int{}},
		"a full call goes at once":                  {candidates: queued(50, 0), rules: rules(), calls: []int{50}},
		"full calls do not wait for the one behind": {candidates: queued(120, 0), rules: rules(), calls: []int{50, 50}, wake: seconds(1)},
		"one alone waits for the window":            {candidates: queued(1, 0), rules: rules(), calls: []int{}, wake: seconds(1)},
		"one alone, a part of the window over":      {candidates: queued(1, 0.4), rules: rules(), calls: []int{}, wake: seconds(0.6)},
		"one alone, the window over":                {candidates: queued(1, 1), rules: rules(), calls: []int{1}},
		"the latest arrival starts the window anew": {candidates: queuedAt(5, 3, 0.1, 2), rules: rules(), calls: []int{}, wake: seconds(0.9)},
		"the oldest waits no longer than maxWait":   {candidates: queuedAt(9.5, 3, 0), rules: rules(), calls: []int{}, wake: seconds(0.5)},
		"at maxWait all go, quiet or not":           {candidates: queuedAt(10, 3, 0), rules: rules(), calls: []int{3}},
		"the oldest need not be the first":          {candidates: queuedAt(0, 10, 3), rules: rules(), calls: []int{3}},
		"a due rest goes with the full calls":       {candidates: queued(101, 2), rules: rules(), calls: []int{50, 50, 1}},
		"no window: at once":                        {candidates: queued(1, 0), rules: rules(within(0, 10*time.Second)), calls: []int{1}},
		"no patience: at once":                      {candidates: queued(1, 0), rules: rules(within(time.Second, 0)), calls: []int{1}},
		"maxWait shorter than the window":           {candidates: queued(1, 0), rules: rules(within(time.Hour, time.Minute)), calls: []int{}, wake: seconds(60)},
		"calls of one go at once":                   {candidates: queued(3, 0), rules: rules(ofSize(1)), calls: []int{1, 1, 1}},
		"an arrival in the future waits":            {candidates: queued(1, -3), rules: rules(), calls: []int{}, wake: seconds(4)},

		"no call allowed, full":               {candidates: queued(50, 0), rules: rules(allowed(0)), calls: []int{}, held: true},
		"no call allowed, due":                {candidates: queued(2, 2), rules: rules(allowed(0)), calls: []int{}, held: true},
		"no call allowed, not due":            {candidates: queued(2, 0), rules: rules(allowed(0)), calls: []int{}, wake: seconds(1)},
		"fewer calls allowed than full":       {candidates: queued(150, 2), rules: rules(allowed(2)), calls: []int{50, 50}, held: true},
		"as many calls allowed as full":       {candidates: queued(100, 2), rules: rules(allowed(2)), calls: []int{50, 50}},
		"no call left for a rest that is due": {candidates: queued(101, 2), rules: rules(allowed(2)), calls: []int{50, 50}, held: true},
		"no call left for a rest that waits":  {candidates: queued(101, 0), rules: rules(allowed(2)), calls: []int{50, 50}, wake: seconds(1)},

		"as much as a pass may send":               {candidates: queued(1000, 2), rules: rules(), calls: full},
		"more than a pass may send":                {candidates: queued(1050, 2), rules: rules(), calls: full, more: true},
		"a due rest beyond what a pass may send":   {candidates: queued(1001, 2), rules: rules(), calls: full, more: true},
		"a rest beyond it that waits":              {candidates: queued(1001, 0), rules: rules(), calls: full, wake: seconds(1)},
		"the bound and the allowance are the same": {candidates: queued(1050, 2), rules: rules(allowed(maxCallsPerPass)), calls: full, held: true},
		"one call more allowed than the bound":     {candidates: queued(1050, 2), rules: rules(allowed(maxCallsPerPass + 1)), calls: full, more: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			plan := cut(c.candidates, c.rules, noon.Time)
			g.Expect(sizes(plan)).To(Equal(c.calls))
			g.Expect(plan.more).To(Equal(c.more), "more")
			g.Expect(plan.held).To(Equal(c.held), "held")
			g.Expect(plan.wake).To(Equal(c.wake), "wake")
		})
	}
}

// What has waited longest is never overtaken: the calls are the candidates, in their order.
func TestCutKeepsTheOrder(t *testing.T) {
	g := NewWithT(t)
	candidates := queued(130, 2)
	plan := cut(candidates, rules(), noon.Time)
	g.Expect(slices.Concat(plan.calls...)).To(Equal(candidates))
	plan = cut(candidates, rules(allowed(2)), noon.Time)
	g.Expect(slices.Concat(plan.calls...)).To(Equal(candidates[:100]))
}

// A plan that ignored its own wake time would spin, or never come back.
func TestCutSendsAtTheTimeItWakes(t *testing.T) {
	g := NewWithT(t)
	for _, candidates := range [][]candidate{queued(1, 0), queuedAt(9.5, 3, 0), queuedAt(4, 0.25), queued(51, 0)} {
		first := cut(candidates, rules(), noon.Time)
		g.Expect(first.wake).NotTo(BeZero())
		waiting := candidates[len(slices.Concat(first.calls...)):]
		early := cut(waiting, rules(), first.wake.Add(-time.Nanosecond))
		g.Expect(early.calls).To(BeEmpty())
		g.Expect(early.wake).To(Equal(first.wake))
		g.Expect(slices.Concat(cut(waiting, rules(), first.wake).calls...)).To(Equal(waiting))
	}
}

// Refused calls are about to release others: a call that is not full waits for them, but no longer than for anything else.
func TestCutWaitsForWhatIsAboutToBeReleased(t *testing.T) {
	g := NewWithT(t)
	expecting := func(at time.Time) batching {
		return rules(func(r *batching) { r.expected = at })
	}
	g.Expect(cut(queued(3, 2), expecting(seconds(5)), noon.Time).wake).To(Equal(seconds(5)))
	g.Expect(cut(queued(3, 2), expecting(seconds(60)), noon.Time).wake).To(Equal(seconds(8)), "maxWait after they came")
	g.Expect(sizes(cut(queued(3, 2), expecting(seconds(-1)), noon.Time))).To(Equal([]int{3}))
	g.Expect(sizes(cut(queued(50, 2), expecting(seconds(5)), noon.Time))).To(Equal([]int{50}), "a full call waits for nobody")
}

func TestCutNeverLosesOrRepeatsACandidate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(0, 300).Draw(t, "count") // a slice of any length would be a short one nearly always
		ages := rapid.SliceOfN(rapid.Float64Range(-1, 12), count, count).Draw(t, "ages")
		candidates := queuedAt(ages...)
		drawn := batching{
			size:    rapid.IntRange(1, 50).Draw(t, "size"),
			window:  time.Duration(rapid.IntRange(0, 5000).Draw(t, "window")) * time.Millisecond,
			maxWait: time.Duration(rapid.IntRange(0, 12000).Draw(t, "maxWait")) * time.Millisecond,
			calls:   rapid.IntRange(0, 30).Draw(t, "calls"),
			bound:   rapid.IntRange(1, 20).Draw(t, "bound"),
		}
		plan := cut(candidates, drawn, noon.Time)
		planned := slices.Concat(plan.calls...)
		if len(plan.calls) > min(drawn.calls, drawn.bound) {
			t.Fatalf("%d calls", len(plan.calls))
		}
		for i, call := range plan.calls {
			if len(call) == 0 || len(call) > drawn.size || len(call) < drawn.size && i < len(plan.calls)-1 {
				t.Fatalf("call %d of %d has %d members", i, len(plan.calls), len(call))
			}
		}
		for i := range planned {
			if planned[i].BackupSync != candidates[i].BackupSync {
				t.Fatalf("candidate %d is not in its place", i)
			}
		}
		// Whoever is not in a call has one reason, and one only, to be looked at again.
		reasons := 0
		for _, holds := range []bool{plan.more, plan.held, !plan.wake.IsZero()} {
			if holds {
				reasons++
			}
		}
		if left := len(candidates) > len(planned); left && reasons != 1 || !left && reasons != 0 {
			t.Fatalf("%d of %d are planned: more %v, held %v, wake %v", len(planned), len(candidates), plan.more, plan.held, plan.wake)
		}
		if !plan.wake.IsZero() && !plan.wake.After(noon.Time) {
			t.Fatalf("the wake time %v has passed", plan.wake)
		}
	})
}

// Suspects, the members of refused calls, go in calls of their own behind those that are cut.
func TestCutWithSuspects(t *testing.T) {
	for name, c := range map[string]struct {
		free, groups []int
		rules        batching
		calls        []int
		more, held   bool
	}{
		"no suspects":                      {free: []int{50}, rules: rules(), calls: []int{50}},
		"suspects alone do not wait":       {groups: []int{3, 2}, rules: rules(), calls: []int{3, 2}},
		"suspects behind the others":       {free: []int{50, 2}, groups: []int{3}, rules: rules(), calls: []int{50, 2, 3}},
		"no call is left for the suspects": {free: []int{50, 2}, groups: []int{3}, rules: rules(allowed(2)), calls: []int{50, 2}, held: true},
		"calls are left for some":          {free: []int{50}, groups: []int{3, 2}, rules: rules(allowed(2)), calls: []int{50, 3}, held: true},
		"no call is allowed":               {groups: []int{1}, rules: rules(allowed(0)), calls: []int{}, held: true},
		"more groups than a pass may send": {groups: slices.Repeat([]int{1}, 21), rules: rules(), calls: slices.Repeat([]int{1}, 20), more: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var plan schedule
			var groups [][]candidate
			for _, size := range c.free {
				plan.calls = append(plan.calls, queued(size, 2))
			}
			for _, size := range c.groups {
				groups = append(groups, queued(size, 0))
			}
			plan = plan.with(groups, c.rules)
			g.Expect(sizes(plan)).To(Equal(c.calls))
			g.Expect(plan.more).To(Equal(c.more), "more")
			g.Expect(plan.held).To(Equal(c.held), "held")
		})
	}
}

// Refused calls are halved until each culprit stands alone. Nobody else is blamed, and the calls are few.
func TestHalvingFindsTheCulprits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		candidates := queued(rapid.IntRange(1, 50).Draw(t, "members"), 2)
		culprits := map[string]bool{}
		for i, c := range candidates {
			c.Spec.BackupID = c.Name
			c.CreationTimestamp = metav1.NewTime(noon.Add(time.Duration(i/7) * time.Second))
		}
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(candidates)-1), 0, 3, rapid.ID[int]).Draw(t, "guilty") {
			culprits[candidates[i].Name] = true
		}
		known := newSuspects()
		rejected, calls, through := map[string]bool{}, 0, 0
		for now := noon.Time; len(candidates) > 0 && (through > 0 || len(candidates) > len(culprits) || calls < 5); now = now.Add(100 * time.Millisecond) {
			for i := range candidates {
				if _, released := known.released[candidates[i].Spec.BackupID]; released {
					candidates[i].arrived = now
				}
			}
			clear(known.released)
			known.prune(backupsOf(candidates))
			free, groups := known.separate(candidates, nil, 50)
			plan := cut(free, rules(), now).with(groups, rules())
			held := slices.DeleteFunc(candidates, func(c candidate) bool {
				return slices.ContainsFunc(plan.calls, func(call []candidate) bool {
					return slices.ContainsFunc(call, func(sent candidate) bool { return sent.Name == c.Name })
				})
			})
			candidates = nil
			for _, call := range plan.calls {
				calls++
				refused := slices.ContainsFunc(call, func(c candidate) bool { return culprits[c.Name] })
				switch {
				case !refused:
					through++
					known.wentThrough()
					for _, c := range call {
						known.settled(c.Spec.BackupID)
					}
				default:
					switch known.refused(sentOf(call), len(call) == 1, true, through, "code") {
					case guilty:
						rejected[call[0].Name] = true
						known.settled(call[0].Spec.BackupID)
					case nobodys:
						if through > 0 {
							t.Fatalf("nobody is to blame, though %d calls went through", through)
						}
						candidates = append(candidates, call...)
					default:
						candidates = append(candidates, call...)
					}
				}
			}
			candidates = append(candidates, held...)
			if most := 4 + 9*max(len(culprits), 1); calls > most { // 6 halvings take 50 to 1; then it is sent alone, and the rest together
				t.Fatalf("more than %d calls", most)
			}
		}
		if through > 0 && len(rejected) != len(culprits) {
			t.Fatalf("rejected %v, guilty %v", rejected, culprits)
		}
		for name := range rejected {
			if !culprits[name] {
				t.Fatalf("%s is innocent", name)
			}
		}
	})
}

// An edit may have mended what was wrong: the backup goes with the others again.
func TestAnEditEndsASuspicion(t *testing.T) {
	g := NewWithT(t)
	candidates := queued(4, 2)
	known := newSuspects()
	for _, c := range candidates {
		c.Spec.BackupID = c.Name
	}
	known.refused(sentOf(candidates), false, true, 0, "code")
	free, groups := known.separate(candidates, nil, 50)
	g.Expect(free).To(BeEmpty())
	g.Expect(groups).To(HaveExactElements(HaveLen(2)), "the other half waits")

	candidates[1].BackupSync = edit(candidates[1].BackupSync)
	known.prune(backupsOf(candidates))
	free, groups = known.separate(candidates, nil, 50)
	g.Expect(free).To(HaveExactElements(candidates[1]))
	g.Expect(groups).To(HaveExactElements(HaveLen(1)))
}

// What the other half waits for may be deleted, or suspended.
func TestASuspectDoesNotWaitForNobody(t *testing.T) {
	g := NewWithT(t)
	candidates := queued(4, 2)
	known := newSuspects()
	for _, c := range candidates {
		c.Spec.BackupID = c.Name
	}
	known.refused(sentOf(candidates), false, true, 0, "code")
	_, groups := known.separate(candidates, nil, 50)
	first := groups[0]
	others := slices.DeleteFunc(slices.Clone(candidates), func(c candidate) bool { return slices.Contains(first, c) })
	_, groups = known.separate(others, map[string]struct{}{first[0].Spec.BackupID: {}}, 50)
	g.Expect(groups).To(BeEmpty(), "a call with the first half is under way")
	_, groups = known.separate(others, nil, 50)
	g.Expect(groups).To(HaveExactElements(ConsistOf(others)))
}

// sentOf returns candidates as what was sent of them.
func sentOf(candidates []candidate) []lostItem {
	sent := make([]lostItem, 0, len(candidates))
	for _, c := range candidates {
		sent = append(sent, lostItem{BackupSync: c.BackupSync, hash: backupsync.Hash(&c.Spec)})
	}
	return sent
}

func backupsOf(candidates []candidate) []*v1alpha1.BackupSync {
	backups := make([]*v1alpha1.BackupSync, 0, len(candidates))
	for _, c := range candidates {
		backups = append(backups, c.BackupSync)
	}
	return backups
}

// Under a tight limit suspects and others take turns.
func TestSuspectsShareTheCalls(t *testing.T) {
	g := NewWithT(t)
	known := newSuspects()
	g.Expect(known.share(0, 4)).To(Equal(0))
	g.Expect(known.share(3, 0)).To(Equal(0))
	g.Expect(known.share(3, 4)).To(Equal(2))
	g.Expect(known.share(1, 4)).To(Equal(1))
	g.Expect(known.share(3, 1) + known.share(3, 1)).To(Equal(1))

	reserving := rules(allowed(2))
	reserving.reserved = 1
	plan := cut(queued(150, 2), reserving, noon.Time).with([][]candidate{queued(3, 0), queued(2, 0)}, reserving)
	g.Expect(sizes(plan)).To(Equal([]int{50, 3}))
	g.Expect(plan.held).To(BeTrue())
}
