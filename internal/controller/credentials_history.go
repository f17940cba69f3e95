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
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/connection"
)

// What processes tell each other, by status.journal, of credentials that were refused: a few failures lock an account or a key, whoever
// makes them, and what a project says of its credentials is as true in the next process.

// rememberedCredential is one that is not tried again for a while, or at all, as it is when it was refused: failures lock it.
type rememberedCredential interface {
	// WasRefused reports whether it was refused for the project, and not taken since; WasTaken that it was taken, and not refused since.
	WasRefused() bool
	WasTaken() bool
	// Failures is when requests of the same user, or with the same key, have failed of late.
	Failures() []time.Time
}

// maxFailures is the limit of status.journal.credentialFailures.
const maxFailures = 8

// historyOf is what other processes have left of a content in the journals: of this project, and of others that were refused it.
// It is not asked for again while the same credential is held.
func (c *connector) historyOf(ctx context.Context, with *content) (before auth.History, _ error) {
	contents, kind := with.credentials, c.project.Spec.Credentials.Type
	if known := c.credential.Credential != nil && c.credential.hash == with.hash; known || !connection.NeedsSecret(kind) {
		return before, nil
	}
	before = connection.HistoryOf(c.project, contents)
	if before.Refused || kind == v1alpha1.CredentialsToken || c.counts.counts(c.key).Imported > 0 { // a project that has imported is held up by no other's refusal
		return before, nil
	}
	var others v1alpha1.CBRProjectList
	if err := c.client.List(ctx, &others, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return before, fmt.Errorf("list the CBRProjects: %w", err)
	}
	looked := 0
	for i := range others.Items {
		other := &others.Items[i]
		if looked == maxMarksRead || !c.mayHaveTried(other, contents) {
			continue
		}
		looked++ // it takes some time
		if contents.Fits(other.Status.Journal.RefusedSecret, connection.ScopeOf(&other.Spec)) {
			before.Elsewhere = true
			before.Failures = append(before.Failures, timesOf(other.Status.Journal.CredentialFailures)...)
		}
	}
	return before, nil
}

// mayHaveTried reports whether another project was refused something that may be the same. What one endpoint refuses of keys another may take.
func (c *connector) mayHaveTried(other *v1alpha1.CBRProject, contents *connection.Contents) bool {
	spec := &c.project.Spec
	return other.UID != c.project.UID && contents.Concerns(other.Status.Journal.RefusedSecret) &&
		(spec.Credentials.Type != v1alpha1.CredentialsAccessKey || connection.EndpointOf(&other.Spec) == connection.EndpointOf(spec))
}

// maxMarksRead bounds how many marks of other projects are compared, some 20 ms each.
const maxMarksRead = 10

func timesOf(written []metav1.MicroTime) []time.Time {
	times := make([]time.Time, len(written))
	for i := range written {
		times[i] = written[i].Time
	}
	return times
}

// inheritRefusal has a project go on saying that credentials are refused that were, before this process, or an edit of the spec, has made it
// forget how calls have gone. Of those that are fetched it is told with the reason why there are none.
func (c *connector) inheritRefusal(with *content) {
	held := &c.credential
	forgotten := held.mark != "" && held.mark == c.project.Status.Journal.RefusedSecret
	if (with.before.Refused || forgotten) && !held.Renews() {
		c.health.RefusedBefore(c.now)
		c.requeueAt(c.health.RecheckAt)
	}
}

// standing reports whether the credentials were refused, or taken, by what was told last: neither if nothing is there to be tried.
func (c *connector) standing() (refused, taken bool) {
	switch held := c.credential.Credential.(type) {
	case rememberedCredential:
		return held.WasRefused(), held.WasTaken()
	case auth.Token:
		return c.health.CredentialsRefused(), c.health.CredentialsTaken()
	default:
		return false, false
	}
}

// refusedSecret is status.journal.refusedSecret for what is known of the credentials.
func (c *connector) refusedSecret(before string) string {
	held := &c.credential
	switch refused, taken := c.standing(); {
	case refused:
		if held.mark == "" { // once: it takes some time
			if held.mark = before; !held.contents.Fits(before, connection.ScopeOf(&c.project.Spec)) {
				held.mark = held.contents.NewMark(connection.ScopeOf(&c.project.Spec))
			}
		}
		return held.mark
	case taken && held.contents.Concerns(before):
		return ""
	default: // it may be that of another type, which may be in use again
		return before
	}
}

// credentialFailures is status.journal.credentialFailures for what is known of the credentials.
func (c *connector) credentialFailures(before []metav1.MicroTime) []metav1.MicroTime {
	remembered, is := c.credential.Credential.(rememberedCredential)
	if !is {
		return before
	}
	failures := remembered.Failures()
	var written []metav1.MicroTime
	for _, at := range failures[max(0, len(failures)-maxFailures):] {
		written = append(written, metav1.NewMicroTime(at.UTC().Truncate(time.Microsecond)))
	}
	return written
}
