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
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/racedetector"
)

// eager is a clock that goes on by itself when somebody waits.
type eager struct{ *clocktesting.FakeClock }

// After lets the time go by.
func (e eager) After(pause time.Duration) <-chan time.Time {
	e.Step(pause)
	fired := make(chan time.Time, 1)
	fired <- e.Now()
	return fired
}

// objects are the BackupSyncs of one project, and other projects of the cluster, read in pages.
type objects struct {
	client.Reader
	backups  []v1alpha1.BackupSync
	projects []v1alpha1.CBRProject
	lists    int
	before   func(list int) // is told of each list of BackupSyncs that begins
}

func (o *objects) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	var asked client.ListOptions
	asked.ApplyOptions(options)
	if projects, is := list.(*v1alpha1.CBRProjectList); is {
		projects.Items = o.projects
		return nil
	}
	page := list.(*v1alpha1.BackupSyncList)
	if asked.Continue == "" {
		if o.lists++; o.before != nil {
			o.before(o.lists)
		}
	}
	_, project, _ := strings.Cut(asked.FieldSelector.String(), "=")
	selected := slices.DeleteFunc(slices.Clone(o.backups), func(each v1alpha1.BackupSync) bool { return each.Spec.ProjectRef.Name != project })
	from, _ := strconv.Atoi(asked.Continue)
	to := min(len(selected), from+int(asked.Limit))
	if page.Items = selected[from:to]; to < len(selected) {
		page.Continue = strconv.Itoa(to)
	}
	return nil
}

const testProject = "vmware"

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// backupOf makes the BackupSync of a number with an outcome, which ended so long ago.
func backupOf(number int, outcome v1alpha1.Outcome, ago time.Duration) v1alpha1.BackupSync {
	item := cbrtest.Backup(number)
	made := v1alpha1.BackupSync{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("backup-%04d", number), CreationTimestamp: metav1.NewTime(testNow.Add(-48 * time.Hour))},
		Spec: v1alpha1.BackupSyncSpec{ProjectRef: v1alpha1.ProjectReference{Name: testProject}, BackupID: item.ID, BackupName: item.Name, ResourceID: item.ResourceID}}
	if made.Status.Outcome = outcome; outcome != "" {
		at := metav1.NewTime(testNow.Add(-ago))
		made.Status.FinishedTime, made.Status.OperationLogID = &at, fmt.Sprintf("task-%d", number)
	}
	return made
}

// storedOf is what CBR holds of a number.
func storedOf(number int, status string) cbr.StoredBackup {
	item := cbrtest.Backup(number)
	return cbr.StoredBackup{ID: item.ID, Name: item.Name, ResourceID: item.ResourceID, Status: status}
}

