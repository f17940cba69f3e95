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
	"bytes"
	"errors"
	"log"
	"strings"
	"testing"
	"unicode/utf8"
)

const longToken = "MIIFyAYJKoZIhvcNAQcCoIIFuTCCBbUCAQExDTALBglghkgBZQMEAgEwggOW"

func redactorOf(secrets ...string) *redactor {
	return newRedactor(func() []string { return secrets })
}

func TestHide(t *testing.T) {
	for name, c := range map[string]struct{ secret, text, want string }{
		"nothing to hide":                {longToken, "the token has expired", "the token has expired"},
		"the whole":                      {longToken, "token " + longToken + " expired", "token [redacted] expired"},
		"its beginning":                  {longToken, "token " + longToken[:20] + "... expired", "token [redacted]... expired"},
		"its end":                        {longToken, longToken[40:] + " expired", "[redacted] expired"},
		"two pieces":                     {longToken, longToken[:12] + "..." + longToken[50:], "[redacted]...[redacted]"},
		"pieces too short to be told by": {longToken, "token " + longToken[:7] + "...", "token " + longToken[:7] + "..."},
		"no credential":                  {"", "token abc", "token abc"},
		"a short one":                    {"abc", "token abc", "token [redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			secret := redactorOf(c.secret)
			if got := secret.hide(c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := secret.hideError(errors.New(c.text)); got.Error() != c.want {
				t.Errorf("got error %q, want %q", got, c.want)
			}
		})
	}
}

func TestHideBoundsTexts(t *testing.T) {
	secret := redactorOf(longToken)
	got := secret.hide(strings.Repeat("é", 1<<20))
	if len(got) > maxText || !utf8.ValidString(got) {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestBetrays(t *testing.T) {
	secret := redactorOf(longToken)
	if !secret.betrays("task-"+longToken[10:20]) || secret.betrays("154f0a9d-ba53-4e91-a3e2-a918710a9e0d") {
		t.Error("an id is told from a secret by its pieces")
	}
	if short := redactorOf("demo-token"); short.betrays("demo-token-task-1") {
		t.Error("a short secret may be a word of an id")
	}
}

func TestQuietLog(t *testing.T) {
	var written bytes.Buffer
	logger := log.New(QuietLog(&written), "", 0)
	logger.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", longToken, nil)
	logger.Print("http: something else")
	if written.String() != "http: something else\n" {
		t.Errorf("got %q", written.String())
	}
}
