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

// Package schemas holds what versions of Kubernetes take of the kinds that install the operator, as JSON schemas made from their
// published OpenAPI documents. A field that a version does not know is an error, as with kubectl's strict validation.
package schemas

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed *.json.gz
var files embed.FS

const (
	suffix = ".json.gz"
	// external has the kinds of others, which are the same in all versions of Kubernetes.
	external = "external"
)

// ErrUnknownKind says that a version has no such kind, or none that was kept.
var ErrUnknownKind = errors.New("no schema of this kind")

// Versions returns the versions of Kubernetes there are schemas of, in order: "v1.32.13".
func Versions() ([]string, error) {
	paths, err := fs.Glob(files, "*"+suffix)
	if err != nil {
		return nil, fmt.Errorf("list the schemas: %w", err)
	}
	versions := make([]string, 0, len(paths))
	for _, each := range paths {
		if version := strings.TrimSuffix(path.Base(each), suffix); version != external {
			versions = append(versions, version)
		}
	}
	return versions, nil
}

// Checker checks objects against the schemas of one version.
type Checker struct {
	compiler *jsonschema.Compiler
	version  string
}

// New returns the checker of a version.
func New(version string) (*Checker, error) {
	compiler := jsonschema.NewCompiler()
	for _, name := range []string{version, external} {
		document, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("read the schemas of %s: %w", name, err)
		}
		if err := compiler.AddResource(name, document); err != nil {
			return nil, fmt.Errorf("take the schemas of %s: %w", name, err)
		}
	}
	return &Checker{compiler: compiler, version: version}, nil
}

// read unpacks a document.
func read(name string) (any, error) {
	packed, err := files.ReadFile(name + suffix)
	if err != nil {
		return nil, err
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(reader)
}

// Check returns what is wrong with an object, as the version sees it; ErrUnknownKind if it has no such kind.
func (c *Checker) Check(apiVersion, kind string, object any) error {
	pointer := "#/kinds/" + escape(apiVersion+"."+kind)
	schema, err := c.compiler.Compile(c.version + pointer)
	if err != nil {
		schema, err = c.compiler.Compile(external + pointer)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w (%w)", apiVersion, kind, ErrUnknownKind, err)
	}
	return schema.Validate(object)
}

// escape makes one step of a JSON pointer within a URL of a text.
func escape(text string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(text) }
