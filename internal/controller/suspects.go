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

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// suspects are the backups of calls that CBR has refused for what they contain. One half of such a call is sent again.
// If CBR takes it, the culprit is in the other half, which is then halved itself without a call. If it refuses it,
// nothing is known of the other half, which goes with all others again. So a culprit among n backups is found with about
// log2(n) calls. The suspicions are forgotten with the process, which costs a few calls, and with an edit of the manifest.
type suspects struct {
	byID   map[string]suspicion
	groups map[int]*suspectGroup
	count  int // of groups so far, which numbers them
	turn   bool
	// released are those of whom nothing is known any more. They wait for company anew: a culprit may release several.
	released map[string]struct{}
}

// suspicion says in which group a backup is.
type suspicion struct {
	group int
	hash  string // of the item that was sent
}

// suspectGroup is sent in a call of its own.
type suspectGroup struct {
	ids []string
	// other is the number of the half that waits for what becomes of this one, 0 if there is none.
	other int
}

func newSuspects() suspects {
	return suspects{byID: map[string]suspicion{}, groups: map[int]*suspectGroup{}, released: map[string]struct{}{}}
}

// any says whether there are suspects.
func (s *suspects) any() bool { return len(s.byID) > 0 }

// refused notes that CBR has refused a call, and certainly taken none of these members of it.
func (s *suspects) refused(members []lostItem) {
	slices.SortFunc(members, func(a, b lostItem) int { return backupsync.Older(a.BackupSync, b.BackupSync) })
	ids := make([]string, 0, len(members))
	for _, member := range members {
		id := fold(member.Spec.BackupID)
		if group := s.groups[s.byID[id].group]; group != nil {
			s.release(group.other)
		}
		s.forget(id)
		s.byID[id] = suspicion{hash: member.hash}
		ids = append(ids, id)
	}
	s.halve(ids)
}

// halve makes two groups of backups one of which is a culprit.
func (s *suspects) halve(ids []string) {
	half, other := (len(ids)+1)/2, 0
	if half < len(ids) {
		other = s.form(ids[half:], 0)
	}
	s.form(ids[:half], other)
}

func (s *suspects) form(ids []string, other int) int {
	s.count++
	s.groups[s.count] = &suspectGroup{ids: slices.Clone(ids), other: other}
	for _, id := range ids {
		s.byID[id] = suspicion{group: s.count, hash: s.byID[id].hash}
	}
	return s.count
}

// release ends the suspicion of a group.
func (s *suspects) release(number int) {
	if group := s.groups[number]; group != nil {
		for _, id := range slices.Clone(group.ids) {
			s.forget(id)
			s.released[id] = struct{}{}
		}
	}
}

// forget ends the suspicion of a backup, and returns its group if that is empty now.
func (s *suspects) forget(id string) *suspectGroup {
	number := s.byID[id].group
	delete(s.byID, id)
	group := s.groups[number]
	if group == nil {
		return nil
	}
	group.ids = slices.DeleteFunc(group.ids, func(other string) bool { return other == id })
	if len(group.ids) > 0 {
		return nil
	}
	delete(s.groups, number)
	return group
}

// settled notes that what there is to know of a backup is known. If CBR has taken all of its half, the culprit is in the
// other one.
func (s *suspects) settled(id string) {
	done := s.forget(fold(id))
	if done == nil {
		return
	}
	if guilty := s.groups[done.other]; guilty != nil && len(guilty.ids) > 1 {
		delete(s.groups, done.other)
		s.halve(guilty.ids)
	}
}

// prune forgets those that are not pending any more, and those that were edited.
func (s *suspects) prune(pending []*v1alpha1.BackupSync) {
	if !s.any() {
		return
	}
	declared := make(map[string]*v1alpha1.BackupSync, len(pending))
	for _, backup := range pending {
		declared[fold(backup.Spec.BackupID)] = backup
	}
	for id, suspicion := range s.byID {
		if backup := declared[id]; backup == nil || backupsync.Hash(&backup.Spec) != suspicion.hash {
			s.forget(id)
		}
	}
}

// separate takes the suspects out of the candidates and returns them in the groups in which they are to be sent. A half
// waits as long as the first one is among the candidates, or in a call whose outcome is not known.
func (s *suspects) separate(candidates []candidate, recorded map[string]struct{}) (free []candidate, groups [][]candidate) {
	present := map[int]bool{}
	for _, candidate := range candidates {
		present[s.byID[fold(candidate.Spec.BackupID)].group] = true
	}
	for id := range recorded {
		present[s.byID[id].group] = true
	}
	waits := map[int]bool{}
	for number, group := range s.groups {
		if present[number] {
			waits[group.other] = true
		}
	}
	position := map[int]int{}
	for _, candidate := range candidates {
		suspicion, suspected := s.byID[fold(candidate.Spec.BackupID)]
		if !suspected {
			free = append(free, candidate)
			continue
		}
		if waits[suspicion.group] {
			continue
		}
		at, known := position[suspicion.group]
		if !known {
			at = len(groups)
			position[suspicion.group] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], candidate)
	}
	return free, groups
}

// share returns how many of the calls that may be made now are for groups of suspects, if others want them too: half,
// so that neither a bad manifest holds up the others, nor a stream of others the innocent among the suspects.
func (s *suspects) share(groups, calls int) int {
	switch {
	case groups == 0 || calls <= 0:
		return 0
	case calls == 1:
		s.turn = !s.turn
		if !s.turn {
			return 0
		}
	}
	return min(groups, (calls+1)/2)
}
