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
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

// failing makes the tasks of a cloud end badly as long as it is set.
type failing struct{ atomic.Bool }

func (f *failing) outcome(cbr.Backup) cbrtest.Outcome {
	if f.Load() {
		return cbrtest.Outcome{Status: cbr.TaskFailed, Code: "BackupService.1006", Message: "the image path does not exist"}
	}
	return cbrtest.Outcome{}
}

func retries(limit int32) func(*v1alpha1.CBRProjectSpec) {
	return func(spec *v1alpha1.CBRProjectSpec) { spec.Retry.Limit = &limit }
}

func overdueAfter(timeout time.Duration) func(*v1alpha1.CBRProjectSpec) {
	return func(spec *v1alpha1.CBRProjectSpec) { spec.Poll.OverdueAfter = &metav1.Duration{Duration: timeout} }
}

// request asks for another try of a BackupSync.
func (w *world) request(ctx context.Context, backup *v1alpha1.BackupSync, request string) {
	GinkgoHelper()
	Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(backup), backup)).To(Succeed())
	before := backup.DeepCopy()
	backup.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: request}
	Expect(apiserver.Patch(ctx, backup, client.MergeFrom(before))).To(Succeed())
}

func (w *world) get(ctx context.Context, number int) func(Gomega) *v1alpha1.BackupSync {
	return func(g Gomega) *v1alpha1.BackupSync {
		backup := w.backup(number)
		g.Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(backup), backup)).To(Succeed())
		return backup
	}
}

func backupReason(backup *v1alpha1.BackupSync) string { return ready(backup.Status.Conditions).Reason }

// events returns the reasons and notes of the events of the namespace.
func (w *world) events(ctx context.Context) func(Gomega) []string {
	return func(g Gomega) []string {
		var list eventsv1.EventList
		g.Expect(apiserver.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
		var told []string
		for _, event := range list.Items {
			told = append(told, fmt.Sprintf("%s %s: %s", event.Regarding.Kind, event.Reason, event.Note))
		}
		return told
	}
}

var _ = Describe("A request to try again", func() {
	var fails failing

	DescribeTable("is met at once, and echoed", func(ctx context.Context, limit int32, reason string) {
		fails.Store(true)
		w := newWorld(ctx, cbrtest.Options{TaskOutcome: fails.outcome})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(retries(limit)), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{reason: 1}))
		fails.Store(false)
		w.request(ctx, w.backup(1), "first")
		Eventually(w.get(ctx, 1)).Should(And(WithTransform(backupReason, Equal(v1alpha1.ReasonImported)),
			HaveField("Status.LastHandledRequest", "first"), HaveField("Status.Attempts", BeEquivalentTo(1)), HaveField("Status.NextAttemptTime", BeNil())))
		Expect(w.cloud.SyncCalls()).To(Equal(2))

		w.request(ctx, w.backup(1), "second")
		Eventually(w.get(ctx, 1)).Should(HaveField("Status.LastHandledRequest", "second"), "there is nothing to try again")
		Expect(w.cloud.SyncCalls()).To(Equal(2))
	},
		Entry("for an import that has failed for good", int32(0), v1alpha1.ReasonOperationFailed),
		Entry("for one that waits for its retry", int32(3), v1alpha1.ReasonRetryScheduled),
	)

	It("sends a rejected backup again, once", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{Reject: func(cbr.Backup) *cbrtest.APIError {
			return &cbrtest.APIError{Status: 400, Code: "BackupService.7300", Message: "the vault cannot be synchronized"}
		}})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonRejected: 1}))
		w.request(ctx, w.backup(1), strings.Repeat("long", 100))
		Eventually(w.cloud.SyncCalls).Should(Equal(2))
		Eventually(w.get(ctx, 1)).Should(And(WithTransform(backupReason, Equal(v1alpha1.ReasonRejected)),
			HaveField("Status.LastHandledRequest", HaveLen(256))))
		Consistently(w.cloud.SyncCalls, time.Second).Should(Equal(2))
	})

	It("of a project concerns everything that is stalled in it", func(ctx context.Context) {
		fails.Store(true)
		w := newWorld(ctx, cbrtest.Options{TaskOutcome: fails.outcome})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(retries(0)))
		w.applyBackups(ctx, 60)
		w.start()
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOperationFailed: 60}))
		fails.Store(false)
		w.requestNow(ctx)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 60}))
		Expect(w.cloud.SyncCalls()).To(Equal(4))
		project := w.current(ctx)(Default)
		Expect(project.Status.LastHandledRequest).To(Equal(project.Annotations[v1alpha1.RequestedAtAnnotation]))
	})
})

var _ = Describe("A task whose end tells too little", func() {
	It("is settled by the backups if it reports errors", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{SharedTaskIDs: true, TaskOutcome: func(backup cbr.Backup) cbrtest.Outcome {
			if backup.Name == "backup_3" {
				return cbrtest.Outcome{FailedBackups: 1}
			}
			return cbrtest.Outcome{}
		}})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(retries(0)))
		w.applyBackups(ctx, 10)
		w.start()
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 9, v1alpha1.ReasonOperationFailed: 1}))
		failed := w.get(ctx, 3)(Default)
		Expect(ready(failed.Status.Conditions)).To(And(HaveField("Reason", v1alpha1.ReasonOperationFailed),
			HaveField("Message", ContainSubstring("does not have this backup"))))
	})

	It("is settled by the backup if CBR no longer knows the task", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TaskRetention: time.Nanosecond, TaskDuration: 2 * time.Second})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOperationRunning: 1}))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		w.expectEachAcceptedOnce(ctx, 1)
	})

	It("fails after a while if CBR knows neither the task nor the backup", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TaskRetention: time.Nanosecond, TaskOutcome: func(cbr.Backup) cbrtest.Outcome {
			return cbrtest.Outcome{Status: cbr.TaskFailed}
		}})
		w.start(impatient)
		w.apply(ctx, w.secret(cbrtest.Token), w.project(retries(0), overdueAfter(time.Second)), w.backup(1))
		Eventually(w.get(ctx, 1)).Should(WithTransform(backupReason, Equal(v1alpha1.ReasonOperationFailed)))
		failed := w.get(ctx, 1)(Default)
		Expect(failed.Status.FinishedTime.Sub(failed.Status.SubmittedTime.Time)).To(BeNumerically(">", time.Second), "it may have been on its way")
	})
})

