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
	"maps"
	"slices"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// suspects are the backups of calls that were refused for what may be one of theirs. One half of such a call is sent again.
// If CBR takes it, the culprit is in the other half, which is then halved itself without a call. If it refuses it,
// nothing is known of the other half, which goes with all others again. So a culprit among n backups is found with about
// log2(n) calls. The suspicions are forgotten with the process, which costs a few calls, and with an edit of the manifest.
//
// As long as nothing of the project goes through, it may be that no backup is to blame. Then one half of a half is sent, and
// so on; the others are parked. When even two single ones are refused with the same code, it is nobody's.
type suspects struct {
	byID   map[string]suspicion
	groups map[int]*suspectGroup
	count  int // of groups so far, which numbers them
	turn   bool
	// released are those of whom nothing is known any more. They wait for company anew: a culprit may release several.
	released map[string]struct{}
	// parked are those that are not sent before something goes through.
	parked map[string]struct{}
	// through counts the calls that CBR has taken.
	through int
	// nobodys is the code of refusals that no item seems to be to blame for, "" if there are none. It ends when a call goes
	// through; until then the search goes on, slowly.
	nobodys string
	// history is that of the refusals of backups.
	history map[string]history
	// denials counts the calls that CBR has denied since one went through.
	denials int
	// failures are those of calls that nobody may be to blame for, by the ids of their backups.
	failures map[string]failures
}

// failures are those of the calls of one backup since it was last taken, or its item edited.
type failures struct {
	count   int
	alone   int32 // of them, those of calls with this backup alone
	through int   // how many calls had gone through at the first
	hash    string
}

// history is that of the refusals of a backup since it was last taken, or its item edited.
type history struct {
	through int // how many calls had gone through at the first
	times   int
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
	// second says that other is a single backup that was refused, and that this one tells whether it is to blame.
	second bool
	// code is that of the refusals, through how many calls had gone through at the first of them, times how often it was refused.
	code           string
	through, times int
}

// finding is what a refusal tells.
type finding int

const (
	goesOn  finding = iota // a culprit is searched for
	guilty                 // the only backup of the call is to blame
	nobodys                // no backup is: all are refused
)

func newSuspects() suspects {
	return suspects{byID: map[string]suspicion{}, groups: map[int]*suspectGroup{}, released: map[string]struct{}{},
		parked: map[string]struct{}{}, failures: map[string]failures{}, history: map[string]history{}}
}

// any reports whether there are suspects.
func (s *suspects) any() bool { return len(s.byID) > 0 || len(s.failures) > 0 || len(s.parked) > 0 }

// wentThrough notes that CBR has taken a call.
func (s *suspects) wentThrough() {
	s.through++
	s.nobodys, s.denials = "", 0
	s.unpark()
}

// unproven reports whether nothing has gone through since a group came under suspicion.
func (s *suspects) unproven(group *suspectGroup) bool { return group.through == s.through }

// goesAlone reports whether a group is the only one that is sent of those since whose refusal nothing has gone through: after the
// second, which may well be the fault of others in it.
func (s *suspects) goesAlone(group *suspectGroup) bool { return s.unproven(group) && group.times > 1 }

// How often calls with a backup must have failed before it is a suspect: while others went through, and if there were none. To
// find out then takes no more calls than to try again, but they are smaller when whatever it is has passed.
const (
	mayBlame      = 3
	mayBlameAlone = 6
)

// failed notes that a call has failed, for a reason that may be anybody's, when so many had gone through, and that CBR has
// certainly taken none of these members of it. It reports whether that makes suspects of them.
func (s *suspects) failed(members []lostItem, alone bool, through int) bool {
	suspect := true
	for _, member := range members {
		id := cbr.Fold(member.Spec.BackupID)
		known := s.failures[id]
		if known.count == 0 || known.hash != member.hash {
			known = failures{through: through, hash: member.hash}
		}
		known.count++
		if alone {
			known.alone++
		}
		s.failures[id] = known
		enough := known.count >= mayBlame && known.through < s.through || known.count >= mayBlameAlone
		if _, already := s.byID[id]; !already && !enough {
			suspect = false
		}
	}
	return suspect
}

