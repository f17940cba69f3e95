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
	"maps"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// ConditionSet tells which conditions go with a reason of Ready. Reconciling and Stalled are absent unless set here.
type ConditionSet struct {
	Ready       metav1.ConditionStatus
	Reconciling bool
	Stalled     bool
}

// The condition sets of both kinds.
var (
	inProgress = ConditionSet{Ready: metav1.ConditionUnknown, Reconciling: true}
	resting    = ConditionSet{Ready: metav1.ConditionUnknown}
	done       = ConditionSet{Ready: metav1.ConditionTrue}
	failed     = ConditionSet{Ready: metav1.ConditionFalse, Stalled: true}
)

// conditionSets are the rows of the condition table of BackupSync, by the reason of Ready.
var conditionSets = map[string]ConditionSet{
	v1alpha1.ReasonQueued:           inProgress,
	v1alpha1.ReasonAwaitingTask:     inProgress,
	v1alpha1.ReasonProjectNotFound:  inProgress,
	v1alpha1.ReasonSuspended:        resting,
	v1alpha1.ReasonOperationRunning: inProgress,
	v1alpha1.ReasonOperationOverdue: inProgress,
	v1alpha1.ReasonImported:         done,
	v1alpha1.ReasonAlreadyImported:  done,
	v1alpha1.ReasonBackupUnusable:   failed,
	v1alpha1.ReasonRejected:         failed,
	v1alpha1.ReasonRetryScheduled:   inProgress,
	v1alpha1.ReasonOperationFailed:  failed,
	v1alpha1.ReasonDuplicate:        failed,
	v1alpha1.ReasonOutcomeUnknown:   inProgress,
	v1alpha1.ReasonUnknownOutcome:   failed,
}

// Conditions returns the row of the condition table of BackupSync for a reason of Ready, and whether there is one.
func Conditions(reason string) (ConditionSet, bool) {
	row, known := conditionSets[reason]
	return row, known
}

// Reasons are all reasons of Ready of a BackupSync, in order.
func Reasons() []string { return slices.Sorted(maps.Keys(conditionSets)) }

// Apply returns the conditions of an object with those of a reason of Ready. The times of those whose status stays are
// kept, and so are conditions of other types. The arguments are not changed.
func (s ConditionSet) Apply(of *metav1.ObjectMeta, current []metav1.Condition, reason, message string, now metav1.Time) []metav1.Condition {
	conditions := dated(current, of.CreationTimestamp)
	message = CleanMessage(message)
	set(&conditions, of, v1alpha1.ConditionReady, s.Ready, reason, message, now)
	setOrRemove(&conditions, of, v1alpha1.ConditionReconciling, s.Reconciling, reason, message, now)
	setOrRemove(&conditions, of, v1alpha1.ConditionStalled, s.Stalled, reason, message, now)
	return conditions
}

func set(conditions *[]metav1.Condition, of *metav1.ObjectMeta, kind string, status metav1.ConditionStatus, reason, message string, now metav1.Time) {
	meta.SetStatusCondition(conditions, metav1.Condition{Type: kind, Status: status, Reason: reason,
		Message: message, ObservedGeneration: of.Generation, LastTransitionTime: now})
}

func setOrRemove(conditions *[]metav1.Condition, of *metav1.ObjectMeta, kind string, present bool, reason, message string, now metav1.Time) {
	if present {
		set(conditions, of, kind, metav1.ConditionTrue, reason, message, now)
	} else {
		meta.RemoveStatusCondition(conditions, kind)
	}
}

// dated returns a copy of conditions. Those of the CRD's default status, which cannot tell the time, get that of the object's
// creation.
func dated(conditions []metav1.Condition, created metav1.Time) []metav1.Condition {
	known := slices.Clone(conditions)
	for i := range known {
		if known[i].LastTransitionTime.Unix() == 0 {
			known[i].LastTransitionTime = created
		}
	}
	return known
}

// CleanMessage makes a text from anywhere fit for a condition: printable, on one line, bounded.
func CleanMessage(text string) string { return clean(text, v1alpha1.MaxMessageLength) }

// maxQuoted bounds what a message quotes of CBR, so that what to do still fits.
const maxQuoted = 120

// Quote makes what a server says fit to be quoted in a message.
func Quote(text string) string { return clean(text, maxQuoted) }

// Printable returns what is shown in the place of a character: a space for any space, -1 for what drives a terminal or cannot be seen.
func Printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case r == unicode.ReplacementChar || !unicode.IsPrint(r):
		return -1
	default:
		return r
	}
}

func clean(text string, longest int) string {
	text = strings.Map(Printable, strings.ToValidUTF8(text, ""))
	characters := []rune(strings.Join(strings.Fields(text), " "))
	if len(characters) > longest {
		return strings.TrimSpace(string(characters[:longest-1])) + "…"
	}
	return string(characters)
}
