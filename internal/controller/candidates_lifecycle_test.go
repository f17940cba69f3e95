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
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

var _ = Describe("Duplicates", func() {
	It("are named, and take over without a second submission when the winner goes", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		second := w.backup(1)
		second.Name = "same-backup"
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1), second)
		w.start()
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1, v1alpha1.ReasonDuplicate: 1}))
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(second), second)).To(Succeed())
		Expect(ready(second.Status.Conditions).Message).To(ContainSubstring(w.backup(1).Name))

		Expect(apiserver.Delete(ctx, w.backup(1))).To(Succeed())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonAlreadyImported: 1}))
		w.expectEachAcceptedOnce(ctx, 1)
	})
})

var _ = Describe("Suspension", func() {
	It("of a BackupSync holds that one alone", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		held := w.backup(1)
		held.Spec.Suspend = true
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), held, w.backup(2))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonSuspended: 1, v1alpha1.ReasonImported: 1}))
		w.setSuspend(ctx, held, false)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 2}))
		w.setSuspend(ctx, held, true)
		Eventually(func(g Gomega) {
			g.Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(held), held)).To(Succeed())
			g.Expect(held.Status.ObservedGeneration).To(Equal(held.Generation))
			g.Expect(ready(held.Status.Conditions).Reason).To(Equal(v1alpha1.ReasonImported))
		}).Should(Succeed())
	})

	It("of a project stops new calls and says so", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) { spec.Suspend = true }), w.backup(1))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonSuspended)))
		w.expectUntouched(ctx, 1)
		Expect(w.cloud.Ledger()).To(BeEmpty())
		project := w.current(ctx)(Default)
		project.Spec.Suspend = false
		Expect(apiserver.Update(ctx, project)).To(Succeed())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
	})
})

var _ = Describe("A task that ends badly", func() {
	DescribeTable("is told with CBR's code and text",
		func(ctx context.Context, status cbr.TaskStatus, reason string) {
			w := newWorld(ctx, cbrtest.Options{TaskOutcome: func(cbr.Backup) cbrtest.Outcome {
				return cbrtest.Outcome{Status: status, Code: "BackupService.1006", Message: "the image path does not exist"}
			}})
			w.start()
			w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
			Eventually(w.reasons(ctx)).Should(Equal(map[string]int{reason: 1}))
			backup := w.backups(ctx)[0]
			Expect(ready(backup.Status.Conditions).Message).To(ContainSubstring("BackupService.1006: the image path does not exist"))
			Expect(backup.Status.NextAttemptTime != nil).To(Equal(reason == v1alpha1.ReasonRetryScheduled))
			Eventually(func(g Gomega) {
				var events eventsv1.EventList
				g.Expect(apiserver.List(ctx, &events, client.InNamespace(w.namespace))).To(Succeed())
				g.Expect(events.Items).To(ContainElement(And(HaveField("Reason", reason), HaveField("Type", corev1.EventTypeWarning),
					HaveField("Regarding.Name", backup.Name))))
			}).Should(Succeed())
		},
		Entry("failed, to be tried again", cbr.TaskFailed, v1alpha1.ReasonRetryScheduled),
		Entry("timeout, to be tried again", cbr.TaskTimeout, v1alpha1.ReasonRetryScheduled),
		Entry("skipped, for good", cbr.TaskSkipped, v1alpha1.ReasonOperationFailed),
	)
})

var _ = Describe("Deletion of a project", func() {
	It("waits for the outcome of its calls, and for nothing else", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, CloseAfter: true})
		w.start(impatient)
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOutcomeUnknown: 1}))
		Expect(apiserver.Delete(ctx, w.project())).To(Succeed())
		Expect(w.current(ctx)(Default).DeletionTimestamp).NotTo(BeNil(), "held by its record")
		Eventually(w.projectError(ctx)).Should(Satisfy(apierrors.IsNotFound))
		Expect(w.backups(ctx)[0].Status.OperationLogID).To(Equal(w.cloud.OperationLogIDs(w.backup(1).Spec.BackupID)[0]))
	})

	It("does not hang on credentials that are gone", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, CloseAfter: true})
		w.start(impatient, func(options *controller.Options) { options.DeletionGrace = 4 * time.Second })
		secret := w.secret(cbrtest.Token)
		w.apply(ctx, secret, w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOutcomeUnknown: 1}))
		Expect(apiserver.Delete(ctx, secret)).To(Succeed())
		Expect(apiserver.Delete(ctx, w.project())).To(Succeed())
		Eventually(w.projectError(ctx)).Should(Satisfy(apierrors.IsNotFound))
	})

	It("is not held at rest", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		Eventually(w.current(ctx)).Should(HaveField("Finalizers", BeEmpty()))
	})
})

var _ = Describe("Two controllers at once", func() {
	It("never submit a backup twice", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{Latency: 30 * time.Millisecond, TaskDuration: time.Second})
		w.start(impatient)
		w.start(impatient)
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		w.applyBackups(ctx, 200)
		w.expectMany(ctx, map[string]int{v1alpha1.ReasonImported: 200})
		w.expectEachAcceptedOnce(ctx, 200)
	})
})

var _ = Describe("A controller that is told to stop inside a call", func() {
	It("completes it and writes its outcome", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{Latency: 2 * time.Second})
		running := w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) { spec.LookupPolicy = v1alpha1.LookupNever }), w.backup(1))
		Eventually(w.cloud.SyncCalls).Should(Equal(1))
		running.Stop()
		Expect(w.backups(ctx)[0].Status.OperationLogID).To(Equal(w.cloud.OperationLogIDs(w.backup(1).Spec.BackupID)[0]))
		Expect(w.current(ctx)(Default).Status.Journal.Submissions).To(BeEmpty())
	})
})

func (w *world) projectError(ctx context.Context) func() error {
	return func() error {
		return apiserver.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "default"}, &v1alpha1.CBRProject{})
	}
}

func (w *world) setSuspend(ctx context.Context, backup *v1alpha1.BackupSync, suspend bool) {
	GinkgoHelper()
	Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(backup), backup)).To(Succeed())
	backup.Spec.Suspend = suspend
	Expect(apiserver.Update(ctx, backup)).To(Succeed())
}
