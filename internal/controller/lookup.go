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
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// Backups are looked up in CBR before they are sent: clusters are rebuilt from Git with empty statuses, and what was not there
// a minute ago may be there now. What CBR has, or is importing, is marked and leaves the plan.

// fewAsked is how many backups a look is asked for that it does not know, before another one is taken; less in a test.
var fewAsked = evidence.FewBackups

// lookup is the look at CBR for what is planned. It is prepared and concluded by the pass, and taken beside the live reads.
type lookup struct {
	wanted []*v1alpha1.BackupSync // planned, and to be looked up
	query  evidence.Query
	look   *evidence.Look // an earlier one that serves, then the one that was taken; nil if there is nothing to look up
	taken  bool           // it was taken for this pass
	err    error
}

// lookedUp returns the planned backups that are to be looked up.
func (p *preflighter) lookedUp() []*v1alpha1.BackupSync {
	return p.lookedUpOf(slices.Concat(p.plan.Calls...))
}

// lookedUpOf returns those of one call.
func (p *preflighter) lookedUpOf(call []batch.Candidate) []*v1alpha1.BackupSync {
	var wanted []*v1alpha1.BackupSync
	for _, member := range call {
		if p.needsLook(member.BackupSync) {
			wanted = append(wanted, member.BackupSync)
		}
	}
	return wanted
}

// needsLook reports whether a backup is sent only if CBR is seen not to have it. A duplicate had an owner, which CBR may have taken it from.
func (p *preflighter) needsLook(backup *v1alpha1.BackupSync) bool {
	return p.looksUp() || p.isForeign(backup.Spec.BackupID) || !p.options.forgetsCalls && p.evidence.leftBehind(backup) ||
		outcomeLost(backup) || backupsync.Reimport(backup) || backupsync.IsDuplicate(backup)
}

// looksUp reports whether backups are looked up before their first submission. After another CBRProject has used the cloud
// project they are, whatever the policy: what that one has imported is in no status of this one's backups.
func (s *scope) looksUp() bool {
	return s.project.Spec.LookupPolicy != v1alpha1.LookupNever || s.project.Status.Journal.TakeoverTime != nil
}

// outcomeLost reports whether a pending backup has a task that has ended, and neither an outcome nor a retry: it begins again, or
// its outcome was written while the CRDs did not keep it.
func outcomeLost(backup *v1alpha1.BackupSync) bool {
	status := &backup.Status
	return status.OperationLogID != "" && status.Outcome == "" && status.NextAttemptTime == nil
}

// limitPlan leaves fewer calls, or backups, in the plan if looks have taken a question for each backup: none may take longer than absence is
// believed, and a call of fewer backups is better than none.
func (p *preflighter) limitPlan() {
	if !p.evidence.asksSingly() {
		return
	}
	fitting := fittingOneLook(p.evidence, p.plan.Calls, func(call []batch.Candidate) []string { return idsOf(p.lookedUpOf(call)...) })
	p.plan.More = p.plan.More || len(fitting) < len(p.plan.Calls)
	p.plan.Calls = fitting
	wanted := p.lookedUp()
	if fits := len(fittingOneLook(p.evidence, wanted, func(backup *v1alpha1.BackupSync) []string { return idsOf(backup) })); fits < len(wanted) { // of the only call
		p.drop(wanted[fits:])
		p.plan.More = true
	}
}

func idsOf(backups ...*v1alpha1.BackupSync) []string {
	ids := make([]string, len(backups))
	for i, backup := range backups {
		ids[i] = backup.Spec.BackupID
	}
	return ids
}

// prepare says how to look at CBR for planned backups: at what was seen a moment ago, as far as that serves.
func (p *preflighter) prepare(wanted []*v1alpha1.BackupSync) *lookup {
	checked := &lookup{wanted: wanted}
	if len(wanted) == 0 {
		return checked
	}
	checked.query = p.query(nil, probesOf(p.plan.Calls, wanted))
	if look := p.evidence.fresh(p.options.Clock.Now()); look != nil && p.serves(look, wanted) {
		checked.look = look
		return checked
	}
	p.evidence.look = nil
	checked.query.Questions, checked.query.Singly = p.questionsFor(wanted), len(wanted)
	return checked
}

