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

package cbrtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// What an IAM has if its options do not say otherwise.
const (
	DomainName = "demo-account"
	Username   = "demo-user"
	Password   = "Xk7+q2Vd/94mz&Hw3r"
	PodToken   = "eyJhbGciOiJSUzI1NiJ9.ZGVtbw.c2lnbmF0dXJl"
	// TokenLife is how long IAM's tokens live.
	TokenLife = 24 * time.Hour
	// LockAfter is the number of wrong passwords in a row that lock an account, LockFor how long.
	LockAfter = 5
	LockFor   = 15 * time.Minute
)

// Paths of an IAM.
const (
	TokensPath = "/v3/auth/tokens"
	// PodIdentityPath is the path of the agent of pod identity.
	PodIdentityPath = "/v1/credentials"
)

// IAMOptions say how an IAM behaves. Zero values stand for the constants above.
type IAMOptions struct {
	// DomainName, Username and Password are the one user's.
	DomainName, Username, Password string
	// ProjectIDs are the projects that tokens can be asked for; ProjectID if empty.
	ProjectIDs []string
	// PodToken is what the Authorization header must hold for the keys of a pod.
	PodToken string

	// Clock is the server's clock, which its Date header shows; the real one if nil. Latency takes real time.
	Clock   clock.PassiveClock
	Latency time.Duration
	// TokenLife and KeyLife are how long tokens and the keys of a pod are valid; TokenLife if 0.
	TokenLife, KeyLife time.Duration
	// TokenBytes is how long tokens are; 2 KB if 0.
	TokenBytes int
	// LockAfter wrong passwords in a row lock the account LockFor long; a negative number never does.
	LockAfter int
	LockFor   time.Duration
	// RequestsPerMinute is the number of requests that may arrive in any minute; 0 for no limit. Refused ones count too.
	RequestsPerMinute int
	// ErrorShape is the shape of errors: {"error": {"code", "message", "title"}} if empty, as IAM documents it, or ShapeCBR,
	// {"error_code", "error_msg"}, ShapeHTML or ShapeEmpty.
	ErrorShape ErrorShape
	// LongNames makes the agent name keys as its newer versions do: accessKeyId, secretAccessKey, securityToken, expiration.
	LongNames bool
	// Intercept, if set, is called for each request before it is looked at, without locks held, and reports whether it has
	// answered it. It may block, and may panic with http.ErrAbortHandler.
	Intercept func(http.ResponseWriter, *http.Request) bool
}

func (o IAMOptions) withDefaults() IAMOptions {
	texts := map[*string]string{&o.DomainName: DomainName, &o.Username: Username, &o.Password: Password, &o.PodToken: PodToken}
	for value, standard := range texts {
		if *value == "" {
			*value = standard
		}
	}
	for value, standard := range map[*time.Duration]time.Duration{&o.TokenLife: TokenLife, &o.KeyLife: TokenLife, &o.LockFor: LockFor} {
		if *value == 0 {
			*value = standard
		}
	}
	if len(o.ProjectIDs) == 0 {
		o.ProjectIDs = []string{ProjectID}
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.TokenBytes == 0 {
		o.TokenBytes = 2 << 10
	}
	if o.LockAfter == 0 {
		o.LockAfter = LockAfter
	}
	o.ProjectIDs = slices.Clone(o.ProjectIDs)
	return o
}

// IAM is the identity service of the cloud, and the agent of pod identity, in memory: it issues tokens and keys that a Cloud
// accepts (Options.IAM). It is an http.Handler, and safe for concurrent use.
type IAM struct {
	mutex       sync.Mutex
	options     IAMOptions
	tokens      map[string]*grant // by the token
	keys        map[string]*grant // by the access key
	issued      int
	wrong       int // passwords in a row
	lockedUntil time.Time
	requests    []IAMRequest
	inFlight    int
	maxInFlight int
}

// grant is a token or a key that was issued.
type grant struct {
	secret, securityToken string // of a key
	expires               time.Time
	revoked               bool
}

// IAMRequest is one request as it arrived, and what it was answered. It holds the secrets that were sent.
type IAMRequest struct {
	Time   time.Time // of arrival, by the server's clock
	Method string
	Path   string
	Query  string
	Header http.Header
	Body   []byte
	// Status is 0 while there is no answer. What Intercept answers shows as its status.
	Status int
	Code   string // error code of the answer
}

// NewIAM makes an IAM.
func NewIAM(options IAMOptions) *IAM {
	return &IAM{options: options.withDefaults(), tokens: map[string]*grant{}, keys: map[string]*grant{}}
}

// Configure changes the options at run time: requests that arrive later see them.
func (i *IAM) Configure(change func(*IAMOptions)) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	changed := i.options.withDefaults()
	change(&changed)
	i.options = changed.withDefaults()
}

// SetPassword changes the user's password. Tokens that were issued stay valid here: see Revoke.
func (i *IAM) SetPassword(password string) {
	i.Configure(func(options *IAMOptions) { options.Password = password })
}

// Unlock ends the lock of the account.
func (i *IAM) Unlock() {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.wrong, i.lockedUntil = 0, time.Time{}
}

