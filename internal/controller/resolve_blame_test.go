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
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// Whom a refusal blames: one backup, or what all have in common.

// during is a refusal of some calls for a time.
func during(length time.Duration, calls cbrtest.Calls, refusal cbrtest.APIError) cbrtest.Refusal {
	return cbrtest.Refusal{Calls: calls, Until: time.Now().Add(length), APIError: refusal}
}

// refuseAll has all of some calls refused for a time.
func (w *world) refuseAll(refusal cbrtest.Refusal) {
	w.configure(func(o *cbrtest.Options) { o.Refusals = []cbrtest.Refusal{refusal} })
}

// wantHeldUp checks that a project says why nothing goes on, and that no backup is blamed.
func (w *world) wantHeldUp(t *testing.T, reasons ...string) {
	t.Helper()
	ready := readyOf(w.project().Status.Conditions)
	if ready.Status == metav1.ConditionTrue || !slices.Contains(reasons, ready.Reason) {
		t.Errorf("the project is %s %s, not one of %v: %s", ready.Status, ready.Reason, reasons, ready.Message)
	}
	for _, backup := range w.server.backups() {
		if backupsync.StateOf(backup) == backupsync.Failed {
			t.Errorf("%s is blamed: %s", backup.Name, readyOf(backup.Status.Conditions).Message)
			return
		}
	}
}

// wantHealed checks that everything is imported within a time, without anybody's help, and that the project says so.
func (w *world) wantHealed(t *testing.T, within time.Duration) {
	t.Helper()
	if !w.liveUntil(w.actors[0], within, w.allImported) {
		t.Errorf("%s after it was well again, they are %v, the project %s", within, w.reasons(), w.projectReason())
		return
	}
	w.live(w.actors[0], time.Hour)
	if ready := readyOf(w.project().Status.Conditions); ready.Status != metav1.ConditionTrue {
		t.Errorf("all is imported, and the project is %s %s", ready.Status, ready.Reason)
	}
}

