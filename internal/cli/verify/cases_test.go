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

package verify

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

func imported(number int) v1alpha1.BackupSync {
	return backupOf(number, v1alpha1.OutcomeImported, time.Hour)
}

// what returns the findings as texts.
func what(report *Report) []string {
	var texts []string
	for _, found := range report.Findings {
		texts = append(texts, strings.TrimSpace(string(found.Kind)+" "+found.BackupSync))
	}
	return texts
}

func wants(t *testing.T, report *Report, texts ...string) {
	t.Helper()
	if !slices.Equal(what(report), texts) {
		t.Errorf("told %q, not %q\n%s\n%+v", what(report), texts, summary(report), report)
	}
}

// What is imported, applied or deleted while CBR is asked is not told.
func TestWhatChangesMeanwhile(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	server.AddBackups("", storedOf(0, "available"), storedOf(1, "available"))
	cluster := &objects{backups: []v1alpha1.BackupSync{backupOf(0, "", 0), imported(2)}}
	wants(t, play(t, cluster, server, nil), "Missing backup-0002", "Undeclared", "Present backup-0000")

	cluster.lists = 0
	cluster.before = func(list int) {
		if list == 2 { // 0 was imported, 1 applied and imported, 2 deleted
			cluster.backups = []v1alpha1.BackupSync{imported(0), imported(1)}
		}
	}
	wants(t, play(t, cluster, server, nil))
}

// A BackupSync that was imported anew meanwhile is not told to be missing.
func TestImportedAnewMeanwhile(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	cluster := &objects{backups: []v1alpha1.BackupSync{imported(0)}}
	cluster.before = func(list int) {
		if list == 2 {
			cluster.backups[0] = backupOf(0, v1alpha1.OutcomeImported, 0)
		}
	}
	wants(t, play(t, cluster, server, nil))
}

// CBR may show a moment later what it has taken: that is not Missing.
func TestLateVisibility(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clocktesting.NewFakePassiveClock(testNow), VisibleAfter: 30 * time.Second})
	cluster := &objects{backups: []v1alpha1.BackupSync{backupOf(0, v1alpha1.OutcomeImported, 20*time.Second), backupOf(1, v1alpha1.OutcomeImported, 61*time.Second)}}
	wants(t, play(t, cluster, server, nil), "Missing backup-0001", "Unknown backup-0000")
}

// While others import, and CBR does not say what, a backup that CBR does not have is missing all the same; one that a task names is not.
func TestImportsUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		nameless bool
		told     string
	}{"nameless": {true, "Missing backup-0000"}, "named": {false, "Unknown backup-0000"}} {
		t.Run(name, func(t *testing.T) {
			server := cbrtest.NewServer(t, cbrtest.Options{Clock: clocktesting.NewFakePassiveClock(testNow), TaskDuration: time.Hour, HideTaskBackup: c.nameless})
			if _, err := server.Client(t).ImportBackups(t.Context(), []cbr.Backup{cbrtest.Backup(0)}); err != nil {
				t.Fatal(err)
			}
			v := newVerification(t, &objects{backups: []v1alpha1.BackupSync{imported(0)}}, nil)
			if err := v.compare(t.Context(), server.Client(t), false); err != nil {
				t.Fatal(err)
			}
			wants(t, v.report, c.told)
		})
	}
}

// Nothing that CBR could not be asked for is missing for a task that may be anybody's, nor what has not settled.
func TestImportsUnderWayAreNoProof(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Clock: clocktesting.NewFakePassiveClock(testNow), TaskDuration: time.Hour, HideTaskBackup: true,
		GetError: func(id string) *cbrtest.APIError {
			if id != storedOf(0, "").ID {
				return nil
			}
			return &cbrtest.APIError{Status: http.StatusInternalServerError, Code: "BackupService.9910", Message: "busy"}
		}})
	if _, err := server.Client(t).ImportBackups(t.Context(), []cbr.Backup{cbrtest.Backup(9)}); err != nil {
		t.Fatal(err)
	}
	v := newVerification(t, &objects{backups: []v1alpha1.BackupSync{imported(0), backupOf(1, v1alpha1.OutcomeImported, 20*time.Second), imported(2)}}, nil)
	if err := v.compare(t.Context(), server.Client(t), false); err != nil {
		t.Fatal(err)
	}
	v.report.complete()
	wants(t, v.report, "Missing backup-0002", "Unknown backup-0000", "Unknown backup-0001")
}

// Names limit what is told and asked for.
func TestNames(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	server.AddBackups("", storedOf(0, "available"), storedOf(7, "available"))
	cluster := &objects{backups: []v1alpha1.BackupSync{imported(0), imported(1), imported(2)}}
	report := play(t, cluster, server, func(c *command) { c.names = []string{"backup-0000", "backup-0001"} })
	wants(t, report, "Missing backup-0001")
	if c := report.Counts; c.BackupSyncs != 2 || c.Confirmed != 1 || server.Calls(cbr.OperationListBackups) != 0 || server.Calls(cbr.OperationGetBackup) != 2 {
		t.Errorf("%+v, %d questions", c, server.Calls(cbr.OperationGetBackup))
	}
}

// Who names a BackupSync is told of its backup, whichever of several declares it: CBR does not have it, and nothing is no answer.
func TestANamedDuplicateIsTold(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	for _, outcome := range []v1alpha1.Outcome{v1alpha1.OutcomeImported, v1alpha1.OutcomeDuplicate, ""} {
		second := backupOf(1, outcome, time.Hour)
		second.Name = "second"
		cluster := &objects{backups: []v1alpha1.BackupSync{imported(1), second}}
		report := play(t, cluster, server, func(c *command) { c.names = []string{"second"} })
		if told := what(report); !slices.Equal(told, []string{"Missing backup-0001"}) || report.Counts.BackupSyncs != 1 {
			t.Errorf("second, as %q: %v, %s", outcome, told, summary(report))
		}
		if notes := strings.Join(report.Notes, " "); !strings.Contains(notes, "second declares the same backup as backup-0001") {
			t.Errorf("second, as %q: %q", outcome, notes)
		}
	}
}

