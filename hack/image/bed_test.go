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
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// What the tests build.
const (
	testVersion = "v0.0.1-test"
	testName    = "registry.example.com/backupsync:" + testVersion
)

// work is the folder of all tests.
var work string

func TestMain(m *testing.M) {
	var err error
	if work, err = os.MkdirTemp("", "backupsync-image-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(work); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// buildOnce builds the image of the sources as they are, once for all tests.
var buildOnce = sync.OnceValues(func() (string, error) {
	out := filepath.Join(work, "dist")
	if err := os.Mkdir(out, 0o755); err != nil {
		return "", err
	}
	return out, run(options{root: "../..", out: out, version: testVersion, name: testName})
})

// built returns the folder that the image was written to.
func built(t *testing.T) string {
	t.Helper()
	out, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// imageOf reads the image of a platform back.
func imageOf(t *testing.T, out string, platform v1.Platform) v1.Image {
	t.Helper()
	index, err := readIndex(out)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range manifest.Manifests {
		if found.Platform.Equals(platform) {
			image, err := index.Image(found.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return image
		}
	}
	t.Fatalf("there is no image for %s", platform)
	return nil
}

// each calls a function with each entry of an image.
func each(image v1.Image, do func(*tar.Header, io.Reader) error) error {
	packed := mutate.Extract(image)
	defer packed.Close()
	for archive := tar.NewReader(packed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(header, archive)
		}
		if err != nil {
			return err
		}
	}
}

// unpack writes the files of an image to a folder.
func unpack(t *testing.T, image v1.Image) string {
	t.Helper()
	root := t.TempDir()
	err := each(image, func(header *tar.Header, content io.Reader) error {
		path := filepath.Join(root, header.Name)
		if header.Typeflag == tar.TypeDir {
			return os.MkdirAll(path, header.FileInfo().Mode())
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, header.FileInfo().Mode())
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return errors.Join(err, file.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// container is an image that can be run here. What runs in it sees nothing but its files and the network.
type container struct {
	root   string
	config v1.Config
}

func newContainer(t *testing.T) container {
	t.Helper()
	image := imageOf(t, built(t), v1.Platform{OS: "linux", Architecture: runtime.GOARCH})
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return container{root: unpack(t, image), config: config.Config}
}

// add writes a file that a volume would bring.
func (c container) add(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(c.root, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// command runs the entrypoint as the user of the image.
func (c container) command(ctx context.Context, environment []string, arguments ...string) *exec.Cmd {
	words := slices.Concat(c.config.Entrypoint, c.config.Cmd, arguments)
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	command.Dir = c.config.WorkingDir
	command.Env = append([]string{}, slices.Concat(c.config.Env, environment)...) // nil would be the environment of the test
	command.SysProcAttr = confined(c.root, c.config.User)
	return command
}

// confined changes the root and the user. Who is not root here may do both in a user namespace.
func confined(root, user string) *syscall.SysProcAttr {
	var uid, gid uint32
	if _, err := fmt.Sscanf(user, "%d:%d", &uid, &gid); err != nil {
		panic(fmt.Sprintf("the user %q has no numbers: %v", user, err))
	}
	attributes := &syscall.SysProcAttr{Chroot: root, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		attributes.Credential = &syscall.Credential{Uid: uid, Gid: gid}
		return attributes
	}
	attributes.Cloneflags = syscall.CLONE_NEWUSER
	attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(uid), HostID: os.Getuid(), Size: 1}}
	attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(gid), HostID: os.Getgid(), Size: 1}}
	return attributes
}

// read returns the content of a file.
func read(t *testing.T, elements ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// output runs a command and returns what it prints.
func output(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var failed strings.Builder
	command.Stderr = &failed
	printed, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, printed, failed.String())
	}
	return string(printed)
}
