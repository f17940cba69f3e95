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

package v1alpha1_test

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// table is what kubectl get shows of the objects of a resource in a namespace.
func table(ctx context.Context, resource, namespace string) *metav1.Table {
	GinkgoHelper()
	config := rest.CopyConfig(restConfig)
	config.APIPath, config.GroupVersion = "/apis", &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	restClient, err := rest.RESTClientFor(config)
	Expect(err).NotTo(HaveOccurred())
	content, err := restClient.Get().Namespace(namespace).Resource(resource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx).Raw()
	Expect(err).NotTo(HaveOccurred())
	shown := &metav1.Table{}
	Expect(json.Unmarshal(content, shown)).To(Succeed())
	Expect(shown.Kind).To(Equal("Table"))
	return shown
}

// column is a column of a table. Those with the priority 1 are shown with -o wide alone.
type column struct {
	name     string
	kind     string
	priority int32
}

func columns(shown *metav1.Table) []column {
	var found []column
	for _, definition := range shown.ColumnDefinitions {
		found = append(found, column{definition.Name, definition.Type, definition.Priority})
	}
	return found
}

// cells are the cells of the only row, by the names of their columns.
func cells(shown *metav1.Table) map[string]any {
	GinkgoHelper()
	Expect(shown.Rows).To(HaveLen(1))
	found := map[string]any{}
	for i, definition := range shown.ColumnDefinitions {
		found[definition.Name] = shown.Rows[0].Cells[i]
	}
	return found
}

// anAge is an age as kubectl shows it.
var anAge = MatchRegexp(`^[0-9]+[smhdy]([0-9]+[smhd])?$`)

func ago(age time.Duration) *metav1.Time {
	return &metav1.Time{Time: time.Now().Add(-age)}
}

var _ = Describe("The table of BackupSyncs", func() {
	It("has columns that tell what became of each, and more of them with -o wide", func(ctx context.Context) {
		Expect(columns(table(ctx, "backupsyncs", newNamespace(ctx)))).To(Equal([]column{
			{"Name", "string", 0},
			{"Project", "string", 0},
			{"Ready", "string", 0},
			{"Reason", "string", 0},
			{"Operation", "string", 0},
			{"Age", "date", 0},
			{"Available", "string", 1},
			{"Drifted", "string", 1},
			{"Backup", "string", 1},
			{"Backup-Age", "date", 1},
			{"Resource", "string", 1},
			{"Submitted", "date", 1},
			{"Message", "string", 1},
		}))
	})

	It("shows a new one as waiting", func(ctx context.Context) {
		backup := create(ctx, backupSync, validBackup())
		shown := cells(table(ctx, "backupsyncs", backup.GetNamespace()))
		Expect(shown).To(HaveKeyWithValue("Name", backup.GetName()))
		Expect(shown).To(HaveKeyWithValue("Project", "erp"))
		Expect(shown).To(HaveKeyWithValue("Ready", "Unknown"))
		Expect(shown).To(HaveKeyWithValue("Reason", v1alpha1.ReasonQueued))
		Expect(shown).To(HaveKeyWithValue("Message", v1alpha1.QueuedMessage))
		Expect(shown).To(HaveKeyWithValue("Age", anAge))
		for _, name := range []string{"Operation", "Available", "Drifted", "Backup-Age", "Submitted"} {
			Expect(shown).To(HaveKeyWithValue(name, BeNil()), "there is none yet")
		}
	})

	It("shows the facts of an imported one, and how old the backup is", func(ctx context.Context) {
		backup := create(ctx, backupSync, validBackup())
		status := accepted(v1alpha1.OutcomeImported, conditions(v1alpha1.ReasonImported, map[string]metav1.ConditionStatus{
			v1alpha1.ConditionReady: metav1.ConditionTrue, v1alpha1.ConditionDrifted: metav1.ConditionTrue,
			v1alpha1.ConditionAvailable: metav1.ConditionFalse}))
		var typed v1alpha1.BackupSync
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(backup), &typed)).To(Succeed())
		status.BackupTime, status.SubmittedTime = ago(20*24*time.Hour+time.Hour), ago(5*time.Hour+time.Minute)
		typed.Status = status
		Expect(apiserver.Status().Update(ctx, &typed)).To(Succeed())
		shown := cells(table(ctx, "backupsyncs", backup.GetNamespace()))
		Expect(shown).To(HaveKeyWithValue("Ready", "True"))
		Expect(shown).To(HaveKeyWithValue("Reason", v1alpha1.ReasonImported))
		Expect(shown).To(HaveKeyWithValue("Operation", "b0a4ef7a"))
		Expect(shown).To(HaveKeyWithValue("Drifted", "True"))
		Expect(shown).To(HaveKeyWithValue("Available", "False"))
		Expect(shown).To(HaveKeyWithValue("Backup", "1f9e6b47-7655-4a19-b563-21b4ef023025"))
		Expect(shown).To(HaveKeyWithValue("Backup-Age", "20d"))
		Expect(shown).To(HaveKeyWithValue("Resource", "resource_name"))
		Expect(shown).To(HaveKeyWithValue("Submitted", HavePrefix("5h")))
		Expect(shown).To(HaveKeyWithValue("Message", "It is so."))
	})
})

