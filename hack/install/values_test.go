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
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/hack/install/schemas"
)

func TestTheChartIsClean(t *testing.T) {
	for _, helm := range helms {
		for _, values := range valuesFiles(t) {
			t.Run(helm+" "+filepath.Base(values), func(t *testing.T) {
				if output, err := command(t, nil, helm, "lint", "--strict", "--namespace", namespace, chart(t), "--values", values); err != nil {
					t.Errorf("%v\n%s", err, output)
				}
			})
		}
	}
}

// What is installed is what each version of Kubernetes knows, without a field too many.
func TestEachVersionOfKubernetesTakesWhatIsInstalled(t *testing.T) {
	versions, err := schemas.Versions()
	if err != nil || len(versions) < 6 {
		t.Fatalf("schemas of the versions %v: %v", versions, err)
	}
	installed := map[string][]*unstructured.Unstructured{
		"kustomize default":            kustomized(t, "default"),
		"kustomize namespaced-example": kustomized(t, "components", "namespaced-example"),
		"kustomize everything":         kustomizedWith(t, everyComponent...),
	}
	for _, values := range valuesFiles(t) {
		for _, helm := range helms {
			installed[helm+" "+filepath.Base(values)] = template(t, helm, "--values", values)
		}
	}
	for _, version := range versions {
		checker, err := schemas.New(version)
		if err != nil {
			t.Fatal(err)
		}
		for _, how := range slices.Sorted(maps.Keys(installed)) {
			t.Run(version+" "+how, func(t *testing.T) {
				for _, object := range installed[how] {
					checkAgainst(t, checker, object)
				}
			})
		}
	}
}

// everyComponent is what can be added to config/default.
var everyComponent = []string{"metrics-certificate", "network-policy", "edit-warnings", "prometheus"}

