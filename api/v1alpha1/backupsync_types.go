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

// ProjectReference names a CBRProject of the same namespace.
type ProjectReference struct {
	// name is the name of a CBRProject of the BackupSync's own namespace.
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	// +optional
	Name string `json:"name,omitempty"`
}

// BackupSyncSpec declares one backup to import. Its fields are those of an item of CBR's call
// "POST /v3/{project_id}/backups/sync", and all of them are sent.
type BackupSyncSpec struct {
	// projectRef names the CBRProject, of the same namespace, to import into. It cannot be changed.
	// +kubebuilder:default={name: "default"}
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="projectRef cannot be changed: create another BackupSync instead"
	// +optional
	ProjectRef ProjectReference `json:"projectRef,omitzero"`

	// backupID is the backup's id, a UUID as a rule. It cannot be changed.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._-]*$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="backupID cannot be changed: create another BackupSync instead"
	// +required
	BackupID string `json:"backupID"`

	// backupName is the backup's name in CBR: 1 to 64 characters, of digits, Latin letters, Chinese
	// characters, "_" and "-".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z_\x{4E00}-\x{9FA5}\x{F900}-\x{FA2D}-]+$`
	// +required
	BackupName string `json:"backupName"`

	// bucketName is the name of the OBS bucket that holds the backup: 1 to 255 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +required
	BucketName string `json:"bucketName"`

	// imagePath is the path of the backup chain in the bucket: 1 to 2048 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +required
	ImagePath string `json:"imagePath"`

	// resourceID is the id of the virtual machine that was backed up: 1 to 255 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +required
	ResourceID string `json:"resourceID"`

	// resourceName is the name of the virtual machine that was backed up: 1 to 255 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +required
	ResourceName string `json:"resourceName"`

	// resourceType is the type of what was backed up. CBR's documents name OS::Native::Server
	// and OS::VMware::Server; other values are passed on as they are.
	// +kubebuilder:default="OS::Native::Server"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +optional
	ResourceType string `json:"resourceType,omitempty"`

	// createdAt is the time at which the backup was made, in seconds since 1970-01-01T00:00:00Z.
	// CBR takes it as a 32-bit number: at most 2147483647.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	// +required
	CreatedAt int64 `json:"createdAt"`

	// suspend keeps the backup from being sent to CBR. A task that already runs is followed to its end.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// BackupSyncStatus says what has become of the backup.
type BackupSyncStatus struct {
	// observedGeneration is the generation that the rest of the status speaks of, -1 until the
	// controller has acted on the BackupSync.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Ready, Submitted, Reconciling and Stalled; the last two are present only while they hold.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// operationLogID is the id of CBR's task for the latest accepted call.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	OperationLogID string `json:"operationLogID,omitempty"`

	// submittedAt is the time of the latest call that CBR has accepted for this backup.
	// +optional
	SubmittedAt *metav1.Time `json:"submittedAt,omitempty"`

	// completedAt is the time at which the import ended, well or for good.
	// +optional
	CompletedAt *metav1.Time `json:"completedAt,omitempty"`

	// attempts is the number of calls that CBR has accepted for this backup.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Attempts int32 `json:"attempts,omitempty"`

	// nextAttemptAt is the time before which a failed import is not tried again.
	// +optional
	NextAttemptAt *metav1.Time `json:"nextAttemptAt,omitempty"`

	// lastHandledRequest is the latest value of the annotation cbr.backupsync.dev/requestedAt that was acted on.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	LastHandledRequest string `json:"lastHandledRequest,omitempty"`
}

// BackupSync declares one on-premises backup that is to be imported into Huawei Cloud CBR.
//
// Once CBR has accepted the backup, the fields that describe it are locked; they open again when the
// import has failed (Stalled), so that a wrong value can be mended.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=bsync,categories=cbr
// +kubebuilder:selectablefield:JSONPath=`.spec.projectRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.backupID`
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=`.spec.projectRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Operation",type=string,JSONPath=`.status.operationLogID`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Backup",type=string,priority=1,JSONPath=`.spec.backupID`
// +kubebuilder:printcolumn:name="Resource",type=string,priority=1,JSONPath=`.spec.resourceName`
// +kubebuilder:printcolumn:name="Submitted",type=date,priority=1,JSONPath=`.status.submittedAt`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.conditions) || !oldSelf.status.conditions.exists(c, (c.type == 'Submitted' || c.type == 'Ready') && c.status == 'True') || oldSelf.status.conditions.exists(c, c.type == 'Stalled' && c.status == 'True') || (self.spec.backupName == oldSelf.spec.backupName && self.spec.bucketName == oldSelf.spec.bucketName && self.spec.imagePath == oldSelf.spec.imagePath && self.spec.resourceID == oldSelf.spec.resourceID && self.spec.resourceName == oldSelf.spec.resourceName && self.spec.resourceType == oldSelf.spec.resourceType && self.spec.createdAt == oldSelf.spec.createdAt)",fieldPath=".spec",reason=FieldValueForbidden,messageExpression="'CBR has accepted this backup: it can be changed again only if its import fails (Stalled); locked:' + (self.spec.backupName == oldSelf.spec.backupName ? \"\" : ' backupName') + (self.spec.bucketName == oldSelf.spec.bucketName ? \"\" : ' bucketName') + (self.spec.imagePath == oldSelf.spec.imagePath ? \"\" : ' imagePath') + (self.spec.resourceID == oldSelf.spec.resourceID ? \"\" : ' resourceID') + (self.spec.resourceName == oldSelf.spec.resourceName ? \"\" : ' resourceName') + (self.spec.resourceType == oldSelf.spec.resourceType ? \"\" : ' resourceType') + (self.spec.createdAt == oldSelf.spec.createdAt ? \"\" : ' createdAt')"
type BackupSync struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec declares the backup.
	// +required
	Spec BackupSyncSpec `json:"spec"`

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
