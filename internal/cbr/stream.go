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

package cbr

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of an answer, by which no answer takes more than 64 MiB. A page of 1,000 tasks or backups takes about 1 MB.
const (
	maxResponseBytes = 12 << 20         // after decompression
	maxTokenBytes    = 4 << 20          // of a text or number, and of white space: as much must be held at a time, twice over
	maxTextBytes     = 8 << 10          // of a text that is kept: of a longer one its beginning
	maxDigits        = 20               // of a number that is kept
	maxNameBytes     = 128              // of a name that is looked at
	maxValues        = 32 * MaxPageSize // that are kept: no element has so many, unless it repeats them
	maxDepth         = 32               // of objects and lists in each other: each holds a name
)

// Why an answer cannot be used.
var (
	errNotAnObject = errors.New("not a JSON object")
	errNoList      = errors.New("the list that the API documents is missing")
	errMissing     = errors.New("what the API documents is missing")
	errRepeated    = errors.New("what the API documents is there more than once")
	errTrailing    = errors.New("something follows the JSON object")
	errTooDeep     = fmt.Errorf("it is nested more than %d levels deep", maxDepth)
	errTooLong     = fmt.Errorf("it is longer than %d bytes", maxResponseBytes)
	errTooMany     = fmt.Errorf("it has more than %d values", maxValues)
	errLongToken   = fmt.Errorf("a part of it is longer than %d bytes", maxTokenBytes)
)

// stream reads an answer while it arrives, and never holds more of it than one token. A member that is not what it should be
// is left empty: what the others say still counts. Names are compared without case, as encoding/json does.
type stream struct {
	*jsontext.Decoder
	source  io.Reader
	read    int64  // so many bytes were read of the source
	failed  error  // why it cannot be read any further
	values  int    // so many were kept
	scratch []byte // holds one text at a time
}

func newStream(source io.Reader) *stream {
	s := &stream{source: source}
	// Repeated names are dealt with where they matter, invalid text becomes replacement characters.
	s.Decoder = jsontext.NewDecoder(limited{s}, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return s
}

// limited reads the source of a stream within the limits.
type limited struct{ *stream }

// Read is called by the decoder when it needs more to complete a token. After a failure it asks again, at times.
func (l limited) Read(buffer []byte) (n int, err error) {
	switch {
	case l.failed != nil:
	case l.read > maxResponseBytes:
		l.failed = errTooLong
	case l.read-l.InputOffset() > maxTokenBytes:
		l.failed = errLongToken
	default:
		n, l.failed = l.source.Read(buffer)
		l.read += int64(n)
	}
	return n, l.failed
}

// document reads an object that is all of the answer, and calls read for the value of its documented member, which must be
// there once. It returns the object's "count", 0 without one.
func (s *stream) document(member string, read func() error) (count int, err error) {
	found := false
	err = s.object(func(name []byte) error {
		switch {
		case string(name) == "count":
			return s.number(&count)
		case string(name) != member:
			return s.skip()
		case found:
			return errRepeated
		default:
			found = true
			return read()
		}
	})
	switch {
	case err != nil:
		return 0, err
	case !found:
		return 0, errMissing
	}
	return count, s.end()
}

// end checks that nothing follows, which also takes the end of the answer from the connection.
func (s *stream) end() error {
	_, err := s.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return errTrailing
	default:
		return err
	}
}

