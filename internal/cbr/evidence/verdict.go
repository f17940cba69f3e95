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

package evidence

import (
	"backupsync.dev/operator/internal/cbr"
)

// Kind is what a Verdict says.
type Kind string

// The kinds of verdicts.
const (
	// Stored: CBR shows the backup in a usable status.
	Stored Kind = "Stored"
	// Broken: CBR shows the backup in status "error", and no task is known to work on it.
	Broken Kind = "Broken"
	// InProgress: a task that is the backup's, or may be, has not ended; or CBR shows the backup in a passing status.
	InProgress Kind = "InProgress"
	// Absent: CBR certainly does not have the backup, and is not importing it. It may be sent.
	Absent Kind = "Absent"
	// Unknown: nothing of this can be said.
	Unknown Kind = "Unknown"
)

// Verdict is what is known of one backup.
type Verdict struct {
	Kind Kind
	// Task is the id of a task, "" without one. Of a Stored backup: the one that imported it. Of an InProgress one: the one
	// that is waited for. Of an Absent one: the overdue one that is no longer waited for.
	Task string
	// Own reports whether Task is certainly the backup's: it names it, or was known to be its. Otherwise it may be.
	Own bool
	// Ended reports, of an InProgress backup, that Task has succeeded: whether CBR does not show what it has imported, or not yet, is not
	// known for a moment.
	Ended bool
	// Status is the status in which CBR shows the backup, "" if it does not.
	Status cbr.BackupStatus
	// Why says, for people, why the verdict is Unknown.
	Why string
	// Err is the failed read that makes the verdict Unknown, nil without one.
	Err error
}

// String says in a word or two what is so, without the task or the backup: verdicts are counted by it.
func (v Verdict) String() string {
	switch {
	case v.Kind == Unknown:
		return string(v.Kind) + ": " + v.Why
	case v.Kind != InProgress:
		return string(v.Kind)
	case v.Status != "" && v.Task == "": // which status is CBR's choice
		return string(v.Kind) + ": in a passing status"
	case v.Ended:
		return string(v.Kind) + ": " + whose[v.Own] + " task has just ended"
	default:
		return string(v.Kind) + ": " + whose[v.Own] + " task"
	}
}

var whose = map[bool]string{true: "its own", false: "some"}