// newVerification returns a verification of objects, whose BackupSyncs are read.
func newVerification(t testing.TB, cluster client.Reader, change func(*command)) *verification {
	t.Helper()
	now := eager{clocktesting.NewFakeClock(testNow)}
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard})
	f.Clock = now
	c := &command{factory: f, progress: newProgress(io.Discard, now), project: testProject}
	if change != nil {
		change(c)
	}
	project := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Name: testProject, UID: "1"}}
	v := &verification{command: c, reader: cluster, project: project, clean: func(text string) string { return text },
		undeclared: map[string]cbr.BackupDetails{}, differing: map[string]string{}, report: &Report{Project: testProject, Findings: []Finding{}}}
	if err := v.readManifests(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

// play verifies objects against a CBR.
func play(t testing.TB, cluster *objects, server *cbrtest.Server, change func(*command)) *Report {
	t.Helper()
	v := newVerification(t, cluster, change)
	config := server.Config(t)
	config.EnterpriseProjectID = cbr.AllEnterpriseProjects
	made, err := cbr.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	before := server.SyncCalls()
	if err := v.compare(t.Context(), made, false); err != nil {
		t.Fatal(err)
	}
	v.report.complete()
	if posts := server.SyncCalls() - before; posts != 0 {
		t.Fatalf("%d sync calls were made", posts)
	}
	return v.report
}

// oddities are what a CBR may do.
func oddities(random *rand.Rand) (options cbrtest.Options, said string) {
	is := func(name string) bool {
		if random.IntN(4) > 0 {
			return false
		}
		said += " " + name
		return true
	}
	options.Clock = clocktesting.NewFakePassiveClock(testNow)
	options.FoldCase, options.RequireUUIDs, options.HideTaskBackup = is("folds case"), is("wants UUIDs"), is("hides backups of tasks")
	options.HideTaskResource, options.SharedTaskIDs = is("hides resources"), is("shares tasks")
	options.GrantDefaultOnly = is("narrows lists")
	if is("shifts lists") {
		options.ListShift = 1 + random.IntN(3)
	}
	if is("short pages") {
		options.MaxPage = 7
	}
	if is("odd counts") {
		options.Count = []cbrtest.Count{cbrtest.CountMissing, cbrtest.CountPage, cbrtest.CountLess, cbrtest.CountMore, cbrtest.CountZero, cbrtest.CountText}[random.IntN(6)]
	}
	if is("OpenStack errors") {
		options.ErrorShape = cbrtest.ShapeOpenStack
	}
	if is("some are not answered") {
		options.GetError = func(id string) *cbrtest.APIError {
			if strings.HasSuffix(id, "3") {
				return &cbrtest.APIError{Status: http.StatusInternalServerError, Code: "BackupService.9910", Message: "busy"}
			}
			return nil
		}
	}
	if is("others import") {
		options.TaskDuration = time.Hour
	}
	switch random.IntN(8) {
	case 0:
		said += " a page answers lists"
		options.Refusals = []cbrtest.Refusal{cbrtest.Page(cbrtest.Calls(cbr.OperationListBackups), http.StatusBadGateway, time.Time{})}
	case 1:
		said += " a page answers questions"
		options.Refusals = []cbrtest.Refusal{cbrtest.Page(cbrtest.Calls(cbr.OperationGetBackup), http.StatusOK, time.Time{})}
	case 2:
		said += " a quota answers questions"
		options.Refusals = []cbrtest.Refusal{{Calls: cbrtest.Calls(cbr.OperationGetBackup), APIError: cbrtest.APIError{Status: http.StatusBadRequest, Code: "BackupService.6114", Message: "full"}}}
	case 3:
		said += " no permission for questions"
		options.Refusals = []cbrtest.Refusal{cbrtest.NotPermitted(cbrtest.Calls(cbr.OperationGetBackup), time.Time{})}
	}
	return options, said
}

// What CBR has is never Missing, and of what it lacks is told, whatever CBR does. Where it does nothing odd, all is told as it is.
func TestPropertyOfVerifying(t *testing.T) {
	told := map[Kind]int{}
	for number := range worlds() {
		random := rand.New(rand.NewPCG(uint64(number), 7))
		options, said := oddities(random)
		server := cbrtest.NewServer(t, options)
		cluster, statuses, strange := &objects{}, map[string]string{}, map[string]bool{}
		for i := range 40 {
			outcome := []v1alpha1.Outcome{v1alpha1.OutcomeImported, v1alpha1.OutcomeAlreadyImported, v1alpha1.OutcomeImported, "", v1alpha1.OutcomeBackupUnusable, v1alpha1.OutcomeOperationFailed}[random.IntN(6)]
			backup := backupOf(i, outcome, time.Duration(random.IntN(3))*40*time.Second)
			if random.IntN(10) == 0 {
				backup.Spec.BackupID = fmt.Sprintf("No-UUID-%d", i)
			}
			stored := storedOf(i, []string{"available", "available", "available", "error", "deleting", "protecting"}[random.IntN(6)])
			stored.ID = backup.Spec.BackupID
			if random.IntN(3) > 0 {
				statuses[cbr.Fold(stored.ID)] = stored.Status
				server.AddBackups("", stored)
			}
			if random.IntN(8) > 0 {
				cluster.backups = append(cluster.backups, backup)
			} else if statuses[cbr.Fold(stored.ID)] != "" {
				strange[cbr.Fold(stored.ID)] = true
			}
		}
		if options.TaskDuration > 0 {
			if _, err := server.Client(t).ImportBackups(t.Context(), []cbr.Backup{cbrtest.Backup(1000)}); err != nil {
				t.Fatal(err)
			}
		}
		report := play(t, cluster, server, nil)
		for _, kind := range kinds {
			told[kind] += *report.count(kind)
		}
		if lie := lieOf(report, cluster, statuses, strange, said == ""); lie != "" {
			t.Fatalf("world %d,%s: %s\n%s\n%+v", number, said, lie, summary(report), remarks(report))
		}
		server.Close()
	}
	for _, kind := range []Kind{Missing, Unusable, Unknown, Undeclared, Present} {
		if told[kind] == 0 {
			t.Errorf("nothing is ever %s", kind)
		}
	}
	t.Log(told)
}

// lieOf returns what a report tells that is not so, or does not tell, "" if nothing.
func lieOf(report *Report, cluster *objects, statuses map[string]string, strange map[string]bool, plain bool) string {
	found := map[string]Kind{}
	for _, each := range report.Findings {
		id := cbr.Fold(each.BackupID)
		found[id] = each.Kind
		switch _, there := statuses[id]; {
		case each.Kind == Missing && there:
			return each.BackupID + " is there"
		case (each.Kind == Unusable || each.Kind == Present || each.Kind == Undeclared) && !there:
			return each.BackupID + " is not there"
		case each.Kind == Undeclared && !strange[id]:
			return each.BackupID + " is declared"
		}
	}
	for i := range cluster.backups {
		of := &cluster.backups[i]
		id, said := cbr.Fold(of.Spec.BackupID), claimOf(of)
		status, there := statuses[id]
		settled := of.Status.FinishedTime == nil || testNow.Sub(of.Status.FinishedTime.Time) >= settleTime
		kind := found[id]
		switch {
		case said.holds() && !there && kind != Missing && kind != Unknown && report.Problem == "":
			return of.Spec.BackupID + " is lacking, and nothing is told"
		case said == claimsImported && status == "error" && kind != Unusable && kind != Unknown && report.Problem == "":
			return of.Spec.BackupID + " is in error, and nothing is told"
		case plain && said.holds() && !there && settled && kind != Missing:
			return of.Spec.BackupID + " is missing, and " + string(kind)
		case plain && said == claimsImported && status == "available" && kind != "":
			return of.Spec.BackupID + " is fine, and " + string(kind)
		case plain && (said == claimsNothing || said == claimsFailed) && there && kind != Present:
			return of.Spec.BackupID + " is there, and not told"
		}
	}
	for id := range strange {
		if found[id] != Undeclared && report.Problem == "" && report.ListUnknown == "" {
			return id + " is not declared, and nothing is told"
		}
	}
	if report.Problem == "" {
		return ""
	}
	if report.Counts.Confirmed+report.Counts.Missing+report.Counts.Unusable+report.Counts.Unknown < report.Counts.Imported-report.Counts.Present {
		return "the counts leave something out"
	}
	return ""
}

// worlds is how many are drawn: make large draws them all.
func worlds() int {
	if racedetector.Enabled {
		return 50
	}
	return 300
}