// refusedReads are answers to every read, with what the project may say of them.
var refusedReads = map[string][]string{
	"400 openstack":                 {v1alpha1.ReasonRequestsRefused},
	"400 BackupService.9900 cbr":    {v1alpha1.ReasonRequestsRefused},
	"400 html":                      {v1alpha1.ReasonRequestsRefused, v1alpha1.ReasonEndpointUnavailable},
	"401 html":                      {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"403 html":                      {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"404 html":                      {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonNotCBR, v1alpha1.ReasonRequestsRefused},
	"404 openstack":                 {v1alpha1.ReasonNotCBR, v1alpha1.ReasonRequestsRefused, v1alpha1.ReasonEndpointUnavailable},
	"404 BackupService.6500 cbr":    {v1alpha1.ReasonNotCBR, v1alpha1.ReasonRequestsRefused},
	"404 APIGW.0101 cbr":            {v1alpha1.ReasonNotCBR},
	"400 APIGW.0106 cbr":            {v1alpha1.ReasonRequestsRefused},
	"401 APIGW.0301 cbr":            {v1alpha1.ReasonCredentialsRejected},
	"403 APIGW.0302 cbr":            {v1alpha1.ReasonPermissionDenied, v1alpha1.ReasonCredentialsRejected},
	"429 APIGW.0308 cbr":            {v1alpha1.ReasonThrottled},
	"500 BackupService.9910 cbr":    {v1alpha1.ReasonEndpointUnavailable},
	"500 BackupService.9998 cbr":    {v1alpha1.ReasonCredentialsRejected},
	"503 empty":                     {v1alpha1.ReasonEndpointUnavailable},
	"418 html":                      {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"409 BackupService.6125 cbr":    {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"400 BackupService.7302 cbr":    {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"403 Policy":                    {v1alpha1.ReasonPermissionDenied},
	"400 status":                    {v1alpha1.ReasonRequestsRefused, v1alpha1.ReasonEndpointUnavailable},
	"400 BackupService.9900 nested": {v1alpha1.ReasonRequestsRefused},
}

// refusalNamed is the refusal that a name tells: its status, its code if it has one, and its shape.
func refusalNamed(name string) cbrtest.APIError {
	if name == "403 Policy" {
		return cbrtest.APIError{Status: 403, Message: "Policy doesn't allow cbr:tasks:list to be performed."}
	}
	words := strings.Fields(name)
	refusal := cbrtest.APIError{Shape: cbrtest.ErrorShape(words[len(words)-1]), Message: "it is so"}
	_, _ = fmt.Sscan(words[0], &refusal.Status)
	if len(words) == 3 {
		refusal.Code = words[1]
	}
	return refusal
}

// phases bring a project to where it reads: before a submission, after a lost call, and while tasks run.
var phases = map[string]func(*world){
	"preflight": func(*world) {},
	"resolve": func(w *world) {
		w.configure(func(o *cbrtest.Options) { o.TaskDuration = 50 * time.Second })
		w.loseTheNext(answerLost)
	},
	"poll": func(w *world) {
		w.configure(func(o *cbrtest.Options) { o.TaskDuration = 50 * time.Second })
		w.loseTheNext(goesWell)
	},
}

// Reads that are all refused are a failure of the project, which says so, waits between its tries, and heals by itself.
func TestRefusedReadsHoldUpTheProjectUntilTheyAreWellAgain(t *testing.T) {
	for name, reasons := range refusedReads {
		for phase, reach := range phases {
			t.Run(name+" at "+phase, func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
					reach(w)
					posts, reads := len(w.posts()), len(w.cloud.Ledger())
					w.refuseAll(during(2*time.Hour, cbrtest.Reads, refusalNamed(name)))
					w.live(w.actors[0], time.Hour)
					w.wantHeldUp(t, reasons...)
					if phase != "poll" && len(w.posts()) > posts {
						t.Error("backups were sent that nobody could look up")
					}
					if got := len(w.cloud.Ledger()) - reads; got > 100 {
						t.Errorf("%d calls in an hour", got)
					}
					time.Sleep(time.Hour)
					w.wantHealed(t, 2*time.Hour)
				})
			})
		}
	}
}

// quotaCodes are those of a full vault or quota.
var quotaCodes = []string{"BackupService.6114", "BackupService.6142", "BackupService.7303"}

func TestAQuotaHoldsUpTheProjectAndBlamesNoBackup(t *testing.T) {
	for _, code := range quotaCodes {
		for _, count := range []int{1, 50, 200} {
			t.Run(fmt.Sprintf("%s, %d backups", code, count), func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
					w.batchesOf(50)
					w.declareMany(count)
					w.refuseAll(during(time.Hour, cbrtest.Imports, cbrtest.APIError{Status: 400, Code: code}))
					w.live(w.actors[0], 30*time.Minute)
					w.wantHeldUp(t, v1alpha1.ReasonQuotaExceeded)
					if calls := len(w.posts()); calls > 30 {
						t.Errorf("%d refused calls in half an hour", calls)
					}
					time.Sleep(30 * time.Minute)
					w.wantHealed(t, 2*time.Hour)
				})
			})
		}
	}
}

// Some fit in, others do not: those that do not wait until there is room.
func TestAQuotaThatIsNearlyUsedUp(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		w.batchesOf(5)
		w.declareMany(20)
		w.configure(func(o *cbrtest.Options) { o.Quota = 8 })
		w.live(w.actors[0], 2*time.Hour)
		w.wantHeldUp(t, v1alpha1.ReasonQuotaExceeded)
		if got := w.reasons()[v1alpha1.ReasonImported]; got < 5 {
			t.Errorf("%d were imported", got)
		}
		w.configure(func(o *cbrtest.Options) { o.Quota = 0 })
		w.wantHealed(t, 2*time.Hour)
	})
}

