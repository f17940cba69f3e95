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

package batch

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
)

// QueueTimes is when the BackupSyncs that wait were first seen. One that a pass does not find waiting is forgotten, and
// is queued again if it ever waits again. All of them are looked up in each pass, so that this must be quick.
type QueueTimes struct {
	passes int // so far
	byUID  map[types.UID]*queueTime
}

type queueTime struct {
	at   time.Time
	seen int // the pass that has found it last
}

// NewQueueTimes is a QueueTimes before the first pass.
func NewQueueTimes() QueueTimes { return QueueTimes{byUID: map[types.UID]*queueTime{}} }

// BeginPass begins a pass.
func (a *QueueTimes) BeginPass() { a.passes++ }

// QueuedAt returns when a BackupSync was first seen. In the first pass of a process that is when it was created: what has waited
// while no controller ran need not wait again.
func (a *QueueTimes) QueuedAt(backup *v1alpha1.BackupSync, now time.Time) time.Time {
	if known := a.byUID[backup.UID]; known != nil && known.seen >= a.passes-1 {
		known.seen = a.passes
		return known.at
	}
	if created := backup.CreationTimestamp.Time; a.passes == 1 && created.Before(now) {
		return a.Requeue(backup, created)
	}
	return a.Requeue(backup, now)
}

// Requeue lets a BackupSync arrive at a time, and returns it.
func (a *QueueTimes) Requeue(backup *v1alpha1.BackupSync, at time.Time) time.Time {
	a.byUID[backup.UID] = &queueTime{at: at, seen: a.passes}
	return at
}

// Prune gives back the memory of those that are forgotten once they are more than those that are present.
func (a *QueueTimes) Prune(present int) {
	if len(a.byUID) <= 2*present {
		return
	}
	left := make(map[types.UID]*queueTime, present)
	for uid, known := range a.byUID {
		if known.seen == a.passes {
			left[uid] = known
		}
	}
	a.byUID = left
}
