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
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// noon is the time at which the tables of these tests play.
var noon = metav1.NewTime(time.Date(2026, 3, 26, 12, 0, 0, 0, time.UTC))

// newBackup is a BackupSync as the API server makes it of a manifest: with the default status of the CRD.
func newBackup(changes ...func(*v1alpha1.BackupSync)) *v1alpha1.BackupSync {
	queued := metav1.Condition{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonQueued,
		Message: v1alpha1.QueuedMessage, LastTransitionTime: metav1.NewTime(time.Unix(0, 0))}
	ready, reconciling := queued, queued
	ready.Type, ready.Status = v1alpha1.ConditionReady, metav1.ConditionUnknown
	reconciling.Type = v1alpha1.ConditionReconciling
	backup := &v1alpha1.BackupSync{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "BackupSync"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "erp-01", UID: "uid-erp-01", Generation: 1,
			ResourceVersion: "1", CreationTimestamp: noon},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: "default"},
			BackupID:   "1f9e6b47-7655-4a19-b563-21b4ef023025",
		},
		Status: v1alpha1.BackupSyncStatus{ObservedGeneration: -1, Conditions: []metav1.Condition{ready, reconciling}},
	}
	for _, change := range changes {
		change(backup)
	}
	return backup
}

// edit is what the API server makes of a BackupSync whose spec is changed.
func edit(backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	next := backup.DeepCopy()
	next.Generation++
	return next
}

// task is a task of CBR that has ended.
func task(status cbr.TaskStatus, code, message string) *cbr.OperationLog {
	return &cbr.OperationLog{ID: "operation", Status: status, ErrorInfo: cbr.ErrorInfo{Code: code, Message: message}}
}

// row is a row of the condition table of the design, with a way to get there.
type row struct {
	reason                          string
	ready                           metav1.ConditionStatus
	reconciling, stalled, submitted bool
	backup                          func() *v1alpha1.BackupSync
}

func runningBackup() *v1alpha1.BackupSync { return submitted(newBackup(), "operation", noon) }

func waitingFor(reason string) func() *v1alpha1.BackupSync {
	return func() *v1alpha1.BackupSync { return waiting(newBackup(), reason, "It waits.", noon) }
}

func settledAs(reason string) func() *v1alpha1.BackupSync {
	return func() *v1alpha1.BackupSync { return settle(newBackup(), reason, "It is so.", noon) }
}

func endedAs(status cbr.TaskStatus, retryLimit int32) func() *v1alpha1.BackupSync {
	return func() *v1alpha1.BackupSync {
		return finished(runningBackup(), endOf(task(status, "BackupService.1006", "import failed")), retryLimit, noon)
	}
}

