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
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// store gives a CBR so many backups that no BackupSync declares.
func store(cloud *cbrtest.Server, count int) {
	backups := make([]cbr.StoredBackup, count)
	for number := range backups {
		backups[number].ID = fmt.Sprintf("stored-%06d", number)
	}
	cloud.AddBackups(cbrtest.ProjectID, backups...)
}

var _ = Describe("A CBR with many backups", func() {
	It("is listed once for manifests that are applied one after the other", func(ctx context.Context) {
		const stored, batches, each = 20_000, 6, 30
		w := newWorld(ctx, cbrtest.Options{})
		store(w.cloud, stored)
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		w.applyBackups(ctx, each) // before the start: a controller that sees the first few of them asks for these alone
		began := time.Now()
		w.start()
		for batch := 1; batch < batches; batch++ {
			Eventually(func() int { return len(w.cloud.Accepted()) }).Should(Equal(batch * each))
			for number := range each {
				w.apply(ctx, w.backup(batch*each+number))
			}
		}
		Eventually(w.reasons(ctx), 2*time.Minute).Should(Equal(map[string]int{v1alpha1.ReasonImported: batches * each}))
		w.expectEachAcceptedOnce(ctx, batches*each)
		lists := 1 + int(time.Since(began)/(30*time.Second)) // for so long one counts
		Expect(w.cloud.Calls(cbr.OperationListBackups)).To(BeNumerically("<=", lists*(stored/cbr.MaxPageSize+1)))
		Expect(w.cloud.Calls(cbr.OperationGetBackup)).To(BeNumerically("<=", (lists-1)*batches*each), "a list that counts leaves nothing to ask")
	})

	It("is read to its end although it refuses reads that come too fast", func(ctx context.Context) {
		const limit, count = 20, 100
		w := newWorld(ctx, cbrtest.Options{ReadsPerSecond: limit})
		store(w.cloud, 40*cbr.MaxPageSize)
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		w.applyBackups(ctx, count)
		w.start()
		Eventually(w.reasons(ctx), 3*time.Minute).Should(Equal(map[string]int{v1alpha1.ReasonImported: count}))
		w.expectEachAcceptedOnce(ctx, count)
		refused := 0
		for _, call := range w.cloud.Ledger() {
			if call.Code == "APIGW.0308" {
				refused++
			}
		}
		Expect(refused).To(BeNumerically("<=", 2), "reads are paced after the first refusal")
	})

	It("is looked at again when the project points elsewhere", func(ctx context.Context) {
		const count = 10
		w, elsewhere := newWorld(ctx, cbrtest.Options{}), cbrtest.NewServer(GinkgoTB(), cbrtest.Options{})
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, Status: 429, Code: "APIGW.0308", Times: cbrtest.Always})
		for number := range count {
			elsewhere.AddBackups(cbrtest.ProjectID, cbr.StoredBackup{ID: w.backup(number).Spec.BackupID})
		}
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		w.applyBackups(ctx, count)
		w.start()
		Eventually(w.cloud.SyncCalls).Should(BeNumerically(">=", 1)) // it was seen that CBR has none of them
		edit := fmt.Appendf(nil, `{"spec":{"endpoint":%q}}`, elsewhere.URL)
		Expect(apiserver.Patch(ctx, w.project(), client.RawPatch(types.MergePatchType, edit))).To(Succeed())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonAlreadyImported: count}))
		Expect(elsewhere.SyncCalls()).To(BeZero())
	})
})
