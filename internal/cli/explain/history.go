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

package explain

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/text"
)

// history returns what has happened, the oldest first.
func history(from *facts, call *Call) []Happening {
	backup := from.backup
	happened := []Happening{{backup.CreationTimestamp, "The BackupSync was created."}}
	happened = append(happened, attempts(backup)...)
	happened = append(happened, transitions(backup)...)
	if call != nil {
		happened = append(happened, Happening{metav1.NewTime(call.StartTime.Time), fmt.Sprintf("A sync call with it began (record %s, %s).", call.ID,
			text.Count(call.Backups, "backup"))})
	}
	for i := range from.events {
		happened = append(happened, eventHappening(&from.events[i]))
	}
	slices.SortStableFunc(happened, func(a, b Happening) int { return a.Time.Compare(b.Time.Time) })
	return happened
}

// attempts tells of the latest attempt: earlier ones leave no more than events.
func attempts(backup *v1alpha1.BackupSync) []Happening {
	var happened []Happening
	status := &backup.Status
	if status.SubmittedTime != nil {
		what := fmt.Sprintf("CBR accepted it (attempt %d), and started the task %s.", status.Attempts, status.OperationLogID)
		if status.SentHash == "" {
			what = fmt.Sprintf("CBR was found to run the task %s for it, which somebody else had started.", status.OperationLogID)
		}
		happened = append(happened, Happening{*status.SubmittedTime, what})
	}
	if status.FinishedTime != nil {
		what := "The attempt ended."
		switch {
		case status.LastError != "":
			what = "The attempt failed: " + backupsync.CleanMessage(status.LastError) + "."
		case status.Outcome == v1alpha1.OutcomeAlreadyImported:
			what = "CBR was found to have the backup already: nothing was sent."
		case status.Outcome == v1alpha1.OutcomeImported:
			what = "CBR has imported it."
		}
		happened = append(happened, Happening{*status.FinishedTime, what})
	}
	return happened
}

// transitions tells when conditions changed. The times of the CRD's default status, 1970, are none.
func transitions(backup *v1alpha1.BackupSync) []Happening {
	var happened []Happening
	if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil && isTime(ready.LastTransitionTime) &&
		!ready.LastTransitionTime.Equal(&backup.CreationTimestamp) {
		happened = append(happened, Happening{ready.LastTransitionTime, fmt.Sprintf("Ready became %s; its reason is %s.", ready.Status, ready.Reason)})
	}
	if available := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionAvailable); available != nil && isTime(available.LastTransitionTime) {
		happened = append(happened, Happening{available.LastTransitionTime, fmt.Sprintf("Available became %s; its reason is %s.", available.Status, backupsync.CleanMessage(available.Reason))})
	}
	if drifted := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionDrifted); drifted != nil && isTime(drifted.LastTransitionTime) {
		happened = append(happened, Happening{drifted.LastTransitionTime, "The manifest was seen to differ from what CBR has accepted."})
	}
	return happened
}

func isTime(t metav1.Time) bool { return t.Unix() > 0 }

// eventHappening is an event, at the latest time that it tells.
func eventHappening(event *corev1.Event) Happening {
	latest, count := event.LastTimestamp.Time, int(event.Count)
	for _, other := range []time.Time{event.EventTime.Time, event.FirstTimestamp.Time} {
		if latest.IsZero() {
			latest = other
		}
	}
	if event.Series != nil {
		latest, count = event.Series.LastObservedTime.Time, int(event.Series.Count)
	}
	times := ""
	if count > 1 {
		times = fmt.Sprintf(", %d times", count)
	}
	return Happening{metav1.NewTime(latest), fmt.Sprintf("Event %s%s: %s", backupsync.Quote(event.Reason), times, backupsync.CleanMessage(event.Message))}
}
