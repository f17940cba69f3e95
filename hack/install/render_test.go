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
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	release   = "backupsync"
	namespace = "backupsync-system"
)

// helms are the programs that the chart has to work with: Helm 4 and Helm 3.
var helms = []string{"helm", "helm3"}

// root returns a path in the repository.
func root(t *testing.T, elements ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{"..", ".."}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// chart is the folder of the chart.
func chart(t *testing.T) string { t.Helper(); return root(t, "config", "chart") }

// command runs a program of bin, with nothing of the configuration of whoever runs the test, and returns what it has printed.
func command(t *testing.T, environment []string, name string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), root(t, "bin", name), arguments...)
	command.Env = append(append(os.Environ(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir()), environment...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil {
		err = errors.Join(err, errors.New(strings.TrimSpace(stderr.String())))
	}
	return stdout.String(), err
}

// template renders the chart.
func template(t *testing.T, helm string, arguments ...string) []*unstructured.Unstructured {
	t.Helper()
	// Helm built from its module takes a version of its own for that of the cluster.
	arguments = append([]string{"template", release, chart(t), "--namespace", namespace, "--kube-version", "1.32.0"}, arguments...)
	output, err := command(t, nil, helm, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, output)
}

// kustomized builds a folder of config.
func kustomized(t *testing.T, folder ...string) []*unstructured.Unstructured {
	t.Helper()
	output, err := command(t, nil, filepath.Join("k8s", "kubectl"), "kustomize", root(t, append([]string{"config"}, folder...)...))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, output)
}

// decode returns the objects of a stream of documents.
func decode(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// valuesFiles are the values at which the chart is tried.
func valuesFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "values", "*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files of values: %v", len(files), err)
	}
	return files
}

// find returns the one object of a kind whose name ends so.
func find(t *testing.T, objects []*unstructured.Unstructured, kind, nameEnd string) *unstructured.Unstructured {
	t.Helper()
	var found []*unstructured.Unstructured
	for _, object := range objects {
		if object.GetKind() == kind && strings.HasSuffix(object.GetName(), nameEnd) {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of the kind %s with a name that ends with %q, want one", len(found), kind, nameEnd)
	}
	return found[0]
}

// background is a context for what has to be undone when a test's own has ended.
func background(t *testing.T) context.Context { t.Helper(); return context.WithoutCancel(t.Context()) }
