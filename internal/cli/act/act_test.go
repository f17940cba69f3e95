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
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli"
)

func TestOneIsTriedAgainWithoutAQuestion(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 2)
	got := line(namespace).Run(t.Context(), "retry", "failed-0")
	expect(t, got, 0, "backupsync.cbr.backupsync.dev/failed-0 asked to be tried again\n")
	if !backupsync.Requested(backupNamed(t, namespace, "failed-0")) || requested(t, namespace) != 1 {
		t.Error("not the one that was named was asked for")
	}
	expect(t, line(namespace).Run(t.Context(), "retry", "failed-0"), 0, "asked for already")
}

func TestManyNeedAYes(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 3)
	expect(t, line(namespace).Run(t.Context(), "retry", "failed-0", "failed-1"), cli.ExitUsage, "--yes", "nothing was changed", "2 BackupSyncs", "2 Rejected")
	expect(t, asked(namespace, "n\n").Run(t.Context(), "retry", "--reason=Rejected"), cli.ExitError, "3 BackupSyncs", "3 Rejected", "[y/N]", "nothing was changed")
	expect(t, asked(namespace, "").Run(t.Context(), "retry", "--reason=Rejected"), cli.ExitError, "nothing was changed")
	if count := requested(t, namespace); count != 0 {
		t.Fatalf("%d were asked for without a yes", count)
	}
	expect(t, asked(namespace, "y\n").Run(t.Context(), "retry", "--reason=Rejected"), 0, "3 of 3 were asked to be tried again")
	if count := requested(t, namespace); count != 3 {
		t.Errorf("%d were asked for, of 3", count)
	}
}

func TestAQuestionEndsWithAnInterrupt(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 2)
	ctx, interrupt := context.WithCancel(t.Context())
	command := asked(namespace, "")
	reads, never := make(chan struct{}), make(chan struct{})
	read := sync.OnceFunc(func() { close(reads) })
	defer close(never)
	command.In = readFunc(func([]byte) (int, error) {
		read()
		<-never
		return 0, io.EOF
	})
	go func() { <-reads; interrupt() }()
	expect(t, command.Run(ctx, "retry", "failed-0", "failed-1"), cli.ExitError, "interrupted: nothing was changed")
	if count := requested(t, namespace); count != 0 {
		t.Errorf("%d were asked for", count)
	}
}

type readFunc func([]byte) (int, error)

func (r readFunc) Read(into []byte) (int, error) { return r(into) }

func TestDryRunsWriteNothing(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 2)
	expect(t, line(namespace).Run(t.Context(), "retry", "--all-failed", "--dry-run"), 0, "failed-1 asked to be tried again (dry run)")
	expect(t, line(namespace).Run(t.Context(), "retry", "--all-failed", "--dry-run=server"), 0, "(server dry run)")
	expect(t, line(namespace).Run(t.Context(), "suspend", "project", "default", "--dry-run=server"), 0, "default suspended (server dry run)")
	if requested(t, namespace) != 0 || projectNamed(t, namespace).Annotations[v1alpha1.RequestedAtAnnotation] != "" || projectNamed(t, namespace).Spec.Suspend {
		t.Error("a dry run has written")
	}
}

func TestAllFailedOfAProjectAreOneWrite(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 3)
	cluster.Create(t, in(namespace, backupWith("imported", backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeImported))))
	got := line(namespace).Run(t.Context(), "retry", "--all-failed", "--yes", "-o", "json")
	expect(t, got, 0)
	var report jsonReport
	if err := json.Unmarshal([]byte(got.Out), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Items) != 3 || report.Items[0].Through != "CBRProject/default" || report.Items[0].Result != resultDone {
		t.Errorf("got %+v", report)
	}
	if projectNamed(t, namespace).Annotations[v1alpha1.RequestedAtAnnotation] != report.RequestedAt || requested(t, namespace) != 0 {
		t.Error("the request does not stand at the project alone")
	}
}

func TestWhoMayNotWriteProjectsWritesBackupsOneByOne(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 3)
	command := line(namespace)
	command.User = editor(t, namespace)
	got := command.Run(t.Context(), "retry", "--all-failed", "--yes", "-o", "name")
	expect(t, got, 0)
	if want := "backupsync.cbr.backupsync.dev/failed-0\nbackupsync.cbr.backupsync.dev/failed-1\nbackupsync.cbr.backupsync.dev/failed-2\n"; got.Out != want {
		t.Errorf("got %q", got.Out)
	}
	if requested(t, namespace) != 3 {
		t.Error("not all were asked for")
	}
	expect(t, command.Run(t.Context(), "suspend", "project", "default"), cli.ExitError, "you may not patch CBRProject default")
}

