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
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// checkImported makes sure that a figure is about work that was done: each BackupSync says so, and each backup was
// accepted once.
func (s *stand) checkImported(ctx context.Context, simulator *cluster.Simulator, namespace string, count int) error {
	ready := 0
	page := &v1alpha1.BackupSyncList{}
	for first := true; first || page.Continue != ""; first = false {
		if err := s.cluster.Client.List(ctx, page, client.InNamespace(namespace), client.Limit(500), client.Continue(page.Continue)); err != nil {
			return fmt.Errorf("check what was imported: %w", err)
		}
		for i := range page.Items {
			if meta.IsStatusConditionTrue(page.Items[i].Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
	}
	if ready != count {
		return fmt.Errorf("%d of %d BackupSyncs of the namespace %s are Ready", ready, count, namespace)
	}
	ledger, err := simulator.Ledger(ctx)
	if err != nil {
		return err
	}
	if len(ledger.AcceptedTwice) > 0 {
		return fmt.Errorf("backups were accepted more than once: %s", strings.Join(ledger.AcceptedTwice, " "))
	}
	return nil
}

// pause lets time go by.
func pause(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// grouped writes a number as people read it: 100,000.
func grouped(number int) string {
	digits := fmt.Sprint(number)
	var text strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			text.WriteByte(',')
		}
		text.WriteRune(digit)
	}
	return text.String()
}
