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
	"slices"

	"golang.org/x/sync/errgroup"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/connection"
)

// preflighter is the step preflight: it leaves in the plan what is certain to be sent by nobody else, and unknown to CBR.
type preflighter struct {
	step
	*planner
	*versionMemory
}

// preflight makes sure of what is planned: it asks the API server (refreshCandidates) and CBR (lookup). It does both at the same time,
// as a successor has to begin with both, and neither needs what the other learns: what counts is that the project
// was read before, and is recorded in after.
func (p *preflighter) preflight(ctx context.Context) (plan, error) {
	if len(p.plan.Calls) == 0 {
		return p.plan, nil
	}
	if ready, err := p.connect(ctx, connection.SyncRequest); !ready { // nothing will be sent
		p.plan.Calls, p.plan.More = nil, false
		return p.plan, err
	}
	p.limitPlan()
	wanted := p.lookedUp()
	if ready, err := p.mayLook(ctx); err != nil {
		return p.plan, err
	} else if !ready && len(wanted) > 0 {
		p.drop(wanted)
		wanted, p.plan.More = nil, false
	}
	checked := p.prepare(wanted)
	group, together := errgroup.WithContext(ctx)
	group.Go(func() error { return p.protocol.refresh(p, together) })
	group.Go(func() error {
		checked.run(together, p.cloud)
		return nil
	})
	if err := group.Wait(); err != nil {
		return p.plan, err
	}
	if ctx.Err() != nil {
		return p.plan, ctx.Err()
	}
	found := p.concludeLookup(ctx, checked)
	p.deferForeign(wanted)
	p.recut(found)
	return p.plan, nil
}

// recut makes full calls of what is left of those that are planned. If backups were found, and others may take their places in the plan,
// these fill up the last call, in a pass that comes at once; else it goes as it is.
func (p *preflighter) recut(found bool) {
	full, rest, groups := p.bisection.Recut(p.plan.Calls, int(max(p.project.Spec.Batch.MaxSize, 1)))
	switch {
	case found && (p.plan.More || p.plan.RateLimited):
		p.requeueNow()
	case len(rest) > 0:
		full = append(full, rest)
	}
	p.plan.Calls = slices.Concat(full, groups)
}

// mayLook reports whether CBR may be looked at before backups are sent.
func (p *preflighter) mayLook(ctx context.Context) (bool, error) {
	if from := p.health.CompleteFrom; from.After(p.now) {
		p.requeueAt(from)
		return false, nil
	}
	return p.connect(ctx, connection.ReadRequest)
}

// deferForeign takes out of the plan what the live reads have shown to be accepted from another project: the next pass looks it
// up in CBR.
func (p *preflighter) deferForeign(wanted []*v1alpha1.BackupSync) {
	asked := foldedIDs(wanted)
	p.plan.Calls = withoutMembers(p.plan.Calls, func(member batch.Candidate) bool {
		_, looked := asked[cbr.Fold(member.Spec.BackupID)]
		if looked || !p.needsLook(member.BackupSync) {
			return false
		}
		p.requeueNow()
		return true
	})
}
