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
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	// lookInterval is the time between two looks at the cluster.
	lookInterval = 300 * time.Millisecond
	// settleTimeout is how far the counts of a project may be behind.
	settleTimeout = 15 * time.Second
	// shownRows is how many backups the live table shows.
	shownRows = 10
)

// snapshot is the state of the demo at a moment.
type snapshot struct {
	backups []v1alpha1.BackupSync
	project v1alpha1.CBRProject
	ledger  *cluster.Ledger
}

func (d *demo) look(ctx context.Context) (*snapshot, error) {
	s := &snapshot{}
	var list v1alpha1.BackupSyncList
	if err := d.cluster.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list the BackupSyncs: %w", err)
	}
	s.backups = list.Items
	if err := d.cluster.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: projectName}, &s.project); err != nil {
		return nil, fmt.Errorf("get the CBRProject: %w", err)
	}
	var err error
	s.ledger, err = d.simulator.Ledger(ctx)
	return s, err
}

// watch shows the state until it is as wanted.
func (d *demo) watch(ctx context.Context, done func(*snapshot) bool) error {
	defer d.screen.settle()
	started := time.Now()
	err := d.until(ctx, func(s *snapshot) bool {
		d.screen.show(since(started), s.summary(), s.rows(shownRows))
		return done(s)
	})
	if err != nil {
		return fmt.Errorf("not all backups are Ready after %s: %w", time.Since(started).Round(time.Second), err)
	}
	return nil
}

// settle waits for a state, but not for long: the checks will tell if it does not come.
func (d *demo) settle(ctx context.Context, settled func(*snapshot) bool) error {
	bounded, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := d.until(bounded, settled); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// until looks again and again until the state is as wanted, the context ends, or a process dies.
func (d *demo) until(ctx context.Context, wanted func(*snapshot) bool) error {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		s, err := d.look(ctx)
		if err == nil && wanted(s) {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-d.manager.Done():
			return fmt.Errorf("the manager has ended: %w", d.manager.Wait(ctx))
		case <-d.simulator.Done():
			return fmt.Errorf("cbrsim has ended: %w", d.simulator.Wait(ctx))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func ready(backup *v1alpha1.BackupSync) *metav1.Condition {
	if condition := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); condition != nil {
		return condition
	}
	return &metav1.Condition{}
}

// ready counts the backups that are Ready.
func (s *snapshot) ready() int {
	count := 0
	for i := range s.backups {
		if ready(&s.backups[i]).Status == metav1.ConditionTrue {
			count++
		}
	}
	return count
}

// counts are those of the project, all 0 before it has any.
func (s *snapshot) counts() v1alpha1.BackupCounts {
	return ptr.Deref(s.project.Status.Backups, v1alpha1.BackupCounts{})
}

// summary says what matters in two lines: what the backups are at, and what the project says of them.
func (s *snapshot) summary() []string {
	counts := map[string]int{}
	for i := range s.backups {
		counts[ready(&s.backups[i]).Reason]++
	}
	reasons := make([]string, 0, len(counts))
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, counts[reason]))
	}
	project := &metav1.Condition{}
	if condition := meta.FindStatusCondition(s.project.Status.Conditions, v1alpha1.ConditionReady); condition != nil {
		project = condition
	}
	of := s.counts()
	return []string{
		fmt.Sprintf("%d of %d Ready; %s; sync calls %d", s.ready(), len(s.backups), strings.Join(reasons, ", "), s.ledger.SyncCalls),
		fmt.Sprintf("CBRProject %s: Ready=%s (%s), pending %d, running %d, imported %d, failed %d",
			projectName, project.Status, project.Reason, of.Pending, of.Running, of.Imported, of.Failed),
	}
}

// rows are some of the backups, evenly spread, as kubectl would print them: they were applied in the order of their
// names, so that calls and tasks can be seen to pass from the first rows to the last.
func (s *snapshot) rows(count int) []string {
	const format = "%-22s %-9s %-8s %-17s %s"
	rows := []string{fmt.Sprintf(format, "NAME", "PROJECT", "READY", "REASON", "OPERATION")}
	count = min(count, len(s.backups))
	for row := range count {
		backup := &s.backups[row*len(s.backups)/count]
		condition := ready(backup)
		rows = append(rows, fmt.Sprintf(format, backup.Name, backup.Spec.ProjectRef.Name, condition.Status, condition.Reason, backup.Status.OperationLogID))
	}
	if more := len(s.backups) - count; more > 0 {
		rows = append(rows, fmt.Sprintf("... and %d more", more))
	}
	return rows
}
