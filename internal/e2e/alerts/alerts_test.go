//go:build alerts

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

package alerts

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// The projects of the team. Each has one trouble, but for the first.
const (
	healthy     = "healthy"
	credentials = "credentials"
	expiring    = "expiring"
	duplicates  = "duplicates"
	awaiting    = "awaiting"
	overdue     = "overdue"
	quota       = "quota"
	throttled   = "throttled"
	unknown     = "unknown"
	unreachable = "unreachable"
	gone        = "gone"
	unaudited   = "unaudited"
)

// failing are projects whose calls fail again and again: together they are most of the calls.
var failing = []string{"failing-a", "failing-b", "failing-c"}

// troubles are the projects that alerts are to be told of, by the alert. Others may be told of too where a trouble has several sides.
var troubles = map[string]string{
	"BackupSyncCredentialsUnusable": credentials,
	"BackupSyncCredentialsExpiring": expiring,
	"BackupSyncNothingAccepted":     credentials,
	"BackupSyncPendingTooLong":      credentials,
	"BackupSyncBackupsFailed":       duplicates,
	"BackupSyncBackupsUnavailable":  gone,
	"BackupSyncAuditOverdue":        unaudited,
	"BackupSyncQuotaExceeded":       quota,
	"BackupSyncThrottled":           throttled,
	"BackupSyncOutcomeUnknown":      unknown,
	"BackupSyncAwaitingTask":        awaiting,
	"BackupSyncOperationOverdue":    overdue,
	"BackupSyncProjectNotReady":     unreachable,
}

// alone are the alerts that one project has, and no other.
var alone = []string{"BackupSyncCredentialsUnusable", "BackupSyncCredentialsExpiring", "BackupSyncBackupsFailed", "BackupSyncBackupsUnavailable", "BackupSyncAuditOverdue", "BackupSyncQuotaExceeded",
	"BackupSyncThrottled", "BackupSyncAwaitingTask", "BackupSyncOperationOverdue"}

// Each alert fires at a real Prometheus that scrapes real managers, and none for a project without a trouble. The dashboard then has data.
func TestAlerts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s := newStage(ctx, t)
	s.expectFiring(ctx, time.Minute, "BackupSyncAbsent") // there is none yet

	number := s.trouble(ctx)
	s.startManager(ctx, "working", cluster.Namespace, "--watch-namespaces="+team, "--call-timeout=3s", "--settle-time=2s")
	number = s.hang(ctx, number)
	standby := s.startManager(ctx, "standby", headless, "--watch-namespaces="+team, "--call-timeout=3s", "--settle-time=2s")
	s.loseAnAnswer(ctx)
	s.expectScraped(ctx)
	for range 12 { // only now: what was imported before Prometheus looked for the first time has no rate
		s.create(ctx, testbed.Manifest(team, healthy, number, 20))
		number++
	}

	all := map[string]bool{}
	for _, rule := range realRules(s.GomegaWithT).Rules() {
		all[rule.Alert] = true
	}
	delete(all, "BackupSyncDown")
	delete(all, "BackupSyncNamespaceUnreadable") // the managers may read all: TestNamespaced looks at its metric
	s.expectFiring(ctx, 2*time.Minute, slices.Sorted(maps.Keys(all))...)
	s.Expect(standby.Stop(ctx)).To(Succeed())
	s.expectFiring(ctx, 30*time.Second, "BackupSyncDown")

	s.expectRightProjects()
	t.Run("Dashboard", func(t *testing.T) { s.expectDashboard(ctx, t) })
	t.Run("Metrics", func(t *testing.T) { s.expectGoodMetrics(ctx, t) })
}

