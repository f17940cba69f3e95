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
	"strings"
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

// The access key of the tests.
const (
	accessKey = "CONTRACTACCESSKEY123"
	secretKey = "contract-secret-key-0123456789-abcdefghi"
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

// newStage starts a CBR whose clock stands still.
func newStage(t *testing.T, options cbrtest.Options) *stage {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC))
	options.Clock = clock
	options.Authenticate = signed
	server := cbrtest.NewServer(t, options)
	recorder := &recorder{next: server.Config(t).Transport}
	return &stage{Server: server, clock: clock, recorder: recorder, sdk: sdkClient(t, server.URL, recorder)}
}

// signed lets pass what is signed with the access key, whatever the signature is, and what carries the token.
func signed(request *http.Request) *cbrtest.APIError {
	prefix := "SDK-HMAC-SHA256 Access=" + accessKey + ", SignedHeaders="
	if strings.HasPrefix(request.Header.Get("Authorization"), prefix) || request.Header.Get("X-Auth-Token") == cbrtest.Token {
		return nil
	}
	return &cbrtest.APIError{Status: http.StatusUnauthorized, Code: "APIGW.0301", Message: "Incorrect IAM authentication information"}
}

// later lets time pass.
func (s *stage) later(duration time.Duration) { s.clock.SetTime(s.clock.Now().Add(duration)) }

// sdkClient is the SDK's client of an endpoint.
func sdkClient(t *testing.T, endpoint string, transport http.RoundTripper) *sdk.CbrClient {
	t.Helper()
	credentials, err := basic.NewCredentialsBuilder().WithAk(accessKey).WithSk(secretKey).WithProjectId(cbrtest.ProjectID).SafeBuild()
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
