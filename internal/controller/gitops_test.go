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
	"net/http"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// Tools that keep a cluster as a repository declares it: they apply the same manifests again and again, and delete what is gone.

// fluxOwner is the field manager of Flux.
const fluxOwner = "kustomize-controller"

// manifestOf is what a repository has of an object: its kind, its name and its spec, and no field that the API server adds.
func manifestOf(kind string, object client.Object, spec map[string]any) *unstructured.Unstructured {
	manifest := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	manifest.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	manifest.SetNamespace(object.GetNamespace())
	manifest.SetName(object.GetName())
	return manifest
}

// projectManifest is the least that declares the project of a world.
func (w *world) projectManifest() *unstructured.Unstructured {
	return manifestOf(kindProject, w.project(), map[string]any{
		"endpoint": w.cloud.URL, "projectID": cbrtest.ProjectID,
		"credentials": map[string]any{"type": "Token", "secretRef": map[string]any{"name": "cbr"}},
		"batch":       map[string]any{"window": "200ms"},
		"poll":        map[string]any{"interval": "200ms"},
	})
}

// backupManifest is the least that declares a backup of a world.
func (w *world) backupManifest(number int) *unstructured.Unstructured {
	of := w.backup(number)
	return manifestOf(kindBackup, of, map[string]any{
		"projectRef": map[string]any{"name": "default"}, "backupID": of.Spec.BackupID, "backupName": of.Spec.BackupName,
		"bucketName": of.Spec.BucketName, "imagePath": of.Spec.ImagePath, "resourceID": of.Spec.ResourceID,
		"resourceName": of.Spec.ResourceName, "createdAt": of.Spec.CreatedAt,
	})
}

// repository is the manifests of a world, with some backups.
func (w *world) repository(backups int) []*unstructured.Unstructured {
	manifests := []*unstructured.Unstructured{w.projectManifest()}
	for number := range backups {
		manifests = append(manifests, w.backupManifest(number))
	}
	return manifests
}

// applyAsFlux applies a manifest on the server, and returns the object as the API server answers it.
func applyAsFlux(ctx context.Context, manifest *unstructured.Unstructured, options ...client.ApplyOption) (*unstructured.Unstructured, error) {
	answer := manifest.DeepCopy()
	options = append(options, client.FieldOwner(fluxOwner), client.ForceOwnership)
	err := apiserver.Apply(ctx, client.ApplyConfigurationFromUnstructured(answer), options...)
	return answer, err
}

// applyFolder applies manifests as Flux does: it applies none if the API server refuses one of them.
func applyFolder(ctx context.Context, manifests []*unstructured.Unstructured) error {
	var refused error
	for _, manifest := range manifests {
		_, err := applyAsFlux(ctx, manifest, client.DryRunAll)
		refused = errors.Join(refused, err)
	}
	if refused != nil {
		return refused
	}
	return applyEach(ctx, manifests)
}

// applyEach applies manifests one after the other, as kubectl and Argo CD do: one that is refused does not keep it from the others.
func applyEach(ctx context.Context, manifests []*unstructured.Unstructured) error {
	var refused error
	for _, manifest := range manifests {
		_, err := applyAsFlux(ctx, manifest)
		refused = errors.Join(refused, err)
	}
	return refused
}

// expectNoDrift expects that nothing changes when manifests are applied once more, with each of some options: an answer that differs
// is what Flux and Argo CD call drift.
func expectNoDrift(ctx context.Context, manifests []*unstructured.Unstructured, options ...client.ApplyOption) {
	GinkgoHelper()
	for _, manifest := range manifests {
		stored := &unstructured.Unstructured{}
		stored.SetGroupVersionKind(manifest.GroupVersionKind())
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(manifest), stored)).To(Succeed())
		answer, err := applyAsFlux(ctx, manifest, options...)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.GetResourceVersion()).To(Equal(stored.GetResourceVersion()), manifest.GetName())
		Expect(answer.Object).To(Equal(stored.Object))
	}
}

