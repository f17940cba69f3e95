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
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// An endpoint may answer every page with a full one: what is kept of that is bounded.

// maxGrowth is what a look may take of such a list at any time.
const maxGrowth = 64 << 20

var errGrown = errors.New("the look has grown too much")

// unending is a CBR whose lists have no end. It fails when those who read them keep too much.
type unending struct {
	still
	task   func(number int) cbr.OperationLog
	backup func(number int) cbr.ListedBackup
	before uint64 // bytes on the heap
	pages  int
}

func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// turn is another page.
func (u *unending) turn() error {
	if u.pages++; u.pages%20 == 0 && heap() > u.before+maxGrowth {
		return errGrown
	}
	return nil
}

func pageFrom[T any](offset int, element func(int) T) cbr.Page[T] {
	page := cbr.Page[T]{Size: cbr.MaxPageSize}
	for n := range cbr.MaxPageSize {
		page.Items = append(page.Items, element(offset+n))
	}
	return page
}

func (u *unending) ListOperationLogs(_ context.Context, query cbr.OperationLogsQuery) (cbr.Page[cbr.OperationLog], error) {
	return pageFrom(query.Offset, u.task), u.turn()
}

func (u *unending) ListBackups(_ context.Context, query cbr.BackupsQuery) (cbr.Page[cbr.ListedBackup], error) {
	return pageFrom(query.Offset, u.backup), u.turn()
}

// long is a text that no other element has, as long as the client keeps of one.
func long(number int) string { return fmt.Sprintf("%08d%s", number, strings.Repeat("x", 8<<10-8)) }

func TestALookAtTasksWithoutEndIsBounded(t *testing.T) {
	for name, task := range map[string]func(number int) cbr.OperationLog{
		"that say nothing": func(int) cbr.OperationLog { return cbr.OperationLog{} },
		"that run": func(n int) cbr.OperationLog {
			return cbr.OperationLog{ID: fmt.Sprintf("t%d", n), Status: cbr.TaskRunning}
		},
		"that run, with long texts": func(n int) (log cbr.OperationLog) {
			log.ID, log.Status, log.ErrorInfo.Message = fmt.Sprintf("t%d", n), cbr.TaskRunning, long(n)
			log.ExtraInfo.Backup.ID, log.ExtraInfo.Backup.Name, log.ExtraInfo.Resource.Name = long(n), long(n), long(n)
			return log
		},
		"that have succeeded, nobody knows when": func(n int) cbr.OperationLog {
			return task(fmt.Sprintf("t%d", n), naming(fmt.Sprintf("b%d", n)), inStatus(cbr.TaskSuccess))
		},
	} {
		t.Run(name, func(t *testing.T) {
			source := &unending{task: task, before: heap()}
			look, err := Collect(t.Context(), source, Query{Questions: about(1), Known: Known{Now: now, Scope: PerBackup, SettleTime: 30 * time.Second}})
			if err != nil {
				t.Fatalf("after %d pages: %v", source.pages, err)
			}
			if grown := int64(heap()) - int64(source.before); grown > 1<<20 {
				t.Errorf("%d bytes are kept of a list that proves nothing", grown)
			}
			if look.Tasks.Complete {
				t.Error("the list is said to be complete")
			}
			expect(t, NewJudge(look, Known{Now: now, Scope: PerBackup}), Unknown, about(1)...)
		})
	}
}

func TestAListOfBackupsWithoutEndIsBounded(t *testing.T) {
	for name, backup := range map[string]func(number int) cbr.ListedBackup{
		"in an odd status": func(n int) cbr.ListedBackup { return cbr.ListedBackup{ID: fmt.Sprintf("b%d", n), Status: "odd"} },
		"in statuses that are long": func(n int) cbr.ListedBackup {
			return cbr.ListedBackup{ID: fmt.Sprintf("b%d", n), Status: cbr.BackupStatus(long(n))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			source := &unending{backup: backup, before: heap()}
			if list, err := ListBackups(t.Context(), source, now); err != nil || list.Complete {
				t.Errorf("after %d pages: complete %t, %v", source.pages, list.Complete, err)
			}
		})
	}
}

// As many tasks under way as an account can have are seen as a whole.
func TestManyTasksUnderWayAreAWholeList(t *testing.T) {
	source := holding(0)
	for n := range 20_000 {
		source.tasks = append(source.tasks, task(fmt.Sprintf("%036d", n), naming(fmt.Sprintf("%036d", n)), ofResource(fmt.Sprintf("%036d", n))))
	}
	look, judge := collect(t, source, Query{Questions: about(1), Known: Known{Scope: PerBackup}})
	if !look.Tasks.Complete {
		t.Error("the list is not complete")
	}
	expect(t, judge, Absent, about(1)...)
}
