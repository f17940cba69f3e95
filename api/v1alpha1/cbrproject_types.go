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

// CABundleKind is the kind of object that holds CA certificates.
// +kubebuilder:validation:Enum=ConfigMap;Secret
type CABundleKind string

// The kinds of object that hold CA certificates.
const (
	CABundleConfigMap CABundleKind = "ConfigMap"
	CABundleSecret    CABundleKind = "Secret"
)

// CABundleReference names a key of a ConfigMap or Secret of the same namespace.
type CABundleReference struct {
	// kind is the kind of the object: ConfigMap (the default) or Secret.
	// +default="ConfigMap"
	// +optional
	Kind CABundleKind `json:"kind,omitempty"`

	// name is the name of a ConfigMap or Secret of the CBRProject's own namespace: 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="name must be the name of a ConfigMap or Secret of this namespace: lower-case letters, digits, \"-\" and \".\", and a letter or digit at either end"
	// +required
	Name string `json:"name,omitempty"`

	// key is the key under which the certificates are, in PEM: ca.crt by default; 1 to 253 characters.
	// +default="ca.crt"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="key must be made of letters, digits, \"-\", \"_\" and \".\""
	// +optional
	Key string `json:"key,omitempty"`
}

// Batch says how BackupSyncs are gathered into sync calls.
// +kubebuilder:validation:XValidation:rule=`!has(self.window) || !has(self.maxWait) || !self.window.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || !self.maxWait.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self.window) <= duration(self.maxWait)`,fieldPath=".window",message="window must not be longer than maxWait: set both, they are 1s and 10s by default"
type Batch struct {
	// maxSize is the number of backups in a full call: 1 to 50, CBR's limit; 50 by default.
	// +default=50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	// +optional
	MaxSize int32 `json:"maxSize,omitempty"`

	// window is how long a call that is not full waits for more backups after the latest one came: 1s by default, at most
	// 1h, and not longer than maxWait.
	// +default="1s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$')`,message="window must be a duration such as 500ms, 10s or 1h30m: numbers with the units ms, s, m and h"
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) <= duration('1h')`,message="window must be at most 1h"
	// +optional
	Window *metav1.Duration `json:"window,omitempty"`

	// maxWait is the longest that a call that is not full waits, from its oldest backup: 10s by default, at most 1h.
	// +default="10s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$')`,message="maxWait must be a duration such as 500ms, 10s or 1h30m: numbers with the units ms, s, m and h"
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) <= duration('1h')`,message="maxWait must be at most 1h"
	// +optional
	MaxWait *metav1.Duration `json:"maxWait,omitempty"`
}

// Limits bounds the sync calls of a project.
type Limits struct {
	// syncCallsPerMinute is the most sync calls that are made in any 60 seconds: 1 to 100000, 10 by default. CBR's own
	// limit is not published; 10 a minute was measured for an account on a sister service.
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	// +optional
	SyncCallsPerMinute int32 `json:"syncCallsPerMinute,omitempty"`

	// concurrentSyncCalls is the most sync calls that are under way at the same time: 1 to 20, 4 by default.
	// +default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	// +optional
	ConcurrentSyncCalls int32 `json:"concurrentSyncCalls,omitempty"`
}

// Poll says how the tasks of accepted backups are followed.
type Poll struct {
	// interval is the time between two polls of the running tasks: 100ms to 1h, 10s by default. It grows with the age of
	// the tasks.
	// +default="10s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$')`,message="interval must be a duration such as 500ms, 10s or 1h30m: numbers with the units ms, s, m and h"
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('100ms') && duration(self) <= duration('1h')`,message="interval must be between 100ms and 1h"
	// +optional
	Interval *metav1.Duration `json:"interval,omitempty"`

	// overdueAfter is the age from which a running task is reported as OperationOverdue: 30m by default, at most 720h. It
	// is still followed, slowly. So long a backup waits for a task that only may be its import, and for the task of a lost call
	// that CBR's lists may hide: with 0s without end, and running tasks are overdue at once.
	// +default="30m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$')`,message="overdueAfter must be a duration such as 500ms, 10s or 1h30m: numbers with the units ms, s, m and h"
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) <= duration('720h')`,message="overdueAfter must be at most 720h"
	// +optional
	OverdueAfter *metav1.Duration `json:"overdueAfter,omitempty"`
}

// Audit says how often CBR is asked whether it still has what was imported.
type Audit struct {
	// interval is the time between two audits, each of which asks CBR whether it still has, in a usable status, all that was imported:
	// 24h by default, 10m to 720h. 0s turns audits off.
	// +default="24h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$')`,message="interval must be a duration such as 500ms, 10s or 1h30m: numbers with the units ms, s, m and h"
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) == duration('0s') || duration(self) >= duration('10m') && duration(self) <= duration('720h')`,message="interval must be between 10m and 720h, or 0s, which turns audits off"
	// +optional
	Interval *metav1.Duration `json:"interval,omitempty"`
}

// LookupPolicy says whether backups are looked up in CBR before they are sent.
// +kubebuilder:validation:Enum=BeforeFirstSubmission;Never
type LookupPolicy string

const (
	// LookupBeforeFirstSubmission looks a backup up each time before it is sent: one that CBR has already is marked, and
	// not sent.
	LookupBeforeFirstSubmission LookupPolicy = "BeforeFirstSubmission"
	// LookupNever leaves that look-up out. Backups that CBR has already are then imported again.
	LookupNever LookupPolicy = "Never"
)

// Retry says how failed imports are tried again.
type Retry struct {
	// limit is the number of automatic re-submissions after CBR has reported a task as failed: 0 to 100, 3 by
	// default.
	// +default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Limit *int32 `json:"limit,omitempty"`
}

// CBRProjectSpec says where backups are imported, with which credentials and at which pace.
// +kubebuilder:validation:XValidation:rule="has(self.region) != has(self.endpoint)",fieldPath=".endpoint",message="exactly one of region and endpoint must be set: region for Huawei Cloud's own endpoints, endpoint for any other"
// +kubebuilder:validation:XValidation:rule="self.credentials.type != 'Password' || has(self.region) || has(self.iamEndpoint)",fieldPath=".iamEndpoint",reason=FieldValueRequired,message="iamEndpoint is required with endpoint and credentials of the type Password: tokens come from there"
type CBRProjectSpec struct {
	// region is the id of the Huawei Cloud region, such as cn-north-4, 1 to 64 characters. The endpoint follows from it:
	// https://cbr.{region}.myhuaweicloud.com, or .eu for the regions eu-west-1xx. Exactly one of region and endpoint is
	// set. It cannot be changed while calls are open or tasks run.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]+(-[a-z0-9]+)*$')`,message="region must be the id of a region, such as cn-north-4: lower-case letters, digits and \"-\""
	// +optional
	Region string `json:"region,omitempty"`

	// endpoint is the URL of CBR, scheme and host alone, 1 to 255 characters: for endpoints that do not follow from a
	// region. It must match the operator's --allowed-endpoints. It cannot be changed while calls are open or
	// tasks run.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^https?://')`,message="endpoint must begin with https://, such as https://cbr.cn-north-4.myhuaweicloud.com"
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^https?://[^/?#]*/.')`,message="endpoint must be the scheme and the host alone: leave out the path"
	// +kubebuilder:validation:XValidation:rule=`!self.contains('@')`,message="endpoint must not hold a user or a password: credentials belong in the Secret"
	// +kubebuilder:validation:XValidation:rule=`self.contains('@') || self.matches(r'^https?://[^/?#]*/.') || !self.matches(r'^https?://') || self.matches(r'^https?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$')`,message="endpoint must name a host, with a port if need be, and nothing else: no spaces, no query"
	// +optional
	Endpoint string `json:"endpoint,omitempty"`

	// projectID is the id of the Huawei Cloud project, 1 to 64 characters: the {project_id} of CBR's paths. Only one
	// CBRProject imports into a cloud project. It cannot be changed while calls are open or tasks run: their outcome is to be found in the project that they were made for.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[A-Za-z0-9][A-Za-z0-9_-]*$')`,message="projectID must be made of letters, digits, \"_\" and \"-\", and begin with a letter or digit"
	// +required
	ProjectID string `json:"projectID,omitempty"`

	// enterpriseProjectID narrows what CBR lists to one enterprise project, at most 64 characters. The default,
	// all_granted_eps, stands for all that the credentials may see; the empty string sends none.
	// +default="all_granted_eps"
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[A-Za-z0-9_-]*$')`,message="enterpriseProjectID must be the id of an enterprise project, all_granted_eps, or empty"
	// +optional
	EnterpriseProjectID *string `json:"enterpriseProjectID,omitempty"`

	// iamEndpoint is the URL of IAM, scheme and host alone, 1 to 255 characters: credentials of the type Password get their tokens
	// there. It follows from region; with endpoint, that type needs it. It must match the operator's --allowed-endpoints.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^https?://')`,message="iamEndpoint must begin with https://, such as https://iam.cn-north-4.myhuaweicloud.com"
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^https?://[^/?#]*/.')`,message="iamEndpoint must be the scheme and the host alone: leave out the path"
	// +kubebuilder:validation:XValidation:rule=`!self.contains('@')`,message="iamEndpoint must not hold a user or a password: credentials belong in the Secret"
	// +kubebuilder:validation:XValidation:rule=`self.contains('@') || self.matches(r'^https?://[^/?#]*/.') || !self.matches(r'^https?://') || self.matches(r'^https?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$')`,message="iamEndpoint must name a host, with a port if need be, and nothing else: no spaces, no query"
	// +optional
	IAMEndpoint string `json:"iamEndpoint,omitempty"`

	// credentials authenticate the calls.
	// +required
	Credentials Credentials `json:"credentials,omitzero"`

	// caBundleRef names a ConfigMap or Secret, of the same namespace, with CA certificates in PEM to trust besides the
	// system's: for private endpoints.
	// +optional
	CABundleRef CABundleReference `json:"caBundleRef,omitzero"`

	// batch says how BackupSyncs are gathered into sync calls.
	// +default={}
	// +optional
	Batch Batch `json:"batch,omitzero"`

	// limits bounds the sync calls.
	// +default={}
	// +optional
	Limits Limits `json:"limits,omitzero"`

	// poll says how running tasks are followed.
	// +default={}
	// +optional
	Poll Poll `json:"poll,omitzero"`

	// retry says how failed imports are tried again.
	// +default={}
	// +optional
	Retry Retry `json:"retry,omitzero"`

	// audit says how often CBR is asked whether it still has what was imported. What it does not show usable any more gets the
	// condition Available=False. Nothing is imported again by itself.
	// +default={}
	// +optional
	Audit Audit `json:"audit,omitzero"`

	// lookupPolicy says whether a backup is looked up in CBR before it is sent: BeforeFirstSubmission (the default)
	// marks what CBR has already as AlreadyImported and does not send it; Never leaves that look-up out, where nothing
	// else imports: what CBR has already is then imported again. The credentials must be able to read backups all the
	// same.
	// +default="BeforeFirstSubmission"
	// +optional
	LookupPolicy LookupPolicy `json:"lookupPolicy,omitempty"`

	// suspend stops all new sync calls of the project. Tasks that already run are followed to their end.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// BackupCounts counts the BackupSyncs of a project by state.
