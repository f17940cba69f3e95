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
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/connection"
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

// A lease that was renewed in the future tells of no operator that is alive now.
func TestALeaseOfTheFutureIsNoSignOfLife(t *testing.T) {
	holder := "manager-1_id"
	found := judgeLease(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "x"},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &metav1.MicroTime{Time: time.Now().AddDate(50, 0, 0)}}}, time.Now())
	if found.Level == OK {
		t.Errorf("%+v", found)
	}
}

// What clusters say of pods holds what registries answer, and conditions what was written there.
func TestMessagesOfTheClusterCannotDriveATerminal(t *testing.T) {
	evil := "denied\x1b]0;owned\x07\x1b[2J"
	pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
		{Name: "manager", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: evil}}}}}}
	project := &v1alpha1.CBRProject{}
	project.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Other", Message: evil}}
	var text strings.Builder
	if err := reportOf(about("operator", append(judgePod(pod), judgeReady(project)))).text(&text); err != nil || strings.ContainsAny(text.String(), "\x1b\x07") {
		t.Errorf("%q, %v", text.String(), err)
	}
}

// The journal says what was refused also while Ready says something else: the project is suspended, for one.
func TestWhatTheJournalSaysWasRefusedIsNotTriedAgain(t *testing.T) {
	namespace := cluster.Namespace(t)
	asked := 0
	cloud := cbrtest.NewServer(t, cbrtest.Options{ProjectIDs: []string{"project-" + namespace}, Authenticate: func(r *http.Request) *cbrtest.APIError {
		if r.Header.Get("Authorization") != "" {
			asked++
		}
		return nil
	}})
	data := map[string]string{"accessKey": "ABCDEFGHIJKLMNOPQRST", "secretKey": "secretsecretsecretsecretsecretsecretsecr"}
	createSecretWith(t, namespace, data)
	treat(t, namespace, cloud.URL, func(p *v1alpha1.CBRProject) {
		p.Spec.Credentials.Type, p.Spec.Suspend = v1alpha1.CredentialsAccessKey, true
		p.Status.Conditions[0].Status, p.Status.Conditions[0].Reason = metav1.ConditionUnknown, v1alpha1.ReasonSuspended
		secret := &corev1.Secret{Data: map[string][]byte{}}
		for key, value := range data {
			secret.Data[key] = []byte(value)
		}
		contents, err := connection.Read(&p.Spec.Credentials, secret)
		if err != nil {
			t.Fatal(err)
		}
		p.Status.Journal.RefusedSecret = contents.NewMark(connection.ScopeOf(&p.Spec))
		if !connection.HistoryOf(p, contents).Refused {
			t.Fatal("the journal does not say so")
		}
	})
	report, _ := examined(t, line(namespace), "--probe", "--allowed-endpoints=http://127.0.0.1:*", "--operator-namespace="+namespace)
	if asked > 0 {
		t.Errorf("they were sent again, %d times: %+v", asked, report.of("probe"))
	}
}

// Whoever the cluster does not know has not been told that nothing has to be fixed.
func TestWhomTheClusterDoesNotKnowIsToldByTheExitStatus(t *testing.T) {
	var out bytes.Buffer
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out})
	root := cli.NewCommand(f, NewCommand(f))
	root.SetContext(t.Context())
	root.SetArgs([]string{"doctor", "default", "-n", "default", "--kubeconfig=" + os.DevNull, "--server=" + cluster.Config.Host, "--insecure-skip-tls-verify", "--token=ended"})
	if status := cli.Run(f, root); status == 0 {
		t.Errorf("it exits with 0:\n%s", out.String())
	}
}