// kustomizedWith builds config/default with components.
func kustomizedWith(t *testing.T, components ...string) []*unstructured.Unstructured {
	t.Helper()
	folder, err := os.MkdirTemp(root(t, "config"), ".test-") // kustomize takes no absolute paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../default]\ncomponents:\n"
	for _, component := range components {
		text += "- ../components/" + component + "\n"
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kustomized(t, filepath.Base(folder))
}

func checkAgainst(t *testing.T, checker *schemas.Checker, object *unstructured.Unstructured) {
	t.Helper()
	text, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	value, err := decodeValue(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := checker.Check(object.GetAPIVersion(), object.GetKind(), value); err != nil {
		t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

// The schemas would find a mistake.
func TestTheSchemasFindMistakes(t *testing.T) {
	checker, err := schemas.New("v1.32.13")
	if err != nil {
		t.Fatal(err)
	}
	for name, deployment := range map[string]string{
		"a field too many":   `{"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "m", "command": []}], "nodeselector": {}}}}}`,
		"a value of no kind": `{"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": "2", "selector": {}, "template": {}}}`,
		"what is required":   `{"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {}}}`,
	} {
		value, err := decodeValue([]byte(deployment))
		if err != nil {
			t.Fatal(err)
		}
		if err := checker.Check("apps/v1", "Deployment", value); err == nil {
			t.Errorf("%s was not found", name)
		}
	}
	if err := checker.Check("apps/v1", "Nothing", map[string]any{}); !errors.Is(err, schemas.ErrUnknownKind) {
		t.Errorf("a kind without a schema: %v", err)
	}
}

// wrong are values that the chart refuses, and what the error names.
var wrong = map[string]string{
	"replica=3":                                      "replica",
	"image.tags=v1":                                  "tags",
	"metrics.port=0":                                 "port",
	"watchNamespaces={Team}":                         "watchNamespaces",
	"replicas=two":                                   "replicas",
	"image.digest=latest":                            "digest",
	"extraArgs={leader-elect}":                       "extraArgs",
	"allowedEndpoints={a\\,b}":                       "allowedEndpoints",
	"logLevel=trace":                                 "logLevel",
	"serviceAccount.create=false":                    "serviceAccount.name",
	"metrics.reader.name=prometheus":                 "metrics.reader.namespace",
	"metrics.certificate.certmanager.enabled=true":   "certmanager",
	"fullnameOverride=Backup_Sync":                   "fullnameOverride",
	"image.repository=example.com/backupsync:v1":     "repository",
	"metrics.port=8081":                              "port",
	"extraArgs={--leader-elect=false}":               "extraArgs",
	"extraArgs={--watch-namespaces=team-a}":          "extraArgs",
	"terminationGracePeriodSeconds=30":               "105",
	"extraArgs={--call-timeout=2m30.5s}":             "196",
	`commonLabels.app\.kubernetes\.io/name=platform`: "commonLabels",
	"podLabels.control-plane=manager":                "podLabels",
	"crds.install=false,crds.keep=false":             "crds.install",
	"extraEnv[0].name=GOMEMLIMIT":                    "goMemoryLimit",
	"extraObjects[0].apiVersion=cbr.backupsync.dev/v1alpha1,extraObjects[0].kind=CBRProject": "extraObjects",
}

// right are values that look wrong, and are not.
var right = []string{
	"image.repository=registry.example.com:5000/backupsync",
	"extraArgs={--call-timeout=75s}",
	"extraArgs={--call-timeout=1h},terminationGracePeriodSeconds=3660",
	"extraArgs={--leader-elect-lease-duration=30s,--zap-log-level=2}",
	"goMemoryLimit=,extraEnv[0].name=GOMEMLIMIT,extraEnv[0].value=1GiB",
	"crds.install=false,extraObjects[0].apiVersion=cbr.backupsync.dev/v1alpha1,extraObjects[0].kind=CBRProject,extraObjects[0].metadata.name=a",
	"watchNamespaces=null",
}

func TestRightValuesAreTaken(t *testing.T) {
	for _, value := range right {
		if _, err := command(t, nil, "helm", "template", release, chart(t), "--set", value); err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// Names that YAML takes for a number, or for nothing, stay names: a Role of the namespace "null" would be one of the release's.
func TestNamesStayText(t *testing.T) {
	checker, err := schemas.New("v1.32.13")
	if err != nil {
		t.Fatal(err)
	}
	for _, helm := range helms {
		output, err := command(t, nil, helm, "template", "2024", chart(t), "--namespace", "1e3", "--kube-version", "1.32.0", "--set-string",
			"watchNamespaces={null,0x10,true},goMemoryLimit=1932735283,priorityClassName=12,serviceAccount.name=13,metrics.certificate.secretName=14,"+
				"metrics.reader.name=15,metrics.reader.namespace=16,nameOverride=17")
		if err != nil {
			t.Fatal(err)
		}
		namespaces := map[string]bool{}
		for _, object := range decode(t, output) {
			checkAgainst(t, checker, object)
			namespaces[object.GetNamespace()] = true
		}
		if want := []string{"", "0x10", "1e3", "null", "true"}; !slices.Equal(slices.Sorted(maps.Keys(namespaces)), want) {
			t.Errorf("%s: objects of the namespaces %q, want %q", helm, slices.Sorted(maps.Keys(namespaces)), want)
		}
	}
}

// Braces in an object are for whoever reads it, such as External Secrets; texts are templates.
func TestObjectsAreTakenAsTheyAre(t *testing.T) {
	objects := template(t, "helm", "--values", filepath.Join("testdata", "values", "everything.yaml"))
	for name, want := range map[string]any{"more": "{{ .accessKey }}", "as-a-text": release} {
		data, _, _ := unstructured.NestedMap(find(t, objects, "ConfigMap", name).Object, "data")
		if !slices.Contains(slices.Collect(maps.Values(data)), want) {
			t.Errorf("%s has %v, want %q", name, data, want)
		}
	}
}

// A Prometheus that may read no files takes no ServiceMonitor that names one.
func TestTheServiceMonitorNamesNoFileThatIsReplaced(t *testing.T) {
	monitor := find(t, template(t, "helm", "--values", filepath.Join("testdata", "values", "certificate.yaml")), "ServiceMonitor", "controller-manager")
	endpoints, _, _ := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
	endpoint := endpoints[0].(map[string]any)
	if name, _, _ := unstructured.NestedString(endpoint, "authorization", "credentials", "name"); name != "scraper" || endpoint["bearerTokenFile"] != nil {
		t.Errorf("the ServiceMonitor has %v", endpoint)
	}
}

// Without metrics no pod waits for their certificate, which nobody issues.
func TestWithoutMetricsThereIsNoCertificate(t *testing.T) {
	objects := template(t, "helm", "--set", "metrics.enabled=false,metrics.certificate.certManager.enabled=true")
	deployment := find(t, objects, "Deployment", "controller-manager")
	if volumes, found, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "volumes"); found {
		t.Errorf("volumes %v", volumes)
	}
}

func TestWrongValuesAreRefusedByName(t *testing.T) {
	for value, named := range wrong {
		_, err := command(t, nil, "helm", "template", release, chart(t), "--set", value)
		if err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%s: %v, want an error that names %s", value, err, named)
		}
	}
}

// Every value has a comment, and is in the schema, which has no other.
func TestEachValueIsDocumentedAndInTheSchema(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chart(t), "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range undocumented(string(text)) {
		t.Errorf("%s has no comment that begins with its name", key)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	schemaText, err := os.ReadFile(filepath.Join(chart(t), "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(schemaText, &schema); err != nil {
		t.Fatal(err)
	}
	delete(schema["properties"].(map[string]any), "global") // of Helm's own, for parents of a chart
	compareKeys(t, "", values, schema)
}

// compareKeys compares the names of values with those of a schema, as far as the schema lists them.
func compareKeys(t *testing.T, path string, values, schema map[string]any) {
	t.Helper()
	properties, is := schema["properties"].(map[string]any)
	if !is {
		return
	}
	if schema["additionalProperties"] != false {
		t.Errorf("%q takes other names", path)
	}
	if have, want := slices.Sorted(maps.Keys(properties)), slices.Sorted(maps.Keys(values)); !slices.Equal(have, want) {
		t.Errorf("%q: the schema has %v, values.yaml %v", path, have, want)
	}
	for name, inner := range properties {
		if nested, is := values[name].(map[string]any); is {
			compareKeys(t, path+"."+name, nested, inner.(map[string]any))
		}
	}
}

var valueLine = regexp.MustCompile(`^( *)([A-Za-z]+):(.*)$`)

// undocumented returns the keys of values.yaml without a comment that begins with their name. A key without one may hold others; what
// is inside of a value that has one is its own affair.
func undocumented(text string) []string {
	var missing []string
	lines, inside := strings.Split(text, "\n"), math.MaxInt // the indentation of the value that a line is inside of
	for i, line := range lines {
		parts := valueLine.FindStringSubmatch(line)
		if parts == nil || len(parts[1]) > inside {
			continue
		}
		inside = math.MaxInt
		switch holdsOthers := strings.TrimSpace(parts[3]) == ""; {
		case documented(lines[:i], parts[2]):
			inside = len(parts[1])
		case !holdsOthers:
			missing = append(missing, parts[2])
		}
	}
	return missing
}

// documented reports whether the comment right above begins with a name.
func documented(above []string, name string) bool {
	for _, line := range slices.Backward(above) {
		comment, is := strings.CutPrefix(strings.TrimSpace(line), "# ")
		if !is {
			return false
		}
		if strings.HasPrefix(comment, name+" ") {
			return true
		}
	}
	return false
}

// decodeValue decodes JSON as the schemas take it.
func decodeValue(text []byte) (any, error) { return jsonschema.UnmarshalJSON(bytes.NewReader(text)) }
