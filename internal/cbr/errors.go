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
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what kind of failure an Error is, and with that what is to be done about it.
type Class string

// The classes of failures.
const (
	// Rejected: CBR refuses the call for what it contains, or somebody for its size.
	Rejected Class = "Rejected"
	// Quota: a vault or a quota is full, whatever backup is sent.
	Quota Class = "Quota"
	// Throttled: too many calls.
	Throttled Class = "Throttled"
	// Credentials: the credentials are refused.
	Credentials Class = "Credentials"
	// Permission: the credentials are good, but may not do this. A permission takes up to half an hour to work.
	Permission Class = "Permission"
	// Refused: the gateway refuses the call as such, whatever item it carries.
	Refused Class = "Refused"
	// Misdirected: the gateway knows no such API: wrong endpoint or path, or a cloud that does not offer the call.
	Misdirected Class = "Misdirected"
	// Foreign: neither CBR nor the gateway answered, but a proxy or a firewall in between, or another server. It is no word
	// about the items or the credentials.
	Foreign Class = "Foreign"
	// Transient: it may go well later, and nothing was done.
	Transient Class = "Transient"
	// Unknown: an import was sent, and what became of it is not known.
	Unknown Class = "Unknown"
	// NotFound: the task or backup that was asked for does not exist.
	NotFound Class = "NotFound"
)

// Classes are all classes.
var Classes = []Class{Rejected, Quota, Throttled, Credentials, Permission, Refused, Misdirected, Foreign, Transient, Unknown, NotFound}

// Operation names a call of the API, after the vendor's reference.
type Operation string

// The operations of this client.
const (
	OperationImport      Operation = "ImportBackup"
	OperationListTasks   Operation = "ListOpLogs"
	OperationGetTask     Operation = "ShowOpLog"
	OperationListBackups Operation = "ListBackups"
	OperationGetBackup   Operation = "ShowBackup"
)

// byID reports whether an operation asks for one thing by its id, which may not be there.
func (o Operation) byID() bool { return o == OperationGetTask || o == OperationGetBackup }

// Operations are all operations.
var Operations = []Operation{OperationImport, OperationListTasks, OperationGetTask, OperationListBackups, OperationGetBackup}

// Error is the failure of a call. All calls of Client return it, and nothing else.
type Error struct {
	Operation  Operation // "" if a credential did not let a call out
	StatusCode int       // HTTP status, 0 without an answer
	Code       string    // error code of the answer, in whichever shape it came, "" without one
	Message    string    // error message of the answer, without secrets; not cleaned otherwise
	RequestID  string
	RetryAfter time.Duration // what the answer asked for, an hour at most; 0 without
	// Skew is how far the server's clock was ahead of ours when it answered; 0 for less than
	// some seconds, and if it did not say.
	Skew  time.Duration
	Class Class
	// AuthorizedAt is when the credential was asked to authorize the call that it is told was refused, else zero. If it was
	// renewed later, what it has now is not what was refused.
	AuthorizedAt time.Time
	// Untouched says that CBR has certainly taken nothing from an import: it was never sent, or the
	// gateway itself turned it away. Otherwise CBR may have taken some of it, whatever it answered.
	Untouched bool
	Err       error // the cause, without an answer or with one that cannot be used
}

// Error says what was tried, what was answered and the request id to ask support about.
func (e *Error) Error() string {
	if e.Operation == "" && e.Err != nil { // of a credential, which speaks of no call
		return e.Err.Error()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s: ", e.Operation)
	if e.StatusCode != 0 {
		fmt.Fprintf(&text, "HTTP %d", e.StatusCode)
	} else {
		text.WriteString("no answer")
	}
	if e.Code != "" {
		fmt.Fprintf(&text, " %s", e.Code)
	}
	if e.Message != "" {
		fmt.Fprintf(&text, ": %s", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&text, ": %v", e.Err)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&text, " (request %s)", e.RequestID)
	}
	return text.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// FromCBR reports whether CBR itself answered, by its own code, and not something on the way to it.
func (e *Error) FromCBR() bool { return fromCBR(e.Code) }

// FromGateway reports whether the answer carried a code of the gateway's.
func (e *Error) FromGateway() bool {
	_, gateway := gatewayCode(e.Code)
	return gateway
}

// MayBlameItem reports whether the call may have failed for one of its items, so that the others might go through without it.
// It is false where the answer tells that every call would fail, and where there was no answer.
func (e *Error) MayBlameItem() bool {
	switch e.Class {
	case Quota, Throttled, Credentials, Refused, Misdirected:
		return false
	case Permission:
		_, gateway := gatewayCode(e.Code)
		return !gateway // CBR itself may speak of the bucket of one item
	case Rejected:
		return true
	default:
		return e.StatusCode != 0
	}
}

// ClassOf returns the class of an error of this package, Transient for any other.
func ClassOf(err error) Class {
	var failure *Error
	if errors.As(err, &failure) {
		return failure.Class
	}
	return Transient
}

// IsNotFound reports whether CBR answered that the task or backup does not exist.
func IsNotFound(err error) bool { return err != nil && ClassOf(err) == NotFound }

// BlamesClock reports whether a signature is refused since the clock that dated it is off by more than 15 minutes: any key is then.
func (e *Error) BlamesClock() bool {
	code, gateway := gatewayCode(e.Code)
	return gateway && code == "0303"
}
