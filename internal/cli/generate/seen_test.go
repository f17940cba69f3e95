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

package generate

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/generate/manifest"
)

// Capitals make no other backup, other fields do. What was only looked for is not known.
func TestSeen(t *testing.T) {
	kept := newSeen()
	names, err := manifest.ByTemplate("")
	if err != nil {
		t.Fatal(err)
	}
	backup := func(spec v1alpha1.BackupSyncSpec) (before place, same, twice bool) {
		before, same, twice, err := kept.backup(&spec)
		if err != nil {
			t.Fatal(err)
		}
		return before, same, twice
	}
	taken := v1alpha1.BackupSyncSpec{BackupID: "A-1", BackupName: "erp"}
	for range 2 {
		if _, _, twice := backup(taken); twice {
			t.Error("it was never taken")
		}
	}
	if err := kept.take(names, "a-1", &taken, place{line: 2}); err != nil {
		t.Fatal(err)
	}
	if before, same, twice := backup(v1alpha1.BackupSyncSpec{BackupID: "a-1", BackupName: "erp"}); !twice || !same || before.line != 2 {
		t.Errorf("capitals make another: %v %v %v", before, same, twice)
	}
	if _, same, twice := backup(v1alpha1.BackupSyncSpec{BackupID: "a-1", BackupName: "other"}); !twice || same {
		t.Errorf("another name is the same: %v %v", same, twice)
	}
	if before, twice, err := kept.name(names, "a-1", &v1alpha1.BackupSyncSpec{BackupID: "a_1"}); err != nil || !twice || before.line != 2 {
		t.Errorf("its name is not known: %v %v %v", before, twice, err)
	}
}

// small is a table that keeps little in memory, in a folder of its own.
func small(t *testing.T) *table {
	t.Helper()
	made := newTable()
	made.most, made.dir = 8, t.TempDir()
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Error(err)
		}
		if left, err := filepath.Glob(filepath.Join(made.dir, "*")); err != nil || len(left) > 0 {
			t.Errorf("files are left: %v %v", left, err)
		}
	})
	return made
}

// A table in memory, and one in files that grow, answer as a map does.
func TestTableIsAMap(t *testing.T) {
	kept, model := small(t), map[digest]first{}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range uint32(20_000) {
		key := digest{random.Uint64N(9_000) << 1 << random.IntN(2), random.Uint64N(2)} // many begin at the same slots, and again at the last ones
		if i%100 == 0 {
			key = digest{^uint64(0) - random.Uint64N(4), 0}
		}
		value := first{content: random.Uint64N(3), at: place{file: random.Uint32N(2), line: i + 1}}
		before, known, err := kept.find(key)
		if want, is := model[key]; err != nil || known != is || before != want {
			t.Fatalf("%d: %v, %v, %v, not %v, %v", i, before, known, err, want, is)
		}
		if known {
			continue
		}
		model[key] = value
		if err := kept.put(key, value); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range model {
		if got, known, err := kept.find(key); err != nil || !known || got != want {
			t.Fatalf("%v: %v, %v, %v, not %v", key, got, known, err, want)
		}
	}
	if kept.file == nil || kept.memory != nil || kept.slots > 16*uint64(len(model)) {
		t.Errorf("%d entries have %d slots, and %d are in memory", len(model), kept.slots, len(kept.memory))
	}
}

// Where there is no room for a file, the run ends with what to do about it; where the file cannot be read, too.
func TestTableWithoutAFile(t *testing.T) {
	kept := newTable()
	kept.most, kept.dir = 1, filepath.Join(t.TempDir(), "none")
	put := func(key digest) error { return kept.put(key, first{at: place{line: 1}}) }
	if err := put(digest{1}); err != nil {
		t.Fatal(err)
	}
	if err := put(digest{2}); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("without a folder: %v", err)
	}
	kept.dir = filepath.Dir(kept.dir)
	if err := put(digest{2}); err != nil {
		t.Fatal(err)
	}
	if err := kept.file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := put(digest{3}); err == nil {
		t.Error("a file that is closed can be read")
	}
}
