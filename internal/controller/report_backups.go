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
)

// maxWaitingWrites bounds the writes of waiting BackupSyncs in a pass.
const maxWaitingWrites = 1000

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
