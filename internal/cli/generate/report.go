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

package generate

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"backupsync.dev/operator/internal/cli/generate/fields"
	"backupsync.dev/operator/internal/cli/generate/inventory"
	"backupsync.dev/operator/internal/cli/text"
)

// counts are those of a run.
type counts struct{ rows, written, rejected, duplicates int }

// report tells what has become of the rows. Problems are told at once, remarks at the end, each kind once.
type report struct {
	out    io.Writer
	clear  func() // makes room on the terminal
	quiet  bool
	limit  int // of problems that are told, 0 for all
	counts counts
	notes  []string
	marks  map[mark]*marked
}

type mark struct {
	field  string
	remark fields.Remark
}

type marked struct {
	count        int
	where, value string
}

// say prints one line. It may hold names of files, and what an API server and its webhooks say.
func (r *report) say(format string, arguments ...any) {
	r.clear()
	_, _ = fmt.Fprintln(r.out, text.CleanLines(strings.ReplaceAll(fmt.Sprintf(format, arguments...), "\n", " ")))
}

// rejected tells the problems of a row.
func (r *report) rejected(row inventory.Row, problems []fields.Problem) {
	r.counts.rejected++
	switch {
	case r.limit > 0 && r.counts.rejected == r.limit+1:
		r.say("There are more: --rejects has them all.")
	case r.limit == 0 || r.counts.rejected <= r.limit:
		for _, problem := range problems {
			r.say("%s: %s", row.Where(), problem)
		}
	}
}

// duplicate tells of a row that says again what an earlier one has said: the first ones singly.
func (r *report) duplicate(row inventory.Row, before string) {
	r.counts.duplicates++
	switch {
	case r.quiet || r.counts.duplicates > maxDuplicates+1:
	case r.counts.duplicates == maxDuplicates+1:
		r.say("There are more identical duplicates: the sum at the end counts them.")
	default:
		r.say("%s: dropped, as it says the same as %s", row.Where(), before)
	}
}

// maxDuplicates is how many identical duplicates are told singly.
const maxDuplicates = 20

// remark keeps remarks about a row that was taken.
func (r *report) remark(row inventory.Row, notes []fields.Note) {
	for _, note := range notes {
		key := mark{note.Field, note.Remark}
		if r.marks[key] == nil {
			r.marks[key] = &marked{where: row.Where(), value: note.Value}
		}
		r.marks[key].count++
	}
}

// note keeps what is to be said at the end.
func (r *report) note(format string, arguments ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, arguments...))
}

// end tells the remarks and the sum.
func (r *report) end(verb string) {
	if r.quiet {
		return
	}
	for _, note := range r.notes {
		r.say("Note: %s", note)
	}
	keys := slices.SortedFunc(maps.Keys(r.marks), func(a, b mark) int {
		return strings.Compare(a.field+string(a.remark), b.field+string(b.remark))
	})
	for _, key := range keys {
		found := r.marks[key]
		r.say("Note: %s: %s: %s: %s%s", found.where, key.field, inventory.Show(found.value), key.remark, others(found.count-1, "row"))
	}
	c := r.counts
	r.say("%s read: %d %s, %d rejected, %s dropped.", plural(c.rows, "row"), c.written, verb, c.rejected, plural(c.duplicates, "identical duplicate"))
}

func others(count int, noun string) string {
	if count == 0 {
		return ""
	}
	return fmt.Sprintf(" (and in %s)", plural(count, "more "+noun))
}

func plural(count int, noun string) string {
	if count == 1 {
		return fmt.Sprintf("1 %s", noun)
	}
	return fmt.Sprintf("%d %ss", count, noun)
}
