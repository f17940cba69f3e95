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
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// ofType is a project with credentials of a type, and a Secret unless they have none.
func ofType(kind v1alpha1.CredentialsType, changes ...fields) fields {
	spec := fields{"credentials.type": string(kind)}
	if kind == v1alpha1.CredentialsPodIdentity {
		spec["credentials.secretRef.name"] = absent{}
	}
	return validProject(append([]fields{spec}, changes...)...)
}

// atIAMEndpoint is a project with an IAM of its own.
func atIAMEndpoint(endpoint string) fields {
	return ofType(v1alpha1.CredentialsPassword, fields{"iamEndpoint": endpoint})
}

// withSecret are the types whose credentials stand in a Secret.
var withSecret = []v1alpha1.CredentialsType{v1alpha1.CredentialsAccessKey, v1alpha1.CredentialsPassword, v1alpha1.CredentialsToken}

// secretKeys are the keys of Secrets that can be named otherwise.
var secretKeys = []string{"token", "expiresAt", "accessKey", "secretKey", "securityToken", "username", "password", "domainName"}

// refusedURLs are values of a field with the URL of a service that are refused.
func refusedURLs(field string, at func(string) fields) []refusal {
	begin, host, path, plain := field+" must begin with https://", field+" must name a host", "leave out the path", field+" must not hold a user or a password"
	var refused []refusal
	for _, c := range []struct{ what, says, url string }{
		{"of ftp", begin, "ftp://cbr.cn-north-4.myhuaweicloud.com"},
		{"without a scheme", begin, "cbr.cn-north-4.myhuaweicloud.com"},
		{"in capitals", begin, "HTTPS://cbr.cn-north-4.myhuaweicloud.com"},
		{"with a blank before it", begin, " https://cbr.cn-north-4.myhuaweicloud.com"},
		{"as in the vendor's catalog", path, "https://cbr.cn-north-4.myhuaweicloud.com/v3/f841e01fd2b14e7fa41b6ae7aa6b0594"},
		{"with a path", path, "https://cbr.cn-north-4.myhuaweicloud.com/v3"},
		{"with the path of tokens", path, "https://iam.cn-north-4.myhuaweicloud.com/v3/auth/tokens"},
		{"with two slashes behind it", path, "https://cbr.cn-north-4.myhuaweicloud.com//"},
		{"with a query", "no query", "https://cbr.cn-north-4.myhuaweicloud.com?a"},
		{"with a fragment", host, "https://cbr.cn-north-4.myhuaweicloud.com#a"},
		{"that is a scheme alone", host, "https://"},
		{"with a port that is no number", host, "https://cbr.cn-north-4.myhuaweicloud.com:https"},
		{"with an underscore", host, "https://cbr_1.example.com"},
		{"with a user", plain, "https://user@cbr.cn-north-4.myhuaweicloud.com"},
		{"with a password", plain, "https://user:secret@cbr.cn-north-4.myhuaweicloud.com"},
		{"with a blank inside", "no spaces", "https://cbr.cn-north-4. myhuaweicloud.com"},
		{"with a line break behind it", "no spaces", "https://cbr.cn-north-4.myhuaweicloud.com\n"},
		{"with a line break behind its slash", "no spaces", "https://cbr.cn-north-4.myhuaweicloud.com/\n"},
		{"that is empty", "at least 1", ""},
		{"of 256 characters", "may not be more than 255", "https://" + strings.Repeat("x", 248)},
	} {
		refused = append(refused, refusal{fmt.Sprintf("with an %s %s", field, c.what), field, c.says, at(c.url)})
	}
	return refused
}

