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

package v1alpha1_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// editable are the fields of a BackupSync that can be edited, with another valid value for each.
var editable = fields{
	"backupName":   "another_name",
	"bucketName":   "another-bucket",
	"imagePath":    "another/path",
	"resourceID":   "another-resource",
	"resourceName": "another_resource",
	"resourceType": "OS::VMware::Server",
	"createdAt":    int64(1553587261),
	"suspend":      true,
}

// fixed are edits of what identifies a BackupSync's backup, by the field that each is refused for.
var fixed = map[string]fields{
	"spec.projectRef":      {"projectRef.name": "another"},
	"spec.projectRef.kind": {"projectRef.kind": "Project"},
	"spec.backupID":        {"backupID": "1F9E6B47-7655-4A19-B563-21B4EF023025"}, // the same for CBR, but not what was applied
}

// aTime has no fraction of a second, as times in a status have none.
var aTime = metav1.NewTime(time.Date(2026, 3, 26, 12, 0, 0, 0, time.UTC))

// conditions returns conditions with one reason, by type and status, as a controller would write them.
func conditions(reason string, statuses map[string]metav1.ConditionStatus) []metav1.Condition {
	var made []metav1.Condition
	for _, kind := range slices.Sorted(maps.Keys(statuses)) {
		made = append(made, metav1.Condition{Type: kind, Status: statuses[kind], Reason: reason, Message: "It is so.", LastTransitionTime: aTime})
	}
	return made
}

func inProgress(reason string) []metav1.Condition {
	return conditions(reason, map[string]metav1.ConditionStatus{v1alpha1.ConditionReady: metav1.ConditionUnknown, v1alpha1.ConditionReconciling: metav1.ConditionTrue})
}

func stalled(reason string) []metav1.Condition {
	return conditions(reason, map[string]metav1.ConditionStatus{v1alpha1.ConditionReady: metav1.ConditionFalse, v1alpha1.ConditionStalled: metav1.ConditionTrue})
}

// accepted are the facts of a backup that CBR has accepted, with an outcome, if it has one, and conditions.
func accepted(outcome v1alpha1.Outcome, conditions []metav1.Condition) v1alpha1.BackupSyncStatus {
	status := v1alpha1.BackupSyncStatus{Conditions: conditions, ObservedGeneration: 1, Outcome: outcome, OperationLogID: "b0a4ef7a", SentHash: "v1:1f9e6b47",
		Attempts: 1, SubmittedTime: &aTime, BackupTime: &aTime}
	if outcome != "" {
		status.FinishedTime = &aTime
	}
	return status
}

// states are what can have become of a BackupSync.
var states = map[string]v1alpha1.BackupSyncStatus{
	"while it waits for its project": {ObservedGeneration: 1, Conditions: inProgress(v1alpha1.ReasonProjectNotFound)},
	"while it is suspended": {ObservedGeneration: 1, Conditions: conditions(v1alpha1.ReasonSuspended,
		map[string]metav1.ConditionStatus{v1alpha1.ConditionReady: metav1.ConditionUnknown})},
	"while the outcome of its call is not known": {ObservedGeneration: 1, Conditions: inProgress(v1alpha1.ReasonOutcomeUnknown)},
	"while its task runs":                        accepted("", inProgress(v1alpha1.ReasonOperationRunning)),
	"while its task is overdue":                  accepted("", inProgress(v1alpha1.ReasonOperationOverdue)),
	"while a retry is due":                       accepted("", inProgress(v1alpha1.ReasonRetryScheduled)),
	"when it is imported": accepted(v1alpha1.OutcomeImported, conditions(v1alpha1.ReasonImported,
		map[string]metav1.ConditionStatus{v1alpha1.ConditionReady: metav1.ConditionTrue})),
	"when it is imported and was edited since": accepted(v1alpha1.OutcomeImported, conditions(v1alpha1.ReasonEditedAfterImport,
		map[string]metav1.ConditionStatus{v1alpha1.ConditionReady: metav1.ConditionTrue, v1alpha1.ConditionDrifted: metav1.ConditionTrue})),
	"when it was in CBR before": {ObservedGeneration: 1, Outcome: v1alpha1.OutcomeAlreadyImported, Conditions: conditions(v1alpha1.ReasonAlreadyImported,
		map[string]metav1.ConditionStatus{v1alpha1.ConditionReady: metav1.ConditionTrue})},
	"when CBR holds it in a bad status":    accepted(v1alpha1.OutcomeBackupUnusable, stalled(v1alpha1.ReasonBackupUnusable)),
	"when CBR has rejected it":             {ObservedGeneration: 1, Outcome: v1alpha1.OutcomeRejected, Conditions: stalled(v1alpha1.ReasonRejected), LastError: "no"},
	"when its import has failed for good":  accepted(v1alpha1.OutcomeOperationFailed, stalled(v1alpha1.ReasonOperationFailed)),
	"when an older one declares it":        {ObservedGeneration: 1, Outcome: v1alpha1.OutcomeDuplicate, Conditions: stalled(v1alpha1.ReasonDuplicate)},
	"when a later version has written how": accepted("Superseded", stalled(v1alpha1.ReasonUnknownOutcome)),
}

