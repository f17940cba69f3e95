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

package rivals

import (
	"net/http"
	"net/http/httptest"
)

// direct carries requests to a handler without a network, so that they can be made in a bubble of testing/synctest.
type direct struct{ handler http.Handler }

// RoundTrip has the handler answer.
func (d direct) RoundTrip(request *http.Request) (*http.Response, error) {
	recorder, sent := httptest.NewRecorder(), request.Clone(request.Context())
	if sent.Body == nil {
		sent.Body = http.NoBody
	}
	d.handler.ServeHTTP(recorder, sent)
	return recorder.Result(), nil
}
