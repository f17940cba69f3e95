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

package connection

import (
	"errors"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// tryLogin says how a person has a password tried once more.
const tryLogin = " If they are right, and the account was unlocked, set the annotation " + v1alpha1.RequestedAtAnnotation + "."

// fetchExplanations are those of failures to get credentials, by their class.
var fetchExplanations = map[cbr.Class]Explanation{
	cbr.Credentials: {v1alpha1.ReasonCredentialsRejected,
		"IAM refuses the name or the password of the user (%s). They are not tried again as they are, since wrong passwords lock an account: correct the Secret.", tryLogin},
	cbr.Permission: {v1alpha1.ReasonPermissionDenied, "IAM denies the user a token (%s). Check that the user may log in by programs, and the project.", ""},
	cbr.Throttled:  {v1alpha1.ReasonThrottled, "IAM refuses requests because there are too many (%s). They resume automatically.", ""},
}

var (
	fetchFails = Explanation{v1alpha1.ReasonEndpointUnavailable,
		"IAM cannot be reached or fails (%s). It is tried again after a pause; if this lasts, check spec.iamEndpoint or spec.region, spec.caBundleRef and the network.", ""}
	iamNotAllowed = Explanation{v1alpha1.ReasonEndpointNotAllowed,
		"No password is sent to IAM (%s). The name is looked up again after a pause of at most 5 minutes.", ""}
	podFetchFails = Explanation{v1alpha1.ReasonCredentialsMissing,
		"The cluster does not give keys to the operator's pod (%s). It is tried again after a pause; if this lasts, check the pod identity of its service account.", ""}
	restsFromFailures = Explanation{v1alpha1.ReasonThrottled,
		"The operator asks IAM for no token for at most 15 minutes: %s. It is asked again by itself.", ""}
	refusedElsewhere = Explanation{v1alpha1.ReasonCredentialsRejected,
		"IAM refused the same name and password for another project (%s). Correct the Secret. As wrong passwords lock an account, they are tried for this one " +
			"only after 20 minutes.", tryLogin}
	freshRefused = Explanation{v1alpha1.ReasonCredentialsRejected,
		"CBR refuses credentials that were fetched just before (%s). It is tried again, ever more rarely; check spec.projectID and the rights of the user.", ""}
)

// ExplainFetch says in a condition's words why there are no credentials.
func ExplainFetch(kind v1alpha1.CredentialsType, err error) Status {
	class := cbr.ClassOf(err)
	said, known := fetchExplanations[class]
	switch {
	case auth.RefusedByCBR(err):
		said = freshRefused
	case errors.Is(err, auth.ErrManyFailures):
		return restsFromFailures.About(auth.ErrManyFailures.Error())
	case errors.Is(err, auth.ErrRefusedElsewhere):
		said = refusedElsewhere
	case kind == v1alpha1.CredentialsPodIdentity:
		said = podFetchFails
	case LeadsToRefused(err):
		said = iamNotAllowed
	case !known:
		said = fetchFails
	}
	why := said.About(describeFetch(err))
	why.Stalled = class == cbr.Credentials
	return why
}

// describeFetch tells why credentials could not be fetched: what was answered, or what was missing to ask at all.
func describeFetch(err error) string {
	failure, is := errors.AsType[*cbr.Error](err)
	switch {
	case !is || failure.Class != cbr.Credentials || failure.Err == nil:
		return Describe(err)
	case failure.StatusCode == 0:
		return backupsync.Quote(failure.Err.Error())
	default: // the error says what the answer means, which the explanation says too
		answered := *failure
		answered.Err = nil
		return Describe(&answered)
	}
}

var tokenRejected = Explanation{v1alpha1.ReasonCredentialsRejected,
	"CBR refuses the token (%s). Tokens are valid for 24 hours: put a new one into the Secret, and imports resume automatically.", ""}

// rejections are the explanations of refused credentials by their type.
var rejections = map[v1alpha1.CredentialsType]Explanation{
	v1alpha1.CredentialsToken: tokenRejected,
	v1alpha1.CredentialsAccessKey: {v1alpha1.ReasonCredentialsRejected,
		"CBR refuses the access key (%s). Are the keys in the Secret active, and of one pair, with securityToken if temporary? Tried again after 5 minutes, later every hour.", ""},
	v1alpha1.CredentialsPassword: {v1alpha1.ReasonCredentialsRejected,
		"CBR refuses the user (%s). Check the user, the account and spec.projectID. It is tried again every hour, and when the Secret changes.", ""},
	v1alpha1.CredentialsPodIdentity: {v1alpha1.ReasonCredentialsRejected,
		"CBR refuses the identity of the operator's pod (%s). Check the agency of its service account, and spec.projectID. It is tried again every hour.", ""},
}

// ExplainLookUp says in a condition's words what it means that a look-up with credentials of a type has failed.
func ExplainLookUp(kind v1alpha1.CredentialsType, err error) Status {
	if class := cbr.ClassOf(err); class != cbr.Credentials {
		return Explain(ReadRequest, class, err)
	}
	return (&Health{CredentialsType: kind}).rejection(err)
}
