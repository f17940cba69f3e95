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
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/testcluster"
)

var cluster *testcluster.Cluster

func TestMain(m *testing.M) { os.Exit(testcluster.Run(m, filepath.Join("..", "..", ".."), &cluster)) }

func line(namespace string) testcluster.CommandLine {
	return testcluster.CommandLine{Cluster: cluster, Namespace: namespace,
		Commands: func(f *cli.Factory) []*cobra.Command { return []*cobra.Command{NewCommand(f)} }}
}

// examined runs the command, and returns its findings.
func examined(t *testing.T, command testcluster.CommandLine, arguments ...string) (Report, testcluster.Output) {
	t.Helper()
	got := command.Run(t.Context(), append([]string{"doctor", "-o", "json"}, arguments...)...)
	var report Report
	if err := json.Unmarshal([]byte(got.Out), &report); err != nil {
		t.Fatalf("%v in:\n%s%s", err, got.Out, got.Err)
	}
	return report, got
}

// of returns the findings of a check.
func (r Report) of(check string) []Finding {
	var found []Finding
	for _, each := range r.Findings {
		if each.Check == check {
			found = append(found, each)
		}
	}
	return found
}

// expect holds the first finding of a check to a level, and to what it says.
func (r Report) expect(t *testing.T, check string, level Level, says string) {
	t.Helper()
	found := r.of(check)
	if len(found) == 0 || found[0].Level != level || !strings.Contains(found[0].Message, says) {
		t.Errorf("%s: want %s with %q, got %+v", check, level, says, found)
	}
}

// install puts an operator into a namespace: its Deployment, its ServiceAccount's rights, and a lease that was just renewed.
func install(t *testing.T, namespace string, rules []rbacv1.PolicyRule, arguments ...string) {
	t.Helper()
	labels := map[string]string{podLabelKey: podLabelValue, nameLabelKey: nameLabel}
	replicas := int32(1)
	made := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "manager", Labels: labels}}
	made.Spec = appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{ServiceAccountName: "manager",
			Containers: []corev1.Container{{Name: "manager", Image: "manager", Args: append(arguments, "--leader-elect")}}}}}
	cluster.Create(t, made)
	made.Status = appsv1.DeploymentStatus{Replicas: 1, ReadyReplicas: 1}
	if err := cluster.Client.Status().Update(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	holder, duration, now := "manager-1_id", int32(3600), metav1.NowMicro()
	cluster.Create(t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: leaseName},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &duration, RenewTime: &now, AcquireTime: &now}})
	name := "operator-" + namespace
	cluster.Create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "manager"}}})
}

// rulesOf are rules that give rights.
func rulesOf(rights ...right) []rbacv1.PolicyRule {
	rules := make([]rbacv1.PolicyRule, 0, len(rights))
	for _, each := range rights {
		resource := each.resource
		if each.subresource != "" {
			resource += "/" + each.subresource
		}
		rule := rbacv1.PolicyRule{APIGroups: []string{each.group}, Resources: []string{resource}, Verbs: []string{each.verb}}
		if each.name != "" {
			rule.ResourceNames = []string{each.name}
		}
		rules = append(rules, rule)
	}
	return rules
}

// treat creates a CBRProject that is usable, as far as its status tells.
func treat(t *testing.T, namespace, endpoint string, change ...func(*v1alpha1.CBRProject)) {
	t.Helper()
	project := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}, Spec: v1alpha1.CBRProjectSpec{
		Endpoint: endpoint, ProjectID: "project-" + namespace,
		Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}}}}
	project.Status.ObservedGeneration = 1
	project.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonUsable,
		LastTransitionTime: metav1.Now()}}
	for _, each := range change {
		each(project)
	}
	cluster.Create(t, project)
}

func createSecretWith(t *testing.T, namespace string, data map[string]string) {
	t.Helper()
	cluster.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cbr"}, StringData: data})
}

