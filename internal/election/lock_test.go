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
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lease is a lock whose writes are counted.
type lease struct {
	resourcelock.Interface
	writes int
	holder string
	failed error
	// missing has the lease not found.
	missing bool
}

func (l *lease) Identity() string { return "us" }

func (l *lease) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	l.writes++
	if l.failed == nil {
		l.holder = record.HolderIdentity
	}
	return l.failed
}

func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.Update(ctx, record)
}

func (l *lease) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if l.missing {
		return nil, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "cbr")
	}
	return &resourcelock.LeaderElectionRecord{HolderIdentity: l.holder}, nil, nil
}

func TestRenewalsAreWrittenOnceInAPeriod(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	written := &lease{}
	lock := &Lock{Interface: written, period: 2 * time.Second, now: func() time.Time { return now }}
	ours, released := resourcelock.LeaderElectionRecord{HolderIdentity: "us"}, resourcelock.LeaderElectionRecord{}
	expect := func(what string, err error, writes int) {
		t.Helper()
		if !errors.Is(err, written.failed) || written.writes != writes {
			t.Fatalf("%s: %d writes and %v, want %d", what, written.writes, err, writes)
		}
	}
	expect("taken", lock.Create(t.Context(), ours), 1)
	for range 7 {
		now = now.Add(250 * time.Millisecond)
		expect("renewed within the period", lock.Update(t.Context(), ours), 1)
	}
	now = now.Add(250 * time.Millisecond)
	expect("renewed after it", lock.Update(t.Context(), ours), 2)
	expect("released", lock.Update(t.Context(), released), 3)
	expect("taken again at once", lock.Update(t.Context(), ours), 4)

	now = now.Add(lock.period)
	written.failed = errors.New("conflict")
	expect("a renewal that fails", lock.Update(t.Context(), ours), 5)
	expect("and is tried again", lock.Update(t.Context(), ours), 6)
	written.failed = nil
	expect("until it is written", lock.Update(t.Context(), ours), 7)

	if _, _, err := lock.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("whoever has read the lease writes it", lock.Update(t.Context(), ours), 8)
}

func TestReleasedLeaseIsWrittenNoMore(t *testing.T) {
	ours := resourcelock.LeaderElectionRecord{HolderIdentity: "us"}
	written := &lease{}
	lock := &Lock{Interface: written, period: time.Second, now: time.Now}
	if err := lock.Create(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	written.failed = errors.New("no connection")
	if err := lock.Release(t.Context()); !errors.Is(err, written.failed) {
		t.Fatalf("a release that fails: %v", err)
	}
	written.failed = nil
	if err := lock.Update(t.Context(), ours); err != nil || written.writes != 3 {
		t.Fatalf("after a release that has failed the lease is held: %d writes and %v", written.writes, err)
	}
	if err := lock.Release(t.Context()); err != nil || written.holder != "" {
		t.Fatalf("released: held by %q, %v", written.holder, err)
	}

	written.holder = "them"
	for what, write := range map[string]func() error{
		"the elector renews it": func() error { return lock.Update(t.Context(), ours) },
		"the elector ends":      func() error { return lock.Update(t.Context(), resourcelock.LeaderElectionRecord{}) },
		"the lease was deleted": func() error { return lock.Create(t.Context(), ours) },
		"released again":        func() error { return lock.Release(t.Context()) },
	} {
		if err := write(); err != nil || written.holder != "them" || written.writes != 4 {
			t.Errorf("%s: %d writes, held by %q, %v", what, written.writes, written.holder, err)
		}
	}
}

func TestLeaseOfAnotherIsNotReleased(t *testing.T) {
	written := &lease{holder: "them"}
	lock := &Lock{Interface: written, period: time.Second, now: time.Now}
	if err := lock.Release(t.Context()); err != nil || written.writes != 0 {
		t.Errorf("%d writes, %v", written.writes, err)
	}
	written.missing = true
	if err := lock.Release(t.Context()); err != nil || written.writes != 0 {
		t.Errorf("without a lease: %d writes, %v", written.writes, err)
	}
}

func TestLeaseOutlastsItsHolder(t *testing.T) {
	for _, times := range []Options{
		{Duration: 15 * time.Second, Deadline: 10 * time.Second},
		{Duration: 3 * time.Second, Deadline: 2 * time.Second},
		{Duration: time.Minute, Deadline: time.Second},
	} {
		if renewal := times.renewal(); renewal <= 0 || renewal > longestRenewal || times.Deadline+renewal >= times.Duration {
			t.Errorf("a lease of %s with a deadline of %s is renewed every %s", times.Duration, times.Deadline, renewal)
		}
	}
	if _, err := NewLock(nil, Options{Duration: time.Second, Deadline: time.Second}); err == nil {
		t.Error("a lease that ends before its holder gives up is allowed")
	}
}
