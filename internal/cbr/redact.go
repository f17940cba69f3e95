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
	"regexp"
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
	if text == "" {
		return ""
	}
	return r.cut().hide(beginning(text))
}

// service finds the name of a service that error codes begin with, documentedCode those codes that the vendor documents: a number, of a
// service or alone.
var (
	service        = regexp.MustCompile(`^(BackupService|CBR|APIGW|APIG|IAM)\.`)
	documentedCode = regexp.MustCompile(`^[0-9]{1,4}$|` + service.String() + `[0-9]{1,4}$`)
)

// hideCode is Hide for an error code, by which is decided what a failure means. Documented codes, and the names of services, are words
// that everybody knows: to hide one would tell no less than to show it, namely that a user or a password is called so.
func (r *Redactor) hideCode(code string) string {
	if documentedCode.MatchString(code) {
		return code
	}
	code = beginning(code)
	safe := r.Hide(code)
	if known := service.FindString(code); known != "" && safe != code {
		return known + hidden
	}
	return safe
}

// HideError returns an error of the same text without the secrets: itself, if it holds none. What it is stays known by errors.Is, and by
// errors.As so far as its causes tell no secret.
func (r *Redactor) HideError(err error) error {
	text := err.Error()
	safe := r.Hide(text)
	if safe == text {
		return err
	}
	told := err
	for told != nil && r.Hide(told.Error()) != told.Error() {
		told = errors.Unwrap(told)
	}
	return &hiddenError{text: safe, hidden: err, told: told}
}

// hiddenError is an error whose text holds a secret. It is a pointer, so that formatting never shows what is hidden.
type hiddenError struct {
	text   string // without the secret
	hidden error
	told   error // the first of its causes that tells none, nil if all do
}

// Error is the text without the secret.
func (e *hiddenError) Error() string { return e.text }

// Unwrap returns what may be told of the cause.
func (e *hiddenError) Unwrap() error { return e.told }

// Is reports what is known of the whole error: who names one tells nothing that is not known.
func (e *hiddenError) Is(target error) bool { return errors.Is(e.hidden, target) }

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
