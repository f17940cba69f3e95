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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/backupsync/backupsynctest"
)

// Suspects, the members of refused calls, go in calls of their own behind those that are cut.
func TestBisectionSplits(t *testing.T) {
	for name, c := range map[string]struct {
		free, groups []int
		rules        Rules
		calls        []int
		more, held   bool
	}{
		"no suspects":                      {free: []int{50}, rules: rulesWith(), calls: []int{50}},
		"suspects alone do not wait":       {groups: []int{3, 2}, rules: rulesWith(), calls: []int{3, 2}},
		"suspects behind the others":       {free: []int{50, 2}, groups: []int{3}, rules: rulesWith(), calls: []int{50, 2, 3}},
		"no call is left for the suspects": {free: []int{50, 2}, groups: []int{3}, rules: rulesWith(allowed(2)), calls: []int{50, 2}, held: true},
		"calls are left for some":          {free: []int{50}, groups: []int{3, 2}, rules: rulesWith(allowed(2)), calls: []int{50, 3}, held: true},
		"no call is allowed":               {groups: []int{1}, rules: rulesWith(allowed(0)), calls: []int{}, held: true},
		"more groups than a pass may send": {groups: slices.Repeat([]int{1}, 21), rules: rulesWith(), calls: slices.Repeat([]int{1}, 20), more: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var plan Schedule
			var groups [][]Candidate
			for _, size := range c.free {
				plan.Calls = append(plan.Calls, queued(size, 2))
			}
			for _, size := range c.groups {
				groups = append(groups, queued(size, 0))
			}
			plan = plan.WithGroups(groups, c.rules)
			g.Expect(sizes(plan)).To(Equal(c.calls))
			g.Expect(plan.More).To(Equal(c.more), "more")
			g.Expect(plan.RateLimited).To(Equal(c.held), "held")
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
			c.CreationTimestamp = metav1.NewTime(backupsynctest.Noon.Add(time.Duration(i/7) * time.Second))
		}
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(candidates)-1), 0, 3, rapid.ID[int]).Draw(t, "guilty") {
			culprits[candidates[i].Name] = true
		}
		known := NewBisection()
		rejected, calls, through := map[string]bool{}, 0, 0
		for now := backupsynctest.Noon.Time; len(candidates) > 0 && (through > 0 || len(candidates) > len(culprits) || calls < 5); now = now.Add(100 * time.Millisecond) {
			for i := range candidates {
				if _, released := known.Released[candidates[i].Spec.BackupID]; released {
					candidates[i].QueuedAt = now
				}
			}
			clear(known.Released)
			known.Prune(backupsOf(candidates))
			free, groups := known.Split(candidates, nil, 50)
			plan := Cut(free, rulesWith(), now).WithGroups(groups, rulesWith())
			held := slices.DeleteFunc(candidates, func(c Candidate) bool {
				return slices.ContainsFunc(plan.Calls, func(call []Candidate) bool {
					return slices.ContainsFunc(call, func(sent Candidate) bool { return sent.Name == c.Name })
				})
			})
			candidates = nil
			for _, call := range plan.Calls {
				calls++
				refused := slices.ContainsFunc(call, func(c Candidate) bool { return culprits[c.Name] })
				switch {
				case !refused:
					through++
					known.CallAccepted()
					for _, c := range call {
						known.Resolved(c.Spec.BackupID)
					}
				default:
					switch known.CallRefused(sentOf(call), len(call) == 1, true, through, "code") {
					case Isolated:
						rejected[call[0].Name] = true
						known.Resolved(call[0].Spec.BackupID)
					case Common:
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
	known := NewBisection()
	for _, c := range candidates {
		c.Spec.BackupID = c.Name
	}
	known.CallRefused(sentOf(candidates), false, true, 0, "code")
	free, groups := known.Split(candidates, nil, 50)
	g.Expect(free).To(BeEmpty())
	g.Expect(groups).To(HaveExactElements(HaveLen(2)), "the other half waits")

	candidates[1].BackupSync = backupsynctest.Edited(candidates[1].BackupSync)
	known.Prune(backupsOf(candidates))
	free, groups = known.Split(candidates, nil, 50)
	g.Expect(free).To(HaveExactElements(candidates[1]))
	g.Expect(groups).To(HaveExactElements(HaveLen(1)))
}

// What is imported again, or is a duplicate whose owner is gone, is under bisection like what is pending. Of several BackupSyncs that
// declare a backup, the owner's item counts.
func TestWhatIsUnderBisection(t *testing.T) {
	imported := func(b *v1alpha1.BackupSync) {
		b.Status.Outcome = v1alpha1.OutcomeAlreadyImported
		b.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: "now"}
	}
	duplicate := func(b *v1alpha1.BackupSync) { b.Status.Outcome = v1alpha1.OutcomeDuplicate }
	younger := func(b *v1alpha1.BackupSync) {
		duplicate(b)
		b.CreationTimestamp, b.Spec.ImagePath = metav1.NewTime(seconds(60)), "another"
	}
	for name, c := range map[string]struct {
		become func(*v1alpha1.BackupSync) // of the members of the call
		others func(*v1alpha1.BackupSync) // younger ones of the same backups; nil for none
		stays  bool
	}{
		"pending":                       {become: func(*v1alpha1.BackupSync) {}, stays: true},
		"imported again":                {become: imported, stays: true},
		"duplicates":                    {become: duplicate, stays: true},
		"pending, with a duplicate":     {become: func(*v1alpha1.BackupSync) {}, others: younger, stays: true},
		"duplicates of the same owner":  {become: duplicate, others: younger, stays: true},
		"imported again, a duplicate":   {become: imported, others: younger, stays: true},
		"imported, and nobody asks":     {become: func(b *v1alpha1.BackupSync) { b.Status.Outcome = v1alpha1.OutcomeImported }},
		"imported, others are declared": {become: func(b *v1alpha1.BackupSync) { b.Status.Outcome = v1alpha1.OutcomeImported }, others: younger},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			known, candidates := NewBisection(), queued(4, 2)
			var others []*v1alpha1.BackupSync
			for _, member := range candidates {
				member.Spec.BackupID = member.Name
				c.become(member.BackupSync)
				if c.others != nil {
					others = append(others, member.DeepCopy())
					c.others(others[len(others)-1])
				}
			}
			known.CallRefused(sentOf(candidates), false, true, 0, "code")
			known.Prune(others, backupsOf(candidates))
			_, groups := known.Split(candidates, nil, 50)
			g.Expect(groups != nil).To(Equal(c.stays))
			known.Prune(backupsOf(candidates), others)
			_, groups = known.Split(candidates, nil, 50)
			g.Expect(groups != nil).To(Equal(c.stays), "in whatever order")
		})
	}
}

