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
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupsync.dev/operator/internal/cbr"
)

// outcome is what came of a world: what is wrong with a verdict, and what the verdicts were.
type outcome struct {
	wrong    string
	verdicts map[Kind]int
	overdue  int // absences in spite of a task
}

// play makes the world of a script, looks at it, and holds the verdicts against what is so.
func play(script []byte, off rule) outcome {
	w := newWorld(&dice{script})
	known := w.known(off)
	result := outcome{verdicts: map[Kind]int{}}
	look, err := Collect(context.Background(), w, Query{Questions: w.items[:w.asked], Known: known, Few: pick(w.dice, 5, -1)})
	if err != nil {
		if !w.flaky { // where nothing was answered, nothing is said
			result.wrong = err.Error()
		}
		return result
	}
	if known.Now = w.now; w.late {
		known.Now = worldBegan.Add(max(FreshFor, known.Now.Sub(worldBegan)) + time.Second)
		for item := range w.items { // others are quick
			w.store(item, known.Now)
		}
	}
	judge := NewJudge(look, known)
	for item, question := range w.items {
		verdict := judge.Verdict(question)
		result.verdicts[verdict.Kind]++
		if verdict.Kind == Absent && verdict.Task != "" {
			result.overdue++
		}
		if want := w.plain(item); want != "" && verdict.Kind != want && item < w.asked && result.wrong == "" {
			result.wrong = fmt.Sprintf("%s is %+v, though nothing keeps it from being %s\n%s", question.BackupID, verdict, want, w.describe())
		}
		if lie := w.lie(item, verdict, known.Now); lie != "" && result.wrong == "" {
			result.wrong = fmt.Sprintf("%s is %+v, but %s\n%s", question.BackupID, verdict, lie, w.describe())
		}
	}
	return result
}

func (w *world) known(off rule) Known {
	return Known{Now: worldBegan, Scope: w.scope, Owners: w.owners, SettleTime: worldSettle, off: off,
		OverdueAfter: pick(w.dice, 0, worldOverdue),
		FirstSeen:    w.firstSeen, DateLag: w.dateLag}
}

// firstSeen is when earlier looks may have seen a task first, at the earliest.
func (w *world) firstSeen(key TaskKey) time.Time {
	for _, task := range w.tasks {
		switch {
		case !w.watched:
		case key == TaskKey{id: task.id}:
			return task.accepted
		case key == TaskKey{task.id, true} && task.ended.Before(worldBegan):
			return task.ended
		}
	}
	return time.Time{}
}

// lie returns what is wrong with a verdict, "" if it is right.
func (w *world) lie(item int, verdict Verdict, now time.Time) string {
	backup := w.backup(item)
	there := backup != nil && !now.Before(backup.visible)
	switch verdict.Kind {
	case Stored:
		if !there || !backup.status.Usable() {
			return "it is not there in a usable status"
		}
	case Broken:
		if !there || backup.status != cbr.BackupError {
			return "it is not there in status error"
		}
	case Absent:
		if backup != nil && backup.visible.Before(worldBegan.Add(never)) {
			return fmt.Sprintf("it is there from %s", backup.visible.Sub(worldBegan))
		}
		for _, each := range w.accepted {
			old := now.Sub(each.call.accepted) >= worldOverdue && each.task.ended.Sub(worldBegan) >= never
			if each.item == item && each.task.ended.After(now) && !old {
				return fmt.Sprintf("%s imports it", each.task.id)
			}
		}
	case InProgress, Unknown: // claim nothing
	}
	return ""
}

// plain returns what the verdict on an item must be in a world in which nothing happens and nothing is wrong, "" in others.
func (w *world) plain(item int) Kind {
	if len(w.accepted) > 0 || w.items[item].Call != nil || w.items[item].SettledAt.After(worldBegan) ||
		w.inserts || w.deletes || w.swaps || w.cuts || w.flaky || w.late || w.count == countTooHigh ||
		!w.watched && (w.dates == undated || w.dates == byOurClock && w.ahead > time.Hour) {
		return ""
	}
	switch backup := w.backup(item); {
	case backup == nil:
		return Absent
	case backup.status.Usable():
		return Stored
	case backup.status == cbr.BackupError:
		return Broken
	default:
		return InProgress
	}
}

