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
	"testing"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
)

// A pass finds by the index what it has to look at: what has ended, and says so, is not in it before somebody changes something.
func TestActiveKeys(t *testing.T) {
	for reason, live := range lives {
		g := NewWithT(t)
		backup := live()
		switch reason {
		case v1alpha1.ReasonImported, v1alpha1.ReasonAlreadyImported, v1alpha1.ReasonRejected, v1alpha1.ReasonOperationFailed,
			v1alpha1.ReasonBackupUnusable, v1alpha1.ReasonUnknownOutcome:
			g.Expect(activeKeys(backup)).To(BeEmpty(), reason)
		default:
			g.Expect(activeKeys(backup)).To(Equal([]string{"default"}), reason)
		}
		g.Expect(activeKeys(edit(backup))).To(Equal([]string{"default"}), "%s, edited", reason)
		g.Expect(activeKeys(asked(backup, "now"))).To(Equal([]string{"default"}), "%s, asked to try again", reason)
		g.Expect(activeKeys(trim(backup))).To(BeEmpty(), "%s, trimmed", reason)
		g.Expect(backupKeys(backup)).To(Equal([]string{backupKey(backup.Spec.BackupID)}), "imported ones, too, own their backup")
	}
}

// What waits for a person is found when a person asks for all of a project to be tried again.
func TestStalledKeys(t *testing.T) {
	for reason, live := range lives {
		g := NewWithT(t)
		switch reason {
		case v1alpha1.ReasonRejected, v1alpha1.ReasonOperationFailed, v1alpha1.ReasonBackupUnusable, v1alpha1.ReasonDuplicate, v1alpha1.ReasonUnknownOutcome:
			g.Expect(stalledKeys(live())).To(Equal([]string{"default"}), reason)
		default:
			g.Expect(stalledKeys(live())).To(BeEmpty(), reason)
		}
	}
}