// conditionTable is the table of the design, section "Conditions".
var conditionTable = map[string]row{
	"a new one, without a write": {reason: v1alpha1.ReasonQueued, ready: metav1.ConditionUnknown, reconciling: true,
		backup: func() *v1alpha1.BackupSync { return newBackup() }},
	"queued again after the edit of a rejected one": {reason: v1alpha1.ReasonQueued, ready: metav1.ConditionUnknown, reconciling: true,
		backup: func() *v1alpha1.BackupSync {
			return waiting(edit(settledAs(v1alpha1.ReasonRejected)()), v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, noon)
		}},
	"its CBRProject does not exist": {reason: v1alpha1.ReasonWaitingForProject, ready: metav1.ConditionUnknown, reconciling: true,
		backup: waitingFor(v1alpha1.ReasonWaitingForProject)},
	"suspended itself": {reason: v1alpha1.ReasonSuspended, ready: metav1.ConditionUnknown,
		backup: waitingFor(v1alpha1.ReasonSuspended)},
	"accepted by CBR, task runs": {reason: v1alpha1.ReasonOperationRunning, ready: metav1.ConditionUnknown, reconciling: true, submitted: true,
		backup: runningBackup},
	"imported": {reason: v1alpha1.ReasonImported, ready: metav1.ConditionTrue, submitted: true,
		backup: endedAs(cbr.TaskSuccess, 3)},
	"imported, with a suspension acknowledged": {reason: v1alpha1.ReasonImported, ready: metav1.ConditionTrue, submitted: true,
		backup: func() *v1alpha1.BackupSync { return acknowledged(edit(endedAs(cbr.TaskSuccess, 3)()), noon) }},
	"was in CBR before we ever called": {reason: v1alpha1.ReasonAlreadyImported, ready: metav1.ConditionTrue,
		backup: func() *v1alpha1.BackupSync { return foundStored(newBackup(), false, "", noon) }},
	"found in CBR after a call without an answer": {reason: v1alpha1.ReasonImported, ready: metav1.ConditionTrue, submitted: true,
		backup: func() *v1alpha1.BackupSync {
			return foundStored(waitingFor(v1alpha1.ReasonOutcomeUnknown)(), true, "", noon)
		}},
	"CBR rejected this very item": {reason: v1alpha1.ReasonRejected, ready: metav1.ConditionFalse, stalled: true,
		backup: settledAs(v1alpha1.ReasonRejected)},
	"its task failed, a retry is due": {reason: v1alpha1.ReasonRetryScheduled, ready: metav1.ConditionUnknown, reconciling: true, submitted: true,
		backup: endedAs(cbr.TaskFailed, 3)},
	"its task timed out, a retry is due": {reason: v1alpha1.ReasonRetryScheduled, ready: metav1.ConditionUnknown, reconciling: true, submitted: true,
		backup: endedAs(cbr.TaskTimeout, 3)},
	"its task failed for good": {reason: v1alpha1.ReasonOperationFailed, ready: metav1.ConditionFalse, stalled: true, submitted: true,
		backup: endedAs(cbr.TaskFailed, 0)},
	"its task was skipped": {reason: v1alpha1.ReasonOperationFailed, ready: metav1.ConditionFalse, stalled: true, submitted: true,
		backup: endedAs(cbr.TaskSkipped, 3)},
	"its task timed out for good": {reason: v1alpha1.ReasonOperationFailed, ready: metav1.ConditionFalse, stalled: true, submitted: true,
		backup: endedAs(cbr.TaskTimeout, 0)},
	"same backupID as an older one": {reason: v1alpha1.ReasonDuplicate, ready: metav1.ConditionFalse, stalled: true,
		backup: waitingFor(v1alpha1.ReasonDuplicate)},
	"call sent, answer unknown": {reason: v1alpha1.ReasonOutcomeUnknown, ready: metav1.ConditionUnknown, reconciling: true,
		backup: waitingFor(v1alpha1.ReasonOutcomeUnknown)},
}

// conditionsOf are the conditions by type, as status and reason.
func conditionsOf(conditions []metav1.Condition) map[string]string {
	found := map[string]string{}
	for _, condition := range conditions {
		found[condition.Type] = string(condition.Status) + " " + condition.Reason
	}
	return found
}

func (r row) conditions() map[string]string {
	wanted := map[string]string{v1alpha1.ConditionReady: string(r.ready) + " " + r.reason}
	if r.reconciling {
		wanted[v1alpha1.ConditionReconciling] = "True " + r.reason
	}
	if r.stalled {
		wanted[v1alpha1.ConditionStalled] = "True " + r.reason
	}
	if r.submitted {
		wanted[v1alpha1.ConditionSubmitted] = "True " + v1alpha1.ReasonAccepted
	}
	return wanted
}

func TestConditionsOfEachState(t *testing.T) {
	covered := map[string]bool{}
	for name, row := range conditionTable {
		covered[row.reason] = true
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			backup := row.backup()
			g.Expect(conditionsOf(backup.Status.Conditions)).To(Equal(row.conditions()))
			for _, condition := range backup.Status.Conditions {
				g.Expect(condition.Message).NotTo(BeEmpty(), condition.Type)
			}
		})
	}
	for reason := range backupShapes {
		if !covered[reason] {
			t.Errorf("the reason %s is in no row of this table", reason)
		}
	}
}

// Whatever a BackupSync was before, its conditions are those of what it is now, and nothing of before is left.
func TestConditionsFollowFromTheReasonAlone(t *testing.T) {
	for from, before := range conditionTable {
		for to, after := range conditionTable {
			next := settle(before.backup(), after.reason, "It is so.", noon)
			if got, want := conditionsOf(next.Status.Conditions), after.conditions(); !maps.Equal(got, want) {
				t.Errorf("from %q to %q: %v, want %v", from, to, got, want)
			}
		}
	}
}

func TestEveryOutcomeObservesTheGeneration(t *testing.T) {
	g := NewWithT(t)
	for name, row := range conditionTable {
		backup := row.backup()
		if name == "a new one, without a write" {
			g.Expect(backup.Status.ObservedGeneration).To(BeEquivalentTo(-1), name)
			continue
		}
		g.Expect(backup.Status.ObservedGeneration).To(Equal(backup.Generation), name)
		for _, condition := range backup.Status.Conditions {
			g.Expect(condition.ObservedGeneration).To(Equal(backup.Generation), "%s of %s", condition.Type, name)
		}
	}
}

