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
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/record"
)

// tallyPoll is how exactly the end of an import is known. A look takes the operator some milliseconds.
const tallyPoll = 200 * time.Millisecond

// ofNamespace picks the projects of a namespace by the labels of their metrics.
func ofNamespace(name string) func(labels map[string]string) bool {
	return func(labels map[string]string) bool { return labels["namespace"] == name }
}

// awaitTally waits until an operator says that so many backups of some projects are imported, and returns when it did. It
// is cheaper than a watch where there are many, but grows with the number of all BackupSyncs: the operator counts them.
func awaitTally(ctx context.Context, running *operator, of func(labels map[string]string) bool, want int) (time.Time, error) {
	ticker := time.NewTicker(tallyPoll)
	defer ticker.Stop()
	for {
		samples, err := record.Scrape(ctx, running.metrics, "backupsync_backups")
		if err != nil {
			return time.Time{}, err
		}
		imported := 0
		for _, sample := range samples {
			if of(sample.Labels) && sample.Labels["state"] == "imported" {
				imported += int(sample.Value)
			}
		}
		if imported >= want {
			return time.Now(), nil
		}
		select {
		case <-ticker.C:
		case <-running.Done():
			return time.Time{}, errors.New("the manager has ended by itself")
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%d of %d backups are imported: %w", imported, want, context.Cause(ctx))
		}
	}
}

// finish is the end of a watch.
type finish struct {
	at  time.Time
	err error
}

// whenImported watches a namespace from now on, and says when so many more BackupSyncs are Ready.
func (s *stand) whenImported(ctx context.Context, namespace string, count int) (<-chan finish, error) {
	return s.when(ctx, namespace, func() func(*v1alpha1.BackupSync) bool {
		ready := map[types.UID]struct{}{}
		return func(backup *v1alpha1.BackupSync) bool {
			if meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionReady) {
				ready[backup.UID] = struct{}{}
			}
			return len(ready) == count
		}
	}())
}

// when watches a namespace from now on, and says when a function has seen what it waits for. The watch goes on if the
// API server closes it, as it does once after a kind was installed.
func (s *stand) when(ctx context.Context, namespace string, seen func(*v1alpha1.BackupSync) bool) (<-chan finish, error) {
	list := &v1alpha1.BackupSyncList{}
	if err := s.watcher.List(ctx, list, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return nil, fmt.Errorf("begin to watch the namespace %s: %w", namespace, err)
	}
	source := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		return s.watcher.Watch(ctx, &v1alpha1.BackupSyncList{}, &client.ListOptions{Namespace: namespace, Raw: &options})
	}}
	watcher, err := toolswatch.NewRetryWatcherWithContext(ctx, list.ResourceVersion, source)
	if err != nil {
		return nil, fmt.Errorf("watch the namespace %s: %w", namespace, err)
	}
	done := make(chan finish, 1)
	go func() {
		defer watcher.Stop()
		done <- follow(ctx, watcher, seen)
	}()
	return done, nil
}

func follow(ctx context.Context, watcher watch.Interface, seen func(*v1alpha1.BackupSync) bool) finish {
	for event := range watcher.ResultChan() {
		backup, ok := event.Object.(*v1alpha1.BackupSync)
		if !ok {
			return finish{err: fmt.Errorf("the watch has failed: %v", event.Object)}
		}
		if seen(backup) {
			return finish{at: time.Now()}
		}
	}
	if ctx.Err() != nil {
		return finish{err: fmt.Errorf("while BackupSyncs were watched: %w", context.Cause(ctx))}
	}
	return finish{err: errors.New("the watch was closed")}
}