// expectRightProjects looks at what the alerts were told of, and at their texts.
func (s *stage) expectRightProjects() {
	s.Helper()
	for name, alerts := range s.fired {
		var projects []string
		for _, alert := range alerts {
			projects = append(projects, alert.Labels["project"])
			for _, text := range alert.Annotations {
				s.Expect(text).NotTo(Or(ContainSubstring("<error"), ContainSubstring("<no value>")), "a template of %s", name)
			}
		}
		s.Expect(projects).NotTo(ContainElement(healthy), name)
		s.Expect(projects).To(ContainElement(troubles[name]), name)
		if slices.Contains(alone, name) {
			s.Expect(projects).To(HaveLen(1), name)
		}
	}
	s.Expect(s.fired["BackupSyncDown"]).To(HaveLen(1))
	s.Expect(s.fired["BackupSyncDown"][0].Labels).To(HaveKeyWithValue("namespace", headless))
}

// trouble makes the projects of the team and their clouds, and returns the number of the next BackupSync.
func (s *stage) trouble(ctx context.Context) int {
	s.Helper()
	projects := []string{healthy, credentials, expiring, duplicates, awaiting, overdue, gone}
	good := s.simulator(ctx, "good", "--project-id="+strings.Join(projects, ","))
	s.create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: team}}, testbed.Secret(team), expiringSecret())
	endpoints := map[string]string{
		quota:       s.simulator(ctx, quota, "--quota=-1", "--project-id="+quota).URL,
		throttled:   s.simulator(ctx, throttled, "--project-id="+throttled, `--refusal={"status":429,"code":"APIGW.0308"}`).URL,
		unreachable: "http://127.0.0.1:1",
	}
	for _, project := range projects {
		endpoints[project] = good.URL
	}
	endpoints[unaudited] = s.simulator(ctx, unaudited, "--project-id="+unaudited, `--refusal={"calls":"ListBackups","status":502}`).URL
	unwilling := s.simulator(ctx, "failing", "--project-id="+strings.Join(failing, ","), `--refusal={"calls":"ImportBackup","status":502,"code":"APIGW.0201"}`)
	for _, project := range failing {
		endpoints[project] = unwilling.URL
	}
	number := 0
	for name, endpoint := range endpoints {
		s.create(ctx, paced(name, endpoint))
		for range max(map[string]int{duplicates: 2}[name], 1) {
			backup := testbed.Manifest(team, name, number, 20)
			number++
			s.prepare(ctx, good, name, backup)
			s.create(ctx, backup)
		}
	}
	s.imported(ctx, gone, number, metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonMissing,
		LastTransitionTime: metav1.Now()})
	s.imported(ctx, unaudited, number+1)
	project := &v1alpha1.CBRProject{}
	s.Expect(s.Cluster.Client.Get(ctx, client.ObjectKey{Namespace: team, Name: unaudited}, project)).To(Succeed())
	project.Status.Audit = &v1alpha1.AuditSummary{FinishedTime: &metav1.Time{Time: time.Now().Add(-72 * time.Hour)}, Checked: 1}
	s.Expect(s.Cluster.Client.Status().Update(ctx, project)).To(Succeed())
	return number + 2
}

// imported makes a BackupSync that was imported days ago, with what audits have found since.
func (s *stage) imported(ctx context.Context, project string, number int, found ...metav1.Condition) {
	s.Helper()
	backup, then := testbed.Manifest(team, project, number, 20), metav1.NewTime(time.Now().Add(-72*time.Hour))
	s.create(ctx, backup)
	backup.Status = v1alpha1.BackupSyncStatus{Outcome: v1alpha1.OutcomeImported, OperationLogID: "operation", ObservedGeneration: backup.Generation,
		SubmittedTime: &then, FinishedTime: &then, Conditions: append(found, metav1.Condition{Type: v1alpha1.ConditionReady,
			Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonImported, LastTransitionTime: then})}
	s.Expect(s.Cluster.Client.Status().Update(ctx, backup)).To(Succeed())
}

// prepare tells the cloud what it has to do with a backup.
func (s *stage) prepare(ctx context.Context, cloud *cluster.Simulator, project string, backup *v1alpha1.BackupSync) {
	s.Helper()
	switch project {
	case duplicates:
		backup.Spec.BackupID = testbed.Manifest(team, project, 0, 1).Spec.BackupID
	case overdue:
		s.Expect(cloud.Steer(ctx, "outcomes", map[string]any{backup.Spec.BackupID: cbrtest.Outcome{Status: cbr.TaskRunning}})).To(Succeed())
	case awaiting: // it is there, in a status that should pass
		s.Expect(cloud.Steer(ctx, "backups", map[string]any{"projectID": awaiting,
			"backups": []map[string]any{{"id": backup.Spec.BackupID, "status": "protecting"}}})).To(Succeed())
	}
}

