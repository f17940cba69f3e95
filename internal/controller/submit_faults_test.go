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

package controller_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

// backupsOfATrouble are few, but enough for a call to be halved.
const backupsOfATrouble = 3

// trouble is an entry of the tables of faults: what goes wrong, what is seen of it while it lasts, and what ends it.
// All backups end Imported, and each was accepted once.
type trouble struct {
	options cbrtest.Options
	fault   *cbrtest.Fault   // of the cloud, befalls imports if it names no operation
	hostile http.HandlerFunc // answers in place of the cloud, once or as often as times says
	times   int              // as in cbrtest.Fault
	reads   bool             // the hostile answers are those to reads, not to imports
	spec    func(*v1alpha1.CBRProjectSpec)
	token   string // cbrtest.Token if ""
	count   int    // of backups, backupsOfATrouble if 0

	project string // reason of the project's Ready; "" if the project must not be concerned
	says    string // a part of the project's message
	stalled bool   // the project waits for a person
	backups string // reason of the backups' Ready; "" if they must only be seen waiting

	lift  func(context.Context, *scene) // nil if it passes with time
	calls int                           // sync calls in all; 0 for any number
	tune  func(*controller.Options)     // patient if nil
}

// patient keeps a busy machine from being taken for a fault, where no lost call has to be waited for.
func patient(options *controller.Options) {
	options.CallTimeout = 10 * time.Second
	options.BeginTimeout = 5 * time.Second
	options.SettleTime = 2 * time.Second
	options.WriteTimeout = 10 * time.Second
}

// hasty makes lost calls be looked up as soon as the first pause after them is over.
func hasty(options *controller.Options) {
	options.CallTimeout = time.Second
	options.BeginTimeout = time.Second
	options.SettleTime = 1500 * time.Millisecond
	options.WriteTimeout = 5 * time.Second
}

// refusal is an error answer of the table of errors.
type refusal struct {
	status int
	code   string
}

func (r refusal) String() string { return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, r.code)) }

// said is how a message names the refusal.
func (r refusal) said() string {
	if r.code == "" {
		return fmt.Sprintf("HTTP %d", r.status)
	}
	return r.code
}

func (r refusal) fault(times int) *cbrtest.Fault {
	return &cbrtest.Fault{Status: r.status, Code: r.code, Message: "what happened", Times: times}
}

// rows are the rows of a status, one for each code.
func rows(status int, codes ...string) []refusal {
	made := make([]refusal, 0, len(codes))
	for _, code := range codes {
		made = append(made, refusal{status, code})
	}
	return made
}

// entries are the entries of a table, one for each code.
func entries(status int, codes ...string) []TableEntry {
	made := make([]TableEntry, 0, len(codes))
	for _, row := range rows(status, codes...) {
		made = append(made, Entry(row.String(), row))
	}
	return made
}

// together are the entries of a table, one for a few rows.
func together(all ...[]refusal) []TableEntry {
	var made []TableEntry
	for some := range slices.Chunk(slices.Concat(all...), backupsOfATrouble) {
		made = append(made, Entry(fmt.Sprint(some), some))
	}
	return made
}

