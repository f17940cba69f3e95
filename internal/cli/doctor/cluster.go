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
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/controller"
)

const applyCRDs = "helm upgrade, or kubectl apply -k config/crd, of the version that the operator has"

// checkCRDs compares the CRDs with what this version needs.
func (d *doctor) checkCRDs(ctx context.Context) []Finding {
	published, err := discovery.NewDiscoveryClientForConfig(d.config)
	if err == nil {
		err = controller.NewSchemaCheck(published.OpenAPIV3(), logr.Discard()).Check(ctx, d.now())
	}
	switch {
	case err == nil:
		return []Finding{ok("those of %s have every field and selectable field that this version uses", v1alpha1.GroupVersion)}
	case controller.IsCRDsOutdated(err):
		return []Finding{fix(applyCRDs, "%s. Nothing is imported until they fit", strings.Replace(err.Error(), "the operator", "this version ("+d.f.Version+")", 1))}
	default:
		return []Finding{unknown("", "%v", err)}
	}
}

// errUnauthorized says that nothing could be checked.
var errUnauthorized = errors.New("the cluster does not know you (401 Unauthorized): the token or certificate of the kubeconfig has ended, or is another cluster's. Log in again")

// serverTime asks the API server for the time, and whether it answers at all.
func serverTime(ctx context.Context, config *rest.Config) (time.Time, error) {
	config = rest.CopyConfig(config)
	made, err := rest.HTTPClientFor(config)
	if err != nil {
		return time.Time{}, fmt.Errorf("make a client of the cluster: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return time.Time{}, fmt.Errorf("find the cluster: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("version").String(), nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("find the cluster: %w", err)
	}
	response, err := made.Do(request)
	if err != nil {
		return time.Time{}, fmt.Errorf("reach the cluster: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized {
		return time.Time{}, errUnauthorized
	}
	date, _ := http.ParseTime(response.Header.Get("Date"))
	return date, nil
}

// Differences of clocks.
const (
	// noticeable is what a header can show that counts whole seconds.
	noticeable = 5 * time.Second
	// dangerous is near to what signatures of access keys tolerate, which is 15 minutes.
	dangerous = 5 * time.Minute
)

// judgeClock judges how far a clock is ahead of another one.
func judgeClock(whose string, skew time.Duration, other string) Finding {
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	text := fmt.Sprintf("%s is %s %s %s", whose, skew.Abs().Round(time.Second), direction, other)
	switch {
	case skew.Abs() < noticeable:
		return ok("%s agrees with %s", whose, other)
	case skew.Abs() < dangerous:
		return look("set the clocks by NTP", "%s", text)
	default:
		return fix("set the clocks by NTP", "%s. Signatures of access keys are refused beyond 15 minutes", text)
	}
}

// checkClock compares the clock of the API server with the one here.
func (d *doctor) checkClock(context.Context) []Finding {
	if d.serverDate.IsZero() {
		return []Finding{unknown("", "the API server does not tell its time")}
	}
	return []Finding{judgeClock("the clock of the API server", d.skew, "the clock of this machine")}
}

// right is something that somebody must be able to do.
type right struct{ group, resource, subresource, verb, name string }

func (r right) String() string {
	resource := r.resource
	if r.subresource != "" {
		resource += "/" + r.subresource
	}
	if r.group != "" {
		resource += "." + r.group
	}
	if r.name != "" {
		resource += " " + r.name
	}
	return r.verb + " " + resource
}

func (r right) attributes(namespace string) *authorizationv1.ResourceAttributes {
	return &authorizationv1.ResourceAttributes{Namespace: namespace, Group: r.group, Resource: r.resource, Subresource: r.subresource, Verb: r.verb, Name: r.name}
}

func rightsTo(group, resource string, verbs ...string) []right {
	resource, subresource, _ := strings.Cut(resource, "/")
	rights := make([]right, len(verbs))
	for i, verb := range verbs {
		rights[i] = right{group: group, resource: resource, subresource: subresource, verb: verb}
	}
	return rights
}

// userRights are what the commands take, and what for.
var userRights = []struct {
	right
	level Level
	use   string
}{
	{right{group: v1alpha1.GroupVersion.Group, resource: "backupsyncs", verb: "list"}, Fix, "see backups"},
	{right{group: v1alpha1.GroupVersion.Group, resource: "cbrprojects", verb: "list"}, Fix, "see projects"},
	{right{group: v1alpha1.GroupVersion.Group, resource: "backupsyncs", verb: "create"}, Look, "declare backups"},
	{right{group: v1alpha1.GroupVersion.Group, resource: "backupsyncs", verb: "patch"}, Look, "retry, suspend and resume backups"},
	{right{group: v1alpha1.GroupVersion.Group, resource: "cbrprojects", verb: "patch"}, Look, "retry, suspend and resume projects"},
}

// checkUser asks what the user may do.
func (d *doctor) checkUser(ctx context.Context) []Finding {
	var found []Finding
	for _, each := range userRights {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: each.attributes(d.namespace)}}
		if err := d.client.Create(ctx, review); err != nil {
			return []Finding{unknown("", "ask what you may do: %v", err)}
		}
		if !review.Status.Allowed {
			found = append(found, Finding{Level: each.level, Message: fmt.Sprintf("you may not %s in namespace %s (%s)", each.use, d.namespace, each.right),
				Do: "have a role bound to you: view sees, edit writes backups, admin writes projects"})
		}
	}
	if len(found) == 0 {
		return []Finding{ok("you may read and write BackupSyncs and CBRProjects in namespace %s", d.namespace)}
	}
	return found
}
