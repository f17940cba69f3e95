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

package doctor

import (
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// asTenant puts into a namespace of a tenant what the built-in role edit lets them write there: a Deployment that looks like the operator's, and a
// lease that is younger than the operator's.
func asTenant(t *testing.T, tenant, holder string, arguments ...string) {
	t.Helper()
	labels := map[string]string{podLabelKey: podLabelValue, nameLabelKey: nameLabel}
	made := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: "manager", Labels: labels}}
	made.Spec = appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "manager", Args: append(arguments, "--leader-elect")}}}}}
	duration, future := int32(3600), metav1.NewMicroTime(time.Now().AddDate(50, 0, 0))
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: leaseName},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &duration, RenewTime: &future, AcquireTime: &future}}
	cluster.Create(t, made, lease)
	t.Cleanup(func() {
		for _, each := range []client.Object{made, lease} {
			_ = cluster.Client.Delete(t.Context(), each)
		}
	})
}

// The list of endpoints that credentials may be sent to is that of the operator, and not of whoever has put a lease into a namespace of theirs.
func TestNoTenantSaysWhereCredentialsMayBeSent(t *testing.T) {
	operator, tenant := cluster.Namespace(t), cluster.Namespace(t)
	install(t, operator, rulesOf(operatorRights...), "--allowed-endpoints=https://cbr.example.com")
	sent := false
	evil := cbrtest.NewServer(t, cbrtest.Options{ProjectIDs: []string{"project-" + tenant}, Authenticate: func(r *http.Request) *cbrtest.APIError {
		sent = sent || r.Header.Get("X-Auth-Token") != ""
		return nil
	}})
	asTenant(t, tenant, "manager-1_id", "--allowed-endpoints=http://127.0.0.1:*")
	createSecretWith(t, tenant, map[string]string{v1alpha1.TokenKey: cbrtest.Token})
	treat(t, tenant, evil.URL)
	report, _ := examined(t, line(tenant), "--probe")
	if sent {
		t.Errorf("the token was sent to %s, which the operator's list does not have: %+v", evil.URL, report.of("endpoint"))
	}
}

func TestWhereTheOperatorRunsIsCertainOnlyIfNoTenantCanSaySo(t *testing.T) {
	in := func(namespaces ...string) []coordinationv1.Lease {
		leases := make([]coordinationv1.Lease, len(namespaces))
		for i, namespace := range namespaces {
			leases[i].Namespace = namespace
		}
		return leases
	}
	for name, of := range map[string]struct {
		named     string
		leases    []coordinationv1.Lease
		namespace string
		certain   bool
	}{
		"named":                      {"ours", in("a", usualNamespace), "ours", true},
		"nowhere":                    {"", nil, usualNamespace, true},
		"in the usual place":         {"", in(usualNamespace), usualNamespace, true},
		"elsewhere":                  {"", in("a"), "a", false},
		"in the usual place, too":    {"", in("a", usualNamespace), usualNamespace, false},
		"in several, none the usual": {"", in("a", "b"), "", false},
	} {
		namespace, certain := (&doctor{operatorNamespace: of.named}).locate(of.leases)
		if namespace != of.namespace || certain != of.certain {
			t.Errorf("%s: %q, %t", name, namespace, certain)
		}
	}
}

// What a tenant says of the operator is no fault of a project either.
func TestEndpointsAreNoFaultWhereTheFlagsAreDoubtful(t *testing.T) {
	project := &v1alpha1.CBRProject{Spec: v1alpha1.CBRProjectSpec{Endpoint: "https://cbr.example.com"}}
	found := func(d *doctor) Finding { return checkEndpoints(t.Context(), &patient{doctor: d, project: project})[0] }
	flags := settings{known: true, allowedEndpoints: "https://cbr.example.com"}
	if got := found(&doctor{installed: installation{namespace: "a", settings: flags}}); got.Level != Unknown || got.Do != nameIt {
		t.Errorf("doubtful: %+v", got)
	}
	if got := found(&doctor{installed: installation{namespace: "a", certain: true, settings: flags}}); got.Level != OK {
		t.Errorf("certain: %+v", got)
	}
	if got := found(&doctor{allowedEndpoints: "https://cbr.example.com"}); got.Level != OK {
		t.Errorf("given: %+v", got)
	}
}

// Whoever may write a lease writes to the terminal of whoever looks at it, unless it is cleaned.
func TestALeaseCannotDriveATerminal(t *testing.T) {
	holder := "manager\x1b]0;owned\x07\x1b[2J"
	found := judgeLease(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "x"},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &metav1.MicroTime{Time: time.Now()}}}, time.Now())
	var text strings.Builder
	if err := reportOf(about("operator", []Finding{found})).text(&text); err != nil || strings.ContainsAny(text.String(), "\x1b\x07") {
		t.Errorf("%q, %v", text.String(), err)
	}
}
