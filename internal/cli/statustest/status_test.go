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

package statustest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/explain"
	"backupsync.dev/operator/internal/cli/listing"
	"backupsync.dev/operator/internal/cli/liveness"
	"backupsync.dev/operator/internal/cli/overview"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// mixed makes so many BackupSyncs of each state, and returns what is true of them: how many are in each state, and have each reason.
func mixed(t *testing.T, namespace, project string, each int) (counts v1alpha1.BackupCounts, reasons map[string]int) {
	t.Helper()
	reasons = map[string]int{}
	for round := range each {
		for name, becomes := range all {
			made := testbed.Manifest(namespace, project, int(number.Add(1)), 7)
			made.Name = fmt.Sprintf("%s-%s-%d", project, name, round)
			made = backup(t, made, becomes)
			switch backupsync.StateOf(made) {
			case backupsync.Pending:
				counts.Pending++
			case backupsync.Running:
				counts.Running++
			case backupsync.Imported:
				counts.Imported++
			default:
				counts.Failed++
			}
			if backupsync.StateOf(made) != backupsync.Imported {
				reasons[made.Status.Conditions[0].Reason]++
			}
		}
	}
	counts.Total = counts.Pending + counts.Running + counts.Imported + counts.Failed
	return counts, reasons
}

// statusOf runs status, and reads what it prints.
func statusOf(t *testing.T, arguments ...string) *overview.Overview {
	t.Helper()
	got := runCommand(t, overview.NewCommand, append([]string{"status", "-o", "json"}, arguments...)...)
	if got.status != 0 {
		t.Fatal(got.errOut)
	}
	read := &overview.Overview{}
	must(t, json.Unmarshal([]byte(got.out), read))
	return read
}

func TestStatusTellsTheTruth(t *testing.T) {
	here := namespace(t)
	counts, reasons := mixed(t, here, "default", 20)
	project(t, here, "default", usable(counts))
	project(t, here, "unseen", nil)
	mixed(t, here, "gone", 1)

	got := statusOf(t, "-n", here)
	if len(got.Projects) != 2 || got.Projects[0].Name != "default" || got.Done {
		t.Fatalf("got %+v", got)
	}
	of := got.Projects[0]
	if *of.Counts != counts || of.Read != (overview.Read{Pending: int(counts.Pending), Running: int(counts.Running), Failed: int(counts.Failed)}) {
		t.Errorf("counts %+v, read %+v, and true is %+v", of.Counts, of.Read, counts)
	}
	read := map[string]int{}
	for _, each := range of.Reasons {
		read[each.Reason] = each.Count
		if len(each.Examples) != 3 || each.Examples[0].Message == "" {
			t.Errorf("examples of %s: %+v", each.Reason, each.Examples)
		}
	}
	if fmt.Sprint(read) != fmt.Sprint(reasons) {
		t.Errorf("reasons %v, and true is %v", read, reasons)
	}
	if of.OldestPending == nil || len(of.Stale) > 0 {
		t.Errorf("the oldest is %+v, stale %v", of.OldestPending, of.Stale)
	}
	if unseen := got.Projects[1]; unseen.Counts != nil || len(unseen.Stale) == 0 || unseen.Reason != v1alpha1.ReasonPending {
		t.Errorf("one that the operator has not seen: %+v", unseen)
	}
	if len(got.Orphans) != 1 || got.Orphans[0].Project != "gone" || got.Orphans[0].Count != 7 {
		t.Errorf("orphans: %+v", got.Orphans)
	}
}

func TestStatusOfOneProjectAndOfAllNamespaces(t *testing.T) {
	here, there := namespace(t), namespace(t)
	for _, each := range []string{here, there} {
		counts, _ := mixed(t, each, "default", 1)
		project(t, each, "default", usable(counts))
		project(t, each, "other", usable(v1alpha1.BackupCounts{}))
	}
	if one := statusOf(t, "default", "-n", here); len(one.Projects) != 1 || one.Projects[0].Read.Failed != 3 || len(one.Orphans) > 0 {
		t.Errorf("of one: %+v", one)
	}
	seen := 0
	for _, each := range statusOf(t, "-A").Projects {
		if each.Namespace == here || each.Namespace == there {
			seen++
			if each.Name == "default" && each.Read.Failed != 3 {
				t.Errorf("read %+v", each.Read)
			}
		}
	}
	if seen != 4 {
		t.Errorf("%d of 4 projects in all namespaces", seen)
	}
	if all := statusOf(t, "-n", here, "--all"); all.Projects[0].Read.Imported != 2 || !all.Projects[0].Drifted.Complete {
		t.Errorf("with --all: %+v", all.Projects[0].Read)
	}
	limited := statusOf(t, "default", "-n", here, "--limit=2").Projects[0]
	if limited.Read.Pending+limited.Read.Running != 2 || !limited.Read.OpenTruncated || !limited.Read.FailedTruncated {
		t.Errorf("of the first two: %+v", limited.Read)
	}
}

