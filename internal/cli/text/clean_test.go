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

package text

import "testing"

func TestNothingCleanDrivesATerminal(t *testing.T) {
	const dirty = "a\x1b]0;owned\x07\x1b[2J\u009b31m \u202eb\u2066\r\n\tc\xff\u00a0备份\u2028"
	if got, want := Clean(dirty), "a]0;owned[2J31m b c 备份"; got != want {
		t.Errorf("on one line: %q, want %q", got, want)
	}
	if got, want := CleanLines(dirty), "a]0;owned[2J31m b \n\tc 备份 "; got != want {
		t.Errorf("on several: %q, want %q", got, want)
	}
}
