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
	"maps"
	"slices"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// Bisection isolates the backup for which calls are refused. One half of a refused call is sent again. If CBR takes it, the bad backup is
// in the other half, which is then halved itself without a call. If it refuses it, nothing is known of the other half, which goes with all
// others again. So one bad backup among n is isolated with about log2(n) calls. All of it is forgotten with the process, which costs a few
// calls, and with an edit of the manifest.
//
// As long as nothing of the project goes through, it may be that no backup is to blame. Then one half of a half is sent, and
// so on; the others are parked. When even two single ones are refused with the same code, it is nobody's.
type Bisection struct {
	byID      map[string]membership
	groups    map[int]*group
	count     int // of groups so far, which numbers them
	theirTurn bool
	// Released are those of whom nothing is known any more. They are queued again: one bad backup may release several.
	Released map[string]struct{}
	// parked are those that are not sent before CBR has accepted a call.
	parked map[string]struct{}
	// Accepted counts the calls that CBR has taken.
	Accepted int
	// CommonCode is the code of refusals that no item seems to be to blame for, "" if there are none. It ends when a call goes
	// through; until then the search goes on, slowly.
	CommonCode string
	// history is that of the refusals of backups.
	history map[string]refusalHistory
	// Denials counts the calls that CBR has denied since one went through.
	Denials int
	// Failures are those of calls that nobody may be to blame for, by the ids of their backups.
	Failures map[string]CallFailures
}

// CallFailures are those of the calls of one backup since it was last taken, or its item edited.
type CallFailures struct {
	Count    int
	Alone    int32 // of them, those of calls with this backup alone
	accepted int   // how many calls had gone through at the first
	hash     string
}

// refusalHistory is that of the refusals of a backup since it was last taken, or its item edited.
type refusalHistory struct {
	accepted int // how many calls had gone through at the first
	times    int
}

// Member is a member of a call of which CBR has taken nothing, with what was sent of it.
type Member struct {
	*v1alpha1.BackupSync
	Hash string
}

// membership says in which group a backup is.
type membership struct {
	group int
	hash  string // of the item that was sent
}

// group is sent in a call of its own.
type group struct {
	ids []string
	// other is the number of the half that waits for what becomes of this one, 0 if there is none.
	other int
	// second says that other is a single backup that was refused, and that this one tells whether it is to blame.
	second bool
	// code is that of the refusals, through how many calls had gone through at the first of them, times how often it was refused.
	code            string
	accepted, times int
}

// Finding is what a refusal tells.
type Finding int

// What a refusal may tell.
const (
	Searching Finding = iota // a bad backup is searched for
	Isolated                 // the only backup of the call is to blame
	Common                   // no backup is: all are refused
)

// NewBisection is a Bisection of nothing.
func NewBisection() Bisection {
	return Bisection{byID: map[string]membership{}, groups: map[int]*group{}, Released: map[string]struct{}{},
		parked: map[string]struct{}{}, Failures: map[string]CallFailures{}, history: map[string]refusalHistory{}}
}

// Active reports whether something is under bisection.
func (s *Bisection) Active() bool { return len(s.byID) > 0 || len(s.Failures) > 0 || len(s.parked) > 0 }

// CallAccepted notes that CBR has taken a call.
func (s *Bisection) CallAccepted() {
	s.Accepted++
	s.CommonCode, s.Denials = "", 0
	s.unpark()
}

// unproven reports whether CBR has accepted nothing since a group was first refused.
func (s *Bisection) unproven(group *group) bool { return group.accepted == s.Accepted }

// sentAlone reports whether a group is the only one that is sent of those since whose refusal nothing has gone through: after the
// second, which may well be the fault of others in it.
func (s *Bisection) sentAlone(group *group) bool { return s.unproven(group) && group.times > 1 }

// How often calls with a backup must have failed before it comes under bisection: while others went through, and if there were none. To
// find out then takes no more calls than to try again, but they are smaller when whatever it is has passed.
const (
	mayBlame      = 3
	mayBlameAlone = 6
)

