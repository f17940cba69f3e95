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

// Calls are some of the calls of the API: all if empty, Reads, or those of the one operation that it names.
type Calls string

// Groups of calls.
const (
	AllCalls Calls = ""
	// Reads are the calls that change nothing.
	Reads Calls = "reads"
	// Imports are the calls of ImportBackup.
	Imports = Calls(cbr.OperationImport)
)

// UnmarshalText refuses calls that do not exist.
func (c *Calls) UnmarshalText(text []byte) error {
	known := make([]Calls, 0, 1+len(cbr.Operations))
	for _, operation := range cbr.Operations {
		known = append(known, Calls(operation))
	}
	return oneOf(c, text, append(known, Reads)...)
}

// include reports whether a call of an operation is one of these; operation "" is no call of the API.
func (c Calls) include(operation cbr.Operation) bool {
	switch c {
	case AllCalls:
		return true
	case Reads:
		return operation != "" && operation != cbr.OperationImport
	default:
		return string(c) == string(operation)
	}
}

// Refusal is an error that calls are answered with, whatever they ask for, as long as it is in force. Nothing of an import
// is taken. A page (ShapeHTML) comes from before the gateway, so that it answers even what has no token. Everything else
// comes after authentication and rate limits.
type Refusal struct {
	// Calls are those that are refused.
	Calls Calls `json:"calls,omitempty"`
	// Until is when it ends, by the server's clock; never if zero.
	Until time.Time `json:"until,omitzero"`
	// APIError is the answer. In its message, {action} stands for the action that the call needs, cbr:backups:sync for one.
	APIError
}

// Page makes a Refusal of a proxy or a web application firewall, which answers with a page of HTML.
func Page(calls Calls, status int, until time.Time) Refusal {
	return Refusal{Calls: calls, Until: until, APIError: APIError{Status: status, Shape: ShapeHTML}}
}

// NotPermitted makes a Refusal for want of a permission, or for one that has not taken effect yet: this takes 15 to 30
// minutes after it was granted. That it has no error_code is an assumption.
func NotPermitted(calls Calls, until time.Time) Refusal {
	return Refusal{Calls: calls, Until: until, APIError: APIError{Status: http.StatusForbidden,
		Message: "Policy doesn't allow {action} to be performed."}}
}

// actions are what calls must be permitted for.
var actions = map[cbr.Operation]string{
	cbr.OperationImport: "cbr:backups:sync", cbr.OperationListTasks: "cbr:tasks:list", cbr.OperationGetTask: "cbr:tasks:get",
	cbr.OperationListBackups: "cbr:backups:list", cbr.OperationGetBackup: "cbr:backups:get",
}

// refused returns the error of the first Refusal in force for a call, of those that are pages or of the others.
func (x *exchange) refused(pages bool) *APIError {
	now := x.options.Clock.Now()
	for _, each := range x.options.Refusals {
		if (each.Shape == ShapeHTML) != pages || !each.Calls.include(x.route.operation) {
			continue
		}
		if each.Until.IsZero() || now.Before(each.Until) {
			answer := each.APIError
			answer.Message = strings.ReplaceAll(answer.Message, "{action}", actions[x.route.operation])
			return &answer
		}
	}
	return nil
}

// overQuota refuses an import that would leave a project with more backups than its quota allows.
func (x *exchange) overQuota() *APIError {
	if x.options.Quota == 0 || x.cloud.countWith(x) <= x.options.Quota {
		return nil
	}
	return &APIError{Status: http.StatusBadRequest, Code: "BackupService.6114", Message: "The quota is insufficient"}
}

// countWith returns how many backups the project would have with those of an import, started tasks that will end well
// included.
func (c *Cloud) countWith(x *exchange) int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project := c.project(x.route.project)
	count := 0
	for _, each := range project.backups {
		if !each.removed {
			count++
		}
	}
	for _, item := range x.options.folded(x.items) {
		at, found := project.positions[item.ID]
		if !found || project.backups[at].removed {
			count++
		}
	}
	return count
}

// badID returns the error of a GET of something by its id, whether or not it exists.
func (x *exchange) badID() *APIError {
	if x.options.GetError != nil {
		if refused := x.options.GetError(x.route.id); refused != nil {
			return refused
		}
	}
	if x.options.RequireUUIDs && !isUUID(x.route.id) {
		return invalid("id: %q is not a UUID", x.route.id)
	}
	return nil
}

func isUUID(id string) bool {
	parts := strings.Split(id, "-")
	lengths := []int{8, 4, 4, 4, 12}
	return slices.EqualFunc(parts, lengths, func(part string, length int) bool {
		return len(part) == length && strings.Trim(part, "0123456789abcdefABCDEF") == ""
	})
}

// fold is an id as it is stored and compared.
func (o Options) fold(id string) string {
	if o.FoldCase {
		return strings.ToLower(id)
	}
	return id
}

// folded are backups with their ids as they are stored.
func (o Options) folded(items []cbr.Backup) []cbr.Backup {
	folded := slices.Clone(items)
	for i := range folded {
		folded[i].ID, folded[i].ResourceID = o.fold(folded[i].ID), o.fold(folded[i].ResourceID)
	}
	return folded
}
