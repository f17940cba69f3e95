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
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// behaviour is how the cloud of a script behaves: some of what is documented, or not excluded. The zero value is a cloud that does
// as one would wish.
type behaviour struct {
	SharedTasks, NameFirst, HideBackup, HideResource bool
	FoldCase, Capitals                               bool // Capitals: manifests spell ids so
	StartTimeIsStart, FailedInError, NarrowLists     bool
	ListShift, MaxPage                               int
	Count                                            cbrtest.Count
	VisibleAfter, TaskDuration, StoredAfter          time.Duration // StoredAfter: the end of its task
	Dates, Gateway                                   time.Duration // how far the clocks are ahead by which it dates tasks, and its answers
	Missing                                          int           // which of missingAnswers says that there is no task or backup
	Held                                             []holding
	Failing                                          []failing
	Refused, Unreadable                              []refusedItem
	Retries                                          int32
}

// holding is a backup that CBR has from the start.
type holding struct {
	Number int
	Status cbr.BackupStatus
}

// failing is a backup whose first tasks fail.
type failing struct {
	Number, Times int
	Status        cbr.TaskStatus
}

// refusedItem is a backup that CBR does not take, or cannot be asked for, for a time from the start; for ever, if that is 0.
type refusedItem struct {
	Number int
	Answer cbrtest.APIError
	For    time.Duration
}

func (b *behaviour) String() string {
	return strings.ReplaceAll(fmt.Sprintf("%+v", *b), " Retries", "\n Retries")
}

// rarely draws true in about one of so many cases.
func rarely(t *rapid.T, name string, of int) bool { return rapid.IntRange(1, of).Draw(t, name) == of }

// oneOf draws one of some values, the first one more often than not.
func oneOf[T any](t *rapid.T, name string, values ...T) T {
	if !rarely(t, name+" differs", 3) {
		return values[0]
	}
	return rapid.SampledFrom(values).Draw(t, name)
}

func drawBehaviour() *rapid.Generator[behaviour] {
	return rapid.Custom(func(t *rapid.T) behaviour {
		b := behaviour{
			SharedTasks: rarely(t, "shared", 3), NameFirst: rarely(t, "name first", 2), HideBackup: rarely(t, "hide backup", 4),
			HideResource: rarely(t, "hide resource", 4), FoldCase: rarely(t, "fold", 3), Capitals: rarely(t, "capitals", 3),
			StartTimeIsStart: rarely(t, "start", 3), FailedInError: rarely(t, "in error", 3), NarrowLists: rarely(t, "narrow", 4),
			MaxPage: oneOf(t, "max page", 0, 2, 3, 5), Count: oneOf(t, "count", cbrtest.CountAll, cbrtest.CountMissing, cbrtest.CountPage, cbrtest.CountZero, cbrtest.CountText),
			// Both are counted from the acceptance, which may come propertyCall after its caller has lost the connection.
			VisibleAfter: oneOf(t, "visible after", 0, time.Second, propertySettle-propertyCall-10*time.Millisecond),
			TaskDuration: oneOf(t, "duration", 3*time.Second, 0, 30*time.Second, 5*time.Minute),
			StoredAfter:  oneOf(t, "stored after", 0, time.Second, propertySettle-time.Second),
			Dates:        oneOf(t, "dates", 0, -25*time.Second, -40*time.Second, 8*time.Hour),
			Gateway:      oneOf(t, "gateway", 0, 10*time.Second, -10*time.Minute),
			Missing:      oneOf(t, "missing", 0, 1, 4, 5, 6), Retries: int32(oneOf(t, "retries", 0, 1, 3)),
		}
		if b.Count == cbrtest.CountAll { // a list that moves is told from its count alone: package evidence
			b.ListShift = oneOf(t, "shift", 0, 1, 2)
		}
		drawItems(t, &b)
		return b
	})
}

