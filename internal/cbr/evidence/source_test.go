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
	"net/http"
	"strings"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

var (
	errNotThere = &cbr.Error{Class: cbr.NotFound, StatusCode: http.StatusNotFound}
	errOutage   = &cbr.Error{Class: cbr.Transient, Err: errors.New("outage")}
	errNotAnID  = &cbr.Error{Class: cbr.Rejected, StatusCode: http.StatusBadRequest, Code: "BackupService.9900"}
)

// step lets time go by, and others do something, before each read.
func (w *world) step() {
	w.now = w.now.Add(pick(w.dice, 0, 0, time.Second, 2*time.Second))
	if w.inserts && w.is() {
		if w.is() {
			w.add(&worldBackup{id: w.newID("filler"), status: "available", filler: true})
		} else {
			w.addTask(w.fillerTask())
		}
	}
	if w.swaps && w.roll(3) == 1 {
		swapTwo(w, w.tasks)
		swapTwo(w, w.backups)
	}
	if !w.deletes || !w.is() {
		return
	}
	if w.is() {
		w.backups = withoutFirst(w.backups, func(b *worldBackup) bool { return b.filler })
	} else {
		w.tasks = withoutFirst(w.tasks, func(t *worldTask) bool { return t.filler })
	}
}

// swapTwo lets two elements of the same age change places.
func swapTwo[T any](w *world, list []T) {
	if len(list) > 1 {
		a, b := w.roll(len(list)), w.roll(len(list))
		list[a], list[b] = list[b], list[a]
	}
}

func withoutFirst[T any](list []T, is func(T) bool) []T {
	for i := range list {
		if is(list[i]) {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}

// pageOf cuts a page out of a list as it is now.
func pageOf[T any](w *world, list []T, limit, offset int) cbr.Page[T] {
	from := min(offset, len(list))
	size := min(limit, w.longest, len(list)-from)
	if w.cuts && size > 1 {
		size -= w.roll(size)
	}
	page := cbr.Page[T]{Items: append([]T(nil), list[from:from+size]...), Size: size}
	switch w.count {
	case honest:
		page.Count = len(list)
	case countOfPage:
		page.Count = size
	case countOfRest:
		page.Count = len(list) - from
	case countTooHigh:
		page.Count = len(list) + 1
	case countTooLow:
		page.Count = max(0, len(list)-1)
	}
	return page
}

func (w *world) ListOperationLogs(_ context.Context, query cbr.OperationLogsQuery) (cbr.Page[cbr.OperationLog], error) {
	w.step()
	var list []cbr.OperationLog
	for _, task := range w.tasks {
		if !w.now.Before(task.visible) {
			list = append(list, task.view(w.now))
		}
	}
	page := pageOf(w, list, query.Limit, query.Offset)
	page.Date = w.date()
	return page, nil
}

func (w *world) GetOperationLog(_ context.Context, id string) (cbr.OperationLog, error) {
	w.step()
	for _, task := range w.tasks {
		if task.id == id && !w.now.Before(task.visible) {
			return task.view(w.now), nil
		}
	}
	return cbr.OperationLog{}, errNotThere
}

func (w *world) ListBackups(_ context.Context, query cbr.BackupsQuery) (cbr.Page[cbr.ListedBackup], error) {
	w.step()
	var list []cbr.ListedBackup
	for _, backup := range w.backups {
		if !w.now.Before(backup.visible) && (!w.narrowed || backup.filler) {
			list = append(list, cbr.ListedBackup{ID: backup.id, Status: backup.status})
		}
	}
	return pageOf(w, list, query.Limit, query.Offset), nil
}

func (w *world) GetBackup(_ context.Context, id string) (cbr.StoredBackup, error) {
	w.step()
	switch {
	case w.flaky && w.narrowed && w.roll(3) == 1: // an id that CBR takes in no question is told by a list that hides none
		return cbr.StoredBackup{}, errOutage
	case w.flaky && !w.narrowed && w.roll(3) == 1:
		return cbr.StoredBackup{}, pick(w.dice, errOutage, errNotAnID)
	}
	for _, backup := range w.backups {
		same := backup.id == id || !w.exactGet && strings.EqualFold(backup.id, id)
		if same && !w.now.Before(backup.visible) {
			return cbr.StoredBackup{ID: backup.id, Status: string(backup.status)}, nil
		}
	}
	return cbr.StoredBackup{}, errNotThere
}
