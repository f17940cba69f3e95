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

package connection

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// NotAllowed says, as a sentence, to which endpoint of a project nothing may be sent, "" if there is none.
func NotAllowed(allowed EndpointPatterns, spec *v1alpha1.CBRProjectSpec) string {
	endpoint, iam := EndpointOf(spec), IAMEndpointOf(spec)
	const format = "The operator may not send credentials to %s. Correct %s, or have the host added to the operator's flag --allowed-endpoints."
	switch {
	case !allowed.Allow(endpoint):
		return fmt.Sprintf(format, backupsync.Quote(endpoint), "spec.endpoint or spec.region")
	case spec.Credentials.Type == v1alpha1.CredentialsPassword && !allowed.AllowIAM(iam):
		return fmt.Sprintf(format, backupsync.Quote(iam), "spec.iamEndpoint or spec.region")
	default:
		return ""
	}
}

// ClientConfig returns what of the configuration of a client follows from a project's spec.
func ClientConfig(spec *v1alpha1.CBRProjectSpec) cbr.Config {
	return cbr.Config{Endpoint: EndpointOf(spec), ProjectID: spec.ProjectID, EnterpriseProjectID: enterpriseProjectOf(spec)}
}

// enterpriseProjectOf returns the enterprise project of lists. The CRD has the default of an absent one.
func enterpriseProjectOf(spec *v1alpha1.CBRProjectSpec) string {
	if spec.EnterpriseProjectID == nil {
		return cbr.AllEnterpriseProjects
	}
	return *spec.EnterpriseProjectID
}

// ScopeOf is what the credentials of a project are used for: another project, or the same at another place, may be to blame for a refusal.
func ScopeOf(spec *v1alpha1.CBRProjectSpec) string {
	return strings.Join([]string{spec.ProjectID, EndpointOf(spec), IAMEndpointOf(spec)}, " ")
}

// HistoryOf is what a project's journal tells of contents: whether they were refused for it, and when requests with them have failed.
func HistoryOf(project *v1alpha1.CBRProject, contents *Contents) auth.History {
	journal := &project.Status.Journal
	history := auth.History{Refused: contents.Fits(journal.RefusedSecret, ScopeOf(&project.Spec)), Failures: make([]time.Time, len(journal.CredentialFailures))}
	for i := range journal.CredentialFailures {
		history.Failures[i] = journal.CredentialFailures[i].Time
	}
	return history
}

// shortestName is the length from which the name of a user or an account is hidden: shorter ones are parts of any text.
const shortestName = 4

// NamesIn returns the names in a credential that must not be seen of what servers say, besides its secrets.
func NamesIn(credential Credential) []string {
	named, is := credential.(interface{ Names() []string })
	if !is {
		return nil
	}
	var names []string
	for _, name := range named.Names() {
		if len(name) >= shortestName {
			names = append(names, name)
		}
	}
	return names
}

// References reads what a project refers to, of its own namespace. Each read is a get: nothing is listed or watched.
type References struct {
	Reader    client.Reader
	Namespace string
	// Forbidden says, in sentences, that something may not be read, "Secret name" for one, and on what the verb get is needed.
	Forbidden func(what, on string) string
}

// Credentials reads what the credentials are made of. The problem is what is wrong with that, as a sentence; an error is one of the
// API server.
func (r References) Credentials(ctx context.Context, credentials *v1alpha1.Credentials) (read *Contents, problem string, err error) {
	name := credentials.SecretRef.Name
	switch {
	case !Known(credentials.Type): // a later version knows it: it must not be taken for a token
		return nil, fmt.Sprintf("This version of the operator does not know the credentials.type %q.", backupsync.Quote(string(credentials.Type))), nil
	case !NeedsSecret(credentials.Type):
		read, err = Read(credentials, &corev1.Secret{})
		return read, "", err
	}
	var secret corev1.Secret
	switch err := r.Reader.Get(ctx, r.key(name), &secret); {
	case apierrors.IsNotFound(err):
		return nil, fmt.Sprintf("The Secret %s does not exist in this namespace. Create it with %s.", name, Wanted(credentials)), nil
	case apierrors.IsForbidden(err):
		return nil, r.Forbidden("Secret "+name, "Secrets of this namespace"), nil
	case err != nil:
		return nil, "", fmt.Errorf("get Secret %s: %w", name, err)
	}
	read, incomplete := Read(credentials, &secret)
	if incomplete != nil {
		return nil, incomplete.Error(), nil //nolint:nilerr // the problem tells it
	}
	return read, "", nil
}

// CABundle returns the CA certificates that a project refers to, "" if it refers to none; or what is wrong with the reference, as a
// sentence.
func (r References) CABundle(ctx context.Context, reference v1alpha1.CABundleReference) (bundle, problem string, err error) {
	if reference.Name == "" {
		return "", "", nil
	}
	what := fmt.Sprintf("%s %s", reference.Kind, reference.Name)
	data := map[string][]byte{}
	if reference.Kind == v1alpha1.CABundleSecret {
		var secret corev1.Secret
		err = r.Reader.Get(ctx, r.key(reference.Name), &secret)
		data = secret.Data
	} else {
		var config corev1.ConfigMap
		err = r.Reader.Get(ctx, r.key(reference.Name), &config)
		data[reference.Key] = append([]byte(config.Data[reference.Key]), config.BinaryData[reference.Key]...)
	}
	switch {
	case apierrors.IsNotFound(err):
		return "", fmt.Sprintf("The %s that spec.caBundleRef names does not exist in this namespace.", what), nil
	case apierrors.IsForbidden(err):
		return "", r.Forbidden(what+" that spec.caBundleRef names", "it"), nil
	case err != nil:
		return "", "", fmt.Errorf("get %s: %w", what, err)
	case len(data[reference.Key]) == 0:
		return "", fmt.Sprintf("The %s that spec.caBundleRef names has no key %q, or nothing under it.", what, reference.Key), nil
	}
	return string(data[reference.Key]), "", nil
}

func (r References) key(name string) client.ObjectKey {
	return types.NamespacedName{Namespace: r.Namespace, Name: name}
}
