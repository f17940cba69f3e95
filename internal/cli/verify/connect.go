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

package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/connection"
)

// problem is why CBR cannot be asked for a project, in sentences for a person.
type problem string

// Error is the sentences.
func (p problem) Error() string { return string(p) }

// link is a way to CBR.
type link struct {
	*cbr.Client
	renews bool // the credentials, by themselves
	closes []func()
}

// Close ends what the link keeps open.
func (l *link) Close() {
	for _, end := range l.closes {
		end()
	}
}

// connect makes the client of a project as the operator does, of what the user may read. What is wrong with the project, or with the
// rights of the user, is a problem.
func (c *command) connect(ctx context.Context, reader client.Reader, project *v1alpha1.CBRProject) (*link, error) {
	spec := project.Spec.DeepCopy()
	if c.credentialsType != "" {
		spec.Credentials = v1alpha1.Credentials{Type: v1alpha1.CredentialsType(c.credentialsType)}
	}
	if text := connection.NotAllowed(c.allowed, spec); text != "" {
		return nil, problem(text + " This command has a flag of that name, too.")
	}
	contents, bundle, err := c.readContents(ctx, reader, project.Namespace, spec)
	if err != nil {
		return nil, err
	}
	guard, err := connection.NewGuard(c.allowed, nil)
	if err != nil {
		return nil, err
	}
	transports := &cbr.Transports{Dial: guard.DialContext}
	made := &link{closes: []func(){transports.CloseIdleConnections}}
	transport, err := transports.For(bundle)
	if err != nil {
		return nil, problem("What spec.caBundleRef names holds no certificate in PEM that can be read.")
	}
	changed := make(chan struct{}, 1)
	credential, err := connection.NewCredential(spec.Credentials.Type, contents, connection.Surroundings{
		ProjectID: spec.ProjectID, Endpoint: connection.EndpointOf(spec), IAMEndpoint: connection.IAMEndpointOf(spec), Transport: transport,
		Timeout: cbr.DefaultTimeout, UserAgent: c.userAgent(), Clock: c.factory.Clock,
		Changed: func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
		Hidden: func() []string { return nil }, Attempts: auth.NewAttempts(c.factory.Clock), Before: connection.HistoryOf(project, contents)})
	if err != nil {
		return nil, c.unusable(spec.Credentials.Type, err)
	}
	if fetching, closes := credential.(interface{ Close() }); closes {
		made.closes = append(made.closes, fetching.Close)
	}
	if err := c.await(ctx, spec.Credentials.Type, credential, changed); err != nil {
		made.Close()
		return nil, err
	}
	made.renews = credential.Renews()
	made.Client, err = c.newClient(spec, credential, transports, bundle)
	return made, err
}

// newClient makes the client, which reads at the pace of the command, and slower when CBR asks for it.
func (c *command) newClient(spec *v1alpha1.CBRProjectSpec, credential connection.Credential, transports *cbr.Transports, bundle string) (*cbr.Client, error) {
	limiter, bound := connection.NewReadLimiter(), rate.NewLimiter(rate.Inf, 1)
	if c.readsPerSecond > 0 {
		bound.SetLimit(rate.Limit(c.readsPerSecond))
	}
	transport, err := transports.For(bundle)
	if err != nil {
		return nil, err
	}
	names := connection.NamesIn(credential)
	config := connection.ClientConfig(spec)
	config.Credential, config.Transport, config.UserAgent = credential, transport, c.userAgent()
	config.Hidden = func() []string { return names }
	config.Observe = limiter.Observe
	config.Pace = func(ctx context.Context) error {
		if err := bound.Wait(ctx); err != nil {
			return err
		}
		return limiter.Wait(ctx)
	}
	made, err := cbr.NewClient(config)
	if err != nil {
		return nil, problem(fmt.Sprintf("CBR cannot be asked: %v.", err))
	}
	return made, nil
}

func (c *command) userAgent() string { return "kubectl-backupsync/" + c.factory.Version }

// readContents reads what the credentials are made of, and the CA bundle: of the cluster, or of a file.
func (c *command) readContents(ctx context.Context, reader client.Reader, namespace string, spec *v1alpha1.CBRProjectSpec) (*connection.Contents, string, error) {
	references := connection.References{Reader: reader, Namespace: namespace, Forbidden: func(what, _ string) string {
		return fmt.Sprintf("You may not read the %s in namespace %s, which holds what CBR is asked with. Have somebody give you the verb get on it, "+
			"or bring credentials of your own with --credentials-file.", what, namespace)
	}}
	bundle, text, err := references.CABundle(ctx, spec.CABundleRef)
	if err != nil {
		return nil, "", err
	}
	if text != "" {
		return nil, "", problem(text)
	}
	if c.credentialsFile != "" && connection.NeedsSecret(spec.Credentials.Type) {
		contents, err := fromFile(c.credentialsFile, &spec.Credentials)
		return contents, bundle, err
	}
	contents, text, err := references.Credentials(ctx, &spec.Credentials)
	if err == nil && text != "" {
		err = problem(text)
	}
	return contents, bundle, err
}

