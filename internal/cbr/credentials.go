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
	"context"
	"errors"
	"net/http"
	"strings"
)

const tokenHeader = "X-Auth-Token"

// Credential authenticates requests.
type Credential interface {
	// Authorize adds what authenticates the request: headers, or a signature over the request as it is.
	// An error means that the request must not be sent.
	Authorize(ctx context.Context, request *http.Request) error
}

// Token is an IAM token, sent in the header X-Auth-Token.
type Token struct {
	value *string // a pointer: formatting a struct that holds a Token does not follow it
}

// Why a text is not a token. The messages do not repeat the text.
var (
	ErrEmptyToken   = errors.New("the token is empty")
	ErrInvalidToken = errors.New("the token contains white space or characters that cannot be in an HTTP header")
)

// NewToken makes a Token of a Secret's content: white space around it is trimmed, as a trailing newline is
// common there; anything but printable ASCII inside is refused.
func NewToken(content []byte) (Token, error) {
	value := strings.TrimSpace(string(content))
	if value == "" {
		return Token{}, ErrEmptyToken
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] >= 0x7f {
			return Token{}, ErrInvalidToken
		}
	}
	return Token{value: &value}, nil
}

// Authorize sets the token's header.
func (t Token) Authorize(_ context.Context, request *http.Request) error {
	if t.value == nil {
		return ErrEmptyToken
	}
	request.Header.Set(tokenHeader, *t.value)
	return nil
}

// secretOf returns the text of a credential that must not be seen, "" if it sends none.
func secretOf(credential Credential) string {
	if token, ok := credential.(Token); ok && token.value != nil {
		return *token.value
	}
	return ""
}

// String keeps the token out of logs and messages.
func (t Token) String() string { return "[token]" }

// GoString keeps the token out of logs and messages.
func (t Token) GoString() string { return t.String() }
