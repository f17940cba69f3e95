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
	"context"
	"errors"
	"net/http"
)

// Credential authorizes requests. It is safe for concurrent use.
type Credential interface {
	// Authorize adds headers that authorize the request with this body, nil for none. It never touches request.Body, which is
	// not there yet: it can be read only once, when the call begins. It may wait as long as the context lasts. An error means that the
	// request must not be sent; an *Error keeps its class, any other is of class Credentials.
	Authorize(ctx context.Context, request *http.Request, body []byte) error
	// Secrets returns the texts that must not be seen anywhere, as they are now.
	Secrets() []string
}

// Judged is a Credential that wants to know how the requests end that it authorizes. The Client tells it of each of them once.
type Judged interface {
	// Ended is told of the failure of a request, nil if there was none. One of class Credentials with a status refuses the credential.
	Ended(failure *Error)
}

var errNoCredential = errors.New("there is no credential to authorize calls with")

// unauthorized is the failure of a call that its credential did not let out.
func unauthorized(operation Operation, err error) *Error {
	failure := &Error{Operation: operation, Class: Credentials, Untouched: true, Err: err}
	var cause *Error
	if errors.As(err, &cause) {
		failure.Class, failure.RetryAfter, failure.Skew = cause.Class, cause.RetryAfter, cause.Skew
	}
	return failure
}
