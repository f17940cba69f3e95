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
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

var _ = Describe("A project with valid credentials", func() {
	It("sends the documented request for the documented example, and writes the documented answer to its status", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationImport, Status: 200, AcceptItems: cbrtest.All,
			Body: `{"sync": [{"backup_id": "1f9e6b47-7655-4a19-b563-21b4ef023025", "operation_log_id": "154f0a9d-ba53-4e91-a3e2-a918710a9e0d"}]}`})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), sample(w.namespace, "backupsync.yaml"))

		Eventually(w.backups).WithArguments(ctx).Should(HaveExactElements(
			HaveField("Status.OperationLogID", "154f0a9d-ba53-4e91-a3e2-a918710a9e0d")))
		calls := slices.DeleteFunc(w.cloud.Ledger(), func(call cbrtest.Call) bool { return call.Operation != cbr.OperationImport })
		Expect(calls).To(HaveLen(1))
		call := calls[0]
		Expect(call.Method).To(Equal("POST"))
		Expect(call.Path).To(Equal("/v3/" + cbrtest.ProjectID + "/backups/sync"))
		Expect(call.Authorized).To(BeTrue())
		Expect(call.Body).To(MatchJSON(`{"sync": [{"backup_id": "1f9e6b47-7655-4a19-b563-21b4ef023025",
			"resource_id": "96f7512d-239d-3f31-80cf-d1ce041df9a6",
			"resource_name": "resource_name", "resource_type": "OS::Native::Server",
			"bucket_name": "1555230361623e4ce4700dab84b7d8169a5eaec05227d",
			"image_path": "6abec15e-7baf-4d79-b5a9-6b98a2da7020/cfe0295c-5939-4b31-96cd-161b4725e7ad/cfe0295c-5939-4b31-96cd-161b4725e7ad",
			"created_at": 1553587260, "backup_name": "backup_name"}]}`))
	})

	It("follows a backup from Queued to Imported", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TaskDuration: 2 * time.Second})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(1))
		Expect(w.reasons(ctx)(Default)).To(Equal(map[string]int{v1alpha1.ReasonQueued: 1}), "the default status needs no controller")

		w.start()
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOperationRunning: 1}))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		backup := w.backups(ctx)[0]
		Expect(w.cloud.OperationLogIDs(backup.Spec.BackupID)).To(Equal([]string{backup.Status.OperationLogID}))
		Expect(backup.Status.SubmittedTime).NotTo(BeNil())
		Expect(backup.Status.FinishedTime).NotTo(BeNil())
		Expect(backup.Status.Attempts).To(BeEquivalentTo(1))
		Expect(backup.Status.ObservedGeneration).To(Equal(backup.Generation))
		Eventually(w.current(ctx)).Should(And(
			HaveField("Status.Backups", HaveValue(Equal(v1alpha1.BackupCounts{Total: 1, Imported: 1}))),
			HaveField("Status.Journal.Submissions", BeEmpty()),
			WithTransform(projectReason, Equal(v1alpha1.ReasonUsable))))
	})

	It("makes exactly 20 calls of 1,000 backups, and few writes", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TaskDuration: time.Second, Latency: 20 * time.Millisecond})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(batched(3*time.Second, 5*time.Minute))) // longer than any gap between the creations
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
		w.applyBackups(ctx, 1000)
		w.expectMany(ctx, map[string]int{v1alpha1.ReasonImported: 1000})

		Expect(w.cloud.SyncCalls()).To(Equal(20))
		Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
		Expect(w.cloud.Accepted()).To(HaveLen(1000))
		Expect(w.cloud.MaxConcurrentSyncCalls()).To(BeNumerically("<=", 4))
		for request, count := range w.requests.matching("PATCH", "/backupsyncs/", "/status") {
			Expect(count).To(BeNumerically("<=", 2), request)
		}
		Expect(total(w.requests.matching("GET", "/backupsyncs/"))).To(BeZero(), "reads of single BackupSyncs")
		projectWrites := total(w.requests.matching("PATCH", "/cbrprojects/default/status"))
		AddReportEntry("writes of the CBRProject", projectWrites)
		Expect(projectWrites).To(BeNumerically("<=", 100), "a few for each pass that submits, none for each backup")
	})

	It("never makes more calls in a window than allowed, and wastes none", func(ctx context.Context) {
		const window = 2 * time.Second
		w := newWorld(ctx, cbrtest.Options{SyncCallsPerMinute: 5, RateWindow: window, Latency: 10 * time.Millisecond})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.Batch.MaxSize = 2
			spec.Limits.SyncCallsPerMinute = 5
		}))
		w.applyBackups(ctx, 40)
		w.start(rateWindow(window)) // now: a pause between two creations would make a call of one
		Eventually(w.reasons(ctx), 3*time.Minute).Should(Equal(map[string]int{v1alpha1.ReasonImported: 40}))
		Expect(w.cloud.SyncCalls()).To(Equal(20), "none was refused")
		Expect(w.cloud.MaxCallsInWindow(window)).To(BeNumerically("<=", 5))
	})

	It("writes counts with the call that is about to go, not before it", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TaskDuration: time.Hour})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(batched(4*time.Second, time.Minute))) // longer than counts wait for other reasons to write
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
		before := total(w.requests.matching("PATCH", "/cbrprojects/default/status"))
		w.applyBackups(ctx, 7)
		Eventually(w.current(ctx)).Should(And(
			HaveField("Status.Backups", HaveValue(Equal(v1alpha1.BackupCounts{Total: 7, Running: 7}))), HaveField("Status.Journal.Submissions", BeEmpty())))
		Expect(total(w.requests.matching("PATCH", "/cbrprojects/default/status"))-before).To(Equal(2), "the record of the call, and its end")
	})

	It("writes counts soon that no call will carry in the next seconds", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(batched(50*time.Second, time.Minute)))
		w.applyBackups(ctx, 7)
		Eventually(w.current(ctx)).Should(HaveField("Status.Backups", HaveValue(Equal(v1alpha1.BackupCounts{Total: 7, Pending: 7}))))
		Expect(w.cloud.SyncCalls()).To(BeZero())
	})

	It("sends a backup whose company does not fill a call after the quiet window, with all of it", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(batched(3*time.Second, time.Minute)))
		w.applyBackups(ctx, 7)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 7}))
		Expect(w.cloud.SyncCalls()).To(Equal(1))
	})

	It("lists only the tasks of its own time, once it knows how CBR dates them", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TaskDuration: 5 * time.Second})
		w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) { spec.Batch.MaxSize = 10 }))
		w.applyBackups(ctx, 100)
		begin := time.Now()
		w.start()
		w.expectMany(ctx, map[string]int{v1alpha1.ReasonImported: 100})

		var leads []time.Duration
		for _, call := range w.cloud.Ledger() {
			query, err := url.ParseQuery(call.Query)
			Expect(err).NotTo(HaveOccurred())
			if start := query.Get("start_time"); start != "" {
				since, err := time.Parse(time.RFC3339, start)
				Expect(err).NotTo(HaveOccurred())
				leads = append(leads, begin.Sub(since))
			}
		}
		Expect(len(leads)).To(BeNumerically(">", 2), "lists while the tasks run")
		Expect(leads[0]).To(BeNumerically("~", 5*time.Minute, 10*time.Second), "the clocks may differ by that much")
		Expect(leads[len(leads)-1]).To(BeNumerically("<", time.Minute))
	})

	It("works over TLS with the CA bundle of the project", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{TLS: true})
		w.start()
		trusted := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "trusted"}, StringData: map[string]string{"cbr.pem": w.cloud.CABundle()}}
		w.apply(ctx, w.secret(cbrtest.Token+"\n"), w.backup(1), w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.CABundleRef = v1alpha1.CABundleReference{Kind: v1alpha1.CABundleSecret, Name: "trusted", Key: "cbr.pem"}
		}))
		Eventually(w.current(ctx)).Should(HaveField("Status.Conditions", ContainElement(And(
			HaveField("Type", v1alpha1.ConditionStalled), HaveField("Message", ContainSubstring("Secret trusted that spec.caBundleRef names does not exist"))))))
		w.apply(ctx, trusted)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
	})
})

