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

package act

import (
	"fmt"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/internal/backupsync"
)

// keeper is a tool that applies an object from elsewhere, and so takes back what was changed here.
type keeper struct {
	tool string // "Flux"
	what string // what of the tool applies the object: "the Kustomization flux-system/erp"
	// pause is how to keep the tool from that meanwhile, "" if it does so only when a person has it do so.
	pause string
}

// Labels and annotations of tools.
const (
	fluxKustomization = "kustomize.toolkit.fluxcd.io"
	fluxHelmRelease   = "helm.toolkit.fluxcd.io"
	argoTracking      = "argocd.argoproj.io/tracking-id"
	argoInstance      = "argocd.argoproj.io/instance"
	helmRelease       = "meta.helm.sh/release-name"
)

// managers are the field managers of tools that apply an object without a mark on it.
var managers = map[string]keeper{
	"kustomize-controller":          {tool: "Flux", what: "a Kustomization"},
	"helm-controller":               {tool: "Flux", what: "a HelmRelease"},
	"argocd-controller":             {tool: "Argo CD", what: "an Application"},
	"argocd-application-controller": {tool: "Argo CD", what: "an Application"},
}

// keeperOf returns which tool applies an object, false if none is known.
func keeperOf(object metav1.Object) (keeper, bool) {
	labels, annotations := object.GetLabels(), object.GetAnnotations()
	switch {
	case labels[fluxKustomization+"/name"] != "":
		return fluxKeeper("Kustomization", labels[fluxKustomization+"/namespace"], labels[fluxKustomization+"/name"]), true
	case labels[fluxHelmRelease+"/name"] != "":
		return fluxKeeper("HelmRelease", labels[fluxHelmRelease+"/namespace"], labels[fluxHelmRelease+"/name"]), true
	case annotations[argoTracking] != "":
		application, _, _ := strings.Cut(annotations[argoTracking], ":")
		return argoKeeper(application), true
	case labels[argoInstance] != "":
		return argoKeeper(labels[argoInstance]), true
	case annotations[helmRelease] != "":
		return keeper{tool: "Helm", what: "the release " + backupsync.Quote(annotations[helmRelease])}, true
	}
	for _, entry := range object.GetManagedFields() {
		if found, known := managers[entry.Manager]; known {
			return found, true
		}
	}
	return keeper{}, false
}

func fluxKeeper(kind, namespace, name string) keeper {
	return keeper{tool: "Flux", what: fmt.Sprintf("the %s %s/%s", kind, namespace, name),
		pause: fmt.Sprintf("flux suspend %s %s -n %s", strings.ToLower(kind), name, namespace)}
}

// plainName is what may stand in a command that is shown to be copied. Annotations hold any text.
var plainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,250}[A-Za-z0-9])?$`)

func argoKeeper(application string) keeper {
	name := application[strings.LastIndex(application, "_")+1:] // NAMESPACE_NAME, if it is not of Argo CD's own namespace
	if !plainName.MatchString(name) {
		return managers["argocd-controller"]
	}
	return keeper{tool: "Argo CD", what: "the Application " + name, pause: "argocd app set " + name + " --sync-policy none"}
}

// warning says what will become of a change of spec.suspend, and what to do instead.
func (k keeper) warning(subject string, suspend bool) string {
	edit := "set spec.suspend: true"
	if !suspend {
		edit = "remove spec.suspend"
	}
	text := fmt.Sprintf("Warning: %s applies %s (%s), and takes this back at its next sync. To make it last, %s in Git.", k.tool, subject, k.what, edit)
	if k.tool == "Helm" {
		text = fmt.Sprintf("Warning: Helm applies %s (%s), and may take this back at the next upgrade. To make it last, %s in the chart or its values.",
			subject, k.what, edit)
	}
	if k.pause != "" {
		text += " To keep the tool from it until then: " + k.pause
	}
	return text
}
