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
	"crypto/tls"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/internal/e2e/cluster"
)

// variables are those of the dashboard, with all of everything chosen, and a window that holds the whole test.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$namespace", ".*", "$project", ".*")

// expectDashboard evaluates each query of the dashboard: what it does not find would be an empty panel.
func (s *stage) expectDashboard(ctx context.Context, t *testing.T) {
	g := NewWithT(t)
	queries := 0
	for _, each := range readDashboard(g).Panels {
		for _, target := range each.Targets {
			queries++
			samples, err := s.prometheus.Query(ctx, variables.Replace(target.Expr))
			g.Expect(err).NotTo(HaveOccurred(), each.Title)
			if !holdsNumber(samples) {
				t.Errorf("%s has no data: %s", each.Title, target.Expr)
			}
		}
	}
	g.Expect(queries).To(BeNumerically(">", 20))
}

func holdsNumber(samples []cluster.Sample) bool {
	for _, sample := range samples {
		if sample.Number() {
			return true
		}
	}
	return false
}

// ownLines are those of the operator's own metrics, of which alone it can be asked to follow the conventions.
var ownLines = regexp.MustCompile(`(?m)^(# (HELP|TYPE) )?backupsync_.*\n`)

// expectGoodMetrics has promtool look at what the manager exports.
func (s *stage) expectGoodMetrics(ctx context.Context, t *testing.T) {
	g := NewWithT(t)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.targets[0].Targets[0]+"/metrics", http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Authorization", "Bearer "+s.token)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	exported, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	own := strings.Join(ownLines.FindAllString(string(exported), -1), "")
	g.Expect(own).To(ContainSubstring("backupsync_project_condition{"))

	check := exec.CommandContext(ctx, filepath.Join(s.Cluster.Root, "bin", "promtool"), "check", "metrics")
	check.Stdin = strings.NewReader(own)
	output, err := check.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), "%s", output)
}
