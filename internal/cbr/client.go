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
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultTimeout bounds a call, from when it is let out to the last byte of its answer.
const DefaultTimeout = 60 * time.Second

// Config says where a Client sends its calls and how they are authenticated.
type Config struct {
	// Endpoint is the URL of CBR, "https://cbr.cn-north-4.myhuaweicloud.com".
	Endpoint string
	// ProjectID is the {project_id} of the API's paths.
	ProjectID string
	// EnterpriseProjectID narrows the lists: the id of an enterprise project, AllEnterpriseProjects, or "" to send none.
	EnterpriseProjectID string
	// Credential authenticates every call.
	Credential Credential
	// Hidden, if set, returns texts that must not be seen besides the secrets of the credential: of those before it, or the name of a
	// user. It must not block. Beyond maxCut in all, nothing is told of what CBR says but documented codes.
	Hidden func() []string
	// Transport carries the calls: see Transports. It must not follow redirects or repeat requests.
	Transport http.RoundTripper
	// Timeout bounds each call, from when its credential has let it out, and before that how long it waits for that; DefaultTimeout if 0.
	Timeout time.Duration
	// UserAgent names the program to the API.
	UserAgent string
	// Observe, if set, is told of every call that was let out when it has ended.
	Observe func(Call)
	// Pace, if set, is asked before each read, and returns when it may be made. Its error ends the call.
	Pace func(context.Context) error
}

// Call describes a call that has ended.
type Call struct {
	Operation  Operation
	StatusCode int    // 0 without an answer
	Code       string // error code, "" without one
	Class      Class  // of its failure, "" without one
	Duration   time.Duration
}

// Client makes the calls of one project. It repeats nothing by itself. It is safe for concurrent use.
type Client struct {
	config Config
	base   *url.URL
	http   *http.Client
	secret *Redactor
}

var errEndpoint = errors.New("the endpoint is not an https:// or http:// URL of a host alone")

// NewClient makes a Client. It returns an error if the endpoint or the project id cannot be part of a URL, or without a credential.
func NewClient(config Config) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(config.Endpoint, "/"))
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") ||
		base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errEndpoint // without the text, which may hold a password
	}
	if !safeSegment(config.ProjectID) {
		return nil, fmt.Errorf("project id %q cannot be part of a URL", config.ProjectID)
	}
	if config.Credential == nil {
		return nil, errNoCredential
	}
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	return &Client{
		config: config,
		base:   base,
		secret: NewRedactor(config.secrets),
		http: &http.Client{
			Transport: config.Transport,
			// A redirect would carry the token, a custom header, to wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// secrets returns all texts that must not be seen.
func (c *Config) secrets() []string {
	secrets := c.Credential.Secrets()
	if c.Hidden != nil {
		secrets = append(slices.Clip(secrets), c.Hidden()...)
	}
	return secrets
}

// safeSegment reports whether a text can stand as one segment of a URL's path.
func safeSegment(text string) bool {
	if text == "" || len(text) > 128 || strings.Trim(text, ".") == "" {
		return false
	}
	return strings.IndexFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._~-", r)
	}) < 0
}

// request is one call to make.
type request struct {
	operation Operation
	method    string
	segments  []string // below /v3/{project_id}
	query     url.Values
	body      []byte
	read      func(*stream) error // reads the answer; what it read counts only if it returns no error
	date      *time.Time          // if set, is given the Date of an answer, if that can be read
}

// ErrTooLate says that a call was not sent, as its time to begin was over.
var ErrTooLate = errors.New("it was too late to send the call")

type beginBeforeKey struct{}

// BeginBefore returns a context whose calls are not sent (ErrTooLate) unless their body begins to go out before a
// time. A deadline does not do that: a process that is halted in the middle, and goes on much later, could send
// the call before it notices.
func BeginBefore(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, beginBeforeKey{}, at)
}

