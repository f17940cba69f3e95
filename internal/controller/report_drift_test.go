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
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

const (
	machine = "erp-01" // that of all backups of a world
	renamed = "erp-02"
)

// declare applies a manifest as Flux and Argo CD do: server side, and the whole of it.
func declare(ctx context.Context, backup *v1alpha1.BackupSync, options ...client.PatchOption) error {
	backup.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "BackupSync"}
	manifest, err := json.Marshal(backup)
	if err != nil {
		return err
	}
	return apiserver.Patch(ctx, backup, client.RawPatch(types.ApplyPatchType, manifest), append(options, client.FieldOwner("gitops"))...)
}

// rename gives the machine of a backup another name in its manifest.
func (w *world) rename(ctx context.Context, name string) error {
	edit := fmt.Appendf(nil, `{"spec":{"resourceName":%q}}`, name)
	return apiserver.Patch(ctx, w.backup(1), client.RawPatch(types.MergePatchType, edit))
}

// hashOf is status.sentHash of a backup whose machine had the name when it was sent.
func (w *world) hashOf(number int, name string) string {
	spec := w.backup(number).Spec
	spec.ResourceName, spec.ResourceType = name, "OS::Native::Server" // by the CRD's default
	return backupsync.Hash(&spec)
}

// sentNames are the names of machines under which a backup was sent, in the order of the calls.
func (w *world) sentNames(number int) []string {
	GinkgoHelper()
	var names []string
	for _, call := range w.cloud.Ledger() {
		if call.Operation != cbr.OperationImport {
			continue
		}
		var body struct{ Sync []cbr.Backup }
		Expect(json.Unmarshal(call.Body, &body)).To(Succeed())
		for _, item := range body.Sync {
			if item.ID == w.backup(number).Spec.BackupID {
				names = append(names, item.ResourceName)
			}
		}
	}
	return names
}

// drifted returns the condition Drifted, nil without one.
func drifted(backup *v1alpha1.BackupSync) *metav1.Condition {
	at := slices.IndexFunc(backup.Status.Conditions, func(condition metav1.Condition) bool { return condition.Type == v1alpha1.ConditionDrifted })
	if at < 0 {
		return nil
	}
	return &backup.Status.Conditions[at]
}

// health is what Flux makes of a BackupSync.
func health(backup *v1alpha1.BackupSync) status.Status {
	GinkgoHelper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(backup)
	Expect(err).NotTo(HaveOccurred())
	result, err := status.Compute(&unstructured.Unstructured{Object: content})
	Expect(err).NotTo(HaveOccurred())
	return result.Status
}

// haveDrifted matches a BackupSync, at its latest generation, with a reason of Ready and with Drifted.
func haveDrifted(reason string) gomegatypes.GomegaMatcher {
	return And(WithTransform(backupReason, Equal(reason)), beObserved(),
		WithTransform(drifted, pointTo(And(
			HaveField("Status", metav1.ConditionTrue), HaveField("Reason", v1alpha1.ReasonEditedAfterImport)))))
}

// notHaveDrifted matches a BackupSync, at its latest generation, with a reason of Ready and without Drifted.
func notHaveDrifted(reason string) gomegatypes.GomegaMatcher {
	return And(WithTransform(backupReason, Equal(reason)), beObserved(), WithTransform(drifted, BeNil()))
}

// beObserved matches a BackupSync whose status speaks of its latest generation.
func beObserved() gomegatypes.GomegaMatcher {
	return WithTransform(func(backup *v1alpha1.BackupSync) int64 { return backup.Generation - backup.Status.ObservedGeneration }, BeZero())
}

// pointTo matches what a pointer points to; nil never.
func pointTo(matcher gomegatypes.GomegaMatcher) gomegatypes.GomegaMatcher {
	return And(Not(BeNil()), HaveValue(matcher))
}

