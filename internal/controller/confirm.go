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

	"golang.org/x/sync/errgroup"

	"backupsync.dev/operator/api/v1alpha1"
)

// confirm makes sure of what is planned: it asks the API server (verify) and CBR (observe). It does both at the same time,
// as a successor has to begin with both, and neither needs what the other learns: what counts is that the project
// was read before, and is recorded in after.
func (p *pass) confirm(ctx context.Context) error {
	if len(p.plan.calls) == 0 {
		return nil
	}
	if ready, err := p.connect(ctx); !ready { // nothing will be sent
		p.plan.calls = nil
		return err
	}
	unobserved := p.unobserved()
	var found map[string]sighting
	var failure error // of CBR, which is no failure of the pass
	group, together := errgroup.WithContext(ctx)
	group.Go(func() error { return p.protocol.verify(p, together) })
	group.Go(func() error {
		found, failure = p.alreadyThere(together, unobserved)
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(unobserved) > 0 {
		p.observed(ctx, unobserved, found, failure)
	}
	p.deferForeign(unobserved)
	return nil
}

// deferForeign takes out of the plan what the live reads have shown to be accepted from another project: the next pass looks it
// up in CBR.
func (p *pass) deferForeign(asked map[string]*v1alpha1.BackupSync) {
	if p.looksUp() {
		return
	}
	p.plan.calls = withoutMembers(p.plan.calls, func(member candidate) bool {
		id := member.Spec.BackupID
		_, known := p.memory.observed[id]
		if asked[id] != nil || known || !p.memory.isForeign(id) {
			return false
		}
		p.again()
		return true
	})
}

// observed draws the conclusions from the look at CBR.
func (p *pass) observed(ctx context.Context, asked map[string]*v1alpha1.BackupSync, found map[string]sighting, failure error) {
	if failure != nil {
		p.memory.access.failed(failure, p.options.Clock.Now())
		p.log.Error(failure, "Backups could not be looked up before their first submission", "backups", len(asked))
		p.plan.calls = nil
		p.wakeAt(p.memory.access.retryAt())
		return
	}
	p.memory.access.succeeded()
	p.markFound(ctx, found)
}
