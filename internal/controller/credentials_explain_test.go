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

package controller

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/connection"
)

// What a condition says of credentials that cannot be fetched is what has happened, and what can be done about it.
func TestExplainFetch(t *testing.T) {
	private := &connection.AddressError{Host: "iam.cn-north-4.myhuaweicloud.com", Address: netip.MustParseAddr("10.20.0.7"), What: "a private address", Local: true}
	missing := &os.PathError{Op: "open", Path: "/var/run/secrets/token", Err: os.ErrNotExist}
	for name, c := range map[string]struct {
		kind    v1alpha1.CredentialsType
		err     *cbr.Error
		reason  string
		says    string
		stalled bool
	}{
		"a wrong password, in IAM's words without a code": {v1alpha1.CredentialsPassword,
			&cbr.Error{Class: cbr.Credentials, StatusCode: http.StatusUnauthorized, Message: "The username or password is wrong.", Err: auth.ErrPasswordRefused},
			v1alpha1.ReasonCredentialsRejected, "(HTTP 401: The username or password is wrong.). They are not tried again as they are, since wrong passwords lock an account: correct the Secret. If they are right, ", true},
		"a wrong password, without words": {v1alpha1.CredentialsPassword,
			&cbr.Error{Class: cbr.Credentials, StatusCode: http.StatusUnauthorized, Err: auth.ErrPasswordRefused},
			v1alpha1.ReasonCredentialsRejected, "(HTTP 401 without an error code)", true},
		"an account that is locked": {v1alpha1.CredentialsPassword,
			&cbr.Error{Class: cbr.Credentials, StatusCode: http.StatusUnauthorized, Code: "IAM.0061", Message: "The account is locked.", Err: auth.ErrAccountLocked},
			v1alpha1.ReasonCredentialsRejected, "(IAM.0061: The account is locked.)", true},
		"an IAM at a private address": {v1alpha1.CredentialsPassword,
			&cbr.Error{Class: cbr.Transient, Err: &url.Error{Op: "Post", URL: "https://" + private.Host, Err: private}},
			v1alpha1.ReasonEndpointNotAllowed, "(iam.cn-north-4.myhuaweicloud.com resolves to 10.20.0.7, which is a private address: add 10.20.0.7/32 or its network to --allowed-endpoints)", false},
		"an IAM that fails": {v1alpha1.CredentialsPassword,
			&cbr.Error{Class: cbr.Transient, StatusCode: http.StatusServiceUnavailable},
			v1alpha1.ReasonEndpointUnavailable, "(HTTP 503 without an error code)", false},
		"a pod whose token is not there": {v1alpha1.CredentialsPodIdentity,
			&cbr.Error{Class: cbr.Credentials, Err: errors.Join(missing)},
			v1alpha1.ReasonCredentialsMissing, "(open /var/run/secrets/token: file does not exist)", true},
		"an agent that does not answer": {v1alpha1.CredentialsPodIdentity,
			&cbr.Error{Class: cbr.Transient, Err: os.ErrDeadlineExceeded},
			v1alpha1.ReasonCredentialsMissing, "(no answer in time)", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := connection.ExplainFetch(c.kind, c.err)
			g.Expect(got.Reason).To(Equal(c.reason))
			g.Expect(got.Message).To(ContainSubstring(c.says))
			g.Expect(got.Stalled).To(Equal(c.stalled))
			g.Expect(utf8.RuneCountInString(got.Message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength), got.Message)
		})
	}
}
