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
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// writer writes statuses, and keeps account of what a pass has dealt with.
type writer struct {
	step
	*versionMemory
	*reportMemory
	accounts sync.Mutex             // guards what follows: calls under way end by it
	handled  map[types.UID]struct{} // backups whose status the pass has written or is about to
	cleared  map[string][]string    // submissions that are over, with the folded ids of the backups that stay recorded
}

// apply takes in what the pass has found of BackupSyncs: it writes their statuses, several at a time, counts the imports that have
// ended, emits events, and notes that the pass has dealt with them. It returns how many were written, and those of which what was to be
// told could not be. One that is gone needs no status.
func (w *writer) apply(ctx context.Context, changes []change) (written int, unwritten []*v1alpha1.BackupSync) {
	var group errgroup.Group
	var mutex sync.Mutex
	group.SetLimit(w.options.StatusWriters)
	for _, next := range changes {
		w.handle(next.backup)
		group.Go(func() error {
			result, err := w.writeChange(ctx, next)
			mutex.Lock()
			defer mutex.Unlock()
			switch {
			case err != nil:
				w.log.Error(err, "Status of a BackupSync could not be written", "backupSync", next.backup.Name)
				unwritten = append(unwritten, next.backup)
			case result != nil:
				written++
				w.tell(next, result)
			}
			return nil // one that fails keeps no other from being written
		})
	}
	_ = group.Wait()
	return written, unwritten
}

// tell counts an import that has ended, and emits the event of what a BackupSync has become, if it has one.
func (w *writer) tell(made change, written *v1alpha1.BackupSync) {
	if backupsync.StateOf(made.backup) == backupsync.Running && written.Status.FinishedTime != nil {
		observeImport(written)
	}
	event, has := backupEvent(written)
	if has && (!made.repeats || readyOf(made.backup.Status.Conditions).Reason != event.reason) {
		w.emit(event)
	}
}

// handle notes that the pass has dealt with a BackupSync.
func (w *writer) handle(backup *v1alpha1.BackupSync) {
	w.accounts.Lock()
	defer w.accounts.Unlock()
	w.handled[backup.UID] = struct{}{}
}

// clear notes that a submission is over, but for the backups that stay open. The report removes its record. That may spell an id otherwise
// than the BackupSync does which declares the backup by now.
func (w *writer) clear(submission string, open []string) {
	folded := make([]string, 0, len(open))
	for _, id := range open {
		folded = append(folded, cbr.Fold(id))
	}
	w.accounts.Lock()
	defer w.accounts.Unlock()
	w.cleared[submission] = folded
}
