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

// others lists the other projects: of all namespaces, or, where that is not permitted, of its own, which the text says then.
func (p *patient) others(ctx context.Context) (others []v1alpha1.CBRProject, within string, err error) {
	var list v1alpha1.CBRProjectList
	if err = p.client.List(ctx, &list); err != nil {
		if err = p.client.List(ctx, &list, client.InNamespace(p.project.Namespace)); err != nil {
			return nil, "", err
		}
		within = " in this namespace; you may not see others"
	}
	return slices.DeleteFunc(list.Items, func(each v1alpha1.CBRProject) bool { return each.UID == p.project.UID }), within, nil
}

// checkDuplicates looks for other projects of the same cloud project.
func checkDuplicates(ctx context.Context, p *patient) []Finding {
	list, within, err := p.others(ctx)
	if err != nil {
		return []Finding{unknown("", "list the CBRProjects: %v", err)}
	}
	cloudProject := connection.CloudProjectOf(&p.project.Spec)
	var others []string
	for i := range list {
		if connection.CloudProjectOf(&list[i].Spec) == cloudProject {
			others = append(others, list[i].Namespace+"/"+list[i].Name)
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
	var found []Finding
	refuse := func(what, endpoint string) {
		if p.flagsDoubtful() {
			found = append(found, unknown(nameIt, "whether the operator may send %s to %s: it may not by %s", what, endpoint, source))
			return
		}
		found = append(found, fix("correct the endpoint or the region, or add the host to --allowed-endpoints of the operator",
			"the operator may not send %s to %s, by %s", what, endpoint, source))
	}
	if endpoint := connection.EndpointOf(spec); !patterns.Allow(endpoint) {
		refuse("credentials", endpoint)
	}
	if iam := connection.IAMEndpointOf(spec); spec.Credentials.Type == v1alpha1.CredentialsPassword && !patterns.AllowIAM(iam) {
		refuse("passwords", iam)
	}
	if len(found) == 0 {
		found = append(found, ok("%s is allowed by %s", connection.EndpointOf(spec), source))
	}
	return found
}

// flagsDoubtful reports whether nobody knows the operator's list of endpoints, as it is not certain where the operator runs.
func (d *doctor) flagsDoubtful() bool { return d.allowedEndpoints == "" && !d.installed.certain }

// patterns returns which endpoints the operator allows, and from where that is known. Flags count only where it is certain that they are the
// operator's: whoever writes a Deployment of its labels must not say where the credentials of others may be sent.
func (d *doctor) patterns() (connection.EndpointPatterns, string, error) {
	list, source := connection.DefaultAllowedEndpoints, "the default of --allowed-endpoints (the operator's own flags are not known)"
	switch {
	case d.allowedEndpoints != "":
		list, source = d.allowedEndpoints, "--allowed-endpoints as given here"
	case d.flagsDoubtful():
		source = "the default of --allowed-endpoints (the operator's own flags count only if --operator-namespace names where it runs)"
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
