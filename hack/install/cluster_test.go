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
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// shared is the one API server of these tests: each works in namespaces of its own, or leaves things as they were.
var shared *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(func() int {
		ctx := context.Background()
		repository, err := os.Getwd()
		if err != nil {
			panic(err)
		}
		shared, err = cluster.Start(ctx, strings.TrimSuffix(repository, "/hack/install"))
		if err != nil {
			panic(err)
		}
		defer func() { _ = shared.Stop(ctx) }()
		return m.Run()
	}())
}

// helmOn runs helm on the API server.
func helmOn(t *testing.T, helm string, arguments ...string) string {
	t.Helper()
	output, err := command(t, []string{"KUBECONFIG=" + shared.Kubeconfig}, helm, arguments...)
	if err != nil {
		t.Fatalf("%s %s: %v", helm, strings.Join(arguments, " "), err)
	}
	return output
}

// uninstalled has a release, and the CRDs, gone when the test ends.
func uninstalled(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		ctx := background(t)
		_ = withoutCRDs(ctx)
		if _, err := shared.Kubectl(ctx, "-n", namespace, "get", "deployment", name+"-controller-manager"); err == nil {
			t.Errorf("the release %s is still there", name)
		}
	})
}

// withoutCRDs deletes the CRDs, if they are there, once their objects can be listed. An API server that is told to delete them before cannot
// list what is to be deleted with them ("storage is (re)initializing"), and tries again ever more rarely, for minutes.
func withoutCRDs(ctx context.Context) error {
	for _, kind := range []string{"backupsyncs", "cbrprojects"} {
		name := kind + ".cbr.backupsync.dev"
		if _, err := shared.Kubectl(ctx, "get", "crd", name); err != nil {
			continue
		}
		listed := func(ctx context.Context) (bool, error) {
			_, err := shared.Kubectl(ctx, "get", "--all-namespaces", name)
			return err == nil, nil
		}
		if err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, time.Minute, true, listed); err != nil {
			return fmt.Errorf("list %s: %w", kind, err)
		}
		if _, err := shared.Kubectl(ctx, "delete", "crd", name); err != nil {
			return err
		}
	}
	return nil
}

// get returns an object of the API server, nil if there is none.
func get(t *testing.T, gvk schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(gvk)
	err := shared.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return object
}

var (
	deploymentKind  = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	crdKind         = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	clusterRoleKind = schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"}
	roleKind        = schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"}
)

const crdName = "backupsyncs.cbr.backupsync.dev"

// A release is installed, upgraded with its CRDs, rolled back and uninstalled, and leaves the CRDs with all that is declared.
func TestHelmInstallsUpgradesRollsBackAndUninstalls(t *testing.T) {
	for _, helm := range helms {
		t.Run(helm, func(t *testing.T) {
			uninstalled(t, release)
			helmOn(t, helm, "install", release, chart(t), "--namespace", namespace, "--create-namespace")
			declared := declare(t, "default", "kept")
			helmOn(t, helm, "upgrade", release, chart(t), "--namespace", namespace, "--set", "replicas=3", "--set", "crds.annotations.test=upgraded")
			if replicas := replicasOf(t); replicas != 3 {
				t.Errorf("%d replicas after the upgrade", replicas)
			}
			if crd := get(t, crdKind, "", crdName); crd.GetAnnotations()["test"] != "upgraded" {
				t.Error("the upgrade has not changed the CRD")
			}
			helmOn(t, helm, "rollback", release, "1", "--namespace", namespace)
			if replicas := replicasOf(t); replicas != 2 {
				t.Errorf("%d replicas after the rollback", replicas)
			}
			helmOn(t, helm, "uninstall", release, "--namespace", namespace)
			if get(t, deploymentKind, namespace, release+"-controller-manager") != nil || get(t, clusterRoleKind, "", release+"-manager-role") != nil {
				t.Error("the uninstalled release has left things")
			}
			if err := shared.Client.Get(t.Context(), client.ObjectKeyFromObject(declared), declared); err != nil {
				t.Errorf("a declared backup after the uninstallation: %v", err)
			}
			// It can be installed again over what was left.
			helmOn(t, helm, "install", release, chart(t), "--namespace", namespace)
			helmOn(t, helm, "uninstall", release, "--namespace", namespace)
		})
	}
}

