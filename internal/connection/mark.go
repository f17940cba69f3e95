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

package connection

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// A mark tells the next process which contents were refused, and as little else as possible, as a status is read by many: it is the
// beginning of a slow hash with a salt of its own. One of 65,536 other contents has the same mark.
const (
	markSaltBytes  = 8
	markBytes      = 2
	markIterations = 100_000
)

// NewMark returns a mark of the contents.
func (c *Contents) NewMark() string {
	salt := make([]byte, markSaltBytes)
	_, _ = rand.Read(salt) // never fails
	return c.markWith(hex.EncodeToString(salt))
}

// Fits reports whether a mark is one of these contents, as far as it tells.
func (c *Contents) Fits(mark string) bool {
	salt, _, found := strings.Cut(strings.TrimPrefix(mark, c.markKind()), "-")
	return found && c.Concerns(mark) && len(salt) <= 2*markSaltBytes && c.markWith(salt) == mark
}

// Concerns reports whether a mark is one of the same type of credentials: what becomes of these tells nothing of others.
func (c *Contents) Concerns(mark string) bool { return strings.HasPrefix(mark, c.markKind()) }

func (c *Contents) markKind() string { return string(c.kind) + "-" }

func (c *Contents) markWith(salt string) string {
	sum, err := pbkdf2.Key(sha256.New, string(c.Bytes()), []byte(salt), markIterations, sha256.Size)
	if err != nil { // where only approved lengths of salts are: without a mark the next process tries once
		return ""
	}
	return c.markKind() + salt + "-" + hex.EncodeToString(sum[:markBytes])
}
