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
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// gather returns the values of the metrics of a registry by name and labels: the count of a histogram.
func gather(g Gomega, from prometheus.Gatherer) map[string]float64 {
	families, err := from.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			series := family.GetName()
			for _, label := range metric.GetLabel() {
				series += fmt.Sprintf(" %s=%s", label.GetName(), label.GetValue())
			}
			found[series] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return found
}

// freshProcess is set in the environment of a process in which nothing but one test runs.
const freshProcess = "BACKUPSYNC_TEST_IN_A_FRESH_PROCESS"

// An alert on an increase must not miss the first event of a process.
func TestCountersAreExportedFromTheStart(t *testing.T) {
	g := NewWithT(t)
	if os.Getenv(freshProcess) == "" { // other tests of this process have made calls
		var output bytes.Buffer
		alone := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		alone.Env, alone.Stdout, alone.Stderr = append(os.Environ(), freshProcess+"=yes"), &output, &output
		g.Expect(alone.Run()).To(Succeed(), "%s", &output)
		return
	}
	exported := gather(g, metrics.Registry)
	for _, result := range append([]cbr.Class{resultAccepted}, cbr.Classes...) {
		g.Expect(exported).To(HaveKeyWithValue(fmt.Sprintf("backupsync_submissions_total result=%s", result), 0.0))
	}
	for _, operation := range cbr.Operations {
		g.Expect(exported).To(HaveKeyWithValue(fmt.Sprintf("backupsync_api_requests_total code=200 operation=%s", operation), 0.0))
		g.Expect(exported).To(HaveKeyWithValue(fmt.Sprintf("backupsync_api_request_duration_seconds operation=%s", operation), 0.0))
	}
	for _, name := range []string{"backupsync_submission_size", "backupsync_import_duration_seconds"} {
		g.Expect(exported).To(HaveKeyWithValue(name, 0.0))
	}
}

