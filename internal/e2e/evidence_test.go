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

package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

const (
	// population is how many backups each scenario imports.
	population = 200
	// fewestCalls is how many calls they take if nothing goes wrong.
	fewestCalls = population / cbr.MaxImportItems
	// scenarioTimeout is how long a scenario may take on a machine that is busy; most take 10 s, the longest 45 s if nothing else runs.
	scenarioTimeout = 3 * time.Minute
	// parallelScenarios is how many scenarios run at the same time. They mostly wait, whatever the number of processors.
	parallelScenarios = 6
	// outageTime is how long calls are refused: several of the pauses that grow from a second.
	outageTime = 8 * time.Second
)

// scenario is a cloud that behaves in a way that is not excluded, and what the operator must make of it: each of 200
// backups is taken once and imported, and no status ever says what is not so.
type scenario struct {
	name string
	// cloud are the flags of the simulator.
	cloud []string
	// id makes the id of a backup; a UUID if nil.
	id func(number int) string
	// batch is batch.maxSize of the project; 50 if 0.
	batch int32
	// refused are the backups that the cloud does not take at first, by their numbers, and how it answers.
	refused map[int]cbrtest.APIError
	// doubtful are the backups that need not be imported, by their numbers. They are never taken twice either.
	doubtful map[int]bool
	// reasons are those of the project that are true at some time, besides Pending and Usable; it must say one of mustSay.
	reasons, mustSay []string
	// anew says that BackupSyncs are deleted and created again.
	anew bool
	// calls is the most sync calls that it may take; the fewest that are possible if 0.
	calls int
	// play does what happens in the scenario; nil applies all manifests.
	play func(ctx context.Context, r *run)
}

// unavailable are the reasons of a project whose way to the cloud is cut.
var unavailable = []string{v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonNotCBR}

