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
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// The backups of a resting world, each of which stays where it has come to.
const (
	importedBackup = iota + 1
	rejectedBackup
	failedBackup
	retryingBackup
	runningBackup
	otherBackup // is imported later
)

// restingReasons are the reasons of Ready of the backups of a resting world.
var restingReasons = map[int]string{
	importedBackup: v1alpha1.ReasonImported,
	rejectedBackup: v1alpha1.ReasonRejected,
	failedBackup:   v1alpha1.ReasonOperationFailed,
	retryingBackup: v1alpha1.ReasonRetryScheduled,
	runningBackup:  v1alpha1.ReasonOperationRunning,
}

// restingCloud is a CBR that treats the backups of a resting world accordingly.
func restingCloud() cbrtest.Options {
	is := func(item cbr.Backup, number int) bool { return item.Name == fmt.Sprintf("backup_%d", number) }
	return cbrtest.Options{
		Reject: func(item cbr.Backup) *cbrtest.APIError {
			if is(item, rejectedBackup) {
				return &cbrtest.APIError{Status: 400, Code: "BackupService.6302", Message: "resource not found"}
			}
			return nil
		},
		TaskOutcome: func(item cbr.Backup) cbrtest.Outcome {
			switch {
			case is(item, failedBackup):
				return cbrtest.Outcome{Status: cbr.TaskSkipped}
			case is(item, retryingBackup):
				return cbrtest.Outcome{Status: cbr.TaskFailed}
			case is(item, runningBackup):
				return cbrtest.Outcome{Status: cbr.TaskRunning}
			}
			return cbrtest.Outcome{}
		},
	}
}

// rest waits until each of the given backups has come to where it stays, and returns them.
func (w *world) rest(ctx context.Context, numbers ...int) map[int]*v1alpha1.BackupSync {
	GinkgoHelper()
	found := map[int]*v1alpha1.BackupSync{}
	for _, number := range numbers {
		Eventually(w.get(ctx, number)).Should(And(WithTransform(backupReason, Equal(restingReasons[number])), beObserved()))
		found[number] = w.get(ctx, number)(Default)
	}
	Eventually(w.current(ctx)).Should(HaveField("Status.Journal.Submissions", BeEmpty()))
	return found
}

// factsOf is the status of a BackupSync without what follows from it.
func factsOf(backup *v1alpha1.BackupSync) v1alpha1.BackupSyncStatus {
	facts := *backup.Status.DeepCopy()
	facts.Conditions, facts.ObservedGeneration = nil, 0
	return facts
}

// expectOnlyOtherSent creates another backup and waits for its import. By then the passes have seen all that has happened before.
// It expects that nothing else was sent since a number of calls.
func (w *world) expectOnlyOtherSent(ctx context.Context, calls int, number int) {
	GinkgoHelper()
	w.apply(ctx, w.backup(number))
	Eventually(w.get(ctx, number)).Should(WithTransform(backupReason, Equal(v1alpha1.ReasonImported)))
	var sent []string
	for _, call := range w.cloud.Ledger()[calls:] {
		sent = append(sent, call.BackupIDs...)
	}
	Expect(sent).To(Equal([]string{w.backup(number).Spec.BackupID}))
}

// sendAtOnce sends what is pending at once: neither a look at CBR nor a batch window hides that a call was about to be made.
func sendAtOnce(spec *v1alpha1.CBRProjectSpec) {
	spec.LookupPolicy, spec.Batch.MaxSize = v1alpha1.LookupNever, 1
}