// refused notes that a call was refused with a code, when so many had gone through, and that CBR has certainly taken none of these
// members of it. One that was in the call alone is to blame if CBR itself says so, or if others go through.
func (s *suspects) refused(members []lostItem, alone, blamed bool, through int, code string) finding {
	slices.SortFunc(members, func(a, b lostItem) int { return backupsync.Older(a.BackupSync, b.BackupSync) })
	excused := s.nobodys != "" && s.nobodys == code // all have been refused, and are so still
	if alone {
		if found, known := s.refusedAlone(cbr.Fold(members[0].Spec.BackupID), excused, code); known {
			return found
		}
	}
	ids, known := s.doubt(members, through, code)
	switch {
	case !alone:
		s.halve(ids, code, known)
	case blamed || known.through < s.through:
		s.forget(ids[0])
		return guilty
	default: // it may be the way to CBR
		s.forget(ids[0])
	}
	if excused {
		return nobodys
	}
	return goesOn
}

// refusedAlone returns what the refusal of a single backup tells if nothing has gone through since it came under suspicion, and
// whether it tells that.
func (s *suspects) refusedAlone(id string, excused bool, code string) (finding, bool) {
	number := s.byID[id].group
	group := s.groups[number]
	switch {
	case group == nil || !s.unproven(group) || group.code != code:
		return nobodys, excused
	case group.second:
		s.acquit(append(s.idsOf(group.other), id), code)
		return nobodys, true
	case group.other != 0 && s.tries(number, group):
		return goesOn, true
	default:
		return nobodys, excused
	}
}

// doubt takes backups out of their groups, and returns their ids and what is known of their refusals: since the first, as often as
// that of the one that was refused most.
func (s *suspects) doubt(members []lostItem, through int, code string) (ids []string, known history) {
	known.through = through
	for _, member := range members {
		id := cbr.Fold(member.Spec.BackupID)
		before, is := s.history[id]
		if !is {
			before.through = through
		}
		before.times++
		s.history[id] = before
		known = history{through: min(known.through, before.through), times: max(known.times, before.times)}
		s.leave(id, code)
		s.byID[id] = suspicion{hash: member.hash}
		ids = append(ids, id)
	}
	return ids, known
}

// idsOf returns the backups of a group, none if there is no such group. They stay the same when the group changes.
func (s *suspects) idsOf(number int) []string {
	if group := s.groups[number]; group != nil {
		return slices.Clone(group.ids)
	}
	return nil
}

// tries has the other half sent, if that is one backup, to see whether a single one is to blame that was refused.
func (s *suspects) tries(number int, refused *suspectGroup) bool {
	sibling := s.groups[refused.other]
	if sibling == nil || len(sibling.ids) != 1 {
		return false
	}
	sibling.second, sibling.other, refused.other = true, number, 0
	return true
}

// acquit ends all suspicions: it is nobody's fault. Should it be theirs all the same who were refused alone, others are tried first.
func (s *suspects) acquit(alone []string, code string) {
	s.nobodys = code
	for _, id := range alone {
		s.failures[id] = failures{count: 1, alone: 1, through: s.through, hash: s.byID[id].hash}
	}
	clear(s.byID)
	clear(s.groups)
	clear(s.parked)
}

// leave takes a backup out of its group. What is not known of the other half is found out with all others; or later, if nothing
// goes through.
func (s *suspects) leave(id, code string) {
	if group := s.groups[s.byID[id].group]; group != nil {
		if group.code == code && s.goesAlone(group) {
			s.park(group.other)
		} else {
			s.release(group.other)
		}
		group.other = 0
	}
	s.forget(id)
}

// park puts a group aside until something goes through.
func (s *suspects) park(number int) {
	for _, id := range s.idsOf(number) {
		s.forget(id)
		s.parked[id] = struct{}{}
	}
}

// halve makes two groups of backups one of which is a culprit.
func (s *suspects) halve(ids []string, code string, known history) {
	half, other := (len(ids)+1)/2, 0
	if half < len(ids) {
		other = s.form(ids[half:], 0, code, known)
	}
	s.form(ids[:half], other, code, known)
}

func (s *suspects) form(ids []string, other int, code string, known history) int {
	s.count++
	s.groups[s.count] = &suspectGroup{ids: slices.Clone(ids), other: other, code: code, through: known.through, times: known.times}
	for _, id := range ids {
		s.byID[id] = suspicion{group: s.count, hash: s.byID[id].hash}
	}
	return s.count
}

