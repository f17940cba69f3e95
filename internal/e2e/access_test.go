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

package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	ours         = "cbr.backupsync.dev"
	eventsGroup  = "events.k8s.io"
	leaseGroup   = "coordination.k8s.io"
	anyNamespace = ""
)

var _ = DescribeTable("What the manager's ServiceAccount may do",
	func(ctx SpecContext, allowed bool, verb, group, resource, subresource, namespace string) {
		manager, err := kubernetes.ClientOf(ctx, cluster.Namespace, cluster.ServiceAccount)
		Expect(err).NotTo(HaveOccurred())
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: group, Resource: resource, Subresource: subresource, Namespace: namespace,
			},
		}}
		Expect(manager.Create(ctx, review)).To(Succeed())
		Expect(review.Status.Allowed).To(Equal(allowed), review.Status.Reason)
	},
	func(allowed bool, verb, group, resource, subresource, namespace string) string {
		text := map[bool]string{true: "may ", false: "may not "}[allowed] + verb + " " + resource
		if subresource != "" {
			text += "/" + subresource
		}
		if group != "" {
			text += "." + group
		}
		if namespace != anyNamespace {
			text += " in " + namespace
		}
		return text
	},
	Entry(nil, true, "watch", ours, "backupsyncs", "", anyNamespace),
	Entry(nil, true, "watch", ours, "cbrprojects", "", anyNamespace),
	Entry(nil, true, "patch", ours, "backupsyncs", "status", anyNamespace),
	Entry(nil, true, "update", ours, "cbrprojects", "status", anyNamespace),
	Entry(nil, true, "patch", ours, "cbrprojects", "", anyNamespace), // for the finalizer
	Entry(nil, true, "get", "", "secrets", "", anyNamespace),
	Entry(nil, true, "get", "", "configmaps", "", anyNamespace), // for CA certificates
	Entry(nil, true, "create", eventsGroup, "events", "", anyNamespace),
	Entry(nil, true, "create", leaseGroup, "leases", "", cluster.Namespace), // that of its own it may get and update, too
	Entry(nil, true, "create", "authentication.k8s.io", "tokenreviews", "", anyNamespace),
	Entry(nil, true, "create", "authorization.k8s.io", "subjectaccessreviews", "", anyNamespace),

	Entry(nil, false, "create", ours, "backupsyncs", "", anyNamespace),
	Entry(nil, false, "update", ours, "backupsyncs", "", anyNamespace),
	Entry(nil, false, "patch", ours, "backupsyncs", "", anyNamespace),
	Entry(nil, false, "delete", ours, "backupsyncs", "", anyNamespace),
	Entry(nil, false, "deletecollection", ours, "backupsyncs", "", anyNamespace),
	Entry(nil, false, "create", ours, "cbrprojects", "", anyNamespace),
	Entry(nil, false, "update", ours, "cbrprojects", "", anyNamespace),
	Entry(nil, false, "delete", ours, "cbrprojects", "", anyNamespace),
	Entry(nil, false, "list", "", "secrets", "", anyNamespace),
	Entry(nil, false, "watch", "", "secrets", "", anyNamespace),
	Entry(nil, false, "list", "", "secrets", "", cluster.Namespace),
	Entry(nil, false, "watch", "", "secrets", "", cluster.Namespace),
	Entry(nil, false, "list", "", "configmaps", "", anyNamespace),
	Entry(nil, false, "watch", "", "configmaps", "", anyNamespace),
	Entry(nil, false, "list", "", "configmaps", "", cluster.Namespace),
	Entry(nil, false, "watch", "", "configmaps", "", cluster.Namespace),
	Entry(nil, false, "create", "", "secrets", "", anyNamespace),
	Entry(nil, false, "update", "", "secrets", "", anyNamespace),
	Entry(nil, false, "patch", "", "secrets", "", anyNamespace),
	Entry(nil, false, "delete", "", "secrets", "", anyNamespace),
	Entry(nil, false, "create", "", "configmaps", "", anyNamespace),
	Entry(nil, false, "update", "", "configmaps", "", anyNamespace),
	Entry(nil, false, "patch", "", "configmaps", "", anyNamespace),
	Entry(nil, false, "delete", "", "configmaps", "", anyNamespace),
	Entry(nil, false, "get", "", "pods", "", anyNamespace),
	Entry(nil, false, "list", "", "namespaces", "", anyNamespace),
	Entry(nil, false, "create", "", "serviceaccounts", "token", anyNamespace),
	Entry(nil, false, "impersonate", "", "users", "", anyNamespace),
	Entry(nil, false, "get", leaseGroup, "leases", "", "default"),
	Entry(nil, false, "get", leaseGroup, "leases", "", cluster.Namespace),
	Entry(nil, false, "update", leaseGroup, "leases", "", cluster.Namespace),
	Entry(nil, false, "delete", leaseGroup, "leases", "", cluster.Namespace),
	Entry(nil, false, "escalate", "rbac.authorization.k8s.io", "clusterroles", "", anyNamespace),
	Entry(nil, false, "bind", "rbac.authorization.k8s.io", "clusterroles", "", anyNamespace),
	Entry(nil, false, "*", "*", "*", "", anyNamespace),
)

