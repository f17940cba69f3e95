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
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// page returns a page of the documentation.
func page(g Gomega, name string) string {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", name))
	g.Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// found returns what the first group of an expression matches, in order.
func found(expression, text string) []string {
	var all []string
	for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

// names are those of the rules.
func names(rules *RuleFile) []string {
	var all []string
	for _, rule := range rules.Rules() {
		all = append(all, rule.Alert)
	}
	return all
}

// Each alert has a runbook, a row among the alerts, and tests of its rule; and none of these is of an alert that is not there.
func TestAlertsAreDocumented(t *testing.T) {
	g := NewWithT(t)
	alerts := names(realRules(g))
	g.Expect(found(`(?m)^### (BackupSync\S*)$`, page(g, "runbooks.md"))).To(Equal(alerts))
	g.Expect(found(`(?m)^\| \[(BackupSync\w+)\]`, page(g, "metrics.md"))).To(Equal(alerts))
	for _, part := range []string{"What it means", "Urgency", "Look", "Do"} {
		g.Expect(strings.Count(page(g, "runbooks.md"), "\n**"+part+".**")).To(Equal(len(alerts)), part)
	}
	tests, err := os.ReadFile(monitoring("alerts_test.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, outcome := range []string{"fires", "does not fire"} {
		tested := map[string]bool{}
		for _, name := range found(`(?m)^- name: '(BackupSync\w+) `+outcome+`[:']`, string(tests)) {
			tested[name] = true
		}
		for _, alert := range alerts {
			g.Expect(tested).To(HaveKey(alert), "no test tells that it %s", outcome)
		}
		g.Expect(tested).To(HaveLen(len(alerts)), outcome)
	}
}

// Who is woken by an alert learns from it what it is about, how urgent it is, and where to go on.
func TestAlertsTellWhatToDo(t *testing.T) {
	g := NewWithT(t)
	urgencies := found(`(?m)^\*\*Urgency\.\*\* (\w+)`, page(g, "runbooks.md"))
	severities := found(`(?m)^\| \[BackupSync\w+\]\(\S+\) \| (\w+) \|`, page(g, "metrics.md"))
	for i, rule := range realRules(g).Rules() {
		g.Expect(rule.Alert).To(MatchRegexp(`^BackupSync([A-Z][a-z]+)+$`))
		g.Expect(rule.Labels).To(HaveLen(1), rule.Alert)
		g.Expect(rule.Labels["severity"]).To(BeElementOf("critical", "warning"), rule.Alert)
		g.Expect(strings.ToLower(urgencies[i])).To(Equal(rule.Labels["severity"]), "the runbook of %s", rule.Alert)
		g.Expect(severities[i]).To(Equal(rule.Labels["severity"]), "the row of %s", rule.Alert)
		g.Expect(rule.Annotations).To(HaveLen(3), rule.Alert)
		g.Expect(rule.Annotations["summary"]).NotTo(BeEmpty(), rule.Alert)
		g.Expect(rule.Annotations["summary"]).NotTo(HaveSuffix("."), rule.Alert)
		g.Expect(rule.Annotations["description"]).To(HaveSuffix("."), rule.Alert)
		g.Expect(rule.Annotations["runbook_url"]).To(HaveSuffix("/docs/runbooks.md#"+strings.ToLower(rule.Alert)), rule.Alert)
	}
}

// Several operators may be in a cluster, under any name and in any namespace.
func TestAlertsNameNoNamespace(t *testing.T) {
	g := NewWithT(t)
	for _, rule := range realRules(g).Rules() {
		g.Expect(rule.Expr).NotTo(MatchRegexp(`\b(namespace|job|instance|pod|service|container)\s*[=!]`), rule.Alert)
	}
}
