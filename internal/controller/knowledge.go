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
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// knowledge is what this process remembers of what CBR has shown of a cloud project, and of its own calls there.
type knowledge struct {
	// look is the latest complete look, nil if its absences are not believed any more.
	look *evidence.Look
	// pages is how many pages the list of CBR's backups had when it was last read, 0 before.
	pages int
	// narrowed says that the list of CBR's backups has been seen to hide some, hides that the list of its tasks has.
	narrowed, hides bool
	// capitals says that CBR has shown ids with capitals.
	capitals bool
	// slow says that the latest look took many single questions, perQuestion how long each of them took, and beside what else the look took; 0 if
	// that is not known.
	slow        bool
	perQuestion time.Duration
	beside      time.Duration
	// settled is when the latest calls that carried backups have settled, by folded id.
	settled map[string]time.Time
	// inherited is what another process has left in the journal.
	inherited inheritance
	// hidden are the ids of recorded calls whose tasks lists may hide. That holds until it is known what became of each of their backups,
	// whatever lists show by then.
	hidden map[string]struct{}
	// unclaimed are the backups that a lost call has brought to CBR while there was no BackupSync of them.
	unclaimed marks
	// waits are the backups that cannot be sent for what CBR shows, by folded id.
	waits map[string]pause
	// askedAt is when CBR is next asked again about some of them.
	askedAt time.Time
	// tasks are those that answers have named, by id.
	tasks map[string]namedTask
	// seen is when tasks were first seen as they are.
	seen sightings
	// dateLag is how far CBR's dates of tasks are behind its Date at most, as this process has seen; 0 if it has not. More than maxDateLag says that
	// they tell nothing.
	dateLag time.Duration
}

// overriddenBy reports whether a person asks for a backup for which CBR was not asked since.
func (w pause) overriddenBy(backup *v1alpha1.BackupSync) bool {
	return backupsync.Requested(backup) && backupsync.RequestOf(backup) != w.request
}

// sightings is when tasks were first seen as they are, by their keys (evidence.TaskList.Watched). It is replaced, and never changed.
type sightings map[evidence.TaskKey]firstSight

// firstSight is when so many tasks of a key were first seen.
type firstSight struct {
	at    time.Time
	count int
}

// after returns what is known after a look. Of several tasks that cannot be told apart, one more may be a new one.
func (s sightings) after(watched map[evidence.TaskKey]int, now time.Time) sightings {
	seen := make(sightings, len(watched))
	for key, count := range watched {
		before := s[key]
		if before.at.IsZero() || count > before.count {
			before.at = now
		}
		seen[key] = firstSight{at: before.at, count: count}
	}
	return seen
}

// pause is why a backup is not sent before CBR is asked again.
type pause struct {
	since, until time.Time
	awaits       bool   // a task may be its own import, or it is in a passing status
	heldAs       string // that status, without a task
	overdue      string // id of that task, if it takes too long
	unclear      string // why nothing can be said
	refused      bool   // CBR answers with that error when it is asked for the backup
	request      string // at the BackupSync, that CBR was asked for: another one does not wait
}

// namedTask is a task that an answer has named.
type namedTask struct {
	owner  evidence.Owner
	needed time.Time // when it last was a running BackupSync's
}

// namedTaskLife is how long a task is remembered after its backups have ended: as long as it may count as just ended.
const namedTaskLife = 15 * time.Minute

func newKnowledge() knowledge {
	return knowledge{settled: map[string]time.Time{}, hidden: map[string]struct{}{}, waits: map[string]pause{}, tasks: map[string]namedTask{}}
}

// forgetLists forgets what lists have shown and lacked, when they come to show something else.
func (k *knowledge) forgetLists() {
	k.look, k.pages, k.narrowed, k.hides, k.perQuestion, k.beside = nil, 0, false, false, 0, 0
}

// carried notes that a call with backups was made, and when it has settled.
func (k *knowledge) carried(items []v1alpha1.SubmittedItem, settled time.Time) {
	for _, item := range items {
		if id := cbr.Fold(item.BackupID); settled.After(k.settled[id]) {
			k.settled[id] = settled
		}
	}
}

// hide notes that lists may hide the tasks of calls, whatever they show from now on.
func (k *knowledge) hide(calls ...v1alpha1.Submission) {
	for _, call := range calls {
		k.hidden[call.ID] = struct{}{}
	}
}

const (
	// maxDateLag is the longest lag of CBR's dates with which they tell when a task ended.
	maxDateLag = 30 * time.Second
	// maxKnownLag is the longest that is kept: any that is longer than maxDateLag means the same.
	maxKnownLag = time.Hour
)

// learnDateLag takes in how far CBR's dates of tasks are behind its Date at most, by tasks that were seen to have ended. Of those that ended
// longer ago they tell nothing.
func (k *knowledge) learnDateLag(lag time.Duration) {
	if lag += evidence.DateResolution; lag <= maxDateLag {
		k.dateLag = max(k.dateLag, lag)
	}
}

// doubtDates takes in that a task had ended for so long by its date, when a poll that took some time began, which had been seen under way a shorter
// while before its end: what others have told is not true of every clock that dates tasks.
func (k *knowledge) doubtDates(endedFor, underWay, took time.Duration) {
	if endedFor-underWay-evidence.DateResolution > k.dateLag {
		k.dateLag = min(endedFor+took+evidence.DateResolution, maxKnownLag)
	}
}