// refusedCredentials are the projects that are refused for their credentials.
var refusedCredentials = slices.Concat(
	[]refusal{
		{"with a Secret for the identity of the pod", "credentials.secretRef", "secretRef must be left out with the type PodIdentity: the cluster gives the keys",
			ofType(v1alpha1.CredentialsPodIdentity, fields{"credentials.secretRef.name": "cbr"})},
		{"with a Secret that has no name for the identity of the pod", "credentials.secretRef.name", "Required value",
			ofType(v1alpha1.CredentialsPodIdentity, fields{"credentials.secretRef": map[string]any{}})},
		{"with a password, an endpoint, and no IAM", "iamEndpoint", "iamEndpoint is required with endpoint and credentials of the type Password: tokens come from there",
			ofType(v1alpha1.CredentialsPassword, fields{"region": absent{}, "endpoint": "https://cbr.example.com"})},
		{"with a password, an endpoint, and null for an IAM", "iamEndpoint", "iamEndpoint is required with endpoint",
			ofType(v1alpha1.CredentialsPassword, fields{"region": absent{}, "endpoint": "https://cbr.example.com", "iamEndpoint": nil})},
		{"with the credentials in the manifest", "credentials", "must be of type object", fields{"region": "cn-north-4", "projectID": "x", "credentials": "gAAAAAB"}},
		{"with renamed keys that name none", "credentials.secretRef.keys", "should have at least 1 propert", projectWith("credentials.secretRef.keys", map[string]any{})},
		{"with one key in place of all", "credentials.secretRef.keys", "must be of type object", projectWith("credentials.secretRef.keys", "token")},
		{"with keys of no Secret", "credentials.secretRef.name", "Required value",
			validProject(fields{"credentials.secretRef.name": absent{}, "credentials.secretRef.keys": map[string]any{"token": "t"}})},
	},
	refusedSecrets(), refusedKeys(), sharedKeys(),
)

// sharedKeys have two parts of the credentials stand under the same key, where the one would be told or sent as the other.
func sharedKeys() []refusal {
	var refused []refusal
	for _, pair := range [][2]string{{"password", "username"}, {"password", "domainName"}, {"secretKey", "accessKey"},
		{"securityToken", "secretKey"}, {"securityToken", "accessKey"}, {"expiresAt", "token"}} {
		secret, other := pair[0], pair[1]
		for what, keys := range map[string]fields{
			"both named":                {secret: "same", other: "same"},
			"one by its default":        {secret: other},
			"the other by its default ": {other: secret},
		} {
			spec := fields{}
			for key, name := range keys {
				spec["credentials.secretRef.keys."+key] = name
			}
			refused = append(refused, refusal{fmt.Sprintf("with one key for %s and %s, %s", secret, other, what), "credentials.secretRef.keys." + secret,
				secret + " and " + other + " must be different keys of the Secret", validProject(spec)})
		}
	}
	slices.SortFunc(refused, func(a, b refusal) int { return strings.Compare(a.when, b.when) })
	return refused
}

// refusedSecrets leave out the Secret of each type that has one.
func refusedSecrets() []refusal {
	var refused []refusal
	for _, kind := range withSecret {
		refused = append(refused, refusal{"without a Secret for credentials of the type " + string(kind), "credentials.secretRef",
			"secretRef is required with every type but PodIdentity", ofType(kind, fields{"credentials.secretRef.name": absent{}})})
	}
	return refused
}

// refusedKeys are names that no key of a Secret has.
func refusedKeys() []refusal {
	var refused []refusal
	for _, key := range secretKeys {
		for what, c := range map[string]struct{ says, name string }{
			"an empty name":      {"at least 1", ""},
			"a slash":            {key + " must be the key of a Secret: letters, digits", "cbr/key"},
			"a blank":            {key + " must be the key of a Secret", "the key"},
			"a line break":       {key + " must be the key of a Secret", "key\n"},
			"a colon":            {key + " must be the key of a Secret", "cbr:key"},
			"a Chinese name":     {key + " must be the key of a Secret", "密码"},
			"too many letters":   {"may not be more than 253", strings.Repeat("x", 254)},
			"what is no pointer": {key + " must be the key of a Secret", "{.data.key}"},
		} {
			refused = append(refused, refusal{fmt.Sprintf("with %s for the key %s", what, key), "credentials.secretRef.keys." + key, c.says,
				projectWith("credentials.secretRef.keys."+key, c.name)})
		}
	}
	slices.SortFunc(refused, func(a, b refusal) int { return strings.Compare(a.when, b.when) })
	return refused
}

