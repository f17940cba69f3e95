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
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// refusal is a manifest that the API server refuses: for which field, and what the message says.
type refusal struct {
	when, field, says string
	spec              fields
}

// create tries to create an object of the manifest. Nothing comes of it, so that no spec needs a namespace for it.
func (r refusal) create(ctx context.Context, kind string) error {
	GinkgoHelper()
	return apiserver.Create(ctx, manifest(kind, metav1.NamespaceDefault, r.spec))
}

func entries(refusals []refusal) []TableEntry {
	var made []TableEntry
	for _, refused := range refusals {
		made = append(made, Entry(refused.when, refused))
	}
	return made
}

// backupWith and projectWith are the valid manifests, but for one field.
func backupWith(field string, value any) fields  { return validBackup(fields{field: value}) }
func projectWith(field string, value any) fields { return validProject(fields{field: value}) }

const aDuration = "must be a duration such as 500ms, 10s or 1h30m"

// refusedBackups are the BackupSyncs that are refused.
var refusedBackups = slices.Concat(
	[]refusal{
		{"with a name of 65 characters", "backupName", "may not be more than 64", backupWith("backupName", strings.Repeat("x", 65))},
		{"with a Chinese name of 65 characters", "backupName", "may not be more than 64", backupWith("backupName", strings.Repeat("备", 65))},
		{"with a space in its name", "backupName", "without spaces", backupWith("backupName", "backup name")},
		{"with a dot in its name", "backupName", "backupName must be made of digits", backupWith("backupName", "backup.name")},
		{"with a character behind the Chinese ones in its name", "backupName", "Chinese characters", backupWith("backupName", "备\u9fa6")},
		{"with an umlaut in its name", "backupName", "Latin letters", backupWith("backupName", "für_backup")},
		{"with an emoji in its name", "backupName", "backupName must be made of digits", backupWith("backupName", "backup💾")},
		{"with an empty name", "backupName", "at least 1", backupWith("backupName", "")},
		{"with a number for a name", "backupName", "must be of type string", backupWith("backupName", int64(7))},

		{"made after 2038", "createdAt", "at most 2147483647", backupWith("createdAt", int64(2147483648))},
		{"made after 5138", "createdAt", "at most 2147483647", backupWith("createdAt", int64(99999999999))},
		{"made at a time in milliseconds", "createdAt", "createdAt must be in seconds, not milliseconds", backupWith("createdAt", int64(1553587260000))},
		{"made at a time in milliseconds, long ago", "createdAt", "createdAt must be in seconds, not milliseconds", backupWith("createdAt", int64(100000000000))},
		{"made at a time in nanoseconds", "createdAt", "createdAt must be in seconds", backupWith("createdAt", int64(1553587260000000000))},
		{"made at 0", "createdAt", "greater than or equal to 1", backupWith("createdAt", int64(0))},
		{"made before 1970", "createdAt", "greater than or equal to 1", backupWith("createdAt", int64(-1))},
		{"made at a time in words", "createdAt", "must be of type integer", backupWith("createdAt", "2019-03-26T08:01:00Z")},
		{"made at a number in quotes", "createdAt", "must be of type integer", backupWith("createdAt", "1553587260")},

		{"without projectRef", "projectRef", "Required value", backupWith("projectRef.name", absent{})},
		{"without backupID", "backupID", "Required value", backupWith("backupID", absent{})},
		{"without backupName", "backupName", "Required value", backupWith("backupName", absent{})},
		{"without bucketName", "bucketName", "Required value", backupWith("bucketName", absent{})},
		{"without imagePath", "imagePath", "Required value", backupWith("imagePath", absent{})},
		{"without resourceID", "resourceID", "Required value", backupWith("resourceID", absent{})},
		{"without resourceName", "resourceName", "Required value", backupWith("resourceName", absent{})},
		{"without createdAt", "createdAt", "Required value", backupWith("createdAt", absent{})},
		{"with null for imagePath", "imagePath", "Required value", backupWith("imagePath", nil)},

		{"with a bucket name of 256 characters", "bucketName", "may not be more than 255", backupWith("bucketName", strings.Repeat("x", 256))},
		{"with an empty bucket name", "bucketName", "at least 1", backupWith("bucketName", "")},
		{"with a path of 2049 characters", "imagePath", "may not be more than 2048", backupWith("imagePath", strings.Repeat("x", 2049))},
		{"with an empty path", "imagePath", "at least 1", backupWith("imagePath", "")},
		{"with a resource id of 256 characters", "resourceID", "may not be more than 255", backupWith("resourceID", strings.Repeat("x", 256))},
		{"with an empty resource id", "resourceID", "at least 1", backupWith("resourceID", "")},
		{"with a resource name of 256 characters", "resourceName", "may not be more than 255", backupWith("resourceName", strings.Repeat("x", 256))},
		{"with an empty resource name", "resourceName", "at least 1", backupWith("resourceName", "")},
		{"with a resource type of 256 characters", "resourceType", "may not be more than 255", backupWith("resourceType", strings.Repeat("x", 256))},
		{"with an empty resource type", "resourceType", "at least 1", backupWith("resourceType", "")},

		{"with a slash in its id", "backupID", `letters, digits, ".", "_" and "-"`, backupWith("backupID", "1f9e6b47/7655")},
		{"with an escaped slash in its id", "backupID", "backupID must be made of letters", backupWith("backupID", "1f9e6b47%2f7655")},
		{"with the id ..", "backupID", "begin with a letter or digit", backupWith("backupID", "..")},
		{"with the id .", "backupID", "begin with a letter or digit", backupWith("backupID", ".")},
		{"with a question mark in its id", "backupID", "backupID must be made of letters", backupWith("backupID", "1f9e6b47?limit=1")},
		{"with an empty id", "backupID", "at least 1", backupWith("backupID", "")},
		{"with an id of 129 characters", "backupID", "may not be more than 128", backupWith("backupID", strings.Repeat("x", 129))},

		{"with null for projectRef", "projectRef", "Required value", validBackup(fields{"projectRef.name": absent{}, "projectRef": nil})},
		{"with an empty projectRef", "projectRef.name", "Required value", validBackup(fields{"projectRef.name": absent{}, "projectRef": map[string]any{}})},
		{"with the kind alone of its project", "projectRef.name", "Required value", validBackup(fields{"projectRef.name": absent{}, "projectRef.kind": "CBRProject"})},
		{"with null for the name of its project", "projectRef.name", "Required value", backupWith("projectRef.name", nil)},
		{"with the name of its project in place of a reference", "projectRef", "must be of type object", validBackup(fields{"projectRef.name": absent{}, "projectRef": "erp"})},
		{"of another kind of project", "projectRef.kind", `supported values: "CBRProject"`, backupWith("projectRef.kind", "ClusterCBRProject")},
		{"of an empty kind of project", "projectRef.kind", `supported values: "CBRProject"`, backupWith("projectRef.kind", "")},
		{"of a project whose name has capitals", "projectRef.name", "lower-case letters", backupWith("projectRef.name", "Default")},
		{"of a project whose name has an underscore", "projectRef.name", "name must be the name of a CBRProject", backupWith("projectRef.name", "my_project")},
		{"of a project whose name ends with a dot", "projectRef.name", "a letter or digit at either end", backupWith("projectRef.name", "erp.")},
		{"of a project of another namespace", "projectRef.name", "name must be the name of a CBRProject", backupWith("projectRef.name", "other/default")},
		{"of a project with an empty name", "projectRef.name", "at least 1", backupWith("projectRef.name", "")},
		{"of a project with a name of 254 characters", "projectRef.name", "may not be more than 253", backupWith("projectRef.name", strings.Repeat("x", 254))},
		{"with a word for suspend", "suspend", "must be of type boolean", backupWith("suspend", "yes")},
	},
	strayCharacters("projectRef.name", "name must be the name of a CBRProject"),
	strayCharacters("backupID", "backupID must be made of"),
	strayCharacters("backupName", "backupName must be made of"),
	strayCharacters("bucketName", "bucketName must neither begin nor end with white space"),
	strayCharacters("imagePath", "imagePath must neither begin nor end with white space"),
	strayCharacters("resourceID", "resourceID must neither begin nor end with white space"),
	strayCharacters("resourceName", "resourceName must neither begin nor end with white space"),
	strayCharacters("resourceType", "resourceType must neither begin nor end with white space"),
)

