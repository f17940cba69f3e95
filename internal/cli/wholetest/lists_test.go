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

package wholetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/listing"
)

// itemOf is what a list is to tell of a BackupSync.
func (b *backup) itemOf() listing.Item {
	status := &b.object.Status
	return listing.Item{Namespace: b.object.Namespace, Name: b.object.Name, Project: b.project(), BackupID: b.object.Spec.BackupID, ResourceName: b.object.Spec.ResourceName,
		CreationTime: b.object.CreationTimestamp, State: b.state, Reason: b.reason, Message: b.message(), OperationLogID: status.OperationLogID, Attempts: status.Attempts,
		SubmittedTime: status.SubmittedTime, FinishedTime: status.FinishedTime, NextAttemptTime: status.NextAttemptTime, Drifted: b.drifted}
}

// line is an item in a form that can be compared.
func line(of *listing.Item) string {
	times := ""
	for _, each := range []*metav1.Time{&of.CreationTime, of.SubmittedTime, of.FinishedTime, of.NextAttemptTime} {
		if each == nil {
			times += " -"
		} else {
			times += fmt.Sprint(" ", each.Unix())
		}
	}
	return fmt.Sprintf("%s/%s of %s %s %s: %s, %s (%s) task %q, %d attempts, times%s, drifted %t", of.Namespace, of.Name, of.Project, of.BackupID, of.ResourceName,
		of.State, of.Reason, of.Message, of.OperationLogID, of.Attempts, times, of.Drifted)
}

func byReason(a, b *backup) int { return cmp.Or(strings.Compare(a.reason, b.reason), older(a, b)) }

// testLists compares what is listed, with all that is told of each, and in which order.
func (w *world) testLists(t *testing.T) {
	hasReason := func(reasons ...string) func(*backup) bool {
		return func(each *backup) bool { return slices.Contains(reasons, each.reason) }
	}
	for _, state := range []string{failed, pending, running} {
		for _, test := range []struct {
			namespace, arguments string
			takes                func(*backup) bool
			order                func(a, b *backup) int
			limit                int
		}{
			{north, "-A", of("", ""), older, 0},
			{north, "", of(north, ""), older, 0},
			{south, "", of(south, ""), older, 0},
			{attic, "", of(attic, ""), older, 0},
			{north, "erp", of(north, "erp"), older, 0},
			{south, "erp --sort-by=name", of(south, "erp"), byName, 0},
			{south, "branch-3", of(south, "branch-3"), older, 0},
			{north, "gone", of(north, "gone"), older, 0},
			{north, "-A --sort-by=name", of("", ""), byName, 0},
			{north, "-A --sort-by=reason", of("", ""), byReason, 0},
			{north, "-A --limit=17", of("", ""), older, 17},
			{north, "-A -l team=erp", (*backup).erp, older, 0},
			{north, "-A --reason=Rejected,operationfailed,Queued,OperationOverdue", hasReason(v1alpha1.ReasonRejected, v1alpha1.ReasonOperationFailed, v1alpha1.ReasonQueued, v1alpha1.ReasonOperationOverdue), older, 0},
			{north, "nobody", of(north, "nobody"), older, 0},
		} {
			got, errOut := read[listing.List](t, w, 0, test.namespace, append([]string{state}, strings.Fields(test.arguments)...)...)
			w.compareList(t, fmt.Sprintf("%s %s -n %s", state, test.arguments, test.namespace), &got, errOut, w.those(in(state), test.takes), test.order, test.limit)
		}
	}
}

func (w *world) compareList(t *testing.T, what string, got *listing.List, errOut string, truth []*backup, order func(a, b *backup) int, limit int) {
	t.Helper()
	slices.SortFunc(truth, order)
	more := 0
	if limit > 0 && len(truth) > limit {
		truth, more = truth[:limit], len(truth)-limit
	}
	if len(got.Items) != len(truth) || got.More != more {
		t.Fatalf("%s: %d, and %d more; true is %d, and %d more", what, len(got.Items), got.More, len(truth), more)
	}
	for i, each := range truth {
		item := each.itemOf()
		if told, is := line(&got.Items[i]), line(&item); told != is {
			t.Fatalf("%s: number %d is told\n%s\nand true is\n%s", what, i, told, is)
		}
	}
	if says := strings.HasPrefix(errOut, "No "); says != (len(truth) == 0) {
		t.Errorf("%s: %d, and it says %s", what, len(truth), errOut)
	}
	if says := fmt.Sprintf("%s more: --limit=0 lists all.\n", grouped(more)); more > 0 && errOut != says {
		t.Errorf("%s: it says %s, not %s", what, errOut, says)
	}
}

// testTables compares what a person sees of all, and the names for other commands.
func (w *world) testTables(t *testing.T) {
	for state, header := range map[string]string{failed: "FAILED", pending: "NEXT-ATTEMPT", running: "RUNNING OPERATION"} {
		truth := w.those(in(state))
		slices.SortFunc(truth, older)
		want := []string{"NAMESPACE NAME PROJECT AGE REASON " + header + " MESSAGE"}
		var named []string
		for _, each := range truth {
			want = append(want, w.row(each))
			named = append(named, "backupsync.cbr.backupsync.dev/"+each.object.Name)
		}
		got := w.run(t, north, state, "-A")
		var lines []string
		for _, each := range strings.Split(strings.TrimSpace(got.Out), "\n") {
			lines = append(lines, onOneLine(each))
		}
		same(t, state+": number of lines", len(lines), len(want))
		same(t, state, strings.Join(lines, "\n"), strings.Join(want, "\n"))
		got = w.run(t, north, state, "-A", "-o", "name")
		same(t, state+" -o name", strings.TrimSpace(got.Out), strings.Join(named, "\n"))
	}
}

// row is the line of a table about a BackupSync.
func (w *world) row(of *backup) string {
	hours := func(since *metav1.Time) string {
		if since == nil {
			return "-"
		}
		return fmt.Sprintf("%dh", int(w.now.Sub(since.Time).Hours())) // all that is told is hours ago
	}
	status := &of.object.Status
	cells := []string{of.object.Namespace, of.object.Name, of.project(), hours(&of.object.CreationTimestamp), cmp.Or(of.reason, "-")}
	switch of.state {
	case failed:
		cells = append(cells, hours(status.FinishedTime))
	case running:
		cells = append(cells, hours(status.SubmittedTime), "task-"+of.object.Name)
	default:
		next := "-"
		if due := status.NextAttemptTime; due != nil && due.After(w.now) {
			next = "in 30s"
		} else if due != nil {
			next = "now"
		}
		cells = append(cells, next)
	}
	if of.deleting {
		cells = append(cells, "It is being deleted, and not sent any more.")
	}
	return onOneLine(strings.Join(append(cells, of.message()), " "))
}
