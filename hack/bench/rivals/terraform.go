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

package rivals

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"backupsync.dev/operator/internal/cbr"
)

// What terraform-provider-huaweicloud does, from its resource huaweicloud_cbr_backup_sync, its configuration and the
// chnsz/golangsdk below it.
const (
	terraformParallelism = 10 // default of "terraform apply -parallelism"
	terraformPoll        = 10 * time.Second
	terraformTimeout     = 30 * time.Minute
	terraformMaxRetries  = 5                // default of the provider's max_retries
	terraformMaxBackoff  = 30 * time.Minute // 2^n minutes before that
)

// Terraform models "terraform apply" with a resource for each backup: one item in each call, ten resources at a time,
// each task polled on its own, 1, 2, 4 ... minutes of waiting after a 429. A resource that is refused too often fails;
// the user is taken to apply again at once, and to have lost nothing.
type Terraform struct {
	Client      *cbr.Client
	Backups     []cbr.Backup
	Compression Compression

	imported atomic.Int64
}

// Imported returns how many resources were created so far.
func (t *Terraform) Imported() int { return int(t.imported.Load()) }

// Run applies until every resource is there.
func (t *Terraform) Run(ctx context.Context) error {
	left := t.Backups
	for len(left) > 0 && ctx.Err() == nil {
		var err error
		if left, err = t.apply(ctx, left); err != nil && ctx.Err() == nil { // else it was stopped, and failed for that
			return err
		}
	}
	return nil
}

// apply returns the backups whose resources have failed.
func (t *Terraform) apply(ctx context.Context, backups []cbr.Backup) ([]cbr.Backup, error) {
	failed := make([]bool, len(backups))
	var group errgroup.Group
	group.SetLimit(terraformParallelism)
	for i, backup := range backups {
		group.Go(func() error {
			created, err := t.create(ctx, backup)
			failed[i] = !created
			return err
		})
	}
	err := group.Wait()
	var left []cbr.Backup
	for i, backup := range backups {
		if failed[i] {
			left = append(left, backup)
		}
	}
	return left, err
}

// create makes a resource, and reports whether it is there.
func (t *Terraform) create(ctx context.Context, backup cbr.Backup) (bool, error) {
	operation, err := t.submit(ctx, backup)
	if err != nil || operation == "" {
		return false, err
	}
	if err := t.await(ctx, operation); err != nil {
		return false, err
	}
	t.imported.Add(1)
	return true, nil
}

// submit sends one backup, and returns its task: none if calls were refused for their rate as often as is borne.
func (t *Terraform) submit(ctx context.Context, backup cbr.Backup) (string, error) {
	for retry := 0; ; retry++ {
		imports, err := t.Client.ImportBackups(ctx, []cbr.Backup{backup})
		switch {
		case err == nil && len(imports) == 1:
			return imports[0].OperationLogID, nil
		case !throttled(err):
			return "", fmt.Errorf("terraform: import a backup: %w", err)
		}
		if retry == terraformMaxRetries || !sleep(ctx, t.Compression.Of(backoff(retry))) {
			return "", nil
		}
	}
}

// backoff is how long the provider waits after a 429.
func backoff(retry int) time.Duration {
	return min(time.Duration(math.Pow(2, float64(retry)))*time.Minute, terraformMaxBackoff)
}

var errTaskFailed = errors.New("terraform: a task has not succeeded")

// await polls a task to its end.
func (t *Terraform) await(ctx context.Context, operation string) error {
	ctx, cancel := context.WithTimeout(ctx, t.Compression.Of(terraformTimeout))
	defer cancel()
	for sleep(ctx, t.Compression.Of(terraformPoll)) {
		task, err := t.Client.GetOperationLog(ctx, operation)
		switch {
		case err != nil:
			return fmt.Errorf("terraform: poll a task: %w", err)
		case task.Status == cbr.TaskSuccess:
			return nil
		case task.Status == cbr.TaskFailed || task.Status == cbr.TaskTimeout:
			return errTaskFailed
		}
	}
	return ctx.Err()
}
