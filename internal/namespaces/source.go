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

package namespaces

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// sourcePatience is how long a controller waits for a namespace that is neither filled nor refused.
const sourcePatience = time.Minute

// Source returns a source of what a cache shows. That of a Cache begins when the cache is filled: a controller waits for it only while the
// namespace is not known to be refused, and for a minute at most.
func Source(of cache.Cache, made source.SyncingSource) source.SyncingSource {
	if each, is := of.(*Cache); is {
		return &lateSource{made: made, cache: each, begun: make(chan error, 1)}
	}
	return made
}

// lateSource is a source that may begin after its controller.
type lateSource struct {
	made  source.SyncingSource
	cache *Cache
	begun chan error // holds how the beginning went
}

// String names the source in the log.
func (s *lateSource) String() string { return fmt.Sprintf("%s of %s", s.made, s.cache.namespace) }

// Start has the source begin when its cache is filled.
func (s *lateSource) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	go func() {
		err := s.begin(ctx, queue)
		if err != nil && ctx.Err() == nil {
			s.cache.log.Error(err, "Could not watch the namespace", "source", s.String())
		}
		s.begun <- err
	}()
	return nil
}

func (s *lateSource) begin(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	select {
	case <-s.cache.synced:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.made.Start(ctx, queue); err != nil {
		return err
	}
	return s.made.WaitForSync(ctx)
}

// WaitForSync waits until the source has begun, or is not to be waited for.
func (s *lateSource) WaitForSync(ctx context.Context) error {
	patience := time.NewTimer(sourcePatience)
	defer patience.Stop()
	select {
	case err := <-s.begun:
		if ctx.Err() != nil {
			return nil
		}
		return err
	case <-s.cache.refused:
	case <-patience.C:
	case <-ctx.Done():
	}
	return nil
}
