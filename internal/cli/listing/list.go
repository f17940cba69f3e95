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

package listing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/text"
)

// List is what the commands print with -o json and -o yaml. Fields are added over time, and none is taken away or changes its meaning.
type List struct {
	// Items are the BackupSyncs, in the order that was asked for.
	Items []Item `json:"items"`
	// More is how many there are besides, which --limit left out.
	More int `json:"more"`
}

// Item is a BackupSync.
type Item struct {
	Namespace    string      `json:"namespace"`
	Name         string      `json:"name"`
	Project      string      `json:"project"`
	BackupID     string      `json:"backupID"`
	ResourceName string      `json:"resourceName"`
	CreationTime metav1.Time `json:"creationTime"`
	// State is pending, running or failed.
	State string `json:"state"`
	// Reason and Message are those of its condition Ready.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// OperationLogID, Attempts and the times are those of its status.
	OperationLogID  string       `json:"operationLogID,omitempty"`
	Attempts        int32        `json:"attempts"`
	SubmittedTime   *metav1.Time `json:"submittedTime,omitempty"`
	FinishedTime    *metav1.Time `json:"finishedTime,omitempty"`
	NextAttemptTime *metav1.Time `json:"nextAttemptTime,omitempty"`
	Drifted         bool         `json:"drifted"`
	// DeletionTime is when its deletion was asked for; absent if it was not.
	DeletionTime *metav1.Time `json:"deletionTime,omitempty"`
}

// The orders of a list.
const (
	byAge    = "age"
	byName   = "name"
	byReason = "reason"
)

// orders are the ways to sort.
var orders = map[string]func(a, b backups.Backup) int{
	byAge:  backups.Older,
	byName: backups.ByName,
	byReason: func(a, b backups.Backup) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), backups.Older(a, b))
	},
}

// selection says what is listed of what was read.
type selection struct {
	state   backupsync.State
	reasons []string
	order   string
	limit   int
}

// takes reports whether a BackupSync is listed.
func (s *selection) takes(backup *backups.Backup) bool {
	return backup.State == s.state && (len(s.reasons) == 0 || slices.ContainsFunc(s.reasons, func(reason string) bool {
		return strings.EqualFold(reason, backup.Reason)
	}))
}

// listOf sorts what was read, and returns what is listed of it.
func (s *selection) listOf(found []backups.Backup) *List {
	slices.SortFunc(found, orders[s.order])
	list := &List{Items: []Item{}}
	if s.limit > 0 && len(found) > s.limit {
		list.More = len(found) - s.limit
		found = found[:s.limit]
	}
	for i := range found {
		list.Items = append(list.Items, itemOf(&found[i]))
	}
	return list
}

func itemOf(of *backups.Backup) Item {
	return Item{Namespace: of.Namespace, Name: of.Name, Project: of.Project, BackupID: of.BackupID, ResourceName: of.Resource,
		CreationTime: metav1.NewTime(of.Created), State: of.State.String(), Reason: of.Reason, Message: of.Message, OperationLogID: of.Operation,
		Attempts: of.Attempts, SubmittedTime: at(of.Submitted), FinishedTime: at(of.Finished), NextAttemptTime: at(of.NextAttempt), Drifted: of.Drifted, DeletionTime: at(of.Deleted)}
}

func at(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t}
}

// column is a column of a table.
type column struct {
	header string
	of     func(item *Item, now time.Time) string
	// wide: with -o wide alone. Spread: with --all-namespaces alone.
	wide, spread bool
}

func since(when *metav1.Time, now time.Time) string {
	if when == nil {
		return "-"
	}
	return text.Age(now.Sub(when.Time))
}

// until is the time that is left till then.
func until(when *metav1.Time, now time.Time) string {
	switch {
	case when == nil:
		return "-"
	case !when.After(now):
		return "now"
	default:
		return "in " + text.Age(when.Sub(now))
	}
}

