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

	"backupsync.dev/operator/internal/cli/text"
)

const (
	// leaseName is the name of the lease for which the operator's replicas vie.
	leaseName = "cbr.backupsync.dev"
	// operatorNamespace is where the manifests of this repository install it.
	operatorNamespace = "backupsync-system"
	// silence is how much older than its length a lease must be: the clock of this machine may differ a little from the operator's.
	silence = 30 * time.Second
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

// Of says whether the operator is alive, by the leases that were found: of several the latest counts.
func Of(leases []coordinationv1.Lease, now time.Time) Operator {
	var latest *coordinationv1.Lease
	for i := range leases {
		if latest == nil || latest.Spec.RenewTime == nil || latest.Spec.RenewTime.Before(leases[i].Spec.RenewTime) {
			latest = &leases[i]
		}
	}
	if latest == nil {
		return Operator{State: Unknown, Message: "There is no lease " + leaseName + ": the operator is not installed here, or runs without --leader-elect."}
	}
	return stateOf(latest, now)
}

func stateOf(lease *coordinationv1.Lease, now time.Time) Operator {
	found := Operator{State: Silent, Namespace: lease.Namespace, RenewTime: lease.Spec.RenewTime}
	if lease.Spec.HolderIdentity != nil {
		found.Holder = *lease.Spec.HolderIdentity
	}
	length := 15 * time.Second
	if lease.Spec.LeaseDurationSeconds != nil {
		length = time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
	}
	var age time.Duration
	if lease.Spec.RenewTime != nil {
		age = now.Sub(lease.Spec.RenewTime.Time)
	}
	switch {
	case found.Holder == "" || lease.Spec.RenewTime == nil:
		found.Message = fmt.Sprintf("Nobody holds the lease %s/%s: no replica of the operator works. Look at its pods.", lease.Namespace, leaseName)
	case age > length+silence:
		found.Message = fmt.Sprintf("%s renewed the lease %s/%s %s ago: the operator has stopped, or cannot reach the API server. Look at its pods.",
			found.Holder, lease.Namespace, leaseName, text.Age(age))
	default:
		found.State = Alive
		found.Message = fmt.Sprintf("%s renewed its lease %s ago.", found.Holder, text.Age(age))
	}
	return found
}

// Read says whether the operator is alive. Its namespace is looked for if it is "". That it is not known is no reason to say nothing of the
// operator's work: there is no error.
func Read(ctx context.Context, cluster client.Client, namespace string, now time.Time) Operator {
	leases, err := read(ctx, cluster, namespace)
	switch {
	case apierrors.IsForbidden(err):
		return Operator{State: Unknown, Message: "You may not read its lease " + leaseName + ", so that it is not known whether it runs."}
	case err != nil:
		return Operator{State: Unknown, Message: fmt.Sprintf("Its lease could not be read: %s", err)}
	}
	return Of(leases, now)
}

// read reads the operator's leases in all namespaces, or, where that is not permitted, in that of its manifests.
func read(ctx context.Context, cluster client.Client, namespace string) ([]coordinationv1.Lease, error) {
	if namespace == "" {
		var list coordinationv1.LeaseList
		err := cluster.List(ctx, &list, client.MatchingFields{"metadata.name": leaseName})
		if !apierrors.IsForbidden(err) {
			return list.Items, err
		}
		namespace = operatorNamespace
	}
	var lease coordinationv1.Lease
	err := cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: leaseName}, &lease)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return []coordinationv1.Lease{lease}, err
}
