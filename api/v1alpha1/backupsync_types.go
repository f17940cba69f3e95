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

// ProjectKind is the kind of what a BackupSync is imported into.
// +kubebuilder:validation:Enum=CBRProject
type ProjectKind string

// ProjectKindCBRProject is the only kind of project there is.
const ProjectKindCBRProject ProjectKind = "CBRProject"

// ProjectReference names a CBRProject of the same namespace.
type ProjectReference struct {
	// kind is the kind of the project: CBRProject, the default, is the only one.
	// +default="CBRProject"
	// +optional
	Kind ProjectKind `json:"kind,omitempty"`

	// name is the name of a CBRProject of the BackupSync's own namespace: 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="name must be the name of a CBRProject: lower-case letters, digits, \"-\" and \".\", and a letter or digit at either end"
	// +required
	Name string `json:"name,omitempty"`
}

// BackupSyncSpec declares one backup to import. Its fields are those of an item of CBR's call
// "POST /v3/{project_id}/backups/sync", and are sent, all but projectRef and suspend.
type BackupSyncSpec struct {
	// projectRef names the CBRProject, of the same namespace, to import into. It cannot be changed.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="projectRef cannot be changed: create another BackupSync instead"
	// +required
	ProjectRef ProjectReference `json:"projectRef,omitzero"`

	// backupID is the backup's id, usually a UUID: 1 to 128 letters, digits, ".", "_" and "-". Upper and lower case
	// are the same. It cannot be changed.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[A-Za-z0-9][A-Za-z0-9._-]*$')`,message="backupID must be made of letters, digits, \".\", \"_\" and \"-\", and begin with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="backupID cannot be changed: create another BackupSync instead"
	// +required
	BackupID string `json:"backupID,omitempty"`

	// backupName is the backup's name in CBR: 1 to 64 characters, of digits, Latin letters, Chinese
	// characters, "_" and "-".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[0-9A-Za-z_\x{4E00}-\x{9FA5}\x{F900}-\x{FA2D}-]+$')`,message="backupName must be made of digits, Latin letters, Chinese characters, \"_\" and \"-\", without spaces"
	// +required
	BackupName string `json:"backupName,omitempty"`

	// bucketName is the name of the OBS bucket that holds the backup: 1 to 255 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^[\s\p{Z}\x{FEFF}\x{200B}]|[\s\p{Z}\x{FEFF}\x{200B}]$|[\p{Cc}\p{Zl}\p{Zp}]')`,message="bucketName must neither begin nor end with white space, nor hold control characters such as line breaks"
	// +required
	BucketName string `json:"bucketName,omitempty"`

	// imagePath is the path of the backup chain in the bucket: 1 to 2048 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^[\s\p{Z}\x{FEFF}\x{200B}]|[\s\p{Z}\x{FEFF}\x{200B}]$|[\p{Cc}\p{Zl}\p{Zp}]')`,message="imagePath must neither begin nor end with white space, nor hold control characters such as line breaks"
	// +required
	ImagePath string `json:"imagePath,omitempty"`

	// resourceID is the id of the virtual machine that was backed up: 1 to 255 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^[\s\p{Z}\x{FEFF}\x{200B}]|[\s\p{Z}\x{FEFF}\x{200B}]$|[\p{Cc}\p{Zl}\p{Zp}]')`,message="resourceID must neither begin nor end with white space, nor hold control characters such as line breaks"
	// +required
	ResourceID string `json:"resourceID,omitempty"`

	// resourceName is the name of the virtual machine that was backed up: 1 to 255 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^[\s\p{Z}\x{FEFF}\x{200B}]|[\s\p{Z}\x{FEFF}\x{200B}]$|[\p{Cc}\p{Zl}\p{Zp}]')`,message="resourceName must neither begin nor end with white space, nor hold control characters such as line breaks"
	// +required
	ResourceName string `json:"resourceName,omitempty"`

	// resourceType is the type of what was backed up. CBR's documents name OS::Native::Server
	// and OS::VMware::Server; other values are passed on as they are: 1 to 255
	// characters; OS::Native::Server by default.
	// +default="OS::Native::Server"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^[\s\p{Z}\x{FEFF}\x{200B}]|[\s\p{Z}\x{FEFF}\x{200B}]$|[\p{Cc}\p{Zl}\p{Zp}]')`,message="resourceType must neither begin nor end with white space, nor hold control characters such as line breaks"
	// +optional
	ResourceType string `json:"resourceType,omitempty"`

	// createdAt is the time at which the backup was made, in seconds since 1970-01-01T00:00:00Z: 1 or more.
	// CBR takes it as a 32-bit number: at most 2147483647.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:XValidation:rule=`self < 100000000000`,message="createdAt must be in seconds, not milliseconds"
	// +kubebuilder:validation:XValidation:rule=`self <= 2147483647 || self >= 100000000000`,message="createdAt must be at most 2147483647: CBR takes it as a 32-bit number"
	// +required
	CreatedAt int64 `json:"createdAt,omitempty"`

	// suspend keeps the backup from being sent to CBR. A task that already runs is followed to its end.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// BackupSyncStatus holds what has become of the backup: facts, and the conditions that follow from them. The
// operator decides by the facts; conditions are computed from them and never read back.
type BackupSyncStatus struct {
	// conditions are Ready, Reconciling, Stalled, Drifted and Available. Reconciling, Stalled and Drifted are present only while they
	// hold; Available once an audit has found that CBR does not show the imported backup usable any more.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the manifest that the conditions speak of, -1 until the
	// operator has acted on the BackupSync. Where the manifest has been edited since the backup was sent,
	// the condition Drifted says so.
	// +kubebuilder:validation:Minimum=-1
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// outcome is how the import has ended: Imported, AlreadyImported, BackupUnusable, Rejected, OperationFailed or
	// Duplicate, each as in the reason of Ready. It is absent while it is open. A value that the operator does
	// not know is left alone: a later version has written it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Outcome Outcome `json:"outcome,omitempty"`

	// operationLogID is the id of CBR's task for the latest accepted call, or of the task that a look-up has found.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	OperationLogID string `json:"operationLogID,omitempty"`

	// cloudProject is the cloud project, as endpoint host and project id, that has accepted the backup, or in which it was found.
	// It differs from that of the CBRProject after that was edited: the backup stays where it is.
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=512
	// +optional
	CloudProject *string `json:"cloudProject,omitempty"`

	// sentHash identifies the item that was sent last: the version of the hash, ":", and the hash of its bytes. It
	// is absent while nothing was sent.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	SentHash string `json:"sentHash,omitempty"`

	// attempts is the number of calls that CBR has accepted for this backup since it was last begun again, by an edit
	// of what had failed or by a request.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Attempts int32 `json:"attempts,omitempty"`

	// submittedTime is the time of the latest call that CBR has accepted for this backup.
	// +optional
	SubmittedTime *metav1.Time `json:"submittedTime,omitempty"`

	// finishedTime is the time at which the latest attempt ended, well or not. It is absent while a task runs.
	// +optional
	FinishedTime *metav1.Time `json:"finishedTime,omitempty"`

	// nextAttemptTime is the time before which a failed import is not tried again. It is absent when none is due.
	// +optional
	NextAttemptTime *metav1.Time `json:"nextAttemptTime,omitempty"`

	// lastError is what CBR said when the latest attempt failed. It is absent after a success.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	// +optional
	LastError string `json:"lastError,omitempty"`

	// backupTime is spec.createdAt as a time: when the backup was made.
	// +optional
	BackupTime *metav1.Time `json:"backupTime,omitempty"`

	// lastHandledRequest is the latest value of the annotation cbr.backupsync.dev/requestedAt that was acted on.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	LastHandledRequest string `json:"lastHandledRequest,omitempty"`
}

// BackupSync declares one on-premises backup that is to be imported into Huawei Cloud CBR.
//
// The manifest can be edited at any time. CBR cannot change a backup that it has accepted: an edit of one changes
// nothing there, and the condition Drifted says so until it is reverted. An edit of one that is Rejected,
// OperationFailed or RetryScheduled sends it again.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=bsync,categories=cbr
// +kubebuilder:selectablefield:JSONPath=`.spec.projectRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.backupID`
// +kubebuilder:selectablefield:JSONPath=`.status.outcome`
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=`.spec.projectRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Operation",type=string,JSONPath=`.status.operationLogID`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Available",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Available")].status`
// +kubebuilder:printcolumn:name="Drifted",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Drifted")].status`
// +kubebuilder:printcolumn:name="Backup",type=string,priority=1,JSONPath=`.spec.backupID`
// +kubebuilder:printcolumn:name="Backup-Age",type=date,priority=1,JSONPath=`.status.backupTime`
// +kubebuilder:printcolumn:name="Resource",type=string,priority=1,JSONPath=`.spec.resourceName`
// +kubebuilder:printcolumn:name="Submitted",type=date,priority=1,JSONPath=`.status.submittedTime`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type BackupSync struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec declares the backup.
	// +required
	Spec BackupSyncSpec `json:"spec,omitzero"`

	// status says what has become of it.
	// +default={"observedGeneration": -1, "conditions": [{"type": "Ready", "status": "Unknown", "reason": "Queued", "message": "Waiting to be sent to CBR with the next call. If this lasts, the conditions of the CBRProject say why.", "lastTransitionTime": "1970-01-01T00:00:00Z"}, {"type": "Reconciling", "status": "True", "reason": "Queued", "message": "Waiting to be sent to CBR with the next call. If this lasts, the conditions of the CBRProject say why.", "lastTransitionTime": "1970-01-01T00:00:00Z"}]}
	// +optional
	Status BackupSyncStatus `json:"status,omitzero"`
}

// BackupSyncList is a list of BackupSyncs.
// +kubebuilder:object:root=true
type BackupSyncList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BackupSync `json:"items"`
}