// expiringSecret holds a token that ends in some seconds, and that CBR takes for longer.
func expiringSecret() *corev1.Secret {
	secret := testbed.Secret(team)
	secret.Name = expiring
	secret.Data[v1alpha1.ExpiresAtKey] = []byte(time.Now().Add(10 * time.Second).UTC().Format(time.RFC3339))
	return secret
}

// paced is a project that waits for seconds where others wait for minutes.
func paced(name, endpoint string) *v1alpha1.CBRProject {
	project := testbed.Project(team, name, endpoint, name)
	project.Spec.Poll = v1alpha1.Poll{Interval: &metav1.Duration{Duration: 2 * time.Second}}
	switch name {
	case credentials:
		project.Spec.Credentials.SecretRef.Name = "missing"
	case expiring:
		project.Spec.Credentials.SecretRef.Name = expiring
	case overdue:
		project.Spec.Poll.OverdueAfter = &metav1.Duration{Duration: time.Second}
	}
	return project
}

func (s *stage) simulator(ctx context.Context, name string, flags ...string) *cluster.Simulator {
	s.Helper()
	simulator, err := s.Cluster.StartSimulator(ctx, name, s.Simulator, append([]string{"--latency=20ms", "--task-duration=1s"}, flags...)...)
	s.Expect(err).NotTo(HaveOccurred())
	return simulator
}

// hang starts another manager, under the labels of the first one, though it has a lease of its own: two leaders. It works on one project
// at a time, and the cloud of its projects does not answer. It returns the number of the next BackupSync.
func (s *stage) hang(ctx context.Context, number int) int {
	s.Helper()
	s.create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: stuck}}, testbed.Secret(stuck), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: stuck, Name: "leases"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"*"}}},
	}, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: stuck, Name: "leases"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "leases"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: cluster.Namespace, Name: cluster.ServiceAccount}},
	})
	cloud := s.simulator(ctx, stuck, "--project-id=one,two")
	s.Expect(cloud.Steer(ctx, "faults", cbrtest.Fault{Hang: true, Times: cbrtest.Always})).To(Succeed())
	for _, name := range []string{"one", "two"} {
		s.create(ctx, testbed.Project(stuck, name, cloud.URL, name), testbed.Manifest(stuck, name, number, 20))
		number++
	}
	manager := s.startManager(ctx, "stuck", cluster.Namespace, "--watch-namespaces="+stuck, "--leader-election-namespace="+stuck,
		"--max-concurrent-projects=1", "--call-timeout=10m")
	s.Cleanup(func() { s.Expect(manager.Kill()).To(Succeed()) }) // its end would wait for the call
	return number
}

// loseAnAnswer has a call made whose answer is lost, in a cloud that cannot be asked about it.
func (s *stage) loseAnAnswer(ctx context.Context) {
	s.Helper()
	cloud := s.simulator(ctx, unknown, "--project-id="+unknown)
	s.Expect(cloud.Steer(ctx, "faults", cbrtest.Fault{Operation: cbr.OperationImport, CloseBefore: true, Times: cbrtest.Always})).To(Succeed())
	s.create(ctx, paced(unknown, cloud.URL), testbed.Manifest(team, unknown, 999, 20))
	s.Eventually(func() (int, error) {
		ledger, err := cloud.Ledger(ctx)
		if err != nil {
			return 0, err
		}
		return ledger.SyncCalls, nil
	}).WithTimeout(30 * time.Second).WithPolling(50 * time.Millisecond).Should(BeNumerically(">", 0))
	s.Expect(cloud.Steer(ctx, "options", map[string]any{"refusals": []map[string]any{{"calls": "reads", "status": 503}}})).To(Succeed())
}
