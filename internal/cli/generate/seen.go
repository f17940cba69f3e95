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
	"errors"
	"hash/maphash"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cli/generate/manifest"
)

// place is where a row was: the number of its file, and its line.
type place struct{ file, line uint32 }

// digest stands for a text. Two texts have the same one in as many rows as there can be never.
type digest [2]uint64

// first is what is kept of the row by which a backup was taken.
type first struct {
	content uint64
	at      place
}

// seen knows the backups that were taken and their names, however many.
type seen struct {
	seeds   [2]maphash.Seed
	backups *table
	names   *table
}

func newSeen() *seen {
	return &seen{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, backups: newTable(), names: newTable()}
}

// Close removes what is kept.
func (s *seen) Close() error { return errors.Join(s.backups.Close(), s.names.Close()) }

func (s *seen) digest(text string) digest {
	return digest{maphash.String(s.seeds[0], text), maphash.String(s.seeds[1], text)}
}

// backup returns where a backup was taken before, and whether all that is said of it is the same.
func (s *seen) backup(spec *v1alpha1.BackupSyncSpec) (before place, same, twice bool, err error) {
	key, content := s.of(spec)
	earlier, twice, err := s.backups.find(key)
	return earlier.at, earlier.content == content, twice, err
}

// of returns what stands for a backup, and for all that is said of it.
func (s *seen) of(spec *v1alpha1.BackupSyncSpec) (key digest, content uint64) {
	folded := *spec
	folded.BackupID = cbr.Fold(spec.BackupID)
	return s.digest(folded.BackupID), maphash.Comparable(s.seeds[0], folded)
}

// name returns where a name was given before.
func (s *seen) name(names *manifest.Names, name string, spec *v1alpha1.BackupSyncSpec) (before place, twice bool, err error) {
	key := s.digest(name)
	if earlier, known, err := s.names.find(key); known || err != nil {
		return earlier.at, known, err
	}
	if !names.ByID() || isID(name, spec) {
		return place{}, false, nil
	}
	earlier, twice, err := s.backups.find(key)
	return earlier.at, twice, err
}

// take remembers a backup that is taken, and its name. Neither must be known. The names of most backups are their folded ids: these are not
// kept twice.
func (s *seen) take(names *manifest.Names, name string, spec *v1alpha1.BackupSyncSpec, at place) error {
	key, content := s.of(spec)
	if err := s.backups.put(key, first{content: content, at: at}); err != nil || names.ByID() && isID(name, spec) {
		return err
	}
	return s.names.put(s.digest(name), first{at: at})
}

func isID(name string, spec *v1alpha1.BackupSyncSpec) bool { return name == cbr.Fold(spec.BackupID) }