var scenarios = []scenario{
	// These take longest: an item is blamed after three failures, each of which is looked up, and the pauses between calls grow.
	{name: "one backup is answered 403 by a firewall", batch: 4, refused: map[int]cbrtest.APIError{33: {Status: 403, Shape: cbrtest.ShapeHTML}},
		reasons: unavailable, calls: population/4 + 10, play: isolate},
	{name: "one backup is answered 403 by the cloud", batch: 4,
		refused: map[int]cbrtest.APIError{33: {Status: 403, Code: "BackupService.5403", Message: "Access to the bucket is denied"}},
		reasons: append([]string{v1alpha1.ReasonPermissionDenied}, unavailable...), calls: population/4 + 10, play: isolate},
	{name: "one backup is answered 500", batch: 4,
		refused: map[int]cbrtest.APIError{121: {Status: 500, Code: "BackupService.9910", Message: "Internal error"}},
		reasons: unavailable, calls: population/4 + 10, play: isolate},
	{name: "tasks name nothing", cloud: []string{"--hide-task-backup", "--hide-task-resource"}},
	{name: "tasks name nothing, and an answer is lost", cloud: []string{"--hide-task-backup", "--hide-task-resource"},
		play: loseAnAnswer, reasons: unavailable, calls: fewestCalls + 2},
	{name: "a call has one task", cloud: []string{"--shared-tasks"}},
	{name: "a call has one task, which names its first backup, and an answer is lost", cloud: []string{"--shared-tasks", "--name-first"},
		play: loseAnAnswer, reasons: unavailable},
	// It shows them after 3 s, and the operator waits for 4 s after a call whose answer was lost. In production that is 60 s.
	{name: "tasks are shown late", cloud: []string{"--visible-after=3s"}},
	{name: "tasks are shown late, and an answer is lost", cloud: []string{"--visible-after=3s"}, play: loseAnAnswer, reasons: unavailable},
	{name: "ids are in capitals, the cloud answers in lower case, and an answer is lost", cloud: []string{"--fold-case"},
		id: func(int) string { return strings.ToUpper(uuid.NewString()) }, play: loseAnAnswer, reasons: unavailable},
	{name: "an id is no UUID, and the cloud refuses to look for it", cloud: []string{"--require-uuids"},
		id: func(number int) string {
			if number == 60 {
				return "erp-01." + uuid.NewString()
			}
			return uuid.NewString()
		},
		doubtful: map[int]bool{60: true}, calls: fewestCalls + 1},
	// Waiting alone would take one to two minutes at first, and 15 later.
	{name: "the quota is raised after a while, and a person asks for another try", cloud: []string{fmt.Sprintf("--quota=%d", population/2)},
		reasons: []string{v1alpha1.ReasonQuotaExceeded}, mustSay: []string{v1alpha1.ReasonQuotaExceeded}, calls: 40, play: raiseTheQuota},
	// Waiting alone would take 15 minutes: so often the operator tries again by itself. A person need not wait.
	{name: "a permission to import is granted after a while, and a person asks for another try", cloud: []string{denied("ImportBackup")},
		reasons: []string{v1alpha1.ReasonPermissionDenied}, mustSay: []string{v1alpha1.ReasonPermissionDenied}, calls: fewestCalls + 8,
		play: grantThePermission((*run).request)},
	{name: "the permission to read is granted after a while, and a person edits the project", cloud: []string{denied("reads")},
		reasons: []string{v1alpha1.ReasonPermissionDenied}, mustSay: []string{v1alpha1.ReasonPermissionDenied}, calls: fewestCalls,
		play: grantThePermission((*run).editProject)},
	// Lists go well, and show nothing that must not be believed before single backups were asked for.
	{name: "the permission to get a backup is granted after a while, and a person asks for another try", cloud: []string{denied("ShowBackup")},
		reasons: []string{v1alpha1.ReasonPermissionDenied}, mustSay: []string{v1alpha1.ReasonPermissionDenied},
		play: grantThePermission((*run).request)},
	{name: "reads fail for a while", reasons: unavailable, mustSay: unavailable,
		play: refuse(map[string]any{"calls": "reads", "status": 500, "code": "BackupService.9910", "message": "Internal error"}, (*run).waitOn)},
	// Waiting alone would take one to two minutes.
	{name: "reads are refused for a while, and a person asks for another try",
		reasons: []string{v1alpha1.ReasonRequestsRefused}, mustSay: []string{v1alpha1.ReasonRequestsRefused},
		play: refuse(map[string]any{"calls": "reads", "status": 400, "code": "BackupService.9900", "message": "Parameter error"}, (*run).request)},
	{name: "reads are refused in the words of OpenStack, as with a wrong project id, and a person asks for another try",
		reasons: append([]string{v1alpha1.ReasonRequestsRefused}, unavailable...), mustSay: append([]string{v1alpha1.ReasonRequestsRefused}, unavailable...),
		play: refuse(map[string]any{"calls": "reads", "status": 400, "shape": "openstack", "message": "Invalid project"}, (*run).request)},
	{name: "a proxy answers everything with 403 for a while", reasons: unavailable, mustSay: unavailable, calls: fewestCalls + 8,
		play: refuse(map[string]any{"status": 403, "shape": "html"}, (*run).waitOn)},
	{name: "a proxy answers everything with 502 for a while", reasons: unavailable, mustSay: unavailable, calls: fewestCalls + 8,
		play: refuse(map[string]any{"status": 502, "shape": "html"}, (*run).waitOn)},
	{name: "all is deleted and applied anew while an outcome is unknown", cloud: []string{"--task-duration=4s"}, anew: true,
		calls: fewestCalls + 4, play: applyAnew, reasons: unavailable},
	{name: "all is deleted and applied anew while an outcome is unknown and a task names nothing", anew: true, calls: fewestCalls + 4,
		play: applyAnew, reasons: unavailable,
		cloud: []string{"--task-duration=6s", "--shared-tasks", "--hide-task-backup", "--hide-task-resource"}},
}

