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
	"os"
	"strings"
	"testing"
)

// Names of columns and files are as little to be trusted as values.
func TestNamesCannotDriveATerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	const name = "a\x1b]0;owned\x07\u202e.csv"
	for what, text := range map[string]string{
		"a half character":     `[{"a\u001b]0;owned\u0007": "\ud800"}]`,
		"two columns":          "backup_id,backup\x1b[@_id," + header,
		"no UTF-8":             "\xef\xbb\xbfa\x1b[2J," + header + "\xff," + row("a-1", "erp"),
		"a column that is odd": "a\x1b[2J\u202e," + header + "x," + row("a-1", "e r p"),
		"a broken row":         header + "\"a\"\x1b[2J,\n",
		"missing columns":      "a\x1b[2J,b\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := command(t, "", name, "--project", "default"); strings.ContainsAny(got.err+got.out, "\x1b\x07\u202e") || got.status == 0 {
			t.Errorf("%s: status %d, %q", what, got.status, got.err)
		}
	}
}
