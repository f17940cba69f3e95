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
package generate_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/generate"
)

// Whatever an inventory is called on the command line, it is not removed.
func TestAnInventoryIsNotReplacedByItsRejects(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, names := range [][2]string{{"inventory.csv", "./inventory.csv"}, {"./inventory.csv", "inventory.csv"}} {
		if err := os.WriteFile("inventory.csv", []byte(header+row("a-1", "erp")), 0o600); err != nil {
			t.Fatal(err)
		}
		got := command(t, "", names[0], "--project", "default", "--rejects", names[1], "--force")
		if left, err := os.ReadFile("inventory.csv"); err != nil || !strings.Contains(string(left), "a-1") {
			t.Errorf("%v: the inventory is gone (%v): status %d, %s", names, err, got.status, got.err)
		}
	}
}

// The second file of rejects of an earlier run may be an inventory of this one.
func TestAnInventoryIsNotReplacedByTheSecondFileOfRejects(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("inventory.csv", header+row("a-1", "e r p"))
	write("more.json", `[{"backup_id": "b-1"}]`)
	if got := command(t, "", "inventory.csv", "more.json", "--project", "default", "--rejects", "rejects.csv"); got.status != cli.ExitFound {
		t.Fatal(got.err)
	}
	if err := os.Rename("rejects.csv", "corrected.csv"); err != nil {
		t.Fatal(err)
	}
	var many strings.Builder // so that it is not read at once
	for number := range 3000 {
		fmt.Fprintf(&many, "%s{\"backup_id\": \"b-%d\"}", map[bool]string{true: "[", false: ",\n"}[number == 0], number)
	}
	write("rejects-2.json", many.String()+"]")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // it would read for ever what it writes
	defer cancel()
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard})
	root := cli.NewCommand(f, generate.NewCommand(f))
	root.SetContext(ctx)
	root.SetArgs([]string{"generate", "corrected.csv", "rejects-2.json", "--project", "default", "--rejects", "rejects.csv", "--force"})
	status := cli.Run(f, root)
	left := content(t, "rejects-2.json")
	if ctx.Err() != nil || !strings.Contains(left, "b-2999") {
		t.Errorf("rejects-2.json was replaced while it was read: status %d, %v, it has %d bytes now and had %d", status, ctx.Err(), len(left), many.Len()+1)
	}
}

// A run that cannot begin leaves the rejects of an earlier one, which nobody may have corrected yet.
func TestARunThatCannotBeginLeavesTheRejects(t *testing.T) {
	folder := t.TempDir()
	rejects, manifests := filepath.Join(folder, "rejects.csv"), filepath.Join(folder, "manifests")
	for path, text := range map[string]string{rejects: header + row("a-9", "e r p")} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(manifests, ".backupsync-generate"), 0o700); err != nil { // another run is at work
		t.Fatal(err)
	}
	got := command(t, header+row("a-1", "erp"), "--project", "default", "--output-dir", manifests, "--rejects", rejects, "--force")
	if left, err := os.ReadFile(rejects); got.status != cli.ExitError || err != nil || !strings.Contains(string(left), "a-9") {
		t.Errorf("status %d, %s: the rejects of the run before are gone: %v", got.status, got.err, err)
	}
}

// Status 3 says that the work was done: what could not be written is not.
func TestWhatCouldNotBeWrittenIsNoMereFinding(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Symlink("/dev/full", "rejects-2.json"); err != nil {
		t.Skip(err)
	}
	second := file(t, "more.json", `[{"backup_id": "b-1"}]`)
	first := file(t, "first.csv", header+row("a-1", "e r p"))
	got := command(t, "", first, second, "--project", "default", "--rejects", "rejects.csv", "--force")
	if got.status != cli.ExitError || !strings.Contains(got.err, "no space") {
		t.Errorf("status %d: %s", got.status, got.err)
	}
}
