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

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// The names in the folder that is written to.
const (
	layoutName  = "image"
	archiveName = "image.oci.tar"
	digestName  = "image.digest"
)

func dockerName(platform v1.Platform) string {
	return fmt.Sprintf("image-%s-%s.docker.tar", platform.OS, platform.Architecture)
}

func sbomName(platform v1.Platform) string {
	return fmt.Sprintf("sbom-%s-%s.cdx.json", platform.OS, platform.Architecture)
}

// refName is the annotation by which tools find an image in a layout.
const refName = "org.opencontainers.image.ref.name"

// write writes all files, and prints what the image is known by.
func write(o options, parts []part, from source) error {
	tag, err := name.NewTag(o.name)
	if err != nil {
		return fmt.Errorf("read the name of the image: %w", err)
	}
	index := newIndex(parts, from)
	digest, err := index.Digest()
	if err != nil {
		return fmt.Errorf("make the index: %w", err)
	}
	if err := writeLayout(filepath.Join(o.out, layoutName), index, tag.TagStr()); err != nil {
		return err
	}
	if err := archiveFolder(filepath.Join(o.out, archiveName), filepath.Join(o.out, layoutName), from.created); err != nil {
		return err
	}
	for _, each := range parts {
		if err := each.write(o.out, tag); err != nil {
			return fmt.Errorf("write the files of %s: %w", each.platform, err)
		}
	}
	fmt.Println(digest)
	return os.WriteFile(filepath.Join(o.out, digestName), []byte(digest.String()+"\n"), 0o644)
}

// write writes the files of one platform.
func (p part) write(out string, tag name.Tag) error {
	if err := os.WriteFile(filepath.Join(out, sbomName(p.platform)), p.sbom, 0o644); err != nil {
		return err
	}
	return tarball.WriteToFile(filepath.Join(out, dockerName(p.platform)), tag, p.image)
}

// writeLayout writes an OCI layout with the index as its only entry: tools that are not told which one to take refuse several. A layout that is
// there goes first: it would keep its own images.
func writeLayout(folder string, index v1.ImageIndex, tag string) error {
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("remove the layout of before: %w", err)
	}
	written, err := layout.Write(folder, empty.Index)
	if err == nil {
		err = written.AppendIndex(index, layout.WithAnnotations(map[string]string{refName: tag}))
	}
	if err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	return nil
}

// archiveFolder writes a folder as a tar, in the order of its names.
func archiveFolder(path, folder string, created time.Time) (err error) {
	var all []entry
	add := func(path string, found fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if found.IsDir() {
			all = append(all, entry{name: path + "/", mode: 0o755})
			return nil
		}
		content, err := os.ReadFile(filepath.Join(folder, path))
		all = append(all, entry{name: path, mode: 0o644, content: content})
		return err
	}
	if err := fs.WalkDir(os.DirFS(folder), ".", add); err != nil {
		return fmt.Errorf("read the layout: %w", err)
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make the archive: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return writeTar(file, all, created)
}

// readIndex returns the image of a folder that was written to.
func readIndex(out string) (v1.ImageIndex, error) {
	found, err := layout.ImageIndexFromPath(filepath.Join(out, layoutName))
	if err != nil {
		return nil, fmt.Errorf("read the layout (make image writes it): %w", err)
	}
	manifest, err := found.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("read the layout: %w", err)
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("read the layout: it has %d entries and not one", len(manifest.Manifests))
	}
	return found.ImageIndex(manifest.Manifests[0].Digest)
}
