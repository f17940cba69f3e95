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

package inventory

import (
	"slices"
	"testing"
)

// Cells that spreadsheets are to take for texts are read, and only those: what is no CSV otherwise stays none.
func TestFormulaRows(t *testing.T) {
	for text, want := range map[string][]string{
		`="007",a`:                {`="007"`, "a"},
		`a,="b,c","=d, e",="",f`:  {"a", `="b,c"`, "=d, e", `=""`, "f"},
		`="a ""b"", c",` + "\xff": {`="a ""b"", c"`, "\xff"},
		`"a,=""b""",="c"`:         {`a,="b"`, `="c"`},
		`"a` + "\n" + `b",="c"`:   {"a\nb", `="c"`},
		`="a"&"b"`:                nil,
		`="a`:                     nil,
		`="a",b"c`:                nil,
		`a="b"`:                   nil,
		`=="b"`:                   nil,
	} {
		got, is := formulaRow(text, ',')
		if is != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("%s is read as %q, %t, not %q", text, got, is, want)
		}
	}
}

// The text is that in the quotes. A formula that computes something is none.
func TestPlain(t *testing.T) {
	for cell, want := range map[string]string{
		`="007"`: "007", ` ="007" `: "007", `=""`: "", `="a ""b"""`: `a "b"`, `=" a "`: " a ",
		`="a"&"b"`: "", `=A1`: "", `="`: "", `="a`: "", `"a"`: "", "007": "",
	} {
		got, is := Plain(cell)
		if is != (want != "" || cell == `=""`) || is && got != want || !is && got != cell {
			t.Errorf("%s is taken for %q, %t", cell, got, is)
		}
	}
}