// strayCharacters are values that copying, a spreadsheet or an editor leaves in a text field: nobody sees them.
func strayCharacters(field, says string) []refusal {
	blanks := map[string]string{
		"a blank": " ", "a tab": "\t", "a line break": "\n", "a carriage return": "\r", "a no-break space": "\u00a0",
		"an ideographic space": "\u3000", "a thin space": "\u2009", "a zero-width space": "\u200b", "a byte order mark": "\ufeff",
	}
	controls := map[string]string{
		"a tab": "\t", "a line break": "\n", "a carriage return": "\r", "a vertical tab": "\v", "a form feed": "\f", "a NUL": "\x00",
		"an escape": "\x1b", "a DEL": "\x7f", "a next line": "\u0085", "a line separator": "\u2028", "a paragraph separator": "\u2029",
	}
	var refused []refusal
	add := func(where, what, value string) {
		refused = append(refused, refusal{fmt.Sprintf("with %s %s its %s", what, where, field), field, says, backupWith(field, value)})
	}
	for what, blank := range blanks {
		add("before", what, blank+"erp")
		add("behind", what, "erp"+blank)
		add("alone for", what, blank)
	}
	for what, control := range controls {
		add("inside", what, "erp"+control+"01")
	}
	slices.SortFunc(refused, func(a, b refusal) int { return strings.Compare(a.when, b.when) })
	return refused
}

