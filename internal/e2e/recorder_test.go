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

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// version is an object as a watch showed it, and when it did: a little after it was written.
type version[T client.Object] struct {
	at     time.Time
	object T
}

// recorder keeps every version of the BackupSyncs and the CBRProject of a namespace. What they say is held against the
// cloud at the end: it keeps the times of all that it took.
type recorder struct {
	mutex    sync.Mutex
	backups  []version[*v1alpha1.BackupSync]
	projects []version[*v1alpha1.CBRProject]
	broken   error // of a watch
}

// record watches a namespace until the context ends.
func record(ctx context.Context, watcher client.WithWatch, namespace string) (*recorder, error) {
	r := &recorder{}
	for _, list := range []client.ObjectList{&v1alpha1.BackupSyncList{}, &v1alpha1.CBRProjectList{}} {
		events, err := testbed.Watch(ctx, watcher, namespace, list)
		if err != nil {
			return nil, err
		}
		go r.follow(ctx, events)
	}
	return r, nil
}

func (r *recorder) follow(ctx context.Context, events watch.Interface) {
	for event := range events.ResultChan() {
		r.add(event)
	}
	if ctx.Err() == nil {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.broken = errors.New("a watch has ended: what came then was not seen")
	}
}

func (r *recorder) add(event watch.Event) {
	now := time.Now()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch object := event.Object.(type) {
	case *v1alpha1.BackupSync:
		if event.Type != watch.Deleted { // its last version was seen before
			r.backups = append(r.backups, version[*v1alpha1.BackupSync]{now, object})
		}
	case *v1alpha1.CBRProject:
		r.projects = append(r.projects, version[*v1alpha1.CBRProject]{now, object})
	default:
		r.broken = fmt.Errorf("a watch shows %s %v", event.Type, event.Object)
	}
}

// readyOf returns the condition Ready, empty if there is none.
func readyOf(conditions []metav1.Condition) metav1.Condition {
	if ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil {
		return *ready
	}
	return metav1.Condition{}
}

// cloudHistory is what a simulator knows of all that ever happened to it.
type cloudHistory struct {
	ledger *cluster.Ledger
	tasks  map[string][]string // by the folded id of the backup
	usable map[string]time.Time
	broken map[string]time.Time
	first  time.Time // when it took the first backups, zero if never
	// refusals are when calls came that it refused, in whatever way; what is not found is not refused.
	refusals []time.Time
}

func historyOf(ctx context.Context, cloud *cluster.Simulator) (cloudHistory, error) {
	h := cloudHistory{tasks: map[string][]string{}, usable: map[string]time.Time{}, broken: map[string]time.Time{}}
	var err error
	if h.ledger, err = cloud.Ledger(ctx); err != nil {
		return h, err
	}
	for _, each := range h.ledger.Backups {
		h.tasks[cbr.Fold(each.BackupID)] = append(h.tasks[cbr.Fold(each.BackupID)], each.OperationLogIDs...)
	}
	stored, err := cloud.Stored(ctx)
	for _, each := range stored {
		if id := cbr.Fold(each.ID); cbr.BackupStatus(each.Status).Usable() {
			h.usable[id] = each.Since
		} else if each.Status == string(cbr.BackupError) {
			h.broken[id] = each.Since
		}
	}
	if err != nil {
		return h, err
	}
	calls, err := cloud.Calls(ctx, "")
	for _, call := range calls {
		if call.Accepted > 0 && h.first.IsZero() {
			h.first = call.Time
		}
		if call.Status >= http.StatusBadRequest && call.Status != http.StatusNotFound {
			h.refusals = append(h.refusals, call.Time)
		}
	}
	return h, err
}

// noticed returns the part of an outage in which the operator could know of it: none if it has asked for nothing.
func (h *cloudHistory) noticed(whole outage) outage {
	for _, at := range h.refusals {
		if !at.Before(whole.from) && at.Before(whole.to) {
			return outage{from: at, to: whole.to}
		}
	}
	return outage{from: whole.to, to: whole.to}
}

// since reports whether something was so at a time, and tells when it began.
func since(begun map[string]time.Time, id string, at time.Time) (bool, string) {
	from, ever := begun[id]
	switch {
	case !ever:
		return false, "never"
	case from.After(at):
		return false, fmt.Sprintf("only %s later", from.Sub(at).Round(time.Millisecond))
	default:
		return true, ""
	}
}