// lateBody is the body of a call that must not be sent late. It is asked for its content when the connection is
// there, just before the content goes out.
type lateBody struct {
	io.Reader
	beginBefore time.Time
	begun       bool
}

func (b *lateBody) Read(buffer []byte) (int, error) {
	if now := time.Now(); !b.begun && !b.beginBefore.IsZero() &&
		(now.After(b.beginBefore) || now.Round(0).After(b.beginBefore.Round(0))) { // the wall clock goes on in a suspended machine
		return 0, ErrTooLate
	}
	b.begun = true
	return b.Reader.Read(buffer)
}

// do makes a call and reads its answer. Anything but a 200 that can be read is an *Error.
func (c *Client) do(ctx context.Context, call request) error {
	if c.config.Pace != nil && call.method == http.MethodGet {
		if err := c.config.Pace(ctx); err != nil {
			return &Error{Operation: call.operation, Class: Transient, Untouched: true, Err: err}
		}
	}
	authorizedAt := time.Now()
	httpRequest, err := c.newRequest(ctx, call)
	if err != nil {
		failure := unauthorized(call.operation, err)
		failure.Err = c.secret.HideError(err)
		return failure
	}
	start := time.Now()
	failure := c.exchange(httpRequest, call, authorizedAt)
	if c.config.Observe != nil {
		observed := Call{Operation: call.operation, StatusCode: http.StatusOK, Duration: time.Since(start)}
		if failure != nil {
			observed.StatusCode, observed.Code, observed.Class = failure.StatusCode, failure.Code, failure.Class
		}
		c.config.Observe(observed)
	}
	if failure != nil { // an explicit nil: a nil *Error in an error is not nil
		return failure
	}
	return nil
}

