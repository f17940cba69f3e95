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
	"net/http"
	"strings"
	"time"
)

// Class says what kind of failure an Error is, and with that what is to be done about it.
type Class string

// The classes of failures.
const (
	// Rejected: CBR refuses the call for what it contains.
	Rejected Class = "Rejected"
	// Throttled: too many calls.
	Throttled Class = "Throttled"
	// Credentials: the credentials are refused.
	Credentials Class = "Credentials"
	// Misdirected: what answered is not the API: wrong endpoint, path or project.
	Misdirected Class = "Misdirected"
	// Transient: it may go well later, and nothing was done.
	Transient Class = "Transient"
	// Unknown: an import was sent, and what became of it is not known.
	Unknown Class = "Unknown"
	// NotFound: the task or backup that was asked for does not exist.
	NotFound Class = "NotFound"
	// Quota: a vault or a quota is full, whatever is sent.
	Quota Class = "Quota"
	// Permission: the credentials are valid and may not do this.
	Permission Class = "Permission"
	// Refused: the gateway refuses the call as such, whatever is in it.
	Refused Class = "Refused"
	// Foreign: something between here and the API has answered.
	Foreign Class = "Foreign"
)

// Classes are all classes.
var Classes = []Class{Rejected, Throttled, Credentials, Misdirected, Transient, Unknown, NotFound, Quota, Permission, Refused, Foreign}

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

// Operations are all operations.
var Operations = []Operation{OperationImport, OperationListTasks, OperationGetTask, OperationListBackups, OperationGetBackup}

// Error is the failure of a call. All calls of Client return it, and nothing else.
type Error struct {
	Operation  Operation
	StatusCode int    // HTTP status, 0 without an answer
	Code       string // error_code of the answer, "" without one
	Message    string // error_msg of the answer, without secrets; not cleaned otherwise
	RequestID  string
	RetryAfter time.Duration // what the answer asked for, 0 without
	Class      Class
	// Untouched says that CBR has certainly taken nothing from an import: it was never sent, or the
	// gateway turned it away. Otherwise CBR may have taken some of it, whatever it answered.
	Untouched bool
	Err       error // the cause, without an answer or with one that cannot be used
}

// Error says what was tried, what was answered and the request id to ask support about.
func (e *Error) Error() string {
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

// ClassOf returns the class of an error of this package, Transient for any other.
func ClassOf(err error) Class {
	var failure *Error
	if errors.As(err, &failure) {
		return failure.Class
	}
	return Transient
}

// IsNotFound says whether CBR answered that the task or backup does not exist.
func IsNotFound(err error) bool { return err != nil && ClassOf(err) == NotFound }

// classByCode is the class of the codes that have the same one whatever the HTTP status and the operation:
// "authentication failed" (9998) comes with a 500, "being synchronized" (7302) with a 400.
// Source: the error codes of the CBR API reference and of API Gateway.
var classByCode = map[string]Class{
	"BackupService.8600": Credentials, // account not verified
	"BackupService.9998": Credentials, // authentication failed
	"BackupService.7302": Transient,   // the vault is being synchronized
	"BackupService.0002": Transient,
	"BackupService.6105": Rejected, // no such vault
	"BackupService.6302": Rejected, // no such resource
	"0301":               Credentials,
	"0302":               Credentials,
	"0303":               Credentials, // clock off by more than 15 minutes
	"0305":               Credentials,
	"0306":               Credentials,
	"0307":               Credentials, // token must be renewed
	"0310":               Credentials,
	"0308":               Throttled,
	"0101":               Misdirected, // no such API
	"0613":               Transient,
}

// gatewayCode returns the number of a code of API Gateway ("APIGW.0301", "APIG.0301"), else "".
func gatewayCode(code string) string {
	for _, prefix := range []string{"APIGW.", "APIG."} {
		if number, found := strings.CutPrefix(code, prefix); found {
			return number
		}
	}
	return ""
}

// classify says what kind of failure an answer is: by its code first, by its HTTP status second.
func classify(operation Operation, status int, code string) Class {
	if operation != OperationImport && (code == CodeTaskNotFound || code == CodeBackupNotFound) {
		return NotFound
	}
	key := code
	if number := gatewayCode(code); number != "" {
		key = number
	}
	if class, found := classByCode[key]; found {
		return class
	}
	return classifyStatus(operation, status, code)
}

func classifyStatus(operation Operation, status int, code string) Class {
	switch {
	case status == http.StatusTooManyRequests:
		return Throttled
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Credentials
	case status == http.StatusBadGateway && gatewayCode(code) == "0201":
		return Transient // the gateway did not reach CBR; with 504 it did
	case status >= 500 || status == http.StatusRequestTimeout || status/100 == 2:
		return failedBehind(operation)
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusRequestURITooLong:
		return Rejected
	case status >= 400 && strings.HasPrefix(code, "BackupService."):
		return Rejected
	default: // a redirect, or a 4xx that is not CBR's
		return Misdirected
	}
}

// failedBehind is the class of a failure of which nobody knows how far the request got.
func failedBehind(operation Operation) Class {
	if operation == OperationImport {
		return Unknown
	}
	return Transient
}

// untouched says whether an answer proves that nothing of an import was taken: the gateway turned it away
// with 401, 403, 429 or "no such API". Nothing documents the same of any other answer.
func untouched(class Class, status int, code string) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return class == Credentials && !strings.HasPrefix(code, "BackupService.")
	case http.StatusTooManyRequests:
		return class == Throttled && !strings.HasPrefix(code, "BackupService.")
	case http.StatusNotFound:
		return gatewayCode(code) == "0101"
	default:
		return false
	}
}

// FromCBR reports whether the answer carried a code of CBR's own.
func (e *Error) FromCBR() bool { return strings.HasPrefix(e.Code, "BackupService.") }

// MayBlameItem reports whether an item of a refused import may be to blame.
func (e *Error) MayBlameItem() bool {
	switch e.Class {
	case Credentials, Permission, Throttled, Quota, Misdirected, Refused:
		return false
	default:
		return e.StatusCode != 0
	}
}
