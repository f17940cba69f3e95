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

package folder

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// parts is the number of files that manifests are kept in until all are known: as many as the first byte of a key has values.
const parts = 256

// entry is a manifest that is kept.
type entry struct {
	key  uint64
	name string
	text []byte
}

// keyOf spreads names evenly. It never changes: it says in which file of a folder an object is.
func keyOf(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:8])
}

// spool keeps manifests on disk, by the first byte of their key.
type spool struct {
	folder string
	files  [parts]*os.File
	outs   [parts]*bufio.Writer
	counts [parts]int
}

// part returns the writer of a part, and begins it with its first manifest.
func (s *spool) part(part uint64) (*bufio.Writer, error) {
	if s.outs[part] == nil {
		file, err := os.Create(filepath.Join(s.folder, fmt.Sprintf("%02x", part)))
		if err != nil {
			return nil, fmt.Errorf("keep manifests: %w", err)
		}
		s.files[part], s.outs[part] = file, bufio.NewWriterSize(file, 8<<10)
	}
	return s.outs[part], nil
}

func (s *spool) close() {
	for _, file := range s.files {
		if file != nil {
			_ = file.Close()
		}
	}
}

func (s *spool) add(name string, text []byte) error {
	part := keyOf(name) >> 56
	out, err := s.part(part)
	if err != nil {
		return err
	}
	s.counts[part]++
	lengths := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(name))), uint64(len(text)))
	for _, bytes := range [][]byte{lengths, []byte(name), text} {
		if _, err := out.Write(bytes); err != nil {
			return fmt.Errorf("keep a manifest: %w", err)
		}
	}
	return nil
}

// load returns the manifests of some parts, in the order of their keys.
func (s *spool) load(from, to int) ([]entry, error) {
	var found []entry
	for part := from; part < to; part++ {
		if err := s.read(part, &found); err != nil {
			return nil, fmt.Errorf("read kept manifests: %w", err)
		}
	}
	slices.SortFunc(found, func(a, b entry) int {
		if a.key != b.key {
			return cmpKey(a.key, b.key)
		}
		return strings.Compare(a.name, b.name)
	})
	return found, nil
}

func cmpKey(a, b uint64) int {
	if a < b {
		return -1
	}
	return 1
}

func (s *spool) read(part int, found *[]entry) error {
	if s.files[part] == nil {
		return nil
	}
	if err := s.outs[part].Flush(); err != nil {
		return err
	}
	if _, err := s.files[part].Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := bufio.NewReaderSize(s.files[part], 1<<16)
	for {
		one, err := readEntry(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		*found = append(*found, one)
	}
}

func readEntry(in *bufio.Reader) (entry, error) {
	nameLength, err := binary.ReadUvarint(in)
	if err != nil {
		return entry{}, err
	}
	textLength, err := binary.ReadUvarint(in)
	if err != nil {
		return entry{}, fmt.Errorf("a length: %w", io.ErrUnexpectedEOF)
	}
	both := make([]byte, nameLength+textLength)
	if _, err := io.ReadFull(in, both); err != nil {
		return entry{}, fmt.Errorf("a manifest: %w", io.ErrUnexpectedEOF)
	}
	name := string(both[:nameLength])
	return entry{key: keyOf(name), name: name, text: both[nameLength:]}, nil
}
