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
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"backupsync.dev/operator/internal/cli/generate/fields"
	"backupsync.dev/operator/internal/cli/generate/inventory"
)

// batchSize is how many rows go from one goroutine to the next at once.
const batchSize = 64

// batch is a number of rows in their order.
type batch struct {
	rows   []read
	judged []judged
	done   chan struct{} // closed when they are judged
}

// pipeline reads and judges rows in goroutines of its own, and has take called for each in their order. It ends with the error of reading
// or of take.
func pipeline(ctx context.Context, judge *judge, read func(context.Context, func(read) error) error, take func(judged) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a read of a terminal cannot be ended: it is left behind
	workers := runtime.GOMAXPROCS(0)
	waiting, ordered, end := make(chan *batch), make(chan *batch, 4*workers), make(chan error, 1)
	go func() {
		defer close(waiting)
		defer close(ordered)
		end <- readBatches(ctx, read, waiting, ordered)
	}()
	for range workers {
		go func() {
			for one := range waiting {
				for _, row := range one.rows {
					one.judged = append(one.judged, judge.row(ctx, row))
				}
				close(one.done)
			}
		}()
	}
	if err := takeBatches(ctx, ordered, take); err != nil {
		return err
	}
	return <-end
}

func readBatches(ctx context.Context, from func(context.Context, func(read) error) error, waiting, ordered chan<- *batch) error {
	next := &batch{done: make(chan struct{})}
	send := func() error {
		for _, to := range []chan<- *batch{ordered, waiting} {
			select {
			case to <- next:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		next = &batch{done: make(chan struct{})}
		return nil
	}
	err := from(ctx, func(row read) error {
		next.rows = append(next.rows, row)
		if len(next.rows) < batchSize {
			return nil
		}
		return send()
	})
	if sent := send(); err == nil {
		err = sent
	}
	return err
}

func takeBatches(ctx context.Context, ordered <-chan *batch, take func(judged) error) error {
	for {
		var next *batch
		select {
		case next = <-ordered:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if next == nil {
			return nil
		}
		select {
		case <-next.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, one := range next.judged {
			if err := take(one); err != nil {
				return err
			}
		}
	}
}

// reader reads inventories one after the other, and finds out what their columns mean.
type reader struct {
	settings *settings
	progress *progress
	stdin    io.Reader
	columns  *fields.Columns

	hand    func(read) error
	file    int
	layout  *fields.Layout
	err     error
	unknown map[string]bool
	seen    map[string]bool // of the columns of --map
	notes   []string
}

// read hands on the rows of all inventories.
func (r *reader) read(ctx context.Context, hand func(read) error) error {
	r.hand = hand
	for index, name := range r.settings.inputs {
		r.file, r.layout = index, nil
		if err := r.inventory(ctx, name); err != nil {
			return err
		}
	}
	if err := r.columns.Unused(r.seen); err != nil {
		r.notes = append(r.notes, err.Error())
	}
	return nil
}

func (r *reader) inventory(ctx context.Context, name string) error {
	in, shown := r.stdin, "stdin"
	if name != stdin {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("open an inventory: %w", err)
		}
		defer func() { _ = file.Close() }() // it was only read
		in, shown = file, name
	}
	options := inventory.Options{Format: r.settings.format, Encoding: r.settings.encoding, Field: r.columns.Holds}
	info, err := inventory.Read(ctx, shown, r.progress.counting(in), options, r)
	if info.Guessed != "" {
		r.notes = append(r.notes, fmt.Sprintf("%s: it is no UTF-8, and was read as %s. --encoding tells what it is", shown, info.Guessed))
	}
	if info.Hollow > 0 {
		r.notes = append(r.notes, fmt.Sprintf("%s: the list of rows is empty, and no other member is a backup's field: nothing is taken of the object%s",
			info.HollowAt, others(info.Hollow-1, "object")))
	}
	return err
}

// Begin implements inventory.Handler.
func (r *reader) Begin(shape *inventory.Shape) error {
	r.layout, r.err = nil, nil
	if shape.Format != inventory.CSV {
		return nil
	}
	layout, err := r.columns.Layout(shape.Header)
	if err == nil {
		err = layout.Missing()
	}
	if err != nil {
		return &inventory.Error{File: shape.File, Err: err}
	}
	r.layout = layout
	r.told(shape.Header)
	return nil
}

// Row implements inventory.Handler.
func (r *reader) Row(row inventory.Row) error {
	if row.Shape.Format != inventory.CSV && row.Raw == "" && !r.layout.Fits(row.Cells) {
		columns := make([]string, 0, len(row.Cells))
		for _, cell := range row.Cells {
			columns = append(columns, cell.Column)
		}
		r.layout, r.err = r.columns.Layout(columns)
		r.told(columns)
	}
	one := read{row: row, file: r.file, layout: r.layout, err: r.err}
	if r.err != nil {
		r.layout = nil
	}
	return r.hand(one)
}

// maxUnknown is how many columns without a meaning are told.
const maxUnknown = 100

// told notes the columns that hold no field, each once.
func (r *reader) told(columns []string) {
	for _, column := range columns {
		if r.columns.Named(column) {
			r.seen[column] = true
		}
	}
	if r.layout == nil {
		return
	}
	for _, column := range r.layout.Unknown() {
		if !r.unknown[column] && len(r.unknown) < maxUnknown && !r.columns.Named(column) {
			r.unknown[column] = true
			r.notes = append(r.notes, fmt.Sprintf("%s: the column %s is none of a backup's fields, and is ignored", r.name(), inventory.Show(column)))
		}
	}
}

func (r *reader) name() string {
	if name := r.settings.inputs[r.file]; name != stdin {
		return name
	}
	return "stdin"
}

// sizes returns how many bytes all inventories have, 0 if that is not known.
func sizes(inputs []string) int64 {
	var total int64
	for _, name := range inputs {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() || slices.Contains(inputs, stdin) {
			return 0
		}
		total += info.Size()
	}
	return total
}
