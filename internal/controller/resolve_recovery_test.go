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
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

// impatient makes lost calls be looked up after seconds.
func impatient(options *controller.Options) {
	options.CallTimeout = time.Second
	options.BeginTimeout = time.Second
	options.SettleTime = 2500 * time.Millisecond
	options.WriteTimeout = 5 * time.Second
}

var _ = Describe("A call whose answer is lost", func() {
	DescribeTable("is looked up, and nothing is sent twice",
		func(ctx context.Context, fault cbrtest.Fault, accepted int) {
			w := newWorld(ctx, cbrtest.Options{})
			fault.Operation = cbr.OperationImport
			w.cloud.Inject(fault)
			w.apply(ctx, w.secret(cbrtest.Token), w.project())
			w.applyBackups(ctx, 10)
			w.start(impatient) // now, so that they make one call
			Eventually(w.reasons(ctx), 3*time.Minute).Should(Equal(map[string]int{v1alpha1.ReasonImported: 10}))
			w.expectEachAcceptedOnce(ctx, 10)
			Expect(w.cloud.SyncCalls()).To(Equal(accepted))
		},
		Entry("reset after CBR took it", cbrtest.Fault{CloseAfter: true}, 1),
		Entry("reset before CBR took it", cbrtest.Fault{CloseBefore: true}, 2),
		Entry("no answer in time", cbrtest.Fault{Hang: true}, 2),
		Entry("half an answer", cbrtest.Fault{Truncate: true}, 1),
		Entry("an empty 200", cbrtest.Fault{Empty200: true}, 2),
		Entry("an empty 200 after CBR took it", cbrtest.Fault{Empty200: true, AcceptItems: cbrtest.All}, 1),
		Entry("a page of HTML with 200", cbrtest.Fault{Body: "<html>welcome</html>", ContentType: "text/html"}, 2),
		Entry("500 without a code after CBR took it", cbrtest.Fault{Status: 500, AcceptItems: cbrtest.All}, 1),
		Entry("504 of the gateway after CBR took half of it", cbrtest.Fault{Status: 504, Code: "APIGW.0201", AcceptItems: 5}, 2),
		Entry("ids left out of the answer", cbrtest.Fault{MissingIDs: 3}, 1),
		Entry("ids that nobody asked for", cbrtest.Fault{ForeignIDs: 3}, 1),
		Entry("ids twice in the answer", cbrtest.Fault{DuplicateIDs: 3}, 1),
		Entry("a 400 although CBR took it", cbrtest.Fault{Status: 400, Code: "BackupService.9900", AcceptItems: cbrtest.All}, 1),
	)

	It("is not followed to another host, and waits for a person if there is none behind the endpoint", func(ctx context.Context) {
		elsewhere := cbrtest.NewServer(GinkgoTB(), cbrtest.Options{})
		w := newWorld(ctx, cbrtest.Options{})
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, RedirectTo: elsewhere.URL})
		w.start(impatient)
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.current(ctx)).Should(HaveField("Status.Conditions", ContainElement(And(
			HaveField("Type", v1alpha1.ConditionStalled), HaveField("Reason", v1alpha1.ReasonNotCBR)))))
		Expect(elsewhere.Ledger()).To(BeEmpty())
		w.requestNow(ctx)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		w.expectEachAcceptedOnce(ctx, 1)
	})

	It("says OutcomeUnknown meanwhile", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, CloseAfter: true})
		w.start(impatient)
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOutcomeUnknown: 1}))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
	})

	It("waits for tasks that do not name their backup instead of guessing", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{HideTaskBackup: true, TaskDuration: 5 * time.Second})
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, CloseAfter: true})
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		w.applyBackups(ctx, 5) // all of one resource
		w.start(impatient)
		Eventually(w.reasons(ctx), 3*time.Minute).Should(Equal(map[string]int{v1alpha1.ReasonImported: 5}))
		Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
		Expect(w.cloud.SyncCalls()).To(Equal(1))
	})
})

