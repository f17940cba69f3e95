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

package act

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// backupWith returns a BackupSync as the operator would have it: facts, and the conditions that follow from them.
func backupWith(name string, given backupsync.Circumstances, change func(*v1alpha1.BackupSync)) *v1alpha1.BackupSync {
	backup := &v1alpha1.BackupSync{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}, Spec: v1alpha1.BackupSyncSpec{
		ProjectRef: v1alpha1.ProjectReference{Name: "default"}, BackupID: "id-" + name, BackupName: "name", BucketName: "bucket", ImagePath: "path",
		ResourceID: "resource", ResourceName: "machine", ResourceType: "OS::VMware::Server", CreatedAt: 1553587260}}
	change(backup)
	return backupsync.Present(backup, given, metav1.Now())
}

// outcomeOf sets an outcome.
func outcomeOf(outcome v1alpha1.Outcome) func(*v1alpha1.BackupSync) {
	return func(backup *v1alpha1.BackupSync) {
		backup.Status.Outcome, backup.Status.SentHash = outcome, backupsync.Hash(&backup.Spec)
		backup.Status.LastError = "CBR said no"
	}
}

func running(backup *v1alpha1.BackupSync) { backup.Status.OperationLogID = "task-1" }

// projectWith returns a CBRProject with a reason.
func projectWith(ready metav1.ConditionStatus, reason string, stalled bool) *v1alpha1.CBRProject {
	project := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Name: "default", Generation: 1}}
	project.Status.ObservedGeneration = 1
	project.Status.Backups = &v1alpha1.BackupCounts{Failed: 3, Running: 2}
	project.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready, Reason: reason, Message: "what the project says."}}
	if stalled {
		project.Status.Conditions = append(project.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason})
	}
	return project
}

var usable = home{name: "default", project: projectWith(metav1.ConditionTrue, v1alpha1.ReasonUsable, false)}

func TestWhatARetryMeansForEachState(t *testing.T) {
	none := backupsync.Circumstances{}
	suspended := func(of func(*v1alpha1.BackupSync)) func(*v1alpha1.BackupSync) {
		return func(backup *v1alpha1.BackupSync) { of(backup); backup.Spec.Suspend = true }
	}
	due := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	stalled := projectWith(metav1.ConditionFalse, v1alpha1.ReasonCredentialsRejected, true)
	halted := projectWith(metav1.ConditionUnknown, v1alpha1.ReasonSuspended, false)
	halted.Spec.Suspend = true
	for name, of := range map[string]struct {
		given  backupsync.Circumstances
		change func(*v1alpha1.BackupSync)
		in     home
		asked  bool
		want   decision
		says   string
	}{
		"rejected":                    {change: outcomeOf(v1alpha1.OutcomeRejected), want: acted},
		"failed":                      {change: outcomeOf(v1alpha1.OutcomeOperationFailed), want: acted},
		"unusable":                    {change: outcomeOf(v1alpha1.OutcomeBackupUnusable), want: acted, says: "deleted in CBR"},
		"imported":                    {change: outcomeOf(v1alpha1.OutcomeImported), want: nothingToDo, says: "--reason=Imported"},
		"imported, named":             {change: outcomeOf(v1alpha1.OutcomeImported), asked: true, want: acted, says: "looked up in CBR"},
		"already imported, named":     {change: outcomeOf(v1alpha1.OutcomeAlreadyImported), asked: true, want: acted, says: "looked up in CBR"},
		"duplicate":                   {given: backupsync.Circumstances{Owner: "elder"}, change: outcomeOf(v1alpha1.OutcomeDuplicate), want: noHelp, says: "BackupSync elder"},
		"of an unknown outcome":       {change: outcomeOf("Novel"), want: noHelp, says: "Novel"},
		"running":                     {change: running, want: nothingToDo, says: "task-1"},
		"queued":                      {change: func(*v1alpha1.BackupSync) {}, want: nothingToDo, says: "Queued"},
		"of an unknown answer":        {given: backupsync.Circumstances{InCall: true}, change: func(*v1alpha1.BackupSync) {}, want: nothingToDo, says: "OutcomeUnknown"},
		"awaiting a task":             {given: backupsync.Circumstances{AwaitsTask: true}, change: func(*v1alpha1.BackupSync) {}, want: nothingToDo, says: "AwaitingTask"},
		"due later":                   {change: func(b *v1alpha1.BackupSync) { b.Status.NextAttemptTime = &due }, want: acted, says: "2026-01-02T03:04:05Z"},
		"suspended":                   {change: suspended(outcomeOf(v1alpha1.OutcomeRejected)), want: noHelp, says: "resume suspended"},
		"in a project that is not":    {change: outcomeOf(v1alpha1.OutcomeRejected), in: home{name: "gone", missing: true}, want: noHelp, says: "gone does not exist"},
		"in a project of bad keys":    {change: outcomeOf(v1alpha1.OutcomeRejected), in: home{name: "default", project: stalled}, want: noHelp, says: "CredentialsRejected"},
		"in a suspended project":      {change: outcomeOf(v1alpha1.OutcomeRejected), in: home{name: "default", project: halted}, want: noHelp, says: "resume project default"},
		"in a project nobody can see": {change: outcomeOf(v1alpha1.OutcomeRejected), in: home{name: "default"}, want: acted},
		"asked for already": {change: func(b *v1alpha1.BackupSync) {
			outcomeOf(v1alpha1.OutcomeRejected)(b)
			b.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: "yesterday"}
		}, want: nothingToDo, says: "yesterday"},
		"being deleted": {change: func(b *v1alpha1.BackupSync) { b.DeletionTimestamp = &due }, want: nothingToDo, says: "deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			if of.in == (home{}) {
				of.in = usable
			}
			object := strings.ReplaceAll(name, " ", "-")
			given := none
			if of.given != none {
				given = of.given
			}
			got := judgeRetry(backupWith(object, given, of.change), of.in, of.asked)
			if got.decision != of.want || !strings.Contains(got.why+got.note, of.says) {
				t.Errorf("got %+v, want the decision %d, and %q said", got, of.want, of.says)
			}
		})
	}
}

