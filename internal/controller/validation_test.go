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
	"errors"
	"maps"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// The API server alone judges manifests: there is no webhook. No controller runs in these specs, and manifests are
// unstructured, so that what a person can write can be sent, wrong types too.

// fields is a spec as it stands in a manifest; a key with dots is a path.
type fields map[string]any

// validBackup is the vendor's example.
func validBackup(changes ...fields) fields {
	return merged(fields{
		"backupID":     "1f9e6b47-7655-4a19-b563-21b4ef023025",
		"backupName":   "backup_name",
		"bucketName":   "1555230361623e4ce4700dab84b7d8169a5eaec05227d",
		"imagePath":    "6abec15e-7baf-4d79-b5a9-6b98a2da7020/cfe0295c-5939-4b31-96cd-161b4725e7ad",
		"resourceID":   "96f7512d-239d-3f31-80cf-d1ce041df9a6",
		"resourceName": "resource_name",
		"createdAt":    int64(1553587260),
	}, changes)
}

func validProject(changes ...fields) fields {
	return merged(fields{
		"endpoint":                   "https://cbr.cn-north-4.myhuaweicloud.com",
		"projectID":                  "f841e01fd2b14e7fa41b6ae7aa6b0594",
		"credentials.secretRef.name": "cbr",
	}, changes)
}

// absent is the value of a field that the manifest leaves out.
type absent struct{}

func merged(spec fields, changes []fields) fields {
	for _, change := range changes {
		maps.Copy(spec, change)
	}
	maps.DeleteFunc(spec, func(_ string, value any) bool { return value == absent{} })
	return spec
}

// manifest is the object that a manifest with this spec declares.
func manifest(kind, namespace string, spec fields) *unstructured.Unstructured {
	GinkgoHelper()
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetNamespace(namespace)
	object.SetGenerateName("manifest-")
	set(object, spec)
	return object
}

func set(object *unstructured.Unstructured, spec fields) {
	GinkgoHelper()
	for path, value := range spec {
		Expect(unstructured.SetNestedField(object.Object, value, append([]string{"spec"}, strings.Split(path, ".")...)...)).To(Succeed())
	}
}

