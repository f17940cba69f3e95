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

package inventory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Encoding is how the characters of an inventory are written.
type Encoding string

// The encodings. A byte order mark is believed more than any of them.
const (
	AutoEncoding Encoding = "auto" // UTF-16 if every other byte is 0, UTF-8 if it is valid, else GB18030
	UTF8         Encoding = "utf-8"
	GB18030      Encoding = "gb18030"
	UTF16        Encoding = "utf-16"
)

// window is how many bytes from the first that is not ASCII on are looked at, to tell UTF-8 from GB18030.
const window = 64 << 10

// decoded is an inventory in UTF-8.
type decoded struct {
	io.Reader
	// marked reports that it was not plain UTF-8, lossy that U+FFFD stands for bytes that its encoding does not have.
	// Both are known when the first character that is not ASCII has been read.
	marked, lossy bool
	// guessed is the encoding that was found, if none was named and there was no byte order mark.
	guessed Encoding
}

// decode returns an inventory in UTF-8, without a byte order mark.
func decode(in io.Reader, named Encoding) (*decoded, error) {
	source := bufio.NewReaderSize(in, window)
	start, err := source.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read: %w", err)
	}
	switch {
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf")):
		_, _ = source.Discard(3) // they are in the buffer
		return &decoded{Reader: source, marked: true}, nil
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
		return converted(source, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), ""), nil
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return nil, errors.New("this is a workbook or an archive, not text: save the sheet as CSV")
	case bytes.HasPrefix(start, []byte("\x1f\x8b")):
		return nil, errors.New("this is compressed: pipe it through gunzip, and give - for the file")
	default:
		return unmarked(source, start, named), nil
	}
}

func unmarked(source *bufio.Reader, start []byte, named Encoding) *decoded {
	switch named {
	case UTF8:
		return &decoded{Reader: source}
	case GB18030:
		return converted(source, simplifiedchinese.GB18030, "")
	case UTF16:
		return converted(source, unicode.UTF16(order(start), unicode.IgnoreBOM), "")
	default:
		if zeros(start) {
			return converted(source, unicode.UTF16(order(start), unicode.IgnoreBOM), UTF16)
		}
		found := &decoded{}
		found.Reader = &sniffer{source: source, found: found}
		return found
	}
}

func converted(source io.Reader, from encoding.Encoding, guessed Encoding) *decoded {
	return &decoded{Reader: transform.NewReader(source, from.NewDecoder()), marked: true, lossy: true, guessed: guessed}
}

// zeros reports whether every other byte is 0, as in UTF-16 of ASCII: inventories begin with a name of a column, a bracket or a brace.
func zeros(start []byte) bool {
	return len(start) == 4 && (start[0] == 0) != (start[1] == 0) && (start[0] == 0) == (start[2] == 0) && (start[1] == 0) == (start[3] == 0)
}

func order(start []byte) unicode.Endianness {
	if len(start) > 0 && start[0] == 0 {
		return unicode.BigEndian
	}
	return unicode.LittleEndian
}

// sniffer hands on ASCII, which is the same in UTF-8 and GB18030, and decides between them at the first other byte.
type sniffer struct {
	source  *bufio.Reader
	found   *decoded
	decided io.Reader
}

// Read implements io.Reader.
func (s *sniffer) Read(buffer []byte) (int, error) {
	if s.decided != nil {
		return s.decided.Read(buffer)
	}
	if _, err := s.source.Peek(1); err != nil {
		return 0, err
	}
	ready, _ := s.source.Peek(min(len(buffer), s.source.Buffered()))
	if ascii := asciiPrefix(ready); ascii > 0 {
		return s.source.Read(buffer[:ascii])
	}
	s.decide()
	return s.decided.Read(buffer)
}

func (s *sniffer) decide() {
	ahead, _ := s.source.Peek(window)
	if validPrefix(ahead) {
		s.decided = s.source
		return
	}
	other := converted(s.source, simplifiedchinese.GB18030, GB18030)
	s.decided = other.Reader
	s.found.marked, s.found.lossy, s.found.guessed = true, true, GB18030
}

func asciiPrefix(text []byte) int {
	for index, char := range text {
		if char >= utf8.RuneSelf {
			return index
		}
	}
	return len(text)
}

// validPrefix reports whether a text is UTF-8, but for a character that its end cuts.
func validPrefix(text []byte) bool {
	for cut := range min(utf8.UTFMax, len(text)) {
		if utf8.Valid(text[:len(text)-cut]) {
			return true
		}
		if utf8.RuneStart(text[len(text)-cut-1]) && utf8.FullRune(text[len(text)-cut-1:]) {
			return false
		}
	}
	return false
}
