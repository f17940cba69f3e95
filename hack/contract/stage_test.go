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
	"bytes"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	sdk "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cbr/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// permanent and temporary are access keys.
var (
	permanent = cbrtest.Key{Access: "CONTRACTACCESSKEY123", Secret: "contract-secret-key-0123456789-abcdefghi"}
	temporary = cbrtest.Key{Access: "HSTATEMPORARYKEY4567", Secret: "temporary-secret-0123456789-abcdefghijkl", SecurityToken: "temporary+security/token=="}
)

// sent is a request as it went out.
type sent struct {
	method string
	url    *url.URL
	header http.Header
	body   []byte
}

// answer is what a request was answered with.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// recorder carries calls, and keeps the last one and its answer.
type recorder struct {
	mutex   sync.Mutex
	next    http.RoundTripper
	request sent
	answer  answer
}

// RoundTrip reads both bodies whole before it passes them on.
func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	kept := sent{method: request.Method, url: request.URL, header: request.Header.Clone()}
	passed := request.Clone(request.Context())
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		kept.body = body
		passed.Body = io.NopCloser(bytes.NewReader(body))
	}
	response, err := r.next.RoundTrip(passed)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	answered := answer{status: response.StatusCode, header: response.Header, body: body}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.request, r.answer = kept, answered
	return answered.response(request), nil
}

// last returns the latest call.
func (r *recorder) last() (sent, answer) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.request, r.answer
}

// RoundTrip answers any request in the same way.
func (a answer) RoundTrip(request *http.Request) (*http.Response, error) {
	return a.response(request), nil
}

func (a answer) response(request *http.Request) *http.Response {
	return &http.Response{StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: request}
}

// stage is a CBR in memory with the SDK's client of it.
type stage struct {
	*cbrtest.Server
	clock    *clocktesting.FakePassiveClock
	sdk      *sdk.CbrClient
	recorder *recorder // of the SDK's calls
}

// newStage starts a CBR that takes nothing but an access key. Its clock stands still, but not far from the real time, with which
// the SDK signs.
func newStage(t *testing.T, options cbrtest.Options) *stage {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now().UTC().Truncate(time.Second).Add(123456 * time.Microsecond))
	options.Clock, options.Tokens = clock, []string{}
	options.Keys = []cbrtest.Key{permanent, temporary}
	server := cbrtest.NewServer(t, options)
	recorder := &recorder{next: server.Config(t).Transport}
	return &stage{Server: server, clock: clock, recorder: recorder, sdk: sdkClient(t, server.URL, recorder, permanent)}
}

// later lets time pass.
func (s *stage) later(duration time.Duration) { s.clock.SetTime(s.clock.Now().Add(duration)) }

// sdkClient is the SDK's client of an endpoint, with an access key.
func sdkClient(t *testing.T, endpoint string, transport http.RoundTripper, key cbrtest.Key) *sdk.CbrClient {
	t.Helper()
	credentials, err := basic.NewCredentialsBuilder().WithAk(key.Access).WithSk(key.Secret).WithSecurityToken(key.SecurityToken).
		WithProjectId(cbrtest.ProjectID).SafeBuild()
	if err != nil {
		t.Fatalf("the SDK's credentials: %v", err)
	}
	client, err := sdk.CbrClientBuilder().WithEndpoint(endpoint).WithCredential(credentials).
		WithHttpConfig(config.DefaultHttpConfig().WithHttpRoundTripper(transport).WithTimeout(time.Minute)).SafeBuild()
	if err != nil {
		t.Fatalf("the SDK's client: %v", err)
	}
	return sdk.NewCbrClient(client)
}

// ours is our client of the same CBR, by way of a transport.
func (s *stage) ours(t *testing.T, transport http.RoundTripper) *cbr.Client {
	t.Helper()
	settings := s.Config(t)
	settings.EnterpriseProjectID = cbr.AllEnterpriseProjects
	settings.Transport = transport
	client, err := cbr.NewClient(settings)
	if err != nil {
		t.Fatalf("our client: %v", err)
	}
	return client
}

func pointer[T any](value T) *T { return &value }
