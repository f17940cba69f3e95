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
	"context"
	"time"

	"golang.org/x/time/rate"

	"backupsync.dev/operator/internal/cbr"
)

// ReadLimiter is how fast CBR is read for a project. The limit of reads is not documented, so there is none at first; but when
// CBR has refused a read for its rate, reading on as before would be refused at the same page of the same list
// again and again.
//
// Reads aside are those that nobody waits for, as of an audit. They have a pace of their own, at most half of that of the others, so that
// they take nothing from those; and what CBR refuses of them slows down them alone.
type ReadLimiter struct{ limiter, aside *rate.Limiter }

// Reads per second. Third parties have measured a limit of 20.
const (
	asideReads  = rate.Limit(5)    // of those that nobody waits for
	pacedReads  = rate.Limit(10)   // after the first refusal
	fewestReads = rate.Limit(0.2)  // after many
	pacedGain   = rate.Limit(0.01) // by each read that is not refused, up to pacedReads
)

// NewReadLimiter is a ReadLimiter without a limit.
func NewReadLimiter() ReadLimiter {
	return ReadLimiter{limiter: rate.NewLimiter(rate.Inf, 1), aside: rate.NewLimiter(asideReads, 1)}
}

// Wait returns when a read may be made.
func (l ReadLimiter) Wait(ctx context.Context) error { return l.limiter.Wait(ctx) }

// WaitAside returns when a read may be made that nobody waits for.
func (l ReadLimiter) WaitAside(ctx context.Context) error { return l.aside.Wait(ctx) }

// AsideIn returns how many such reads may be made in a time.
func (l ReadLimiter) AsideIn(length time.Duration) int {
	return int(float64(l.aside.Limit()) * length.Seconds())
}

// ObserveAside learns from such a read.
func (l ReadLimiter) ObserveAside(call cbr.Call) {
	most := min(asideReads, l.limiter.Limit()/2)
	if call.Class == cbr.Throttled {
		l.aside.SetLimit(max(min(l.aside.Limit()/2, most), fewestReads/2))
		return
	}
	l.aside.SetLimit(min(l.aside.Limit()+pacedGain, most))
}

// Observe learns from a call that has ended.
func (l ReadLimiter) Observe(call cbr.Call) {
	if call.Operation == cbr.OperationImport {
		return // has a limit of its own: see batch.RateWindow
	}
	limit := l.limiter.Limit()
	switch {
	case call.Class == cbr.Throttled && limit == rate.Inf:
		l.limiter.SetLimit(pacedReads)
	case call.Class == cbr.Throttled:
		l.limiter.SetLimit(max(limit/2, fewestReads))
	case limit < pacedReads:
		l.limiter.SetLimit(min(limit+pacedGain, pacedReads))
	}
	if most := l.limiter.Limit() / 2; l.aside.Limit() > most {
		l.aside.SetLimit(most)
	}
}
