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

package wholetest

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// rows is how many an inventory has.
const rows = 2000

// kept is how many of them are judged again, to keep those that are rejected.
const kept = 500

const header = "backup_id,backup_name,bucket_name,image_path,resource_id,resource_name,resource_type,created_at"

func rowOf(spec *v1alpha1.BackupSyncSpec) string {
	return strings.Join([]string{spec.BackupID, spec.BackupName, spec.BucketName, spec.ImagePath, spec.ResourceID, spec.ResourceName, spec.ResourceType, fmt.Sprint(spec.CreatedAt)}, ",")
}

// inventory is a CSV, and what is true of its rows.
type inventory struct {
	lines []string
	// rejected are why, by the numbers of lines; changes are the lines whose BackupSync would change.
	rejected, changes map[int]string
	existing, dropped int
}

func (i *inventory) add(row, rejected, change string) {
	i.lines = append(i.lines, row)
	if number := len(i.lines); rejected != "" {
		i.rejected[number] = rejected
	} else if change != "" {
		i.changes[number] = change
	}
}

// inventory makes rows of north/files: ten ways in turn, half of them wrong.
func (w *world) inventory() *inventory {
	made := &inventory{rejected: map[int]string{}, changes: map[int]string{}}
	made.add(header, "", "")
	alone := func(each *backup) bool { return each.name != duplicateKind }
	here, others := w.those(of(north, "files"), alone), w.those(of(north, "erp"), alone)
	take := func(from *[]*backup) v1alpha1.BackupSyncSpec {
		first := (*from)[0].object.Spec
		*from = (*from)[1:]
		made.existing++
		return first
	}
	for number := range rows {
		spec := testbed.Manifest(north, "files", 500_000+number, 500).Spec
		rejected, change := "", ""
		switch number % 10 {
		case 0:
			spec = take(&here)
		case 1:
			spec = take(&here)
			spec.BackupName, change = "renamed", "spec.backupName"
		case 2:
			spec = take(&here)
			spec.BackupID, rejected = strings.ToUpper(spec.BackupID), "backup_id: the API server refuses it"
		case 3:
			spec, rejected = take(&others), "the API server refuses it"
		case 4:
			spec.CreatedAt, rejected = -1, "created_at"
		case 5:
			spec.BackupName, rejected = "not a name", "backup_name"
		case 6:
			spec.BucketName, rejected = "", "bucket_name"
		case 9:
			if number%100 == 99 {
				made.add(made.lines[len(made.lines)-1], "", "")
				made.dropped++
				continue
			}
		}
		made.add(rowOf(&spec), rejected, change)
	}
	return made
}

// testGenerate has the API server judge an inventory: what is told of each row is true, what is kept of it is what was wrong, and nothing is stored.
func (w *world) testGenerate(t *testing.T) {
	made := w.inventory()
	folder := t.TempDir()
	path, rejects := filepath.Join(folder, "inventory.csv"), filepath.Join(folder, "rejects.csv")
	must(t, os.WriteFile(path, []byte(strings.Join(made.lines, "\n")+"\n"), 0o600))

	got := w.run(t, north, "generate", path, "--project=files", "--dry-run=server")
	if got.Status != cli.ExitFound || got.Out != "" {
		t.Errorf("exit status %d: %s", got.Status, got.Out)
	}
	rejected, changes := map[int]string{}, map[int]string{}
	for _, line := range strings.Split(got.Err, "\n") {
		number, said := 0, ""
		if rest, is := strings.CutPrefix(line, path+":"); is {
			where, what, _ := strings.Cut(rest, ": ")
			_, _ = fmt.Sscan(where, &number)
			said = what
		}
		switch _, change, changed := strings.Cut(said, " exists and would change: "); {
		case number == 0 || strings.HasPrefix(said, "dropped, as it says the same as "):
		case changed:
			changes[number] = change
		default:
			rejected[number] = said
		}
	}
	same(t, "rows that would change", changes, made.changes)
	for number, why := range made.rejected {
		if !strings.Contains(rejected[number], why) {
			t.Errorf("of line %d is told %q, not %q: %s", number, rejected[number], why, made.lines[number-1])
		}
		delete(rejected, number)
	}
	same(t, "other rows that are rejected", rejected, map[int]string{})
	valid := rows - len(made.rejected) - made.dropped
	for _, says := range []string{
		fmt.Sprintf("%d rows read: %d valid, %d rejected, %d identical duplicates dropped.", rows, valid, len(made.rejected), made.dropped),
		fmt.Sprintf("%d of the backups exist in namespace north already, of which %d would change", made.existing, len(made.changes)),
		fmt.Sprintf("Error: %d of %d rows were rejected", len(made.rejected), rows),
	} {
		if !strings.Contains(got.Err, says) {
			t.Errorf("%q is not said in …%s", says, got.Err[max(0, len(got.Err)-600):])
		}
	}
	must(t, os.WriteFile(path, []byte(strings.Join(made.lines[:kept+1], "\n")+"\n"), 0o600))
	w.compareRejects(t, made, path, rejects)
	w.unchanged(t, "generate")
}

// compareRejects looks whether the file of rejected rows has them, as they were, and no others.
func (w *world) compareRejects(t *testing.T, made *inventory, path, rejects string) {
	t.Helper()
	if got := w.run(t, north, "generate", path, "--project=files", "--dry-run=server", "--rejects="+rejects); got.Status != cli.ExitFound {
		t.Errorf("exit status %d: %s", got.Status, got.Err)
	}
	file, err := os.Open(rejects)
	must(t, err)
	defer file.Close()
	read, err := csv.NewReader(file).ReadAll()
	must(t, err)
	want := []string{header}
	for number, line := range made.lines[:kept+1] {
		if made.rejected[number+1] != "" {
			want = append(want, line)
		}
	}
	var got []string
	for _, each := range read {
		got = append(got, strings.Join(each[:len(each)-1], ","))
	}
	same(t, "number of rejected rows", len(got), len(want))
	slices.Sort(got)
	slices.Sort(want)
	same(t, "rejected rows", got, want)
}
