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

package liveness

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// lease is one that its holder has renewed some time before noon.
func lease(namespace, holder string, before time.Duration) coordinationv1.Lease {
	renewed, length := metav1.NewMicroTime(noon.Add(-before)), int32(15)
	return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: LeaseName},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &renewed, LeaseDurationSeconds: &length}}
}

// lasting is a lease of another length.
func lasting(seconds int32, of coordinationv1.Lease) coordinationv1.Lease {
	of.Spec.LeaseDurationSeconds = &seconds
	return of
}

func TestALeaseTellsWhetherTheOperatorIsAlive(t *testing.T) {
	const ages = 50 * 365 * 24 * time.Hour
	for name, test := range map[string]struct {
		leases []coordinationv1.Lease
		want   State
		says   string
	}{
		"alive":                      {[]coordinationv1.Lease{lease(UsualNamespace, "manager-0", 2*time.Second)}, Alive, "manager-0 renewed its lease 2s ago."},
		"alive, elsewhere":           {[]coordinationv1.Lease{lease("system", "manager-0", 2*time.Second)}, Alive, "manager-0 renewed its lease in the namespace system 2s ago."},
		"a little late":              {[]coordinationv1.Lease{lease("system", "manager-0", 44*time.Second)}, Alive, "44s ago"},
		"a little early":             {[]coordinationv1.Lease{lease("system", "manager-0", -20*time.Second)}, Alive, "0s ago"},
		"silent":                     {[]coordinationv1.Lease{lease("system", "manager-0", 46*time.Second)}, Silent, "has stopped, or cannot reach the API server"},
		"given away":                 {[]coordinationv1.Lease{lease("system", "", 2*time.Second)}, Silent, "Nobody holds the lease system/cbr.backupsync.dev"},
		"never held":                 {[]coordinationv1.Lease{{}}, Silent, "Nobody holds"},
		"none":                       {nil, Unknown, "There is no lease"},
		"of the future":              {[]coordinationv1.Lease{lease("system", "manager-0", -ages)}, Unknown, "50y ahead, which tells nothing"},
		"of a length nobody chooses": {[]coordinationv1.Lease{lasting(1<<31-1, lease("system", "manager-0", ages))}, Silent, "has stopped"},
		"one of two is silent":       {[]coordinationv1.Lease{lease("a", "old", time.Hour), lease("b", "new", time.Second)}, Silent, "old renewed"},
		"the other of two is silent": {[]coordinationv1.Lease{lease("a", "new", time.Second), lease("b", "old", time.Hour)}, Silent, "old renewed"},
		"of two, one of the future":  {[]coordinationv1.Lease{lease("a", "new", -ages), lease("b", "old", time.Hour)}, Silent, "2 namespaces have such a lease: --operator-namespace names"},
		"two that live":              {[]coordinationv1.Lease{lease("a", "one", time.Second), lease("b", "two", time.Second)}, Alive, "one renewed"},
		"silent in the usual place":  {[]coordinationv1.Lease{lease("a", "new", time.Second), lease(UsualNamespace, "old", time.Hour)}, Silent, "old renewed"},
		"alive in the usual place":   {[]coordinationv1.Lease{lease("a", "old", time.Hour), lease(UsualNamespace, "new", time.Second), lease("z", "old", time.Hour)}, Alive, "new renewed its lease 1s ago. 3 namespaces"},
		"of another's making":        {[]coordinationv1.Lease{lease("system", "\x1b]0;owned\x07manager\u202e-0", time.Second)}, Alive, "]0;ownedmanager-0 renewed"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Of(test.leases, noon); got.State != test.want || !strings.Contains(got.Message, test.says) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
