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
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

const longToken = "MIIFyAYJKoZIhvcNAQcCoIIFuTCCBbUCAQExDTALBglghkgBZQMEAgEwggOW"

func redactorOf(secrets ...string) *Redactor {
	return NewRedactor(func() []string { return secrets })
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
			if got := secret.Hide(c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := secret.HideError(errors.New(c.text)); got.Error() != c.want {
				t.Errorf("got error %q, want %q", got, c.want)
			}
		})
	}
}

func TestHideBoundsTexts(t *testing.T) {
	secret := redactorOf(longToken)
	got := secret.Hide(strings.Repeat("é", 1<<20))
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

// A secret that begins with three bytes that differ from each other's neighbours, and holds what every encoding treats in its own way.
const oddSecret = "p/s+w=rd?>>~\"&<<\\ü' and the rest of it"

// forms are the ways in which a server may repeat a text.
var forms = map[string]func(string) string{
	"as it is":            func(text string) string { return text },
	"base64":              func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
	"base64, no padding":  func(text string) string { return base64.RawStdEncoding.EncodeToString([]byte(text)) },
	"base64 for URLs":     func(text string) string { return base64.URLEncoding.EncodeToString([]byte(text)) },
	"base64 for URLs raw": func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) },
	"basic, one before":   func(text string) string { return base64.StdEncoding.EncodeToString([]byte("u:" + text)) },
	"basic, two before":   func(text string) string { return base64.StdEncoding.EncodeToString([]byte("us:" + text)) },
	"basic, two and more": func(text string) string { return base64.StdEncoding.EncodeToString([]byte("user:" + text)) },
	"within base64":       func(text string) string { return base64.URLEncoding.EncodeToString([]byte("a" + text + "and more")) },
	"hex":                 func(text string) string { return hex.EncodeToString([]byte(text)) },
	"HEX":                 func(text string) string { return strings.ToUpper(hex.EncodeToString([]byte(text))) },
	"a query":             url.QueryEscape,
	"a query in lower":    func(text string) string { return lowerEscapes(url.QueryEscape(text)) },
	"a path":              url.PathEscape,
	"every byte":          everyByte,
	"a path, twice":       func(text string) string { return url.PathEscape(url.PathEscape(text)) },
	"JSON":                func(text string) string { encoded, _ := json.Marshal(text); return string(encoded[1 : len(encoded)-1]) },
	"JSON in JSON":        func(text string) string { return fmt.Sprintf("%q", fmt.Sprintf("%q", text)) },
	"JSON with \\/":       func(text string) string { return strings.ReplaceAll(text, "/", `\/`) },
	"escaped base64":      func(text string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(text))) },
}

func lowerEscapes(text string) string {
	return regexp.MustCompile("%..").ReplaceAllStringFunc(text, strings.ToLower)
}

func everyByte(text string) string {
	var escaped strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&escaped, "%%%02x", c)
	}
	return escaped.String()
}

// What a server repeats of a secret is hidden in each form: at most two characters at either end of base64 may be left, which
// belong to what stands beside the secret, too.
func TestHideForms(t *testing.T) {
	left := regexp.MustCompile(`^[^\[]{0,8}\[redacted\][^\[]{0,14}$`)
	for name, form := range forms {
		for _, secret := range []string{longToken, oddSecret, "8letters", oddSecret[:9], longToken + "+", longToken + "/=="} {
			for _, second := range []string{"", "another secret, which is as long"} {
				redactor := redactorOf(second, secret)
				if got := redactor.Hide(form(secret)); !left.MatchString(got) {
					t.Errorf("%s: %q is %q, and was shown as %q", name, secret, form(secret), got)
				}
				long := strings.Repeat(secret, 1+16/len(secret))
				half := form(long)[len(form(long))/2:]
				if got := redactorOf(second, long).Hide("..." + half + "..."); len(half) > 40 && !strings.Contains(got, hidden) {
					t.Errorf("%s: half of %q was shown as %q", name, secret, got)
				}
			}
		}
	}
}

func TestHideShortSecretsAsAWhole(t *testing.T) {
	for name, form := range forms {
		for _, secret := range []string{"pass", "s3cret", "1234567"} {
			if got := redactorOf(secret).Hide("it is " + form(secret) + "!"); strings.Contains(got, form(secret)) {
				t.Errorf("%s: %q was shown as %q", name, secret, got)
			}
		}
	}
	if got := redactorOf("1234567").Hide("123456, 234567 and MTIzND"); got != "123456, 234567 and MTIzND" {
		t.Errorf("a part of a short secret was taken for it: %q", got)
	}
}

