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
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"backupsync.dev/operator/internal/cli/generate/fields"
	"backupsync.dev/operator/internal/cli/generate/inventory"
)

// rejects writes the rows that were rejected, each as its inventory has it. Rows of another shape than the first go to another
// file, as no header fits both.
type rejects struct {
	path  string
	force bool
	files []*rejectFile
}

type rejectFile struct {
	path string
	file *os.File
	out  *bufio.Writer
	rows *inventory.Rejects
}

// newRejects returns nil for an empty path. A file that is there is refused: it may hold rows that nobody has corrected yet.
func newRejects(path string, force bool) (*rejects, error) {
	if path == "" {
		return nil, nil
	}
	if _, err := os.Lstat(path); err == nil && !force {
		return nil, fmt.Errorf("%s exists, and may hold rows that were not corrected yet: move it away, or replace it by --force", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("see whether the file of rejects exists: %w", err)
	}
	if force {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove the rejects of an earlier run: %w", err)
		}
	}
	return &rejects{path: path, force: force}, nil
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
	path := r.path
	if count := len(r.files); count > 0 {
		path = fmt.Sprintf("%s-%d.%s", strings.TrimSuffix(path, filepath.Ext(path)), count+1, shape.Format)
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if r.force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, how, 0o666)
	if err != nil {
		return nil, fmt.Errorf("begin the file of rejects: %w", err)
	}
	out := bufio.NewWriter(file)
	made := &rejectFile{path: path, file: file, out: out, rows: inventory.NewRejects(out, shape)}
	r.files = append(r.files, made)
	return made, nil
}

// close ends the files, and returns their paths.
func (r *rejects) close() ([]string, error) {
	if r == nil {
		return nil, nil
	}
	var paths []string
	var failed error
	for _, file := range r.files {
		paths = append(paths, file.path)
		if err := errors.Join(file.rows.Close(), file.out.Flush(), file.file.Close()); err != nil {
			failed = errors.Join(failed, fmt.Errorf("write the rejects: %w", err))
		}
	}
	return paths, failed
}