// strangeRefusals are answers to every sync call that are not CBR's own, with what the project may say of them.
var strangeRefusals = map[string][]string{
	"400 APIGW.0104 cbr": {v1alpha1.ReasonRequestsRefused}, "400 APIGW.0105 cbr": {v1alpha1.ReasonRequestsRefused},
	"400 APIGW.0106 cbr": {v1alpha1.ReasonRequestsRefused}, "400 APIG.0201 cbr": {v1alpha1.ReasonRequestsRefused},
	"413 APIGW.0201 cbr": {v1alpha1.ReasonRequestsRefused}, "400 html": {v1alpha1.ReasonRequestsRefused, v1alpha1.ReasonEndpointUnavailable},
	"400 empty":                  {v1alpha1.ReasonRequestsRefused, v1alpha1.ReasonEndpointUnavailable},
	"400 openstack":              {v1alpha1.ReasonRequestsRefused, v1alpha1.ReasonEndpointUnavailable},
	"400 status":                 {v1alpha1.ReasonRequestsRefused, v1alpha1.ReasonEndpointUnavailable},
	"401 html":                   {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"403 html":                   {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"404 html":                   {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonNotCBR, v1alpha1.ReasonRequestsRefused},
	"409 html":                   {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"413 html":                   {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"418 html":                   {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"500 html":                   {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"502 html":                   {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"503 html":                   {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"404 APIGW.0101 cbr":         {v1alpha1.ReasonNotCBR},
	"403 Policy":                 {v1alpha1.ReasonPermissionDenied},
	"400 BackupService.9900 cbr": {v1alpha1.ReasonRequestsRefused},
	"400 BackupService.7300 cbr": {v1alpha1.ReasonRequestsRefused},
	"400 BackupService.7302 cbr": {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"400 BackupService.6203 cbr": {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
	"500 BackupService.1006 cbr": {v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused},
}

// Calls that are all refused are a failure of the project, even with CBR's own code for a bad item: at most one backup, the first
// that stands alone, may be blamed before another one is refused for the same.
func TestRefusedCallsHoldUpTheProjectAndBlameNoBackup(t *testing.T) {
	for name, reasons := range strangeRefusals {
		for _, policy := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
			t.Run(name+", lookups "+string(policy), func(t *testing.T) {
				t.Parallel()
				scripted(t, policy, 0, func(t *testing.T, w *world) {
					w.batchesOf(50)
					w.declareMany(100)
					w.refuseAll(during(2*time.Hour, cbrtest.Imports, refusalNamed(name)))
					w.live(w.actors[0], time.Hour)
					w.wantHeldUp(t, reasons...)
					if calls := len(w.posts()); calls > 60 {
						t.Errorf("%d refused calls in an hour", calls)
					}
					time.Sleep(time.Hour)
					w.wantHealed(t, 2*time.Hour)
				})
			})
		}
	}
}

// poisons are answers to calls with one certain backup.
var poisons = []cbrtest.APIError{
	{Status: 400, Code: "BackupService.9900"}, {Status: 400, Code: "BackupService.7300"}, {Status: 400, Code: "BackupService.7302"},
	{Status: 400, Shape: cbrtest.ShapeHTML}, {Status: 400, Shape: cbrtest.ShapeOpenStack}, {Status: 403, Shape: cbrtest.ShapeHTML},
	{Status: 403, Shape: cbrtest.ShapeEmpty}, {Status: 403, Code: "BackupService.6999"}, {Status: 404, Code: "BackupService.6105"},
	{Status: 409, Code: "BackupService.6125"}, {Status: 409, Shape: cbrtest.ShapeEmpty}, {Status: 413, Shape: cbrtest.ShapeHTML},
	{Status: 418, Shape: cbrtest.ShapeHTML}, {Status: 500, Code: "BackupService.1006"}, {Status: 500, Code: "BackupService.9910"},
	{Status: 500, Shape: cbrtest.ShapeEmpty}, {Status: 502, Shape: cbrtest.ShapeHTML}, {Status: 504, Code: "APIGW.0201"},
}

// One backup with which every call is refused, whatever the words, does not hold up the others.
func TestAPoisonedBackupHoldsUpNoOther(t *testing.T) {
	for _, refusal := range poisons {
		for _, policy := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
			t.Run(told(refusal)+", lookups "+string(policy), func(t *testing.T) {
				scripted(t, policy, 0, func(t *testing.T, w *world) {
					w.batchesOf(5)
					w.refuse("poison", refusal)
					w.declare("b-poison", "poison", "vm-1")
					w.declareMany(12)
					w.live(w.actors[0], 4*time.Hour)
					if got := w.reasons()[v1alpha1.ReasonImported]; got < 12 {
						t.Errorf("four hours later %d of 12 others are imported, the project is %s", got, w.projectReason())
					}
					if calls := len(w.posts()); calls > 150 {
						t.Errorf("%d sync calls in four hours", calls)
					}
				})
			})
		}
	}
}

// Among hundreds the poisoned ones are found with few calls: those that halve a call until each stands alone.
func TestPoisonedBackupsAmongHundreds(t *testing.T) {
	const count, size = 500, 50
	for name, poisoned := range map[string]func(number int) bool{
		"7 of 500":          func(number int) bool { return number%71 == 3 },
		"one in every call": func(number int) bool { return number%size == 17 },
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
				w.batchesOf(size)
				culprits := map[string]struct{}{}
				for number := range count {
					if poisoned(number) {
						culprits[cbr.Fold(cbrtest.Backup(1000+number).ID)] = struct{}{}
					}
				}
				w.configure(func(o *cbrtest.Options) {
					o.Reject = func(backup cbr.Backup) *cbrtest.APIError {
						if _, is := culprits[cbr.Fold(backup.ID)]; is {
							return &cbrtest.APIError{Status: 400, Code: "BackupService.9900"}
						}
						return nil
					}
				})
				w.declareMany(count)
				w.live(w.actors[0], time.Hour)
				want := map[string]int{v1alpha1.ReasonImported: count - len(culprits), v1alpha1.ReasonRejected: len(culprits)}
				if got := w.reasons(); !maps.Equal(got, want) {
					t.Errorf("an hour later: %v, not %v", got, want)
				}
				// Each culprit takes a call for each halving, one of its own, and one of those that were released by it.
				if calls, most := len(w.posts()), count/size+len(culprits)*(bits.Len(size)+2); calls > most {
					t.Errorf("%d sync calls, more than %d", calls, most)
				}
			})
		})
	}
}

// When CBR takes it again, it is imported, without a person's help if it is not CBR that has blamed it.
func TestAPoisonedBackupIsImportedWhenCBRTakesIt(t *testing.T) {
	for _, refusal := range poisons {
		own := strings.HasPrefix(refusal.Code, "BackupService.") && refusal.Code != "BackupService.7302" && refusal.Code != "BackupService.6125"
		if own || refusal.Status == 413 { // a call with one backup that is too large will not become smaller
			continue
		}
		t.Run(told(refusal), func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
				w.batchesOf(5)
				w.refuse("poison", refusal)
				w.editProject(func(spec *v1alpha1.CBRProjectSpec) { limit := int32(10); spec.Retry.Limit = &limit })
				w.declare("b-poison", "poison", "vm-1")
				w.declareMany(6)
				w.live(w.actors[0], 20*time.Minute)
				w.configure(func(o *cbrtest.Options) { o.Reject = nil })
				w.wantHealed(t, 4*time.Hour)
			})
		})
	}
}

// busyCodes mean that it may go well later.
var busyCodes = []string{"7302", "6203", "6125", "6130", "6110", "0002"}

func TestWhatIsInProgressInCBRIsSentAgainByItself(t *testing.T) {
	for _, code := range busyCodes {
		for _, concerned := range []string{"one", "all"} {
			t.Run(code+", "+concerned, func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 3, func(t *testing.T, w *world) {
					refusal := cbrtest.APIError{Status: 400, Code: "BackupService." + code}
					w.editProject(func(spec *v1alpha1.CBRProjectSpec) { limit := int32(3); spec.Retry.Limit = &limit })
					if concerned == "all" {
						w.refuseAll(during(10*time.Minute, cbrtest.Imports, refusal))
					} else {
						w.refuse(itemOf(0).ID, refusal)
					}
					w.live(w.actors[0], 10*time.Minute)
					if w.reasons()[v1alpha1.ReasonRejected] > 0 {
						t.Errorf("they are %v", w.reasons())
					}
					w.configure(func(o *cbrtest.Options) { o.Reject = nil })
					w.request(kindProject, firstProject) // the retries of the one may be used up
					w.wantHealed(t, 2*time.Hour)
				})
			})
		}
	}
}

