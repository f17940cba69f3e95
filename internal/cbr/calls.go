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

package cbr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// ImportBackups asks CBR to import 1 to MaxImportItems backups with one call of ImportBackup, and returns what
// CBR says it has accepted, in no particular order. Ids that CBR left out, that were not asked for, or that came
// without a usable task id are for the caller to notice: they are passed on or missing as in the answer.
//
// The call is not idempotent as far as is known. It is sent once; the Error's Class and Untouched say
// what may have become of it. See BeginBefore for calls that must not be sent late.
func (c *Client) ImportBackups(ctx context.Context, backups []Backup) ([]Import, error) {
	if len(backups) == 0 || len(backups) > MaxImportItems {
		return nil, &Error{Operation: OperationImport, Class: Rejected, Untouched: true,
			Err: fmt.Errorf("%d backups in a call that takes 1 to %d", len(backups), MaxImportItems)}
	}
	body, err := json.Marshal(map[string][]Backup{"sync": backups})
	if err != nil {
		return nil, &Error{Operation: OperationImport, Class: Rejected, Untouched: true, Err: err}
	}
	var answer Page[Import]
	err = c.do(ctx, request{operation: OperationImport, method: http.MethodPost, segments: []string{"backups", "sync"}, body: body,
		read: func(s *stream) (err error) {
			answer, err = readPage(s, "sync", maxAnswered, (*Import).read)
			return err
		}})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(answer.Items, func(item Import) bool {
		return item.BackupID == "" || !safeSegment(item.OperationLogID) || c.secret.betrays(item.OperationLogID)
	}), nil
}

// maxAnswered bounds what is read of an answer: ids may come twice, or some that nobody has asked for.
const maxAnswered = 10 * MaxImportItems

// Page is one page of a list.
type Page[T any] struct {
	Items []T
	// Size is the number of elements of the page, with those that are not what they should be and are missing in Items.
	Size int
	// Count is the number of all items of the list as CBR counts them, 0 if it did not say.
	Count int
	// Date is when CBR answered, in whole seconds by its own clock: the zero time if it did not say.
	Date time.Time
}

// Last reports whether no page follows this one, before which so many elements were read. A full page is never taken for the
// last: whether the count is one of the list, of the page or of what is left is not documented well enough to leave
// anything unread for it. It only says that a page that is not full is not the last.
func (p Page[T]) Last(before int) bool {
	return p.Size == 0 || p.Size < MaxPageSize && p.Count <= before+p.Size
}

// OperationLogsQuery selects tasks. The API has no filter by backup.
type OperationLogsQuery struct {
	OperationType string
	Status        TaskStatus // "" for any
	ResourceID    string     // "" for any
	// StartTime leaves out the tasks that started before it; the zero time means no such limit.
	StartTime time.Time
	Limit     int // 1 to MaxPageSize
	Offset    int
}

// ListOperationLogs returns a page of tasks (ListOpLogs). Their order is not documented.
func (c *Client) ListOperationLogs(ctx context.Context, query OperationLogsQuery) (Page[OperationLog], error) {
	limit := pageLimit(query.Limit)
	values := c.pageQuery(limit)
	values.Set("offset", strconv.Itoa(query.Offset))
	if query.OperationType != "" {
		values.Set("operation_type", query.OperationType)
	}
	if query.Status != "" {
		values.Set("status", string(query.Status))
	}
	if query.ResourceID != "" {
		values.Set("resource_id", query.ResourceID)
	}
	if !query.StartTime.IsZero() {
		values.Set("start_time", queryTime(query.StartTime))
	}
	var page Page[OperationLog]
	var date time.Time
	err := c.do(ctx, request{operation: OperationListTasks, method: http.MethodGet, segments: []string{"operation-logs"}, query: values, date: &date,
		read: func(s *stream) (err error) {
			page, err = readPage(s, "operation_logs", limit, (*OperationLog).read)
			return err
		}})
	if err != nil {
		return Page[OperationLog]{}, err
	}
	page.Date = date
	for i := range page.Items {
		c.clean(&page.Items[i])
	}
	return page, nil
}

// GetOperationLog returns a task by its id (ShowOpLog). IsNotFound tells that CBR does not know it, which
// says nothing of the backup: tasks are kept for about 30 days.
func (c *Client) GetOperationLog(ctx context.Context, id string) (OperationLog, error) {
	var task OperationLog
	if err := c.get(ctx, OperationGetTask, "operation-logs", id, "operation_log", task.read); err != nil {
		return OperationLog{}, err
	}
	if task.ID != "" && task.ID != id {
		return OperationLog{}, unexpected(OperationGetTask)
	}
	c.clean(&task)
	return task, nil
}

// clean makes the texts of a task fit to be kept, and drops an id that is none.
func (c *Client) clean(task *OperationLog) {
	task.ErrorInfo.Code, task.ErrorInfo.Message = c.secret.hideCode(task.ErrorInfo.Code), c.secret.Hide(task.ErrorInfo.Message)
	if !task.Status.documented() {
		task.Status = TaskStatus(c.secret.Hide(string(task.Status)))
	}
	if c.secret.betrays(task.ID) {
		task.ID = ""
	}
}

