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

package controller

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/connection"
)

// connector is the way to CBR: endpoint, credentials, and how requests have gone.
type connector struct {
	step
	*connectionMemory
	evidence  *knowledge // which speaks of what is reached
	connected bool
	cloud     *cbr.Client // nil if no call can be made
	dialled   cbr.Config  // of cloud
}

// connect reports whether requests of a kind may be made now, and asks for a pass when they may be. Whatever is
// in the way goes into what is known of the project's access; only failures of the API server are errors.
func (c *connector) connect(ctx context.Context, kind connection.RequestKind) (bool, error) {
	if ready, err := c.reach(ctx); !ready {
		return false, err
	}
	this, _ := c.health.Circuits(kind)
	if this.Open(c.options.Clock.Now()) {
		c.requeueAt(c.health.RequeueAt(this, c.options.Clock.Now()))
		c.log.V(1).Info("No requests of a kind are made", "kind", kind, "until", this.OpenUntil, "reason", this.Reason)
		return false, nil
	}
	return true, nil
}

// reach makes the client of the project's calls, at most once a pass, and reports whether there is one.
func (c *connector) reach(ctx context.Context) (bool, error) {
	if c.connected {
		return c.cloud != nil, nil
	}
	c.connected = true
	if c.target != c.claim.cloudProject {
		c.target = c.claim.cloudProject
		before := *c.evidence
		*c.evidence = newKnowledge()
		c.evidence.keepCalls(&before) // it may turn back
	}
	known := &c.health
	if known.Fingerprint != c.fingerprint {
		*known = connection.Health{Fingerprint: c.fingerprint}
	}
	if known.Waits(c.now) && !c.checksExpiry() {
		c.requeueAt(known.RequeueAt(&known.Reads, c.now))
		c.requeueAt(known.RequeueAt(&known.Calls, c.now))
		c.log.V(1).Info("CBR is not asked", "reason", known.Status().Reason, "until", c.at)
		return false, nil
	}
	if problem := c.forbidden(); problem != "" {
		known.SetUnusable(v1alpha1.ReasonEndpointNotAllowed, problem)
		return false, nil
	}
	return c.connectWithContent(ctx)
}

// forbidden says to which endpoint of the project nothing may be sent, "" if there is none.
func (c *connector) forbidden() string {
	spec := &c.project.Spec
	endpoint, iam := connection.EndpointOf(spec), connection.IAMEndpointOf(spec)
	const format = "The operator may not send credentials to %s. Correct %s, or have the host added to the operator's flag --allowed-endpoints."
	switch {
	case !c.options.AllowedEndpoints.Allow(endpoint):
		return fmt.Sprintf(format, backupsync.Quote(endpoint), "spec.endpoint or spec.region")
	case spec.Credentials.Type == v1alpha1.CredentialsPassword && !c.options.AllowedEndpoints.AllowIAM(iam):
		return fmt.Sprintf(format, backupsync.Quote(iam), "spec.iamEndpoint or spec.region")
	default:
		return ""
	}
}

// connectWithContent is connect with what the Secret and the CA bundle hold now. They are read for each use: the manager may
// get Secrets, and neither list nor watch them.
func (c *connector) connectWithContent(ctx context.Context) (bool, error) {
	known := &c.health
	content, err := c.readContent(ctx)
	if err != nil {
		return false, err
	}
	if content == nil {
		c.requeueAt(known.RecheckAt)
		return false, nil
	}
	content.identify(c.salt, &c.project.Spec)
	if known.ContentFingerprint != content.hash {
		*known = connection.Health{Fingerprint: c.fingerprint, ContentFingerprint: content.hash}
	}
	if c.asksForAnotherTry() {
		known.Reads.OpenUntil, known.Calls.OpenUntil = time.Time{}, time.Time{}
	}
	if known.Open(c.now) { // refused, and still the same
		c.credential.checkedAt, known.RecheckAt = c.now, time.Time{}
		if known.CredentialsRefused() {
			known.RecheckAt = c.now.Add(connection.ContentWait)
			c.requeueAt(known.RecheckAt)
		}
		return false, nil
	}
	known.RecheckAt = time.Time{}
	if known.CredentialsRefused() { // until a call has gone well
		known.RecheckAt = c.now.Add(connection.ContentWait)
		c.requeueAt(known.RecheckAt)
	}
	if content.before, err = c.historyOf(ctx, content); err != nil {
		return false, err
	}
	return c.dial(content), nil
}

// content is what the project's references lead to.
type content struct {
	credentials *connection.Contents
	caBundle    string
	before      auth.History // what other processes have seen of the credentials
	hash        string
	identity    string // as hash, but of the credentials alone
}

// identify sets the hashes that tell the content, and what of the spec goes with it, from others, for this process alone.
func (c *content) identify(salt []byte, spec *v1alpha1.CBRProjectSpec) {
	credentials := auth.NewDigest(salt, []byte(spec.Credentials.Type), []byte(spec.ProjectID), []byte(connection.EndpointOf(spec)),
		[]byte(connection.IAMEndpointOf(spec)), c.credentials.Bytes())
	all := auth.NewDigest(salt, credentials[:], []byte(c.caBundle))
	c.identity, c.hash = hex.EncodeToString(credentials[:]), hex.EncodeToString(all[:])
}

// resumes ends the messages about what is read again by itself.
const resumes = " Imports resume automatically once this is fixed."

// resumable returns a message about what is read again by itself.
func resumable(message string) string { return connection.Fitting(message, resumes) }

// lacks notes that there are no credentials that can be used, and why.
func (c *connector) lacks(why string) {
	c.health.SetUnreadable(v1alpha1.ReasonCredentialsMissing, resumable(why), c.now)
	c.holdCredential(nil, c.now)
}