var _ = Describe("An edit of an imported backup", func() {
	It("passes a dry run with ten new manifests, ends Drifted, and is forgotten when it is reverted", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		Expect(declare(ctx, w.backup(0))).To(Succeed())
		w.start()
		Eventually(w.get(ctx, 0)).Should(notHaveDrifted(v1alpha1.ReasonImported))

		commit := func(options ...client.PatchOption) {
			for number := range 11 {
				manifest := w.backup(number)
				if number == 0 {
					manifest.Spec.ResourceName = renamed
				}
				Expect(declare(ctx, manifest, options...)).To(Succeed(), manifest.Name)
			}
		}
		commit(client.DryRunAll)
		Expect(w.backups(ctx)).To(HaveLen(1), "a dry run")
		commit()
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 11}))
		Eventually(w.get(ctx, 0)).Should(haveDrifted(v1alpha1.ReasonImported))
		edited := w.get(ctx, 0)(Default)
		Expect(ready(edited.Status.Conditions).Status).To(Equal(metav1.ConditionTrue))
		Expect(edited.Generation).To(BeEquivalentTo(2))
		Expect(edited.Status.SentHash).To(Equal(w.hashOf(0, machine)))
		Expect(health(edited)).To(Equal(status.CurrentStatus))

		Expect(declare(ctx, w.backup(0))).To(Succeed())
		Eventually(w.get(ctx, 0)).Should(And(notHaveDrifted(v1alpha1.ReasonImported), HaveField("Generation", BeEquivalentTo(3))))
		reverted := w.get(ctx, 0)(Default)
		Expect(reverted.Status.SentHash).To(Equal(w.hashOf(0, machine)))
		Expect(health(reverted)).To(Equal(status.CurrentStatus))
		Expect(w.sentNames(0)).To(Equal([]string{machine}))
		w.expectEachAcceptedOnce(ctx, 11)
	})

	It("is sent with a request for another import, once the backup is deleted in CBR", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.get(ctx, 1)).Should(notHaveDrifted(v1alpha1.ReasonImported))
		Expect(w.rename(ctx, renamed)).To(Succeed())
		Eventually(w.get(ctx, 1)).Should(haveDrifted(v1alpha1.ReasonImported))
		w.request(ctx, w.backup(1), "while CBR has it")
		Eventually(w.get(ctx, 1)).Should(And(haveDrifted(v1alpha1.ReasonImported), HaveField("Status.LastHandledRequest", "while CBR has it"),
			HaveField("Status.SentHash", w.hashOf(1, machine))))

		w.cloud.RemoveBackups("", w.backup(1).Spec.BackupID)
		w.request(ctx, w.backup(1), "deleted in CBR")
		Eventually(w.get(ctx, 1)).Should(And(notHaveDrifted(v1alpha1.ReasonImported), HaveField("Status.SentHash", w.hashOf(1, renamed)),
			HaveField("Status.LastHandledRequest", "deleted in CBR")))
		Expect(w.sentNames(1)).To(Equal([]string{machine, renamed}))
	})
})

var _ = Describe("An edit while the call is under way", func() {
	It("is not taken for sent, and drifts", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TaskDuration: 2 * time.Second})
		w.editWithin(ctx, cbrtest.BeforeAccept)
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		w.start()
		Eventually(w.get(ctx, 1)).Should(And(haveDrifted(v1alpha1.ReasonOperationRunning), HaveField("Status.SentHash", w.hashOf(1, machine))))
		Eventually(w.get(ctx, 1)).Should(And(haveDrifted(v1alpha1.ReasonImported), HaveField("Status.SentHash", w.hashOf(1, machine))))
		Expect(w.sentNames(1)).To(Equal([]string{machine}))
		Expect(w.rename(ctx, machine)).To(Succeed())
		Eventually(w.get(ctx, 1)).Should(notHaveDrifted(v1alpha1.ReasonImported))
		w.expectEachAcceptedOnce(ctx, 1)
	})

	It("is no item that CBR has refused: the newer one is sent", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		seen := w.watch(ctx)
		var once sync.Once
		w.cloud.Configure(func(options *cbrtest.Options) {
			options.Reject = func(item cbr.Backup) *cbrtest.APIError {
				once.Do(func() { Expect(w.rename(ctx, renamed)).To(Succeed()) })
				if item.ResourceName == machine {
					return &cbrtest.APIError{Status: 400, Code: "BackupService.6302", Message: "resource " + machine + " not found"}
				}
				return nil
			}
		})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		w.start()
		Eventually(w.get(ctx, 1)).Should(And(notHaveDrifted(v1alpha1.ReasonImported), HaveField("Status.SentHash", w.hashOf(1, renamed))))
		Expect(w.sentNames(1)).To(Equal([]string{machine, renamed}))
		Eventually(func() []string { return seen.reasons(seen.backups()) }).Should(ContainElement(v1alpha1.ReasonImported))
		Expect(seen.reasons(seen.backups())).NotTo(ContainElement(v1alpha1.ReasonRejected))
		w.expectEachAcceptedOnce(ctx, 1)
	})
})

