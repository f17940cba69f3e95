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

package backupsync

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// Availability is what the condition Available says of a backup that was imported.
type Availability uint8

const (
	// BackupAvailable means that CBR shows the backup usable, as far as is known. There is no condition, or it is True again.
	BackupAvailable Availability = iota
	// BackupMissing means that CBR does not have the backup any more.
	BackupMissing
	// BackupUnusable means that CBR shows the backup in status error.
	BackupUnusable
	// BackupUndefined means that the condition says something else, which somebody else has written.
	BackupUndefined
)

// String is the reason of the condition.
func (a Availability) String() string {
	return [...]string{v1alpha1.ReasonUsableAgain, v1alpha1.ReasonMissing, v1alpha1.ReasonUnusable, ""}[a]
}

// AvailabilityOf returns what the condition Available of a BackupSync says. Nothing but whether it is to be written follows from that.
func AvailabilityOf(backup *v1alpha1.BackupSync) Availability {
	condition := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionAvailable)
	switch {
	case condition == nil || condition.Status == metav1.ConditionTrue:
		return BackupAvailable
	case condition.Status == metav1.ConditionFalse && condition.Reason == v1alpha1.ReasonMissing:
		return BackupMissing
	case condition.Status == metav1.ConditionFalse && condition.Reason == v1alpha1.ReasonUnusable:
		return BackupUnusable
	default:
		return BackupUndefined
	}
}

// Audited returns what an audit that saw CBR at a time makes of an imported BackupSync: nil if its condition says so already. Ready stays
// as it is, as the import did happen; and nothing is sent.
func Audited(backup *v1alpha1.BackupSync, found Availability, at time.Time, now metav1.Time) *v1alpha1.BackupSync {
	if AvailabilityOf(backup) == found {
		return nil
	}
	next := *backup
	next.Status.Conditions = dated(backup.Status.Conditions, backup.CreationTimestamp)
	status := metav1.ConditionFalse
	if found == BackupAvailable {
		status = metav1.ConditionTrue
	}
	set(&next.Status.Conditions, &backup.ObjectMeta, v1alpha1.ConditionAvailable, status, found.String(), availableMessage(found, at), now)
	return &next
}

// stays says what all messages about backups that are not available say.
const stays = "Nothing is imported again by itself: "

// availableMessage says what was seen, when, what it means, and what to do.
func availableMessage(found Availability, at time.Time) string {
	asked := fmt.Sprintf("CBR, asked at %s, ", at.UTC().Format(time.RFC3339))
	switch found {
	case BackupMissing:
		return asked + "does not have this backup any more: it cannot be restored there. " + stays + requestAgain +
			", or delete this BackupSync if the backup was deleted on purpose."
	case BackupUnusable:
		return asked + "shows this backup in status \"error\": it cannot be restored. " + stays + "look at it in CBR; if it cannot be saved, delete it there and " +
			requestAgain + "."
	default:
		return asked + "shows this backup, which was not available before, usable again."
	}
}

// usableAgain notes that CBR shows the backup of a BackupSync usable, if it was not before.
func usableAgain(backup *v1alpha1.BackupSync, now metav1.Time) *v1alpha1.BackupSync {
	if next := Audited(backup, BackupAvailable, now.Time, now); next != nil {
		return next
	}
	return backup
}

// withoutAvailable returns a BackupSync without the condition Available: what it said is over, as of another import.
func withoutAvailable(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	next := *backup
	next.Status.Conditions = dated(backup.Status.Conditions, backup.CreationTimestamp)
	meta.RemoveStatusCondition(&next.Status.Conditions, v1alpha1.ConditionAvailable)
	return &next
}

// StillThere is what an imported BackupSync becomes, of which a person has requested another import, as CBR has its backup, usable, all
// the same.
func StillThere(backup *v1alpha1.BackupSync, now metav1.Time) *v1alpha1.BackupSync {
	next := *backup
	meet(&next)
	return usableAgain(Present(&next, Circumstances{}, now), now)
}
