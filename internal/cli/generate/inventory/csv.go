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
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// csv reads rows of cells under a header.
func (r *reading) csv() error {
	skipped := r.dialect()
	source := &tape{in: r.in}
	reader := csv.NewReader(bufio.NewReaderSize(source, 4<<10))
	reader.Comma = r.shape.Comma
	reader.FieldsPerRecord = -1 // told below, with the row that it concerns
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return r.fail(0, errors.New("it is empty: a CSV begins with a row of column names"))
	}
	text := source.cut(reader.InputOffset())
	if cells, is := formulaRow(text, r.shape.Comma); err != nil && is {
		header, err = cells, nil
	}
	if err != nil {
		return r.broken(err, skipped)
	}
	if err := r.header(header, skipped+1); err != nil {
		return err
	}
	for {
		err := r.csvRow(reader, source, skipped)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *reading) header(cells []string, line int) error {
	for _, cell := range cells {
		if strings.Contains(Trim(cell), "\r") {
			return r.fail(line, errors.New("its lines end with a carriage return alone: save it with line feeds, or with both"))
		}
		cell, _ = Plain(cell)
		r.shape.Header = append(r.shape.Header, Trim(cell))
	}
	for len(r.shape.Header) > 1 && r.shape.Header[len(r.shape.Header)-1] == "" { // spreadsheets leave them
		r.shape.Header = r.shape.Header[:len(r.shape.Header)-1]
	}
	return r.begin()
}

// csvRow reads a row and hands it on.
func (r *reading) csvRow(reader *csv.Reader, source *tape, skipped int) error {
	cells, err := reader.Read()
	var syntax *csv.ParseError
	switch {
	case err == nil:
	case errors.As(err, &syntax) && !source.swallowed(syntax, reader.InputOffset()):
		return r.hand(r.odd(source.cut(reader.InputOffset()), syntax, skipped))
	default:
		return r.broken(err, skipped)
	}
	source.forget(reader.InputOffset())
	line, _ := reader.FieldPos(0)
	return r.hand(r.row(cells, line+skipped))
}

// odd returns a row that is no CSV: some cells are written for spreadsheets, or it cannot be read.
func (r *reading) odd(text string, syntax *csv.ParseError, skipped int) Row {
	if cells, is := formulaRow(text, r.shape.Comma); is {
		return r.row(cells, syntax.StartLine+skipped)
	}
	return Row{Line: syntax.StartLine + skipped, Raw: text, Err: fmt.Errorf("column %d of line %d: %w: put the whole cell in quotes, and write each quote in it twice",
		syntax.Column, syntax.Line+skipped, syntax.Err)}
}

// row puts cells under their columns.
func (r *reading) row(cells []string, line int) Row {
	made := Row{Line: line, Cells: make([]Cell, 0, len(cells))}
	for index, cell := range cells {
		column := ""
		if index < len(r.shape.Header) {
			column = r.shape.Header[index]
		}
		made.Cells = append(made.Cells, Cell{Column: column, Value: cell})
	}
	surplus := len(cells) - len(r.shape.Header)
	if surplus > 0 && !slices.ContainsFunc(cells[len(r.shape.Header):], func(cell string) bool { return cell != "" }) {
		made.Cells = made.Cells[:len(r.shape.Header)]
		surplus = 0
	}
	if surplus != 0 && !made.Empty() {
		made.Err = fmt.Errorf("the row has %d cells, the header %d: look for a separator or a quote too many or too few", len(cells), len(r.shape.Header))
	}
	return made
}

// broken tells of an error after which nothing more can be read.
func (r *reading) broken(err error, skipped int) error {
	var syntax *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, errTooLong):
		return r.fail(0, err)
	case errors.As(err, &syntax):
		return r.fail(syntax.StartLine+skipped, fmt.Errorf("column %d of line %d: %w: is a quote never closed? Nothing below can be read",
			syntax.Column, syntax.Line+skipped, syntax.Err))
	default:
		return r.fail(0, fmt.Errorf("read: %w", err))
	}
}

// dialect finds what separates the cells, and returns how many lines it has passed over: spreadsheets write "sep=;" before the header.
func (r *reading) dialect() int {
	ahead, _ := r.in.Peek(peeked)
	line, _, _ := strings.Cut(string(ahead), "\n")
	if name, separator, _ := strings.Cut(strings.TrimRight(line, "\r"), "="); strings.EqualFold(name, "sep") && len(separator) == 1 && strings.Contains(separators, separator) {
		_, _ = r.in.Discard(len(line) + 1)
		r.shape.Comma = rune(separator[0])
		return 1
	}
	r.shape.Comma = separator(line)
	return 0
}

// separators are what may separate cells, the likeliest first.
const separators = ",;\t|"

// separator returns what occurs most often in a header, outside of quotes.
func separator(header string) rune {
	best, most := ',', 0
	for _, candidate := range separators {
		count, quoted := 0, false
		for _, char := range header {
			quoted = quoted != (char == '"')
			if char == candidate && !quoted {
				count++
			}
		}
		if count > most {
			best, most = candidate, count
		}
	}
	return best
}

var errTooLong = fmt.Errorf("a row is longer than %d bytes: is a quote never closed?", MaxRow)

// tape remembers what was read of a row, so that one that cannot be read can still be shown.
type tape struct {
	in     io.Reader
	kept   []byte
	offset int64 // of the first byte that is kept
	read   int64 // all that was read
	ended  bool
}

// Read implements io.Reader.
func (t *tape) Read(buffer []byte) (int, error) {
	if len(t.kept) > MaxRow+len(buffer) {
		return 0, errTooLong
	}
	count, err := t.in.Read(buffer)
	t.kept = append(t.kept, buffer[:count]...)
	t.read += int64(count)
	t.ended = t.ended || err != nil
	return count, err
}

// swallowed reports whether a row that cannot be read goes on to the end: a quote that is never closed.
func (t *tape) swallowed(syntax *csv.ParseError, offset int64) bool {
	return t.ended && offset == t.read && syntax.Line > syntax.StartLine
}

// forget drops what comes before an offset.
func (t *tape) forget(offset int64) {
	t.kept = t.kept[:copy(t.kept, t.kept[offset-t.offset:])]
	t.offset = offset
}

// cut returns the text up to an offset, and drops it.
func (t *tape) cut(offset int64) string {
	text := strings.Trim(string(t.kept[:offset-t.offset]), "\r\n")
	t.forget(offset)
	return text
}
