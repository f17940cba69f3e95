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
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// The calls that an account may make in a minute are made, and no more: each refused one would be one less.
func TestTheLimitOfCallsIsUsedAndNeverExceeded(t *testing.T) {
	for _, limit := range []int32{1, 10, 60} {
		scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
			const minutes = 5
			w.configure(func(o *cbrtest.Options) { o.SyncCallsPerMinute = int(limit) })
			w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Batch.MaxSize, spec.Limits.SyncCallsPerMinute = 1, limit })
			w.declareMany(minutes*int(limit) + 1)
			w.live(w.actors[0], minutes*time.Minute+time.Minute)
			var calls []time.Time
			for _, call := range w.cloud.Ledger() {
				if call.Operation == cbr.OperationImport {
					calls = append(calls, call.Time)
				}
			}
			if len(calls) != minutes*int(limit)+1 || w.cloud.MaxCallsInWindow(time.Minute) > int(limit) {
				t.Fatalf("%d a minute: %d calls, %d in a minute", limit, len(calls), w.cloud.MaxCallsInWindow(time.Minute))
			}
			if took := calls[len(calls)-1].Sub(calls[0]); took > minutes*time.Minute*100/95 {
				t.Errorf("%d a minute: %d calls took %s", limit, len(calls), took)
			}
		})
	}
}
