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
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whoever releases a commit, and wherever, gets the same bytes, and can prove it.
func TestTheReleaseIsReproducible(t *testing.T) {
	var sums []string
	for _, c := range []struct {
		folder      string
		environment []string
	}{
		{"here", nil},
		{"somewhere/else", []string{"GOFLAGS=-buildvcs=true", "GOARM64=v8.1", "TZ=Asia/Tokyo"}},
	} {
		tree := checkout(t, c.folder)
		release := inTree(t, tree, "make", "release", "VERSION=v0.0.1", "IMG=registry.example.com/backupsync:v0.0.1")
		release.Env = append(append(release.Env, "MACHINES=linux/amd64"), c.environment...) // others take minutes, and come from the same code
		output(t, release)
		output(t, inTree(t, filepath.Join(tree, "dist"), "sha256sum", "--check", "--strict", "SHA256SUMS"))
		sums = append(sums, read(t, tree, "dist", "SHA256SUMS"))
		checkRelease(t, filepath.Join(tree, "dist"), sums[0])
	}
	if sums[0] != sums[1] {
		t.Errorf("one has\n%sthe other one\n%s", sums[0], sums[1])
	}
}

// checkRelease looks whether all files are there and have sums, and say what they should.
func checkRelease(t *testing.T, dist, sums string) {
	t.Helper()
	var summed []string
	for line := range strings.Lines(sums) {
		summed = append(summed, strings.Fields(line)[1])
	}
	if !slices.IsSorted(summed) {
		t.Errorf("the sums are not in order: %q", summed)
	}
	for _, name := range []string{"image.digest", "image.oci.tar", "image/index.json", "image/oci-layout", "image-linux-amd64.docker.tar", "image-linux-arm64.docker.tar",
		"sbom-linux-amd64.cdx.json", "sbom-linux-arm64.cdx.json", "install.yaml", "backupsync.yaml", "kubectl-backupsync-linux-amd64.tar.gz", "release-notes.md", "LICENSE"} {
		if !slices.Contains(summed, name) {
			t.Errorf("there is no sum of %s", name)
		}
	}
	if notes := read(t, dist, "release-notes.md"); notes != "### Added\n\n- What a test has added.\n" {
		t.Errorf("the notes are %q", notes)
	}
	if images := regexp.MustCompile(`(?m)^\s+image: .*`).FindAllString(read(t, dist, "install.yaml"), -1); len(images) != 1 ||
		strings.TrimSpace(images[0]) != "image: registry.example.com/backupsync:v0.0.1" {
		t.Errorf("install.yaml has %q", images)
	}
}

// A release that could not be made again, or that nobody could read of, is refused before anything is written.
func TestReleasesThatAreRefused(t *testing.T) {
	tree := checkout(t, "refused")
	changed := checkout(t, "changed")
	if err := os.WriteFile(filepath.Join(changed, "main.go"), []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ tree, version, image, says string }{
		"without a version":        {tree, "", "", `VERSION "" is no semantic version: write make release VERSION=v1.2.3`},
		"without its v":            {tree, "0.0.1", "", `VERSION "0.0.1" is no semantic version`},
		"with two numbers":         {tree, "v0.1", "", `VERSION "v0.1" is no semantic version`},
		"with a leading zero":      {tree, "v0.0.01", "", `VERSION "v0.0.01" is no semantic version`},
		"with build metadata":      {tree, "v0.0.1+5", "", `VERSION "v0.0.1+5" is no semantic version`},
		"of a commit":              {tree, "v0.0.1-3-gabcdef-dirty", "", `CHANGELOG.md says nothing under "## [0.0.1-3-gabcdef-dirty]"`},
		"that is not described":    {tree, "v0.0.2", "", `CHANGELOG.md says nothing under "## [0.0.2]": write there what has changed`},
		"that is described empty":  {tree, "v0.0.0", "", `CHANGELOG.md says nothing under "## [0.0.0]"`},
		"of changes uncommitted":   {changed, "v0.0.1", "", "there are changes that are not committed"},
		"of an image without tag":  {tree, "v0.0.1", "registry.example.com:5000/backupsync", `IMG "registry.example.com:5000/backupsync" has no tag`},
		"of an image by digest":    {tree, "v0.0.1", "registry.example.com/backupsync@sha256:00", `IMG "registry.example.com/backupsync@sha256:00" has no tag`},
		"with a word that is none": {tree, "v0.0.1-rc..1", "", `VERSION "v0.0.1-rc..1" is no semantic version`},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := inTree(t, c.tree, "hack/release/release.sh", c.version, c.image).CombinedOutput()
			if err == nil || !strings.HasPrefix(string(said), "release: "+c.says) {
				t.Errorf("it says %s(%v), want %s", said, err, c.says)
			}
			if _, err := os.Stat(filepath.Join(c.tree, "dist")); err == nil {
				t.Error("something was written")
			}
		})
	}
}

// checkout commits the sources as they are, with two sections more in the changelog, to a repository in a folder. The commit is
// the same in each.
func checkout(t *testing.T, folder string) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), folder)
	for _, name := range strings.Split(strings.Trim(output(t, exec.CommandContext(t.Context(), "git", "-C", "../..", "ls-files", "-z",
		"--cached", "--others", "--exclude-standard")), "\x00"), "\x00") {
		copyFile(t, filepath.Join("../..", name), filepath.Join(tree, name))
	}
	log := filepath.Join(tree, "CHANGELOG.md")
	changed := strings.Replace(read(t, log), "\n## ", "\n## [0.0.1] - 2026-01-01\n\n### Added\n\n- What a test has added.\n\n## [0.0.0] - 2026-01-01\n\n## ", 1)
	if err := os.WriteFile(log, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"init", "-q"}, {"add", "--all"}, {"-c", "commit.gpgsign=false", "commit", "-q", "-m", "The sources"}} {
		output(t, inTree(t, tree, "git", arguments...))
	}
	return tree
}

// copyFile copies a file, unless it was deleted.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(read(t, from)), info.Mode()); err != nil {
		t.Fatal(err)
	}
}

// inTree is a command in a folder, with nothing of the make that may run this.
func inTree(t *testing.T, folder, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, arguments...)
	command.Dir = folder
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "MAKE") || slices.Contains([]string{"MFLAGS", "VERSION", "IMG", "SOURCE_DATE_EPOCH"}, name)
	})
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		command.Env = append(command.Env, "GIT_"+who+"_NAME=test", "GIT_"+who+"_EMAIL=test@example.com", "GIT_"+who+"_DATE=2026-01-01T00:00:00Z")
	}
	return command
}
