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
	"strconv"
	"strings"
)

// unescaped is a text whose escapes were taken out, and for each of its bytes where it began in the text before, with the length
// of that at the end. Without positions it is that text.
type unescaped struct {
	text      string
	positions []int
}

func plain(text string) *unescaped { return &unescaped{text: text} }

// position returns where a byte began.
func (u *unescaped) position(at int) int {
	if u.positions == nil {
		return at
	}
	return u.positions[at]
}

// unescape takes the escapes of URLs (%2B) and of JSON (\/, \u002b) out of a text, one layer of them. It returns nil if there are none.
func unescape(from *unescaped) *unescaped {
	if !strings.ContainsAny(from.text, "%\\") {
		return nil
	}
	text := make([]byte, 0, len(from.text))
	to := &unescaped{positions: make([]int, 0, len(from.text)+1)}
	for at := 0; at < len(from.text); {
		read, length := escapeAt(from.text[at:])
		text = append(text, read...)
		for range len(read) {
			to.positions = append(to.positions, from.position(at))
		}
		at += length
	}
	if len(text) == len(from.text) {
		return nil
	}
	to.text, to.positions = string(text), append(to.positions, from.position(len(from.text)))
	return to
}

// escapeAt returns what a text begins with, an escape or one byte, and its length in the text.
func escapeAt(text string) (read string, length int) {
	switch {
	case strings.HasPrefix(text, `\u`):
		if code, ok := number(text, 2, 4); ok {
			return string(rune(code)), 6
		}
	case text[0] == '\\' && len(text) > 1:
		return text[1:2], 2
	case text[0] == '%':
		if code, ok := number(text, 1, 2); ok {
			return string([]byte{byte(code)}), 3
		}
	}
	return text[:1], 1
}

// number reads so many hexadecimal digits.
func number(text string, at, digits int) (uint64, bool) {
	if len(text) < at+digits {
		return 0, false
	}
	code, err := strconv.ParseUint(text[at:at+digits], 16, 32)
	return code, err == nil
}
