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

	"backupsync.dev/operator/internal/cli/text"
)

// Characters that cannot be seen are not shown as they are; and where nothing else differs, it is seen that they do.
func TestWhatIsDeclaredCannotTurnLinesAround(t *testing.T) {
	from := scenes()["queued"]
	spec := &from.backup.Spec
	spec.BucketName, spec.ImagePath, spec.ResourceID, spec.ResourceName, spec.ResourceType = "b\u2066c", "a/\u202eb", "r\u202ed", "n\u202ee", "t\u202ef"
	so := compute(from)
	so.Drift = &Drift{Fields: []FieldDrift{{"spec.imagePath", "a/b", "a/\u202eb"}, {"spec.bucketName", "d\u202e", "b\u2066c"}}}
	got := strings.Join(render(text.Terminal{Width: 200}, so), "\n")
	if strings.ContainsAny(got, "\u202e\u2066") {
		t.Errorf("%q", got)
	}
	for _, says := range []string{"in      bc, a/b", "of      ne, rd (tf)", `CBR has "a/b"  declared is "a/\u202eb"`, "CBR has d      declared is bc"} {
		if !strings.Contains(got, says) {
			t.Errorf("%q is not shown:\n%s", says, got)
		}
	}
}
