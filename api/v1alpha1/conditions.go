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

// Condition types of both kinds. They follow kstatus: Ready tells whether the declared state is reached,
// Reconciling, Stalled and Drifted are present (and True) only while they hold.
const (
	// ConditionReady is True when a backup is in CBR, or when a project can be used.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the controller works towards Ready.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when nothing more happens until a person changes something.
	ConditionStalled = "Stalled"
	// ConditionDrifted is True while the manifest of a backup that CBR has accepted differs from what was sent.
	ConditionDrifted = "Drifted"
	// ConditionAvailable is False on an imported BackupSync whose backup CBR did not show usable when it was last asked (spec.audit of the
	// CBRProject), and True once it shows it usable again. It is absent from those of which nothing else was ever seen.
	ConditionAvailable = "Available"
	// ConditionCredentialsExpiring is True on a CBRProject when its credentials will end soon, and nobody but a person, or what writes the
	// Secret, renews them.
	ConditionCredentialsExpiring = "CredentialsExpiring"
)

// Reasons of a BackupSync's conditions.
const (
	// ReasonQueued: not yet part of a sync call. It is the default of a new BackupSync.
	ReasonQueued = "Queued"
	// ReasonAwaitingTask: it waits for a task of CBR that may be its own import.
	ReasonAwaitingTask = "AwaitingTask"
	// ReasonProjectNotFound: the CBRProject that the BackupSync refers to does not exist.
	ReasonProjectNotFound = "ProjectNotFound"
	// ReasonSuspended: spec.suspend is set, on a BackupSync or on a CBRProject.
	ReasonSuspended = "Suspended"
	// ReasonOperationRunning: CBR has accepted the backup, its task has not ended.
	ReasonOperationRunning = "OperationRunning"
	// ReasonOperationOverdue: the same, for longer than poll.overdueAfter of the CBRProject.
	ReasonOperationOverdue = "OperationOverdue"
	// ReasonImported: the backup was imported and is in CBR.
	ReasonImported = "Imported"
	// ReasonAlreadyImported: the backup was in CBR before any call of ours.
	ReasonAlreadyImported = "AlreadyImported"
	// ReasonBackupUnusable: CBR holds the backup in a status that it cannot be restored from.
	ReasonBackupUnusable = "BackupUnusable"
	// ReasonRejected: CBR rejected this very item, or calls with it alone were refused until the retries were used up.
	ReasonRejected = "Rejected"
	// ReasonRetryScheduled: CBR's task has failed, or calls with this item alone were refused; another submission is due later.
	ReasonRetryScheduled = "RetryScheduled"
	// ReasonOperationFailed: CBR's task has failed for good.
	ReasonOperationFailed = "OperationFailed"
	// ReasonDuplicate: another BackupSync of the same project declares the same backup and owns it.
	ReasonDuplicate = "Duplicate"
	// ReasonOutcomeUnknown: a call with this backup was sent and its answer is not known.
	ReasonOutcomeUnknown = "OutcomeUnknown"
	// ReasonUnknownOutcome: status.outcome holds a value that this version of the operator does not know.
	ReasonUnknownOutcome = "UnknownOutcome"
	// ReasonEditedAfterImport is the reason of Drifted.
	ReasonEditedAfterImport = "EditedAfterImport"
	// ReasonMissing is that of Available=False where CBR, asked for the imported backup, does not have it.
	ReasonMissing = "Missing"
	// ReasonUnusable is that of Available=False where CBR shows the imported backup in status error.
	ReasonUnusable = "Unusable"
	// ReasonUsableAgain is that of Available=True: CBR shows the imported backup usable again.
	ReasonUsableAgain = "UsableAgain"
)

// Outcome is how the import of a backup has ended, as status.outcome of a BackupSync tells it; "" while it is open.
type Outcome string

// The outcomes. Each is also a reason of Ready.
const (
	OutcomeImported        Outcome = ReasonImported
	OutcomeAlreadyImported Outcome = ReasonAlreadyImported
	OutcomeBackupUnusable  Outcome = ReasonBackupUnusable
	OutcomeRejected        Outcome = ReasonRejected
	OutcomeOperationFailed Outcome = ReasonOperationFailed
	OutcomeDuplicate       Outcome = ReasonDuplicate
)

// Reasons of a CBRProject's conditions; ReasonSuspended is shared.
const (
	// ReasonPending: the controller has not looked at the project yet. It is the default.
	ReasonPending = "Pending"
	// ReasonUsable: endpoint and credentials are usable as far as is known.
	ReasonUsable = "Usable"
	// ReasonCredentialsMissing: the Secret or one of its keys is missing, or its content cannot be used.
	ReasonCredentialsMissing = "CredentialsMissing"
	// ReasonCredentialsRejected: CBR refuses the credentials, or IAM the user and password.
	ReasonCredentialsRejected = "CredentialsRejected"
	// ReasonPermissionDenied: CBR knows the credentials, and does not permit the call.
	ReasonPermissionDenied = "PermissionDenied"
	// ReasonEndpointNotAllowed: the endpoint does not match the operator's --allowed-endpoints, or its name leads to addresses
	// that it does not allow.
	ReasonEndpointNotAllowed = "EndpointNotAllowed"
	// ReasonEndpointUnavailable: the endpoint cannot be reached or fails.
	ReasonEndpointUnavailable = "EndpointUnavailable"
	// ReasonNotCBR: what answers at the endpoint is not CBR, or does not offer the sync call.
	ReasonNotCBR = "NotCBR"
	// ReasonRequestsRefused: CBR refuses every look-up or every call.
	ReasonRequestsRefused = "RequestsRefused"
	// ReasonQuotaExceeded: a vault or a quota is full.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonProjectInUse: another CBRProject imports into the same cloud project.
	ReasonProjectInUse = "ProjectInUse"
	// ReasonNamespaceUnreadable: a namespace that the operator watches cannot be read, and a CBRProject there may have the same cloud project.
	ReasonNamespaceUnreadable = "NamespaceUnreadable"
	// ReasonThrottled: CBR or IAM has refused requests for their rate, or none are made for a while, lest a user or key is locked.
	ReasonThrottled = "Throttled"
	// ReasonExpiresSoon is the reason of CredentialsExpiring.
	ReasonExpiresSoon = "ExpiresSoon"
	// ReasonCRDsOutdated: the CRDs in the cluster are older than the operator.
	ReasonCRDsOutdated = "CRDsOutdated"
)

// MaxMessageLength is the longest condition message that the controller writes, in characters.
const MaxMessageLength = 300

// QueuedMessage is the message of the conditions that a new BackupSync has by default in its CRD.
// It must equal the default in the markers of BackupSync.Status.
const QueuedMessage = "Waiting to be sent to CBR with the next call. If this lasts, the conditions of the CBRProject say why."

// RequestedAtAnnotation asks the controller to try again now: any new value does.
const RequestedAtAnnotation = "cbr.backupsync.dev/requestedAt"
