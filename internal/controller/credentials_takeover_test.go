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
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// becomesRefused has CBR refuse the credentials of a project that has imported all, and is told so.
func (c *tenant) becomesRefused() {
	c.t.Helper()
	c.imports(time.Minute)
	c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: 401, Code: "APIGW.0301"}})
	c.declare("late", "late", "vm-1")
	c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
	c.server.remove(kindBackup, "late")
	c.goOn(10 * time.Second)
}

// A project whose credentials are refused is not Usable for it that another process takes over, or that its spec is edited, though nothing is
// to be done: the alert would end, and nobody would know before the next backup.
func TestARefusalIsToldByTheNextProcess(t *testing.T) {
	for _, kind := range []v1alpha1.CredentialsType{v1alpha1.CredentialsToken, v1alpha1.CredentialsAccessKey} {
		t.Run(string(kind), func(t *testing.T) {
			withCredentials(t, kind, nil, 1, func(c *tenant) {
				c.becomesRefused()
				if mark := c.project().Status.Journal.RefusedSecret; !strings.HasPrefix(mark, string(kind)) {
					c.t.Errorf("the journal tells the next process %q", mark)
				}
				events, calls := c.eventsOf(v1alpha1.ReasonUsable), len(c.cloud.Ledger())
				still := func(what string) {
					c.t.Helper()
					c.goOn(30 * time.Second)
					if c.projectReason() != v1alpha1.ReasonCredentialsRejected {
						c.t.Errorf("after %s it is %s: %s", what, c.projectReason(), c.message())
					}
				}
				for range 3 {
					c.restart(0)
					still("a restart")
				}
				c.batchesOf(7)
				still("an edit")
				c.want("calls for it", len(c.cloud.Ledger())-calls, 0, 4)
				c.goOn(3 * time.Hour)
				still("three hours")
				c.want("events that it is usable", c.eventsOf(v1alpha1.ReasonUsable), events, events)
				c.want("calls in three hours", len(c.cloud.Ledger())-calls, 3, 10)
				c.configure(func(o *cbrtest.Options) { o.Refusals = nil })
				c.becomes(75*time.Minute, v1alpha1.ReasonUsable)
				if mark := c.project().Status.Journal.RefusedSecret; mark != "" {
					c.t.Errorf("it was taken, and the journal says %q", mark)
				}
				c.restart(0)
				c.goOn(10 * time.Second)
				c.becomes(time.Second, v1alpha1.ReasonUsable)
			})
		})
	}
}

// What another Secret holds was not refused.
func TestTheNextProcessTakesAnotherToken(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsToken, nil, 1, func(c *tenant) {
		c.becomesRefused()
		c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.TokenKey: "another-token"})
		c.configure(func(o *cbrtest.Options) { o.Refusals, o.Tokens = nil, []string{"another-token"} })
		c.restart(0)
		c.becomes(10*time.Second, v1alpha1.ReasonUsable)
		c.declare("later", "later", "vm-2")
		c.imports(time.Minute)
		if mark := c.project().Status.Journal.RefusedSecret; mark != "" {
			c.t.Errorf("another was taken, and the journal says %q", mark)
		}
	})
}