// run looks at CBR.
func (c *lookup) run(ctx context.Context, source evidence.Source) {
	if len(c.wanted) == 0 {
		return
	}
	if c.look == nil {
		c.taken = true
		c.look, c.err = evidence.Collect(ctx, source, c.query)
	}
	if c.err == nil {
		c.err = c.askMore(ctx, source)
	}
}

// serves reports whether an earlier look tells, with few more questions, of backups that are planned.
func (p *preflighter) serves(look *evidence.Look, wanted []*v1alpha1.BackupSync) bool {
	unknown := 0
	for _, backup := range wanted {
		id := cbr.Fold(backup.Spec.BackupID)
		_, waited := p.evidence.waits[id]
		switch {
		case waited || backupsync.Requested(backup) || look.Began.Before(p.evidence.settlesAt(id)):
			return false // it is now that counts
		case !look.Knows(id):
			unknown++
		case !look.Lacks(id):
			return false // only absence is believed for a while
		}
	}
	return unknown <= fewAsked
}

// questionsFor asks about backups that are planned, and about all others that may be sent, if they are so many that the list of
// CBR's backups is likely to be read, which serves all of them.
func (p *preflighter) questionsFor(wanted []*v1alpha1.BackupSync) []evidence.Question {
	questions := make([]evidence.Question, 0, len(wanted))
	asked := make(map[string]struct{}, len(wanted))
	add := func(backup *v1alpha1.BackupSync) {
		id := cbr.Fold(backup.Spec.BackupID)
		if _, already := asked[id]; !already {
			asked[id] = struct{}{}
			questions = append(questions, p.questionOf(backup))
		}
	}
	for _, backup := range wanted {
		add(backup)
	}
	if len(wanted) > max(fewAsked, p.evidence.pages) && !p.evidence.asksSingly() {
		for _, backup := range p.pending {
			if p.eligible(backup) && p.needsLook(backup) {
				add(backup)
			}
		}
	}
	return questions
}

// probesOf returns one backup of each planned call: it is asked for by itself, to see whether the list of CBR's backups is to be
// believed.
func probesOf(calls [][]batch.Candidate, wanted []*v1alpha1.BackupSync) []string {
	looked := foldedIDs(wanted)
	var probes []string
	for _, call := range calls {
		first := rand.IntN(len(call))
		for i := range call {
			id := call[(first+i)%len(call)].Spec.BackupID
			if _, is := looked[cbr.Fold(id)]; is {
				probes = append(probes, id)
				break
			}
		}
	}
	return probes
}

// askMore asks CBR for those backups by themselves of which a look does not tell, and for one of each call, by which the list
// is checked. If that is not believed any more, all are asked for of which the look does not tell.
func (c *lookup) askMore(ctx context.Context, source evidence.Source) error {
	ids := slices.DeleteFunc(slices.Clone(c.query.Probes), func(id string) bool { return !c.look.Listed(id) })
	for _, backup := range c.wanted {
		if id := backup.Spec.BackupID; !c.look.Knows(id) {
			ids = append(ids, id)
		}
	}
	if err := c.look.AskFor(ctx, source, ids...); err != nil || c.look.Backups.Whole() {
		return err
	}
	ids = ids[:0]
	for _, backup := range c.wanted {
		if id := backup.Spec.BackupID; c.look.Backups.Narrowed || !c.look.Knows(id) {
			ids = append(ids, id)
		}
	}
	return c.look.AskFor(ctx, source, ids...)
}

// concludeLookup writes what a look has found, and leaves in the plan only what CBR certainly does not have. It reports whether it has found
// backups, none of which is planned again by the next pass.
func (p *preflighter) concludeLookup(ctx context.Context, checked *lookup) bool {
	if checked.look == nil && checked.err == nil {
		return false
	}
	if !p.noteRead(checked.err, "Backups could not be looked up before they are sent", len(checked.wanted)) {
		p.drop(checked.wanted)
		p.plan.More = false
		return false
	}
	p.remember(checked.look)
	judge := p.judge(checked.look, checked.query.Known)
	if checked.taken {
		p.noteTaken(checked.look, judge, len(checked.wanted), func(i int) evidence.Question { return p.questionOf(checked.wanted[i]) })
	}
	changes, waiting := p.found(checked.wanted, judge)
	if len(waiting) > 0 {
		p.drop(waiting)
		p.requeueNow() // others may have waited for them to be sent
	}
	if checked.taken {
		changes = append(changes, p.markOthers(judge)...)
	}
	p.plan.proven = checked.look.Began
	p.plan.Calls = p.withoutHandled(p.plan.Calls)
	if len(changes) == 0 {
		return len(waiting) > 0
	}
	written, _ := p.apply(ctx, changes) // what cannot be written stays pending, and is found again
	p.log.Info("Found backups in CBR before they were sent", "backups", len(changes))
	return written == len(changes)
}

