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
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"
)

// Users download the command line for their machine, by hand or by krew, and it runs.
func TestTheCommandLineForAllMachines(t *testing.T) {
	out := t.TempDir()
	from, err := sourceOf(t.Context(), "../..", testVersion)
	if err != nil {
		t.Fatal(err)
	}
	const downloads = "https://example.com/releases/" + testVersion
	here := v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}
	if err := writePlugins(t.Context(), options{root: "../..", out: out, downloads: downloads + "/", machines: here.String()}, from); err != nil {
		t.Fatal(err)
	}
	var manifest krewManifest
	if err := yaml.UnmarshalStrict([]byte(read(t, out, krewName)), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Spec.Version != testVersion || manifest.Metadata["name"] != "backupsync" || len(manifest.Spec.Platforms) != 1 {
		t.Errorf("the manifest is %+v", manifest)
	}
	packed := []byte(read(t, out, pluginName(here)))
	files := unpackPlugin(t, packed)
	if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, []string{"LICENSE", plugin.name}) {
		t.Errorf("it has %q", names)
	}
	checkRuns(t, files[plugin.name])
	if sum := fmt.Sprintf("%x", sha256.Sum256(packed)); manifest.Spec.Platforms[0].SHA256 != sum {
		t.Errorf("krew expects the sum %s, want %s", manifest.Spec.Platforms[0].SHA256, sum)
	}
}

// Krew finds what each machine downloads, and the binary in it.
func TestWhatKrewDownloads(t *testing.T) {
	machines, err := machinesIn(usualMachines)
	if err != nil {
		t.Fatal(err)
	}
	manifest := newKrewManifest(testVersion)
	for _, machine := range machines {
		manifest.add(machine, "https://example.com/v1", nil)
	}
	var found []string
	for _, each := range manifest.Spec.Platforms {
		found = append(found, each.Selector.MatchLabels["os"]+" "+each.Selector.MatchLabels["arch"]+" "+each.URI+" "+each.Bin)
	}
	if want := []string{
		"darwin amd64 https://example.com/v1/kubectl-backupsync-darwin-amd64.tar.gz kubectl-backupsync",
		"darwin arm64 https://example.com/v1/kubectl-backupsync-darwin-arm64.tar.gz kubectl-backupsync",
		"linux amd64 https://example.com/v1/kubectl-backupsync-linux-amd64.tar.gz kubectl-backupsync",
		"linux arm64 https://example.com/v1/kubectl-backupsync-linux-arm64.tar.gz kubectl-backupsync",
		"windows amd64 https://example.com/v1/kubectl-backupsync-windows-amd64.tar.gz kubectl-backupsync.exe",
	}; !slices.Equal(found, want) {
		t.Errorf("it downloads %q\nwant %q", found, want)
	}
	for _, list := range []string{"", "linux", "linux/amd64,,darwin/arm64"} {
		if _, err := machinesIn(list); err == nil {
			t.Errorf("the machines %q are taken", list)
		}
	}
}

// checkRuns runs the command line.
func checkRuns(t *testing.T, binary []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), plugin.name)
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if printed := output(t, exec.CommandContext(t.Context(), path, "--version")); printed != "kubectl backupsync version "+testVersion+"\n" {
		t.Errorf("it prints %q", printed)
	}
}

// unpackPlugin returns the files of an archive by their names.
func unpackPlugin(t *testing.T, packed []byte) map[string][]byte {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