// refusedProjects are the CBRProjects that are refused.
var refusedProjects = slices.Concat(refusedCredentials, refusedURLs("endpoint", atEndpoint), refusedURLs("iamEndpoint", atIAMEndpoint), []refusal{
	{"with neither a region nor an endpoint", "endpoint", "exactly one of region and endpoint must be set", projectWith("region", absent{})},
	{"with both a region and an endpoint", "endpoint", "exactly one of region and endpoint must be set", projectWith("endpoint", "https://cbr.cn-north-4.myhuaweicloud.com")},
	{"with nulls for region and endpoint", "endpoint", "exactly one of region and endpoint must be set", validProject(fields{"region": nil, "endpoint": nil})},

	{"with an empty region", "region", "at least 1", projectWith("region", "")},
	{"with a region of 65 characters", "region", "may not be more than 64", projectWith("region", strings.Repeat("x", 65))},
	{"with a region in capitals", "region", "region must be the id of a region, such as cn-north-4", projectWith("region", "CN-NORTH-4")},
	{"with the name of a region as the console shows it", "region", "region must be the id of a region", projectWith("region", "CN North-Beijing4")},
	{"with a region with an underscore", "region", "lower-case letters, digits", projectWith("region", "cn_north_4")},
	{"with a host for a region", "region", "region must be the id of a region", projectWith("region", "cn-north-4.example.com")},
	{"with a path for a region", "region", "region must be the id of a region", projectWith("region", "example.com/")},
	{"with a region that ends with a dash", "region", "region must be the id of a region", projectWith("region", "cn-north-")},
	{"with a line break behind its region", "region", "region must be the id of a region", projectWith("region", "cn-north-4\n")},
	{"with a blank before its region", "region", "region must be the id of a region", projectWith("region", " cn-north-4")},

	{"with a slash in its project id", "projectID", "projectID must be made of letters", projectWith("projectID", "f841e01f/d2b1")},
	{"with the project id ..", "projectID", "begin with a letter or digit", projectWith("projectID", "..")},
	{"with a line break behind its project id", "projectID", "projectID must be made of letters", projectWith("projectID", "f841e01f\n")},
	{"with an empty project id", "projectID", "at least 1", projectWith("projectID", "")},
	{"with a project id of 65 characters", "projectID", "may not be more than 64", projectWith("projectID", strings.Repeat("x", 65))},
	{"without a project id", "projectID", "Required value", projectWith("projectID", absent{})},

	{"with a slash in its enterprise project", "enterpriseProjectID", "must be the id of an enterprise project, all_granted_eps, or empty", projectWith("enterpriseProjectID", "a/b")},
	{"with a second parameter in its enterprise project", "enterpriseProjectID", "must be the id of an enterprise project", projectWith("enterpriseProjectID", "a&limit=1")},
	{"with a blank for its enterprise project", "enterpriseProjectID", "must be the id of an enterprise project", projectWith("enterpriseProjectID", " ")},
	{"with an enterprise project of 65 characters", "enterpriseProjectID", "may not be more than 64", projectWith("enterpriseProjectID", strings.Repeat("x", 65))},

	{"with calls of none", "batch.maxSize", "greater than or equal to 1", projectWith("batch.maxSize", int64(0))},
	{"with calls of 51", "batch.maxSize", "less than or equal to 50", projectWith("batch.maxSize", int64(51))},
	{"with a window in words", "batch.window", "window " + aDuration, projectWith("batch.window", "abc")},
	{"with an empty window", "batch.window", "window " + aDuration, projectWith("batch.window", "")},
	{"with a window without a unit", "batch.window", "numbers with the units ms, s, m and h", projectWith("batch.window", "1")},
	{"with a number for a window", "batch.window", "must be of type string", projectWith("batch.window", int64(1))},
	{"with a negative window", "batch.window", "window " + aDuration, projectWith("batch.window", "-1s")},
	{"with a window of two hours", "batch.window", "window must be at most 1h", projectWith("batch.window", "2h")},
	{"with a window of an hour and a millisecond", "batch.window", "window must be at most 1h", projectWith("batch.window", "1h1ms")},
	{"with a window that overflows", "batch.window", "window must be at most 1h", projectWith("batch.window", "9999999999999h")},
	{"with a window of days", "batch.window", "window " + aDuration, projectWith("batch.window", "1d")},
	{"with a window of 33 characters", "batch.window", "may not be more than 32", projectWith("batch.window", strings.Repeat("0", 32)+"s")},
	{"with a longest wait in words", "batch.maxWait", "maxWait " + aDuration, projectWith("batch.maxWait", "abc")},
	{"with a negative longest wait", "batch.maxWait", "maxWait " + aDuration, projectWith("batch.maxWait", "-1s")},
	{"with a longest wait of two hours", "batch.maxWait", "maxWait must be at most 1h", projectWith("batch.maxWait", "2h")},
	{"with a longest wait that overflows", "batch.maxWait", "maxWait must be at most 1h", projectWith("batch.maxWait", "9999999999999h")},
	{"with a window longer than the longest wait", "batch.window", "window must not be longer than maxWait",
		validProject(fields{"batch.window": "30s", "batch.maxWait": "20s"})},
	{"with a window longer than the longest wait in other units", "batch.window", "window must not be longer than maxWait",
		validProject(fields{"batch.window": "1m", "batch.maxWait": "59999ms"})},
	{"with a window longer than the default of the longest wait", "batch.window", "window must not be longer than maxWait", projectWith("batch.window", "11s")},
	{"with a longest wait shorter than the default of the window", "batch.window", "set both, they are 1s and 10s by default", projectWith("batch.maxWait", "500ms")},

	{"with looks every 10 ms", "poll.interval", "interval must be between 100ms and 1h", projectWith("poll.interval", "10ms")},
	{"with looks without a pause", "poll.interval", "interval must be between 100ms and 1h", projectWith("poll.interval", "0s")},
	{"with looks every two hours", "poll.interval", "interval must be between 100ms and 1h", projectWith("poll.interval", "2h")},
	{"with looks at a time in words", "poll.interval", "interval " + aDuration, projectWith("poll.interval", "often")},
	{"with tasks overdue after 721 hours", "poll.overdueAfter", "overdueAfter must be at most 720h", projectWith("poll.overdueAfter", "721h")},
	{"with audits every nine minutes", "audit.interval", "interval must be between 10m and 720h, or 0s, which turns audits off", projectWith("audit.interval", "9m59s")},
	{"with audits after 721 hours", "audit.interval", "interval must be between 10m and 720h, or 0s", projectWith("audit.interval", "721h")},
	{"with audits at a time in words", "audit.interval", "interval " + aDuration, projectWith("audit.interval", "daily")},
	{"with tasks overdue at a time in words", "poll.overdueAfter", "overdueAfter " + aDuration, projectWith("poll.overdueAfter", "late")},
	{"with no call a minute", "limits.syncCallsPerMinute", "greater than or equal to 1", projectWith("limits.syncCallsPerMinute", int64(0))},
	{"with 100,001 calls a minute", "limits.syncCallsPerMinute", "less than or equal to 100000", projectWith("limits.syncCallsPerMinute", int64(100001))},
	{"with no call at a time", "limits.concurrentSyncCalls", "greater than or equal to 1", projectWith("limits.concurrentSyncCalls", int64(0))},
	{"with 21 calls at a time", "limits.concurrentSyncCalls", "less than or equal to 20", projectWith("limits.concurrentSyncCalls", int64(21))},
	{"with -1 retries", "retry.limit", "greater than or equal to 0", projectWith("retry.limit", int64(-1))},
	{"with 101 retries", "retry.limit", "less than or equal to 100", projectWith("retry.limit", int64(101))},
	{"with a policy of look-ups that is not offered", "lookupPolicy", `supported values: "BeforeFirstSubmission", "Never"`, projectWith("lookupPolicy", "Always")},
	{"with an empty policy of look-ups", "lookupPolicy", "Unsupported value", projectWith("lookupPolicy", "")},

	{"with credentials of a type that is not offered", "credentials.type", `supported values: "AccessKey", "Password", "PodIdentity", "Token"`,
		projectWith("credentials.type", "OIDC")},
	{"with a type of credentials in small letters", "credentials.type", "Unsupported value", projectWith("credentials.type", "token")},
	{"without a type of credentials", "credentials.type", "Required value", projectWith("credentials.type", absent{})},
	{"with an empty type of credentials", "credentials.type", "Unsupported value", projectWith("credentials.type", "")},
	{"without a Secret", "credentials.secretRef", "it names the Secret that holds the credentials", projectWith("credentials.secretRef.name", absent{})},
	{"with null for a Secret", "credentials.secretRef", "secretRef is required with every type but PodIdentity", validProject(fields{"credentials.secretRef.name": absent{}, "credentials.secretRef": nil})},
	{"with empty credentials", "credentials.type", "Required value",
		validProject(fields{"credentials.type": absent{}, "credentials.secretRef.name": absent{}, "credentials": map[string]any{}})},
	{"without credentials", "credentials", "Required value", validProject(fields{"credentials.type": absent{}, "credentials.secretRef.name": absent{}})},
	{"without the name of a Secret", "credentials.secretRef.name", "Required value",
		validProject(fields{"credentials.secretRef.name": absent{}, "credentials.secretRef": map[string]any{}})},
	{"with a Secret of another namespace", "credentials.secretRef.name", "the name of a Secret of this namespace", projectWith("credentials.secretRef.name", "other/cbr")},
	{"with a line break behind the name of its Secret", "credentials.secretRef.name", "name must be the name of a Secret", projectWith("credentials.secretRef.name", "cbr\n")},
	{"with an empty name of a Secret", "credentials.secretRef.name", "at least 1", projectWith("credentials.secretRef.name", "")},
	{"with a name of a Secret of 254 characters", "credentials.secretRef.name", "may not be more than 253", projectWith("credentials.secretRef.name", strings.Repeat("x", 254))},

	{"with certificates in the manifest", "caBundleRef", "must be of type object", projectWith("caBundleRef", "-----BEGIN CERTIFICATE-----")},
	{"with certificates in a kind that is not offered", "caBundleRef.kind", `supported values: "ConfigMap", "Secret"`,
		validProject(fields{"caBundleRef.kind": "Certificate", "caBundleRef.name": "ca"})},
	{"with certificates in no object", "caBundleRef.name", "Required value", projectWith("caBundleRef", map[string]any{})},
	{"with certificates in an object without a name", "caBundleRef.name", "Required value", validProject(fields{"caBundleRef.kind": "Secret", "caBundleRef.key": "ca.pem"})},
	{"with certificates in an object with an empty name", "caBundleRef.name", "at least 1", projectWith("caBundleRef.name", "")},
	{"with certificates in an object of another namespace", "caBundleRef.name", "the name of a ConfigMap or Secret of this namespace", projectWith("caBundleRef.name", "other/ca")},
	{"with certificates in an object with a name of 254 characters", "caBundleRef.name", "may not be more than 253", projectWith("caBundleRef.name", strings.Repeat("x", 254))},
	{"with certificates under a key with a slash", "caBundleRef.key", "key must be made of letters, digits", validProject(fields{"caBundleRef.name": "ca", "caBundleRef.key": "tls/ca.crt"})},
	{"with certificates under a key with a line break behind it", "caBundleRef.key", "key must be made of letters", validProject(fields{"caBundleRef.name": "ca", "caBundleRef.key": "ca.crt\n"})},
	{"with certificates under an empty key", "caBundleRef.key", "at least 1", validProject(fields{"caBundleRef.name": "ca", "caBundleRef.key": ""})},
	{"with certificates under a key of 254 characters", "caBundleRef.key", "may not be more than 253",
		validProject(fields{"caBundleRef.name": "ca", "caBundleRef.key": strings.Repeat("x", 254)})},
})