// noteDateLag writes what is known of CBR's dates into a journal, unless it is known of another cloud.
func (c *connector) noteDateLag(journal *v1alpha1.Journal) {
	if lag := c.evidence.dateLagWith(journal.TaskDateLagMilliseconds); lag > 0 && c.target == c.claim.cloudProject {
		journal.TaskDateLagMilliseconds = new(lag.Milliseconds())
	}
}

// dateLagWith returns the lag that this process and those before it have seen, 0 if none has.
func (k *knowledge) dateLagWith(before *int64) time.Duration {
	if before == nil {
		return k.dateLag
	}
	return max(k.dateLag, time.Duration(min(*before, maxKnownLag.Milliseconds()))*time.Millisecond)
}

// usableLag returns a lag with which dates tell when a task ended, nil if they do not.
func usableLag(lag time.Duration) *time.Duration {
	if lag <= 0 || lag > maxDateLag {
		return nil
	}
	return &lag
}

// pruneWaits forgets why backups wait that are not pending any more.
func (k *knowledge) pruneWaits(pending ...[]*v1alpha1.BackupSync) {
	if len(k.waits) == 0 {
		return
	}
	left := make(map[string]pause, len(k.waits))
	for _, backups := range pending {
		for _, backup := range backups {
			id := cbr.Fold(backup.Spec.BackupID)
			if wait, waits := k.waits[id]; waits && !backup.Spec.Suspend {
				left[id] = wait
			}
		}
	}
	k.waits = left
}

// prune forgets what no decision can need any more.
func (k *knowledge) prune(now time.Time) {
	for id, settled := range k.settled {
		if now.Sub(settled) > 2*evidence.FreshFor { // any look that is believed began later
			delete(k.settled, id)
		}
	}
	for id, task := range k.tasks {
		if now.Sub(task.needed) > namedTaskLife {
			delete(k.tasks, id)
		}
	}
}

// manySingles is how many single questions make a look slow.
const manySingles = 100

// remember keeps what a look has shown.
func (k *knowledge) remember(look *evidence.Look, now time.Time) {
	k.look = look
	if look.Backups.Pages > 0 {
		k.pages = look.Backups.Pages
	}
	k.narrowed, k.hides = k.narrowed || look.Backups.Narrowed, k.hides || look.Tasks.Hides
	k.slow, k.capitals = look.Reads().Singles > manySingles, k.capitals || look.Backups.Capitals
	k.seen = k.seen.after(look.Tasks.Watched(), now)
}

// maxQuestions is how many single questions a look may take at the pace at which CBR may be read at worst, ten a second; fewQuestions tell
// how long one takes.
const maxQuestions, fewQuestions = 400, 20

// timed notes how long the questions of a look took that has just been taken. Where but few may be asked, few tell.
func (k *knowledge) timed(look *evidence.Look, now time.Time) {
	if asked := look.Backups.Asked; asked >= min(fewQuestions, k.questionsInTime()) {
		k.perQuestion = look.Backups.Asking / time.Duration(asked)
		k.beside = now.Sub(look.Began) - look.Backups.Asking
	}
}

// askingFor is how long single questions may take, and lookFor a look: what it shows is still to be believed when calls are made.
const askingFor, lookFor = evidence.FreshFor / 2, evidence.FreshFor - 15*time.Second

// questionsInTime is how many single questions a look may take, so that what it shows is still believed when it is over. One more is tried than
// surely fits: so it is seen when CBR answers faster again.
func (k *knowledge) questionsInTime() int {
	if k.perQuestion <= 0 {
		return maxQuestions
	}
	return int(min(maxQuestions, max(0, min(askingFor, lookFor-k.beside))/k.perQuestion+1))
}

// asksSingly reports whether looks take a question for each backup.
func (k *knowledge) asksSingly() bool { return k.narrowed || k.slow }

// fittingOneLook returns the first of some backups, or of some calls of several, at least one, about which a look may ask if looks take a question
// for each backup.
func fittingOneLook[T any](k *knowledge, all []T, backupIDs func(T) []string) []T {
	if !k.asksSingly() {
		return all
	}
	questions := 0
	for i, each := range all {
		for _, id := range backupIDs(each) {
			questions += evidence.Questions(id, k.capitals)
		}
		if i > 0 && questions > k.questionsInTime() {
			return all[:i]
		}
	}
	return all
}

// fresh returns the latest look if its absences are still believed, else nil.
func (k *knowledge) fresh(now time.Time) *evidence.Look {
	if k.look != nil && !k.look.Fresh(now) {
		k.look = nil
	}
	return k.look
}

// together returns when CBR is asked again about something that is to be asked about at a time: with others, if they are soon enough,
// so that what waits for the same goes in the same call. It waits for them for half as long again: what has waited longer is asked about
// more seldom, and would else have looks of its own.
func (k *knowledge) together(now, at time.Time) time.Time {
	latest := at.Add(at.Sub(now) / 2)
	if !k.askedAt.After(now) || k.askedAt.After(latest) {
		k.askedAt = at
	}
	return k.askedAt
}
