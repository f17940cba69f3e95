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
	"fmt"
	"slices"
	"strings"
	"testing"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/explain"
)

// testExplain has one of each kind explained, by its name and by its backup's id, and as a text.
func (w *world) testExplain(t *testing.T) {
	for _, each := range w.oneOfEach() {
		namespace, name := each.object.Namespace, each.object.Name
		got, _ := read[explain.Explanation](t, w, 0, namespace, "explain", name)
		w.compareExplanation(t, each, &got)
		if each.name != duplicateKind && each.object.Spec.BackupID == name { // of a duplicate the owner is explained
			byID, _ := read[explain.Explanation](t, w, 0, namespace, "explain", "--backup-id="+strings.ToUpper(name))
			byID.Operator = got.Operator // it tells an age by the clock of the API server, which goes on
			same(t, each.name+" by its id", byID, got)
		}
		text := w.run(t, namespace, "explain", name)
		for _, says := range append([]string{strings.TrimSuffix(fmt.Sprintf("%s/%s %s, %s", namespace, name, each.state, each.reason), ", "), each.message(), "backup " + each.object.Spec.BackupID}, got.Advice...) {
			if !strings.Contains(onOneLine(text.Out), onOneLine(says)) {
				t.Errorf("%s: %q is not said in\n%s", each.name, says, text.Out)
			}
		}
	}
}

func (w *world) compareExplanation(t *testing.T, of *backup, got *explain.Explanation) {
	t.Helper()
	same(t, of.name, []string{got.Namespace, got.Name, got.State, got.Reason, got.Message}, []string{of.object.Namespace, of.object.Name, of.state, of.reason, of.message()})
	same(t, of.name+": declared", got.Declared, of.object.Spec)
	same(t, of.name+": its project exists", got.Project.Exists, of.project() != "gone")
	same(t, of.name+": waits", got.Waits != nil, of.state == pending || of.state == running)
	same(t, of.name+": has drifted", got.Drift != nil, of.drifted)
	if advice := strings.Join(got.Advice, "\n"); !strings.Contains(advice, of.advice) || advice == "" {
		t.Errorf("%s: advised is\n%s\nand not %q", of.name, advice, of.advice)
	}
	notes := strings.Join(got.Notes, "\n")
	same(t, of.name+": a request is told", strings.Contains(notes, "Another import was requested"), of.requested)
	unseen := of.object.Status.ObservedGeneration > 0 && of.object.Status.ObservedGeneration != of.object.Generation
	same(t, of.name+": an edit is told", strings.Contains(notes, "has not taken in the latest edit"), unseen)
	same(t, of.name+": its deletion is told", strings.Contains(notes, "It is being deleted since "), of.deleting)
	var duplicates []string
	for _, each := range got.Duplicates {
		duplicates = append(duplicates, fmt.Sprint(each.Name, each.Owns))
	}
	var truth []string
	for _, each := range w.backups {
		switch {
		case each == of || !strings.EqualFold(each.object.Spec.BackupID, of.object.Spec.BackupID):
		default:
			truth = append(truth, fmt.Sprint(each.object.Name, each.object.Name == of.owner))
		}
	}
	same(t, of.name+": duplicates", duplicates, truth)
	w.compareHistory(t, of, got)
}

// compareHistory looks for what has happened, at its time.
func (w *world) compareHistory(t *testing.T, of *backup, got *explain.Explanation) {
	t.Helper()
	happened := func(at int64, what string) bool {
		return slices.ContainsFunc(got.History, func(each explain.Happening) bool { return each.Time.Unix() == at && strings.Contains(each.What, what) })
	}
	if !happened(of.object.CreationTimestamp.Unix(), "was created") {
		t.Errorf("%s: its creation is not told: %+v", of.name, got.History)
	}
	status := &of.object.Status
	if status.SubmittedTime != nil && !happened(status.SubmittedTime.Unix(), "task-"+of.object.Name) {
		t.Errorf("%s: its task is not told: %+v", of.name, got.History)
	}
	if status.FinishedTime != nil && !happened(status.FinishedTime.Unix(), status.LastError) {
		t.Errorf("%s: its end is not told: %+v", of.name, got.History)
	}
	if of.lost != "" && !slices.ContainsFunc(got.History, func(each explain.Happening) bool { return strings.Contains(each.What, of.lost) }) {
		t.Errorf("%s: that it is %s is not told: %+v", of.name, of.lost, got.History)
	}
	same(t, of.name+": is in a call", got.Call != nil, of.project() == "erp" && of.object.Namespace == north && of.reason == v1alpha1.ReasonOutcomeUnknown)
}
