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

package cbr_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf16"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

const secret = "MIISkAYJKoZIhvcNAQcCoIISgTCCEn0CAQEx+/=="

func TestTokenIsTrimmed(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Tokens: []string{secret}})
	for _, content := range []string{secret, secret + "\n", secret + "\r\n", " \t\n" + secret + " \n\n"} {
		client := newClient(t, configFor(t, server.URL, content, ""))
		if _, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{}); err != nil {
			t.Errorf("%q: %v", strings.ReplaceAll(content, secret, "TOKEN"), err)
		}
	}
}

func TestTextsThatAreNoTokens(t *testing.T) {
	for content, want := range map[string]error{
		"": cbr.ErrEmptyToken, " \n\t": cbr.ErrEmptyToken,
		"abc def": cbr.ErrInvalidToken, "abc\ndef": cbr.ErrInvalidToken, "abc\r\nX-Evil: 1": cbr.ErrInvalidToken,
		"abc\x00": cbr.ErrInvalidToken, "abc\x7f": cbr.ErrInvalidToken, "abc\xff": cbr.ErrInvalidToken, "abcü": cbr.ErrInvalidToken,
	} {
		_, err := cbr.NewToken([]byte(content))
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
			if _, err := cbr.NewToken([]byte(content)); err != nil {
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
		cbr.ErrLongToken: {strings.Repeat("MIIF", 16<<10) + "x", strings.Repeat("M", 1<<20), " " + strings.Repeat("\x00", 1<<20)},
		cbr.ErrTokenBOM:  {"\ufeff" + token, "\ufeff" + token + "\r\n", " \ufeff\"" + token + "\""},
		cbr.ErrTokenUTF16: {utf16Of(token, binary.LittleEndian, true), utf16Of(token, binary.BigEndian, true), utf16Of(token, binary.LittleEndian, false),
			utf16Of(token+"\r\n", binary.BigEndian, false), utf16Of(token+"\r\n", binary.LittleEndian, true)},
		cbr.ErrTokenQuoted: {`"` + token + `"`, `'` + token + `'`, "`" + token + "`", `"` + token, token + `"`, "“" + token + "”", `"` + token + "\"\n"},
		cbr.ErrTokenHeader: {"X-Subject-Token: " + token, "x-auth-token:" + token, "X-Auth-Token: " + token + "\r\n", "< X-Subject-Token: " + token,
			"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nX-Subject-Token: " + token + "\r\n\r\n{}", "X-Auth-Token=" + token,
			`"X-Subject-Token": "` + token + `"`},
		cbr.ErrTokenJSON: {`{"token":{"expires_at":"2020-01-04T09:05:22.701000Z"}}`, "\n{\n}", `["` + token + `"]`, `{"id":"` + token + `"}`},
		cbr.ErrTokenPEM:  {"-----BEGIN CERTIFICATE-----\n" + token + "\n-----END CERTIFICATE-----\n", "-----BEGIN RSA PRIVATE KEY-----" + token},
		cbr.ErrTokenTwice64: {twice, twice + "\n", wrapped.String(), base64.StdEncoding.EncodeToString([]byte(token + "\n")), strings.TrimRight(twice, "="),
			base64.StdEncoding.EncodeToString([]byte(realTokens()["Fernet"]))},
	} {
		for _, content := range contents {
			_, err := cbr.NewToken([]byte(content))
			if !errors.Is(err, want) {
				t.Errorf("%.60q: got %v, want %v", content, err, want)
			}
			if err != nil && (strings.Contains(err.Error(), token[:8]) || strings.ContainsAny(err.Error(), "\n\r\x00")) {
				t.Errorf("%.60q: the error repeats the text: %v", content, err)
			}
		}
	}
}

func TestWithoutCredentialNothingIsSent(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	config := server.Config(t)
	config.Credential = cbr.Token{}
	client := newClient(t, config)
	for operation, call := range operations {
		got := failure(t, call(t.Context(), client))
		if got.Class != cbr.Credentials || !got.Untouched || !errors.Is(got, cbr.ErrEmptyToken) {
			t.Errorf("%s: got %+v, want Credentials and Untouched", operation, got)
		}
	}
	if got := len(server.Ledger()); got != 0 {
		t.Errorf("%d calls were sent", got)
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	token, err := cbr.NewToken([]byte(secret))
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

func TestErrorsDoNotRepeatTheToken(t *testing.T) {
	echo := func(status int, format string) http.HandlerFunc {
		return func(writer http.ResponseWriter, request *http.Request) {
			token := request.Header.Get("X-Auth-Token")
			if status != http.StatusOK { // see TestRequestIDOfAnAnswerThatCannotBeReadDoesNotRepeatTheToken
				writer.Header().Set("X-Request-Id", "id-"+token)
			}
			writer.WriteHeader(status)
			_, _ = writer.Write([]byte(strings.ReplaceAll(format, "TOKEN", token)))
		}
	}
	handlers := map[string]http.HandlerFunc{
		"message":     echo(401, `{"error_code":"APIGW.0301","error_msg":"decrypt TOKEN: TOKEN failed"}`),
		"code":        echo(400, `{"error_code":"TOKEN","error_msg":"m"}`),
		"request id":  echo(500, `{"error_code":"c","error_msg":"m","request_id":"TOKEN"}`),
		"HTML":        echo(502, `<html>TOKEN</html>`),
		"a 200":       echo(200, `TOKEN`),
		"an odd list": echo(200, `{"sync":"TOKEN","operation_logs":"TOKEN","backups":"TOKEN","backup":"TOKEN","operation_log":"TOKEN"}`),
		"redirect": func(writer http.ResponseWriter, request *http.Request) {
			writer.Header().Set("Location", "http://127.0.0.1:1/?"+request.Header.Get("X-Auth-Token"))
			writer.WriteHeader(http.StatusFound)
		},
		"redirect to nonsense": func(writer http.ResponseWriter, request *http.Request) {
			writer.Header().Set("Location", "http://[::1/"+request.Header.Get("X-Auth-Token"))
			writer.WriteHeader(http.StatusFound)
		},
		"no HTTP": func(writer http.ResponseWriter, request *http.Request) {
			connection, _, _ := writer.(http.Hijacker).Hijack()
			defer connection.Close()
			_, _ = fmt.Fprintf(connection, "NOT HTTP %s\r\n\r\n", request.Header.Get("X-Auth-Token"))
		},
	}
	for name, handler := range handlers {
		server := httptest.NewServer(handler)
		client := newClient(t, configFor(t, server.URL, secret, ""))
		for operation, call := range operations {
			got := failure(t, call(t.Context(), client))
			if text := fmt.Sprintf("%v %+v %v", got, *got, got.Err); strings.Contains(text, secret) {
				t.Errorf("%s, %s: the error repeats the token", name, operation)
			}
		}
		server.Close()
		got := failure(t, operations[cbr.OperationImport](t.Context(), client))
		if strings.Contains(got.Error(), secret) {
			t.Errorf("%s: the error of a refused connection repeats the token", name)
		}
	}
}

func TestRequestIDOfAnAnswerThatCannotBeReadDoesNotRepeatTheToken(t *testing.T) {
	client := clientOf(t, func(writer http.ResponseWriter, request *http.Request) {
		writer.Header().Set("X-Request-Id", "id-"+request.Header.Get("X-Auth-Token"))
	})
	for operation, call := range operations {
		if got := failure(t, call(t.Context(), client)); strings.Contains(got.Error(), cbrtest.Token) {
			t.Errorf("%s: the error repeats the token", operation)
		}
	}
}

func TestEchoedTokenIsReplacedAndTheRestKept(t *testing.T) {
	client := clientOf(t, func(writer http.ResponseWriter, request *http.Request) {
		writer.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(writer, `{"error_code":"APIGW.0301","error_msg":"token %s expired"}`, request.Header.Get("X-Auth-Token"))
	})
	got := failure(t, operations[cbr.OperationImport](t.Context(), client))
	if got.Message != "token [redacted] expired" || got.Code != "APIGW.0301" {
		t.Errorf("got %+v", got)
	}
}

func TestTokenDoesNotTravelInTheURL(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	client := newClient(t, configFor(t, "http://"+address, secret, ""))
	if got := failure(t, operations[cbr.OperationListTasks](t.Context(), client)); strings.Contains(got.Error(), secret) || !strings.Contains(got.Error(), address) {
		t.Errorf("got %v, want the address without the token", got)
	}
}