// A permission takes effect a while after it is granted.
func TestAPermissionThatTakesEffectLater(t *testing.T) {
	for _, calls := range []cbrtest.Calls{cbrtest.AllCalls, cbrtest.Reads, cbrtest.Imports, cbrtest.Calls(cbr.OperationListTasks), cbrtest.Calls(cbr.OperationGetBackup)} {
		t.Run(string(calls), func(t *testing.T) {
			scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
				w.refuseAll(cbrtest.NotPermitted(calls, time.Now().Add(25*time.Minute)))
				w.live(w.actors[0], 20*time.Minute)
				w.wantHeldUp(t, v1alpha1.ReasonPermissionDenied)
				if got := len(w.cloud.Ledger()); got > 20 {
					t.Errorf("%d calls in 20 minutes", got)
				}
				w.wantHealed(t, time.Hour)
			})
		})
	}
}

// A page of a proxy or a firewall says nothing of the credentials.
func TestAPageIsNoWordAboutTheCredentials(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 407, 418, 429, 500, 502, 503} {
		for _, calls := range []cbrtest.Calls{cbrtest.AllCalls, cbrtest.Reads, cbrtest.Imports} {
			t.Run(fmt.Sprintf("%d at %q", status, calls), func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
					w.refuseAll(cbrtest.Page(calls, status, time.Now().Add(10*time.Minute)))
					w.live(w.actors[0], 9*time.Minute)
					w.wantHeldUp(t, v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonRequestsRefused, v1alpha1.ReasonNotCBR, v1alpha1.ReasonThrottled)
					w.wantHealed(t, time.Hour)
				})
			})
		}
	}
}