var _ = Describe("The manifest of a BackupSync", func() {
	DescribeTable("is refused, with a message that names the field,", func(ctx context.Context, refused refusal) {
		message := expectRefused(refused.create(ctx, backupSync), "spec."+refused.field)
		Expect(message).To(ContainSubstring(refused.says))
	}, entries(refusedBackups))

	// The API server finds this one before it validates: its cause names no field, its message does.
	It("is refused when it was made at a fraction of a second", func(ctx context.Context) {
		err := apiserver.Create(ctx, manifest(backupSync, metav1.NamespaceDefault, backupWith("createdAt", 1553587260.5)))
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err).To(MatchError(And(ContainSubstring("must be of type integer"), ContainSubstring("spec.createdAt"))))
	})

	It("is refused without a spec", func(ctx context.Context) {
		object := manifest(backupSync, metav1.NamespaceDefault, nil)
		delete(object.Object, "spec")
		expectRefused(apiserver.Create(ctx, object), "spec")
	})

	It("is refused with a misspelt field, by clients that ask for that as kubectl does", func(ctx context.Context) {
		object := manifest(backupSync, metav1.NamespaceDefault, backupWith("bucket", "a"))
		err := apiserver.Create(ctx, object, client.FieldValidation(metav1.FieldValidationStrict))
		Expect(err).To(MatchError(ContainSubstring(`unknown field "spec.bucket"`)))
	})

	DescribeTable("is accepted, and stored as it is,", func(ctx context.Context, spec fields) {
		expectStored(create(ctx, backupSync, spec), spec)
	},
		Entry("as the vendor's example", validBackup()),
		Entry("with a Chinese name", backupWith("backupName", "财务系统-备份_01")),
		Entry("with compatibility ideographs in its name", backupWith("backupName", "\uf900\ufa2d\u4e00\u9fa5")),
		Entry("with a name of 64 characters", backupWith("backupName", strings.Repeat("x", 64))),
		Entry("with a Chinese name of 64 characters", backupWith("backupName", strings.Repeat("备", 64))),
		Entry("with a name of one character", backupWith("backupName", "-")),
		Entry("with a resource type that nobody knows yet", backupWith("resourceType", "OS::Future::Thing")),
		Entry("with blanks of all kinds inside its texts", validBackup(fields{"bucketName": "a b", "imagePath": "a\u3000/ b", "resourceID": "a\u00a0b",
			"resourceName": "财务 系统", "resourceType": "OS  Native"})),
		Entry("with texts of one character", validBackup(fields{"backupID": "1", "bucketName": "/", "imagePath": ".", "resourceID": "-", "resourceName": "机",
			"resourceType": "*", "projectRef.name": "a"})),
		Entry("made in the first second of 1970", backupWith("createdAt", int64(1))),
		Entry("made in 2038", backupWith("createdAt", int64(2147483647))),
		Entry("with everything as long as it may be", validBackup(fields{
			"backupID": strings.Repeat("x", 128), "bucketName": strings.Repeat("x", 255), "imagePath": strings.Repeat("路", 2048),
			"resourceID": strings.Repeat("x", 255), "resourceName": strings.Repeat("机", 255), "resourceType": strings.Repeat("x", 255),
			"projectRef.name": strings.Repeat("x", 253)})),
		Entry("with an id that is no UUID", backupWith("backupID", "Backup_2019..03.26-a")),
		Entry("of a project whose name has dots", backupWith("projectRef.name", "cn-north-4.erp")),
		Entry("of a project with its kind", backupWith("projectRef.kind", "CBRProject")),
		Entry("suspended", backupWith("suspend", true)),
	)

	DescribeTable("gets its defaults, and a status that counts as in progress, without a write of a controller", func(ctx context.Context, spec fields) {
		var backup v1alpha1.BackupSync
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(create(ctx, backupSync, spec)), &backup)).To(Succeed())
		Expect(backup.Spec.ProjectRef).To(Equal(v1alpha1.ProjectReference{Kind: v1alpha1.ProjectKindCBRProject, Name: "erp"}))
		Expect(backup.Spec.ResourceType).To(Equal("OS::Native::Server"))
		Expect(backup.Spec.Suspend).To(BeFalse())
		Expect(backup.Generation).To(BeEquivalentTo(1))
		Expect(backup.Status).To(beDefault(v1alpha1.ReasonQueued, v1alpha1.QueuedMessage))
	},
		Entry("as the vendor's example", validBackup()),
		Entry("with nulls in their place", validBackup(fields{"projectRef.kind": nil, "resourceType": nil, "suspend": nil})),
	)

	It("cannot bring a status along: a backup would count as imported without a call", func(ctx context.Context) {
		object := manifest(backupSync, newNamespace(ctx), validBackup())
		bring(object, v1alpha1.ReasonImported, map[string]any{"outcome": "Imported", "sentHash": "v1:0", "operationLogID": "log"})
		Expect(apiserver.Create(ctx, object)).To(Succeed())
		var backup v1alpha1.BackupSync
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &backup)).To(Succeed())
		Expect(backup.Status).To(beDefault(v1alpha1.ReasonQueued, v1alpha1.QueuedMessage))
	})

	It("has a default message that is not longer than those of the controller", func() {
		Expect(len([]rune(v1alpha1.QueuedMessage))).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
	})
})