func (w *world) patch(ctx context.Context, number int, patch string) {
	GinkgoHelper()
	Expect(apiserver.Patch(ctx, w.backup(number), client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
}

var _ = Describe("What is no reason to begin anew", func() {
	It("is a suspension, a label or an annotation, whatever has become of the backup", func(ctx context.Context) {
		w := newWorld(ctx, restingCloud())
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		touched := []int{importedBackup, rejectedBackup, failedBackup, retryingBackup, runningBackup}
		for _, number := range touched {
			w.apply(ctx, w.backup(number))
		}
		w.start()
		before := w.rest(ctx, touched...)
		calls := len(w.cloud.Ledger())

		for _, patch := range []string{`{"spec":{"suspend":true}}`, `{"metadata":{"labels":{"team":"erp"}}}`, `{"metadata":{"annotations":{"note":"x"}}}`,
			`{"metadata":{"annotations":{"` + v1alpha1.RequestedAtAnnotation + `":""}}}`} {
			for _, number := range touched {
				w.patch(ctx, number, patch)
			}
		}
		for _, number := range touched {
			reason := restingReasons[number]
			if number == retryingBackup {
				reason = v1alpha1.ReasonSuspended
			}
			Eventually(w.get(ctx, number)).Should(And(WithTransform(backupReason, Equal(reason)), beObserved(), HaveField("Generation", BeEquivalentTo(2))))
			w.patch(ctx, number, `{"spec":{"suspend":false}}`)
		}
		after := w.rest(ctx, touched...)
		for _, number := range touched {
			Expect(after[number].Generation).To(BeEquivalentTo(3))
			Expect(factsOf(after[number])).To(Equal(factsOf(before[number])), restingReasons[number])
		}
		w.expectOnlyOtherSent(ctx, calls, otherBackup)
	})
})

var _ = Describe("A request to import an imported backup again", func() {
	DescribeTable("is met by a call only if CBR does not have it any more", func(ctx context.Context, policy v1alpha1.LookupPolicy) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.backup(1), w.project(func(spec *v1alpha1.CBRProjectSpec) { spec.LookupPolicy = policy }))
		imported := w.rest(ctx, importedBackup)[importedBackup]

		w.request(ctx, w.backup(1), "it is there")
		Eventually(w.get(ctx, 1)).Should(HaveField("Status.LastHandledRequest", "it is there"))
		acknowledged := w.get(ctx, 1)(Default)
		Expect(backupReason(acknowledged)).To(Equal(v1alpha1.ReasonImported))
		acknowledged.Status.LastHandledRequest = ""
		Expect(factsOf(acknowledged)).To(Equal(factsOf(imported)))
		Expect(w.cloud.SyncCalls()).To(Equal(1))

		w.cloud.RemoveBackups("", w.backup(1).Spec.BackupID)
		w.request(ctx, w.backup(1), "it was deleted")
		Eventually(w.get(ctx, 1)).Should(And(HaveField("Status.LastHandledRequest", "it was deleted"), WithTransform(backupReason, Equal(v1alpha1.ReasonImported)),
			HaveField("Status.OperationLogID", Not(Equal(imported.Status.OperationLogID)))))
		calls := len(w.cloud.Ledger())
		Expect(w.cloud.OperationLogIDs(w.backup(1).Spec.BackupID)).To(Equal([]string{imported.Status.OperationLogID, w.get(ctx, 1)(Default).Status.OperationLogID}))
		w.patch(ctx, 1, `{"metadata":{"labels":{"team":"erp"}}}`) // the request stands there still
		w.expectOnlyOtherSent(ctx, calls, otherBackup)
		Expect(w.cloud.Accepted()).To(HaveKeyWithValue(w.backup(1).Spec.BackupID, 2))
	},
		Entry("where backups are looked up before they are sent", v1alpha1.LookupBeforeFirstSubmission),
		Entry("where they are not", v1alpha1.LookupNever),
	)
})

var _ = Describe("Conditions that somebody else has written", func() {
	const when = `"lastTransitionTime":"2026-01-01T00:00:00Z"`
	condition := func(kind, status, reason string) string {
		return fmt.Sprintf(`{"type":%q,"status":%q,"reason":%q,"message":"Not so.",%s}`, kind, status, reason, when)
	}
	It("change nothing that is done, and are put right", func(ctx context.Context) {
		w := newWorld(ctx, restingCloud())
		w.apply(ctx, w.secret(cbrtest.Token), w.project(sendAtOnce))
		scrambled := []int{importedBackup, rejectedBackup, failedBackup, retryingBackup, runningBackup}
		for _, number := range scrambled {
			w.apply(ctx, w.backup(number))
		}
		w.start()
		before := w.rest(ctx, scrambled...)
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
		project := w.current(ctx)(Default)
		calls := len(w.cloud.Ledger())

		for round, conditions := range []string{
			condition("Ready", "False", v1alpha1.ReasonOperationFailed),
			condition("Ready", "False", "Nonsense") + "," + condition("Stalled", "True", "Nonsense"),
			condition("Ready", "True", v1alpha1.ReasonImported),
			condition("Ready", "Unknown", v1alpha1.ReasonQueued) + "," + condition("Reconciling", "True", v1alpha1.ReasonQueued),
			condition("Ready", "Unknown", v1alpha1.ReasonOutcomeUnknown),
			condition("Ready", "True", "Usable") + "," + condition("Reconciling", "False", "No") + "," + condition("Stalled", "False", "No") + "," +
				condition("Drifted", "True", v1alpha1.ReasonEditedAfterImport),
			condition("Stalled", "True", "Rejected"),
			"",
		} {
			By(conditions)
			patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{"conditions":[%s]}}`, conditions))
			for _, number := range scrambled {
				Expect(apiserver.Status().Patch(ctx, w.backup(number), patch)).To(Succeed())
			}
			Expect(apiserver.Status().Patch(ctx, w.project(), patch)).To(Succeed())
			for _, number := range scrambled {
				Eventually(w.get(ctx, number)).Should(WithTransform(toldBy, Equal(toldBy(before[number]))), restingReasons[number]+" after "+conditions)
			}
			w.expectOnlyOtherSent(ctx, calls, otherBackup+round)
			calls = len(w.cloud.Ledger())
			for _, number := range scrambled {
				Expect(factsOf(w.get(ctx, number)(Default))).To(Equal(factsOf(before[number])), restingReasons[number]+" after "+conditions)
			}
			Eventually(w.current(ctx)).Should(WithTransform(toldByProject, Equal(toldByProject(project))), "the project after "+conditions)
		}
	})
})

// toldBy is what the conditions of a BackupSync tell, by their types: status and reason.
func toldBy(backup *v1alpha1.BackupSync) map[string]string {
	return tellingOf(backup.Status.Conditions)
}

func toldByProject(project *v1alpha1.CBRProject) map[string]string {
	return tellingOf(slices.DeleteFunc(slices.Clone(project.Status.Conditions), func(c metav1.Condition) bool { return c.Type == v1alpha1.ConditionDrifted }))
}

func tellingOf(conditions []metav1.Condition) map[string]string {
	all := map[string]string{}
	for _, condition := range conditions {
		all[condition.Type] = string(condition.Status) + " " + condition.Reason
	}
	return all
}