type BackupCounts struct {
	// total is the number of all.
	// +kubebuilder:validation:Minimum=0
	// +required
	Total int32 `json:"total"`
	// pending is the number of those that are still to be sent, or to be sent again.
	// +kubebuilder:validation:Minimum=0
	// +required
	Pending int32 `json:"pending"`
	// running is the number of those whose task runs.
	// +kubebuilder:validation:Minimum=0
	// +required
	Running int32 `json:"running"`
	// imported is the number of those that are in CBR.
	// +kubebuilder:validation:Minimum=0
	// +required
	Imported int32 `json:"imported"`
	// failed is the number of those that are Stalled.
	// +kubebuilder:validation:Minimum=0
	// +required
	Failed int32 `json:"failed"`
	// drifted is the number of those that are imported and whose manifest was edited since. It is absent if there are none.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Drifted *int32 `json:"drifted,omitempty"`
}

// AuditSummary is what audits have found of the imported BackupSyncs of a project.
type AuditSummary struct {
	// finishedTime is the time at which the latest complete audit ended. It is absent while there was none. An audit that could not ask
	// CBR for everything is not complete: it is made again.
	// +optional
	FinishedTime *metav1.Time `json:"finishedTime,omitempty"`
	// checked is the number of imported BackupSyncs that the latest complete audit has held against CBR's list of backups.
	// +kubebuilder:validation:Minimum=0
	// +required
	Checked int32 `json:"checked"`
	// missing is the number of imported BackupSyncs whose condition Available is False with the reason Missing.
	// +kubebuilder:validation:Minimum=0
	// +required
	Missing int32 `json:"missing"`
	// unusable is the number of imported BackupSyncs whose condition Available is False with the reason Unusable.
	// +kubebuilder:validation:Minimum=0
	// +required
	Unusable int32 `json:"unusable"`
}

