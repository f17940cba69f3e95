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

package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

const (
	// namespacedExample is a kustomization for the namespaces that follow.
	namespacedExample = "components/namespaced-example"
	teamA, teamB      = "team-a", "team-b"
	// unwatched is a namespace that the kustomization does not name.
	unwatched = "team-c"
	// teamBackups is how many backups each of two teams imports.
	teamBackups = population / 2
)

// namespacedBed is a cluster in which the manager has roles in two namespaces, and none in a third.
type namespacedBed struct {
	*GomegaWithT
	kubernetes *cluster.Cluster
	simulator  *cluster.Simulator
	binary     string
	managers   []*cluster.Manager
}

func newNamespacedBed(t *testing.T) *namespacedBed {
	t.Helper()
	ctx := t.Context()
	shared := testbed.NewWithoutOperator(ctx, t)
	b := &namespacedBed{GomegaWithT: NewWithT(t), kubernetes: shared.Cluster, binary: shared.Manager}
	for _, name := range []string{teamA, teamB, unwatched} {
		b.create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	b.Expect(b.kubernetes.InstallFrom(ctx, namespacedExample)).To(Succeed())
	var err error
	b.simulator, err = b.kubernetes.StartSimulator(ctx, "cbrsim", shared.Simulator, "--latency=300ms", "--task-duration=1s",
		"--project-id="+strings.Join(cloudProjects(), ","))
	b.Expect(err).NotTo(HaveOccurred())
	return b
}

// startManager starts the operator for some namespaces, which waits for seconds where production waits for a minute.
func (b *namespacedBed) startManager(ctx context.Context, namespaces ...string) *cluster.Manager {
	manager, err := b.kubernetes.StartManager(ctx, fmt.Sprintf("manager-%d", len(b.managers)+1), b.binary,
		"--watch-namespaces="+strings.Join(namespaces, ","), "--call-timeout=3s", "--settle-time=4s",
		"--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--metrics-secure=false")
	b.Expect(err).NotTo(HaveOccurred())
	b.managers = append(b.managers, manager)
	return manager
}

func (b *namespacedBed) create(ctx context.Context, objects ...client.Object) {
	for _, object := range objects {
		b.Expect(b.kubernetes.Client.Create(ctx, object)).To(Succeed())
	}
}

// declare creates a Secret, a project of a cloud project of its own, and BackupSyncs in a namespace.
func (b *namespacedBed) declare(ctx context.Context, t tenant, policy v1alpha1.LookupPolicy, backups int) {
	b.create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: "cbr"},
		Data:       map[string][]byte{v1alpha1.TokenKey: []byte(cbrtest.Token)},
	}, b.project(t, "default", policy))
	b.declareBackups(ctx, t, "default", backups)
}

// project returns a project of the cloud project of a tenant.
func (b *namespacedBed) project(t tenant, name string, policy v1alpha1.LookupPolicy) *v1alpha1.CBRProject {
	return &v1alpha1.CBRProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: name},
		Spec: v1alpha1.CBRProjectSpec{
			Endpoint: b.simulator.URL, ProjectID: t.projectID, LookupPolicy: policy,
			Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}},
			Batch:       v1alpha1.Batch{MaxSize: 10, Window: seconds(0.3), MaxWait: seconds(3)},
			Poll:        v1alpha1.Poll{Interval: seconds(0.5)},
			Limits:      v1alpha1.Limits{SyncCallsPerMinute: 1000},
		},
	}
}

// declareBackups creates BackupSyncs of a project.
func (b *namespacedBed) declareBackups(ctx context.Context, t tenant, project string, backups int) {
	var creating errgroup.Group
	creating.SetLimit(8)
	for range backups {
		creating.Go(func() error { return b.kubernetes.Client.Create(ctx, t.backup(project)) })
	}
	b.Expect(creating.Wait()).To(Succeed())
}

// reasons counts the BackupSyncs of a namespace by the reason of Ready.
func (b *namespacedBed) reasons(ctx context.Context, namespace string) func() (map[string]int, error) {
	return func() (map[string]int, error) {
		var list v1alpha1.BackupSyncList
		err := b.kubernetes.Client.List(ctx, &list, client.InNamespace(namespace))
		counts := map[string]int{}
		for _, backup := range list.Items {
			if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
				counts[ready.Reason]++
			}
		}
		return counts, err
	}
}

