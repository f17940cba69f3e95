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
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

// importedBefore has the status of all BackupSyncs say that they were imported an hour ago: what was imported just now may not be shown yet.
func (w *world) importedBefore(ctx context.Context) {
	GinkgoHelper()
	then := metav1.NewTime(time.Now().Add(-time.Hour))
	for _, backup := range w.backups(ctx) {
		aged := backup.DeepCopy()
		aged.Status.SubmittedTime, aged.Status.FinishedTime = &then, &then
		Expect(apiserver.Status().Patch(ctx, aged, client.MergeFrom(&backup))).To(Succeed())
	}
}

// ask requests, at the project, that everything is tried again.
func (w *world) ask(ctx context.Context, request string) {
	GinkgoHelper()
	project := w.current(ctx)(Default)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+v1alpha1.RequestedAtAnnotation+`":"`+request+`"}}}`))
	Expect(apiserver.Patch(ctx, project, patch)).To(Succeed())
}

// available returns what the condition Available of each BackupSync says, by name: its status and reason, "" without one.
func (w *world) available(ctx context.Context) func() map[string]string {
	return func() map[string]string {
		said := map[string]string{}
		for _, backup := range w.backups(ctx) {
			said[backup.Name] = ""
			if condition := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionAvailable); condition != nil {
				said[backup.Name] = string(condition.Status) + " " + condition.Reason
			}
		}
		return said
	}
}

var _ = Describe("An audit", func() {
	It("tells of what is gone from CBR, and that it is back, and imports nothing", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		w.start(func(options *controller.Options) { options.SettleTime = time.Millisecond }) // the tasks have just ended
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		w.applyBackups(ctx, 3)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 3}))
		w.importedBefore(ctx)
		calls := w.cloud.SyncCalls()
		lost, broken := w.backup(0).Spec.BackupID, w.backup(1).Spec.BackupID
		w.cloud.RemoveBackups("", lost)
		w.cloud.SetBackupStatus("", "error", broken)

		w.ask(ctx, "first")
		Eventually(w.available(ctx)).Should(Equal(map[string]string{"backup-00000": "False Missing", "backup-00001": "False Unusable", "backup-00002": ""}))
		Expect(w.reasons(ctx)(Default)).To(Equal(map[string]int{v1alpha1.ReasonImported: 3}))
		Eventually(w.current(ctx)).Should(HaveField("Status.Audit", HaveValue(And(
			HaveField("FinishedTime", Not(BeNil())), HaveField("Checked", BeEquivalentTo(3)),
			HaveField("Missing", BeEquivalentTo(1)), HaveField("Unusable", BeEquivalentTo(1))))))
		Eventually(func(g Gomega) []string {
			var events eventsv1.EventList
			g.Expect(apiserver.List(ctx, &events, client.InNamespace(w.namespace))).To(Succeed())
			var told []string
			for _, event := range events.Items {
				if event.Action == "Audit" {
					told = append(told, event.Type+" "+event.Reason+" "+event.Regarding.Name)
				}
			}
			return told
		}).Should(ConsistOf("Warning Missing backup-00000", "Warning Unusable backup-00001"))

		w.cloud.AddBackups("", cbr.StoredBackup{ID: lost})
		writes := total(w.requests.matching("PATCH", "/backupsyncs/", "/status"))
		w.ask(ctx, "second")
		Eventually(w.available(ctx)).Should(HaveKeyWithValue("backup-00000", "True UsableAgain"))
		Eventually(w.current(ctx)).Should(HaveField("Status.Audit.Missing", BeZero()))
		Expect(total(w.requests.matching("PATCH", "/backupsyncs/", "/status"))).To(Equal(writes+1), "one write for what has changed")
		Expect(w.cloud.SyncCalls()).To(Equal(calls))
	})

	It("leaves nothing behind when its process ends", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		running := w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project(), w.backup(0))
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1}))
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationListBackups, Hang: true})
		w.ask(ctx, "now")
		Eventually(func() int { return w.cloud.Calls(cbr.OperationListBackups) }).Should(Equal(1))
		running.Stop()
		w.start()
		w.ask(ctx, "again")
		Eventually(w.current(ctx)).Should(HaveField("Status.Audit", HaveValue(HaveField("Checked", BeEquivalentTo(1)))))
	})
})
