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
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const tokenHeader = "X-Auth-Token"

// Token is an IAM token, sent in the header X-Auth-Token.
type Token struct {
	value   sealed
	expires time.Time
}

// Why a text is not a token, in words that tell what to do. They do not repeat the text.
var (
	ErrEmptyToken   = errors.New("the token is empty")
	ErrInvalidToken = errors.New("the token contains white space or characters that cannot be in an HTTP header")
	ErrLongToken    = fmt.Errorf("it is longer than %d KiB, which no token is", maxContent>>10)
	ErrTokenUTF16   = errors.New("it is text in UTF-16; save the token as plain ASCII")
	ErrTokenBOM     = errors.New("it begins with a byte order mark; save the token as plain ASCII without one")
	ErrTokenQuoted  = errors.New("the token stands in quotation marks; leave them out")
	ErrTokenHeader  = errors.New("it holds the line of a header; put only the value that follows X-Subject-Token: there")
	ErrTokenJSON    = errors.New("it is JSON, such as the body of IAM's answer; the token is the value of the answer's header X-Subject-Token")
	ErrTokenPEM     = errors.New("it is a certificate or key in PEM; put an IAM token there")
	ErrTokenTwice64 = errors.New("the token is base64-encoded twice; put it under data encoded once, or under stringData as it is")
)

var tokenMistakes = map[mistake]error{
	tooLong: ErrLongToken, inUTF16: ErrTokenUTF16, withMark: ErrTokenBOM, isHeader: ErrTokenHeader, isPEM: ErrTokenPEM,
	isJSON: ErrTokenJSON, quoted: ErrTokenQuoted, unprintable: ErrInvalidToken,
}

// NewToken makes a Token of a Secret's content: white space around it is trimmed, as a trailing newline is
// common there; anything but printable ASCII inside is refused. Texts that are commonly taken for a token are told apart.
// expires is when the token ends, the zero time if that is not known.
func NewToken(content []byte, expires time.Time) (Token, error) {
	content = bytes.TrimSpace(content)
	if len(content) == 0 {
		return Token{}, ErrEmptyToken
	}
	found := mistakeIn(content)
	if (found == noMistake || found == unprintable) && encodedToken(content) {
		return Token{}, ErrTokenTwice64
	}
	if found != noMistake {
		return Token{}, tokenMistakes[found]
	}
	return Token{value: seal(string(content)), expires: expires}, nil
}

// Authorize sets the token's header.
func (t Token) Authorize(_ context.Context, request *http.Request, _ []byte) error {
	if t.value.open() == "" {
		return ErrEmptyToken
	}
	request.Header.Set(tokenHeader, t.value.open())
	return nil
}

// Secrets returns the token.
func (t Token) Secrets() []string {
	if t.value.open() == "" {
		return nil
	}
	return []string{t.value.open()}
}

// Expiry returns when the token ends, the zero time if that is not known.
func (t Token) Expiry() time.Time { return t.expires }

// Renews reports that a token does not renew itself.
func (Token) Renews() bool { return false }

// Retry does nothing: a token that was refused locks nothing, and is tried again anyway.
func (Token) Retry() {}

// String keeps the token out of logs and messages.
func (t Token) String() string { return "[token]" }

// GoString keeps the token out of logs and messages.
func (t Token) GoString() string { return t.String() }

// encodedToken reports whether a text is base64 of a token. A token as IAM makes it begins with "MII", or with "gAAAA" in older
// clouds, and is base64 itself, but of bytes that are no text. It is never taken for one that is encoded once more.
func encodedToken(content []byte) bool {
	packed := strings.TrimRight(string(bytes.Join(bytes.Fields(content), nil)), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(packed)
	if err != nil {
		return false
	}
	decoded = bytes.TrimSpace(decoded)
	isToken := bytes.HasPrefix(decoded, []byte("MII")) || bytes.HasPrefix(decoded, []byte("gAAAA"))
	return isToken && printable(decoded)
}
