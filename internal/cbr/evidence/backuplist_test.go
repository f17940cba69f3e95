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

package evidence

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// A list tells which backups are shown, in any spelling, and which of them are usable; with one call for each page.
func TestListBackups(t *testing.T) {
	source := holding(2500)
	source.backups[7].Status, source.backups[2499].Status = "error", "deleting"
	list, err := ListBackups(t.Context(), source, time.Unix(1, 0))
	if err != nil || !list.Complete || !list.Began.Equal(time.Unix(1, 0)) || list.Reads.Lists > 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	for id, want := range map[string]string{
		"stored-0": "true true ", "STORED-2000": "true true ", "stored-7": "true false error", "Stored-2499": "true false deleting", "stored-2500": "false false ",
	} {
		shown, usable, status := list.Shows(id)
		if got := fmt.Sprintf("%t %t %s", shown, usable, status); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
	if len(source.asked) > 0 {
		t.Errorf("single questions: %v", source.asked)
	}
}

// A list that fails tells nothing.
func TestListBackupsThatFails(t *testing.T) {
	source := holding(3)
	source.listErr = errOutage
	if _, err := ListBackups(t.Context(), source, time.Unix(1, 0)); err == nil {
		t.Error("no error")
	}
}

// Of a list that is seen as a whole no backup is lacking that is there all the time, whatever else comes and goes, and however it counts.
func TestListBackupsThatMove(t *testing.T) {
	complete := 0
	for seed := range uint64(3000) {
		script, random := make([]byte, 4000), rand.New(rand.NewPCG(seed, 1))
		for i := range script {
			script[i] = byte(random.UintN(256))
		}
		w := newWorld(&dice{script: script})
		w.narrowed = false
		want := map[string]cbr.BackupStatus{}
		for _, backup := range w.backups {
			if !backup.filler && backup.visible.Before(w.now) {
				want[backup.id] = backup.status
			}
		}
		list, err := ListBackups(t.Context(), w, w.now)
		if err != nil {
			t.Fatal(err)
		}
		if !list.Complete {
			continue
		}
		complete++
		for id, status := range want {
			if shown, usable, _ := list.Shows(strings.ToUpper(id)); !shown || usable != status.Usable() {
				t.Fatalf("seed %d: %s is in status %s: shown %t, usable %t", seed, id, status, shown, usable)
			}
		}
	}
	if complete < 1000 {
		t.Errorf("only %d lists were complete", complete)
	}
}
