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
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/connection"
)

// What is read of a Secret stays in a patient: no finding holds any of it, and hide takes care of what others say.

// readSecret reads the Secret of a project, and makes its credential. Nothing is sent.
func readSecret(ctx context.Context, p *patient) []Finding {
	credentials := &p.project.Spec.Credentials
	name := credentials.SecretRef.Name
	switch {
	case !connection.Known(credentials.Type):
		return []Finding{fix("", "this version does not know the credentials.type %q", credentials.Type)}
	case !connection.NeedsSecret(credentials.Type):
		if !p.installed.settings.mayUsePodIdentity(p.project.Namespace) {
			return []Finding{fix("add the namespace to --pod-identity-namespaces of the operator", "projects of this namespace may not use the identity of the operator's pod")}
		}
		return []Finding{ok("PodIdentity needs no Secret")}
	}
	var secret corev1.Secret
	err := p.client.Get(ctx, client.ObjectKey{Namespace: p.project.Namespace, Name: name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return []Finding{fix(createSecret(p.project), "the Secret %s does not exist. It must hold %s", name, connection.Wanted(credentials))}
	case apierrors.IsForbidden(err):
		return []Finding{unknown("ask somebody who may", "you may not get the Secret %s", name)}
	case err != nil:
		return []Finding{unknown("", "get the Secret %s: %v", name, err)}
	}
	for _, value := range secret.Data {
		p.secrets = append(p.secrets, string(value), strings.TrimSpace(string(value)))
	}
	contents, err := connection.Read(credentials, &secret)
	if err != nil {
		return []Finding{fix(createSecret(p.project), "%s", strings.TrimSuffix(p.hide(err.Error()), "."))}
	}
	p.contents = contents
	return p.judgeContents()
}

// createSecret is how to create the Secret of a project, without its content.
func createSecret(project *v1alpha1.CBRProject) string {
	return fmt.Sprintf("kubectl -n %s create secret generic %s --from-file=KEY=FILE (docs/credentials.md), or correct secretRef",
		project.Namespace, project.Spec.Credentials.SecretRef.Name)
}

// judgeContents judges the form of what the Secret holds.
func (p *patient) judgeContents() []Finding {
	made, err := connection.NewCredential(p.project.Spec.Credentials.Type, p.contents, p.surroundings(noTransport{}, nil, auth.NewAttempts(p.f.Clock)))
	if err != nil {
		return []Finding{fix(createSecret(p.project), "%s", strings.TrimSuffix(p.hide(err.Error()), "."))}
	}
	name := p.project.Spec.Credentials.SecretRef.Name
	if end := made.Expiry(); !end.IsZero() {
		left := end.Sub(p.serverNow()).Round(time.Minute)
		switch {
		case left <= 0:
			return []Finding{fix("put new credentials into the Secret", "what the Secret %s holds ended at %s", name, end.UTC().Format(time.RFC3339))}
		case left < 3*time.Hour:
			return []Finding{look("put new credentials into the Secret", "what the Secret %s holds ends in %s", name, left)}
		}
	}
	return []Finding{ok("the Secret %s has the form of the type %s. Whether CBR takes it, --probe finds out", name, p.project.Spec.Credentials.Type)}
}

// surroundings are what credentials are made with. The attempts are what is known of earlier ones here, besides what the journal tells.
func (p *patient) surroundings(transport roundTripper, changed func(), attempts *auth.Attempts) connection.Surroundings {
	spec := &p.project.Spec
	return connection.Surroundings{ProjectID: spec.ProjectID, Endpoint: connection.EndpointOf(spec), IAMEndpoint: connection.IAMEndpointOf(spec),
		Transport: transport, Timeout: callTimeout, UserAgent: p.userAgent(), Clock: p.f.Clock, Changed: changed,
		Hidden: p.hidden, Attempts: attempts, Before: connection.HistoryOf(p.project, p.contents)}
}

// maxMarksRead bounds how many marks of other projects are compared, some 20 ms each.
const maxMarksRead = 10

// refusedElsewhere names another project that was refused what may be the same, as far as others may be seen, "" for none. What a project uses
// that is Ready is no such thing, what one endpoint refuses of keys another may take, and a token is for one project.
func (p *patient) refusedElsewhere(ctx context.Context) string {
	if p.project.Spec.Credentials.Type == v1alpha1.CredentialsToken || meta.IsStatusConditionTrue(p.project.Status.Conditions, v1alpha1.ConditionReady) {
		return ""
	}
	others, _, err := p.others(ctx)
	if err != nil {
		return "" // that it is told of its own has to do
	}
	spec, read := &p.project.Spec, 0
	for i := range others {
		other := &others[i]
		elsewhere := spec.Credentials.Type == v1alpha1.CredentialsAccessKey && connection.EndpointOf(&other.Spec) != connection.EndpointOf(spec)
		if mark := other.Status.Journal.RefusedSecret; read < maxMarksRead && !elsewhere && p.contents.Concerns(mark) {
			read++
			if p.contents.Fits(mark, connection.ScopeOf(&other.Spec)) {
				return other.Namespace + "/" + other.Name
			}
		}
	}
	return ""
}

// hidden returns what must not be seen.
func (p *patient) hidden() []string { return p.secrets }

// hide takes out of a text what must not be seen.
func (p *patient) hide(text string) string { return cbr.NewRedactor(p.hidden).Hide(text) }

// readBundle reads the CA certificates of a project, and makes the transport that trusts them.
func readBundle(ctx context.Context, p *patient) []Finding {
	reference := p.project.Spec.CABundleRef
	if reference.Name == "" {
		p.bundleRead = true
		return nil
	}
	key := client.ObjectKey{Namespace: p.project.Namespace, Name: reference.Name}
	what := fmt.Sprintf("the %s %s that spec.caBundleRef names", reference.Kind, reference.Name)
	var content string
	var err error
	if reference.Kind == v1alpha1.CABundleSecret {
		var secret corev1.Secret
		err = p.client.Get(ctx, key, &secret)
		content = string(secret.Data[reference.Key])
	} else {
		var config corev1.ConfigMap
		err = p.client.Get(ctx, key, &config)
		content = config.Data[reference.Key] + string(config.BinaryData[reference.Key])
	}
	switch {
	case apierrors.IsNotFound(err):
		return []Finding{fix("create it, or correct spec.caBundleRef", "%s does not exist", what)}
	case apierrors.IsForbidden(err):
		return []Finding{unknown("", "you may not get %s", what)}
	case err != nil:
		return []Finding{unknown("", "get %s: %v", what, err)}
	case content == "":
		return []Finding{fix("put the certificates there, or correct spec.caBundleRef.key", "%s has nothing under the key %q", what, reference.Key)}
	}
	if _, err := (&cbr.Transports{}).For(content); err != nil {
		return []Finding{fix("put certificates in PEM there", "%s holds no certificate in PEM that can be read", what)}
	}
	p.bundle, p.bundleRead = content, true
	return []Finding{ok("%s holds certificates", what)}
}
