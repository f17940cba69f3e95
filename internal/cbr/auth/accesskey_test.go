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

	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// Keys as the cloud makes them.
const (
	accessKey = "A1B2C3D4E5F6G7H8I9J0"
	secretKey = "abcdefghij0123456789KLMNOPQRSTUVWXYZabcd"
)

var signedAt = time.Date(2019, 11, 15, 3, 36, 55, 0, time.UTC)

func newKey(t *testing.T, config auth.AccessKeyConfig) *auth.AccessKey {
	t.Helper()
	if config.Clock == nil {
		config.Clock = clocktesting.NewFakePassiveClock(signedAt)
	}
	key, err := auth.NewAccessKey(config)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t *testing.T, key *auth.AccessKey, method, url, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Authorize(t.Context(), request, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return request
}

// The vector of the documentation, which the vendor's SDK signs likewise.
func TestSignatureOfTheVector(t *testing.T) {
	for name, edge := range map[string]string{"as they are": "", "with the newline of a Secret": "\r\n", "with spaces": " "} {
		key := newKey(t, auth.AccessKeyConfig{Access: []byte(edge + "AKEXAMPLE" + edge), Secret: []byte("SKEXAMPLE" + edge), ProjectID: "p1"})
		request := signed(t, key, http.MethodPost, "https://cbr.cn-north-4.myhuaweicloud.com/v3/p1/backups/sync", "{\"sync\":[]}\n")
		for header, want := range map[string]string{
			"X-Sdk-Date": "20191115T033655Z", "X-Project-Id": "p1", "X-Security-Token": "",
			"Authorization": "SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=host;x-project-id;x-sdk-date, " +
				"Signature=d68950b1db7ec1beb1f3d05708ef342a6b3fc6d088618f01c860fe2635724e7a",
		} {
			if got := request.Header.Get(header); got != want {
				t.Errorf("keys %s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
}

func TestWhatIsSigned(t *testing.T) {
	config := auth.AccessKeyConfig{Access: []byte(accessKey), Secret: []byte(secretKey), ProjectID: "p1"}
	temporary := config
	temporary.SecurityToken = []byte("session\n")
	const url = "https://cbr.example.com/v3/p1/backups"
	request := signed(t, newKey(t, temporary), http.MethodGet, url, "")
	if request.Header.Get("X-Security-Token") != "session" || !strings.Contains(request.Header.Get("Authorization"), "=host;x-project-id;x-sdk-date;x-security-token,") {
		t.Errorf("a temporary key sends %v", request.Header)
	}
	noProject := config
	noProject.ProjectID = ""
	seen := map[string]string{}
	for name, request := range map[string]*http.Request{
		"plain":     signed(t, newKey(t, config), http.MethodGet, url, ""),
		"method":    signed(t, newKey(t, config), http.MethodPost, url, ""),
		"path":      signed(t, newKey(t, config), http.MethodGet, url+"/1", ""),
		"query":     signed(t, newKey(t, config), http.MethodGet, url+"?limit=1", ""),
		"host":      signed(t, newKey(t, config), http.MethodGet, "https://cbr.example.com:8443/v3/p1/backups", ""),
		"body":      signed(t, newKey(t, config), http.MethodGet, url, "{}"),
		"no id":     signed(t, newKey(t, noProject), http.MethodGet, url, ""),
		"temporary": request,
	} {
		authorization := request.Header.Get("Authorization")
		signature := authorization[strings.LastIndex(authorization, "=")+1:]
		if other, found := seen[signature]; found {
			t.Errorf("%s and %s have the same signature", name, other)
		}
		seen[signature] = name
	}
	if again := signed(t, newKey(t, config), http.MethodGet, url, "").Header.Get("Authorization"); seen[again[strings.LastIndex(again, "=")+1:]] != "plain" {
		t.Error("the same request has two signatures")
	}
}

// Names and values of a query are sorted and escaped before they are signed, so that how they were written does not matter.
func TestQueryIsSignedInOneForm(t *testing.T) {
	key := newKey(t, auth.AccessKeyConfig{Access: []byte(accessKey), Secret: []byte(secretKey)})
	want := ""
	for _, query := range []string{"a=1&a=2&b=x+y&c=~%2F", "c=%7e/&b=x%20y&a=2&a=1", "a=2&b=x%20y&c=%7E%2f&a=1"} {
		got := signed(t, key, http.MethodGet, "https://cbr.example.com/v3?"+query, "").Header.Get("Authorization")
		if want != "" && got != want {
			t.Errorf("%s is signed in another way", query)
		}
		want = got
	}
}

// What people put into a Secret in place of a key is told before a call is spent on it, and the words hold nothing of it.
func TestTextsThatAreNoKeys(t *testing.T) {
	csv := "User Name,Access Key Id,Secret Access Key\r\nmaintainer," + accessKey + "," + secretKey + "\r\n"
	token := realTokens()["PKI"]
	both := map[error][]string{
		auth.ErrKeyEmpty:  {"", " \r\n\t"},
		auth.ErrKeyLong:   {strings.Repeat("A", 64<<10+1), strings.Repeat("\x00", 1<<20)},
		auth.ErrKeyBOM:    {"\ufeff" + secretKey},
		auth.ErrKeyUTF16:  {utf16Of(secretKey, binary.LittleEndian, true), utf16Of(secretKey, binary.BigEndian, false), utf16Of(csv, binary.LittleEndian, true)},
		auth.ErrKeyQuoted: {`"` + secretKey + `"`, "'" + secretKey + "'\n", "“" + secretKey + "”", secretKey + `"`},
		auth.ErrKeyHeader: {"X-Auth-Token: " + secretKey, "Authorization: SDK-HMAC-SHA256 Access=" + accessKey + ", SignedHeaders=host, Signature=00",
			"x-security-token=" + secretKey, "GET / HTTP/1.1\r\nX-Sdk-Date: 20191115T033655Z"},
		auth.ErrKeyJSON: {`{"access":"` + accessKey + `","secret":"` + secretKey + `","securitytoken":""}`, `["` + secretKey + `"]`},
		auth.ErrKeyPEM:  {"-----BEGIN PRIVATE KEY-----\n" + secretKey},
		auth.ErrKeyCSV: {csv, "\ufeff" + csv, strings.ReplaceAll(csv, ",", "\t"), "maintainer," + accessKey + "," + secretKey,
			`"User Name","Access Key Id","Secret Access Key"` + "\n" + `"maintainer","` + accessKey + `","` + secretKey + `"`},
	}
	keys := map[error][]string{
		auth.ErrKeyNamed:   {"HUAWEICLOUD_SDK_SK=" + secretKey, "export OS_SECRET_KEY=" + secretKey, "secretKey: " + secretKey, "SK:" + secretKey},
		auth.ErrKeyToken:   {token},
		auth.ErrKeyInvalid: {"abc def", "abc\ndef", "abc\r\nX-Evil: 1", "abc\x00", "abc\x7f", "abcü", "abc\xff"},
	}
	good := auth.AccessKeyConfig{Access: []byte(accessKey), Secret: []byte(secretKey)}
	refused := func(want error, content, part string, change func(*auth.AccessKeyConfig)) {
		t.Helper()
		config := good
		change(&config)
		_, err := auth.NewAccessKey(config)
		if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%.60q as %s: got %v, want %v", content, part, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), secretKey[:6]) || strings.Contains(err.Error(), accessKey[:6]) ||
			strings.Contains(err.Error(), token[:8]) || strings.ContainsAny(err.Error(), "\n\r\x00")) {
			t.Errorf("%.60q: the error repeats the text: %v", content, err)
		}
	}
	each := func(table map[error][]string, part string, change func(*auth.AccessKeyConfig, []byte)) {
		t.Helper()
		for want, contents := range table {
			for _, content := range contents {
				refused(want, content, part, func(config *auth.AccessKeyConfig) { change(config, []byte(content)) })
			}
		}
	}
	access := func(config *auth.AccessKeyConfig, content []byte) { config.Access = content }
	secret := func(config *auth.AccessKeyConfig, content []byte) { config.Secret = content }
	session := func(config *auth.AccessKeyConfig, content []byte) { config.SecurityToken = content }
	for _, table := range []map[error][]string{both, keys} {
		each(table, "the access key ID ", access)
		each(table, "the secret access key ", secret)
	}
	delete(both, auth.ErrKeyEmpty) // permanent keys have none
	each(both, "the security token ", session)
	each(map[error][]string{auth.ErrKeyEmpty: {" \n"}, auth.ErrKeyInvalid: {"a b", "a\nb"}}, "the security token ", session)
	each(map[error][]string{auth.ErrKeyTwice64: {base64.StdEncoding.EncodeToString([]byte(accessKey))}, auth.ErrKeyInvalid: {"A,B", "A=B", "A;B"}}, "ID ", access)
	each(map[error][]string{auth.ErrKeyTwice64: {base64.StdEncoding.EncodeToString([]byte(secretKey + "\n"))}}, "secret access key ", secret)
	refused(auth.ErrKeysSwapped, "swapped", "swapped", func(config *auth.AccessKeyConfig) { config.Access, config.Secret = config.Secret, config.Access })
	refused(auth.ErrKeysSame, "same", "same", func(config *auth.AccessKeyConfig) { config.Secret = config.Access })
}

func TestRealKeysAreTaken(t *testing.T) {
	for access, secret := range map[string]string{
		accessKey: secretKey, "HST3WEXAMPLEACCESSKEY": "with/slash+and=", "a": "b", "AK_EXAMPLE-1": "SKEXAMPLE", secretKey: secretKey[:39] + "x",
	} {
		for name, session := range realTokens() {
			if _, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(access), Secret: []byte(secret), SecurityToken: []byte(session)}); err != nil {
				t.Errorf("%s with %s: %v", access, name, err)
			}
		}
	}
	if _, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(accessKey), Secret: []byte(secretKey), ProjectID: "a\r\nb"}); err == nil {
		t.Error("a project id that is two lines is taken")
	}
}

