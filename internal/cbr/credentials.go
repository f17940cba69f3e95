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
	"net/http"
)

const tokenHeader = "X-Auth-Token"

// Credential authenticates requests.
type Credential interface {
	// Authorize adds what authenticates the request: headers, or a signature over the request as it is.
	// An error means that the request must not be sent.
	Authorize(ctx context.Context, request *http.Request) error
}

// Token is an IAM token, sent in the header X-Auth-Token.
type Token struct {
	value *string // a pointer: formatting a struct that holds a Token does not follow it
}

// Authorize sets the token's header.
func (t Token) Authorize(_ context.Context, request *http.Request) error {
	if t.value == nil {
		return ErrEmptyToken
	}
	request.Header.Set(tokenHeader, *t.value)
	return nil
}

// secretOf returns the text of a credential that must not be seen, "" if it sends none.
func secretOf(credential Credential) string {
	if token, ok := credential.(Token); ok && token.value != nil {
		return *token.value
	}
	return ""
}

// String keeps the token out of logs and messages.
func (t Token) String() string { return "[token]" }

// GoString keeps the token out of logs and messages.
func (t Token) GoString() string { return t.String() }
