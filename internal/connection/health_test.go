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

package connection

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/backupsync/backupsynctest"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// failureOf is a failed call as the client reports it.
func failureOf(class cbr.Class, changes ...func(*cbr.Error)) *cbr.Error {
	failed := &cbr.Error{Operation: cbr.OperationImport, StatusCode: 500, Code: "BackupService.9910", Message: "internal error",
		RequestID: "2f3d8a2f0c9d4c6b8d4a8d7e6f5a4b3c", Class: class}
	for _, change := range changes {
		change(failed)
	}
	return failed
}

func retryAfter(wait time.Duration) func(*cbr.Error) {
	return func(failed *cbr.Error) { failed.RetryAfter = wait }
}

// What each class of failure makes of a project.
func TestAccessAfterAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		err             error
		all             bool // it concerns all calls
		reason          string
		both            bool          // and all of the other kind
		atLeast, atMost time.Duration // no call is made for so long
	}{
		"refused credentials": {err: failureOf(cbr.Credentials), all: true,
			reason: v1alpha1.ReasonCredentialsRejected, both: true, atLeast: time.Hour, atMost: 72 * time.Minute},
		"too many calls": {err: failureOf(cbr.Throttled), all: true,
			reason: v1alpha1.ReasonThrottled, atLeast: 60 * time.Second, atMost: 72 * time.Second},
		"something else answers": {err: failureOf(cbr.Misdirected), all: true,
			reason: v1alpha1.ReasonNotCBR, atLeast: 15 * time.Second, atMost: 18 * time.Second},
		"it may go well later": {err: failureOf(cbr.Transient), all: true,
			reason: v1alpha1.ReasonEndpointUnavailable, atLeast: time.Second, atMost: 1200 * time.Millisecond},
		"the outcome is not known": {err: failureOf(cbr.Unknown), all: true,
			reason: v1alpha1.ReasonEndpointUnavailable, atLeast: time.Second, atMost: 1200 * time.Millisecond},
		"an error that is not the client's": {err: errors.New("odd"), all: true,
			reason: v1alpha1.ReasonEndpointUnavailable, atLeast: time.Second, atMost: 1200 * time.Millisecond},
		"a wrapped one": {err: fmt.Errorf("list tasks: %w", failureOf(cbr.Throttled)), all: true,
			reason: v1alpha1.ReasonThrottled, atLeast: 60 * time.Second, atMost: 72 * time.Second},
		"something in between answers": {err: failureOf(cbr.Foreign), all: true,
			reason: v1alpha1.ReasonEndpointUnavailable, atLeast: time.Second, atMost: 1200 * time.Millisecond},
		"a permission is missing": {err: failureOf(cbr.Permission), all: true,
			reason: v1alpha1.ReasonPermissionDenied, atLeast: 15 * time.Minute, atMost: 18 * time.Minute},
		"a quota": {err: failureOf(cbr.Quota), all: true,
			reason: v1alpha1.ReasonQuotaExceeded, atLeast: time.Minute, atMost: 72 * time.Second},
		"its name leads to a refused address": {err: refusedAddress("cbr.example.com"), all: true,
			reason: v1alpha1.ReasonEndpointNotAllowed, atLeast: 5 * time.Minute, atMost: 6 * time.Minute},
		"the gateway refuses it": {err: failureOf(cbr.Refused), all: true,
			reason: v1alpha1.ReasonRequestsRefused, atLeast: time.Minute, atMost: 72 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for _, kind := range []RequestKind{SyncRequest, ReadRequest} {
				known := Health{connects: true, Calls: Circuit{Proven: true}, Reads: Circuit{Proven: true}}
				this, other := known.Circuits(kind)
				g.Expect(known.Failed(kind, c.err, backupsynctest.Noon.Time)).To(Equal(c.all), "concerns all of its kind")
				g.Expect(known.Status().Reason).To(Equal(c.reason))
				g.Expect(this.Proven).To(Equal(!c.all), "proven")
				g.Expect(this.Open(backupsynctest.Noon.Add(-time.Nanosecond+c.atLeast))).To(Equal(c.all), "closed until then")
				g.Expect(this.Open(backupsynctest.Noon.Add(c.atMost))).To(BeFalse(), "open from then on")
				if !c.both {
					g.Expect(*other).To(Equal(Circuit{Proven: true}), "tells nothing of the other kind")
				}
			}
		})
	}
}