// TestEvidence runs all scenarios against one manager, several at the same time: none may disturb another. They are not run by
// T.Parallel, which needs the flag -parallel on machines with few processors; Ginkgo refuses that flag.
func TestEvidence(t *testing.T) {
	b := newBed(t)
	var running errgroup.Group
	running.SetLimit(parallelScenarios)
	for _, each := range scenarios {
		running.Go(func() error {
			t.Run(each.name, func(t *testing.T) { b.play(t, each) })
			return nil
		})
	}
	NewWithT(t).Expect(running.Wait()).To(Succeed())
}

// play runs one scenario.
func (b *bed) play(t *testing.T, s scenario) {
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTimeout)
	defer cancel()
	r := b.newRun(ctx, t, s)
	if s.play == nil {
		r.apply(ctx, 0, population)
	} else {
		s.play(ctx, r)
	}
	r.expectDone(ctx)
	r.expectTruth(ctx)
}

// loseAnAnswer lets the cloud take a call whose answer is lost.
func loseAnAnswer(ctx context.Context, r *run) {
	r.steer(ctx, "faults", map[string]any{"operation": cbr.OperationImport, "skip": 1, "closeAfter": true})
	r.apply(ctx, 0, population)
	r.await(ctx, "a backup whose outcome is unknown", func(g Gomega) {
		g.Expect(r.counts(ctx, g)).To(HaveKey(v1alpha1.ReasonOutcomeUnknown))
	})
}

// isolate waits until all is imported but what the cloud does not take. Then it takes that too, and a person asks for it.
func isolate(ctx context.Context, r *run) {
	r.apply(ctx, 0, population)
	r.await(ctx, "all others to be imported", func(g Gomega) {
		g.Expect(r.counts(ctx, g)).To(HaveKeyWithValue(v1alpha1.ReasonImported, population-len(r.scenario.refused)))
	})
	r.await(ctx, "the others to be blamed", func(g Gomega) {
		counts := r.counts(ctx, g)
		g.Expect(counts[v1alpha1.ReasonRejected]+counts[v1alpha1.ReasonRetryScheduled]).To(Equal(len(r.scenario.refused)), "%v", counts)
	})
	r.steer(ctx, "rejects", map[string]any{})
	for number := range r.scenario.refused {
		r.requestBackup(ctx, number)
	}
}

// denied is the flag of a cloud that does not permit some calls.
func denied(calls string) string {
	return fmt.Sprintf(`--refusal={"calls":%q,"status":403,"message":"Policy doesn't allow {action} to be performed."}`, calls)
}

// grantThePermission lifts the refusals that the cloud began with, once the project has told of them for a while. Then a person
// does something about it.
func grantThePermission(act func(*run, context.Context)) func(context.Context, *run) {
	return func(ctx context.Context, r *run) {
		lift := r.beginOutage()
		r.apply(ctx, 0, population)
		r.await(ctx, "the project's reason", func(g Gomega) {
			g.Expect(r.projectReady(ctx, g).Reason).To(Equal(v1alpha1.ReasonPermissionDenied))
		})
		r.pause(ctx, outageTime/2)
		lift()
		r.steer(ctx, "options", map[string]any{"refusals": []any{}})
		act(r, ctx)
	}
}

// raiseTheQuota does so once the project has told for a while that it is used up.
func raiseTheQuota(ctx context.Context, r *run) {
	r.apply(ctx, 0, population)
	r.await(ctx, "the quota to be used up", func(g Gomega) {
		g.Expect(r.ledger(ctx, g).Backups).To(HaveLen(population / 2))
	})
	lift := r.beginOutage()
	r.await(ctx, "the project's reason", func(g Gomega) {
		g.Expect(r.projectReady(ctx, g).Reason).To(Equal(v1alpha1.ReasonQuotaExceeded))
		g.Expect(r.counts(ctx, g)).To(Equal(map[string]int{v1alpha1.ReasonImported: population / 2, v1alpha1.ReasonQueued: population / 2}))
	})
	r.pause(ctx, outageTime/2)
	lift()
	r.steer(ctx, "options", map[string]any{"quota": 0})
	r.request(ctx)
}