func (w *world) describe() string {
	text := fmt.Sprintf("per call %t (known as %q), named %t, resource %t, pages of %d, count %d, cuts %t, inserts %t, deletes %t, swaps %t, "+
		"as sent %t, exact %t, narrowed %t, flaky %t, late %t, asked %d, at %s, clock ahead %s, dates %d, lag known %t, watched %t\n",
		w.perCall, w.scope, w.named, w.showsResource, w.longest, w.count, w.cuts, w.inserts, w.deletes, w.swaps,
		w.storesAsSent, w.exactGet, w.narrowed, w.flaky, w.late, w.asked, w.now.Sub(worldBegan), w.ahead, w.dates, w.dateLag != nil, w.watched)
	for _, item := range w.items {
		text += fmt.Sprintf("  %s of %s, task %q, settled at %s, call %+v\n",
			item.BackupID, item.ResourceID, item.TaskID, item.SettledAt.Sub(worldBegan), item.Call)
	}
	for _, backup := range w.backups {
		text += fmt.Sprintf("  backup %s %s from %s\n", backup.id, backup.status, backup.visible.Sub(worldBegan))
	}
	for _, task := range w.tasks {
		text += fmt.Sprintf("  task %s names %q of %q, %s, from %s, ends %s at %s, owner %+v\n", task.id, task.names, task.resource, task.label,
			task.visible.Sub(worldBegan), task.status, task.ended.Sub(worldBegan), w.owners[task.id])
	}
	return text
}

// inOrder makes looks ask for one backup at a time, always in the same order, so that a script tells all.
func inOrder(t *testing.T) {
	t.Helper()
	readers, first := singleReaders, firstOf
	singleReaders, firstOf = 1, func(int) int { return 0 }
	t.Cleanup(func() { singleReaders, firstOf = readers, first })
}

// Nothing is Absent that CBR has or is importing, and nothing Stored that it has not, whatever CBR does that is not excluded:
// -rapid.checks=100000 tries more worlds. And where nothing goes on and nothing is wrong, the verdict says what is so.
func TestPropertyOfVerdicts(t *testing.T) {
	inOrder(t)
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("500"); err != nil {
			t.Fatal(err)
		}
	}
	verdicts, overdue := map[Kind]int{}, 0
	rapid.Check(t, func(rt *rapid.T) {
		result := play(rapid.SliceOfN(rapid.ByteRange(0, 119), 150, 300).Draw(rt, "script"), "")
		if result.wrong != "" {
			rt.Fatal(result.wrong)
		}
		for kind, count := range result.verdicts {
			verdicts[kind] += count
		}
		overdue += result.overdue
	})
	t.Logf("verdicts: %v, %d absent in spite of a task", verdicts, overdue)
	for _, kind := range []Kind{Stored, Broken, InProgress, Absent, Unknown} {
		if verdicts[kind] == 0 && !t.Failed() {
			t.Errorf("no world has a backup that is %s", kind)
		}
	}
}

// randomScript returns one of many scripts.
func randomScript(number int) []byte {
	random := rand.New(rand.NewPCG(uint64(number), 1))
	script := make([]byte, 40+random.IntN(210))
	for i := range script {
		script[i] = byte(random.UintN(256))
	}
	return script
}

// maxWorlds bounds the search for a world in which a rule is needed.
const maxWorlds = 200_000

// The property has teeth: without any one of the rules a world is found in which a verdict is wrong.
func TestTeethOfTheProperty(t *testing.T) {
	inOrder(t)
	for _, off := range []rule{tasksFirst, countsCompared, anchorsCompared, emptyPageNeeded, listProbed, failuresUnknown, foldedIDs,
		completeNeeded, settledNeeded, freshNeeded, namelessHold, resourcePerItem, matesShare, othersOfTheTask, usableOnly,
		unknownIsRunning, successSettles, cloudsClock, endInSight, lagCounts} {
		t.Run(string(off), func(t *testing.T) {
			for number := range maxWorlds {
				script := randomScript(number)
				if found := play(script, off).wrong; found != "" {
					if with := play(script, "").wrong; with != "" {
						t.Fatalf("wrong with all rules: %s", with)
					}
					t.Logf("world %d: %s", number, found)
					return
				}
			}
			t.Fatalf("no wrong verdict in %d worlds", maxWorlds)
		})
	}
}