func FuzzNewAccessKey(f *testing.F) {
	for _, content := range []string{secretKey, "", "\ufeff", "\xff\xfe", "{", `"`, "a,b,c", "Access Key Id", "SK=a", "MII", "Authorization:", "-----BEGIN "} {
		f.Add([]byte(content), []byte(secretKey), []byte(content))
		f.Add([]byte(accessKey), []byte(content), []byte(""))
	}
	f.Fuzz(func(t *testing.T, access, secret, session []byte) {
		key, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: access, Secret: secret, SecurityToken: session})
		if err != nil {
			if text := string(secret); len(text) > 40 && strings.Contains(err.Error(), text) {
				t.Errorf("%q is repeated", secret)
			}
			return
		}
		request := signed(t, key, http.MethodGet, "https://cbr.example.com/v3", "")
		for name, values := range request.Header {
			if len(values) != 1 || strings.ContainsAny(values[0], "\r\n\x00") || values[0] == "" {
				t.Errorf("%s is sent as %q", name, values)
			}
		}
		if strings.Count(request.Header.Get("Authorization"), ", ") != 2 {
			t.Errorf("%q is sent", request.Header.Get("Authorization"))
		}
	})
}

// What is no answer of the cloud says nothing of a key: that it was refused is not forgotten for it.
func TestAnAnswerThatCannotBeReadTakesNoKey(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(signedAt)
	key := newKey(t, auth.AccessKeyConfig{Access: []byte(accessKey), Secret: []byte(secretKey), Clock: clock, Attempts: auth.NewAttempts(clock)})
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://cbr.example.com", nil)
	for _, failure := range []*cbr.Error{{Class: cbr.Credentials, Code: "APIGW.0301", StatusCode: 401}, {Class: cbr.Transient, StatusCode: http.StatusOK}} {
		if err := key.Authorize(t.Context(), request, nil); err != nil {
			t.Fatal(err)
		}
		key.Ended(failure)
		clock.SetTime(clock.Now().Add(5 * time.Minute))
	}
	if !key.WasRefused() || key.WasTaken() {
		t.Error("a page with status 200 stands for a key that was taken")
	}
}