// BackupsQuery selects backups. The API has no filter by several ids.
type BackupsQuery struct {
	Limit int // 1 to MaxPageSize
	// Marker is the id of the last backup of the page before, "" for the first page. It takes the place of Offset.
	Marker string
	// Offset is the number of backups before the page.
	Offset int
}

// ListBackups returns a page of the project's backups (ListBackups). Whoever looks for some backups reads the pages of all,
// as the API cannot select by id: nothing else of them is decoded.
func (c *Client) ListBackups(ctx context.Context, query BackupsQuery) (Page[ListedBackup], error) {
	page, err := listBackups(ctx, c, query, (*ListedBackup).read)
	if err != nil {
		return Page[ListedBackup]{}, err
	}
	page.Items = slices.DeleteFunc(page.Items, func(backup ListedBackup) bool { return backup.ID == "" })
	for i := range page.Items {
		page.Items[i].Status = c.cleanStatus(page.Items[i].Status)
	}
	return page, nil
}

// ListBackupDetails is ListBackups with what people want to know of a backup. The texts are as CBR sends them: Clean makes those fit to
// be shown that are.
func (c *Client) ListBackupDetails(ctx context.Context, query BackupsQuery) (Page[BackupDetails], error) {
	page, err := listBackups(ctx, c, query, (*BackupDetails).read)
	if err != nil {
		return Page[BackupDetails]{}, err
	}
	page.Items = slices.DeleteFunc(page.Items, func(backup BackupDetails) bool { return backup.ID == "" })
	for i := range page.Items {
		page.Items[i].Status = c.cleanStatus(page.Items[i].Status)
	}
	return page, nil
}

// Clean makes a text of CBR's fit to be shown: without secrets, which servers may repeat.
func (c *Client) Clean(text string) string { return c.secret.Hide(text) }

func listBackups[T any](ctx context.Context, c *Client, query BackupsQuery, read func(*T, *stream) error) (page Page[T], err error) {
	limit := pageLimit(query.Limit)
	values := c.pageQuery(limit)
	switch {
	case query.Marker != "":
		values.Set("marker", query.Marker)
	case query.Offset > 0: // 0 is left out: one page of the reference wants 1 at least
		values.Set("offset", strconv.Itoa(query.Offset))
	}
	err = c.do(ctx, request{operation: OperationListBackups, method: http.MethodGet, segments: []string{"backups"}, query: values,
		read: func(s *stream) (err error) {
			page, err = readPage(s, "backups", limit, read)
			return err
		}})
	return page, err
}

// cleanStatus makes a status fit to be kept and shown. The documented ones are.
func (c *Client) cleanStatus(status BackupStatus) BackupStatus {
	if status == "" || status.documented() {
		return status
	}
	return BackupStatus(c.secret.Hide(string(status)))
}

// ListBackupIDs is ListBackups without the statuses.
func (c *Client) ListBackupIDs(ctx context.Context, query BackupsQuery) (Page[string], error) {
	page, err := c.ListBackups(ctx, query)
	ids := Page[string]{Size: page.Size, Count: page.Count}
	for _, backup := range page.Items {
		ids.Items = append(ids.Items, backup.ID)
	}
	return ids, err
}

// GetBackup returns a backup by its id (ShowBackup), which the answer may spell in other case. IsNotFound tells that CBR
// does not have it.
func (c *Client) GetBackup(ctx context.Context, id string) (StoredBackup, error) {
	var backup StoredBackup
	if err := c.get(ctx, OperationGetBackup, "backups", id, "backup", backup.read); err != nil {
		return StoredBackup{}, err
	}
	if !strings.EqualFold(backup.ID, id) {
		return StoredBackup{}, unexpected(OperationGetBackup)
	}
	backup.Status = string(c.cleanStatus(BackupStatus(backup.Status)))
	return backup, nil
}

// get asks for one thing by its id, which stands in a member of the answer.
func (c *Client) get(ctx context.Context, operation Operation, collection, id, member string, read func(*stream) error) error {
	if !safeSegment(id) {
		return &Error{Operation: operation, Class: Rejected, Untouched: true, Err: fmt.Errorf("id %q cannot be part of a URL", id)}
	}
	return c.do(ctx, request{operation: operation, method: http.MethodGet, segments: []string{collection, id},
		read: func(s *stream) error {
			_, err := s.document(member, func() error {
				if s.PeekKind() != jsontext.KindBeginObject {
					return s.orElse(errNotAnObject)
				}
				return read(s)
			})
			return err
		}})
}

func unexpected(operation Operation) *Error {
	return &Error{Operation: operation, StatusCode: http.StatusOK, Class: Transient,
		Err: errors.New("the answer does not hold what was asked for")}
}

// pageLimit is the number of elements to ask for.
func pageLimit(limit int) int {
	if limit < 1 || limit > MaxPageSize {
		return MaxPageSize
	}
	return limit
}

// pageQuery always sends a limit, as its default is not documented for every list, and the enterprise project: what a list
// shows without one is not documented.
func (c *Client) pageQuery(limit int) url.Values {
	values := url.Values{"limit": {strconv.Itoa(limit)}}
	if id := c.config.EnterpriseProjectID; id != "" {
		values.Set("enterprise_project_id", id)
	}
	return values
}
