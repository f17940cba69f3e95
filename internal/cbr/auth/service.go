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
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

const (
	// maxAnswerBytes bounds what is read of an answer. Without a catalog, IAM's take some KB.
	maxAnswerBytes = 64 << 10
	// defaultTimeout bounds a fetch, from its start to the last byte of its answer.
	defaultTimeout = 30 * time.Second
)

// service is what credentials are fetched from: IAM, or the agent of a node.
type service struct {
	operation cbr.Operation
	address   string
	userAgent string
	timeout   time.Duration // of a request, to the last byte of its answer
	http      *http.Client
}

func newService(operation cbr.Operation, address, userAgent string, timeout time.Duration, transport http.RoundTripper) *service {
	return &service{operation: operation, address: address, userAgent: userAgent, timeout: timeout, http: &http.Client{
		Transport: transport,
		// A redirect could carry a password or a token to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// exchange is one request and its answer.
type exchange struct {
	*service
	secrets func() []string // that must not be seen in what is said about it
	// names must not be seen in what is answered. They are not hidden elsewhere: they may be words like any other.
	names []string
}

// post sends a request with a JSON body, and calls read for an answer of the expected status. It returns a setback if there is
// none.
func (x exchange) post(ctx context.Context, body []byte, authorization string, expected int,
	read func(exchange, *http.Response) *setback) *setback {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	request, err := http.NewRequestWithContext(traced, http.MethodPost, x.address, bytes.NewReader(body))
	if err != nil {
		return x.failed(cbr.Misdirected, hourlyPace, err)
	}
	request.Header.Set("Content-Type", "application/json;charset=utf8")
	request.Header.Set("Accept", "application/json")
	if x.userAgent != "" {
		request.Header.Set("User-Agent", x.userAgent)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := x.http.Do(request)
	if err != nil {
		failed := x.failed(cbr.Transient, transientPace, err)
		failed.sent = sent.Load()
		return failed
	}
	defer response.Body.Close()
	// After a 101 the connection is the caller's, and the context does not end a read of it.
	defer context.AfterFunc(ctx, func() { _ = response.Body.Close() })()
	x = x.hiding(append(response.Header.Values(subjectTokenHeader), x.names...))
	if response.StatusCode != expected {
		return x.refused(response)
	}
	return read(x, response)
}

// hiding returns an exchange that also hides what came in an answer, which may say it again elsewhere.
func (x exchange) hiding(texts []string) exchange {
	known := x.secrets
	x.secrets = func() []string { return append(known(), texts...) }
	return x
}

// failed is a fetch without an answer.
func (x exchange) failed(class cbr.Class, pace pace, err error) *setback {
	return &setback{pace: pace, Error: &cbr.Error{
		Operation: x.operation, Class: class, Untouched: true, Err: cbr.NewRedactor(x.secrets).HideError(err)}}
}

// unusable is an answer of the expected status that does not hold what it should.
func (x exchange) unusable(response *http.Response, err error) *setback {
	failed := x.failed(cbr.Foreign, strayPace, fmt.Errorf("the answer cannot be used: %w", err))
	failed.StatusCode = response.StatusCode
	return failed
}

// refused is an answer of another status than the expected.
func (x exchange) refused(response *http.Response) *setback {
	failure, spoken := cbr.ReadError(x.operation, response, cbr.NewRedactor(x.secrets))
	failure.Untouched = true
	if failure.Code == strconv.Itoa(failure.StatusCode) { // IAM repeats the status there
		failure.Code = ""
	}
	failed := &setback{Error: failure, sent: true}
	failure.Class, failed.pace = judge(failure, spoken)
	return failed
}

// codeThrottled is IAM's for too many requests.
const codeThrottled = "IAM.0012"

// judge says what kind of failure an answer is, and when another fetch may go better. What is not spoken, by a JSON object,
// comes from something in between, and is no word about the credentials.
func judge(failure *cbr.Error, spoken bool) (cbr.Class, pace) {
	switch status := failure.StatusCode; {
	case status == http.StatusTooManyRequests, failure.Code == codeThrottled:
		return cbr.Throttled, throttledPace
	case status >= 500, status == http.StatusRequestTimeout:
		return cbr.Transient, transientPace
	case status < 200, status/100 == 3: // a redirect, which is not followed, or an upgrade that nobody asked for
		return cbr.Misdirected, strayPace
	case status == http.StatusUnauthorized && !spoken: // it may be about a password all the same
		return cbr.Foreign, hourlyPace
	case !spoken, status/100 == 2:
		return cbr.Foreign, strayPace
	case status == http.StatusUnauthorized:
		return cbr.Credentials, strayPace
	case status == http.StatusForbidden:
		return cbr.Permission, permissionPace
	case status == http.StatusNotFound:
		return cbr.Misdirected, strayPace
	default:
		return cbr.Refused, hourlyPace
	}
}

var errServiceURL = errors.New("it is not an https:// or http:// URL of a host")

// parseURL reads the URL of a service. Its errors do not repeat the text, which may hold a password.
func parseURL(text string) (*url.URL, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Hostname() == "" || (parsed.Scheme != "https" && parsed.Scheme != "http") ||
		parsed.User != nil || parsed.Fragment != "" {
		return nil, errServiceURL
	}
	return parsed, nil
}

var errIssuedExpired = errors.New("what it issues has already expired, by its own clock and by ours")

// lifeOf returns how long something lives that ends at a time of the server's clock. That clock is read from the answer's Date
// header, as ours may be off; without one, ours must do. Of two lives by two clocks the shorter one is believed: to renew early does
// no harm. It returns 0 if the life is not known.
func lifeOf(end time.Time, response *http.Response, began time.Time) (time.Duration, error) {
	date, dateErr := http.ParseTime(response.Header.Get("Date"))
	switch {
	case end.IsZero():
		return 0, nil
	case dateErr == nil && end.After(date) && end.After(began):
		return min(end.Sub(date), end.Sub(began)), nil
	case dateErr == nil && end.After(date):
		return end.Sub(date), nil
	case end.After(began):
		return end.Sub(began), nil
	case dateErr == nil:
		return 0, errIssuedExpired
	default: // our clock alone says that it has expired
		return 0, nil
	}
}

// expiry is the end of a life that began at a time; zero if the life is not known.
func expiry(began time.Time, life time.Duration) time.Time {
	if life <= 0 {
		return time.Time{}
	}
	return began.Add(life)
}

// parseTime reads a time as IAM writes it, "2020-01-04T09:05:22.701000Z"; zero if it cannot be read.
func parseTime(text string) time.Time {
	parsed, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(text))
	if err != nil {
		return time.Time{}
	}
	return parsed
}