func TestWhatARetryDoesNotHelpIsTold(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	cluster.Create(t,
		in(namespace, backupWith("second", backupsync.Circumstances{Owner: "first"}, outcomeOf(v1alpha1.OutcomeDuplicate))),
		in(namespace, backupWith("queued", backupsync.Circumstances{}, func(*v1alpha1.BackupSync) {})))
	expect(t, line(namespace).Run(t.Context(), "retry", "second", "queued"), cli.ExitFound,
		"second: nothing done: a retry does not help: The BackupSync first of this namespace declares the same backup and owns it. Delete one of the two.",
		"queued: nothing done: it waits already (Queued)")
	expect(t, line(namespace).Run(t.Context(), "retry", "queued"), 0)
	expect(t, line(namespace).Run(t.Context(), "retry", "queued", "lost"), cli.ExitError, "lost: does not exist", "not found: lost")
	expect(t, line(namespace).Run(t.Context(), "retry", "-l", "team=erp"), 0, "No BackupSync")
}

func TestWhatCBRHasLostIsChosenByThat(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	audited := func(name string, found backupsync.Availability) {
		backup := backupWith(name, backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeImported))
		if next := backupsync.Audited(backup, found, time.Now(), metav1.Now()); next != nil {
			backup = next
		}
		cluster.Create(t, in(namespace, backup))
	}
	audited("kept", backupsync.BackupAvailable)
	audited("missing", backupsync.BackupMissing)
	audited("broken", backupsync.BackupUnusable)
	expect(t, line(namespace).Run(t.Context(), "retry", "-l", "a!=b"), 0, "Passed over")
	got := line(namespace).Run(t.Context(), "retry", "--unavailable", "--yes")
	expect(t, got, 0, "missing asked to be tried again: it is looked up in CBR", "broken asked to be tried again: CBR shows it in status error")
	if requested(t, namespace) != 2 {
		t.Errorf("not those two were asked for:\n%s", got.Out)
	}
}

func TestSuspendingAndResumingChangeThatFieldAlone(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	backup := in(namespace, backupWith("one", backupsync.Circumstances{}, func(*v1alpha1.BackupSync) {}))
	backup.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "erp", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
	cluster.Create(t, backup)
	before := backupNamed(t, namespace, "one")
	expect(t, line(namespace).Run(t.Context(), "suspend", "one"), 0, "one suspended", "Flux applies BackupSync one", "set spec.suspend: true in Git")
	suspended := backupNamed(t, namespace, "one")
	if !suspended.Spec.Suspend {
		t.Error("it is not suspended")
	}
	expect(t, line(namespace).Run(t.Context(), "resume", "one"), 0, "one resumed", "remove spec.suspend in Git")
	after := backupNamed(t, namespace, "one")
	if after.Spec != before.Spec {
		t.Errorf("resumed it is %+v, and was %+v", after.Spec, before.Spec)
	}
	for _, entry := range after.ManagedFields {
		if entry.Manager == cli.FieldOwner && strings.Contains(entry.FieldsV1.GetRawString(), "suspend") {
			t.Error("the command line still owns spec.suspend")
		}
	}
	expect(t, line(namespace).Run(t.Context(), "suspend", "project", "default"), 0, "cbrproject.cbr.backupsync.dev/default suspended: 2 running imports")
	expect(t, line(namespace).Run(t.Context(), "retry", "project", "default"), cli.ExitFound, "resume project default")
	expect(t, line(namespace).Run(t.Context(), "resume", "cbrp/default"), 0, "default resumed")
	if projectNamed(t, namespace).Spec.Suspend {
		t.Error("the project is still suspended")
	}
}

func TestAnObjectThatCameLaterIsLeftAlone(t *testing.T) {
	namespace := cluster.Namespace(t)
	failedBackups(t, namespace, 1)
	old := backupNamed(t, namespace, "failed-0")
	if err := cluster.Client.Delete(t.Context(), old.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	failedBackups(t, namespace, 1)
	writer := &writer{client: cluster.Client, options: &options{dryRun: dryRunNone}, request: "now", progress: func(int, int) {}}
	results := writer.all(t.Context(), singly([]*target{newTarget(kindBackup, old)}))
	if results[0].outcome != failed || !strings.Contains(results[0].err.Error(), "created again meanwhile") {
		t.Errorf("got %+v", results[0].err)
	}
	if requested(t, namespace) != 0 {
		t.Error("it was asked for")
	}
}

// interrupting interrupts a command after so many writes.
type interrupting struct {
	client.Client
	left      chan struct{}
	interrupt func()
}

func (i interrupting) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	select {
	case <-i.left:
	default:
		i.interrupt()
	}
	return i.Client.Patch(ctx, object, patch, options...)
}