func (b *namespacedBed) ledger(ctx context.Context) *cluster.Ledger {
	ledger, err := b.simulator.Ledger(ctx)
	b.Expect(err).NotTo(HaveOccurred())
	return ledger
}

// may reports whether the manager's ServiceAccount has a right, by the API server's authorizer.
func (b *namespacedBed) may(ctx context.Context, what authorizationv1.ResourceAttributes) bool {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               "system:serviceaccount:" + cluster.Namespace + ":" + cluster.ServiceAccount,
		Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + cluster.Namespace, "system:authenticated"},
		ResourceAttributes: &what,
	}}
	b.Expect(b.kubernetes.Client.Create(ctx, review)).To(Succeed())
	return review.Status.Allowed
}

// The roles of the kustomization are enough, in one namespace and in several, and nothing is lost or imported twice when the manager
// is killed.
func TestNamespaced(t *testing.T) {
	b := newNamespacedBed(t)
	t.Run("the manager may do in its namespaces what it may do in all otherwise", b.testRoles)
	t.Run("it reads no Secret elsewhere, and lists none", b.testSecrets)
	t.Run("it ends at once while it may not read its namespace", b.testEndsWhileUnreadable)
	t.Run("it imports in one namespace alone", b.testOneNamespace)
	t.Run("it imports in several, and submits nothing again when it is killed", b.testKilled)
	for _, manager := range b.managers {
		log, err := manager.Log()
		b.Expect(err).NotTo(HaveOccurred())
		for _, word := range []string{"forbidden", "panic", "is not watched", "cannot be read"} {
			b.Expect(strings.Contains(log, word)).To(BeFalse(), "the log of %s holds %q", manager.Name, word)
		}
	}
	t.Run("a namespace that it may not read holds up no other", b.testUnreadable)
}

func (b *namespacedBed) testRoles(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	for _, namespace := range []string{teamA, teamB, unwatched, cluster.Namespace, metav1.NamespaceDefault, metav1.NamespaceAll} {
		watched := namespace == teamA || namespace == teamB
		for _, right := range []authorizationv1.ResourceAttributes{
			{Verb: "get", Resource: "secrets"},
			{Verb: "get", Resource: "configmaps"},
			{Verb: "list", Group: ours, Resource: "backupsyncs"},
			{Verb: "watch", Group: ours, Resource: "backupsyncs"},
			{Verb: "watch", Group: ours, Resource: "cbrprojects"},
			{Verb: "patch", Group: ours, Resource: "cbrprojects"},
			{Verb: "patch", Group: ours, Resource: "backupsyncs", Subresource: "status"},
			{Verb: "update", Group: ours, Resource: "cbrprojects", Subresource: "status"},
			{Verb: "create", Group: eventsGroup, Resource: "events"},
		} {
			right.Namespace = namespace
			g.Expect(b.may(ctx, right)).To(Equal(watched), "%+v", right)
		}
		for _, verb := range []string{"list", "watch", "create", "update", "patch", "delete"} {
			for _, resource := range []string{"secrets", "configmaps"} {
				right := authorizationv1.ResourceAttributes{Verb: verb, Resource: resource, Namespace: namespace}
				g.Expect(b.may(ctx, right)).To(BeFalse(), "%+v", right)
			}
		}
	}
	g.Expect(b.clusterRolesOf(ctx)).To(ConsistOf("backupsync-metrics-auth-role"), "what is bound to the manager beyond namespaces")
}

// clusterRolesOf returns the ClusterRoles that the manager has in all namespaces by bindings of its own.
func (b *namespacedBed) clusterRolesOf(ctx context.Context) []string {
	var bindings rbacv1.ClusterRoleBindingList
	b.Expect(b.kubernetes.Client.List(ctx, &bindings)).To(Succeed())
	var roles []string
	for _, binding := range bindings.Items {
		for _, subject := range binding.Subjects {
			if subject.Kind == rbacv1.ServiceAccountKind && subject.Name == cluster.ServiceAccount {
				roles = append(roles, binding.RoleRef.Name)
			}
		}
	}
	return roles
}

