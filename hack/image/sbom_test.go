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

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// The SBOM lists what go finds in the binaries, and nothing else.
func TestSBOM(t *testing.T) {
	numbers := map[string]bool{}
	for _, platform := range platforms {
		t.Run(platform.String(), func(t *testing.T) {
			text := read(t, built(t), sbomName(platform))
			var bom cdx.BOM
			if err := cdx.NewBOMDecoder(strings.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
				t.Fatal(err)
			}
			var listed []string
			for _, each := range *bom.Components {
				listed = append(listed, each.Name+" "+each.Version)
				if each.PackageURL == "" || each.BOMRef == "" {
					t.Errorf("%s cannot be looked up", each.Name)
				}
			}
			folder := unpack(t, imageOf(t, built(t), platform))
			manager := filepath.Join(folder, "manager")
			want := []string{plugin.name + " " + testVersion}
			for _, name := range []string{"manager", plugin.name} {
				want = append(want, modulesIn(output(t, exec.CommandContext(t.Context(), "go", "version", "-m", filepath.Join(folder, name))))...)
			}
			slices.Sort(want)
			want = slices.Compact(want)
			slices.Sort(listed)
			if !slices.Equal(listed, want) || len(want) < 30 {
				t.Errorf("it lists %q\nwant %q", listed, want)
			}
			checkSubject(t, bom, manager)
			numbers[bom.SerialNumber] = true
		})
	}
	if len(numbers) != len(platforms) {
		t.Errorf("%d binaries have the numbers %v", len(platforms), numbers)
	}
}

// modulesIn reads what "go version -m" prints, the standard library included.
func modulesIn(printed string) []string {
	modules := []string{"std " + regexp.MustCompile(`: go(\S+)`).FindStringSubmatch(printed)[1]}
	for _, line := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(printed, -1) {
		modules = append(modules, line[1]+" "+line[2])
	}
	slices.Sort(modules)
	return modules
}

// checkSubject looks at what the SBOM says that it is of.
func checkSubject(t *testing.T, bom cdx.BOM, manager string) {
	t.Helper()
	subject := bom.Metadata.Component
	if subject.Name != "backupsync.dev/operator" || subject.Version != testVersion {
		t.Errorf("it is of %s %s", subject.Name, subject.Version)
	}
	sum, _, _ := strings.Cut(output(t, exec.CommandContext(t.Context(), "sha256sum", manager)), " ")
	if want := []cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}; !slices.Equal(*subject.Hashes, want) {
		t.Errorf("it is of a binary with %v, want %v", *subject.Hashes, want)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(bom.SerialNumber) {
		t.Errorf("its number is %q", bom.SerialNumber)
	}
}
