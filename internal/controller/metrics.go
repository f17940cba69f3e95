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
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
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

// What is known of projects. No label names a BackupSync.
var (
	backupsDesc = ofProject("backupsync_backups", "BackupSyncs by state: pending, running, imported, failed.", "state")
	waitingDesc = ofProject("backupsync_backups_waiting", "BackupSyncs that are pending or running, by the reason of their condition Ready.", "reason")

	oldestPendingDesc = ofProject("backupsync_oldest_pending_timestamp_seconds",
		"Unix time of the creation of the oldest BackupSync that is still to be sent, or to be sent again, and not suspended; 0 without one.")
	unavailableDesc = ofProject("backupsync_backups_unavailable",
		"Imported BackupSyncs whose backup CBR did not show usable any more when it was last asked, by the reason of their condition Available.", "reason")
	conditionDesc  = ofProject("backupsync_project_condition", "1 for each condition that a CBRProject has.", "type", "status", "reason")
	oldestCallDesc = ofProject("backupsync_oldest_open_call_timestamp_seconds",
		"Unix time of the beginning of the oldest sync call whose outcome is not written yet; 0 without one.")
	credentialsExpiryDesc = ofProject("backupsync_credentials_expiry_timestamp_seconds",
		"Unix time at which the credentials of a project end, where that is known. Those that are renewed are renewed before.")
	lastAuditDesc = ofProject("backupsync_last_audit_timestamp_seconds",
		"Unix time at which the latest complete audit of the imported backups of a project ended, where there was one.")
	auditDueDesc = ofProject("backupsync_audit_due_timestamp_seconds",
		"Unix time at which the next audit of the imported backups of a project is due, where there is to be one: in the past while it is late.")
	namespaceReadableDesc = prometheus.NewDesc("backupsync_namespace_readable",
		"Whether each of several watched namespaces can be read: 1, or 0 if not.", []string{"namespace"}, nil)
)

func ofProject(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"namespace", "project"}, labels...), nil)
}

// Describe makes the Reconciler a Prometheus collector of what it knows of all projects when it is asked.
func (r *Reconciler) Describe(descriptions chan<- *prometheus.Desc) {
	for _, each := range []*prometheus.Desc{backupsDesc, waitingDesc, unavailableDesc, oldestPendingDesc, conditionDesc, oldestCallDesc,
		credentialsExpiryDesc, lastAuditDesc, auditDueDesc, namespaceReadableDesc} {
		descriptions <- each
	}
}

// gauge is a gauge of a project.
func gauge(of *prometheus.Desc, value float64, namespace, project string, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, append([]string{namespace, project}, labels...)...)
}

// Collect counts the BackupSyncs of each project, and tells what the statuses of the projects say. While the cache is not filled it is not known
// which projects there are, and the other metrics are needed all the same.
func (r *Reconciler) Collect(collected chan<- prometheus.Metric) {
	r.collectNamespaces(collected)
	var projects v1alpha1.CBRProjectList
	if err := r.client.List(atOnce, &projects, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		projects.Items = nil
	}
	r.collectCounts(collected, projects.Items)
	r.collectProjects(collected, projects.Items)
}

// collectCounts counts the BackupSyncs of each project. Which projects there are in a namespace that cannot be read is not known.
func (r *Reconciler) collectCounts(collected chan<- prometheus.Metric, projects []v1alpha1.CBRProject) {
	existing, unreadable := sets.New[types.NamespacedName](), sets.New(r.options.unreadable()...)
	for i := range projects {
		existing.Insert(client.ObjectKeyFromObject(&projects[i]))
	}
	for project, summary := range r.counts.summaries(existing) {
		if unreadable.Has(project.Namespace) {
			continue
		}
		for state, count := range summary.counts {
			collected <- gauge(backupsDesc, float64(count), project.Namespace, project.Name, backupsync.State(state).String())
		}
		for reason, count := range summary.waiting {
			collected <- gauge(waitingDesc, float64(count), project.Namespace, project.Name, waitingReasons[reason])
		}
		for _, reason := range []backupsync.Availability{backupsync.BackupMissing, backupsync.BackupUnusable} {
			collected <- gauge(unavailableDesc, float64(summary.availability[reason]), project.Namespace, project.Name, reason.String())
		}
		collected <- gauge(oldestPendingDesc, float64(summary.oldestPending), project.Namespace, project.Name)
	}
}

// collectNamespaces tells which of several namespaces can be read.
func (r *Reconciler) collectNamespaces(collected chan<- prometheus.Metric) {
	if r.options.Unreadable == nil {
		return
	}
	unreadable := sets.New(r.options.Unreadable()...)
	for _, namespace := range r.options.Namespaces {
		readable := 1.0
		if unreadable.Has(namespace) {
			readable = 0
		}
		collected <- prometheus.MustNewConstMetric(namespaceReadableDesc, prometheus.GaugeValue, readable, namespace)
	}
}

// atOnce is a context of reads that do not wait until the cache is filled: it is over.
var atOnce = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// collectProjects tells what the statuses in the cache say.
func (r *Reconciler) collectProjects(collected chan<- prometheus.Metric, projects []v1alpha1.CBRProject) {
	for i := range projects {
		project := &projects[i]
		for _, condition := range project.Status.Conditions {
			collected <- gauge(conditionDesc, 1, project.Namespace, project.Name, condition.Type, string(condition.Status), condition.Reason)
		}
		collected <- gauge(oldestCallDesc, unixTime(oldestCall(project)), project.Namespace, project.Name)
		if ends := project.Status.CredentialsExpiryTime; ends != nil {
			collected <- gauge(credentialsExpiryDesc, unixTime(ends.Time), project.Namespace, project.Name)
		}
		r.collectAudits(collected, project)
	}
}

// collectAudits tells when a project was audited, and when it is to be.
func (r *Reconciler) collectAudits(collected chan<- prometheus.Metric, project *v1alpha1.CBRProject) {
	if last := project.Status.Audit; last != nil && last.FinishedTime != nil {
		collected <- gauge(lastAuditDesc, unixTime(last.FinishedTime.Time), project.Namespace, project.Name)
	}
	if auditInterval(project) > 0 && !project.Spec.Suspend && project.DeletionTimestamp.IsZero() &&
		r.counts.counts(client.ObjectKeyFromObject(project)).Imported > 0 {
		collected <- gauge(auditDueDesc, unixTime(auditDue(project)), project.Namespace, project.Name)
	}
}

// oldestCall returns when the oldest sync call began whose outcome is not written yet, zero without one.
func oldestCall(project *v1alpha1.CBRProject) (oldest time.Time) {
	for _, submission := range project.Status.Journal.Submissions {
		if began := submission.StartTime.Time; oldest.IsZero() || began.Before(oldest) {
			oldest = began
		}
	}
	return oldest
}

// unixTime is a time as a gauge tells it: 0 for none.
func unixTime(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.Unix())
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