// CallFailed notes that a call has failed, for a reason that may be anybody's, when so many had gone through, and that CBR has
// certainly taken none of these members of it. It reports whether that brings them under bisection.
func (s *Bisection) CallFailed(members []Member, alone bool, through int) bool {
	suspected := true
	for _, member := range members {
		id := cbr.Fold(member.Spec.BackupID)
		known := s.Failures[id]
		if known.Count == 0 || known.hash != member.Hash {
			known = CallFailures{accepted: through, hash: member.Hash}
		}
		known.Count++
		if alone {
			known.Alone++
		}
		s.Failures[id] = known
		enough := known.Count >= mayBlame && known.accepted < s.Accepted || known.Count >= mayBlameAlone
		if _, already := s.byID[id]; !already && !enough {
			suspected = false
		}
	}
	return suspected
}

// CallRefused notes that a call was refused with a code, when so many had gone through, and that CBR has certainly taken none of these
// members of it. One that was in the call alone is to blame if CBR itself says so, or if others go through.
func (s *Bisection) CallRefused(members []Member, alone, blamed bool, through int, code string) Finding {
	slices.SortFunc(members, func(a, b Member) int { return backupsync.Older(a.BackupSync, b.BackupSync) })
	excused := s.CommonCode != "" && s.CommonCode == code // all have been refused, and are so still
	if alone {
		if found, known := s.singleRefused(cbr.Fold(members[0].Spec.BackupID), excused, code); known {
			return found
		}
	}
	ids, known := s.regroup(members, through, code)
	switch {
	case !alone:
		s.split(ids, code, known)
	case blamed || known.accepted < s.Accepted:
		s.remove(ids[0])
		return Isolated
	default: // it may be the way to CBR
		s.remove(ids[0])
	}
	if excused {
		return Common
	}
	return Searching
}

// singleRefused returns what the refusal of a single backup tells if nothing has gone through since it was first refused, and
// whether it tells that.
func (s *Bisection) singleRefused(id string, excused bool, code string) (Finding, bool) {
	number := s.byID[id].group
	group := s.groups[number]
	switch {
	case group == nil || !s.unproven(group) || group.code != code:
		return Common, excused
	case group.second:
		s.dismiss(append(s.members(group.other), id), code)
		return Common, true
	case group.other != 0 && s.trySibling(number, group):
		return Searching, true
	default:
		return Common, excused
	}
}

// regroup takes backups out of their groups, and returns their ids and what is known of their refusals: since the first, as often as
// that of the one that was refused most.
func (s *Bisection) regroup(members []Member, through int, code string) (ids []string, known refusalHistory) {
	known.accepted = through
	for _, member := range members {
		id := cbr.Fold(member.Spec.BackupID)
		before, is := s.history[id]
		if !is {
			before.accepted = through
		}
		before.times++
		s.history[id] = before
		known = refusalHistory{accepted: min(known.accepted, before.accepted), times: max(known.times, before.times)}
		s.leave(id, code)
		s.byID[id] = membership{hash: member.Hash}
		ids = append(ids, id)
	}
	return ids, known
}

// members returns the backups of a group, none if there is no such group. They stay the same when the group changes.
func (s *Bisection) members(number int) []string {
	if group := s.groups[number]; group != nil {
		return slices.Clone(group.ids)
	}
	return nil
}

// trySibling has the other half sent, if that is one backup, to see whether a single one is to blame that was refused.
func (s *Bisection) trySibling(number int, refused *group) bool {
	sibling := s.groups[refused.other]
	if sibling == nil || len(sibling.ids) != 1 {
		return false
	}
	sibling.second, sibling.other, refused.other = true, number, 0
	return true
}

// dismiss ends the bisection of all: it is nobody's fault. Should it be theirs all the same who were refused alone, others are tried first.
func (s *Bisection) dismiss(alone []string, code string) {
	s.CommonCode = code
	for _, id := range alone {
		s.Failures[id] = CallFailures{Count: 1, Alone: 1, accepted: s.Accepted, hash: s.byID[id].hash}
	}
	clear(s.byID)
	clear(s.groups)
	clear(s.parked)
}

// leave takes a backup out of its group. What is not known of the other half is found out with all others; or later, if nothing
// goes through.
func (s *Bisection) leave(id, code string) {
	if group := s.groups[s.byID[id].group]; group != nil {
		if group.code == code && s.sentAlone(group) {
			s.park(group.other)
		} else {
			s.release(group.other)
		}
		group.other = 0
	}
	s.remove(id)
}

