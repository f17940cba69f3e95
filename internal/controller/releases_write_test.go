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
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

// releaseProjects are the cloud projects of the CBRProjects of a release: default, open, paused and keyless.
var releaseProjects = []string{cbrtest.ProjectID, "f841e01fd2b14e7fa41b6ae700000001", "f841e01fd2b14e7fa41b6ae700000002", "f841e01fd2b14e7fa41b6ae700000003"}

// releaseOutcomes are how the tasks end of backups that are not imported at once.
var releaseOutcomes = map[string]cbrtest.Outcome{
	"failed":  {Status: cbr.TaskSkipped, Code: "BackupService.1006", Message: "the image path does not exist"},
	"retried": {Status: cbr.TaskFailed, Code: "BackupService.1006", Message: "the bucket cannot be read"},
	"running": {Duration: 1000 * time.Hour},
}

// releaseStates are the objects of a release, and the reason of Ready that each has reached when its operator ends.
var releaseStates = map[string]string{
	"CBRProject default": v1alpha1.ReasonUsable,
	"CBRProject open":    v1alpha1.ReasonEndpointUnavailable,
	"CBRProject paused":  v1alpha1.ReasonSuspended,
	"CBRProject keyless": v1alpha1.ReasonCredentialsMissing,

	"BackupSync imported":  v1alpha1.ReasonImported,
	"BackupSync edited":    v1alpha1.ReasonImported,
	"BackupSync known":     v1alpha1.ReasonAlreadyImported,
	"BackupSync unusable":  v1alpha1.ReasonBackupUnusable,
	"BackupSync failed":    v1alpha1.ReasonOperationFailed,
	"BackupSync retried":   v1alpha1.ReasonRetryScheduled,
	"BackupSync rejected":  v1alpha1.ReasonRejected,
	"BackupSync running":   v1alpha1.ReasonOperationRunning,
	"BackupSync suspended": v1alpha1.ReasonSuspended,
	"BackupSync duplicate": v1alpha1.ReasonDuplicate,
	"BackupSync orphan":    v1alpha1.ReasonProjectNotFound,
	"BackupSync queued":    v1alpha1.ReasonQueued,
	"BackupSync waiting":   v1alpha1.ReasonQueued,
	"BackupSync taken-1":   v1alpha1.ReasonOutcomeUnknown,
	"BackupSync taken-2":   v1alpha1.ReasonOutcomeUnknown,
	"BackupSync lost":      v1alpha1.ReasonOutcomeUnknown,
}

// TestWriteRelease writes what is to be kept of a release: see testdata/releases/README.md.
func TestWriteRelease(t *testing.T) {
	name := os.Getenv("RELEASE")
	if name == "" {
		t.Skip("RELEASE does not name the release to write, v0.2 for one")
	}
	w := newOutdatedWorld(t, crdBases)
	w.cloud.Configure(func(options *cbrtest.Options) {
		options.ProjectIDs = releaseProjects
		options.TaskOutcome = func(item cbr.Backup) cbrtest.Outcome { return releaseOutcomes[item.Name] }
		options.Reject = func(item cbr.Backup) *cbrtest.APIError {
			if item.Name == "rejected" {
				return &cbrtest.APIError{Status: http.StatusBadRequest, Code: "BackupService.6302", Message: "the resource type is not supported"}
			}
			return nil
		}
	})
	// What became of a call is not looked up before the operator ends.
	stop := w.start(true, func(options *controller.Options) { options.SettleTime = time.Hour })
	w.playRelease()
	g := NewWithT(t)
	g.Eventually(w.states, 3*time.Minute, "100ms").Should(Equal(releaseStates))
	stop()
	g.Expect(w.states()).To(Equal(releaseStates))
	w.writeRelease(filepath.Join(releases, name))
}

