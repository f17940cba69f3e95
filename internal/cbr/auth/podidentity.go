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

package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"backupsync.dev/operator/internal/cbr"
)

// OperationPodIdentity is the request to the agent of the node for the keys of the pod's identity.
const OperationPodIdentity cbr.Operation = "AssumeAgencyForPodIdentity"

// What the platform sets in a pod that has an identity.
const (
	PodIdentityURLVariable       = "HC_CONTAINER_CREDENTIALS_FULL_URI"
	PodIdentityTokenFileVariable = "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"
)

// PodIdentityConfig says where the keys of the pod's identity come from.
type PodIdentityConfig struct {
	// URL is the content of PodIdentityURLVariable. It must be https, or name an address of this machine: what is sent and
	// answered must not pass a network in the clear.
	URL string
	// TokenFile is the content of PodIdentityTokenFileVariable. The file is read for each fetch, as its content rotates.
	TokenFile string
	// ProjectID is the project that requests are signed for.
	ProjectID string
	// Transport carries the requests; if nil one over HTTP/1.1 without a proxy, as the agent is on the node itself.
	Transport http.RoundTripper
	// Timeout bounds each request; 30 s if 0.
	Timeout time.Duration
	// UserAgent names the program to the agent.
	UserAgent string
	// Clock is the real one if nil.
	Clock clock.PassiveClock
	// Changed, if set, is called when a fetch has ended, from the goroutine of the fetch. No lock is held.
	Changed func()
}

// FromEnvironment returns the configuration with what the platform tells the pod.
func (c PodIdentityConfig) FromEnvironment() PodIdentityConfig {
	c.URL, c.TokenFile = os.Getenv(PodIdentityURLVariable), os.Getenv(PodIdentityTokenFileVariable)
	return c
}

// PodIdentity signs requests with the keys that CCE gives a pod for its service account. It is safe for concurrent use.
type PodIdentity struct {
	*renewer // and nothing else: formatting does not follow it
}

// Why a pod has no identity to use.
var (
	ErrNoPodIdentity = errors.New("the operator's pod has no pod identity; it needs a CCE cluster with pod identity, " +
		"and an association of the operator's service account with an agency")
	ErrPodIdentityURL = errors.New(PodIdentityURLVariable + " must be an https:// URL, or an http:// URL with a loopback or link-local IP address")
)

// NewPodIdentity makes a PodIdentity. Where the pod has none, ErrNoPodIdentity is wrapped with which variable is missing.
func NewPodIdentity(config PodIdentityConfig) (*PodIdentity, error) {
	switch {
	case config.URL == "":
		return nil, fmt.Errorf("environment variable %s is not set: %w", PodIdentityURLVariable, ErrNoPodIdentity)
	case config.TokenFile == "":
		return nil, fmt.Errorf("environment variable %s is not set: %w", PodIdentityTokenFileVariable, ErrNoPodIdentity)
	}
	address, err := parseURL(config.URL)
	if err != nil || address.Scheme != "https" && !onThisMachine(address) {
		return nil, ErrPodIdentityURL
	}
	if config.Transport == nil {
		config.Transport = agentTransport()
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	source := &keySource{config: config,
		service: newService(OperationPodIdentity, address.String(), config.UserAgent, config.Timeout, config.Transport)}
	return &PodIdentity{newRenewer(renewal{operation: OperationPodIdentity, fetch: source.fetch, static: source.secrets,
		clock: config.Clock, changed: config.Changed})}, nil
}

// Format keeps the keys out of logs and messages, whatever the verb.
func (*PodIdentity) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "[pod identity]") // into a buffer of fmt
}

// String keeps the keys out of logs and messages.
func (*PodIdentity) String() string { return "[pod identity]" }

// GoString keeps the keys out of logs and messages.
func (p *PodIdentity) GoString() string { return p.String() }

// onThisMachine reports whether a URL names an address that no router passes on. A name could resolve to any other.
func onThisMachine(address *url.URL) bool {
	ip, err := netip.ParseAddr(address.Hostname())
	return err == nil && (ip.Unmap().IsLoopback() || ip.Unmap().IsLinkLocalUnicast())
}

