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

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// buildArguments are those of go that build the manager. The Makefile and the Dockerfile have the same: a test compares them.
func buildArguments(version, output string) []string {
	return []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=" + version, "-o", output, "."}
}

// buildEnvironment is what go build must not take from whoever runs it, or else each one would build another binary.
func buildEnvironment(platform v1.Platform) []string {
	return []string{
		"CGO_ENABLED=0", "GOOS=" + platform.OS, "GOARCH=" + platform.Architecture,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOWORK=off",
		"GOFLAGS=-mod=readonly", // the default; an empty value would leave what "go env -w" has set
	}
}

// build builds the manager with the Go that runs this.
func build(ctx context.Context, root, output string, platform v1.Platform, version string) error {
	command := exec.CommandContext(ctx, "go", buildArguments(version, output)...)
	command.Dir = root
	command.Env = append(os.Environ(), buildEnvironment(platform)...)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the manager: %w\n%s", err, said)
	}
	return nil
}
