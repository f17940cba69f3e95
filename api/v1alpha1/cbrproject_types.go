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

// CredentialsType says how calls to CBR are authenticated.
// +kubebuilder:validation:Enum=Token
type CredentialsType string

// CredentialsToken authenticates with an IAM token, sent in the header X-Auth-Token.
const CredentialsToken CredentialsType = "Token"

// TokenKey is the key of the Secret that holds the token of CredentialsToken.
const TokenKey = "token"

// SecretReference names a Secret of the same namespace.
type SecretReference struct {
	// name is the name of a Secret of the CBRProject's own namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	// +required
	Name string `json:"name"`
}

// Credentials says which Secret authenticates the calls to CBR, and how.
type Credentials struct {
	// type is the kind of credentials: Token (an IAM token in the Secret's key "token").
	// +kubebuilder:default=Token
	// +optional
	Type CredentialsType `json:"type,omitempty"`

	// secretRef names the Secret, of the same namespace, that holds them.
	// +required
	SecretRef SecretReference `json:"secretRef"`
}

// Batch says how BackupSyncs are gathered into sync calls.
type Batch struct {
	// size is the number of backups in a full call: 1 to 50, CBR's limit.
	// +kubebuilder:default=50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	// +optional
	Size int32 `json:"size,omitempty"`

	// window is how long a call that is not full waits for more backups after the latest one came; at most 1h.
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="window must be at most 1h"
	// +optional
	Window *metav1.Duration `json:"window,omitempty"`

	// maxWait is the longest that a call that is not full waits, from its oldest backup; at most 1h.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="maxWait must be at most 1h"
	// +optional
	MaxWait *metav1.Duration `json:"maxWait,omitempty"`
}

// Limits bounds the sync calls of a project.
type Limits struct {
	// syncCallsPerMinute is the most sync calls that are made in any 60 seconds: 1 to 100000. CBR's own
	// limit is not published; 10 a minute was measured for an account on a sister service.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	// +optional
	SyncCallsPerMinute int32 `json:"syncCallsPerMinute,omitempty"`

	// concurrentSyncCalls is the most sync calls that are under way at the same time: 1 to 20.
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	// +optional
	ConcurrentSyncCalls int32 `json:"concurrentSyncCalls,omitempty"`
}

