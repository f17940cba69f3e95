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

package bench_test

import (
	"fmt"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// sizes say how much work the measures do.
type sizes struct {
	// fullLoad is the number of pending BackupSyncs of B1 and B2.
	fullLoad int
	// limited is the number of backups of B3: more than go with the calls of the first minute.
	limited int
	// populations are the steps of a population, the first of which is 0. B4 and B6 are made at the first and the last, B5 at takeoverAt.
	populations []int
	takeoverAt  int
	// rest is how long B4 watches an operator without work, calm how long it lets it come to rest before: the runtime hands back
	// what a start took bit by bit, with a hundredth of a core.
	rest, calm time.Duration
	// added is the number of BackupSyncs that B5 and B6 add.
	added int
	// projects are the numbers of projects over which B6 spreads them.
	projects []int
	// trials is how often B5 repeats what it takes the median of, additions how often B6 does.
	trials, additions int
	// applied is the number of single BackupSyncs of B7.
	applied int
	// tenants is the number of projects of B8, with its two bad ones, backupsPerTenant what each of them imports.
	tenants, backupsPerTenant int
	// tenantTrials is how often B8 runs with the bad ones, and as often without them. It is even in a full run, so that a
	// machine that gets slower all the time weighs the same on both.
	tenantTrials int
	// lease is how long the leader's lease of B5 is.
	lease time.Duration
	// outlast is how long before B5 looks at a successor the latest import must have ended: for half a minute after that, and as far as CBR's dates
	// lag, a successor may hold back other backups of the same machines (docs/never-twice.md), and all that are added are of the same.
	outlast time.Duration
	// timeout bounds the whole run, measureTimeout each measure: one that hangs must not take the others' time.
	timeout, measureTimeout time.Duration
}

// leaseArguments make a manager renew the lease in two thirds of its length, as the defaults do.
func (s sizes) leaseArguments() []string {
	return []string{"--leader-elect-lease-duration=" + s.lease.String(), "--leader-elect-renew-deadline=" + (s.lease * 2 / 3).String()}
}

// fullSizes are those of the published figures: half an hour on two cores, mostly as fast as the API server writes. The
// timeouts leave room for a machine a third as fast, whose figures are ratios all the same.
func fullSizes() sizes {
	return sizes{
		fullLoad:    10_000,
		limited:     1_000,
		populations: []int{0, 50_000, 100_000}, takeoverAt: 50_000, rest: time.Minute, calm: 10 * time.Second, added: 1_000,
		projects: []int{1, 100}, trials: 2, additions: 3, applied: 9,
		tenants: 100, backupsPerTenant: 10, tenantTrials: 4,
		lease:   15 * time.Second, // the manager's default
		outlast: 35 * time.Second,
		timeout: 90 * time.Minute, measureTimeout: 45 * time.Minute,
	}
}

// quickSizes show a collapse within some minutes, and nothing finer.
func quickSizes() sizes {
	return sizes{
		fullLoad:    1_000,
		limited:     600,
		populations: []int{0, 2_000}, takeoverAt: 2_000, rest: 3 * time.Second, calm: time.Second, added: 200,
		projects: []int{1, 10}, trials: 1, additions: 1, applied: 3,
		tenants: 20, backupsPerTenant: 10, tenantTrials: 1,
		lease:   4500 * time.Millisecond,
		timeout: 12 * time.Minute, measureTimeout: 4 * time.Minute,
	}
}

// fewest is the least of anything that a scale leaves.
const fewest = 10

// scaled returns sizes with another number of objects.
func (s sizes) scaled(scale float64) (sizes, error) {
	if scale <= 0 || scale > 10 {
		return s, fmt.Errorf("the scale %g is not above 0 and at most 10", scale)
	}
	if scale == 1 {
		return s, nil
	}
	by := func(count int) int { return max(int(float64(count)*scale), fewest) }
	s.fullLoad, s.takeoverAt, s.added = by(s.fullLoad), by(s.takeoverAt), by(s.added)
	s.limited = max(by(s.limited), (accountCalls+1)*cbr.MaxImportItems)
	s.backupsPerTenant = by(s.backupsPerTenant)
	populations := []int{0}
	for _, population := range s.populations[1:] {
		populations = append(populations, by(population))
	}
	s.populations = populations
	return s, nil
}
