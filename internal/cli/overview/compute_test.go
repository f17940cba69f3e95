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

package overview

import (
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/text"
)

func TestLeastMinutes(t *testing.T) {
	for _, test := range []struct {
		pending, heldBack int
		change            func(*v1alpha1.CBRProject)
		want              *int
	}{
		{0, 0, nil, nil}, {1, 0, nil, ptr.To(0)}, {500, 0, nil, ptr.To(0)}, {501, 0, nil, ptr.To(1)}, {1000, 0, nil, ptr.To(1)}, {100_000, 0, nil, ptr.To(199)},
		{501, 1, nil, ptr.To(0)}, {2, 1, nil, ptr.To(0)}, {2, 2, nil, nil}, {1, 2, nil, nil}, // the operator may not have counted some yet
		{10, 0, func(p *v1alpha1.CBRProject) { p.Spec.Suspend = true }, nil},
		{10, 0, func(p *v1alpha1.CBRProject) { p.DeletionTimestamp = ptr.To(metav1.NewTime(noon)) }, nil},
		{10, 0, func(p *v1alpha1.CBRProject) { p.Status.Conditions[0].Status = metav1.ConditionFalse }, nil},
	} {
		of := aProject("default", metav1.ConditionTrue, v1alpha1.ReasonUsable, "", nil)
		if test.change != nil {
			test.change(&of)
		}
		if got := paceOf(&of, test.pending, test.heldBack, noon).LeastMinutes; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%d pending, %d held back: got %v", test.pending, test.heldBack, got)
		}
	}
}

// written is what is told of a project of which some are pending, and nothing else is open.
func written(t *testing.T, change func(*facts), pending ...backups.Backup) string {
	t.Helper()
	from := resting()
	from.projects[0].Status.Backups = &v1alpha1.BackupCounts{Total: int32(len(pending)), Pending: int32(len(pending))}
	for i := range pending {
		pending[i].Namespace, pending[i].Project, pending[i].State, pending[i].Reason = "backups", "default", backupsync.Pending, v1alpha1.ReasonQueued
		from.single.add(pending[i])
	}
	if change != nil {
		change(from)
	}
	return strings.Join(render(text.Terminal{Width: 300}, compute(from), false), "\n")
}

// Of what is suspended itself, or being deleted, nothing is sent in any time.
func TestWhatIsHeldBackIsNotLeft(t *testing.T) {
	suspended, deleted, free := backups.Backup{Name: "a", Suspended: true}, backups.Backup{Name: "b", Deleted: noon.Add(-time.Minute)}, backups.Backup{Name: "c"}
	if got := written(t, nil, suspended, deleted); !strings.Contains(got, "Left     Nothing is sent of what is pending") || strings.Contains(got, "Oldest") {
		t.Errorf("all are held back:\n%s", got)
	}
	if got := written(t, nil, suspended, deleted, free); !strings.Contains(got, "The calls for what is pending (but for 2 suspended or being deleted) fit") || !strings.Contains(got, "Oldest   c was created") {
		t.Errorf("one is not held back:\n%s", got)
	}
}

// Nothing is Ready of a CBRProject that is being deleted, and nothing of it is left to be sent, whatever its conditions say.
func TestAProjectThatIsBeingDeleted(t *testing.T) {
	got := written(t, func(from *facts) {
		from.projects[0].DeletionTimestamp, from.projects[0].Finalizers = ptr.To(metav1.NewTime(noon.Add(-3*time.Minute))), []string{"example.com/hold\u202e"}
	}, backups.Backup{Name: "a"})
	for _, says := range []string{"backups/default  being deleted\n", "Its deletion was asked for 3m ago, and the finalizers example.com/hold hold it up.", "Left     Nothing is sent any more"} {
		if !strings.Contains(got, says) {
			t.Errorf("%q is not said:\n%s", says, got)
		}
	}
	if strings.Contains(got, "Ready") {
		t.Errorf("something is ready:\n%s", got)
	}
}
