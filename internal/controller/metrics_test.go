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
	}))
}

// A time, unlike an age, stays right between two scrapes.
func TestTheOldestPendingBackupIsExportedAsAUnixTime(t *testing.T) {
	g := NewWithT(t)
	known, registry := &Reconciler{counts: newStateCounts(), client: clusterOf(g)}, prometheus.NewRegistry()
	g.Expect(registry.Register(known)).To(Succeed())
	g.Expect(gather(g, registry)).To(BeEmpty(), "without a project")

	known.counts.observe(versionOf("imported", v1alpha1.ReasonImported, 1))
	for name, age := range map[string]time.Duration{"young": time.Minute, "old": time.Hour, "middle": 10 * time.Minute} {
		pending := versionOf(name, v1alpha1.ReasonQueued, 1)
		pending.CreationTimestamp = metav1.NewTime(noon.Add(-age))
		known.counts.observe(pending)
	}
	const oldest = "backupsync_oldest_pending_timestamp_seconds namespace=team project=default"
	g.Expect(gather(g, registry)).To(Equal(map[string]float64{
		oldest: float64(noon.Add(-time.Hour).Unix()),
		"backupsync_backups namespace=team project=default state=pending":  3,
		"backupsync_backups namespace=team project=default state=running":  0,
		"backupsync_backups namespace=team project=default state=imported": 1,
		"backupsync_backups namespace=team project=default state=failed":   0,
	}))

	for _, name := range []string{"young", "old", "middle"} {
		known.counts.observe(versionOf(name, v1alpha1.ReasonImported, 2))
	}
	g.Expect(gather(g, registry)).To(HaveKeyWithValue(oldest, 0.0), "nothing is pending")
}

func TestOddStatusesShareALabel(t *testing.T) {
	for status, want := range map[int]string{0: "0", 200: "200", 401: "401", 429: "429", 599: "5xx", 499: "4xx", 299: "2xx", 999: "9xx"} {
		if got := statusLabel(status); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
}
