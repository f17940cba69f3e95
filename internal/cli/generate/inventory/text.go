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
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// blank reports whether a character is white space at the ends of a value, by the rule of the CustomResourceDefinition:
// [\s\p{Z}\x{FEFF}\x{200B}].
func blank(r rune) bool {
	return strings.ContainsRune("\t\n\f\r ", r) || unicode.Is(unicode.Z, r) || r == '\ufeff' || r == '\u200b'
}

// Trim returns a text without the white space at its ends, seen or not.
func Trim(text string) string { return strings.TrimFunc(text, blank) }

// maxShown is how much of a value is shown, in characters.
const maxShown = 80

// Show returns a value in quotes, as it may be printed on any terminal: what cannot be seen is written as an escape, and
// what is long is cut.
func Show(text string) string {
	cut := text
	for index, count := 0, 0; index < len(text); count++ {
		if count == maxShown {
			cut = text[:index]
			break
		}
		_, size := utf8.DecodeRuneInString(text[index:])
		index += size
	}
	if len(cut) < len(text) {
		return strconv.Quote(cut) + "..."
	}
	return strconv.Quote(text)
}

func containsReplacement(text string) bool { return strings.ContainsRune(text, utf8.RuneError) }