// The rows of "Errors" in what is known of the API.
var _ = Describe("An error that the API documents", func() {
	DescribeTable("Rejected: is that of one backup, which is sent again when it is mended", rejectedAlone,
		together(rows(400, "BackupService.9900", "BackupService.7300", "BackupService.7301", "BackupService.6135", "BackupService.6102",
			"BackupService.6112", "BackupService.6300", "BackupService.6301", "BackupService.7110", "BackupService.4711"),
			rows(404, "BackupService.6105", "BackupService.6302"), rows(413, "APIGW.0201"), rows(414, "APIG.0201")))

	DescribeTable("Throttled: the project waits as long as it is told to, and nothing was taken",
		func(ctx context.Context, row refusal) {
			fault := row.fault(1)
			fault.Headers = map[string]string{"Retry-After": "1"}
			trouble{fault: fault, project: v1alpha1.ReasonThrottled, says: row.said(), calls: 2}.runs(ctx)
		},
		entries(429, "APIGW.0308", ""))

	DescribeTable("Throttled: CBR's own refusal is looked up before anything is sent again",
		func(ctx context.Context, row refusal) {
			fault := row.fault(1)
			fault.AcceptItems, fault.Headers = cbrtest.All, map[string]string{"Retry-After": "1"}
			trouble{fault: fault, project: v1alpha1.ReasonThrottled, says: row.said(), backups: v1alpha1.ReasonOutcomeUnknown, calls: 1}.runs(ctx)
		},
		entries(429, "BackupService.4711"))

	DescribeTable("Throttled: a request ends the wait at once",
		func(ctx context.Context, row refusal) {
			trouble{fault: row.fault(cbrtest.Always), project: v1alpha1.ReasonThrottled, says: row.said(), calls: 2, lift: byRequest}.runs(ctx)
		},
		entries(429, "APIGW.0308"))

	DescribeTable("Credentials: the gateway is asked once, and again with a new token",
		func(ctx context.Context, row refusal) {
			trouble{fault: row.fault(cbrtest.Always), project: v1alpha1.ReasonCredentialsRejected, says: row.said(), stalled: true,
				calls: 2, lift: byNewToken}.runs(ctx)
		},
		entries(401, "APIGW.0301", "APIGW.0303", "APIGW.0305", "APIGW.0307"))

	DescribeTable("Credentials: the gateway is asked once, and again on request",
		func(ctx context.Context, row refusal) {
			trouble{fault: row.fault(cbrtest.Always), project: v1alpha1.ReasonCredentialsRejected, says: row.said(), stalled: true,
				calls: 2, lift: byRequest}.runs(ctx)
		},
		entries(403, "APIGW.0306", "APIGW.0310"))

	DescribeTable("Permission: the gateway is asked once, and again when permissions were given",
		func(ctx context.Context, row refusal) {
			trouble{fault: row.fault(cbrtest.Always), project: v1alpha1.ReasonPermissionDenied, says: row.said(), stalled: true,
				calls: 2, lift: byRequest}.runs(ctx)
		},
		entries(403, "APIGW.0302", "APIGW.0802"))

	DescribeTable("Quota: it is nobody's, whatever is sent, and ends by a request at once",
		func(ctx context.Context, row refusal) {
			trouble{fault: row.fault(cbrtest.Always), project: v1alpha1.ReasonQuotaExceeded, says: row.said(), stalled: true,
				backups: v1alpha1.ReasonOutcomeUnknown, calls: 2, lift: byRequest}.runs(ctx)
		},
		entries(400, "BackupService.6114", "BackupService.6142", "BackupService.7303"))

	DescribeTable("Foreign: what is in between says nothing of credentials or backups",
		func(ctx context.Context, row refusal) {
			trouble{fault: row.fault(1), project: v1alpha1.ReasonEndpointUnavailable, says: row.said(),
				backups: v1alpha1.ReasonOutcomeUnknown, calls: 2}.runs(ctx)
		},
		entries(400, ""), entries(401, ""), entries(403, ""), entries(404, ""))

	DescribeTable("Credentials: CBR's own refusal is looked up before anything is sent again",
		func(ctx context.Context, row refusal) {
			trouble{fault: row.fault(cbrtest.Always), project: v1alpha1.ReasonCredentialsRejected, says: row.said(), stalled: true,
				backups: v1alpha1.ReasonOutcomeUnknown, lift: byNewToken, tune: hasty}.runs(ctx)
		},
		entries(403, "BackupService.8600"), entries(500, "BackupService.9998"))

	DescribeTable("Misdirected: the project waits for a person",
		func(ctx context.Context, row refusal) {
			trouble{fault: row.fault(cbrtest.Always), project: v1alpha1.ReasonNotCBR, says: row.said(), stalled: true,
				calls: 2, lift: byRequest}.runs(ctx)
		},
		entries(404, "APIGW.0101", "APIG.0101"))

	DescribeTable("Transient: calls go on after a pause, and a look at what CBR has",
		func(ctx context.Context, row refusal) {
			trouble{fault: row.fault(1), project: v1alpha1.ReasonEndpointUnavailable, says: row.said(),
				backups: v1alpha1.ReasonOutcomeUnknown, tune: hasty}.runs(ctx)
		},
		entries(400, "BackupService.7302", "BackupService.0002"), entries(502, "APIGW.0201"), entries(503, "APIGW.0613"))

	DescribeTable("Transient: a read is made again after a pause",
		func(ctx context.Context, row refusal) {
			fault := row.fault(1)
			fault.Operation = cbr.OperationListTasks // a single question concerns its backup alone
			trouble{fault: fault, project: v1alpha1.ReasonEndpointUnavailable, says: row.said(), calls: 1}.runs(ctx)
		},
		entries(500, "BackupService.9910", ""), entries(504, "APIGW.0201"))

	DescribeTable("Unknown: nothing is sent again before it was looked up", lookedUp(0),
		entries(500, "BackupService.1006", "BackupService.9910", ""), entries(502, ""), entries(504, "APIGW.0201", ""))

	DescribeTable("Unknown: what CBR took is not sent again, and what it did not take is", lookedUp(1), entries(500, "BackupService.1006"))

	DescribeTable("Unknown: nothing is sent again if CBR took all of it", lookedUp(cbrtest.All), entries(500, "BackupService.9910", ""))
})

// lookedUp is a call that fails without saying what CBR took of it.
func lookedUp(taken int) func(context.Context, refusal) {
	return func(ctx context.Context, row refusal) {
		fault := row.fault(1)
		fault.AcceptItems = taken
		trouble{fault: fault, project: v1alpha1.ReasonEndpointUnavailable, says: row.said(),
			backups: v1alpha1.ReasonOutcomeUnknown, tune: hasty}.runs(ctx)
	}
}

