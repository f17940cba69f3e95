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
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path/filepath"
)

// File is a replacement with the mark of this command.
type File struct {
	*Replacement
	hash hash.Hash
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
	begun, err := Replace(path)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(begun, head(make([]byte, sha256.Size))); err != nil {
		begun.Abort()
		return nil, err
	}
	return &File{Replacement: begun, hash: sha256.New()}, nil
}

// Write implements io.Writer.
func (f *File) Write(text []byte) (int, error) {
	f.hash.Write(text)
	return f.Replacement.Write(text)
}

// Commit puts the file in its place. If it fails, what was there is left as it was.
func (f *File) Commit() error {
	if err := f.mark(); err != nil {
		f.Abort()
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	return f.Replacement.Commit()
}

// mark writes the hash of what was written to the first line.
func (f *File) mark() error {
	if err := f.out.Flush(); err != nil {
		return err
	}
	_, err := f.file.WriteAt([]byte(hex.EncodeToString(f.hash.Sum(nil))), int64(len(mark)))
	return err
}