// columnsOf are the columns of the table of a state.
func columnsOf(state backupsync.State) []column {
	columns := []column{
		{header: "NAMESPACE", spread: true, of: func(i *Item, _ time.Time) string { return i.Namespace }},
		{header: "NAME", of: func(i *Item, _ time.Time) string { return i.Name }},
		{header: "PROJECT", of: func(i *Item, _ time.Time) string { return i.Project }},
		{header: "AGE", of: func(i *Item, now time.Time) string { return since(&i.CreationTime, now) }},
		{header: "REASON", of: func(i *Item, _ time.Time) string { return cmp.Or(i.Reason, "-") }},
	}
	switch state {
	case backupsync.Running:
		columns = append(columns, column{header: "RUNNING", of: func(i *Item, now time.Time) string { return since(i.SubmittedTime, now) }},
			column{header: "OPERATION", of: func(i *Item, _ time.Time) string { return cmp.Or(i.OperationLogID, "-") }})
	case backupsync.Pending:
		columns = append(columns, column{header: "NEXT-ATTEMPT", of: func(i *Item, now time.Time) string { return until(i.NextAttemptTime, now) }})
	default:
		columns = append(columns, column{header: "FAILED", of: func(i *Item, now time.Time) string { return since(i.FinishedTime, now) }})
	}
	return append(columns,
		column{header: "ATTEMPTS", wide: true, of: func(i *Item, _ time.Time) string { return fmt.Sprint(i.Attempts) }},
		column{header: "BACKUP", wide: true, of: func(i *Item, _ time.Time) string { return i.BackupID }},
		column{header: "RESOURCE", wide: true, of: func(i *Item, _ time.Time) string { return backupsync.CleanMessage(i.ResourceName) }},
		column{header: "MESSAGE", of: func(i *Item, _ time.Time) string { return i.told() }})
}

// told is the message, after what it does not say.
func (i *Item) told() string {
	if i.DeletionTime != nil {
		return strings.TrimSpace("It is being deleted, and not sent any more. " + i.Message)
	}
	return i.Message
}

// layout is how a table is written.
type layout struct {
	state                  backupsync.State
	wide, spread, headless bool
	// columns is how many a line takes at most; 0 if lines are not cut.
	columns int
	now     time.Time
}

// leastMessage is the room for messages, in columns, below which they get lines of their own.
const leastMessage = 32

// table returns the lines of a table. What does not fit is cut off its messages. Where long names leave no room for them, each stands below
// its BackupSync.
func table(list *List, of layout) []string {
	columns := slices.DeleteFunc(columnsOf(of.state), func(c column) bool { return c.wide && !of.wide || c.spread && !of.spread })
	if of.columns == 0 {
		return text.Table(rowsOf(list, columns, of))
	}
	message := len(columns) - 1
	if bare := text.Table(rowsOf(list, columns[:message], of)); widest(bare)+2+leastMessage > of.columns {
		return below(list, bare, of)
	}
	lines := text.Table(rowsOf(list, columns, of))
	for i := range lines {
		lines[i] = text.Shorten(lines[i], of.columns)
	}
	return lines
}

func rowsOf(list *List, columns []column, of layout) [][]string {
	var rows [][]string
	if !of.headless {
		headers := make([]string, 0, len(columns))
		for _, each := range columns {
			headers = append(headers, each.header)
		}
		rows = append(rows, headers)
	}
	for i := range list.Items {
		row := make([]string, 0, len(columns))
		for _, each := range columns {
			row = append(row, each.of(&list.Items[i], of.now))
		}
		rows = append(rows, row)
	}
	return rows
}

func widest(lines []string) int {
	columns := 0
	for _, line := range lines {
		columns = max(columns, text.Width(line))
	}
	return columns
}

// below adds messages to the lines of a table without them. Of neighbours with the same message the last one has it: a thousand that wait for the
// same say so once. Names and ids are not cut, as they are there to be copied.
func below(list *List, bare []string, of layout) []string {
	const indent = "  "
	headers := len(bare) - len(list.Items)
	lines := slices.Clone(bare[:headers])
	for i := range list.Items {
		lines = append(lines, bare[headers+i])
		message := list.Items[i].told()
		if last := i == len(list.Items)-1; last || list.Items[i+1].told() != message {
			lines = append(lines, text.Shorten(indent+message, of.columns))
		}
	}
	return lines
}

// namesOf returns the lines of -o name.
func namesOf(list *List) []string {
	lines := make([]string, 0, len(list.Items))
	for i := range list.Items {
		lines = append(lines, "backupsync.cbr.backupsync.dev/"+list.Items[i].Name)
	}
	return lines
}