// refusedAddress is the failure of a call to a host that leads to a private address, as it comes from net/http.
func refusedAddress(host string) error {
	refused := &AddressError{Host: host, Address: netip.MustParseAddr("10.20.30.40"), What: "a private address", Local: true}
	return &cbr.Error{Operation: cbr.OperationListTasks, Class: cbr.Transient, Untouched: true,
		Err: &url.Error{Op: "Get", URL: "https://" + host, Err: refused}}
}

// The message tells what to add to the flag, however long the name is.
func TestARefusedAddressIsExplained(t *testing.T) {
	for host, told := range map[string]string{
		"cbr.example.com":                        "cbr.example.com",
		strings.Repeat("a", 60) + ".example.com": strings.Repeat("a", 50) + "…",
	} {
		said := Explain(ReadRequest, cbr.Transient, refusedAddress(host))
		NewWithT(t).Expect(said.Message).To(Equal("No credentials are sent: " + told + " resolves to 10.20.30.40, which is a private address: " +
			"add 10.20.30.40/32 or its network to --allowed-endpoints. The name is looked up again every 5 minutes." + tryAtOnce))
		NewWithT(t).Expect(utf8.RuneCountInString(said.Message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
	}
}

// What a call contains may be refused; a list contains nothing, so that its refusal is the project's.
func TestARefusalOfAListConcernsTheProject(t *testing.T) {
	g := NewWithT(t)
	known := Health{connects: true}
	g.Expect(known.Failed(SyncRequest, failureOf(cbr.Rejected), backupsynctest.Noon.Time)).To(BeFalse())
	g.Expect(known.Status().Reason).To(Equal(v1alpha1.ReasonUsable))
	g.Expect(known.Failed(ReadRequest, failureOf(cbr.Rejected), backupsynctest.Noon.Time)).To(BeTrue())
	g.Expect(known.Status().Reason).To(Equal(v1alpha1.ReasonRequestsRefused))
	g.Expect(known.Calls.Open(backupsynctest.Noon.Time)).To(BeFalse())
}

// A person has to put valid credentials into the Secret: until then hardly a call is made, as five failed ones in a
// row lock the key. The Secret is read again soon.
func TestRefusedCredentialsWaitForOtherContent(t *testing.T) {
	g := NewWithT(t)
	known := Health{}
	known.Failed(ReadRequest, failureOf(cbr.Credentials, retryAfter(time.Minute)), backupsynctest.Noon.Time)
	g.Expect(known.Open(backupsynctest.Noon.Add(59*time.Minute))).To(BeTrue(), "not even if the answer names a shorter time")
	g.Expect(known.RequeueAt(&known.Calls, backupsynctest.Noon.Time)).To(Equal(backupsynctest.Noon.Add(ContentWait)))
	known.SetUsable()
	g.Expect(known.Open(backupsynctest.Noon.Time)).To(BeTrue(), "that the Secret can be read says nothing new")
	g.Expect(known.Status().Reason).To(Equal(v1alpha1.ReasonCredentialsRejected))
	known.Succeeded(ReadRequest)
	g.Expect(known.Calls.Open(backupsynctest.Noon.Time)).To(BeFalse(), "the credentials are good after all")
}

// Whatever is wrong with a Secret, and whenever a pass comes by, there is a time at which it is read again.
func TestContentThatCannotBeUsedIsReadAgain(t *testing.T) {
	g := NewWithT(t)
	failing := Circuit{OpenUntil: backupsynctest.Noon.Add(time.Hour), Failures: 3}
	for _, before := range []Health{{}, {Reads: failing}, {Reads: failing, Calls: failing}} {
		before.SetUnreadable(v1alpha1.ReasonCredentialsMissing, "It is missing.", backupsynctest.Noon.Time)
		g.Expect(before.RequeueAt(&before.Reads, backupsynctest.Noon.Time)).To(Equal(backupsynctest.Noon.Add(ContentWait)))
		g.Expect(before.Open(backupsynctest.Noon.Time)).To(BeFalse())
	}
	refused := Health{RecheckAt: backupsynctest.Noon.Add(time.Minute), Calls: Circuit{OpenUntil: backupsynctest.Noon.Add(time.Second)}}
	g.Expect(refused.RequeueAt(&refused.Calls, backupsynctest.Noon.Time)).To(Equal(backupsynctest.Noon.Add(time.Second)), "the hour ends before the Secret is read again")
	g.Expect(refused.RequeueAt(&refused.Calls, backupsynctest.Noon.Add(2*time.Second))).To(Equal(backupsynctest.Noon.Add(time.Minute)), "what is over is no reason for a pass")
	g.Expect(refused.Waits(backupsynctest.Noon.Time)).To(BeFalse(), "reads may go on")
	refused.Reads.OpenUntil = backupsynctest.Noon.Add(time.Second)
	g.Expect(refused.Waits(backupsynctest.Noon.Time)).To(BeTrue())
	g.Expect(refused.Waits(backupsynctest.Noon.Add(1*time.Second))).To(BeFalse(), "the hour is over, whatever the Secret holds")
	refused.SetUnreadable(v1alpha1.ReasonCredentialsMissing, "It is missing.", backupsynctest.Noon.Time)
	g.Expect(refused.Waits(backupsynctest.Noon.Add(1 * time.Second))).To(BeTrue())
	g.Expect(refused.Waits(backupsynctest.Noon.Add(ContentWait))).To(BeFalse())
}

func TestAccessAfterSuccess(t *testing.T) {
	for _, class := range cbr.Classes {
		t.Run(string(class), func(t *testing.T) {
			g := NewWithT(t)
			known := Health{Fingerprint: "inputs", connects: true}
			for range 5 {
				known.Failed(ReadRequest, failureOf(class), backupsynctest.Noon.Time)
			}
			known.Succeeded(ReadRequest)
			g.Expect(known).To(Equal(Health{Fingerprint: "inputs", connects: true, Reads: Circuit{Proven: true}}))
			known.Failed(ReadRequest, failureOf(cbr.Transient), backupsynctest.Noon.Time)
			g.Expect(known.Reads.OpenUntil).To(BeTemporally("<=", backupsynctest.Noon.Add(1200*time.Millisecond)), "the back-off begins anew")
		})
	}
}

// A look that goes well says nothing of calls that fail.
func TestReadsAndCallsFailApart(t *testing.T) {
	g := NewWithT(t)
	known := Health{connects: true}
	for range 5 {
		known.Failed(SyncRequest, failureOf(cbr.Transient), backupsynctest.Noon.Time)
		known.Succeeded(ReadRequest)
	}
	g.Expect(known.Calls.OpenUntil).To(BeTemporally(">=", backupsynctest.Noon.Add(16*time.Second)), "the back-off grows")
	g.Expect(known.Proven()).To(BeFalse())
	g.Expect(known.Status().Reason).To(Equal(v1alpha1.ReasonEndpointUnavailable))
}

func TestAccessBeforeAnyCall(t *testing.T) {
	g := NewWithT(t)
	known := Health{}
	g.Expect(known.Status()).To(BeZero())
	known.SetUsable()
	g.Expect(known.Status().Reason).To(Equal(v1alpha1.ReasonUsable))
	g.Expect(known.Proven()).To(BeFalse(), "nothing was called yet")

	known.SetUnusable(v1alpha1.ReasonCredentialsMissing, "The Secret cbr does not exist.")
	g.Expect(known.Status()).To(Equal(Status{Reason: v1alpha1.ReasonCredentialsMissing, Message: "The Secret cbr does not exist.", Stalled: true}))
	g.Expect(known.Open(backupsynctest.Noon.Time)).To(BeFalse(), "the next pass looks again")
	known.SetUsable()
	g.Expect(known.Status()).To(Equal(Status{Reason: v1alpha1.ReasonUsable, Message: usableMessage}))

	known.Failed(SyncRequest, failureOf(cbr.Throttled), backupsynctest.Noon.Time)
	known.SetUsable()
	g.Expect(known.Status().Reason).To(Equal(v1alpha1.ReasonThrottled), "only a good answer ends a pause")
}

func TestAccessBackoff(t *testing.T) {
	minutes := func(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }
	for name, c := range map[string]struct {
		class cbr.Class
		waits []time.Duration // after the first, the second ... failure, without jitter
	}{
		"throttled":   {cbr.Throttled, []time.Duration{minutes(1), minutes(2), minutes(4), minutes(8), minutes(15), minutes(15), minutes(15)}},
		"transient":   {cbr.Transient, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 64e9, 128e9, 256e9, 300e9, 300e9}},
		"unknown":     {cbr.Unknown, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 64e9, 128e9, 256e9, 300e9, 300e9}},
		"a quota":     {cbr.Quota, []time.Duration{minutes(1), minutes(2), minutes(4), minutes(8), minutes(15), minutes(15)}},
		"permission":  {cbr.Permission, []time.Duration{minutes(15), minutes(15), minutes(15)}},
		"misdirected": {cbr.Misdirected, []time.Duration{15e9, 30e9, 60e9, 120e9, 240e9, 300e9, 300e9}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			shortest, longest := time.Duration(1<<62), time.Duration(0)
			for range 200 {
				known := Health{}
				for i, wait := range c.waits {
					known.Failed(SyncRequest, failureOf(c.class), backupsynctest.Noon.Time)
					waited := known.Calls.OpenUntil.Sub(backupsynctest.Noon.Time)
					g.Expect(waited).To(And(BeNumerically(">=", wait), BeNumerically("<", wait*12/10)), "after failure %d", i+1)
					if i == 0 {
						shortest, longest = min(shortest, waited), max(longest, waited)
					}
				}
			}
			// 200 equal ones would be no jitter: projects of one account would all come back at once.
			g.Expect(longest-shortest).To(BeNumerically(">", c.waits[0]/10), "the jitter spreads over its range")
		})
	}
}

