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

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// What the journal tells another process of backups whose record is cleared: that CBR may not show yet what it has taken of them, and
// that it holds some of which there is no BackupSync. They are told by hashes: two that share one wait, or are looked up, for nothing.

const (
	// maxMarks bounds the backups in the journal; the limits of the fields follow from it.
	maxMarks  = 16384
	markBytes = 4
	// maxSettling is the limit of journal.settling.
	maxSettling = 64
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
	_, _ = hash.Write([]byte(cbr.Fold(backupID))) // never fails
	return hash.Sum32()
}

func (m *marks) add(hash uint32) {
	if m.hashes == nil {
		m.hashes = map[uint32]struct{}{}
	}
	m.hashes[hash] = struct{}{}
}

func (m *marks) addAll(other marks) {
	m.all = m.all || other.all
	for hash := range other.hashes {
		m.add(hash)
	}
}

// has reports whether a backup may be in the set, by its hash.
func (m *marks) has(hash uint32) bool {
	_, marked := m.hashes[hash]
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
		read.add(binary.BigEndian.Uint32(hash))
	}
	return read
}

// inheritance is what other processes have left in the journal of their calls.
type inheritance struct {
	from     []v1alpha1.SettlingBackups
	settling []settlingMarks
}

// settlingMarks are backups of calls that have settled at a time.
type settlingMarks struct {
	marks
	at time.Time
}

// inherit reads the journal of another process. How long its calls still settle counts from when this one first sees what it has
// written: two processes that write by turns do not make that longer.
func (k *knowledge) inherit(journal *v1alpha1.Journal, now time.Time, longest time.Duration) {
	k.unclaimed.addAll(marksOf(journal.Unclaimed))
	if slices.Equal(k.inherited.from, journal.Settling) {
		return
	}
	k.inherited = inheritance{from: slices.Clone(journal.Settling)}
	for _, left := range journal.Settling {
		in := longest // a damaged status cannot hold up backups for ever
		if milliseconds := longest.Milliseconds(); left.InMilliseconds < milliseconds {
			in = time.Duration(left.InMilliseconds) * time.Millisecond
		}
		k.inherited.settling = append(k.inherited.settling, settlingMarks{marks: marksOf(left.Backups), at: now.Add(in)})
	}
}

// settlesAt returns when the latest calls that may have carried a backup have settled.
func (k *knowledge) settlesAt(backupID string) time.Time {
	latest, mark := k.settled[cbr.Fold(backupID)], markOf(backupID)
	for _, left := range k.inherited.settling {
		if left.at.After(latest) && left.has(mark) {
			latest = left.at
		}
	}
	return latest
}

// settling are the backups of calls that have not settled, for status.journal.settling. When there are more times than that may hold,
// neighbours settle at the later one.
func (k *knowledge) settling(now time.Time) []v1alpha1.SettlingBackups {
	byTime := map[time.Time]*marks{}
	at := func(when time.Time) *marks {
		if byTime[when] == nil {
			byTime[when] = &marks{}
		}
		return byTime[when]
	}
	for id, settled := range k.settled {
		if settled.After(now) {
			at(settled).add(markOf(id))
		}
	}
	for _, left := range k.inherited.settling {
		if left.at.After(now) {
			at(left.at).addAll(left.marks)
		}
	}
	times := slices.SortedFunc(maps.Keys(byTime), time.Time.Compare)
	var settling []v1alpha1.SettlingBackups
	for group := range slices.Chunk(times, max(1, (len(times)+maxSettling-1)/maxSettling)) {
		var together marks
		for _, when := range group {
			together.addAll(*byTime[when])
		}
		settling = append(settling, v1alpha1.SettlingBackups{
			InMilliseconds: group[len(group)-1].Sub(now).Milliseconds() + 1, Backups: together.text()})
	}
	return bounded(settling)
}

// bounded returns what settles as one entry for every backup if it is too much for the journal.
func bounded(settling []v1alpha1.SettlingBackups) []v1alpha1.SettlingBackups {
	length := 0
	for _, each := range settling {
		length += len(each.Backups)
	}
	if length <= base64.StdEncoding.EncodedLen(maxMarks*markBytes) {
		return settling
	}
	return []v1alpha1.SettlingBackups{{InMilliseconds: settling[len(settling)-1].InMilliseconds, Backups: allMarked}}
}

// leftBehind reports whether CBR may hold a backup of which the status of its BackupSync tells nothing.
func (k *knowledge) leftBehind(backup *v1alpha1.BackupSync) bool {
	mark := markOf(backup.Spec.BackupID)
	if _, carried := k.settled[cbr.Fold(backup.Spec.BackupID)]; carried && backup.Status.OperationLogID == "" && backup.Status.SentHash == "" {
		return true
	}
	return k.unclaimed.has(mark) || slices.ContainsFunc(k.inherited.settling, func(left settlingMarks) bool { return left.has(mark) })
}

// keepCalls takes over what was known of calls.
func (k *knowledge) keepCalls(before *knowledge) {
	k.settled, k.inherited, k.unclaimed = before.settled, before.inherited, before.unclaimed
}
