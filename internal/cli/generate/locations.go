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
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// location is where a file is, or would be. Devices and pipes have none: nothing in them can be replaced.
type location struct {
	path string
	info fs.FileInfo // nil if there is no file
}

// locate returns the location of a path.
func locate(path string) location {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return location{}
	case err == nil:
		return location{info: info}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return location{}
	}
	return location{path: absolute}
}

// behind returns the location of the file behind a stream.
func behind(stream any) location {
	file, isFile := stream.(*os.File)
	if !isFile {
		return location{}
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return location{}
	}
	return location{info: info}
}

// is reports whether two locations are the same, however they are called.
func (l location) is(other location) bool {
	if l.info != nil && other.info != nil {
		return os.SameFile(l.info, other.info)
	}
	return l.path != "" && l.path == other.path
}

// among reports whether a location is one of several.
func (l location) among(others []location) bool { return slices.ContainsFunc(others, l.is) }

// occupied returns where the inventories are and the manifests go, which no rejects may replace. It is an error if one of these files were replaced by
// another.
func (s *settings) occupied(in, out any) ([]location, error) {
	var inventories []location
	for _, name := range s.inputs {
		if name == stdin {
			inventories = append(inventories, behind(in))
		} else {
			inventories = append(inventories, locate(name))
		}
	}
	output := location{}
	switch {
	case s.outputDir != "" || s.dryRun != dryRunNone:
	case s.output == "" || s.output == stdin:
		output = behind(out)
	default:
		output = locate(s.output)
	}
	rejects := location{}
	if s.rejects != "" {
		rejects = locate(s.rejects)
	}
	switch {
	case output.among(inventories):
		return nil, errors.New("the output is one of the inventories: it would be replaced while it is read")
	case rejects.among(inventories):
		return nil, errors.New("--rejects is one of the inventories: it would be replaced")
	case rejects.is(output):
		return nil, errors.New("--rejects is the output: each would replace the other")
	}
	return append(inventories, output), nil
}
