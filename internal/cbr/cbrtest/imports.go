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
	"fmt"
	"net/http"
	"slices"

	"backupsync.dev/operator/internal/cbr"
)

// importBackups answers ImportBackup.
func (x *exchange) importBackups() reply {
	if x.invalid != nil {
		return x.refusal(x.invalid)
	}
	if x.options.sameTwice(x.items) {
		return x.refusal(invalid("sync: the same backup_id in two spellings"))
	}
	if rejected := x.options.reject(x.items); rejected != nil {
		return x.refusal(rejected)
	}
	if full := x.overQuota(); full != nil {
		return x.refusal(full)
	}
	imports := x.accept(x.items)
	slices.Reverse(imports)
	return jsonReply(map[string][]cbr.Import{"sync": x.fault.alter(imports)})
}

// reject returns the error of the first item that CBR does not take.
func (o Options) reject(items []cbr.Backup) *APIError {
	if o.Reject == nil {
		return nil
	}
	for _, item := range items {
		if rejected := o.Reject(item); rejected != nil {
			return rejected
		}
	}
	return nil
}

// sameTwice reports whether backups of a call are the same but for the case of their ids, where that does not count.
func (o Options) sameTwice(items []cbr.Backup) bool {
	seen := map[string]bool{}
	for _, item := range o.folded(items) {
		if seen[item.ID] {
			return true
		}
		seen[item.ID] = true
	}
	return false
}

// accept takes backups, and returns what CBR answers for them, in their order.
func (x *exchange) accept(items []cbr.Backup) []cbr.Import {
	x.options.onImport(BeforeAccept, items)
	outcomes := make([]Outcome, len(items))
	for i, item := range items {
		outcomes[i] = x.options.outcome(item)
	}
	imports := x.cloud.store(x, x.options.folded(items), outcomes)
	x.options.onImport(AfterAccept, items)
	return imports
}

// store starts the tasks of backups that are accepted: one for each, or one for all.
func (c *Cloud) store(x *exchange, items []cbr.Backup, outcomes []Outcome) []cbr.Import {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	size := 1
	if x.options.SharedTaskIDs {
		size = max(1, len(items))
	}
	imports := make([]cbr.Import, 0, len(items))
	for start := 0; start < len(items); start += size {
		end := start + size
		started := c.startTask(x, items[start:end], outcomes[start:end])
		for _, item := range items[start:end] {
			imports = append(imports, cbr.Import{BackupID: item.ID, OperationLogID: started.id})
		}
	}
	c.ledger.accepted(x.call, imports)
	return imports
}

// throttle is the gateway's answer to too many calls of an operation.
func (o Options) throttle(operation cbr.Operation) *APIError {
	refused := &APIError{Status: http.StatusTooManyRequests, Code: "APIGW.0308"}
	limit, per := o.SyncCallsPerMinute, "minute"
	if operation != cbr.OperationImport {
		limit, per = o.ReadsPerSecond, "second"
		refused.Headers = map[string]string{"Retry-After": "1"}
	}
	refused.Message = fmt.Sprintf("The throttling threshold has been reached: policy user over ratelimit,limit:%d,time:1 %s", limit, per)
	return refused
}
