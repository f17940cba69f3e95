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
	"cmp"
	"errors"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
	"backupsync.dev/operator/internal/connection"
)

// cloudView is what CBR has shown, and what follows from that for backups.
type cloudView struct {
	step
	*connector
	*pollMemory
	taskScope v1alpha1.TaskScope // as answers of this pass have shown it, "" if none has
}

// remember takes in a look that was just taken, or has served.
func (v *cloudView) remember(look *evidence.Look) {
	now := v.options.Clock.Now() // a task that was seen to have ended may have done so while the look was taken
	v.evidence.remember(look, now)
	v.health.ListRead(look.Tasks.Complete, now)
}

// known returns what is known besides what CBR shows.
func (v *cloudView) known() evidence.Known {
	learnt := v.evidence
	return evidence.Known{
		Now:          v.options.Clock.Now(),
		Scope:        evidence.TaskScope(v.learntScope()),
		Owners:       v.owners(),
		OverdueAfter: v.overdueAfter(),
		FirstSeen:    func(key evidence.TaskKey) time.Time { return learnt.seen[key].at },
		SettleTime:   v.options.endSettles(),
		DateLag:      usableLag(learnt.dateLagWith(v.project.Status.Journal.TaskDateLagMilliseconds)),
	}
}

// learntScope says whose CBR's tasks are, as far as answers have told.
func (v *cloudView) learntScope() v1alpha1.TaskScope {
	return learnt(v.project.Status.Journal.TaskScope, v.taskScope)
}

// learnt returns what is known of whose tasks are after another answer. That tasks were shared once is not forgotten.
func learnt(before, now v1alpha1.TaskScope) v1alpha1.TaskScope {
	for _, scope := range []v1alpha1.TaskScope{v1alpha1.TaskPerCall, v1alpha1.TaskPerBackup, v1alpha1.TaskPerResource} {
		if before == scope || now == scope {
			return scope
		}
	}
	return cmp.Or(now, before)
}

// owners returns whose tasks are, by the statuses of active BackupSyncs and by answers.
func (v *cloudView) owners() map[string]evidence.Owner {
	owners := make(map[string]evidence.Owner, len(v.running)+len(v.evidence.tasks))
	for _, backups := range [][]*v1alpha1.BackupSync{v.running, v.pending, v.rest} {
		for _, backup := range backups {
			if task := backup.Status.OperationLogID; task != "" {
				owners[task] = with(owners[task], backup)
			}
		}
	}
	for id, task := range v.evidence.tasks {
		if _, active := owners[id]; active {
			task.needed = v.now
			v.evidence.tasks[id] = task
		}
		owners[id] = task.owner
	}
	return owners
}

// with returns an owner of one more backup.
func with(owner evidence.Owner, backup *v1alpha1.BackupSync) evidence.Owner {
	if resource := backup.Spec.ResourceID; len(owner.Backups) == 0 {
		owner.ResourceID = resource
	} else if owner.ResourceID != resource {
		owner.ResourceID = ""
	}
	owner.Backups = append(owner.Backups, backup.Spec.BackupID)
	return owner
}

// questionOf asks about a BackupSync's backup.
func (v *cloudView) questionOf(backup *v1alpha1.BackupSync) evidence.Question {
	return evidence.Question{BackupID: backup.Spec.BackupID, ResourceID: backup.Spec.ResourceID, SettledAt: v.evidence.settlesAt(backup.Spec.BackupID)}
}

// query says what a look is for.
func (v *cloudView) query(questions []evidence.Question, probes []string) evidence.Query {
	learnt := v.evidence
	return evidence.Query{Questions: questions, Known: v.known(), Pages: learnt.pages, Probes: probes, Narrowed: learnt.narrowed, Hides: learnt.hides,
		Capitals: learnt.capitals, Few: fewAsked}
}

// judge judges a look by what was known when it was taken.
func (v *cloudView) judge(look *evidence.Look, known evidence.Known) *evidence.Judge {
	known.Now = v.options.Clock.Now()
	return evidence.NewJudge(look, known)
}

// noteRead takes in how a look went, and reports whether it went well.
func (c *connector) noteRead(err error, what string, count int) bool {
	if err == nil {
		c.health.Succeeded(connection.ReadRequest)
		return true
	}
	if c.renews(connection.ReadRequest, err) {
		c.log.Info("Credentials are renewed, as CBR refuses them", "cause", err.Error())
		c.requeueAt(c.now.Add(renewalWait))
		return false
	}
	c.health.Failed(connection.ReadRequest, err, c.options.Clock.Now())
	c.log.Info(what, "count", count, "class", cbr.ClassOf(err), "cause", err.Error())
	c.requeueAt(c.health.RequeueAt(&c.health.Reads, c.now))
	return false
}

