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
	shown                   time.Time // from then on it is to be seen
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
		created: now, started: now.Add(duration / 4), ended: now.Add(duration), shown: now.Add(x.options.VisibleAfter)}
	project := c.project(x.route.project)
	at, _ := slices.BinarySearchFunc(project.tasks, added.id, compareTaskID)
	project.tasks = slices.Insert(project.tasks, at, added)
	for i, item := range items {
		if status := x.options.left(outcomes[i]); status != "" {
			project.store(imported(item, status), latest(added.ended.Add(outcomes[i].BackupAfter), added.shown))
		}
	}
	return added
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
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

// known reports whether CBR shows the task already, and still has it.
func (t *task) known(options Options, now time.Time) bool {
	return !now.Before(t.shown) && now.Sub(t.created) <= options.TaskRetention
}

// taskParameters are those of ListOpLogs that a task must agree with, but for its state and times. Imported backups are in
// no vault.
var taskParameters = parameters[*task]{
	"operation_type": func(_ *task, value string) bool { return value == cbr.OperationSync },
	"provider_id":    func(_ *task, value string) bool { return value == ImportedProviderID },
	"vault_id":       func(*task, string) bool { return false },
	"vault_name":     func(*task, string) bool { return false },
	"resource_id": func(t *task, value string) bool {
		return slices.ContainsFunc(t.items, func(item cbr.Backup) bool { return item.ResourceID == value })
	},
	"resource_name": func(t *task, value string) bool {
		return slices.ContainsFunc(t.items, func(item cbr.Backup) bool { return item.ResourceName == value })
	},
}

// taskFilter is the query of ListOpLogs.
type taskFilter struct {
	status            cbr.TaskStatus
	enterpriseProject string
	conditions        []func(*task) bool
	start, end        time.Time
	page              page
}

func (x *exchange) readTaskFilter() (taskFilter, *APIError) {
	query, refused := x.query(taskParameters.names("status", "start_time", "end_time", "limit", "offset", "enterprise_project_id"))
	if refused != nil {
		return taskFilter{}, refused
	}
	filter := taskFilter{status: cbr.TaskStatus(query.Get("status")), enterpriseProject: query.Get("enterprise_project_id"),
		conditions: taskParameters.conditions(query)}
	if filter.page, refused = readPage(query); refused != nil {
		return filter, refused
	}
	if filter.start, refused = x.readTime(query, "start_time"); refused != nil {
		return filter, refused
	}
	filter.end, refused = x.readTime(query, "end_time")
	return filter, refused
}

func (f taskFilter) matches(t *task, options Options, now time.Time) bool {
	return f.startsIn(t, options, now) &&
		(f.end.IsZero() || !t.created.After(f.end)) &&
		(f.status == "" || t.status(now) == f.status) &&
		options.shows(t.number-1, f.enterpriseProject) &&
		meetsAll(t, f.conditions)
}

// startsIn compares start_time with the time of creation or of the start: waiting tasks have not started, and what the API
// does with those is not documented.
func (f taskFilter) startsIn(t *task, options Options, now time.Time) bool {
	switch {
	case f.start.IsZero():
		return true
	case options.StartTimeIsStart:
		return !now.Before(t.started) && !t.started.Before(f.start)
	default:
		return !t.created.Before(f.start)
	}
}

// listTasks answers ListOpLogs, in the order of the tasks' ids.
func (x *exchange) listTasks() reply {
	filter, refused := x.readTaskFilter()
	if refused != nil {
		return x.refusal(refused)
	}
	selected, count, now := x.cloud.selectTasks(x, filter)
	views := make([]taskView, 0, len(selected))
	for _, each := range selected {
		views = append(views, each.view(x, now))
	}
	return listReply(x, "operation_logs", views, count, filter.page)
}

func (c *Cloud) selectTasks(x *exchange, filter taskFilter) (selected []*task, count int, now time.Time) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now = x.options.Clock.Now()
	project, page := c.project(x.route.project), x.options.cut(filter.page)
	var matching []*task
	for _, each := range project.tasks {
		if each.known(x.options, now) && filter.matches(each, x.options, now) {
			matching = append(matching, each)
		}
	}
	matching = shifted(matching, project.nextShift(x.options))
	first := min(page.offset, len(matching))
	return matching[first:min(first+page.limit, len(matching))], len(matching), now
}

// getTask answers ShowOpLog.
func (x *exchange) getTask() reply {
	if refused := x.badID(); refused != nil {
		return x.refusal(refused)
	}
	found, now := x.cloud.findTask(x)
	if found == nil {
		return x.refusal(x.options.TaskNotFound.or(APIError{Status: http.StatusNotFound, Code: cbr.CodeTaskNotFound,
			Message: "The task does not exist"}))
	}
	return jsonReply(map[string]taskView{"operation_log": found.view(x, now)})
}

func (c *Cloud) findTask(x *exchange) (*task, time.Time) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now := x.options.Clock.Now()
	tasks := c.project(x.route.project).tasks
	at, found := slices.BinarySearchFunc(tasks, x.options.fold(x.route.id), compareTaskID)
	if !found || !tasks[at].known(x.options, now) {
		return nil, now
	}
	return tasks[at], now
}
