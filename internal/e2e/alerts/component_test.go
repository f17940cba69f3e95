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

package alerts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/internal/e2e/cluster"
)

// object is what the test looks at of an object of the build.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
		Ports     []struct{ Name string } `json:"ports"`
		Endpoints []struct {
			Port        string `json:"port"`
			Scheme      string `json:"scheme"`
			HonorLabels bool   `json:"honorLabels"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// built builds config/default with the component, as the documentation shows it, and returns its objects by kind and name.
func built(t *testing.T) map[string]object {
	t.Helper()
	g := NewWithT(t)
	root, err := cluster.ModuleRoot()
	g.Expect(err).NotTo(HaveOccurred())
	assets, err := cluster.Assets(root)
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	g.Expect(err).NotTo(HaveOccurred())
	folder, err := filepath.EvalSymlinks(t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	config, err := filepath.Rel(folder, filepath.Join(root, "config")) // a kustomization refers to others by relative paths
	g.Expect(err).NotTo(HaveOccurred())
	text := fmt.Sprintf("resources: [%q]\ncomponents: [%q]\n", filepath.Join(config, "default"), filepath.Join(config, "components", "prometheus"))
	g.Expect(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600)).To(Succeed())
	output, err := exec.CommandContext(t.Context(), filepath.Join(assets, "kubectl"), "kustomize", folder).Output()
	g.Expect(err).NotTo(HaveOccurred())

	objects := map[string]object{}
	for _, document := range strings.Split(string(output), "\n---\n") {
		var each object
		g.Expect(yaml.Unmarshal([]byte(document), &each)).To(Succeed())
		objects[each.Kind+" "+each.Metadata.Name] = each
	}
	return objects
}

// The ServiceMonitor finds the Service of the metrics, and what it scrapes keeps its namespace.
func TestTheComponentScrapesTheMetrics(t *testing.T) {
	g := NewWithT(t)
	objects := built(t)
	g.Expect(objects).To(HaveKey("PrometheusRule backupsync-alerts"))
	monitor, service := objects["ServiceMonitor backupsync-controller-manager"], objects["Service backupsync-controller-manager-metrics-service"]
	g.Expect(monitor.Spec.Endpoints).To(HaveLen(1))
	g.Expect(service.Spec.Ports).To(HaveLen(1))
	g.Expect(monitor.Spec.Endpoints[0].Port).To(Equal(service.Spec.Ports[0].Name))
	g.Expect(monitor.Spec.Endpoints[0].Scheme).To(Equal("https"))
	g.Expect(monitor.Spec.Endpoints[0].HonorLabels).To(BeTrue())
	g.Expect(monitor.Spec.Selector.MatchLabels).NotTo(BeEmpty())
	for label, value := range monitor.Spec.Selector.MatchLabels {
		g.Expect(service.Metadata.Labels).To(HaveKeyWithValue(label, value))
	}
	g.Expect(monitor.Metadata.Namespace).To(Equal(service.Metadata.Namespace))
	g.Expect(objects["PrometheusRule backupsync-alerts"].Metadata.Namespace).To(Equal(service.Metadata.Namespace))
}
