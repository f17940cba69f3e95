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

package cbrtest

import (
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// taskView is a task as CBR shows it (ShowOpLog, table OperationLog). Absent values are null.
type taskView struct {
	ID            string         `json:"id"`
	OperationType string         `json:"operation_type"`
	Status        cbr.TaskStatus `json:"status"`
	ProjectID     string         `json:"project_id"`
	ProviderID    string         `json:"provider_id"`
	PolicyID      *string        `json:"policy_id"`
	VaultID       *string        `json:"vault_id"`
	VaultName     *string        `json:"vault_name"`
	CheckpointID  *string        `json:"checkpoint_id"`
	CreatedAt     *string        `json:"created_at"`
	StartedAt     *string        `json:"started_at"`
	EndedAt       *string        `json:"ended_at"`
	UpdatedAt     *string        `json:"updated_at"`
	ErrorInfo     *errorInfo     `json:"error_info"`
	ExtraInfo     extraInfo      `json:"extra_info"`
}

type errorInfo struct {
	Code    *string `json:"code"`
	Message *string `json:"message"`
}

type extraInfo struct {
	Backup   *backupInfo   `json:"backup"`
	Resource *resourceInfo `json:"resource"`
	Common   commonInfo    `json:"common"`
	Sync     *syncInfo     `json:"sync"`
	Delete   *struct{}     `json:"delete"`
	Restore  *struct{}     `json:"restore"`
}

type backupInfo struct {
	ID   string `json:"backup_id"`
	Name string `json:"backup_name"`
}

type resourceInfo struct {
	ID   string  `json:"id"`
	Name *string `json:"name"`
	Type string  `json:"type"`
}

type commonInfo struct {
	Progress  int    `json:"progress"`
	RequestID string `json:"request_id"`
}

type syncInfo struct {
	SyncBackups   int `json:"sync_backup_num"`
	DeleteBackups int `json:"delete_backup_num"`
	FailedBackups int `json:"err_sync_backup_num"`
}

func (t *task) view(x *exchange, now time.Time) taskView {
	view := taskView{
		ID: t.id, OperationType: cbr.OperationSync, Status: t.status(now),
		ProjectID: x.route.project, ProviderID: ImportedProviderID,
		CreatedAt: x.options.told(t.created, t.number), UpdatedAt: x.options.told(t.updated(now), t.number),
		ExtraInfo: extraInfo{Common: commonInfo{Progress: t.progress(now), RequestID: t.requestID}},
	}
	if view.Status != cbr.TaskWaiting {
		view.StartedAt = x.options.told(t.started, t.number+1)
	}
	if view.Status.Final() {
		view.EndedAt = x.options.told(t.ended, t.number+2)
		t.showOutcome(&view)
	}
	if len(t.items) == 1 || x.options.NameFirst {
		t.showBackup(&view, x.options)
	}
	return view
}

func (t *task) updated(now time.Time) time.Time {
	switch {
	case now.Before(t.started):
		return t.created
	case now.Before(t.ended):
		return t.started
	default:
		return t.ended
	}
}

func (t *task) progress(now time.Time) int {
	if !now.Before(t.ended) {
		return 100
	}
	return int(100 * now.Sub(t.created) / t.ended.Sub(t.created))
}

func (t *task) showOutcome(view *taskView) {
	outcome := t.outcome()
	if outcome.Code != "" || outcome.Message != "" {
		view.ErrorInfo = &errorInfo{Code: orNull(outcome.Code), Message: orNull(outcome.Message)}
	}
	counts := syncInfo{FailedBackups: outcome.FailedBackups}
	for _, each := range t.outcomes {
		if each.stored() {
			counts.SyncBackups++
		}
	}
	view.ExtraInfo.Sync = &counts
}

// showBackup names the first backup, or the only one.
func (t *task) showBackup(view *taskView, options Options) {
	item := t.items[0]
	if !options.HideTaskBackup {
		view.ExtraInfo.Backup = &backupInfo{ID: item.ID, Name: item.Name}
	}
	if options.HideTaskResource {
		return
	}
	view.ExtraInfo.Resource = &resourceInfo{ID: item.ResourceID, Name: orNull(item.ResourceName), Type: item.ResourceType}
}
