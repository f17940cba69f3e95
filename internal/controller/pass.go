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
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
)

// pass is one look at a project and its backups, and what follows from it. Its steps hand their findings on in
// its fields; the status of the project is computed once, at the end, from what they found.
type pass struct {
	*Reconciler
	key    types.NamespacedName
	log    logr.Logger
	now    time.Time // when the pass began
	memory *memory

	// from load
	project     *v1alpha1.CBRProject // nil if it does not exist
	generation  int64                // of the project that the pass acts on
	pending     []*v1alpha1.BackupSync
	running     []*v1alpha1.BackupSync
	rest        []*v1alpha1.BackupSync // ended, with an edit or a request to take in, or an owner to wait for
	recorded    map[string]struct{}    // ids of the backups in recorded submissions
	fingerprint string                 // identifies what the project's spec says, and the latest request
	claim       claim
	outdated    string // how the CRDs are older than the operator, "" if they are not

	// from connect
	connected bool
	cloud     *cbr.Client // nil if no call can be made

	// from plan
	plan    batch.Schedule
	proven  time.Time // when the look at CBR began by which the plan is believed, zero without one
	changes []change  // statuses to write with the report

	// from report
	request  string // the request at the project that the pass has met
	expiring bool   // the credentials end soon

	// from submit
	handled map[types.UID]struct{} // backups whose status the pass has written or is about to
	cleared map[string][]string    // submissions that are over, with the backups that stay recorded
	// accepted is when the first of the pass's calls was accepted, zero if none was.
	accepted  time.Time
	taskScope v1alpha1.TaskScope // as answers have shown it, "" if none has
	polling   chan pollResult    // brings what CBR tells of the running tasks; nil until it is asked

	requeueTime time.Time // when the next pass is due, zero for never
}

// run makes the steps of a pass, each of which lives in the file of its name.
func (p *pass) run(ctx context.Context) error {
	steps := []struct {
		name string
		run  func(context.Context) error
	}{
		{"load", p.load},
		{"resolve", func(ctx context.Context) error { return p.protocol.resolve(p, ctx) }},
		{"plan", p.planCalls},
		{"preflight", p.preflight},
		{"submit", p.submit},
		{"poll", p.poll},
		{"report", p.report},
	}
	for _, step := range steps {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	p.log.V(1).Info("Pass ended", "requeueAfter", p.result().RequeueAfter.String())
	return nil
}

// requeueAt asks for another pass at a time, if none is due sooner.
func (p *pass) requeueAt(at time.Time) {
	p.requeueTime = earliest(p.requeueTime, at)
}

// earliest returns the earlier of two times, of which a zero one does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// requeueNow asks for another pass at once.
func (p *pass) requeueNow() { p.requeueAt(p.now) }

// minRequeueAfter is the shortest time between passes: a RequeueAfter of 0 would mean none.
const minRequeueAfter = time.Millisecond

func (p *pass) result() reconcile.Result {
	if p.requeueTime.IsZero() {
		return reconcile.Result{}
	}
	return reconcile.Result{RequeueAfter: max(p.requeueTime.Sub(p.options.Clock.Now()), minRequeueAfter)}
}
