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
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Rejects writes rows as they were read, each with the reason why it was rejected, so that they can be corrected and read again. It takes
// rows of one shape. Close ends what it writes.
type Rejects struct {
	out    io.Writer
	shape  *Shape
	begun  bool
	reason int // the column of the reason in a CSV
}

// NewRejects returns a writer of rows of a shape. Nothing is written before the first of them.
func NewRejects(out io.Writer, shape *Shape) *Rejects {
	reason := slices.Index(shape.Header, ReasonColumn)
	if reason < 0 {
		reason = len(shape.Header)
	}
	return &Rejects{out: out, shape: shape, reason: reason}
}

// Takes reports whether rows of another shape can be written in the same file.
func (w *Rejects) Takes(shape *Shape) bool {
	return w.shape == shape || w.shape.Format == shape.Format && w.shape.Comma == shape.Comma && slices.Equal(w.shape.Header, shape.Header)
}

// Write writes a row.
func (w *Rejects) Write(row Row, reason string) error {
	text, err := w.text(row, reason)
	if err != nil {
		return fmt.Errorf("write a rejected row: %w", err)
	}
	if _, err := io.WriteString(w.out, text); err != nil {
		return fmt.Errorf("write the rejected rows: %w", err)
	}
	w.begun = true
	return nil
}

// Close writes the end. It does not close the writer below.
func (w *Rejects) Close() error {
	if w.shape.Format != JSON || !w.begun {
		return nil
	}
	if _, err := io.WriteString(w.out, "\n]\n"); err != nil {
		return fmt.Errorf("write the rejected rows: %w", err)
	}
	return nil
}

func (w *Rejects) text(row Row, reason string) (string, error) {
	switch w.shape.Format {
	case JSON:
		before := ",\n"
		if !w.begun {
			before = "[\n"
		}
		text, err := rowJSON(row, reason)
		return before + text, err
	case JSONLines:
		text, err := rowJSON(row, reason)
		return text + "\n", err
	default:
		head := ""
		if !w.begun {
			head = w.header()
		}
		return head + w.cells(row, reason), nil
	}
}

// byteOrderMark says that a text is UTF-8, to spreadsheets and to this package.
const byteOrderMark = "\ufeff"

func (w *Rejects) header() string {
	mark := ""
	if w.shape.Marked() {
		mark = byteOrderMark
	}
	return mark + w.line(w.with(w.shape.Header, ReasonColumn))
}

// cells returns a row of a CSV. A row with too few or too many cells keeps being one when the reason comes behind it.
func (w *Rejects) cells(row Row, reason string) string {
	if row.Raw != "" {
		return row.Raw + "\n" // its quotes are broken: nothing can be put behind it
	}
	cells := make([]string, 0, len(row.Cells)+1)
	for _, cell := range row.Cells {
		text, _ := cell.Value.(string)
		cells = append(cells, text)
	}
	if len(cells) != len(w.shape.Header) && w.reason < len(w.shape.Header) {
		return w.line(cells)
	}
	return w.line(w.with(cells, reason))
}

// with returns cells with the reason in its column.
func (w *Rejects) with(cells []string, reason string) []string {
	if w.reason < len(w.shape.Header) && w.reason < len(cells) {
		cells = slices.Clone(cells)
		cells[w.reason] = reason
		return cells
	}
	return append(slices.Clip(cells), reason)
}

func (w *Rejects) line(cells []string) string {
	var text strings.Builder
	writer := csv.NewWriter(&text)
	writer.Comma = w.shape.Comma
	_ = writer.Write(cells) // to memory; the separator is one that was read
	writer.Flush()
	return text.String()
}

// rowJSON returns a row on one line, with the reason as its last member.
func rowJSON(row Row, reason string) (string, error) {
	if row.Raw != "" {
		return row.Raw, nil
	}
	var text bytes.Buffer
	for _, cell := range row.Cells {
		if cell.Column == ReasonColumn {
			continue
		}
		if err := appendMember(&text, cell.Column, cell.raw); err != nil {
			return "", err
		}
	}
	quoted, err := jsontext.AppendQuote(nil, reason)
	if err != nil {
		quoted = []byte(`""`) // it quotes what cannot be quoted
	}
	if err := appendMember(&text, ReasonColumn, quoted); err != nil {
		return "", err
	}
	return "{" + text.String() + "}", nil
}

func appendMember(text *bytes.Buffer, name string, value jsontext.Value) error {
	quoted, _ := jsontext.AppendQuote(nil, name) // what is no UTF-8 in it is replaced
	value = bytes.Clone(value)
	if err := value.Compact(tolerant...); err != nil {
		return err
	}
	if text.Len() > 0 {
		text.WriteString(", ")
	}
	text.Write(quoted)
	text.WriteString(": ")
	text.Write(value)
	return nil
}
