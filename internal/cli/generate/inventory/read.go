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
	"context"
	"io"
	"unicode"
)

// Options say what is known of inventories.
type Options struct {
	Format   Format
	Encoding Encoding
	// Field reports whether a column holds a field of a backup. An object of JSON with such a member is a row, also if it has a list that a body
	// may have.
	Field func(column string) bool
}

// Info is what was found out about an inventory.
type Info struct {
	// Guessed is the encoding, if it is neither UTF-8 nor was it named.
	Guessed Encoding
	// Hollow is how many objects of JSON were taken for bodies, hold no row, and have other members: none is a field. HollowAt is where the first is.
	Hollow   int
	HollowAt string
}

// MaxRow is the longest row that is read, in bytes. What is longer is a quote that is never closed.
const MaxRow = 1 << 20

// peeked is how much is looked at to tell formats and dialects apart.
const peeked = 64 << 10

// Read reads an inventory, and hands on its rows in their order. A row that cannot be read is handed on with its error; an
// error is returned if there is no reading on.
func Read(ctx context.Context, file string, in io.Reader, options Options, handler Handler) (Info, error) {
	text, err := decode(contextReader{ctx: ctx, in: in}, options.Encoding)
	if err != nil {
		return Info{}, &Error{File: file, Err: err}
	}
	read := &reading{text: text, in: bufio.NewReaderSize(text, peeked), handler: handler, field: options.Field, shape: &Shape{File: file}}
	err = read.rows(options.Format)
	read.info.Guessed = text.guessed
	return read.info, err
}

// reading is the reading of one inventory.
type reading struct {
	text    *decoded
	in      *bufio.Reader
	handler Handler
	field   func(column string) bool
	shape   *Shape
	info    Info
}

func (r *reading) rows(format Format) error {
	if format == Auto || format == "" {
		format = r.format()
	}
	r.shape.Format = format
	switch format {
	case JSON:
		return r.json()
	case JSONLines:
		return r.jsonLines()
	default:
		return r.csv()
	}
}

// format tells by the first characters how an inventory is written.
func (r *reading) format() Format {
	ahead, _ := r.in.Peek(peeked)
	for index, char := range string(ahead) {
		switch {
		case unicode.IsSpace(char):
		case char == '[':
			return JSON
		case char == '{' && r.isLine(ahead[index:]):
			return JSONLines
		case char == '{':
			return JSON
		default:
			return CSV
		}
	}
	return CSV
}

// hollow notes an object of which no row was taken.
func (r *reading) hollow(line int) {
	r.info.Hollow++
	if r.info.Hollow == 1 {
		r.info.HollowAt = Row{Shape: r.shape, Line: line}.Where()
	}
}

func (r *reading) fail(line int, err error) error {
	return &Error{File: r.shape.File, Line: line, Err: err}
}

// begin tells the handler of the shape. The encoding may show only later: rows refer to the same shape.
func (r *reading) begin() error {
	r.shape.marked.Store(r.text.marked)
	return r.handler.Begin(r.shape)
}

func (r *reading) hand(row Row) error {
	if r.text.marked {
		r.shape.marked.Store(true)
	}
	row.Shape = r.shape
	for index := range row.Cells {
		text, isText := row.Cells[index].Value.(string)
		if !isText || row.Err != nil {
			continue
		}
		row.Err = r.shape.unreadable(row.Cells[index].Column, text, r.text.lossy)
	}
	return r.handler.Row(row)
}

// contextReader reads until a context ends.
type contextReader struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader.
func (c contextReader) Read(buffer []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.in.Read(buffer)
}
