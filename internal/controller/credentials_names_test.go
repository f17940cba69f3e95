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

// withUser plays a script in a world whose IAM user has a name.
func withUser(t *testing.T, name string, backups int, script func(*tenant)) {
	t.Helper()
	withCredentials(t, v1alpha1.CredentialsPassword, map[string]string{v1alpha1.UsernameKey: name}, backups, func(c *tenant) {
		c.iam.Configure(func(o *cbrtest.IAMOptions) { o.Username = name })
		script(c)
	})
}

// The name of a user is hidden from what CBR says, and may be a word of CBR's: one bad backup is found by the usual number of calls, and
// rejected in CBR's words.
func TestNoNameOfAUserHidesWhomARefusalBlames(t *testing.T) {
	usual := 0
	for _, name := range []string{cbrtest.Username, "BackupService", "Backup", "BackupService.9900"} {
		t.Run(name, func(t *testing.T) {
			withUser(t, name, 10, func(c *tenant) {
				c.batchesOf(10)
				c.refuse(itemOf(3).ID, cbrtest.APIError{Status: 400, Code: "BackupService.9900", Message: "Invalid parameters."})
				rejected := func() bool {
					return c.reason("b3") == v1alpha1.ReasonRejected && c.reasons()[v1alpha1.ReasonImported] == 9
				}
				if !c.liveUntil(c.actors[0], 10*time.Minute, rejected) {
					c.t.Errorf("they are %v, the project %s: %s", c.reasons(), c.projectReason(), c.message())
				}
				if said := readyOf(c.backup("b3").Status.Conditions).Message; !strings.Contains(said, "BackupService.9900") {
					c.t.Errorf("the backup says %q", said)
				}
				if usual == 0 {
					usual = len(c.posts())
				}
				c.want("sync calls", len(c.posts()), 1, usual)
			})
		})
	}
}

func TestNoNameOfAUserHidesThatATaskHasEnded(t *testing.T) {
	for _, name := range []string{"success", "running", "available"} {
		t.Run(name, func(t *testing.T) {
			withUser(t, name, 3, func(c *tenant) { c.imports(time.Minute) })
		})
	}
}
