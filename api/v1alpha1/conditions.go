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

// Condition types of both kinds. They follow kstatus: Ready says whether the declared state is reached,
// Reconciling and Stalled are present (and True) only while they hold.
const (
	// ConditionReady is True when a backup is in CBR, or when a project can be used.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the controller works towards Ready.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when nothing more happens until a person changes something.
	ConditionStalled = "Stalled"
	// ConditionSubmitted is True once CBR has accepted the backup in a sync call.
	ConditionSubmitted = "Submitted"
)

// Reasons of a BackupSync's conditions.
const (
	// ReasonQueued: not yet part of a sync call. It is the default of a new BackupSync.
	ReasonQueued = "Queued"
	// ReasonWaitingForProject: the CBRProject that the BackupSync refers to does not exist.
	ReasonWaitingForProject = "WaitingForProject"
	// ReasonSuspended: spec.suspend is set, on a BackupSync or on a CBRProject.
	ReasonSuspended = "Suspended"
	// ReasonOperationRunning: CBR has accepted the backup, its task has not ended.
	ReasonOperationRunning = "OperationRunning"
	// ReasonImported: CBR's task has ended well.
	ReasonImported = "Imported"
	// ReasonAlreadyImported: the backup was in CBR before any call of ours.
	ReasonAlreadyImported = "AlreadyImported"
	// ReasonRejected: CBR refuses this very item.
	ReasonRejected = "Rejected"
	// ReasonRetryScheduled: CBR's task has failed, another submission is due later.
	ReasonRetryScheduled = "RetryScheduled"
	// ReasonOperationFailed: CBR's task has failed for good.
	ReasonOperationFailed = "OperationFailed"
	// ReasonDuplicate: an older BackupSync of the same project declares the same backup.
	ReasonDuplicate = "Duplicate"
	// ReasonOutcomeUnknown: a call with this backup was sent and its answer is not known.
	ReasonOutcomeUnknown = "OutcomeUnknown"
	// ReasonAccepted is the reason of Submitted=True.
	ReasonAccepted = "Accepted"
)

// Reasons of a CBRProject's conditions; ReasonSuspended is shared.
const (
	// ReasonPending: the controller has not looked at the project yet. It is the default.
	ReasonPending = "Pending"
	// ReasonReady: endpoint and credentials are usable as far as is known.
	ReasonReady = "Ready"
	// ReasonCredentialsMissing: the Secret or one of its keys is missing, or its content cannot be used.
	ReasonCredentialsMissing = "CredentialsMissing"
	// ReasonCredentialsRejected: CBR refuses the credentials.
	ReasonCredentialsRejected = "CredentialsRejected"
	// ReasonEndpointNotAllowed: the endpoint does not match the operator's --allowed-endpoints.
	ReasonEndpointNotAllowed = "EndpointNotAllowed"
	// ReasonEndpointUnavailable: the endpoint cannot be reached, fails, or is not CBR's.
	ReasonEndpointUnavailable = "EndpointUnavailable"
	// ReasonThrottled: CBR has refused calls for their rate.
	ReasonThrottled = "Throttled"
)

// MaxMessageLength is the longest condition message that the controller writes, in characters.
const MaxMessageLength = 300

// QueuedMessage is the message of the conditions that a new BackupSync has by default in its CRD.
// It must equal the default in the markers of BackupSyncStatus.
const QueuedMessage = "Waiting to be sent to CBR with the next call. If this lasts, the conditions of the CBRProject say why."

// RequestedAtAnnotation asks the controller to try again now: any new value does.
const RequestedAtAnnotation = "cbr.backupsync.dev/requestedAt"
