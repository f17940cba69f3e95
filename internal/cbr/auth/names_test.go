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

package auth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"backupsync.dev/operator/internal/cbr"
)

// Whoever may write a CBRProject chooses which keys of which Secrets are taken for the names, and must not read them where IAM repeats them.
func TestNamesThatIAMRepeatsAreNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := passwordConfig(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"error": {"code": 401, "message": "The user a-word-of-another of the-domain-of-it is unknown."}}`)
		}))
		config.Username, config.DomainName = []byte("a-word-of-another"), []byte("the-domain-of-it")
		state := fetchedState(newPassword(t, config))
		if cbr.ClassOf(state.Err) != cbr.Credentials {
			t.Fatalf("got %v", state.Err)
		}
		if said := fmt.Sprintf("%+v", state.Err); !strings.Contains(said, "is unknown") || strings.Contains(said, "a-word-of") || strings.Contains(said, "domain-of-it") {
			t.Errorf("got %s", said)
		}
	})
}