func stateEntries() []TableEntry {
	made := []TableEntry{Entry("before a controller has seen it", nil)}
	for _, when := range slices.Sorted(maps.Keys(states)) {
		state := states[when]
		made = append(made, Entry(when, &state))
	}
	return made
}

// edit changes fields of an object as it is now.
func edit(ctx context.Context, object *unstructured.Unstructured, spec fields) error {
	GinkgoHelper()
	Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
	set(object, spec)
	return apiserver.Update(ctx, object)
}

// writeStatus writes the status of a BackupSync as a controller would, and expects that it is stored as it is.
func writeStatus(ctx context.Context, object *unstructured.Unstructured, status v1alpha1.BackupSyncStatus) {
	GinkgoHelper()
	var backup v1alpha1.BackupSync
	Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &backup)).To(Succeed())
	backup.Status = status
	Expect(apiserver.Status().Update(ctx, &backup)).To(Succeed())
	expectStatus(ctx, object, status)
}

func expectStatus(ctx context.Context, object *unstructured.Unstructured, status v1alpha1.BackupSyncStatus) {
	GinkgoHelper()
	var backup v1alpha1.BackupSync
	Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &backup)).To(Succeed())
	Expect(backup.Status).To(BeComparableTo(status))
}

var _ = Describe("An edit of a BackupSync", func() {
	var backup *unstructured.Unstructured
	BeforeEach(func(ctx context.Context) {
		backup = create(ctx, backupSync, validBackup())
	})

	It("is known to these specs for every field", func() {
		known := slices.AppendSeq([]string{"backupID", "projectRef"}, maps.Keys(editable))
		Expect(known).To(ConsistOf(slices.Collect(maps.Keys(schemaOf(backupSync).Properties["spec"].Properties))))
	})

	DescribeTable("is taken for every field that does not identify the backup, and leaves the status alone,", func(ctx context.Context, state *v1alpha1.BackupSyncStatus) {
		if state != nil {
			writeStatus(ctx, backup, *state)
		}
		for field, value := range editable {
			before := backup.GetGeneration()
			Expect(edit(ctx, backup, fields{field: value})).To(Succeed(), field)
			Expect(backup.GetGeneration()).To(Equal(before+1), field)
		}
		expectStored(backup, editable)
		reverted := fields{"resourceType": absent{}, "suspend": absent{}}
		for field, value := range validBackup() {
			reverted[field] = value
		}
		Expect(edit(ctx, backup, reverted)).To(Succeed())
		expectStored(backup, validBackup(fields{"resourceType": "OS::Native::Server"}))
		Expect(edit(ctx, backup, editable)).To(Succeed(), "all of them at once")
		backup.SetLabels(map[string]string{"team": "erp"})
		backup.SetAnnotations(map[string]string{v1alpha1.RequestedAtAnnotation: "now"})
		Expect(apiserver.Update(ctx, backup)).To(Succeed(), "labels and annotations are open as well")
		if state != nil {
			expectStatus(ctx, backup, *state)
		}
		Expect(apiserver.Delete(ctx, backup)).To(Succeed())
	}, stateEntries())

	DescribeTable("changes neither the project nor the backup id", func(ctx context.Context, state *v1alpha1.BackupSyncStatus) {
		if state != nil {
			writeStatus(ctx, backup, *state)
		}
		for field, change := range fixed {
			Expect(expectRefused(edit(ctx, backup, change), field)).To(beInWords())
		}
		Expect(expectRefused(edit(ctx, backup, fixed["spec.projectRef"]), "spec.projectRef")).To(ContainSubstring("projectRef cannot be changed: create another BackupSync instead"))
		Expect(expectRefused(edit(ctx, backup, fixed["spec.backupID"]), "spec.backupID")).To(ContainSubstring("backupID cannot be changed: create another BackupSync instead"))
		for _, field := range []string{"projectRef", "backupID"} {
			expectRefused(edit(ctx, backup, fields{field: absent{}}), "spec."+field)
		}
	}, stateEntries())

	It("changes neither of them by a status that the manifest leaves out or claims", func(ctx context.Context) {
		writeStatus(ctx, backup, states["when its import has failed for good"])
		for _, patch := range []string{
			`{"spec": {"backupID": "another"}, "status": null}`,
			`{"spec": {"backupID": "another"}, "status": {"outcome": null, "conditions": []}}`,
		} {
			expectRefused(apiserver.Patch(ctx, backup, client.RawPatch(types.MergePatchType, []byte(patch))), "spec.backupID")
		}
		expectStatus(ctx, backup, states["when its import has failed for good"])
	})

	It("is taken with the project named as before, with its kind or without", func(ctx context.Context) {
		Expect(edit(ctx, backup, fields{"projectRef": map[string]any{"name": "erp"}})).To(Succeed())
		Expect(edit(ctx, backup, fields{"projectRef": map[string]any{"name": "erp", "kind": "CBRProject"}})).To(Succeed())
		Expect(backup.GetGeneration()).To(BeEquivalentTo(1), "nothing has changed")
	})

	It("is an invalid one no more than a new manifest is", func(ctx context.Context) {
		Expect(expectRefused(edit(ctx, backup, fields{"backupName": "backup name"}), "spec.backupName")).To(beInWords())
		Expect(expectRefused(edit(ctx, backup, fields{"imagePath": "a/path\n"}), "spec.imagePath")).To(beInWords())
		Expect(expectRefused(edit(ctx, backup, fields{"createdAt": int64(0)}), "spec.createdAt")).To(beInWords())
	})
})

