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

package generate

import (
	"hash/maphash"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cli/generate/manifest"
)

// place is where a row was: the number of its file, and its line.
type place struct{ file, line uint32 }

// digest stands for a text. Two texts have the same one in as many rows as there can be never.
type digest [2]uint64

// first is what is kept of the first row with a backup.
type first struct {
	content uint64
	at      place
}

// seen knows the backups and the names that were given. It keeps 32 bytes of a backup, and 24 more of a name that is not its id,
// beside what a map needs.
type seen struct {
	seeds   [2]maphash.Seed
	backups map[digest]first
	names   map[digest]place
}

func newSeen() *seen {
	return &seen{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, backups: map[digest]first{}, names: map[digest]place{}}
}

func (s *seen) digest(text string) digest {
	return digest{maphash.String(s.seeds[0], text), maphash.String(s.seeds[1], text)}
}

// backup returns where a backup was before, and whether all that is said of it is the same. The first time, it remembers it.
func (s *seen) backup(spec *v1alpha1.BackupSyncSpec, at place) (before place, same, twice bool) {
	folded := *spec
	folded.BackupID = cbr.Fold(spec.BackupID)
	content := maphash.Comparable(s.seeds[0], folded)
	key := s.digest(folded.BackupID)
	if earlier, known := s.backups[key]; known {
		return earlier.at, earlier.content == content, true
	}
	s.backups[key] = first{content: content, at: at}
	return place{}, false, false
}

// name returns where a name was given before. The first time, it remembers it. The names of most backups are their folded ids: these are
// not kept twice.
func (s *seen) name(names *manifest.Names, name string, spec *v1alpha1.BackupSyncSpec, at place) (place, bool) {
	key := s.digest(name)
	if before, known := s.names[key]; known {
		return before, true
	}
	if names.ByID() && name == cbr.Fold(spec.BackupID) {
		return place{}, false
	}
	if other, known := s.backups[key]; known && names.ByID() {
		return other.at, true
	}
	s.names[key] = at
	return place{}, false
}
