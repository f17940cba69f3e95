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

package backupsync

import (
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"testing"

	kstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// facts are those by which the operator decides about a BackupSync, each with the values that make a difference.
type facts struct {
	outcome                               v1alpha1.Outcome
	operation, finished, retry, saidError bool
	sentHash                              string
	attempts                              int32
	request                               request
	suspended, observed                   bool
}

// request is whether a person has asked for another try.
type request string

const (
	none  request = "none"
	unmet request = "unmet"
	met   request = "met"
)

var (
	everyRequest = []request{none, unmet, met}
	everyHash    = []string{"", itsHash, editedHash, unknownHash}
	everyOutcome = []v1alpha1.Outcome{"", v1alpha1.OutcomeImported, v1alpha1.OutcomeAlreadyImported, v1alpha1.OutcomeBackupUnusable,
		v1alpha1.OutcomeRejected, v1alpha1.OutcomeOperationFailed, v1alpha1.OutcomeDuplicate, unknownValue}
)

// backup returns a BackupSync with the facts, and the conditions of a new one.
func (f facts) backup() *v1alpha1.BackupSync {
	backup := newBackup()
	backup.Generation = 2
	backup.Spec.Suspend = f.suspended
	status := &backup.Status
	status.Outcome, status.SentHash, status.Attempts = f.outcome, f.sentHash, f.attempts
	if f.operation {
		status.OperationLogID, status.SubmittedTime = "operation", &noon
	}
	if f.finished {
		status.FinishedTime = &noon
	}
	if f.retry {
		due := afterNoon(2)
		status.NextAttemptTime = &due
	}
	if f.saidError {
		status.LastError = "CBR said no"
	}
	if f.observed {
		status.ObservedGeneration = backup.Generation
	}
	switch f.request {
	case unmet:
		backup.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: "now"}
		status.LastHandledRequest = "before"
	case met:
		backup.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: "before"}
		status.LastHandledRequest = "before"
	}
	return backup
}

// everyFacts are all combinations, with an outcome, of facts: of those, too, that the operator never writes.
func everyFacts(outcome v1alpha1.Outcome) iter.Seq[facts] {
	const flags = 6
	return func(yield func(facts) bool) {
		for bits := range 1 << flags {
			flag := func(i int) bool { return bits>>i&1 == 1 }
			each := facts{outcome: outcome, operation: flag(0), finished: flag(1), retry: flag(2), saidError: flag(3), suspended: flag(4), observed: flag(5)}
			for _, each.sentHash = range everyHash {
				for _, each.attempts = range []int32{0, 2} {
					for _, each.request = range everyRequest {
						if !yield(each) {
							return
						}
					}
				}
			}
		}
	}
}

// everyCircumstances are all combinations of circumstances.
func everyCircumstances() []Circumstances {
	var all []Circumstances
	for bits := range 1 << 5 {
		flag := func(i int) bool { return bits>>i&1 == 1 }
		given := Circumstances{ProjectMissing: flag(0), InCall: flag(1), AwaitsTask: flag(2), Overdue: flag(3)}
		if flag(4) {
			given.Owner = "erp-00"
		}
		all = append(all, given)
	}
	return all
}

// reasonsOf are the reasons of Ready that each state may have.
var reasonsOf = map[State][]string{
	Pending: {v1alpha1.ReasonQueued, v1alpha1.ReasonAwaitingTask, v1alpha1.ReasonProjectNotFound, v1alpha1.ReasonSuspended,
		v1alpha1.ReasonRetryScheduled, v1alpha1.ReasonDuplicate, v1alpha1.ReasonOutcomeUnknown},
	Running:  {v1alpha1.ReasonOperationRunning, v1alpha1.ReasonOperationOverdue, v1alpha1.ReasonProjectNotFound},
	Imported: {v1alpha1.ReasonImported, v1alpha1.ReasonAlreadyImported},
	Failed: {v1alpha1.ReasonBackupUnusable, v1alpha1.ReasonRejected, v1alpha1.ReasonOperationFailed, v1alpha1.ReasonDuplicate,
		v1alpha1.ReasonUnknownOutcome,
		// One that was a duplicate, and has no owner any more: Waiting makes it pending.
		v1alpha1.ReasonQueued, v1alpha1.ReasonAwaitingTask, v1alpha1.ReasonProjectNotFound, v1alpha1.ReasonSuspended, v1alpha1.ReasonOutcomeUnknown},
}