func (b *namespacedBed) testSecrets(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	for _, namespace := range []string{teamA, unwatched} {
		b.create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "named"}})
	}
	manager, err := b.kubernetes.ClientOf(ctx, cluster.Namespace, cluster.ServiceAccount)
	g.Expect(err).NotTo(HaveOccurred())
	forbidden := MatchError(apierrors.IsForbidden, "is forbidden")
	g.Expect(manager.Get(ctx, client.ObjectKey{Namespace: teamA, Name: "named"}, &corev1.Secret{})).To(Succeed())
	g.Expect(manager.Get(ctx, client.ObjectKey{Namespace: unwatched, Name: "named"}, &corev1.Secret{})).To(forbidden)
	g.Expect(manager.List(ctx, &corev1.SecretList{}, client.InNamespace(teamA))).To(forbidden)
	g.Expect(manager.List(ctx, &corev1.SecretList{})).To(forbidden)
}

func (b *namespacedBed) testEndsWhileUnreadable(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	manager, err := b.kubernetes.LaunchManager(ctx, "manager-unreadable", b.binary, "--watch-namespaces="+unwatched)
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(manager.Log, time.Minute, "100ms").Should(ContainSubstring("is forbidden"))
	bounded, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	g.Expect(manager.Stop(bounded)).To(Succeed(), "it was ready never, and has begun nothing")
}

func (b *namespacedBed) testOneNamespace(t *testing.T) {
	const count = 12
	g, ctx := NewWithT(t), t.Context()
	one, other := tenant{teamA, cloudProjects()[0]}, tenant{unwatched, cloudProjects()[1]}
	b.declare(ctx, one, v1alpha1.LookupBeforeFirstSubmission, count)
	b.declare(ctx, other, v1alpha1.LookupBeforeFirstSubmission, 1)
	manager := b.startManager(ctx, teamA)
	g.Eventually(b.reasons(ctx, teamA), time.Minute, "200ms").Should(Equal(map[string]int{v1alpha1.ReasonImported: count}))
	g.Expect(b.reasons(ctx, unwatched)()).To(Equal(map[string]int{v1alpha1.ReasonQueued: 1}), "nobody works there")
	g.Expect(b.ledger(ctx).Backups).To(HaveLen(count))
	bounded, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	g.Expect(manager.Stop(bounded)).To(Succeed())
	for _, object := range []client.Object{&v1alpha1.BackupSync{}, &corev1.Secret{}} {
		g.Expect(b.kubernetes.Client.DeleteAllOf(ctx, object, client.InNamespace(teamA))).To(Succeed())
	}
	b.releaseProject(ctx, teamA)
}

// releaseProject deletes the project of a namespace in which no manager works.
func (b *namespacedBed) releaseProject(ctx context.Context, namespace string) {
	project := &v1alpha1.CBRProject{}
	b.Expect(b.kubernetes.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, project)).To(Succeed())
	b.Expect(b.kubernetes.Client.Delete(ctx, project)).To(Succeed())
	released := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}
	b.Expect(client.IgnoreNotFound(b.kubernetes.Client.Patch(ctx, released,
		client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))).To(Succeed())
}

func (b *namespacedBed) testKilled(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	before := len(b.ledger(ctx).Backups)
	teams := []tenant{{teamA, cloudProjects()[2]}, {teamB, cloudProjects()[3]}}
	b.declare(ctx, teams[0], v1alpha1.LookupBeforeFirstSubmission, teamBackups)
	b.declare(ctx, teams[1], v1alpha1.LookupNever, teamBackups)
	killed := b.startManager(ctx, teamA, teamB)
	g.Eventually(func() int { return len(b.ledger(ctx).Backups) - before }, time.Minute, "10ms").Should(BeNumerically(">=", population/4))
	g.Expect(killed.Kill()).To(Succeed())
	taken := b.ledger(ctx)
	g.Expect(len(taken.Backups)-before).To(BeNumerically("<", population), "it is killed in the middle")
	t.Logf("killed after %d calls, with %d backups taken", taken.SyncCalls, len(taken.Backups)-before)

	b.startManager(ctx, teamA, teamB)
	for _, team := range teams {
		g.Eventually(b.reasons(ctx, team.namespace), scenarioTimeout, "200ms").Should(Equal(map[string]int{v1alpha1.ReasonImported: teamBackups}))
	}
	after := b.ledger(ctx)
	g.Expect(after.AcceptedTwice).To(BeEmpty())
	g.Expect(after.Backups).To(HaveLen(before + population))
}

