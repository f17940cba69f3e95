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
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The user that the manager runs as, by name for tools that look names up. Kubernetes has to see a number to know that it is not root.
const (
	user   = "65532:65532"
	passwd = "nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
	group  = "nonroot:x:65532:\n"
)

// entry is a file or, with a name that ends with a slash, a folder.
type entry struct {
	name    string
	mode    int64
	content []byte
}

// imageEntries are all that is in the image. CA certificates are in the binary, and it needs no time zones.
func imageEntries(operator, commands []byte) []entry {
	return []entry{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, content: []byte(group)},
		{name: "etc/passwd", mode: 0o644, content: []byte(passwd)},
		{name: plugin.name, mode: 0o755, content: commands},
		{name: manager.name, mode: 0o755, content: operator},
	}
}

// newLayer packs entries. They belong to root, so that the manager cannot change them.
func newLayer(all []entry, created time.Time) (v1.Layer, error) {
	packed, err := compress(all, created)
	if err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
}

// compress packs entries into a compressed tar.
func compress(all []entry, created time.Time) ([]byte, error) {
	var packed bytes.Buffer
	compressed := gzip.NewWriter(&packed) // without a time in its header
	if err := writeTar(compressed, all, created); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return packed.Bytes(), nil
}

func writeTar(to io.Writer, all []entry, created time.Time) error {
	archive := tar.NewWriter(to)
	for _, each := range all {
		header := &tar.Header{Name: each.name, Mode: each.mode, Size: int64(len(each.content)), ModTime: created,
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if strings.HasSuffix(each.name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("pack %s: %w", each.name, err)
		}
		if _, err := archive.Write(each.content); err != nil {
			return fmt.Errorf("pack %s: %w", each.name, err)
		}
	}
	return archive.Close()
}
