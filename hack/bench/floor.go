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
	"fmt"
	"time"

	"backupsync.dev/operator/internal/e2e/cluster"
)

// statusWriters is the manager's default of --status-writers.
const statusWriters = 16

// floor is the least that importing can take on a control plane: two status patches for each backup, with as many
// writers and the same identity as the operator has, and nothing else.
type floor struct{ herd *herd }

// newFloor creates the BackupSyncs of a floor. They are at rest: an operator that runs later leaves them alone.
func (s *stand) newFloor(ctx context.Context, namespace string, count int) (*floor, error) {
	if err := s.createNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	config, err := s.cluster.ConfigOf(ctx, cluster.Namespace, cluster.ServiceAccount)
	if err != nil {
		return nil, err
	}
	population := s.newHerd(namespace, projectName)
	if err := population.addImported(ctx, count); err != nil {
		return nil, err
	}
	population.server, err = newRawClient(config)
	return &floor{herd: population}, err
}

// run writes the two statuses of each BackupSync, and returns how long that took.
func (f *floor) run(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	for _, status := range []statusOf{f.herd.runningStatus, f.herd.importedStatus} {
		err := inParallel(ctx, statusWriters, 0, f.herd.count, func(ctx context.Context, number int) error {
			return f.herd.patchStatus(ctx, number, status(number))
		})
		if err != nil {
			return 0, fmt.Errorf("patch the statuses of the floor: %w", err)
		}
	}
	return time.Since(began), nil
}