// park puts a group aside until something goes through.
func (s *Bisection) park(number int) {
	for _, id := range s.members(number) {
		s.remove(id)
		s.parked[id] = struct{}{}
	}
}

// split makes two groups of backups one of which is bad.
func (s *Bisection) split(ids []string, code string, known refusalHistory) {
	half, other := (len(ids)+1)/2, 0
	if half < len(ids) {
		other = s.addGroup(ids[half:], 0, code, known)
	}
	s.addGroup(ids[:half], other, code, known)
}

func (s *Bisection) addGroup(ids []string, other int, code string, known refusalHistory) int {
	s.count++
	s.groups[s.count] = &group{ids: slices.Clone(ids), other: other, code: code, accepted: known.accepted, times: known.times}
	for _, id := range ids {
		s.byID[id] = membership{group: s.count, hash: s.byID[id].hash}
	}
	return s.count
}

// release ends the bisection of a group.
func (s *Bisection) release(number int) {
	for _, id := range s.members(number) {
		s.remove(id)
		s.Released[id] = struct{}{}
	}
}

// remove ends the bisection of a backup, and returns its group if that is empty now.
func (s *Bisection) remove(id string) *group {
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

// Resolved notes that what there is to know of a backup is known. If CBR has taken all of its half, the bad backup is in the
// other one.
func (s *Bisection) Resolved(id string) {
	delete(s.Failures, cbr.Fold(id))
	delete(s.history, cbr.Fold(id))
	delete(s.parked, cbr.Fold(id))
	done := s.remove(cbr.Fold(id))
	if done == nil {
		return
	}
	if bad := s.groups[done.other]; bad != nil && len(bad.ids) > 1 {
		delete(s.groups, done.other)
		s.split(bad.ids, bad.code, refusalHistory{accepted: bad.accepted, times: bad.times})
	}
}

// Prune forgets those that want no call any more, and those that were edited. Of several that declare the same backup, the owner counts.
func (s *Bisection) Prune(present ...[]*v1alpha1.BackupSync) {
	if !s.Active() && len(s.history) == 0 {
		return
	}
	declared := owners(present)
	for id, membership := range s.byID {
		if backup := declared[id]; backup == nil || backupsync.Hash(&backup.Spec) != membership.hash {
			s.remove(id)
			delete(s.history, id)
		}
	}
	for id, failed := range s.Failures {
		if backup := declared[id]; backup == nil || backupsync.Hash(&backup.Spec) != failed.hash {
			delete(s.Failures, id)
			delete(s.history, id)
		}
	}
	maps.DeleteFunc(s.history, func(id string, _ refusalHistory) bool { return declared[id] == nil })
	maps.DeleteFunc(s.parked, func(id string, _ struct{}) bool { return declared[id] == nil })
	if len(s.groups) == 0 { // those that were to tell of them are gone
		s.unpark()
	}
}

// owners returns which of the BackupSyncs that want a call own their backups, by folded id.
func owners(present [][]*v1alpha1.BackupSync) map[string]*v1alpha1.BackupSync {
	owners := map[string]*v1alpha1.BackupSync{}
	for _, backups := range present {
		for _, backup := range backups {
			if id := cbr.Fold(backup.Spec.BackupID); backupsync.WantsCall(backup) {
				owners[id] = backupsync.Owner([]*v1alpha1.BackupSync{owners[id], backup})
			}
		}
	}
	return owners
}

// Parked reports whether a backup is not sent before something goes through.
func (s *Bisection) Parked(backupID string) bool {
	_, parked := s.parked[cbr.Fold(backupID)]
	return parked
}

// AcceptedSince reports whether calls have gone through since those with a backup first failed.
func (s *Bisection) AcceptedSince(backupID string) bool {
	failed, known := s.Failures[cbr.Fold(backupID)]
	return known && failed.accepted < s.Accepted
}

// Failing reports whether calls with a backup have failed: those without it go first.
func (s *Bisection) Failing(backupID string) bool { return s.Failures[cbr.Fold(backupID)].Count > 0 }
