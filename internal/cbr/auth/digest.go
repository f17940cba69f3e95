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
	"crypto/hmac"
	"crypto/sha256"
	"strconv"
)

// Digest identifies some texts, in their order, for whoever knows the salt.
type Digest [sha256.Size]byte

// NewDigest returns the Digest of texts.
func NewDigest(salt []byte, texts ...[]byte) Digest {
	mac := hmac.New(sha256.New, salt)
	for _, text := range texts {
		mac.Write(strconv.AppendInt(nil, int64(len(text)), 10)) // never fails
		mac.Write([]byte{':'})
		mac.Write(text)
	}
	return Digest(mac.Sum(nil))
}
