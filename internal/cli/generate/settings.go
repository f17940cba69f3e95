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

package generate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"backupsync.dev/operator/config/crd"
	"backupsync.dev/operator/internal/cli/generate/fields"
	"backupsync.dev/operator/internal/cli/generate/inventory"
	"backupsync.dev/operator/internal/cli/generate/manifest"
	"backupsync.dev/operator/internal/cli/generate/rules"
)

// stdin is the name of an inventory that is piped in, and of stdout.
const stdin = "-"

// The values of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// flags are those of the command, as they were given.
type flags struct {
	format, encoding, timeZone, project, nameTemplate string
	output, outputDir, rejects, dryRun                string
	maps, labels, annotations                         []string
	perFile, concurrency                              int
	suspend, force, strict, quiet                     bool
}

// settings are flags that were understood.
type settings struct {
	flags
	inputs   []string
	format   inventory.Format
	encoding inventory.Encoding
	columns  *fields.Columns
	names    *manifest.Names
	frame    *manifest.Frame
	judge    *judge
}

func (s *settings) verb() string {
	if s.dryRun == dryRunNone {
		return "written"
	}
	return "valid"
}

// settings reads the flags. An error is one of the command line.
func (f flags) settings(inputs []string, namespace string) (*settings, error) {
	if err := f.conflicts(); err != nil {
		return nil, err
	}
	made := &settings{flags: f, inputs: inputs, format: inventory.Format(f.format), encoding: inventory.Encoding(f.encoding)}
	if err := made.readers(); err != nil {
		return nil, err
	}
	labels, err := pairs("--label", f.labels)
	if err != nil {
		return nil, err
	}
	annotations, err := pairs("--annotation", f.annotations)
	if err != nil {
		return nil, err
	}
	made.frame = &manifest.Frame{Namespace: namespace, Project: f.project, Labels: labels, Annotations: annotations, Suspend: f.suspend}
	return made, valid(made.frame)
}

// conflicts refuses flags that contradict each other, and values that there are not.
func (f flags) conflicts() error {
	switch {
	case f.project == "":
		return errors.New("--project is missing: the name of the CBRProject to import into")
	case f.output != "" && f.outputDir != "":
		return errors.New("--output and --output-dir exclude each other")
	case f.perFile < 1:
		return errors.New("--per-file must be 1 or more")
	case f.concurrency < 1 || f.concurrency > 100:
		return errors.New("--concurrency must be 1 to 100")
	case f.strict && f.rejects != "":
		return errors.New("--strict and --rejects exclude each other: a strict run ends with the first row that would be rejected")
	case f.dryRun != dryRunNone && (f.output != "" || f.outputDir != ""):
		return errors.New("--dry-run writes no manifests: leave out --output and --output-dir")
	}
	return errors.Join(
		oneOf("--dry-run", f.dryRun, dryRunNone, dryRunClient, dryRunServer),
		oneOf("--format", f.format, string(inventory.Auto), string(inventory.JSON), string(inventory.JSONLines), string(inventory.CSV)),
		oneOf("--encoding", f.encoding, string(inventory.AutoEncoding), string(inventory.UTF8), string(inventory.GB18030), string(inventory.UTF16)))
}

func oneOf(name, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return fmt.Errorf("%s must be one of %s, not %q", name, strings.Join(values, ", "), value)
}

// readers prepares what reads rows and names objects.
func (s *settings) readers() error {
	var err error
	if s.columns, err = fields.NewColumns(s.maps); err != nil {
		return err
	}
	if s.names, err = manifest.ByTemplate(s.nameTemplate); err != nil {
		return err
	}
	var zone *time.Location
	if s.timeZone != "" {
		if zone, err = fields.Zone(s.timeZone); err != nil {
			return fmt.Errorf("--time-zone: %w", err)
		}
	}
	compiled, err := rules.New(crd.BackupSyncs)
	if err != nil {
		return err
	}
	s.judge = &judge{rules: compiled, zone: zone, project: s.project, suspend: s.suspend}
	return nil
}

func pairs(name string, given []string) (map[string]string, error) {
	made := map[string]string{}
	for _, one := range given {
		key, value, found := strings.Cut(one, "=")
		if !found {
			return nil, fmt.Errorf("%s %q: it must be KEY=VALUE", name, one)
		}
		if _, twice := made[key]; twice {
			return nil, fmt.Errorf("%s %q: the key is given twice", name, one)
		}
		made[key] = value
	}
	return made, nil
}

// valid holds what all objects have in common against the rules of the API server.
func valid(frame *manifest.Frame) error {
	found := metavalidation.ValidateLabels(frame.Labels, field.NewPath("--label"))
	found = append(found, apivalidation.ValidateAnnotations(frame.Annotations, field.NewPath("--annotation"))...)
	if err := found.ToAggregate(); err != nil {
		return err
	}
	if wrong := validation.IsDNS1123Label(frame.Namespace); frame.Namespace != "" && len(wrong) > 0 {
		return fmt.Errorf("--namespace %q: %s", frame.Namespace, strings.Join(wrong, "; "))
	}
	if wrong := validation.IsDNS1123Subdomain(frame.Project); len(wrong) > 0 {
		return fmt.Errorf("--project %q: %s", frame.Project, strings.Join(wrong, "; "))
	}
	for _, key := range slices.Sorted(maps.Keys(frame.Annotations)) {
		if strings.ToValidUTF8(frame.Annotations[key], "") != frame.Annotations[key] {
			return fmt.Errorf("--annotation %s: it is no valid UTF-8", key)
		}
	}
	return nil
}
