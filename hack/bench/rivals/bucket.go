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
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// bucket lets one retry through in each interval, and a burst of them after a rest. It stands for the token bucket of the
// workqueue's default limiter, whose clock cannot be compressed.
type bucket struct {
	interval time.Duration
	burst    int

	mutex sync.Mutex
	next  time.Time // when the next one would pass if there were no burst
}

// When returns how long a retry has to wait.
func (b *bucket) When(reconcile.Request) time.Duration { return b.reserve(time.Now()) }

// Forget does nothing: the bucket does not know single keys.
func (b *bucket) Forget(reconcile.Request) {}

// NumRequeues returns 0: the bucket does not count.
func (b *bucket) NumRequeues(reconcile.Request) int { return 0 }

func (b *bucket) reserve(now time.Time) time.Duration {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.next.Before(now) {
		b.next = now
	}
	wait := b.next.Sub(now) - b.interval*time.Duration(b.burst-1)
	b.next = b.next.Add(b.interval)
	return max(wait, 0)
}
