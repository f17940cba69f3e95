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

import (
	"strings"

	"backupsync.dev/operator/internal/backupsync"
)

// Clean makes a text from anywhere fit for one line of any terminal: what cannot be printed is left out, such as the codes that drive a
// terminal, and characters that turn the direction of what follows.
func Clean(text string) string { return strings.Join(strings.Fields(CleanLines(text)), " ") }

// CleanLines does the same with a text that may have several lines, and tabs.
func CleanLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return backupsync.Printable(r)
	}, strings.ToValidUTF8(text, ""))
}
