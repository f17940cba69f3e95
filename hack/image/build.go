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
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// program is one of the programs of the project.
type program struct{ name, goPackage string }

// manager is the operator, and plugin the command line of its users: kubectl finds it by its name.
var (
	manager = program{name: "manager", goPackage: "."}
	plugin  = program{name: "kubectl-backupsync", goPackage: "./cmd/kubectl-backupsync"}
)

// buildArguments are those of go that build a program. The Makefile and the Dockerfile have the same: a test compares them.
func buildArguments(goPackage, version, output string) []string {
	return []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=" + version, "-o", output, goPackage}
}

// buildEnvironment is what go build must not take from whoever runs it, or else each one would build another binary.
func buildEnvironment(platform v1.Platform) []string {
	return []string{
		"CGO_ENABLED=0", "GOOS=" + platform.OS, "GOARCH=" + platform.Architecture,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOWORK=off",
		"GOFLAGS=-mod=readonly", // the default; an empty value would leave what "go env -w" has set
	}
}

// build builds a program with the Go that runs this, and returns its binary.
func (p program) build(ctx context.Context, root string, platform v1.Platform, version string) ([]byte, error) {
	folder, err := os.MkdirTemp("", "backupsync-image-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to build in: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	output := filepath.Join(folder, p.name)
	command := exec.CommandContext(ctx, "go", buildArguments(p.goPackage, version, output)...)
	command.Dir = root
	command.Env = append(os.Environ(), buildEnvironment(platform)...)
	if said, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", p.name, err, said)
	}
	return os.ReadFile(output)
}
