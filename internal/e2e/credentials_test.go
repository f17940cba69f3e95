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

package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	// part is how many backups are applied at a time, so that credentials end while others are still to be imported.
	part = 40
	// shortLife is how long credentials live that end in the middle. What renews itself does so 10 s after the last time at the
	// earliest.
	shortLife = 13 * time.Second
	// keptLife is how long tokens and keys live that others replace.
	keptLife = 20 * time.Second
	// clockGrain is how exactly objects tell times.
	clockGrain = time.Second
)

// credentialCase imports all backups with one type of credentials, which end in the middle.
type credentialCase struct {
	scenario
	use    v1alpha1.Credentials
	secret corev1.Secret // without data
	lasts  bool          // nobody knows an end of the credentials
	play   func(ctx context.Context, r *credentialRun)
}

func named(keys v1alpha1.SecretKeys) v1alpha1.SecretReference {
	return v1alpha1.SecretReference{Name: "cbr", Keys: keys}
}

var refusedOnce = []string{v1alpha1.ReasonCredentialsRejected}

// credentialCases are the types of credentials. Secrets are of several types, and their keys have several names.
var credentialCases = []credentialCase{
	{scenario: scenario{name: "Token", cloud: []string{"--token=none"}, reasons: refusedOnce, mustSay: refusedOnce, calls: 12},
		use:    v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: named(v1alpha1.SecretKeys{Token: "value", ExpiresAt: "ends.at"})},
		secret: corev1.Secret{Type: "example.com/iam-token"}, play: playToken},
	{scenario: scenario{name: "AccessKey", cloud: []string{"--token=none"}, calls: 12, mustSay: refusedOnce,
		reasons: []string{v1alpha1.ReasonCredentialsRejected, v1alpha1.ReasonCredentialsMissing}},
		use:    v1alpha1.Credentials{Type: v1alpha1.CredentialsAccessKey, SecretRef: named(v1alpha1.SecretKeys{})},
		secret: corev1.Secret{Immutable: new(true)}, lasts: true, play: playAccessKey},
	{scenario: scenario{name: "AccessKey, temporary", cloud: []string{"--token=none"}, reasons: refusedOnce, mustSay: refusedOnce, calls: 12},
		use: v1alpha1.Credentials{Type: v1alpha1.CredentialsAccessKey, SecretRef: named(v1alpha1.SecretKeys{AccessKey: "HW_ACCESS_KEY",
			SecretKey: "HW_SECRET_KEY", SecurityToken: "HW_SECURITY_TOKEN", ExpiresAt: "HW_EXPIRES_AT"})},
		play: playTemporaryKey},
	{scenario: scenario{name: "Password", reasons: refusedOnce, mustSay: refusedOnce, calls: 12,
		cloud: []string{"--token=none", "--token-life=" + shortLife.String(), "--iam-latency=50ms"}},
		use:    v1alpha1.Credentials{Type: v1alpha1.CredentialsPassword, SecretRef: named(v1alpha1.SecretKeys{DomainName: "account"})},
		secret: corev1.Secret{Type: corev1.SecretTypeBasicAuth}, play: playPassword},
	{scenario: scenario{name: "PodIdentity", reasons: refusedOnce, calls: 12,
		cloud: []string{"--token=none", "--key-life=" + shortLife.String(), "--pod-token=" + podToken}},
		use: v1alpha1.Credentials{Type: v1alpha1.CredentialsPodIdentity}, play: playPodIdentity},
}

// podToken is what the file of the pod's identity holds at first.
const podToken = "eyJhbGciOiJSUzI1NiJ9.dGhlIGZpcnN0IG9mIHRoZSBwb2Q.Zmlyc3Qgc2lnbmF0dXJl"

