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
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

func TestTheReportForPeople(t *testing.T) {
	findings := slices.Concat(
		about("cluster", named("clock", []Finding{judgeClock("the clock of the API server", -7*time.Minute, "the clock of this machine")})),
		about("operator", named("leader", []Finding{judgeLease(lease("pod-1_id", 3*time.Second), epoch), judgeLease(lease("pod-1_id", time.Hour), epoch)})),
		about("CBRProject backups/default", named("Secret", []Finding{unknown("ask somebody who may", "you may not get the Secret %s", "cbr"), look("", "it is suspended")})))
	var text bytes.Buffer
	if err := reportOf(findings).text(&text); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "report.txt")
	if *update {
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("the report differs from %s:\n%s", path, text.String())
	}
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func lease(holder string, age time.Duration) *coordinationv1.Lease {
	renewed, duration := metav1.NewMicroTime(epoch.Add(-age)), int32(15)
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "backupsync-system", Name: leaseName},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &renewed, LeaseDurationSeconds: &duration}}
}

func TestALeaseTellsWhetherSomebodyLeads(t *testing.T) {
	for name, of := range map[string]struct {
		lease *coordinationv1.Lease
		want  Level
	}{
		"renewed":       {lease("pod", time.Second), OK},
		"a little late": {lease("pod", 20*time.Second), Look},
		"silent":        {lease("pod", time.Minute), Fix},
		"given away":    {lease("", time.Second), Fix},
		"never renewed": {&coordinationv1.Lease{}, Fix},
	} {
		if got := judgeLease(of.lease, epoch); got.Level != of.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestClocksMayDifferALittle(t *testing.T) {
	for skew, want := range map[time.Duration]Level{time.Second: OK, -4 * time.Second: OK, 10 * time.Second: Look, -time.Hour: Fix, 5 * time.Minute: Fix} {
		if got := judgeClock("this", skew, "that"); got.Level != want {
			t.Errorf("%s: %+v", skew, got)
		}
	}
}

func deployment(replicas, ready int32, arguments ...string) *appsv1.Deployment {
	made := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "backupsync-system", Name: "manager"}}
	made.Spec.Replicas, made.Status.ReadyReplicas = &replicas, ready
	made.Spec.Template.Spec.Containers = []corev1.Container{{Name: "manager", Args: arguments}}
	return made
}

func TestADeploymentTellsWhetherItsPodsRun(t *testing.T) {
	refused := deployment(2, 0)
	refused.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `violates PodSecurity "restricted"`}}
	for name, of := range map[string]struct {
		deployment *appsv1.Deployment
		want       Level
		says       string
	}{
		"well":         {deployment(2, 2), OK, "2 of 2"},
		"one short":    {deployment(2, 1), Look, "1 of 2"},
		"none":         {deployment(2, 0), Fix, "no pod"},
		"switched off": {deployment(0, 0), Fix, "scaled to 0"},
		"refused":      {refused, Fix, "PodSecurity"},
	} {
		if got := judgeDeployment(of.deployment); len(got) != 1 || got[0].Level != of.want || !strings.Contains(got[0].Message, of.says) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "manager-1"}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "manager", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
	if got := judgePod(pod); len(got) != 1 || got[0].Level != Fix || !strings.Contains(got[0].Message, "CrashLoopBackOff") {
		t.Errorf("a pod that crashes: %+v", got)
	}
}

func TestTheFlagsOfTheOperatorAreRead(t *testing.T) {
	got := settingsOf(deployment(1, 1, "--leader-elect", "--watch-namespaces=a,b", "--allowed-endpoints", "cbr.example.org", "--pod-identity-namespaces="))
	if !got.known || got.leaderElectionOff || !slices.Equal(got.watchNamespaces, []string{"a", "b"}) || got.allowedEndpoints != "cbr.example.org" ||
		got.mayUsePodIdentity("a") {
		t.Errorf("got %+v", got)
	}
	if got := settingsOf(deployment(1, 1)); !got.leaderElectionOff || !got.mayUsePodIdentity("a") || len(got.watchNamespaces) > 0 {
		t.Errorf("without flags: %+v", got)
	}
}

func TestAProjectsConditionsAreJudged(t *testing.T) {
	project := func(ready metav1.ConditionStatus, reason string, stalled bool, change ...func(*v1alpha1.CBRProject)) *v1alpha1.CBRProject {
		made := &v1alpha1.CBRProject{}
		made.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready, Reason: reason}}
		if stalled {
			made.Status.Conditions = append(made.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue})
		}
		for _, each := range change {
			each(made)
		}
		return made
	}
	for name, of := range map[string]struct {
		project *v1alpha1.CBRProject
		want    Level
	}{
		"usable":      {project(metav1.ConditionTrue, v1alpha1.ReasonUsable, false), OK},
		"unseen":      {project(metav1.ConditionUnknown, v1alpha1.ReasonPending, false), Fix},
		"stalled":     {project(metav1.ConditionFalse, v1alpha1.ReasonCredentialsMissing, true), Fix},
		"throttled":   {project(metav1.ConditionUnknown, v1alpha1.ReasonThrottled, false), Look},
		"suspended":   {project(metav1.ConditionUnknown, v1alpha1.ReasonSuspended, false, func(p *v1alpha1.CBRProject) { p.Spec.Suspend = true }), Look},
		"just edited": {project(metav1.ConditionTrue, v1alpha1.ReasonUsable, false, func(p *v1alpha1.CBRProject) { p.Generation = 2 }), Look},
	} {
		if got := judgeReady(of.project); got.Level != of.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What is asked about the operator's rights must be what its roles give: no more, and no less.
// kubectl takes no flags between its own name and that of a plugin.
func TestCommandsToRunAreThoseOfAPlugin(t *testing.T) {
	of := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: "backups", Name: "default"}}
	of.Spec.Suspend = true
	of.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonSuspended}}
	of.Status.Backups = &v1alpha1.BackupCounts{Total: 3, Failed: 1}
	of.Status.Audit = &v1alpha1.AuditSummary{Missing: 1}
	found := checkConditions(t.Context(), &patient{project: of})
	if len(found) != 3 {
		t.Errorf("got %+v", found)
	}
	for _, each := range found {
		if !strings.HasPrefix(each.Do, "kubectl backupsync ") || !strings.HasSuffix(each.Do, " -n backups") {
			t.Errorf("this is no command: %s", each.Do)
		}
	}
}

func TestTheRightsAskedForAreThoseOfTheRoles(t *testing.T) {
	root := filepath.Join("..", "..", "..", "config")
	for path, want := range map[string][]right{
		filepath.Join("rbac", "role.yaml"):                             operatorRights,
		filepath.Join("components", "namespaced", "role", "role.yaml"): operatorRights,
		filepath.Join("rbac", "leader_election_role.yaml"):             leaseRights,
	} {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		var role rbacv1.Role
		if err := yaml.Unmarshal(data, &role); err != nil {
			t.Fatal(err)
		}
		var given []string
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, each := range rightsTo(rule.APIGroups[0], resource, rule.Verbs...) {
					each.name = strings.Join(rule.ResourceNames, ",")
					given = append(given, each.String())
				}
			}
		}
		var asked []string
		for _, each := range want {
			asked = append(asked, each.String())
		}
		slices.Sort(given)
		slices.Sort(asked)
		if !slices.Equal(given, asked) {
			t.Errorf("%s gives %v, and %v is asked for", path, given, asked)
		}
	}
}
