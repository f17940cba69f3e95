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

// Generate writes the schemas of package schemas: for each version of Kubernetes that is named, the kinds below and all that they
// are made of, from the OpenAPI document in the module k8s.io/kubernetes, without descriptions; and the kinds of Prometheus' operator and of cert-manager from their CRDs, for all versions.
//
//	go run ./schemas/generate v1.32.13 v1.33.13
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// kinds are those that the chart and the kustomizations have, by their names in the document.
var kinds = map[string]string{
	"v1.ConfigMap":                                                     "io.k8s.api.core.v1.ConfigMap",
	"v1.Namespace":                                                     "io.k8s.api.core.v1.Namespace",
	"v1.Secret":                                                        "io.k8s.api.core.v1.Secret",
	"v1.Service":                                                       "io.k8s.api.core.v1.Service",
	"v1.ServiceAccount":                                                "io.k8s.api.core.v1.ServiceAccount",
	"apps/v1.Deployment":                                               "io.k8s.api.apps.v1.Deployment",
	"policy/v1.PodDisruptionBudget":                                    "io.k8s.api.policy.v1.PodDisruptionBudget",
	"networking.k8s.io/v1.NetworkPolicy":                               "io.k8s.api.networking.v1.NetworkPolicy",
	"rbac.authorization.k8s.io/v1.Role":                                "io.k8s.api.rbac.v1.Role",
	"rbac.authorization.k8s.io/v1.RoleBinding":                         "io.k8s.api.rbac.v1.RoleBinding",
	"rbac.authorization.k8s.io/v1.ClusterRole":                         "io.k8s.api.rbac.v1.ClusterRole",
	"rbac.authorization.k8s.io/v1.ClusterRoleBinding":                  "io.k8s.api.rbac.v1.ClusterRoleBinding",
	"apiextensions.k8s.io/v1.CustomResourceDefinition":                 "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
	"admissionregistration.k8s.io/v1.ValidatingAdmissionPolicy":        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
	"admissionregistration.k8s.io/v1.ValidatingAdmissionPolicyBinding": "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
}

// free are definitions whose values have no one type: a number or a text, or anything.
var free = map[string]any{
	"io.k8s.apimachinery.pkg.api.resource.Quantity":                                         map[string]any{"type": []string{"string", "number"}},
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString":                                       map[string]any{"type": []string{"string", "integer"}},
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON":                         true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool":        true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray":       true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": true,
}

// external are the CRDs of others: the file by the module.
var external = map[string][]string{
	"github.com/prometheus-operator/prometheus-operator@v0.85.0": {
		"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
	},
	"github.com/cert-manager/cert-manager@v1.21.2": {"deploy/crds/cert-manager.io_certificates.yaml", "deploy/crds/cert-manager.io_issuers.yaml"},
}

func main() {
	log.SetFlags(0)
	if err := generateExternal(); err != nil {
		log.Fatal(err)
	}
	for _, version := range os.Args[1:] {
		if err := generate(version); err != nil {
			log.Fatalf("%s: %v", version, err)
		}
	}
}

func generate(version string) error {
	definitions, err := published(version)
	if err != nil {
		return err
	}
	kept, named := map[string]any{}, map[string]any{}
	for kind, name := range kinds {
		keep(definitions, kept, name)
		named[kind] = reference(name)
	}
	return write(version, map[string]any{"definitions": kept, "kinds": named})
}

func generateExternal() error {
	named := map[string]any{}
	for module, files := range external {
		folder, err := download(module)
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(file)))
			if err != nil {
				return fmt.Errorf("read a CRD: %w", err)
			}
			if err := keepCRD(text, named); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return write("external", map[string]any{"kinds": named})
}

// keepCRD adds the schemas of a CRD's versions.
func keepCRD(text []byte, named map[string]any) error {
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return err
	}
	for _, version := range crd.Spec.Versions {
		named[crd.Spec.Group+"/"+version.Name+"."+crd.Spec.Names.Kind] = strict(nil, nil, version.Schema.OpenAPIV3Schema)
	}
	return nil
}

// write writes a document, packed.
func write(name string, document map[string]any) error {
	text, err := json.Marshal(document) // maps are written in order
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	var packed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if _, err := writer.Write(text); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return os.WriteFile(filepath.Join("schemas", name+".json.gz"), packed.Bytes(), 0o644)
}

// download returns the folder of a module.
func download(module string) (string, error) {
	output, err := exec.CommandContext(context.Background(), "go", "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(output, &found); err != nil {
		return "", fmt.Errorf("find %s: %w", module, err)
	}
	return found.Dir, nil
}

// published returns the definitions of a version's OpenAPI document.
func published(version string) (map[string]map[string]any, error) {
	folder, err := download("k8s.io/kubernetes@" + version)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(folder, "api", "openapi-spec", "swagger.json"))
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	var document struct{ Definitions map[string]map[string]any }
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("decode the OpenAPI document: %w", err)
	}
	return document.Definitions, nil
}

func reference(name string) map[string]any { return map[string]any{"$ref": "#/definitions/" + name} }

// keep adds a definition, and all that it refers to, to those that are kept.
func keep(all map[string]map[string]any, kept map[string]any, name string) {
	if _, is := kept[name]; is {
		return
	}
	if schema, is := free[name]; is {
		kept[name] = schema
		return
	}
	kept[name] = true // while it is on the way: definitions refer to each other
	kept[name] = strict(all, kept, all[name])
}

// strict returns a schema without what does not check, that takes no properties but its own.
func strict(all map[string]map[string]any, kept map[string]any, schema map[string]any) map[string]any {
	made := map[string]any{}
	for _, key := range []string{"type", "required", "enum"} {
		if value, is := schema[key]; is {
			made[key] = value
		}
	}
	if target, is := schema["$ref"].(string); is {
		name := strings.TrimPrefix(target, "#/definitions/")
		keep(all, kept, name)
		made["$ref"] = "#/definitions/" + name
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, is := schema[key].(map[string]any); is {
			made[key] = strict(all, kept, inner)
		}
	}
	if schema["x-kubernetes-int-or-string"] == true {
		made["type"] = []string{"integer", "string"}
	}
	if properties, is := schema["properties"].(map[string]any); is && schema["x-kubernetes-preserve-unknown-fields"] != true {
		inner := map[string]any{}
		for name, property := range properties {
			inner[name] = strict(all, kept, property.(map[string]any)) // as OpenAPI has it
		}
		made["properties"], made["additionalProperties"] = inner, false
	}
	return made
}
