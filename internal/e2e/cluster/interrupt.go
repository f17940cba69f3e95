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

package cluster

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// ErrInterrupted is the cause of the end of an Interruptible context.
var ErrInterrupted = errors.New("interrupted")

// parentPoll is how late the end of the parent process is noticed.
const parentPoll = time.Second

// Interruptible returns a context that ends with ErrInterrupted on Ctrl-C, on SIGTERM, when the terminal goes, and
// when the parent process does: "go run" passes no SIGTERM on to what it runs.
func Interruptible(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as it is under nohup
		signal.Notify(interrupts, syscall.SIGHUP)
	}
	parent := os.Getppid()
	ticker := time.NewTicker(parentPoll)
	go func() {
		defer ticker.Stop()
		for {
			select {
			case <-interrupts:
				cancel(ErrInterrupted)
			case <-ticker.C:
				if os.Getppid() != parent {
					cancel(ErrInterrupted)
				}
			case <-ctx.Done(): // the signals stay caught: the cleanup is not to be interrupted
				return
			}
		}
	}()
	return ctx, cancel
}
