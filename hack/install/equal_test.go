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
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// ofHelm are what a chart has besides: who has made it, and of what.
var ofHelm = []string{"helm.sh/chart", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/resource-policy"}

// Chart and kustomizations install the same.
func TestChartAndKustomizeAreEqual(t *testing.T) {
	for name, test := range map[string]struct {
		values     []string
		kustomized func(*testing.T) []*unstructured.Unstructured
	}{
		"by default": {nil, func(t *testing.T) []*unstructured.Unstructured { t.Helper(); return kustomized(t, "default") }},
		"with every component": {
			[]string{
				"networkPolicy.enabled=true", "editWarnings.enabled=true", "metrics.certificate.certManager.enabled=true",
				"metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.tlsConfig.insecureSkipVerify=true", "metrics.prometheusRule.enabled=true",
			},
			func(t *testing.T) []*unstructured.Unstructured {
				t.Helper()
				return kustomizedWith(t, everyComponent...)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			arguments := []string{"--set", "image.tag=latest"}
			for _, value := range test.values {
				arguments = append(arguments, "--set", value)
			}
			ofChart, ofKustomize := byKey(t, template(t, "helm", arguments...)), byKey(t, test.kustomized(t))
			delete(ofKustomize, "Namespace /backupsync-system") // helm makes it by --create-namespace
			for _, key := range slices.Sorted(maps.Keys(ofKustomize)) {
				if !equality.Semantic.DeepEqual(ofChart[key], ofKustomize[key]) {
					t.Errorf("%s differs: the chart has\n%s\nkustomize\n%s", key, shown(t, ofChart[key]), shown(t, ofKustomize[key]))
				}
			}
			for key := range ofChart {
				if _, is := ofKustomize[key]; !is {
					t.Errorf("the chart alone has %s", key)
				}
			}
		})
	}
}

// byKey returns objects by kind, namespace and name, without what is Helm's own.
func byKey(t *testing.T, objects []*unstructured.Unstructured) map[string]map[string]any {
	t.Helper()
	made := map[string]map[string]any{}
	for _, object := range objects {
		labels, annotations := object.GetLabels(), object.GetAnnotations()
		for _, each := range ofHelm {
			delete(labels, each)
			delete(annotations, each)
		}
		object.SetLabels(labels)
		object.SetAnnotations(annotations)
		key := object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
		if _, is := made[key]; is {
			t.Errorf("%s is there twice", key)
		}
		made[key] = object.Object
	}
	return made
}

func shown(t *testing.T, object map[string]any) string {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
