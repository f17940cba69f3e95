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
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/liveness"
	"backupsync.dev/operator/internal/cli/text"
	"backupsync.dev/operator/internal/connection"
)

const (
	leaseName      = liveness.LeaseName
	usualNamespace = liveness.UsualNamespace
	// podLabel is at the operator's Deployment and pods, of config/default and of the chart.
	podLabelKey, podLabelValue = "control-plane", "controller-manager"
	nameLabelKey, nameLabel    = "app.kubernetes.io/name", "backupsync"
)

// installation is what was found of the operator.
type installation struct {
	namespace  string // "" if it is not known
	certain    bool   // that it is the operator's, and not that of whoever has put a lease there
	deployment *appsv1.Deployment
	settings   settings
}

// settings are the operator's flags, as far as they matter here.
type settings struct {
	known             bool
	allowedEndpoints  string
	watchNamespaces   []string
	podIdentityIn     string
	podIdentityIsSet  bool
	leaderElectionOff bool
}

// settingsOf reads the flags of a Deployment.
func settingsOf(deployment *appsv1.Deployment) settings {
	found := settings{known: true, allowedEndpoints: connection.DefaultAllowedEndpoints, leaderElectionOff: true}
	for _, container := range deployment.Spec.Template.Spec.Containers {
		for i, argument := range container.Args {
			name, value, given := strings.Cut(strings.TrimLeft(argument, "-"), "=")
			if !given && i+1 < len(container.Args) && !strings.HasPrefix(container.Args[i+1], "-") {
				value = container.Args[i+1]
			}
			switch name {
			case "allowed-endpoints":
				found.allowedEndpoints = value
			case "watch-namespaces":
				found.watchNamespaces = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
			case "pod-identity-namespaces":
				found.podIdentityIn, found.podIdentityIsSet = value, true
			case "leader-elect":
				found.leaderElectionOff = value == "false"
			}
		}
	}
	return found
}

// nameIt is what to do where it is not certain which namespace is the operator's.
const nameIt = "--operator-namespace names where the operator runs"

// findOperator finds the operator by its lease, and its Deployment beside that.
func (d *doctor) findOperator(ctx context.Context) (found []Finding) {
	leases, err := d.leases(ctx)
	d.installed.namespace, d.installed.certain = d.locate(leases)
	switch {
	case err != nil:
		found = append(found, unknown(nameIt, "read the lease %s: %v", leaseName, err))
	case len(leases) == 0:
		found = append(found, fix("install the operator: docs/install.md; or name its namespace by --operator-namespace",
			"there is no lease %s%s: no operator has ever led here, or it runs without --leader-elect", leaseName, d.where()))
	case len(leases) > 1:
		found = append(found, look(nameIt+"; kubectl get lease -A --field-selector metadata.name="+leaseName,
			"%d namespaces have a lease of the operator's name: %s. That is right only if each has an operator that watches namespaces of its own",
			len(leases), namespacesOf(leases)))
	}
	for i := range leases {
		if d.installed.namespace == "" || leases[i].Namespace == d.installed.namespace {
			found = append(found, judgeLease(&leases[i], d.serverNow()))
		}
	}
	return named("leader", found)
}

// locate returns the namespace that the operator runs in, as far as its leases tell, and whether that is certain. Whoever may write leases in some
// namespace can make one of that name, and a Deployment beside it with flags of their choice.
func (d *doctor) locate(leases []coordinationv1.Lease) (namespace string, certain bool) {
	usual := slices.ContainsFunc(leases, func(each coordinationv1.Lease) bool { return each.Namespace == usualNamespace })
	switch {
	case d.operatorNamespace != "":
		return d.operatorNamespace, true
	case len(leases) == 0:
		return usualNamespace, true
	case usual:
		return usualNamespace, len(leases) == 1
	case len(leases) == 1:
		return leases[0].Namespace, false
	default:
		return "", false
	}
}

func (d *doctor) where() string {
	if d.operatorNamespace != "" {
		return " in namespace " + d.operatorNamespace
	}
	return ""
}

func namespacesOf(leases []coordinationv1.Lease) string {
	names := make([]string, len(leases))
	for i := range leases {
		names[i] = leases[i].Namespace
	}
	return strings.Join(names, ", ")
}

// leases returns the operators' leases: of all namespaces, or of the one where the operator usually is, if not all may be read.
func (d *doctor) leases(ctx context.Context) ([]coordinationv1.Lease, error) {
	var list coordinationv1.LeaseList
	err := d.client.List(ctx, &list, client.InNamespace(d.operatorNamespace), client.MatchingFields{"metadata.name": leaseName})
	if err == nil {
		return list.Items, nil
	}
	if !apierrors.IsForbidden(err) {
		return nil, err
	}
	var lease coordinationv1.Lease
	refused := d.client.Get(ctx, client.ObjectKey{Namespace: cmp.Or(d.operatorNamespace, usualNamespace), Name: leaseName}, &lease)
	if refused != nil {
		return nil, fmt.Errorf("you may neither list leases nor get that of namespace %s: %w", cmp.Or(d.operatorNamespace, usualNamespace), refused)
	}
	return []coordinationv1.Lease{lease}, nil
}

