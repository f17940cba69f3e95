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
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"backupsync.dev/operator/api/v1alpha1"
)

// pass is one look at a project and its backups, and what follows from it. Its steps, each of which lives in the file of its name, take
// what the steps before have found, and return what they find.
type pass struct {
	step
	*memory
	view   *cloudView
	writer *writer
}

// step is what each step of a pass has: the process, what the pass is about, and when the next one is due.
type step struct {
	*Reconciler
	*scope
	*nextPass
}

// scope is what a pass is about, as load has found it. From then on it is read alone, but for the project, whose latest version the writer
// puts there, and its claim.
type scope struct {
	key         types.NamespacedName
	log         logr.Logger
	now         time.Time            // when the pass began, and had read the project and its rivals: nothing that they show has happened later
	project     *v1alpha1.CBRProject // nil if it does not exist
	generation  int64                // of the project that the pass acts on
	pending     []*v1alpha1.BackupSync
	running     []*v1alpha1.BackupSync
	rest        []*v1alpha1.BackupSync // ended, with an edit or a request to take in, or an owner to wait for
	recorded    map[string]string      // which submission a backup is recorded in, by folded id
	fingerprint string                 // identifies what the project's spec says, and the latest request
	claim       claim
	outdated    string // how the CRDs are older than the operator, "" if they are not
}

func (r *Reconciler) newPass(key types.NamespacedName, log logr.Logger, known *memory) *pass {
	now := r.options.Clock.Now()
	return newPassOf(step{r, &scope{key: key, log: log, now: now}, &nextPass{}}, known)
}

func newPassOf(s step, known *memory) *pass {
	connects := &connector{step: s, connectionMemory: &known.connectionMemory, evidence: &known.evidence}
	return &pass{step: s, memory: known,
		view: &cloudView{step: s, connector: connects, pollMemory: &known.pollMemory},
		writer: &writer{step: s, versionMemory: &known.versionMemory, reportMemory: &known.reportMemory,
			handled: map[types.UID]struct{}{}, cleared: map[string][]string{}}}
}

// run makes the steps of a pass. Whatever goes wrong in one of them, a project that is being deleted is held no longer than promised.
func (p *pass) run(ctx context.Context) error {
	if err := p.steps(ctx); err != nil {
		return errors.Join(err, p.reporter(plan{}).releaseDeleted(ctx))
	}
	p.log.V(1).Info("Pass ended", "requeueAfter", p.result().RequeueAfter.String())
	return nil
}

func (p *pass) steps(ctx context.Context) error {
	if err := p.loader().load(ctx); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if err := p.protocol.resolve(p.resolver(), ctx); err != nil {
		return fmt.Errorf("resolve: %w", err)
	}
	planned, err := p.planner().planCalls(ctx)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	checked, err := p.preflighter(planned).preflight(ctx)
	if err != nil {
		return fmt.Errorf("preflight: %w", err)
	}
	sent, err := p.submitter(checked).submit(ctx)
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if err := p.poller(sent.polling).poll(ctx, sent.accepted); err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	p.auditor().conclude()
	if err := p.reporter(checked).report(ctx); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	p.auditor().begin(ctx)
	return nil
}

func (p *pass) reader() *reader { return &reader{step: p.step, versionMemory: &p.versionMemory} }

func (p *pass) loader() *loader { return &loader{step: p.step, reader: p.reader(), memory: p.memory} }

func (p *pass) resolver() *resolver {
	return &resolver{step: p.step, reader: p.reader(), cloudView: p.view, writer: p.writer, planMemory: &p.planMemory, callMemory: &p.callMemory}
}

func (p *pass) planner() *planner {
	return &planner{step: p.step, reader: p.reader(), cloudView: p.view, writer: p.writer,
		planMemory: &p.planMemory, callMemory: &p.callMemory, claimMemory: &p.claimMemory}
}

func (p *pass) preflighter(of plan) *preflighter {
	checks := &preflighter{step: p.step, planner: p.planner(), versionMemory: &p.versionMemory}
	checks.plan = of
	return checks
}

func (p *pass) submitter(of plan) *submitter {
	return &submitter{step: p.step, cloudView: p.view, writer: p.writer, poller: p.poller(nil), planMemory: &p.planMemory, callMemory: &p.callMemory, plan: of}
}

func (p *pass) poller(underWay chan pollResult) *poller {
	return &poller{step: p.step, cloudView: p.view, writer: p.writer, pollMemory: &p.pollMemory, polling: underWay}
}

func (p *pass) auditor() *auditor {
	return &auditor{step: p.step, cloudView: p.view, memory: p.memory}
}

func (p *pass) reporter(of plan) *reporter {
	return &reporter{step: p.step, reader: p.reader(), cloudView: p.view, writer: p.writer, planMemory: &p.planMemory, reportMemory: &p.reportMemory,
		memory: p.memory, plan: of}
}

// nextPass is when the next pass is due.
type nextPass struct {
	at time.Time // zero for never
}

// requeueAt asks for another pass at a time, if none is due sooner.
func (n *nextPass) requeueAt(at time.Time) { n.at = earliest(n.at, at) }

// requeueNow asks for another pass at once.
func (s step) requeueNow() { s.requeueAt(s.now) }

// earliest returns the earlier of two times, of which a zero one does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// minRequeueAfter is the shortest time between passes: a RequeueAfter of 0 would mean none.
const minRequeueAfter = time.Millisecond

func (p *pass) result() reconcile.Result {
	if p.at.IsZero() {
		return reconcile.Result{}
	}
	return reconcile.Result{RequeueAfter: max(p.at.Sub(p.options.Clock.Now()), minRequeueAfter)}
}
