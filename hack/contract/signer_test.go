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

package contract

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/signer"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/signer/algorithm"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/request"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// signedRequests is the number of generated requests that are signed.
const signedRequests = 500

// signable is a request to sign, and the keys to sign it with.
type signable struct {
	method, host, path, body string
	query                    map[string][]string
	access, secret           string
	securityToken, project   string // "" for none
	at                       time.Time
}

// signable makes a request that strains what a signature covers: paths and queries with characters to escape, parameters
// without a value, with several, in an order that escaping would change.
func (g generator) signable() signable {
	made := signable{
		method: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodHead}[g.IntN(6)],
		host:   []string{"cbr.cn-north-4.myhuaweicloud.com", "cbr.eu-west-101.myhuaweicloud.eu:443", "127.0.0.1:8080", "[::1]:8443"}[g.IntN(4)],
		path:   g.path(), query: g.query(), body: g.text(0, 200),
		access: g.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 20, 20), secret: g.of("abcXYZ0123456789+/=", 1, 64),
		project: cbrtest.ProjectID, at: time.Unix(int64(g.Int32()), 0).UTC(),
	}
	if g.IntN(2) == 0 {
		made.securityToken = g.of("abcXYZ0123456789+/=-_", 100, 2000)
	}
	if g.IntN(4) == 0 {
		made.project = ""
	}
	return made
}

func (g generator) path() string {
	if g.IntN(4) == 0 {
		return []string{"/", "/v3", "/v3/p/backups/sync", "/v3/p/backups/", "/v3//backups"}[g.IntN(5)]
	}
	segments := []string{"", "v3"}
	for range g.IntN(4) {
		segments = append(segments, strings.ReplaceAll(g.text(1, 12), "/", "-")+"~")
	}
	return strings.Join(segments, "/")
}

func (g generator) query() map[string][]string {
	query := map[string][]string{}
	for range g.IntN(5) {
		name := g.of("ab-_.!A%~ é", 1, 3) // short ones, so that some begin others
		for range 1 + g.IntN(3) {
			query[name] = append(query[name], g.text(0, 8))
		}
	}
	return query
}

// sdkRequest is the request as the SDK makes it.
func (s signable) sdkRequest() *request.DefaultHttpRequest {
	builder := request.NewHttpRequestBuilder().WithEndpoint("https://"+s.host).WithMethod(s.method).WithPath(s.path).
		WithSigningAlgorithm(algorithm.HmacSHA256).AddHeaderParam("Content-Type", "application/json")
	for name, values := range s.query {
		builder.AddQueryParam(name, reflect.ValueOf(values))
	}
	if s.body != "" {
		builder.WithBody("", s.body)
	}
	return builder.Build()
}

// ours returns what our signer adds to the request as it will be sent.
func (s signable) ours(t *testing.T, wire *http.Request) http.Header {
	t.Helper()
	key, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(s.access), Secret: []byte(s.secret), SecurityToken: []byte(s.securityToken),
		ProjectID: s.project, Clock: clocktesting.NewFakePassiveClock(s.at)})
	if err != nil {
		t.Fatalf("our credential: %v", err)
	}
	var body []byte
	if s.body != "" {
		body = []byte(s.body)
	}
	if err := key.Authorize(t.Context(), wire, body); err != nil {
		t.Fatalf("our signer: %v", err)
	}
	return wire.Header
}

// theirs returns the SDK's Authorization of the request with headers as we signed them.
func (s signable) theirs(t *testing.T, headers map[string]string) string {
	t.Helper()
	signed := s.sdkRequest()
	for name, value := range headers {
		// The SDK sets the header of the date again, in this spelling.
		signed.AddHeaderParam(strings.Replace(name, "x-sdk-date", signer.HeaderXDate, 1), value)
	}
	added, err := signer.Sign(signed, s.access, s.secret)
	if err != nil {
		t.Fatalf("the SDK's signer: %v", err)
	}
	return added["Authorization"]
}

// signedHeaders are the names that an Authorization lists.
func signedHeaders(authorization string) []string {
	_, rest, _ := strings.Cut(authorization, "SignedHeaders=")
	list, _, _ := strings.Cut(rest, ",")
	return strings.Split(list, ";")
}

func TestOurSignaturesAreTheSDKs(t *testing.T) {
	g := newGenerator()
	for number := range signedRequests {
		made := g.signable()
		wire, err := made.sdkRequest().ConvertRequest()
		if err != nil {
			t.Fatalf("the SDK's request: %v", err)
		}
		header := made.ours(t, wire)
		want := map[string]string{"host": made.host, "x-sdk-date": made.at.Format("20060102T150405Z")}
		if made.project != "" {
			want["x-project-id"] = made.project
		}
		if made.securityToken != "" {
			want["x-security-token"] = made.securityToken
		}
		got := header.Get("Authorization")
		if names := signedHeaders(got); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
			t.Errorf("we sign %q, want %q", names, slices.Sorted(maps.Keys(want)))
		}
		for name, value := range want {
			if name != "host" && header.Get(name) != value {
				t.Errorf("we send %s: %q, want %q", name, header.Get(name), value)
			}
		}
		if theirs := made.theirs(t, want); theirs != got {
			t.Errorf("request %d: we sent %s\nthe SDK %s\nof %+v", number, got, theirs, made)
		}
	}
}

// TestAKnownSignature is for those who cannot run the SDK: other tests hold our signer against the same vector.
func TestAKnownSignature(t *testing.T) {
	known := signable{method: http.MethodPost, host: "cbr.cn-north-4.myhuaweicloud.com", path: "/v3/p1/backups/sync", body: "{\"sync\":[]}\n",
		access: "AKEXAMPLE", secret: "SKEXAMPLE"}
	got := known.theirs(t, map[string]string{"host": known.host, "x-project-id": "p1", "x-sdk-date": "20191115T033655Z"})
	want := "SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=host;x-project-id;x-sdk-date, " +
		"Signature=d68950b1db7ec1beb1f3d05708ef342a6b3fc6d088618f01c860fe2635724e7a"
	if got != want {
		t.Errorf("the SDK made %s, want %s", got, want)
	}
}

func TestTheCBRInMemoryTakesTheSDKsSignatures(t *testing.T) {
	s := newStage(t, cbrtest.Options{})
	wrongSecret, wrongToken, noToken := permanent, temporary, temporary
	wrongSecret.Secret, wrongToken.SecurityToken, noToken.SecurityToken = temporary.Secret, "another", ""
	for name, test := range map[string]struct {
		key  cbrtest.Key
		code string
	}{
		"permanent": {permanent, ""}, "temporary": {temporary, ""}, "another secret": {wrongSecret, "APIGW.0301"},
		"another security token": {wrongToken, "APIGW.0301"}, "no security token": {noToken, "APIGW.0301"},
	} {
		client := sdkClient(t, s.URL, s.recorder, test.key)
		for _, asked := range []question{importing(cbrtest.Backup(0)), listingTasks(10, 5)} {
			_, err := asked.sdk(client)
			var failure *sdkerr.ServiceResponseError
			if errors.As(err, &failure); (err == nil) != (test.code == "") || failure != nil && failure.ErrorCode != test.code {
				t.Errorf("%s key, %s: got %v, want %q", name, asked.operation, err, test.code)
			}
		}
	}
}
