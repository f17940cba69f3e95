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

	"backupsync.dev/operator/api/v1alpha1"
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
	if shown := connection.ClientConfig(&c.project.Spec).EnterpriseProjectID; c.shown != shown {
		c.shown = shown
		if c.evidence.narrowed || c.evidence.hides {
			c.evidence.hide(c.project.Status.Journal.Submissions...)
		}
		c.evidence.forgetLists()
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
	if problem := connection.NotAllowed(c.options.AllowedEndpoints, &c.project.Spec); problem != "" {
		known.SetUnusable(v1alpha1.ReasonEndpointNotAllowed, problem)
		return false, nil
	}
	return c.connectWithContent(ctx)
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
	if !c.dial(content) {
		return false, nil
	}
	c.inheritRefusal(content)
	return true, nil
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
	credentials, problem, err := c.references().Credentials(ctx, &c.project.Spec.Credentials)
	if err != nil {
		return nil, err
	}
	if problem != "" {
		c.lacks(problem)
		return nil, nil
	}
	read := &content{credentials: credentials}
	if read.caBundle, problem, err = c.references().CABundle(ctx, c.project.Spec.CABundleRef); err != nil {
		return nil, err
	}
	if problem != "" {
		c.health.SetUnreadable(v1alpha1.ReasonEndpointUnavailable, resumable(problem), c.now)
		return nil, nil
	}
	return read, nil
}

// references reads what the project refers to.
func (c *connector) references() connection.References {
	return connection.References{Reader: c.live, Namespace: c.key.Namespace, Forbidden: mayNotRead}
}

// mayNotRead says that the operator lacks a right, and what gives it.
func mayNotRead(what, on string) string {
	return fmt.Sprintf("The operator may not read the %s. Give its role the verb get on %s.", what, on)
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
	config := connection.ClientConfig(spec)
	config.Credential, config.Hidden, config.Transport = credential, c.hiddenBeside(credential), transport
	config.Timeout, config.UserAgent = c.options.CallTimeout, c.options.UserAgent
	config.Pace = c.readLimiter.Wait
	config.Observe = func(call cbr.Call) {
		observeCall(call)
		c.readLimiter.Observe(call)
	}
	c.dialled = config
	made, err := cbr.NewClient(config)
	if err != nil { // the CRD lets no such value through
		known.SetUnusable(v1alpha1.ReasonEndpointNotAllowed, err.Error())
		return false
	}
	c.cloud = made
	known.SetUsable()
	return true
}
