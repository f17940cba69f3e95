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
	"context"
	"fmt"
	"testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/racedetector"
)

// playAudit makes the world of a script, audits it, and returns what is wrong with a verdict, and what the verdicts were.
func playAudit(script []byte) outcome {
	w := newWorld(&dice{script})
	w.late = false
	known := w.known("")
	result := outcome{verdicts: map[Kind]int{}}
	ids := make([]string, 0, len(w.items))
	for _, item := range w.items {
		ids = append(ids, item.BackupID)
	}
	before := map[int]*worldBackup{} // there all the time
	for item := range w.items {
		if backup := w.backup(item); backup != nil && !w.now.Before(backup.visible) {
			before[item] = backup
		}
	}
	look, err := Audit(context.Background(), w, AuditQuery{Known: known, BackupIDs: ids, Singly: ids[:w.asked], Few: w.is()})
	if err != nil && !w.flaky {
		result.wrong = err.Error()
		return result
	}
	judge := NewJudge(look, known)
	for item, question := range w.items {
		verdict := judge.Verdict(question)
		result.verdicts[verdict.Kind]++
		lie := w.lie(item, verdict, w.now)
		if before[item] != nil && look.Lacks(question.BackupID) {
			lie = "it was there all the time"
		}
		if want := w.plain(item); err == nil && want != "" && verdict.Kind != want && item < w.asked {
			lie = fmt.Sprintf("nothing keeps it from being %s", want)
		}
		if lie != "" && result.wrong == "" {
			result.wrong = fmt.Sprintf("%s is %+v, but %s\n%s", question.BackupID, verdict, lie, w.describe())
		}
	}
	return result
}

// What an audit tells is so, whatever the list hides and however it changes.
func TestPropertyOfAudits(t *testing.T) {
	inOrder(t)
	verdicts := map[Kind]int{}
	for number := range worlds() {
		result := playAudit(randomScript(number))
		if result.wrong != "" {
			t.Fatalf("world %d: %s", number, result.wrong)
		}
		for kind, count := range result.verdicts {
			verdicts[kind] += count
		}
	}
	for _, kind := range []Kind{Stored, Broken, InProgress, Absent, Unknown} {
		if verdicts[kind] == 0 {
			t.Errorf("no world has a backup that is %s", kind)
		}
	}
	t.Logf("verdicts: %v", verdicts)
}

// An audit that a list narrows, or that asks for ids that are no UUIDs, says so, or asks.
func TestAuditTellsANarrowedList(t *testing.T) {
	w := &world{dice: &dice{}, now: worldBegan, longest: cbr.MaxPageSize, narrowed: true, storesAsSent: true}
	w.items = []Question{{BackupID: "B-1", ResourceID: "r1"}}
	w.add(&worldBackup{id: "B-1", status: cbr.BackupAvailable})
	look, err := Audit(t.Context(), w, AuditQuery{Known: w.known(""), BackupIDs: []string{"B-1"}, Singly: []string{"B-1"}})
	if err != nil {
		t.Fatal(err)
	}
	if kind := NewJudge(look, w.known("")).Verdict(w.items[0]).Kind; kind != Stored || !look.Backups.Narrowed || !look.Backups.Complete {
		t.Errorf("%s, narrowed %t, complete %t", kind, look.Backups.Narrowed, look.Backups.Complete)
	}
}

// worlds is how many are drawn: make whole draws them all.
func worlds() int {
	if racedetector.Enabled {
		return 2_000
	}
	return 20_000
}