var _ = Describe("An edit of a CBRProject", func() {
	const endpoint, region = "https://cbr.example.com", "cn-north-4"

	record := func(ctx context.Context, object *unstructured.Unstructured, submissions ...v1alpha1.Submission) {
		GinkgoHelper()
		var project v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &project)).To(Succeed())
		project.Status.Journal = v1alpha1.Journal{WriterID: "process", CloudProject: "cbr.example.com:443/f841e01f", Submissions: submissions}
		Expect(apiserver.Status().Update(ctx, &project)).To(Succeed())
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &project)).To(Succeed())
		Expect(project.Status.Journal.Submissions).To(HaveLen(len(submissions)))
	}
	runs := func(ctx context.Context, object *unstructured.Unstructured, tasks int32) {
		GinkgoHelper()
		var project v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &project)).To(Succeed())
		project.Status.Backups = &v1alpha1.BackupCounts{Total: 1, Running: tasks}
		Expect(apiserver.Status().Update(ctx, &project)).To(Succeed())
	}
	call := v1alpha1.Submission{ID: "call", StartTime: metav1.NowMicro(),
		Items: []v1alpha1.SubmittedItem{{BackupID: "1f9e6b47", Hash: "v1:1f9e6b47", PreviousOperationLogID: "b0a4ef7a"}}}

	DescribeTable("does not lead elsewhere while calls are recorded or tasks run", func(ctx context.Context, spec, change fields, locked ...string) {
		project := create(ctx, cbrProject, spec)
		record(ctx, project, call)
		for _, field := range locked {
			message := expectRefused(edit(ctx, project, change), "spec."+field)
			Expect(message).To(And(ContainSubstring(field+" cannot be changed while a call is open (status.journal.submissions) or a task runs"), beInWords()))
		}
		unstructured.RemoveNestedField(project.Object, "status")
		expectRefused(apiserver.Update(ctx, project), "spec."+locked[0])
		Expect(unstructured.SetNestedSlice(project.Object, nil, "status", "journal", "submissions")).To(Succeed())
		expectRefused(apiserver.Update(ctx, project), "spec."+locked[0])
		record(ctx, project)
		runs(ctx, project, 1)
		for _, field := range locked {
			expectRefused(edit(ctx, project, change), "spec."+field)
		}
		runs(ctx, project, 0)
		Expect(edit(ctx, project, change)).To(Succeed(), "it is open again when no call is recorded any more, and no task runs")
	},
		Entry("by another project id", validProject(), fields{"projectID": "another"}, "projectID"),
		Entry("by another endpoint", atEndpoint(endpoint), fields{"endpoint": "https://cbr.example.org"}, "endpoint"),
		Entry("by another scheme of its endpoint", atEndpoint(endpoint), fields{"endpoint": "http://cbr.example.com"}, "endpoint"),
		Entry("by another region", validProject(), fields{"region": "cn-east-3"}, "region"),
		Entry("by an endpoint in place of the region", validProject(), fields{"region": absent{}, "endpoint": endpoint}, "region", "endpoint"),
		Entry("by the endpoint that follows from the region", validProject(),
			fields{"region": absent{}, "endpoint": "https://cbr.cn-north-4.myhuaweicloud.com"}, "region", "endpoint"),
		Entry("by a region in place of the endpoint", atEndpoint(endpoint), fields{"endpoint": absent{}, "region": region}, "endpoint", "region"),
		Entry("by everything at once", validProject(), fields{"projectID": "another", "region": absent{}, "endpoint": endpoint}, "projectID", "region", "endpoint"),
	)

	DescribeTable("is taken for all else while calls are recorded", func(ctx context.Context, spec fields) {
		project := create(ctx, cbrProject, spec)
		record(ctx, project, call)
		others := fields{
			"enterpriseProjectID": "0",
			"credentials":         map[string]any{"type": "Token", "secretRef": map[string]any{"name": "another"}},
			"iamEndpoint":         "https://iam.example.com",
			"caBundleRef":         map[string]any{"kind": "Secret", "name": "ca", "key": "ca.pem"},
			"batch":               map[string]any{"maxSize": int64(10), "window": "2s", "maxWait": "20s"},
			"limits":              map[string]any{"syncCallsPerMinute": int64(20), "concurrentSyncCalls": int64(2)},
			"poll":                map[string]any{"interval": "1m", "overdueAfter": "1h"},
			"audit":               map[string]any{"interval": "1h"},
			"retry":               map[string]any{"limit": int64(0)},
			"lookupPolicy":        "Never",
			"suspend":             true,
		}
		known := slices.AppendSeq([]string{"projectID", "region", "endpoint"}, maps.Keys(others))
		Expect(known).To(ConsistOf(slices.Collect(maps.Keys(schemaOf(cbrProject).Properties["spec"].Properties))))
		for field, value := range others {
			Expect(edit(ctx, project, fields{field: value})).To(Succeed(), field)
		}
		expectStored(project, others)
		project.SetAnnotations(map[string]string{v1alpha1.RequestedAtAnnotation: "now"})
		Expect(apiserver.Update(ctx, project)).To(Succeed())
		Expect(apiserver.Delete(ctx, project)).To(Succeed())
	},
		Entry("with a region", validProject()),
		Entry("with an endpoint", atEndpoint(endpoint)),
	)

	It("leads elsewhere at will before a controller has seen it", func(ctx context.Context) {
		project := create(ctx, cbrProject, validProject())
		Expect(edit(ctx, project, fields{"projectID": "another"})).To(Succeed())
		Expect(edit(ctx, project, fields{"region": absent{}, "endpoint": endpoint})).To(Succeed())
		Expect(edit(ctx, project, fields{"region": region, "endpoint": absent{}})).To(Succeed())
	})

	It("is an invalid one no more than a new manifest is", func(ctx context.Context) {
		project := create(ctx, cbrProject, validProject())
		Expect(expectRefused(edit(ctx, project, fields{"endpoint": endpoint}), "spec.endpoint")).To(ContainSubstring("exactly one of region and endpoint"))
		Expect(expectRefused(edit(ctx, project, fields{"region": absent{}}), "spec.endpoint")).To(ContainSubstring("exactly one of region and endpoint"))
		Expect(expectRefused(edit(ctx, project, fields{"batch.window": "1m"}), "spec.batch.window")).To(ContainSubstring("window must not be longer than maxWait"))
	})
})

var _ = Describe("The status of a later version", func() {
	It("is taken with an outcome that this one does not know", func(ctx context.Context) {
		backup := create(ctx, backupSync, validBackup())
		writeStatus(ctx, backup, accepted("Superseded", stalled(v1alpha1.ReasonUnknownOutcome)))
	})

	It("is refused with an outcome of 65 characters", func(ctx context.Context) {
		backup := create(ctx, backupSync, validBackup())
		patch := client.RawPatch(types.MergePatchType, []byte(`{"status": {"outcome": "`+strings.Repeat("x", 65)+`"}}`))
		Expect(expectRefused(apiserver.Status().Patch(ctx, backup, patch), "status.outcome")).To(ContainSubstring("may not be more than 64"))
	})

	It("is taken with a scope of tasks that this one does not know", func(ctx context.Context) {
		project := create(ctx, cbrProject, validProject())
		patch := client.RawPatch(types.MergePatchType, []byte(`{"status": {"journal": {"taskScope": "PerTenant"}}}`))
		Expect(apiserver.Status().Patch(ctx, project, patch)).To(Succeed())
		var typed v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(project), &typed)).To(Succeed())
		Expect(typed.Status.Journal.TaskScope).To(BeEquivalentTo("PerTenant"))
	})
})
