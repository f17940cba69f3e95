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
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// Credentials of each type from pass to pass: what is fetched, tried and told, and when.

// modelIAM is the host of the IAM of a world.
const modelIAM = "127.0.0.1:5000"

var errIAMConnection = errors.New("the connection to IAM failed")

// askIAM carries a request to the IAM of the world, which has a turn at once.
func (a *actor) askIAM(request *http.Request) (*http.Response, error) {
	if a.world.iam == nil || request.Context().Err() != nil {
		return nil, errIAMConnection
	}
	arrived := request.Clone(request.Context())
	arrived.RequestURI = request.URL.RequestURI()
	answer := httptest.NewRecorder()
	a.world.iam.ServeHTTP(answer, arrived)
	return answer.Result(), nil
}

// modelKey is the access key that the cloud of a world accepts, otherKey the one that may take its place.
var (
	modelKey = cbrtest.Key{Access: "QTWAOYTTINDUT2QVKYUC", Secret: "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"}
	otherKey = cbrtest.Key{Access: "QTWAOYTTINDUT2QVKYU2", Secret: "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmH2"}
)

// goodContents are the contents of a Secret of each type that the cloud takes.
var goodContents = map[v1alpha1.CredentialsType]map[string]string{
	v1alpha1.CredentialsToken:     {v1alpha1.TokenKey: cbrtest.Token},
	v1alpha1.CredentialsAccessKey: {v1alpha1.AccessKeyKey: modelKey.Access, v1alpha1.SecretKeyKey: modelKey.Secret},
	v1alpha1.CredentialsPassword: {v1alpha1.UsernameKey: cbrtest.Username, v1alpha1.PasswordKey: cbrtest.Password,
		v1alpha1.DomainNameKey: cbrtest.DomainName},
}

// tenant is a world whose project has credentials of a type, with all that the project has said.
type tenant struct {
	*world
	t       *testing.T
	mutex   sync.Mutex
	readies []string             // status and reason of each Ready of the project, without repetitions
	told    map[string]time.Time // messages of the project's conditions, when they were first there
	events  []string             // reasons of the project's events
}

// withCredentials plays a script in a world whose project has credentials of a type, some of whose good contents are replaced, or
// left out if they are "". One process lives in it. Whatever happens, nothing secret is told.
func withCredentials(t *testing.T, kind v1alpha1.CredentialsType, contents map[string]string, backups int, script func(*tenant)) {
	t.Helper()
	withOptions(t, kind, contents, backups, nil, script)
}

func withOptions(t *testing.T, kind v1alpha1.CredentialsType, contents map[string]string, backups int, alter func(*Reconciler), script func(*tenant)) {
	t.Helper()
	if leftOut(t) {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := &tenant{t: t, told: map[string]time.Time{}}
		w := newWorldOf(ctx, v1alpha1.LookupBeforeFirstSubmission, backups, alter, func(w *world) { c.begin(w, kind, contents) })
		w.kill(w.actors[1])
		script(c)
		if wrong := w.audit.findings(); wrong != "" {
			t.Error(wrong)
		}
		c.wantNothingTold()
		if t.Failed() || testing.Verbose() {
			t.Log(w.describe() + "\n" + strings.Join(c.readies, ", ") + "\n" + strings.Join(w.excerpt(), "\n"))
		}
		w.end(cancel)
	})
}

// begin prepares the world before there are processes.
func (c *tenant) begin(w *world, kind v1alpha1.CredentialsType, contents map[string]string) {
	c.world = w
	w.iam = cbrtest.NewIAM(cbrtest.IAMOptions{})
	w.configure(func(o *cbrtest.Options) { o.IAM, o.Keys = w.iam, []cbrtest.Key{modelKey} })
	w.events = c
	audited := w.server.watch
	w.server.watch = func(object client.Object) {
		audited(object)
		if project, is := object.(*v1alpha1.CBRProject); is {
			c.saw(project)
		}
	}
	w.server.remove(kindSecret, "cbr")
	c.replaceSecret(kind, contents)
	w.editProject(func(spec *v1alpha1.CBRProjectSpec) {
		spec.Credentials.Type = kind
		if kind == v1alpha1.CredentialsPodIdentity {
			spec.Credentials.SecretRef = v1alpha1.SecretReference{}
		}
		spec.IAMEndpoint = "http://" + modelIAM
	})
}