// newNamespace makes a namespace in which no controller works.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "validation-"}}
	Expect(apiserver.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

// expectRefused expects that a write was refused as invalid, for a field, and returns what the person reads.
func expectRefused(err error, field string) string {
	GinkgoHelper()
	Expect(err).To(HaveOccurred(), "the API server has let it through")
	Expect(apierrors.IsInvalid(err)).To(BeTrue(), "refused, but not as invalid: %v", err)
	var status *apierrors.StatusError
	Expect(errors.As(err, &status)).To(BeTrue())
	Expect(status.ErrStatus.Details.Causes).To(ContainElement(HaveField("Field", field)), "%v", err)
	Expect(err.Error()).To(ContainSubstring(field))
	return err.Error()
}

var _ = Describe("The manifest of a BackupSync", func() {
	DescribeTable("is refused, with a message that names the field,", func(ctx context.Context, field, says string, spec fields) {
		err := apiserver.Create(ctx, manifest("BackupSync", newNamespace(ctx), spec))
		Expect(expectRefused(err, "spec."+field)).To(ContainSubstring(says))
	},
		Entry("with a name of 65 characters", "backupName", "may not be more than 64", validBackup(fields{"backupName": strings.Repeat("x", 65)})),
		Entry("with a Chinese name of 65 characters", "backupName", "may not be more than 64", validBackup(fields{"backupName": strings.Repeat("备", 65)})),
		Entry("with a space in its name", "backupName", "should match", validBackup(fields{"backupName": "backup name"})),
		Entry("with a line break behind its name", "backupName", "should match", validBackup(fields{"backupName": "backup_name\n"})),
		Entry("with a dot in its name", "backupName", "should match", validBackup(fields{"backupName": "backup.name"})),
		Entry("with a character behind the Chinese ones in its name", "backupName", "should match", validBackup(fields{"backupName": "备\u9fa6"})),
		Entry("with an emoji in its name", "backupName", "should match", validBackup(fields{"backupName": "backup💾"})),
		Entry("with an empty name", "backupName", "at least 1", validBackup(fields{"backupName": ""})),
		Entry("with a number for a name", "backupName", "must be of type string", validBackup(fields{"backupName": int64(7)})),

		Entry("made after 2038", "createdAt", "less than or equal to 2147483647", validBackup(fields{"createdAt": int64(2147483648)})),
		Entry("made at a time in milliseconds", "createdAt", "less than or equal to 2147483647", validBackup(fields{"createdAt": int64(1553587260000)})),
		Entry("made before 1970", "createdAt", "greater than or equal to 0", validBackup(fields{"createdAt": int64(-1)})),
		Entry("made at a time in words", "createdAt", "must be of type integer", validBackup(fields{"createdAt": "2019-03-26T08:01:00Z"})),
		Entry("made at a number in quotes", "createdAt", "must be of type integer", validBackup(fields{"createdAt": "1553587260"})),

		Entry("without backupID", "backupID", "Required value", validBackup(fields{"backupID": absent{}})),
		Entry("without backupName", "backupName", "Required value", validBackup(fields{"backupName": absent{}})),
		Entry("without bucketName", "bucketName", "Required value", validBackup(fields{"bucketName": absent{}})),
		Entry("without imagePath", "imagePath", "Required value", validBackup(fields{"imagePath": absent{}})),
		Entry("without resourceID", "resourceID", "Required value", validBackup(fields{"resourceID": absent{}})),
		Entry("without resourceName", "resourceName", "Required value", validBackup(fields{"resourceName": absent{}})),
		Entry("without createdAt", "createdAt", "Required value", validBackup(fields{"createdAt": absent{}})),
		Entry("with null for imagePath", "imagePath", "Required value", validBackup(fields{"imagePath": nil})),

		Entry("with a bucket name of 256 characters", "bucketName", "may not be more than 255", validBackup(fields{"bucketName": strings.Repeat("x", 256)})),
		Entry("with an empty bucket name", "bucketName", "at least 1", validBackup(fields{"bucketName": ""})),
		Entry("with a path of 2049 characters", "imagePath", "may not be more than 2048", validBackup(fields{"imagePath": strings.Repeat("x", 2049)})),
		Entry("with an empty path", "imagePath", "at least 1", validBackup(fields{"imagePath": ""})),
		Entry("with a resource id of 256 characters", "resourceID", "may not be more than 255", validBackup(fields{"resourceID": strings.Repeat("x", 256)})),
		Entry("with a resource name of 256 characters", "resourceName", "may not be more than 255", validBackup(fields{"resourceName": strings.Repeat("x", 256)})),
		Entry("with a resource type of 256 characters", "resourceType", "may not be more than 255", validBackup(fields{"resourceType": strings.Repeat("x", 256)})),
		Entry("with an empty resource type", "resourceType", "at least 1", validBackup(fields{"resourceType": ""})),

		Entry("with a slash in its id", "backupID", "should match", validBackup(fields{"backupID": "1f9e6b47/7655"})),
		Entry("with an escaped slash in its id", "backupID", "should match", validBackup(fields{"backupID": "1f9e6b47%2f7655"})),
		Entry("with the id ..", "backupID", "should match", validBackup(fields{"backupID": ".."})),
		Entry("with the id .", "backupID", "should match", validBackup(fields{"backupID": "."})),
		Entry("with a question mark in its id", "backupID", "should match", validBackup(fields{"backupID": "1f9e6b47?limit=1"})),
		Entry("with a line break behind its id", "backupID", "should match", validBackup(fields{"backupID": "1f9e6b47\n"})),
		Entry("with an empty id", "backupID", "at least 1", validBackup(fields{"backupID": ""})),
		Entry("with an id of 129 characters", "backupID", "may not be more than 128", validBackup(fields{"backupID": strings.Repeat("x", 129)})),

		Entry("of a project whose name has capitals", "projectRef.name", "should match", validBackup(fields{"projectRef.name": "Default"})),
		Entry("of a project whose name has an underscore", "projectRef.name", "should match", validBackup(fields{"projectRef.name": "my_project"})),
		Entry("of a project of another namespace", "projectRef.name", "should match", validBackup(fields{"projectRef.name": "other/default"})),
		Entry("of a project with an empty name", "projectRef.name", "at least 1", validBackup(fields{"projectRef.name": ""})),
		Entry("of a project with a name of 254 characters", "projectRef.name", "may not be more than 253", validBackup(fields{"projectRef.name": strings.Repeat("x", 254)})),
		Entry("with a word for suspend", "suspend", "must be of type boolean", validBackup(fields{"suspend": "yes"})),
	)

	// The API server finds this one before it validates: its cause names no field, its message does.
	It("is refused when it was made at a fraction of a second", func(ctx context.Context) {
		err := apiserver.Create(ctx, manifest("BackupSync", newNamespace(ctx), validBackup(fields{"createdAt": 1553587260.5})))
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err).To(MatchError(And(ContainSubstring("must be of type integer"), ContainSubstring("spec.createdAt"))))
	})

	It("is refused without a spec", func(ctx context.Context) {
		object := manifest("BackupSync", newNamespace(ctx), nil)
		delete(object.Object, "spec")
		expectRefused(apiserver.Create(ctx, object), "spec")
	})

	It("is refused with a misspelt field, by clients that ask for that as kubectl does", func(ctx context.Context) {
		object := manifest("BackupSync", newNamespace(ctx), validBackup(fields{"bucket": "a"}))
		err := apiserver.Create(ctx, object, client.FieldValidation(metav1.FieldValidationStrict))
		Expect(err).To(MatchError(ContainSubstring(`unknown field "spec.bucket"`)))
	})

	DescribeTable("is accepted", func(ctx context.Context, spec fields) {
		object := manifest("BackupSync", newNamespace(ctx), spec)
		Expect(apiserver.Create(ctx, object)).To(Succeed())
		for path, value := range spec {
			stored, found, err := unstructured.NestedFieldNoCopy(object.Object, append([]string{"spec"}, strings.Split(path, ".")...)...)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(BeTrue(), path)
			Expect(stored).To(Equal(value), path)
		}
	},
		Entry("as the vendor's example", validBackup()),
		Entry("with a Chinese name", validBackup(fields{"backupName": "财务系统-备份_01"})),
		Entry("with compatibility ideographs in its name", validBackup(fields{"backupName": "\uf900\ufa2d\u4e00\u9fa5"})),
		Entry("with a name of 64 characters", validBackup(fields{"backupName": strings.Repeat("x", 64)})),
		Entry("with a Chinese name of 64 characters", validBackup(fields{"backupName": strings.Repeat("备", 64)})),
		Entry("with a name of one character", validBackup(fields{"backupName": "-"})),
		Entry("with a resource type that nobody knows yet", validBackup(fields{"resourceType": "OS::Future::Thing"})),
		Entry("made in 1970", validBackup(fields{"createdAt": int64(0)})),
		Entry("made in 2038", validBackup(fields{"createdAt": int64(2147483647)})),
		Entry("with everything as long as it may be", validBackup(fields{
			"backupID": strings.Repeat("x", 128), "bucketName": strings.Repeat("x", 255), "imagePath": strings.Repeat("路", 2048),
			"resourceID": strings.Repeat("x", 255), "resourceName": strings.Repeat("机", 255), "resourceType": strings.Repeat("x", 255),
			"projectRef.name": strings.Repeat("x", 253)})),
		Entry("with an id that is no UUID", validBackup(fields{"backupID": "Backup_2019..03.26-a"})),
		Entry("of a project whose name has dots", validBackup(fields{"projectRef.name": "cn-north-4.erp"})),
		Entry("suspended", validBackup(fields{"suspend": true})),
	)

	It("gets its defaults, and a status that counts as in progress, without a write of a controller", func(ctx context.Context) {
		object := manifest("BackupSync", newNamespace(ctx), validBackup())
		Expect(apiserver.Create(ctx, object)).To(Succeed())
		var backup v1alpha1.BackupSync
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &backup)).To(Succeed())
		Expect(backup.Spec.ProjectRef.Name).To(Equal("default"))
		Expect(backup.Spec.ResourceType).To(Equal("OS::Native::Server"))
		Expect(backup.Generation).To(BeEquivalentTo(1))
		expectDefaultStatus(&backup)
	})

	It("gets its defaults in the place of nulls and empty objects", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		for _, spec := range []fields{{"projectRef": nil, "resourceType": nil}, {"projectRef": map[string]any{}}, {"projectRef.name": nil}} {
			object := manifest("BackupSync", namespace, validBackup(spec))
			Expect(apiserver.Create(ctx, object)).To(Succeed())
			var backup v1alpha1.BackupSync
			Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &backup)).To(Succeed())
			Expect(backup.Spec.ProjectRef.Name).To(Equal("default"))
			Expect(backup.Spec.ResourceType).To(Equal("OS::Native::Server"))
		}
	})

	It("cannot bring a status along: a backup would count as imported without a call", func(ctx context.Context) {
		object := manifest("BackupSync", newNamespace(ctx), validBackup())
		Expect(unstructured.SetNestedField(object.Object, []any{map[string]any{"type": "Ready", "status": "True", "reason": "Imported",
			"message": "", "lastTransitionTime": "2026-03-26T12:00:00Z"}}, "status", "conditions")).To(Succeed())
		Expect(apiserver.Create(ctx, object)).To(Succeed())
		var backup v1alpha1.BackupSync
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &backup)).To(Succeed())
		expectDefaultStatus(&backup)
	})
})

