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

// Package election makes the lease of client-go's leader election quick to change hands and quiet to hold. There, one
// period is both the time between a standby's looks at the lease and that between its holder's writes: a short one
// wears etcd, a long one lets work lie.
package election

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/leaderelection"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
)

// longestRenewal is the usual time between renewals of a lease.
const longestRenewal = 2 * time.Second

// Options say which lease is held, and how.
type Options struct {
	// Namespace of the lease; the pod's own if empty.
	Namespace string
	Name      string
	// Duration is how long a standby waits for a holder that has gone silent, Deadline how long a holder tries to renew
	// the lease before it gives up. Duration must be longer.
	Duration, Deadline time.Duration
}

// renewal is how often the lease is written: rarely enough to be quiet, and often enough that it does not end before
// its holder has given up, which counts its deadline from a renewal that may not have been written.
func (o Options) renewal() time.Duration { return min((o.Duration-o.Deadline)/2, longestRenewal) }

// NewLock returns the lock of a lease for the manager's leader election. It emits no events: the lease says who holds it.
func NewLock(config *rest.Config, options Options) (*Lock, error) {
	if options.Duration <= options.Deadline {
		return nil, fmt.Errorf("the lease of %s must last longer than %s, in which its holder gives up", options.Duration, options.Deadline)
	}
	lock, err := leaderelection.NewResourceLock(rest.CopyConfig(config), noEvents{}, leaderelection.Options{
		LeaderElection:          true,
		LeaderElectionID:        options.Name,
		LeaderElectionNamespace: options.Namespace,
		RenewDeadline:           options.Deadline,
	})
	if err != nil {
		return nil, err
	}
	return &Lock{Interface: lock, period: options.renewal(), now: time.Now}, nil
}

type noEvents struct{ recorder.Provider }

func (noEvents) GetEventRecorderFor(string) record.EventRecorder { return nil }

// Lock is a lock that its holder may renew as often as it likes: this is written once in a period. The elector calls it from one
// goroutine, and Release is called from another.
type Lock struct {
	resourcelock.Interface
	period time.Duration
	now    func() time.Time

	mutex sync.Mutex // one request at a time
	// written is when the lease was last written with this process as its holder, zero when it is not.
	written time.Time
	// released says that this process has given the lease away, and writes it no more.
	released bool
}

// Create writes the lease for the first time.
func (l *Lock) Create(ctx context.Context, held resourcelock.LeaderElectionRecord) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.released {
		return nil
	}
	return l.note(l.now(), held, l.Interface.Create(ctx, held))
}

// Update writes the lease, unless this process has just renewed it, or has given it away.
func (l *Lock) Update(ctx context.Context, held resourcelock.LeaderElectionRecord) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	now := l.now()
	if l.released || held.HolderIdentity == l.Identity() && now.Sub(l.written) < l.period {
		return nil
	}
	return l.note(now, held, l.Interface.Update(ctx, held))
}

// note remembers a write. After a failed one the lease may be another's.
func (l *Lock) note(at time.Time, held resourcelock.LeaderElectionRecord, err error) error {
	l.written = time.Time{}
	if err == nil && held.HolderIdentity == l.Identity() {
		l.written = at
	}
	return err
}

// Get reads the lease. Whoever asks does not trust what was written.
func (l *Lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.written = time.Time{}
	return l.Interface.Get(ctx)
}

// Release gives the lease away, if this process holds it, so that a standby takes it at its next look. From then on this process is no leader,
// whatever its elector believes: what needs the lease must have ended before. If it fails, the elector may still release the lease, or it ends.
func (l *Lock) Release(ctx context.Context) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	held, _, err := l.Interface.Get(ctx)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the lease: %w", err)
	}
	l.written = time.Time{}
	if held.HolderIdentity != l.Identity() {
		return nil
	}
	now := metav1.NewTime(l.now())
	err = l.Interface.Update(ctx, resourcelock.LeaderElectionRecord{
		LeaderTransitions: held.LeaderTransitions, LeaseDurationSeconds: 1, AcquireTime: now, RenewTime: now})
	if err != nil {
		return fmt.Errorf("write the lease: %w", err)
	}
	l.released = true
	return nil
}
