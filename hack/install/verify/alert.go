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

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/internal/e2e/alerts"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// divisor makes five minutes 2.5 s: nobody wants to wait for an alert that waits to be sure.
const divisor = 120

// seeAlert lets the operator's keys be refused, until Prometheus says so, and heals them.
func (v *verification) seeAlert(ctx context.Context) error {
	prometheus, err := v.startPrometheus(ctx)
	if err != nil {
		return err
	}
	if err := v.simulator.Steer(ctx, "keys", otherKeys); err != nil {
		return err
	}
	v.printf("  (the access key is gone from the cloud)\n")
	if err := v.declare(ctx, "alerted"); err != nil {
		return err
	}
	var alert *cluster.Alert
	err = eventually(ctx, patience, func() error {
		alert, err = firing(ctx, prometheus, "BackupSyncCredentialsUnusable")
		return err
	})
	if err != nil {
		return err
	}
	v.printf("  Prometheus: %s, %s: %s\n  %s\n  %s\n", alert.Labels["alertname"], alert.Labels["severity"], alert.Annotations["summary"],
		alert.Annotations["description"], alert.Annotations["runbook_url"])
	if _, err := v.shell(ctx, "sed -n '/^### BackupSyncCredentialsUnusable/,/^### BackupSyncCredentialsExpiring/p' docs/runbooks.md | head -n 12"); err != nil {
		return err
	}
	return v.heal(ctx, prometheus)
}

// heal does what the runbook says, and sees the alert end.
func (v *verification) heal(ctx context.Context, prometheus *cluster.Prometheus) error {
	if _, err := v.shell(ctx, `kubectl -n erp patch secret cbr --type=merge -p '{"stringData":{"accessKey":"AKOTHER","secretKey":"SKOTHER"}}'`); err != nil {
		return err
	}
	if _, err := v.shell(ctx, "kubectl -n erp wait --for=condition=Ready backupsync --all --timeout=60s"); err != nil {
		return err
	}
	return eventually(ctx, patience, func() error {
		if _, err := firing(ctx, prometheus, "BackupSyncCredentialsUnusable"); err == nil {
			return errors.New("the alert still fires")
		}
		return nil
	})
}

// firing returns an alert that fires.
func firing(ctx context.Context, prometheus *cluster.Prometheus, name string) (*cluster.Alert, error) {
	active, err := prometheus.Alerts(ctx)
	if err != nil {
		return nil, err
	}
	for i := range active {
		if active[i].Labels["alertname"] == name && active[i].Firing() {
			return &active[i], nil
		}
	}
	return nil, fmt.Errorf("%s does not fire", name)
}

// startPrometheus has a real Prometheus scrape the manager, with the token of the ServiceAccount that may.
func (v *verification) startPrometheus(ctx context.Context) (*cluster.Prometheus, error) {
	text, err := os.ReadFile(filepath.Join(v.root, "config", "monitoring", "alerts.yaml"))
	if err != nil {
		return nil, err
	}
	rules, err := alerts.Parse(text)
	if err != nil {
		return nil, err
	}
	if err := rules.Compress(divisor); err != nil {
		return nil, err
	}
	if text, err = yaml.Marshal(rules); err != nil {
		return nil, err
	}
	file := filepath.Join(v.cluster.Dir, "rules.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	token, err := v.cluster.Token(ctx, "default", "scraper")
	if err != nil {
		return nil, err
	}
	configuration := fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs:
- job_name: backupsync
  scheme: https
  honor_labels: true
  authorization: {credentials: %q}
  tls_config: {insecure_skip_verify: true}
  static_configs: [{targets: ["127.0.0.1:%s"], labels: {namespace: %s}}]
`, file, token, v.metricsPort, namespace)
	v.printf("  (a Prometheus with the alerts of the chart, in which two minutes take a second)\n")
	return v.cluster.StartPrometheus(ctx, "prometheus", filepath.Join(v.root, "bin", "prometheus"), strings.TrimSpace(configuration))
}
