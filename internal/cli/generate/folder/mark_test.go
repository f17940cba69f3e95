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
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Git for Windows checks text files out with CRLF: the same inventory changes nothing there either, and what was edited there is known.
func TestAFolderThatGitHasCheckedOutOnWindowsIsOurs(t *testing.T) {
	path, names := t.TempDir(), some(300)
	filled(t, path, 100, names...)
	for name, text := range contents(t, path) {
		put(t, filepath.Join(path, name), strings.ReplaceAll(text, "\n", "\r\n"))
	}
	if result := filled(t, path, 100, names...); result.Written+result.Removed > 0 || result.Before != len(names) {
		t.Errorf("the same again changes something: %+v", result)
	}
	list := filepath.Join(path, kustomizationFile)
	put(t, list, contents(t, path)[kustomizationFile]+"namePrefix: a-\r\n")
	if _, err := fill(t, path, 100, false, names...); err == nil || !strings.Contains(err.Error(), list+" was edited") {
		t.Errorf("it was edited, but: %v", err)
	}
}

// Carriage returns are left out before line feeds alone, wherever a buffer ends.
func TestLinesAsWritten(t *testing.T) {
	for _, line := range []string{"", "a", strings.Repeat("x", 4095), strings.Repeat("x", 4096), "a\rb"} {
		for text, same := range map[string]bool{line + "\r\n" + line + "\r\n": true, line + "\n" + line + "\r\n": true, line + "\n" + line: false, line + "\r\n" + line + "\r": false} {
			path := filepath.Join(t.TempDir(), "a.yaml")
			below := line + "\n" + line + "\n"
			put(t, path, strings.TrimSuffix(headOf([]byte(below)), "\n")+"\r\n"+text)
			found, err := look(path)
			if err != nil || (found.owner == ours) != same {
				t.Errorf("%.10q of %d characters: it %s, %v", text, len(text), found.owner, err)
			}
		}
	}
	if found, err := look(os.DevNull); err != nil || found.owner != foreign {
		t.Errorf("a device: %+v, %v", found, err)
	}
}