func expectDefaultStatus(backup *v1alpha1.BackupSync) {
	GinkgoHelper()
	Expect(backup.Status.ObservedGeneration).To(BeEquivalentTo(-1))
	condition := func(kind string, status metav1.ConditionStatus) any {
		return And(HaveField("Type", kind), HaveField("Status", status), HaveField("Reason", v1alpha1.ReasonQueued),
			HaveField("Message", v1alpha1.QueuedMessage))
	}
	Expect(backup.Status.Conditions).To(ConsistOf(
		condition(v1alpha1.ConditionReady, metav1.ConditionUnknown),
		condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue)))
	Expect(len([]rune(v1alpha1.QueuedMessage))).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
}

var _ = Describe("The manifest of a CBRProject", func() {
	DescribeTable("is refused, with a message that names the field,", func(ctx context.Context, field, says string, spec fields) {
		err := apiserver.Create(ctx, manifest("CBRProject", newNamespace(ctx), spec))
		Expect(expectRefused(err, "spec."+field)).To(ContainSubstring(says))
	},
		Entry("with an endpoint of ftp", "endpoint", "should match", validProject(fields{"endpoint": "ftp://cbr.cn-north-4.myhuaweicloud.com"})),
		Entry("with an endpoint without a scheme", "endpoint", "should match", validProject(fields{"endpoint": "cbr.cn-north-4.myhuaweicloud.com"})),
		Entry("with a path in its endpoint", "endpoint", "should match", validProject(fields{"endpoint": "https://cbr.cn-north-4.myhuaweicloud.com/v3"})),
		Entry("with a query in its endpoint", "endpoint", "should match", validProject(fields{"endpoint": "https://cbr.cn-north-4.myhuaweicloud.com?a"})),
		Entry("with a user in its endpoint", "endpoint", "should match", validProject(fields{"endpoint": "https://user@cbr.cn-north-4.myhuaweicloud.com"})),
		Entry("with a password in its endpoint", "endpoint", "should match", validProject(fields{"endpoint": "https://user:secret@cbr.cn-north-4.myhuaweicloud.com"})),
		Entry("with a line break in its endpoint", "endpoint", "should match", validProject(fields{"endpoint": "https://cbr.cn-north-4.myhuaweicloud.com\n"})),
		Entry("with an empty endpoint", "endpoint", "at least 1", validProject(fields{"endpoint": ""})),
		Entry("with an endpoint of 256 characters", "endpoint", "may not be more than 255", validProject(fields{"endpoint": "https://" + strings.Repeat("x", 248)})),
		Entry("without an endpoint", "endpoint", "Required value", validProject(fields{"endpoint": absent{}})),

		Entry("with a slash in its project id", "projectID", "should match", validProject(fields{"projectID": "f841e01f/d2b1"})),
		Entry("with the project id ..", "projectID", "should match", validProject(fields{"projectID": ".."})),
		Entry("with an empty project id", "projectID", "at least 1", validProject(fields{"projectID": ""})),
		Entry("with a project id of 65 characters", "projectID", "may not be more than 64", validProject(fields{"projectID": strings.Repeat("x", 65)})),
		Entry("without a project id", "projectID", "Required value", validProject(fields{"projectID": absent{}})),

		Entry("with calls of none", "batch.size", "greater than or equal to 1", validProject(fields{"batch.size": int64(0)})),
		Entry("with calls of 51", "batch.size", "less than or equal to 50", validProject(fields{"batch.size": int64(51)})),
		Entry("with a window in words", "batch.window", "should match", validProject(fields{"batch.window": "abc"})),
		Entry("with an empty window", "batch.window", "should match", validProject(fields{"batch.window": ""})),
		Entry("with a window without a unit", "batch.window", "should match", validProject(fields{"batch.window": "1"})),
		Entry("with a number for a window", "batch.window", "must be of type string", validProject(fields{"batch.window": int64(1)})),
		Entry("with a negative window", "batch.window", "should match", validProject(fields{"batch.window": "-1s"})),
		Entry("with a window of two hours", "batch.window", "window must be at most 1h", validProject(fields{"batch.window": "2h"})),
		Entry("with a window of an hour and a millisecond", "batch.window", "window must be at most 1h", validProject(fields{"batch.window": "1h1ms"})),
		Entry("with a window that overflows", "batch.window", "window must be at most 1h", validProject(fields{"batch.window": "9999999999999h"})),
		Entry("with a window of days", "batch.window", "should match", validProject(fields{"batch.window": "1d"})),
		Entry("with a longest wait in words", "batch.maxWait", "should match", validProject(fields{"batch.maxWait": "abc"})),
		Entry("with a negative longest wait", "batch.maxWait", "should match", validProject(fields{"batch.maxWait": "-1s"})),
		Entry("with a longest wait of two hours", "batch.maxWait", "maxWait must be at most 1h", validProject(fields{"batch.maxWait": "2h"})),
		Entry("with a longest wait that overflows", "batch.maxWait", "maxWait must be at most 1h", validProject(fields{"batch.maxWait": "9999999999999h"})),

		Entry("with looks every 10 ms", "poll.interval", "interval must be between 100ms and 1h", validProject(fields{"poll.interval": "10ms"})),
		Entry("with looks without a pause", "poll.interval", "interval must be between 100ms and 1h", validProject(fields{"poll.interval": "0s"})),
		Entry("with looks every two hours", "poll.interval", "interval must be between 100ms and 1h", validProject(fields{"poll.interval": "2h"})),
		Entry("with a time-out of 721 hours", "poll.timeout", "timeout must be at most 720h", validProject(fields{"poll.timeout": "721h"})),
		Entry("with no call a minute", "limits.syncCallsPerMinute", "greater than or equal to 1", validProject(fields{"limits.syncCallsPerMinute": int64(0)})),
		Entry("with 100,001 calls a minute", "limits.syncCallsPerMinute", "less than or equal to 100000", validProject(fields{"limits.syncCallsPerMinute": int64(100001)})),
		Entry("with no call at a time", "limits.concurrentSyncCalls", "greater than or equal to 1", validProject(fields{"limits.concurrentSyncCalls": int64(0)})),
		Entry("with 21 calls at a time", "limits.concurrentSyncCalls", "less than or equal to 20", validProject(fields{"limits.concurrentSyncCalls": int64(21)})),
		Entry("with -1 retries", "retry.limit", "greater than or equal to 0", validProject(fields{"retry.limit": int64(-1)})),
		Entry("with 101 retries", "retry.limit", "less than or equal to 100", validProject(fields{"retry.limit": int64(101)})),

		Entry("with credentials of a kind that is not offered", "credentials.type", "Unsupported value", validProject(fields{"credentials.type": "AccessKey"})),
		Entry("without a Secret", "credentials.secretRef", "Required value", validProject(fields{"credentials.secretRef.name": absent{}, "credentials": map[string]any{}})),
		Entry("without credentials", "credentials", "Required value", validProject(fields{"credentials.secretRef.name": absent{}})),
		Entry("without the name of a Secret", "credentials.secretRef.name", "Required value",
			validProject(fields{"credentials.secretRef.name": absent{}, "credentials.secretRef": map[string]any{}})),
		Entry("with a Secret of another namespace", "credentials.secretRef.name", "should match", validProject(fields{"credentials.secretRef.name": "other/cbr"})),
		Entry("with an empty name of a Secret", "credentials.secretRef.name", "at least 1", validProject(fields{"credentials.secretRef.name": ""})),
		Entry("with a CA bundle of more than 256 KiB", "caBundle", "may not be more than 262144", validProject(fields{"caBundle": strings.Repeat("x", 262145)})),
	)

	DescribeTable("is accepted", func(ctx context.Context, spec fields) {
		object := manifest("CBRProject", newNamespace(ctx), spec)
		Expect(apiserver.Create(ctx, object)).To(Succeed())
		var typed v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &typed)).To(Succeed(), "the controller can read what the API server has let through")
	},
		Entry("as it is in the documents", validProject()),
		Entry("with a slash behind its endpoint", validProject(fields{"endpoint": "https://cbr.cn-north-4.myhuaweicloud.com/"})),
		Entry("with a port in its endpoint", validProject(fields{"endpoint": "http://127.0.0.1:8080"})),
		Entry("with an address of IPv6 in its endpoint", validProject(fields{"endpoint": "https://[fe80::1]:8443"})),
		Entry("with calls of one", validProject(fields{"batch.size": int64(1)})),
		Entry("with the largest values", validProject(fields{"batch.size": int64(50), "batch.window": "1h", "batch.maxWait": "60m",
			"limits.syncCallsPerMinute": int64(100000), "limits.concurrentSyncCalls": int64(20), "poll.interval": "3600s", "poll.timeout": "720h",
			"retry.limit": int64(100), "caBundle": strings.Repeat("x", 262144)})),
		Entry("with the smallest values", validProject(fields{"batch.window": "0s", "batch.maxWait": "0ms", "limits.syncCallsPerMinute": int64(1),
			"limits.concurrentSyncCalls": int64(1), "poll.interval": "100ms", "poll.timeout": "0s", "retry.limit": int64(0)})),
		Entry("with durations of several units", validProject(fields{"batch.window": "1m30.5s", "poll.interval": "0.5h"})),
		Entry("suspended", validProject(fields{"suspend": true})),
	)

	It("keeps its project ID while calls are recorded, and nothing else", func(ctx context.Context) {
		object := manifest("CBRProject", newNamespace(ctx), validProject())
		Expect(apiserver.Create(ctx, object)).To(Succeed())
		record := func(submissions ...v1alpha1.Submission) {
			GinkgoHelper()
			var project v1alpha1.CBRProject
			Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &project)).To(Succeed())
			project.Status.Submissions = submissions
			Expect(apiserver.Status().Update(ctx, &project)).To(Succeed())
			Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
		}
		edit := func(spec fields) error {
			changed := object.DeepCopy()
			set(changed, spec)
			return apiserver.Update(ctx, changed)
		}
		record(v1alpha1.Submission{ID: "call", StartedAt: metav1.NowMicro(), BackupIDs: []string{"backup"}})
		Expect(expectRefused(edit(fields{"projectID": "another"}), "spec.projectID")).To(ContainSubstring("whose outcome is not known"))
		Expect(edit(fields{"endpoint": "https://cbr.cn-east-3.myhuaweicloud.com", "suspend": true})).To(Succeed(), "a wrong endpoint can be mended")
		record()
		Expect(edit(fields{"projectID": "another"})).To(Succeed())
	})

	It("gets its defaults, and a status that counts as in progress", func(ctx context.Context) {
		object := manifest("CBRProject", newNamespace(ctx), validProject())
		Expect(apiserver.Create(ctx, object)).To(Succeed())
		var project v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &project)).To(Succeed())
		Expect(project.Spec.Credentials.Type).To(Equal(v1alpha1.CredentialsToken))
		Expect(project.Spec.Batch.Size).To(BeEquivalentTo(50))
		Expect(project.Spec.Batch.Window.Duration.String()).To(Equal("1s"))
		Expect(project.Spec.Batch.MaxWait.Duration.String()).To(Equal("10s"))
		Expect(project.Spec.Limits).To(Equal(v1alpha1.Limits{SyncCallsPerMinute: 10, ConcurrentSyncCalls: 4}))
		Expect(project.Spec.Poll.Interval.Duration.String()).To(Equal("10s"))
		Expect(project.Spec.Poll.Timeout.Duration.String()).To(Equal("30m0s"))
		Expect(project.Spec.Retry.Limit).To(HaveValue(BeEquivalentTo(3)))
		Expect(project.Status.ObservedGeneration).To(BeEquivalentTo(-1))
		condition := func(kind string, status metav1.ConditionStatus) any {
			return And(HaveField("Type", kind), HaveField("Status", status), HaveField("Reason", v1alpha1.ReasonPending))
		}
		Expect(project.Status.Conditions).To(ConsistOf(
			condition(v1alpha1.ConditionReady, metav1.ConditionUnknown),
			condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue)))
	})
})
