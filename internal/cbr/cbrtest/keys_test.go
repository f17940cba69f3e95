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

package cbrtest_test

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

var (
	permanent = cbrtest.Key{Access: "A1B2C3D4E5F6G7H8I9J0", Secret: "abcdefghij0123456789KLMNOPQRSTUVWXYZabcd"}
	temporary = cbrtest.Key{Access: "HST0B2C3D4E5F6G7H8I9", Secret: "zyxwvutsrq0123456789KLMNOPQRSTUVWXYZzyxw", SecurityToken: "gQpjbi1ub3J0aC00+/temporary=="}
)

// keyServer is a server that takes access keys and no token.
func keyServer(t *testing.T, clock *clocktesting.FakePassiveClock, keys ...cbrtest.Key) *cbrtest.Server {
	t.Helper()
	return cbrtest.NewServer(t, cbrtest.Options{Clock: clock, Tokens: []string{}, Keys: keys})
}

// signing is a client that signs with a key, as new: it knows of no refusal.
func signing(t *testing.T, server *cbrtest.Server, key cbrtest.Key) *cbr.Client {
	t.Helper()
	clock := server.Options().Clock
	credential, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(key.Access), Secret: []byte(key.Secret),
		SecurityToken: []byte(key.SecurityToken), ProjectID: cbrtest.ProjectID, Clock: clock, Attempts: auth.NewAttempts(clock)})
	if err != nil {
		t.Fatal(err)
	}
	transport, err := (&cbr.Transports{}).For("")
	if err != nil {
		t.Fatal(err)
	}
	client, err := cbr.NewClient(cbr.Config{Endpoint: server.URL, ProjectID: cbrtest.ProjectID, Credential: credential, Transport: transport,
		EnterpriseProjectID: cbr.AllEnterpriseProjects})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// codeWith returns the code that a call with a key is answered with, "" for none.
func codeWith(t *testing.T, server *cbrtest.Server, key cbrtest.Key) string {
	t.Helper()
	_, err := signing(t, server, key).ListBackups(t.Context(), cbr.BackupsQuery{})
	if err == nil {
		return ""
	}
	got := failure(t, err)
	if got.Class != cbr.Credentials || got.StatusCode != http.StatusUnauthorized || !got.Untouched {
		t.Errorf("got %+v, want Credentials", got)
	}
	for _, secret := range []string{key.Access, key.Secret, key.SecurityToken} {
		if secret != "" && strings.Contains(got.Error(), secret) {
			t.Errorf("%v repeats %s", got, secret)
		}
	}
	return got.Code
}

func TestSignedCalls(t *testing.T) {
	server := keyServer(t, clockAt(start), permanent, temporary)
	for i, key := range []cbrtest.Key{permanent, temporary} {
		client := signing(t, server, key)
		tasks := mustImport(t, client, cbrtest.Backup(i))
		mustGetTask(t, client, tasks[cbrtest.Backup(i).ID])
		if _, err := client.ListOperationLogs(t.Context(), cbr.OperationLogsQuery{StartTime: start, ResourceID: "a b/c+d%20&e=ü~"}); err != nil {
			t.Error(err)
		}
	}
	mustImport(t, server.Client(t), cbrtest.Backup(2))
	for _, call := range server.Ledger() {
		if !call.Authorized || call.Header.Get("Authorization") != "" || call.Header.Get("X-Security-Token") != "" {
			t.Errorf("%s was not authorized, or its credentials were kept", call.Operation)
		}
	}
}