// found returns the changes to the planned backups that CBR has, or is importing, and those that wait for what it has shown.
func (p *preflighter) found(wanted []*v1alpha1.BackupSync, judge *evidence.Judge) (changes []change, waiting []*v1alpha1.BackupSync) {
	for _, backup := range wanted {
		verdict := judge.Verdict(p.questionOf(backup))
		switch {
		case verdict.Kind == evidence.Absent:
			delete(p.evidence.waits, cbr.Fold(backup.Spec.BackupID))
			if verdict.Task != "" {
				p.log.Info("A task that may be a backup's runs for too long, and is no longer waited for", "backupSync", backup.Name, "task", verdict.Task)
			}
		case undecided(verdict, backup.Status.OperationLogID):
			p.awaits(backup, verdict, judge)
			waiting = append(waiting, backup)
		default:
			changes = append(changes, p.markPreflight(backup, verdict))
		}
	}
	return changes, waiting
}

// markOthers returns the changes to the pending backups that are not planned, as far as a look has shown them in CBR. Those that wait
// for a task are not planned before CBR is asked again.
func (p *preflighter) markOthers(judge *evidence.Judge) []change {
	var changes []change
	for _, backup := range p.pending {
		if !p.eligible(backup) || !p.needsLook(backup) {
			continue
		}
		switch verdict := judge.Verdict(p.questionOf(backup)); {
		case verdict.Kind == evidence.Stored, verdict.Kind == evidence.Broken, runsElsewhere(verdict, backup.Status.OperationLogID):
			changes = append(changes, p.markPreflight(backup, verdict))
		case verdict.Kind == evidence.InProgress:
			p.awaitsQuietly(backup)
		}
	}
	return changes
}

// markPreflight is the change to a BackupSync whose backup was found in CBR before it was sent.
func (p *preflighter) markPreflight(backup *v1alpha1.BackupSync, verdict evidence.Verdict) change {
	now := metav1.NewTime(p.options.Clock.Now())
	p.handle(backup)
	p.bisection.Resolved(backup.Spec.BackupID)
	delete(p.evidence.waits, cbr.Fold(backup.Spec.BackupID))
	switch {
	case verdict.Kind == evidence.Broken:
		return to(backup, backupsync.Unusable(backup, verdict.Status, verdict.Task, "", nil, now))
	case verdict.Kind == evidence.InProgress:
		p.scheduleNow()
		return to(backup, backupsync.Submitted(backup, verdict.Task, "", now, now))
	case backupsync.Reimport(backup): // it is still there
		return to(backup, backupsync.StillThere(backup, now))
	default:
		return to(backup, backupsync.Stored(backup, verdict.Task, "", now))
	}
}

// drop takes backups out of the plan.
func (p *preflighter) drop(backups []*v1alpha1.BackupSync) {
	dropped := foldedIDs(backups)
	p.plan.Calls = withoutMembers(p.plan.Calls, func(member batch.Candidate) bool {
		_, is := dropped[cbr.Fold(member.Spec.BackupID)]
		return is
	})
}

// stale reports whether what a call was planned by is not believed any more.
func (s *submitter) stale(now time.Time) bool {
	return !s.plan.proven.IsZero() && (now.Sub(s.plan.proven) >= evidence.FreshFor || now.Before(s.plan.proven))
}

func (p *preflighter) withoutHandled(calls [][]batch.Candidate) [][]batch.Candidate {
	return withoutMembers(calls, func(member batch.Candidate) bool {
		_, handled := p.handled[member.UID]
		return handled
	})
}

// withoutMembers returns calls without some of their members, and without those that are empty then.
func withoutMembers(calls [][]batch.Candidate, drop func(batch.Candidate) bool) [][]batch.Candidate {
	var left [][]batch.Candidate
	for _, call := range calls {
		if members := slices.DeleteFunc(slices.Clone(call), drop); len(members) > 0 {
			left = append(left, members)
		}
	}
	return left
}
