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

package connection

import (
	"testing"
	"testing/synctest"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// readsIn counts how many reads a pace lets through in a time, all of which end with a class.
func readsIn(t *testing.T, p ReadLimiter, length time.Duration, class cbr.Class) int {
	t.Helper()
	end, reads := time.Now().Add(length), 0
	for {
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			return reads
		}
		reads++
		p.Observe(cbr.Call{Operation: cbr.OperationListBackups, Class: class})
	}
}

func TestPaceOfReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewReadLimiter()
		refuse := func(operation cbr.Operation) { p.Observe(cbr.Call{Operation: operation, Class: cbr.Throttled}) }
		refuse(cbr.OperationImport)
		for range 1000 { // no time goes by
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.Observe(cbr.Call{Operation: cbr.OperationListBackups})
		}
		refuse(cbr.OperationListBackups)
		if reads := readsIn(t, p, 10*time.Second, ""); reads < 95 || reads > 102 {
			t.Errorf("%d reads in 10 s after a refusal", reads)
		}
		refuse(cbr.OperationGetTask)
		if reads := readsIn(t, p, 10*time.Second, ""); reads < 48 || reads > 60 {
			t.Errorf("%d reads in 10 s after another", reads)
		}
		for range 20 {
			refuse(cbr.OperationListTasks)
		}
		if reads := readsIn(t, p, 20*time.Second, cbr.Throttled); reads < 3 || reads > 5 {
			t.Errorf("%d reads in 20 s while all are refused", reads)
		}
		readsIn(t, p, time.Hour, "")
		if reads := readsIn(t, p, 10*time.Second, ""); reads < 95 || reads > 102 {
			t.Errorf("%d reads in 10 s after an hour without refusals", reads)
		}
	})
}

// asideIn counts how many reads that nobody waits for are let through in a time, all of which end with a class.
func asideIn(t *testing.T, p ReadLimiter, length time.Duration, class cbr.Class) int {
	t.Helper()
	end, reads := time.Now().Add(length), 0
	for {
		if err := p.WaitAside(t.Context()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			return reads
		}
		reads++
		p.ObserveAside(cbr.Call{Operation: cbr.OperationListBackups, Class: class})
	}
}

// Reads that nobody waits for take nothing from the others: neither by their number, nor when CBR refuses them for their rate.
func TestReadsAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewReadLimiter()
		if reads := asideIn(t, p, 10*time.Second, ""); reads < 48 || reads > 52 {
			t.Errorf("%d reads aside in 10 s", reads)
		}
		if reads := asideIn(t, p, 200*time.Second, cbr.Throttled); reads < 18 || reads > 30 {
			t.Errorf("%d reads aside in 200 s while all are refused", reads)
		}
		if in := p.AsideIn(time.Minute); in != 6 {
			t.Errorf("%d reads aside in a minute after that", in)
		}
		before := time.Now()
		for range 1000 {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.Observe(cbr.Call{Operation: cbr.OperationListBackups})
		}
		if since := time.Since(before); since != 0 {
			t.Errorf("the other reads take %s", since)
		}
		asideIn(t, p, 3*time.Hour, "")
		for range 2 {
			p.Observe(cbr.Call{Operation: cbr.OperationListBackups, Class: cbr.Throttled})
		}
		if reads := asideIn(t, p, 10*time.Second, ""); reads < 23 || reads > 28 {
			t.Errorf("%d reads aside in 10 s, while the others may make 5 a second", reads)
		}
		before = time.Now()
		if err := p.Wait(t.Context()); err != nil || time.Since(before) > 0 {
			t.Errorf("another read waits for those aside: %s, %v", time.Since(before), err)
		}
	})
}
