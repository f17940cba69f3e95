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
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// auditedProject is a project that was audited at a time, never if that is zero.
func auditedProject(uid string, interval time.Duration, finished time.Time) *v1alpha1.CBRProject {
	return newProject(func(p *v1alpha1.CBRProject) {
		p.UID, p.CreationTimestamp = types.UID(uid), noon
		p.Spec.Audit.Interval = &metav1.Duration{Duration: interval}
		if !finished.IsZero() {
			p.Status.Audit = &v1alpha1.AuditSummary{FinishedTime: &metav1.Time{Time: finished}}
		}
	})
}

// Projects that are created together are audited one after the other, all within an interval, and each at the same time of each interval.
func TestAuditsAreSpread(t *testing.T) {
	g := NewWithT(t)
	const projects, parts, interval = 2400, 24, 24 * time.Hour
	var counts [parts]int
	for range projects {
		uid := uuid.NewString()
		first := auditDue(auditedProject(uid, interval, time.Time{}))
		g.Expect(first).To(And(BeTemporally(">", noon.Time), BeTemporally("<=", noon.Add(interval))))
		counts[int(first.Sub(noon.Time)-1)/int(interval/parts)]++
		g.Expect(auditDue(auditedProject(uid, interval, first))).To(Equal(first.Add(interval)), "at once")
		g.Expect(auditDue(auditedProject(uid, interval, first.Add(3*time.Hour)))).To(Equal(first.Add(interval)), "three hours late")
		g.Expect(auditDue(auditedProject(uid, interval, first.Add(50*time.Hour)))).To(Equal(first.Add(3*interval)), "two days late")
	}
	g.Expect(slices.Max(counts[:])).To(BeNumerically("<", 2*projects/parts))
	g.Expect(slices.Min(counts[:])).To(BeNumerically(">", projects/parts/2))
}

func TestAuditsAreOffWithoutAnInterval(t *testing.T) {
	g := NewWithT(t)
	g.Expect(auditDue(auditedProject("a", 0, time.Time{}))).To(BeZero())
	g.Expect(auditInterval(nil)).To(BeZero())
	g.Expect(auditInterval(newProject())).To(Equal(24*time.Hour), "of a CBRProject that an older CRD has let in")
}

// After a restart those that are late are spread too; those whose time is still to come are not put off.
func TestLateAuditsAreSpreadAfterAStart(t *testing.T) {
	g := NewWithT(t)
	const projects = 600
	started := noon.Add(100 * 24 * time.Hour)
	var counts [6]int
	for range projects {
		known := auditMemory{seen: started}
		begins := known.nextAudit(auditedProject(uuid.NewString(), 24*time.Hour, noon.Time))
		g.Expect(begins).To(And(BeTemporally(">=", started), BeTemporally("<", started.Add(auditCatchUp))))
		counts[int(begins.Sub(started))/int(auditCatchUp/6)]++
	}
	g.Expect(slices.Max(counts[:])).To(BeNumerically("<", 2*projects/6))
	inTime := auditedProject("a", 24*time.Hour, started)
	known := auditMemory{seen: started}
	g.Expect(known.nextAudit(inTime)).To(Equal(auditDue(inTime)))
	known.retryAt = auditDue(inTime).Add(time.Minute)
	g.Expect(known.nextAudit(inTime)).To(Equal(known.retryAt), "it waits after a failure")
	known = auditMemory{seen: started, asked: true}
	g.Expect(known.nextAudit(inTime)).To(BeZero(), "a person need not wait")
}

// What follows from the list alone, whatever the BackupSync says by now.
func TestWhatTheListTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		cloud := cbrtest.New(cbrtest.Options{FoldCase: true})
		usable, broken, deleting, gone := cbrtest.Backup(0).ID, cbrtest.Backup(1).ID, cbrtest.Backup(2).ID, cbrtest.Backup(3).ID
		cloud.AddBackups("", cbr.StoredBackup{ID: usable, Status: "restoring"}, cbr.StoredBackup{ID: broken, Status: "error"}, cbr.StoredBackup{ID: deleting, Status: "deleting"})
		list, err := evidence.ListBackups(t.Context(), clientOf(g, cloud), noon.Time)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(list.Complete).To(BeTrue())
		for id, wanted := range map[string][4]remark{ // by what it says: available, missing, unusable, something else
			usable:   {asSaid, usableAgain, usableAgain, usableAgain},
			broken:   {doubted, doubted, asSaid, doubted},
			deleting: {doubted, doubted, doubted, doubted},
			gone:     {doubted, asSaid, doubted, doubted},
		} {
			for _, said := range []backupsync.Availability{backupsync.BackupAvailable, backupsync.BackupMissing, backupsync.BackupUnusable, backupsync.BackupUndefined} {
				backup := saying(said)
				backup.Spec.BackupID = id
				g.Expect(compared(list, backup)).To(Equal(wanted[said]), "%s %s", id, said)
				g.Expect(compared(list, trim(backup))).To(Equal(wanted[said]), "%s %s, of the cache", id, said)
			}
		}
	})
}

// toCloud carries requests to a cloud without a network.
type toCloud struct{ cloud *cbrtest.Cloud }

func (c toCloud) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, arrived := httptest.NewRecorder(), request.Clone(request.Context())
	arrived.Body, arrived.RequestURI = http.NoBody, request.URL.RequestURI()
	c.cloud.ServeHTTP(answer, arrived)
	return answer.Result(), nil
}