func TestBackoffAfterVeryManyFailures(t *testing.T) {
	g := NewWithT(t)
	for _, failures := range []int{0, 1, 64, 65, 1 << 40} {
		wait := backoff(cbr.Transient, failureOf(cbr.Transient), failures)
		g.Expect(wait).To(And(BeNumerically(">=", time.Second), BeNumerically("<", 6*time.Minute)), "%d failures", failures)
	}
}

// A longer pause than the back-off is heeded; a shorter one never keeps the back-off from growing, and is believed a few times of who
// counts calls.
func TestRetryAfterAndTheBackoff(t *testing.T) {
	seconds := func(waits ...int) []int { return waits }
	const hour = 3600
	for name, c := range map[string]struct {
		classes []cbr.Class
		asked   int   // seconds
		waits   []int // after the first, the second ... failure, without jitter
	}{
		"short":        {[]cbr.Class{cbr.Transient, cbr.Unknown, cbr.Foreign}, 1, seconds(1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300)},
		"longer":       {[]cbr.Class{cbr.Transient, cbr.Unknown, cbr.Foreign}, 7, seconds(7, 7, 7, 8, 16)},
		"misdirected":  {[]cbr.Class{cbr.Misdirected}, 1, seconds(15, 30, 60, 120, 240, 300, 300)},
		"refused":      {[]cbr.Class{cbr.Quota, cbr.Refused}, 1, seconds(60, 120, 240, 480, 900, 900)},
		"by the rate":  {[]cbr.Class{cbr.Throttled}, 1, seconds(1, 1, 1, 60, 120, 240, 480, 900, 900)},
		"long":         {[]cbr.Class{cbr.Throttled, cbr.Transient, cbr.Unknown, cbr.Misdirected, cbr.Quota, cbr.Refused}, hour, seconds(hour, hour, hour, hour, hour)},
		"no such word": {[]cbr.Class{cbr.Permission}, hour, seconds(900, 900)},
	} {
		for _, class := range c.classes {
			t.Run(name+", "+string(class), func(t *testing.T) {
				g := NewWithT(t)
				known := Health{}
				for i, wait := range c.waits {
					least := time.Duration(wait) * time.Second
					known.Failed(SyncRequest, fmt.Errorf("import: %w", failureOf(class, retryAfter(time.Duration(c.asked)*time.Second))), backupsynctest.Noon.Time)
					g.Expect(known.Calls.OpenUntil.Sub(backupsynctest.Noon.Time)).To(And(BeNumerically(">=", least), BeNumerically("<", least*12/10)), "after failure %d", i+1)
				}
			})
		}
	}
}