func TestStatusFindsDriftAmongImportedOnesWithAll(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{Imported: 3, Drifted: ptr.To(int32(3))}))
	made := backup(t, testbed.Manifest(here, "default", int(number.Add(1)), 7), imported)
	made.Spec.ResourceName = "edited"
	must(t, bed.Client.Update(t.Context(), made))
	if got := statusOf(t, "-n", here).Projects[0].Drifted; got.Count != 3 || !got.Complete || len(got.Names) > 0 {
		t.Errorf("without --all the operator's count tells: %+v", got)
	}
	if got := statusOf(t, "-n", here, "--all").Projects[0].Drifted; got.Count != 1 || !slices.Equal(got.Names, []string{made.Name}) {
		t.Errorf("with --all: %+v", got)
	}
}

func TestTheExitStatusOfStatus(t *testing.T) {
	here := namespace(t)
	counts, _ := mixed(t, here, "default", 1)
	project(t, here, "default", usable(counts))
	for _, test := range []struct {
		arguments string
		status    int
		says      string
	}{
		{"", 0, ""},
		{"--fail-on=stalled", 0, ""},
		{"--fail-on=failed,stalled", cli.ExitFound, "3 failed BackupSyncs"},
		{"--fail-on=unknown", cli.ExitFound, "1 BackupSync whose outcome is not known"},
		{"--fail-on=sad", cli.ExitUsage, "--fail-on=sad is not known"},
		{"--output=xml", cli.ExitUsage, "--output=xml is not known"},
		{"default other", cli.ExitUsage, "accepts at most 1 arg"},
		{"nowhere", cli.ExitError, `"nowhere" not found`},
		{"--as=nobody", cli.ExitError, "you may not: ask for the role view"},
		{"--server=https://127.0.0.1:1", cli.ExitError, "connection refused"},
	} {
		got := runCommand(t, overview.NewCommand, append([]string{"status", "-n", here}, strings.Fields(test.arguments)...)...)
		if got.status != test.status || !strings.Contains(got.errOut, test.says) {
			t.Errorf("%s: status %d, %s", test.arguments, got.status, got.errOut)
		}
	}
	if got := runCommand(t, overview.NewCommand, "status", "-n", "empty"); got.status != 0 || !strings.Contains(got.errOut, "No CBRProjects in namespace empty.") {
		t.Errorf("of an empty namespace: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := runContext(ctx, overview.NewCommand, "status", "-n", here); got.status != cli.ExitError || got.out != "" {
		t.Errorf("interrupted: %+v", got)
	}
}

// TestWhoMayNotReadTheLeaseSeesTheRest also sees the lease come, and its holder go.
func TestWhoMayNotReadTheLeaseSeesTheRest(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{}))
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: here, Name: "viewer"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"cbrprojects", "backupsyncs"}, Verbs: []string{"get", "list"}}}}
	must(t, bed.Client.Create(t.Context(), role))
	must(t, bed.Client.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: here, Name: "viewer"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "viewer"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "eve"}}}))
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: here, Name: "cbr.backupsync.dev"}}
	renewed, holder := metav1.NowMicro(), "manager-0"
	lease.Spec.RenewTime, lease.Spec.HolderIdentity = &renewed, &holder
	must(t, bed.Client.Create(t.Context(), lease))
	t.Cleanup(func() { must(t, bed.Client.Delete(context.WithoutCancel(t.Context()), lease)) })

	if got := statusOf(t, "-n", here, "--as=eve"); got.Operator.State != liveness.Unknown || len(got.Projects) != 1 {
		t.Errorf("for who may not read it: %+v", got.Operator)
	}
	for _, arguments := range [][]string{{"-n", here}, {"-n", here, "--operator-namespace=" + here}} {
		if got := statusOf(t, arguments...); got.Operator.State != liveness.Alive || got.Operator.Holder != holder {
			t.Errorf("%v: %+v", arguments, got.Operator)
		}
	}
	holder = ""
	lease.Spec.HolderIdentity = &holder
	must(t, bed.Client.Update(t.Context(), lease))
	if got := runCommand(t, overview.NewCommand, "status", "-n", here, "--fail-on=silent"); got.status != cli.ExitFound {
		t.Errorf("its holder has gone: %+v", got)
	}
}