// Calls whose members have become fewer are made full ones again, but for those under bisection, and those that have failed.
func TestRecut(t *testing.T) {
	for name, c := range map[string]struct {
		calls         []int // of whom nothing is suspected
		full          []int
		rest, members int // of the group, which is as large as a call
	}{
		"nothing":               {full: []int{}},
		"one that is less":      {calls: []int{3}, full: []int{}, rest: 3},
		"full ones":             {calls: []int{5, 5}, full: []int{5, 5}},
		"thinned ones":          {calls: []int{1, 2, 4, 5, 1}, full: []int{5, 5}, rest: 3},
		"thinned, and a group":  {calls: []int{3, 3}, full: []int{5}, rest: 1, members: 4},
		"a group alone":         {full: []int{}, members: 2},
		"thinned to full calls": {calls: []int{2, 3, 1, 4}, full: []int{5, 5}, members: 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			known, number := NewBisection(), 0
			next := func(count int) []Candidate {
				call := queued(count, 2)
				for _, each := range call {
					each.Spec.BackupID = fmt.Sprintf("id-%04d", number)
					number++
				}
				return call
			}
			var calls, wanted [][]Candidate
			for _, count := range c.calls {
				calls = append(calls, next(count))
			}
			if c.members > 0 {
				suspects, failing := next(c.members), next(c.members)
				known.CallRefused(sentOf(slices.Concat(suspects, next(c.members))), false, true, 0, "code")
				known.CallFailed(sentOf(failing), false, 0)
				wanted = [][]Candidate{suspects, failing}
				calls = append(calls, wanted...)
			}
			free := slices.Concat(calls[:len(c.calls)]...)
			full, rest, groups := known.Recut(calls, 5)
			g.Expect(sizes(Schedule{Calls: full})).To(Equal(c.full))
			g.Expect(rest).To(HaveLen(c.rest))
			g.Expect(slices.Concat(slices.Concat(full...), rest)).To(Equal(free), "in their order")
			g.Expect(groups).To(Equal(wanted))
		})
	}
}

// What the other half waits for may be deleted, or suspended.
func TestASuspectDoesNotWaitForNobody(t *testing.T) {
	g := NewWithT(t)
	candidates := queued(4, 2)
	known := NewBisection()
	for _, c := range candidates {
		c.Spec.BackupID = c.Name
	}
	known.CallRefused(sentOf(candidates), false, true, 0, "code")
	_, groups := known.Split(candidates, nil, 50)
	first := groups[0]
	others := slices.DeleteFunc(slices.Clone(candidates), func(c Candidate) bool { return slices.Contains(first, c) })
	_, groups = known.Split(others, map[string]struct{}{first[0].Spec.BackupID: {}}, 50)
	g.Expect(groups).To(BeEmpty(), "a call with the first half is under way")
	_, groups = known.Split(others, nil, 50)
	g.Expect(groups).To(HaveExactElements(ConsistOf(others)))
}

// sentOf returns candidates as what was sent of them.
func sentOf(candidates []Candidate) []Member {
	sent := make([]Member, 0, len(candidates))
	for _, c := range candidates {
		sent = append(sent, Member{BackupSync: c.BackupSync, Hash: backupsync.Hash(&c.Spec)})
	}
	return sent
}

func backupsOf(candidates []Candidate) []*v1alpha1.BackupSync {
	backups := make([]*v1alpha1.BackupSync, 0, len(candidates))
	for _, c := range candidates {
		backups = append(backups, c.BackupSync)
	}
	return backups
}

// Under a tight limit suspects and others take turns.
func TestSuspectsShareTheCalls(t *testing.T) {
	g := NewWithT(t)
	known := NewBisection()
	g.Expect(known.Share(0, 4)).To(Equal(0))
	g.Expect(known.Share(3, 0)).To(Equal(0))
	g.Expect(known.Share(3, 4)).To(Equal(2))
	g.Expect(known.Share(1, 4)).To(Equal(1))
	g.Expect(known.Share(3, 1) + known.Share(3, 1)).To(Equal(1))

	reserving := rulesWith(allowed(2))
	reserving.Reserved = 1
	plan := Cut(queued(150, 2), reserving, backupsynctest.Noon.Time).WithGroups([][]Candidate{queued(3, 0), queued(2, 0)}, reserving)
	g.Expect(sizes(plan)).To(Equal([]int{50, 3}))
	g.Expect(plan.RateLimited).To(BeTrue())
}
