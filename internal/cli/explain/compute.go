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
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/liveness"
)

// facts are what was read of the cluster.
type facts struct {
	now    time.Time
	backup *v1alpha1.BackupSync
	// project is nil if it does not exist, or could not be read: projectError says why.
	project      *v1alpha1.CBRProject
	projectError string
	// same are all BackupSyncs of the namespace that declare the same backup, this one too.
	same     []*v1alpha1.BackupSync
	events   []corev1.Event
	operator liveness.Operator
	// notes are what could not be read.
	notes []string
}

// compute works out an explanation.
func compute(from *facts) *Explanation {
	backup, kept := from.backup, backups.Of(from.backup)
	made := &Explanation{
		Time: metav1.NewTime(from.now), Namespace: backup.Namespace, Name: backup.Name, State: kept.State.String(),
		Reason: kept.Reason, Message: kept.Message, Declared: backup.Spec, Project: projectOf(from), Operator: from.operator,
		Call: callOf(from), Settling: settles(from), Drift: driftOf(backup), Duplicates: duplicatesOf(from),
	}
	if found := unavailable(backup); found != nil {
		made.Unavailable = backupsync.CleanMessage(found.Message)
	}
	made.History = history(from, made.Call)
	made.Waits = waitOf(from, made)
	made.Notes = append(notesOf(from), from.notes...)
	made.Advice = adviceOf(from, made)
	return made
}

// unavailable returns the condition Available of an imported backup that CBR did not show usable when it was last asked, else nil.
func unavailable(backup *v1alpha1.BackupSync) *metav1.Condition {
	found := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionAvailable)
	if found == nil || found.Status != metav1.ConditionFalse || backupsync.StateOf(backup) != backupsync.Imported {
		return nil
	}
	return found
}

func projectOf(from *facts) Project {
	made := Project{Name: from.backup.Spec.ProjectRef.Name, Known: from.projectError == "", Exists: from.project != nil}
	if from.project == nil {
		return made
	}
	conditions := from.project.Status.Conditions
	made.Suspended, made.DeletionTime = from.project.Spec.Suspend, from.project.DeletionTimestamp
	made.Stalled = meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
	made.Ready, made.Reason = metav1.ConditionUnknown, v1alpha1.ReasonPending
	if ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil {
		made.Ready, made.Reason, made.Message = ready.Status, ready.Reason, backupsync.CleanMessage(ready.Message)
	}
	return made
}

// callOf returns the call of the journal that the backup is in.
func callOf(from *facts) *Call {
	if from.project == nil {
		return nil
	}
	for i := range from.project.Status.Journal.Submissions {
		submission := &from.project.Status.Journal.Submissions[i]
		if slices.ContainsFunc(submission.Items, func(item v1alpha1.SubmittedItem) bool {
			return cbr.Fold(item.BackupID) == cbr.Fold(from.backup.Spec.BackupID)
		}) {
			return &Call{ID: submission.ID, StartTime: submission.StartTime, Backups: len(submission.Items)}
		}
	}
	return nil
}

// duplicatesOf returns the others that declare the same backup. Those of other CBRProjects do not count for the operator.
func duplicatesOf(from *facts) []Duplicate {
	var ofProject []*v1alpha1.BackupSync
	for _, each := range from.same {
		if each.Spec.ProjectRef.Name == from.backup.Spec.ProjectRef.Name {
			ofProject = append(ofProject, each)
		}
	}
	owner := backupsync.Owner(ofProject)
	var found []Duplicate
	for _, each := range from.same {
		if each.Name != from.backup.Name {
			found = append(found, Duplicate{Name: each.Name, Project: each.Spec.ProjectRef.Name, Reason: backups.Of(each).Reason,
				Owns: owner != nil && each.Name == owner.Name})
		}
	}
	slices.SortFunc(found, func(a, b Duplicate) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// finalizersOf names what holds a deletion up.
func finalizersOf(object metav1.Object) string {
	return "the finalizers " + backupsync.Quote(strings.Join(object.GetFinalizers(), ", "))
}

// notesOf tells of what the conditions do not speak of yet.
func notesOf(from *facts) []string {
	var notes []string
	backup := from.backup
	if backup.DeletionTimestamp != nil {
		notes = append(notes, fmt.Sprintf("It is being deleted since %s, and %s hold that up. It is not sent any more. CBR keeps what it has.",
			backup.DeletionTimestamp.UTC().Format(time.RFC3339), finalizersOf(backup)))
	}
	if from.project != nil && from.project.DeletionTimestamp != nil && backupsync.StateOf(backup) != backupsync.Imported {
		notes = append(notes, fmt.Sprintf("The CBRProject %s is being deleted since %s, and %s hold that up. Nothing of it is sent any more.",
			from.project.Name, from.project.DeletionTimestamp.UTC().Format(time.RFC3339), finalizersOf(from.project)))
	}
	if observed := backup.Status.ObservedGeneration; observed >= 0 && observed != backup.Generation {
		notes = append(notes, fmt.Sprintf("The operator has not taken in the latest edit yet: the conditions speak of generation %d, the manifest is generation %d.",
			observed, backup.Generation))
	}
	if backupsync.Requested(backup) {
		notes = append(notes, fmt.Sprintf("Another import was requested (%s: %s), and the operator has not acted on it yet.", v1alpha1.RequestedAtAnnotation,
			backupsync.Quote(backupsync.RequestOf(backup))))
	}
	if backupsync.Renewed(backup) && !backupsync.Requested(backup) {
		notes = append(notes, "The manifest was edited since it was sent, so that it is sent again. The conditions may still tell of the failure before.")
	}
	if from.operator.State == liveness.Silent {
		notes = append(notes, "The operator is silent, and nothing happens before it is back. "+from.operator.Message)
	}
	return notes
}
