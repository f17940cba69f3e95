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
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// SamplePatch says what config/samples is changed to.
type SamplePatch struct {
	// Namespace is where the samples go.
	Namespace string
	// Token is the IAM token in their Secret.
	Token string
	// Endpoint takes the place of the CBRProject's region.
	Endpoint string
	// Project are fields of the CBRProject's spec, by their JSON names.
	Project map[string]any
}

// WriteSamples writes a kustomization of config/samples with changes and returns its folder, for "kubectl apply -k". The
// samples are copied first: a kustomization refers to its bases by relative paths.
func (c *Cluster) WriteSamples(name string, patch SamplePatch) (string, error) {
	overlay := filepath.Join(c.Dir, name)
	if err := os.CopyFS(filepath.Join(overlay, "samples"), os.DirFS(filepath.Join(c.Root, "config", "samples"))); err != nil {
		return "", fmt.Errorf("copy the samples: %w", err)
	}
	operations := []jsonPatch{{Op: "remove", Path: "/spec/region"}, {Op: "add", Path: "/spec/endpoint", Value: patch.Endpoint}}
	for field, value := range patch.Project {
		operations = append(operations, jsonPatch{Op: "add", Path: "/spec/" + field, Value: value})
	}
	project, projectErr := patchOf("CBRProject", operations...)
	secret, secretErr := patchOf("Secret", jsonPatch{Op: "add", Path: "/stringData/token", Value: patch.Token})
	// JSON is YAML too.
	text, err := json.MarshalIndent(map[string]any{
		"apiVersion": "kustomize.config.k8s.io/v1beta1",
		"kind":       "Kustomization",
		"namespace":  patch.Namespace,
		"resources":  []string{"samples"},
		"patches":    []any{project, secret},
	}, "", "  ")
	if err := errors.Join(projectErr, secretErr, err); err != nil {
		return "", fmt.Errorf("make the overlay of the samples: %w", err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), text, 0o600); err != nil {
		return "", fmt.Errorf("write the overlay of the samples: %w", err)
	}
	return overlay, nil
}

type jsonPatch struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// patchOf returns an entry of a kustomization's patches.
func patchOf(kind string, operations ...jsonPatch) (map[string]any, error) {
	text, err := json.Marshal(operations)
	return map[string]any{"target": map[string]string{"kind": kind}, "patch": string(text)}, err
}