var _ = Describe("The manifest of a CBRProject", func() {
	DescribeTable("is refused, with a message that names the field,", func(ctx context.Context, refused refusal) {
		message := expectRefused(refused.create(ctx, cbrProject), "spec."+refused.field)
		Expect(message).To(ContainSubstring(refused.says))
	}, entries(refusedProjects))

	It("is refused without a spec", func(ctx context.Context) {
		object := manifest(cbrProject, metav1.NamespaceDefault, nil)
		delete(object.Object, "spec")
		expectRefused(apiserver.Create(ctx, object), "spec")
	})

	DescribeTable("is accepted, and stored as it is,", func(ctx context.Context, spec fields) {
		object := create(ctx, cbrProject, spec)
		expectStored(object, spec)
		var typed v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &typed)).To(Succeed(), "the controller can read what the API server has let through")
	},
		Entry("as it is in the documents", validProject()),
		Entry("with a region of one word", projectWith("region", "x1")),
		Entry("with a region of 64 characters", projectWith("region", strings.Repeat("x", 64))),
		Entry("with an endpoint of its own", atEndpoint("https://cbr.example.com")),
		Entry("with a slash behind its endpoint", atEndpoint("https://cbr.cn-north-4.myhuaweicloud.com/")),
		Entry("with a port in its endpoint", atEndpoint("http://127.0.0.1:8080")),
		Entry("with an address of IPv6 in its endpoint", atEndpoint("https://[fe80::1]:8443")),
		Entry("with an endpoint of 255 characters", atEndpoint("https://"+strings.Repeat("x", 247))),
		Entry("with calls of one", projectWith("batch.maxSize", int64(1))),
		Entry("with the largest values", validProject(fields{"batch.maxSize": int64(50), "batch.window": "1h", "batch.maxWait": "60m",
			"limits.syncCallsPerMinute": int64(100000), "limits.concurrentSyncCalls": int64(20), "poll.interval": "3600s", "poll.overdueAfter": "720h",
			"audit.interval": "720h", "retry.limit": int64(100), "projectID": strings.Repeat("x", 64), "enterpriseProjectID": strings.Repeat("x", 64)})),
		Entry("with the smallest values", validProject(fields{"batch.window": "0s", "batch.maxWait": "0ms", "limits.syncCallsPerMinute": int64(1),
			"limits.concurrentSyncCalls": int64(1), "poll.interval": "100ms", "poll.overdueAfter": "0s", "audit.interval": "10m", "retry.limit": int64(0), "projectID": "x"})),
		Entry("without audits", projectWith("audit.interval", "0s")),
		Entry("with durations of several units", validProject(fields{"batch.window": "1m30.5s", "batch.maxWait": "2m", "poll.interval": "0.5h"})),
		Entry("with a window as long as the longest wait", validProject(fields{"batch.window": "60s", "batch.maxWait": "1m"})),
		Entry("with a window as long as the default of the longest wait", projectWith("batch.window", "10s")),
		Entry("with the enterprise project of the default", projectWith("enterpriseProjectID", "0")),
		Entry("with an enterprise project", projectWith("enterpriseProjectID", "5b3f2a54-2c5d-4b1c-9d4e-0f1d2c3b4a59")),
		Entry("with an empty enterprise project, which is not the default", projectWith("enterpriseProjectID", "")),
		Entry("with certificates in a ConfigMap", validProject(fields{"caBundleRef.kind": "ConfigMap", "caBundleRef.name": "ca", "caBundleRef.key": "Root_CA-1.pem"})),
		Entry("with certificates in a Secret", validProject(fields{"caBundleRef.kind": "Secret", "caBundleRef.name": "ca.example.com", "caBundleRef.key": "tls.crt"})),
		Entry("with names and keys of 253 characters", validProject(fields{"credentials.secretRef.name": strings.Repeat("x", 253),
			"caBundleRef.name": strings.Repeat("x", 253), "caBundleRef.key": strings.Repeat("x", 253)})),
		Entry("that looks nothing up", projectWith("lookupPolicy", "Never")),
		Entry("that looks each backup up", projectWith("lookupPolicy", "BeforeFirstSubmission")),
		Entry("suspended", projectWith("suspend", true)),
	)

	DescribeTable("gets its defaults, and a status that counts as in progress,", func(ctx context.Context, spec fields) {
		var project v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(create(ctx, cbrProject, spec)), &project)).To(Succeed())
		Expect(project.Spec.EnterpriseProjectID).To(HaveValue(Equal("all_granted_eps")))
		Expect(project.Spec.CABundleRef).To(BeZero(), "nothing to trust besides the system's certificates")
		Expect(project.Spec.Batch.MaxSize).To(BeEquivalentTo(50))
		Expect(project.Spec.Batch.Window.Duration.String()).To(Equal("1s"))
		Expect(project.Spec.Batch.MaxWait.Duration.String()).To(Equal("10s"))
		Expect(project.Spec.Limits).To(Equal(v1alpha1.Limits{SyncCallsPerMinute: 10, ConcurrentSyncCalls: 4}))
		Expect(project.Spec.Poll.Interval.Duration.String()).To(Equal("10s"))
		Expect(project.Spec.Poll.OverdueAfter.Duration.String()).To(Equal("30m0s"))
		Expect(project.Spec.Retry.Limit).To(HaveValue(BeEquivalentTo(3)))
		Expect(project.Spec.LookupPolicy).To(Equal(v1alpha1.LookupBeforeFirstSubmission))
		Expect(project.Spec.Suspend).To(BeFalse())
		Expect(project.Status).To(beDefault(v1alpha1.ReasonPending, "Waiting for the controller."))
	},
		Entry("as it is in the documents", validProject()),
		Entry("with nulls in their place", validProject(fields{"enterpriseProjectID": nil, "caBundleRef": nil, "batch": nil, "limits": nil, "poll": nil,
			"retry": nil, "lookupPolicy": nil, "suspend": nil, "endpoint": nil})),
		Entry("with empty objects in their place", validProject(fields{"batch": map[string]any{}, "limits": map[string]any{}, "poll": map[string]any{},
			"retry": map[string]any{}})),
	)

	It("trusts the certificates of a ConfigMap, in ca.crt, if it names nothing else", func(ctx context.Context) {
		object := create(ctx, cbrProject, projectWith("caBundleRef.name", "ca"))
		expectStored(object, fields{"caBundleRef": map[string]any{"kind": "ConfigMap", "name": "ca", "key": "ca.crt"}})
	})

	It("cannot bring a status along", func(ctx context.Context) {
		object := manifest(cbrProject, newNamespace(ctx), validProject())
		bring(object, v1alpha1.ReasonUsable, map[string]any{"backups": map[string]any{"total": int64(1), "pending": int64(0), "running": int64(0),
			"imported": int64(1), "failed": int64(0)}, "journal": map[string]any{"cloudProject": "cbr.example.com:443/f841e01f"}})
		Expect(apiserver.Create(ctx, object)).To(Succeed())
		var project v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &project)).To(Succeed())
		Expect(project.Status).To(beDefault(v1alpha1.ReasonPending, "Waiting for the controller."))
	})
})

// bring adds a status that claims success to a manifest.
func bring(object *unstructured.Unstructured, reason string, status map[string]any) {
	status["observedGeneration"] = int64(1)
	status["conditions"] = []any{map[string]any{"type": "Ready", "status": "True", "reason": reason,
		"message": "", "lastTransitionTime": "2026-03-26T12:00:00Z"}}
	object.Object["status"] = status
}

// beDefault matches a status as the CRD gives it to a new object: these conditions, and nothing else.
func beDefault(reason, message string) OmegaMatcher {
	condition := func(kind, status string) map[string]any {
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "1970-01-01T00:00:00Z"}
	}
	return WithTransform(func(status any) (map[string]any, error) {
		encoded, err := json.Marshal(status)
		if err != nil {
			return nil, err
		}
		var decoded map[string]any
		return decoded, json.Unmarshal(encoded, &decoded)
	}, Equal(map[string]any{
		"observedGeneration": float64(-1),
		"conditions":         []any{condition("Ready", "Unknown"), condition("Reconciling", "True")},
	}))
}
