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

package controller

import (
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// refusedForLong are refusals of calls that last, with how long no call is made after the first.
var refusedForLong = map[string]struct {
	refusal cbrtest.APIError
	pause   time.Duration
}{
	"throttled":        {cbrtest.APIError{Status: 429, Code: "APIGW.0308", Headers: map[string]string{"Retry-After": "3600"}}, time.Hour},
	"a quota":          {cbrtest.APIError{Status: 400, Code: "BackupService.6114"}, time.Minute},
	"no permission":    {cbrtest.APIError{Status: 403, Message: "Policy doesn't allow cbr:backups:sync to be performed."}, 15 * time.Minute},
	"down, for a time": {cbrtest.APIError{Status: 503, Headers: map[string]string{"Retry-After": "600"}}, 10 * time.Minute},
}

// A call whose answer was lost, and that CBR is found to have taken, says nothing of a refusal that came after it.
func TestALostCallThatIsFoundEndsNoLaterPause(t *testing.T) {
	for name, c := range refusedForLong {
		for _, policy := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
			t.Run(name+", lookups "+string(policy), func(t *testing.T) {
				scripted(t, policy, 2, func(t *testing.T, w *world) {
					a := w.actors[0]
					w.reach(a, answerLost)
					w.declareMany(6)
					w.refuseAll(during(2*time.Hour, cbrtest.Imports, c.refusal))
					refused := func() bool { return len(w.posts()) > 1 }
					if !w.liveUntil(a, 30*time.Second, refused) {
						t.Fatal("no call was refused")
					}
					if w.reason("b0") == v1alpha1.ReasonImported {
						t.Fatal("what became of the lost call is known already")
					}
					w.live(a, c.pause-time.Second)
					if w.reason("b0") != v1alpha1.ReasonImported {
						t.Errorf("the lost one is %s", w.reason("b0"))
					}
					if calls := len(w.posts()); calls != 2 {
						t.Errorf("%d calls, of which all but the first were refused", calls)
					}
				})
			})
		}
	}
}