// CBRProjectStatus says whether the project can be used, and keeps what must outlive the controller's process.
type CBRProjectStatus struct {
	// conditions are Ready, Reconciling, Stalled and CredentialsExpiring; all but the first are present only while they hold.
	// Ready speaks of calls in general, not of single backups.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that the conditions speak of, -1 until first seen.
	// +kubebuilder:validation:Minimum=-1
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// backups counts the BackupSyncs of the project by state.
	// +optional
	Backups *BackupCounts `json:"backups,omitempty"`

	// audit is what audits have found: when the latest complete one ended, and how many imported backups CBR does not show usable any
	// more. It is absent before the first.
	// +optional
	Audit *AuditSummary `json:"audit,omitempty"`

	// credentialsExpiryTime is the time at which the credentials end, where that is known. Those of the types Password and
	// PodIdentity are renewed before.
	// +optional
	CredentialsExpiryTime *metav1.Time `json:"credentialsExpiryTime,omitempty"`

	// lastHandledRequest is the latest value of the annotation cbr.backupsync.dev/requestedAt that was acted on.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	LastHandledRequest string `json:"lastHandledRequest,omitempty"`

	// journal is the operator's own books. It is not for clients, and must not be edited: what it holds keeps backups
	// from being submitted twice.
	// +optional
	Journal Journal `json:"journal,omitzero"`
}

