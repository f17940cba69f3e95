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
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// divisor makes an hour 30 s.
const divisor = 120

// The namespaces: of what the projects of the alerts are in, of the operator whose queue stands, and of that without a leader, which is a
// label alone.
const (
	team     = "team"
	stuck    = "stuck"
	headless = "headless"
)

// job is the label of all targets.
const job = "backupsync-controller-manager-metrics-service"

// target is a manager as Prometheus knows it.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// stage is what the test is played on.
type stage struct {
	*GomegaWithT
	*testing.T
	*testbed.TestBed
	prometheus *cluster.Prometheus
	targets    []target
	token      string
	// fired are the alerts that have fired, by their names, each as often as it had other labels.
	fired map[string][]cluster.Alert
	began time.Time
}

// newStage starts Prometheus beside a cluster, with nothing to scrape yet.
func newStage(ctx context.Context, t *testing.T) *stage {
	t.Helper()
	s := &stage{GomegaWithT: NewWithT(t), T: t, TestBed: testbed.New(ctx, t), fired: map[string][]cluster.Alert{}, began: time.Now()}
	s.allowMetrics(ctx)
	s.expose()
	var err error
	s.prometheus, err = s.Cluster.StartPrometheus(ctx, "prometheus", filepath.Join(s.Cluster.Root, "bin", "prometheus"), s.configuration())
	s.Expect(err).NotTo(HaveOccurred(), "make prometheus builds it")
	return s
}

// file is the path of a file that Prometheus reads.
func (s *stage) file(name string) string { return filepath.Join(s.Cluster.Dir, name) }

// configuration writes the files that belong to Prometheus' configuration, and returns it.
func (s *stage) configuration() string {
	s.Helper()
	rules := realRules(s.GomegaWithT)
	s.Expect(rules.Compress(divisor)).To(Succeed())
	text, err := yaml.Marshal(rules)
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(os.WriteFile(s.file("rules.yaml"), text, 0o600)).To(Succeed())
	s.Expect(os.WriteFile(s.file("token"), []byte(s.token), 0o600)).To(Succeed())
	return fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs:
- job_name: backupsync
  scheme: https
  honor_labels: true
  authorization: {credentials_file: %q}
  tls_config: {insecure_skip_verify: true}
  file_sd_configs: [{files: [%q]}]
`, s.file("rules.yaml"), s.file("token"), s.file("targets.json"))
}

// allowMetrics makes the ServiceAccount of Prometheus, which may read the metrics and nothing else, and takes a token of it.
func (s *stage) allowMetrics(ctx context.Context) {
	s.Helper()
	const name = "prometheus"
	s.create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: name}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: cluster.MetricsReader},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: name, Name: name}},
		})
	var err error
	s.token, err = s.Cluster.Token(ctx, name, name)
	s.Expect(err).NotTo(HaveOccurred())
}

func (s *stage) create(ctx context.Context, objects ...client.Object) {
	s.Helper()
	for _, object := range objects {
		s.Expect(s.Cluster.Client.Create(ctx, object)).To(Succeed())
	}
}

// startManager starts a manager, which Prometheus scrapes as one of the operator of a namespace.
func (s *stage) startManager(ctx context.Context, name, namespace string, flags ...string) *cluster.Manager {
	s.Helper()
	manager, err := s.Cluster.StartManager(ctx, name, s.Manager, flags...)
	s.Expect(err).NotTo(HaveOccurred())
	address := manager.MetricsURL[len("https://") : len(manager.MetricsURL)-len("/metrics")]
	s.targets = append(s.targets, target{[]string{address}, map[string]string{"job": job, "namespace": namespace}})
	s.expose()
	return manager
}

// expose writes the targets, which Prometheus then scrapes.
func (s *stage) expose() {
	s.Helper()
	text, err := json.Marshal(s.targets)
	s.Expect(err).NotTo(HaveOccurred())
	if s.targets == nil {
		text = []byte("[]")
	}
	next := s.file("targets.new")
	s.Expect(os.WriteFile(next, text, 0o600)).To(Succeed())
	s.Expect(os.Rename(next, s.file("targets.json"))).To(Succeed())
}

// expectScraped waits until Prometheus has scraped all managers. It looks for new targets every 5 s.
func (s *stage) expectScraped(ctx context.Context) {
	s.Helper()
	s.Eventually(func() (float64, error) {
		scraped, err := s.prometheus.Query(ctx, "count(up == 1)")
		if err != nil || len(scraped) == 0 {
			return 0, err
		}
		return scraped[0].Value, s.note(ctx)
	}).WithTimeout(30 * time.Second).WithPolling(250 * time.Millisecond).Should(BeEquivalentTo(len(s.targets)))
}

// expectFiring waits until each of some alerts has fired.
func (s *stage) expectFiring(ctx context.Context, within time.Duration, wanted ...string) {
	s.Helper()
	s.Eventually(func() (missing []string, err error) {
		err = s.note(ctx)
		for _, name := range wanted {
			if len(s.fired[name]) == 0 {
				missing = append(missing, name)
			}
		}
		return missing, err
	}).WithTimeout(within).WithPolling(250 * time.Millisecond).Should(BeEmpty())
}

// note keeps the alerts that fire now.
func (s *stage) note(ctx context.Context) error {
	active, err := s.prometheus.Alerts(ctx)
	for _, alert := range active {
		name := alert.Labels["alertname"]
		if alert.Firing() && !s.known(name, alert) {
			s.fired[name] = append(s.fired[name], alert)
			s.Logf("%5.1fs %s %s: %s", time.Since(s.began).Seconds(), name, alert.Labels["project"], alert.Annotations["summary"])
		}
	}
	return err
}

func (s *stage) known(name string, alert cluster.Alert) bool {
	for _, each := range s.fired[name] {
		if fmt.Sprint(each.Labels) == fmt.Sprint(alert.Labels) {
			return true
		}
	}
	return false
}