// eachLine is an output that calls a function with each write.
type eachLine struct {
	io.Writer
	do func(text string)
}

func (e eachLine) Write(written []byte) (int, error) {
	n, err := e.Writer.Write(written)
	e.do(string(written))
	return n, err
}

func TestAWatchEndsWhenAllIsDone(t *testing.T) {
	here := namespace(t)
	of := project(t, here, "default", usable(v1alpha1.BackupCounts{Running: 1}))
	made := backup(t, testbed.Manifest(here, "default", int(number.Add(1)), 7), running)
	finish := func(text string) {
		if !strings.Contains(text, "0 of 1 imported, 1 running") {
			return
		}
		done := imported(made)
		if err := bed.Client.Status().Update(t.Context(), done); err != nil {
			t.Error(err)
		}
		of.Status.Backups = &v1alpha1.BackupCounts{Total: 1, Imported: 1}
		if err := bed.Client.Status().Update(t.Context(), of); err != nil {
			t.Error(err)
		}
	}
	var out, errOut strings.Builder
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: strings.NewReader(""), Out: eachLine{&out, finish}, ErrOut: &errOut})
	root := cli.NewCommand(f, overview.NewCommand(f))
	root.SetContext(t.Context())
	root.SetArgs([]string{"status", "-n", here, "--until-done", "--interval=100ms", "--timeout=1m", "--fail-on=failed", "--kubeconfig=" + bed.Kubeconfig})
	if status := cli.Run(f, root); status != 0 {
		t.Errorf("status %d: %s", status, errOut.String())
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); !strings.Contains(lines[len(lines)-1], "1 of 1 imported, 0 running, 0 pending, 0 failed") {
		t.Errorf("it ended with %q", lines)
	}
}

func TestAWatchEndsAtItsTimeout(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{Pending: 1}))
	backup(t, testbed.Manifest(here, "default", int(number.Add(1)), 7), nil)
	got := runCommand(t, overview.NewCommand, "status", "-n", here, "--until-done", "--interval=100ms", "--timeout=2s")
	if got.status != cli.ExitError || !strings.Contains(got.errOut, "not all is done after 2s") {
		t.Errorf("got %+v", got)
	}
}

// lists are the commands that list, by their state.
var lists = map[string]func(*cli.Factory) *cobra.Command{
	"failed": listing.NewFailedCommand, "pending": listing.NewPendingCommand, "running": listing.NewRunningCommand,
}

// A pipeline that waits in a namespace that does not exist, for a slip, has not seen that all is done.
func TestNothingIsDoneWhereThereIsNothing(t *testing.T) {
	got := runCommand(t, overview.NewCommand, "status", "-n", "no-such-namespace", "--until-done", "--fail-on=failed,stalled")
	if got.status != cli.ExitError || !strings.Contains(got.errOut, "nothing to wait for: No CBRProjects in namespace no-such-namespace") {
		t.Errorf("%+v", got)
	}
}

// Nothing of what is suspended is sent, in no minute.
func TestWhatIsSuspendedIsNotLeftForAMinute(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{Pending: 1}))
	made := testbed.Manifest(here, "default", 1, 1)
	made.Spec.Suspend = true
	backup(t, made, func(made *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		return backupsync.Present(made, backupsync.Circumstances{}, now())
	})
	if got := runCommand(t, overview.NewCommand, "status", "-n", here); strings.Contains(got.out, "fit into a minute") {
		t.Errorf("%s", got.out)
	}
}

