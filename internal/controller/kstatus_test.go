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

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"backupsync.dev/operator/api/v1alpha1"
)

// kstatusOf is what Flux makes of an object, from what the API server would hand it.
func kstatusOf(t *testing.T, object any) status.Status {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: content})
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

func TestKstatusOfABackupSync(t *testing.T) {
	wanted := map[string]status.Status{
		v1alpha1.ReasonQueued:            status.InProgressStatus,
		v1alpha1.ReasonWaitingForProject: status.InProgressStatus,
		v1alpha1.ReasonSuspended:         status.InProgressStatus,
		v1alpha1.ReasonOperationRunning:  status.InProgressStatus,
		v1alpha1.ReasonImported:          status.CurrentStatus,
		v1alpha1.ReasonAlreadyImported:   status.CurrentStatus,
		v1alpha1.ReasonRejected:          status.FailedStatus,
		v1alpha1.ReasonRetryScheduled:    status.InProgressStatus,
		v1alpha1.ReasonOperationFailed:   status.FailedStatus,
		v1alpha1.ReasonDuplicate:         status.FailedStatus,
		v1alpha1.ReasonOutcomeUnknown:    status.InProgressStatus,
	}
	for name, row := range conditionTable {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			backup := row.backup()
			g.Expect(kstatusOf(t, backup)).To(Equal(wanted[row.reason]))
			g.Expect(kstatusOf(t, edit(backup))).To(Equal(status.InProgressStatus), "after an edit that nobody has acted on")
			now := metav1.Now()
			backup.DeletionTimestamp = &now
			g.Expect(kstatusOf(t, backup)).To(Equal(status.TerminatingStatus))
		})
	}
}

// The rule at stake: an object without conditions counts as done.
func TestKstatusOfAnObjectThatNobodyHasSeen(t *testing.T) {
	g := NewWithT(t)
	bare := newBackup(func(b *v1alpha1.BackupSync) { b.Status.Conditions = nil })
	g.Expect(kstatusOf(t, bare)).To(Equal(status.InProgressStatus), "observedGeneration -1 alone keeps it from being done")
	bare.Status = v1alpha1.BackupSyncStatus{}
	g.Expect(kstatusOf(t, bare)).To(Equal(status.CurrentStatus), "if this has changed, the default status is not needed any more")
}

func newProject(changes ...func(*v1alpha1.CBRProject)) *v1alpha1.CBRProject {
	project := &v1alpha1.CBRProject{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "CBRProject"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "default", Generation: 3, ResourceVersion: "1"},
		Status:     v1alpha1.CBRProjectStatus{ObservedGeneration: 3},
	}
	for _, change := range changes {
		change(project)
	}
	return project
}

var projectKstatus = map[string]struct {
	ready                metav1.ConditionStatus
	reconciling, stalled bool
	status               status.Status
}{
	v1alpha1.ReasonReady:               {ready: metav1.ConditionTrue, status: status.CurrentStatus},
	v1alpha1.ReasonSuspended:           {ready: metav1.ConditionUnknown, status: status.InProgressStatus},
	v1alpha1.ReasonCredentialsMissing:  {ready: metav1.ConditionFalse, stalled: true, status: status.FailedStatus},
	v1alpha1.ReasonCredentialsRejected: {ready: metav1.ConditionFalse, stalled: true, status: status.FailedStatus},
	v1alpha1.ReasonEndpointNotAllowed:  {ready: metav1.ConditionFalse, stalled: true, status: status.FailedStatus},
	v1alpha1.ReasonEndpointUnavailable: {ready: metav1.ConditionFalse, reconciling: true, status: status.InProgressStatus},
	v1alpha1.ReasonThrottled:           {ready: metav1.ConditionUnknown, reconciling: true, status: status.InProgressStatus},
}

func TestKstatusOfACBRProject(t *testing.T) {
	for reason, want := range projectKstatus {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			// From the conditions of every other reason, as nothing of them may be left.
			for before, form := range projectShapes {
				project := newProject()
				project.Status.Conditions = applyConditions(&project.ObjectMeta, nil, form, before, "It was so.", noon)
				project.Status.Conditions = applyConditions(&project.ObjectMeta, project.Status.Conditions, projectShapes[reason], reason, "It is so.", noon)
				expected := row{reason: reason, ready: want.ready, reconciling: want.reconciling, stalled: want.stalled}.conditions()
				g.Expect(conditionsOf(project.Status.Conditions)).To(Equal(expected), "after "+before)
				g.Expect(kstatusOf(t, project)).To(Equal(want.status), "after "+before)
				project.Generation++
				g.Expect(kstatusOf(t, project)).To(Equal(status.InProgressStatus), "after an edit")
			}
		})
	}
	for reason := range projectShapes {
		if _, covered := projectKstatus[reason]; !covered {
			t.Errorf("the reason %s is not in this table", reason)
		}
	}
}

// An endpoint that is not CBR's does not mend itself; one that is down does.
func TestKstatusOfAnEndpointThatIsNotCBR(t *testing.T) {
	g := NewWithT(t)
	for stalls, want := range map[bool]status.Status{true: status.FailedStatus, false: status.InProgressStatus} {
		project := newProject()
		known := access{reason: v1alpha1.ReasonEndpointUnavailable, message: "It is so.", stalled: stalls}
		p := &pass{memory: &memory{access: known}, project: project}
		reason, message, form := p.projectVerdict()
		project.Status.Conditions = applyConditions(&project.ObjectMeta, nil, form, reason, message, noon)
		g.Expect(kstatusOf(t, project)).To(Equal(want))
	}
}

// A suspended project says so, whatever else is wrong with it.
func TestVerdictOnASuspendedProject(t *testing.T) {
	g := NewWithT(t)
	for reason := range projectShapes {
		project := newProject(func(p *v1alpha1.CBRProject) { p.Spec.Suspend = true })
		known := access{reason: reason, message: "It is so.", stalled: true, until: noon.Add(time.Hour)}
		p := &pass{memory: &memory{access: known}, project: project}
		verdict, message, form := p.projectVerdict()
		g.Expect(verdict).To(Equal(v1alpha1.ReasonSuspended))
		g.Expect(message).To(ContainSubstring("spec.suspend"))
		g.Expect(form).To(Equal(projectShapes[v1alpha1.ReasonSuspended]))
	}
}
