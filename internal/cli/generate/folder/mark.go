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
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// mark begins each file that is written; the hash of what is below it follows.
const mark = "# Written by kubectl backupsync generate: do not edit. sha256:"

// headLength is that of the first line.
const headLength = len(mark) + 2*sha256.Size + 1

func head(sum []byte) string { return mark + hex.EncodeToString(sum) + "\n" }

// owner is whose a file is.
type owner int

const (
	nobodys owner = iota // there is no file
	ours                 // it is as it was written here
	edited               // it was written here, and then edited
	foreign              // others have written it
)

// String says what a file is.
func (o owner) String() string {
	return [...]string{"is not there", "was written by this command", "was edited since this command wrote it", "was not written by this command"}[o]
}

// earlier is what is known of a file that is there.
type earlier struct {
	owner   owner
	first   string // its first line
	objects int    // how many it holds, if this command wrote it
}

// look tells what is there.
func look(path string) (earlier, error) {
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return earlier{owner: nobodys}, nil
	case err != nil:
		return earlier{}, fmt.Errorf("see who has written it: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return earlier{owner: foreign}, err
	}
	found, err := judge(bufio.NewReader(asWritten{bufio.NewReader(file)}))
	if err != nil {
		return earlier{}, fmt.Errorf("read %s: %w", path, err)
	}
	return found, nil
}

func judge(text *bufio.Reader) (earlier, error) {
	first := make([]byte, headLength)
	switch _, err := io.ReadFull(text, first); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return earlier{owner: foreign}, nil
	case err != nil:
		return earlier{}, err
	case !strings.HasPrefix(string(first), mark):
		return earlier{owner: foreign}, nil
	}
	sum, objects, err := sumOf(text)
	if err != nil {
		return earlier{}, err
	}
	found := earlier{owner: ours, first: string(first), objects: objects}
	if found.first != head(sum) {
		found.owner = edited
	}
	return found, nil
}

// asWritten reads a text with line feeds where there are carriage returns and line feeds: Git for Windows checks text files out with both. What is
// written here has no carriage returns.
type asWritten struct{ in *bufio.Reader }

// Read implements io.Reader.
func (a asWritten) Read(buffer []byte) (int, error) {
	length := 0
	for length < len(buffer) {
		char, err := a.in.ReadByte()
		if err != nil {
			return length, err
		}
		if char == '\r' {
			if next, _ := a.in.Peek(1); string(next) == "\n" {
				continue
			}
		}
		buffer[length] = char
		length++
	}
	return length, nil
}

// sumOf returns the hash of a text, and how many objects begin in it.
func sumOf(text *bufio.Reader) (sum []byte, objects int, err error) {
	hash := sha256.New()
	for {
		line, err := text.ReadSlice('\n')
		hash.Write(line)
		if string(line) == separator {
			objects++
		}
		switch {
		case errors.Is(err, io.EOF):
			return hash.Sum(nil), objects, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, 0, err
		}
	}
}

// Refusal says that files would have been overwritten that are not this command's.
type Refusal struct{ paths []string }

// Error names the files.
func (r *Refusal) Error() string {
	shown, more := r.paths, ""
	if len(shown) > maxShown {
		shown, more = shown[:maxShown], fmt.Sprintf("\n  and %d more", len(r.paths)-maxShown)
	}
	return "nothing was written, as it would replace what is not this command's; --force replaces it:\n  " + strings.Join(shown, "\n  ") + more
}

// maxShown is how many files are named.
const maxShown = 20
