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
	"slices"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
)

// CBR refuses the token although it has not ended: it was revoked, or has ended by CBR's clock.
func TestATokenThatIsRefusedInMidRunIsRenewed(t *testing.T) {
	for name, end := range map[string]func(*cbrtest.IAM){"expired": (*cbrtest.IAM).Expire, "revoked": (*cbrtest.IAM).Revoke} {
		for _, after := range []time.Duration{time.Second, 20 * time.Second, 30 * time.Minute} {
			t.Run(fmt.Sprintf("%s after %s", name, after), func(t *testing.T) {
				withCredentials(t, v1alpha1.CredentialsPassword, nil, 0, func(c *tenant) {
					c.configure(func(o *cbrtest.Options) { o.TaskDuration = 5 * time.Minute })
					c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = 4 })
					c.declareMany(20)
					c.goOn(after)
					before := len(c.posts())
					end(c.iam)
					c.declare("late", "late", "vm-late")
					c.imports(30 * time.Minute)
					c.wasNever("False", "Unknown "+v1alpha1.ReasonThrottled)
					c.want("requests to IAM", c.asked(), 2, 2)
					c.want("refused calls", c.refused(), 1, 5) // all that were under way
					c.want("sync calls since", len(c.posts())-before, 1, 12)
				})
			})
		}
	}
}

// A fresh token is refused too, so that renewing does not help: IAM is asked ever more rarely, and the project says so.
func TestATokenThatIsRefusedAtOnce(t *testing.T) {
	for _, code := range []string{"APIGW.0301", "APIGW.0307", "BackupService.9998"} {
		t.Run(code, func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsPassword, nil, 3, func(c *tenant) {
				c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: 401, Code: code}})
				c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
				c.says("CBR refuses credentials that were fetched just before", code)
				c.goOn(8 * time.Hour)
				c.wantHeldUp(c.t, v1alpha1.ReasonCredentialsRejected)
				c.want("requests to IAM in eight hours", c.asked(), 8, 24)
				c.want("calls in eight hours", len(c.cloud.Ledger()), 8, 24)
				requests := c.iam.Requests()
				last := len(requests) - 1
				if pause := requests[last].Time.Sub(requests[last-1].Time); pause < 45*time.Minute {
					c.t.Errorf("the last pause is %s", pause)
				}
				if whole := []string{"True " + v1alpha1.ReasonUsable, "False " + v1alpha1.ReasonCredentialsRejected}; !slices.Equal(c.readies, whole) {
					c.t.Errorf("a token that may be no good is no reason to say that all is well: %v", c.readies)
				}
				c.want("events", c.eventsOf(v1alpha1.ReasonCredentialsRejected), 1, 1)
				c.configure(func(o *cbrtest.Options) { o.Refusals = nil })
				c.imports(65 * time.Minute)
			})
		})
	}
}

// The cloud locks a key after more than five failures in a row, for five minutes.
func TestARefusedAccessKeyRests(t *testing.T) {
	wrong := map[string]string{v1alpha1.SecretKeyKey: strings.Repeat("wr0ng", 8)}
	withCredentials(t, v1alpha1.CredentialsAccessKey, wrong, 3, func(c *tenant) {
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		c.says("CBR refuses the access key", "Tried again after 5 minutes, later every hour")
		c.want("calls", len(c.cloud.Ledger()), 1, 1)
		c.goOn(4*time.Minute + 50*time.Second)
		c.request(kindProject, firstProject)
		c.goOn(time.Second)
		c.want("calls in five minutes", len(c.cloud.Ledger()), 1, 1)
		c.says("CBR refuses the access key")
		c.goOn(time.Hour)
		c.want("calls in an hour", len(c.cloud.Ledger()), 3, 4)
		c.request(kindProject, firstProject)
		c.goOn(7 * time.Minute)
		calls := c.cloud.Ledger()
		c.want("calls after a request", len(calls), 4, 5)
		for i := 1; i < len(calls); i++ {
			if pause := calls[i].Time.Sub(calls[i-1].Time); pause < 5*time.Minute {
				c.t.Errorf("the key was used again after %s", pause)
			}
		}
		c.cloud.AddKeys(otherKey)
		c.replaceSecret(v1alpha1.CredentialsAccessKey, map[string]string{v1alpha1.AccessKeyKey: otherKey.Access, v1alpha1.SecretKeyKey: otherKey.Secret})
		c.imports(30 * time.Second)
	})
}

