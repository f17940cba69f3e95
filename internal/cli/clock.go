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

package cli

import (
	"net/http"
	"time"
)

// noticeable is a difference of clocks that a header can show, which counts whole seconds.
const noticeable = 5 * time.Second

// ServerNow returns the time by the clock of the API server, as its latest answer has told; that of this machine before the first. It is for what
// others have dated: a clock here may be wrong by minutes.
func (f *Factory) ServerNow() time.Time { return f.Now().Add(time.Duration(f.ahead.Load())) }

// timekeeper notes the time that answers of the API server tell.
type timekeeper struct {
	next http.RoundTripper
	f    *Factory
}

// RoundTrip makes a request.
func (t timekeeper) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err == nil {
		t.f.noteTime(response.Header.Get("Date"))
	}
	return response, err
}

// WrappedRoundTripper lets client-go find what is inside.
func (t timekeeper) WrappedRoundTripper() http.RoundTripper { return t.next }

func (f *Factory) noteTime(date string) {
	told, err := http.ParseTime(date)
	if err != nil {
		return
	}
	ahead := told.Sub(f.Now())
	if ahead.Abs() < noticeable {
		ahead = 0
	}
	f.ahead.Store(int64(ahead))
}
