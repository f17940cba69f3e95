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

package generate_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/config/crd"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/generate/rules"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// object returns a valid BackupSync, but for one field.
func object(field string, value any) map[string]any {
	spec := map[string]any{
		"projectRef": map[string]any{"name": "default"}, "backupID": "1f9e6b47-7655-4a19-b563-21b4ef023025", "backupName": "备份_1", "bucketName": "vmware-backups",
		"imagePath": "6abec15e/cfe0295c", "resourceID": "96f7512d-239d-3f31-80cf-d1ce041df9a6", "resourceName": "erp 01", "createdAt": int64(1553587260),
	}
	switch field {
	case "projectRef.name":
		spec["projectRef"] = map[string]any{"name": value}
	default:
		spec[field] = value
	}
	return map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "BackupSync", "metadata": map[string]any{"name": "erp", "namespace": metav1.NamespaceDefault}, "spec": spec}
}

// values are what fields may hold: good, bad and odd.
func values() []any {
	texts := []string{"", "a", "A", "0", "-", "_", ".", "..", "a.b", "a/b", "a b", " a", "a ", "a\tb", "a\nb", "a\u00a0", "\u3000a", "\u200ba", "a\u200bb", "\ufeffa", "a\x00b", "a\x7fb", "a\u0085b", "a\u2028b", "备份", "备\u9fa6", "\uf900", "\ufa2e",
		"für", "💾", "=1+1", "%2f", "?", "1e3", "null", "OS::VMware::Server", "\ufffd", "default", "my_project", "erp.", "x-", "a\vb", "a\x1cb", "a\u180eb", "\u00ada"}
	for _, length := range []int{63, 64, 65, 128, 129, 253, 254, 255, 256, 2048, 2049} {
		texts = append(texts, strings.Repeat("x", length), strings.Repeat("备", length))
	}
	var found []any
	for _, text := range texts {
		found = append(found, text)
	}
	for _, number := range []int64{-1, 0, 1, 2147483647, 2147483648, 99999999999, 100000000000, 1553587260000} {
		found = append(found, number)
	}
	return append(found, 1.5, true, false, nil, []any{}, map[string]any{})
}

// The rules here accept and refuse what a real API server accepts and refuses, and blame the same fields.
func TestRulesAreThoseOfTheAPIServer(t *testing.T) {
	apiserver := apiServer(t)
	compiled, err := rules.New(crd.BackupSyncs)
	if err != nil {
		t.Fatal(err)
	}
	accepted, refused := 0, 0
	for _, field := range []string{"projectRef.name", "backupID", "backupName", "bucketName", "imagePath", "resourceID", "resourceName", "resourceType", "createdAt", "suspend"} {
		for _, value := range values() {
			here := map[string]bool{}
			for _, found := range compiled.Check(t.Context(), runtime.DeepCopyJSON(object(field, value))) {
				here[found.Field] = true
			}
			delete(here, nowhere)
			there := blamed(t, apiserver.Client.Create(t.Context(), &unstructured.Unstructured{Object: object(field, value)}, client.DryRunAll))
			if !maps.Equal(here, there) {
				t.Errorf("%s: %.60q: refused here for %v, there for %v", field, value, slices.Collect(maps.Keys(here)), slices.Collect(maps.Keys(there)))
			}
			if len(there) == 0 {
				accepted++
			} else {
				refused++
			}
		}
	}
	if accepted < 100 || refused < 100 {
		t.Errorf("%d were accepted, %d refused: this compares little", accepted, refused)
	}
}

// nowhere is the field of an error that says no more than that others were not looked for.
const nowhere = "<nil>"

// blamed returns the fields that the API server refuses an object for.
func blamed(t *testing.T, err error) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	if err == nil {
		return found
	}
	if !apierrors.IsInvalid(err) {
		t.Fatal(err)
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatal(err)
	}
	for _, cause := range status.Status().Details.Causes {
		found[cause.Field] = true
	}
	delete(found, nowhere)
	return found
}

// namespace makes a namespace with a project.
func namespace(t *testing.T, apiserver *cluster.Cluster, name string) {
	t.Helper()
	if err := apiserver.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
	project := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "default"},
		Spec: v1alpha1.CBRProjectSpec{Region: "cn-north-4", ProjectID: "p", Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}}}}
	if err := apiserver.Client.Create(t.Context(), project); err != nil {
		t.Fatal(err)
	}
}