// A backup that is in another cloud project is not missing in this one, and a note tells of it, also if it is named.
func TestWhatIsElsewhereIsNotMissing(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	elsewhere := imported(1)
	elsewhere.Status.CloudProject = ptr.To("cbr.cn-east-3.myhuaweicloud.com:443/another")
	for _, names := range [][]string{nil, {"backup-0001"}} {
		cluster := &objects{backups: []v1alpha1.BackupSync{imported(0), elsewhere}}
		report := play(t, cluster, server, func(c *command) { c.names = names })
		if notes := strings.Join(report.Notes, " "); slices.Contains(what(report), "Missing backup-0001") || !strings.Contains(notes, "1, backup-0001 for one") {
			t.Errorf("%v: %v, %q", names, what(report), notes)
		}
	}
}

// The flags leave out what is not asked for.
func TestFlagsLimit(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	own := storedOf(8, "available")
	own.ProviderID = "another"
	server.AddBackups("", storedOf(7, "available"), own)
	cluster := &objects{backups: []v1alpha1.BackupSync{imported(0), backupOf(1, v1alpha1.OutcomeImported, 25*time.Hour)}}
	wants(t, play(t, cluster, server, func(c *command) { c.since = testNow.Add(-24 * time.Hour) }), "Missing backup-0000", "Undeclared", "Undeclared")
	wants(t, play(t, cluster, server, func(c *command) { c.ignoreUndeclared = true }), "Missing backup-0000", "Missing backup-0001")
	report := play(t, cluster, server, func(c *command) { c.importedOnly = true })
	wants(t, report, "Missing backup-0000", "Missing backup-0001", "Undeclared")
	if id := report.Findings[2].BackupID; id != storedOf(7, "").ID {
		t.Errorf("%s is told", id)
	}
}

// What a CBRProject of the same cloud project declares is declared.
func TestDeclaredElsewhere(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	server.AddBackups("", storedOf(0, "available"), storedOf(1, "available"))
	other := imported(0)
	other.Spec.ProjectRef.Name = "younger"
	cluster := &objects{backups: []v1alpha1.BackupSync{other},
		projects: []v1alpha1.CBRProject{{ObjectMeta: metav1.ObjectMeta{Name: "younger", UID: "2"}}}}
	report := play(t, cluster, server, nil)
	wants(t, report, "Undeclared")
	if report.Findings[0].BackupID != storedOf(1, "").ID {
		t.Errorf("%+v", report.Findings)
	}
}

// CBR may show other texts than the manifest.
func TestDifferences(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	stored := storedOf(0, "available")
	stored.Name, stored.ResourceID = "renamed", strings.ToUpper(stored.ResourceID)
	server.AddBackups("", stored)
	report := play(t, &objects{backups: []v1alpha1.BackupSync{imported(0)}}, server, nil)
	wants(t, report, "Differs backup-0000")
	if detail := report.Findings[0].Detail; !strings.HasPrefix(detail, `backupName is "renamed" in CBR, "backup-0" in the manifest. `) || report.Counts.Confirmed != 1 {
		t.Errorf("%s, %+v", detail, report.Counts)
	}
}

// A refusal for the rate is waited for as long as CBR asks, and tells nothing.
func TestPatience(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	server.AddBackups("", storedOf(0, "available"))
	server.Inject(cbrtest.Fault{Operation: cbr.OperationListBackups, Times: 2, Status: http.StatusTooManyRequests, Code: "APIGW.0308", Headers: map[string]string{"Retry-After": "17"}})
	v := newVerification(t, &objects{backups: []v1alpha1.BackupSync{imported(0)}}, nil)
	if err := v.compare(t.Context(), server.Client(t), false); err != nil {
		t.Fatal(err)
	}
	if waited := v.factory.Now().Sub(testNow); waited != 34*time.Second || v.report.Problem != "" || v.report.Counts.Confirmed != 1 {
		t.Errorf("waited %s: %+v", waited, v.report)
	}
}

// A list that breaks off tells of what it has shown, and the rest is unknown.
func TestListBreaksOff(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{MaxPage: 2})
	server.AddBackups("", storedOf(0, "available"), storedOf(1, "error"), storedOf(2, "available"), storedOf(9, "available"))
	server.Inject(cbrtest.Fault{Operation: cbr.OperationListBackups, Skip: 1, Times: cbrtest.Always, Status: http.StatusForbidden, Code: "APIGW.0302"})
	report := play(t, &objects{backups: []v1alpha1.BackupSync{imported(0), imported(1), imported(2), imported(3)}}, server, nil)
	wants(t, report, "Unusable backup-0001")
	if c := report.Counts; c.Confirmed != 1 || c.Unknown != 2 || !strings.Contains(report.Problem, "APIGW.0302") {
		t.Errorf("%+v, %s", c, report.Problem)
	}
}

// A Ctrl-C ends it, and nothing is told.
func TestInterrupted(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	v := newVerification(t, &objects{backups: []v1alpha1.BackupSync{imported(0)}}, nil)
	ctx, stop := newStopped(t)
	defer stop()
	if err := v.compare(ctx, server.Client(t), false); err == nil || len(v.report.Findings) != 0 || v.report.Problem != "" {
		t.Errorf("%v, %+v", err, v.report)
	}
}
