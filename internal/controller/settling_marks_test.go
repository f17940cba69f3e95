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

package controller

import "testing"

// The command explain reads the marks of the journal, too: its test TestMarks has the same example. Whoever changes how a mark is made
// changes both.
func TestMarksOfTheJournalAreTheOnesThatExplainReads(t *testing.T) {
	var marked marks
	marked.add(markOf("1F9E6B47-7655-4A19-B563-21B4EF023025"))
	if got := marked.text(); got != "tzeedw==" {
		t.Errorf("got %s", got)
	}
}