// A rollback of Helm takes the CRDs along, and so what a newer operator has written. This goes back without.
func TestGoingBackLeavesTheCRDs(t *testing.T) {
	for _, helm := range helms {
		t.Run(helm, func(t *testing.T) {
			uninstalled(t, release)
			upgrade := func(values string) {
				helmOn(t, helm, "upgrade", "--install", release, chart(t), "--namespace", namespace, "--create-namespace", "--reset-then-reuse-values", "--set", values)
			}
			upgrade("replicas=3,crds.annotations.of=newer")
			upgrade("replicas=1,crds.annotations.of=older,crds.install=false")
			if crd := get(t, crdKind, "", crdName); replicasOf(t) != 1 || crd == nil || crd.GetAnnotations()["of"] != "newer" {
				t.Errorf("%d replicas, and the CRD %v", replicasOf(t), crd)
			}
			upgrade("crds.annotations.of=newest,crds.install=true")
			if of := get(t, crdKind, "", crdName).GetAnnotations()["of"]; of != "newest" {
				t.Errorf("the next upgrade leaves the CRDs %s", of)
			}
			helmOn(t, helm, "uninstall", release, "--namespace", namespace)
		})
	}
}

// What kustomize has installed, and the CRDs that another release has left, are taken over.
func TestWhatIsThereIsTakenOver(t *testing.T) {
	build := func() {
		if _, err := shared.Kubectl(t.Context(), "apply", "-k", root(t, "config", "default")); err != nil {
			t.Fatal(err)
		}
	}
	uninstalled(t, release)
	build()
	backup := declare(t, "default", "taken-over")
	helmOn(t, "helm", "install", release, chart(t), "--namespace", namespace, "--take-ownership", "--force-conflicts")
	helmOn(t, "helm", "uninstall", release, "--namespace", namespace)
	build()
	helmOn(t, "helm3", "install", release, chart(t), "--namespace", namespace, "--take-ownership")
	helmOn(t, "helm3", "uninstall", release, "--namespace", namespace)
	helmOn(t, "helm", "install", "another", chart(t), "--namespace", namespace, "--take-ownership", "--force-conflicts")
	helmOn(t, "helm", "uninstall", "another", "--namespace", namespace)
	if err := shared.Client.Get(t.Context(), client.ObjectKeyFromObject(backup), backup); err != nil {
		t.Error(err)
	}
}

func replicasOf(t *testing.T) int64 {
	t.Helper()
	replicas, _, err := unstructured.NestedInt64(get(t, deploymentKind, namespace, release+"-controller-manager").Object, "spec", "replicas")
	if err != nil {
		t.Fatal(err)
	}
	return replicas
}

// declare creates a BackupSync as soon as its kind is served.
func declare(t *testing.T, namespace, name string) *v1alpha1.BackupSync {
	t.Helper()
	if _, err := shared.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=60s", "crd/"+crdName); err != nil {
		t.Fatal(err)
	}
	backup := &v1alpha1.BackupSync{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.BackupSyncSpec{
		ProjectRef: v1alpha1.ProjectReference{Name: "default"}, BackupID: "id-" + name, BackupName: "backup", BucketName: "bucket", ImagePath: "path",
		ResourceID: "vm", ResourceName: "vm", CreatedAt: 1553587260,
	}}
	eventually(t, func() error { return shared.Client.Create(t.Context(), backup) })
	t.Cleanup(func() { _ = shared.Client.Delete(background(t), backup) })
	return backup
}

// eventually repeats what may take the API server some seconds.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// Two releases of one name, in two namespaces, get nowhere in each other's way.
func TestTwoReleasesFitInOneCluster(t *testing.T) {
	uninstalled(t, release)
	helmOn(t, "helm", "install", release, chart(t), "--namespace", namespace, "--create-namespace")
	helmOn(t, "helm", "install", release, chart(t), "--namespace", "other", "--create-namespace", "--set", "crds.install=false", "--set", "watchNamespaces={other,default}")
	if get(t, roleKind, "default", "other-backupsync-manager-role") == nil {
		t.Error("the second release has no Role in a namespace that it watches")
	}
	helmOn(t, "helm", "uninstall", release, "--namespace", "other")
	if get(t, clusterRoleKind, "", release+"-manager-role") == nil {
		t.Error("the end of the second release has taken a role of the first one")
	}
	helmOn(t, "helm", "uninstall", release, "--namespace", namespace)
}

