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

package explain

import (
	"strings"
	"testing"
)

// Nothing of a CBRProject is sent that is being deleted: nobody is told to wait for that.
func TestADeletionOfTheProjectIsTold(t *testing.T) {
	for _, name := range []string{"queued", "running", "rejected"} {
		from := scenes()[name]
		from.project.DeletionTimestamp, from.project.Finalizers = ptr(before(3)), []string{"example.com/hold"}
		got := compute(from)
		if notes := strings.Join(got.Notes, " "); !strings.Contains(notes, "The CBRProject default is being deleted since") || !strings.Contains(notes, "example.com/hold") {
			t.Errorf("%s: noted is %q", name, notes)
		}
		if advice := strings.Join(got.Advice, " "); name != "rejected" && (strings.Contains(advice, "Wait") || !strings.Contains(advice, "Create the CBRProject default again")) {
			t.Errorf("%s: advised is %q", name, advice)
		}
		if name == "queued" && !strings.Contains(got.Waits.For, "created again") {
			t.Errorf("it waits for %s", got.Waits.For)
		}
	}
}