// Whoever takes the manager over can read what it knows the name of, but cannot find out what else there is.
var _ = DescribeTable("The manager reads single objects alone",
	func(ctx SpecContext, object client.Object, list client.ObjectList) {
		t := newNamespace(ctx)
		object.SetNamespace(t.namespace)
		object.SetName("named")
		create(ctx, object)
		config, err := clientcmd.BuildConfigFromFlags("", kubernetes.ManagerKubeconfig())
		Expect(err).NotTo(HaveOccurred())
		manager, err := client.NewWithWatch(config, client.Options{Scheme: kubernetes.Client.Scheme()})
		Expect(err).NotTo(HaveOccurred())

		Expect(manager.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
		for where, options := range map[string][]client.ListOption{
			"everywhere": nil, "in a namespace": {client.InNamespace(t.namespace)},
		} {
			Expect(manager.List(ctx, list, options...)).To(MatchError(apierrors.IsForbidden, "is forbidden"), "list "+where)
			watcher, err := manager.Watch(ctx, list, options...)
			if err == nil {
				watcher.Stop()
			}
			Expect(err).To(MatchError(apierrors.IsForbidden, "is forbidden"), "watch "+where)
		}
	},
	Entry("of Secrets", &corev1.Secret{}, &corev1.SecretList{}),
	Entry("of ConfigMaps", &corev1.ConfigMap{}, &corev1.ConfigMapList{}),
)

var _ = Describe("The manager's endpoints", func() {
	It("shows its metrics to those who may read them, by HTTPS", func(ctx SpecContext) {
		t := newTenant(ctx, token)
		t.apply(ctx, 1)
		t.expectImported(ctx, 1, 20*time.Second)

		status, _ := scrape(ctx, "")
		Expect(status).To(Equal(http.StatusUnauthorized), "without a token")
		status, _ = scrape(ctx, t.serviceAccountToken(ctx, "stranger"))
		Expect(status).To(Equal(http.StatusForbidden), "with a token that has no rights")

		reader := t.serviceAccountToken(ctx, "scraper")
		t.allowMetrics(ctx, "scraper")
		var metrics string
		Eventually(func() int { status, metrics = scrape(ctx, reader); return status }).Should(Equal(http.StatusOK))
		Expect(metrics).To(MatchRegexp(`(?m)^backupsync_submissions_total\{result="Accepted"\} [1-9]`))
		Expect(metrics).To(ContainSubstring("backupsync_api_requests_total{"))
		Expect(metrics).To(MatchRegexp(`(?m)^backupsync_oldest_pending_timestamp_seconds\{namespace="` + t.namespace + `",project="default"\} 0$`))
		Expect(metrics).NotTo(ContainSubstring(t.namespace+"/"), "series are not per object")
	}, SpecTimeout(specTimeout))

	DescribeTable("answers probes", func(ctx SpecContext, path string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, leader.ProbeURL+path, http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		response, err := http.DefaultClient.Do(request)
		Expect(err).NotTo(HaveOccurred())
		defer response.Body.Close()
		Expect(response).To(HaveHTTPStatus(http.StatusOK))
	}, Entry(nil, "/healthz"), Entry(nil, "/readyz"))
})

var _ = It("tells nobody the tokens", func(ctx SpecContext) {
	// A token that is refused in the middle of its life, and is replaced; the new one has white space around it.
	replaced := newTenant(ctx, token)
	Expect(simulator.Steer(ctx, "faults", map[string]any{"operation": cbr.OperationImport, "status": 401,
		"code": "APIGW.0301", "message": "the token " + token + " is not valid"})).To(Succeed())
	replaced.apply(ctx, 2)
	Eventually(replaced.projectReason).WithContext(ctx).Should(Equal(v1alpha1.ReasonCredentialsRejected))
	Eventually(func() string { return kubectl(ctx, "get", "events", "--namespace", replaced.namespace) }).Should(
		ContainSubstring("SyncCallFailed"), "the event of the refused call is among those that are looked at")
	replaced.replaceToken(ctx, " "+token+"\n")
	replaced.expectImported(ctx, 2, 20*time.Second)
	// Tokens that never work.
	rejected, malformed := "rejected-"+uuid.NewString(), "malformed-"+uuid.NewString()
	wrong, broken := newTenant(ctx, rejected), newTenant(ctx, malformed+"\x01")
	wrong.apply(ctx, 2)
	broken.apply(ctx, 2)
	Eventually(wrong.projectReason).WithContext(ctx).Should(Equal(v1alpha1.ReasonCredentialsRejected))
	Eventually(broken.projectReason).WithContext(ctx).Should(Equal(v1alpha1.ReasonCredentialsMissing))

	for where, text := range everythingShown(ctx, replaced) {
		for _, secret := range []string{token, rejected, malformed} {
			Expect(text).NotTo(ContainSubstring(secret), where)
			Expect(text).NotTo(ContainSubstring(base64.StdEncoding.EncodeToString([]byte(secret))[:24]), where)
		}
	}
}, SpecTimeout(specTimeout))

// everythingShown returns all that the managers have written anywhere, by its place.
func everythingShown(ctx context.Context, t tenant) map[string]string {
	GinkgoHelper()
	reader := t.serviceAccountToken(ctx, "scraper")
	t.allowMetrics(ctx, "scraper")
	shown := map[string]string{
		"objects": kubectl(ctx, "get", "backupsync,cbrproject", "--all-namespaces", "--output=yaml", "--show-managed-fields"),
		"events":  kubectl(ctx, "get", "events", "--all-namespaces", "--output=yaml"),
	}
	Eventually(func() (status int) { status, shown["metrics"] = scrape(ctx, reader); return status }).Should(Equal(http.StatusOK))
	for _, manager := range managers {
		log, err := manager.Log()
		Expect(err).NotTo(HaveOccurred())
		shown["log of "+manager.Name] = log
	}
	return shown
}

// replaceToken writes a new token to the tenant's Secret.
func (t tenant) replaceToken(ctx context.Context, iamToken string) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(kubernetes.Client.Get(ctx, client.ObjectKey{Namespace: t.namespace, Name: "cbr"}, secret)).To(Succeed())
	secret.Data[v1alpha1.TokenKey] = []byte(iamToken)
	Expect(kubernetes.Client.Update(ctx, secret)).To(Succeed())
}

// serviceAccountToken makes a ServiceAccount and returns a token of it.
func (t tenant) serviceAccountToken(ctx context.Context, name string) string {
	GinkgoHelper()
	create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: name}})
	issued, err := kubernetes.Token(ctx, t.namespace, name)
	Expect(err).NotTo(HaveOccurred())
	return issued
}

// allowMetrics binds a ServiceAccount to the role of those who may read the metrics.
func (t tenant) allowMetrics(ctx context.Context, serviceAccount string) {
	GinkgoHelper()
	create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: t.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: cluster.MetricsReader},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: t.namespace, Name: serviceAccount}},
	})
}

// scrape gets the leader's metrics, with a bearer token if it is not empty. Their certificate is self-signed.
func scrape(ctx context.Context, bearer string) (status int, body string) {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, leader.MetricsURL, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(text)
}
