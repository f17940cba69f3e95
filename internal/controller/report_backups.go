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
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

const (
	// maxWaitingWrites bounds the writes of waiting BackupSyncs in a pass.
	maxWaitingWrites = 1000
	// maxOwnersAsked bounds the duplicates of which a report finds out whether they still are: others have their turn in later passes.
	maxOwnersAsked = 1000
)

// requeues are the changes that requeue what is stalled: all of it if a person asks for that, else what could not be requeued then.
func (r *reporter) requeues(stalled []v1alpha1.BackupSync, all bool) []change {
	changes := make([]change, 0, len(stalled))
	now := metav1.NewTime(r.now)
	for i := range stalled {
		backup := &stalled[i]
		_, handled := r.handled[backup.UID]
		_, again := r.unqueued[backup.UID]
		if (all || again) && !handled && backupsync.Requeued(backup, now) != nil { // else the pass has just tried it, or there is nothing to try
			changes = append(changes, change{backup: backup, lasting: true,
				become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync { return backupsync.Requeued(version, now) }})
		}
	}
	r.unqueued.keep(changes)
	if all {
		return changes
	}
	return r.unqueued.due(changes, r.now)
}

// writeWaiting writes the statuses of BackupSyncs that wait. One that cannot be written is no failure of the pass: the others would wait for it.
func (r *reporter) writeWaiting(ctx context.Context, changes []change) error {
	if len(changes) > maxWaitingWrites {
		changes = changes[:maxWaitingWrites]
		r.requeueNow()
	}
	for i := range changes {
		changes[i].repeats = true
	}
	_, failed := r.apply(ctx, changes)
	if ctx.Err() != nil {
		return fmt.Errorf("write what BackupSyncs wait for: %w", ctx.Err())
	}
	r.unwritten.note(changes, failed, r.options.Clock.Now())
	r.requeueAt(r.unwritten.next())
	return nil
}

// freedDuplicates returns the duplicates whose backup no other BackupSync owns any more. The plan finds that out when their turn to be sent comes,
// and their status must not name one that is gone until then.
func (r *reporter) freedDuplicates(ctx context.Context) (map[types.UID]struct{}, error) {
	freed := map[types.UID]struct{}{}
	asked := 0
	for _, backup := range slices.Concat(r.rest, r.pending) {
		_, handled := r.handled[backup.UID]
		if handled || !backupsync.IsDuplicate(backup) || r.project == nil {
			continue
		}
		if asked++; asked > maxOwnersAsked {
			break
		}
		all, err := r.syncsForBackup(ctx, backup.Spec.BackupID)
		if err != nil {
			return nil, err
		}
		if owner := backupsync.Owner(all); owner != nil && owner.UID == backup.UID {
			freed[backup.UID] = struct{}{}
		}
	}
	return freed, nil
}