// Whatever stands in the status and in the spec, in whatever circumstances: it has a state, a reason and conditions, they
// are those of the design's table, and writing them settles down.
func TestEveryCombinationOfFacts(t *testing.T) {
	circumstances := everyCircumstances()
	for _, outcome := range everyOutcome {
		t.Run("outcome "+string(outcome), func(t *testing.T) {
			t.Parallel()
			c := checker{t: t, seen: map[string]struct{}{}}
			for each := range everyFacts(outcome) {
				backup := each.backup()
				before := backup.DeepCopy()
				c.shown = map[string]*v1alpha1.BackupSync{}
				for _, given := range circumstances {
					c.name = func() string { return fmt.Sprintf("%+v, %+v", each, given) }
					c.check(backup, given)
				}
				if !reflect.DeepEqual(backup, before) {
					t.Fatalf("%s: the argument was changed", c.name())
				}
			}
		})
	}
}

// checker checks BackupSyncs. It remembers which conditions it has shown to Flux, and those of one BackupSync by their reason.
type checker struct {
	t     *testing.T
	name  func() string
	seen  map[string]struct{}
	shown map[string]*v1alpha1.BackupSync
}

func (c *checker) expect(holds bool, what string, args ...any) {
	if !holds {
		c.t.Helper()
		c.t.Fatalf("%s: %s", c.name(), fmt.Sprintf(what, args...))
	}
}

func (c *checker) check(backup *v1alpha1.BackupSync, given Circumstances) {
	c.t.Helper()
	state, reason := StateOf(backup), ReasonOf(backup, given)
	wanted, known := conditionTable[reason]
	c.expect(known, "the reason %q is not in the table", reason)
	c.expect(slices.Contains(reasonsOf[state], reason), "a %s one is %s", state, reason)
	if shown := c.shown[reason]; shown != nil { // the circumstances make the reason, and nothing else
		c.expect(Presented(shown, given), "the conditions of another circumstance with the same reason are not right")
		return
	}
	Presented(backup, given)
	Settled(backup)

	shown := Present(backup, given, noon)
	c.shown[reason] = shown
	c.expect(sameButConditions(backup, shown), "to write the conditions changed facts")
	c.expect(Presented(shown, given), "the conditions that were written are not seen")
	c.expect(sameConditions(Present(shown, given, afterNoon(1)), shown), "to write the same conditions again changes something")
	c.expect(Settled(shown) == wantsNothing(shown), "settled: %v", Settled(shown))
	c.checkConditions(shown, wanted, reason)
	c.checkOutcomes(backup, given)
}

// wantsNothing reports whether a BackupSync, whose conditions are right, waits for a person or CBR alone.
func wantsNothing(backup *v1alpha1.BackupSync) bool {
	unmet := backup.Annotations[v1alpha1.RequestedAtAnnotation] != "" &&
		backup.Annotations[v1alpha1.RequestedAtAnnotation] != backup.Status.LastHandledRequest
	renewed := unmet || backup.Status.SentHash == editedHash
	switch backup.Status.Outcome {
	case "", v1alpha1.OutcomeDuplicate:
		return false
	case v1alpha1.OutcomeRejected, v1alpha1.OutcomeOperationFailed:
		return !renewed
	default:
		return !unmet
	}
}

// checkConditions holds the conditions of a BackupSync against a row of the table, and shows them to Flux.
func (c *checker) checkConditions(shown *v1alpha1.BackupSync, wanted row, reason string) {
	c.t.Helper()
	status := &shown.Status
	drifted := status.SentHash == editedHash && // it declares another item than was sent
		(status.Outcome == v1alpha1.OutcomeImported || status.Outcome == "" && status.OperationLogID != "" && status.FinishedTime == nil)
	found := conditionsOf(shown)
	key := fmt.Sprint(found, reason, drifted)
	if _, seen := c.seen[key]; seen {
		return
	}
	c.seen[key] = struct{}{}
	if expected := wanted.conditions(reason, drifted); !maps.Equal(found, expected) {
		c.t.Fatalf("%s: the conditions are %v, want %v", c.name(), found, expected)
	}
	for _, condition := range status.Conditions {
		c.expect(condition.Message != "" && condition.ObservedGeneration == shown.Generation, "%s: %+v", condition.Type, condition)
	}
	c.expect(kstatusOf(c.t, shown) == wanted.flux, "Flux takes it for %s", kstatusOf(c.t, shown))
	edited := shown.DeepCopy()
	edited.Generation++
	c.expect(kstatusOf(c.t, edited) == kstatus.InProgressStatus, "edited, Flux takes it for %s", kstatusOf(c.t, edited))
}