// expectation is what statuses may say in a scenario besides what always may be said.
type expectation struct {
	refused map[string]bool // folded ids of the backups that the cloud refuses
	anew    bool            // BackupSyncs are deleted and created again: what they find may be there already
	reasons []string        // of the project
	outages []outage
}

// outage is a time in which the cloud refuses what the operator needs.
type outage struct{ from, to time.Time }

// inTime is how long a project may go on being Ready after the first call that the cloud has refused, and after the operator has written what
// it found before: how long that takes is up to the machine.
const inTime = 5 * time.Second

// writing is the longest time between two writes of BackupSyncs that belong together.
const writing = time.Second

// written returns the part of an outage after the BackupSyncs were written that were being written as it began. The mutex is held.
func (r *recorder) written(cut outage) outage {
	for _, each := range r.backups { // those that tell of a call: others are the test's own
		if each.object.Status.OperationLogID != "" && each.at.After(cut.from) && each.at.Before(cut.from.Add(writing)) {
			cut.from = each.at
		}
	}
	return cut
}

// untruths returns all that the statuses have said and that was not so, a line for each, the same lines once.
func (r *recorder) untruths(cloud cloudHistory, expected expectation) []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var found []string
	imported := map[types.UID]bool{}
	for _, each := range r.backups {
		for _, untruth := range untrueOf(each, cloud, expected, imported) {
			found = append(found, fmt.Sprintf("%s BackupSync %s: %s", each.at.Format(time.TimeOnly), each.object.Name, untruth))
		}
	}
	for _, each := range r.projects {
		if untruth := untrueOfProject(each, cloud, expected); untruth != "" {
			found = append(found, fmt.Sprintf("%s CBRProject: %s", each.at.Format(time.TimeOnly), untruth))
		}
	}
	for _, whole := range expected.outages {
		each := r.written(cloud.noticed(whole))
		if ready := r.readyDuring(each); ready > inTime {
			found = append(found, fmt.Sprintf("CBRProject: Ready was True for %s of the %s from %s on, in which the cloud refused what is needed",
				ready.Round(time.Millisecond), each.to.Sub(each.from).Round(time.Millisecond), each.from.Format(time.TimeOnly)))
		}
	}
	if r.broken != nil {
		found = append(found, r.broken.Error())
	}
	return slices.Compact(found)
}

// untrueOf returns what a version of a BackupSync says and is not so. It notes which have been imported.
func untrueOf(seen version[*v1alpha1.BackupSync], cloud cloudHistory, expected expectation, imported map[types.UID]bool) []string {
	backup, status := seen.object, seen.object.Status
	ready := readyOf(status.Conditions)
	found := conditionsUntrue(status.Conditions, ready)
	say := func(format string, arguments ...any) { found = append(found, fmt.Sprintf(format, arguments...)) }
	if untruth := reasonUntrue(ready.Reason, cbr.Fold(backup.Spec.BackupID), seen.at, cloud, expected); untruth != "" {
		say("%s (%s)", untruth, ready.Message)
	}
	if status.Outcome != "" && string(status.Outcome) != ready.Reason {
		say("the outcome is %s, the reason %s", status.Outcome, ready.Reason)
	}
	if imported[backup.UID] && ready.Status != metav1.ConditionTrue {
		say("%s after it was imported", ready.Reason)
	}
	imported[backup.UID] = imported[backup.UID] || ready.Status == metav1.ConditionTrue
	if id := status.OperationLogID; id != "" && !slices.Contains(cloud.tasks[cbr.Fold(backup.Spec.BackupID)], id) {
		say("operationLogID %s is no task of it", id)
	}
	if status.SentHash != "" && status.SentHash != backupsync.Hash(&backup.Spec) {
		say("sentHash %s is not that of what was sent", status.SentHash)
	}
	// Of a task that was started for a BackupSync that is gone, nobody knows what was sent.
	if status.Outcome == v1alpha1.OutcomeImported && status.SentHash == "" && !expected.anew {
		say("Imported, but never sent: sentHash is absent")
	}
	if status.ObservedGeneration != -1 && status.ObservedGeneration != backup.Generation {
		say("observedGeneration is %d, of a manifest that was never edited", status.ObservedGeneration)
	}
	return found
}