// Eventf takes note of an event of the project.
func (c *tenant) Eventf(object, _ runtime.Object, _, reason, _, note string, arguments ...any) {
	if _, is := object.(*v1alpha1.CBRProject); !is {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.events = append(c.events, reason)
	c.told[fmt.Sprintf(note, arguments...)] = time.Now()
}

func (c *tenant) saw(project *v1alpha1.CBRProject) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, condition := range project.Status.Conditions {
		if _, before := c.told[condition.Message]; !before {
			c.told[condition.Message] = time.Now()
		}
	}
	ready := readyOf(project.Status.Conditions)
	if now := string(ready.Status) + " " + ready.Reason; ready.Reason != "" && (len(c.readies) == 0 || c.readies[len(c.readies)-1] != now) {
		c.readies = append(c.readies, now)
	}
}

// eventsOf counts the project's events of a reason.
func (c *tenant) eventsOf(reason string) int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	count := 0
	for _, each := range c.events {
		if each == reason {
			count++
		}
	}
	return count
}

// wantNothingTold checks that nothing secret stands in what the project has said, and that all of it is short enough.
func (c *tenant) wantNothingTold() {
	c.t.Helper()
	secrets := append(c.iam.Secrets(), modelKey.Secret, otherKey.Secret, cbrtest.Token, "wrong-password", "wr0ng")
	for message := range c.told {
		for _, secret := range secrets {
			if strings.Contains(message, secret) {
				c.t.Errorf("%q tells a secret", message)
			}
		}
		if message != "" && (len([]rune(message)) > v1alpha1.MaxMessageLength || strings.HasSuffix(message, "…")) {
			c.t.Errorf("too long: %q", message)
		}
	}
}

// replaceSecret deletes the Secret and creates it anew, with the good contents of a type, some of which are replaced.
func (c *tenant) replaceSecret(kind v1alpha1.CredentialsType, contents map[string]string) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cbr"}, Data: map[string][]byte{}}
	for _, from := range []map[string]string{goodContents[kind], contents} {
		for key, value := range from {
			if secret.Data[key] = []byte(value); value == "" {
				delete(secret.Data, key)
			}
		}
	}
	c.server.remove(kindSecret, "cbr")
	if kind != v1alpha1.CredentialsPodIdentity {
		c.server.create(secret)
	}
	c.note("the Secret is replaced")
}

// goOn lets the process live for a time.
func (c *tenant) goOn(length time.Duration) { c.live(c.actors[0], length) }

// becomes checks that the project's Ready has a reason within a time.
func (c *tenant) becomes(within time.Duration, reason string) {
	c.t.Helper()
	if !c.liveUntil(c.actors[0], within, func() bool { return c.projectReason() == reason }) {
		c.t.Errorf("after %s the project is %s, not %s: %s", within, c.projectReason(), reason, c.message())
	}
}

// imports checks that all is imported within a time, and that the project is Usable then.
func (c *tenant) imports(within time.Duration) {
	c.t.Helper()
	if !c.liveUntil(c.actors[0], within, c.allImported) {
		c.t.Errorf("after %s they are %v, the project %s: %s", within, c.reasons(), c.projectReason(), c.message())
	}
	c.becomes(time.Minute, v1alpha1.ReasonUsable)
}

func (c *tenant) message() string { return readyOf(c.project().Status.Conditions).Message }

// says checks that the message of the project's Ready contains texts.
func (c *tenant) says(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		if !strings.Contains(c.message(), text) {
			c.t.Errorf("%q is not in %q", text, c.message())
		}
	}
}

// asked is how often IAM was asked.
func (c *tenant) asked() int { return len(c.iam.Requests()) }

// refused is how many calls CBR has refused.
func (c *tenant) refused() int {
	count := 0
	for _, call := range c.cloud.Ledger() {
		if call.Status == http.StatusUnauthorized {
			count++
		}
	}
	return count
}

// want checks a count.
func (c *tenant) want(what string, got, least, most int) {
	c.t.Helper()
	if got < least || got > most {
		c.t.Errorf("%s: %d, not %d to %d", what, got, least, most)
	}
}

// wasNever checks that the project was never something.
func (c *tenant) wasNever(statuses ...string) {
	c.t.Helper()
	for _, status := range statuses {
		if slices.ContainsFunc(c.readies, func(ready string) bool { return strings.HasPrefix(ready, status) }) {
			c.t.Errorf("the project was %s: %v", status, c.readies)
		}
	}
}

// editPart replaces the content of a key of the Secret as it stands, "" removes it.
func (c *tenant) editPart(key, value string) {
	_ = c.server.change(kindSecret, "cbr", func(object client.Object) (client.Object, error) {
		secret := object.(*corev1.Secret)
		if secret.Data[key] = []byte(value); value == "" {
			delete(secret.Data, key)
		}
		return secret, nil
	})
	c.note("%s is edited in the Secret", key)
}