// drawItems draws what is special about single backups.
func drawItems(t *rapid.T, b *behaviour) {
	number := rapid.IntRange(0, maxModelBackups-1)
	for range oneOf(t, "held", 0, 1, 3) {
		status := rapid.SampledFrom(slices.Concat(usableStatuses, passingStatuses, []cbr.BackupStatus{cbr.BackupError})).Draw(t, "status")
		b.Held = append(b.Held, holding{number.Draw(t, "number"), status})
	}
	for range oneOf(t, "failing", 0, 1, 3) {
		status := rapid.SampledFrom([]cbr.TaskStatus{cbr.TaskFailed, cbr.TaskTimeout, cbr.TaskSkipped}).Draw(t, "status")
		b.Failing = append(b.Failing, failing{number.Draw(t, "number"), rapid.IntRange(1, 2).Draw(t, "times"), status})
	}
	for range oneOf(t, "refused", 0, 1, 2) {
		b.Refused = append(b.Refused, refusedItem{number.Draw(t, "number"), rapid.SampledFrom(poisons).Draw(t, "answer"), drawLength(t)})
	}
	for range oneOf(t, "unreadable", 0, 1, 2) {
		b.Unreadable = append(b.Unreadable, refusedItem{number.Draw(t, "number"), rapid.SampledFrom(unreadableAnswers).Draw(t, "answer"), drawLength(t)})
	}
}

func drawLength(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, 10 * time.Second, 10 * time.Minute, time.Hour}).Draw(t, "for")
}

// behave has the cloud of a world behave in a way.
func (w *world) behave(b behaviour) {
	w.behaviour = b
	began := time.Now()
	w.configure(func(o *cbrtest.Options) {
		o.SharedTaskIDs, o.NameFirst, o.HideTaskBackup, o.HideTaskResource = b.SharedTasks, b.NameFirst, b.HideBackup, b.HideResource
		o.FoldCase, o.StartTimeIsStart, o.FailedInError, o.NarrowLists = b.FoldCase, b.StartTimeIsStart, b.FailedInError, b.NarrowLists
		o.ListShift, o.MaxPage, o.Count, o.VisibleAfter, o.TaskDuration = b.ListShift, b.MaxPage, b.Count, b.VisibleAfter, b.TaskDuration
		o.TimeOffset, o.ClockOffset = b.Dates, b.Gateway
		missing := missingAnswers[b.Missing]
		if o.BackupNotFound = &missing; strings.HasPrefix(missing.Code, "BackupService.") {
			o.TaskNotFound = &missing
		}
		o.Reject = func(item cbr.Backup) *cbrtest.APIError { return refusalOf(b.Refused, item.ID, began) }
		o.GetError = func(id string) *cbrtest.APIError { return refusalOf(b.Unreadable, id, began) }
	})
	w.endsAs(func(item cbr.Backup) cbrtest.Outcome {
		tries := len(w.audit.taken[cbr.Fold(item.ID)])
		for _, each := range b.Failing {
			if cbr.Fold(itemOf(each.Number).ID) == cbr.Fold(item.ID) && tries < each.Times {
				return cbrtest.Outcome{Status: each.Status, Code: "BackupService.1006"}
			}
		}
		return cbrtest.Outcome{BackupAfter: b.StoredAfter}
	})
	if w.observe == v1alpha1.LookupBeforeFirstSubmission { // nobody looks otherwise: the policy takes that risk
		for _, each := range b.Held {
			w.hold(itemOf(each.Number).ID, string(each.Status))
		}
	}
	w.editProject(func(spec *v1alpha1.CBRProjectSpec) {
		spec.Retry.Limit, spec.Poll.OverdueAfter.Duration = &b.Retries, time.Hour // tasks that nobody knows end before that: package evidence
	})
}

func refusalOf(items []refusedItem, id string, began time.Time) *cbrtest.APIError {
	for _, each := range items {
		if cbr.Fold(itemOf(each.Number).ID) == cbr.Fold(id) && (each.For == 0 || time.Since(began) < each.For) {
			return &each.Answer
		}
	}
	return nil
}