// playRelease brings objects into the states of releaseStates.
func (w *outdatedWorld) playRelease() {
	g := NewWithT(w.t)
	known, unusable := w.named("known", 2), w.named("unusable", 3)
	w.cloud.AddBackups("", cbr.StoredBackup{ID: known.Spec.BackupID}, cbr.StoredBackup{ID: unusable.Spec.BackupID, Status: "error"})
	w.apply(w.secret(cbrtest.Token), w.releaseProject(0, "default"), w.releaseProject(1, "open", batched(2*time.Second, time.Minute)),
		w.releaseProject(2, "paused", func(spec *v1alpha1.CBRProjectSpec) { spec.Suspend = true }),
		w.releaseProject(3, "keyless", func(spec *v1alpha1.CBRProjectSpec) { spec.Credentials.SecretRef.Name = "absent" }))
	suspended := w.named("suspended", 8)
	suspended.Spec.Suspend = true
	w.apply(w.named("imported", 0), w.named("edited", 1), known, unusable, w.named("running", 7), suspended,
		w.of("queued", 11, "paused"), w.of("waiting", 12, "keyless"), w.of("orphan", 13, "absent"))
	g.Eventually(w.states, patiently, "50ms").Should(And(HaveKeyWithValue("BackupSync imported", v1alpha1.ReasonImported),
		HaveKeyWithValue("BackupSync edited", v1alpha1.ReasonImported)))
	w.apply(w.named("duplicate", 0), w.named("rejected", 6))
	g.Expect(w.client.Patch(w.t.Context(), w.named("edited", 1), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"resourceName":"erp-02"}}`)))).To(Succeed())
	g.Eventually(w.states, patiently, "50ms").Should(HaveKeyWithValue("BackupSync rejected", v1alpha1.ReasonRejected))
	w.loseCalls()
	w.apply(w.named("failed", 4), w.named("retried", 5))
}

// loseCalls has two calls of the project open end without an answer: CBR takes the first one, and not the second.
func (w *outdatedWorld) loseCalls() {
	g := NewWithT(w.t)
	ofOpen := func(request *http.Request, _ []cbr.Backup) bool {
		return strings.Contains(request.URL.Path, releaseProjects[1])
	}
	w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, Match: ofOpen, CloseAfter: true})
	w.apply(w.of("taken-1", 14, "open"), w.of("taken-2", 15, "open"))
	g.Eventually(w.states, patiently, "50ms").Should(HaveKeyWithValue("BackupSync taken-2", v1alpha1.ReasonOutcomeUnknown))
	w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, Match: ofOpen, CloseBefore: true})
	w.apply(w.of("lost", 16, "open"))
}

func (w *outdatedWorld) releaseProject(number int, name string, changes ...func(*v1alpha1.CBRProjectSpec)) *v1alpha1.CBRProject {
	project := w.project(append(changes, func(spec *v1alpha1.CBRProjectSpec) { spec.ProjectID = releaseProjects[number] })...)
	project.Name = name
	return project
}

// named is a backup of the project default whose name in CBR is its own.
func (w *outdatedWorld) named(name string, number int) *v1alpha1.BackupSync {
	return w.of(name, number, "default")
}

func (w *outdatedWorld) of(name string, number int, project string) *v1alpha1.BackupSync {
	backup := w.backup(number)
	backup.Name, backup.Spec.BackupName, backup.Spec.ProjectRef.Name = name, name, project
	backup.Spec.ResourceID = fmt.Sprintf("96f7512d-239d-3f31-80cf-%012d", number)
	return backup
}

// states are the reasons of Ready of all objects, by kind and name.
func (w *outdatedWorld) states() map[string]string {
	states := map[string]string{}
	for _, kind := range []string{kindProject, kindBackup} {
		for _, object := range w.list(w.t.Context(), kind) {
			states[kind+" "+object.GetName()] = ready(conditionsIn(w.t, &object)).Reason
		}
	}
	return states
}

// writeRelease writes the CRDs, the objects, and what CBR has.
func (w *outdatedWorld) writeRelease(folder string) {
	g := NewWithT(w.t)
	g.Expect(os.MkdirAll(filepath.Join(folder, "objects"), 0o755)).To(Succeed())
	g.Expect(os.CopyFS(filepath.Join(folder, "crds"), os.DirFS(crdBases))).To(Succeed())
	write := func(content any, path ...string) {
		text, err := yaml.Marshal(content)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.WriteFile(filepath.Join(append([]string{folder}, path...)...), text, 0o600)).To(Succeed())
	}
	for _, kind := range []string{kindProject, kindBackup} {
		for _, object := range w.list(w.t.Context(), kind) {
			kept := rehost(w.t, &object, w.host(), fixtureHost)
			kept.Object["metadata"] = keptMetadata(kept)
			write(kept.Object, "objects", strings.ToLower(kind)+"-"+kept.GetName()+".yaml")
		}
	}
	write(w.recordCloud(), "cloud.yaml")
}

// keptMetadata is what of the metadata another cluster does not make by itself.
func keptMetadata(object *unstructured.Unstructured) map[string]any {
	kept := map[string]any{"name": object.GetName(), "generation": object.GetGeneration()}
	if finalizers := object.GetFinalizers(); len(finalizers) > 0 {
		kept["finalizers"] = finalizers
	}
	return kept
}

// recordCloud returns what CBR has.
func (w *outdatedWorld) recordCloud() recordedCloud {
	g := NewWithT(w.t)
	var record recordedCloud
	seen := map[string]int{} // how many tasks of a backup are recorded
	for _, call := range w.cloud.Ledger() {
		if call.Accepted == 0 {
			continue
		}
		var body struct{ Sync []cbr.Backup }
		g.Expect(json.Unmarshal(call.Body, &body)).To(Succeed())
		for _, item := range body.Sync {
			outcome := releaseOutcomes[item.Name]
			runs := outcome.Duration > 0
			outcome.Status = cmp.Or(outcome.Status, cbr.TaskSuccess)
			record.Tasks = append(record.Tasks, recordedTask{ID: w.cloud.OperationLogIDs(item.ID)[seen[item.ID]],
				ProjectID: call.ProjectID, Item: item, Outcome: outcome, Runs: runs})
			seen[item.ID]++
		}
	}
	for _, appearance := range w.cloud.Appearances("") {
		if seen[appearance.ID] == 0 {
			record.Stored = append(record.Stored, recordedBackup{ID: appearance.ID, Status: appearance.Status})
		}
	}
	return record
}