func TestSignaturesThatAreRefused(t *testing.T) {
	server := keyServer(t, clockAt(start), permanent, temporary)
	otherSecret, unknown, noToken, otherToken, tokenTooMany := permanent, permanent, temporary, temporary, permanent
	otherSecret.Secret = strings.ToUpper(permanent.Secret)
	unknown.Access = "Z1B2C3D4E5F6G7H8I9J0"
	noToken.SecurityToken = ""
	otherToken.SecurityToken = "another"
	tokenTooMany.SecurityToken = "another"
	for name, key := range map[string]cbrtest.Key{"another secret": otherSecret, "an unknown key": unknown, "no security token": noToken,
		"another security token": otherToken, "a security token too many": tokenTooMany} {
		if got := codeWith(t, server, key); got != "APIGW.0301" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if got := codeWith(t, server, permanent); got != "" {
		t.Errorf("the right key: got %q", got)
	}
}

// A signature is for one request: whatever is changed about it is found out.
func TestSignaturesOfOtherRequests(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Keys: []cbrtest.Key{temporary}})
	list := projectURL(server) + "/backups?limit=10&offset=5"
	headerOf := func(name string, change func(string) string) func(*http.Request) {
		return func(request *http.Request) { request.Header.Set(name, change(request.Header.Get(name))) }
	}
	for name, c := range map[string]struct {
		edit func(*http.Request)
		want int
	}{
		"as it was signed":         {func(*http.Request) {}, 200},
		"the query in other order": {func(request *http.Request) { request.URL.RawQuery = "offset=5&limit=10" }, 200},
		"another query":            {func(request *http.Request) { request.URL.RawQuery = "limit=10&offset=6" }, 401},
		"another path": {func(request *http.Request) {
			request.URL.Path = strings.TrimSuffix(request.URL.Path, "backups") + "operation-logs"
		}, 401},
		"another host":             {func(request *http.Request) { request.Host = "evil.example.com" }, 401},
		"another project":          {headerOf("X-Project-Id", func(string) string { return "other" }), 401},
		"another date":             {headerOf("X-Sdk-Date", func(string) string { return time.Now().Add(time.Minute).UTC().Format("20060102T150405Z") }), 401},
		"no date":                  {headerOf("X-Sdk-Date", func(string) string { return "now" }), 401},
		"another header":           {headerOf("X-Other", func(string) string { return "not signed" }), 200},
		"another algorithm":        {headerOf("Authorization", func(text string) string { return strings.Replace(text, "SHA256", "SHA256-X", 1) }), 401},
		"no host":                  {headerOf("Authorization", func(text string) string { return strings.Replace(text, "host;", "", 1) }), 401},
		"an unsigned project":      {headerOf("Authorization", func(text string) string { return strings.Replace(text, "x-project-id;", "", 1) }), 401},
		"an unsigned session":      {headerOf("Authorization", func(text string) string { return strings.Replace(text, ";x-security-token", "", 1) }), 401},
		"signed headers, shuffled": {headerOf("Authorization", func(text string) string { return strings.Replace(text, "host;x-project-id", "x-project-id;host", 1) }), 401},
		"a signature of other case": {headerOf("Authorization", func(text string) string {
			return strings.Replace(text, text[len(text)-64:], strings.ToUpper(text[len(text)-64:]), 1)
		}), 401},
	} {
		sign := func(request *http.Request) {
			request.Header.Del("X-Auth-Token")
			key, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(temporary.Access), Secret: []byte(temporary.Secret),
				SecurityToken: []byte(temporary.SecurityToken), ProjectID: cbrtest.ProjectID})
			if err == nil {
				err = key.Authorize(t.Context(), request, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		server.SetKeys(temporary)
		if got := send(t, http.MethodGet, list, "", sign, c.edit); got.status != c.want {
			t.Errorf("%s: got HTTP %d %s %s, want %d", name, got.status, got.Code, got.Message, c.want)
		}
		if got := send(t, http.MethodGet, list, "", sign); got.status != http.StatusOK { // which also ends the row of failures
			t.Fatalf("the right request: got HTTP %d %s", got.status, got.Message)
		}
	}
}

// The vendor's SDK signs the agent, but not the host: this signature is its own.
func TestSignatureOfTheVendorsSDK(t *testing.T) {
	server := keyServer(t, clockAt(start), permanent)
	for agent, want := range map[string]int{"huaweicloud-usdk-go/3.0": http.StatusOK, "another": http.StatusUnauthorized} {
		got := send(t, http.MethodGet, projectURL(server)+"/backups?limit=10", "", func(request *http.Request) {
			request.Header.Del("X-Auth-Token")
			request.Header.Set("User-Agent", agent)
			request.Header.Set("X-Project-Id", cbrtest.ProjectID)
			request.Header.Set("X-Sdk-Date", "20260301T120000Z")
			request.Header.Set("Authorization", "SDK-HMAC-SHA256 Access=A1B2C3D4E5F6G7H8I9J0, SignedHeaders=user-agent;x-project-id;x-sdk-date, "+
				"Signature=19ccedff66b2900a72ee9660bc31ee23c7fbcdba1fd92429bd7c79f8a856f2ae")
		})
		if got.status != want {
			t.Errorf("agent %s: got HTTP %d %s %s, want %d", agent, got.status, got.Code, got.Message, want)
		}
	}
}

// The signer and the judge were written apart from each other, and agree about whatever a query can hold.
func TestSignaturesOfOddQueries(t *testing.T) {
	server := keyServer(t, clockAt(start), permanent)
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		letters := []string{"a", "B", "9", " ", "+", "%", "/", "&", "=", "~", "*", "'", "(", "ü", "備", "\x00", "", ";", "-", "_", ".", ":", "@", ",", "$", "!", "?", "#", "[", "\n"}
		var made strings.Builder
		for range random.IntN(6) {
			made.WriteString(letters[random.IntN(len(letters))])
		}
		return made.String()
	}
	key, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(permanent.Access), Secret: []byte(permanent.Secret), Clock: clockAt(start)})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		query := url.Values{"limit": {"1"}}
		for range random.IntN(5) {
			query.Add("x"+text(), text())
		}
		send(t, http.MethodGet, projectURL(server)+"/backups?"+query.Encode(), "", func(request *http.Request) {
			request.Header.Del("X-Auth-Token")
			if err := key.Authorize(t.Context(), request, nil); err != nil {
				t.Fatal(err)
			}
		})
		if calls := server.Ledger(); !calls[len(calls)-1].Authorized {
			t.Fatalf("the signature of %q is refused", query.Encode())
		}
	}
}

