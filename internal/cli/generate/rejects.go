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
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"backupsync.dev/operator/internal/cli/generate/fields"
	"backupsync.dev/operator/internal/cli/generate/folder"
	"backupsync.dev/operator/internal/cli/generate/inventory"
)

// rejects keeps the rows that were rejected, each as its inventory has it. Rows of another shape than the first go to another
// file, as no header fits both. The files take their places when they are committed: until then those of an earlier run are as they were.
type rejects struct {
	path     string
	force    bool
	occupied []location // by files that are none of rejects
	number   int        // of the latest file
	files    []*rejectFile
}

// destination is what takes rejected rows.
type destination interface {
	io.Writer
	Commit() error
	Abort()
}

type rejectFile struct {
	path string
	out  destination
	rows *inventory.Rejects
}

// newRejects returns nil for an empty path. A file that is there is refused, unless it may be replaced.
func newRejects(path string, force bool, occupied []location) (*rejects, error) {
	if path == "" {
		return nil, nil
	}
	return &rejects{path: path, force: force, occupied: occupied}, free(path, force)
}

// free returns an error if a file may not be replaced: it may hold rows that nobody has corrected yet.
func free(path string, force bool) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Lstat(path) // a link that leads nowhere
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("see whether the file of rejects exists: %w", err)
	case info.IsDir():
		return fmt.Errorf("%s is a folder: --rejects names a file", path)
	case isDevice(info) || force:
		return nil
	default:
		return fmt.Errorf("%s exists, and may hold rows that were not corrected yet: move it away, or replace it by --force", path)
	}
}

// isDevice reports whether rows are written to what is there, as it keeps none.
func isDevice(info fs.FileInfo) bool {
	return info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0
}

// add writes a row.
func (r *rejects) add(row inventory.Row, problems []fields.Problem) error {
	if r == nil {
		return nil
	}
	file, err := r.of(row.Shape)
	if err != nil {
		return err
	}
	var reasons []string
	for _, problem := range problems {
		reasons = append(reasons, problem.String())
	}
	return file.rows.Write(row, strings.Join(reasons, "; "))
}

// of returns the file that takes rows of a shape.
func (r *rejects) of(shape *inventory.Shape) (*rejectFile, error) {
	for _, file := range r.files {
		if file.rows.Takes(shape) {
			return file, nil
		}
	}
	path := r.next(shape)
	if err := free(path, r.force); err != nil {
		return nil, err
	}
	out, err := openRejects(path)
	if err != nil {
		return nil, fmt.Errorf("begin the file of rejects: %w", err)
	}
	made := &rejectFile{path: path, out: out, rows: inventory.NewRejects(out, shape)}
	r.files = append(r.files, made)
	return made, nil
}

// next returns the path of the next file. It passes over inventories: the second file of an earlier run may be one.
func (r *rejects) next(shape *inventory.Shape) string {
	r.number++
	if info, err := os.Stat(r.path); r.number == 1 || err == nil && isDevice(info) {
		return r.path
	}
	for ; ; r.number++ {
		path := fmt.Sprintf("%s-%d.%s", strings.TrimSuffix(r.path, filepath.Ext(r.path)), r.number, shape.Format)
		if !locate(path).among(r.occupied) {
			return path
		}
	}
}

func openRejects(path string) (destination, error) {
	if info, err := os.Stat(path); err != nil || !isDevice(info) {
		return folder.Replace(path)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return &deviceOfRejects{Writer: bufio.NewWriter(file), file: file}, nil
}

// deviceOfRejects is written to as rows come.
type deviceOfRejects struct {
	*bufio.Writer
	file *os.File
}

// Commit writes what was not written yet.
func (d *deviceOfRejects) Commit() error { return errors.Join(d.Flush(), d.file.Close()) }

// Abort lets go of it.
func (d *deviceOfRejects) Abort() { _ = d.file.Close() }

// commit puts the files in their places, and returns their paths. If no row was rejected, it removes those of an earlier run.
func (r *rejects) commit() ([]string, error) {
	if r == nil {
		return nil, nil
	}
	if len(r.files) == 0 {
		return nil, r.removeEarlier()
	}
	var paths []string
	var failed error
	for _, file := range r.files {
		paths = append(paths, file.path)
		err := errors.Join(free(file.path, r.force), file.rows.Close()) // it may have come meanwhile
		if err == nil {
			err = file.out.Commit()
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("write the rejects: %w", err))
		}
	}
	return paths, failed
}

// removeEarlier removes the file that this run has replaced by none.
func (r *rejects) removeEarlier() error {
	if info, err := os.Stat(r.path); !r.force || err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // there is none
	}
	path, err := filepath.EvalSymlinks(r.path)
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("remove the rejects of an earlier run: %w", err)
	}
	return nil
}

// discard removes what was not committed.
func (r *rejects) discard() {
	if r == nil {
		return
	}
	for _, file := range r.files {
		file.out.Abort()
	}
}
