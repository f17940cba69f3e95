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
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// anchorOf is the anchor that a Markdown reader makes of a heading.
func anchorOf(heading string) string {
	kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(strings.TrimSpace(kept), " ", "-")
}

// anchors returns those of a document.
func anchors(text string) []string {
	var found []string
	withoutBlocks := regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(text, "")
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(withoutBlocks, -1) {
		found = append(found, anchorOf(heading[1]))
	}
	return found
}

// documentation returns the paths of all pages.
func documentation(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("there is no documentation: %v", err)
	}
	return append(paths, "README.md")
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Each link of the documentation to something in this repository leads there.
func TestLinksOfTheDocumentation(t *testing.T) {
	for _, path := range documentation(t) {
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(read(t, path), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(link[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s is not there", path, link[1])
			} else if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: %s has no heading of that name", path, link[1])
			}
		}
	}
}

// What the documentation names of the sources is there: files and folders, tests, and targets of make.
func TestNamesOfTheDocumentation(t *testing.T) {
	var tests strings.Builder
	if err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			tests.WriteString(read(t, path))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	makefile := read(t, "Makefile")
	for _, path := range documentation(t) {
		text := read(t, path)
		for _, named := range regexp.MustCompile("`((?:api|internal|hack|config|docs)/[A-Za-z0-9_./-]*)`").FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(strings.TrimSuffix(named[1], "/...")); err != nil {
				t.Errorf("%s: %s is not there", path, named[1])
			}
		}
		for _, named := range regexp.MustCompile(`\bTest[A-Z][A-Za-z]+`).FindAllString(text, -1) {
			if !strings.Contains(tests.String(), "\nfunc "+named) { // or the beginning of one, for -run
				t.Errorf("%s: there is no %s", path, named)
			}
		}
		for _, named := range regexp.MustCompile("(?m)(?:`|^\\$ )make ([a-z0-9-]+)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+named[1]+": ") {
				t.Errorf("%s: there is no make %s", path, named[1])
			}
		}
	}
}
