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
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/connection"
)

const (
	// expiredFor is how long after their end credentials are still tried: clocks differ.
	expiredFor = 5 * time.Minute
	// lastPart is the part of their life in which credentials are told to end soon.
	lastPart = 10
	// expiryWait is how often a Secret is read whose credentials end soon.
	expiryWait = time.Minute
	// renewalWait is when a pass goes on whose credentials are renewed, should nobody tell.
	renewalWait = time.Second
	// fetchWait is when a pass looks again at credentials that are being fetched, should nobody tell.
	fetchWait = 30 * time.Second
)

// heldCredential is a credential with what it was made of.
type heldCredential struct {
	connection.Credential        // nil if there is none
	hash, identity        string // of its content
	contents              *connection.Contents
	mark                  string    // of the contents, in the journal, if they were refused
	request               string    // at the project, when it was made
	checkedAt             time.Time // when its content was read last
	// askAt is when one that is fetched in the background is asked again for what it has, in any case: it is renewed then, also
	// while nothing is sent.
	askAt time.Time
}

// Credentials that were replaced are remembered for a while, and some of them: servers may repeat their secrets, which may be valid still.
const (
	formerFor      = 25 * time.Hour // longer than tokens live
	maxFormer      = 32
	maxFormerBytes = 64 << 10 // of the secrets of all: what is hidden takes memory in each pass
)

// formerCredentials are those of a project that were replaced.
type formerCredentials struct {
	mutex sync.Mutex // a fetch in the background asks too
	held  []formerCredential
}

type formerCredential struct {
	connection.Credential
	hash  string
	until time.Time
}

func (f *formerCredentials) add(replaced heldCredential, now time.Time) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.held = slices.DeleteFunc(f.held, func(each formerCredential) bool { return each.hash == replaced.hash || each.until.Before(now) })
	f.held = append(f.held, formerCredential{replaced.Credential, replaced.hash, now.Add(formerFor)})
	f.held = slices.Delete(f.held, 0, f.tooMany())
}

// tooMany returns how many of the oldest are forgotten, so that the others are few and short enough; the newest is kept however long it
// is. The mutex is held.
func (f *formerCredentials) tooMany() int {
	kept, length := 0, 0
	for _, each := range slices.Backward(f.held) {
		for _, secret := range each.Secrets() {
			length += len(secret)
		}
		if kept > 0 && (kept == maxFormer || length > maxFormerBytes) {
			break
		}
		kept++
	}
	return len(f.held) - kept
}

// secrets are those of all, of the newest first: they matter most if there are too many to hide.
func (f *formerCredentials) secrets() (all []string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, each := range slices.Backward(f.held) {
		all = append(all, each.Secrets()...)
	}
	return all
}

// hiddenBeside returns what must not be seen of what CBR says besides the secrets of a credential.
func (c *connector) hiddenBeside(credential connection.Credential) func() []string {
	names, former := connection.NamesIn(credential), &c.former
	return func() []string { return append(former.secrets(), names...) }
}

// holdCredential keeps a credential in place of the one before, whose fetches end. Nil keeps none.
func (m *connectionMemory) holdCredential(next *heldCredential, now time.Time) {
	if fetching, closes := m.credential.Credential.(interface{ Close() }); closes {
		fetching.Close()
	}
	if m.credential.Credential != nil {
		m.former.add(m.credential, now)
	}
	m.credential = heldCredential{}
	if next != nil {
		m.credential = *next
	}
}

// renews reports whether the failure of a request of a kind will be over when the credentials are renewed, which is under way: it
// tells nothing of CBR.
func (m *connectionMemory) renews(kind connection.RequestKind, err error) bool {
	helps := m.credential.Credential != nil && m.credential.Renews() && auth.RenewalHelps(err)
	if helps && cbr.ClassOf(err) == cbr.Credentials {
		m.health.RefusedKind = kind
	}
	return helps
}