func TestWhatARetryMeansForAProject(t *testing.T) {
	for reason, want := range map[string]decision{
		v1alpha1.ReasonUsable: acted, v1alpha1.ReasonPermissionDenied: acted, v1alpha1.ReasonCredentialsRejected: acted,
		v1alpha1.ReasonRequestsRefused: acted, v1alpha1.ReasonQuotaExceeded: acted,
		v1alpha1.ReasonProjectInUse: noHelp, v1alpha1.ReasonCRDsOutdated: noHelp, v1alpha1.ReasonCredentialsMissing: noHelp,
	} {
		if got := judgeProjectRetry(projectWith(metav1.ConditionFalse, reason, true)); got.decision != want {
			t.Errorf("%s: got %+v, want %d", reason, got, want)
		}
	}
	asked := projectWith(metav1.ConditionTrue, v1alpha1.ReasonUsable, false)
	asked.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: "now"}
	if got := judgeProjectRetry(asked); got.decision != nothingToDo {
		t.Errorf("a request that is not met yet: %+v", got)
	}
	asked.Status.LastHandledRequest = "now"
	if got := judgeProjectRetry(asked); got.decision != acted || !strings.Contains(got.note, "3 failed BackupSyncs") {
		t.Errorf("a request that was met: %+v", got)
	}
}

func TestWhatSuspendingAndResumingMean(t *testing.T) {
	suspended := func(of func(*v1alpha1.BackupSync)) func(*v1alpha1.BackupSync) {
		return func(backup *v1alpha1.BackupSync) { of(backup); backup.Spec.Suspend = true }
	}
	nothing := func(*v1alpha1.BackupSync) {}
	halted := projectWith(metav1.ConditionUnknown, v1alpha1.ReasonSuspended, false)
	halted.Spec.Suspend = true
	in := home{name: "default", project: halted}
	for name, of := range map[string]struct {
		got  verdict
		want decision
		says string
	}{
		"suspend queued":                    {judgeSuspend(backupWith("a", backupsync.Circumstances{}, nothing)), acted, ""},
		"suspend suspended":                 {judgeSuspend(backupWith("a", backupsync.Circumstances{}, suspended(nothing))), nothingToDo, "already"},
		"suspend imported":                  {judgeSuspend(backupWith("a", backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeImported))), nothingToDo, "in CBR"},
		"suspend running":                   {judgeSuspend(backupWith("a", backupsync.Circumstances{}, running)), acted, "followed to its end"},
		"suspend in call":                   {judgeSuspend(backupWith("a", backupsync.Circumstances{InCall: true}, nothing)), acted, "sent already"},
		"resume suspended":                  {judgeResume(backupWith("a", backupsync.Circumstances{}, suspended(nothing)), usable), acted, ""},
		"resume what is not":                {judgeResume(backupWith("a", backupsync.Circumstances{}, nothing), usable), nothingToDo, "not suspended"},
		"resume in a suspended project":     {judgeResume(backupWith("a", backupsync.Circumstances{}, suspended(nothing)), in), acted, "resume project default"},
		"resume what its project holds":     {judgeResume(backupWith("a", backupsync.Circumstances{}, nothing), in), noHelp, "resume project default"},
		"resume failed":                     {judgeResume(backupWith("a", backupsync.Circumstances{}, suspended(outcomeOf(v1alpha1.OutcomeRejected))), usable), acted, "retry a"},
		"suspend a project":                 {judgeProjectSuspension(projectWith(metav1.ConditionTrue, "Usable", false), true), acted, "2 running imports"},
		"suspend a suspended project":       {judgeProjectSuspension(halted, true), nothingToDo, "already"},
		"resume a project":                  {judgeProjectSuspension(halted, false), acted, ""},
		"resume a project that is not halt": {judgeProjectSuspension(projectWith(metav1.ConditionTrue, "Usable", false), false), nothingToDo, "not suspended"},
	} {
		if of.got.decision != of.want || !strings.Contains(of.got.why+of.got.note, of.says) {
			t.Errorf("%s: got %+v, want the decision %d, and %q said", name, of.got, of.want, of.says)
		}
	}
}

// The lists and explain clean messages of conditions, which older versions and others have written. What act shows is clean, too.
func TestMessagesCannotDriveATerminal(t *testing.T) {
	evil := "gone\x1b]0;owned\x07\x1b[2J"
	project := projectWith(metav1.ConditionFalse, v1alpha1.ReasonCredentialsRejected, true)
	project.Status.Conditions[0].Message = evil
	backup := backupWith("b", backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeRejected))
	held := newTarget(kindBackup, backup)
	held.verdict = judgeRetry(backup, home{name: "default", project: project}, true)
	var out strings.Builder
	refused := &target{kind: kindBackup, object: backup}
	told := &account{options: &options{}, kind: kindBackup, named: true, passed: []*target{held},
		results: []result{{target: held, outcome: written}, {target: refused, outcome: failed, err: errors.New(evil)}}, ended: map[string]ending{"b": endOf(retry, project.Status.Conditions, true)}}
	told.tellPassed(&out)
	_ = told.ending(&out)
	told.tellResults(&out, &out)
	out.WriteString(unready(project))
	if strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("%q", out.String())
	}
}