var _ = Describe("The credentials of a CBRProject", func() {
	DescribeTable("are taken", func(ctx context.Context, spec fields) {
		object := create(ctx, cbrProject, spec)
		expectStored(object, spec)
		var typed v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(object), &typed)).To(Succeed(), "the controller can read what the API server has let through")
		Expect(string(typed.Spec.Credentials.Type)).To(Equal(spec["credentials.type"]))
		Expect(apiserver.Update(ctx, &typed)).To(Succeed(), "what the controller's types write is valid too")
	},
		Entry("of the type AccessKey", ofType(v1alpha1.CredentialsAccessKey)),
		Entry("of the type Password, with the IAM of the region", ofType(v1alpha1.CredentialsPassword)),
		Entry("of the type Password, with a region and another IAM", atIAMEndpoint("https://iam.example.com")),
		Entry("of the type Password, with an endpoint and an IAM", ofType(v1alpha1.CredentialsPassword,
			fields{"region": absent{}, "endpoint": "https://cbr.example.com", "iamEndpoint": "https://iam.example.com:8443/"})),
		Entry("of the type PodIdentity", ofType(v1alpha1.CredentialsPodIdentity)),
		Entry("of the type Token", ofType(v1alpha1.CredentialsToken)),
		Entry("of the type Token, with an endpoint and no IAM", atEndpoint("https://cbr.example.com")),
		Entry("of the type Token, with an IAM, which a change of the type may leave", projectWith("iamEndpoint", "https://iam.example.com")),
		Entry("under one other key", ofType(v1alpha1.CredentialsPassword, fields{"credentials.secretRef.keys.password": "pass"})),
		Entry("under other keys", ofType(v1alpha1.CredentialsAccessKey, fields{"credentials.secretRef.keys.accessKey": "ACCESS_KEY_ID",
			"credentials.secretRef.keys.secretKey": "secret-access.key", "credentials.secretRef.keys.securityToken": "..x", "credentials.secretRef.keys.expiresAt": "-"})),
		Entry("under one key for the user and the account, as of the user that an account begins with",
			ofType(v1alpha1.CredentialsPassword, fields{"credentials.secretRef.keys.username": "name", "credentials.secretRef.keys.domainName": "name"})),
		Entry("under a key of 253 characters", projectWith("credentials.secretRef.keys.token", strings.Repeat("x", 253))),
		Entry("under the key of the default", projectWith("credentials.secretRef.keys.token", "token")),
		Entry("under keys of another type, which a change of the type may leave", projectWith("credentials.secretRef.keys.password", "p")),
	)

	It("name the Secret of the manifest, and no keys of their own", func(ctx context.Context) {
		object := create(ctx, cbrProject, validProject())
		expectStored(object, fields{"credentials": map[string]any{"type": "Token", "secretRef": map[string]any{"name": "cbr"}}})
	})

	DescribeTable("are changed to another type", func(ctx context.Context, from, to fields) {
		object := create(ctx, cbrProject, from)
		for _, spec := range []fields{to, from} {
			Expect(edit(ctx, object, fields{"credentials": nil})).NotTo(Succeed(), "there must be some")
			Expect(edit(ctx, object, fields{"credentials": mapped(spec)})).To(Succeed())
		}
	},
		Entry("from a token to an access key", ofType(v1alpha1.CredentialsToken), ofType(v1alpha1.CredentialsAccessKey)),
		Entry("from a password to the pod's identity", ofType(v1alpha1.CredentialsPassword), ofType(v1alpha1.CredentialsPodIdentity)),
	)
})

// mapped is the credentials of a spec as an object, where nulls remove what may be there.
func mapped(spec fields) map[string]any {
	credentials := map[string]any{"type": spec["credentials.type"], "secretRef": nil}
	if name, named := spec["credentials.secretRef.name"]; named {
		credentials["secretRef"] = map[string]any{"name": name}
	}
	return credentials
}
