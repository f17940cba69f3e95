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

// Fold returns the id of a backup or task as ids are compared: CBR may spell them in other case than they were sent in.
func Fold(id string) string { return strings.ToLower(id) }

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

func (s TaskStatus) documented() bool { return s == TaskWaiting || s == TaskRunning || s.Final() }

// Final reports whether a task in this state is over.
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

// ErrorInfo says why a task failed.
type ErrorInfo struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ExtraInfo is the detail of a task.
type ExtraInfo struct {
	Backup   TaskBackup   `json:"backup"`
	Resource TaskResource `json:"resource"`
	Sync     TaskCounts   `json:"sync"`
}

// TaskBackup is the backup that a task speaks of.
type TaskBackup struct {
	ID   string `json:"backup_id"`
	Name string `json:"backup_name"`
}

// TaskResource is the resource that a task speaks of.
type TaskResource struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// TaskCounts are the numbers of backups that a sync task has dealt with.
type TaskCounts struct {
	SyncBackups   int `json:"sync_backup_num"`
	DeleteBackups int `json:"delete_backup_num"`
	FailedBackups int `json:"err_sync_backup_num"`
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

// ListedBackup is what is kept of a backup in a list.
type ListedBackup struct {
	ID     string       `json:"id"`
	Status BackupStatus `json:"status"`
}

// BackupDetails is what a list shows of a backup for people. Anything but the id may be absent.
type BackupDetails struct {
	ListedBackup
	Name         string
	ResourceID   string
	ResourceName string
	ProviderID   string
	CreatedAt    Time
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

// UnmarshalJSON reads one of CBR's time formats.
func (t *Time) UnmarshalJSON(data []byte) error {
	var text string
	_ = json.Unmarshal(data, &text) // leaves "" for what is no text, which no layout fits
	t.parse(text)
	return nil
}

func (t *Time) parse(text string) {
	t.Time = time.Time{}
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxTimeBytes {
		return
	}
	if parsed, err := time.Parse(timeLayout(text), text); err == nil {
		t.Time = parsed.UTC()
	}
}

// maxTimeBytes is more than the longest time takes.
const maxTimeBytes = 64

// timeLayout returns the format of a time, which shows at its end. To try all of them on what is no time takes memory.
func timeLayout(text string) string {
	length := len(text)
	switch {
	case strings.HasSuffix(text, "Z"), length > 6 && text[length-3] == ':' && strings.ContainsRune("+-", rune(text[length-6])):
		return time.RFC3339Nano
	case length > len("2019-03-26T") && strings.ContainsRune("+-", rune(text[length-5])):
		return "2006-01-02T15:04:05.999999999-0700"
	default:
		return "2006-01-02T15:04:05.999999999"
	}
}

// queryTime is the format of start_time and end_time in ListOpLogs.
func queryTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
