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
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// ends is the content of expiresAt for an end in a while.
func ends(in time.Duration) string { return time.Now().Add(in).UTC().Format(time.RFC3339) }

// expiring are the types of credentials that end, and are not renewed.
var expiringTypes = []v1alpha1.CredentialsType{v1alpha1.CredentialsToken, v1alpha1.CredentialsAccessKey}

// What has ended by its own account is not sent.
func TestCredentialsThatHaveEndedAreNotTried(t *testing.T) {
	for _, kind := range expiringTypes {
		t.Run(string(kind), func(t *testing.T) {
			withCredentials(t, kind, nil, 3, func(c *tenant) {
				end := ends(-6 * time.Minute)
				c.replaceSecret(kind, map[string]string{v1alpha1.ExpiresAtKey: end})
				c.becomes(time.Minute, v1alpha1.ReasonCredentialsMissing)
				c.says("The credentials in Secret cbr ended at "+end, "Replace them.", "Imports resume automatically once this is fixed.")
				c.goOn(time.Hour)
				c.request(kindProject, firstProject)
				c.goOn(time.Hour)
				c.want("calls", len(c.cloud.Ledger()), 0, 0)
				c.replaceSecret(kind, map[string]string{v1alpha1.ExpiresAtKey: ends(time.Hour)})
				c.imports(time.Minute)
			})
		})
	}
}

// Clocks differ: whatever ended just now may still be good.
func TestCredentialsThatEndedJustNowAreTried(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsToken, nil, 3, func(c *tenant) {
		c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.ExpiresAtKey: ends(-time.Minute)})
		c.imports(2 * time.Minute)
	})
}

func (c *tenant) warning() *metav1.Condition {
	return meta.FindStatusCondition(c.project().Status.Conditions, v1alpha1.ConditionCredentialsExpiring)
}

// In the last tenth of their life credentials are told to end soon, whether or not there is anything to send.
func TestCredentialsThatEndSoon(t *testing.T) {
	for _, kind := range expiringTypes {
		for _, backups := range []int{0, 3} {
			t.Run(fmt.Sprintf("%s, %d backups", kind, backups), func(t *testing.T) {
				withCredentials(t, kind, nil, backups, func(c *tenant) {
					end := time.Now().Add(10 * time.Hour).Truncate(time.Second)
					c.replaceSecret(kind, map[string]string{v1alpha1.ExpiresAtKey: ends(10 * time.Hour)})
					c.becomes(time.Minute, v1alpha1.ReasonUsable)
					c.goOn(9*time.Hour - 3*time.Minute)
					c.wantExpiry(end)
					if c.warning() != nil {
						c.t.Error("it is told before the last tenth of their life")
					}
					c.goOn(4 * time.Minute)
					c.wantWarned(end)
					c.declare("late", "late", "vm-late") // what else is written about the project is no news of its end
					c.goOn(30 * time.Minute)
					c.want("events", c.eventsOf(v1alpha1.ReasonExpiresSoon), 1, 1)
					c.becomes(time.Second, v1alpha1.ReasonUsable)

					next := time.Now().Add(20 * time.Hour).Truncate(time.Second)
					c.replaceSecret(kind, map[string]string{v1alpha1.ExpiresAtKey: ends(20 * time.Hour)})
					c.goOn(2 * time.Minute)
					if c.warning() != nil {
						c.t.Error("it is told of those that were replaced")
					}
					c.wantExpiry(next)
					c.goOn(19 * time.Hour)
					c.wantWarned(next)
					c.want("events", c.eventsOf(v1alpha1.ReasonExpiresSoon), 2, 2)
					c.editPart(v1alpha1.ExpiresAtKey, "")
					c.goOn(2 * time.Minute)
					if c.warning() != nil || c.project().Status.CredentialsExpiryTime != nil {
						c.t.Errorf("nothing tells when they end, but status.credentialsExpiryTime is %v", c.project().Status.CredentialsExpiryTime)
					}
				})
			})
		}
	}
}

func (c *tenant) wantExpiry(end time.Time) {
	c.t.Helper()
	if told := c.project().Status.CredentialsExpiryTime; told == nil || !told.Time.Equal(end) {
		c.t.Errorf("status.credentialsExpiryTime is %v, not %v", told, end)
	}
}

func (c *tenant) wantWarned(end time.Time) {
	c.t.Helper()
	switch warning := c.warning(); {
	case warning == nil:
		c.t.Errorf("%s before their end nothing is told", time.Until(end))
	case warning.Status != metav1.ConditionTrue, warning.Reason != v1alpha1.ReasonExpiresSoon, warning.ObservedGeneration != c.project().Generation,
		!strings.Contains(warning.Message, "end at "+end.UTC().Format(time.RFC3339)):
		c.t.Errorf("it is told as %+v", warning)
	}
	c.wantExpiry(end)
}

// What was warned of happens: the project says that they have ended, once they have.
func TestCredentialsThatAreNotReplaced(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsToken, nil, 1, func(c *tenant) {
		c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.ExpiresAtKey: ends(time.Hour)})
		c.imports(time.Minute)
		c.goOn(58 * time.Minute)
		c.becomes(time.Second, v1alpha1.ReasonUsable)
		c.becomes(10*time.Minute, v1alpha1.ReasonCredentialsMissing)
		calls := len(c.cloud.Ledger())
		c.declare("late", "late", "vm-1")
		c.goOn(time.Hour)
		c.want("calls with what has ended", len(c.cloud.Ledger())-calls, 0, 0)
		c.wantHeldUp(c.t, v1alpha1.ReasonCredentialsMissing)
	})
}

// Those that are renewed are not warned of, and what the status says of their end is never over while they are used.
func TestCredentialsThatAreRenewed(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 0, func(c *tenant) {
		c.iam.Configure(func(o *cbrtest.IAMOptions) { o.TokenLife = 2 * time.Hour })
		for hour := range 24 {
			c.declare(fmt.Sprintf("b-%d", hour), fmt.Sprintf("id-%d", hour), "vm-1")
			c.goOn(time.Hour)
			if end := c.project().Status.CredentialsExpiryTime; end == nil || !end.After(time.Now()) {
				c.t.Errorf("status.credentialsExpiryTime is %v at %v", end, time.Now())
			}
			if c.warning() != nil {
				c.t.Error("they are told to end soon")
			}
		}
		c.imports(time.Minute)
		c.wasNever("False")
		c.want("refused calls", c.refused(), 0, 0)
		c.want("requests to IAM", c.asked(), 12, 25)
	})
}

// The status of a project that sends nothing for long does not speak of a token that is over.
func TestAnIdleProjectWhoseTokenEnds(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.imports(time.Minute)
		c.goOn(72 * time.Hour)
		if end := c.project().Status.CredentialsExpiryTime; end != nil && !end.After(time.Now()) {
			c.t.Errorf("status.credentialsExpiryTime is %v at %v", end, time.Now())
		}
		c.declare("late", "late", "vm-1")
		c.imports(2 * time.Minute)
		c.wasNever("False")
		c.want("requests to IAM", c.asked(), 2, 8)
	})
}