var _ = Describe("The table of CBRProjects", func() {
	It("has columns that tell whether each works, and more of them with -o wide", func(ctx context.Context) {
		Expect(columns(table(ctx, "cbrprojects", newNamespace(ctx)))).To(Equal([]column{
			{"Name", "string", 0},
			{"Ready", "string", 0},
			{"Reason", "string", 0},
			{"Pending", "integer", 0},
			{"Running", "integer", 0},
			{"Imported", "integer", 0},
			{"Failed", "integer", 0},
			{"Age", "date", 0},
			{"Audited", "date", 1},
			{"Credentials-Expiry", "string", 1},
			{"Region", "string", 1},
			{"Endpoint", "string", 1},
			{"Project-ID", "string", 1},
			{"Message", "string", 1},
		}))
	})

	It("shows where a project leads, and that none of its backups are counted yet", func(ctx context.Context) {
		project := create(ctx, cbrProject, validProject())
		shown := cells(table(ctx, "cbrprojects", project.GetNamespace()))
		Expect(shown).To(HaveKeyWithValue("Ready", "Unknown"))
		Expect(shown).To(HaveKeyWithValue("Reason", v1alpha1.ReasonPending))
		Expect(shown).To(HaveKeyWithValue("Region", "cn-north-4"))
		Expect(shown).To(HaveKeyWithValue("Endpoint", BeNil()))
		Expect(shown).To(HaveKeyWithValue("Project-ID", "f841e01fd2b14e7fa41b6ae7aa6b0594"))
		Expect(shown).To(HaveKeyWithValue("Message", "Waiting for the controller."))
		Expect(shown).To(HaveKeyWithValue("Age", anAge))
		Expect(shown).To(HaveKeyWithValue("Imported", BeNil()))
		Expect(shown).To(HaveKeyWithValue("Audited", BeNil()))
	})

	It("shows counts of 0 as such", func(ctx context.Context) {
		project := create(ctx, cbrProject, atEndpoint("https://cbr.example.com"))
		var typed v1alpha1.CBRProject
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(project), &typed)).To(Succeed())
		typed.Status.Backups = &v1alpha1.BackupCounts{Total: 2, Imported: 2}
		typed.Status.Audit = &v1alpha1.AuditSummary{FinishedTime: ago(5*time.Hour + time.Minute), Checked: 2}
		typed.Status.CredentialsExpiryTime = &metav1.Time{Time: time.Date(2026, 1, 4, 9, 5, 22, 0, time.UTC)}
		Expect(apiserver.Status().Update(ctx, &typed)).To(Succeed())
		shown := cells(table(ctx, "cbrprojects", project.GetNamespace()))
		Expect(shown).To(HaveKeyWithValue("Endpoint", "https://cbr.example.com"))
		Expect(shown).To(HaveKeyWithValue("Imported", BeEquivalentTo(2)))
		Expect(shown).To(HaveKeyWithValue("Audited", HavePrefix("5h")))
		Expect(shown).To(HaveKeyWithValue("Credentials-Expiry", "2026-01-04T09:05:22Z"), "a time to come is no age")
		for _, name := range []string{"Pending", "Running", "Failed"} {
			Expect(shown).To(HaveKeyWithValue(name, BeEquivalentTo(0)))
		}
	})
})

var _ = Describe("The selectable fields", func() {
	It("find a BackupSync by its project and by its backup id", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		for project, ids := range map[string][]string{"erp": {"a", "b"}, "other": {"a"}} {
			for _, id := range ids {
				spec := validBackup(fields{"projectRef.name": project, "backupID": id})
				Expect(apiserver.Create(ctx, manifest(backupSync, namespace, spec))).To(Succeed())
			}
		}
		matching := func(selected client.MatchingFields) []v1alpha1.BackupSync {
			GinkgoHelper()
			var found v1alpha1.BackupSyncList
			Expect(apiserver.List(ctx, &found, client.InNamespace(namespace), selected)).To(Succeed())
			return found.Items
		}
		Expect(matching(client.MatchingFields{"spec.projectRef.name": "erp"})).To(HaveLen(2))
		Expect(matching(client.MatchingFields{"spec.projectRef.name": "other"})).To(HaveLen(1))
		Expect(matching(client.MatchingFields{"spec.backupID": "a"})).To(HaveLen(2))
		Expect(matching(client.MatchingFields{"spec.projectRef.name": "erp", "spec.backupID": "a"})).To(HaveLen(1))
		Expect(matching(client.MatchingFields{"spec.backupID": "c"})).To(BeEmpty())
	})

	It("find a CBRProject by its project id, in all namespaces", func(ctx context.Context) {
		id := "selectable"
		one, another := create(ctx, cbrProject, projectWith("projectID", id)), create(ctx, cbrProject, projectWith("projectID", id))
		create(ctx, cbrProject, projectWith("projectID", id+"-not"))
		var found v1alpha1.CBRProjectList
		Expect(apiserver.List(ctx, &found, client.MatchingFields{"spec.projectID": id})).To(Succeed())
		Expect(found.Items).To(ConsistOf(HaveField("Name", one.GetName()), HaveField("Name", another.GetName())))
	})
})
