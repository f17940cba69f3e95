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
	"maps"
	"net/http"
	"slices"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// Call is one request as it arrived, and what it was answered.
type Call struct {
	Time      time.Time     // of arrival, by the server's clock
	Operation cbr.Operation // "" for what is no call of the API
	ProjectID string
	Method    string
	Path      string
	Query     string
	Header    http.Header // without what authenticates
	// Authorized says whether X-Auth-Token held an accepted token, or the signature was in order.
	Authorized bool
	// Body is what came, for the first KeptBodies calls that had one, else nil.
	Body []byte
	// BackupIDs are the items of an import in good order.
	BackupIDs []string
	// Accepted is the number of items that were taken.
	Accepted int
	// Status is 0 while there is no answer: none yet, or never.
	Status int
	// Code is the error_code of the answer.
	Code string
	// Faulted says that a fault was injected.
	Faulted bool
}

// KeptBodies is the number of request bodies that the ledger keeps.
const KeptBodies = 1000

// ledger is what the calls leave behind; the Cloud's mutex guards it.
type ledger struct {
	calls       []Call
	byOperation map[cbr.Operation]int
	syncTimes   []time.Time // of arrival, ascending
	readTimes   []time.Time // likewise, of what is not an import
	inFlight    int         // ImportBackup calls without an answer
	maxInFlight int
	keptBodies  int
	taskIDs     map[string][]string // by backup id
}

func newLedger() ledger {
	return ledger{byOperation: map[cbr.Operation]int{}, taskIDs: map[string][]string{}}
}

// arrived enters a request and returns its index.
func (l *ledger) arrived(x *exchange, now time.Time) int {
	call := Call{
		Time: now, Operation: x.route.operation, ProjectID: x.route.project,
		Method: x.request.Method, Path: x.request.URL.Path, Query: x.request.URL.RawQuery,
		Header:     withoutSecrets(x.request.Header),
		Authorized: x.options.tokenRefusal(x.request.Header.Get(tokenHeader)) == nil,
	}
	if len(x.body) > 0 && l.keptBodies < KeptBodies {
		l.keptBodies++
		call.Body = x.body
	}
	for _, item := range x.items {
		call.BackupIDs = append(call.BackupIDs, item.ID)
	}
	l.byOperation[call.Operation]++
	if call.Operation == cbr.OperationImport {
		l.syncTimes = append(l.syncTimes, now)
		l.inFlight++
		l.maxInFlight = max(l.maxInFlight, l.inFlight)
	} else if call.Operation != "" {
		l.readTimes = append(l.readTimes, now)
	}
	l.calls = append(l.calls, call)
	return len(l.calls) - 1
}

func withoutSecrets(header http.Header) http.Header {
	kept := header.Clone()
	for _, name := range []string{tokenHeader, "Authorization", "X-Security-Token", "Cookie"} {
		kept.Del(name)
	}
	return kept
}

func (l *ledger) answered(x *exchange, status int, code string) {
	l.calls[x.call].Status, l.calls[x.call].Code = status, code
	if x.route.operation == cbr.OperationImport {
		l.inFlight--
	}
}

func (l *ledger) accepted(call int, imports []cbr.Import) {
	l.calls[call].Accepted += len(imports)
	for _, each := range imports {
		l.taskIDs[each.BackupID] = append(l.taskIDs[each.BackupID], each.OperationLogID)
	}
}

// since counts the times after a moment; they are ascending.
func since(moment time.Time, times []time.Time) int {
	first, _ := slices.BinarySearchFunc(times, moment, func(at, moment time.Time) int {
		if at.After(moment) {
			return 1
		}
		return -1
	})
	return len(times) - first
}

// Ledger returns every call so far, in the order of arrival.
func (c *Cloud) Ledger() []Call {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return slices.Clone(c.ledger.calls)
}

// Accepted returns how often each backup was accepted, by its id, in lower case with Options.FoldCase. More than once is what must never happen
// unless its task had failed.
func (c *Cloud) Accepted() map[string]int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	counts := make(map[string]int, len(c.ledger.taskIDs))
	for id, tasks := range c.ledger.taskIDs {
		counts[id] = len(tasks)
	}
	return counts
}

// AcceptedTwice returns the ids of the backups that were accepted more than once, sorted.
func (c *Cloud) AcceptedTwice() []string {
	counts := c.Accepted()
	maps.DeleteFunc(counts, func(_ string, count int) bool { return count < 2 })
	return slices.Sorted(maps.Keys(counts))
}

// OperationLogIDs returns the tasks of a backup, the oldest first.
func (c *Cloud) OperationLogIDs(backupID string) []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return slices.Clone(c.ledger.taskIDs[c.options.fold(backupID)])
}

// SyncCalls returns the number of ImportBackup calls that arrived, whatever became of them: those that the client
// broke off after the head of the request are among them.
func (c *Cloud) SyncCalls() int { return c.Calls(cbr.OperationImport) }

// Calls returns the number of calls of an operation that arrived; "" counts those that are no call of the API.
func (c *Cloud) Calls(operation cbr.Operation) int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.ledger.byOperation[operation]
}

// MaxCallsInWindow returns the largest number of ImportBackup calls that arrived within any time window of
// this length, its end not included.
func (c *Cloud) MaxCallsInWindow(window time.Duration) int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	most, first := 0, 0
	for last, at := range c.ledger.syncTimes {
		for first < last && at.Sub(c.ledger.syncTimes[first]) >= window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// MaxConcurrentSyncCalls returns the largest number of ImportBackup calls that were under way at once.
func (c *Cloud) MaxConcurrentSyncCalls() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.ledger.maxInFlight
}
