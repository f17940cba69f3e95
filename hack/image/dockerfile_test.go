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
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whatever builds the manager builds it in the same way.
func TestTheSameFlagsEverywhere(t *testing.T) {
	var want []string
	for _, each := range []program{manager, plugin} {
		command := "go"
		for _, argument := range buildArguments(each.goPackage, "VERSION", "OUTPUT") {
			if strings.Contains(argument, " ") {
				argument = `"` + argument + `"`
			}
			command += " " + argument
		}
		want = append(want, command)
	}
	for _, file := range []string{"Makefile", "Dockerfile"} {
		text := regexp.MustCompile(`(?m)^\t\$\(BUILD\)`).ReplaceAllString(read(t, "../..", file), buildOf(t, file))
		var found []string
		for _, command := range regexp.MustCompile(`go build .*main\.version.* -o .*`).FindAllString(text, -1) {
			command = regexp.MustCompile(`\$[({]VERSION[)}]`).ReplaceAllString(command, "VERSION")
			command = strings.TrimSuffix(command, ` && \`)
			found = append(found, regexp.MustCompile(`-o \S+`).ReplaceAllString(command, "-o OUTPUT"))
		}
		if !slices.Equal(found, want) {
			t.Errorf("%s has %q, want %q", file, found, want)
		}
	}
}

// buildOf returns what the variable BUILD of the Makefile has.
func buildOf(t *testing.T, file string) string {
	t.Helper()
	if file != "Makefile" {
		return ""
	}
	found := regexp.MustCompile(`(?m)^BUILD = .*(go build .*)$`).FindStringSubmatch(read(t, "../..", file))
	if len(found) != 2 {
		t.Fatal("the Makefile has no BUILD")
	}
	return strings.ReplaceAll(found[1], "$", "$$")
}

// The image of Docker runs the manager in the same way, and is built by the same Go.
func TestTheDockerfileMakesTheSameImage(t *testing.T) {
	dockerfile := read(t, "../..", "Dockerfile")
	config := newContainer(t).config
	for _, line := range []string{"\nUSER " + config.User + "\n", "\nENTRYPOINT [\"" + strings.Join(config.Entrypoint, `", "`) + "\"]\n", "CGO_ENABLED=0"} {
		if !strings.Contains(dockerfile, line) {
			t.Errorf("it does not have %q", line)
		}
	}
	used := regexp.MustCompile(`(?m)^RELEASE_GO := go(\S+)$`).FindStringSubmatch(read(t, "../..", "Makefile"))
	if len(used) != 2 || !strings.Contains(dockerfile, " golang:"+used[1]+" AS builder\n") {
		t.Errorf("the Makefile names Go %q, the Dockerfile another one", used)
	}
}

// Docker is given all sources of the manager.
func TestTheDockerfileHasAllSources(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{$dir := .Dir}}{{if not .Standard}}{{range .GoFiles}}{{$dir}}/{{.}}\n{{end}}{{end}}",
		manager.goPackage, plugin.goPackage)
	list.Dir = "../.."
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	copied := regexp.MustCompile(`(?m)^COPY ((?:[^-\s]\S* )+)`).FindAllStringSubmatch(read(t, "../..", "Dockerfile"), -1)
	sources := 0
	for file := range strings.Lines(output(t, list)) {
		file, ours := strings.CutPrefix(strings.TrimSpace(file), root+"/")
		if !ours || strings.HasPrefix(file, "vendor/") {
			continue
		}
		sources++
		if !isCopied(file, copied) || isIgnored(file, read(t, "../..", ".dockerignore")) {
			t.Errorf("%s is not there", file)
		}
	}
	if sources < 50 {
		t.Errorf("there are %d sources", sources)
	}
}

// isCopied reports whether a line of the Dockerfile copies the file.
func isCopied(file string, copied [][]string) bool {
	for _, line := range copied {
		for _, from := range strings.Fields(line[1]) {
			if file == from || strings.HasSuffix(from, "/") && strings.HasPrefix(file, from) {
				return true
			}
		}
	}
	return false
}

// isIgnored reports whether the last line of .dockerignore that has the file, or a folder above it, leaves it out.
func isIgnored(file, ignore string) bool {
	ignored := false
	for line := range strings.Lines(ignore) {
		pattern, kept := strings.CutPrefix(strings.TrimSpace(line), "!")
		below, _ := filepath.Match(strings.TrimPrefix(pattern, "**/"), filepath.Base(file))
		if pattern == "*" || file == pattern || strings.HasPrefix(file, pattern+"/") || strings.HasPrefix(pattern, "**/") && below {
			ignored = !kept
		}
	}
	return ignored
}
