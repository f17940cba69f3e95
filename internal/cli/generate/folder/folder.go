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
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// work is the folder, within the one that is written, that holds what is not yet in its place. It keeps other runs out, too.
const work = ".backupsync-generate"

// ignored has Git leave that folder alone, also where a run was killed: git add -A takes along whatever is there.
const ignored = "*\n"

// Folder is a folder of manifests that changes when it is committed.
type Folder struct {
	path    string
	perFile int
	force   bool
	spool   *spool
	files   []string // those that belong, sorted when all are known
	staged  []string
	refused []string
	objects int
	result  Result
}

// Result is what became of the files of a folder.
type Result struct {
	Written, Unchanged, Removed int
	// Before and Now are how many objects the files of an earlier run held, and hold now.
	Before, Now int
	// Kept are files that no longer belong, and were edited.
	Kept []string
}

// Open begins to write a folder, with some objects in each file. Discard must follow.
func Open(path string, perFile int, force bool) (*Folder, error) {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	inside := filepath.Join(path, work)
	switch err := os.Mkdir(inside, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("another run writes %s, or one was killed: if none is at work, remove %s and try again", path, inside)
	case err != nil:
		return nil, fmt.Errorf("write the folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(inside, ".gitignore"), []byte(ignored), 0o666); err != nil {
		return nil, errors.Join(fmt.Errorf("write the folder: %w", err), os.RemoveAll(inside))
	}
	return &Folder{path: path, perFile: perFile, force: force, spool: &spool{folder: inside}}, nil
}

// Add adds an object. Names must differ.
func (f *Folder) Add(name string, text []byte) error {
	f.objects++
	return f.spool.add(name, text)
}

// Discard removes what is not in its place. It changes nothing that a commit has put there.
func (f *Folder) Discard() error {
	f.spool.close()
	if err := os.RemoveAll(filepath.Join(f.path, work)); err != nil {
		return fmt.Errorf("remove what is not needed any more: %w", err)
	}
	return nil
}

// Commit puts all files in their places, and removes those of earlier runs that no longer belong. All is prepared before anything
// changes: until then an error, or the end of the context, leaves the folder as it was.
func (f *Folder) Commit(ctx context.Context) (Result, error) {
	layout := &trie{spool: f.spool, most: f.perFile, file: func(name string, objects []entry) error {
		f.files = append(f.files, name)
		first, text := content(objects)
		return f.stage(name, first, text)
	}}
	if err := layout.walk(ctx, 0, parts, ""); err != nil {
		return Result{}, err
	}
	slices.Sort(f.files)
	first, text := kustomization(f.files)
	if err := f.stage(kustomizationFile, first, text); err != nil {
		return Result{}, err
	}
	stale, err := f.stale()
	if err != nil {
		return Result{}, err
	}
	if len(f.refused) > 0 {
		return Result{}, &Refusal{paths: f.refused}
	}
	if f.objects == 0 && len(stale) > 0 && !f.force {
		return Result{}, fmt.Errorf("there is no backup to write: the %d files of earlier runs in %s stay; --force removes them", len(stale), f.path)
	}
	if err := f.sync(ctx); err != nil {
		return Result{}, err
	}
	f.result.Now = f.objects
	err = f.replace(stale)
	return f.result, err
}

// stage prepares a file, unless it is there already.
func (f *Folder) stage(name, first string, text []byte) error {
	path := filepath.Join(f.path, name)
	found, err := look(path)
	if err != nil {
		return err
	}
	f.result.Before += found.objects
	switch {
	case found.owner == ours && found.first == first:
		f.result.Unchanged++
		return nil
	case found.owner > ours && !f.force:
		f.refused = append(f.refused, fmt.Sprintf("%s %s", path, found.owner))
		return nil
	}
	f.staged = append(f.staged, name)
	target := filepath.Join(f.path, work, name)
	if err := os.WriteFile(target, slices.Concat([]byte(first), text), 0o666); err != nil {
		return fmt.Errorf("prepare a file: %w", err)
	}
	return nil
}

// syncedAtOnce is how many files are brought to disk at once: one after the other takes several times as long.
const syncedAtOnce = 16

// sync sees to it that what is prepared is on disk before it takes a place: else a machine that loses power may be left with empty files.
func (f *Folder) sync(ctx context.Context) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(syncedAtOnce)
	for _, name := range f.staged {
		group.Go(func() error {
			if err := context.Cause(within); err != nil {
				return err
			}
			if err := syncFile(filepath.Join(f.path, work, name)); err != nil {
				return fmt.Errorf("prepare a file: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0) // to read is not enough on Windows
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// stale returns the files of earlier runs that no longer belong.
func (f *Folder) stale() ([]string, error) {
	folder, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("list the folder: %w", err)
	}
	defer func() { _ = folder.Close() }() // it was only read
	var found []string
	for {
		some, err := folder.ReadDir(1000)
		for _, one := range some {
			if err := f.judgeStale(one, &found); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(f.result.Kept)
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list the folder: %w", err)
		}
	}
}

func (f *Folder) judgeStale(one os.DirEntry, found *[]string) error {
	_, belongs := slices.BinarySearch(f.files, one.Name())
	if belongs || one.Name() == kustomizationFile || !one.Type().IsRegular() || !strings.HasSuffix(one.Name(), ".yaml") {
		return nil
	}
	there, err := look(filepath.Join(f.path, one.Name()))
	switch {
	case err != nil:
		return err
	case there.owner == ours || there.owner == edited && f.force:
		f.result.Before += there.objects
		*found = append(*found, one.Name())
	case there.owner == edited:
		f.result.Kept = append(f.result.Kept, one.Name())
	}
	return nil
}

// replace puts what is prepared in its place. The list of files comes last but for the removals: whatever it names is there.
func (f *Folder) replace(stale []string) error {
	for _, name := range f.staged {
		if err := os.Rename(filepath.Join(f.path, work, name), filepath.Join(f.path, name)); err != nil {
			return fmt.Errorf("put a file in its place (run the same command again to finish): %w", err)
		}
		f.result.Written++
	}
	for _, name := range stale {
		if err := os.Remove(filepath.Join(f.path, name)); err != nil {
			return fmt.Errorf("remove a file of an earlier run (run the same command again to finish): %w", err)
		}
		f.result.Removed++
	}
	return nil
}
