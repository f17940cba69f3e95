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

package folder

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
)

// Replacement is a file that takes the place of another one when it is committed, all at once.
type Replacement struct {
	path, temporary string
	file            *os.File
	out             *bufio.Writer
}

// Replace begins a file that takes the place of what is at a path, or of what a link there leads to. Commit or Abort must follow.
func Replace(path string) (*Replacement, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	temporary := path + ".backupsync-generate"
	file, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("begin %s (%s is left by a run that was killed, or another run writes it): %w", path, temporary, err)
	}
	return &Replacement{path: path, temporary: temporary, file: file, out: bufio.NewWriterSize(file, 1<<16)}, nil
}

// Write implements io.Writer.
func (r *Replacement) Write(text []byte) (int, error) {
	count, err := r.out.Write(text)
	if err != nil {
		return count, fmt.Errorf("write %s: %w", r.temporary, err)
	}
	return count, nil
}

// Commit puts the file in its place. If it fails, what was there is left as it was.
func (r *Replacement) Commit() error {
	err := r.finish()
	if err == nil {
		err = os.Rename(r.temporary, r.path)
	}
	if err != nil {
		r.Abort()
		return fmt.Errorf("write %s: %w", r.path, err)
	}
	r.temporary = "" // another run may begin its own
	return nil
}

func (r *Replacement) finish() error {
	if err := r.out.Flush(); err != nil {
		return err
	}
	if info, err := os.Stat(r.path); err == nil {
		_ = r.file.Chmod(info.Mode()) // as it was, where the system can
	}
	if err := r.file.Sync(); err != nil {
		return err
	}
	return r.file.Close()
}

// Abort removes what was written so far. After Commit it does nothing.
func (r *Replacement) Abort() {
	_ = r.file.Close()
	if r.temporary != "" {
		_ = os.Remove(r.temporary)
	}
}