func TestKeysAreLockedAfterMoreThanFiveFailures(t *testing.T) {
	clock := clockAt(start)
	server := keyServer(t, clock, permanent, temporary)
	wrong := permanent
	wrong.Secret = "no-secret-of-this-key"
	fail := func(times int) {
		for range times {
			if got := codeWith(t, server, wrong); got != "APIGW.0301" {
				t.Fatalf("got %q", got)
			}
		}
	}
	fail(cbrtest.KeyFailures)
	if got := codeWith(t, server, permanent); got != "" {
		t.Errorf("after five failures: got %q", got)
	}
	fail(cbrtest.KeyFailures + 1) // the good one has ended the row before
	for _, after := range []time.Duration{0, cbrtest.KeyLockTime - 1} {
		clock.SetTime(start.Add(after))
		if got := codeWith(t, server, permanent); got != "APIGW.0301" {
			t.Errorf("%s after six failures: got %q", after, got)
		}
		server.SetKeys(permanent, temporary) // no way around it
		if got := codeWith(t, server, temporary); got != "" {
			t.Errorf("another key: got %q", got)
		}
	}
	clock.SetTime(start.Add(cbrtest.KeyLockTime))
	if got := codeWith(t, server, permanent); got != "" {
		t.Errorf("after the lock: got %q", got)
	}
}

func TestClockOfSignatures(t *testing.T) {
	server := keyServer(t, clockAt(start), permanent)
	for _, c := range []struct {
		offset time.Duration
		want   string
	}{
		{15 * time.Minute, ""}, {-15 * time.Minute, ""}, {15*time.Minute + time.Second, "APIGW.0303"}, {-time.Hour, "APIGW.0303"},
	} {
		server.Configure(func(options *cbrtest.Options) { options.ClockOffset = c.offset })
		for range 2 * cbrtest.KeyFailures { // never locked for it
			if got := codeWith(t, server, permanent); got != c.want {
				t.Fatalf("with a clock off by %s: got %q, want %q", c.offset, got, c.want)
			}
		}
	}
}

// The Date header of an answer tells how far the gateway's clock is off.
func TestDateHeaderIsOfTheGatewaysClock(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Tokens: []string{}, Keys: []cbrtest.Key{permanent}, ClockOffset: 20 * time.Minute})
	_, err := server.Client(t).ListBackups(t.Context(), cbr.BackupsQuery{})
	if got := failure(t, err); got.Code != "APIGW.0303" || (got.Skew-20*time.Minute).Abs() > time.Minute {
		t.Errorf("got %+v, want a skew of 20 minutes", got)
	}
}

func TestKeysChange(t *testing.T) {
	server := keyServer(t, clockAt(start), permanent, temporary)
	expect := func(when, ofPermanent, ofTemporary string) {
		t.Helper()
		if first, second := codeWith(t, server, permanent), codeWith(t, server, temporary); first != ofPermanent || second != ofTemporary {
			t.Errorf("%s: got %q and %q, want %q and %q", when, first, second, ofPermanent, ofTemporary)
		}
	}
	expect("at first", "", "")
	server.ExpireKeys(temporary.Access)
	expect("expired", "", "APIGW.0307")
	renewed := temporary
	renewed.SecurityToken = "renewed"
	server.AddKeys(renewed)
	expect("renewed", "", "APIGW.0301")
	server.ExpireKeys()
	expect("all expired", "APIGW.0301", "APIGW.0301")
	server.SetKeys(permanent, temporary)
	expect("set anew", "", "")
	server.RevokeKeys(permanent.Access)
	expect("revoked", "APIGW.0301", "")
	server.SetKeys()
	expect("none", "APIGW.0301", "APIGW.0301")
}

// After one refusal nothing is sent with a key, so that it is never locked.
func TestNoKeyIsLockedByTheClient(t *testing.T) {
	clock := clockAt(start)
	server := keyServer(t, clock, permanent)
	wrong := permanent
	wrong.Secret = "no-secret-of-this-key"
	client := signing(t, server, wrong)
	for range 20 {
		_, err := client.ListBackups(t.Context(), cbr.BackupsQuery{})
		if got := failure(t, err); got.Class != cbr.Credentials || !got.Untouched {
			t.Errorf("got %+v", got)
		}
		clock.SetTime(clock.Now().Add(time.Minute))
	}
	if got := len(server.Ledger()); got != 3 {
		t.Errorf("%d calls in 20 minutes, want three: the rest after the third is an hour", got)
	}
	if got := codeWith(t, server, permanent); got != "" {
		t.Errorf("the key is locked: %q", got)
	}
}
