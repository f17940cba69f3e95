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
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// examination is what CBR answers about backups that it was asked for.
type examination struct {
	findings  []finding
	undecided int
	why       string // the latest of them is not decided
	hidden    string // the id of one that the list of CBR's backups lacks although CBR has it, "" if there is none
}

// finding is what a BackupSync is to say of its backup.
type finding struct {
	backup *v1alpha1.BackupSync
	as     backupsync.Availability
	at     time.Time // when CBR was asked
}

// examine asks CBR for each of some backups, some at a time, so that what is absent is judged while that is believed.
func (a *auditRun) examine(ctx context.Context, list *evidence.BackupList, names []string) (examination, error) {
	var found examination
	for most := askedTogether; len(names) > 0; {
		count := min(len(names), most, max(a.limiter.AsideIn(askedWithin), 1))
		backups, err := a.read(ctx, list.Began, names[:count])
		if err != nil {
			return found, err
		}
		if len(backups) > 0 {
			look, err := a.look(ctx, backups)
			if err != nil {
				return found, err
			}
			if !look.Fresh(a.options.Clock.Now()) && count > 1 { // it has taken too long
				most = count / 2
				continue
			}
			found.judge(look, a.knownNow(), list, backups, a.settleTime())
		}
		names = names[count:]
	}
	return found, nil
}

func (a *auditRun) knownNow() evidence.Known {
	known := a.known
	known.Now = a.options.Clock.Now()
	return known
}

// look asks CBR for backups, each by itself, after the tasks.
func (a *auditRun) look(ctx context.Context, backups []*v1alpha1.BackupSync) (*evidence.Look, error) {
	questions := make([]evidence.Question, 0, len(backups))
	for _, backup := range backups {
		questions = append(questions, auditQuestion(backup, a.settleTime()))
	}
	look, err := evidence.Collect(ctx, a.source, evidence.Query{Questions: questions, Known: a.knownNow(), Few: len(questions)})
	if err == nil {
		a.seen = a.seen.after(look.Tasks.Watched(), a.options.Clock.Now())
	}
	return look, err
}

// settleTime is how long after an import CBR may take to show its backup, whichever clock tells when that was.
func (a *auditRun) settleTime() time.Duration { return clockSkew + a.options.settlesWithin() }

// auditQuestion asks about the backup of an imported BackupSync. That it is absent is believed of no look from before its import has settled.
func auditQuestion(backup *v1alpha1.BackupSync, settleTime time.Duration) evidence.Question {
	return evidence.Question{BackupID: backup.Spec.BackupID, ResourceID: backup.Spec.ResourceID, TaskID: backup.Status.OperationLogID,
		SettledAt: importedAt(backup).Add(settleTime)}
}

// importedAt is the latest time that the status of an imported BackupSync tells.
func importedAt(backup *v1alpha1.BackupSync) (latest time.Time) {
	for _, at := range []*metav1.Time{backup.Status.SubmittedTime, backup.Status.FinishedTime} {
		if at != nil && at.After(latest) {
			latest = at.Time
		}
	}
	return latest
}

// read reads BackupSyncs live: the cache holds too little of them to ask about, or to write. Those whose import had not settled when the
// list was read are left out: that it lacks them tells nothing.
func (a *auditRun) read(ctx context.Context, listed time.Time, names []string) ([]*v1alpha1.BackupSync, error) {
	var found []*v1alpha1.BackupSync
	for _, name := range names {
		backup := &v1alpha1.BackupSync{}
		err := a.live.Get(ctx, types.NamespacedName{Namespace: a.key.Namespace, Name: name}, backup)
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return nil, fmt.Errorf("get a BackupSync: %w", err)
		}
		if a.concerns(backup) && !listed.Before(importedAt(backup).Add(a.settleTime())) {
			found = append(found, backup)
		}
	}
	return found, nil
}

// judge takes in what a look tells of backups.
func (e *examination) judge(look *evidence.Look, known evidence.Known, list *evidence.BackupList, backups []*v1alpha1.BackupSync, settleTime time.Duration) {
	judge := evidence.NewJudge(look, known)
	for _, backup := range backups {
		verdict := judge.Verdict(auditQuestion(backup, settleTime))
		if shown, _, _ := list.Shows(backup.Spec.BackupID); !shown && verdict.Status != "" {
			e.hidden = backup.Spec.BackupID
		}
		switch {
		case verdict.Kind == evidence.Stored:
			e.findings = append(e.findings, finding{backup, backupsync.BackupAvailable, look.Began})
		case verdict.Kind == evidence.Broken:
			e.findings = append(e.findings, finding{backup, backupsync.BackupUnusable, look.Began})
		case verdict.Kind == evidence.Absent && look.Listed(backup.Spec.BackupID) && uuid.Validate(backup.Spec.BackupID) == nil:
			e.undecided++ // a list that lacks it may hide it: CBR has refused the question for an id that it should take
			e.why = backup.Name + ": CBR refuses the question for it"
		case verdict.Kind == evidence.Absent:
			e.findings = append(e.findings, finding{backup, backupsync.BackupMissing, look.Began})
		default:
			e.undecided++
			e.why = undecidedAs(backup, verdict)
		}
	}
}

// undecidedAs says, for the log, why nothing is said of a backup.
func undecidedAs(backup *v1alpha1.BackupSync, verdict evidence.Verdict) string {
	switch {
	case verdict.Kind == evidence.Unknown:
		return fmt.Sprintf("%s: %s", backup.Name, verdict.Why)
	case verdict.Task != "":
		return fmt.Sprintf("%s: task %s may be its import", backup.Name, backupsync.Quote(verdict.Task))
	default:
		return fmt.Sprintf("%s: CBR shows it in status %q", backup.Name, backupsync.Quote(string(verdict.Status)))
	}
}
