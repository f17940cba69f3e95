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
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"
)

// answers is a server that tells a time.
type answers string

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{Header: http.Header{"Date": {string(a)}}}, nil
}

func TestTheTimeOfTheServerIsKnownByItsAnswers(t *testing.T) {
	here := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := NewFactory("test", genericiooptions.IOStreams{})
	f.Clock = clocktesting.NewFakeClock(here)
	for _, told := range []struct {
		date string
		want time.Time
	}{
		{"", here},
		{here.Add(-2 * time.Minute).Format(http.TimeFormat), here.Add(-2 * time.Minute)},
		{"no time", here.Add(-2 * time.Minute)}, // what was known is kept
		{here.Add(time.Hour).Format(http.TimeFormat), here.Add(time.Hour)},
		{here.Add(2 * time.Second).Format(http.TimeFormat), here}, // no more than seconds can tell
	} {
		response, err := timekeeper{answers(told.date), f}.RoundTrip(nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.Body != nil {
			_ = response.Body.Close()
		}
		if got := f.ServerNow(); !got.Equal(told.want) {
			t.Errorf("after %q: %s, want %s", told.date, got, told.want)
		}
	}
}
