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
	"slices"
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

// redactor keeps secrets out of what servers say.
type redactor struct {
	secrets func() []string // a function: formatting does not call it

	mutex  sync.Mutex
	cut    []string // the secrets that pieces and short were made of
	pieces map[string]struct{}
	short  []string
}

func newRedactor(secrets func() []string) *redactor { return &redactor{secrets: secrets} }

// hide returns the beginning of a text without the secrets, and without pieces of them.
func (r *redactor) hide(text string) string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.refresh()
	text = beginning(text)
	for _, secret := range r.short {
		text = strings.ReplaceAll(text, secret, hidden)
	}
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

// refresh cuts the secrets into pieces, unless they are those that were cut already.
func (r *redactor) refresh() {
	secrets := r.secrets()
	if slices.Equal(secrets, r.cut) {
		return
	}
	r.cut, r.short, r.pieces = slices.Clone(secrets), nil, map[string]struct{}{}
	for _, secret := range secrets {
		if secret != "" && len(secret) < pieceLength {
			r.short = append(r.short, secret)
		}
		for end := pieceLength; end <= len(secret); end++ {
			r.pieces[secret[end-pieceLength:end]] = struct{}{}
		}
	}
}

// hideError returns an error of the same text without the secret: itself, if it does not hold it.
func (r *redactor) hideError(err error) error {
	if text := err.Error(); r.hide(text) != text {
		return errors.New(r.hide(text))
	}
	return err
}

// betrays reports whether an identifier holds a piece of a secret.
func (r *redactor) betrays(id string) bool {
	long := slices.ContainsFunc(r.secrets(), func(secret string) bool { return len(secret) >= longSecret })
	return long && r.hide(id) != id
}

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
