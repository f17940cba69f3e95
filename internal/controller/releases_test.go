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
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What a release has left in a cluster is kept in testdata/releases: its CRDs, objects in many states as its operator has written them, and
// what CBR had of them. The operator of today must take it over: see the README there.

var releases = filepath.Join("testdata", "releases")

// fixtureHost stands in the objects of a release for the host and port of its CBR.
const fixtureHost = "127.0.0.1:40000"

// recordedCloud is what the CBR of a release had.
type recordedCloud struct {
	// Tasks are those of the accepted backups, in the order in which CBR started them.
	Tasks []recordedTask `json:"tasks"`
	// Stored are the backups that were there without a task.
	Stored []recordedBackup `json:"stored"`
}

type recordedTask struct {
	ID        string          `json:"id"`
	ProjectID string          `json:"projectID"`
	Item      cbr.Backup      `json:"item"`
	Outcome   cbrtest.Outcome `json:"outcome"`
	// Runs says that it had not ended.
	Runs bool `json:"runs,omitempty"`
}

type recordedBackup struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// release is one that is kept.
type release struct {
	folder  string
	cloud   recordedCloud
	objects []*unstructured.Unstructured // CBRProjects first
}

func readRelease(t *testing.T, folder string) *release {
	t.Helper()
	g := NewWithT(t)
	r := &release{folder: folder}
	record, err := os.ReadFile(filepath.Join(folder, "cloud.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(yaml.UnmarshalStrict(record, &r.cloud)).To(Succeed())
	files, err := filepath.Glob(filepath.Join(folder, "objects", "*.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	slices.Sort(files) // backupsync-… before cbrproject-…
	for _, file := range slices.Backward(files) {
		text, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		text, err = yaml.YAMLToJSON(text)
		g.Expect(err).NotTo(HaveOccurred(), file)
		object := &unstructured.Unstructured{}
		g.Expect(utiljson.Unmarshal(text, &object.Object)).To(Succeed(), file)
		r.objects = append(r.objects, object)
	}
	return r
}

// rehost replaces the host and port of CBR in an object.
func rehost(t *testing.T, object *unstructured.Unstructured, from, to string) *unstructured.Unstructured {
	t.Helper()
	text, err := json.Marshal(object.Object)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	changed := &unstructured.Unstructured{}
	NewWithT(t).Expect(utiljson.Unmarshal(bytes.ReplaceAll(text, []byte(from), []byte(to)), &changed.Object)).To(Succeed())
	return changed
}

// replay brings the CBR of a test to where the CBR of the release was. What it had accepted by then is returned.
func (w *outdatedWorld) replay(record recordedCloud) (accepted map[string]int) {
	g := NewWithT(w.t)
	for _, each := range record.Tasks {
		outcome := each.Outcome
		if each.Runs {
			outcome.Duration = 5 * time.Second
		}
		w.cloud.Configure(func(options *cbrtest.Options) {
			options.TaskOutcome = func(cbr.Backup) cbrtest.Outcome { return outcome }
		})
		g.Expect(w.importOne(each.ProjectID, each.Item)).To(Equal(each.ID))
	}
	w.cloud.Configure(func(options *cbrtest.Options) { options.TaskOutcome = nil })
	for _, stored := range record.Stored {
		w.cloud.AddBackups("", cbr.StoredBackup{ID: stored.ID, Status: stored.Status})
	}
	return w.cloud.Accepted()
}

// importOne makes a call with one backup, and returns its task.
func (w *outdatedWorld) importOne(projectID string, item cbr.Backup) string {
	g := NewWithT(w.t)
	body, err := json.Marshal(map[string]any{"sync": []cbr.Backup{item}})
	g.Expect(err).NotTo(HaveOccurred())
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.cloud.URL+"/v3/"+projectID+"/backups/sync", bytes.NewReader(body))
	g.Expect(err).NotTo(HaveOccurred())
	request.Header.Set("X-Auth-Token", cbrtest.Token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	var answer struct{ Sync []cbr.Import }
	g.Expect(json.NewDecoder(response.Body).Decode(&answer)).To(Succeed())
	g.Expect(answer.Sync).To(HaveLen(1))
	return answer.Sync[0].OperationLogID
}

// restore creates the objects of a release with their statuses, as they were when its operator ended.
func (w *outdatedWorld) restore(r *release) {
	g := NewWithT(w.t)
	for _, kept := range r.objects {
		kept = rehost(w.t, kept, fixtureHost, w.host())
		object := kept.DeepCopy()
		object.SetNamespace(w.namespace)
		if kept.GetGeneration() > 1 { // an edit makes the second one
			g.Expect(unstructured.SetNestedField(object.Object, "before-the-edit", "spec", "resourceName")).To(Succeed())
		}
		g.Expect(w.client.Create(w.t.Context(), object)).To(Succeed(), kept.GetName())
		if kept.GetGeneration() > 1 {
			object.Object["spec"] = kept.Object["spec"]
			g.Expect(w.client.Update(w.t.Context(), object)).To(Succeed(), kept.GetName())
		}
		object.Object["status"] = kept.Object["status"]
		g.Expect(w.client.Status().Update(w.t.Context(), object)).To(Succeed(), kept.GetName())
		g.Expect(object.Object["status"]).To(Equal(kept.Object["status"]), "the status of %s under the CRDs of its release", kept.GetName())
		g.Expect(object.GetGeneration()).To(Equal(kept.GetGeneration()), kept.GetName())
	}
}

// host is the host and port of the world's CBR.
func (w *outdatedWorld) host() string { return strings.TrimPrefix(w.cloud.URL, "http://") }

// stored reads an object of a release as it is now.
func (w *outdatedWorld) stored(of *unstructured.Unstructured) *unstructured.Unstructured {
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(of.GroupVersionKind())
	NewWithT(w.t).Expect(w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: of.GetName()}, found)).To(Succeed())
	return found
}

// expectValid expects that the API server takes objects as they are, and keeps all of them: as soon as all of its handlers go by the CRDs that were
// just applied.
func (w *outdatedWorld) expectValid(r *release) {
	for _, kept := range r.objects {
		NewWithT(w.t).Eventually(func(g Gomega) {
			object := w.stored(kept)
			g.Expect(object.Object["status"]).To(Equal(rehost(w.t, kept, fixtureHost, w.host()).Object["status"]))
			whole, status := object.DeepCopy(), object.DeepCopy()
			g.Expect(w.client.Update(w.t.Context(), whole, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))).To(Succeed())
			g.Expect(w.client.Status().Update(w.t.Context(), status, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))).To(Succeed())
			g.Expect(whole.Object["spec"]).To(Equal(object.Object["spec"]))
			g.Expect(status.Object["status"]).To(Equal(object.Object["status"]))
		}).WithTimeout(10*time.Second).Should(Succeed(), kept.GetName())
	}
}

