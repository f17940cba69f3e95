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
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/connection"
)

// checkConditions repeats what the operator says of a project.
func checkConditions(_ context.Context, p *patient) []Finding {
	project := p.project
	found := []Finding{judgeReady(project)}
	if expiring := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionCredentialsExpiring); expiring != nil {
		found = append(found, look("put new credentials into the Secret", "%s", expiring.Message))
	}
	if counts := project.Status.Backups; counts != nil && counts.Failed > 0 {
		found = append(found, look(fmt.Sprintf("kubectl backupsync retry --all-failed --project=%s --dry-run=client -n %s", project.Name, project.Namespace),
			"%d of its %d backups have failed", counts.Failed, counts.Total))
	}
	if audit := project.Status.Audit; audit != nil && audit.Missing+audit.Unusable > 0 {
		found = append(found, look(fmt.Sprintf("kubectl backupsync retry --unavailable --project=%s --dry-run=client -n %s", project.Name, project.Namespace),
			"CBR does not have %d of its imported backups any more, and shows %d in status error", audit.Missing, audit.Unusable))
	}
	return found
}

// judgeReady judges the condition Ready.
func judgeReady(project *v1alpha1.CBRProject) Finding {
	conditions := project.Status.Conditions
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || ready.Reason == v1alpha1.ReasonPending:
		return fix("see what is said of the operator", "the operator has not looked at it yet: it does not run, or does not watch this namespace")
	case project.Spec.Suspend:
		return look(fmt.Sprintf("kubectl backupsync resume project %s -n %s", project.Name, project.Namespace), "it is suspended: nothing is sent")
	case meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled):
		return fix("docs/cbrproject.md has this reason", "%s: %s", ready.Reason, ready.Message)
	case project.Status.ObservedGeneration < project.Generation:
		return look("", "the operator has not looked at its latest edit yet")
	case ready.Status == metav1.ConditionTrue:
		return ok("%s", ready.Reason)
	default:
		return look("", "%s: %s", ready.Reason, ready.Message)
	}
}

// stuckAfter is when a deletion has taken too long: the operator lets go of a project after 5 minutes.
const stuckAfter = 6 * time.Minute

// checkDeletion looks for finalizers that hold a project.
func checkDeletion(_ context.Context, p *patient) []Finding {
	project := p.project
	if project.DeletionTimestamp == nil {
		return nil
	}
	since := p.serverNow().Sub(project.DeletionTimestamp.Time).Round(time.Second)
	held := strings.Join(project.Finalizers, ", ")
	if since < stuckAfter {
		return []Finding{look("", "it has been being deleted for %s, and is held by %s: the operator lets go of it when the outcome of its calls is known, after 5 minutes at most", since, held)}
	}
	return []Finding{fix("have the operator run: it lets go by itself. Else docs/operations.md says how to remove the finalizer",
		"its deletion hangs for %s on %s", since, held)}
}

// checkDuplicates looks for other projects of the same cloud project.
func checkDuplicates(ctx context.Context, p *patient) []Finding {
	var list v1alpha1.CBRProjectList
	var within string
	if err := p.client.List(ctx, &list); err != nil {
		if err = p.client.List(ctx, &list, client.InNamespace(p.project.Namespace)); err != nil {
			return []Finding{unknown("", "list the CBRProjects: %v", err)}
		}
		within = " in this namespace; you may not see others"
	}
	cloudProject := connection.CloudProjectOf(&p.project.Spec)
	var others []string
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID != p.project.UID && connection.CloudProjectOf(&other.Spec) == cloudProject {
			others = append(others, other.Namespace+"/"+other.Name)
		}
	}
	if len(others) > 0 {
		return []Finding{fix("delete all but one, and declare the backups in its namespace", "other CBRProjects import into the same cloud project: %s. The oldest has it",
			strings.Join(others, ", "))}
	}
	if within != "" {
		return []Finding{ok("it is the only one of its cloud project%s", within)}
	}
	return []Finding{ok("it is the only one of its cloud project")}
}

// checkEndpoints asks the operator's list whether credentials may be sent to the project's endpoints.
func checkEndpoints(_ context.Context, p *patient) []Finding {
	spec := &p.project.Spec
	patterns, source, err := p.patterns()
	if err != nil {
		return []Finding{unknown("", "read --allowed-endpoints of the operator: %v", err)}
	}
	const do = "correct the endpoint or the region, or add the host to --allowed-endpoints of the operator"
	var found []Finding
	if endpoint := connection.EndpointOf(spec); !patterns.Allow(endpoint) {
		found = append(found, fix(do, "the operator may not send credentials to %s, by %s", endpoint, source))
	}
	if iam := connection.IAMEndpointOf(spec); spec.Credentials.Type == v1alpha1.CredentialsPassword && !patterns.AllowIAM(iam) {
		found = append(found, fix(do, "the operator may not send passwords to %s, by %s", iam, source))
	}
	if len(found) == 0 {
		found = append(found, ok("%s is allowed by %s", connection.EndpointOf(spec), source))
	}
	return found
}

// patterns returns which endpoints the operator allows, and from where that is known.
func (d *doctor) patterns() (connection.EndpointPatterns, string, error) {
	list, source := connection.DefaultAllowedEndpoints, "the default of --allowed-endpoints (the operator's own flags are not known)"
	switch {
	case d.allowedEndpoints != "":
		list, source = d.allowedEndpoints, "--allowed-endpoints as given here"
	case d.installed.settings.known:
		list, source = d.installed.settings.allowedEndpoints, "--allowed-endpoints of the operator"
	}
	patterns, err := connection.ParseEndpointPatterns(list)
	return patterns, source, err
}

// mayUsePodIdentity reports whether projects of a namespace may use the identity of the operator's pod.
func (s settings) mayUsePodIdentity(namespace string) bool {
	names := strings.FieldsFunc(s.podIdentityIn, func(r rune) bool { return r == ',' || r == ' ' })
	return !s.podIdentityIsSet || slices.Contains(names, "*") || slices.Contains(names, namespace)
}
