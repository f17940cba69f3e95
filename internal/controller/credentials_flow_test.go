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
	"net/http/httptest"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// newPasswordWorld is a world with an IAM, whose tokens its CBR accepts and no others, and what makes a project use it.
func newPasswordWorld(ctx context.Context, options cbrtest.IAMOptions) (*world, *cbrtest.IAM, func(*v1alpha1.CBRProjectSpec)) {
	GinkgoHelper()
	iam := cbrtest.NewIAM(options)
	server := httptest.NewServer(iam)
	DeferCleanup(server.Close)
	w := newWorld(ctx, cbrtest.Options{IAM: iam, Tokens: []string{}, TaskDuration: time.Second})
	return w, iam, func(spec *v1alpha1.CBRProjectSpec) {
		spec.Credentials.Type, spec.IAMEndpoint = v1alpha1.CredentialsPassword, server.URL
	}
}

// passwordSecret is a Secret as a person or a tool would write it for kubectl.
func (w *world) passwordSecret(password string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "cbr"}, Type: corev1.SecretTypeBasicAuth,
		StringData: map[string]string{"username": cbrtest.Username, "password": password + "\n", "domainName": cbrtest.DomainName}}
}

// kstatus is what Flux makes of the project now.
func (w *world) kstatus(ctx context.Context) func(Gomega) status.Status {
	return func(g Gomega) status.Status {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CBRProject"))
		g.Expect(apiserver.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "default"}, object)).To(Succeed())
		result, err := status.Compute(object)
		g.Expect(err).NotTo(HaveOccurred())
		return result.Status
	}
}

// projectEvents counts the events of the project by type and reason.
func (w *world) projectEvents(ctx context.Context) func(Gomega) map[string]int {
	return func(g Gomega) map[string]int {
		var list eventsv1.EventList
		g.Expect(apiserver.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
		counts := map[string]int{}
		for i := range list.Items {
			if event := &list.Items[i]; event.Regarding.Kind == "CBRProject" {
				counts[event.Type+" "+event.Reason]++
			}
		}
		return counts
	}
}

// expiring is the condition that the credentials end soon, nil if it is not there.
func expiring(project *v1alpha1.CBRProject) *metav1.Condition {
	return meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionCredentialsExpiring)
}

var _ = Describe("A project with a user's password", func() {
	It("gets one token, and leads from apply to Imported without a bad word", func(ctx context.Context) {
		w, iam, password := newPasswordWorld(ctx, cbrtest.IAMOptions{Latency: time.Second})
		seen := w.watch(ctx)
		w.start()
		w.apply(ctx, w.passwordSecret(cbrtest.Password), w.project(password), w.backup(1), w.backup(2))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 2}))
		Eventually(w.current(ctx)).Should(And(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)),
			HaveField("Status.CredentialsExpiryTime.Time", BeTemporally("~", time.Now().Add(cbrtest.TokenLife), 2*time.Minute)),
			WithTransform(expiring, BeNil())))
		Eventually(w.kstatus(ctx)).Should(Equal(status.CurrentStatus))
		Eventually(w.projectEvents(ctx)).Should(Equal(map[string]int{"Normal " + v1alpha1.ReasonUsable: 1}))
		Expect(iam.Requests()).To(HaveLen(1))
		for _, condition := range append(seen.projects(), seen.backups()...) {
			Expect(condition.Type).NotTo(Equal(v1alpha1.ConditionStalled), condition.Message)
			Expect(condition.Status).NotTo(Equal(metav1.ConditionFalse), condition.Message)
		}
		w.expectEachAcceptedOnce(ctx, 2)
	})

	It("becomes usable with nothing to send", func(ctx context.Context) {
		w, iam, password := newPasswordWorld(ctx, cbrtest.IAMOptions{Latency: time.Second})
		w.start()
		w.apply(ctx, w.passwordSecret(cbrtest.Password), w.project(password))
		Eventually(w.current(ctx), 15*time.Second).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
		Eventually(w.kstatus(ctx)).Should(Equal(status.CurrentStatus))
		Expect(iam.Requests()).To(HaveLen(1))
	})

	It("sends a wrong one once, and takes a right one soon", func(ctx context.Context) {
		w, iam, password := newPasswordWorld(ctx, cbrtest.IAMOptions{})
		w.start()
		w.apply(ctx, w.passwordSecret("wrong-password"), w.project(password), w.backup(1))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonCredentialsRejected)))
		Eventually(w.kstatus(ctx)).Should(Equal(status.FailedStatus))
		Eventually(w.projectEvents(ctx)).Should(Equal(map[string]int{"Warning " + v1alpha1.ReasonCredentialsRejected: 1}))
		read := w.rereads()
		w.apply(ctx, w.backup(2)) // a pass for another reason
		Eventually(w.rereads, 2*seenWithin).Should(BeNumerically(">", read+1), "the Secret is read again, and holds the same")
		Expect(iam.Requests()).To(HaveLen(1), "wrong passwords lock the account")
		Expect(w.reasons(ctx)(Default)).To(Equal(map[string]int{v1alpha1.ReasonQueued: 2}))

		w.patchSecret(ctx, `{"stringData":{"password":"`+cbrtest.Password+`"}}`)
		Eventually(w.current(ctx), seenWithin).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 2}))
		Eventually(w.kstatus(ctx)).Should(Equal(status.CurrentStatus))
		Expect(iam.Requests()).To(HaveLen(2))
		w.expectEachAcceptedOnce(ctx, 2)
	})
})

var _ = Describe("A token that says when it ends", func() {
	It("is told to end soon, once, until it is replaced", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		end := time.Now().Add(10 * time.Second).Truncate(time.Second)
		secret := w.secret(cbrtest.Token)
		secret.StringData["until"] = end.UTC().Format(time.RFC3339)
		w.apply(ctx, secret, w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.Credentials.SecretRef.Keys = v1alpha1.SecretKeys{ExpiresAt: "until"}
		}))
		Eventually(w.current(ctx)).Should(And(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)),
			HaveField("Status.CredentialsExpiryTime.Time", BeTemporally("==", end))))
		Eventually(w.current(ctx), 15*time.Second).Should(WithTransform(expiring, HaveValue(And(
			HaveField("Status", metav1.ConditionTrue), HaveField("Reason", v1alpha1.ReasonExpiresSoon), HaveField("Message", ContainSubstring(end.UTC().Format(time.RFC3339)))))))
		Expect(time.Now()).To(BeTemporally(">", end.Add(-2*time.Second)), "the last tenth of its life")
		Expect(projectReason(w.current(ctx)(Default))).To(Equal(v1alpha1.ReasonUsable))
		Expect(w.kstatus(ctx)(Default)).To(Equal(status.CurrentStatus), "a warning holds up nobody's deployment")
		Eventually(w.projectEvents(ctx)).Should(HaveKeyWithValue("Warning "+v1alpha1.ReasonExpiresSoon, 1))

		w.patchSecret(ctx, `{"stringData":{"until":"2099-01-04T09:05:22Z"}}`)
		w.apply(ctx, w.backup(1)) // the Secret is read for the call
		Eventually(w.current(ctx)).Should(And(WithTransform(expiring, BeNil()),
			HaveField("Status.CredentialsExpiryTime.Time", BeTemporally("==", time.Date(2099, 1, 4, 9, 5, 22, 0, time.UTC)))))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		Expect(w.projectEvents(ctx)(Default)).To(HaveKeyWithValue("Warning "+v1alpha1.ReasonExpiresSoon, 1))
	})
})