// clientOf is a client of a cloud.
func clientOf(g Gomega, cloud *cbrtest.Cloud) *cbr.Client {
	token, err := auth.NewToken([]byte(cbrtest.Token), time.Time{})
	g.Expect(err).NotTo(HaveOccurred())
	made, err := cbr.NewClient(cbr.Config{Endpoint: "http://cloud", ProjectID: cbrtest.ProjectID, Credential: token, Transport: toCloud{cloud}})
	g.Expect(err).NotTo(HaveOccurred())
	return made
}

// saying is an imported BackupSync whose condition Available says something.
func saying(said backupsync.Availability) *v1alpha1.BackupSync {
	backup := lives[v1alpha1.ReasonImported]()
	switch said {
	case backupsync.BackupMissing, backupsync.BackupUnusable:
		return backupsync.Audited(backup, said, noon.Time, noon)
	case backupsync.BackupUndefined:
		backup.Status.Conditions = append(backup.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionUnknown, Reason: "Odd"})
	default:
	}
	return backup
}

func TestAuditSummary(t *testing.T) {
	early, late := metav1.NewTime(noon.Add(-time.Hour)), noon
	before := &v1alpha1.AuditSummary{FinishedTime: &early, Checked: 3, Missing: 1}
	for name, row := range map[string]struct {
		last              auditResult
		before            *v1alpha1.AuditSummary
		missing, unusable int32
		want              *v1alpha1.AuditSummary
	}{
		"nothing to say":               {},
		"found before one is complete": {missing: 1, want: &v1alpha1.AuditSummary{Missing: 1}},
		"the first":                    {last: auditResult{ended: late, checked: 5}, unusable: 2, want: &v1alpha1.AuditSummary{FinishedTime: &late, Checked: 5, Unusable: 2}},
		"none since":                   {before: before, missing: 1, want: before},
		"of another process":           {before: before, want: &v1alpha1.AuditSummary{FinishedTime: &early, Checked: 3}},
		"a later one":                  {last: auditResult{ended: late, checked: 5}, before: before, want: &v1alpha1.AuditSummary{FinishedTime: &late, Checked: 5}},
		"an older one of ours":         {last: auditResult{ended: early, checked: 9}, before: &v1alpha1.AuditSummary{FinishedTime: &late, Checked: 5}, want: &v1alpha1.AuditSummary{FinishedTime: &late, Checked: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			known := auditMemory{last: row.last}
			NewWithT(t).Expect(known.auditSummary(row.before, row.missing, row.unusable)).To(Equal(row.want))
		})
	}
}

// An audit reads between passes, and no pass waits for it.
func TestAnAuditReadsBetweenPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, known := NewWithT(t), newAuditMemory()
		known.beginPass()
		reads := 0
		go func() {
			for range 3 {
				if known.awaitIdle(t.Context()) == nil {
					reads++
				}
			}
		}()
		synctest.Wait()
		g.Expect(reads).To(BeZero())
		known.endPass()
		synctest.Wait()
		g.Expect(reads).To(Equal(3))
		known.beginPass() // at once
	})
}

// The event says what the condition says, and whether it is a trouble.
func TestEventsOfAudits(t *testing.T) {
	g := NewWithT(t)
	for _, said := range []backupsync.Availability{backupsync.BackupMissing, backupsync.BackupUnusable} {
		told := auditEvent(saying(said))
		g.Expect([]string{told.kind, told.reason}).To(Equal([]string{"Warning", said.String()}))
		g.Expect(told.message).To(HavePrefix("CBR, asked at"))
	}
	again := backupsync.Audited(saying(backupsync.BackupMissing), backupsync.BackupAvailable, noon.Time, noon)
	told := auditEvent(again)
	g.Expect([]string{told.kind, told.reason}).To(Equal([]string{"Normal", v1alpha1.ReasonUsableAgain}))
}

// The log says of which BackupSync nothing can be said, and why.
func TestUndecidedAs(t *testing.T) {
	g := NewWithT(t)
	backup := newBackup(func(b *v1alpha1.BackupSync) { b.Name = "erp" })
	for text, verdict := range map[string]evidence.Verdict{
		"erp: CBR was not asked for it":          {Kind: evidence.Unknown, Why: "CBR was not asked for it"},
		"erp: task t may be its import":          {Kind: evidence.InProgress, Task: "t"},
		`erp: CBR shows it in status "deleting"`: {Kind: evidence.InProgress, Status: "deleting"},
	} {
		g.Expect(undecidedAs(backup, verdict)).To(Equal(text), fmt.Sprint(verdict))
	}
}

// BenchmarkCompare is what an audit does with all BackupSyncs of the operator, of which it has no list.
func BenchmarkCompare(b *testing.B) {
	g := NewWithT(b)
	filled := cacheOf(b, imports(100_000))
	list, err := evidence.ListBackups(b.Context(), clientOf(g, cbrtest.New(cbrtest.Options{})), noon.Time)
	g.Expect(err).NotTo(HaveOccurred())
	run := &auditRun{Reconciler: &Reconciler{client: readOnly{filled}}, key: defaultProject}
	for b.Loop() {
		found, err := run.compare(b.Context(), list)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found.checked).To(BeEquivalentTo(100_000))
	}
}

// readOnly is a cache in the place of a client.
type readOnly struct{ client.Reader }

func (readOnly) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	panic("no test writes by it")
}

func (readOnly) Status() client.SubResourceWriter { panic("no test writes by it") }