// Poll says how the tasks of accepted backups are followed.
type Poll struct {
	// interval is the time between two looks at the running tasks: 100ms to 1h. It grows with the age of the tasks.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="interval must be between 100ms and 1h"
	// +optional
	Interval *metav1.Duration `json:"interval,omitempty"`

	// timeout is the age from which a running task is reported as late: at most 720h. It is followed on, slowly.
	// +kubebuilder:default="30m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('720h')",message="timeout must be at most 720h"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// ObservePolicy says whether backups are looked up in CBR before they are first sent.
// +kubebuilder:validation:Enum=IfPresent;Never
type ObservePolicy string

const (
	// ObserveIfPresent looks up each backup once: one that CBR has already is marked, and never sent.
	ObserveIfPresent ObservePolicy = "IfPresent"
	// ObserveNever makes no such reads. Backups that CBR has already are then imported again.
	ObserveNever ObservePolicy = "Never"
)

// Retry says how failed imports are tried again.
type Retry struct {
	// limit is the number of automatic re-submissions after CBR has reported a task as failed: 0 to 100.
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Limit *int32 `json:"limit,omitempty"`
}

// CBRProjectSpec says where backups are imported, with which credentials and at which pace.
type CBRProjectSpec struct {
	// endpoint is the URL of CBR in the project's region, https://cbr.{region}.myhuaweicloud.com as a rule.
	// It must match the operator's --allowed-endpoints.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^https?://[A-Za-z0-9.:\[\]-]+/?$`
	// +required
	Endpoint string `json:"endpoint"`

	// projectID is the id of the Huawei Cloud project: the {project_id} of CBR's paths. It cannot be changed while
	// status.submissions holds calls: their outcome is to be found in the project that they were made for.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9_-]*$`
	// +required
	ProjectID string `json:"projectID"`

	// credentials authenticate the calls.
	// +required
	Credentials Credentials `json:"credentials"`

	// caBundle is a bundle of CA certificates, in PEM (as it is or base64-encoded), to trust instead of
	// the system's: for private endpoints.
	// +kubebuilder:validation:MaxLength=262144
	// +optional
	CABundle string `json:"caBundle,omitempty"`

	// batch says how BackupSyncs are gathered into sync calls.
	// +kubebuilder:default={}
	// +optional
	Batch Batch `json:"batch,omitzero"`

	// limits bounds the sync calls.
	// +kubebuilder:default={}
	// +optional
	Limits Limits `json:"limits,omitzero"`

	// poll says how running tasks are followed.
	// +kubebuilder:default={}
	// +optional
	Poll Poll `json:"poll,omitzero"`

	// retry says how failed imports are tried again.
	// +kubebuilder:default={}
	// +optional
	Retry Retry `json:"retry,omitzero"`

	// observe says whether a backup is looked up in CBR before it is first sent: IfPresent (the default) marks
	// what CBR has already as AlreadyImported and does not send it; Never makes no such reads, for CBR projects
	// whose credentials may not read backups.
	// +kubebuilder:default=IfPresent
	// +optional
	Observe ObservePolicy `json:"observe,omitempty"`

	// suspend stops all new sync calls of the project. Tasks that already run are followed to their end.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// BackupCounts counts the BackupSyncs of a project by state.
type BackupCounts struct {
	// total is the number of all.
	// +optional
	Total int32 `json:"total"`
	// pending is the number of those that CBR has not accepted yet.
	// +optional
	Pending int32 `json:"pending"`
	// running is the number of those whose task runs.
	// +optional
	Running int32 `json:"running"`
	// imported is the number of those that are in CBR.
	// +optional
	Imported int32 `json:"imported"`
	// failed is the number of those that are stalled.
	// +optional
	Failed int32 `json:"failed"`
}

// Submission is the record of a sync call whose outcome is not yet written to its BackupSyncs.
type Submission struct {
	// id is a random id of the record.
	// +kubebuilder:validation:MaxLength=64
	// +required
	ID string `json:"id"`

	// startedAt is the time just before the call.
	// +required
	StartedAt metav1.MicroTime `json:"startedAt"`

	// backupIDs are the ids of the call's backups.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=128
	// +required
	BackupIDs []string `json:"backupIDs"`
}

// CallCount counts the sync calls that ended at about the same time.
type CallCount struct {
	// at is the time at which the latest of them ended.
	// +required
	At metav1.MicroTime `json:"at"`
	// calls is their number.
	// +kubebuilder:validation:Minimum=1
	// +required
	Calls int32 `json:"calls"`
}

// CBRProjectStatus says whether the project can be used, and keeps what must outlive the controller's process.
type CBRProjectStatus struct {
	// observedGeneration is the generation that the conditions speak of, -1 until first seen.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Ready, Reconciling and Stalled; the last two are present only while they hold.
	// Ready speaks of the endpoint and the credentials, not of single backups.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// backups counts the BackupSyncs of the project by state.
	// +optional
	Backups BackupCounts `json:"backups,omitzero"`

	// submissions are the sync calls whose outcome is not yet written to all of their BackupSyncs.
	// None of their backups is sent again before it is known what became of them.
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Submissions []Submission `json:"submissions,omitempty"`

	// recentCalls are the sync calls of the last minute, so that limits.syncCallsPerMinute also holds
	// across restarts of the controller.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	RecentCalls []CallCount `json:"recentCalls,omitempty"`

	// lastHandledRequest is the latest value of the annotation cbr.backupsync.dev/requestedAt that was acted on.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	LastHandledRequest string `json:"lastHandledRequest,omitempty"`

	// lastWriter is a random id of the controller process that wrote this status last.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	LastWriter string `json:"lastWriter,omitempty"`

	// credentialsExpireAt is the time at which the credentials end, where that is known.
	// +optional
	CredentialsExpireAt *metav1.Time `json:"credentialsExpireAt,omitempty"`
}

// CBRProject says where backups are imported, and with which credentials. BackupSyncs of the same
// namespace refer to it.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=cbrp,categories=cbr
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.backups.pending`
// +kubebuilder:printcolumn:name="Running",type=integer,JSONPath=`.status.backups.running`
// +kubebuilder:printcolumn:name="Imported",type=integer,JSONPath=`.status.backups.imported`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.backups.failed`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.spec.projectID == oldSelf.spec.projectID || !has(oldSelf.status) || !has(oldSelf.status.submissions) || size(oldSelf.status.submissions) == 0",fieldPath=".spec.projectID",reason=FieldValueForbidden,message="projectID cannot be changed while status.submissions holds calls whose outcome is not known: wait for that, or create another CBRProject"
type CBRProject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where backups go.
	// +required
	Spec CBRProjectSpec `json:"spec"`

	// status says whether the project can be used.
	// +default={"observedGeneration": -1, "conditions": [{"type": "Ready", "status": "Unknown", "reason": "Pending", "message": "Waiting for the controller.", "lastTransitionTime": "1970-01-01T00:00:00Z"}, {"type": "Reconciling", "status": "True", "reason": "Pending", "message": "Waiting for the controller.", "lastTransitionTime": "1970-01-01T00:00:00Z"}]}
	// +optional
	Status CBRProjectStatus `json:"status,omitzero"`
}

// CBRProjectList is a list of CBRProjects.
// +kubebuilder:object:root=true
type CBRProjectList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CBRProject `json:"items"`
}
