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
	"fmt"
	"net/http"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
)

// The Secret is written again with the same content (a label, a tool that syncs it) around restarts.
func TestARewrittenSecretIsRememberedAcrossRestarts(t *testing.T) {
	t.Run("password, while the process is down", func(t *testing.T) {
		withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 0, func(c *tenant) {
			c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
			for range 4 {
				c.replaceSecret(v1alpha1.CredentialsPassword, withWrongPassword)
				c.restart(0)
				c.goOn(time.Minute)
			}
			c.want("times that the same wrong password was sent", c.wrongSent(), 1, 1)
		})
	})
	t.Run("password, while the process lives", func(t *testing.T) {
		withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 0, func(c *tenant) {
			c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
			for range 4 {
				c.replaceSecret(v1alpha1.CredentialsPassword, withWrongPassword)
				c.goOn(30 * time.Second)
				c.restart(0)
				c.goOn(30 * time.Second)
			}
			c.want("times that the same wrong password was sent", c.wrongSent(), 1, 1)
		})
	})
	t.Run("key, while the process lives", func(t *testing.T) {
		withCredentials(t, v1alpha1.CredentialsAccessKey, withWrongKey, 3, func(c *tenant) {
			c.goOn(15 * time.Second)
			for range 7 {
				c.replaceSecret(v1alpha1.CredentialsAccessKey, withWrongKey)
				c.goOn(20 * time.Second)
				c.restart(0)
				c.goOn(10 * time.Second)
			}
			c.want("failed signatures in less than five minutes", c.refused(), 1, 5)
		})
	})
}

// The annotation requestedAt of the CBRProject ends a pause, also one of IAM.
func TestARequestEndsAPauseOfIAM(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.iam.Configure(func(o *cbrtest.IAMOptions) {
			o.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusForbidden)
				_, _ = fmt.Fprint(w, `{"error":{"code":403,"message":"You are not authorized","title":"Forbidden"}}`)
				return true
			}
		})
		c.becomes(time.Minute, v1alpha1.ReasonPermissionDenied)
		c.iam.Configure(func(o *cbrtest.IAMOptions) { o.Intercept = nil })
		c.request(kindProject, firstProject)
		c.imports(2 * time.Minute)
	})
}

func TestARequestEndsAPauseOfFreshTokens(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: 401, Code: "APIGW.0301"}})
		c.goOn(8 * time.Hour)
		requests := c.iam.Requests()
		c.goOn(requests[len(requests)-1].Time.Add(2 * time.Minute).Sub(time.Now().Add(-time.Second)).Abs())
		c.configure(func(o *cbrtest.Options) { o.Refusals = nil })
		c.request(kindProject, firstProject)
		c.imports(2 * time.Minute)
	})
}

// A token that was replaced six times is still valid, and not told.
func TestATokenThatWasReplacedLongAgoIsNotTold(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsToken, map[string]string{v1alpha1.TokenKey: hostileToken}, 1, func(c *tenant) {
		tokens := []string{hostileToken, cbrtest.Token}
		for round := range 6 {
			tokens = append(tokens, fmt.Sprint("an-hourly-tok3n-of-24-hours-number-", round))
		}
		c.cloud.SetTokens(tokens...)
		c.imports(time.Minute)
		for round, token := range tokens[2:] {
			c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.TokenKey: token})
			c.declare(fmt.Sprint("next-", round), fmt.Sprint("next-", round), "vm-1")
			c.imports(10 * time.Minute)
		}
		c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: 401, Code: "APIGW.0301", Message: "before it was " + hostileToken}})
		c.declare("late", "late", "vm-1")
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		c.wantNoPieceOf(hostileToken)
	})
}

// A credential is made for an endpoint: what the old one has refused does not count at another one.
func TestACredentialIsMadeAnewForAnotherEndpoint(t *testing.T) {
	hash := func(endpoint string) string {
		with := &content{credentials: &connection.Contents{}}
		with.identify([]byte("salt"), &v1alpha1.CBRProjectSpec{Endpoint: endpoint, ProjectID: "p",
			Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsAccessKey}})
		return with.identity + with.hash
	}
	if hash("https://cbr.one.example.com") == hash("https://cbr.two.example.com") {
		t.Error("an access key that is made for one endpoint is held for another")
	}
}
