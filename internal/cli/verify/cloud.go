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

package verify

import (
	"context"
	"errors"
	"time"

	"k8s.io/utils/clock"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// source is what is read of CBR: a *cbr.Client.
type source interface {
	ListOperationLogs(ctx context.Context, query cbr.OperationLogsQuery) (cbr.Page[cbr.OperationLog], error)
	GetOperationLog(ctx context.Context, id string) (cbr.OperationLog, error)
	ListBackupDetails(ctx context.Context, query cbr.BackupsQuery) (cbr.Page[cbr.BackupDetails], error)
	GetBackup(ctx context.Context, id string) (cbr.StoredBackup, error)
	Clean(text string) string
}

// cloud reads CBR for the operator's evidence, patiently, and keeps what people want to know of the list besides. Its lists are read by one
// goroutine at a time.
type cloud struct {
	source
	clock    clock.WithTicker
	progress *progress
	// renews says that the credentials are fetched again when CBR refuses them. Others are refused again: that could lock them.
	renews bool
	// see is told of each backup of a list, begin when a list begins, which may be again.
	begin  func()
	see    func(*cbr.BackupDetails)
	listed int
}

// ListBackups implements evidence.Source.
func (c *cloud) ListBackups(ctx context.Context, query cbr.BackupsQuery) (listed cbr.Page[cbr.ListedBackup], err error) {
	if query.Offset == 0 {
		c.listed = 0
		c.begin()
	}
	page, err := patiently(ctx, c, func() (cbr.Page[cbr.BackupDetails], error) { return c.ListBackupDetails(ctx, query) })
	if err != nil {
		return listed, err
	}
	c.listed = max(c.listed, query.Offset+page.Size)
	c.progress.show("Reading CBR's list of backups: %d of %d", c.listed, max(page.Count, c.listed))
	listed = cbr.Page[cbr.ListedBackup]{Size: page.Size, Count: page.Count, Items: make([]cbr.ListedBackup, 0, len(page.Items))}
	for i := range page.Items {
		c.see(&page.Items[i])
		listed.Items = append(listed.Items, page.Items[i].ListedBackup)
	}
	return listed, nil
}

// ListOperationLogs implements evidence.Source.
func (c *cloud) ListOperationLogs(ctx context.Context, query cbr.OperationLogsQuery) (cbr.Page[cbr.OperationLog], error) {
	c.progress.show("Reading CBR's list of tasks: %d", query.Offset)
	return patiently(ctx, c, func() (cbr.Page[cbr.OperationLog], error) { return c.source.ListOperationLogs(ctx, query) })
}

// GetBackup implements evidence.Source.
func (c *cloud) GetBackup(ctx context.Context, id string) (cbr.StoredBackup, error) {
	c.progress.count("Asking CBR for backups that its list lacks: %d")
	return patiently(ctx, c, func() (cbr.StoredBackup, error) { return c.source.GetBackup(ctx, id) })
}

// patiently makes a read, and makes it again after a pause where that may help.
func patiently[T any](ctx context.Context, c *cloud, read func() (T, error)) (T, error) {
	for failures := 1; ; failures++ {
		answer, err := read()
		pause, again := pauseAfter(err, failures, c.renews)
		if !again {
			return answer, err
		}
		c.progress.show("CBR asks for patience, going on in %s", pause.Round(time.Second))
		select {
		case <-c.clock.After(pause):
		case <-ctx.Done():
			return answer, ctx.Err()
		}
	}
}

// How often reads are made again, and after which pauses.
const (
	maxThrottled  = 8
	maxTransient  = 3
	firstPause    = time.Second
	longestPause  = time.Minute
	longestWanted = 5 * time.Minute // that CBR may ask for
)

// pauseAfter returns after what pause a read is made again that has failed, the n-th time in a row, and whether it is.
func pauseAfter(err error, failures int, renews bool) (time.Duration, bool) {
	if err == nil || errors.Is(err, context.Canceled) {
		return 0, false
	}
	tries := 1
	switch {
	case errors.Is(err, auth.ErrKeyRests):
	case cbr.ClassOf(err) == cbr.Throttled:
		tries = maxThrottled
	case cbr.ClassOf(err) == cbr.Transient, renews && auth.RenewalHelps(err):
		tries = maxTransient
	}
	pause := min(firstPause<<min(failures-1, 10), longestPause)
	if failure, is := errors.AsType[*cbr.Error](err); is {
		pause = max(pause, failure.RetryAfter)
	}
	return pause, failures < tries && pause <= longestWanted
}
