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
	"debug/elf"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// The image holds the manager, the command line, and the name of their user, for each platform.
func TestWhatIsInTheImage(t *testing.T) {
	architectures := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for _, platform := range platforms {
		t.Run(platform.String(), func(t *testing.T) {
			image := imageOf(t, built(t), platform)
			if err := validate.Image(image); err != nil {
				t.Error(err)
			}
			var names []string
			err := each(image, func(header *tar.Header, content io.Reader) error {
				names = append(names, fmt.Sprintf("%s %o %d:%d", header.Name, header.Mode, header.Uid, header.Gid))
				if strings.HasPrefix(header.Name, "etc") {
					return nil
				}
				program, err := io.ReadAll(content)
				checkBinary(t, program, architectures[platform.Architecture])
				return err
			})
			if want := []string{"etc 755 0:0", "etc/group 644 0:0", "etc/passwd 644 0:0", "kubectl-backupsync 755 0:0", "manager 755 0:0"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("it holds %q (%v), want %q", names, err, want)
			}
		})
	}
}

// checkBinary looks whether the binary needs nothing that is not in the image.
func checkBinary(t *testing.T, manager []byte, machine elf.Machine) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(manager))
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := file.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("it needs the libraries %q (%v)", libraries, err)
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic linker")
		}
	}
	if file.Machine != machine {
		t.Errorf("it is for %s, want %s", file.Machine, machine)
	}
}

// Tools and people find out what an image is from its annotations, those of Docker from its labels.
func TestWhatTheImageSaysOfItself(t *testing.T) {
	out := built(t)
	from, err := sourceOf(t.Context(), "../..", testVersion)
	if err != nil {
		t.Fatal(err)
	}
	index, err := readIndex(out)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIImageIndex || !maps.Equal(manifest.Annotations, from.annotations()) {
		t.Errorf("the index is a %s with %v", manifest.MediaType, manifest.Annotations)
	}
	var found []string
	for _, each := range manifest.Manifests {
		found = append(found, each.Platform.String())
		checkConfig(t, imageOf(t, out, *each.Platform), *each.Platform, from)
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(found, want) {
		t.Errorf("it is for %q, want %q", found, want)
	}
	for _, key := range []string{"title", "version", "revision", "licenses", "created"} {
		if manifest.Annotations["org.opencontainers.image."+key] == "" {
			t.Errorf("it does not say its %s", key)
		}
	}
}

func checkConfig(t *testing.T, image v1.Image, platform v1.Platform, from source) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !config.Platform().Equals(platform) || !config.Created.Equal(from.created) {
		t.Errorf("%s: the configuration is for %s, of %s", platform, config.Platform(), config.Created)
	}
	if config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/manager"}) {
		t.Errorf("%s: it runs %q as %s", platform, config.Config.Entrypoint, config.Config.User)
	}
	if !maps.Equal(config.Config.Labels, from.annotations()) {
		t.Errorf("%s: its labels are %v", platform, config.Config.Labels)
	}
}

// "docker load" takes an archive for each platform, under the name that was asked for.
func TestArchivesForDocker(t *testing.T) {
	out := built(t)
	for _, platform := range platforms {
		path := filepath.Join(out, dockerName(platform))
		loaded, err := tarball.ImageFromPath(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(loaded); err != nil {
			t.Errorf("%s: %v", platform, err)
		}
		got, gotErr := loaded.ConfigName()
		want, wantErr := imageOf(t, out, platform).ConfigName()
		if got != want || gotErr != nil || wantErr != nil {
			t.Errorf("%s: it is the image %s (%v), want %s (%v)", platform, got, gotErr, want, wantErr)
		}
		manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
		if err != nil || len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, []string{testName}) {
			t.Errorf("%s: it is called %v (%v)", platform, manifest, err)
		}
	}
}

// The archive of the layout is the layout.
func TestArchiveOfTheLayout(t *testing.T) {
	folder := t.TempDir()
	output(t, exec.CommandContext(t.Context(), "tar", "-xf", filepath.Join(built(t), archiveName), "-C", folder))
	output(t, exec.CommandContext(t.Context(), "diff", "-r", folder, filepath.Join(built(t), layoutName)))
}

// SOURCE_DATE_EPOCH goes before the time of the commit, and what is no time is refused.
func TestTheTimeOfTheImage(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1553587260")
	from, err := sourceOf(t.Context(), "../..", testVersion)
	if err != nil || !from.created.Equal(time.Unix(1553587260, 0)) || from.annotations()["org.opencontainers.image.created"] != "2019-03-26T08:01:00Z" {
		t.Errorf("it is of %s (%v)", from.created, err)
	}
	if from, err = sourceOf(t.Context(), t.TempDir(), testVersion); err != nil || from.revision != "" {
		t.Errorf("outside a repository its revision is %q (%v)", from.revision, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, err = sourceOf(t.Context(), "../..", testVersion); err == nil || !strings.Contains(err.Error(), `SOURCE_DATE_EPOCH "yesterday"`) {
		t.Errorf("it is taken: %v", err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if _, err = sourceOf(t.Context(), t.TempDir(), testVersion); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH gives it outside a repository") {
		t.Errorf("outside a repository it has a time: %v", err)
	}
}

// The programs start where there is nothing but the image.
func TestTheImageRuns(t *testing.T) {
	printed := output(t, newContainer(t).command(t.Context(), nil, "--version"))
	if printed != testVersion+"\n" {
		t.Errorf("it prints %q", printed)
	}
	commands := newContainer(t)
	commands.config.Entrypoint = []string{"/" + plugin.name}
	if printed := output(t, commands.command(t.Context(), nil, "--version")); printed != "kubectl backupsync version "+testVersion+"\n" {
		t.Errorf("the command line prints %q", printed)
	}
}