// Releases have names of up to 53 characters.
func TestALongNameFits(t *testing.T) {
	for _, name := range []string{"team-storage-backup-import", strings.Repeat("n", 29), strings.Repeat("l", 53)} {
		uninstalled(t, name)
		helmOn(t, "helm", "install", name, chart(t), "--namespace", namespace, "--create-namespace")
		helmOn(t, "helm", "uninstall", name, "--namespace", namespace)
		if err := withoutCRDs(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// The operator may write the lease of its own, and no other one of its namespace.
func TestOtherLeasesAreOutOfReach(t *testing.T) {
	uninstalled(t, release)
	helmOn(t, "helm", "install", release, chart(t), "--namespace", namespace, "--create-namespace")
	for lease, want := range map[string]string{"cbr.backupsync.dev": "yes", "another": "no"} {
		for _, verb := range []string{"get", "update"} {
			// kubectl fails where the answer is no.
			output, _ := shared.Kubectl(t.Context(), "-n", namespace, "auth", "can-i", verb, "leases.coordination.k8s.io/"+lease,
				"--as=system:serviceaccount:"+namespace+":"+release+"-controller-manager")
			if answer, _, _ := strings.Cut(output, "\n"); answer != want {
				t.Errorf("%s the lease %s: %q, want %s", verb, lease, output, want)
			}
		}
	}
	helmOn(t, "helm", "uninstall", release, "--namespace", namespace)
}

// The pods may run where the restricted Pod Security Standard is enforced; others may not.
func TestTheRestrictedStandardTakesThePods(t *testing.T) {
	enforced := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "restricted", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	if err := shared.Client.Create(t.Context(), enforced); err != nil {
		t.Fatal(err)
	}
	rendered := map[string][]*unstructured.Unstructured{"kustomize": kustomized(t, "default")}
	for _, values := range valuesFiles(t) {
		rendered[values] = template(t, "helm", "--values", values)
	}
	for name, objects := range rendered {
		t.Run(name, func(t *testing.T) {
			pod := podOf(t, find(t, objects, "Deployment", "controller-manager"), enforced.Name)
			if err := shared.Client.Create(t.Context(), pod.DeepCopy(), client.DryRunAll); err != nil {
				t.Error(err)
			}
			privileged := true
			pod.Spec.Containers[0].SecurityContext.Privileged = &privileged
			if err := shared.Client.Create(t.Context(), pod, client.DryRunAll); err == nil {
				t.Error("a privileged pod was taken too: the standard is not enforced")
			}
		})
	}
}

// podOf makes a pod as the Deployment would. What is not of the pod's safety, and not in this cluster, is left out.
func podOf(t *testing.T, object *unstructured.Unstructured, namespace string) *corev1.Pod {
	t.Helper()
	template, _, err := unstructured.NestedMap(object.Object, "spec", "template")
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, pod); err != nil {
		t.Fatal(err)
	}
	pod.Namespace, pod.GenerateName = namespace, "manager-"
	pod.Spec.ServiceAccountName, pod.Spec.PriorityClassName = "default", ""
	return pod
}

// warnings keeps what the API server warns of.
type warnings struct {
	mutex sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.texts = append(w.texts, text)
}

// Whoever edits an imported backup is warned, and nobody is refused.
func TestEditsOfImportedBackupsAreWarnedOf(t *testing.T) {
	uninstalled(t, release)
	helmOn(t, "helm", "install", release, chart(t), "--namespace", namespace, "--create-namespace", "--set", "editWarnings.enabled=true")
	heard := &warnings{}
	config := rest.CopyConfig(shared.Config)
	config.WarningHandler = heard
	editor, err := client.New(config, client.Options{Scheme: shared.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	backup := declare(t, "default", "edited")
	edit := func(change func(*v1alpha1.BackupSync)) int {
		heard.texts = nil
		change(backup)
		if err := editor.Update(t.Context(), backup); err != nil {
			t.Fatalf("an edit is refused: %v", err)
		}
		return len(heard.texts)
	}
	rename := func(b *v1alpha1.BackupSync) { b.Spec.ResourceName += "-renamed" }
	if got := edit(rename); got != 0 {
		t.Errorf("a backup that was not sent is warned of: %v", heard.texts)
	}
	backup.Status.Outcome = v1alpha1.ReasonImported
	if err := shared.Client.Status().Update(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for edit(rename) == 0 { // policies are compiled some time after they are created
		if time.Now().After(deadline) {
			t.Fatal("no warning within a minute")
		}
		<-time.After(500 * time.Millisecond)
	}
	if !strings.Contains(heard.texts[0], "CBR cannot change the backup id-edited") {
		t.Errorf("the warning is %q", heard.texts)
	}
	for name, change := range map[string]func(*v1alpha1.BackupSync){
		"suspend": func(b *v1alpha1.BackupSync) { b.Spec.Suspend = true },
		"a label": func(b *v1alpha1.BackupSync) { b.Labels = map[string]string{"a": "b"} },
	} {
		if got := edit(change); got != 0 {
			t.Errorf("%s is warned of: %v", name, heard.texts)
		}
	}
	// One that has failed, and is to be sent again, is sent as edited.
	backup.Status = v1alpha1.BackupSyncStatus{OperationLogID: "log", FinishedTime: new(metav1.Now()), NextAttemptTime: new(metav1.Now())}
	if err := shared.Client.Status().Update(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if got := edit(rename); got != 0 {
		t.Errorf("a backup that waits for another attempt is warned of: %v", heard.texts)
	}
	helmOn(t, "helm", "uninstall", release, "--namespace", namespace)
}