// editWithin renames the machine of backup 1 within its first call.
func (w *world) editWithin(ctx context.Context, phase cbrtest.Phase) {
	var once sync.Once
	w.cloud.Configure(func(options *cbrtest.Options) {
		options.OnImport = func(at cbrtest.Phase, _ []cbr.Backup) {
			if at == phase {
				once.Do(func() { Expect(w.rename(ctx, renamed)).To(Succeed()) })
			}
		}
	})
}

var _ = Describe("An edit while the outcome of a call is unknown", func() {
	DescribeTable("is told by what CBR made of the call", func(ctx context.Context, fault cbrtest.Fault, ends gomegatypes.GomegaMatcher, sent ...string) {
		w := newWorld(ctx, cbrtest.Options{})
		fault.Operation = cbr.OperationImport
		w.cloud.Inject(fault)
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		w.start(impatient, func(options *controller.Options) { options.SettleTime = 5 * time.Second }) // longer than it takes to edit
		Eventually(w.get(ctx, 1)).Should(WithTransform(backupReason, Equal(v1alpha1.ReasonOutcomeUnknown)))
		Expect(w.rename(ctx, renamed)).To(Succeed())
		Eventually(w.get(ctx, 1)).Should(notHaveDrifted(v1alpha1.ReasonOutcomeUnknown), "that it was sent is not known yet")
		Expect(w.get(ctx, 1)(Default).Status.SentHash).To(BeEmpty())
		Eventually(w.get(ctx, 1)).Should(And(ends, HaveField("Status.SentHash", w.hashOf(1, sent[len(sent)-1]))))
		Expect(w.sentNames(1)).To(Equal(sent))
		w.expectEachAcceptedOnce(ctx, 1)
	},
		Entry("that has taken the backup", cbrtest.Fault{CloseAfter: true}, haveDrifted(v1alpha1.ReasonImported), machine),
		Entry("that has taken nothing", cbrtest.Fault{CloseBefore: true}, notHaveDrifted(v1alpha1.ReasonImported), machine, renamed),
	)

	It("is no rejection of the newer item when the older one turns out to be refused", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		seen := w.watch(ctx)
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, Status: 400, Code: "BackupService.9900", Message: "no"},
			// The look-up after the refusal fails, so that it is not known for some seconds what CBR has taken.
			cbrtest.Fault{Operation: cbr.OperationListTasks, Status: 503, Times: 2, Skip: 2})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		w.start()
		Eventually(w.get(ctx, 1)).Should(WithTransform(backupReason, Equal(v1alpha1.ReasonOutcomeUnknown)))
		Expect(w.rename(ctx, renamed)).To(Succeed())
		Eventually(w.get(ctx, 1)).Should(And(notHaveDrifted(v1alpha1.ReasonImported), HaveField("Status.SentHash", w.hashOf(1, renamed))))
		Expect(w.sentNames(1)).To(Equal([]string{machine, renamed}))
		Expect(strings.Join(seen.reasons(seen.backups()), " ")).NotTo(ContainSubstring(v1alpha1.ReasonRejected))
		w.expectEachAcceptedOnce(ctx, 1)
	})
})
