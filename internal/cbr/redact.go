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
	hidden  = "[redacted]"
)

// Redactor keeps secrets out of what servers say: whole, in pieces, and in the encodings that secrets travel in. It is safe for
// concurrent use.
type Redactor struct {
	secrets func() []string // a function: formatting does not call it

	mutex    sync.Mutex
	current  []string // what secrets returned last
	previous []string // and before it changed: an answer under way may speak of it
	pieces   *pieces  // of both; nil if not cut yet
}

// NewRedactor makes a Redactor of what a function returns at the time of hiding, as the secrets change. The function must
// not block, and be safe for concurrent use.
func NewRedactor(secrets func() []string) *Redactor { return &Redactor{secrets: secrets} }

// Hide returns the beginning of a text without the secrets, and without pieces of them.
func (r *Redactor) Hide(text string) string {
	text = beginning(text)
	return r.cut().hide(text)
}

// HideError returns an error of the same text without the secrets: itself, if it holds none.
func (r *Redactor) HideError(err error) error {
	if text := err.Error(); r.Hide(text) != text {
		return errors.New(r.Hide(text))
	}
	return err
}

// note takes note of the secrets as they are now, which an answer may repeat when they have changed.
func (r *Redactor) note() {
	secrets := r.secrets()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !slices.Equal(secrets, r.current) {
		r.previous, r.current, r.pieces = r.current, slices.Clone(secrets), nil
	}
}

// cut returns the pieces of the secrets. It costs something only when they have changed.
func (r *Redactor) cut() *pieces {
	r.note()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.pieces == nil {
		r.pieces = cutUp(slices.Concat(r.current, r.previous))
	}
	return r.pieces
}

// betrays reports whether an identifier holds a piece of a secret.
func (r *Redactor) betrays(id string) bool { return r.cut().identify(id) }

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