// rejectedAlone: CBR refuses some of the backups, each with an error of its own, and with one of them the whole call. The
// backup that came with them goes through, and so do they when their manifests are edited.
func rejectedAlone(ctx context.Context, rows []refusal) {
	s := trouble{count: len(rows) + 1, options: cbrtest.Options{Reject: func(backup cbr.Backup) *cbrtest.APIError {
		for number, row := range rows {
			if backup.Name == fmt.Sprintf("backup_%d", number) {
				return &cbrtest.APIError{Status: row.status, Code: row.code, Message: "what happened"}
			}
		}
		return nil
	}}}.begin(ctx)
	Eventually(s.reasons(ctx), 60*time.Second).Should(Equal(map[string]int{v1alpha1.ReasonImported: 1, v1alpha1.ReasonRejected: len(rows)}))
	Eventually(s.current(ctx)).Should(HaveField("Status.Journal.Submissions", BeEmpty()))
	for number, row := range rows {
		culprit := s.backup(number)
		Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(culprit), culprit)).To(Succeed())
		Expect(culprit.Status.Conditions).To(ContainElement(condition(v1alpha1.ConditionStalled, v1alpha1.ReasonRejected, row.said())))
		culprit.Spec.BackupName = fmt.Sprintf("mended_%d", number)
		Expect(apiserver.Update(ctx, culprit)).To(Succeed())
	}
	Eventually(s.reasons(ctx), 60*time.Second).Should(Equal(map[string]int{v1alpha1.ReasonImported: len(rows) + 1}))
	s.expectEachAcceptedOnce(ctx, len(rows)+1)
	Expect(s.seen.reasons(s.seen.projects())).To(HaveEach(BeElementOf(v1alpha1.ReasonPending, v1alpha1.ReasonUsable)))
	s.expectSoundTexts(ctx)
	s.expectNoLeaks()
}

// runs brings the trouble about, sees it end well, and then the controller.
func (t trouble) runs(ctx context.Context) {
	s := t.plays(ctx)
	s.expectSoundTexts(ctx)
	s.expectNoLeaks()
}

// notCBR is trouble by which what answers shows that it is not CBR.
func notCBR(t trouble) trouble {
	t.project = v1alpha1.ReasonNotCBR
	return t
}

// plays brings the trouble about, and sees it end well.
func (t trouble) plays(ctx context.Context) *scene {
	s := t.begin(ctx)
	if t.project != "" {
		Eventually(s.seen.projects).Should(ContainElement(condition(v1alpha1.ConditionReady, t.project, t.says)))
	}
	if t.stalled {
		Eventually(s.seen.projects).Should(ContainElement(condition(v1alpha1.ConditionStalled, t.project, t.says)))
	}
	if t.backups != "" {
		Eventually(s.seen.backups).Should(ContainElement(condition(v1alpha1.ConditionReady, t.backups, "")))
	}
	if t.lift != nil {
		t.lift(ctx, s)
	}
	Eventually(s.reasons(ctx), 60*time.Second).Should(Equal(map[string]int{v1alpha1.ReasonImported: backupsOfATrouble}))
	s.expectEachAcceptedOnce(ctx, backupsOfATrouble)
	Eventually(s.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)))
	t.expectNoMoreThan(s)
	return s
}

// expectNoMoreThan expects that the fault came about, and that nothing was seen besides what was to be expected.
func (t trouble) expectNoMoreThan(s *scene) {
	GinkgoHelper()
	Expect(s.cloud.PendingFaults()).To(BeZero(), "faults that nothing has met")
	if t.hostile != nil {
		Expect(s.front.answered()).To(BeNumerically(">", 0), "hostile answers")
	}
	if t.calls > 0 {
		Expect(s.cloud.SyncCalls()).To(Equal(t.calls), "sync calls")
	}
	if t.project == "" {
		Expect(s.seen.reasons(s.seen.projects())).To(HaveEach(BeElementOf(v1alpha1.ReasonPending, v1alpha1.ReasonUsable)))
	}
	if t.backups == "" {
		Expect(s.seen.reasons(s.seen.backups())).To(HaveEach(
			BeElementOf(v1alpha1.ReasonQueued, v1alpha1.ReasonOperationRunning, v1alpha1.ReasonImported)))
	}
}

func condition(kind, reason, says string) gomegatypes.GomegaMatcher {
	return And(HaveField("Type", kind), HaveField("Reason", reason), HaveField("Message", ContainSubstring(says)))
}

// The ways in which a fault ends, besides time.

func byRequest(ctx context.Context, s *scene) {
	s.lift()
	s.requestNow(ctx)
}

func byNewToken(ctx context.Context, s *scene) {
	s.lift()
	s.cloud.SetTokens("another-token")
	s.replaceToken(ctx, "another-token")
}

func byEdit(change func(*scene, *v1alpha1.CBRProjectSpec)) func(context.Context, *scene) {
	return func(ctx context.Context, s *scene) {
		s.lift()
		project := s.current(ctx)(Default)
		before := project.DeepCopy()
		change(s, &project.Spec)
		Expect(apiserver.Patch(ctx, project, client.MergeFrom(before))).To(Succeed())
	}
}