func TestAnInterruptLeavesAClearAccount(t *testing.T) {
	namespace := cluster.Namespace(t)
	failedBackups(t, namespace, 60)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	left := make(chan struct{}, 20)
	for range 20 {
		left <- struct{}{}
	}
	given := &options{dryRun: dryRunNone, allFailed: true, chosen: nil}
	targets, err := (&reader{client: cluster.Client, namespace: namespace}).chosen(t.Context(), kindBackup, mustValidate(t, given))
	if err != nil {
		t.Fatal(err)
	}
	writer := &writer{client: interrupting{Client: cluster.Client, left: left, interrupt: interrupt}, options: given, request: "now", progress: func(int, int) {}}
	told := &account{options: given, kind: kindBackup, results: writer.all(ctx, singly(targets))}
	done, untouched := told.count(written), told.count(notReached)
	if done+untouched != 60 || done < 20 || untouched == 0 || done != requested(t, namespace) {
		t.Errorf("%d done and %d not touched of 60, and %d asked for", done, untouched, requested(t, namespace))
	}
	if text := told.summary(); !strings.Contains(text, "Interrupted") || cli.StatusOf(told.verdict(ctx)) != cli.ExitError {
		t.Errorf("got %q and %v", text, told.verdict(ctx))
	}
}

func mustValidate(t *testing.T, given *options) *options {
	t.Helper()
	if err := given.validate(kindBackup, nil); err != nil {
		t.Fatal(err)
	}
	return given
}

func TestWithoutAClusterOrRightsItSaysSo(t *testing.T) {
	namespace := cluster.Namespace(t)
	nobody := line(namespace)
	nobody.User = cluster.User(t, "nobody-act")
	expect(t, nobody.Run(t.Context(), "retry", "--all-failed"), cli.ExitError, "you may not")
	away := line(namespace)
	expect(t, away.Run(t.Context(), "retry", "one", "--server=https://127.0.0.1:1"), cli.ExitError, "get BackupSync one", "refused")
	expect(t, away.Run(t.Context(), "retry"), cli.ExitUsage, "--help")
}

func TestEndsAreToldFromConditions(t *testing.T) {
	project := projectWith(metav1.ConditionFalse, "CredentialsRejected", true)
	for name, of := range map[string]struct {
		verb   verb
		object client.Object
		want   how
	}{
		"imported":          {retry, backupWith("a", backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeImported)), endedWell},
		"rejected":          {retry, backupWith("a", backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeRejected)), endedBad},
		"running":           {retry, backupWith("a", backupsync.Circumstances{}, running), ""},
		"suspended":         {suspend, backupWith("a", backupsync.Circumstances{}, func(b *v1alpha1.BackupSync) { b.Spec.Suspend = true }), endedWell},
		"suspended by some": {retry, backupWith("a", backupsync.Circumstances{}, func(b *v1alpha1.BackupSync) { b.Spec.Suspend = true }), endedHeld},
		"a stalled project": {resume, project, endedBad},
	} {
		if got := endingOf(of.verb, of.object); got.how != of.want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	asked := backupWith("a", backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeRejected))
	asked.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: "now"}
	if got := endingOf(retry, asked); got.how != "" {
		t.Errorf("a request that is not met: %+v", got)
	}
}

// A variable of a script that is empty chooses nothing, least of all everything.
func TestAnEmptyChoiceIsNotEverything(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 2)
	for _, arguments := range [][]string{{"--all-failed", "--project="}, {"--all-failed", "--selector="}, {"--all-failed", "--selector= "},
		{"--all-failed", "--reason="}, {""}, {"--all-failed", ""}} {
		got := line(namespace).Run(t.Context(), append([]string{"retry", "--yes"}, arguments...)...)
		if got.Status != cli.ExitUsage {
			t.Errorf("%v: status %d: %s%s", arguments, got.Status, got.Out, got.Err)
		}
	}
	if count := requested(t, namespace); count > 0 {
		t.Errorf("%d were asked to be tried again", count)
	}
}
