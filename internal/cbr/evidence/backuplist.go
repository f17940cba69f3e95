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
	"context"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// BackupList is the list of all backups of CBR, of which it keeps some 20 bytes for each: enough to tell of many ids whether they need a
// question at all. Only that CBR shows a backup follows from it: one that it lacks may be hidden, and is asked for singly (Collect).
type BackupList struct {
	// Began is when the first read began, by the clock of this process.
	Began time.Time
	// Complete reports whether the list was read as a whole.
	Complete bool
	// Reads counts the calls that were made.
	Reads Reads

	listed map[uint64]struct{}         // hashes of all ids
	others map[string]cbr.BackupStatus // of those that are not usable, by folded id
}

// ListBackups reads the list of all backups. An error is one of the list, or of the context.
func ListBackups(ctx context.Context, source Source, began time.Time) (*BackupList, error) {
	found, texts := &BackupList{Began: began}, 0
	list := listing[cbr.ListedBackup]{
		id:    func(backup *cbr.ListedBackup) string { return backup.ID },
		begin: func() { found.others, texts = map[string]cbr.BackupStatus{}, 0 },
		fetch: func(ctx context.Context, offset int) (cbr.Page[cbr.ListedBackup], error) {
			return source.ListBackups(ctx, cbr.BackupsQuery{Limit: cbr.MaxPageSize, Offset: offset})
		},
		see: func(backup *cbr.ListedBackup) {
			if id := cbr.Fold(backup.ID); backup.Status.Usable() { // pages overlap
				delete(found.others, id)
			} else {
				found.others[id] = backup.Status
				texts += len(id) + len(backup.Status)
			}
		},
		enough: func(int) bool { return len(found.others) > maxKept || texts > maxKeptBytes },
	}
	how, err := list.read(ctx)
	if how == stopped {
		found.others = nil
	}
	found.Complete, found.listed, found.Reads.Lists = how == complete, list.seen, list.pages
	return found, err
}

// Shows reports whether the list shows a backup, and whether in a usable status; in which other one, if not.
func (l *BackupList) Shows(backupID string) (shown, usable bool, status cbr.BackupStatus) {
	id := cbr.Fold(backupID)
	if status, shown = l.others[id]; shown {
		return true, false, status
	}
	_, shown = l.listed[hashOf(id)]
	return shown, shown, ""
}