func renewed(lease *coordinationv1.Lease) time.Time {
	if lease.Spec.RenewTime == nil {
		return time.Time{}
	}
	return lease.Spec.RenewTime.Time
}

// judgeLease judges whether somebody leads. Beyond twice its duration a standby would have taken the lease.
func judgeLease(lease *coordinationv1.Lease, now time.Time) Finding {
	holder, duration := liveness.Holder(lease), max(liveness.Length(lease), noticeable)
	age := now.Sub(renewed(lease))
	do := fmt.Sprintf("kubectl -n %s get pods; kubectl -n %s logs deploy/backupsync-controller-manager", lease.Namespace, lease.Namespace)
	switch {
	case holder == "":
		return fix(do, "nobody leads: the lease in namespace %s has no holder. The operator was stopped", lease.Namespace)
	case age < -liveness.Tolerance:
		return fix("set the clocks by NTP; or, if the operator runs elsewhere, name its namespace by --operator-namespace",
			"%s in namespace %s has dated its lease %s ahead, which tells nothing: its clock is wrong, or it is not the operator", holder, lease.Namespace,
			text.Age(-age))
	case age > 2*duration:
		return fix(do, "%s in namespace %s has not renewed its lease for %s: no operator runs, or it does not reach the API server", holder, lease.Namespace,
			age.Round(time.Second))
	case age > duration:
		return look(do, "%s in namespace %s has not renewed its lease for %s, which lasts %s", holder, lease.Namespace, age.Round(time.Second), duration)
	default:
		return ok("%s leads, in namespace %s", holder, lease.Namespace)
	}
}

// checkDeployment looks at the Deployment and its pods.
func (d *doctor) checkDeployment(ctx context.Context) []Finding {
	namespace := d.installed.namespace
	if namespace == "" {
		return []Finding{unknown(nameIt, "several namespaces have a lease of the operator's name")}
	}
	var list appsv1.DeploymentList
	if err := d.client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{podLabelKey: podLabelValue}); err != nil {
		return []Finding{unknown("", "list the Deployments of namespace %s: %v", namespace, err)}
	}
	ours := slices.DeleteFunc(list.Items, func(each appsv1.Deployment) bool { return each.Spec.Template.Labels[nameLabelKey] != nameLabel })
	if len(ours) == 0 {
		return []Finding{look(nameIt,
			"namespace %s has no Deployment with the labels of the operator's: its flags and its ServiceAccount are not known", namespace)}
	}
	d.installed.deployment, d.installed.settings = &ours[0], settingsOf(&ours[0])
	found := judgeDeployment(&ours[0])
	return append(found, d.checkPods(ctx, &ours[0])...)
}

// judgeDeployment judges how many replicas there are, and why not.
func judgeDeployment(deployment *appsv1.Deployment) []Finding {
	wanted := int32(1)
	if deployment.Spec.Replicas != nil {
		wanted = *deployment.Spec.Replicas
	}
	name, ready := deployment.Namespace+"/"+deployment.Name, deployment.Status.ReadyReplicas
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue { // Pod Security, quotas
			return []Finding{fix("kubectl -n "+deployment.Namespace+" describe deploy "+deployment.Name, "pods of %s cannot be created: %s", name, condition.Message)}
		}
	}
	do := fmt.Sprintf("kubectl -n %s scale deploy %s --replicas=2", deployment.Namespace, deployment.Name)
	pods := "kubectl -n " + deployment.Namespace + " describe pods -l " + podLabelKey + "=" + podLabelValue
	switch {
	case wanted == 0:
		return []Finding{fix(do, "%s is scaled to 0: the operator is switched off", name)}
	case ready == 0:
		return []Finding{fix(pods, "no pod of %s is ready, of %d", name, wanted)}
	case ready < wanted:
		return []Finding{look(pods, "%d of %d pods of %s are ready", ready, wanted, name)}
	default:
		return []Finding{ok("%d of %d pods of %s are ready", ready, wanted, name)}
	}
}

// checkPods looks for containers that do not run.
func (d *doctor) checkPods(ctx context.Context, deployment *appsv1.Deployment) []Finding {
	if deployment.Spec.Selector == nil {
		return nil
	}
	var pods corev1.PodList
	if err := d.client.List(ctx, &pods, client.InNamespace(deployment.Namespace), client.MatchingLabels(deployment.Spec.Selector.MatchLabels)); err != nil {
		return []Finding{unknown("", "list the pods of namespace %s: %v", deployment.Namespace, err)}
	}
	var found []Finding
	for i := range pods.Items {
		found = append(found, judgePod(&pods.Items[i])...)
	}
	return found
}

