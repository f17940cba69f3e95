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

// Package liveness tells whether the operator is alive, by the lease for which its replicas vie.
package liveness

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/text"
)

const (
	// LeaseName is the name of the lease for which the operator's replicas vie.
	LeaseName = "cbr.backupsync.dev"
	// UsualNamespace is where the manifests of this repository install it.
	UsualNamespace = "backupsync-system"
	// Tolerance is by how much the clock of the operator's machine may differ from the API server's.
	Tolerance = 30 * time.Second
	// longest is the longest length of a lease that is believed: whoever writes one writes its length, too.
	longest = 10 * time.Minute
)

// State is whether the operator is alive.
type State string

// The answers. Where the lease cannot be read it is not known.
const (
	Alive   State = "Alive"
	Silent  State = "Silent"
	Unknown State = "Unknown"
)

// Operator says whether the operator is alive, by its lease.
type Operator struct {
	// State is the answer.
	State State `json:"state"`
	// Message says how that is known.
	Message string `json:"message"`
	// Namespace, Holder and RenewTime are those of the lease.
	Namespace string            `json:"namespace,omitempty"`
	Holder    string            `json:"holder,omitempty"`
	RenewTime *metav1.MicroTime `json:"renewTime,omitempty"`
}

// Of says whether the operator is alive, by the leases that were found. Whoever may write leases in some namespace can put one of that name
// there. So of several the one in the usual namespace counts; where there is none, all do, and what is worst is told: no lease hides an operator
// that has died.
func Of(leases []coordinationv1.Lease, now time.Time) Operator {
	if len(leases) == 0 {
		return Operator{State: Unknown, Message: "There is no lease " + LeaseName + ": the operator is not installed here, or runs without --leader-elect."}
	}
	counts := stateOf(&leases[0], now)
	for i := 1; i < len(leases) && counts.Namespace != UsualNamespace; i++ {
		if other := stateOf(&leases[i], now); other.Namespace == UsualNamespace || gravity[other.State] > gravity[counts.State] {
			counts = other
		}
	}
	if len(leases) > 1 {
		counts.Message += fmt.Sprintf(" %d namespaces have such a lease: --operator-namespace names the operator's.", len(leases))
	}
	return counts
}

// gravity orders the states.
var gravity = map[State]int{Alive: 0, Unknown: 1, Silent: 2}

// Holder returns who holds a lease, fit to be shown; "" for nobody.
func Holder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return backupsync.Quote(*lease.Spec.HolderIdentity)
}

// Length returns after which time a lease has to be renewed.
func Length(lease *coordinationv1.Lease) time.Duration {
	if lease.Spec.LeaseDurationSeconds == nil {
		return 15 * time.Second
	}
	return min(time.Duration(*lease.Spec.LeaseDurationSeconds)*time.Second, longest)
}

func stateOf(lease *coordinationv1.Lease, now time.Time) Operator {
	found := Operator{State: Silent, Namespace: lease.Namespace, Holder: Holder(lease), RenewTime: lease.Spec.RenewTime}
	name := lease.Namespace + "/" + LeaseName
	if found.Holder == "" || found.RenewTime == nil {
		found.Message = fmt.Sprintf("Nobody holds the lease %s: no replica of the operator works. Look at its pods.", name)
		return found
	}
	switch age := now.Sub(found.RenewTime.Time); {
	case age < -Tolerance:
		found.State = Unknown
		found.Message = fmt.Sprintf("%s dated the lease %s %s ahead, which tells nothing: its clock is wrong, or it is not the operator.", found.Holder, name, text.Age(-age))
	case age > Length(lease)+Tolerance:
		found.Message = fmt.Sprintf("%s renewed the lease %s %s ago: the operator has stopped, or cannot reach the API server. Look at its pods.",
			found.Holder, name, text.Age(age))
	case lease.Namespace == UsualNamespace:
		found.State, found.Message = Alive, fmt.Sprintf("%s renewed its lease %s ago.", found.Holder, text.Age(age))
	default:
		found.State, found.Message = Alive, fmt.Sprintf("%s renewed its lease in the namespace %s %s ago.", found.Holder, lease.Namespace, text.Age(age))
	}
	return found
}

// Read says whether the operator is alive. Its namespace is looked for if it is "". The time is asked for when the lease was read, and should
// be that of the API server. That it is not known is no reason to say nothing of the operator's work: there is no error.
func Read(ctx context.Context, cluster client.Client, namespace string, now func() time.Time) Operator {
	leases, err := read(ctx, cluster, namespace)
	switch {
	case apierrors.IsForbidden(err):
		return Operator{State: Unknown, Message: "You may not read its lease " + LeaseName + ", so that it is not known whether it runs."}
	case err != nil:
		return Operator{State: Unknown, Message: fmt.Sprintf("Its lease could not be read: %s", backupsync.CleanMessage(err.Error()))}
	}
	return Of(leases, now())
}

// read reads the operator's leases in all namespaces, or, where that is not permitted, in that of its manifests.
func read(ctx context.Context, cluster client.Client, namespace string) ([]coordinationv1.Lease, error) {
	if namespace == "" {
		var list coordinationv1.LeaseList
		err := cluster.List(ctx, &list, client.MatchingFields{"metadata.name": LeaseName})
		if !apierrors.IsForbidden(err) {
			return list.Items, err
		}
		namespace = UsualNamespace
	}
	var lease coordinationv1.Lease
	err := cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: LeaseName}, &lease)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return []coordinationv1.Lease{lease}, err
}