// TestCredentials runs everything about credentials against one manager: imports during which credentials end, and hostile
// configurations. At the end no secret may be found in anything that the manager has shown.
func TestCredentials(t *testing.T) {
	b, known := newBedWithoutManager(t), &secrets{}
	runs := make([]*credentialRun, len(credentialCases))
	allowed := []string{connection.DefaultAllowedEndpoints}
	for i, each := range credentialCases {
		runs[i] = &credentialRun{credentialCase: each, secrets: known}
		runs[i].place, runs[i].simulator = b.prepare(t.Context(), t, each.cloud)
		allowed = append(allowed, runs[i].simulator.URL)
	}
	pod := runs[slices.IndexFunc(runs, func(r *credentialRun) bool { return r.use.Type == v1alpha1.CredentialsPodIdentity })]
	pod.tokenFile = filepath.Join(t.TempDir(), "token")
	pod.writePodToken(NewWithT(t), podToken)
	h := newHostile(t, b, known)
	t.Setenv(auth.PodIdentityURLVariable, pod.simulator.URL+cbrtest.PodIdentityPath)
	t.Setenv(auth.PodIdentityTokenFileVariable, pod.tokenFile)
	t.Setenv("GOTRACEBACK", "all")
	h.setProxy(t)
	b.startManager(t, "--zap-log-level=2", "--metrics-secure=false", "--pod-identity-namespaces="+pod.place,
		"--allowed-endpoints="+strings.Join(append(allowed, h.allowed()...), ","))
	var running errgroup.Group
	for _, each := range runs {
		running.Go(func() error { t.Run(each.name, func(t *testing.T) { each.start(t, b) }); return nil })
	}
	running.Go(func() error { t.Run("hostile and mistaken", h.run); return nil })
	NewWithT(t).Expect(running.Wait()).To(Succeed())
	t.Run("nothing shows a secret", func(t *testing.T) { b.expectNoLeak(t.Context(), t, known, runs) })
}

// credentialRun is such a case under way.
type credentialRun struct {
	*run
	credentialCase
	place     string // its namespace
	simulator *cluster.Simulator
	secrets   *secrets
	tokenFile string // of the pod's identity
	applied   int
	ends      []time.Time // of what the Secret has held
}

func (r *credentialRun) start(t *testing.T, b *bed) {
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTimeout)
	defer cancel()
	r.run = b.join(ctx, t, r.credentialCase.scenario, r.place, r.simulator)
	r.play(ctx, r)
	r.expectDone(ctx)
	r.expectTruth(ctx)
	r.expectExpiry()
	issued, err := r.cloud.IssuedSecrets(ctx)
	r.Expect(err).NotTo(HaveOccurred())
	r.secrets.add("what IAM has issued to "+r.run.scenario.name, issued...)
}

// begin creates the project, with the first content of its Secret.
func (r *credentialRun) begin(ctx context.Context, data map[string]string) {
	r.replace(ctx, data)
	iam := ""
	if r.use.Type == v1alpha1.CredentialsPassword {
		iam = r.cloud.URL
	}
	r.createProjectWith(ctx, r.use, iam)
}

// openKeys are the keys of Secrets under which there is nothing secret.
var openKeys = []string{"ends.at", "accessKey", "HW_ACCESS_KEY", "HW_EXPIRES_AT", "username", "account"}

// replace writes the Secret, anew if it cannot be changed.
func (r *credentialRun) replace(ctx context.Context, data map[string]string) {
	r.Helper()
	if len(data) == 0 {
		return
	}
	for key, value := range data {
		if !slices.Contains(openKeys, key) {
			r.secrets.add(fmt.Sprintf("%s of %s", key, r.run.scenario.name), value)
		}
	}
	secret := r.secret.DeepCopy()
	secret.Namespace, secret.Name, secret.StringData = r.namespace, "cbr", data
	api := r.bed.kubernetes.Client
	if r.applied > 0 && secret.Immutable == nil {
		r.Expect(api.Update(ctx, secret)).To(Succeed())
		return
	}
	if r.applied > 0 {
		r.Expect(api.Delete(ctx, secret.DeepCopy())).To(Succeed())
	}
	r.Expect(api.Create(ctx, secret)).To(Succeed())
}

// next applies the next part of the backups.
func (r *credentialRun) next(ctx context.Context) {
	r.Helper()
	r.apply(ctx, r.applied, r.applied+part)
	r.applied += part
}

