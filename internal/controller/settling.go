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
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"
	"time"
)

// What the journal tells another process of backups whose record is cleared: that CBR may not show yet what it has taken of them, and
// that it holds some of which there is no BackupSync. They are told by hashes: two that share one wait, or are looked up, for nothing.

const (
	// maxMarks bounds the backups in a text of marks; the limits of journal.settling and journal.unclaimed follow from it.
	maxMarks  = 16384
	markBytes = 4
	// allMarked stands for every backup, when there are more than that.
	allMarked = "*"
)

// marks is a set of backups, by hashes of their folded ids.
type marks struct {
	all    bool
	hashes map[uint32]struct{}
}

func markOf(backupID string) uint32 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(fold(backupID))) // never fails
	return hash.Sum32()
}

func (m *marks) add(backupID string) { m.addHash(markOf(backupID)) }

func (m *marks) addHash(hash uint32) {
	if m.hashes == nil {
		m.hashes = map[uint32]struct{}{}
	}
	m.hashes[hash] = struct{}{}
}

func (m *marks) addAll(other marks) {
	m.all = m.all || other.all
	for hash := range other.hashes {
		m.addHash(hash)
	}
}

// has reports whether a backup may be in the set.
func (m *marks) has(backupID string) bool {
	_, marked := m.hashes[markOf(backupID)]
	return m.all || marked
}

// text is the set as the journal holds it.
func (m *marks) text() string {
	if m.all || len(m.hashes) > maxMarks {
		return allMarked
	}
	packed := make([]byte, 0, markBytes*len(m.hashes))
	for _, hash := range slices.Sorted(maps.Keys(m.hashes)) {
		packed = binary.BigEndian.AppendUint32(packed, hash)
	}
	return base64.StdEncoding.EncodeToString(packed)
}

// marksOf reads a text of the journal. One that cannot be read stands for every backup.
func marksOf(text string) marks {
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(packed)%markBytes != 0 {
		return marks{all: true}
	}
	var read marks
	for hash := range slices.Chunk(packed, markBytes) {
		read.addHash(binary.BigEndian.Uint32(hash))
	}
	return read
}

// inheritance is what another process has left in the journal.
type inheritance struct {
	version  string    // of the project that it was read from
	settling marks     // what the calls of that process have carried
	until    time.Time // when they have settled
}

// inherit reads the journal of another process. Its calls settle from when this one first sees what it has written.
func (k *knowledge) inherit(version, settling, unclaimed string, until time.Time) {
	if k.inherited.version == version {
		return
	}
	k.inherited = inheritance{version: version, settling: marksOf(settling), until: until}
	k.unclaimed.addAll(marksOf(unclaimed))
}

// settlesAt returns when the latest calls that may have carried a backup have settled.
func (k *knowledge) settlesAt(backupID string) time.Time {
	own := k.settled[fold(backupID)]
	if k.inherited.until.After(own) && k.inherited.settling.has(backupID) {
		return k.inherited.until
	}
	return own
}

// settling are the backups of calls that have not settled.
func (k *knowledge) settling(now time.Time) marks {
	var left marks
	for id, settled := range k.settled {
		if settled.After(now) {
			left.add(id)
		}
	}
	if k.inherited.until.After(now) {
		left.addAll(k.inherited.settling)
	}
	return left
}

// leftBehind reports whether CBR may hold a backup of which the status of its BackupSync tells nothing.
func (k *knowledge) leftBehind(backupID string) bool {
	return k.unclaimed.has(backupID) || k.inherited.settling.has(backupID)
}

// keepCalls takes over what was known of calls.
func (k *knowledge) keepCalls(before *knowledge) {
	k.settled, k.inherited, k.unclaimed = before.settled, before.inherited, before.unclaimed
}