// exchange sends a request that its credential has let out, and reads the answer.
func (c *Client) exchange(httpRequest *http.Request, call request, authorizedAt time.Time) (failure *Error) {
	failure = &Error{Operation: call.operation, Class: Unknown} // should something panic
	defer func() { c.tellCredential(failure, authorizedAt) }()
	ctx, cancel := context.WithTimeout(httpRequest.Context(), c.config.Timeout)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	response, err := c.http.Do(httpRequest.WithContext(ctx))
	if err != nil {
		failure = unanswered(call.operation, connected.Load(), err)
		failure.Err = c.secret.HideError(err) // after its cause was looked at, which this may hide
		return failure
	}
	defer response.Body.Close()
	// After a 101 the connection is the caller's, and the context does not end a read of it.
	defer context.AfterFunc(ctx, func() { _ = response.Body.Close() })()
	skew := skewOf(response.Header.Get("Date"), time.Now())
	if response.StatusCode != http.StatusOK {
		failure = c.refused(call.operation, response)
		failure.Skew = skew
		return failure
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil && call.date != nil {
		*call.date = date
	}
	if err := readAnswer(response.Body, call.read); err != nil {
		return &Error{Operation: call.operation, StatusCode: http.StatusOK, RequestID: c.secret.Hide(requestID(response, "")), Skew: skew,
			Class: failedBehind(call.operation), Err: fmt.Errorf("read the answer: %w", c.secret.HideError(err))}
	}
	return nil
}

// buffers gather what arrives in small pieces: the decoder asks for 4 KB at a time.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

func readAnswer(body io.Reader, read func(*stream) error) error {
	buffer := buffers.Get().(*bufio.Reader)
	defer buffers.Put(buffer)
	buffer.Reset(body)
	defer buffer.Reset(nil)
	return read(newStream(buffer))
}

func (c *Client) newRequest(ctx context.Context, call request) (*http.Request, error) {
	address := c.base.JoinPath(append([]string{"v3", c.config.ProjectID}, call.segments...)...)
	address.RawQuery = call.query.Encode()
	httpRequest, err := http.NewRequestWithContext(ctx, call.method, address.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	httpRequest.Header.Set("Content-Type", "application/json")
	httpRequest.Header.Set("Accept", "application/json")
	if c.config.UserAgent != "" {
		httpRequest.Header.Set("User-Agent", c.config.UserAgent)
	}
	if err := c.authorize(ctx, httpRequest, call.body); err != nil {
		return nil, fmt.Errorf("authorize the request: %w", err)
	}
	c.secret.note()
	attachBody(httpRequest, call.body)
	return httpRequest, nil
}

// authorize has the credential let a request out, which may have to wait for its turn: as long as an answer may take, and no longer than it
// may begin.
func (c *Client) authorize(ctx context.Context, httpRequest *http.Request, body []byte) error {
	until := time.Now().Add(c.config.Timeout)
	if at, is := ctx.Value(beginBeforeKey{}).(time.Time); is && !at.IsZero() && at.Before(until) {
		until = at
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return c.config.Credential.Authorize(ctx, httpRequest, body)
}

// attachBody gives a request its body, which may begin until the time of BeginBefore. It is not a bytes.Reader, from which
// net/http could make the body again and send it twice.
func attachBody(httpRequest *http.Request, content []byte) {
	httpRequest.Body, httpRequest.GetBody, httpRequest.ContentLength = nil, nil, int64(len(content))
	if content != nil {
		at, _ := httpRequest.Context().Value(beginBeforeKey{}).(time.Time)
		httpRequest.Body = io.NopCloser(&lateBody{Reader: bytes.NewReader(content), beginBefore: at})
	}
}

// tellCredential tells the credential how a request ended that it authorized at a time, if it wants to know.
func (c *Client) tellCredential(failure *Error, authorizedAt time.Time) {
	judged, wants := c.config.Credential.(Judged)
	if !wants {
		return
	}
	if failure != nil && failure.Class == Credentials {
		failure.AuthorizedAt = authorizedAt
	}
	judged.Ended(failure)
}

// unanswered is the failure of a request that got no answer. Without a connection nothing was sent.
func unanswered(operation Operation, connected bool, err error) *Error {
	connected = connected && !errors.Is(err, ErrTooLate)
	failure := &Error{Operation: operation, Class: Transient, Untouched: !connected, Err: err}
	if connected {
		failure.Class = failedBehind(operation)
	}
	return failure
}

// refused is the failure that an answer other than 200 stands for.
func (c *Client) refused(operation Operation, response *http.Response) *Error {
	said := readRefusal(response.Body)
	class := classify(operation, response.StatusCode, said)
	return &Error{
		Operation:  operation,
		StatusCode: response.StatusCode,
		Code:       c.secret.hideCode(said.Code),
		Message:    c.secret.Hide(said.Message),
		RequestID:  c.secret.Hide(requestID(response, said.RequestID)),
		RetryAfter: retryAfter(response.Header, time.Now()),
		Class:      class,
		Untouched:  untouched(class, response.StatusCode, said.Code),
	}
}

// leastSkew is the difference of two clocks that a header, which counts whole seconds and takes its time to arrive, can show.
const leastSkew = 5 * time.Second

// skewOf returns how far a server's clock, as its Date header shows it, is ahead of ours, 0 without a header that can be read.
func skewOf(header string, now time.Time) time.Duration {
	date, err := http.ParseTime(header)
	if skew := date.Sub(now); err == nil && skew.Abs() >= leastSkew {
		return skew
	}
	return 0
}

func requestID(response *http.Response, inBody string) string {
	if inBody != "" {
		return inBody
	}
	return response.Header.Get("X-Request-Id")
}

// maxRetryAfter keeps an absurd Retry-After from stopping a project for good.
const maxRetryAfter = time.Hour

// retryAfter reads a Retry-After header: seconds or an HTTP date. That is one of the server's clock, which the answer's own Date header
// shows. It returns 0 for none or an unreadable one.
func retryAfter(header http.Header, now time.Time) time.Duration {
	var wait time.Duration
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		wait = time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if until, err := http.ParseTime(text); err == nil {
		if date, err := http.ParseTime(header.Get("Date")); err == nil {
			now = date
		}
		wait = until.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
