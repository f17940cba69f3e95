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

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrNoControlPlane says that there are no binaries of etcd, kube-apiserver and kubectl.
var ErrNoControlPlane = errors.New(`etcd, kube-apiserver and kubectl are missing: run "make controlplane", or set KUBEBUILDER_ASSETS`)

// ModuleRoot returns the folder of the go.mod that the working directory belongs to.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the module: no go.mod in the working directory or above it")
		}
		dir = parent
	}
}

// Assets returns the folder of etcd, kube-apiserver and kubectl: KUBEBUILDER_ASSETS, or else bin/k8s. The error is
// ErrNoControlPlane if KUBEBUILDER_ASSETS is not set and there is no bin/k8s.
func Assets(root string) (string, error) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, "bin", "k8s")
		if _, err := os.Stat(assets); err != nil {
			return "", ErrNoControlPlane
		}
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := exec.LookPath(filepath.Join(assets, name)); err != nil {
			return "", fmt.Errorf("%s cannot be used (%w): %w", assets, err, ErrNoControlPlane)
		}
	}
	return filepath.Abs(assets)
}

// Binary returns the path of bin/NAME if it is not older than the sources of the module; otherwise it builds the
// package into a folder. A test of yesterday's binary would prove nothing.
func Binary(ctx context.Context, root, folder, name, goPackage string) (string, error) {
	made := filepath.Join(root, "bin", name)
	if info, err := os.Stat(made); err == nil {
		changed, err := lastChange(root)
		if err != nil {
			return "", err
		}
		if !info.ModTime().Before(changed) {
			return made, nil
		}
	}
	built := filepath.Join(folder, name)
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", built, goPackage)
	command.Dir = root
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, output)
	}
	return built, nil
}

// lastChange returns when a source of the binaries was changed last.
func lastChange(root string) (time.Time, error) {
	var latest time.Time
	note := func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "e2e" { // no part of the binaries
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") && entry.Name() != "go.mod" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		info, err := entry.Info()
		if err == nil && info.ModTime().After(latest) {
			latest = info.ModTime()
		}
		return err
	}
	for _, part := range []string{"main.go", "flags.go", "go.mod", "api", "internal", filepath.Join("hack", "cbrsim")} {
		if err := filepath.WalkDir(filepath.Join(root, part), note); err != nil {
			return time.Time{}, fmt.Errorf("look for changed sources: %w", err)
		}
	}
	return latest, nil
}
