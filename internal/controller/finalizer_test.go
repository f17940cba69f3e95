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
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

var _ = Describe("A process that ends", func() {
	It("lets go of a project between two calls, as it may be the last process", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		running := w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		Eventually(w.current(ctx)).Should(HaveField("Finalizers", BeEmpty()))
		w.hold(ctx) // as it has it while it waits for the rate or for a batch
		running.Stop()
		Expect(w.current(ctx)(Default).Finalizers).To(HaveLen(1))
		Expect(running.complete(ctx)).To(Succeed())
		Expect(w.current(ctx)(Default).Finalizers).To(BeEmpty())
	})

	It("holds a project whose calls have no outcome", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, CloseAfter: true})
		running := w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOutcomeUnknown: 1}))
		running.Stop()
		Expect(running.complete(ctx)).To(Succeed())
		Expect(w.current(ctx)(Default).Finalizers).To(Equal([]string{controller.Finalizer}))
	})

	It("leaves the project of another process alone", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		first := w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		first.Stop()
		w.start()
		w.apply(ctx, w.backup(2))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 2}))
		Eventually(w.current(ctx)).Should(HaveField("Finalizers", BeEmpty()))
		w.hold(ctx)
		Expect(first.complete(ctx)).To(Succeed())
		Expect(w.current(ctx)(Default).Finalizers).To(HaveLen(1))
	})
})

// hold gives the project the finalizer.
func (w *world) hold(ctx context.Context) {
	GinkgoHelper()
	patch := fmt.Appendf(nil, `{"metadata":{"finalizers":[%q]}}`, controller.Finalizer)
	Expect(apiserver.Patch(ctx, w.project(), client.RawPatch(types.MergePatchType, patch))).To(Succeed())
}

// Whoever deletes both CRDs deletes BackupSyncs and CBRProjects. The CRD of BackupSyncs goes at once, and what became of a call is found out
// without it: a project waits for that, and then both CRDs are gone.
func TestCRDsThatAreDeletedWhileACallIsOpen(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]cbrtest.Fault{
		"that CBR has taken":     {CloseAfter: true},
		"that CBR has not taken": {CloseBefore: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			w := newOutdatedWorld(t, crdBases)
			fault.Operation = cbr.OperationImport
			w.cloud.Inject(fault)
			w.apply(w.secret(cbrtest.Token), w.project())
			w.declare(0, 2)
			w.start(true, func(options *controller.Options) { options.DeletionGrace = time.Hour })
			g.Eventually(w.reasons, patiently, "50ms").Should(Equal(map[string]int{v1alpha1.ReasonOutcomeUnknown: 2}))

			g.Expect(envtest.UninstallCRDs(w.config, envtest.CRDInstallOptions{Paths: []string{crdBases}})).To(Succeed())
			for _, name := range []string{"backupsyncs", "cbrprojects"} {
				g.Eventually(w.crdError(name), patiently, "200ms").Should(Satisfy(apierrors.IsNotFound), name)
			}
			g.Expect(w.cloud.SyncCalls()).To(Equal(1))
		})
	}
}

// crdError is how the API server answers a question for a CRD.
func (w *outdatedWorld) crdError(name string) func() error {
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	return func() error {
		return w.client.Get(w.t.Context(), client.ObjectKey{Name: name + "." + v1alpha1.GroupVersion.Group}, crd)
	}
}
