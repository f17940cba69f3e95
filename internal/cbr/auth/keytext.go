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
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// keyPart is one of the texts of an access key, as people call it.
type keyPart string

const (
	accessKeyID     keyPart = "access key ID"
	secretAccessKey keyPart = "secret access key"
	securityToken   keyPart = "security token"
)

// Why a text is not a part of an access key, in words that follow "the secret access key" and tell what to do. They do not repeat
// the text.
var (
	ErrKeyEmpty   = errors.New("is empty")
	ErrKeyLong    = fmt.Errorf("is longer than %d KiB, which no key is", maxContent>>10)
	ErrKeyUTF16   = errors.New("is text in UTF-16; save it as plain ASCII")
	ErrKeyBOM     = errors.New("begins with a byte order mark; save it as plain ASCII without one")
	ErrKeyQuoted  = errors.New("stands in quotation marks; leave them out")
	ErrKeyHeader  = errors.New("is the line of a header; put the key itself there, with which requests are signed")
	ErrKeyJSON    = errors.New("is JSON; put each of its values under a key of its own")
	ErrKeyPEM     = errors.New("is a certificate or key in PEM; put an access key (AK/SK) there")
	ErrKeyCSV     = errors.New("is a line of the file credentials.csv, or all of it; put each of its columns under a key of its own")
	ErrKeyNamed   = errors.New("stands behind its name; put only the value there")
	ErrKeyToken   = errors.New("is an IAM token; use credentials.type Token for it")
	ErrKeyTwice64 = errors.New("is base64-encoded twice; put it under data encoded once, or under stringData as it is")
	ErrKeyInvalid = errors.New("contains white space or characters that no key has")
)

// Errors of keys that are good each by itself.
var (
	ErrKeysSwapped = errors.New("the access key ID and the secret access key are swapped: the longer one is the secret")
	ErrKeysSame    = errors.New("the access key ID and the secret access key are the same text")
)

var keyMistakes = map[mistake]error{
	inUTF16: ErrKeyUTF16, withMark: ErrKeyBOM, isHeader: ErrKeyHeader, isPEM: ErrKeyPEM,
	isJSON: ErrKeyJSON, quoted: ErrKeyQuoted, unprintable: ErrKeyInvalid,
}

// The lengths of permanent keys. Others are taken, too: they only help to tell what a text is.
const (
	usualAccessLength = 20
	usualSecretLength = 40
	// leastTokenLength is the length from which a text that begins as IAM's tokens do is one.
	leastTokenLength = 100
)

var (
	// csvTitles finds the console's credentials.csv by its first line, csvRow finds one of its rows.
	csvTitles = regexp.MustCompile(`(?i)access key id|secret access key`)
	csvRow    = regexp.MustCompile(`^[^,\r\n]*,[^,\r\n]*,`)
	// namedValue finds a value behind its name, as in an environment file or in YAML.
	namedValue = regexp.MustCompile(`(?i)^(export\s+)?[a-z_.-]*(access|secret|key|token|ak|sk)[a-z_.-]*\s*[:=]\s*\S`)
	plainKey   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// readKey reads one part of an access key.
func readKey(part keyPart, content []byte) (sealed, error) {
	content = bytes.TrimSpace(content)
	if err := keyMistake(part, content); err != nil {
		return sealed{}, fmt.Errorf("the %s %w", part, err)
	}
	return seal(string(content)), nil
}

func keyMistake(part keyPart, content []byte) error {
	if len(content) == 0 {
		return ErrKeyEmpty
	}
	found := mistakeIn(content)
	switch {
	case found == tooLong:
		return ErrKeyLong
	case csvTitles.Match(content):
		return ErrKeyCSV
	case found != noMistake && found != unprintable && found != quoted:
		return keyMistakes[found]
	case csvRow.Match(content):
		return ErrKeyCSV
	case found == quoted, part == securityToken: // which is base64, whatever it begins with
		return keyMistakes[found]
	}
	return wrongKey(part, content)
}

// wrongKey returns what is wrong with a text that is no credential of another kind.
func wrongKey(part keyPart, content []byte) error {
	switch {
	case namedValue.Match(content):
		return ErrKeyNamed
	case len(content) >= leastTokenLength && bytes.HasPrefix(content, []byte("MII")):
		return ErrKeyToken
	case encodedKey(part, content):
		return ErrKeyTwice64
	case !printable(content), part == accessKeyID && !plainKey.Match(content): // it is followed by a comma in the header
		return ErrKeyInvalid
	}
	return nil
}

// encodedKey reports whether a text is base64 of a key of the usual length.
func encodedKey(part keyPart, content []byte) bool {
	length := usualSecretLength
	if part == accessKeyID {
		length = usualAccessLength
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(string(content), "="))
	decoded = bytes.TrimSpace(decoded)
	return err == nil && len(decoded) == length && plainKey.Match(decoded)
}

// confused returns what is wrong with two keys that are good each by itself.
func confused(access, secret string) error {
	switch {
	case access == secret:
		return ErrKeysSame
	case len(access) == usualSecretLength && len(secret) == usualAccessLength:
		return ErrKeysSwapped
	}
	return nil
}
