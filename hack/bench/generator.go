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

package main

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

const backupSyncs = "backupsyncs"

// newRawClient makes a client of the operator's kinds that does not decode what it is answered.
func newRawClient(config *rest.Config) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.APIPath, config.GroupVersion = "/apis", &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
	made, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make the raw client: %w", err)
	}
	return made, nil
}

// herd is BackupSyncs of a namespace, each a backup of its own, with numbers in a row.
type herd struct {
	server    rest.Interface
	namespace string
	projects  []string // take turns
	inARow    int      // how many BackupSyncs each project has before the next one's turn
	first     int      // number
	count     int      // created so far
}

// add creates so many more, which are pending.
func (h *herd) add(ctx context.Context, count int) error { return h.grow(ctx, count, h.create) }

// addImported creates so many more, and writes the status that the operator would have written in the end.
func (h *herd) addImported(ctx context.Context, count int) error {
	return h.grow(ctx, count, func(ctx context.Context, number int) error {
		if err := h.create(ctx, number); err != nil {
			return err
		}
		return h.patchStatus(ctx, number, h.importedStatus(number))
	})
}

func (h *herd) grow(ctx context.Context, count int, do func(context.Context, int) error) error {
	next := h.first + h.count
	if err := inParallel(ctx, generators, next, next+count, do); err != nil {
		return fmt.Errorf("create %d BackupSyncs in the namespace %s: %w", count, h.namespace, err)
	}
	h.count += count
	return nil
}

// remove deletes all of them.
func (h *herd) remove(ctx context.Context) error {
	err := inParallel(ctx, generators, h.first, h.first+h.count, func(ctx context.Context, number int) error {
		return h.server.Delete().Namespace(h.namespace).Resource(backupSyncs).Name(backupName(number)).Do(ctx).Error()
	})
	if err != nil {
		return fmt.Errorf("delete %d BackupSyncs of the namespace %s: %w", h.count, h.namespace, err)
	}
	h.count = 0
	return nil
}

func (h *herd) create(ctx context.Context, number int) error {
	body, err := json.Marshal(h.manifest(number))
	if err != nil {
		return err
	}
	return h.server.Post().Namespace(h.namespace).Resource(backupSyncs).Body(body).Do(ctx).Error()
}

// patchStatus writes a status by the barest patch there is.
func (h *herd) patchStatus(ctx context.Context, number int, status v1alpha1.BackupSyncStatus) error {
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	return h.server.Patch(types.MergePatchType).Namespace(h.namespace).Resource(backupSyncs).Name(backupName(number)).
		SubResource("status").Body(body).Do(ctx).Error()
}

func backupName(number int) string { return fmt.Sprintf("erp-%06d", number) }

func backupID(number int) string { return fmt.Sprintf("1f9e6b47-7655-4a19-b563-%012d", number) }

// manifest has the lengths of the vendor's example, as they decide on what an object weighs.
func (h *herd) manifest(number int) *v1alpha1.BackupSync {
	item := backupItem(number)
	return &v1alpha1.BackupSync{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "BackupSync"},
		ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: backupName(number)},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: h.projects[number/h.inARow%len(h.projects)]},
			BackupID:   item.ID, BackupName: item.Name, BucketName: item.BucketName, ImagePath: item.ImagePath,
			ResourceID: item.ResourceID, ResourceName: item.ResourceName, ResourceType: item.ResourceType, CreatedAt: item.CreatedAt,
		},
	}
}

// backupItem is the backup of a number as CBR is told of it.
func backupItem(number int) cbr.Backup {
	const chain = "6abec15e-7baf-4d79-b5a9-6b98a2da7020"
	resource := fmt.Sprintf("96f7512d-239d-3f31-80cf-%012d", number%resources)
	return cbr.Backup{
		ID: backupID(number), Name: fmt.Sprintf("backup_%06d", number), BucketName: "1555230361623e4ce4700dab84b7d8169a5eaec05227d",
		ImagePath:  fmt.Sprintf("%s/%s/%s", chain, resource, backupID(number)),
		ResourceID: resource, ResourceName: fmt.Sprintf("resource_%04d", number%resources), ResourceType: "OS::VMware::Server",
		CreatedAt: 1553587260 + int64(number),
	}
}

// resources is the number of virtual machines that the backups are of.
const resources = 500

// storedBackup is the backup of a number as CBR shows it once it is imported.
func storedBackup(number int) map[string]string {
	item := backupItem(number)
	return map[string]string{"id": item.ID, "name": item.Name, "resource_id": item.ResourceID, "resource_type": item.ResourceType}
}

// statusOf makes the status of a number.
type statusOf func(number int) v1alpha1.BackupSyncStatus

// runningStatus is what the operator writes when CBR has accepted a backup.
func (h *herd) runningStatus(number int) v1alpha1.BackupSyncStatus { return h.submitted(number).Status }

// importedStatus is what the operator writes when the task has ended: it then leaves the BackupSync alone.
func (h *herd) importedStatus(number int) v1alpha1.BackupSyncStatus {
	end := backupsync.Ending{Status: cbr.TaskSuccess}
	return backupsync.Finished(h.submitted(number), end, 0, metav1.Now()).Status
}

// submitted is a BackupSync that CBR has accepted. The operator's own functions make its status: one that differed would
// not be at rest.
func (h *herd) submitted(number int) *v1alpha1.BackupSync {
	backup, now := h.manifest(number), metav1.Now()
	backup.Generation = 1 // that of a new object
	return backupsync.Submitted(backup, operationLogID(number), backupsync.Hash(&backup.Spec), now, now)
}

func operationLogID(number int) string { return fmt.Sprintf("154f0a9d-ba53-4e91-a3e2-%012d", number) }
