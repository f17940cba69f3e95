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
	"errors"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/generate/fields"
	"backupsync.dev/operator/internal/cli/generate/inventory"
)

// runner is one run of the command.
type runner struct {
	settings *settings
	in       io.Reader
	out      io.Writer
	occupied []location // see settings.occupied
	// connect and namespace are the cluster's.
	connect   func() (client.Client, error)
	namespace func() (string, error)

	report   *report
	progress *progress
	seen     *seen
	rejects  *rejects
	sink     sink
	text     []byte
}

// errStrict ends a strict run. It has found a rejected row, as others have that go on.
var errStrict = cli.WithStatus(cli.ExitFound, errors.New("a row was rejected, and --strict takes all or none: nothing was written"))

// run reads all inventories and writes their manifests.
func (r *runner) run(ctx context.Context) (err error) {
	if r.rejects, err = newRejects(r.settings.rejects, r.settings.force, r.occupied); err != nil {
		return err
	}
	defer func() {
		r.rejects.discard()
		err = errors.Join(err, r.seen.Close())
		r.progress.clear()
	}()
	if r.sink, err = r.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.sink.discard()) }()
	columns := &reader{settings: r.settings, progress: r.progress, stdin: r.in, columns: r.settings.columns, unknown: map[string]bool{}, seen: map[string]bool{}}
	err = pipeline(ctx, r.settings.judge, columns.read, func(one judged) error { return r.take(ctx, one) })
	if err == nil {
		r.report.notes = append(r.report.notes, columns.notes...)
		err = r.sink.commit(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted: files are as they were, and what was printed is not all: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	r.report.end(r.settings.verb())
	return errors.Join(r.status(), r.endRejects())
}

// status is an error if rows were rejected.
func (r *runner) status() error {
	c := r.report.counts
	if c.rejected == 0 {
		return nil
	}
	return cli.WithStatus(cli.ExitFound, fmt.Errorf("%d of %s rejected", c.rejected, plural(c.rows, "row")+" "+was(c.rejected)))
}

func was(count int) string {
	if count == 1 {
		return "was"
	}
	return "were"
}

func (r *runner) endRejects() error {
	paths, err := r.rejects.commit()
	if len(paths) > 0 && err == nil && !r.settings.quiet {
		r.report.say("The rejected rows are in %s, to be corrected and read again.", strings.Join(paths, ", "))
	}
	return err
}

// take decides about a row, in the order of the rows.
func (r *runner) take(ctx context.Context, one judged) error {
	if one.row.Empty() && one.row.Raw == "" && one.row.Shape.Format == inventory.CSV {
		return nil // spreadsheets leave them
	}
	r.report.counts.rows++
	r.progress.rows(r.report.counts.rows)
	if len(one.problems) > 0 {
		return r.reject(one.row, one.problems)
	}
	before, same, twice, err := r.seen.backup(&one.spec)
	switch {
	case err != nil:
		return err
	case twice && same:
		r.report.duplicate(one.row, r.where(before))
		return nil
	case twice:
		return r.reject(one.row, []fields.Problem{{Field: "backup_id", Value: one.spec.BackupID,
			Rule: fmt.Sprintf("%s has the same backup (capitals make no difference) with other fields, and was taken: keep the one that is right", r.where(before))}})
	}
	return r.write(ctx, one)
}

// write names a backup and writes its manifest.
func (r *runner) write(ctx context.Context, one judged) error {
	name, err := r.settings.names.Name(&one.spec)
	if err != nil {
		return r.reject(one.row, []fields.Problem{{Rule: err.Error()}})
	}
	before, twice, err := r.seen.name(r.settings.names, name, &one.spec)
	if err != nil {
		return err
	}
	if twice {
		return r.reject(one.row, []fields.Problem{{Rule: fmt.Sprintf("its object would have the name %s, as that of %s has: have --name-template tell them apart", name, r.where(before))}})
	}
	if err := r.seen.take(r.settings.names, name, &one.spec, place{file: uint32(one.file), line: uint32(one.row.Line)}); err != nil {
		return err
	}
	r.text = r.settings.frame.Append(r.text[:0], name, &one.spec)
	r.report.remark(one.row, one.notes)
	r.report.counts.written++
	return r.sink.add(ctx, made{judged: one, name: name, text: r.text})
}

// where tells a place.
func (r *runner) where(at place) string {
	name := r.settings.inputs[at.file]
	if name == stdin {
		name = "stdin"
	}
	return fmt.Sprintf("%s:%d", name, at.line)
}

// reject tells of a row and keeps it.
func (r *runner) reject(row inventory.Row, problems []fields.Problem) error {
	r.report.rejected(row, problems)
	if r.settings.strict {
		return errStrict
	}
	return r.rejects.add(row, problems)
}
