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
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli"
)

// The lists and explain clean messages of conditions, which older versions and others have written. What acts shows them, too.
func TestMessagesCannotDriveATerminal(t *testing.T) {
	evil := "gone\x1b]0;owned\x07\x1b[2J"
	project := projectWith(metav1.ConditionFalse, v1alpha1.ReasonCredentialsRejected, true)
	project.Status.Conditions[0].Message = evil
	backup := backupWith("b", backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeRejected))
	held := newTarget(kindBackup, backup)
	held.verdict = judgeRetry(backup, home{name: "default", project: project}, true)
	var out strings.Builder
	told := &account{options: &options{}, kind: kindBackup, named: true, passed: []*target{held},
		results: []result{{target: held, outcome: written}}, ended: map[string]ending{"b": endOf(retry, project.Status.Conditions, true)}}
	told.tellPassed(&out)
	_ = told.ending(&out)
	if strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("%q", out.String())
	}
}

// A wait that was not waited out is no mere finding, whatever was found besides.
func TestATimeoutIsToldByTheExitStatus(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 2)
	var all v1alpha1.BackupSyncList
	if err := cluster.Client.List(t.Context(), &all, client.InNamespace(namespace)); err != nil || len(all.Items) != 2 {
		t.Fatal(err, len(all.Items))
	}
	held := &all.Items[0]
	held.Spec.Suspend = true
	if err := cluster.Client.Update(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	got := line(namespace).Run(t.Context(), "retry", held.Name, all.Items[1].Name, "--wait", "--timeout=1ms")
	if got.Status != cli.ExitError || !strings.Contains(got.Err, "timed out") {
		t.Errorf("status %d: %s", got.Status, got.Err)
	}
}

// A kind that is said twice is the same one, or a slip: a retry at a project tries all of it again.
func TestTwoKindsAreASlip(t *testing.T) {
	for _, arguments := range [][]string{{"backup", "project/default"}, {"project", "backup/default"}} {
		if kind, names, err := parseTargets(arguments); err == nil {
			t.Errorf("%v is taken for %s %v", arguments, kind, names)
		}
	}
}

// A variable of a script that is empty chooses nothing, least of all everything.
func TestAnEmptyChoiceIsNotEverything(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 2)
	for _, arguments := range [][]string{{"--all-failed", "--project="}, {"--all-failed", "--selector="}} {
		got := line(namespace).Run(t.Context(), append([]string{"retry", "--yes"}, arguments...)...)
		if got.Status != cli.ExitUsage {
			t.Errorf("%v: status %d: %s%s", arguments, got.Status, got.Out, got.Err)
		}
	}
	if count := requested(t, namespace); count > 0 {
		t.Errorf("%d were asked to be tried again", count)
	}
}

// A request at a CBRProject ends its pause, which a request at a BackupSync does not: that was not chosen.
func TestARequestAtAProjectThatPausesDoesNotDoTheSame(t *testing.T) {
	for _, reason := range []string{v1alpha1.ReasonThrottled, v1alpha1.ReasonEndpointUnavailable} {
		var targets []*target
		for _, name := range []string{"a", "b"} {
			targets = append(targets, newTarget(kindBackup, backupWith(name, backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeRejected))))
		}
		in := homes{read: true, projects: map[string]*v1alpha1.CBRProject{
			targets[0].backup().Spec.ProjectRef.Name: projectWith(metav1.ConditionUnknown, reason, false)}}
		for _, each := range (&options{allFailed: true}).plan(targets, in) {
			if each.kind == kindProject {
				t.Errorf("%s: the request stands at the CBRProject", reason)
			}
		}
	}
}