var _ = Describe("A repository that is applied again and again", func() {
	It("changes nothing by it, before and after the operator has written its statuses", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.apply(ctx, w.secret(cbrtest.Token))
		repository := w.repository(3)
		Expect(applyFolder(ctx, repository)).To(Succeed())
		expectNoDrift(ctx, repository, client.DryRunAll) // the first write of any kind stores the default status, which no drift shows

		w.start()
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 3}))
		Eventually(w.current(ctx)).Should(And(HaveField("Status.Backups", HaveValue(Equal(v1alpha1.BackupCounts{Total: 3, Imported: 3}))),
			HaveField("Finalizers", BeEmpty()), HaveField("Status.Journal.Submissions", BeEmpty())))
		expectNoDrift(ctx, repository, client.DryRunAll)
		expectNoDrift(ctx, repository)
		Expect(w.get(ctx, 0)(Default).Generation).To(BeEquivalentTo(1))
		Expect(w.current(ctx)(Default).Generation).To(BeEquivalentTo(1))
		w.expectEachAcceptedOnce(ctx, 3)
	})

	It("takes no finalizer from a project whose calls are open", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, CloseAfter: true})
		w.apply(ctx, w.secret(cbrtest.Token))
		Expect(applyFolder(ctx, w.repository(1))).To(Succeed())
		w.start(impatient)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOutcomeUnknown: 1}))
		Expect(applyFolder(ctx, w.repository(1))).To(Succeed())
		Expect(w.current(ctx)(Default)).To(And(HaveField("Finalizers", HaveLen(1)), HaveField("Status.Journal.Submissions", HaveLen(1))))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		w.expectEachAcceptedOnce(ctx, 1)
	})
})

var _ = Describe("A repository from which manifests are taken", func() {
	It("deletes nothing in CBR, and imports nothing again when they come back", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.apply(ctx, w.secret(cbrtest.Token))
		repository := w.repository(3)
		Expect(applyFolder(ctx, repository)).To(Succeed())
		w.start(impatient)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 3}))
		calls := w.cloud.SyncCalls()

		for _, manifest := range repository { // as Flux prunes
			Expect(apiserver.Delete(ctx, manifest, client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
		}
		Eventually(w.projectError(ctx)).Should(Satisfy(apierrors.IsNotFound))
		Expect(w.backups(ctx)).To(BeEmpty())
		Consistently(w.cloud.SyncCalls, 2*time.Second).Should(Equal(calls))
		Expect(w.cloud.StoredBackups("")).To(HaveLen(3))

		Expect(applyFolder(ctx, repository)).To(Succeed())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonAlreadyImported: 3}))
		Expect(w.cloud.SyncCalls()).To(Equal(calls))
		for _, call := range w.cloud.Ledger() {
			Expect(call.Method).To(BeElementOf(http.MethodGet, http.MethodPost), call.Path)
		}
	})
})

var _ = Describe("A repository in which a machine gets another name", func() {
	It("is applied as a whole: the imported backup drifts, and the new ones are imported", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.apply(ctx, w.secret(cbrtest.Token))
		Expect(applyFolder(ctx, w.repository(2))).To(Succeed())
		w.start()
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 2}))

		edited := w.repository(5)
		for field, value := range map[string]string{"resourceName": "erp-01-retired", "backupName": "retired"} {
			Expect(unstructured.SetNestedField(edited[1].Object, value, "spec", field)).To(Succeed())
		}
		Expect(applyFolder(ctx, edited)).To(Succeed())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 5}))
		Eventually(w.get(ctx, 0)).Should(haveDrifted(v1alpha1.ReasonImported))
		Expect(ready(w.get(ctx, 0)(Default).Status.Conditions).Status).To(Equal(metav1.ConditionTrue))
		for number := 1; number < 5; number++ {
			Eventually(w.get(ctx, number)).Should(notHaveDrifted(v1alpha1.ReasonImported))
		}
		expectNoDrift(ctx, edited)
		w.expectEachAcceptedOnce(ctx, 5)
	})
})

var _ = Describe("A repository with an invalid manifest", func() {
	var w *world
	var broken, sound []*unstructured.Unstructured
	BeforeEach(func(ctx context.Context) {
		w = newWorld(ctx, cbrtest.Options{})
		w.apply(ctx, w.secret(cbrtest.Token))
		w.start()
		broken, sound = w.repository(4), w.repository(4)
		Expect(unstructured.SetNestedField(broken[2].Object, "a name with spaces", "spec", "backupName")).To(Succeed())
	})

	It("is applied but for that one by kubectl and Argo CD", func(ctx context.Context) {
		Expect(applyEach(ctx, broken)).To(MatchError(ContainSubstring("backupName must be made of digits")))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 3}))
		Expect(applyEach(ctx, sound)).To(Succeed())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 4}))
		w.expectEachAcceptedOnce(ctx, 4)
	})

	It("is refused with a field that the CRDs do not know", func(ctx context.Context) {
		Expect(unstructured.SetNestedField(sound[1].Object, "later", "spec", "later")).To(Succeed())
		Expect(applyFolder(ctx, sound)).To(MatchError(ContainSubstring("field not declared in schema")))
		Expect(w.backups(ctx)).To(BeEmpty())
	})

	It("is not applied by Flux, which says which one it is, before that is corrected", func(ctx context.Context) {
		Expect(applyFolder(ctx, broken)).To(MatchError(And(ContainSubstring(broken[2].GetName()), ContainSubstring("backupName must be made of digits"))))
		Expect(w.backups(ctx)).To(BeEmpty())
		Expect(applyFolder(ctx, sound)).To(Succeed())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 4}))
		w.expectEachAcceptedOnce(ctx, 4)
	})
})

