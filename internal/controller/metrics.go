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
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

var (
	submissionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "backupsync_submissions_total",
		Help: "Sync calls to CBR by result: Accepted, or the class of the failure.",
	}, []string{"result"})
	submissionSize = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "backupsync_submission_size",
		Help:    "Backups per sync call.",
		Buckets: []float64{1, 2, 5, 10, 20, 30, 40, 49, 50},
	})
	requestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "backupsync_api_requests_total",
		Help: "Requests to CBR by operation and HTTP status; 0 without an answer.",
	}, []string{"operation", "code"})
	importDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "backupsync_import_duration_seconds",
		Help:    "Time from CBR's acceptance of a backup to the end of its import.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 16),
	})
	requestDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "backupsync_api_request_duration_seconds",
		Help:    "Duration of requests to CBR by operation.",
		Buckets: prometheus.ExponentialBuckets(0.01, 2, 13),
	}, []string{"operation"})
)

func init() {
	metrics.Registry.MustRegister(submissionsTotal, submissionSize, importDuration, requestsTotal, requestDuration)
	// A counter that begins with its first event hides that event from rate and increase.
	for _, result := range append([]cbr.Class{resultAccepted}, cbr.Classes...) {
		submissionsTotal.WithLabelValues(string(result))
	}
	for _, operation := range cbr.Operations {
		requestsTotal.WithLabelValues(string(operation), strconv.Itoa(http.StatusOK))
		requestDuration.WithLabelValues(string(operation))
	}
}

// resultAccepted is the result of a sync call that CBR has accepted.
const resultAccepted = "Accepted"

var (
	backupsDesc = prometheus.NewDesc("backupsync_backups",
		"BackupSyncs by state: pending, running, imported, failed.", []string{"namespace", "project", "state"}, nil)
	oldestPendingDesc = prometheus.NewDesc("backupsync_oldest_pending_timestamp_seconds",
		"Unix time of the creation of the oldest BackupSync that is still to be sent, or to be sent again; 0 without one.", []string{"namespace", "project"}, nil)
)

var credentialsExpiryDesc = prometheus.NewDesc("backupsync_credentials_expiry_timestamp_seconds",
	"Unix time at which the credentials of a project end, where that is known. Those that are renewed are renewed before.", []string{"namespace", "project"}, nil)

// Describe makes the Reconciler a Prometheus collector of what it knows of all projects when it is asked.
func (r *Reconciler) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- backupsDesc
	descriptions <- oldestPendingDesc
	descriptions <- credentialsExpiryDesc
}

// Collect counts the BackupSyncs of each project by state, and tells when its credentials end.
func (r *Reconciler) Collect(collected chan<- prometheus.Metric) {
	for project, summary := range r.counts.summaries() {
		for state := range summary.counts {
			collected <- prometheus.MustNewConstMetric(backupsDesc, prometheus.GaugeValue,
				float64(summary.counts[state]), project.Namespace, project.Name, backupsync.State(state).String())
		}
		since := 0.0
		if !summary.oldestPending.IsZero() {
			since = float64(summary.oldestPending.Unix())
		}
		collected <- prometheus.MustNewConstMetric(oldestPendingDesc, prometheus.GaugeValue, since, project.Namespace, project.Name)
	}
	r.collectExpiry(collected)
}

// collectExpiry tells when credentials end, by the statuses in the cache: nothing while that is not filled.
func (r *Reconciler) collectExpiry(collected chan<- prometheus.Metric) {
	var projects v1alpha1.CBRProjectList
	if err := r.client.List(context.Background(), &projects, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return
	}
	for i := range projects.Items {
		if project := &projects.Items[i]; project.Status.CredentialsExpiryTime != nil {
			collected <- prometheus.MustNewConstMetric(credentialsExpiryDesc, prometheus.GaugeValue,
				float64(project.Status.CredentialsExpiryTime.Unix()), project.Namespace, project.Name)
		}
	}
}

func observeCall(call cbr.Call) {
	requestsTotal.WithLabelValues(string(call.Operation), statusLabel(call.StatusCode)).Inc()
	requestDuration.WithLabelValues(string(call.Operation)).Observe(call.Duration.Seconds())
}

// statusLabel is a status as a label. Those that HTTP does not know share one for each of its classes: a hostile server could answer with
// any, and each would stay in memory.
func statusLabel(status int) string {
	if status != 0 && http.StatusText(status) == "" {
		return strconv.Itoa(status/100) + "xx"
	}
	return strconv.Itoa(status)
}

func observeImport(backup *v1alpha1.BackupSync) {
	if from, to := backup.Status.SubmittedTime, backup.Status.FinishedTime; from != nil && to != nil && backup.Status.Outcome == v1alpha1.OutcomeImported {
		importDuration.Observe(to.Sub(from.Time).Seconds())
	}
}

func observeSubmission(size int, err error) {
	submissionSize.Observe(float64(size))
	if err != nil {
		submissionsTotal.WithLabelValues(string(cbr.ClassOf(err))).Inc()
		return
	}
	submissionsTotal.WithLabelValues(resultAccepted).Inc()
}