// credentialOf returns the credential of a content, if it can be used now.
func (c *connector) credentialOf(with *content, transport http.RoundTripper) (connection.Credential, bool) {
	held := &c.credential
	again := c.asksForAnotherTry()
	switch {
	case held.Credential == nil || held.hash != with.hash:
		made, err := c.newCredential(with, transport, again)
		if err != nil {
			c.lacks(err.Error())
			c.requeueAt(c.health.RecheckAt)
			return nil, false
		}
		if held.identity == with.identity { // it is the way to CBR and IAM that has changed
			inheritToken(made, held.Credential)
		}
		c.holdCredential(&heldCredential{Credential: made, contents: with.credentials, hash: with.hash, identity: with.identity, request: backupsync.RequestOf(c.project)}, c.now)
	case again:
		held.Retry()
		held.request = backupsync.RequestOf(c.project)
	}
	held.checkedAt = c.now
	c.health.CredentialsType = c.project.Spec.Credentials.Type
	if !held.retryHelps() { // what is asked for from now on is asked for in spite of what is told
		held.request = backupsync.RequestOf(c.project)
	}
	if renewing, is := held.Credential.(auth.Renewing); is {
		state := renewing.State()
		held.askAt = state.RetryAt
		return held.Credential, c.fetched(state)
	}
	if end := held.Expiry(); !end.IsZero() && c.now.Sub(end) > expiredFor {
		c.health.SetUnreadable(v1alpha1.ReasonCredentialsMissing, resumable(fmt.Sprintf("The credentials in Secret %s ended at %s. Replace them.",
			c.project.Spec.Credentials.SecretRef.Name, end.UTC().Format(time.RFC3339))), c.now)
		c.requeueAt(c.health.RecheckAt)
		return nil, false
	}
	return held.Credential, true
}

// inheritToken has a credential take over the token that another one of the same content holds.
func inheritToken(next, before connection.Credential) {
	if to, is := next.(*auth.Password); is {
		if from, same := before.(*auth.Password); same {
			to.InheritFrom(from)
		}
	}
}

// wasRefused reports whether the credentials are not to be tried as they are, as they were refused.
func (h *heldCredential) wasRefused() bool {
	remembered, is := h.Credential.(rememberedCredential)
	return is && remembered.WasRefused()
}

// asksForAnotherTry reports whether a person wants credentials to be tried once more as they are that were refused, or whose account or
// key was locked.
func (c *connector) asksForAnotherTry() bool {
	held := &c.credential
	request := backupsync.RequestOf(c.project)
	if held.Credential == nil { // the first time that this process makes them
		return request != "" && request != c.project.Status.LastHandledRequest
	}
	return request != "" && request != held.request && held.retryHelps()
}

// retryHelps reports whether it makes a difference that a person asks for another try: the credentials were refused, or there are none
// to be used after a fetch that failed.
func (h *heldCredential) retryHelps() bool {
	if renewing, is := h.Credential.(auth.Renewing); is {
		state := renewing.State()
		return state.Err != nil && (!state.Ready || h.wasRefused())
	}
	return h.wasRefused()
}

func (c *connector) newCredential(with *content, transport http.RoundTripper, again bool) (connection.Credential, error) {
	spec := &c.project.Spec
	if spec.Credentials.Type == v1alpha1.CredentialsPodIdentity && !c.mayUsePodIdentity() {
		return nil, errPodIdentity
	}
	return connection.NewCredential(spec.Credentials.Type, with.credentials, connection.Surroundings{
		ProjectID: spec.ProjectID, Endpoint: connection.EndpointOf(spec), IAMEndpoint: connection.IAMEndpointOf(spec), Transport: transport,
		Timeout: c.options.CallTimeout, UserAgent: c.options.UserAgent, Clock: c.options.Clock,
		Changed:  func() { c.requeue(c.key) },
		Hidden:   c.former.secrets,
		Attempts: c.attempts, Before: with.before, Again: again,
	})
}

// AnyNamespace stands for all of Options.PodIdentityNamespaces.
const AnyNamespace = "*"

// mayUsePodIdentity reports whether projects of this namespace may use the identity of the operator's pod, which is everybody's.
func (c *connector) mayUsePodIdentity() bool {
	return c.options.PodIdentityNamespaces.HasAny(AnyNamespace, c.key.Namespace)
}

var errPodIdentity = errors.New("Projects of this namespace may not use the identity of the operator's pod. Have the namespace added to " + //nolint:staticcheck // a sentence of a condition
	"the operator's flag --pod-identity-namespaces, or set another credentials.type.")

// fetched reports whether credentials that are fetched in the background can be used. If not, the project's access says why.
func (c *connector) fetched(state auth.State) bool {
	switch {
	case state.Ready:
		return true
	case state.Err == nil:
		c.requeueAt(c.now.Add(fetchWait))
		return false
	}
	c.health.SetNotFetched(connection.ExplainFetch(c.health.CredentialsType, state.Err), auth.RefusedByCBR(state.Err), c.now)
	c.requeueAt(c.health.RecheckAt)
	if !state.RetryAt.IsZero() {
		c.requeueAt(state.RetryAt)
	}
	return false
}