// clusterOf is a client of some objects.
func clusterOf(g Gomega, objects ...client.Object) client.WithWatch {
	scheme := runtime.NewScheme()
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

// What is known of the end of credentials is exported, and nothing of those that have none.
func TestTheEndOfCredentialsIsExported(t *testing.T) {
	g := NewWithT(t)
	ends := newProject(func(p *v1alpha1.CBRProject) { p.Status.CredentialsExpiryTime = ptr.To(metav1.NewTime(noon.Time)) })
	lasts := newProject(func(p *v1alpha1.CBRProject) { p.Name = "lasting" })
	registry := prometheus.NewRegistry()
	g.Expect(registry.Register(&Reconciler{counts: newStateCounts(), client: clusterOf(g, ends, lasts)})).To(Succeed())
	g.Expect(gather(g, registry)).To(Equal(map[string]float64{
		"backupsync_credentials_expiry_timestamp_seconds namespace=team project=default": float64(noon.Unix()),
		"backupsync_oldest_open_call_timestamp_seconds namespace=team project=default":   0,
		"backupsync_oldest_open_call_timestamp_seconds namespace=team project=lasting":   0,
	}))
}

// An alert must be able to tell one trouble of a project from another, and does not know what a pass knows.
func TestConditionsOfProjectsAreExported(t *testing.T) {
	g := NewWithT(t)
	expiring := newProject(func(p *v1alpha1.CBRProject) {
		p.Status.Conditions = []metav1.Condition{
			{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonQuotaExceeded},
			{Type: v1alpha1.ConditionCredentialsExpiring, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonExpiresSoon},
		}
	})
	registry := prometheus.NewRegistry()
	g.Expect(registry.Register(&Reconciler{counts: newStateCounts(), client: clusterOf(g, expiring)})).To(Succeed())
	g.Expect(gather(g, registry)).To(Equal(map[string]float64{
		"backupsync_oldest_open_call_timestamp_seconds namespace=team project=default":                                        0,
		"backupsync_project_condition namespace=team project=default reason=QuotaExceeded status=False type=Ready":            1,
		"backupsync_project_condition namespace=team project=default reason=ExpiresSoon status=True type=CredentialsExpiring": 1,
	}))
}

// The record of a call is there before the call, and until all outcomes are written.
func TestTheOldestOpenCallIsExported(t *testing.T) {
	g := NewWithT(t)
	project := newProject(func(p *v1alpha1.CBRProject) {
		for _, age := range []time.Duration{time.Minute, time.Hour, 10 * time.Minute} {
			p.Status.Journal.Submissions = append(p.Status.Journal.Submissions,
				v1alpha1.Submission{ID: age.String(), StartTime: metav1.NewMicroTime(noon.Add(-age))})
		}
	})
	registry := prometheus.NewRegistry()
	g.Expect(registry.Register(&Reconciler{counts: newStateCounts(), client: clusterOf(g, project)})).To(Succeed())
	g.Expect(gather(g, registry)).To(Equal(map[string]float64{
		"backupsync_oldest_open_call_timestamp_seconds namespace=team project=default": float64(noon.Add(-time.Hour).Unix()),
	}))
}

// waitingSeries is the series of the BackupSyncs that wait for a reason.
func waitingSeries(reason string) string {
	return "backupsync_backups_waiting namespace=team project=default reason=" + reason
}

// noOpenCall is a series that each project has.
const noOpenCall = "backupsync_oldest_open_call_timestamp_seconds namespace=team project=default"

// unavailableSeries is the series of the imported BackupSyncs that are not available for a reason.
func unavailableSeries(reason string) string {
	return "backupsync_backups_unavailable namespace=team project=default reason=" + reason
}

// What CBR does not show usable any more is counted for as long as it is imported, and says so.
func TestUnavailableBackupsAreExported(t *testing.T) {
	g := NewWithT(t)
	known, registry := &Reconciler{counts: newStateCounts(), client: clusterOf(g, newProject())}, prometheus.NewRegistry()
	g.Expect(registry.Register(known)).To(Succeed())
	expect := func(missing, unusable float64) {
		t.Helper()
		g.Expect(gather(g, registry)).To(And(HaveKeyWithValue(unavailableSeries(v1alpha1.ReasonMissing), missing),
			HaveKeyWithValue(unavailableSeries(v1alpha1.ReasonUnusable), unusable)))
	}
	is := func(name string, as backupsync.Availability, version int) *v1alpha1.BackupSync {
		backup := versionOf(name, v1alpha1.ReasonImported, version)
		if next := backupsync.Audited(backup, as, noon.Time, noon); next != nil {
			return next
		}
		return backup
	}
	known.counts.observe(is("a", backupsync.BackupAvailable, 1))
	known.counts.observe(trim(is("b", backupsync.BackupMissing, 1))) // as the cache shows it
	known.counts.observe(is("c", backupsync.BackupMissing, 1))
	known.counts.observe(trim(is("d", backupsync.BackupUnusable, 1)))
	expect(2, 1)
	known.counts.wrote(is("c", backupsync.BackupUnusable, 2))
	known.counts.observe(is("b", backupsync.BackupAvailable, 2))
	expect(0, 2)
	running := versionOf("d", v1alpha1.ReasonOperationRunning, 2)
	running.Status.Conditions = is("d", backupsync.BackupUnusable, 1).Status.Conditions
	known.counts.observe(running)
	expect(0, 1)
	known.counts.forget(is("c", backupsync.BackupUnusable, 2))
	expect(0, 0)
}

// The age of the latest audit tells too little: how old it may be is up to the project, and of some there is none.
func TestAuditsAreExported(t *testing.T) {
	const last, due = "backupsync_last_audit_timestamp_seconds", "backupsync_audit_due_timestamp_seconds"
	finished := metav1.NewTime(noon.Add(-time.Hour))
	for name, row := range map[string]struct {
		change  func(*v1alpha1.CBRProject)
		series  []string
		nothing bool // is imported
	}{
		"one that was audited":    {change: func(*v1alpha1.CBRProject) {}, series: []string{last, due}},
		"one that never was":      {change: func(p *v1alpha1.CBRProject) { p.Status.Audit = nil }, series: []string{due}},
		"one that never finished": {change: func(p *v1alpha1.CBRProject) { p.Status.Audit.FinishedTime = nil }, series: []string{due}},
		"one that is suspended":   {change: func(p *v1alpha1.CBRProject) { p.Spec.Suspend = true }, series: []string{last}},
		"one that is not to be":   {change: func(p *v1alpha1.CBRProject) { p.Spec.Audit.Interval = &metav1.Duration{} }, series: []string{last}},
		"one without imports":     {change: func(*v1alpha1.CBRProject) {}, series: []string{last}, nothing: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			project := newProject(func(p *v1alpha1.CBRProject) {
				p.Status.Audit = &v1alpha1.AuditSummary{FinishedTime: &finished, Checked: 1}
			}, row.change)
			known, registry := &Reconciler{counts: newStateCounts(), client: clusterOf(g, project)}, prometheus.NewRegistry()
			if !row.nothing {
				known.counts.observe(versionOf("a", v1alpha1.ReasonImported, 1))
			}
			g.Expect(registry.Register(known)).To(Succeed())
			found := map[string]float64{}
			for series, value := range gather(g, registry) {
				if name, _, _ := strings.Cut(series, " "); name == last || name == due {
					found[name] = value
				}
			}
			wanted := map[string]float64{}
			for _, name := range row.series {
				wanted[name] = map[string]float64{last: float64(finished.Unix()), due: float64(auditDue(project).Unix())}[name]
			}
			g.Expect(found).To(Equal(wanted))
		})
	}
}