func TestTransitionTimes(t *testing.T) {
	g := NewWithT(t)
	at := func(minutes int) metav1.Time { return metav1.NewTime(noon.Add(time.Duration(minutes) * time.Minute)) }
	since := func(backup *v1alpha1.BackupSync, kind string) metav1.Time {
		condition := meta.FindStatusCondition(backup.Status.Conditions, kind)
		g.Expect(condition).NotTo(BeNil(), kind)
		return condition.LastTransitionTime
	}
	waits := settle(newBackup(func(b *v1alpha1.BackupSync) { b.Status.Conditions = nil }), v1alpha1.ReasonWaitingForProject, "It waits.", at(0))
	runs := submitted(waits, "operation", at(1))
	failed := finished(runs, endOf(task(cbr.TaskFailed, "", "")), 3, at(2))
	resubmitted := submitted(failed, "another", at(3))
	done := finished(resubmitted, endOf(task(cbr.TaskSuccess, "", "")), 3, at(4))
	acknowledgedLater := acknowledged(edit(done), at(5))

	defaulted := submitted(newBackup(func(b *v1alpha1.BackupSync) { b.CreationTimestamp = at(-1) }), "operation", at(1))
	g.Expect(since(defaulted, v1alpha1.ConditionReady)).To(Equal(at(-1)), "Unknown since it was created, whatever the CRD's default says")
	g.Expect(since(waits, v1alpha1.ConditionReady)).To(Equal(at(0)))
	g.Expect(since(runs, v1alpha1.ConditionReady)).To(Equal(at(0)), "Unknown all along, with another reason")
	g.Expect(since(runs, v1alpha1.ConditionReconciling)).To(Equal(at(0)))
	g.Expect(since(runs, v1alpha1.ConditionSubmitted)).To(Equal(at(1)))
	g.Expect(since(failed, v1alpha1.ConditionSubmitted)).To(Equal(at(1)))
	g.Expect(since(resubmitted, v1alpha1.ConditionSubmitted)).To(Equal(at(1)))
	g.Expect(since(resubmitted, v1alpha1.ConditionReady)).To(Equal(at(0)))
	g.Expect(since(done, v1alpha1.ConditionReady)).To(Equal(at(4)))
	g.Expect(since(done, v1alpha1.ConditionSubmitted)).To(Equal(at(1)))
	g.Expect(since(acknowledgedLater, v1alpha1.ConditionReady)).To(Equal(at(4)))
}

// A condition that was absent for a while holds since it came back, not since it was there before.
func TestTransitionTimeOfAConditionThatComesBack(t *testing.T) {
	g := NewWithT(t)
	later := metav1.NewTime(noon.Add(time.Hour))
	suspended := settle(runningBackup(), v1alpha1.ReasonSuspended, "It is suspended.", noon)
	back := settle(suspended, v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, later)
	g.Expect(meta.FindStatusCondition(back.Status.Conditions, v1alpha1.ConditionReconciling).LastTransitionTime).To(Equal(later))
}

func TestTheSameReasonTwiceChangesNothing(t *testing.T) {
	later := metav1.NewTime(noon.Add(time.Hour))
	of := &metav1.ObjectMeta{Generation: 1}
	for reason, form := range backupShapes {
		once := applyConditions(of, newBackup().Status.Conditions, form, reason, "It is so.", noon)
		twice := applyConditions(of, once, form, reason, "It is so.", later)
		NewWithT(t).Expect(twice).To(Equal(once), reason)
	}
	for reason, form := range projectShapes {
		once := applyConditions(of, nil, form, reason, "It is so.", noon)
		twice := applyConditions(of, once, form, reason, "It is so.", later)
		NewWithT(t).Expect(twice).To(Equal(once), reason)
	}
}

// The objects come from the cache, which others read at the same time.
func TestOutcomesDoNotTouchTheirArguments(t *testing.T) {
	for name, row := range conditionTable {
		for reason := range backupShapes {
			t.Run(fmt.Sprintf("%s, then %s", name, reason), func(t *testing.T) {
				g := NewWithT(t)
				backup := edit(row.backup())
				// Room at the end of the slice: an append in place would be seen by other readers.
				backup.Status.Conditions = slices.Grow(backup.Status.Conditions, 8)
				spare := backup.Status.Conditions[:cap(backup.Status.Conditions)]
				before, spareBefore := backup.DeepCopy(), slices.Clone(spare)

				later := metav1.NewTime(noon.Add(time.Hour))
				settle(backup, reason, "It has changed.", later)
				waiting(backup, reason, "It has changed.", later)
				submitted(backup, "another", later)
				finished(backup, endOf(task(cbr.TaskSuccess, "", "")), 3, later)
				finished(backup, endOf(task(cbr.TaskFailed, "a", "b")), 3, later)
				finished(backup, endOf(task(cbr.TaskFailed, "a", "b")), 0, later)
				acknowledged(backup, later)
				foundStored(backup, true, "another", later)
				foundStored(backup, false, "", later)

				g.Expect(backup).To(Equal(before))
				g.Expect(spare).To(Equal(spareBefore))
			})
		}
	}
}

