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

	"backupsync.dev/operator/internal/cbr"
)

// What of a bisection is sent, and when.

// Split takes what is under bisection out of the candidates and returns them in the groups in which they are to be sent. A half
// waits as long as the first one is among the candidates, or in a call whose outcome is not known. Those whose calls have failed
// go by themselves, in calls of a size: whatever it is, it need not be that of others.
func (s *Bisection) Split(candidates []Candidate, recorded map[string]struct{}, size int) (free []Candidate, groups [][]Candidate) {
	waits, only := s.blocked(candidates, recorded)
	position := map[int]int{}
	var frail []Candidate
	for _, candidate := range candidates {
		id := cbr.Fold(candidate.Spec.BackupID)
		membership, suspected := s.byID[id]
		switch {
		case !suspected && s.Failing(id):
			frail = append(frail, candidate)
			continue
		case !suspected:
			free = append(free, candidate)
			continue
		case waits[membership.group]:
			continue
		}
		if s.sentAlone(s.groups[membership.group]) {
			if only == 0 {
				only = membership.group
			}
			if only != membership.group {
				continue
			}
		}
		at, known := position[membership.group]
		if !known {
			at = len(groups)
			position[membership.group] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], candidate)
	}
	if len(groups) == 0 && only == 0 { // those that were to tell of the parked ones are not to be sent
		s.unpark()
	}
	return free, slices.AppendSeq(groups, slices.Chunk(frail, size))
}

// Recut cuts those members of planned calls anew of whom nothing is suspected, after others have left the calls: into full ones, and the
// rest, which is less. Groups stay as they are.
func (s *Bisection) Recut(calls [][]Candidate, size int) (full [][]Candidate, rest []Candidate, groups [][]Candidate) {
	var free []Candidate
	for _, call := range calls {
		id := cbr.Fold(call[0].Spec.BackupID)
		if _, suspected := s.byID[id]; suspected || s.Failing(id) {
			groups = append(groups, call)
		} else {
			free = append(free, call...)
		}
	}
	whole := len(free) / size * size
	return slices.Collect(slices.Chunk(free[:whole], size)), free[whole:], groups
}

// unpark has those that were put aside go with all others again.
func (s *Bisection) unpark() {
	for id := range s.parked {
		s.Released[id] = struct{}{}
	}
	clear(s.parked)
}

// blocked returns the groups that wait for another one, and the only group that is sent of those since whose refusal nothing
// has gone through, if its call is under way: 0 if any may be.
func (s *Bisection) blocked(candidates []Candidate, recorded map[string]struct{}) (waits map[int]bool, only int) {
	present := map[int]bool{}
	for _, candidate := range candidates {
		present[s.byID[cbr.Fold(candidate.Spec.BackupID)].group] = true
	}
	for id := range recorded {
		number := s.byID[id].group
		present[number] = true
		if group := s.groups[number]; group != nil && s.sentAlone(group) {
			only = number
		}
	}
	waits = map[int]bool{}
	for number, group := range s.groups {
		if present[number] {
			waits[group.other] = true
		}
	}
	return waits, only
}

// Share returns how many of the calls that may be made now are for groups under bisection, if others want them too: half,
// so that neither a bad manifest holds up the others, nor a stream of others the good ones among those.
func (s *Bisection) Share(groups, calls int) int {
	switch {
	case groups == 0 || calls <= 0:
		return 0
	case calls == 1:
		s.theirTurn = !s.theirTurn
		if !s.theirTurn {
			return 0
		}
	}
	return min(groups, (calls+1)/2)
}
