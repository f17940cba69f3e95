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
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// envelopes are the members that hold the rows of a body: "sync" is that of ImportBackup.
var envelopes = []string{"sync", "backups", "items"}

// tolerant takes what is told with the row that it concerns.
var tolerant = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// isLine reports whether a text begins with a line that is an object, and no body with rows in it.
func (r *reading) isLine(text []byte) bool {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if !jsontext.Value(line).IsValid(tolerant...) {
		return false
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(line), tolerant...)
	_, _ = decoder.ReadToken() // the brace
	isRow, isBody := false, false
	for decoder.PeekKind() == jsontext.KindString {
		name, _ := decoder.ReadToken()
		isRow = isRow || r.isField(name.String())
		isBody = isBody || isEnvelope(name.String(), decoder.PeekKind())
		_ = decoder.SkipValue() // it is valid
	}
	return isRow || !isBody
}

func (r *reading) isField(column string) bool { return r.field != nil && r.field(column) }

func isEnvelope(name string, value jsontext.Kind) bool {
	return value == jsontext.KindBeginArray && slices.Contains(envelopes, name)
}

// json reads a body, an array of rows, or one object after the other.
func (r *reading) json() error {
	if err := r.begin(); err != nil {
		return err
	}
	lines := &position{in: r.in, line: 1}
	document := &document{reading: r, Decoder: jsontext.NewDecoder(lines, tolerant...), lines: lines}
	for {
		if err := document.top(); err != nil {
			return r.jsonEnd(err, lines.line)
		}
	}
}

func (r *reading) jsonEnd(err error, line int) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return r.fail(line, errors.New("the JSON ends in the middle: the file is cut off"))
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, errTooLong):
		return r.fail(line, errTooLong)
	case errors.As(err, &syntax):
		return r.fail(line, fmt.Errorf("%w: nothing below can be read; --format=jsonl reads line by line, --format=csv cells", syntax))
	default:
		return err
	}
}

// jsonLines reads an object from each line. A line that is none is a row that cannot be read.
func (r *reading) jsonLines() error {
	if err := r.begin(); err != nil {
		return err
	}
	scanner := bufio.NewScanner(r.in)
	scanner.Buffer(make([]byte, 0, peeked), MaxRow)
	line := 0
	for scanner.Scan() {
		line++
		if err := r.jsonLine(bytes.TrimSpace(scanner.Bytes()), line); err != nil {
			return err
		}
	}
	switch err := scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return r.fail(line+1, fmt.Errorf("the line is longer than %d bytes: is this JSON lines?", MaxRow))
	case err != nil:
		return r.fail(line, fmt.Errorf("read: %w", err))
	default:
		return nil
	}
}

func (r *reading) jsonLine(text []byte, line int) error {
	if len(text) == 0 {
		return nil
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(text), tolerant...)
	if _, err := decoder.ReadValue(); err == nil {
		_, err = decoder.ReadToken()
		if errors.Is(err, io.EOF) {
			return r.jsonValue(text, line)
		}
	}
	return r.hand(Row{Line: line, Raw: string(text), Err: errors.New("the line is no JSON object")})
}

func (r *reading) jsonValue(text []byte, line int) error {
	document := &document{reading: r, Decoder: jsontext.NewDecoder(bytes.NewReader(text), tolerant...), lines: &position{line: line}}
	return document.top()
}

// document is JSON with rows in it.
type document struct {
	*jsontext.Decoder
	reading *reading
	lines   *position
}

// top reads a value of the top level: an array of rows, a body, or a row.
func (d *document) top() error {
	if d.PeekKind() == jsontext.KindBeginArray {
		_, err := d.array()
		return err
	}
	return d.element()
}

// array reads rows, and returns how many elements there were.
func (d *document) array() (count int, err error) {
	if _, err := d.ReadToken(); err != nil {
		return 0, err
	}
	for ; d.PeekKind() != jsontext.KindEndArray; count++ {
		if err := d.element(); err != nil {
			return count, err
		}
	}
	_, err = d.ReadToken()
	return count, err
}

