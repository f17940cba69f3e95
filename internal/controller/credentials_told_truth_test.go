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
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
)

// What the status says of credentials is true, and it is there.

// Any time in RFC 3339 is one that the documents allow: what is told of it can be written, and read again. Else the project's status,
// and with it the journal, is not written any more.
func TestAnEndFarAwayDoesNotKeepTheStatusFromBeingWritten(t *testing.T) {
	for _, end := range []string{"9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "0000-01-01T00:00:00Z", "0000-01-01T00:00:00+12:00"} {
		t.Run(end, func(t *testing.T) {
			secret := &corev1.Secret{Data: map[string][]byte{v1alpha1.TokenKey: []byte(cbrtest.Token), v1alpha1.ExpiresAtKey: []byte(end)}}
			contents, err := connection.Read(&v1alpha1.Credentials{Type: v1alpha1.CredentialsToken}, secret)
			if err != nil {
				t.Fatal(err)
			}
			credential, err := connection.NewCredential(v1alpha1.CredentialsToken, contents, connection.Surroundings{})
			if err != nil {
				return // a condition says so
			}
			a := &connector{step: step{scope: &scope{now: time.Now()}}, connectionMemory: &connectionMemory{credential: heldCredential{Credential: credential}}}
			written, err := json.Marshal(v1alpha1.CBRProjectStatus{CredentialsExpiryTime: a.expiryTime(nil)})
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(written, &v1alpha1.CBRProjectStatus{}); err != nil {
				t.Errorf("the status cannot be read: %v", err)
			}
		})
	}
}

// The condition goes within a minute after the Secret holds others, as documented: also while the project is suspended, or rests.
func TestTheWarningGoesWhenTheSecretHoldsOthers(t *testing.T) {
	for name, rest := range map[string]func(*tenant){
		"usable":    func(*tenant) {},
		"suspended": func(c *tenant) { c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Suspend = true }) },
		"without permission": func(c *tenant) {
			c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: http.StatusForbidden, Code: "APIGW.0302"}})
			c.declare("late", "late", "vm-1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsToken, nil, 1, func(c *tenant) {
				c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.ExpiresAtKey: ends(10 * time.Hour)})
				c.imports(time.Minute)
				c.goOn(9*time.Hour + 2*time.Minute)
				if c.warning() == nil {
					c.t.Fatal("nothing is told")
				}
				rest(c)
				c.goOn(10 * time.Second)
				next := time.Now().Add(200 * time.Hour).Truncate(time.Second)
				c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.ExpiresAtKey: ends(200 * time.Hour)})
				c.goOn(2 * time.Minute)
				if c.warning() != nil {
					c.t.Errorf("it is still told: %s", c.warning().Message)
				}
				c.wantExpiry(next)
			})
		})
	}
}

// What has ended does not end soon.
func TestTheWarningDoesNotOutliveTheCredentials(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsToken, nil, 1, func(c *tenant) {
		c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.ExpiresAtKey: ends(time.Hour)})
		c.imports(time.Minute)
		c.goOn(3 * time.Hour)
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsMissing)
		if c.warning() != nil {
			c.t.Errorf("two hours after the end: %s", c.warning().Message)
		}
	})
}

// IAM refuses the password for good while a token is still valid for hours: imports will stop, and nobody is told before they do.
func TestARenewalThatIsRefusedIsToldBeforeTheTokenEnds(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.imports(time.Minute)
		c.iam.SetPassword("an0ther-password") // and tokens stay valid
		c.goOn(23*time.Hour + 30*time.Minute)
		c.want("requests to IAM", c.asked(), 2, 2)
		if c.projectReason() == v1alpha1.ReasonUsable && c.warning() == nil && c.eventsOf(v1alpha1.ReasonCredentialsRejected) == 0 {
			c.t.Errorf("half an hour before imports stop it is %q: %s", c.projectReason(), c.message())
		}
	})
}

// Look-ups go well, and calls are refused: the project does not say by turns that all is well and that it is not.
func TestAProjectWhoseCallsAreRefusedDoesNotFlap(t *testing.T) {
	for _, kind := range secretTypes {
		for _, code := range []string{"APIGW.0301", "BackupService.9998"} {
			t.Run(fmt.Sprint(kind, " ", code), func(t *testing.T) {
				withCredentials(t, kind, nil, 3, func(c *tenant) {
					c.refuseAll(cbrtest.Refusal{Calls: cbrtest.Imports, APIError: cbrtest.APIError{Status: 401, Code: code}})
					c.goOn(8 * time.Hour)
					c.want("passes in eight hours", c.passes(), 1, int(8*time.Hour/connection.ContentWait)+200)
					c.want("changes of Ready in eight hours", len(c.readies), 1, 4)
					c.want("events", c.eventsOf(v1alpha1.ReasonCredentialsRejected), 1, 2)
					c.wantHeldUp(c.t, v1alpha1.ReasonCredentialsRejected)
				})
			})
		}
	}
}

// The Date header of IAM's answer is no reason to tell an end that its body does not.
func TestAnEndIsNotLaterThanIAMSays(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.iam.Configure(func(o *cbrtest.IAMOptions) {
			o.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
				w.Header().Set("X-Subject-Token", cbrtest.Token)
				w.WriteHeader(http.StatusCreated)
				_, _ = fmt.Fprintf(w, `{"token":{"expires_at":%q}}`, time.Now().Add(24*time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"))
				return true
			}
		})
		c.imports(time.Minute)
		if end := c.project().Status.CredentialsExpiryTime; end == nil || time.Until(end.Time) > 25*time.Hour {
			c.t.Errorf("status.credentialsExpiryTime is %v", end)
		}
	})
}

// Tokens that are over as soon as they are there: no passes without end, and the project says that something is wrong. Nor does it
// matter when passes come that others ask for.
func TestTokensThatLiveForSeconds(t *testing.T) {
	for _, life := range []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second} {
		for _, apart := range []time.Duration{0, 1900 * time.Millisecond, 7 * time.Second, 31 * time.Second} {
			withCredentials(t, v1alpha1.CredentialsPassword, nil, 3, func(c *tenant) {
				c.iam.Configure(func(o *cbrtest.IAMOptions) { o.TokenLife, o.Latency = life, 2*time.Second })
				for begun := time.Duration(0); apart > 0 && begun < 2*time.Minute; begun += apart {
					c.goOn(apart)
					c.actors[0].ask()
				}
				c.goOn(time.Hour)
				c.want("passes in an hour", c.passes(), 1, 1500)
				c.want("requests to IAM in an hour", c.asked(), 1, 400)
				if !c.allImported() && c.projectReason() == v1alpha1.ReasonUsable {
					c.t.Errorf("tokens live for %s, passes come every %s: nothing is imported, and the project is %s", life, apart, c.projectReason())
				}
			})
		}
	}
}

// passes counts the passes over the project.
func (c *tenant) passes() int {
	count := 0
	for _, each := range c.trace {
		if strings.Contains(each, "begins a pass over "+firstProject) {
			count++
		}
	}
	return count
}
