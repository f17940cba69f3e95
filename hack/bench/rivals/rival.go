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

// Package rivals holds models of what users would import their backups with if there were no operator: Terraform's
// resource, and an operator as one writes it in an afternoon. They make their calls for real, on compressed time.
package rivals

import (
	"context"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// Rival is another way to import backups.
type Rival interface {
	// Run imports until all is imported or the context ends. It returns nil in both cases; an error is a defect.
	Run(ctx context.Context) error
	// Imported returns how many backups are imported so far. It is safe to call while Run runs.
	Imported() int
}

// Compression is how many times faster than in reality all waiting passes: a minute takes 1/Compression of one. What a
// rival computes, and its requests to the API server, are not compressed, so that they weigh more than in reality: with
// some calls a minute that is still next to nothing.
type Compression float64

// Of returns how long a duration of reality takes.
func (c Compression) Of(duration time.Duration) time.Duration {
	return time.Duration(float64(duration) / float64(c))
}

// Expand returns how long in reality would have taken what has taken a duration.
func (c Compression) Expand(duration time.Duration) time.Duration {
	return time.Duration(float64(duration) * float64(c))
}

// sleep waits, and reports whether the context let it.
func sleep(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func throttled(err error) bool { return cbr.ClassOf(err) == cbr.Throttled }