// judgePod tells why a container does not run, or has ended.
func judgePod(pod *corev1.Pod) []Finding {
	do := fmt.Sprintf("kubectl -n %s logs %s --previous", pod.Namespace, pod.Name)
	var found []Finding
	for _, each := range pod.Status.ContainerStatuses {
		waiting, ended := each.State.Waiting, each.LastTerminationState.Terminated
		switch {
		case waiting != nil && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing":
			found = append(found, fix(do, "the container %s of pod %s waits: %s %s", each.Name, pod.Name, waiting.Reason, waiting.Message))
		case ended != nil:
			found = append(found, look(do, "the container %s of pod %s has ended %d times, last by %s (exit %d)", each.Name, pod.Name, each.RestartCount, ended.Reason, ended.ExitCode))
		}
	}
	return found
}

// operatorRights are those of config/rbac/role.yaml, and in a namespace of config/components/namespaced.
var operatorRights = slices.Concat(
	rightsTo("", "configmaps", "get"), rightsTo("", "secrets", "get"),
	rightsTo(v1alpha1.GroupVersion.Group, "backupsyncs", "get", "list", "watch"),
	rightsTo(v1alpha1.GroupVersion.Group, "backupsyncs/status", "patch", "update"),
	rightsTo(v1alpha1.GroupVersion.Group, "cbrprojects/status", "patch", "update"),
	rightsTo(v1alpha1.GroupVersion.Group, "cbrprojects", "get", "list", "patch", "watch"),
	rightsTo("events.k8s.io", "events", "create", "patch"))

// leaseRights are those of config/rbac/leader_election_role.yaml, in the operator's own namespace.
// Whoever creates a lease cannot be bound to its name.
var leaseRights = []right{
	{group: "coordination.k8s.io", resource: "leases", verb: "create"},
	{group: "coordination.k8s.io", resource: "leases", verb: "get", name: leaseName},
	{group: "coordination.k8s.io", resource: "leases", verb: "update", name: leaseName},
}

// checkOperatorRights asks what the operator's ServiceAccount may do.
func (d *doctor) checkOperatorRights(ctx context.Context) []Finding {
	deployment := d.installed.deployment
	if deployment == nil {
		return []Finding{unknown("", "the operator's ServiceAccount is not known, as its Deployment was not found")}
	}
	account := cmp.Or(deployment.Spec.Template.Spec.ServiceAccountName, "default")
	watched := d.installed.settings.watchNamespaces
	if len(watched) == 0 {
		watched = []string{""}
	}
	var missing []string
	ask := func(namespace string, rights []right) error {
		for _, each := range rights {
			allowed, err := d.mayAccount(ctx, deployment.Namespace, account, each, namespace)
			if err != nil {
				return err
			}
			if !allowed {
				missing = append(missing, each.String()+" in "+cmp.Or(namespace, "all namespaces"))
			}
		}
		return nil
	}
	err := ask(deployment.Namespace, leaseRights)
	for i := 0; err == nil && i < len(watched); i++ {
		err = ask(watched[i], operatorRights)
	}
	switch {
	case apierrors.IsForbidden(err):
		return []Finding{unknown("", "you may not create subjectaccessreviews, which tell what the operator may do")}
	case err != nil:
		return []Finding{unknown("", "ask what the operator may do: %v", err)}
	case len(missing) > 0:
		return []Finding{fix("kubectl apply -k config/default, or helm upgrade; of namespaces alone, config/components/namespaced",
			"its ServiceAccount %s/%s may not %s", deployment.Namespace, account, strings.Join(missing, "; "))}
	default:
		return []Finding{ok("its ServiceAccount %s/%s has the rights that it needs", deployment.Namespace, account)}
	}
}

func (d *doctor) mayAccount(ctx context.Context, namespace, account string, what right, in string) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               "system:serviceaccount:" + namespace + ":" + account,
		Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		ResourceAttributes: what.attributes(in)}}
	err := d.client.Create(ctx, review)
	return review.Status.Allowed, err
}

// checkWatched tells whether the operator works in the namespace at all.
func (d *doctor) checkWatched(context.Context) []Finding {
	watched := d.installed.settings.watchNamespaces
	switch {
	case !d.installed.settings.known:
		return []Finding{unknown("", "the operator's flags are not known, as its Deployment was not found")}
	case len(watched) > 0 && !slices.Contains(watched, d.namespace):
		return []Finding{fix("add the namespace to --watch-namespaces of the operator, with the roles of config/components/namespaced",
			"the operator watches the namespaces %s, and not %s: nothing is imported here", strings.Join(watched, ", "), d.namespace)}
	default:
		return []Finding{ok("the operator watches namespace %s", d.namespace)}
	}
}
