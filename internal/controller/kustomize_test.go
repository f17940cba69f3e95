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

package controller_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// inConfig returns the path of a folder below config.
func inConfig(folder string) string {
	return filepath.Join("..", "..", "config", filepath.FromSlash(folder))
}

// kustomized builds a kustomization, as kubectl and Flux do.
func kustomized(ctx context.Context, folder string) []*unstructured.Unstructured {
	GinkgoHelper()
	build := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), "kustomize", folder)
	var problem strings.Builder
	build.Stderr = &problem
	built, err := build.Output()
	Expect(err).NotTo(HaveOccurred(), problem.String())
	return objectsIn(string(built))
}

// objectsIn decodes manifests.
func objectsIn(text string) []*unstructured.Unstructured {
	GinkgoHelper()
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		Expect(err).NotTo(HaveOccurred())
		objects = append(objects, object)
	}
}

var _ = Describe("The kustomization of the example", func() {
	It("imports through the names that kustomize gives", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		names := map[string][]string{}
		for _, object := range kustomized(ctx, inConfig("kustomize/example")) {
			object.SetNamespace(w.namespace)
			names[object.GetKind()] = append(names[object.GetKind()], object.GetName())
			if object.GetKind() == kindProject { // CBR is not in a region here
				unstructured.RemoveNestedField(object.Object, "spec", "region")
				Expect(unstructured.SetNestedField(object.Object, w.cloud.URL, "spec", "endpoint")).To(Succeed())
			}
			Expect(apiserver.Create(ctx, object)).To(Succeed())
		}
		Expect(names).To(Equal(map[string][]string{
			"Secret":    {names["Secret"][0]},
			kindProject: {"team-a-beijing"},
			kindBackup:  {"team-a-erp-01-20260301", "team-a-erp-01-20260302"},
		}))
		Expect(names["Secret"][0]).To(MatchRegexp(`^team-a-cbr-[a-z0-9]{10}$`), "with the hash of its content")

		project := &v1alpha1.CBRProject{}
		Expect(apiserver.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "team-a-beijing"}, project)).To(Succeed())
		Expect(project.Spec.Credentials.SecretRef.Name).To(Equal(names["Secret"][0]))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 2}))
		Expect(w.cloud.Accepted()).To(HaveLen(2))
		for _, backup := range w.backups(ctx) {
			Expect(backup.Spec.ProjectRef.Name).To(Equal("team-a-beijing"))
		}
	})
})
