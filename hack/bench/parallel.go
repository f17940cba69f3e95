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

package main

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// generators is how many requests at a time create what a measure needs: more do not make it faster on few cores.
const generators = 32

// inParallel calls a function with each number from first up to, but without, end, with several workers. It ends with
// the first error.
func inParallel(ctx context.Context, workers, first, end int, do func(ctx context.Context, number int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	next.Store(int64(first))
	for range workers {
		group.Go(func() error {
			for number := int(next.Add(1) - 1); number < end; number = int(next.Add(1) - 1) {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(ctx, number); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
