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
)

// suspicion says that a backup was in a call that CBR refused for what it contained. The suspects of a call are
// sent again in two halves, and so on until the culprits stand alone. It is forgotten with the process, which
// costs a few calls, and when the manifest changes.
type suspicion struct {
	group      int // those of a group are sent together, and with nobody else
	generation int64
}

// suspect divides the members of a refused call into two groups.
func (m *memory) suspect(members []*v1alpha1.BackupSync) {
	slices.SortFunc(members, older)
	half := (len(members) + 1) / 2
	for _, group := range [][]*v1alpha1.BackupSync{members[:half], members[half:]} {
		m.groups++
		for _, member := range group {
			m.suspects[member.Spec.BackupID] = suspicion{group: m.groups, generation: member.Generation}
		}
	}
}

// share returns how many of the calls that may be made now are for groups of suspects, if others want them too: half,
// so that neither a bad manifest holds up the others, nor a stream of others the innocent among the suspects.
func (m *memory) share(groups, calls int) int {
	switch calls = min(calls, maxCallsPerPass); {
	case groups == 0 || calls <= 0:
		return 0
	case calls == 1:
		m.suspectsTurn = !m.suspectsTurn
		if !m.suspectsTurn {
			return 0
		}
	}
	return min(groups, (calls+1)/2)
}

// acquit forgets a suspicion: the backup was accepted, or found guilty.
func (m *memory) acquit(backupID string) { delete(m.suspects, backupID) }

// separate takes the suspects out of the candidates and returns them in the groups in which they are to be sent.
func (m *memory) separate(candidates []candidate) (free []candidate, groups [][]candidate) {
	byGroup := map[int]int{}
	for _, candidate := range candidates {
		suspicion, suspected := m.suspects[candidate.Spec.BackupID]
		if suspected && suspicion.generation != candidate.Generation {
			m.acquit(candidate.Spec.BackupID)
			suspected = false
		}
		if !suspected {
			free = append(free, candidate)
			continue
		}
		position, known := byGroup[suspicion.group]
		if !known {
			position = len(groups)
			byGroup[suspicion.group] = position
			groups = append(groups, nil)
		}
		groups[position] = append(groups[position], candidate)
	}
	return free, groups
}
