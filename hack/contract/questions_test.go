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

package contract

import (
	"context"
	"time"

	sdk "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cbr/v1"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cbr/v1/model"

	"backupsync.dev/operator/internal/cbr"
)

// question is a call that the SDK's client and ours can make.
type question struct {
	operation cbr.Operation
	sdk       func(*sdk.CbrClient) (any, error)
	ours      func(context.Context, *cbr.Client) (any, error)
	// same says in our types what the SDK read.
	same func(read any) any
}

// importing asks for an import.
func importing(backups ...cbr.Backup) question {
	return question{
		operation: cbr.OperationImport,
		sdk: func(client *sdk.CbrClient) (any, error) {
			return client.ImportBackup(&model.ImportBackupRequest{Body: &model.BackupSyncReq{Sync: itemsOf(backups)}})
		},
		ours: func(ctx context.Context, client *cbr.Client) (any, error) { return client.ImportBackups(ctx, backups) },
		same: func(read any) any {
			return converted(read.(*model.ImportBackupResponse).Sync, func(each model.BackupSyncRespBody) cbr.Import {
				return cbr.Import{BackupID: each.BackupId, OperationLogID: each.OperationLogId}
			})
		},
	}
}

func itemsOf(backups []cbr.Backup) []model.BackupSync {
	return converted(&backups, func(backup cbr.Backup) model.BackupSync {
		return model.BackupSync{BackupId: backup.ID, BackupName: backup.Name, BucketName: backup.BucketName, ImagePath: backup.ImagePath,
			ResourceId: backup.ResourceID, ResourceName: backup.ResourceName, ResourceType: backup.ResourceType, CreatedAt: int32(backup.CreatedAt)}
	})
}

// listingTasks asks for a page of the tasks of imports.
func listingTasks(limit, offset int) question {
	return question{
		operation: cbr.OperationListTasks,
		sdk: func(client *sdk.CbrClient) (any, error) {
			return client.ListOpLogs(&model.ListOpLogsRequest{
				Limit: pointer(int32(limit)), Offset: pointer(int32(offset)), EnterpriseProjectId: pointer(cbr.AllEnterpriseProjects),
				OperationType: pointer(model.GetListOpLogsRequestOperationTypeEnum().SYNC),
			})
		},
		ours: func(ctx context.Context, client *cbr.Client) (any, error) {
			page, err := client.ListOperationLogs(ctx, cbr.OperationLogsQuery{OperationType: cbr.OperationSync, Limit: limit, Offset: offset})
			page.Date = time.Time{} // of a header, which the SDK does not show
			return page, err
		},
		same: func(read any) any {
			response := read.(*model.ListOpLogsResponse)
			return pageOf(converted(response.OperationLogs, taskOf), response.Count)
		},
	}
}

// gettingTask asks for a task.
func gettingTask(id string) question {
	return question{
		operation: cbr.OperationGetTask,
		sdk: func(client *sdk.CbrClient) (any, error) {
			return client.ShowOpLog(&model.ShowOpLogRequest{OperationLogId: id})
		},
		ours: func(ctx context.Context, client *cbr.Client) (any, error) { return client.GetOperationLog(ctx, id) },
		same: func(read any) any { return taskOf(*read.(*model.ShowOpLogResponse).OperationLog) },
	}
}

// listingBackups asks for a page of the backups.
func listingBackups(limit, offset int) question {
	return question{
		operation: cbr.OperationListBackups,
		sdk: func(client *sdk.CbrClient) (any, error) {
			return client.ListBackups(&model.ListBackupsRequest{
				Limit: pointer(int32(limit)), Offset: pointer(int32(offset)), EnterpriseProjectId: pointer(cbr.AllEnterpriseProjects)})
		},
		ours: func(ctx context.Context, client *cbr.Client) (any, error) {
			return client.ListBackups(ctx, cbr.BackupsQuery{Limit: limit, Offset: offset})
		},
		same: func(read any) any {
			response := read.(*model.ListBackupsResponse)
			return pageOf(converted(response.Backups, func(each model.BackupResp) cbr.ListedBackup {
				return cbr.ListedBackup{ID: each.Id, Status: cbr.BackupStatus(each.Status.Value())}
			}), response.Count)
		},
	}
}

// gettingBackup asks for a backup.
func gettingBackup(id string) question {
	return question{
		operation: cbr.OperationGetBackup,
		sdk: func(client *sdk.CbrClient) (any, error) {
			return client.ShowBackup(&model.ShowBackupRequest{BackupId: id})
		},
		ours: func(ctx context.Context, client *cbr.Client) (any, error) { return client.GetBackup(ctx, id) },
		same: func(read any) any {
			backup := read.(*model.ShowBackupResponse).Backup
			return cbr.StoredBackup{ID: backup.Id, Name: backup.Name, Status: backup.Status.Value(), ResourceID: backup.ResourceId,
				ResourceType: backup.ResourceType, ProviderID: backup.ProviderId}
		},
	}
}

// taskOf says in our type what the SDK read of a task.
func taskOf(read model.OperationLog) cbr.OperationLog {
	task := cbr.OperationLog{ID: read.Id, OperationType: read.OperationType.Value(), Status: cbr.TaskStatus(read.Status.Value()),
		CreatedAt: timeOf(&read.CreatedAt), StartedAt: timeOf(&read.StartedAt), EndedAt: timeOf(read.EndedAt), UpdatedAt: timeOf(&read.UpdatedAt)}
	if failure := read.ErrorInfo; failure != nil {
		task.ErrorInfo = cbr.ErrorInfo{Code: valueOf(failure.Code), Message: valueOf(failure.Message)}
	}
	if extra := read.ExtraInfo; extra != nil {
		task.ExtraInfo = extraOf(*extra)
	}
	return task
}

func extraOf(read model.OpExtraInfo) (extra cbr.ExtraInfo) {
	if backup := read.Backup; backup != nil {
		extra.Backup = cbr.TaskBackup{ID: backup.BackupId, Name: valueOf(backup.BackupName)}
	}
	if resource := read.Resource; resource != nil {
		extra.Resource = cbr.TaskResource{ID: resource.Id, Name: valueOf(resource.Name), Type: resource.Type}
	}
	if counts := read.Sync; counts != nil {
		extra.Sync = cbr.TaskCounts{SyncBackups: int(valueOf(counts.SyncBackupNum)), DeleteBackups: int(valueOf(counts.DeleteBackupNum)),
			FailedBackups: int(valueOf(counts.ErrSyncBackupNum))}
	}
	return extra
}

func timeOf(text *string) cbr.Time { return cbr.Time{Time: instant(valueOf(text))} }

func pageOf[T any](items []T, count *int32) cbr.Page[T] {
	return cbr.Page[T]{Items: items, Size: len(items), Count: int(valueOf(count))}
}

// converted returns the elements of a list as others; nil of none.
func converted[From, To any](list *[]From, convert func(From) To) []To {
	var all []To
	for _, each := range valueOf(list) {
		all = append(all, convert(each))
	}
	return all
}

// valueOf is what a pointer points at, the zero value for nil.
func valueOf[T any](at *T) (value T) {
	if at != nil {
		value = *at
	}
	return value
}