// statesOf returns the reasons of Ready by kind and name.
func (w *outdatedWorld) statesOf(r *release) map[string]string {
	states := map[string]string{}
	for _, kept := range r.objects {
		states[kept.GetKind()+" "+kept.GetName()] = ready(conditionsIn(w.t, w.stored(kept))).Reason
	}
	return states
}

func conditionsIn(t *testing.T, object *unstructured.Unstructured) []metav1.Condition {
	t.Helper()
	var holder struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	NewWithT(t).Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &holder)).To(Succeed())
	return holder.Status.Conditions
}

// become is what the operator of today makes of the objects of a release that are not left as they are.
var become = map[string]string{
	"CBRProject open":    v1alpha1.ReasonUsable,
	"BackupSync running": v1alpha1.ReasonImported,
	"BackupSync retried": v1alpha1.ReasonImported,
	"BackupSync taken-1": v1alpha1.ReasonImported,
	"BackupSync taken-2": v1alpha1.ReasonImported,
	"BackupSync lost":    v1alpha1.ReasonImported,
}

func TestReleasesAreTakenOver(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob(filepath.Join(releases, "v*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no release is kept: %v", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			r := readRelease(t, folder)
			w := newOutdatedWorld(t, filepath.Join(folder, "crds"))
			w.cloud.Configure(func(options *cbrtest.Options) { options.ProjectIDs = releaseProjects })
			accepted := w.replay(r.cloud)
			w.apply(w.secret(cbrtest.Token))
			w.restore(r)
			w.install(crdBases)
			w.expectValid(r)

			before := w.statesOf(r)
			want := map[string]string{}
			for name, reason := range before {
				want[name] = reason
				if later, changes := become[name]; changes {
					want[name] = later
				}
			}
			w.start(true)
			g.Eventually(func() map[string]string { return w.statesOf(r) }, patiently, "200ms").Should(Equal(want))
			w.expectKept(r)
			w.expectRecordsResolved(accepted)
		})
	}
}