// list reads a list of at most so many elements, and returns their number. More than were asked for are an error: to pass
// over some would let them count as not there.
func (s *stream) list(limit int, element func() error) (size int, err error) {
	if s.PeekKind() != jsontext.KindBeginArray {
		return 0, s.orElse(errNoList)
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	for ; s.PeekKind() != jsontext.KindEndArray; size++ {
		if size == limit {
			return size, s.orElse(fmt.Errorf("it holds more than the %d elements that were asked for", limit))
		}
		if err := element(); err != nil {
			return size, err
		}
	}
	_, err = s.ReadToken()
	return size, err
}

// object calls a function with the name of each member of an object, in lower case. The function must read the value.
func (s *stream) object(member func(name []byte) error) error {
	if s.PeekKind() != jsontext.KindBeginObject {
		return s.orElse(errNotAnObject)
	}
	if err := s.enter(); err != nil {
		return err
	}
	for s.PeekKind() != jsontext.KindEndObject {
		name, err := s.ReadValue()
		if err != nil {
			return err
		}
		if err := member(s.folded(name)); err != nil {
			return err
		}
	}
	_, err := s.ReadToken()
	return err
}

// members is object for a value that may be something else, which is passed over.
func (s *stream) members(member func(name []byte) error) error {
	if s.PeekKind() != jsontext.KindBeginObject {
		return s.skip()
	}
	return s.object(member)
}

// readPage reads a list of at most so many elements that stands in a member of the answer. An element that is no object counts
// in its size alone.
func readPage[T any](s *stream, member string, limit int, read func(*T, *stream) error) (page Page[T], err error) {
	page.Count, err = s.document(member, func() (err error) {
		page.Size, err = s.list(limit, func() error {
			if s.PeekKind() != jsontext.KindBeginObject {
				return s.skip()
			}
			var element T
			page.Items = append(page.Items, element)
			return read(&page.Items[len(page.Items)-1], s)
		})
		return err
	})
	return page, err
}

// orElse returns why the next token cannot be read, or the given error if it can be.
func (s *stream) orElse(err error) error {
	if s.PeekKind() == jsontext.KindInvalid {
		_, err = s.ReadToken()
	}
	return err
}

// enter begins an object or a list.
func (s *stream) enter() error {
	if s.StackDepth() >= maxDepth {
		return errTooDeep
	}
	_, err := s.ReadToken()
	return err
}

// skip passes over a value.
func (s *stream) skip() error {
	for depth := s.StackDepth(); ; {
		if _, err := s.ReadToken(); err != nil {
			return err
		}
		switch at := s.StackDepth(); {
		case at <= depth:
			return nil
		case at > maxDepth:
			return errTooDeep
		}
	}
}

// text reads a text. Null leaves what was there; what is no text makes it empty.
func (s *stream) text(text *string) error {
	switch s.PeekKind() {
	case jsontext.KindString:
	case jsontext.KindNull:
		return s.skip()
	default:
		*text = ""
		return s.skip()
	}
	value, err := s.ReadValue()
	if err != nil {
		return err
	}
	*text = s.unquoted(value)
	return nil
}

// number reads a whole number. Null leaves what was there; what is none makes it 0.
func (s *stream) number(number *int) error {
	switch s.PeekKind() {
	case jsontext.KindNumber:
	case jsontext.KindNull:
		return s.skip()
	default:
		*number = 0
		return s.skip()
	}
	value, err := s.ReadValue()
	if err != nil {
		return err
	}
	*number = 0
	if len(value) > maxDigits {
		return nil
	}
	if parsed, err := strconv.Atoi(string(value)); err == nil {
		*number = parsed
	}
	return nil
}

// folded returns a name without its quotes, in the case that encoding/json takes for the same. It is valid until the next read.
func (s *stream) folded(quoted []byte) []byte {
	switch {
	case len(quoted) > maxNameBytes:
		return nil
	case !unusual(quoted):
		return quoted[1 : len(quoted)-1]
	}
	s.scratch, _ = jsontext.AppendUnquote(s.scratch[:0], quoted)
	name := len(s.scratch)
	for at := 0; at < name; {
		r, size := utf8.DecodeRune(s.scratch[at:])
		s.scratch = utf8.AppendRune(s.scratch, fold(r))
		at += size
	}
	return s.scratch[name:]
}

// unusual reports whether a name has characters that do not stand for themselves.
func unusual(name []byte) bool {
	for _, c := range name {
		if c == '\\' || c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return true
		}
	}
	return false
}

// fold returns the same character for all cases of a letter, of which some have three.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next > r {
			r = next
			continue
		}
		if 'A' <= next && next <= 'Z' {
			return next + 'a' - 'A'
		}
		return next
	}
}

// unquoted returns what a text in quotes stands for. Nearly all statuses are the same few: a hundred thousand backups need
// not hold them a hundred thousand times.
func (s *stream) unquoted(quoted []byte) string {
	switch string(quoted) {
	case `"available"`:
		return string(BackupAvailable)
	case `"success"`:
		return string(TaskSuccess)
	case `"sync"`:
		return OperationSync
	}
	// Errors tell of invalid UTF-8, which is replaced, and of a text that was cut.
	s.scratch, _ = jsontext.AppendUnquote(s.scratch[:0], quoted[:min(len(quoted), maxTextBytes)])
	return string(s.scratch)
}
