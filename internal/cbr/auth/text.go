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

package auth

import (
	"bytes"
	"regexp"
)

// maxContent bounds what is taken from a key of a Secret, in bytes. IAM's tokens take several KB, and servers refuse headers of more
// than 8 to 64 KB.
const maxContent = 64 << 10

// mistake is what a text is that people put in place of a credential.
type mistake int

const (
	noMistake mistake = iota
	tooLong
	inUTF16
	withMark // a byte order mark
	isHeader
	isPEM
	isJSON
	quoted
	unprintable // white space, or what cannot be in a header
)

// headerLine finds the line of a header that carries a credential, as tools print it.
var headerLine = regexp.MustCompile(`(?im)^[<>*\s]*"?(X-(Subject|Auth|Security)-Token|Authorization|X-Sdk-Date|X-Project-Id)"?\s*[:=]`)

// mistakeIn returns what is wrong with a text that is not empty, and from which the white space around it was trimmed.
func mistakeIn(content []byte) mistake {
	if len(content) > maxContent {
		return tooLong
	}
	switch first, last := content[0], content[len(content)-1]; {
	case isUTF16(content):
		return inUTF16
	case bytes.HasPrefix(content, []byte("\xef\xbb\xbf")):
		return withMark
	case headerLine.Match(content):
		return isHeader
	case bytes.Contains(content, []byte("-----BEGIN ")):
		return isPEM
	case first == '{' || first == '[':
		return isJSON
	case quotes(first) || quotes(last), bytes.HasPrefix(content, []byte("“")), bytes.HasSuffix(content, []byte("”")):
		return quoted
	case !printable(content):
		return unprintable
	}
	return noMistake
}

func quotes(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// printable reports whether a text is ASCII without white space and control characters.
func printable(content []byte) bool {
	return !bytes.ContainsFunc(content, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// isUTF16 reports whether a text is UTF-16, with or without a byte order mark.
func isUTF16(content []byte) bool {
	return bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) || zeroBytes(content)
}

// zeroBytes reports whether every other byte is zero, as in UTF-16 without a byte order mark.
func zeroBytes(content []byte) bool {
	var zeros [2]int // at even and at odd places
	for at, c := range content {
		if c == 0 {
			zeros[at%2]++
		}
	}
	return len(content) > 4 && max(zeros[0], zeros[1]) >= len(content)/2
}

// sealed is a text that formatting does not show: it does not follow the pointers within structs.
type sealed struct{ text *string }

func seal(text string) sealed { return sealed{&text} }

// open returns the text, "" without one.
func (s sealed) open() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}