// Revoke ends all tokens and keys that were issued: they are refused as unknown ones are.
func (i *IAM) Revoke() { i.eachGrant(func(g *grant) { g.revoked = true }) }

// Expire lets the life of all tokens and keys that were issued be over.
func (i *IAM) Expire() {
	now := i.Options().Clock.Now()
	i.eachGrant(func(g *grant) { g.expires = now })
}

func (i *IAM) eachGrant(change func(*grant)) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	for _, grants := range []map[string]*grant{i.tokens, i.keys} {
		for _, each := range grants {
			change(each)
		}
	}
}

// Options returns the options as they are now, with the defaults filled in.
func (i *IAM) Options() IAMOptions {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.options.withDefaults()
}

// Requests returns every request so far, in the order of arrival.
func (i *IAM) Requests() []IAMRequest {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return slices.Clone(i.requests)
}

// MaxConcurrent returns the largest number of requests that were under way at once.
func (i *IAM) MaxConcurrent() int {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.maxInFlight
}

// Secrets returns the texts that must not be seen anywhere: the user's password as it is now, the pod's token, and all that
// was issued.
func (i *IAM) Secrets() []string {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	secrets := make([]string, 0, 2+len(i.tokens)+2*len(i.keys))
	secrets = append(secrets, i.options.Password, i.options.PodToken)
	for token := range i.tokens {
		secrets = append(secrets, token)
	}
	for _, key := range i.keys {
		secrets = append(secrets, key.secret, key.securityToken)
	}
	return secrets
}

// Token returns the refusal that API Gateway answers a token with, nil for a valid one, and whether IAM issued it.
func (i *IAM) Token(token string) (refusal *APIError, known bool) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	found := i.tokens[token]
	return found.refusal(i.options.Clock.Now()), found != nil
}

// Key returns a key that was issued to a pod and not revoked, by its id. Its expiry may be over.
func (i *IAM) Key(access string) (key Key, issued bool) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	found := i.keys[access]
	if found == nil || found.revoked {
		return Key{}, false
	}
	return Key{Access: access, Secret: found.secret, SecurityToken: found.securityToken, Expires: found.expires}, true
}

func (g *grant) refusal(now time.Time) *APIError {
	switch {
	case g == nil || g.revoked:
		return &APIError{Status: http.StatusUnauthorized, Code: "APIGW.0301", Message: "Incorrect IAM authentication information: decrypt token fail"}
	case !now.Before(g.expires):
		return &APIError{Status: http.StatusUnauthorized, Code: "APIGW.0307", Message: "The token must be updated."}
	default:
		return nil
	}
}

// ServeHTTP answers a request.
func (i *IAM) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(io.LimitReader(request.Body, maxRequestBytes))
	number, options := i.arrive(request, body)
	recorded := &statusRecorder{ResponseWriter: writer}
	var code string
	defer func() { i.left(number, recorded.status, code) }()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if options.Latency > 0 {
		<-time.After(options.Latency)
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	recorded.Header().Set("Date", options.Clock.Now().UTC().Format(http.TimeFormat))
	if options.Intercept != nil && options.Intercept(recorded, request) {
		return
	}
	answer := i.answer(options, request, body)
	code = answer.code
	i.answered(number, answer) // before it is sent: a client that has it finds it in the records
	recorded.send(answer)
}

func (i *IAM) arrive(request *http.Request, body []byte) (number int, options IAMOptions) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.requests = append(i.requests, IAMRequest{Time: i.options.Clock.Now(), Method: request.Method, Path: request.URL.Path,
		Query: request.URL.RawQuery, Header: request.Header.Clone(), Body: body})
	i.inFlight++
	i.maxInFlight = max(i.maxInFlight, i.inFlight)
	return len(i.requests) - 1, i.options
}

func (i *IAM) answered(number int, answer reply) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.requests[number].Status, i.requests[number].Code = answer.status, answer.code
}

func (i *IAM) left(number, status int, code string) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.requests[number].Status, i.requests[number].Code = status, code
	i.inFlight--
}

// recentRequests counts those of the last minute; the mutex is held.
func (i *IAM) recentRequests(now time.Time) int {
	count := 0
	for at := len(i.requests) - 1; at >= 0 && now.Sub(i.requests[at].Time) < time.Minute; at-- {
		count++
	}
	return count
}

// statusRecorder remembers the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader sends the status.
func (s *statusRecorder) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (s *statusRecorder) Write(content []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(content)
}

// Unwrap serves http.ResponseController.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *statusRecorder) send(answer reply) {
	for name, value := range answer.headers {
		s.Header().Set(name, value)
	}
	if answer.contentType != "" {
		s.Header().Set("Content-Type", answer.contentType)
	}
	s.WriteHeader(answer.status)
	_, _ = s.Write(answer.body)
}

// issuedText is a text that looks like what IAM issues, and is no other's.
func issuedText(kind string, number, length int) string {
	var noise []byte
	for part := 0; len(noise) < length; part++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", kind, number, part))
		noise = append(noise, sum[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(noise)[:length]
}
