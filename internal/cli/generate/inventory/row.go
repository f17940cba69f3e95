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
	"fmt"
	"sync/atomic"
	"unicode/utf8"
)

// Format is how an inventory is written.
type Format string

// The formats.
const (
	Auto      Format = "auto" // what the first characters look like
	JSON      Format = "json"
	JSONLines Format = "jsonl"
	CSV       Format = "csv"
)

// ReasonColumn is the column that rejects have in addition: why a row was rejected. It is never a field of a backup.
const ReasonColumn = "reject_reason"

// Shape is what the rows of an inventory have in common.
type Shape struct {
	// File is the name of the inventory.
	File string
	// Format is CSV, JSON or JSONLines.
	Format Format
	// Header holds the names of the columns of a CSV, without the white space around them. It is nil for the other formats.
	Header []string
	// Comma separates the cells of a CSV.
	Comma rune

	marked atomic.Bool
}

// Marked reports that the inventory is not plain UTF-8, but began with a byte order mark or was in another encoding. This may show
// while it is read.
func (s *Shape) Marked() bool { return s.marked.Load() }

// Row is one row of an inventory.
type Row struct {
	Shape *Shape
	// Line is the line on which the row begins, from 1.
	Line int
	// Cells are in the order of the inventory.
	Cells []Cell
	// Raw is the text of a row that could not be read, or that is no object.
	Raw string
	// Err says why the row could not be read. It is nil if it could.
	Err error
}

// Where returns the position of the row, as compilers give it.
func (r Row) Where() string { return fmt.Sprintf("%s:%d", r.Shape.File, r.Line) }

// Empty reports whether no cell holds anything but white space.
func (r Row) Empty() bool {
	for _, cell := range r.Cells {
		if text, isText := cell.Value.(string); !isText || Trim(text) != "" {
			return false
		}
	}
	return r.Err == nil
}

// Cell is one value of a row.
type Cell struct {
	// Column is the name of the column, as it is in the inventory.
	Column string
	// Value is what JSON decodes to: a string, a json.Number, a bool, nil, []any or map[string]any. The cells of a CSV are strings.
	Value any
	// raw is the value in JSON; nil in a CSV.
	raw []byte
}

// Handler takes what is read.
type Handler interface {
	// Begin is told the shape of an inventory before its rows.
	Begin(*Shape) error
	// Row takes a row. An error ends the reading.
	Row(Row) error
}

// Error is why an inventory cannot be read on.
type Error struct {
	File string
	Line int // 0 if it concerns the whole file
	Err  error
}

// Error names the place and the cause.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// unreadable returns why a text cannot be what the inventory said, nil if it can.
func (s *Shape) unreadable(column, text string, decoded bool) error {
	switch {
	case !utf8.ValidString(text):
		return fmt.Errorf("%s: %s: it holds bytes that are no UTF-8, as the inventory otherwise is: correct the row, or name the encoding by --encoding", Show(column), Show(text))
	case decoded && containsReplacement(text):
		return fmt.Errorf("%s: %s: it holds bytes that the encoding does not have: correct the row, or name the encoding by --encoding", Show(column), Show(text))
	default:
		return nil
	}
}
