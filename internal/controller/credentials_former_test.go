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

package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr/auth"
)

// Whoever may write a Secret may replace it all day, by texts as long as they are taken: what is kept of them for hiding is bounded, by
// their number and by their length, and the latest is kept.
func TestFormerSecretsAreFewAndShort(t *testing.T) {
	for length, want := range map[int]int{100: maxFormer, 1 << 10: maxFormer, 10 << 10: 6, 60 << 10: 1, 64 << 10: 1} {
		var former formerCredentials
		for i := range maxFormer + 8 {
			begin := fmt.Sprintf("token-%04d-", i)
			token, err := auth.NewToken([]byte(begin+strings.Repeat("x", length-len(begin))), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			former.add(heldCredential{Credential: token, hash: begin}, noon.Time)
		}
		secrets := former.secrets()
		if len(secrets) != want || len(former.held) != want {
			t.Errorf("%d secrets of %d bytes are kept, want %d", len(secrets), length, want)
		}
		for i, secret := range secrets {
			if latest := fmt.Sprintf("token-%04d-", maxFormer+7-i); !strings.HasPrefix(secret, latest) {
				t.Errorf("of %d bytes: number %d is %.11s, want %s", length, i, secret, latest)
			}
		}
	}
}
