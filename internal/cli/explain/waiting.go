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
	"cmp"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

const (
	// lookedUp is how long after its record a call of unknown outcome is looked up in CBR, with the operator's default flags.
	lookedUp = 135 * time.Second
	// The defaults of the CRD, for a CBRProject that was read without them.
	defaultMaxWait = 10 * time.Second
	defaultOverdue = 30 * time.Minute
)

// waitOf returns what a backup waits for: nil once it has ended.
func waitOf(from *facts, so *Explanation) *Wait {
	switch backupsync.StateOf(from.backup) {
	case backupsync.Imported, backupsync.Failed:
		return nil
	case backupsync.Running:
		return runningWait(from)
	}
	switch {
	case from.backup.DeletionTimestamp != nil:
		return &Wait{For: fmt.Sprintf("its deletion, which %s hold up: it is not sent any more", finalizersOf(from.backup))}
	case so.Call != nil:
		until := metav1.NewTime(so.Call.StartTime.Add(lookedUp))
		wait := &Wait{For: fmt.Sprintf("the outcome of the sync call %s. If its answer was lost, CBR is asked whether it has the backup, with the operator's "+
			"default flags at about this time", so.Call.ID), Until: &until}
		if !from.now.Before(until.Time) {
			wait.For += ", and again later if it could not be asked, or its lists may hide a task of the call"
		}
		return wait
	case !so.Project.Known:
		return &Wait{For: "its CBRProject, which could not be read: " + from.projectError}
	case !so.Project.Exists:
		return &Wait{For: fmt.Sprintf("the CBRProject %s, which does not exist in this namespace", so.Project.Name)}
	case so.Project.DeletionTime != nil:
		return &Wait{For: fmt.Sprintf("a CBRProject %s that is created again: the present one is being deleted, and nothing of it is sent any more", so.Project.Name)}
	case from.backup.Spec.Suspend:
		return &Wait{For: "a person, who removes spec.suspend"}
	case from.project.Spec.Suspend:
		return &Wait{For: fmt.Sprintf("a person, who removes spec.suspend of the CBRProject %s", so.Project.Name)}
	case so.Project.Ready != metav1.ConditionTrue:
		return &Wait{For: fmt.Sprintf("the CBRProject %s, which is not Ready (%s)", so.Project.Name, so.Project.Reason)}
	}
	return sendableWait(from, so)
}

func runningWait(from *facts) *Wait {
	wait := &Wait{For: fmt.Sprintf("the end of CBR's task %s. If it has not ended at this time, it is reported as overdue, and followed still",
		from.backup.Status.OperationLogID)}
	if from.project == nil {
		return &Wait{For: fmt.Sprintf("the CBRProject %s: nobody follows CBR's task %s without it", from.backup.Spec.ProjectRef.Name,
			from.backup.Status.OperationLogID)}
	}
	if submitted := from.backup.Status.SubmittedTime; submitted != nil {
		until := metav1.NewTime(submitted.Add(length(from.project.Spec.Poll.OverdueAfter, defaultOverdue)))
		if wait.Until = &until; !from.now.Before(until.Time) {
			wait.For = fmt.Sprintf("the end of CBR's task %s, which is overdue since this time, and followed still", from.backup.Status.OperationLogID)
		}
	}
	return wait
}

// sendableWait is that of a backup that nothing but its turn, or CBR, holds up.
func sendableWait(from *facts, so *Explanation) *Wait {
	next := from.backup.Status.NextAttemptTime
	switch {
	case next != nil && !backupsync.Renewed(from.backup):
		return &Wait{For: "the next attempt, after a failure", Until: next}
	case so.Reason == v1alpha1.ReasonAwaitingTask:
		wait := &Wait{For: "a task or a status in CBR, as the message says. A task is waited for until it ends"}
		if overdue := length(from.project.Spec.Poll.OverdueAfter, defaultOverdue); overdue > 0 {
			wait.For += fmt.Sprintf(", or has run for %s", overdue)
		}
		return wait
	case so.Settling:
		return &Wait{For: "an earlier call with this backup to settle: CBR may not show yet what it has taken. That takes a minute or two"}
	}
	size := cmp.Or(from.project.Spec.Batch.MaxSize, 50)
	return &Wait{For: fmt.Sprintf("its turn in a sync call, after those that are older. A call goes with %d backups, or %s after its oldest one; "+
		"at most %d calls go in a minute", size, length(from.project.Spec.Batch.MaxWait, defaultMaxWait), cmp.Or(from.project.Spec.Limits.SyncCallsPerMinute, 10))}
}

func length(given *metav1.Duration, otherwise time.Duration) time.Duration {
	if given == nil {
		return otherwise
	}
	return given.Duration
}
