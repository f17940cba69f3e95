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

// Command image builds the container image of the manager for all its platforms, without Docker and without a base image: it holds the
// static binaries of manager and command line and the name of the user that they run as, nothing else. The same commit makes the same bytes, on
// any machine.
//
// It writes an OCI layout, the same as an archive, an archive for "docker load" and an SBOM of each platform. With --push it pushes what it has
// written before. With --plugin it writes the command line for the machines of its users instead, and the manifest by which krew installs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// platforms are those that the image is for.
var platforms = []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

// options are the command line.
type options struct {
	root, out, version, name string
	downloads, machines      string
	push, plugin             bool
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "../..", "Folder of the operator's module.")
	flag.StringVar(&o.out, "out", "../../dist", "Folder to write to.")
	flag.StringVar(&o.version, "version", "dev", "Version of the operator.")
	flag.StringVar(&o.name, "name", "controller:latest", "Name and tag of the image.")
	flag.BoolVar(&o.push, "push", false, "Push what is in the folder to the registry in the name, and build nothing.")
	flag.BoolVar(&o.plugin, "plugin", false, "Write the command line, for all machines, and not the image.")
	flag.StringVar(&o.machines, "machines", usualMachines, "Machines that --plugin is for.")
	flag.StringVar(&o.downloads, "downloads", "", "Address of the folder from which krew downloads what --plugin writes.")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.push {
		return push(ctx, o.out, o.name)
	}
	from, err := sourceOf(ctx, o.root, o.version)
	if err != nil {
		return err
	}
	if o.plugin {
		return writePlugins(ctx, o, from)
	}
	parts := make([]part, 0, len(platforms))
	for _, platform := range platforms {
		made, err := newPart(ctx, o.root, platform, from)
		if err != nil {
			return fmt.Errorf("make the image for %s: %w", platform, err)
		}
		parts = append(parts, made)
	}
	return write(o, parts, from)
}

// part is what the image has for one platform.
type part struct {
	platform v1.Platform
	image    v1.Image
	sbom     []byte
}

func newPart(ctx context.Context, root string, platform v1.Platform, from source) (part, error) {
	operator, err := manager.build(ctx, root, platform, from.version)
	if err != nil {
		return part{}, err
	}
	commands, err := plugin.build(ctx, root, platform, from.version)
	if err != nil {
		return part{}, err
	}
	image, err := newImage(operator, commands, platform, from)
	if err != nil {
		return part{}, err
	}
	sbom, err := newSBOM(operator, commands, platform, from)
	return part{platform, image, sbom}, err
}
