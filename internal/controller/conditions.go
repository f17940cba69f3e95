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
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// shape says which conditions go with a reason. Reconciling, Stalled and Submitted are absent unless set here.
type shape struct {
	ready       metav1.ConditionStatus
	reconciling bool
	stalled     bool
	submitted   bool
}

// backupShapes are the rows of the condition table of BackupSync, by the reason of Ready.
var backupShapes = map[string]shape{
	v1alpha1.ReasonQueued:            {ready: metav1.ConditionUnknown, reconciling: true},
	v1alpha1.ReasonWaitingForProject: {ready: metav1.ConditionUnknown, reconciling: true},
	v1alpha1.ReasonSuspended:         {ready: metav1.ConditionUnknown},
	v1alpha1.ReasonOperationRunning:  {ready: metav1.ConditionUnknown, reconciling: true, submitted: true},
	v1alpha1.ReasonImported:          {ready: metav1.ConditionTrue, submitted: true},
	v1alpha1.ReasonAlreadyImported:   {ready: metav1.ConditionTrue},
	v1alpha1.ReasonRejected:          {ready: metav1.ConditionFalse, stalled: true},
	v1alpha1.ReasonRetryScheduled:    {ready: metav1.ConditionUnknown, reconciling: true, submitted: true},
	v1alpha1.ReasonOperationFailed:   {ready: metav1.ConditionFalse, stalled: true, submitted: true},
	v1alpha1.ReasonDuplicate:         {ready: metav1.ConditionFalse, stalled: true},
	v1alpha1.ReasonOutcomeUnknown:    {ready: metav1.ConditionUnknown, reconciling: true},
}

// projectShapes are the same for CBRProject. What a person must mend is Stalled; what may pass is Reconciling.
var projectShapes = map[string]shape{
	v1alpha1.ReasonReady:               {ready: metav1.ConditionTrue},
	v1alpha1.ReasonSuspended:           {ready: metav1.ConditionUnknown},
	v1alpha1.ReasonCredentialsMissing:  {ready: metav1.ConditionFalse, stalled: true},
	v1alpha1.ReasonCredentialsRejected: {ready: metav1.ConditionFalse, stalled: true},
	v1alpha1.ReasonEndpointNotAllowed:  {ready: metav1.ConditionFalse, stalled: true},
	v1alpha1.ReasonEndpointUnavailable: {ready: metav1.ConditionFalse, reconciling: true},
	v1alpha1.ReasonThrottled:           {ready: metav1.ConditionUnknown, reconciling: true},
}

const submittedMessage = "CBR has accepted the backup."

// applyConditions returns the conditions of an object after a change to the given reason. The times of those whose status
// stays are kept. The arguments are not changed.
func applyConditions(of *metav1.ObjectMeta, current []metav1.Condition, form shape, reason, message string, now metav1.Time) []metav1.Condition {
	conditions := dated(current, of.CreationTimestamp)
	message = cleanMessage(message)
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&conditions, metav1.Condition{Type: kind, Status: status, Reason: reason,
			Message: message, ObservedGeneration: of.Generation, LastTransitionTime: now})
	}
	setOrRemove := func(kind string, present bool, reason, message string) {
		if present {
			set(kind, metav1.ConditionTrue, reason, message)
		} else {
			meta.RemoveStatusCondition(&conditions, kind)
		}
	}
	set(v1alpha1.ConditionReady, form.ready, reason, message)
	setOrRemove(v1alpha1.ConditionSubmitted, form.submitted, v1alpha1.ReasonAccepted, submittedMessage)
	setOrRemove(v1alpha1.ConditionReconciling, form.reconciling, reason, message)
	setOrRemove(v1alpha1.ConditionStalled, form.stalled, reason, message)
	return conditions
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

// cleanMessage makes a text from anywhere fit for a condition: printable, on one line, bounded.
func cleanMessage(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	characters := []rune(strings.Join(strings.Fields(text), " "))
	if len(characters) > v1alpha1.MaxMessageLength {
		return strings.TrimSpace(string(characters[:v1alpha1.MaxMessageLength-1])) + "…"
	}
	return string(characters)
}
