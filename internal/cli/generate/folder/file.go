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
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// File is a file that takes the place of another one when it is committed, all at once.
type File struct {
	path, temporary string
	file            *os.File
	out             *bufio.Writer
	hash            hash.Hash
}

// Create begins a file. It refuses to replace one that is not this command's, unless it is forced to.
func Create(path string, force bool) (*File, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	found, err := look(path)
	if err != nil {
		return nil, err
	}
	if found.owner > ours && !force {
		return nil, &Refusal{paths: []string{fmt.Sprintf("%s %s", path, found.owner)}}
	}
	temporary := path + ".backupsync-generate"
	file, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("begin the output (%s is left by a run that was killed, or another run writes it): %w", temporary, err)
	}
	made := &File{path: path, temporary: temporary, file: file, out: bufio.NewWriterSize(file, 1<<16), hash: sha256.New()}
	if _, err := made.out.WriteString(head(make([]byte, sha256.Size))); err != nil {
		made.Abort()
		return nil, fmt.Errorf("write %s: %w", temporary, err)
	}
	return made, nil
}

// Write implements io.Writer.
func (f *File) Write(text []byte) (int, error) {
	f.hash.Write(text)
	count, err := f.out.Write(text)
	if err != nil {
		return count, fmt.Errorf("write %s: %w", f.temporary, err)
	}
	return count, nil
}

// Commit puts the file in its place. If it fails, what was there is left as it was.
func (f *File) Commit() error {
	err := f.finish()
	if err == nil {
		err = os.Rename(f.temporary, f.path)
	}
	if err != nil {
		f.Abort()
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	return nil
}

func (f *File) finish() error {
	if err := f.out.Flush(); err != nil {
		return err
	}
	if _, err := f.file.WriteAt([]byte(hex.EncodeToString(f.hash.Sum(nil))), int64(len(mark))); err != nil {
		return err
	}
	if info, err := os.Stat(f.path); err == nil {
		_ = f.file.Chmod(info.Mode()) // as it was, where the system can
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	return f.file.Close()
}

// Abort removes what was written so far. After Commit it does nothing.
func (f *File) Abort() {
	_ = f.file.Close()
	_ = os.Remove(f.temporary)
}

var _ io.Writer = (*File)(nil)
