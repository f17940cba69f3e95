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

	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/connection"
)

// roundAt is a round of calls whose answers all come at noon.
func roundAt(known connection.Health) *batchRun {
	options := Options{Clock: clocktesting.NewFakePassiveClock(noon.Time)}
	remembered := newMemory()
	remembered.health = known
	return &batchRun{submitter: passAt(&Reconciler{options: options}, scope{now: noon.Time}, remembered).submitter(plan{})}
}

// Four calls that are under way when CBR begins to refuse are refused by one and the same fact: it says nothing of
// how long it lasts that there were four of them.
func TestCallsThatAreRefusedTogetherCountOnce(t *testing.T) {
	g := NewWithT(t)
	calls := roundAt(connection.Health{Calls: connection.Circuit{Proven: true}})
	for range 4 {
		calls.noteCall(submission{}, failure(cbr.Throttled), noon.Time, false)
	}
	g.Expect(calls.health.Calls.OpenUntil.Sub(noon.Time)).To(BeNumerically("<=", 72*time.Second), "a minute and jitter, as after the first refusal")
}

// The good answer to a call that was sent before CBR refused another one does not say that more calls are welcome.
func TestAGoodAnswerThatComesLateDoesNotEndAPause(t *testing.T) {
	g := NewWithT(t)
	calls := roundAt(connection.Health{Calls: connection.Circuit{Proven: true}})
	calls.noteCall(submission{}, failure(cbr.Throttled), noon.Time, false)
	calls.noteCall(submission{}, nil, noon.Time, true)
	g.Expect(calls.health.Calls.Open(noon.Add(59 * time.Second))).To(BeTrue())
	g.Expect(calls.health.Status().Reason).To(Equal(v1alpha1.ReasonThrottled))
}
