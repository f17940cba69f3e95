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

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SubmittedItem is a backup of a recorded sync call.
type SubmittedItem struct {
	// backupID is the id of the backup as it was sent.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +required
	BackupID string `json:"backupID,omitempty"`

	// hash identifies the item that was sent: see BackupSync, status.sentHash.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +required
	Hash string `json:"hash,omitempty"`

	// previousOperationLogID is the operationLogID in the BackupSync's status when the call was recorded: another one
	// there tells that the outcome of this call is written.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	PreviousOperationLogID string `json:"previousOperationLogID,omitempty"`
}

// Submission is the record of a sync call whose outcome is not yet written to its BackupSyncs.
type Submission struct {
	// id is a random id of the record.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +required
	ID string `json:"id,omitempty"`

	// startTime is the time just before the call.
	// +required
	StartTime metav1.MicroTime `json:"startTime,omitzero"`

	// items are the call's backups.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +required
	Items []SubmittedItem `json:"items,omitempty"`
}

// CallCount counts the sync calls that ended at about the same time.
type CallCount struct {
	// endTime is the time at which the latest of them ended.
	// +required
	EndTime metav1.MicroTime `json:"endTime,omitzero"`
	// calls is their number.
	// +kubebuilder:validation:Minimum=1
	// +required
	Calls int32 `json:"calls,omitempty"`
}

// SettlingBackups are backups of calls that settle at the same time.
type SettlingBackups struct {
	// inMilliseconds is how long after this was written they have settled.
	// +kubebuilder:validation:Minimum=1
	// +required
	InMilliseconds int64 `json:"inMilliseconds,omitempty"`
	// backups are hashes of the backups' ids, in base64, or "*" for any.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=87384
	// +required
	Backups string `json:"backups,omitempty"`
}

// TaskScope says for which backups of a call CBR starts a task.
type TaskScope string

// The scopes of a task.
const (
	// TaskPerBackup: each backup of a call has a task of its own.
	TaskPerBackup TaskScope = "PerBackup"
	// TaskPerResource: backups of different resources have different tasks; whether those of one resource share one is not known.
	TaskPerResource TaskScope = "PerResource"
	// TaskPerCall: the backups of a call share a task.
	TaskPerCall TaskScope = "PerCall"
)

// Journal is the operator's own books: what must outlive its process. It is not for clients, and must not be edited.
type Journal struct {
	// writerID is a random id of the process that wrote this status last.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +optional
	WriterID string `json:"writerID,omitempty"`

	// cloudProject is the cloud project, as endpoint host and project id, that this CBRProject has for itself. It is absent
	// while another CBRProject has it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +optional
	CloudProject string `json:"cloudProject,omitempty"`

	// confirmedGeneration is the generation of the spec for which all CBRProjects that the operator watches were read, after cloudProject was
	// written, and none of them stood against it. It is absent before that.
	// +kubebuilder:validation:Minimum=1
	// +optional
	ConfirmedGeneration int64 `json:"confirmedGeneration,omitempty"`

	// takeoverTime is the time at which this CBRProject took the cloud project over from another one. It is absent
	// if there was none.
	// +optional
	TakeoverTime *metav1.MicroTime `json:"takeoverTime,omitempty"`

	// taskScope says whether CBR starts a task for each backup of a call (PerBackup), at least for each resource
	// (PerResource), or one for all (PerCall), as answers to calls with several backups have shown. It is absent while
	// that is not known.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +optional
	TaskScope TaskScope `json:"taskScope,omitempty"`

	// taskDateLagMilliseconds is how far the dates of CBR's tasks are behind the Date header of its answers, at most, as tasks have told that
	// had just ended. The next process takes a task for long over that ended longer ago than that and the settling time. More than 30000 says
	// that the dates tell nothing. It is absent while no task has told.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TaskDateLagMilliseconds *int64 `json:"taskDateLagMilliseconds,omitempty"`

	// refusedSecret is a mark of the password, access key or token that was refused, so that another process goes on telling it, and tries no
	// password and no key again as it is: a few failures lock an account or a key. It is the type of credentials, a salt, and the beginning of
	// a slow hash. It is absent if what the Secret holds was taken, or not tried yet.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +optional
	RefusedSecret string `json:"refusedSecret,omitempty"`

	// credentialFailures is when requests of the user of the credentials, or with their key, have failed in the last minutes, so that
	// another process makes no more of them than lock neither. It is absent if none has.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +optional
	CredentialFailures []metav1.MicroTime `json:"credentialFailures,omitempty"`

	// submissions are the sync calls whose outcome is not yet written to all of their BackupSyncs.
	// None of their backups is sent again before it is known what became of them.
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Submissions []Submission `json:"submissions,omitempty"`

	// settling are the backups of recent calls of which CBR may not show yet what it has taken. They are not sent again meanwhile,
	// should their BackupSyncs be applied again.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Settling []SettlingBackups `json:"settling,omitempty"`

	// unclaimed are the backups, written as in settling, that calls without an answer have brought to CBR while there was no BackupSync of
	// them: should it be applied again, they are looked up whatever lookupPolicy says.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=87384
	// +optional
	Unclaimed string `json:"unclaimed,omitempty"`

	// recentCalls are the sync calls of the last minute, so that limits.syncCallsPerMinute also holds
	// across restarts of the controller.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	RecentCalls []CallCount `json:"recentCalls,omitempty"`
}