// Reads that go well do not make calls go faster that fail.
func TestGoodReadsDoNotShortenTheWaitOfCalls(t *testing.T) {
	for _, name := range []string{"400 BackupService.7302 cbr", "404 empty", "502 empty", "500 BackupService.9910 cbr", "403 Policy", "409 html"} {
		for _, running := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, tasks run %t", name, running), func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, 2, func(t *testing.T, w *world) {
					if running {
						w.configure(func(o *cbrtest.Options) { o.TaskDuration = 3 * time.Hour })
						w.loseTheNext(goesWell)
						w.declareMany(2)
					}
					before := len(w.posts())
					w.refuseAll(during(2*time.Hour, cbrtest.Imports, refusalNamed(name)))
					w.live(w.actors[0], time.Hour)
					if calls := len(w.posts()) - before; calls > 40 {
						t.Errorf("%d calls in an hour in which each was refused", calls)
					}
				})
			})
		}
	}
}

// A pass that was refused for what concerns all asks nothing more.
func TestARefusalOfAllEndsThePass(t *testing.T) {
	for _, name := range []string{"429 APIGW.0308 cbr", "401 APIGW.0301 cbr", "403 Policy", "503 empty", "403 html"} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
				a := w.actors[0]
				w.reach(a, failsBefore)
				w.pass(a, goesWell, "")
				time.Sleep(5 * propertySettle)
				w.refuseAll(during(time.Hour, cbrtest.AllCalls, refusalNamed(name)))
				before := len(w.cloud.Ledger())
				w.declare("another", "another", "vm-9")
				a.sees()
				w.pass(a, goesWell, "")
				if calls := w.cloud.Ledger()[before:]; len(calls) > 2 { // one of each kind: they fail apart
					t.Errorf("%d calls in the pass of the first refusal, the last: %s", len(calls), calls[len(calls)-1].Operation)
				}
			})
		})
	}
}

// A cloud that does not offer the call, and answers reads well, is not taken for something else than CBR.
func TestACloudThatDoesNotOfferTheCall(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 2, func(t *testing.T, w *world) {
		w.refuseAll(during(time.Hour, cbrtest.Imports, cbrtest.APIError{Status: 404, Code: "APIGW.0101"}))
		w.live(w.actors[0], 30*time.Minute)
		w.wantHeldUp(t, v1alpha1.ReasonNotCBR)
		if message := readyOf(w.project().Status.Conditions).Message; strings.Contains(message, "is not CBR") || !strings.Contains(message, "ImportBackup") {
			t.Errorf("the project says: %s", message)
		}
	})
}

// Credentials that are refused are tried again with another content, not with another version of the Secret.
func TestATouchedSecretIsNoOtherSecret(t *testing.T) {
	scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
		w.cloud.SetTokens()
		w.live(w.actors[0], time.Minute)
		before := len(w.cloud.Ledger())
		for range 10 {
			w.annotate(kindSecret, "cbr")
			w.live(w.actors[0], 2*time.Second)
		}
		if calls := len(w.cloud.Ledger()) - before; calls > 0 {
			t.Errorf("the refused token was sent %d times more", calls)
		}
	})
}

// What CBR says of a rejected backup is told, in whatever shape it came.
func TestWhatCBRSaysIsToldInWhateverShape(t *testing.T) {
	for _, shape := range []cbrtest.ErrorShape{cbrtest.ShapeCBR, cbrtest.ShapeNumeric, cbrtest.ShapeNested, cbrtest.ShapeStatus, cbrtest.ShapeOpenStack} {
		for phase, refusal := range map[string]cbrtest.Refusal{
			"reads": during(time.Hour, cbrtest.Reads, cbrtest.APIError{Status: 400, Code: "BackupService.9900", Message: "the project is odd", Shape: shape}),
			"calls": during(time.Hour, cbrtest.Imports, cbrtest.APIError{Status: 400, Code: "BackupService.9900", Message: "the project is odd", Shape: shape}),
		} {
			t.Run(string(shape)+" at "+phase, func(t *testing.T) {
				scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
					refusal.Until = time.Now().Add(time.Hour)
					w.refuseAll(refusal)
					w.live(w.actors[0], 20*time.Minute)
					if message := readyOf(w.project().Status.Conditions).Message; !strings.Contains(message, "the project is odd") {
						t.Errorf("the project says: %s", message)
					}
				})
			})
		}
	}
}
