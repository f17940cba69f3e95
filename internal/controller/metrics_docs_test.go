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
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// otherMetrics are the beginnings of the names of metrics that are not the operator's own.
var otherMetrics = regexp.MustCompile(`^(controller_runtime|workqueue|rest_client|leader_election|certwatcher|process|go)_`)

// exporter is a registry, which tells what it would export.
type exporter interface {
	prometheus.Gatherer
	prometheus.Collector
}

// exporters are the registry of the process, and one of a Reconciler that knows a project and a backup.
func exporters(g Gomega) []exporter {
	ofProcess, is := metrics.Registry.(exporter)
	g.Expect(is).To(BeTrue())
	project := newProject(func(p *v1alpha1.CBRProject) {
		p.Status.CredentialsExpiryTime = ptr.To(metav1.NewTime(noon.Time))
		p.Status.Audit = &v1alpha1.AuditSummary{FinishedTime: ptr.To(metav1.NewTime(noon.Time))}
		p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonUsable}}
	})
	known, ofProjects := &Reconciler{counts: newStateCounts(), client: clusterOf(g, project)}, prometheus.NewRegistry()
	known.options.Namespaces, known.options.Unreadable = []string{"team-a", "team-b"}, func() []string { return []string{"team-b"} }
	known.counts.observe(newBackup())
	known.counts.observe(versionOf("imported", v1alpha1.ReasonImported, 1))
	g.Expect(ofProjects.Register(known)).To(Succeed())
	return []exporter{ofProcess, ofProjects}
}

// describedName finds the name of a metric in the text of its description.
var describedName = regexp.MustCompile(`fqName: "([^"]*)"`)

// registeredNames returns the names of all metrics of a registry, of those without a series too.
func registeredNames(of prometheus.Collector) []string {
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		of.Describe(descriptions)
	}()
	var names []string
	for description := range descriptions {
		names = append(names, describedName.FindStringSubmatch(description.String())[1])
	}
	return names
}

// exported returns the type and the labels of each metric that has a series, as the documentation tells them.
func exported(g Gomega, from prometheus.Gatherer) map[string]string {
	families, err := from.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	found := map[string]string{}
	for _, family := range families {
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		slices.Sort(labels)
		found[family.GetName()] = fmt.Sprintf("%s %v", strings.ToLower(family.GetType().String()), labels)
	}
	return found
}

// documentedMetric is a row of the table of the operator's own metrics.
var documentedMetric = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\|")

// The page has each of the operator's own metrics, once, with its type and labels, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	g := NewWithT(t)
	registered := map[string]string{}
	for _, each := range exporters(g) {
		series := exported(g, each)
		for _, name := range registeredNames(each) {
			if !otherMetrics.MatchString(name) {
				g.Expect(series).To(HaveKey(name), "a metric that has no series from the start: see init in metrics.go")
				registered[name] = series[name]
			}
		}
	}

	documented := map[string]string{}
	for _, row := range documentedMetric.FindAllStringSubmatch(document(t, "docs", "metrics.md"), -1) {
		var labels []string
		for _, label := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[3], -1) {
			labels = append(labels, label[1])
		}
		slices.Sort(labels)
		g.Expect(documented).NotTo(HaveKey(row[1]), "it is there twice")
		documented[row[1]] = fmt.Sprintf("%s %v", row[2], labels)
	}
	g.Expect(documented).To(Equal(registered))
}

// Whatever looks like a metric in the documentation, in an alert or on the dashboard is one.
func TestMetricsOfTheDocumentationExist(t *testing.T) {
	g := NewWithT(t)
	var registered []string
	for _, each := range exporters(g) {
		registered = append(registered, registeredNames(each)...)
	}
	mentioned := regexp.MustCompile(`\b(backupsync|controller_runtime|workqueue|rest_client|leader_election|process)_[a-z_]+[a-z]\b`)
	for _, path := range []string{"README.md", "docs/metrics.md", "docs/credentials.md", "docs/cbrproject.md", "docs/backupsync.md", "docs/runbooks.md",
		"config/monitoring/alerts.yaml", "config/monitoring/dashboard.json"} {
		for _, name := range mentioned.FindAllString(document(t, path), -1) {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if !slices.Contains(registered, name) && !slices.Contains(registered, base) {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
	}
}

// Each value of a label that has few is explained.
func TestValuesOfLabelsAreDocumented(t *testing.T) {
	wanted := []string{resultAccepted}
	for _, class := range cbr.Classes {
		wanted = append(wanted, string(class))
	}
	for _, operation := range cbr.Operations {
		wanted = append(wanted, string(operation))
	}
	for state := range backupsync.States {
		wanted = append(wanted, backupsync.State(state).String())
	}
	wanted = append(wanted, waitingReasons[:]...)
	wanted = append(wanted, v1alpha1.ReasonMissing, v1alpha1.ReasonUnusable)
	page := document(t, "docs", "metrics.md")
	for _, value := range wanted {
		if !regexp.MustCompile("(?m)^\\|[^|]*`" + value + "`[^|]*\\|").MatchString(page) {
			t.Errorf("docs/metrics.md does not explain %s", value)
		}
	}
}