// readContent reads the Secret and the CA bundle. Without an error and without a content, the project's access says why.
func (c *connector) readContent(ctx context.Context) (*content, error) {
	credentials, problem, err := c.readCredentials(ctx)
	if err != nil {
		return nil, err
	}
	if problem != "" {
		c.lacks(problem)
		return nil, nil
	}
	read := &content{credentials: credentials}
	if reference := c.project.Spec.CABundleRef; reference.Name != "" {
		if read.caBundle, problem, err = c.readCABundle(ctx, reference); err != nil {
			return nil, err
		}
		if problem != "" {
			c.health.SetUnreadable(v1alpha1.ReasonEndpointUnavailable, resumable(problem), c.now)
			return nil, nil
		}
	}
	return read, nil
}

// readCredentials reads what the credentials are made of, or what is wrong with that.
func (c *connector) readCredentials(ctx context.Context) (read *connection.Contents, problem string, err error) {
	credentials := &c.project.Spec.Credentials
	name := credentials.SecretRef.Name
	switch {
	case !connection.Known(credentials.Type): // a later version knows it: it must not be taken for a token
		return nil, fmt.Sprintf("This version of the operator does not know the credentials.type %q.", backupsync.Quote(string(credentials.Type))), nil
	case !connection.NeedsSecret(credentials.Type):
		read, err = connection.Read(credentials, &corev1.Secret{})
		return read, "", err
	}
	var secret corev1.Secret
	switch err := c.live.Get(ctx, c.beside(name), &secret); {
	case apierrors.IsNotFound(err):
		return nil, fmt.Sprintf("The Secret %s does not exist in this namespace. Create it with %s.", name, connection.Wanted(credentials)), nil
	case apierrors.IsForbidden(err):
		return nil, fmt.Sprintf("The operator may not read the Secret %s. Give its role the verb get on Secrets of this namespace.", name), nil
	case err != nil:
		return nil, "", fmt.Errorf("get Secret %s: %w", name, err)
	}
	read, incomplete := connection.Read(credentials, &secret)
	if incomplete != nil {
		return nil, incomplete.Error(), nil //nolint:nilerr // the condition tells it
	}
	return read, "", nil
}

// readCABundle returns the CA certificates that the project refers to, or what is wrong with the reference.
func (c *connector) readCABundle(ctx context.Context, reference v1alpha1.CABundleReference) (bundle, problem string, err error) {
	what := fmt.Sprintf("%s %s", reference.Kind, reference.Name)
	data := map[string][]byte{}
	if reference.Kind == v1alpha1.CABundleSecret {
		var secret corev1.Secret
		err = c.live.Get(ctx, c.beside(reference.Name), &secret)
		data = secret.Data
	} else {
		var config corev1.ConfigMap
		err = c.live.Get(ctx, c.beside(reference.Name), &config)
		data[reference.Key] = append([]byte(config.Data[reference.Key]), config.BinaryData[reference.Key]...)
	}
	switch {
	case apierrors.IsNotFound(err):
		return "", fmt.Sprintf("The %s that spec.caBundleRef names does not exist in this namespace.", what), nil
	case apierrors.IsForbidden(err):
		return "", fmt.Sprintf("The operator may not read the %s that spec.caBundleRef names. Give its role the verb get on it.", what), nil
	case err != nil:
		return "", "", fmt.Errorf("get %s: %w", what, err)
	case len(data[reference.Key]) == 0:
		return "", fmt.Sprintf("The %s that spec.caBundleRef names has no key %q, or nothing under it.", what, reference.Key), nil
	}
	return string(data[reference.Key]), "", nil
}

// beside returns the key of an object of the project's own namespace.
func (c *connector) beside(name string) client.ObjectKey {
	return types.NamespacedName{Namespace: c.key.Namespace, Name: name}
}

// dial makes the client, if the credentials are there. Nothing is sent to CBR yet.
func (c *connector) dial(with *content) bool {
	known, spec := &c.health, &c.project.Spec
	transport, err := c.options.Transports.For(with.caBundle)
	if errors.Is(err, cbr.ErrInvalidCABundle) {
		known.SetUnreadable(v1alpha1.ReasonEndpointUnavailable, "What spec.caBundleRef names holds no certificate in PEM that can be read."+resumes, c.now)
		c.requeueAt(known.RecheckAt)
		return false
	}
	credential, ready := c.credentialOf(with, transport)
	if !ready {
		return false
	}
	c.dialled = cbr.Config{
		Endpoint:            connection.EndpointOf(spec),
		ProjectID:           spec.ProjectID,
		EnterpriseProjectID: enterpriseProjectOf(spec),
		Credential:          credential,
		Hidden:              c.hiddenBeside(credential),
		Transport:           transport,
		Timeout:             c.options.CallTimeout,
		UserAgent:           c.options.UserAgent,
		Pace:                c.readLimiter.Wait,
		Observe: func(call cbr.Call) {
			observeCall(call)
			c.readLimiter.Observe(call)
		},
	}
	made, err := cbr.NewClient(c.dialled)
	if err != nil { // the CRD lets no such value through
		known.SetUnusable(v1alpha1.ReasonEndpointNotAllowed, err.Error())
		return false
	}
	c.cloud = made
	known.SetUsable()
	return true
}

// enterpriseProjectOf returns the enterprise project of lists. The CRD has the default of an absent one.
func enterpriseProjectOf(spec *v1alpha1.CBRProjectSpec) string {
	if spec.EnterpriseProjectID == nil {
		return cbr.AllEnterpriseProjects
	}
	return *spec.EnterpriseProjectID
}
