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
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/backupsync/backupsynctest"
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/connection"
)

// noon is the time at which these tests play.
var noon = backupsynctest.Noon

// newBackup is a BackupSync as the API server makes it of a manifest.
func newBackup(changes ...func(*v1alpha1.BackupSync)) *v1alpha1.BackupSync {
	return backupsynctest.New(changes...)
}

// seconds is a time so long after noon.
func seconds(after float64) time.Time { return noon.Add(time.Duration(after * float64(time.Second))) }

// microTime is a time as the API keeps it.
func microTime(at time.Time) metav1.MicroTime { return metav1.NewMicroTime(at) }

// windowOf is a window of a minute in which calls ended at these numbers of seconds after noon.
func windowOf(ends ...float64) *batch.RateWindow {
	window := &batch.RateWindow{Length: time.Minute}
	for _, end := range ends {
		window.CallEnded(seconds(end), 1)
	}
	return window
}

// queued are candidates that are queued since noon.
func queued(count int) []batch.Candidate {
	return slices.Repeat([]batch.Candidate{{BackupSync: newBackup(), QueuedAt: noon.Time}}, count)
}

// failure is a failed call as the client reports it.
func failure(class cbr.Class) *cbr.Error {
	return &cbr.Error{Operation: cbr.OperationImport, StatusCode: 500, Code: "BackupService.9910", Message: "internal error", Class: class}
}

// edit is what the API server makes of a BackupSync whose item is changed.
func edit(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync { return backupsynctest.Edited(backup) }

// asked returns a BackupSync with a request to try again.
func asked(backup *v1alpha1.BackupSync, request string) *v1alpha1.BackupSync {
	next := *backup
	next.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: request}
	return &next
}

// lives are BackupSyncs in each state, by the reason of Ready.
var lives = map[string]func() *v1alpha1.BackupSync{
	v1alpha1.ReasonQueued:           func() *v1alpha1.BackupSync { return newBackup() },
	v1alpha1.ReasonAwaitingTask:     waitingAs(backupsync.Circumstances{AwaitsTask: true}),
	v1alpha1.ReasonProjectNotFound:  waitingAs(backupsync.Circumstances{ProjectMissing: true}),
	v1alpha1.ReasonOutcomeUnknown:   waitingAs(backupsync.Circumstances{InCall: true}),
	v1alpha1.ReasonDuplicate:        waitingAs(backupsync.Circumstances{Owner: "erp-00"}),
	v1alpha1.ReasonOperationRunning: runningBackup,
	v1alpha1.ReasonOperationOverdue: func() *v1alpha1.BackupSync {
		return backupsync.Acknowledged(runningBackup(), backupsync.Circumstances{Overdue: true}, noon)
	},
	v1alpha1.ReasonImported: func() *v1alpha1.BackupSync {
		return backupsync.Finished(runningBackup(), backupsync.Kept(nil), 3, noon)
	},
	v1alpha1.ReasonAlreadyImported: func() *v1alpha1.BackupSync { return backupsync.Stored(newBackup(), "", "", noon) },
	v1alpha1.ReasonRetryScheduled: func() *v1alpha1.BackupSync {
		return backupsync.Finished(runningBackup(), backupsync.Forgotten(), 3, noon)
	},
	v1alpha1.ReasonOperationFailed: func() *v1alpha1.BackupSync {
		return backupsync.Finished(runningBackup(), backupsync.Forgotten(), 0, noon)
	},
	v1alpha1.ReasonRejected: func() *v1alpha1.BackupSync {
		return backupsync.Rejected(newBackup(), backupsync.Hash(&newBackup().Spec), "no such image", noon)
	},
	v1alpha1.ReasonBackupUnusable: withOutcome(v1alpha1.OutcomeBackupUnusable),
	v1alpha1.ReasonUnknownOutcome: withOutcome("ImportedByMagic"),
	v1alpha1.ReasonSuspended: func() *v1alpha1.BackupSync {
		return waitingAs(backupsync.Circumstances{}, func(b *v1alpha1.BackupSync) { b.Spec.Suspend = true })()
	},
}

func runningBackup() *v1alpha1.BackupSync {
	return backupsync.Submitted(newBackup(), "operation", backupsync.Hash(&newBackup().Spec), noon, noon)
}

func waitingAs(given backupsync.Circumstances, changes ...func(*v1alpha1.BackupSync)) func() *v1alpha1.BackupSync {
	return func() *v1alpha1.BackupSync { return backupsync.Waiting(newBackup(changes...), given, noon) }
}

func withOutcome(outcome v1alpha1.Outcome) func() *v1alpha1.BackupSync {
	return func() *v1alpha1.BackupSync {
		backup := runningBackup()
		backup.Status.Outcome, backup.Status.FinishedTime = outcome, &noon
		return backupsync.Present(backup, backupsync.Circumstances{}, noon)
	}
}

// passAt is a pass over what a test gives.
func passAt(process *Reconciler, about scope, known *memory) *pass {
	return newPassOf(step{process, &about, &nextPass{}}, known)
}

// reporterAt reports on a project of whose access something is known.
func reporterAt(known *connection.Health, project *v1alpha1.CBRProject) *reporter {
	remembered := newMemory()
	remembered.health = *known
	return passAt(&Reconciler{}, scope{project: project}, remembered).reporter(plan{})
}