// refuse lets calls be refused for a while, in the middle of the import. Then a person does something about it, or not.
func refuse(refusal map[string]any, act func(*run, context.Context)) func(context.Context, *run) {
	return func(ctx context.Context, r *run) {
		r.apply(ctx, 0, population/2)
		r.await(ctx, "the first backups to be taken", func(g Gomega) {
			g.Expect(r.ledger(ctx, g).Backups).NotTo(BeEmpty())
		})
		r.steer(ctx, "options", map[string]any{"refusals": []any{refusal}})
		lift := r.beginOutage()
		r.apply(ctx, population/2, population)
		r.pause(ctx, outageTime)
		lift()
		r.steer(ctx, "options", map[string]any{"refusals": []any{}})
		act(r, ctx)
	}
}

// applyAnew loses two answers, and then deletes and creates all BackupSyncs, as "kubectl delete -f" and "apply -f" do.
func applyAnew(ctx context.Context, r *run) {
	r.steer(ctx, "faults", map[string]any{"operation": cbr.OperationImport, "skip": 1, "times": 2, "closeAfter": true})
	r.apply(ctx, 0, population)
	r.await(ctx, "backups whose outcome is unknown", func(g Gomega) {
		g.Expect(r.counts(ctx, g)).To(HaveKey(v1alpha1.ReasonOutcomeUnknown))
	})
	r.deleteAll(ctx)
	r.apply(ctx, 0, population)
}

// expectDone waits until all is imported that can be, and the project says so.
func (r *run) expectDone(ctx context.Context) {
	r.Helper()
	r.await(ctx, "everything to be imported", func(g Gomega) {
		project := r.project(ctx, g) // first: to list them all takes this process more than it takes the operator to import one
		g.Expect(project.Status.Backups).NotTo(BeNil())
		g.Expect(project.Status.Backups.Imported).To(BeNumerically(">=", population-len(r.scenario.doubtful)))
		g.Expect(len(project.Status.Journal.Submissions)).To(BeNumerically("<=", len(r.scenario.doubtful)))
		g.Expect(readyOf(project.Status.Conditions).Reason).To(Equal(v1alpha1.ReasonUsable))
		missing := map[string]int{}
		for _, each := range r.list(ctx, g) {
			if ready := readyOf(each.Status.Conditions); ready.Status != metav1.ConditionTrue && !r.scenario.doubtful[r.numbers[each.Name]] {
				missing[ready.Reason]++
			}
		}
		g.Expect(missing).To(BeEmpty(), "the reasons of those that are not imported")
	})
}

// expectTruth holds the ledger and all that the statuses have ever said against each other.
func (r *run) expectTruth(ctx context.Context) {
	r.Helper()
	history, err := historyOf(ctx, r.cloud)
	r.Expect(err).NotTo(HaveOccurred())
	taken := map[string]int{}
	for _, each := range history.ledger.Backups {
		taken[cbr.Fold(each.BackupID)] += each.Accepted
	}
	times := map[int]int{}
	for number, backup := range r.manifests {
		count := taken[cbr.Fold(backup.Spec.BackupID)]
		if count == 0 && r.scenario.doubtful[number] {
			count = 1
		}
		times[count]++
	}
	r.check(times[1] == population, "the backups by how often they were taken: %v", times)
	most := cmp.Or(r.scenario.calls, fewestCalls)
	r.check(history.ledger.SyncCalls <= most, "%d sync calls, at most %d are needed", history.ledger.SyncCalls, most)
	untruths := r.recorder.untruths(history, r.expectation())
	for _, untruth := range untruths[:min(len(untruths), 10)] {
		r.check(false, "untrue: %s", untruth)
	}
	r.check(len(untruths) <= 10, "untrue: %d statements in all", len(untruths))
	r.expectReasons()
}
