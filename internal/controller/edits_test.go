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

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// locked are the fields of a BackupSync that CBR was told, with another valid value for each.
var locked = fields{
	"backupName":   "another_name",
	"bucketName":   "another-bucket",
	"imagePath":    "another/path",
	"resourceID":   "another-resource",
	"resourceName": "another_resource",
	"resourceType": "OS::VMware::Server",
	"createdAt":    int64(1553587261),
}

// stateOfConditions are conditions by type and status, as a controller would write them.
func stateOfConditions(reason string, statuses map[string]metav1.ConditionStatus) []metav1.Condition {
	var conditions []metav1.Condition
	for kind, status := range statuses {
		conditions = append(conditions, metav1.Condition{Type: kind, Status: status, Reason: reason,
			Message: "It is so.", LastTransitionTime: metav1.Now()})
	}
	return conditions
}

var (
	operationRunning = stateOfConditions(v1alpha1.ReasonOperationRunning, map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionUnknown, v1alpha1.ConditionReconciling: metav1.ConditionTrue, v1alpha1.ConditionSubmitted: metav1.ConditionTrue})
	retryScheduled = stateOfConditions(v1alpha1.ReasonRetryScheduled, map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionUnknown, v1alpha1.ConditionReconciling: metav1.ConditionTrue, v1alpha1.ConditionSubmitted: metav1.ConditionTrue})
	importedState = stateOfConditions(v1alpha1.ReasonImported, map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionTrue, v1alpha1.ConditionSubmitted: metav1.ConditionTrue})
	alreadyImported = stateOfConditions(v1alpha1.ReasonAlreadyImported, map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionTrue})
	operationFailed = stateOfConditions(v1alpha1.ReasonOperationFailed, map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionFalse, v1alpha1.ConditionStalled: metav1.ConditionTrue, v1alpha1.ConditionSubmitted: metav1.ConditionTrue})
	rejectedState = stateOfConditions(v1alpha1.ReasonRejected, map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionFalse, v1alpha1.ConditionStalled: metav1.ConditionTrue})
	suspendedState = stateOfConditions(v1alpha1.ReasonSuspended, map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionUnknown})
)

