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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/batch"
)

// After two restarts within a minute the calls of the first process still count: what a process writes must hold
// what it has found.
func TestRecentCallsKeepWhatAnotherProcessHasLeft(t *testing.T) {
	g := NewWithT(t)
	first := v1alpha1.Journal{RecentCalls: windowOf(-5, -4, -3, -2).Counts(noon.Time)}
	second := newMemory()
	second.rateWindow, second.inheritedWindow = *windowOf(-1), batch.RestoreRateWindow(&first, noon.Time, time.Minute, time.Minute)
	process := &Reconciler{options: Options{Clock: clocktesting.NewFakePassiveClock(noon.Time)}, counts: newStateCounts()}
	p := passAt(process, scope{key: defaultProject, project: newProject()}, second).reporter(plan{})
	p.cleared["the call of the second process"] = nil
	written := p.projectStatus(p.project)
	third := batch.RestoreRateWindow(&written.Journal, noon.Time, time.Minute, time.Minute)
	g.Expect(third.Available(noon.Time, 10)).To(Equal(5), "of 10 calls a minute 5 were made")
}

// A call may begin some time after its record and then take its time: until both are over it can still reach CBR.
func TestARecordedCallCountsAsLongAsItCanBeUnderWay(t *testing.T) {
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	g.Expect(corev1.AddToScheme(scheme)).To(Succeed())
	options := Options{Identity: "this process", BeginTimeout: 15 * time.Second, CallTimeout: 60 * time.Second, RateWindow: time.Minute}
	options.setDefaults()
	started := seconds(-(15 + 60 + 60 - 1)) // may have reached CBR 59 s ago
	project := newProject(func(p *v1alpha1.CBRProject) {
		p.Status.Journal.WriterID = "another process"
		p.Status.Journal.Submissions = []v1alpha1.Submission{{ID: "a", StartTime: microTime(started), Items: []v1alpha1.SubmittedItem{{BackupID: "b"}}}}
	})
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(project).Build()
	p := passAt(&Reconciler{client: cluster, live: cluster, options: options}, scope{key: defaultProject, now: noon.Time}, newMemory())
	g.Expect(p.loader().loadProject(t.Context())).To(Succeed())
	g.Expect(p.inheritedWindow.Available(noon.Time, 10)).To(Equal(9))
	g.Expect(p.inheritedWindow.Available(seconds(1), 10)).To(Equal(10))
}