// spell is the id of a backup as manifests spell it.
func (b *behaviour) spell(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	if b.Capitals {
		backup.Spec.BackupID = strings.ToUpper(backup.Spec.BackupID)
	}
	return backup
}

// outages are what all calls may meet for a while.
var outages = []cbrtest.Refusal{
	{Calls: cbrtest.Imports, APIError: cbrtest.APIError{Status: 400, Code: "BackupService.6114"}},
	{APIError: cbrtest.APIError{Status: 401, Code: "APIGW.0307"}},
	{APIError: cbrtest.APIError{Status: 403, Message: "Policy doesn't allow {action} to be performed."}},
	{Calls: cbrtest.Imports, APIError: cbrtest.APIError{Status: 403, Message: "Policy doesn't allow {action} to be performed."}},
	{Calls: cbrtest.Calls(cbr.OperationListTasks), APIError: cbrtest.APIError{Status: 403, Message: "Policy doesn't allow {action} to be performed."}},
	{Calls: cbrtest.Reads, APIError: cbrtest.APIError{Status: 403, Shape: cbrtest.ShapeHTML}},
	{APIError: cbrtest.APIError{Status: 502, Shape: cbrtest.ShapeHTML}},
	{Calls: cbrtest.Imports, APIError: cbrtest.APIError{Status: 400, Shape: cbrtest.ShapeHTML}},
	{Calls: cbrtest.Reads, APIError: cbrtest.APIError{Status: 400, Shape: cbrtest.ShapeOpenStack}},
	{Calls: cbrtest.Calls(cbr.OperationListBackups), APIError: cbrtest.APIError{Status: 500, Code: "BackupService.9910"}},
	{Calls: cbrtest.Calls(cbr.OperationGetBackup), APIError: cbrtest.APIError{Status: 500, Code: "BackupService.9910"}},
	{Calls: cbrtest.Imports, APIError: cbrtest.APIError{Status: 400, Code: "BackupService.7302"}},
	{Calls: cbrtest.Imports, APIError: cbrtest.APIError{Status: 404, Code: "APIGW.0101"}},
	{APIError: cbrtest.APIError{Status: 429, Code: "APIGW.0308"}},
}

// disturb begins an outage, or ends one; or a person deletes a backup in CBR, or asks for another import.
func (w *world) disturb(m move) {
	id, name := itemOf(int(m.Which)%w.created).ID, fmt.Sprintf("b%d", int(m.Which)%w.created)
	switch {
	case m.How < 8:
		refusal := outages[(int(m.How)+8*int(m.Which))%len(outages)]
		refusal.Until = time.Now().Add([]time.Duration{2 * time.Second, 20 * time.Second, 5 * time.Minute, 2 * time.Hour}[m.How%4])
		w.note("outage: %+v", refusal)
		w.configure(func(o *cbrtest.Options) { o.Refusals = []cbrtest.Refusal{refusal} })
	case m.How < 11:
		w.note("%s is deleted in CBR", id)
		w.removeInCBR(id)
	case m.How < 14:
		w.request(kindBackup, name)
	default:
		w.request(kindProject, firstProject)
	}
}

// heal ends what CBR does not do for ever: outages, lists that move, and passing statuses.
func (w *world) heal() {
	w.note("the cloud is well again")
	w.configure(func(o *cbrtest.Options) { o.Refusals, o.ListShift = nil, 0 })
	w.audit.mutex.Lock()
	var passing []string
	for id, status := range w.audit.held {
		if slices.Contains(passingStatuses, cbr.BackupStatus(status)) {
			passing = append(passing, id)
		}
	}
	w.audit.mutex.Unlock()
	for i, id := range slices.Sorted(slices.Values(passing)) {
		if w.removeInCBR(id); i%2 == 0 {
			w.hold(id, string(cbr.BackupAvailable))
		}
	}
}

