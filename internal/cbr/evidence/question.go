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

import "time"

// Question asks about one backup.
type Question struct {
	BackupID, ResourceID string
	// TaskID is the task of the backup according to its status or to an answer, "" without one.
	TaskID string
	// Call is the recorded call that may have carried the backup and whose outcome is not known, nil without one.
	Call *Call
	// Hidden says that an earlier look has told that lists may hide the task of that call (Look.Hides).
	Hidden bool
	// SettledAt is the time from which all calls that may have carried the backup count as settled; the zero time if there
	// was none. A look that began before proves no absence. Whoever saw the backup's task end may have it count as well.
	SettledAt time.Time
}

// Call is a call of ImportBackup whose outcome is not known. Where calls have one task, what is known of one of its backups
// is known of all.
type Call struct {
	// Items are the ids of all backups of the call, also of those whose outcome has become known.
	Items []string
}

// TaskScope says whose a task is, as far as answers to calls with several backups have told.
type TaskScope string

// The scopes of tasks.
const (
	// ScopeUnknown: no answer has told yet. It is judged like PerCall.
	ScopeUnknown TaskScope = ""
	// PerBackup: each backup of a call has a task of its own.
	PerBackup TaskScope = "PerBackup"
	// PerResource: backups of different resources have different tasks; those of one resource may share one.
	PerResource TaskScope = "PerResource"
	// PerCall: the backups of a call share one.
	PerCall TaskScope = "PerCall"
)

// Owner says whose a task is.
type Owner struct {
	// Backups are the ids of backups that are known to be the task's.
	Backups []string
	// Whole says that no other backup is the task's: the call that started it is known with all its backups. A task that is
	// not known as a whole may also be that of a backup whose BackupSync was deleted, and applied again.
	// It makes no difference where TaskScope is PerBackup.
	Whole bool
	// ResourceID is the resource of the backups, "" if they have different ones, or it is not known.
	ResourceID string
}

// Known is what is known besides what CBR shows.
type Known struct {
	// Now is when the judge is asked: it tells whether a look is fresh and a task overdue.
	Now time.Time
	// Scope says whether the backups of a call share a task.
	Scope TaskScope
	// Owners are the tasks, by id, that the statuses of BackupSyncs or answers of CBR name.
	Owners map[string]Owner
	// OverdueAfter is how long a task that nobody is known to own is waited for; 0 for as long as it runs.
	OverdueAfter time.Duration
	// FirstSeen tells when a task was first seen as it is, by a key of TaskList.Watched. It returns the zero time if it does not
	// know. It may be nil.
	FirstSeen func(key TaskKey) time.Time
	// SettleTime is how long CBR may take to show the backup of a task that has succeeded: so long, up to ten minutes, such a
	// task counts as under way if it has no backup to show. 0 if it shows it at once.
	SettleTime time.Duration
	// DateLag is how far the clock by which CBR dates the ends of tasks is behind its Date headers at most; nil if that is not known.
	DateLag *time.Duration

	off rule // tests switch rules off
}

// rule is one of the rules that tests switch off, to see that they are needed.
type rule string
