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

package connection

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// documented is a part of the documentation: a block of YAML, or a sample.
type documented struct{ path, text string }

// documentation returns all blocks of YAML in the documentation that people read first, and the samples of credentials.
func documentation(t *testing.T) []documented {
	t.Helper()
	var all []documented
	for _, pattern := range []string{"README.md", "docs/*.md", "config/samples/credentials/*.yaml"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pattern)))
		if err != nil || len(paths) == 0 {
			t.Fatalf("there is no %s: %v", pattern, err)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(path) == ".yaml" {
				all = append(all, documented{path, string(content)})
			}
			for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(content), -1) {
				all = append(all, documented{path, block[1]})
			}
		}
	}
	return all
}

// manifests returns the Secret and the project of a part of the documentation, nil for what it does not have.
func (d documented) manifests(t *testing.T) (secret *corev1.Secret, project *v1alpha1.CBRProject) {
	t.Helper()
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(d.text), 4096); ; {
		var each struct {
			Kind       string                  `json:"kind"`
			Metadata   struct{ Name string }   `json:"metadata"`
			StringData map[string]string       `json:"stringData"`
			Spec       v1alpha1.CBRProjectSpec `json:"spec"`
		}
		switch err := decoder.Decode(&each); {
		case errors.Is(err, io.EOF):
			return secret, project
		case err != nil && each.Kind != "Secret" && each.Kind != "CBRProject": // a manifest of others
			continue
		case err != nil:
			t.Fatalf("%s: %v\n%s", d.path, err, d.text)
		}
		switch each.Kind {
		case "Secret":
			secret = &corev1.Secret{Data: map[string][]byte{}}
			secret.Name = each.Metadata.Name
			for key, value := range each.StringData {
				secret.Data[key] = []byte(value)
			}
		case "CBRProject":
			project = &v1alpha1.CBRProject{Spec: each.Spec}
		}
	}
}

// Whoever copies a manifest of the documentation, and puts real values in place of the examples, has credentials that can be used.
func TestCredentialsOfTheDocumentation(t *testing.T) {
	tried := map[v1alpha1.CredentialsType]int{}
	transport, err := (&cbr.Transports{}).For("")
	if err != nil {
		t.Fatal(err)
	}
	patterns, err := ParseEndpointPatterns(DefaultAllowedEndpoints)
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range documentation(t) {
		secret, project := each.manifests(t)
		if project == nil {
			continue
		}
		spec := &project.Spec
		if !patterns.Allow(EndpointOf(spec)) || !patterns.AllowIAM(IAMEndpointOf(spec)) {
			t.Errorf("%s: its endpoints are not allowed by default\n%s", each.path, each.text)
		}
		if NeedsSecret(spec.Credentials.Type) == (spec.Credentials.SecretRef.Name == "") {
			t.Errorf("%s: secretRef is wrong for its type\n%s", each.path, each.text)
		}
		tried[spec.Credentials.Type]++
		if secret == nil {
			continue
		}
		if secret.Name != spec.Credentials.SecretRef.Name {
			t.Errorf("%s: secretRef names another Secret than the one beside it\n%s", each.path, each.text)
		}
		contents, err := Read(&spec.Credentials, secret)
		if err != nil {
			t.Errorf("%s: %v\n%s", each.path, err, each.text)
			continue
		}
		if _, err := NewCredential(spec.Credentials.Type, contents, Surroundings{ProjectID: spec.ProjectID,
			IAMEndpoint: IAMEndpointOf(spec), Transport: transport}); err != nil {
			t.Errorf("%s: %v\n%s", each.path, err, each.text)
		}
	}
	for kind := range partsOf {
		if tried[kind] < 2 {
			t.Errorf("%s has %d manifests, in docs/credentials.md and config/samples/credentials there should be one each", kind, tried[kind])
		}
	}
}

// The lists of endpoints in the documentation can be copied, and the one that is called the default is it.
func TestEndpointListsOfTheDocumentation(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "`"+DefaultAllowedEndpoints+"`") {
		t.Errorf("README.md does not have the default %s", DefaultAllowedEndpoints)
	}
	security, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	lists := regexp.MustCompile("`--allowed-endpoints=([^`]+)`").FindAllStringSubmatch(string(security), -1)
	if len(lists) == 0 {
		t.Error("docs/security.md shows no list")
	}
	for _, list := range lists {
		patterns, err := ParseEndpointPatterns(list[1])
		if err != nil {
			t.Fatal(err)
		}
		if !patterns.Allow("https://cbr.cn-north-4.myhuaweicloud.com") || !patterns.AllowIAM("https://iam.cn-north-4.myhuaweicloud.com") ||
			!slices.ContainsFunc(patterns, func(p endpointPattern) bool { return p.network.IsValid() }) {
			t.Errorf("%s does not do what is said of it", list[1])
		}
	}
}