// expiryTime is status.credentialsExpiryTime for what is known of the credentials. Of those that are renewed, what is over is none.
func (c *connector) expiryTime(before *metav1.Time) *metav1.Time {
	switch held := &c.credential; {
	case held.Credential == nil && c.health.Obstacle.Reason != v1alpha1.ReasonCredentialsMissing:
		return before // nothing was read yet
	case held.Credential == nil || held.Expiry().IsZero() || held.Renews() && !held.Expiry().After(c.now):
		return nil
	default:
		at := metav1.NewTime(held.Expiry().UTC().Truncate(time.Second))
		return &at
	}
}

// warnAt is from when credentials are told to end soon, the zero time if they are not: their end is not known, or they are renewed.
// One that is not renewed any more, as that was refused, is told at once.
func (h *heldCredential) warnAt() time.Time {
	if h.Credential == nil || h.Expiry().IsZero() || h.Renews() && !h.renewalRefused() {
		return time.Time{}
	}
	end := h.Expiry()
	if h.Renews() {
		return h.checkedAt
	}
	return end.Add(-max(end.Sub(h.contents.WrittenAt), 0) / lastPart)
}

// renewalRefused reports whether the credentials are not renewed as they were refused: for good, or until more refusals lock nothing.
func (h *heldCredential) renewalRefused() bool {
	renewing, is := h.Credential.(auth.Renewing)
	return h.wasRefused() || is && errors.Is(renewing.State().Err, auth.ErrManyFailures)
}

// expiresSoon reports whether the credentials end soon, and when a pass is due for it, to see whether they were replaced: zero if none is.
func (c *connector) expiresSoon() (soon bool, due time.Time) {
	from := c.credential.warnAt()
	switch {
	case from.IsZero() || c.now.Sub(c.credential.Expiry()) > expiredFor:
		return false, due
	case from.After(c.now):
		return false, from
	default:
		return true, c.now.Add(expiryWait)
	}
}

// renewsIdle reports whether credentials that are fetched in the background are to be asked for although nothing is sent: they are
// being fetched, or are to be renewed.
func (c *connector) renewsIdle() bool {
	held := &c.credential
	return held.Credential != nil && held.Renews() && !c.now.Before(held.askAt)
}

// awaitRenewal asks for a pass when credentials are to be renewed, and when they end.
func (c *connector) awaitRenewal() {
	held := &c.credential
	if held.Credential == nil || !held.Renews() {
		return
	}
	for _, at := range []time.Time{held.askAt, held.Expiry()} {
		if at.After(c.now) {
			c.requeueAt(at)
		}
	}
}

// checksExpiry reports whether the Secret is to be read although nothing is sent: its credentials end soon, and may have been replaced.
func (c *connector) checksExpiry() bool {
	from := c.credential.warnAt()
	return !from.IsZero() && !c.now.Before(from) && c.now.Sub(c.credential.checkedAt) >= expiryWait
}

// applyExpiring sets or removes the condition that the credentials end soon.
func (r *reporter) applyExpiring(project *v1alpha1.CBRProject, conditions *[]metav1.Condition, now metav1.Time) {
	if !r.expiring {
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionCredentialsExpiring)
		return
	}
	held := &r.credential
	message := fmt.Sprintf("The credentials in Secret %s end at %s. Replace them before: imports stop then, and resume when there are others.",
		project.Spec.Credentials.SecretRef.Name, held.Expiry().UTC().Format(time.RFC3339))
	if held.Renews() {
		message = fmt.Sprintf("IAM does not renew the token: it refuses the name or the password, or has locked the account. Imports stop at %s. Correct Secret %s; if it is right, annotate the project with %s to have it tried once more.",
			held.Expiry().UTC().Format(time.RFC3339), project.Spec.Credentials.SecretRef.Name, v1alpha1.RequestedAtAnnotation)
	}
	meta.SetStatusCondition(conditions, metav1.Condition{Type: v1alpha1.ConditionCredentialsExpiring, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonExpiresSoon, Message: backupsync.CleanMessage(message), ObservedGeneration: project.Generation, LastTransitionTime: now})
}

// announceExpiry emits an event when the credentials have come to end soon.
func (r *reporter) announceExpiry(before bool) {
	if now := meta.FindStatusCondition(r.project.Status.Conditions, v1alpha1.ConditionCredentialsExpiring); now != nil && !before {
		r.emit(expiryEvent(r.project, now))
	}
}