var _ = Describe("An edit of a BackupSync", func() {
	var backup *unstructured.Unstructured
	BeforeEach(func(ctx context.Context) {
		backup = manifest("BackupSync", newNamespace(ctx), validBackup())
		Expect(apiserver.Create(ctx, backup)).To(Succeed())
	})

	become := func(ctx context.Context, conditions []metav1.Condition) {
		GinkgoHelper()
		var typed v1alpha1.BackupSync
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(backup), &typed)).To(Succeed())
		typed.Status.Conditions, typed.Status.ObservedGeneration = conditions, typed.Generation
		Expect(apiserver.Status().Update(ctx, &typed)).To(Succeed())
	}
	change := func(ctx context.Context, spec fields) error {
		GinkgoHelper()
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(backup), backup)).To(Succeed())
		set(backup, spec)
		return apiserver.Update(ctx, backup)
	}

	It("changes neither the project nor the backup id", func(ctx context.Context) {
		Expect(expectRefused(change(ctx, fields{"projectRef.name": "other"}), "spec.projectRef")).To(ContainSubstring("projectRef cannot be changed"))
		Expect(expectRefused(change(ctx, fields{"backupID": "another"}), "spec.backupID")).To(ContainSubstring("backupID cannot be changed"))
		become(ctx, operationFailed)
		expectRefused(change(ctx, fields{"projectRef.name": "other"}), "spec.projectRef")
		expectRefused(change(ctx, fields{"backupID": "another"}), "spec.backupID")
	})

	It("does not change the project by leaving it out", func(ctx context.Context) {
		backup = manifest("BackupSync", backup.GetNamespace(), validBackup(fields{"projectRef.name": "other"}))
		Expect(apiserver.Create(ctx, backup)).To(Succeed())
		unstructured.RemoveNestedField(backup.Object, "spec", "projectRef")
		expectRefused(apiserver.Update(ctx, backup), "spec.projectRef")
	})

	It("is an invalid one no more than a new manifest is", func(ctx context.Context) {
		expectRefused(change(ctx, fields{"backupName": "backup name"}), "spec.backupName")
		expectRefused(change(ctx, fields{"createdAt": int64(2147483648)}), "spec.createdAt")
	})

	DescribeTable("is open", func(ctx context.Context, conditions []metav1.Condition) {
		if conditions != nil {
			become(ctx, conditions)
		}
		Expect(change(ctx, locked)).To(Succeed())
		Expect(backup.GetGeneration()).To(BeEquivalentTo(2))
	},
		Entry("before the backup was sent", nil),
		Entry("while it is suspended", suspendedState),
		Entry("when CBR has rejected it", rejectedState),
		Entry("when its import has failed for good", operationFailed),
	)

	DescribeTable("changes nothing that CBR was told", func(ctx context.Context, conditions []metav1.Condition) {
		become(ctx, conditions)
		for field, value := range locked {
			message := expectRefused(change(ctx, fields{field: value}), "spec")
			Expect(message).To(ContainSubstring("CBR has accepted this backup"))
			Expect(message).To(HaveSuffix("locked: "+field), "the field, and no other")
		}
		all := expectRefused(change(ctx, locked), "spec")
		for field := range locked {
			Expect(all).To(ContainSubstring(" " + field))
		}
		Expect(expectRefused(change(ctx, fields{"bucketName": "another-bucket", "suspend": true}), "spec")).To(HaveSuffix("locked: bucketName"))
	},
		Entry("while its task runs", operationRunning),
		Entry("while a retry is due", retryScheduled),
		Entry("when it is imported", importedState),
		Entry("when it was in CBR before", alreadyImported),
	)

	DescribeTable("may suspend it and go on", func(ctx context.Context, conditions []metav1.Condition) {
		become(ctx, conditions)
		Expect(change(ctx, fields{"suspend": true})).To(Succeed())
		Expect(change(ctx, fields{"suspend": false})).To(Succeed())
		backup.SetLabels(map[string]string{"team": "erp"})
		backup.SetAnnotations(map[string]string{v1alpha1.RequestedAtAnnotation: "now"})
		Expect(apiserver.Update(ctx, backup)).To(Succeed(), "labels and annotations are open as well")
		Expect(apiserver.Delete(ctx, backup)).To(Succeed())
	},
		Entry("while its task runs", operationRunning),
		Entry("when it is imported", importedState),
		Entry("when its import has failed for good", operationFailed),
	)

	It("is open again after a failure, and locked again after the next call", func(ctx context.Context) {
		become(ctx, operationRunning)
		expectRefused(change(ctx, fields{"imagePath": "mended/path"}), "spec")
		become(ctx, operationFailed)
		Expect(change(ctx, fields{"imagePath": "mended/path"})).To(Succeed())
		become(ctx, operationRunning)
		expectRefused(change(ctx, fields{"imagePath": "another/path"}), "spec")
	})

	It("is not opened by the status that the manifest leaves out or claims", func(ctx context.Context) {
		become(ctx, operationRunning)
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(backup), backup)).To(Succeed())
		set(backup, fields{"imagePath": "another/path"})
		Expect(unstructured.SetNestedField(backup.Object, []any{map[string]any{"type": "Stalled", "status": "True", "reason": "Rejected",
			"message": "", "lastTransitionTime": "2026-03-26T12:00:00Z"}}, "status", "conditions")).To(Succeed())
		expectRefused(apiserver.Update(ctx, backup), "spec")
		unstructured.RemoveNestedField(backup.Object, "status")
		expectRefused(apiserver.Update(ctx, backup), "spec")
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec": {"imagePath": "another/path"}, "status": null}`))
		expectRefused(apiserver.Patch(ctx, backup, patch), "spec")
	})
})

var _ = Describe("The selectable fields of a BackupSync", func() {
	It("find it by its project and by its backup id", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		for project, ids := range map[string][]string{"default": {"a", "b"}, "other": {"a"}} {
			for _, id := range ids {
				spec := validBackup(fields{"projectRef.name": project, "backupID": id})
				Expect(apiserver.Create(ctx, manifest("BackupSync", namespace, spec))).To(Succeed())
			}
		}
		matching := func(selected client.MatchingFields) []v1alpha1.BackupSync {
			var found v1alpha1.BackupSyncList
			Expect(apiserver.List(ctx, &found, client.InNamespace(namespace), selected)).To(Succeed())
			return found.Items
		}
		Expect(matching(client.MatchingFields{"spec.projectRef.name": "default"})).To(HaveLen(2))
		Expect(matching(client.MatchingFields{"spec.projectRef.name": "other"})).To(HaveLen(1))
		Expect(matching(client.MatchingFields{"spec.backupID": "a"})).To(HaveLen(2))
		Expect(matching(client.MatchingFields{"spec.projectRef.name": "default", "spec.backupID": "a"})).To(HaveLen(1))
		Expect(matching(client.MatchingFields{"spec.backupID": "c"})).To(BeEmpty())
	})
})