// One failure, then nothing for five minutes: after more than five in a row the cloud would lock the key.
func TestRefusedKeyIsNotUsedForFiveMinutes(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(signedAt)
	key := newKey(t, auth.AccessKeyConfig{Access: []byte(accessKey), Secret: []byte(secretKey), Clock: clock, Attempts: auth.NewAttempts(clock)})
	authorize := func() error {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://cbr.example.com", nil)
		return key.Authorize(t.Context(), request, nil)
	}
	if err := authorize(); err != nil {
		t.Errorf("at first: %v", err)
	}
	key.Ended(&cbr.Error{Class: cbr.Credentials, Code: "APIGW.0303", StatusCode: 401})
	if err := authorize(); err != nil {
		t.Errorf("after a refusal for the clock: %v", err)
	}
	key.Ended(&cbr.Error{Class: cbr.Credentials, Code: "APIGW.0301", StatusCode: 401})
	for _, after := range []time.Duration{0, time.Minute, 5*time.Minute - 1} {
		clock.SetTime(signedAt.Add(after))
		var refusal *cbr.Error
		if err := authorize(); !errors.As(err, &refusal) || !errors.Is(err, auth.ErrKeyLocked) {
			t.Fatalf("%s after a refusal: got %v, want ErrKeyLocked", after, err)
		}
		if refusal.Class != cbr.Credentials || !refusal.Untouched || refusal.RetryAfter != 5*time.Minute-after {
			t.Errorf("%s after a refusal: got %+v", after, refusal)
		}
	}
	clock.SetTime(signedAt.Add(5 * time.Minute))
	if err := authorize(); err != nil {
		t.Errorf("after five minutes: %v", err)
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	config := auth.AccessKeyConfig{Access: []byte(accessKey), Secret: []byte(secretKey), SecurityToken: []byte(secret)}
	key := newKey(t, config)
	client, err := cbr.NewClient(cbr.Config{Endpoint: "https://cbr.example.com", ProjectID: "p", Credential: key})
	if err != nil {
		t.Fatal(err)
	}
	values := []any{key, &key, config, &config, client, *client, cbr.Config{Credential: key}, struct{ Inner any }{key}, struct{ inner any }{key}, []*auth.AccessKey{key}}
	forms := []string{}
	for _, part := range []string{accessKey, secretKey, secret} {
		numbers := fmt.Sprintf("%d", []byte(part))
		forms = append(forms, part, fmt.Sprintf("%x", part), base64.StdEncoding.EncodeToString([]byte(part)), strings.Trim(numbers, "[]"))
	}
	for _, value := range values {
		encoded, _ := json.Marshal(value)
		texts := []string{string(encoded)}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, value))
		}
		for _, text := range texts {
			for _, form := range forms {
				if strings.Contains(text, form) || strings.Contains(strings.ToLower(text), form) {
					t.Errorf("a %T is printed as %.200s", value, text)
				}
			}
		}
	}
}

func TestKeysAreSecret(t *testing.T) {
	key := newKey(t, auth.AccessKeyConfig{Access: []byte(accessKey), Secret: []byte(secretKey), SecurityToken: []byte(secret), Expires: signedAt})
	if got := fmt.Sprint(key.Secrets()); got != fmt.Sprint([]string{secretKey, accessKey, secret}) {
		t.Error("a key does not name all its secrets")
	}
	if !key.Expiry().Equal(signedAt) || key.Renews() {
		t.Error("a temporary key ends, and does not renew itself")
	}
	var none *auth.AccessKey
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://cbr.example.com", nil)
	if none.Secrets() != nil || none.Authorize(t.Context(), request, nil) == nil || len(request.Header) != 0 {
		t.Error("no key authorizes a request")
	}
}
