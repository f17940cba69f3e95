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

package controller_test

import (
	"context"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// isLook reports whether a call is a look at the running tasks: others do not select by the time.
func isLook(call cbrtest.Call) bool {
	return call.Operation == cbr.OperationListTasks && strings.Contains(call.Query, "start_time=")
}

func isImport(call cbrtest.Call) bool { return call.Operation == cbr.OperationImport }

// lastIndex is like slices.IndexFunc, from the end.
func lastIndex(calls []cbrtest.Call, is func(cbrtest.Call) bool) int {
	for i, call := range slices.Backward(calls) {
		if is(call) {
			return i
		}
	}
	return -1
}

var _ = Describe("A look at the running tasks", func() {
	It("is not put off by the calls that follow", func(ctx context.Context) {
		// A pass that takes a project over makes four calls, the next one the rest.
		w := newWorld(ctx, cbrtest.Options{Latency: 300 * time.Millisecond})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.Batch.MaxSize, spec.Limits.ConcurrentSyncCalls = 2, 1
		}))
		w.applyBackups(ctx, 24)
		w.start()
		Eventually(w.reasons(ctx), time.Minute).Should(Equal(map[string]int{v1alpha1.ReasonImported: 24}))
		w.expectEachAcceptedOnce(ctx, 24)
		calls := w.cloud.Ledger()
		Expect(slices.IndexFunc(calls, isLook)).To(BeNumerically("<", lastIndex(calls, isImport)))
	})
})
