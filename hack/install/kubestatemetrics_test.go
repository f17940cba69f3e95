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

package install_test

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// customResources is the configuration of kube-state-metrics, as far as it names fields. Unknown names are errors.
type customResources struct {
	Kind string `json:"kind"`
	Spec struct {
		Resources []struct {
			GroupVersionKind struct{ Group, Version, Kind string } `json:"groupVersionKind"`
			MetricNamePrefix string                                `json:"metricNamePrefix"`
			LabelsFromPath   map[string][]string                   `json:"labelsFromPath"`
			Metrics          []struct {
				Name string `json:"name"`
				Help string `json:"help"`
				Each struct {
					Type  string    `json:"type"`
					Gauge fieldPath `json:"gauge"`
					Info  fieldPath `json:"info"`
				} `json:"each"`
			} `json:"metrics"`
		} `json:"resources"`
	} `json:"spec"`
}

// fieldPath is where a value is, and its labels relative to that.
type fieldPath struct {
	Path           []string            `json:"path"`
	LabelsFromPath map[string][]string `json:"labelsFromPath"`
	ValueFrom      []string            `json:"valueFrom"`
	NilIsZero      bool                `json:"nilIsZero"`
}

// Every field that kube-state-metrics is told to read is one of the CRD: it says nothing of those that are not there.
func TestKubeStateMetricsReadsFieldsOfTheCRD(t *testing.T) {
	var configuration customResources
	readYAML(t, &configuration, "config", "monitoring", "kube-state-metrics.yaml")
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	readYAML(t, &crd, "config", "crd", "bases", "cbr.backupsync.dev_cbrprojects.yaml")
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	read := 0
	for _, resource := range configuration.Spec.Resources {
		for _, metric := range resource.Metrics {
			for _, field := range []fieldPath{metric.Each.Gauge, metric.Each.Info} {
				paths := append([][]string{field.ValueFrom}, mapValues(field.LabelsFromPath)...)
				for _, path := range paths {
					full := append(append([]string{}, field.Path...), path...)
					read++
					if !has(schema, full) {
						t.Errorf("%s: %s is no field of a %s", metric.Name, strings.Join(full, "."), resource.GroupVersionKind.Kind)
					}
				}
			}
		}
	}
	if read < 20 {
		t.Errorf("%d fields were looked for", read)
	}
}

func readYAML(t *testing.T, into any, path ...string) {
	t.Helper()
	text, err := os.ReadFile(root(t, path...))
	if err != nil {
		t.Fatal(err)
	}
	decode := yaml.Unmarshal
	if _, strict := into.(*customResources); strict {
		decode = yaml.UnmarshalStrict
	}
	if err := decode(text, into); err != nil {
		t.Fatal(err)
	}
}

func mapValues(from map[string][]string) [][]string {
	values := make([][]string, 0, len(from))
	for _, value := range from {
		values = append(values, value)
	}
	return values
}

// has reports whether a schema has a field; within a list it is one of its items.
func has(schema map[string]any, path []string) bool {
	if items, is := schema["items"].(map[string]any); is {
		schema = items
	}
	if len(path) == 0 {
		return true
	}
	properties, _ := schema["properties"].(map[string]any)
	next, is := properties[path[0]].(map[string]any)
	return is && has(next, path[1:])
}
