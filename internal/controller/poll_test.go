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
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
	"backupsync.dev/operator/internal/connection"
)

func TestLearnLead(t *testing.T) {
	const before = 42 * time.Second
	// dated is the task of a submission at noon, dated by CBR that much earlier.
	dated := func(lead time.Duration) *cbr.OperationLog {
		return &cbr.OperationLog{CreatedAt: cbr.Time{Time: noon.Add(-lead)}}
	}
	for name, test := range map[string]struct {
		tasks map[string]*cbr.OperationLog
		want  time.Duration
	}{
		"no task":                     {nil, before},
		"one":                         {map[string]*cbr.OperationLog{"one": dated(time.Second)}, time.Second},
		"the longest":                 {map[string]*cbr.OperationLog{"one": dated(time.Second), "two": dated(time.Minute), "three": dated(2 * time.Second)}, time.Minute},
		"dated later than here":       {map[string]*cbr.OperationLog{"one": dated(-time.Minute)}, 0},
		"found, long after its start": {map[string]*cbr.OperationLog{"one": dated(time.Hour), "two": dated(time.Second)}, time.Second},
		"found alone":                 {map[string]*cbr.OperationLog{"one": dated(time.Hour)}, before},
		"as far as clocks may be":     {map[string]*cbr.OperationLog{"one": dated(clockSkew)}, clockSkew},
		"without a date":              {map[string]*cbr.OperationLog{"one": {}}, before},
		"unknown to CBR":              {map[string]*cbr.OperationLog{"one": nil}, before},
		"of a submission without one": {map[string]*cbr.OperationLog{"undated": dated(time.Second)}, before},
	} {
		t.Run(name, func(t *testing.T) {
			undated := runningBackup()
			undated.Status.SubmittedTime = nil
			known := map[string][]*v1alpha1.BackupSync{
				"one": {runningBackup()}, "two": {runningBackup()}, "three": {runningBackup()}, "undated": {undated}}
			m := &pollMemory{taskLead: before}
			m.learnLead(known, func(id string) (cbr.OperationLog, bool) {
				if task := test.tasks[id]; task != nil {
					return *task, true
				}
				return cbr.OperationLog{}, false
			})
			NewWithT(t).Expect(m.taskLead).To(Equal(test.want))
		})
	}
}

// TestLookBesideCalls is about looks that have begun before the calls of their pass have ended.
func TestLookBesideCalls(t *testing.T) {
	refused := failure(cbr.Throttled)
	for name, test := range map[string]struct {
		ofRead, ofLook error
		stopped        bool
		brought        bool
		failures       int
	}{
		"all well":                   {brought: true},
		"a look fails":               {ofLook: failure(cbr.Transient), brought: true, failures: 1},
		"a read is refused":          {ofRead: refused, brought: true, failures: 1},
		"both fail, for one reason":  {ofRead: refused, ofLook: refused, brought: true, failures: 1},
		"the process is stopped":     {stopped: true},
		"it is stopped after a read": {ofRead: refused, stopped: true, failures: 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := passAt(&Reconciler{options: Options{Clock: clocktesting.NewFakePassiveClock(noon.Time)}},
				scope{log: logr.Discard(), now: noon.Time}, newMemory()).poller(make(chan pollResult, 1))
			p.polling <- pollResult{seen: &evidence.Look{}, at: noon.Time, err: test.ofLook, stopped: test.stopped}
			if test.ofRead != nil {
				p.health.Failed(connection.ReadRequest, test.ofRead, noon.Time)
			}
			looked, err := p.awaitPoll(t.Context())
			g.Expect(err).NotTo(HaveOccurred(), "what was submitted is still to be cleared")
			if test.brought {
				g.Expect(looked.seen).NotTo(BeNil(), "what CBR has told counts")
			} else {
				g.Expect(looked).To(BeNil())
			}
			g.Expect(p.health.Reads.Failures).To(Equal(test.failures))
			g.Expect(p.health.Reads.Open(noon.Time)).To(Equal(test.failures > 0))
		})
	}
}
