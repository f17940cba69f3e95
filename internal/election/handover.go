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

package election

import (
	"context"
	"fmt"
	"time"
)

// Handover gives a lease away as soon as its holder's work is done. A manager itself does that only after its servers have ended, for which it
// waits as long as somebody holds a connection to them open.
type Handover struct {
	Lock *Lock
	// Drain has no more work begin, and returns nil when none is under way.
	Drain func(context.Context) error
	// Grace is how long that may take.
	Grace time.Duration
}

// NeedLeaderElection says that it ends with what the leader runs.
func (Handover) NeedLeaderElection() bool { return true }

// Start waits for the end of the process.
func (h Handover) Start(ctx context.Context) error {
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.Grace)
	defer cancel()
	if err := h.Drain(ctx); err != nil {
		return err
	}
	if err := h.Lock.Release(ctx); err != nil {
		return fmt.Errorf("give the lease away: %w", err)
	}
	return nil
}
