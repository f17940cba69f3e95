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
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/uuid"
)

// sbomType is the media type of an SBOM.
const sbomType = "application/vnd.cyclonedx+json"

// newSBOM lists what the binary is made of, as CycloneDX in JSON. The Go linker has written it into the binary, so that the list is of what is
// in it and not of what go.mod names.
func newSBOM(operator, commands []byte, platform v1.Platform, from source) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(operator))
	if err != nil {
		return nil, fmt.Errorf("read what the manager is made of: %w", err)
	}
	more, err := buildinfo.Read(bytes.NewReader(commands))
	if err != nil {
		return nil, fmt.Errorf("read what the command line is made of: %w", err)
	}
	hash, hashOfCommands := sha256.Sum256(operator), sha256.Sum256(commands)
	bom := cdx.NewBOM()
	// The same binary has the same number, as it must be reproducible.
	bom.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, append(hash[:], hashOfCommands[:]...)).String()
	bom.Metadata = &cdx.Metadata{
		Timestamp: from.created.Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: "manager", Type: cdx.ComponentTypeApplication, Name: info.Main.Path, Version: from.version,
			PackageURL: fmt.Sprintf("%s?goarch=%s&goos=%s", packageURL(info.Main.Path, from.version), platform.Architecture, platform.OS),
			Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", hash)}},
			Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		},
	}
	bom.Components = components(info, more)
	*bom.Components = append(*bom.Components, cdx.Component{
		BOMRef: plugin.name, Type: cdx.ComponentTypeApplication, Name: plugin.name, Version: from.version,
		PackageURL: packageURL(more.Path, from.version), Scope: cdx.ScopeRequired,
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", hashOfCommands)}},
	})
	var text bytes.Buffer
	if err := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("write the SBOM: %w", err)
	}
	return text.Bytes(), nil
}

// components are the modules in the binaries, each once, and, as scanners know its vulnerabilities by that name, the standard library.
func components(of ...*debug.BuildInfo) *[]cdx.Component {
	all := []cdx.Component{component("std", strings.TrimPrefix(of[0].GoVersion, "go"), "")}
	known := map[string]bool{}
	for _, info := range of {
		for _, module := range info.Deps {
			if module.Replace != nil {
				module = module.Replace
			}
			if !known[module.Path] { // one go.mod says which version both have
				known[module.Path] = true
				all = append(all, component(module.Path, module.Version, module.Sum))
			}
		}
	}
	return &all
}

// component describes a module. Its sum is that of go.sum, over the names and hashes of its files; no archive of it has that hash.
func component(path, version, sum string) cdx.Component {
	made := cdx.Component{BOMRef: packageURL(path, version), Type: cdx.ComponentTypeLibrary, Name: path, Version: version,
		PackageURL: packageURL(path, version), Scope: cdx.ScopeRequired}
	if sum != "" {
		made.Properties = &[]cdx.Property{{Name: "go.sum", Value: sum}}
	}
	return made
}

// packageURL names a module as scanners do. A plus sign would be read as a space.
func packageURL(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}