// What is written is applied as it is by kubectl, from one file and from a folder with its kustomization; the same again changes nothing.
func TestManifestsAreApplied(t *testing.T) {
	apiserver := apiServer(t)
	namespace(t, apiserver, "applied")
	text := header + row("on", "1e3") + row("1E3", "null") + row("A_1", "备份")
	for number := range 30 {
		text += row(fmt.Sprintf("a-%d", number), "erp")
	}
	path, folder := file(t, "old.yaml", "")+".new.yaml", t.TempDir()
	for _, arguments := range [][]string{{"-f", path}, {"--output-dir", folder, "--per-file", "7"}} {
		if got := command(t, text, append([]string{"--project", "default", "-n", "applied", "--label", "on=1e3"}, arguments...)...); got.status != 0 {
			t.Fatal(got.err)
		}
	}
	if out, err := apiserver.Kubectl(t.Context(), "apply", "--server-side", "-f", path); err != nil || strings.Count(out, "serverside-applied") != 33 {
		t.Fatalf("%s, %v", out, err)
	}
	if out, err := apiserver.Kubectl(t.Context(), "diff", "--server-side", "-k", folder); err != nil || out != "" {
		t.Errorf("the folder has other objects: %s, %v", out, err)
	}
	var backup v1alpha1.BackupSync
	if err := apiserver.Client.Get(t.Context(), client.ObjectKey{Namespace: "applied", Name: "1e3"}, &backup); err != nil || backup.Spec.BackupName != "null" || backup.Spec.BackupID != "1E3" || backup.Labels["on"] != "1e3" {
		t.Errorf("%+v, %v", backup.Spec, err)
	}
}

// --dry-run=server tells what the cluster would refuse or change, and stores nothing.
func TestDryRunOnTheServer(t *testing.T) {
	apiserver := apiServer(t)
	namespace(t, apiserver, "dry")
	if got := command(t, header+row("a-1", "erp")+row("a-2", "erp"), "--project", "default", "-n", "dry", "-f", file(t, "x", "")+".yaml"); got.status != 0 {
		t.Fatal(got.err)
	}
	stored := command(t, header+row("a-1", "erp")+row("a-2", "erp")+row("B-3", "erp"), "--project", "default", "-n", "dry")
	if _, err := apiserver.Kubectl(t.Context(), "apply", "--server-side", "-f", file(t, "stored.yaml", stored.out)); err != nil {
		t.Fatal(err)
	}
	path := file(t, "rejects", "")
	got := command(t, header+row("a-1", "erp")+row("a-2", "other")+row("b-3", "erp")+row("a-4", "erp"), "--project", "default", "-n", "dry", "--kubeconfig", apiserver.Kubeconfig,
		"--dry-run=server", "--rejects", path+".csv")
	if got.status != cli.ExitFound || got.out != "" {
		t.Errorf("%d: %s", got.status, got.out)
	}
	for _, says := range []string{
		"stdin:3: BackupSync dry/a-2 exists and would change: spec.backupName",
		"stdin:4: backup_id: the API server refuses it: Invalid value", "backupID cannot be changed",
		"3 of the backups exist in namespace dry already, of which 1 would change", "4 rows read: 3 valid, 1 rejected",
	} {
		if !strings.Contains(got.err, says) {
			t.Errorf("it does not say %q:\n%s", says, got.err)
		}
	}
	if !strings.Contains(content(t, path+".csv"), "\nb-3,erp,") {
		t.Error("the refused row is not kept")
	}
	var backups v1alpha1.BackupSyncList
	if err := apiserver.Client.List(t.Context(), &backups, client.InNamespace("dry")); err != nil || len(backups.Items) != 3 || backups.Items[1].Spec.BackupName != "erp" {
		t.Errorf("something was stored: %d, %v", len(backups.Items), err)
	}
}

// What is wrong with the cluster is told as that, and no row is blamed.
func TestClustersThatCannotJudge(t *testing.T) {
	apiserver := apiServer(t)
	text := header + row("a-1", "erp")
	for name, c := range map[string]struct {
		says      string
		arguments []string
	}{
		"no namespace": {`namespaces "nowhere" not found`, []string{"-n", "nowhere", "--kubeconfig", apiserver.Kubeconfig}},
		"no cluster":   {"127.0.0.1:1", []string{"-n", "dry", "--kubeconfig", apiserver.Kubeconfig, "--server", "https://127.0.0.1:1"}},
		"forbidden":    {"cannot get resource", []string{"-n", "default", "--kubeconfig", apiserver.Kubeconfig, "--as", "nobody"}},
	} {
		got := command(t, text, append([]string{"--project", "default", "--dry-run=server"}, c.arguments...)...)
		if got.status != cli.ExitError || !strings.Contains(got.err, c.says) || strings.Contains(got.err, "stdin:2") {
			t.Errorf("%s: %d %s", name, got.status, got.err)
		}
	}
	got := command(t, text, "--project", "other", "-n", "default", "--dry-run=server", "--kubeconfig", apiserver.Kubeconfig)
	if got.status != 0 || !strings.Contains(got.err, "there is no CBRProject default/other") {
		t.Errorf("%d %s", got.status, got.err)
	}
}