// conditionsUntrue checks that the conditions are one set: at work, stuck, or done.
func conditionsUntrue(conditions []metav1.Condition, ready metav1.Condition) []string {
	stalled := meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
	reconciling := meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReconciling)
	drifted := meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionDrifted)
	want := map[metav1.ConditionStatus]string{
		metav1.ConditionTrue: "stalled false, reconciling false", metav1.ConditionFalse: "stalled true, reconciling false",
		metav1.ConditionUnknown: "stalled false, reconciling true",
	}[ready.Status]
	if got := fmt.Sprintf("stalled %t, reconciling %t", stalled, reconciling); got != want {
		return []string{fmt.Sprintf("Ready %s %s with %s", ready.Status, ready.Reason, got)}
	}
	if drifted {
		return []string{"Drifted, though no manifest was edited"}
	}
	return nil
}

// reasonUntrue returns what is wrong with the reason of a BackupSync's Ready, "" for nothing.
func reasonUntrue(reason, id string, at time.Time, cloud cloudHistory, expected expectation) string {
	switch reason {
	case v1alpha1.ReasonImported, v1alpha1.ReasonAlreadyImported:
		if reason == v1alpha1.ReasonAlreadyImported && !expected.anew {
			return "AlreadyImported, though nobody else imports"
		}
		if usable, instead := since(cloud.usable, id, at); !usable {
			return reason + ", though the cloud has it in a usable status " + instead
		}
	case v1alpha1.ReasonBackupUnusable:
		if broken, instead := since(cloud.broken, id, at); !broken {
			return reason + ", though the cloud has it in status error " + instead
		}
	case v1alpha1.ReasonRejected, v1alpha1.ReasonRetryScheduled:
		if !expected.refused[id] {
			return reason + ", though the cloud takes it"
		}
	case v1alpha1.ReasonOperationRunning, v1alpha1.ReasonAwaitingTask:
		if cloud.first.IsZero() || cloud.first.After(at) {
			return reason + ", though the cloud has started no task yet"
		}
	case v1alpha1.ReasonQueued, v1alpha1.ReasonOutcomeUnknown:
	default:
		return fmt.Sprintf("%q, which has no cause", reason)
	}
	return ""
}

func untrueOfProject(seen version[*v1alpha1.CBRProject], cloud cloudHistory, expected expectation) string {
	project := seen.object
	ready := readyOf(project.Status.Conditions)
	allowed := append([]string{v1alpha1.ReasonPending, v1alpha1.ReasonUsable}, expected.reasons...)
	if !slices.Contains(allowed, ready.Reason) {
		return fmt.Sprintf("the reason is %s (%s), not of %s", ready.Reason, ready.Message, strings.Join(allowed, ", "))
	}
	if project.Status.ObservedGeneration > project.Generation {
		return fmt.Sprintf("observedGeneration is %d, the generation %d", project.Status.ObservedGeneration, project.Generation)
	}
	if project.Status.Backups == nil {
		return ""
	}
	usable := 0
	for _, from := range cloud.usable {
		if !from.After(seen.at) {
			usable++
		}
	}
	if counted := int(project.Status.Backups.Imported); counted > usable {
		return fmt.Sprintf("counts %d imported, though the cloud has %d", counted, usable)
	}
	if counted := int(project.Status.Backups.Failed); counted > len(expected.refused) {
		return fmt.Sprintf("counts %d failed, though the cloud refuses %d", counted, len(expected.refused))
	}
	return ""
}

// readyDuring returns for how much of an outage the project said that it was Ready. The mutex is held.
func (r *recorder) readyDuring(cut outage) time.Duration {
	var total time.Duration
	for i, each := range r.projects {
		until := cut.to
		if i+1 < len(r.projects) && r.projects[i+1].at.Before(until) {
			until = r.projects[i+1].at
		}
		from := each.at
		if cut.from.After(from) {
			from = cut.from
		}
		if readyOf(each.object.Status.Conditions).Status == metav1.ConditionTrue && until.After(from) {
			total += until.Sub(from)
		}
	}
	return total
}

// projectReasons returns the reasons that the project has given, each time that they changed.
func (r *recorder) projectReasons() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var reasons []string
	for _, each := range r.projects {
		reasons = append(reasons, readyOf(each.object.Status.Conditions).Reason)
	}
	return slices.Compact(reasons)
}
