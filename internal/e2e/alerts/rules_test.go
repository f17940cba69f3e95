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
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

// monitoring returns the path of a file of config/monitoring.
func monitoring(name string) string {
	return filepath.Join("..", "..", "..", "config", "monitoring", name)
}

// realRules are the rules that users have.
func realRules(g Gomega) *RuleFile {
	text, err := os.ReadFile(monitoring("alerts.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	rules, err := Parse(text)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rules.Rules()).NotTo(BeEmpty())
	return rules
}

func TestExpressionsAreCompressed(t *testing.T) {
	g := NewWithT(t)
	for expr, want := range map[string]string{
		`rate(a[15m])`:                                   `rate(a[7500ms])`,
		`a[30m] and b[1h] and c[1d]`:                     `a[15000ms] and b[30000ms] and c[720000ms]`,
		`time() - a > 3600`:                              `time() - a > 30`,
		`time() - a > 900`:                               `time() - a > 7.5`,
		"time() - a\n> 900\nunless b":                    "time() - a\n> 7.5\nunless b",
		`a{b="c > 3"} > 0.5`:                             `a{b="c > 3"} > 0.5`,
		`a > 0 and b == 0 or c > 1`:                      `a > 0 and b == 0 or c > 1`,
		`a > 10`:                                         `a > 10`,
		`a - time() < 7200`:                              `a - time() < 60`,
		`max_over_time(a{code!~"2..|404"}[10m]) > 0`:     `max_over_time(a{code!~"2..|404"}[5000ms]) > 0`,
		`sum by (a, b) (changes(c{d=~"e|f"}[30m])) == 0`: `sum by (a, b) (changes(c{d=~"e|f"}[15000ms])) == 0`,
	} {
		got, err := compressed(expr, 120)
		g.Expect(err).NotTo(HaveOccurred(), expr)
		g.Expect(got).To(Equal(want))
	}
}

// A time that is not understood would stay as long as it is.
func TestWhatCannotBeCompressedIsAnError(t *testing.T) {
	g := NewWithT(t)
	for _, expr := range []string{`a[1h30m]`, `a[1w]`, `a[$range]`, `a[5m:1m]`, `a[0s]`} {
		_, err := compressed(expr, 120)
		g.Expect(err).To(HaveOccurred(), expr)
	}
	for _, text := range []string{
		"groups: [{name: a, rules: [{alert: b, expr: c, for: often}]}]",
		"groups: [{name: a, interval: 1h, rules: [{alert: b, expr: c, for: 1m}]}]",
		"groups: [{name: a, rules: [{alert: b, expr: c, for: 1m, keep_firing_for: 1h}]}]",
	} {
		rules, err := Parse([]byte(text))
		if err == nil {
			err = rules.Compress(120)
		}
		g.Expect(err).To(HaveOccurred(), text)
	}
}

// Nothing but times is changed, and all of them are.
func TestRulesAreCompressed(t *testing.T) {
	g := NewWithT(t)
	before, after := realRules(g), realRules(g)
	g.Expect(after.Compress(60)).To(Succeed())
	for i, rule := range after.Rules() {
		original := before.Rules()[i]
		withoutTexts := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(rule.Expr, "")
		g.Expect(withoutTexts).NotTo(MatchRegexp(`\[\d+[smhd]\]|\d{3,}(?:$|[^m\d])`), rule.Alert)
		g.Expect(rule.For).To(MatchRegexp(`^[1-9]\d*ms$`), rule.Alert)
		shape := regexp.MustCompile(`[\d.]+(ms|[smhd]\b)?`)
		g.Expect(shape.ReplaceAllString(rule.Expr, "N")).To(Equal(shape.ReplaceAllString(original.Expr, "N")), rule.Alert)
		rule.Expr, rule.For = original.Expr, original.For
		g.Expect(rule).To(Equal(original))
	}
}

// The manifest for the Prometheus Operator has the same rules.
func TestTheManifestHasTheRules(t *testing.T) {
	g := NewWithT(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "components", "prometheus", "prometheus_rule.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	var manifest struct {
		Kind string   `json:"kind"`
		Spec RuleFile `json:"spec"`
	}
	g.Expect(yaml.Unmarshal(text, &manifest)).To(Succeed())
	g.Expect(manifest.Kind).To(Equal("PrometheusRule"))
	g.Expect(&manifest.Spec).To(Equal(realRules(g)))
}