// A manager that starts while one team has cleaned up its RoleBinding imports for the other. A new project there waits, as one of the
// namespace that cannot be read may have its cloud project. All goes on without a restart when the RoleBinding is there again.
func (b *namespacedBed) testUnreadable(t *testing.T) {
	const more = 12
	g, ctx := NewWithT(t), t.Context()
	before := len(b.ledger(ctx).Backups)
	g.Expect(b.managers[len(b.managers)-1].Stop(ctx)).To(Succeed())
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: teamB, Name: "backupsync-manager-rolebinding"}}
	g.Expect(b.kubernetes.Client.Get(ctx, client.ObjectKeyFromObject(binding), binding)).To(Succeed())
	g.Expect(b.kubernetes.Client.Delete(ctx, binding)).To(Succeed())

	manager := b.startManager(ctx, teamA, teamB)
	first, other, fresh := tenant{namespace: teamA}, tenant{namespace: teamB}, tenant{teamA, cloudProjects()[4]}
	b.declareBackups(ctx, first, "default", more)
	b.declareBackups(ctx, other, "default", more)
	b.create(ctx, b.project(fresh, "fresh", v1alpha1.LookupBeforeFirstSubmission))
	b.declareBackups(ctx, fresh, "fresh", more)
	g.Eventually(b.reasons(ctx, teamA), time.Minute, "200ms").Should(Equal(
		map[string]int{v1alpha1.ReasonImported: teamBackups + more, v1alpha1.ReasonQueued: more}))
	waiting := &v1alpha1.CBRProject{}
	g.Eventually(func(g Gomega) {
		g.Expect(b.kubernetes.Client.Get(ctx, client.ObjectKey{Namespace: teamA, Name: "fresh"}, waiting)).To(Succeed())
		ready := meta.FindStatusCondition(waiting.Status.Conditions, v1alpha1.ConditionReady)
		g.Expect(ready).To(And(HaveField("Reason", v1alpha1.ReasonNamespaceUnreadable),
			HaveField("Message", And(ContainSubstring(teamB), ContainSubstring("--watch-namespaces")))))
		g.Expect(waiting.Status.Journal.CloudProject).To(BeEmpty(), "it has not taken the cloud project")
	}, 30*time.Second, "200ms").Should(Succeed())
	g.Expect(b.reasons(ctx, teamB)()).To(HaveKeyWithValue(v1alpha1.ReasonQueued, more), "nobody works there")
	g.Expect(b.ledger(ctx).Backups).To(HaveLen(before + more))
	g.Eventually(b.metrics(ctx, manager), 30*time.Second, "200ms").Should(And(ContainSubstring(`backupsync_namespace_readable{namespace="team-a"} 1`),
		ContainSubstring(`backupsync_namespace_readable{namespace="team-b"} 0`)))
	log, err := manager.Log()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strings.Count(log, "forbidden")).To(Equal(1), "it is logged once:\n%s", log)

	binding.ResourceVersion = ""
	b.create(ctx, binding)
	g.Eventually(b.reasons(ctx, teamB), scenarioTimeout, "200ms").Should(Equal(map[string]int{v1alpha1.ReasonImported: teamBackups + more}))
	g.Eventually(b.reasons(ctx, teamA), scenarioTimeout, "200ms").Should(Equal(map[string]int{v1alpha1.ReasonImported: teamBackups + 2*more}))
	g.Expect(b.metrics(ctx, manager)()).To(ContainSubstring(`backupsync_namespace_readable{namespace="team-b"} 1`))
	after := b.ledger(ctx)
	g.Expect(after.AcceptedTwice).To(BeEmpty())
	g.Expect(after.Backups).To(HaveLen(before + 3*more))
}

// metrics returns what a manager exports.
func (b *namespacedBed) metrics(ctx context.Context, of *cluster.Manager) func() string {
	return func() string { return get(ctx, b.GomegaWithT, strings.Replace(of.MetricsURL, "https:", "http:", 1)) }
}