// expectKept expects that what the release has written of what is over, or waits for a person, is as it was, but for the words of messages.
func (w *outdatedWorld) expectKept(r *release) {
	g := NewWithT(w.t)
	for _, kept := range r.objects {
		if _, changes := become[kept.GetKind()+" "+kept.GetName()]; changes || kept.GetKind() != kindBackup {
			continue
		}
		then, now := &v1alpha1.BackupSync{}, &v1alpha1.BackupSync{}
		g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(kept.Object, then)).To(Succeed())
		g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(w.stored(kept).Object, now)).To(Succeed())
		for _, each := range []*v1alpha1.BackupSync{then, now} {
			for i := range each.Status.Conditions {
				each.Status.Conditions[i].Message = ""
			}
		}
		g.Expect(equality.Semantic.DeepEqual(now.Status, then.Status)).To(BeTrue(), "%s was %+v, is %+v", kept.GetName(), then.Status, now.Status)
	}
}

// expectRecordsResolved expects that each recorded call has its outcome: what CBR had taken of it has the task that it had, what it had
// not taken was sent, and nothing was sent twice but for what CBR had failed to import.
func (w *outdatedWorld) expectRecordsResolved(before map[string]int) {
	g := NewWithT(w.t)
	g.Eventually(func() []v1alpha1.Submission {
		project := &v1alpha1.CBRProject{}
		g.Expect(w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "open"}, project)).To(Succeed())
		return project.Status.Journal.Submissions
	}, patiently, "100ms").Should(BeEmpty())
	var list v1alpha1.BackupSyncList
	g.Expect(w.client.List(w.t.Context(), &list, client.InNamespace(w.namespace))).To(Succeed())
	for _, backup := range list.Items {
		again := 0
		if backup.Name == "lost" || backup.Name == "retried" {
			again = 1
		}
		id := backup.Spec.BackupID
		g.Expect(w.cloud.Accepted()[id]).To(Equal(before[id]+again), "how often CBR has accepted %s", backup.Name)
		if tasks := w.cloud.OperationLogIDs(id); backup.Name != "duplicate" && len(tasks) > 0 {
			g.Expect(backup.Status.OperationLogID).To(Equal(tasks[len(tasks)-1]), "the task of %s", backup.Name)
		}
	}
}

// A field that only a later version knows stays as it is: this is what going back to an older operator rests on.
func TestFieldsOfALaterVersionAreKept(t *testing.T) {
	t.Parallel()
	g, ctx := NewWithT(t), t.Context()
	w := newOutdatedWorld(t, laterCRDs(t))
	w.apply(w.secret(cbrtest.Token))
	for _, object := range []*unstructured.Unstructured{w.projectManifest(), w.backupManifest(0)} {
		g.Expect(unstructured.SetNestedField(object.Object, "of a later version", "spec", "later")).To(Succeed())
		g.Expect(w.client.Create(ctx, object)).To(Succeed())
		g.Expect(unstructured.SetNestedField(object.Object, "of a later version", "status", "later")).To(Succeed())
		g.Expect(w.client.Status().Update(ctx, object)).To(Succeed())
	}
	w.start(true)
	w.expectImports(1)
	for _, of := range []*unstructured.Unstructured{w.projectManifest(), w.backupManifest(0)} {
		object := w.stored(of)
		for _, part := range []string{"spec", "status"} {
			value, _, err := unstructured.NestedString(object.Object, part, "later")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(value).To(Equal("of a later version"), "%s of %s", part, of.GetKind())
		}
	}
}

// laterCRDs writes the CRDs with a field more in the spec and the status of each kind, and returns their folder.
func laterCRDs(t *testing.T) string {
	t.Helper()
	g, folder := NewWithT(t), t.TempDir()
	files, err := filepath.Glob(filepath.Join(crdBases, "*.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		var crd unstructured.Unstructured
		text, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(yaml.Unmarshal(text, &crd.Object)).To(Succeed())
		versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
		g.Expect(err).NotTo(HaveOccurred())
		for _, part := range []string{"spec", "status"} {
			g.Expect(unstructured.SetNestedMap(versions[0].(map[string]any), map[string]any{"type": "string"},
				"schema", "openAPIV3Schema", "properties", part, "properties", "later")).To(Succeed())
		}
		g.Expect(unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions")).To(Succeed())
		text, err = yaml.Marshal(crd.Object)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o600)).To(Succeed())
	}
	return folder
}

// list returns all objects of a kind, by name.
func (w *outdatedWorld) list(ctx context.Context, kind string) []unstructured.Unstructured {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
	NewWithT(w.t).Expect(w.client.List(ctx, list, client.InNamespace(w.namespace))).To(Succeed())
	return list.Items
}