// checkOutcomes applies what is told of all BackupSyncs alike, and expects that it is told once.
func (c *checker) checkOutcomes(backup *v1alpha1.BackupSync, given Circumstances) {
	c.t.Helper()
	later := afterNoon(1)
	if next := Waiting(backup, given, noon); next != nil {
		c.expect(Waiting(next, given, later) == nil, "that it waits is written twice")
		c.expect(Presented(next, given), "its conditions do not tell that it waits")
	}
	if next := Acknowledged(backup, given, noon); next != nil {
		c.expect(Acknowledged(next, given, later) == nil, "that it is acknowledged is written twice")
		c.expect(Presented(next, given), "its conditions are not those of its facts")
	}
	if next := Requeued(backup, noon); next != nil {
		c.expect(Requeued(next, later) == nil, "it is queued again twice")
		c.expect(next.Status.Outcome == "" && next.Status.Attempts == 0, "queued again, it is %+v", next.Status)
	}
	if backup.Status.Outcome == unknownValue {
		c.expect(StateOf(backup) == Failed && ReasonOf(backup, given) == v1alpha1.ReasonUnknownOutcome && Requeued(backup, noon) == nil,
			"an unknown outcome is guessed at")
	}
}

// sameButConditions reports whether a BackupSync with other conditions is else the same.
func sameButConditions(backup, shown *v1alpha1.BackupSync) bool {
	a, b := backup.Status, shown.Status
	a.Conditions, a.ObservedGeneration, a.BackupTime = nil, 0, nil
	b.Conditions, b.ObservedGeneration, b.BackupTime = nil, 0, nil
	return reflect.DeepEqual(&a, &b)
}

func sameConditions(a, b *v1alpha1.BackupSync) bool {
	if len(a.Status.Conditions) != len(b.Status.Conditions) {
		return false
	}
	for i := range a.Status.Conditions {
		if a.Status.Conditions[i] != b.Status.Conditions[i] {
			return false
		}
	}
	return true
}

// The rule at stake: an object without conditions counts as done.
func TestKstatusOfAnObjectThatNobodyHasSeen(t *testing.T) {
	g := NewWithT(t)
	g.Expect(kstatusOf(t, newBackup())).To(Equal(kstatus.InProgressStatus))
	bare := newBackup(func(b *v1alpha1.BackupSync) { b.Status.Conditions = nil })
	g.Expect(kstatusOf(t, bare)).To(Equal(kstatus.InProgressStatus), "observedGeneration -1 alone keeps it from being done")
	bare.Status = v1alpha1.BackupSyncStatus{}
	g.Expect(kstatusOf(t, bare)).To(Equal(kstatus.CurrentStatus), "if this has changed, the default status is not needed any more")
}

// Drifted is told besides Ready: for Flux nothing changes by it.
func TestKstatusDoesNotSeeDrift(t *testing.T) {
	g := NewWithT(t)
	for reason, live := range lives {
		backup := live.backup()
		backup.Status.ObservedGeneration = backup.Generation
		g.Expect(kstatusOf(t, backup)).To(Equal(conditionTable[reason].flux), reason)
		backup.Status.Conditions = append(backup.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionDrifted, Status: metav1.ConditionTrue})
		g.Expect(kstatusOf(t, backup)).To(Equal(conditionTable[reason].flux), "%s, drifted", reason)
		now := metav1.Now()
		backup.DeletionTimestamp = &now
		g.Expect(kstatusOf(t, backup)).To(Equal(kstatus.TerminatingStatus), reason)
	}
	g.Expect(lives).To(HaveLen(len(conditionTable)))
}
