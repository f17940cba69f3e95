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

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/connection"
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

// projectKstatus is the condition table of CBRProject: the conditions by type, and what Flux makes of them.
var projectKstatus = map[string]struct {
	conditions map[string]metav1.ConditionStatus
	status     status.Status
}{
	v1alpha1.ReasonUsable:              {usable, status.CurrentStatus},
	v1alpha1.ReasonSuspended:           {map[string]metav1.ConditionStatus{"Ready": "Unknown"}, status.InProgressStatus},
	v1alpha1.ReasonCredentialsMissing:  {stalls, status.FailedStatus},
	v1alpha1.ReasonCredentialsRejected: {stalls, status.FailedStatus},
	v1alpha1.ReasonPermissionDenied:    {stalls, status.FailedStatus},
	v1alpha1.ReasonEndpointNotAllowed:  {stalls, status.FailedStatus},
	v1alpha1.ReasonEndpointUnavailable: {map[string]metav1.ConditionStatus{"Ready": "False", "Reconciling": "True"}, status.InProgressStatus},
	v1alpha1.ReasonNotCBR:              {stalls, status.FailedStatus},
	v1alpha1.ReasonRequestsRefused:     {stalls, status.FailedStatus},
	v1alpha1.ReasonQuotaExceeded:       {stalls, status.FailedStatus},
	v1alpha1.ReasonProjectInUse:        {stalls, status.FailedStatus},
	v1alpha1.ReasonNamespaceUnreadable: {stalls, status.FailedStatus},
	v1alpha1.ReasonThrottled:           {map[string]metav1.ConditionStatus{"Ready": "Unknown", "Reconciling": "True"}, status.InProgressStatus},
	v1alpha1.ReasonCRDsOutdated:        {stalls, status.FailedStatus},
}

var (
	usable = map[string]metav1.ConditionStatus{"Ready": "True"}
	stalls = map[string]metav1.ConditionStatus{"Ready": "False", "Stalled": "True"}
)

func statuses(conditions []metav1.Condition) map[string]metav1.ConditionStatus {
	found := map[string]metav1.ConditionStatus{}
	for _, condition := range conditions {
		found[condition.Type] = condition.Status
	}
	return found
}

func TestKstatusOfACBRProject(t *testing.T) {
	for reason, want := range projectKstatus {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			// From the conditions of every other reason, as nothing of them may be left.
			for before, set := range projectSets {
				project := newProject()
				project.Status.Conditions = set.Apply(&project.ObjectMeta, nil, before, "It was so.", noon)
				project.Status.Conditions = projectSets[reason].Apply(&project.ObjectMeta, project.Status.Conditions, reason, "It is so.", noon)
				g.Expect(statuses(project.Status.Conditions)).To(Equal(want.conditions), "after "+before)
				g.Expect(kstatusOf(t, project)).To(Equal(want.status), "after "+before)
				project.Generation++
				g.Expect(kstatusOf(t, project)).To(Equal(status.InProgressStatus), "after an edit")
			}
		})
	}
	for reason := range projectSets {
		if _, covered := projectKstatus[reason]; !covered {
			t.Errorf("the reason %s is not in this table", reason)
		}
	}
}

// An endpoint that has no certificate to trust waits for a person; one that is down does not.
func TestKstatusOfAnEndpointThatIsUnavailable(t *testing.T) {
	g := NewWithT(t)
	for stalls, want := range map[bool]status.Status{true: status.FailedStatus, false: status.InProgressStatus} {
		project := newProject()
		known := connection.Health{Obstacle: connection.Status{Reason: v1alpha1.ReasonEndpointUnavailable, Message: "It is so.", Stalled: stalls}}
		p := reporterAt(&known, project)
		reason, message, set := p.projectVerdict()
		project.Status.Conditions = set.Apply(&project.ObjectMeta, nil, reason, message, noon)
		g.Expect(kstatusOf(t, project)).To(Equal(want))
	}
}

// A suspended project says so, whatever else is wrong with it.
func TestVerdictOnASuspendedProject(t *testing.T) {
	g := NewWithT(t)
	for reason := range projectSets {
		project := newProject(func(p *v1alpha1.CBRProject) { p.Spec.Suspend = true })
		known := connection.Health{Obstacle: connection.Status{Reason: reason, Message: "It is so.", Stalled: true}}
		p := reporterAt(&known, project)
		verdict, message, set := p.projectVerdict()
		g.Expect(verdict).To(Equal(v1alpha1.ReasonSuspended))
		g.Expect(message).To(ContainSubstring("spec.suspend"))
		g.Expect(set).To(Equal(projectSets[v1alpha1.ReasonSuspended]))
	}
}
