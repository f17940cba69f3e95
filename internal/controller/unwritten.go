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

package controller

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// unwrittenStatuses are the BackupSyncs whose status a report could not write, by uid: an admission policy refuses it, perhaps for good. Each is tried again by
// itself, ever more rarely. A failure of the pass would have all others of the project wait.
type unwrittenStatuses map[types.UID]failedWrite

// failedWrite is how often the status of a BackupSync could not be written, in a row, and when it is tried again.
type failedWrite struct {
	failures int
	retryAt  time.Time
}

// note takes in how a report has written statuses.
func (u unwrittenStatuses) note(changes []change, failed []*v1alpha1.BackupSync, now time.Time) {
	again := make(unwrittenStatuses, len(failed))
	for _, backup := range failed {
		failures := u[backup.UID].failures + 1
		wait := backupsync.Backoff(passRetry, passMaxRetry, failures)
		again[backup.UID] = failedWrite{failures: failures, retryAt: now.Add(wait).Truncate(wait / 2)} // several in the same pass
	}
	for _, each := range changes {
		delete(u, each.backup.UID)
	}
	maps.Copy(u, again)
}

// due leaves of some changes those that are not to wait for another try. It takes the slice for itself.
func (u unwrittenStatuses) due(changes []change, now time.Time) []change {
	return slices.DeleteFunc(changes, func(each change) bool { return u[each.backup.UID].retryAt.After(now) })
}

// next returns when the next one is tried again, zero if there is none.
func (u unwrittenStatuses) next() (at time.Time) {
	for _, each := range u {
		at = earliest(at, each.retryAt)
	}
	return at
}

// keep forgets all but some.
func (u unwrittenStatuses) keep(wanted []change) {
	if len(u) == 0 {
		return
	}
	still := make(map[types.UID]struct{}, len(wanted))
	for _, each := range wanted {
		still[each.backup.UID] = struct{}{}
	}
	maps.DeleteFunc(u, func(uid types.UID, _ failedWrite) bool {
		_, is := still[uid]
		return !is
	})
}
