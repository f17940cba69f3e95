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
package statustest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/explain"
	"backupsync.dev/operator/internal/cli/overview"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// leaseIn makes a lease of the operator's name in a namespace.
func leaseIn(t *testing.T, namespace, holder string, renewed time.Time) {
	t.Helper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cbr.backupsync.dev"}}
	at := metav1.NewMicroTime(renewed)
	lease.Spec.RenewTime, lease.Spec.HolderIdentity = &at, &holder
	must(t, bed.Client.Create(t.Context(), lease))
	t.Cleanup(func() { must(t, bed.Client.Delete(context.WithoutCancel(t.Context()), lease)) })
}

// The built-in role edit lets tenants write leases in namespaces of theirs: none of those speaks for the operator.
func TestNoTenantSaysThatTheOperatorIsAlive(t *testing.T) {
	role := &rbacv1.ClusterRole{}
	must(t, bed.Client.Get(t.Context(), client.ObjectKey{Name: "system:aggregate-to-edit"}, role))
	if !slices.ContainsFunc(role.Rules, func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.Resources, "leases") && slices.Contains(rule.Verbs, "create")
	}) {
		t.Skip("the role edit writes no leases")
	}
	here, tenant := namespace(t), namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{}))
	leaseIn(t, here, "manager-0", time.Now().Add(-time.Hour)) // that of the operator, which has died
	leaseIn(t, tenant, "manager-1", time.Now().AddDate(50, 0, 0))
	if got := runCommand(t, overview.NewCommand, "status", "-n", here, "--fail-on=silent"); got.status != cli.ExitFound {
		t.Errorf("status %d: %s", got.status, got.out)
	}
}

// Nor does one of them write to the terminal of who looks.
func TestALeaseCannotDriveATerminal(t *testing.T) {
	here, tenant := namespace(t), namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{}))
	backup(t, testbed.Manifest(here, "default", 1, 1), nil)
	leaseIn(t, tenant, "\x1b]0;owned\x07\x1b[2Jmanager", time.Now())
	var list v1alpha1.BackupSyncList
	must(t, bed.Client.List(t.Context(), &list, client.InNamespace(here)))
	if got := runCommand(t, overview.NewCommand, "status", "-n", here); strings.ContainsAny(got.out+got.errOut, "\x1b\x07") {
		t.Errorf("status: %q", got.out)
	}
	if got := runCommand(t, explain.NewCommand, "explain", list.Items[0].Name, "-n", here); strings.ContainsAny(got.out+got.errOut, "\x1b\x07") {
		t.Errorf("explain: %q", got.out)
	}
}

// The clock of this machine is not the operator's: what the API server tells of the time is known, and doctor goes by it.
func TestAClockThatIsAheadMakesNoOperatorSilent(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", usable(v1alpha1.BackupCounts{}))
	leaseIn(t, here, "manager-0", time.Now())
	var out bytes.Buffer
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out})
	f.Clock = clocktesting.NewFakeClock(time.Now().Add(2 * time.Minute))
	root := cli.NewCommand(f, overview.NewCommand(f))
	root.SetContext(t.Context())
	root.SetArgs([]string{"status", "-n", here, "--operator-namespace=" + here, "--fail-on=silent", "--kubeconfig=" + bed.Kubeconfig})
	if status := cli.Run(f, root); status != 0 {
		t.Errorf("status %d: %s", status, out.String())
	}
}