// Each BackupSync that has not ended is counted by its reason, and no other.
func TestWhatBackupsWaitForIsExported(t *testing.T) {
	g := NewWithT(t)
	known, registry := &Reconciler{counts: newStateCounts(), client: clusterOf(g, newProject())}, prometheus.NewRegistry()
	g.Expect(registry.Register(known)).To(Succeed())
	for reason := range lives {
		known.counts.observe(versionOf(reason, reason, 1))
	}
	waiting := map[string]float64{}
	for series, value := range gather(g, registry) {
		if strings.HasPrefix(series, "backupsync_backups_waiting ") {
			waiting[series] = value
		}
	}
	wanted := map[string]float64{}
	for reason, made := range lives {
		if state := backupsync.StateOf(made()); state == backupsync.Pending || state == backupsync.Running {
			wanted[waitingSeries(reason)] = 1
		}
	}
	g.Expect(waiting).To(Equal(wanted))
	g.Expect(waiting).To(HaveLen(len(waitingReasons)))
}

// A BackupSync is counted once, by the latest version; one whose conditions are older than an edit by what they will say.
func TestWhatABackupWaitsForFollowsIt(t *testing.T) {
	g := NewWithT(t)
	known, registry := &Reconciler{counts: newStateCounts(), client: clusterOf(g, newProject())}, prometheus.NewRegistry()
	g.Expect(registry.Register(known)).To(Succeed())
	unseen := versionOf("a", v1alpha1.ReasonQueued, 1)
	unseen.Status.Conditions = nil
	for version, step := range []struct {
		backup *v1alpha1.BackupSync
		reason string
	}{
		{unseen, v1alpha1.ReasonQueued},
		{versionOf("a", v1alpha1.ReasonOutcomeUnknown, 2), v1alpha1.ReasonOutcomeUnknown},
		{versionOf("a", v1alpha1.ReasonOperationRunning, 3), v1alpha1.ReasonOperationRunning},
		{versionOf("a", v1alpha1.ReasonOperationOverdue, 4), v1alpha1.ReasonOperationOverdue},
		{versionOf("a", v1alpha1.ReasonRejected, 5), ""},
		{edit(versionOf("a", v1alpha1.ReasonRejected, 6)), v1alpha1.ReasonQueued},
	} {
		known.counts.observe(step.backup)
		exported := gather(g, registry)
		for _, reason := range waitingReasons {
			want := 0.0
			if reason == step.reason {
				want = 1
			}
			g.Expect(exported).To(HaveKeyWithValue(waitingSeries(reason), want), "version %d", version+1)
		}
	}
	known.counts.forget(versionOf("a", v1alpha1.ReasonQueued, 6))
	g.Expect(gather(g, registry)).To(Equal(map[string]float64{noOpenCall: 0}), "it is deleted")
}

