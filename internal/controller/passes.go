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

package controller

import (
	"context"
	"fmt"
	"sync"
)

// passes are those under way.
type passes struct {
	mutex   sync.Mutex
	worked  bool // whether there was one
	ended   bool // whether no more begin
	running sync.WaitGroup
}

// begin reports whether a pass may begin.
func (p *passes) begin() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.ended {
		return false
	}
	p.worked = true
	p.running.Add(1)
	return true
}

// end has no more passes begin, and reports whether there was one.
func (p *passes) end() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.ended = true
	return p.worked
}

// Drain has no more passes begin, and returns nil when none is under way any more: the calls that were begun, and the writes after
// them, are to be completed, also when the lease was lost.
func (r *Reconciler) Drain(ctx context.Context) error {
	r.passes.end()
	r.audits.stop()
	done := make(chan struct{})
	go func() {
		r.passes.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the passes under way: %w", context.Cause(ctx))
	}
}

// Close drains, and lets go of the projects without open calls.
func (r *Reconciler) Close(ctx context.Context) error {
	if err := r.Drain(ctx); err != nil {
		return err
	}
	if worked := r.passes.end(); !worked { // it stood by
		return nil
	}
	if err := r.releaseIdle(ctx); err != nil {
		return fmt.Errorf("let go of CBRProjects, which keep their finalizer until an operator works again: %w", err)
	}
	return nil
}