// noteTaken takes in how long a look took that was just taken, and logs what it has shown of backups, and why those wait that do.
func (v *cloudView) noteTaken(look *evidence.Look, judge *evidence.Judge, backups int, questions func(int) evidence.Question) {
	v.evidence.timed(look, v.options.Clock.Now())
	log := v.log.V(1)
	if !log.Enabled() {
		return
	}
	verdicts := map[string]int{}
	for i := range backups {
		verdicts[judge.Verdict(questions(i)).String()]++
	}
	reads := look.Reads()
	log.Info("Looked at CBR", "pages", reads.Lists, "asked", reads.Singles, "allTasks", look.Tasks.Complete, "hidesTasks", look.Tasks.Hides,
		"hidesBackups", look.Backups.Narrowed, "verdicts", verdicts)
}

// awaitsQuietly notes that a backup that is not planned yet waits for the same as others: its status stays as it is.
func (v *cloudView) awaitsQuietly(backup *v1alpha1.BackupSync) {
	now := v.options.Clock.Now()
	v.pauses(backup, pause{since: now, until: v.evidence.together(now, now.Add(v.askAgain(0)))})
}

// pauses notes that a backup is not sent before CBR is asked again, and asks for the pass that does.
func (v *cloudView) pauses(backup *v1alpha1.BackupSync, why pause) {
	why.request = backupsync.RequestOf(backup)
	v.evidence.waits[cbr.Fold(backup.Spec.BackupID)] = why
	v.requeueAt(why.until)
}

// awaits notes that a backup is not sent before CBR is asked again.
func (v *cloudView) awaits(backup *v1alpha1.BackupSync, verdict evidence.Verdict, judge *evidence.Judge) {
	now, next := v.options.Clock.Now(), v.evidence.waits[cbr.Fold(backup.Spec.BackupID)]
	if next.since.IsZero() {
		next.since = now
	}
	next.until = v.evidence.together(now, now.Add(v.askAgain(now.Sub(next.since))))
	next.awaits, next.heldAs, next.overdue, next.unclear, next.refused = verdict.Kind == evidence.InProgress, "", "", "", false
	switch {
	case verdict.Kind == evidence.Unknown:
		next.unclear, next.refused = unclear(verdict)
	case verdict.Task == "":
		next.heldAs = string(verdict.Status)
	default:
		if began := judge.RunsSince(verdict.Task); v.overdueAfter() > 0 && !began.IsZero() && now.Sub(began) >= v.overdueAfter() {
			next.overdue = verdict.Task
		}
	}
	v.pauses(backup, next)
}

// askAgain is when CBR is asked again about what was open for a while.
func (s *scope) askAgain(open time.Duration) time.Duration {
	return max(duration(s.project.Spec.Poll.Interval, defaultPollInterval), min(open/pollAgeShare, slowestPoll))
}

// unclear says why nothing can be said of a backup, and reports whether that is the error which CBR answers with when asked for it.
func unclear(verdict evidence.Verdict) (why string, refused bool) {
	var failure *cbr.Error
	switch {
	case verdict.Err == nil:
		return verdict.Why, false
	case errors.As(verdict.Err, &failure) && failure.StatusCode != 0:
		return connection.Describe(verdict.Err), true
	default:
		return verdict.Why + " (" + connection.Describe(verdict.Err) + ")", false
	}
}

// dropLook drops a look that is not believed any more, which takes some 20 bytes for each backup in CBR, now or when it is time.
func (v *cloudView) dropLook() {
	v.evidence.prune(v.now)
	if look := v.evidence.fresh(v.options.Clock.Now()); look != nil {
		v.requeueAt(look.Began.Add(evidence.FreshFor))
	}
}

// undecided reports whether a backup can neither be sent after a verdict nor be told what has become of it.
func undecided(verdict evidence.Verdict, before string) bool {
	return verdict.Kind == evidence.Unknown || verdict.Kind == evidence.InProgress && !runsElsewhere(verdict, before)
}

// foldedIDs returns the backups of BackupSyncs.
func foldedIDs(backups []*v1alpha1.BackupSync) map[string]struct{} {
	ids := make(map[string]struct{}, len(backups))
	for _, backup := range backups {
		ids[cbr.Fold(backup.Spec.BackupID)] = struct{}{}
	}
	return ids
}

// runsElsewhere reports whether a verdict is that a task which is certainly the backup's is under way, other than one that it
// is known to have had: that of the import before is not followed again.
func runsElsewhere(verdict evidence.Verdict, before string) bool {
	return verdict.Kind == evidence.InProgress && verdict.Own && !verdict.Ended && verdict.Task != "" && verdict.Task != before
}
