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
	"os"

	"backupsync.dev/operator/internal/cli/generate/folder"
)

// made is a backup with its manifest.
type made struct {
	judged
	name string
	text []byte // until the next one
}

// sink is where manifests go.
type sink interface {
	add(context.Context, made) error
	// commit makes them count.
	commit(context.Context) error
	// discard lets go of what was not committed.
	discard() error
}

// writtenAtOnce is how many bytes of manifests come together before they are written to a stream.
const writtenAtOnce = 1 << 16

// stream writes to a stream as manifests come. Each write ends with the end of a manifest: where a run breaks off, whoever applies what was
// printed has none that is cut off, and lacks spec.suspend for one.
type stream struct {
	out     io.Writer
	pending []byte
}

func newStream(out io.Writer) *stream { return &stream{out: out} }

func (s *stream) add(_ context.Context, one made) error {
	s.pending = append(append(s.pending, "---\n"...), one.text...)
	if len(s.pending) < writtenAtOnce {
		return nil
	}
	return s.flush()
}

func (s *stream) flush() error {
	if _, err := s.out.Write(s.pending); err != nil {
		return fmt.Errorf("write the manifests: %w", err)
	}
	s.pending = s.pending[:0]
	return nil
}

func (s *stream) commit(context.Context) error { return s.flush() }

func (s *stream) discard() error { return nil }

// late writes to a stream when all manifests have come.
type late struct {
	stream
	to   io.Writer
	file *os.File
}

func newLate(to io.Writer) (*late, error) {
	file, err := os.CreateTemp("", "backupsync-generate-*.yaml")
	if err != nil {
		return nil, fmt.Errorf("keep the manifests until all are known: %w", err)
	}
	return &late{stream: *newStream(file), to: to, file: file}, nil
}

func (l *late) commit(ctx context.Context) error {
	if err := l.stream.commit(ctx); err != nil {
		return err
	}
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the kept manifests: %w", err)
	}
	if _, err := io.Copy(l.to, l.file); err != nil {
		return fmt.Errorf("write the manifests: %w", err)
	}
	return nil
}

func (l *late) discard() error {
	_ = l.file.Close()
	if err := os.Remove(l.file.Name()); err != nil {
		return fmt.Errorf("remove the kept manifests: %w", err)
	}
	return nil
}

// oneFile writes a file that takes its place when all manifests have come.
type oneFile struct {
	stream
	file *folder.File
}

func newOneFile(path string, force bool) (*oneFile, error) {
	file, err := folder.Create(path, force)
	if err != nil {
		return nil, err
	}
	return &oneFile{stream: *newStream(file), file: file}, nil
}

func (o *oneFile) commit(ctx context.Context) error {
	if err := o.stream.commit(ctx); err != nil {
		return err
	}
	return o.file.Commit()
}

func (o *oneFile) discard() error {
	o.file.Abort()
	return nil
}

// files writes a folder when all manifests have come.
type files struct {
	folder *folder.Folder
	report *report
	path   string
}

func (f *files) add(_ context.Context, one made) error { return f.folder.Add(one.name, one.text) }

func (f *files) commit(ctx context.Context) error {
	result, err := f.folder.Commit(ctx)
	if err != nil {
		return err
	}
	for _, name := range result.Kept {
		f.report.note("%s/%s no longer belongs, but was edited since this command wrote it: it stays; --force removes it", f.path, name)
	}
	if result.Now < result.Before {
		f.report.note("%s: it held %s, and now %d: a folder holds what the inventories of its latest run have, and no others", f.path,
			plural(result.Before, "backup"), result.Now)
	}
	f.report.note("%s: %s written, %d unchanged, %d removed", f.path, plural(result.Written, "file"), result.Unchanged, result.Removed)
	return nil
}

func (f *files) discard() error { return f.folder.Discard() }

// nothing writes nothing.
type nothing struct{}

func (nothing) add(context.Context, made) error { return nil }
func (nothing) commit(context.Context) error    { return nil }
func (nothing) discard() error                  { return nil }

// open returns the sink that the settings ask for.
func (r *runner) open(ctx context.Context) (sink, error) {
	s := r.settings
	switch {
	case s.dryRun == dryRunClient:
		return nothing{}, nil
	case s.dryRun == dryRunServer:
		return r.openCluster(ctx)
	case s.outputDir != "":
		opened, err := folder.Open(s.outputDir, s.perFile, s.force)
		if err != nil {
			return nil, err
		}
		return &files{folder: opened, report: r.report, path: s.outputDir}, nil
	case s.output != "" && s.output != stdin && !irregular(s.output):
		return newOneFile(s.output, s.force)
	case s.output != "" && s.output != stdin:
		return r.openDevice(s.output)
	case s.strict:
		return newLate(r.out)
	default:
		return newStream(r.out), nil
	}
}

// irregular reports whether a path is there, and is no file that another may take the place of: a pipe or a device.
func irregular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}

// device is a pipe that is closed in the end.
type device struct {
	sink
	file *os.File
}

func (r *runner) openDevice(path string) (sink, error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open the output: %w", err)
	}
	if !r.settings.strict {
		return device{sink: newStream(file), file: file}, nil
	}
	kept, err := newLate(file)
	return device{sink: kept, file: file}, err
}

func (d device) discard() error { return errors.Join(d.sink.discard(), d.file.Close()) }
