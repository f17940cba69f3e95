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
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

const secret = "MIISkAYJKoZIhvcNAQcCoIISgTCCEn0CAQEx+/=="

func TestTextsThatAreNoTokens(t *testing.T) {
	for content, want := range map[string]error{
		"": auth.ErrEmptyToken, " \n\t": auth.ErrEmptyToken,
		"abc def": auth.ErrInvalidToken, "abc\ndef": auth.ErrInvalidToken, "abc\r\nX-Evil: 1": auth.ErrInvalidToken,
		"abc\x00": auth.ErrInvalidToken, "abc\x7f": auth.ErrInvalidToken, "abc\xff": auth.ErrInvalidToken, "abcü": auth.ErrInvalidToken,
	} {
		_, err := auth.NewToken([]byte(content), time.Time{})
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", content, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "abc") {
			t.Errorf("%q: the error repeats the token: %v", content, err)
		}
	}
}

// realTokens are texts as IAM makes them, from keystone's PKI and Fernet tokens to the ones of this cloud.
func realTokens() map[string]string {
	noise := make([]byte, 6000)
	for i := range noise {
		noise[i] = byte(i*i*31 + i*7 + i>>3)
	}
	cms := append([]byte{0x30, 0x82, 0x17, 0x70, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2}, noise...)
	return map[string]string{
		"PKI":              base64.StdEncoding.EncodeToString(cms),
		"PKI for headers":  strings.ReplaceAll(base64.StdEncoding.EncodeToString(cms), "/", "-"),
		"PKI without end":  base64.RawStdEncoding.EncodeToString(cms),
		"Fernet":           base64.URLEncoding.EncodeToString(append([]byte{0x80, 0, 0, 0, 0}, noise[:150]...)),
		"UUID":             "3d4c4ab6e2a94d51b01fd1bd3e3d9cb1",
		"JWT":              "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl",
		"a word":           "demo-token",
		"of the beginning": "MII", "base64 of a text": base64.StdEncoding.EncodeToString([]byte("demo-token")),
		"the longest": strings.Repeat("MIIF", 16<<10),
	}
}

func TestRealTokensAreTaken(t *testing.T) {
	for name, text := range realTokens() {
		for _, content := range []string{text, text + "\n", "\r\n " + text + "\t\r\n"} {
			if _, err := auth.NewToken([]byte(content), time.Time{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func utf16Of(text string, order binary.AppendByteOrder, mark bool) string {
	var encoded []byte
	if mark {
		encoded = order.AppendUint16(encoded, 0xfeff)
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		encoded = order.AppendUint16(encoded, unit)
	}
	return string(encoded)
}

// What people put into a Secret in place of the token is told before a call is spent, and the words hold nothing of it.
func TestTextsThatAreTakenForTokens(t *testing.T) {
	token := realTokens()["PKI"]
	twice := base64.StdEncoding.EncodeToString([]byte(token))
	var wrapped strings.Builder
	for at := 0; at < len(twice); at += 76 {
		wrapped.WriteString(twice[at:min(at+76, len(twice))] + "\n")
	}
	for want, contents := range map[error][]string{
		auth.ErrLongToken: {strings.Repeat("MIIF", 16<<10) + "x", strings.Repeat("M", 1<<20), " " + strings.Repeat("\x00", 1<<20)},
		auth.ErrTokenBOM:  {"\ufeff" + token, "\ufeff" + token + "\r\n", " \ufeff\"" + token + "\""},
		auth.ErrTokenUTF16: {utf16Of(token, binary.LittleEndian, true), utf16Of(token, binary.BigEndian, true), utf16Of(token, binary.LittleEndian, false),
			utf16Of(token+"\r\n", binary.BigEndian, false), utf16Of(token+"\r\n", binary.LittleEndian, true)},
		auth.ErrTokenQuoted: {`"` + token + `"`, `'` + token + `'`, "`" + token + "`", `"` + token, token + `"`, "“" + token + "”", `"` + token + "\"\n"},
		auth.ErrTokenHeader: {"X-Subject-Token: " + token, "x-auth-token:" + token, "X-Auth-Token: " + token + "\r\n", "< X-Subject-Token: " + token,
			"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nX-Subject-Token: " + token + "\r\n\r\n{}", "X-Auth-Token=" + token,
			`"X-Subject-Token": "` + token + `"`},
		auth.ErrTokenJSON: {`{"token":{"expires_at":"2020-01-04T09:05:22.701000Z"}}`, "\n{\n}", `["` + token + `"]`, `{"id":"` + token + `"}`},
		auth.ErrTokenPEM:  {"-----BEGIN CERTIFICATE-----\n" + token + "\n-----END CERTIFICATE-----\n", "-----BEGIN RSA PRIVATE KEY-----" + token},
		auth.ErrTokenTwice64: {twice, twice + "\n", wrapped.String(), base64.StdEncoding.EncodeToString([]byte(token + "\n")), strings.TrimRight(twice, "="),
			base64.StdEncoding.EncodeToString([]byte(realTokens()["Fernet"]))},
	} {
		for _, content := range contents {
			_, err := auth.NewToken([]byte(content), time.Time{})
			if !errors.Is(err, want) {
				t.Errorf("%.60q: got %v, want %v", content, err, want)
			}
			if err != nil && (strings.Contains(err.Error(), token[:8]) || strings.ContainsAny(err.Error(), "\n\r\x00")) {
				t.Errorf("%.60q: the error repeats the text: %v", content, err)
			}
		}
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	token, err := auth.NewToken([]byte(secret), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	config := cbr.Config{Credential: token}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(verb+verb+verb, token, &token, config); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s prints the token", verb)
		}
	}
	if text, err := json.Marshal(map[string]any{"token": token}); err != nil || strings.Contains(string(text), secret) {
		t.Errorf("JSON of the token: %v", err)
	}
}

// Formatting a client does not print the token.
func TestFormattingHidesTheToken(t *testing.T) {
	token, err := auth.NewToken([]byte(secret), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := cbr.NewClient(cbr.Config{Endpoint: "https://cbr.example.com", ProjectID: "p", Credential: token})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{token, client, *client, struct{ Inner any }{token}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, secret[:8]) {
				t.Errorf("%s of a %T: %s", verb, value, text)
			}
		}
	}
}

// What is taken for a token can be sent, and what is not is not repeated.
func FuzzNewToken(f *testing.F) {
	for _, token := range realTokens() {
		f.Add([]byte(token))
	}
	for _, content := range []string{"", "\xff\xfe", "\x00", "a\x00b\x00", "\ufeff", "{", `"`, "X-Auth-Token:", "-----BEGIN ", "TUlJ", "TUlJ\nTUlJ="} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		token, err := auth.NewToken(content, time.Time{})
		if err != nil {
			if text := string(content); len(text) > 30 && strings.Contains(err.Error(), text) {
				t.Errorf("%q is repeated", content)
			}
			return
		}
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://cbr.example.com", nil)
		if err := token.Authorize(t.Context(), request, nil); err != nil {
			t.Fatal(err)
		}
		sent := request.Header.Get("X-Auth-Token")
		if sent != strings.TrimSpace(string(content)) || sent == "" || len(sent) > 64<<10 || strings.ContainsAny(sent, " \r\n\x00") {
			t.Errorf("%q is sent as %q", content, sent)
		}
	})
}
