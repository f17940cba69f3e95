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
	"bytes"
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

// NewMark returns a mark of the contents, as used for a scope: a project at an endpoint, of which another may take what one refuses.
func (c *Contents) NewMark(scope string) string {
	salt := make([]byte, markSaltBytes)
	_, _ = rand.Read(salt) // never fails
	return c.markWith(hex.EncodeToString(salt), scope)
}

// Fits reports whether a mark is one of these contents for a scope, as far as it tells.
func (c *Contents) Fits(mark, scope string) bool {
	rest, same := strings.CutPrefix(mark, c.markKind())
	salt, _, found := strings.Cut(rest, "-")
	return same && found && len(salt) <= 2*markSaltBytes && c.markWith(salt, scope) == mark
}

// Concerns reports whether a mark is one of the same type of credentials: what becomes of these tells nothing of others.
func (c *Contents) Concerns(mark string) bool { return strings.HasPrefix(mark, c.markKind()) }

func (c *Contents) markKind() string { return string(c.kind) + "-" }

func (c *Contents) markWith(salt, scope string) string {
	sum, err := pbkdf2.Key(sha256.New, string(appendPart(c.secret(), []byte(scope))), []byte(salt), markIterations, sha256.Size)
	if err != nil { // where only approved lengths of salts are: without a mark the next process tries once
		return ""
	}
	return c.markKind() + salt + "-" + hex.EncodeToString(sum[:markBytes])
}

// secret is what is tried: the parts without line ends around them, which change nothing, and without what is not sent.
func (c *Contents) secret() []byte {
	var all []byte
	for _, each := range c.parts {
		if each.name != expiresPart.name {
			all = appendPart(all, bytes.TrimRight(each.value, "\r\n"))
		}
	}
	return all
}