var _ = Describe("A task that takes longer than poll.overdueAfter", func() {
	It("says so, once, and is followed on", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TaskDuration: 4 * time.Second})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(overdueAfter(time.Second)), w.backup(1))
		Eventually(w.get(ctx, 1)).Should(WithTransform(func(backup *v1alpha1.BackupSync) metav1.Condition { return ready(backup.Status.Conditions) },
			And(HaveField("Reason", v1alpha1.ReasonOperationOverdue), HaveField("Message", ContainSubstring("longer than spec.poll.overdueAfter")))))
		Eventually(w.events(ctx)).Should(ContainElement(ContainSubstring("BackupSync OperationOverdue")))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		Expect(total(w.requests.matching("PATCH", "/backupsyncs/"))).To(Equal(3))
	})
})

var _ = Describe("Poisoned backups", func() {
	DescribeTable("stand alone in the end, and hold up nobody", func(ctx context.Context, poisoned func(number int) bool, culprits int) {
		w := newWorld(ctx, cbrtest.Options{Reject: func(backup cbr.Backup) *cbrtest.APIError {
			var number int
			if _, err := fmt.Sscanf(backup.Name, "backup_%d", &number); err == nil && poisoned(number) {
				return &cbrtest.APIError{Status: 400, Code: "BackupService.9900", Message: "the path of " + backup.Name + " is wrong"}
			}
			return nil
		}})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(batched(200*time.Millisecond, 6*time.Second))) // for what is about to be released
		w.applyBackups(ctx, 150)
		w.start()
		w.expectMany(ctx, map[string]int{v1alpha1.ReasonImported: 150 - culprits, v1alpha1.ReasonRejected: culprits})
		for _, backup := range w.backups(ctx) {
			if backupReason(&backup) == v1alpha1.ReasonRejected {
				Expect(ready(backup.Status.Conditions).Message).To(ContainSubstring("BackupService.9900: the path of " + backup.Spec.BackupName + " is wrong"))
			}
		}
		Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
		Expect(w.cloud.Accepted()).To(HaveLen(150 - culprits))
		AddReportEntry("sync calls", w.cloud.SyncCalls())
		Expect(w.cloud.SyncCalls()).To(BeNumerically("<=", 3+culprits*2*6), "both halves of each; TestPoisonedBackupsAmongHundreds holds that they are fewer among many")
		Eventually(w.current(ctx)).Should(HaveField("Status.Journal.Submissions", BeEmpty()))
	},
		Entry("3 of 150", func(number int) bool { return number%71 == 3 }, 3),
		Entry("one in every call", func(number int) bool { return number%50 == 17 }, 3),
	)
})

var _ = Describe("A token that expires", func() {
	It("writes one status of the project and none of 300 backups, and a new one imports them all", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
		w.cloud.SetTokens("renewed-token")
		w.setProjectSuspended(ctx, true) // so that all are pending at once
		w.applyBackups(ctx, 300)
		Eventually(w.current(ctx)).Should(HaveField("Status.Backups.Pending", BeEquivalentTo(300)))
		writes, calls := total(w.requests.matching("PATCH", "/cbrprojects/default/status")), len(w.cloud.Ledger())
		w.setProjectSuspended(ctx, false)
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonCredentialsRejected)))
		w.expectUntouched(ctx, 300)
		Expect(total(w.requests.matching("PATCH", "/cbrprojects/default/status"))-writes).To(Equal(1), "writes of the CBRProject")
		Expect(len(w.cloud.Ledger())-calls).To(BeNumerically("<=", 3), "calls with the rejected token")
		w.replaceToken(ctx, "renewed-token")
		w.expectMany(ctx, map[string]int{v1alpha1.ReasonImported: 300})
		Expect(w.cloud.SyncCalls()).To(BeNumerically("<=", 42))
		w.expectEachAcceptedOnce(ctx, 300)
	})
})

func (w *world) setProjectSuspended(ctx context.Context, suspend bool) {
	GinkgoHelper()
	project := w.current(ctx)(Default)
	before := project.DeepCopy()
	project.Spec.Suspend = suspend
	Expect(apiserver.Patch(ctx, project, client.MergeFrom(before))).To(Succeed())
}

var _ = Describe("A limit of 10 calls", func() {
	It("is never exceeded", func(ctx context.Context) {
		const window, calls = 20 * time.Second, 11 // one window, and the first call of the next
		w := newWorld(ctx, cbrtest.Options{SyncCallsPerMinute: 10, RateWindow: window, Latency: 10 * time.Millisecond})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.Batch.MaxSize, spec.Limits.SyncCallsPerMinute = 1, 10
		}))
		w.applyBackups(ctx, calls)
		w.start(rateWindow(window), func(options *controller.Options) { options.StatusWriters = 4 })
		Eventually(w.reasons(ctx), 3*time.Minute).Should(Equal(map[string]int{v1alpha1.ReasonImported: calls}))
		Expect(w.cloud.SyncCalls()).To(Equal(calls), "none was refused")
		Expect(w.cloud.MaxCallsInWindow(window)).To(BeNumerically("<=", 10))
	})
})
