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
	"errors"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// maxTaskPages bounds a list of tasks, at 1,000 a page.
const maxTaskPages = 100

// errTooManyTasks says that a list of tasks was longer than a pass reads.
var errTooManyTasks = errors.New("CBR lists more tasks than a pass reads")

// eachTask calls a function with every task of a list, page by page, until it says that it has seen enough.
func (p *pass) eachTask(ctx context.Context, query cbr.OperationLogsQuery, see func(*cbr.OperationLog)) error {
	query.OperationType, query.Limit = cbr.OperationSync, cbr.MaxPageSize
	for range maxTaskPages {
		page, err := p.cloud.ListOperationLogs(ctx, query)
		if err != nil {
			return err
		}
		for i := range page.Items {
			see(&page.Items[i])
		}
		if page.Last(query.Offset) {
			return nil
		}
		query.Offset += page.Size
	}
	return errTooManyTasks
}

// stored returns which of the backups CBR has. It reads the list of all backups as long as that is likely to take
// fewer calls than asking for each, and asks for each of those that are left. The API could select by the resource, but
// nothing documents that CBR keeps what an import says of it: only the id decides. A survey, if one is wanted, takes
// in what the list shows.
func (p *pass) stored(ctx context.Context, ids []string, all *survey) (map[string]struct{}, error) {
	left := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		left[id] = struct{}{}
	}
	found := map[string]struct{}{}
	if len(ids) > max(maxSingleLookUps, p.memory.storedPages) {
		whole, err := p.listStored(ctx, left, found, all)
		if all != nil {
			all.whole = whole
		}
		if err != nil || whole {
			return found, err
		}
	}
	for id := range left {
		_, err := p.cloud.GetBackup(ctx, id)
		if cbr.IsNotFound(err) {
			continue
		}
		if err != nil {
			return found, err
		}
		found[id] = struct{}{}
	}
	return found, nil
}

// maxSingleLookUps is how many backups are asked for one by one without a look at the list, of which nobody knows the
// length before; less in a test.
var maxSingleLookUps = 5

// listStored moves ids from left to found as the list of backups shows them, and says whether it was read to its
// end, so that what is left is not in CBR.
func (p *pass) listStored(ctx context.Context, left, found map[string]struct{}, all *survey) (bool, error) {
	marker, seen := "", 0
	for {
		page, err := p.cloud.ListBackupIDs(ctx, cbr.BackupsQuery{Limit: cbr.MaxPageSize, Marker: marker})
		if err != nil {
			return false, err
		}
		for _, id := range page.Items {
			all.note(id)
			if _, wanted := left[id]; wanted {
				delete(left, id)
				found[id] = struct{}{}
			}
		}
		p.memory.storedPages = max(page.Count/cbr.MaxPageSize, seen/cbr.MaxPageSize) + 1
		if page.Last(seen) {
			return true, nil
		}
		seen += page.Size
		if len(page.Items) == 0 || page.Items[len(page.Items)-1] == marker {
			return false, nil // the list does not move on: ask for each
		}
		marker = page.Items[len(page.Items)-1]
		if (page.Count-seen)/cbr.MaxPageSize > len(left) || len(left) == 0 || seen > maxListedBackups {
			return false, nil
		}
	}
}

// maxListedBackups bounds the list of backups for a server whose list has no end.
const maxListedBackups = 5_000_000

// sighting is what CBR shows of a backup that may have been submitted.
type sighting struct {
	task   *cbr.OperationLog // nil if no task names it
	stored bool
	// unclear says that a task may be the backup's without naming it.
	unclear bool
}

// taskWindow is the time in which the tasks of a submission can have begun.
type taskWindow struct{ from, to time.Time }

func (w taskWindow) holds(at cbr.Time) bool {
	return at.IsZero() || !at.Before(w.from) && !at.After(w.to)
}