// excused tells why a backup need not be imported in the end, "" if it must be.
func (w *world) excused(backup *v1alpha1.BackupSync) string {
	id, b := cbr.Fold(backup.Spec.BackupID), &w.behaviour
	of := func(number int) bool { return cbr.Fold(itemOf(number).ID) == id }
	switch failed := backupsync.StateOf(backup) == backupsync.Failed; {
	case slices.ContainsFunc(b.Refused, func(each refusedItem) bool {
		return of(each.Number) && (each.For == 0 || failed) // whoever was refused for long enough may wait for a person
	}):
		return "CBR has refused it"
	case slices.ContainsFunc(b.Unreadable, func(each refusedItem) bool { return of(each.Number) && each.For == 0 }):
		return "CBR cannot be asked for it"
	case failed && slices.ContainsFunc(b.Failing, func(each failing) bool { return of(each.Number) }):
		return "its task has failed"
	case failed && slices.ContainsFunc(b.Held, func(each holding) bool { return of(each.Number) && each.Status == cbr.BackupError }):
		return "CBR holds it in error"
	case failed && b.SharedTasks && len(b.Failing) > 0:
		return "the task of its call may have failed"
	}
	return ""
}

// stuck tells what has not come to its end though the cloud has been well for long, "" if all has.
func (w *world) stuck() string {
	excused := map[string]bool{}
	for _, backup := range w.server.backups() {
		excused[cbr.Fold(backup.Spec.BackupID)] = w.excused(backup) != ""
		ended := backupsync.StateOf(backup) == backupsync.Imported && !backupsync.Reimport(backup)
		if !ended && !excused[cbr.Fold(backup.Spec.BackupID)] {
			ready := readyOf(backup.Status.Conditions)
			return fmt.Sprintf("%s is stuck: %s (%s); the project is %s", backup.Name, ready.Reason, ready.Message, w.projectReason())
		}
		known := backup.Status.OperationLogID
		if ids := w.cloud.OperationLogIDs(backup.Spec.BackupID); known != "" && !slices.Contains(ids, known) && !w.behaviour.tellsLittle() {
			return fmt.Sprintf("%s names the task %q, not one of %v", backup.Name, known, ids)
		}
	}
	for _, record := range w.project().Status.Journal.Submissions {
		for _, item := range record.Items {
			if !excused[cbr.Fold(item.BackupID)] {
				return fmt.Sprintf("%s stays recorded", item.BackupID)
			}
		}
	}
	return ""
}

// tellsLittle reports whether the tasks of CBR do not tell whose they are.
func (b *behaviour) tellsLittle() bool { return b.SharedTasks || b.HideBackup }

// patience is how long everything may take in the end. The longest wait of one step is an hour, and where a permission is lacking, for
// one backup perhaps, a call is made every 15 minutes; two processes that are both active learn from half of them each.
const patience = 48 * time.Hour

// settleWell heals the cloud and lets everything come to its end: by the processes as they are, of which a lease leaves one in the end,
// or by a new one that is left alone. It returns what does not.
func (w *world) settleWell(alone bool) string {
	if alone {
		w.kill(w.actors[0])
		w.restart(1)
	}
	w.quieten()
	w.heal()
	left, end := "", time.Now().Add(patience)
	for range maxSteps {
		w.turn()
		late := w.underWay(func() int { return len(w.late) })
		if left = w.stuck(); left == "" && late == 0 || w.audit.findings() != "" || alone && time.Now().After(end) {
			return left
		}
		if time.Now().After(end) {
			w.kill(w.actors[0])
			alone, end = true, time.Now().Add(patience)
		}
		w.mutex.Lock()
		wait := w.untilDue(w.actors[:]...)
		w.mutex.Unlock()
		time.Sleep(wait)
	}
	return left + ", with passes without end"
}
