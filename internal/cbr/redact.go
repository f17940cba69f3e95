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
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// maxText bounds, in bytes, what is kept of a text of a server's.
	maxText = 1024
	// pieceLength is the length in bytes from which a piece of a secret is hidden, too: servers abbreviate what they echo.
	pieceLength = 8
	// longSecret is the length from which a secret is no word that an identifier could hold by chance.
	longSecret = 32
	hidden     = "[redacted]"
)

// redactor keeps a secret out of what servers say.
type redactor struct {
	secret func() string // a function: formatting does not call it
	once   sync.Once
	pieces map[string]struct{}
}

func newRedactor(secret string) *redactor { return &redactor{secret: func() string { return secret }} }

// hide returns the beginning of a text without the secret, and without pieces of it.
func (r *redactor) hide(text string) string {
	text = beginning(text)
	switch {
	case r.secret() == "":
		return text
	case len(r.secret()) < pieceLength:
		return strings.ReplaceAll(text, r.secret(), hidden)
	}
	r.once.Do(r.cut)
	var safe strings.Builder
	for at := 0; at < len(text); {
		length := r.pieceAt(text, at)
		if length == 0 {
			safe.WriteByte(text[at])
			at++
			continue
		}
		safe.WriteString(hidden)
		at += length
	}
	return safe.String()
}

// pieceAt returns how many bytes of a text at a position are made of pieces.
func (r *redactor) pieceAt(text string, at int) int {
	length := 0
	for end := at + pieceLength; end <= len(text); end++ {
		if _, secret := r.pieces[text[end-pieceLength:end]]; !secret {
			break
		}
		length = end - at
	}
	return length
}

func (r *redactor) cut() {
	secret := r.secret()
	r.pieces = make(map[string]struct{}, len(secret))
	for end := pieceLength; end <= len(secret); end++ {
		r.pieces[secret[end-pieceLength:end]] = struct{}{}
	}
}

// hideError returns an error of the same text without the secret: itself, if it does not hold it.
func (r *redactor) hideError(err error) error {
	if text := err.Error(); r.hide(text) != text {
		return errors.New(r.hide(text))
	}
	return err
}

// betrays says whether an identifier holds a piece of the secret.
func (r *redactor) betrays(id string) bool { return len(r.secret()) >= longSecret && r.hide(id) != id }

func beginning(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end]) // what is kept must not keep the rest
}

// QuietLog returns a writer for the log of the standard library without what net/http tells there of servers: it
// quotes them, and they may echo a token. Everything else goes to the given writer.
func QuietLog(next io.Writer) io.Writer { return quietLog{next} }

type quietLog struct{ io.Writer }

// Write takes one message of the log package.
func (q quietLog) Write(message []byte) (int, error) {
	if strings.Contains(string(message), "Unsolicited response received on idle HTTP channel") {
		return len(message), nil
	}
	return q.Writer.Write(message)
}
