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
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"
)

// usualMachines are those that users of the command line have.
const usualMachines = "darwin/amd64,darwin/arm64,linux/amd64,linux/arm64,windows/amd64"

// machinesIn reads a list of machines, as OS/ARCHITECTURE.
func machinesIn(list string) ([]v1.Platform, error) {
	var machines []v1.Platform
	for word := range strings.SplitSeq(list, ",") {
		machine, err := v1.ParsePlatform(word)
		if err != nil || machine.OS == "" || machine.Architecture == "" {
			return nil, fmt.Errorf("--machines: %q is not OS/ARCHITECTURE", word)
		}
		machines = append(machines, *machine)
	}
	return machines, nil
}

// krewName is the file of the manifest, which must be called like the plugin.
const krewName = "backupsync.yaml"

func pluginName(machine v1.Platform) string {
	return fmt.Sprintf("%s-%s-%s.tar.gz", plugin.name, machine.OS, machine.Architecture)
}

// binaryName is what the program is called on a machine.
func binaryName(machine v1.Platform) string {
	if machine.OS == "windows" {
		return plugin.name + ".exe"
	}
	return plugin.name
}

// writePlugins writes the command line for all machines, and the manifest by which krew installs it.
func writePlugins(ctx context.Context, o options, from source) error {
	machines, err := machinesIn(o.machines)
	if err != nil {
		return err
	}
	license, err := os.ReadFile(filepath.Join(o.root, "LICENSE"))
	if err != nil {
		return fmt.Errorf("read the license: %w", err)
	}
	manifest := newKrewManifest(from.version)
	for _, machine := range machines {
		binary, err := plugin.build(ctx, o.root, machine, from.version)
		if err != nil {
			return fmt.Errorf("for %s: %w", machine, err)
		}
		packed, err := compress([]entry{
			{name: "LICENSE", mode: 0o644, content: license},
			{name: binaryName(machine), mode: 0o755, content: binary},
		}, from.created)
		if err == nil {
			err = os.WriteFile(filepath.Join(o.out, pluginName(machine)), packed, 0o644)
		}
		if err != nil {
			return fmt.Errorf("for %s: %w", machine, err)
		}
		manifest.add(machine, strings.TrimSuffix(o.downloads, "/"), packed)
	}
	text, err := yaml.Marshal(manifest)
	if err != nil {
		return fmt.Errorf("write the manifest of krew: %w", err)
	}
	return os.WriteFile(filepath.Join(o.out, krewName), text, 0o644)
}

// krewManifest is a Plugin of krew.googlecontainertools.github.com/v1alpha2, as https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest
// describes it.
type krewManifest struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       krewSpec          `json:"spec"`
}

type krewSpec struct {
	Version          string         `json:"version"`
	Homepage         string         `json:"homepage"`
	ShortDescription string         `json:"shortDescription"`
	Description      string         `json:"description"`
	Platforms        []krewPlatform `json:"platforms"`
}

type krewPlatform struct {
	Selector krewSelector `json:"selector"`
	URI      string       `json:"uri"`
	SHA256   string       `json:"sha256"`
	Bin      string       `json:"bin"`
}

type krewSelector struct {
	MatchLabels map[string]string `json:"matchLabels"`
}

func newKrewManifest(version string) *krewManifest {
	return &krewManifest{
		APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin", Metadata: map[string]string{"name": "backupsync"},
		Spec: krewSpec{
			Version: version, Homepage: "https://backupsync.dev",
			ShortDescription: "Import backups into Huawei Cloud CBR",
			Description: "Makes BackupSync manifests of an inventory, shows how imports into Huawei Cloud\nBackup and Recovery go, retries what has failed, finds out what is " +
				"wrong, and\ncompares what is declared with what CBR holds. The BackupSync operator must be\ninstalled in the cluster.\n",
		},
	}
}

// add adds what a machine downloads.
func (m *krewManifest) add(machine v1.Platform, downloads string, packed []byte) {
	m.Spec.Platforms = append(m.Spec.Platforms, krewPlatform{
		Selector: krewSelector{MatchLabels: map[string]string{"os": machine.OS, "arch": machine.Architecture}},
		URI:      downloads + "/" + pluginName(machine), SHA256: fmt.Sprintf("%x", sha256.Sum256(packed)), Bin: binaryName(machine),
	})
}
