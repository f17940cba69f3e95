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
	"regexp"
	"strings"
	"time"
)

const tokenHeader = "X-Auth-Token"

// maxTokenLength bounds a token, in bytes. IAM's take several KB, and servers refuse headers of more than 8 to 64 KB.
const maxTokenLength = 64 << 10

// Token is an IAM token, sent in the header X-Auth-Token.
type Token struct {
	value   *string // a pointer: formatting a struct that holds a Token does not follow it
	expires time.Time
}

// Why a text is not a token, in words that tell what to do. They do not repeat the text.
var (
	ErrEmptyToken   = errors.New("the token is empty")
	ErrInvalidToken = errors.New("the token contains white space or characters that cannot be in an HTTP header")
	ErrLongToken    = fmt.Errorf("it is longer than %d KiB, which no token is", maxTokenLength>>10)
	ErrTokenUTF16   = errors.New("it is text in UTF-16; save the token as plain ASCII")
	ErrTokenBOM     = errors.New("it begins with a byte order mark; save the token as plain ASCII without one")
	ErrTokenQuoted  = errors.New("the token stands in quotation marks; leave them out")
	ErrTokenHeader  = errors.New("it holds the line of a header; put only the value that follows X-Subject-Token: there")
	ErrTokenJSON    = errors.New("it is JSON, such as the body of IAM's answer; the token is the value of the answer's header X-Subject-Token")
	ErrTokenPEM     = errors.New("it is a certificate or key in PEM; put an IAM token there")
	ErrTokenTwice64 = errors.New("the token is base64-encoded twice; put it under data encoded once, or under stringData as it is")
)

// headerLine finds the line of a header that carries a token, as tools print it.
var headerLine = regexp.MustCompile(`(?im)^[<>*\s]*"?X-(Subject|Auth)-Token"?\s*[:=]`)

// NewToken makes a Token of a Secret's content: white space around it is trimmed, as a trailing newline is
// common there; anything but printable ASCII inside is refused. Texts that are commonly taken for a token are told apart.
// expires is when the token ends, the zero time if that is not known.
func NewToken(content []byte, expires time.Time) (Token, error) {
	content = bytes.TrimSpace(content)
	switch {
	case len(content) == 0:
		return Token{}, ErrEmptyToken
	case len(content) > maxTokenLength:
		return Token{}, ErrLongToken
	}
	if err := mistaken(content); err != nil {
		return Token{}, err
	}
	if bytes.ContainsFunc(content, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return Token{}, ErrInvalidToken
	}
	value := string(content)
	return Token{value: &value, expires: expires}, nil
}

// Authorize sets the token's header.
func (t Token) Authorize(_ context.Context, request *http.Request, _ []byte) error {
	if t.value == nil {
		return ErrEmptyToken
	}
	request.Header.Set(tokenHeader, *t.value)
	return nil
}

// Secrets returns the token.
func (t Token) Secrets() []string {
	if t.value == nil {
		return nil
	}
	return []string{*t.value}
}

// Expiry returns when the token ends, the zero time if that is not known.
func (t Token) Expiry() time.Time { return t.expires }

// Renews reports that a token does not renew itself.
func (Token) Renews() bool { return false }

// String keeps the token out of logs and messages.
func (t Token) String() string { return "[token]" }

// GoString keeps the token out of logs and messages.
func (t Token) GoString() string { return t.String() }

// mistaken returns what a text is that is no token, if that is known.
func mistaken(content []byte) error {
	switch first, last := content[0], content[len(content)-1]; {
	case bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")), zeroBytes(content):
		return ErrTokenUTF16
	case bytes.HasPrefix(content, []byte("\xef\xbb\xbf")):
		return ErrTokenBOM
	case headerLine.Match(content):
		return ErrTokenHeader
	case bytes.Contains(content, []byte("-----BEGIN ")):
		return ErrTokenPEM
	case first == '{' || first == '[':
		return ErrTokenJSON
	case quotes(first) || quotes(last), bytes.HasPrefix(content, []byte("“")), bytes.HasSuffix(content, []byte("”")):
		return ErrTokenQuoted
	case encodedToken(content):
		return ErrTokenTwice64
	}
	return nil
}

func quotes(c byte) bool { return c == '"' || c == '\'' || c == '`' }

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
	return isToken && !bytes.ContainsFunc(decoded, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
