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

package cbrtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// task imports one backup, or all backups of a call. Its state follows from the time.
type task struct {
	id                      string
	number                  int
	requestID               string
	items                   []cbr.Backup
	outcomes                []Outcome
	created, started, ended time.Time
}

// startTask adds a task, and the backups that it will have imported when it ends; the mutex is held.
func (c *Cloud) startTask(x *exchange, items []cbr.Backup, outcomes []Outcome) *task {
	c.tasks++
	var duration time.Duration
	for _, outcome := range outcomes {
		duration = max(duration, outcome.Duration)
	}
	now := c.options.Clock.Now()
	added := &task{id: identifier("task", c.tasks), number: c.tasks, requestID: x.requestID, items: items, outcomes: outcomes,
		created: now, started: now.Add(duration / 4), ended: now.Add(duration)}
	project := c.project(x.route.project)
	at, _ := slices.BinarySearchFunc(project.tasks, added.id, compareTaskID)
	project.tasks = slices.Insert(project.tasks, at, added)
	for i, item := range items {
		if outcomes[i].stored() {
			project.store(imported(item), added.ended)
		}
	}
	return added
}

func compareTaskID(known *task, id string) int { return strings.Compare(known.id, id) }

func (t *task) status(now time.Time) cbr.TaskStatus {
	switch {
	case now.Before(t.started):
		return cbr.TaskWaiting
	case now.Before(t.ended):
		return cbr.TaskRunning
	default:
		return t.outcome().Status
	}
}

// outcome is that of the only backup, or of several together: a success if any succeeded.
func (t *task) outcome() Outcome {
	together := t.outcomes[0]
	if len(t.outcomes) == 1 {
		return together
	}
	failed := 0
	for _, outcome := range t.outcomes {
		if !outcome.stored() {
			failed++
		} else if !together.stored() {
			together = outcome
		}
	}
	together.FailedBackups = failed
	return together
}

// known says whether CBR still has the task.
func (t *task) known(options Options, now time.Time) bool {
	return now.Sub(t.created) <= options.TaskRetention
}

// taskFilter is the query of ListOpLogs, as far as it is needed here.
type taskFilter struct {
	operationType, status, resourceID string
	start, end                        time.Time
	page                              page
}

func readTaskFilter(query url.Values) (taskFilter, *APIError) {
	filter := taskFilter{operationType: query.Get("operation_type"), status: query.Get("status"), resourceID: query.Get("resource_id")}
	refused := checkQuery(query, "operation_type", "status", "resource_id", "start_time", "end_time", "limit", "offset", "enterprise_project_id")
	if refused != nil {
		return filter, refused
	}
	if filter.page, refused = readPage(query); refused != nil {
		return filter, refused
	}
	if filter.start, refused = readTime(query, "start_time"); refused != nil {
		return filter, refused
	}
	filter.end, refused = readTime(query, "end_time")
	return filter, refused
}

// matches compares with the time of creation: waiting tasks have not started, and what the API does with those
// is not documented.
func (f taskFilter) matches(t *task, now time.Time) bool {
	return (f.operationType == "" || f.operationType == cbr.OperationSync) &&
		(f.start.IsZero() || !t.created.Before(f.start)) &&
		(f.end.IsZero() || !t.created.After(f.end)) &&
		(f.status == "" || string(t.status(now)) == f.status) &&
		(f.resourceID == "" || slices.ContainsFunc(t.items, func(item cbr.Backup) bool { return item.ResourceID == f.resourceID }))
}

// listTasks answers ListOpLogs, in the order of the tasks' ids.
func (x *exchange) listTasks() reply {
	filter, refused := readTaskFilter(x.request.URL.Query())
	if refused != nil {
		return x.refusal(refused)
	}
	selected, count, now := x.cloud.selectTasks(x, filter)
	views := make([]taskView, 0, len(selected))
	for _, each := range selected {
		views = append(views, each.view(x, now))
	}
	return jsonReply(map[string]any{"operation_logs": views, "count": count,
		"limit": filter.page.limit, "offset": filter.page.offset})
}

func (c *Cloud) selectTasks(x *exchange, filter taskFilter) (selected []*task, count int, now time.Time) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now = x.options.Clock.Now()
	for _, each := range c.project(x.route.project).tasks {
		if !each.known(x.options, now) || !filter.matches(each, now) {
			continue
		}
		if filter.page.holds(count) {
			selected = append(selected, each)
		}
		count++
	}
	return selected, count, now
}

// getTask answers ShowOpLog.
func (x *exchange) getTask() reply {
	found, now := x.cloud.findTask(x)
	if found == nil {
		return x.refusal(&APIError{Status: http.StatusNotFound, Code: cbr.CodeTaskNotFound,
			Message: "The task does not exist"})
	}
	return jsonReply(map[string]taskView{"operation_log": found.view(x, now)})
}

func (c *Cloud) findTask(x *exchange) (*task, time.Time) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now := x.options.Clock.Now()
	tasks := c.project(x.route.project).tasks
	at, found := slices.BinarySearchFunc(tasks, x.route.id, compareTaskID)
	if !found || !tasks[at].known(x.options, now) {
		return nil, now
	}
	return tasks[at], now
}
