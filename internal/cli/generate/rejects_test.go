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
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/generate"
)

// put writes a file of a test that works in a folder of its own.
func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// commandWith runs the command line with streams that are files.
func commandWith(t *testing.T, in io.Reader, out io.Writer, arguments ...string) result {
	t.Helper()
	var errOut bytes.Buffer
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: in, Out: out, ErrOut: &errOut})
	root := cli.NewCommand(f, generate.NewCommand(f))
	root.SetContext(t.Context())
	root.SetArgs(append([]string{"generate", "--project", "default"}, arguments...))
	return result{status: cli.Run(f, root), err: errOut.String()}
}

// Whatever an inventory is called on the command line, it is not replaced.
func TestAnInventoryIsNotReplaced(t *testing.T) {
	t.Chdir(t.TempDir())
	text := header + row("a-1", "erp")
	put(t, "inventory.csv", text)
	if err := os.Link("inventory.csv", "other.csv"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("inventory.csv", "link.csv"); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{"inventory.csv", "./inventory.csv", "other.csv", "link.csv"} {
		for _, flag := range []string{"--rejects", "--output"} {
			for _, input := range []string{"inventory.csv", "./inventory.csv", "-"} {
				opened, err := os.Open("inventory.csv")
				if err != nil {
					t.Fatal(err)
				}
				got := commandWith(t, opened, io.Discard, input, flag, output, "--force")
				_ = opened.Close()
				if got.status != cli.ExitUsage || !strings.Contains(got.err, "would be replaced") || content(t, "inventory.csv") != text {
					t.Errorf("%s %s %s: status %d, %s", input, flag, output, got.status, got.err)
				}
			}
		}
	}
}

// Neither is an inventory that stdout leads to, nor the manifests, wherever they go.
func TestFilesOfARunDoNotReplaceEachOther(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, "inventory.csv", header+row("a-1", "e r p"))
	out, err := os.OpenFile("inventory.csv", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	if got := commandWith(t, strings.NewReader(""), out, "inventory.csv"); got.status != cli.ExitUsage {
		t.Errorf("stdout: status %d, %s", got.status, got.err)
	}
	if got := command(t, "", "inventory.csv", "--project", "default", "--rejects", "./all.yaml", "-f", "all.yaml"); got.status != cli.ExitUsage {
		t.Errorf("-f: status %d, %s", got.status, got.err)
	}
}

// The second file of rejects of an earlier run may be an inventory of this one.
func TestAnInventoryIsNotReplacedByTheSecondFileOfRejects(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, "inventory.csv", header+row("a-1", "e r p"))
	put(t, "more.json", `[{"backup_id": "b-1"}]`)
	if got := command(t, "", "inventory.csv", "more.json", "--project", "default", "--rejects", "rejects.csv"); got.status != cli.ExitFound {
		t.Fatal(got.err)
	}
	if err := os.Rename("rejects.csv", "corrected.csv"); err != nil {
		t.Fatal(err)
	}
	before := content(t, "rejects-2.json")
	got := command(t, "", "corrected.csv", "rejects-2.json", "--project", "default", "--rejects", "rejects.csv", "--force")
	if got.status != cli.ExitFound || !strings.Contains(got.err, "are in rejects.csv, rejects-3.json,") {
		t.Errorf("status %d, %s", got.status, got.err)
	}
	if content(t, "rejects-2.json") != before || !strings.Contains(content(t, "rejects-3.json"), "b-1") {
		t.Errorf("rejects-2.json was %s, and is %s", before, content(t, "rejects-2.json"))
	}
}

// Nobody may have corrected the rejects of an earlier run yet: one that cannot begin or breaks off leaves them, and nothing else.
func TestARunThatFailsLeavesTheRejects(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(filepath.Join("manifests", ".backupsync-generate"), 0o700); err != nil { // another run is at work
		t.Fatal(err)
	}
	earlier := header + row("a-9", "e r p")
	put(t, "rejects.csv", earlier)
	for what, arguments := range map[string][]string{
		"it cannot begin":                     {"--output-dir", "manifests"},
		"the inventory is cut off":            {},
		"the manifests would replace another": {"--output", "rejects.csv"},
	} {
		arguments = append(arguments, "--project", "default", "--rejects", "rejects.csv", "--force")
		got := command(t, header+row("a-1", "e r p")+"\"never closed\n\n", arguments...)
		left, err := filepath.Glob("*")
		if got.status == 0 || got.status == cli.ExitFound || err != nil || len(left) != 2 || content(t, "rejects.csv") != earlier {
			t.Errorf("%s: status %d, %s%v are left", what, got.status, got.err, left)
		}
	}
}

// The rejects are those of the latest run: none if no row was rejected.
func TestRejectsOfTheLatestRun(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		row, rejected string
		status        int
	}{{"e r p", "e r p", cli.ExitFound}, {"c r m", "c r m", cli.ExitFound}, {"erp", "", 0}, {"erp", "", 0}} {
		got := command(t, header+row("a-1", c.row), "--project", "default", "--rejects", "rejects.csv", "--force")
		text, err := os.ReadFile("rejects.csv")
		if got.status != c.status || !strings.Contains(string(text), c.rejected) || (err == nil) != (c.rejected != "") {
			t.Errorf("%s: status %d, %s: the rejects are %q, %v", c.row, got.status, got.err, text, err)
		}
	}
}

// A device is written to, and stays: it keeps no rows that might be lost. Status 3 says that the work was done: what could not be written is not.
func TestRejectsOnADevice(t *testing.T) {
	const full = "/dev/full" // each write fails
	if _, err := os.Stat(full); err != nil {
		t.Skip(err)
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{"rejects.csv", "file-2.json"} {
		if err := os.Symlink(full, name); err != nil {
			t.Fatal(err)
		}
	}
	put(t, "first.csv", header+row("a-1", "e r p"))
	put(t, "more.json", `[{"backup_id": "b-1"}]`)
	put(t, "right.csv", header+row("a-1", "erp"))
	for _, c := range []struct {
		status    int
		arguments []string
	}{
		{cli.ExitError, []string{"first.csv", "--rejects", "rejects.csv"}},
		{cli.ExitError, []string{"first.csv", "more.json", "--rejects", "rejects.csv", "--force"}},
		{cli.ExitError, []string{"first.csv", "more.json", "--rejects", "file.csv"}}, // the second file
		{0, []string{"right.csv", "--rejects", "rejects.csv", "--force"}},
	} {
		got := command(t, "", append(c.arguments, "--project", "default")...)
		if got.status != c.status || c.status != 0 && !strings.Contains(got.err, "no space") {
			t.Errorf("%v: status %d: %s", c.arguments, got.status, got.err)
		}
		if target, err := os.Readlink("rejects.csv"); err != nil || target != full {
			t.Errorf("%v: the link is gone: %v", c.arguments, err)
		}
	}
}