func TestForeignConditionsAreKept(t *testing.T) {
	g := NewWithT(t)
	foreign := metav1.Condition{Type: "example.com/Audited", Status: metav1.ConditionTrue, Reason: "Audited", LastTransitionTime: noon}
	backup := newBackup(func(b *v1alpha1.BackupSync) { b.Status.Conditions = append(b.Status.Conditions, foreign) })
	done := finished(submitted(backup, "operation", noon), endOf(task(cbr.TaskSuccess, "", "")), 3, noon)
	g.Expect(done.Status.Conditions).To(ContainElement(foreign))
}

func TestCleanMessage(t *testing.T) {
	limit := v1alpha1.MaxMessageLength
	for name, c := range map[string]struct{ text, want string }{
		"plain text stays":                     {"vault not found", "vault not found"},
		"Chinese stays":                        {"备份不存在。", "备份不存在。"},
		"nothing":                              {"", ""},
		"nothing but white space":              {" \t\r\n ", ""},
		"one line":                             {"first\nsecond\r\n\tthird  fourth", "first second third fourth"},
		"white space around":                   {"\n text \n", "text"},
		"NUL":                                  {"a\x00b", "ab"},
		"control characters":                   {"a\x1b[31mb\x07\x7f\u0085c", "a[31mb c"},
		"invalid UTF-8":                        {"a\xff\xfe\xc3(b", "a(b"},
		"half a character":                     {"备份"[:5], "备"},
		"the replacement character":            {"a\ufffdb", "ab"},
		"bidirectional overrides":              {"a\u202eb\u2066c", "abc"},
		"zero-width space and byte-order mark": {"\ufeffa\u200bb", "ab"},
		"no-break and ideographic space":       {"a\u00a0b\u3000c", "a b c"},
		"line and paragraph separators":        {"a\u2028b\u2029c", "a b c"},
		"as long as allowed":                   {strings.Repeat("x", limit), strings.Repeat("x", limit)},
		"too long":                             {strings.Repeat("x", limit+1), strings.Repeat("x", limit-1) + "…"},
		"Chinese as long as allowed":           {strings.Repeat("备", limit), strings.Repeat("备", limit)},
		"Chinese, too long":                    {strings.Repeat("备", 2*limit), strings.Repeat("备", limit-1) + "…"},
		"cut at a space":                       {strings.Repeat("x", limit-2) + " yyy", strings.Repeat("x", limit-2) + "…"},
		"long only by what is not kept":        {strings.Repeat("\x00 ", 5*limit) + "text", "text"},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(cleanMessage(c.text)).To(Equal(c.want))
		})
	}
}

func TestConditionsCarryCleanMessages(t *testing.T) {
	g := NewWithT(t)
	dirty := "first\nsecond\x00" + strings.Repeat("备", 400)
	for _, condition := range settle(newBackup(), v1alpha1.ReasonRejected, dirty, noon).Status.Conditions {
		g.Expect(condition.Message).To(Equal(cleanMessage(dirty)), condition.Type)
	}
}

func FuzzCleanMessage(f *testing.F) {
	for _, seed := range []string{
		"", " ", "plain", "备份不存在", "a\x00b\nc", "\xff\xfe\xfd", "a\u202eb", "\u200b \u200b", strings.Repeat("x ", 400),
		strings.Repeat("备", 301), strings.Repeat("\xe5\xa4", 500), strings.Repeat("é", 299) + "\u0301\u0301\u0301", "\ufffd", "…",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean := cleanMessage(text)
		if !utf8.ValidString(clean) {
			t.Errorf("%q is not valid UTF-8", clean)
		}
		if count := utf8.RuneCountInString(clean); count > v1alpha1.MaxMessageLength {
			t.Errorf("%d characters", count)
		}
		if strings.IndexFunc(clean, unicode.IsControl) >= 0 {
			t.Errorf("%q has a control character", clean)
		}
		if again := cleanMessage(clean); again != clean {
			t.Errorf("%q becomes %q when it is cleaned again", clean, again)
		}
		if strings.TrimSpace(clean) != clean {
			t.Errorf("%q has white space around it", clean)
		}
	})
}