func TestNothingIsWrongWithAGoodInstallation(t *testing.T) {
	namespace := cluster.Namespace(t)
	cloud := cbrtest.NewServer(t, cbrtest.Options{TLS: true, ProjectIDs: []string{"project-" + namespace}})
	install(t, namespace, rulesOf(append(operatorRights, leaseRights...)...), "--watch-namespaces="+namespace, "--allowed-endpoints=https://127.0.0.1:*")
	createSecretWith(t, namespace, map[string]string{v1alpha1.TokenKey: cbrtest.Token})
	cluster.Create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ca"}, Data: map[string]string{"ca.crt": cloud.CABundle()}})
	treat(t, namespace, cloud.URL, func(p *v1alpha1.CBRProject) {
		p.Spec.CABundleRef = v1alpha1.CABundleReference{Kind: v1alpha1.CABundleConfigMap, Name: "ca", Key: "ca.crt"}
	})
	report, got := examined(t, line(namespace), "default", "--probe", "--operator-namespace="+namespace)
	if got.Status != 0 || report.Fix+report.Look+report.Unknown > 0 {
		t.Errorf("exit status %d: %+v", got.Status, report)
	}
	for check, says := range map[string]string{"CRDs": "every field", "clock": "agrees", "your rights": "you may", "leader": "manager-1_id leads", "pods": "1 of 1",
		"rights": "has the rights", "namespaces": "watches", "conditions": "Usable", "cloud project": "only one", "endpoint": "is allowed", "Secret": "has the form",
		"CA certificates": "holds certificates", "network": "answers", "probe": "CBR takes the credentials"} {
		report.expect(t, check, OK, says)
	}
	if calls := cloud.SyncCalls(); calls != 0 {
		t.Errorf("%d sync calls were made", calls)
	}
	text := line(namespace).Run(t.Context(), "doctor", "--operator-namespace="+namespace)
	if text.Status != 0 || !strings.Contains(text.Out, "CBRProject "+namespace+"/default\n  ok    conditions: Usable\n") {
		t.Errorf("got %+v", text)
	}
}

func TestEachFaultIsToldByItself(t *testing.T) {
	namespace := cluster.Namespace(t)
	rights := rulesOf(append(operatorRights[1:], leaseRights...)...)
	install(t, namespace, rights, "--watch-namespaces="+namespace+",elsewhere", "--allowed-endpoints=https://127.0.0.1:*")
	cloud := cbrtest.NewServer(t, cbrtest.Options{TLS: true, ClockOffset: -time.Hour})
	treat(t, namespace, cloud.URL, func(p *v1alpha1.CBRProject) {
		p.Spec.CABundleRef = v1alpha1.CABundleReference{Kind: v1alpha1.CABundleConfigMap, Name: "ca", Key: "ca.crt"}
	})
	treat(t, namespace, cloud.URL, func(p *v1alpha1.CBRProject) { p.Name = "second" })
	report, got := examined(t, line(namespace), "--operator-namespace="+namespace, "--probe")
	if got.Status != cli.ExitFound {
		t.Errorf("exit status %d", got.Status)
	}
	report.expect(t, "rights", Fix, "may not get configmaps in "+namespace)
	report.expect(t, "cloud project", Fix, namespace+"/second")
	report.expect(t, "Secret", Fix, "the Secret cbr does not exist. It must hold an IAM token in its key \"token\"")
	report.expect(t, "CA certificates", Fix, "does not exist")
	report.expect(t, "network", Unknown, "could not be read")
	report.expect(t, "probe", Unknown, "could not be read")
	if second := report.of("network"); len(second) != 2 || second[1].Level != Fix || !strings.Contains(second[1].Message, "issuer is unknown") {
		t.Errorf("the certificate of nobody: %+v", second)
	}
	command := line(namespace)
	command.Namespace = "default"
	report, _ = examined(t, command, "--operator-namespace="+namespace)
	report.expect(t, "namespaces", Fix, "and not default")
	report.expect(t, "CBRProjects", Look, "no CBRProject")
}

