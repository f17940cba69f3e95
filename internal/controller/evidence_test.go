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
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// What a backup that waits for CBR tells of what it waits for.

func TestABackupInAPassingStatusNamesIt(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 1, func(t *testing.T, w *world) {
		w.hold(itemOf(0).ID, string(cbr.BackupDeleting))
		w.live(w.actors[0], 10*time.Minute)
		if ready := readyOf(w.backup("b0").Status.Conditions); ready.Reason != v1alpha1.ReasonAwaitingTask || ready.Message !=
			`CBR shows this backup in the status "deleting", which is neither usable nor an error. It is not sent, and CBR is asked again. `+
				"If this lasts, look at the backup in CBR; if it hangs, ask Huawei Cloud." {
			t.Errorf("it says %s: %s", ready.Reason, ready.Message)
		}
	})
}

func TestABackupThatCBRCannotBeAskedForQuotesTheError(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 2, func(t *testing.T, w *world) {
		w.unreadable("bad.id", cbrtest.APIError{Status: 500, Code: "BackupService.9910", Message: "Internal error"})
		w.declare("bad", "bad.id", "vm-bad")
		w.live(w.actors[0], 10*time.Minute)
		if ready := readyOf(w.backup("bad").Status.Conditions); ready.Reason != v1alpha1.ReasonQueued || ready.Message !=
			"It is not known whether CBR has this backup: CBR answers with an error when asked for it (BackupService.9910: Internal error). CBR is "+
				"asked again, and the backup is sent once CBR reports that it does not have it. If this lasts, check spec.backupID." {
			t.Errorf("it says %s: %s", ready.Reason, ready.Message)
		}
	})
}

// Only an answer to the question is a reason to look at the id.
func TestWhyNothingCanBeSaid(t *testing.T) {
	for name, c := range map[string]struct {
		verdict evidence.Verdict
		why     string
		refused bool
	}{
		"no failure": {evidence.Verdict{Why: "calls that may have carried it are still settling"}, "calls that may have carried it are still settling", false},
		"an answer":  {evidence.Verdict{Why: "CBR could not be asked for it", Err: failure(cbr.Transient)}, "BackupService.9910: internal error", true},
		"no answer": {evidence.Verdict{Why: "CBR could not be asked for it", Err: &cbr.Error{Err: errors.New("odd")}},
			"CBR could not be asked for it (the connection failed)", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			why, refused := unclear(c.verdict)
			g.Expect(why).To(Equal(c.why))
			g.Expect(refused).To(Equal(c.refused))
		})
	}
}