func TestListsTellTheTruth(t *testing.T) {
	here := namespace(t)
	oneOfEach(t, here)
	renewed := testbed.Manifest(here, "other", int(number.Add(1)), 7)
	renewed.Name, renewed.Labels = "corrected", map[string]string{"team": "erp"}
	renewed = backup(t, renewed, rejected)
	renewed.Spec.BucketName = "another"
	must(t, bed.Client.Update(t.Context(), renewed))
	for _, test := range []struct{ command, arguments, want string }{
		{"failed", "", "duplicate failing rejected"},
		{"failed", "--reason=rejected,Duplicate", "duplicate rejected"},
		{"failed", "other", ""},
		{"pending", "", "corrected queued retrying unknown"},
		{"pending", "default", "queued retrying unknown"},
		{"pending", "-l team=erp", "corrected"},
		{"pending", "--limit=1", "corrected"},
		{"running", "", "running"},
	} {
		got := runCommand(t, lists[test.command], append([]string{test.command, "-n", here, "-o", "name", "--sort-by=name"}, strings.Fields(test.arguments)...)...)
		names := strings.Join(strings.Fields(strings.ReplaceAll(got.out, "backupsync.cbr.backupsync.dev/", "")), " ")
		if names != test.want || got.status != 0 {
			t.Errorf("%s %s: got %q, %s", test.command, test.arguments, names, got.errOut)
		}
	}
	if got := runCommand(t, lists["failed"], "failed", "other", "-n", here); got.out != "" || got.errOut != "No failed BackupSyncs of the CBRProject other in namespace "+here+".\n" {
		t.Errorf("of none: %+v", got)
	}
	got := runCommand(t, lists["running"], "running", "-n", here, "-o", "json")
	var list listing.List
	must(t, json.Unmarshal([]byte(got.out), &list))
	if len(list.Items) != 1 || list.Items[0].OperationLogID != "task-running" || list.Items[0].Reason != v1alpha1.ReasonOperationRunning {
		t.Errorf("got %+v", list)
	}
	if got := runCommand(t, lists["failed"], "failed", "-n", here, "--as=nobody"); got.status != cli.ExitError || !strings.Contains(got.errOut, "you may not") {
		t.Errorf("for who may not: %+v", got)
	}
}

func TestExplainTellsTheTruth(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{Failed: 1}))
	made := testbed.Manifest(here, "default", int(number.Add(1)), 7)
	made.Spec.BackupID = fmt.Sprintf("ABCDEF-%d", number.Add(1))
	made = backup(t, made, rejected)
	other := testbed.Manifest(here, "default", int(number.Add(1)), 7)
	other.Spec.BackupID = strings.ToLower(made.Spec.BackupID)
	backup(t, other, duplicate)
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: here, Name: "rejected"}, Reason: "Rejected", Message: "told by an event", LastTimestamp: now(),
		InvolvedObject: corev1.ObjectReference{Kind: "BackupSync", Namespace: here, Name: made.Name, UID: made.UID}}
	must(t, bed.Client.Create(t.Context(), event))

	for _, arguments := range [][]string{{made.Name}, {"--backup-id=" + strings.ToLower(made.Spec.BackupID)}} {
		got := runCommand(t, explain.NewCommand, append([]string{"explain", "-n", here, "-o", "json"}, arguments...)...)
		var so explain.Explanation
		if got.status != 0 {
			t.Fatal(got.errOut)
		}
		must(t, json.Unmarshal([]byte(got.out), &so))
		if so.Name != made.Name && arguments[0] == made.Name || so.Reason == "" || len(so.Duplicates) != 1 {
			t.Errorf("%v: got %+v", arguments, so)
		}
		if so.Name == made.Name && !slices.ContainsFunc(so.History, func(each explain.Happening) bool { return strings.Contains(each.What, "told by an event") }) {
			t.Errorf("its event is missing: %+v", so.History)
		}
	}
	text := runCommand(t, explain.NewCommand, "explain", "-n", here, made.Name)
	if !strings.Contains(text.out, "Correct the manifest: an edit sends it again.") || strings.Contains(text.out, "\x1b") {
		t.Errorf("got %s", text.out)
	}
	for arguments, want := range map[string]result{
		"nobody": {status: cli.ExitError, errOut: `"nobody" not found`}, "--backup-id=nobody": {status: cli.ExitError, errOut: "no BackupSync declares the backup nobody"},
		"": {status: cli.ExitUsage, errOut: "one of the two"}, made.Name + " --backup-id=x": {status: cli.ExitUsage, errOut: "one of the two"},
		made.Name + " -o wide": {status: cli.ExitUsage, errOut: "--output=wide is not known"}, made.Name + " --as=nobody": {status: cli.ExitError, errOut: "you may not"},
	} {
		got := runCommand(t, explain.NewCommand, append([]string{"explain", "-n", here}, strings.Fields(arguments)...)...)
		if got.status != want.status || !strings.Contains(got.errOut, want.errOut) {
			t.Errorf("%s: %+v", arguments, got)
		}
	}
}
