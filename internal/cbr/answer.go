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
	"net/http"
	"time"
)

// ReadError returns what an answer of another service of the cloud than CBR says of a failure, without its class, and whether a
// JSON object said it: anything else comes from something in between. Secrets are kept out of it.
func ReadError(operation Operation, response *http.Response, secret *Redactor) (failure *Error, spoken bool) {
	said := readRefusal(response.Body)
	return &Error{
		Operation:  operation,
		StatusCode: response.StatusCode,
		Code:       secret.hideCode(said.Code),
		Message:    secret.Hide(said.Message),
		RequestID:  secret.Hide(requestID(response, said.RequestID)),
		RetryAfter: retryAfter(response.Header, time.Now()),
		Skew:       skewOf(response.Header.Get("Date"), time.Now()),
	}, said.isObject
}