// A time, unlike an age, stays right between two scrapes.
func TestTheOldestPendingBackupIsExportedAsAUnixTime(t *testing.T) {
	g := NewWithT(t)
	unaudited := newProject(func(p *v1alpha1.CBRProject) { p.Spec.Audit.Interval = &metav1.Duration{} })
	known, registry := &Reconciler{counts: newStateCounts(), client: clusterOf(g, unaudited)}, prometheus.NewRegistry()
	g.Expect(registry.Register(known)).To(Succeed())
	g.Expect(gather(g, registry)).To(Equal(map[string]float64{noOpenCall: 0}), "without a backup")

	known.counts.observe(versionOf("imported", v1alpha1.ReasonImported, 1))
	for name, age := range map[string]time.Duration{"young": time.Minute, "old": time.Hour, "middle": 10 * time.Minute} {
		pending := versionOf(name, v1alpha1.ReasonQueued, 1)
		pending.CreationTimestamp = metav1.NewTime(noon.Add(-age))
		known.counts.observe(pending)
	}
	const oldest = "backupsync_oldest_pending_timestamp_seconds namespace=team project=default"
	wanted := map[string]float64{
		noOpenCall: 0,
		oldest:     float64(noon.Add(-time.Hour).Unix()),
		"backupsync_backups namespace=team project=default state=pending":  3,
		"backupsync_backups namespace=team project=default state=running":  0,
		"backupsync_backups namespace=team project=default state=imported": 1,
		"backupsync_backups namespace=team project=default state=failed":   0,
		unavailableSeries(v1alpha1.ReasonMissing):                          0,
		unavailableSeries(v1alpha1.ReasonUnusable):                         0,
	}
	for _, reason := range waitingReasons {
		wanted[waitingSeries(reason)] = 0
	}
	wanted[waitingSeries(v1alpha1.ReasonQueued)] = 3
	g.Expect(gather(g, registry)).To(Equal(wanted))

	suspended := versionOf("ancient", v1alpha1.ReasonSuspended, 1)
	suspended.CreationTimestamp = metav1.NewTime(noon.Add(-24 * time.Hour))
	known.counts.observe(suspended)
	g.Expect(gather(g, registry)).To(HaveKeyWithValue(oldest, float64(noon.Add(-time.Hour).Unix())), "one that is meant to wait is no cause for an alert")

	for _, name := range []string{"young", "old", "middle"} {
		known.counts.observe(versionOf(name, v1alpha1.ReasonImported, 2))
	}
	g.Expect(gather(g, registry)).To(HaveKeyWithValue(oldest, 0.0), "nothing is pending")
}

// Whoever writes a BackupSync chooses which project it names. Those that do not exist have no series of their own: together they have one of each kind
// in their namespace.
func TestProjectsThatDoNotExistShareASeries(t *testing.T) {
	g := NewWithT(t)
	known, registry := &Reconciler{counts: newStateCounts(), client: clusterOf(g, newProject())}, prometheus.NewRegistry()
	g.Expect(registry.Register(known)).To(Succeed())
	known.counts.observe(versionOf("of a project", v1alpha1.ReasonQueued, 1))
	alone := len(gather(g, registry))
	var astray []*v1alpha1.BackupSync
	for number := range 100 {
		backup := versionOf(fmt.Sprintf("astray-%d", number), v1alpha1.ReasonProjectNotFound, 1)
		backup.Spec.ProjectRef.Name = fmt.Sprintf("none-%d", number)
		backup.CreationTimestamp = metav1.NewTime(noon.Add(-time.Duration(number) * time.Minute))
		if number == 50 {
			backup.CreationTimestamp = metav1.NewTime(noon.Add(-24 * time.Hour))
		}
		known.counts.observe(backup)
		astray = append(astray, backup)
	}
	found := gather(g, registry)
	g.Expect(len(found)).To(BeNumerically("<", 2*alone), "series")
	g.Expect(found).To(And(
		HaveKeyWithValue("backupsync_backups namespace=team project=default state=pending", 1.0),
		HaveKeyWithValue("backupsync_backups namespace=team project= state=pending", 100.0),
		HaveKeyWithValue("backupsync_backups_waiting namespace=team project= reason=ProjectNotFound", 100.0),
		HaveKeyWithValue("backupsync_oldest_pending_timestamp_seconds namespace=team project=", float64(noon.Add(-24*time.Hour).Unix()))))
	for _, backup := range astray {
		known.counts.forget(backup)
	}
	g.Expect(gather(g, registry)).To(HaveLen(alone), "they are deleted")
	g.Expect(known.counts.numbers).To(HaveLen(1), "what is remembered of them")
}

// What projects there are in a namespace that cannot be read is not known: none of its series is right.
func TestANamespaceThatCannotBeReadHasNoCounts(t *testing.T) {
	g := NewWithT(t)
	known, registry := &Reconciler{counts: newStateCounts(), client: clusterOf(g)}, prometheus.NewRegistry()
	known.options.Namespaces, known.options.Unreadable = []string{"team", "other"}, func() []string { return []string{"team"} }
	g.Expect(registry.Register(known)).To(Succeed())
	known.counts.observe(versionOf("a", v1alpha1.ReasonQueued, 1))
	g.Expect(gather(g, registry)).To(Equal(map[string]float64{
		"backupsync_namespace_readable namespace=team": 0, "backupsync_namespace_readable namespace=other": 1}))
}

func TestOddStatusesShareALabel(t *testing.T) {
	for status, want := range map[int]string{0: "0", 200: "200", 401: "401", 429: "429", 599: "5xx", 499: "4xx", 299: "2xx", 999: "9xx"} {
		if got := statusLabel(status); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
}
