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
	"slices"
	"testing"

	"backupsync.dev/operator/internal/cbr"
)

// A list that lacks what is there is not believed: all that it lacks is asked for.
func TestANarrowedList(t *testing.T) {
	source := holding(3)
	for _, question := range about(20) {
		source.hidden = append(source.hidden, question.BackupID)
	}
	look, judge := collect(t, source, Query{Questions: about(20, "really-new", "stored-0")})
	expect(t, judge, Stored, about(20, "stored-0")...)
	expect(t, judge, Absent, Question{BackupID: "really-new"})
	expect(t, judge, Unknown, Question{BackupID: "not asked about"})
	if look.Backups.Whole() {
		t.Error("the list is believed")
	}
}

// What has come since the list was read was not hidden by it, whether the look itself finds that or another one which it serves.
func TestABackupThatComesAfterTheListWasRead(t *testing.T) {
	for name, find := range map[string]func(*still) (*Look, *Judge){
		"by a probe": func(source *still) (*Look, *Judge) {
			for _, question := range about(20) {
				source.arrives = append(source.arrives, question.BackupID)
			}
			return collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
		},
		"by a later question": func(source *still) (*Look, *Judge) {
			look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
			source.arrives = []string{"new-7"}
			if err := look.AskFor(t.Context(), source, "new-7"); err != nil {
				t.Fatal(err)
			}
			return look, judge
		},
	} {
		t.Run(name, func(t *testing.T) {
			source := holding(3)
			look, judge := find(source)
			came := source.backups[3].ID
			if look.Backups.Narrowed || !look.Backups.Whole() {
				t.Errorf("narrowed %t, whole %t", look.Backups.Narrowed, look.Backups.Whole())
			}
			for _, question := range about(20) {
				want := Absent
				if question.BackupID == came {
					want = Stored
				}
				expect(t, judge, want, question)
			}
		})
	}
}

// One that is hidden still when the list is read again was hidden.
func TestABackupThatALookFindsHiddenLater(t *testing.T) {
	source := holding(3)
	look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
	source.hidden = []string{"new-7"}
	if err := look.AskFor(t.Context(), source, "new-7"); err != nil {
		t.Fatal(err)
	}
	if !look.Backups.Narrowed || look.Backups.Whole() {
		t.Errorf("narrowed %t, whole %t", look.Backups.Narrowed, look.Backups.Whole())
	}
	expect(t, judge, Stored, Question{BackupID: "new-7"})
	for _, question := range about(20) {
		if !slices.Contains(source.asked, question.BackupID) {
			expect(t, judge, Unknown, question)
		}
	}
}

// One that comes, and one that is hidden, are found at the same time.
func TestAHiddenBackupBesideOneThatComes(t *testing.T) {
	for _, order := range [][]string{{"new-7", "new-8"}, {"new-8", "new-7"}} {
		source := holding(3)
		look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
		source.arrives, source.hidden = order[:1], order[1:]
		if err := look.AskFor(t.Context(), source, "new-7", "new-8"); err != nil {
			t.Fatal(err)
		}
		if !look.Backups.Narrowed || look.Backups.Whole() {
			t.Errorf("%v: narrowed %t, whole %t", order, look.Backups.Narrowed, look.Backups.Whole())
		}
		expect(t, judge, Stored, Question{BackupID: "new-7"}, Question{BackupID: "new-8"})
	}
}

// What was found and is gone when the list is read again was not hidden; of a list that cannot be read as a whole again nobody knows, and
// this look alone is in doubt.
func TestAListThatCannotBeHeldAgainstWhatWasFound(t *testing.T) {
	call := &Call{Items: []string{"new-7", "new-9"}}
	for name, c := range map[string]struct {
		change  func(*still)
		doubted bool
	}{
		"it is gone":                      {func(s *still) { s.leaves = []string{"new-7"} }, false},
		"the list does not hold still":    {func(s *still) { s.hidden, s.unstill = []string{"new-7"}, true }, true},
		"it comes, and is listed unstill": {func(s *still) { s.arrives, s.unstill = []string{"new-7"}, true }, true},
	} {
		t.Run(name, func(t *testing.T) {
			source := holding(3)
			look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0", "new-1"}})
			c.change(source)
			if err := look.AskFor(t.Context(), source, "new-7", "new-9"); err != nil {
				t.Fatal(err)
			}
			if look.Backups.Narrowed || look.Backups.Doubted != c.doubted {
				t.Errorf("narrowed %t, doubted %t", look.Backups.Narrowed, look.Backups.Doubted)
			}
			if got := judge.Verdict(Question{BackupID: "new-9", Call: call}); (got.Kind != Absent) != c.doubted {
				t.Errorf("of a lost call it says %+v", got)
			}
		})
	}
}

// A list that is read for an id that CBR takes in no question is held against what others were told.
func TestAListThatHidesWhatWasAskedForBefore(t *testing.T) {
	source := holding(3)
	source.failures = map[string]error{"no-uuid": errNotAnID}
	source.hidden = []string{"new-0"}
	look, judge := collect(t, source, Query{Questions: about(1, "no-uuid")})
	if !look.Backups.Narrowed || look.Backups.Whole() {
		t.Errorf("narrowed %t, whole %t", look.Backups.Narrowed, look.Backups.Whole())
	}
	expect(t, judge, Stored, about(1)...)
	expect(t, judge, Unknown, Question{BackupID: "no-uuid"})
}

// What was not there when it was asked for, and is listed then, is not absent.
func TestABackupThatIsListedAfterItWasAskedFor(t *testing.T) {
	source := holding(3)
	source.failures = map[string]error{"no-uuid": errNotAnID}
	look, judge := collect(t, source, Query{Questions: about(1, "no-uuid", "StoreD-1")}) // CBR keeps it in lower case, and finds it in no other
	expect(t, judge, Absent, about(1, "no-uuid")...)
	expect(t, judge, Stored, Question{BackupID: "stored-1"})
	source.backups = append(source.backups, cbr.ListedBackup{ID: "new-0", Status: "available"}, cbr.ListedBackup{ID: "neW-1", Status: "available"})
	source.arrives = []string{"new-2"}
	if err := look.AskFor(t.Context(), source, "new-1", "new-2"); err != nil {
		t.Fatal(err)
	}
	expect(t, judge, Unknown, about(2)...)
	expect(t, judge, Stored, Question{BackupID: "new-2"})
}

// A question that fails says nothing of what the list hides.
func TestAListThatCannotBeHeldAgainstAFailedQuestion(t *testing.T) {
	source := holding(3)
	look, judge := collect(t, source, Query{Questions: about(20), Probes: []string{"new-0"}})
	source.leaves = []string{"new-7"}
	source.failsAfter = map[string]error{"new-7": errOutage}
	if err := look.AskFor(t.Context(), source, "new-7"); err != nil {
		t.Fatal(err)
	}
	if look.Backups.Narrowed || !look.Backups.Doubted || look.Backups.Whole() {
		t.Errorf("narrowed %t, doubted %t, whole %t", look.Backups.Narrowed, look.Backups.Doubted, look.Backups.Whole())
	}
	expect(t, judge, Stored, Question{BackupID: "new-7"})
}
