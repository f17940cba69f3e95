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
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// seenWithin is how long a changed Secret may stay unseen while it cannot be used: 10 s, and some for the pass. Nothing but the
// clock tells the controller of it, as it does not watch Secrets.
const seenWithin = 15 * time.Second

// rereads returns how often the Secret of a world was read.
func (w *world) rereads() int {
	return total(w.requests.matching("GET", "/namespaces/"+w.namespace+"/secrets/cbr"))
}

// patchSecret patches the Secret of a world.
func (w *world) patchSecret(ctx context.Context, patch string) {
	GinkgoHelper()
	Expect(apiserver.Patch(ctx, w.secret(""), client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
}

var _ = Describe("A Secret that cannot be used", func() {
	const data = `{"stringData":{"token":"` + cbrtest.Token + `"}}`

	It("is seen soon after it is created", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		w.apply(ctx, w.project(), w.backup(1))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonCredentialsMissing)))
		read := w.rereads()
		Eventually(w.rereads, seenWithin).Should(BeNumerically(">", read), "read again, as it is missing")
		w.apply(ctx, w.secret(cbrtest.Token))
		Eventually(w.cloud.Ledger, seenWithin).ShouldNot(BeEmpty())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
	})

	It("is seen soon after its content changes, and makes no call before", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		w.apply(ctx, w.secret("expired-token"), w.project(), w.backup(1))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonCredentialsRejected)))
		Expect(w.cloud.Ledger()).To(HaveLen(1), "the call that was refused")

		w.patchSecret(ctx, `{"metadata":{"annotations":{"rotated":"no"},"labels":{"team":"erp"}},"stringData":{"note":"not the token"}}`)
		read := w.rereads()
		Eventually(w.rereads, 2*seenWithin).Should(BeNumerically(">", read+1), "read twice again: the first pass has ended by then")
		Expect(w.cloud.Ledger()).To(HaveLen(1), "it is the token that was refused")
		Expect(projectReason(w.current(ctx)(Default))).To(Equal(v1alpha1.ReasonCredentialsRejected))
		for number := 2; number < 5; number++ { // passes for other reasons
			w.apply(ctx, w.backup(number))
		}
		Eventually(w.current(ctx)).Should(HaveField("Status.Backups.Pending", BeEquivalentTo(4)))
		Expect(w.cloud.Ledger()).To(HaveLen(1), "it is the token that was refused")

		w.patchSecret(ctx, data)
		Eventually(w.cloud.Ledger, seenWithin).ShouldNot(HaveLen(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 4}))
		for _, call := range w.cloud.Ledger()[1:] {
			Expect(call.Authorized).To(BeTrue(), "the refused token came again")
		}
		w.expectEachAcceptedOnce(ctx, 4)
	})

	It("is taken as it is in the next pass while credentials are good", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{Tokens: []string{cbrtest.Token, "next-token"}})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		w.replaceToken(ctx, "next-token")
		w.cloud.SetTokens("next-token")
		calls := len(w.cloud.Ledger())
		w.apply(ctx, w.backup(2))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 2}))
		for _, call := range w.cloud.Ledger()[calls:] {
			Expect(call.Authorized).To(BeTrue(), "the old token was sent")
		}
	})
})

var _ = Describe("A CA bundle in a ConfigMap", func() {
	It("is taken when it is there, and can be used", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TLS: true})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.backup(1), w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.CABundleRef = v1alpha1.CABundleReference{Kind: v1alpha1.CABundleConfigMap, Name: "trusted", Key: "cbr.pem"}
		}))
		says := func(text string) {
			GinkgoHelper()
			Eventually(w.current(ctx), seenWithin).Should(HaveField("Status.Conditions", ContainElement(And(
				HaveField("Type", v1alpha1.ConditionReady), HaveField("Status", metav1.ConditionFalse),
				HaveField("Reason", v1alpha1.ReasonEndpointUnavailable), HaveField("Message", ContainSubstring(text))))))
			Expect(w.cloud.Ledger()).To(BeEmpty())
		}
		says("ConfigMap trusted that spec.caBundleRef names does not exist")
		trusted := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "trusted"}, Data: map[string]string{"other.pem": "x"}}
		w.apply(ctx, trusted)
		says(`has no key "cbr.pem"`)
		trusted.Data = map[string]string{"cbr.pem": "no certificate"}
		Expect(apiserver.Update(ctx, trusted)).To(Succeed())
		says("holds no certificate in PEM")
		trusted.Data = map[string]string{"cbr.pem": w.cloud.CABundle()}
		Expect(apiserver.Update(ctx, trusted)).To(Succeed())
		Eventually(w.cloud.Ledger, seenWithin).ShouldNot(BeEmpty())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
	})
})