// Hiding keeps the characters beside a secret whole, and never fails.
func TestHideKeepsUTF8(t *testing.T) {
	redactor := redactorOf("ä pässwörd of ünusual characters")
	for _, text := range []string{"öä pässwörd of ü", "¤ pässwörd¤", "%c3%a4%20p%c3%a4ssw%c3%b6rd%", `\u00e4 p\u00e4ssw\u00f6rd\u00`, "\\"} {
		if got := redactor.Hide(text); !utf8.ValidString(got) || strings.Contains(got, "ssw") {
			t.Errorf("%q was shown as %q", text, got)
		}
	}
}

// What is secret changes with renewal. Answers to calls that were sent before may still repeat what was secret then.
func TestHideFollowsTheSecrets(t *testing.T) {
	current, asked := []string{"the first secret"}, 0
	redactor := NewRedactor(func() []string { asked++; return current })
	text := "the first secret, then comes 2nd-secret and a-third-one"
	for i, want := range []string{
		"[redacted], then comes 2nd-secret and a-third-one", "[redacted], then comes [redacted] and a-third-one",
		"the first secret, then comes [redacted] and [redacted]", "the first secret, then comes 2nd-secret and [redacted]",
	} {
		current = [][]string{{"the first secret"}, {"2nd-secret"}, {"a-third-one"}, nil}[i]
		for range 2 {
			if got := redactor.Hide(text); got != want {
				t.Errorf("after %d changes: %q, want %q", i, got, want)
			}
		}
	}
	cut := redactor.cut()
	if redactor.cut() != cut || asked == 0 {
		t.Error("the same secrets are cut again")
	}
}

// An id of random digits must never be taken for a secret: the task that has it would go unseen. Of so many tasks some have digits
// of a long secret by chance.
func TestBetraysNoRandomID(t *testing.T) {
	var digits, letters strings.Builder
	for i := range 100 {
		sum := sha256.Sum256([]byte{byte(i)})
		digits.WriteString(hex.EncodeToString(sum[:]))
		letters.WriteString(base64.StdEncoding.EncodeToString(sum[:]))
	}
	redactor := redactorOf(digits.String(), letters.String())
	encoded := hex.EncodeToString([]byte(letters.String()))
	for _, text := range []string{digits.String(), encoded} {
		for at := 0; at+16 <= len(text); at++ {
			for _, id := range []string{text[at:at+8] + "-d9ba-4e91-a3e2-" + text[at:at+12], "task-" + text[at:at+15]} {
				if redactor.betrays(id) {
					t.Fatalf("%s is taken for a part of a secret", id)
				}
			}
		}
		if id := "task-" + text[17:34]; !redactor.betrays(id) {
			t.Errorf("%s is not taken for a part of a secret", id)
		}
	}
}

func TestBetraysEncodedSecrets(t *testing.T) {
	for _, name := range []string{"as it is", "base64", "base64 for URLs", "basic, one before", "basic, two before", "hex"} {
		form := forms[name](longToken)
		for at := 0; at+20 <= len(form); at++ {
			if id := "task-" + form[at:at+20]; !redactorOf(longToken).betrays(id) {
				t.Errorf("%s: %s", name, id)
			}
		}
	}
}

func FuzzHide(f *testing.F) {
	for name, form := range forms {
		f.Add(longToken, form(longToken)[3:], name)
		f.Add("s3cret", form("s3cret"), oddSecret)
	}
	f.Fuzz(func(t *testing.T, first, text, second string) {
		got := redactorOf(first, second).Hide(text)
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("%q is no text any more: %q", text, got)
		}
		for _, secret := range []string{first, second} {
			if strings.ContainsAny(secret, "redact[]") { // may stand in what takes its place
				continue
			}
			for at := 0; at+pieceLength <= len(secret); at++ {
				if piece := secret[at : at+pieceLength]; strings.Contains(got, piece) {
					t.Errorf("%q is shown of %q in %q", piece, text, got)
				}
			}
		}
	})
}

func BenchmarkHide(b *testing.B) {
	for _, size := range []int{40, 6 << 10, 64 << 10} {
		secret := make([]byte, size)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range secret {
			secret[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random.IntN(64)]
		}
		redactor := redactorOf(string(secret))
		text := strings.Repeat("Policy doesn't allow cbr:backups:sync to be performed. ", 4)
		b.Run(fmt.Sprintf("cut %d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				redactor.pieces = nil
				_ = redactor.cut()
			}
		})
		b.Run(fmt.Sprintf("text %d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = redactor.Hide(text)
			}
		})
		b.Run(fmt.Sprintf("id %d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = redactor.betrays("154f0a9d-ba53-4e91-a3e2-a918710a9e0d")
			}
		})
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
