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

package v1alpha1_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// documentedManifests returns the blocks of YAML in a document, or the whole of a file of YAML.
func documentedManifests(path string) []string {
	GinkgoHelper()
	content, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	if filepath.Ext(path) == ".yaml" {
		return []string{string(content)}
	}
	var blocks []string
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(content), -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

var _ = Describe("The manifests of the documentation and of the samples", func() {
	It("are taken by the API server, with every field that they have", func(ctx context.Context) {
		kinds := map[string]int{}
		for _, pattern := range []string{"README.md", "docs/*.md", "config/samples/*.yaml", "config/samples/credentials/*.yaml", "config/kustomize/example/*.yaml",
			"config/samples/gitops/teams/*/*/*.yaml"} {
			paths, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pattern)))
			Expect(err).NotTo(HaveOccurred())
			Expect(paths).NotTo(BeEmpty(), pattern)
			for _, path := range paths {
				for _, text := range documentedManifests(path) {
					for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
						object := &unstructured.Unstructured{}
						err := decoder.Decode(&object.Object)
						if errors.Is(err, io.EOF) {
							break
						}
						Expect(err).NotTo(HaveOccurred(), "%s\n%s", path, text)
						if kind := object.GroupVersionKind(); kind.Group != v1alpha1.GroupVersion.Group && kind.Kind != "Secret" {
							continue // of others
						}
						object.SetNamespace(metav1.NamespaceDefault)
						Expect(apiserver.Create(ctx, object, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))).To(Succeed(), "%s\n%s", path, text)
						kinds[object.GetKind()]++
					}
				}
			}
		}
		for _, kind := range []string{"Secret", backupSync, cbrProject} {
			Expect(kinds[kind]).To(BeNumerically(">", 3), "%v", kinds)
		}
	})
})