// agentTransport asks no proxy, which could not reach the node's agent, and keeps no connection for the hours between two fetches.
func agentTransport() http.RoundTripper {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxAnswerBytes,
		DisableKeepAlives:      true,
		Protocols:              protocols,
	}
}

// keySource is the agent of the node.
type keySource struct {
	*service
	config PodIdentityConfig
	token  atomic.Pointer[string] // what the file held at the latest fetch
}

func (s *keySource) secrets() []string {
	if token := s.token.Load(); token != nil {
		return []string{*token}
	}
	return nil
}

func (s *keySource) fetch(ctx context.Context) (got fetched, failed *setback) {
	began := s.config.Clock.Now()
	x := exchange{s.service, s.secrets, nil}
	token, err := readToken(s.config.TokenFile)
	if err != nil {
		return fetched{}, x.failed(cbr.Credentials, transientPace, fmt.Errorf("the file that %s names: %w", PodIdentityTokenFileVariable, err))
	}
	s.token.Store(&token)
	failed = x.post(ctx, []byte("{}"), token, http.StatusOK, func(x exchange, response *http.Response) (failed *setback) {
		got, failed = s.keys(x, response, began)
		return failed
	})
	return got, failed
}

var errNoFile = errors.New("it is a directory or pipe, not a file")

// readToken reads the file of a token.
func readToken(path string) (string, error) {
	if is, err := os.Stat(path); err != nil || !is.Mode().IsRegular() { // to open a pipe would wait for who writes to it
		return "", cmp.Or(err, errNoFile)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(file, maxContent+1))
	if err != nil {
		return "", err
	}
	token, err := NewToken(content, time.Time{})
	if err != nil {
		return "", err
	}
	return token.Secrets()[0], nil
}

// podKeys are the keys as the agent answers them. The vendor's SDKs take both spellings; names are compared without case, so
// that securitytoken is securityToken too.
type podKeys struct {
	Credentials struct {
		Access          string `json:"access"`
		AccessKeyID     string `json:"accessKeyId"`
		Secret          string `json:"secret"`
		SecretAccessKey string `json:"secretAccessKey"`
		SecurityToken   string `json:"securityToken"`
		ExpiresAt       string `json:"expires_at"`
		Expiration      string `json:"expiration"`
	} `json:"credentials"`
}

var (
	errNotJSON         = errors.New("it is not the JSON object that is documented")
	errNoSecurityToken = errors.New("it holds no securitytoken")
	errLongAnswer      = fmt.Errorf("it is longer than %d KiB", maxAnswerBytes>>10)
)

func (s *keySource) keys(x exchange, response *http.Response, began time.Time) (fetched, *setback) {
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	var answer podKeys
	switch {
	case err != nil:
		return fetched{}, x.failed(cbr.Transient, transientPace, fmt.Errorf("read the answer: %w", err))
	case len(content) > maxAnswerBytes:
		return fetched{}, x.unusable(response, errLongAnswer)
	case json.Unmarshal(content, &answer) != nil: // the error would quote the text
		return fetched{}, x.unusable(response, errNotJSON)
	}
	keys := answer.Credentials
	if keys.SecurityToken == "" {
		return fetched{}, x.unusable(response, errNoSecurityToken)
	}
	life, err := lifeOf(parseTime(cmp.Or(keys.ExpiresAt, keys.Expiration)), response, began)
	if err != nil {
		failed := x.unusable(response, err)
		failed.Class = cbr.Transient
		return fetched{}, failed
	}
	got := fetched{life: life, expires: expiry(began, life)}
	key, err := NewAccessKey(AccessKeyConfig{
		Access: []byte(cmp.Or(keys.Access, keys.AccessKeyID)), Secret: []byte(cmp.Or(keys.Secret, keys.SecretAccessKey)),
		SecurityToken: []byte(keys.SecurityToken), ProjectID: s.config.ProjectID, Expires: got.expires, Clock: s.config.Clock,
	})
	if err != nil {
		return fetched{}, x.unusable(response, err)
	}
	got.credential = key
	return got, nil
}