// taken waits until the cloud has taken all that were applied.
func (r *credentialRun) taken(ctx context.Context) {
	r.Helper()
	r.await(ctx, "what was applied to be taken", func(g Gomega) { g.Expect(r.ledger(ctx, g).Backups).To(HaveLen(r.applied)) })
}

func (r *credentialRun) nextIsTaken(ctx context.Context) {
	r.Helper()
	r.next(ctx)
	r.taken(ctx)
}

// refusedUntil applies backups while the credentials are refused, waits until the project says so, and has that be mended.
func (r *credentialRun) refusedUntil(ctx context.Context, mend func()) {
	r.Helper()
	lift := r.beginOutage()
	r.next(ctx)
	r.await(ctx, "the refusal of the credentials to be told", func(g Gomega) {
		g.Expect(r.projectReady(ctx, g).Reason).To(Equal(v1alpha1.ReasonCredentialsRejected))
	})
	lift()
	mend()
	r.taken(ctx)
}

// endsAt is a time of the Secret, in so long from now.
func (r *credentialRun) endsAt(after time.Duration) string {
	end := time.Now().Add(after).UTC().Truncate(time.Second)
	r.ends = append(r.ends, end)
	return end.Format(time.RFC3339)
}

// warned waits until the project tells that its credentials end soon, and when.
func (r *credentialRun) warned(ctx context.Context) {
	r.Helper()
	end := r.ends[len(r.ends)-1]
	r.await(ctx, "the warning", func(g Gomega) {
		status := r.project(ctx, g).Status
		g.Expect(status.CredentialsExpiryTime).To(HaveValue(HaveField("Time", BeTemporally("==", end))))
		warning := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionCredentialsExpiring)
		g.Expect(warning).To(HaveValue(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", v1alpha1.ReasonExpiresSoon),
			HaveField("Message", ContainSubstring(end.Format(time.RFC3339))))))
	})
	r.check(time.Now().Before(end), "the warning came only when the credentials had ended")
}

// notWarned waits until there is no such warning, and the expiry is the latest, or absent if that is not known.
func (r *credentialRun) notWarned(ctx context.Context, known bool) {
	r.Helper()
	want := BeNil()
	if known {
		want = HaveValue(HaveField("Time", BeTemporally("==", r.ends[len(r.ends)-1])))
	}
	r.await(ctx, "the warning to go", func(g Gomega) {
		status := r.project(ctx, g).Status
		g.Expect(status.CredentialsExpiryTime).To(want)
		g.Expect(meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionCredentialsExpiring)).To(BeNil())
	})
}

// expectExpiry holds what the project has ever said about the end of its credentials against what is known of it.
func (r *credentialRun) expectExpiry() {
	r.recorder.mutex.Lock()
	defer r.recorder.mutex.Unlock()
	told := 0
	for _, each := range r.recorder.projects {
		status := each.object.Status
		if warning := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionCredentialsExpiring); warning != nil {
			r.check(r.warningIsTrue(each.at, status.CredentialsExpiryTime), "%s at %s: %s", warning.Reason, each.at, warning.Message)
		}
		if status.CredentialsExpiryTime == nil {
			continue
		}
		told++
		if end := status.CredentialsExpiryTime.Time; r.ends == nil {
			r.check(end.Before(each.at.Add(shortLife+clockGrain)), "at %s the credentials were said to end at %s", each.at, end)
		} else {
			r.check(slices.ContainsFunc(r.ends, end.Equal), "the credentials were said to end at %s, not at one of %s", end, r.ends)
		}
	}
	r.check(r.lasts == (told == 0), "an end of the credentials was told %d times", told)
}

// warningIsTrue reports whether credentials are in the last part of their life, which was short.
func (r *credentialRun) warningIsTrue(at time.Time, end *metav1.Time) bool {
	return r.ends != nil && end != nil && end.Sub(at) <= (keptLife+clockGrain)/10+clockGrain
}