// fromFile reads credentials from a file: the manifest of a Secret, or its keys and values alone. What it holds is in no error.
func fromFile(path string, credentials *v1alpha1.Credentials) (*connection.Contents, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read --credentials-file: %w", err)
	}
	secret, valid := parseSecret(content)
	if !valid {
		return nil, problem(fmt.Sprintf("What --credentials-file names, %s, is neither the manifest of a Secret nor YAML of keys and texts.", path))
	}
	secret.Name = path
	contents, err := connection.Read(credentials, secret)
	if err != nil {
		return nil, problem(fmt.Sprintf("The file %s lacks something that the Secret of the project would hold: %s.", path, connection.Wanted(credentials)))
	}
	return contents, nil
}

func parseSecret(content []byte) (*corev1.Secret, bool) {
	var secret corev1.Secret
	if err := yaml.Unmarshal(content, &secret); err == nil && secret.Kind == "Secret" {
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		for key, value := range secret.StringData {
			secret.Data[key] = []byte(value)
		}
		return &secret, true
	}
	var texts map[string]string
	if err := yaml.Unmarshal(content, &texts); err != nil || len(texts) == 0 {
		return nil, false
	}
	secret = corev1.Secret{Data: map[string][]byte{}}
	for key, value := range texts {
		secret.Data[key] = []byte(value)
	}
	return &secret, true
}

// inPod says how the identity of a pod is used, which only pods have.
const inPod = " The keys are given to pods alone. Run the command in the operator's: kubectl -n backupsync-system exec deploy/backupsync-controller-manager -- " +
	"/kubectl-backupsync verify -n NAMESPACE PROJECT; or bring credentials of your own: --credentials-type=AccessKey --credentials-file=FILE."

// unusable says what is wrong with credentials.
func (*command) unusable(kind v1alpha1.CredentialsType, err error) error {
	if kind == v1alpha1.CredentialsPodIdentity {
		return problem(err.Error() + inPod)
	}
	return problem(err.Error())
}

const (
	// maxFetches is how often credentials are asked for, longestFetchWait the longest pause before another time.
	maxFetches       = 3
	longestFetchWait = 30 * time.Second
)

// await waits until credentials that are fetched can be used.
func (c *command) await(ctx context.Context, kind v1alpha1.CredentialsType, credential connection.Credential, changed <-chan struct{}) error {
	renewing, is := credential.(auth.Renewing)
	if !is {
		return nil
	}
	for fetches := 1; ; fetches++ {
		state := renewing.State()
		var due <-chan time.Time
		switch pause := state.RetryAt.Sub(c.factory.Now()); {
		case state.Ready:
			return nil
		case state.Err == nil:
			fetches-- // it is under way
		case fetches >= maxFetches, state.RetryAt.IsZero(), pause > longestFetchWait:
			return explainFetch(kind, state.Err)
		default:
			due = c.factory.Clock.After(pause)
		}
		select {
		case <-changed:
		case <-due:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// explainFetch says why there are no credentials.
func explainFetch(kind v1alpha1.CredentialsType, err error) error {
	said := connection.Describe(err)
	switch {
	case kind == v1alpha1.CredentialsPodIdentity:
		return problem(fmt.Sprintf("The cluster gives no keys to this pod (%s).", said) + inPod)
	case connection.LeadsToRefused(err):
		return problem(fmt.Sprintf("No password is sent to IAM: %s.", said))
	case errors.Is(err, auth.ErrManyFailures):
		return problem(fmt.Sprintf("IAM is not asked for a token: %s. Run it again later.", auth.ErrManyFailures))
	case cbr.ClassOf(err) == cbr.Credentials:
		return problem(fmt.Sprintf("IAM refuses the name or the password of the user (%s). They are not tried again as they are, since wrong passwords lock an account: correct the Secret.", said))
	case cbr.ClassOf(err) == cbr.Permission:
		return problem(fmt.Sprintf("IAM denies the user a token (%s). Check that the user may log in by programs, and the project.", said))
	default:
		return problem(fmt.Sprintf("IAM cannot be reached or fails (%s). Check the network, spec.iamEndpoint or spec.region, and spec.caBundleRef.", said))
	}
}

// explainRead says why CBR could not be read.
func explainRead(err error) string {
	said := connection.Describe(err)
	switch class := cbr.ClassOf(err); {
	case connection.LeadsToRefused(err):
		return fmt.Sprintf("No credentials are sent: %s.", said)
	case class == cbr.Credentials:
		return fmt.Sprintf("CBR refuses the credentials (%s). Check that they are of this project, and have not ended.", said)
	case class == cbr.Permission:
		return fmt.Sprintf("The user of the credentials lacks a permission (%s). To verify it needs cbr:backups:get, :list and cbr:tasks:list.", said)
	case class == cbr.Throttled:
		return fmt.Sprintf("CBR refuses reads because there are too many (%s). Run it again later, or with fewer --reads-per-second.", said)
	case class == cbr.Misdirected, class == cbr.Foreign:
		return fmt.Sprintf("What answers at the endpoint is not CBR (%s). Check spec.endpoint or spec.region, spec.projectID, and proxies and firewalls in between.", said)
	case class == cbr.Rejected, class == cbr.Refused, class == cbr.NotFound, class == cbr.Quota:
		return fmt.Sprintf("CBR refuses to be read (%s). Check spec.projectID, and spec.endpoint or spec.region.", said)
	default:
		return fmt.Sprintf("CBR cannot be reached or fails (%s). Run it again later; if this lasts, check the network, spec.endpoint or spec.region, and spec.caBundleRef.", said)
	}
}