var _ = Describe("Backups that CBR has already", func() {
	It("are marked and never sent", func(ctx context.Context) {
		const count = 600
		w := newWorld(ctx, cbrtest.Options{})
		for number := range count {
			spec := w.backup(number).Spec
			w.cloud.AddBackups(cbrtest.ProjectID, cbr.StoredBackup{ID: spec.BackupID, Name: spec.BackupName, ResourceID: spec.ResourceID})
		}
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		w.applyBackups(ctx, count)
		w.start()
		w.expectMany(ctx, map[string]int{v1alpha1.ReasonAlreadyImported: count})
		Expect(w.cloud.SyncCalls()).To(BeZero())
		AddReportEntry("calls of CBR for 600 backups", len(w.cloud.Ledger()))
		Expect(len(w.cloud.Ledger())).To(BeNumerically("<=", 20))
	})

	It("are not sent again when a BackupSync is deleted and created anew while its task runs", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TaskDuration: 3 * time.Second})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOperationRunning: 1}))
		Expect(apiserver.Delete(ctx, w.backup(1))).To(Succeed())
		w.apply(ctx, w.backup(1))
		Eventually(w.reasons(ctx)).Should(Or( // the task may have ended before the new one was seen
			Equal(map[string]int{v1alpha1.ReasonImported: 1}), Equal(map[string]int{v1alpha1.ReasonAlreadyImported: 1})))
		w.expectEachAcceptedOnce(ctx, 1)
	})
})

var _ = Describe("A process that ends", func() {
	DescribeTable("at any point of a call leaves enough for the next one",
		func(ctx context.Context, phase cbrtest.Phase) {
			w := newWorld(ctx, cbrtest.Options{})
			reached, blocked := make(chan struct{}), make(chan struct{})
			w.cloud.Configure(func(options *cbrtest.Options) {
				options.OnImport = func(at cbrtest.Phase, _ []cbr.Backup) {
					if at == phase {
						close(reached)
						<-blocked
						panic(http.ErrAbortHandler)
					}
				}
			})
			w.apply(ctx, w.secret(cbrtest.Token), w.project())
			w.applyBackups(ctx, 5)
			crash := w.startDoomed(nil)
			Eventually(reached).Should(BeClosed())
			crash.now()
			w.cloud.Configure(func(options *cbrtest.Options) { options.OnImport = nil })
			close(blocked)
			w.start(impatient)
			Eventually(w.reasons(ctx), 3*time.Minute).Should(Equal(map[string]int{v1alpha1.ReasonImported: 5}))
			w.expectEachAcceptedOnce(ctx, 5)
		},
		Entry("before CBR takes it", cbrtest.BeforeAccept),
		Entry("after CBR took it", cbrtest.AfterAccept),
	)
})

var _ = Describe("Refused calls", func() {
	It("are halved until the culprits stand alone", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{Reject: func(backup cbr.Backup) *cbrtest.APIError {
			if backup.Name == "backup_7" || backup.Name == "backup_63" {
				return &cbrtest.APIError{Status: 400, Code: "BackupService.6302", Message: "resource of " + backup.Name + " not found"}
			}
			return nil
		}})
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		w.applyBackups(ctx, 100)
		w.start() // now, so that they make two calls
		w.expectMany(ctx, map[string]int{v1alpha1.ReasonImported: 98, v1alpha1.ReasonRejected: 2})
		Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
		for _, backup := range w.backups(ctx) {
			if condition := ready(backup.Status.Conditions); condition.Reason == v1alpha1.ReasonRejected {
				Expect(condition.Message).To(ContainSubstring("resource of " + backup.Spec.BackupName))
			}
		}
		Expect(w.cloud.SyncCalls()).To(BeNumerically("<=", 2+2*2*6))

		mended := w.backup(7)
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(mended), mended)).To(Succeed())
		mended.Spec.BackupName = "backup_7_mended"
		Expect(apiserver.Update(ctx, mended)).To(Succeed())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 99, v1alpha1.ReasonRejected: 1}))
	})
})

// requestNow asks for another try with the project's annotation.
func (w *world) requestNow(ctx context.Context) {
	GinkgoHelper()
	project := w.current(ctx)(Default)
	before := project.DeepCopy()
	project.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: time.Now().String()}
	Expect(apiserver.Patch(ctx, project, client.MergeFrom(before))).To(Succeed())
}

func (w *world) expectEachAcceptedOnce(ctx context.Context, count int) {
	GinkgoHelper()
	Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
	Expect(w.cloud.Accepted()).To(HaveLen(count))
	for _, backup := range w.backups(ctx) {
		Expect(w.cloud.OperationLogIDs(backup.Spec.BackupID)).To(Equal([]string{backup.Status.OperationLogID}),
			fmt.Sprintf("operation logs of %s", backup.Name))
	}
	Eventually(w.current(ctx)).Should(HaveField("Status.Journal.Submissions", BeEmpty()))
}