func TestTheEndpointsClockAndPortAreLookedAt(t *testing.T) {
	namespace := cluster.Namespace(t)
	createSecretWith(t, namespace, map[string]string{v1alpha1.TokenKey: cbrtest.Token})
	cloud := cbrtest.NewServer(t, cbrtest.Options{ClockOffset: -time.Hour})
	treat(t, namespace, cloud.URL)
	command := line(namespace)
	report, _ := examined(t, command, "--operator-namespace="+namespace, "--allowed-endpoints=http://127.0.0.1:*")
	report.expect(t, "leader", Fix, "no lease")
	report.expect(t, "pods", Look, "no Deployment")
	report.expect(t, "rights", Unknown, "not known")
	report.expect(t, "network", OK, "answers")
	clocks := report.of("clock")
	if last := clocks[len(clocks)-1]; last.Level != Fix || !strings.Contains(last.Message, "behind that of the API server") {
		t.Errorf("got %+v", clocks)
	}
	cloud.Close()
	report, _ = examined(t, command, "--operator-namespace="+namespace, "--allowed-endpoints=http://127.0.0.1:*")
	report.expect(t, "network", Fix, "connection refused")
	report, _ = examined(t, command, "--operator-namespace="+namespace, "--probe")
	report.expect(t, "endpoint", Fix, "may not send credentials")
	report.expect(t, "network", Look, "127.0.0.1")
	report.expect(t, "probe", Unknown, "may not be sent")
}

func TestWhatMayNotBeSeenStopsNothing(t *testing.T) {
	namespace := cluster.Namespace(t)
	treat(t, namespace, "https://127.0.0.1:1")
	name := "viewer-" + namespace
	cluster.Create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rulesOf(rightsTo(v1alpha1.GroupVersion.Group, "cbrprojects", "get", "list")...)},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}}})
	command := line(namespace)
	command.User = cluster.User(t, name)
	report, _ := examined(t, command, "--allowed-endpoints=127.0.0.1:*")
	report.expect(t, "your rights", Fix, "see backups")
	report.expect(t, "leader", Unknown, "you may neither list leases")
	report.expect(t, "pods", Unknown, "forbidden")
	report.expect(t, "Secret", Unknown, "you may not get the Secret cbr")
	report.expect(t, "cloud project", OK, "you may not see others")
	report.expect(t, "network", Fix, "connection refused")
}

func TestAPanicOfACheckIsAFinding(t *testing.T) {
	found := (&doctor{}).check(t.Context(), "this", func(context.Context) []Finding { panic("a secret") })
	if len(found) != 1 || found[0].Level != Unknown || strings.Contains(found[0].Message, "secret") {
		t.Errorf("got %+v", found)
	}
}

func TestWithoutAClusterOrAProjectItSaysSo(t *testing.T) {
	got := line("default").Run(t.Context(), "doctor", "--server=https://127.0.0.1:1")
	if got.Status != cli.ExitError || !strings.Contains(got.Err, "reach the cluster") {
		t.Errorf("got %+v", got)
	}
	got = line("default").Run(t.Context(), "doctor", "lost")
	if got.Status != cli.ExitError || !strings.Contains(got.Err, "no CBRProject lost") {
		t.Errorf("got %+v", got)
	}
}

// mark is in each secret of these tests, and must be nowhere else.
const mark = "Zq7MarkedSecret9x"