var _ = Describe("What is missing or refused", func() {
	var w *world
	BeforeEach(func(ctx context.Context) {
		w = newWorld(ctx, cbrtest.Options{})
		w.start()
	})

	It("leaves the backups waiting without a project, and says so", func(ctx context.Context) {
		w.apply(ctx, w.secret(cbrtest.Token), w.backup(1), w.backup(2))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonProjectNotFound: 2}))
		w.apply(ctx, w.project())
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 2}))
	})

	It("names a missing Secret on the project alone, and goes on when it is there", func(ctx context.Context) {
		w.apply(ctx, w.project(), w.backup(1), w.backup(2))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonCredentialsMissing)))
		w.expectUntouched(ctx, 2)
		w.apply(ctx, w.secret(cbrtest.Token))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 2}))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
	})

	It("names a missing key of the Secret", func(ctx context.Context) {
		secret := w.secret(cbrtest.Token)
		secret.StringData = map[string]string{"password": "x"}
		w.apply(ctx, secret, w.project(), w.backup(1))
		Eventually(w.current(ctx)).Should(HaveField("Status.Conditions", ContainElement(And(
			HaveField("Type", v1alpha1.ConditionReady), HaveField("Reason", v1alpha1.ReasonCredentialsMissing),
			HaveField("Message", ContainSubstring(`no key "token"`))))))
		w.replaceToken(ctx, cbrtest.Token)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
	})

	It("asks once with a rejected token, writes one condition, and goes on with a new one", func(ctx context.Context) {
		w.apply(ctx, w.secret("expired-token"), w.project())
		w.applyBackups(ctx, 120)
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonCredentialsRejected)))
		w.expectUntouched(ctx, 120)
		Expect(w.cloud.Ledger()).To(HaveLen(1), "calls of any kind with the rejected token")
		w.replaceToken(ctx, cbrtest.Token)
		w.expectMany(ctx, map[string]int{v1alpha1.ReasonImported: 120})
		Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
	})

	It("sends no token to an endpoint that is not allowed", func(ctx context.Context) {
		w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.Endpoint = "https://cbr.example.com"
		}), w.backup(1))
		Eventually(w.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonEndpointNotAllowed)))
		w.expectUntouched(ctx, 1)
	})
})

// expectUntouched expects that the backups wait as they were created, for a while.
func (w *world) expectUntouched(ctx context.Context, count int) {
	GinkgoHelper()
	Consistently(w.reasons(ctx), time.Second).Should(Equal(map[string]int{v1alpha1.ReasonQueued: count}))
	Expect(w.requests.matching("PATCH", "/backupsyncs/")).To(BeEmpty())
}

func (w *world) replaceToken(ctx context.Context, token string) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(apiserver.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "cbr"}, secret)).To(Succeed())
	secret.Data[v1alpha1.TokenKey] = []byte(token)
	Expect(apiserver.Update(ctx, secret)).To(Succeed())
}

// sample reads a BackupSync of config/samples.
func sample(namespace, file string) *v1alpha1.BackupSync {
	GinkgoHelper()
	data, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", file))
	Expect(err).NotTo(HaveOccurred())
	data, err = yaml.YAMLToJSONStrict(data)
	Expect(err).NotTo(HaveOccurred())
	backup := &v1alpha1.BackupSync{}
	Expect(json.Unmarshal(data, backup)).To(Succeed())
	backup.Namespace = namespace
	return backup
}