// Who puts the right secret key beside the same access key may have to wait until the cloud's own lock has ended.
func TestAnAccessKeyThatIsCorrected(t *testing.T) {
	wrong := map[string]string{v1alpha1.SecretKeyKey: strings.Repeat("wr0ng", 8)}
	for _, after := range []time.Duration{time.Second, 2 * time.Minute, time.Hour} {
		withCredentials(t, v1alpha1.CredentialsAccessKey, wrong, 3, func(c *tenant) {
			c.goOn(after)
			c.replaceSecret(v1alpha1.CredentialsAccessKey, nil)
			if after < time.Hour {
				c.imports(30 * time.Second)
			} else {
				c.imports(7 * time.Minute)
			}
		})
	}
}

// The same key becomes valid, by a change in the cloud: nobody need touch the Secret.
func TestAnAccessKeyThatBecomesValid(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsAccessKey, nil, 3, func(c *tenant) {
		c.cloud.SetKeys()
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		c.goOn(time.Minute)
		c.cloud.SetKeys(modelKey)
		c.imports(6 * time.Minute)
	})
}

func TestAClockThatIsWrong(t *testing.T) {
	for offset, says := range map[time.Duration]string{
		16 * time.Minute:  "The operator's clock is 16m behind CBR's",
		-20 * time.Minute: "The operator's clock is 20m ahead of CBR's",
		76 * time.Minute:  "The operator's clock is 1h16m behind CBR's",
		-8 * time.Hour:    "The operator's clock is 8h ahead of CBR's",
	} {
		t.Run(offset.String(), func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsAccessKey, nil, 3, func(c *tenant) {
				c.configure(func(o *cbrtest.Options) { o.ClockOffset = offset })
				c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
				c.says(says, "Set the clock")
				c.goOn(time.Hour)
				c.wantHeldUp(c.t, v1alpha1.ReasonCredentialsRejected)
				c.says(says)
				c.want("calls in an hour", len(c.cloud.Ledger()), 30, 65)
				c.configure(func(o *cbrtest.Options) { o.ClockOffset = 0 })
				c.imports(2 * time.Minute)
			})
		})
	}
}

// Calls that were under way are refused later than the first one, so that the key rests for longer than its first refusal says. Whoever
// finds it at rest waits for that, and still tells what CBR has said.
func TestAKeyThatStillRestsIsWaitedFor(t *testing.T) {
	refused := &cbr.Error{Class: cbr.Credentials, StatusCode: 401, Code: "APIGW.0301", Message: "it is so"}
	for _, kind := range []connection.RequestKind{connection.ReadRequest, connection.SyncRequest} {
		known := connection.Health{CredentialsType: v1alpha1.CredentialsAccessKey}
		known.Failed(connection.SyncRequest, refused, noon.Time)
		told, later := known.Status(), noon.Add(6*time.Minute)
		resting := &cbr.Error{Class: cbr.Credentials, Untouched: true, RetryAfter: 30 * time.Second, Err: auth.ErrKeyLocked}
		if !known.Failed(kind, resting, later) {
			t.Error("it concerns all requests")
		}
		if !known.Open(later.Add(29*time.Second)) || known.Open(later.Add(31*time.Second)) {
			t.Errorf("tried again at %s, and %s", known.Reads.OpenUntil, known.Calls.OpenUntil)
		}
		if known.Status() != told {
			t.Errorf("it says %q", known.Status().Message)
		}
	}
}