// CBRProject says where backups are imported, and with which credentials. BackupSyncs of the same
// namespace refer to it.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=cbrp,categories=cbr
// +kubebuilder:selectablefield:JSONPath=`.spec.projectID`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.backups.pending`
// +kubebuilder:printcolumn:name="Running",type=integer,JSONPath=`.status.backups.running`
// +kubebuilder:printcolumn:name="Imported",type=integer,JSONPath=`.status.backups.imported`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.backups.failed`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Audited",type=date,priority=1,JSONPath=`.status.audit.finishedTime`
// +kubebuilder:printcolumn:name="Credentials-Expiry",type=string,priority=1,JSONPath=`.status.credentialsExpiryTime`
// +kubebuilder:printcolumn:name="Region",type=string,priority=1,JSONPath=`.spec.region`
// +kubebuilder:printcolumn:name="Endpoint",type=string,priority=1,JSONPath=`.spec.endpoint`
// +kubebuilder:printcolumn:name="Project-ID",type=string,priority=1,JSONPath=`.spec.projectID`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || (!has(oldSelf.status.journal) || !has(oldSelf.status.journal.submissions) || size(oldSelf.status.journal.submissions) == 0) && (!has(oldSelf.status.backups) || oldSelf.status.backups.running == 0) || self.spec.projectID == oldSelf.spec.projectID",fieldPath=".spec.projectID",reason=FieldValueForbidden,message="projectID cannot be changed while a call is open (status.journal.submissions) or a task runs (status.backups.running): suspend the CBRProject until they have ended, or create another one"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || (!has(oldSelf.status.journal) || !has(oldSelf.status.journal.submissions) || size(oldSelf.status.journal.submissions) == 0) && (!has(oldSelf.status.backups) || oldSelf.status.backups.running == 0) || has(self.spec.endpoint) == has(oldSelf.spec.endpoint) && (!has(self.spec.endpoint) || self.spec.endpoint == oldSelf.spec.endpoint)",fieldPath=".spec.endpoint",reason=FieldValueForbidden,message="endpoint cannot be changed while a call is open (status.journal.submissions) or a task runs (status.backups.running): suspend the CBRProject until they have ended, or create another one"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || (!has(oldSelf.status.journal) || !has(oldSelf.status.journal.submissions) || size(oldSelf.status.journal.submissions) == 0) && (!has(oldSelf.status.backups) || oldSelf.status.backups.running == 0) || has(self.spec.region) == has(oldSelf.spec.region) && (!has(self.spec.region) || self.spec.region == oldSelf.spec.region)",fieldPath=".spec.region",reason=FieldValueForbidden,message="region cannot be changed while a call is open (status.journal.submissions) or a task runs (status.backups.running): suspend the CBRProject until they have ended, or create another one"
type CBRProject struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says where backups go.
	// +required
	Spec CBRProjectSpec `json:"spec,omitzero"`

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
