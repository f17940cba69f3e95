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

package folder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fill writes objects into a folder.
func fill(t *testing.T, path string, perFile int, force bool, names ...string) (Result, error) {
	t.Helper()
	opened, err := Open(path, perFile, force)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := opened.Discard(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(path, work)); err == nil {
			t.Error("something is left")
		}
	}()
	for _, name := range names {
		if err := opened.Add(name, []byte("name: "+name+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	return opened.Commit(t.Context())
}

func filled(t *testing.T, path string, perFile int, names ...string) Result {
	t.Helper()
	result, err := fill(t, path, perFile, false, names...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range entries {
		text, err := os.ReadFile(filepath.Join(path, one.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[one.Name()] = string(text)
	}
	return found
}

func some(count int) []string {
	var names []string
	for number := range count {
		names = append(names, fmt.Sprintf("backup-%06d", number))
	}
	return names
}

// How many objects a folder held, and holds now, is told: a run with a part of an inventory takes the others away.
func TestObjectsBeforeAndNow(t *testing.T) {
	for _, perFile := range []int{1, 7, 5000} {
		path := t.TempDir()
		for _, step := range []struct{ before, now int }{{0, 700}, {700, 700}, {700, 20}, {20, 30}} {
			if result := filled(t, path, perFile, some(step.now)...); result.Before != step.before || result.Now != step.now {
				t.Errorf("%d a file: %d before and %d now, instead of %+v", perFile, result.Before, result.Now, step)
			}
		}
	}
}

// Each object is in one file, no file holds more than it may, and the kustomization lists them all.
func TestEachObjectOnce(t *testing.T) {
	for _, perFile := range []int{1, 2, 7, 100, 5000} {
		path, names := t.TempDir(), some(700)
		filled(t, path, perFile, names...)
		found := contents(t, path)
		list := found[kustomizationFile]
		delete(found, kustomizationFile)
		var objects []string
		for name, text := range found {
			if count := strings.Count(text, "---\n"); count > perFile || count == 0 {
				t.Errorf("%s has %d objects", name, count)
			}
			for line := range strings.Lines(text) {
				if object, is := strings.CutPrefix(line, "name: "); is {
					objects = append(objects, strings.TrimSpace(object))
				}
			}
			if !strings.Contains(list, "\n- "+name+"\n") {
				t.Errorf("%s is not listed", name)
			}
		}
		slices.Sort(objects)
		if !slices.Equal(objects, names) || strings.Count(list, "\n- ") != len(found) {
			t.Errorf("%d objects in files of %d, %d listed", len(objects), perFile, strings.Count(list, "\n- "))
		}
	}
}

// The files follow from the set of objects, whatever their order and what was there before.
func TestFilesFollowFromTheSet(t *testing.T) {
	names := some(1200)
	straight, shuffled, grown := t.TempDir(), t.TempDir(), t.TempDir()
	filled(t, straight, 50, names...)
	mixed := slices.Clone(names)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	filled(t, shuffled, 50, mixed...)
	for _, count := range []int{1, 70, 1200, 500, 1199, 1200} {
		filled(t, grown, 50, names[:count]...)
	}
	if !maps.Equal(contents(t, straight), contents(t, shuffled)) || !maps.Equal(contents(t, straight), contents(t, grown)) {
		t.Error("the same objects are in other files")
	}
	if result := filled(t, straight, 50, mixed...); result.Written+result.Removed > 0 {
		t.Errorf("the same again changes something: %+v", result)
	}
}

// One object more changes few files.
func TestOneMoreChangesFewFiles(t *testing.T) {
	path, names := t.TempDir(), some(700)
	filled(t, path, 50, names...)
	for number := range 15 {
		names = append(names, fmt.Sprintf("more-%d", number))
		if result := filled(t, path, 50, names...); result.Written+result.Removed > 4 { // a split of a file: two new ones, one gone, the list
			t.Errorf("one more changes %+v", result)
		}
	}
}

// What others have written or edited is refused, and nothing is changed; with force it is replaced.
func TestForeignFilesStay(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"a foreign manifest": func(t *testing.T, path string) { put(t, filepath.Join(path, "b.yaml"), "kind: Secret\n") },
		"an edited manifest": func(t *testing.T, path string) {
			filled(t, path, 1, "b")
			put(t, filepath.Join(path, "b.yaml"), contents(t, path)["b.yaml"]+"more: true\n")
		},
		"a foreign list": func(t *testing.T, path string) { put(t, filepath.Join(path, kustomizationFile), "resources: []\n") },
		"a folder":       func(_ *testing.T, path string) { _ = os.Mkdir(filepath.Join(path, "b.yaml"), 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			spoil(t, path)
			if name == "a folder" {
				if _, err := fill(t, path, 1, false, "a", "b", "c"); err == nil {
					t.Error("it was replaced")
				}
				return
			}
			before := contents(t, path)
			_, err := fill(t, path, 1, false, "a", "b", "c")
			var refusal *Refusal
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), "--force") {
				t.Errorf("it is not refused: %v", err)
			}
			if !maps.Equal(before, contents(t, path)) {
				t.Error("something changed")
			}
			if result, err := fill(t, path, 1, true, "a", "b", "c"); err != nil || result.Written < 3 {
				t.Errorf("with force: %+v, %v", result, err)
			}
		})
	}
}

// Files that no longer belong go if they are as they were written. Foreign ones stay, edited ones are told.
func TestFilesThatNoLongerBelong(t *testing.T) {
	path := t.TempDir()
	filled(t, path, 1, "a", "b", "c")
	put(t, filepath.Join(path, "foreign.yaml"), "kind: Secret\n")
	put(t, filepath.Join(path, "c.yaml"), contents(t, path)["c.yaml"]+"more: true\n")
	result := filled(t, path, 1, "a")
	if result.Removed != 1 || !slices.Equal(result.Kept, []string{"c.yaml"}) {
		t.Errorf("%+v", result)
	}
	if _, err := fill(t, path, 1, false); err == nil || !strings.Contains(err.Error(), "no backup") {
		t.Errorf("an empty inventory removes all: %v", err)
	}
	found := contents(t, path)
	if len(found) != 4 || found["foreign.yaml"] == "" || found["a.yaml"] == "" {
		t.Errorf("there are %v", slices.Sorted(maps.Keys(found)))
	}
	if result, err := fill(t, path, 1, true); err != nil || result.Removed != 2 {
		t.Errorf("by force: %+v, %v", result, err)
	}
}

// A run that ends early changes nothing, and two do not meet.
func TestARunThatEnds(t *testing.T) {
	path := t.TempDir()
	filled(t, path, 10, some(30)...)
	before := contents(t, path)
	opened, err := Open(path, 10, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 10, false); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("two runs meet: %v", err)
	}
	_ = opened.Add("x", []byte("name: x\n"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := opened.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it is committed: %v", err)
	}
	if err := opened.Discard(); err != nil || !maps.Equal(before, contents(t, path)) {
		t.Errorf("something changed: %v", err)
	}
}

// What a run that was killed has left is nothing for Git.
func TestWhatIsLeftIsIgnored(t *testing.T) {
	path := t.TempDir()
	opened, err := Open(path, 10, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Add("x", []byte("name: x\n")); err != nil {
		t.Fatal(err)
	}
	if text := contents(t, filepath.Join(path, work))[".gitignore"]; text != "*\n" {
		t.Errorf("Git ignores %q", text)
	}
	if _, err := opened.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := opened.Discard(); err != nil || len(contents(t, path)) != 2 {
		t.Errorf("there is %v, %v", contents(t, path), err)
	}
}

// Names that are no names of files, or that of the list, get others.
func TestNamesOfFiles(t *testing.T) {
	path, long := t.TempDir(), strings.Repeat("x", 253)
	filled(t, path, 1, "kustomization", long, long[:252], "a")
	found := contents(t, path)
	if len(found) != 5 || strings.Count(found[kustomizationFile], "\n- ") != 4 {
		t.Errorf("there are %v", slices.Sorted(maps.Keys(found)))
	}
}

// A single file is replaced if it is this command's, all at once.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.yaml")
	write := func(text string, force, commit bool) error {
		file, err := Create(path, force)
		if err != nil {
			return err
		}
		if _, err := file.Write([]byte(text)); err != nil {
			return err
		}
		if !commit {
			file.Abort()
			return nil
		}
		return file.Commit()
	}
	if err := errors.Join(write("a: 1\n", false, true), write("a: 2\n", false, true), write("a: 3\n", false, false)); err != nil {
		t.Fatal(err)
	}
	if found, err := look(path); found.owner != ours || err != nil {
		t.Errorf("it %s, %v", found.owner, err)
	}
	put(t, path, "an inventory\n")
	if err := write("a: 4\n", false, true); err == nil {
		t.Error("an inventory was replaced")
	}
	if err := write("a: 5\n", true, true); err != nil {
		t.Error(err)
	}
	if found := contents(t, filepath.Dir(path)); len(found) != 1 || !strings.HasSuffix(found["out.yaml"], "\na: 5\n") {
		t.Errorf("there is %v", found)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