func TestSecretsAreNeverShown(t *testing.T) {
	iam := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // one that repeats what it is sent
		sent, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": 401, "message": "refused: " + string(sent), "title": "Unauthorized"}})
	}))
	defer iam.Close()
	echo := func(r *http.Request) *cbrtest.APIError {
		return &cbrtest.APIError{Status: 401, Code: "APIGW.0301", Message: "refused: " + r.Header.Get("X-Auth-Token") + r.Header.Get("X-Security-Token") + r.Header.Get("Authorization")}
	}
	for name, of := range map[string]struct {
		kind   v1alpha1.CredentialsType
		data   map[string]string
		echoed bool // by CBR or IAM, so that it had to be taken out
	}{
		"a token":                {v1alpha1.CredentialsToken, map[string]string{"token": mark + strings.Repeat("a", 200)}, true},
		"a token in quotes":      {v1alpha1.CredentialsToken, map[string]string{"token": `"` + mark + `"`}, false},
		"a token as JSON":        {v1alpha1.CredentialsToken, map[string]string{"token": `{"token": "` + mark + `"}`}, false},
		"under another key":      {v1alpha1.CredentialsToken, map[string]string{"tokn": mark}, false},
		"a bad end":              {v1alpha1.CredentialsToken, map[string]string{"token": mark, "expiresAt": mark}, false},
		"an access key":          {v1alpha1.CredentialsAccessKey, map[string]string{"accessKey": mark, "secretKey": mark + "secret", "securityToken": mark + "token"}, true},
		"an access key in lines": {v1alpha1.CredentialsAccessKey, map[string]string{"accessKey": mark + "\n" + mark, "secretKey": mark}, false},
		"half an access key":     {v1alpha1.CredentialsAccessKey, map[string]string{"accessKey": mark}, false},
		"a password":             {v1alpha1.CredentialsPassword, map[string]string{"username": mark + "user", "password": mark + "pass", "domainName": mark + "domain"}, true},
		"half a password":        {v1alpha1.CredentialsPassword, map[string]string{"username": mark}, false},
		"an empty password":      {v1alpha1.CredentialsPassword, map[string]string{"username": mark, "password": " ", "domainName": mark}, false},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := cluster.Namespace(t)
			cloud := cbrtest.NewServer(t, cbrtest.Options{Authenticate: echo, ProjectIDs: []string{"project-" + namespace}})
			createSecretWith(t, namespace, of.data)
			treat(t, namespace, cloud.URL, func(p *v1alpha1.CBRProject) {
				p.Spec.Credentials.Type = of.kind
				if of.kind == v1alpha1.CredentialsPassword {
					p.Spec.IAMEndpoint = iam.URL
				}
			})
			for _, output := range []string{"", "json"} {
				got := line(namespace).Run(t.Context(), "doctor", "--probe", "--output="+output, "--allowed-endpoints=http://127.0.0.1:*", "--operator-namespace="+namespace)
				if strings.Contains(got.Out+got.Err, "MarkedSecret") || strings.Contains(got.Out+got.Err, mark[:12]) {
					t.Errorf("the secret is shown:\n%s%s", got.Out, got.Err)
				}
				if of.echoed && !strings.Contains(got.Out, "[redacted]") {
					t.Errorf("nothing had to be taken out:\n%s%s", got.Out, got.Err)
				}
				if !strings.Contains(got.Out, "probe") {
					t.Errorf("the probe is not told:\n%s%s", got.Out, got.Err)
				}
			}
		})
	}
}

func TestRefusedCredentialsAreNotTriedAgain(t *testing.T) {
	namespace := cluster.Namespace(t)
	asked := false
	cloud := cbrtest.NewServer(t, cbrtest.Options{ProjectIDs: []string{"project-" + namespace}, Authenticate: func(r *http.Request) *cbrtest.APIError {
		asked = asked || r.Header.Get("X-Auth-Token") != ""
		return nil
	}})
	createSecretWith(t, namespace, map[string]string{v1alpha1.TokenKey: cbrtest.Token})
	treat(t, namespace, cloud.URL, func(p *v1alpha1.CBRProject) {
		p.Status.Conditions[0].Status, p.Status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonCredentialsRejected
	})
	report, _ := examined(t, line(namespace), "--probe", "--allowed-endpoints=http://127.0.0.1:*", "--operator-namespace="+namespace)
	report.expect(t, "probe", Unknown, "lock the account")
	if asked {
		t.Error("they were sent")
	}
}