// element reads a row, or a body.
func (d *document) element() error {
	if d.PeekKind() == jsontext.KindBeginObject {
		return d.object()
	}
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	line := d.lines.at(d.InputOffset() - int64(len(value)))
	return d.reading.hand(Row{Line: line, Raw: string(value), Err: errors.New("it is no JSON object with the fields of a backup")})
}

// object reads a row, or a body with a list of rows. A list behind a field of a backup is one more value of a row, and holds no rows.
func (d *document) object() error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	row, isRow := Row{Line: d.lines.at(d.InputOffset() - 1)}, false
	var lists []Cell
	held := 0
	for d.PeekKind() == jsontext.KindString {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		column := name.String()
		if isEnvelope(column, d.PeekKind()) && !isRow {
			lists = append(lists, Cell{Column: strings.Clone(column), Value: []any{}, raw: []byte("[]")})
			count, err := d.array()
			if err != nil {
				return err
			}
			held += count
			continue
		}
		isRow = isRow || d.reading.isField(column)
		if err := d.member(&row, column); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	return d.end(row, isRow || lists == nil, lists, held)
}

// end hands on a row, if an object was one. It may have had lists before its first field, which were taken for those of a body.
func (d *document) end(row Row, isRow bool, lists []Cell, held int) error {
	switch {
	case !isRow && held == 0 && len(row.Cells) > 0:
		d.reading.hollow(row.Line)
		return nil
	case !isRow:
		return nil
	case held > 0:
		row.Line = d.lines.at(d.InputOffset()) // behind those
		row.Err = fmt.Errorf("it has fields of a backup, and before them the list %s, which was read as rows: without that list it is a row", Show(lists[0].Column))
	}
	row.Cells = append(lists, row.Cells...)
	d.lines.forget(d.InputOffset())
	return d.reading.hand(row)
}

// member adds a member to a row.
func (d *document) member(row *Row, column string) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	value, err := valueOf(raw)
	if err != nil && row.Err == nil {
		row.Err = fmt.Errorf("%s: %s: %w", Show(column), Show(string(raw)), err)
	}
	row.Cells = append(row.Cells, Cell{Column: strings.Clone(column), Value: value, raw: bytes.Clone(raw)})
	return nil
}

// valueOf returns a value as encoding/json decodes it, but for what is in arrays and objects: no field has any.
func valueOf(raw jsontext.Value) (any, error) {
	switch raw.Kind() {
	case jsontext.KindString:
		if !utf8.Valid(raw) {
			return string(raw), nil // this is told by the caller, as for other formats
		}
		text, err := jsontext.AppendUnquote(nil, raw)
		return string(text), err
	case jsontext.KindNumber:
		return json.Number(raw), nil
	case jsontext.KindTrue, jsontext.KindFalse:
		return raw.Kind() == jsontext.KindTrue, nil
	case jsontext.KindNull:
		return nil, nil
	case jsontext.KindBeginArray:
		return []any{}, nil
	default:
		return map[string]any{}, nil
	}
}

// position counts the lines of what is read, and refuses rows that do not end.
type position struct {
	in     io.Reader
	breaks []int64 // the offsets of the line breaks that at has not passed
	line   int     // where at was last
	read   int64
	from   int64 // the end of the latest row
}

// Read implements io.Reader.
func (p *position) Read(buffer []byte) (int, error) {
	if p.read-p.from > MaxRow+int64(len(buffer)) {
		return 0, errTooLong
	}
	count, err := p.in.Read(buffer)
	for index, char := range buffer[:count] {
		if char == '\n' {
			p.breaks = append(p.breaks, p.read+int64(index))
		}
	}
	p.read += int64(count)
	return count, err
}

// at returns the line of an offset. Offsets must not go back.
func (p *position) at(offset int64) int {
	passed := 0
	for passed < len(p.breaks) && p.breaks[passed] < offset {
		passed++
	}
	p.breaks = p.breaks[:copy(p.breaks, p.breaks[passed:])]
	p.line += passed
	return p.line
}

// forget says that a row has ended.
func (p *position) forget(offset int64) { p.from = offset }
