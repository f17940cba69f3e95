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
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Sizes of a table.
const (
	// mostInMemory is how many entries a table keeps in memory: some megabytes.
	mostInMemory = 1 << 16
	// keySize and entrySize are those of an entry in a file: its digest, then what is kept of it.
	keySize   = 16
	entrySize = 32
	// readAtOnce is how many entries are read at once where one is looked for.
	readAtOnce = 4
	// fullAt is the part of a file's slots that may be taken before it grows, in percent: so that an entry is found near its slot.
	fullAt = 50
	// growth is how many times as many slots the next file has.
	growth = 4
)

// table keeps what was first seen of digests: a few of them in memory, and more in a file, so that memory does not grow with the length
// of an inventory. The file is a hash table with open addressing. It holds digests and places, and goes with the table.
type table struct {
	dir    string // of the file; "" stands for that of temporary files
	memory map[digest]first
	file   *os.File
	slots  uint64
	taken  uint64
	most   int // in memory
}

func newTable() *table { return &table{memory: map[digest]first{}, most: mostInMemory} }

// put keeps what is first seen of a digest. There must be nothing yet.
func (t *table) put(key digest, value first) error {
	if t.file == nil && len(t.memory) < t.most {
		t.memory[key] = value
		return nil
	}
	if err := t.makeRoom(); err != nil {
		return fmt.Errorf("keep in a temporary file which rows were read (TMPDIR sets its folder): %w", err)
	}
	return t.insert(key, value)
}

// find returns what is kept of a digest.
func (t *table) find(key digest) (value first, known bool, err error) {
	if t.file == nil {
		value, known = t.memory[key]
		return value, known, nil
	}
	_, value, known, err = t.slotOf(key)
	return value, known, err
}

// insert writes an entry to the file.
func (t *table) insert(key digest, value first) error {
	slot, _, _, err := t.slotOf(key)
	if err != nil {
		return err
	}
	entry := encode(key, value)
	if _, err := t.file.WriteAt(entry[:], int64(slot*entrySize)); err != nil {
		return fmt.Errorf("write the temporary file: %w", err)
	}
	t.taken++
	return nil
}

// slotOf returns the slot of a digest in the file: its own, or the one that is free for it.
func (t *table) slotOf(key digest) (slot uint64, value first, known bool, err error) {
	var some [readAtOnce * entrySize]byte
	for slot = key[0] % t.slots; ; slot %= t.slots {
		entries := some[:min(readAtOnce, t.slots-slot)*entrySize]
		if _, err := t.file.ReadAt(entries, int64(slot*entrySize)); err != nil {
			return 0, first{}, false, fmt.Errorf("read the temporary file: %w", err)
		}
		for ; len(entries) > 0; entries, slot = entries[entrySize:], slot+1 {
			there, value := decode(entries)
			if free := value == (first{}); free || there == key {
				return slot, value, !free, nil
			}
		}
	}
}

// makeRoom sees to it that there is a file with a free slot.
func (t *table) makeRoom() error {
	if t.file != nil && (t.taken+1)*100 <= t.slots*fullAt {
		return nil
	}
	larger := &table{dir: t.dir, slots: max(t.slots, uint64(t.most)) * growth}
	if err := larger.create(); err != nil {
		return err
	}
	if err := t.moveTo(larger); err != nil {
		return errors.Join(err, larger.Close())
	}
	old := *t
	t.file, t.slots, t.taken, t.memory = larger.file, larger.slots, larger.taken, nil
	return old.Close()
}

// create makes the file, with all slots free.
func (t *table) create() (err error) {
	if t.file, err = os.CreateTemp(t.dir, "backupsync-*.rows"); err != nil {
		return err
	}
	_ = os.Remove(t.file.Name()) // where a file that is open can be removed, nothing is left of it however the process ends
	if err := t.file.Truncate(int64(t.slots * entrySize)); err != nil {
		return errors.Join(err, t.Close())
	}
	return nil
}

// moveTo writes all entries to another table's file.
func (t *table) moveTo(larger *table) error {
	for key, value := range t.memory {
		if err := larger.insert(key, value); err != nil {
			return err
		}
	}
	if t.file == nil {
		return nil
	}
	chunk := make([]byte, entrySize<<10)
	all := io.NewSectionReader(t.file, 0, int64(t.slots*entrySize))
	for {
		length, err := io.ReadFull(all, chunk)
		for i := 0; i+entrySize <= length; i += entrySize {
			if key, value := decode(chunk[i:]); value != (first{}) {
				if err := larger.insert(key, value); err != nil {
					return err
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the temporary file: %w", err)
		}
	}
}

// Close removes the file.
func (t *table) Close() error {
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	if gone := os.Remove(t.file.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	t.file = nil
	return err
}

func encode(key digest, value first) (entry [entrySize]byte) {
	binary.LittleEndian.PutUint64(entry[:], key[0])
	binary.LittleEndian.PutUint64(entry[8:], key[1])
	binary.LittleEndian.PutUint64(entry[keySize:], value.content)
	binary.LittleEndian.PutUint32(entry[24:], value.at.file)
	binary.LittleEndian.PutUint32(entry[28:], value.at.line)
	return entry
}

func decode(entry []byte) (digest, first) {
	return digest{binary.LittleEndian.Uint64(entry), binary.LittleEndian.Uint64(entry[8:])}, first{content: binary.LittleEndian.Uint64(entry[keySize:]),
		at: place{file: binary.LittleEndian.Uint32(entry[24:]), line: binary.LittleEndian.Uint32(entry[28:])}}
}