// release ends the suspicion of a group.
func (s *suspects) release(number int) {
	for _, id := range s.idsOf(number) {
		s.forget(id)
		s.released[id] = struct{}{}
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
	delete(s.failures, cbr.Fold(id))
	delete(s.history, cbr.Fold(id))
	delete(s.parked, cbr.Fold(id))
	done := s.forget(cbr.Fold(id))
	if done == nil {
		return
	}
	if guilty := s.groups[done.other]; guilty != nil && len(guilty.ids) > 1 {
		delete(s.groups, done.other)
		s.halve(guilty.ids, guilty.code, history{through: guilty.through, times: guilty.times})
	}
}

// prune forgets those that are not pending any more, and those that were edited.
func (s *suspects) prune(pending []*v1alpha1.BackupSync) {
	if !s.any() && len(s.history) == 0 {
		return
	}
	declared := make(map[string]*v1alpha1.BackupSync, len(pending))
	for _, backup := range pending {
		declared[cbr.Fold(backup.Spec.BackupID)] = backup
	}
	for id, suspicion := range s.byID {
		if backup := declared[id]; backup == nil || backupsync.Hash(&backup.Spec) != suspicion.hash {
			s.forget(id)
			delete(s.history, id)
		}
	}
	for id, failed := range s.failures {
		if backup := declared[id]; backup == nil || backupsync.Hash(&backup.Spec) != failed.hash {
			delete(s.failures, id)
			delete(s.history, id)
		}
	}
	maps.DeleteFunc(s.history, func(id string, _ history) bool { return declared[id] == nil })
	maps.DeleteFunc(s.parked, func(id string, _ struct{}) bool { return declared[id] == nil })
	if len(s.groups) == 0 { // those that were to tell of them are gone
		s.unpark()
	}
}

// waits reports whether a backup is not sent before something goes through.
func (s *suspects) waits(backupID string) bool {
	_, parked := s.parked[cbr.Fold(backupID)]
	return parked
}

// outlived reports whether calls have gone through since those with a backup first failed.
func (s *suspects) outlived(backupID string) bool {
	failed, known := s.failures[cbr.Fold(backupID)]
	return known && failed.through < s.through
}

// frail reports whether calls with a backup have failed: those without it go first.
func (s *suspects) frail(backupID string) bool { return s.failures[cbr.Fold(backupID)].count > 0 }

// separate takes the suspects out of the candidates and returns them in the groups in which they are to be sent. A half
// waits as long as the first one is among the candidates, or in a call whose outcome is not known. Those whose calls have failed
// go by themselves, in calls of a size: whatever it is, it need not be that of others.
func (s *suspects) separate(candidates []candidate, recorded map[string]struct{}, size int) (free []candidate, groups [][]candidate) {
	waits, only := s.waiting(candidates, recorded)
	position := map[int]int{}
	var frail []candidate
	for _, candidate := range candidates {
		id := cbr.Fold(candidate.Spec.BackupID)
		suspicion, suspected := s.byID[id]
		switch {
		case !suspected && s.frail(id):
			frail = append(frail, candidate)
			continue
		case !suspected:
			free = append(free, candidate)
			continue
		case waits[suspicion.group]:
			continue
		}
		if s.goesAlone(s.groups[suspicion.group]) {
			if only == 0 {
				only = suspicion.group
			}
			if only != suspicion.group {
				continue
			}
		}
		at, known := position[suspicion.group]
		if !known {
			at = len(groups)
			position[suspicion.group] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], candidate)
	}
	if len(groups) == 0 && only == 0 { // those that were to tell of the parked ones are not to be sent
		s.unpark()
	}
	return free, slices.AppendSeq(groups, slices.Chunk(frail, size))
}

// unpark has those that were put aside go with all others again.
func (s *suspects) unpark() {
	for id := range s.parked {
		s.released[id] = struct{}{}
	}
	clear(s.parked)
}

// waiting returns the groups that wait for another one, and the only group that is sent of those since whose refusal nothing
// has gone through, if its call is under way: 0 if any may be.
func (s *suspects) waiting(candidates []candidate, recorded map[string]struct{}) (waits map[int]bool, only int) {
	present := map[int]bool{}
	for _, candidate := range candidates {
		present[s.byID[cbr.Fold(candidate.Spec.BackupID)].group] = true
	}
	for id := range recorded {
		number := s.byID[id].group
		present[number] = true
		if group := s.groups[number]; group != nil && s.goesAlone(group) {
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
