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
)

// Manifests may spell the id of one backup in several ways. It is one backup.

// A call is lost, and its backup is declared again with an id in lower case, of which no status can be written for a while. Until it is, the
// call stays recorded.
func TestALostCallIsThatOfABackupHoweverItsIDIsSpelled(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		id := itemOf(0).ID
		w.declare("up", strings.ToUpper(id), "vm-1")
		w.reach(w.actors[0], answerLost)
		w.server.remove(kindBackup, "up")
		w.denyStatus()
		w.declare("bad", id, "vm-1")
		w.live(w.actors[0], 5*time.Minute)
		w.server.deny = nil
		w.restart(0)
		if !w.liveUntil(w.actors[0], time.Hour, w.allImported) {
			t.Errorf("an hour later they are %v", w.reasons())
		}
		w.wantTries(t, 1, id)
	})
}

// A BackupSync is deleted and applied again under its name, with its id in lower case, while the outcome of its call is written.
func TestAnOutcomeIsWrittenHoweverTheIDIsSpelledByThen(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		id := itemOf(0).ID
		w.declare("same", strings.ToUpper(id), "vm-1")
		w.stopAt(w.actors[0], "patch status of same")
		w.server.remove(kindBackup, "same")
		w.declare("same", id, "vm-1")
		w.finish(w.actors[0])
		if got := w.backup("same").Status.OperationLogID; got == "" {
			t.Error("the outcome of its call is lost")
		}
		w.restart(0)
		if !w.liveUntil(w.actors[0], time.Hour, w.allImported) {
			t.Errorf("an hour later they are %v", w.reasons())
		}
		w.wantTries(t, 1, id)
	})
}
