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

	"golang.org/x/time/rate"

	"backupsync.dev/operator/internal/cbr"
)

// ReadLimiter is how fast CBR is read for a project. The limit of reads is not documented, so there is none at first; but when
// CBR has refused a read for its rate, reading on as before would be refused at the same page of the same list
// again and again.
type ReadLimiter struct{ limiter *rate.Limiter }

// Reads per second. Third parties have measured a limit of 20.
const (
	pacedReads  = rate.Limit(10)   // after the first refusal
	fewestReads = rate.Limit(0.2)  // after many
	pacedGain   = rate.Limit(0.01) // by each read that is not refused, up to pacedReads
)

// NewReadLimiter is a ReadLimiter without a limit.
func NewReadLimiter() ReadLimiter { return ReadLimiter{limiter: rate.NewLimiter(rate.Inf, 1)} }

// Wait returns when a read may be made.
func (l ReadLimiter) Wait(ctx context.Context) error { return l.limiter.Wait(ctx) }

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
}