// What is said of a pause is true of the one that is made.
func TestExplanationsTellThePauseThatIsMade(t *testing.T) {
	for _, class := range cbr.Classes {
		for _, wait := range []time.Duration{0, time.Second, 15 * time.Minute, 16 * time.Minute, time.Hour} {
			for _, kind := range []RequestKind{SyncRequest, ReadRequest} {
				g, known := NewWithT(t), Health{}
				for range 20 {
					known.Failed(kind, failureOf(class, retryAfter(wait)), backupsynctest.Noon.Time)
				}
				this, _ := known.Circuits(kind)
				for text, most := range map[string]time.Duration{"within 15 minutes": 18 * time.Minute, "within 75 minutes": 75 * time.Minute} {
					if strings.Contains(this.Message, text) {
						g.Expect(this.OpenUntil).To(BeTemporally("<=", backupsynctest.Noon.Add(most)), "%s, %s: %s", class, wait, this.Message)
					}
				}
			}
		}
	}
}

// A request that had no turn beside others with the same key was never sent: the project says so, and knows no less of CBR than before.
func TestARequestWithoutATurnIsNoFailureOfCBR(t *testing.T) {
	busy := &cbr.Error{Operation: cbr.OperationListTasks, Class: cbr.Transient, Untouched: true, Err: fmt.Errorf("%w: %w", auth.ErrKeyBusy, context.DeadlineExceeded)}
	for _, kind := range []RequestKind{SyncRequest, ReadRequest} {
		g := NewWithT(t)
		known := Health{connects: true, Calls: Circuit{Proven: true}, Reads: Circuit{Proven: true}}
		for range 10 {
			g.Expect(known.Failed(kind, busy, backupsynctest.Noon.Time)).To(BeTrue(), "others would wait for the same")
		}
		this, _ := known.Circuits(kind)
		g.Expect(this.Failures).To(BeZero())
		g.Expect(known.Proven()).To(BeTrue())
		g.Expect(this.Open(backupsynctest.Noon.Add(9*time.Second))).To(BeTrue(), "no pass right after the other")
		g.Expect(this.Open(backupsynctest.Noon.Add(12*time.Second))).To(BeFalse(), "the pause does not grow")
		g.Expect(known.Status()).To(Equal(Explain(kind, cbr.Transient, busy)))
		g.Expect(known.Status().Reason).To(Equal(v1alpha1.ReasonThrottled))
		g.Expect(known.Status().Message).To(And(ContainSubstring("wait for their turn: other requests with the same access key"), Not(ContainSubstring("answer"))))
		g.Expect(utf8.RuneCountInString(known.Status().Message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
		ends := map[string]func(*Health){
			"success": func(h *Health) { h.Succeeded(ReadRequest) }, "failure": func(h *Health) { h.Failed(kind, failureOf(cbr.Transient), backupsynctest.Noon.Time) },
			"nothing to ask for": (*Health).WantsNothing,
		}
		for name, end := range ends {
			after := known
			end(&after)
			g.Expect(after.Status().Message).NotTo(ContainSubstring("turn"), name)
		}
	}
}

// A pause that the operator itself makes is as long as it is told, however many requests have met it.
func TestAKeyRestsAsLongAsIsTold(t *testing.T) {
	g, known := NewWithT(t), Health{}
	for range 10 {
		known.Failed(SyncRequest, &cbr.Error{Class: cbr.Transient, Untouched: true, RetryAfter: 90 * time.Second, Err: auth.ErrKeyRests}, backupsynctest.Noon.Time)
		g.Expect(known.Calls.OpenUntil).To(Equal(backupsynctest.Noon.Add(90 * time.Second)))
	}
}

// What the person who is woken at night reads: what happened, and what to do, on 300 characters.
func TestExplanations(t *testing.T) {
	text := func(message string) func(*cbr.Error) {
		return func(failed *cbr.Error) { failed.Message = message }
	}
	what := map[string]func(*cbr.Error){
		"as the vendor documents them": func(*cbr.Error) {},
		"from the gateway": func(failed *cbr.Error) {
			failed.Code, failed.Message = "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit,limit:10,time:1 minute"
		},
		"with a long message":            text(strings.Repeat("very ", 2000)),
		"with a long message in Chinese": text(strings.Repeat("备份不存在", 1000)),
		"with an HTML page":              text("<html>\r\n<body>\x00\xff" + strings.Repeat("<br/>\n", 500)),
		"with the id of the request":     text("internal error, request 2f3d8a2f0c9d4c6b8d4a8d7e6f5a4b3c failed"),
		"with a long code":               func(failed *cbr.Error) { failed.Code = strings.Repeat("BackupService.", 500) },
		"with a code on two lines":       func(failed *cbr.Error) { failed.Code = "Backup\nService\x00.9910" },
		"without a message":              text(""),
		"without a code":                 func(failed *cbr.Error) { failed.Code = "" },
		"with neither":                   func(failed *cbr.Error) { failed.Code, failed.Message = "", "" },
		"without an answer": func(failed *cbr.Error) {
			*failed = cbr.Error{Operation: failed.Operation, Class: failed.Class, RequestID: failed.RequestID,
				Err: errors.New("read tcp 10.0.0.1:43512->10.0.0.2:443: use of closed connection")}
		},
	}
	for class, toDo := range map[cbr.Class][]string{
		cbr.Credentials: {"refuses the token", "valid for 24 hours", "put a new one into the Secret, and imports resume automatically"},
		cbr.Throttled:   {"there are too many", "within 15 minutes", "lower spec.limits.syncCallsPerMinute"},
		cbr.Misdirected: {"not CBR", "Check spec.endpoint or spec.region, and spec.projectID"},
		cbr.Permission:  {"lacks a permission", "cbr:backups:sync, :get, :list and cbr:tasks:get, :list", "15 to 30 minutes; tried every 15"},
		cbr.Quota:       {"A vault or a quota", "Raise it, or make room"},
		cbr.Refused:     {"Every look-up is refused", "Check spec.projectID"},
		cbr.Foreign:     {"omething in between", "proxies and firewalls"},
		cbr.Transient:   {"fails", "after a pause; if this lasts"},
		cbr.Unknown:     {"fails", "after a pause; if this lasts"},
	} {
		for name, change := range what {
			t.Run(string(class)+", "+name, func(t *testing.T) {
				g := NewWithT(t)
				failed := failureOf(class, change)
				g.Expect(utf8.RuneCountInString(Explain(SyncRequest, class, failed).Message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
				message := Explain(ReadRequest, class, failed).Message
				g.Expect(utf8.RuneCountInString(message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
				message = backupsync.CleanMessage(message) // as it goes into the condition
				for _, phrase := range toDo {
					g.Expect(message).To(ContainSubstring(phrase))
				}
				g.Expect(message).NotTo(ContainSubstring(failed.RequestID), "request ids differ from call to call")
				g.Expect(message).NotTo(ContainSubstring("43512"), "ports differ from call to call")
			})
		}
	}
}

// What fails behind CBR's own words is Huawei Cloud's to mend; what fails without them may be the way there.
func TestExplanationsOfWhatFails(t *testing.T) {
	g := NewWithT(t)
	elsewhere := func(failed *cbr.Error) { failed.Code = "" }
	for _, class := range []cbr.Class{cbr.Transient, cbr.Unknown} {
		for kind, ids := range map[RequestKind]string{SyncRequest: "the events of this object have the request ids", ReadRequest: "the operator's log has the request ids"} {
			g.Expect(Explain(kind, class, failureOf(class)).Message).To(Equal("CBR itself fails (BackupService.9910: internal error). " +
				"Calls resume automatically after a pause; if this lasts, ask Huawei Cloud: " + ids + "."))
			g.Expect(Explain(kind, class, failureOf(class, elsewhere)).Message).To(ContainSubstring(
				"cannot be reached or fails (HTTP 500: internal error). Calls go on after a pause; if this lasts, check spec.endpoint or spec.region, spec.caBundleRef"))
		}
	}
	g.Expect(Explain(ReadRequest, cbr.Transient, errors.New("odd")).Message).To(ContainSubstring("cannot be reached or fails"))
}

// How a pause is ended is told where there is room for it.
func TestExplanationsSayHowToTryAtOnce(t *testing.T) {
	long := func(failed *cbr.Error) { failed.Message = strings.Repeat("very ", 2000) }
	for _, class := range []cbr.Class{cbr.Quota, cbr.Refused, cbr.Rejected, cbr.Permission, cbr.Misdirected} {
		for _, kind := range []RequestKind{SyncRequest, ReadRequest} {
			g := NewWithT(t)
			g.Expect(Explain(kind, class, failureOf(class)).Message).To(HaveSuffix(tryAtOnce), string(class))
			g.Expect(Explain(kind, class, failureOf(class, long)).Message).To(And(HaveSuffix("."), Not(ContainSubstring("To try at once"))), string(class))
		}
	}
}

// The same failure says the same each time: messages that change are writes, and alerts.
func TestExplanationsAreStable(t *testing.T) {
	g := NewWithT(t)
	for _, class := range cbr.Classes {
		known := Health{}
		known.Failed(ReadRequest, failureOf(class), backupsynctest.Noon.Time)
		before := known.Status()
		for i := range 5 {
			known.Failed(ReadRequest, failureOf(class, func(failed *cbr.Error) {
				failed.RequestID = fmt.Sprintf("%032d", i)
				failed.RetryAfter = time.Duration(i) * time.Second
			}), backupsynctest.Noon.Add(time.Duration(i)*time.Hour))
			g.Expect(known.Status()).To(Equal(before))
		}
	}
}

// That CBR has taken a call ends the pause of calls, unless CBR has refused a later one.
func TestTakenCalls(t *testing.T) {
	noon := backupsynctest.Noon.Time
	for _, class := range cbr.Classes {
		for name, c := range map[string]struct {
			began time.Time
			ends  bool
		}{
			"before the failure":   {noon.Add(-time.Second), class == cbr.Unknown},
			"with it":              {noon, class == cbr.Unknown},
			"after it":             {noon.Add(time.Second), true},
			"at a time of nowhere": {time.Time{}, class == cbr.Unknown},
		} {
			t.Run(string(class)+", "+name, func(t *testing.T) {
				g := NewWithT(t)
				var known Health
				if !known.Failed(SyncRequest, failureOf(class), noon) {
					known.RefuseAll(failureOf(class), noon)
				}
				known.Taken(c.began)
				g.Expect(known.Calls.Open(noon)).To(Equal(!c.ends))
				g.Expect(known.Calls.Proven).To(Equal(c.ends))
			})
		}
	}
	paused := Health{}
	paused.Failed(SyncRequest, failureOf(cbr.Unknown, retryAfter(time.Minute)), noon)
	paused.Taken(noon)
	NewWithT(t).Expect(paused.Calls.Open(noon)).To(BeTrue(), "whatever became of the call, the answer has named a time")
	var untried Health
	untried.Taken(time.Time{})
	NewWithT(t).Expect(untried.Calls.Proven).To(BeTrue())
}
