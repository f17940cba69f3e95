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
	"maps"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
)

const (
	backupSync = "BackupSync"
	cbrProject = "CBRProject"
)

// fields is a spec as it stands in a manifest; a key with dots is a path. Manifests are unstructured, so that what a
// person can write can be sent, wrong types too.
type fields map[string]any

// absent is the value of a field that the manifest leaves out.
type absent struct{}

// validBackup is the vendor's example.
func validBackup(changes ...fields) fields {
	return changed(fields{
		"projectRef.name": "erp",
		"backupID":        "1f9e6b47-7655-4a19-b563-21b4ef023025",
		"backupName":      "backup_name",
		"bucketName":      "1555230361623e4ce4700dab84b7d8169a5eaec05227d",
		"imagePath":       "6abec15e-7baf-4d79-b5a9-6b98a2da7020/cfe0295c-5939-4b31-96cd-161b4725e7ad",
		"resourceID":      "96f7512d-239d-3f31-80cf-d1ce041df9a6",
		"resourceName":    "resource_name",
		"createdAt":       int64(1553587260),
	}, changes)
}

// validProject is a project of a region.
func validProject(changes ...fields) fields {
	return changed(fields{
		"region":                     "cn-north-4",
		"projectID":                  "f841e01fd2b14e7fa41b6ae7aa6b0594",
		"credentials.type":           "Token",
		"credentials.secretRef.name": "cbr",
	}, changes)
}

// atEndpoint is a project of an endpoint of its own.
func atEndpoint(endpoint string) fields {
	return validProject(fields{"region": absent{}, "endpoint": endpoint})
}

func changed(spec fields, changes []fields) fields {
	for _, change := range changes {
		maps.Copy(spec, change)
	}
	maps.DeleteFunc(spec, func(_ string, value any) bool { return value == absent{} })
	return spec
}

// manifest is the object that a manifest with this spec declares.
func manifest(kind, namespace string, spec fields) *unstructured.Unstructured {
	GinkgoHelper()
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetNamespace(namespace)
	object.SetGenerateName("manifest-")
	set(object, spec)
	return object
}

func set(object *unstructured.Unstructured, spec fields) {
	GinkgoHelper()
	for path, value := range spec {
		if value == (absent{}) {
			unstructured.RemoveNestedField(object.Object, specPath(path)...)
			continue
		}
		Expect(unstructured.SetNestedField(object.Object, value, specPath(path)...)).To(Succeed())
	}
}

func specPath(path string) []string {
	return append([]string{"spec"}, strings.Split(path, ".")...)
}

// expectStored expects that an object, as the API server has answered it, has the fields of a spec.
func expectStored(object *unstructured.Unstructured, spec fields) {
	GinkgoHelper()
	for path, value := range spec {
		stored, found, err := unstructured.NestedFieldNoCopy(object.Object, specPath(path)...)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(BeTrue(), path)
		Expect(stored).To(Equal(value), path)
	}
}

func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "manifests-"}}
	Expect(apiserver.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

// create creates the object that a manifest with this spec declares, in a namespace of its own.
func create(ctx context.Context, kind string, spec fields) *unstructured.Unstructured {
	GinkgoHelper()
	object := manifest(kind, newNamespace(ctx), spec)
	Expect(apiserver.Create(ctx, object)).To(Succeed())
	return object
}

// expectRefused expects that a write was refused as invalid, for a field, and returns what the person reads.
func expectRefused(err error, field string) string {
	GinkgoHelper()
	Expect(err).To(HaveOccurred(), "the API server has let it through")
	Expect(apierrors.IsInvalid(err)).To(BeTrue(), "refused, but not as invalid: %v", err)
	var status *apierrors.StatusError
	Expect(errors.As(err, &status)).To(BeTrue())
	Expect(status.ErrStatus.Details.Causes).To(ContainElement(HaveField("Field", field)), "%v", err)
	Expect(err.Error()).To(ContainSubstring(field))
	return err.Error()
}

// beInWords matches a message that shows no regular expression.
func beInWords() OmegaMatcher {
	return Not(Or(ContainSubstring("^["), ContainSubstring("should match"), ContainSubstring(`\x{`), ContainSubstring("failed rule")))
}

// schema is the part of a CRD's schema that these specs read.
type schema struct {
	Description string
	Pattern     string
	Properties  map[string]*schema
	Items       *schema
	Validations []validation `json:"x-kubernetes-validations"`
	Default     any
	Enum        []any
	MaxLength   *int64
	MaxItems    *int64
	Minimum     *int64
	Maximum     *int64
}

type validation struct {
	Rule, Message, FieldPath string
}

// crd is the part of a generated CRD that these specs read.
type crd struct {
	Spec struct {
		Names    struct{ Kind string }
		Versions []struct {
			Schema struct{ OpenAPIV3Schema *schema }
		}
	}
}

// schemaOf reads the schema of a kind in the generated CRDs.
func schemaOf(kind string) *schema {
	GinkgoHelper()
	files, err := filepath.Glob(filepath.Join(crdFolder, "*.yaml"))
	Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		content, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		var definition crd
		Expect(yaml.Unmarshal(content, &definition)).To(Succeed())
		if definition.Spec.Names.Kind == kind {
			Expect(definition.Spec.Versions).To(HaveLen(1))
			return definition.Spec.Versions[0].Schema.OpenAPIV3Schema
		}
	}
	Fail("no CRD of the kind " + kind)
	return nil
}

// walk visits a schema and all that is below it, with their paths. Items have the path of their list.
func (s *schema) walk(path string, visit func(path string, s *schema)) {
	visit(path, s)
	for name, property := range s.Properties {
		property.walk(strings.TrimPrefix(path+"."+name, "."), visit)
	}
	if s.Items != nil {
		s.Items.walk(path, visit)
	}
}
