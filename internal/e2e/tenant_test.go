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
	"fmt"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// tenant is a namespace, usually with a project named "default", and a cloud project of its own: a second CBRProject for
// the same one would submit nothing.
type tenant struct{ namespace, projectID string }

// maxTenants is how many tenants can be made.
const maxTenants = 100

// tenants is how many were made.
var tenants int

// cloudProjects returns the project ids of all tenants.
func cloudProjects() []string {
	ids := make([]string, 0, maxTenants)
	for number := range maxTenants {
		ids = append(ids, fmt.Sprintf("f841e01fd2b14e7fa41b6ae7%08d", number))
	}
	return ids
}

func newNamespace(ctx context.Context) tenant {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	Expect(kubernetes.Client.Create(ctx, namespace)).To(Succeed())
	Expect(tenants).To(BeNumerically("<", maxTenants), "there are no more project ids: raise maxTenants")
	tenants++
	return tenant{namespace: namespace.Name, projectID: cloudProjects()[tenants-1]}
}

// newTenant makes a namespace with a project, paced for tests, that uses an IAM token.
func newTenant(ctx context.Context, iamToken string) tenant {
	GinkgoHelper()
	t := newNamespace(ctx)
	create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: "cbr"},
		Data:       map[string][]byte{v1alpha1.TokenKey: []byte(iamToken)},
	}, &v1alpha1.CBRProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: "default"},
		Spec: v1alpha1.CBRProjectSpec{
			Endpoint:    simulator.URL,
			ProjectID:   t.projectID,
			Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}},
			Batch:       v1alpha1.Batch{Window: seconds(0.3), MaxWait: seconds(3)},
			Poll:        v1alpha1.Poll{Interval: seconds(0.2)},
			Limits:      v1alpha1.Limits{SyncCallsPerMinute: 1000},
		},
	})
	return t
}

func seconds(count float64) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(count * float64(time.Second))}
}

func create(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, object := range objects {
		Expect(kubernetes.Client.Create(ctx, object)).To(Succeed())
	}
}

// apply creates a number of BackupSyncs that CBR has never seen.
func (t tenant) apply(ctx context.Context, count int) {
	GinkgoHelper()
	for range count {
		create(ctx, t.backup("default"))
	}
}

func (t tenant) backup(project string) *v1alpha1.BackupSync {
	id := uuid.NewString()
	return &v1alpha1.BackupSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: "backup-" + id},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: project},
			BackupID:   id, BackupName: "nightly", BucketName: "vmware-backups", ImagePath: "chains/" + id,
			ResourceID: "96f7512d-239d-3f31-80cf-d1ce041df9a6", ResourceName: "erp-01", CreatedAt: 1772388000,
		},
	}
}

// expectImported waits until the namespace has a number of BackupSyncs, all imported, and its project says so too.
func (t tenant) expectImported(ctx context.Context, count int, within time.Duration) {
	GinkgoHelper()
	Eventually(t.reasons).WithContext(ctx).WithTimeout(within).Should(Equal(map[string]int{v1alpha1.ReasonImported: count}))
	Eventually(t.project).WithContext(ctx).Should(And(
		HaveField("Status.Backups", HaveValue(Equal(v1alpha1.BackupCounts{Total: int32(count), Imported: int32(count)}))),
		HaveField("Status.Journal.Submissions", BeEmpty()),
		HaveField("Status.Conditions", ContainElement(And(
			HaveField("Type", v1alpha1.ConditionReady), HaveField("Status", metav1.ConditionTrue))))))
}

// expectInLedger checks that CBR has accepted each BackupSync of the namespace exactly once, as the task in its status.
func (t tenant) expectInLedger(ctx context.Context) {
	GinkgoHelper()
	accepted := ledger(ctx).Accepted()
	backups, err := t.backups(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(backups).NotTo(BeEmpty())
	for _, backup := range backups {
		entry, found := accepted[backup.Spec.BackupID]
		Expect(found).To(BeTrue(), "%s is not in the ledger", backup.Name)
		Expect(entry.OperationLogIDs).To(Equal([]string{backup.Status.OperationLogID}), "the tasks of %s", backup.Name)
	}
}

func (t tenant) backups(ctx context.Context) ([]v1alpha1.BackupSync, error) {
	var list v1alpha1.BackupSyncList
	err := kubernetes.Client.List(ctx, &list, client.InNamespace(t.namespace))
	return list.Items, err
}

// reasons counts the BackupSyncs by the reason of Ready.
func (t tenant) reasons(ctx context.Context) (map[string]int, error) {
	backups, err := t.backups(ctx)
	counts := map[string]int{}
	for _, backup := range backups {
		if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			counts[ready.Reason]++
		} else {
			counts["none"]++
		}
	}
	return counts, err
}

func (t tenant) project(ctx context.Context) (*v1alpha1.CBRProject, error) {
	project := &v1alpha1.CBRProject{}
	err := kubernetes.Client.Get(ctx, client.ObjectKey{Namespace: t.namespace, Name: "default"}, project)
	return project, err
}

// projectReason returns the reason of the project's Ready.
func (t tenant) projectReason(ctx context.Context) (string, error) {
	project, err := t.project(ctx)
	if err != nil {
		return "", err
	}
	if ready := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason, nil
	}
	return "", fmt.Errorf("the CBRProject has no condition %s", v1alpha1.ConditionReady)
}
