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

package cbr

import (
	"encoding/json"
	"strings"
	"time"
)

// MaxImportItems is the most backups that one ImportBackups call may carry (ImportBackup, parameter "sync").
const MaxImportItems = 50

// MaxPageSize is the largest "limit" of the list calls (ListOpLogs, ListBackups).
const MaxPageSize = 1000

// AllEnterpriseProjects stands for all enterprise projects that the credentials may see (ListOpLogs and ListBackups,
// parameter "enterprise_project_id").
const AllEnterpriseProjects = "all_granted_eps"

// Error codes of CBR that single a situation out.
const (
	CodeTaskNotFound   = "BackupService.6500" // ShowOpLog, 404
	CodeBackupNotFound = "BackupService.6200" // ShowBackup, 404
	CodeImportFailed   = "BackupService.1006" // ImportBackup, 500: it blames an item
)

// Backup is one item of ImportBackups. Every field is required by the API.
type Backup struct {
	ID           string `json:"backup_id"`
	Name         string `json:"backup_name"`
	BucketName   string `json:"bucket_name"`
	ImagePath    string `json:"image_path"`
	ResourceID   string `json:"resource_id"`
	ResourceName string `json:"resource_name"`
	ResourceType string `json:"resource_type"`
	// CreatedAt is in seconds since the epoch and must fit in 32 bits.
	CreatedAt int64 `json:"created_at"`
}

// Import is CBR's answer for one accepted backup.
type Import struct {
	BackupID       string `json:"backup_id"`
	OperationLogID string `json:"operation_log_id"`
}

// OperationSync is the operation_type of the tasks that ImportBackups starts.
const OperationSync = "sync"

// TaskStatus is the state of a task. A value that is not listed here means that the task still runs.
type TaskStatus string

// The documented states of a task.
const (
	TaskWaiting TaskStatus = "waiting"
	TaskRunning TaskStatus = "running"
	TaskSuccess TaskStatus = "success"
	TaskFailed  TaskStatus = "failed"
	// TaskSkipped: CBR's checks failed, the task never ran.
	TaskSkipped TaskStatus = "skipped"
	TaskTimeout TaskStatus = "timeout"
)

// Final says whether a task in this state is over.
func (s TaskStatus) Final() bool {
	switch s {
	case TaskSuccess, TaskFailed, TaskSkipped, TaskTimeout:
		return true
	default:
		return false
	}
}

// OperationLog is a task of CBR. Nearly every field may be absent or null in an answer.
type OperationLog struct {
	ID            string     `json:"id"`
	OperationType string     `json:"operation_type"`
	Status        TaskStatus `json:"status"`
	ErrorInfo     ErrorInfo  `json:"error_info"`
	CreatedAt     Time       `json:"created_at"`
	StartedAt     Time       `json:"started_at"`
	EndedAt       Time       `json:"ended_at"`
	UpdatedAt     Time       `json:"updated_at"`
	ExtraInfo     ExtraInfo  `json:"extra_info"`
}

// UnmarshalJSON reads a task. A field that is not what it should be is left empty: what the others say still counts, and
// a task that exists must not go unseen for it.
func (l *OperationLog) UnmarshalJSON(data []byte) error {
	type plain OperationLog
	if json.Unmarshal(data, (*plain)(l)) == nil {
		return nil
	}
	*l = OperationLog{}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	for name, field := range map[string]any{
		"id": &l.ID, "operation_type": &l.OperationType, "status": &l.Status, "error_info": &l.ErrorInfo,
		"created_at": &l.CreatedAt, "started_at": &l.StartedAt, "ended_at": &l.EndedAt, "updated_at": &l.UpdatedAt,
		"extra_info": &l.ExtraInfo,
	} {
		_ = json.Unmarshal(fields[name], field)
	}
	return nil
}

// count is the number of items of a list; one that cannot be read is as good as none.
type count int

// UnmarshalJSON reads a count.
func (c *count) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, (*int)(c)) != nil {
		*c = 0
	}
	return nil
}

// ErrorInfo says why a task failed.
type ErrorInfo struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ExtraInfo is the detail of a task.
type ExtraInfo struct {
	Backup struct {
		ID   string `json:"backup_id"`
		Name string `json:"backup_name"`
	} `json:"backup"`
	Resource struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"resource"`
	Sync struct {
		SyncBackups   int `json:"sync_backup_num"`
		DeleteBackups int `json:"delete_backup_num"`
		FailedBackups int `json:"err_sync_backup_num"`
	} `json:"sync"`
}

// BackupStatus is the state of a backup that CBR has. It may hold a value that is not listed here.
type BackupStatus string

// The documented states of a backup (ShowBackup, field "status").
const (
	BackupAvailable      BackupStatus = "available"
	BackupProtecting     BackupStatus = "protecting"
	BackupDeleting       BackupStatus = "deleting"
	BackupRestoring      BackupStatus = "restoring"
	BackupError          BackupStatus = "error"
	BackupWaitingProtect BackupStatus = "waiting_protect"
	BackupWaitingDelete  BackupStatus = "waiting_delete"
	BackupWaitingRestore BackupStatus = "waiting_restore"
)

func (s BackupStatus) documented() bool {
	switch s {
	case BackupAvailable, BackupProtecting, BackupDeleting, BackupRestoring, BackupError, BackupWaitingProtect, BackupWaitingDelete,
		BackupWaitingRestore:
		return true
	default:
		return false
	}
}

// Usable reports whether a backup in this state can be restored from.
func (s BackupStatus) Usable() bool {
	return s == BackupAvailable || s == BackupRestoring || s == BackupWaitingRestore
}

// UnmarshalJSON reads a status. One that is no text is left empty, which is a status like any unknown one: the backup is there.
func (s *BackupStatus) UnmarshalJSON(data []byte) error {
	*s = ""
	_ = json.Unmarshal(data, (*string)(s))
	return nil
}

// ListedBackup is what is kept of a backup in a list.
type ListedBackup struct {
	ID     string       `json:"id"`
	Status BackupStatus `json:"status"`
}

// StoredBackup is a backup as CBR holds it.
type StoredBackup struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Status       string `json:"status"`
	ResourceID   string `json:"resource_id"`
	ResourceType string `json:"resource_type"`
	ProviderID   string `json:"provider_id"`
}

// Time is a time of CBR's answers. They come with a zone, with "Z", or with none, which means UTC.
// A time that cannot be read is the zero time: an odd one must not make a whole answer unreadable.
type Time struct{ time.Time }

var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999-0700"}

// UnmarshalJSON reads one of CBR's time formats.
func (t *Time) UnmarshalJSON(data []byte) error {
	var text string
	_ = json.Unmarshal(data, &text) // leaves "" for what is no text, which no layout fits
	text = strings.TrimSpace(text)
	for _, layout := range timeLayouts {
		if parsed, err := time.Parse(layout, text); err == nil {
			t.Time = parsed.UTC()
			return nil
		}
	}
	return nil
}

// queryTime is the format of start_time and end_time in ListOpLogs.
func queryTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