// example returns the manifests of a folder of the example repository. As the tools do, it takes all files of one without a
// kustomization.
func example(ctx context.Context, folder string) []*unstructured.Unstructured {
	GinkgoHelper()
	folder = inConfig("samples/gitops/" + folder)
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(files).NotTo(BeEmpty())
	var objects []*unstructured.Unstructured
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			return kustomized(ctx, folder)
		}
		content, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		objects = append(objects, objectsIn(string(content))...)
	}
	return objects
}

var _ = Describe("The example of a repository", func() {
	DescribeTable("is imported", func(ctx context.Context, team string, backups int) {
		w := newWorld(ctx, cbrtest.Options{ProjectIDs: []string{cbrtest.ProjectID, "0b8d6c2f4e7a4915a3c8d1e6f7b20a59"},
			Keys: []cbrtest.Key{{Access: "AKEXAMPLE", Secret: "SKEXAMPLE"}}})
		w.start()
		for _, object := range append(example(ctx, "teams/"+team+"/project"), example(ctx, "teams/"+team+"/backups")...) {
			object.SetNamespace(w.namespace)
			switch object.GetKind() {
			case "Namespace", "ExternalSecret": // the world has one; what the other is to write follows
				continue
			case kindProject: // CBR is not in a region here
				unstructured.RemoveNestedField(object.Object, "spec", "region")
				Expect(unstructured.SetNestedField(object.Object, w.cloud.URL, "spec", "endpoint")).To(Succeed())
			}
			Expect(apiserver.Create(ctx, object, client.FieldValidation(metav1.FieldValidationStrict))).To(Succeed())
		}
		if team == "erp" {
			w.apply(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "cbr"},
				StringData: map[string]string{v1alpha1.AccessKeyKey: "AKEXAMPLE", v1alpha1.SecretKeyKey: "SKEXAMPLE"}})
		}
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: backups}))
		w.expectEachAcceptedOnce(ctx, backups)
	},
		Entry("of a team with External Secrets", "erp", 3),
		Entry("of a team with SOPS", "crm", 1),
	)

	It("can be built where it has a kustomization", func(ctx context.Context) {
		Expect(kustomized(ctx, inConfig("samples/gitops/clusters/beijing/flux"))).To(HaveLen(7))
		Expect(kustomized(ctx, inConfig("samples/gitops/clusters/beijing/argocd"))).To(HaveLen(2))
	})
})

var _ = Describe("The health scripts for Argo CD", func() {
	It("get into its ConfigMap by kustomize, beside what is there", func(ctx context.Context) {
		folder := GinkgoT().TempDir()
		Expect(os.CopyFS(filepath.Join(folder, "health"), os.DirFS(inConfig("argocd")))).To(Succeed())
		write := func(name, text string) {
			Expect(os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600)).To(Succeed())
		}
		write("argocd.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  namespace: argocd\ndata:\n  url: https://argocd.example.com\n")
		write("kustomization.yaml", "resources: [argocd.yaml]\ncomponents: [health]\n")
		built := kustomized(ctx, folder)
		Expect(built).To(HaveLen(1))
		data, _, err := unstructured.NestedStringMap(built[0].Object, "data")
		Expect(err).NotTo(HaveOccurred())
		Expect(data).To(HaveKeyWithValue("url", "https://argocd.example.com"))
		for kind, file := range map[string]string{kindBackup: "health.lua", kindProject: "health.lua"} {
			script, err := os.ReadFile(filepath.Join(inConfig("argocd"), file))
			Expect(err).NotTo(HaveOccurred())
			Expect(data).To(HaveKeyWithValue("resource.customizations.health."+v1alpha1.GroupVersion.Group+"_"+kind, string(script)))
		}
	})
})
