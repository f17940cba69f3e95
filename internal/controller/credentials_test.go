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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
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
	_, _ = c.server.change(kindSecret, "cbr", func(object client.Object) (client.Object, error) {
		secret := object.(*corev1.Secret)
		if secret.Data[key] = []byte(value); value == "" {
			delete(secret.Data, key)
		}
		return secret, nil
	})
	c.note("%s is edited in the Secret", key)
}

var secretTypes = []v1alpha1.CredentialsType{v1alpha1.CredentialsToken, v1alpha1.CredentialsAccessKey, v1alpha1.CredentialsPassword}

func TestBackupsAreImportedWithCredentialsOfEachType(t *testing.T) {
	for _, kind := range secretTypes {
		t.Run(string(kind), func(t *testing.T) {
			withCredentials(t, kind, nil, 6, func(c *tenant) {
				c.imports(2 * time.Minute)
				c.wasNever("False")
				c.want("refused calls", c.refused(), 0, 0)
				if kind != v1alpha1.CredentialsPassword {
					c.want("requests to IAM", c.asked(), 0, 0)
					return
				}
				c.want("requests to IAM", c.asked(), 1, 1)
				if end := c.project().Status.CredentialsExpiryTime; end == nil || time.Until(end.Time) < 23*time.Hour {
					c.t.Errorf("status.credentialsExpiryTime is %v", end)
				}
			})
		})
	}
}

// A project says that it can be used before there is anything to send.
func TestAProjectWithNothingToSendBecomesUsable(t *testing.T) {
	for _, kind := range secretTypes {
		t.Run(string(kind), func(t *testing.T) {
			withCredentials(t, kind, nil, 0, func(c *tenant) { c.becomes(time.Minute, v1alpha1.ReasonUsable) })
		})
	}
}

func TestAWrongPasswordIsSentOnce(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, map[string]string{v1alpha1.PasswordKey: "wrong-password"}, 3, func(c *tenant) {
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		c.says("IAM refuses", "correct the Secret")
		c.goOn(2 * time.Hour)
		c.editPart("note", "of another key")
		c.goOn(time.Hour)
		c.want("requests to IAM", c.asked(), 1, 1)
		c.request(kindProject, firstProject) // a person may know that it is right by now
		c.goOn(time.Hour)
		c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Batch.MaxSize = 3 })
		c.goOn(10 * time.Hour)
		c.want("requests to IAM", c.asked(), 2, 2)
		c.want("calls", len(c.cloud.Ledger()), 0, 0)
		c.wantHeldUp(c.t, v1alpha1.ReasonCredentialsRejected)
		c.replaceSecret(v1alpha1.CredentialsPassword, nil)
		c.imports(time.Minute)
		c.want("requests to IAM", c.asked(), 3, 3)
	})
}

// While the right password is still on its way into IAM, or the account was locked, a person edits the Secret: each content is
// tried once.
func TestEachWrongPasswordIsSentOnce(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, map[string]string{v1alpha1.PasswordKey: "wr0ng-0"}, 1, func(c *tenant) {
		for i := range 3 {
			c.editPart(v1alpha1.PasswordKey, fmt.Sprintf("wr0ng-%d", i))
			c.goOn(time.Minute)
			c.want("requests to IAM", c.asked(), i+1, i+1)
		}
		c.editPart(v1alpha1.PasswordKey, cbrtest.Password)
		c.imports(time.Minute)
	})
}

// What IAM answers while it fails, and how long it takes at most until all is well again.
func TestIAMThatFails(t *testing.T) {
	page := func(status int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(status); return true }
	}
	for name, failing := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"500": page(500), "503": page(503), "404": page(404), "200 without a token": page(200), "a redirect": page(302),
		"201 without a token": page(201),
	} {
		t.Run(name, func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsPassword, nil, 3, func(c *tenant) {
				c.iam.Configure(func(o *cbrtest.IAMOptions) { o.Intercept = failing })
				c.becomes(time.Minute, v1alpha1.ReasonEndpointUnavailable)
				c.says("IAM cannot be reached or fails", "spec.iamEndpoint")
				c.goOn(3 * time.Hour)
				c.wantHeldUp(c.t, v1alpha1.ReasonEndpointUnavailable)
				c.want("requests to IAM in three hours", c.asked(), 3, 60)
				c.want("calls", len(c.cloud.Ledger()), 0, 0)
				c.iam.Configure(func(o *cbrtest.IAMOptions) { o.Intercept = nil })
				c.imports(20 * time.Minute)
			})
		})
	}
}

func TestIAMThatCannotBeReached(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 3, func(c *tenant) {
		answering := c.iam
		c.iam = nil
		c.becomes(time.Minute, v1alpha1.ReasonEndpointUnavailable)
		c.goOn(time.Hour)
		c.iam = answering
		c.imports(6 * time.Minute)
	})
}

// CBR refuses the token although it has not ended: it was revoked, or has ended by CBR's clock.
func TestATokenThatIsRefusedInMidRunIsRenewed(t *testing.T) {
	for name, end := range map[string]func(*cbrtest.IAM){"expired": (*cbrtest.IAM).Expire, "revoked": (*cbrtest.IAM).Revoke} {
		for _, after := range []time.Duration{time.Second, 20 * time.Second, 30 * time.Minute} {
			t.Run(fmt.Sprintf("%s after %s", name, after), func(t *testing.T) {
				withCredentials(t, v1alpha1.CredentialsPassword, nil, 0, func(c *tenant) {
					c.configure(func(o *cbrtest.Options) { o.TaskDuration = 5 * time.Minute })
					c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = 4 })
					c.declareMany(20)
					c.goOn(after)
					before := len(c.posts())
					end(c.iam)
					c.declare("late", "late", "vm-late")
					c.imports(30 * time.Minute)
					c.wasNever("False", "Unknown "+v1alpha1.ReasonThrottled)
					c.want("requests to IAM", c.asked(), 2, 2)
					c.want("refused calls", c.refused(), 1, 5) // all that were under way
					c.want("sync calls since", len(c.posts())-before, 1, 12)
				})
			})
		}
	}
}

// A fresh token is refused too, so that renewing does not help: IAM is asked ever more rarely, and the project says so.
func TestATokenThatIsRefusedAtOnce(t *testing.T) {
	for _, code := range []string{"APIGW.0301", "APIGW.0307", "BackupService.9998"} {
		t.Run(code, func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsPassword, nil, 3, func(c *tenant) {
				c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: 401, Code: code}})
				c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
				c.says("CBR refuses credentials that were fetched just before", code)
				c.goOn(8 * time.Hour)
				c.wantHeldUp(c.t, v1alpha1.ReasonCredentialsRejected)
				c.want("requests to IAM in eight hours", c.asked(), 8, 24)
				c.want("calls in eight hours", len(c.cloud.Ledger()), 8, 24)
				requests := c.iam.Requests()
				last := len(requests) - 1
				if pause := requests[last].Time.Sub(requests[last-1].Time); pause < 45*time.Minute {
					c.t.Errorf("the last pause is %s", pause)
				}
				if whole := []string{"True " + v1alpha1.ReasonUsable, "False " + v1alpha1.ReasonCredentialsRejected}; !slices.Equal(c.readies, whole) {
					c.t.Errorf("a token that may be no good is no reason to say that all is well: %v", c.readies)
				}
				c.want("events", c.eventsOf(v1alpha1.ReasonCredentialsRejected), 1, 1)
				c.configure(func(o *cbrtest.Options) { o.Refusals = nil })
				c.imports(65 * time.Minute)
			})
		})
	}
}

// The cloud locks a key after more than five failures in a row, for five minutes.
func TestARefusedAccessKeyRests(t *testing.T) {
	wrong := map[string]string{v1alpha1.SecretKeyKey: strings.Repeat("wr0ng", 8)}
	withCredentials(t, v1alpha1.CredentialsAccessKey, wrong, 3, func(c *tenant) {
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		c.says("CBR refuses the access key", "Tried again every 5 minutes")
		c.want("calls", len(c.cloud.Ledger()), 1, 1)
		c.goOn(4*time.Minute + 50*time.Second)
		c.request(kindProject, firstProject)
		c.goOn(time.Second)
		c.want("calls in five minutes", len(c.cloud.Ledger()), 1, 1)
		c.says("CBR refuses the access key")
		c.goOn(time.Hour)
		c.want("calls in an hour", len(c.cloud.Ledger()), 8, 13)
		calls := c.cloud.Ledger()
		for i := 1; i < len(calls); i++ {
			if pause := calls[i].Time.Sub(calls[i-1].Time); pause < 5*time.Minute {
				c.t.Errorf("the key was used again after %s", pause)
			}
		}
		c.cloud.AddKeys(otherKey)
		c.replaceSecret(v1alpha1.CredentialsAccessKey, map[string]string{v1alpha1.AccessKeyKey: otherKey.Access, v1alpha1.SecretKeyKey: otherKey.Secret})
		c.imports(30 * time.Second)
	})
}

// Who puts the right secret key beside the same access key may have to wait until the cloud's own lock has ended.
func TestAnAccessKeyThatIsCorrected(t *testing.T) {
	wrong := map[string]string{v1alpha1.SecretKeyKey: strings.Repeat("wr0ng", 8)}
	for _, after := range []time.Duration{time.Second, 2 * time.Minute, time.Hour} {
		withCredentials(t, v1alpha1.CredentialsAccessKey, wrong, 3, func(c *tenant) {
			c.goOn(after)
			c.replaceSecret(v1alpha1.CredentialsAccessKey, nil)
			if after < time.Hour {
				c.imports(30 * time.Second)
			} else {
				c.imports(7 * time.Minute)
			}
		})
	}
}

// The same key becomes valid, by a change in the cloud: nobody need touch the Secret.
func TestAnAccessKeyThatBecomesValid(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsAccessKey, nil, 3, func(c *tenant) {
		c.cloud.SetKeys()
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		c.goOn(time.Minute)
		c.cloud.SetKeys(modelKey)
		c.imports(6 * time.Minute)
	})
}

func TestAClockThatIsWrong(t *testing.T) {
	for offset, says := range map[time.Duration]string{
		16 * time.Minute:  "The operator's clock is 16m behind CBR's",
		-20 * time.Minute: "The operator's clock is 20m ahead of CBR's",
		76 * time.Minute:  "The operator's clock is 1h16m behind CBR's",
		-8 * time.Hour:    "The operator's clock is 8h ahead of CBR's",
	} {
		t.Run(offset.String(), func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsAccessKey, nil, 3, func(c *tenant) {
				c.configure(func(o *cbrtest.Options) { o.ClockOffset = offset })
				c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
				c.says(says, "Set the clock")
				c.goOn(time.Hour)
				c.wantHeldUp(c.t, v1alpha1.ReasonCredentialsRejected)
				c.says(says)
				c.want("calls in an hour", len(c.cloud.Ledger()), 30, 65)
				c.configure(func(o *cbrtest.Options) { o.ClockOffset = 0 })
				c.imports(2 * time.Minute)
			})
		})
	}
}

// ends is the content of expiresAt for an end in a while.
func ends(in time.Duration) string { return time.Now().Add(in).UTC().Format(time.RFC3339) }

// expiring are the types of credentials that end, and are not renewed.
var expiringTypes = []v1alpha1.CredentialsType{v1alpha1.CredentialsToken, v1alpha1.CredentialsAccessKey}

// What has ended by its own account is not sent.
func TestCredentialsThatHaveEndedAreNotTried(t *testing.T) {
	for _, kind := range expiringTypes {
		t.Run(string(kind), func(t *testing.T) {
			withCredentials(t, kind, nil, 3, func(c *tenant) {
				end := ends(-6 * time.Minute)
				c.replaceSecret(kind, map[string]string{v1alpha1.ExpiresAtKey: end})
				c.becomes(time.Minute, v1alpha1.ReasonCredentialsMissing)
				c.says("The credentials in Secret cbr ended at "+end, "Replace them.", "Imports resume automatically once this is fixed.")
				c.goOn(time.Hour)
				c.request(kindProject, firstProject)
				c.goOn(time.Hour)
				c.want("calls", len(c.cloud.Ledger()), 0, 0)
				c.replaceSecret(kind, map[string]string{v1alpha1.ExpiresAtKey: ends(time.Hour)})
				c.imports(time.Minute)
			})
		})
	}
}

// Clocks differ: whatever ended just now may still be good.
func TestCredentialsThatEndedJustNowAreTried(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsToken, nil, 3, func(c *tenant) {
		c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.ExpiresAtKey: ends(-time.Minute)})
		c.imports(2 * time.Minute)
	})
}

func (c *tenant) warning() *metav1.Condition {
	return meta.FindStatusCondition(c.project().Status.Conditions, v1alpha1.ConditionCredentialsExpiring)
}

// In the last tenth of their life credentials are told to end soon, whether or not there is anything to send.
func TestCredentialsThatEndSoon(t *testing.T) {
	for _, kind := range expiringTypes {
		for _, backups := range []int{0, 3} {
			t.Run(fmt.Sprintf("%s, %d backups", kind, backups), func(t *testing.T) {
				withCredentials(t, kind, nil, backups, func(c *tenant) {
					end := time.Now().Add(10 * time.Hour).Truncate(time.Second)
					c.replaceSecret(kind, map[string]string{v1alpha1.ExpiresAtKey: ends(10 * time.Hour)})
					c.becomes(time.Minute, v1alpha1.ReasonUsable)
					c.goOn(9*time.Hour - 3*time.Minute)
					c.wantExpiry(end)
					if c.warning() != nil {
						c.t.Error("it is told before the last tenth of their life")
					}
					c.goOn(4 * time.Minute)
					c.wantWarned(end)
					c.goOn(30 * time.Minute)
					c.want("events", c.eventsOf(v1alpha1.ReasonExpiresSoon), 1, 1)
					c.becomes(time.Second, v1alpha1.ReasonUsable)

					next := time.Now().Add(20 * time.Hour).Truncate(time.Second)
					c.replaceSecret(kind, map[string]string{v1alpha1.ExpiresAtKey: ends(20 * time.Hour)})
					c.goOn(2 * time.Minute)
					if c.warning() != nil {
						c.t.Error("it is told of those that were replaced")
					}
					c.wantExpiry(next)
					c.goOn(19 * time.Hour)
					c.wantWarned(next)
					c.want("events", c.eventsOf(v1alpha1.ReasonExpiresSoon), 2, 2)
					c.editPart(v1alpha1.ExpiresAtKey, "")
					c.goOn(2 * time.Minute)
					if c.warning() != nil || c.project().Status.CredentialsExpiryTime != nil {
						c.t.Errorf("nothing tells when they end, but status.credentialsExpiryTime is %v", c.project().Status.CredentialsExpiryTime)
					}
				})
			})
		}
	}
}

func (c *tenant) wantExpiry(end time.Time) {
	c.t.Helper()
	if told := c.project().Status.CredentialsExpiryTime; told == nil || !told.Time.Equal(end) {
		c.t.Errorf("status.credentialsExpiryTime is %v, not %v", told, end)
	}
}

func (c *tenant) wantWarned(end time.Time) {
	c.t.Helper()
	switch warning := c.warning(); {
	case warning == nil:
		c.t.Errorf("%s before their end nothing is told", time.Until(end))
	case warning.Status != metav1.ConditionTrue, warning.Reason != v1alpha1.ReasonExpiresSoon, warning.ObservedGeneration != c.project().Generation,
		!strings.Contains(warning.Message, "end at "+end.UTC().Format(time.RFC3339)):
		c.t.Errorf("it is told as %+v", warning)
	}
	c.wantExpiry(end)
}

// What was warned of happens: the project says that they have ended, once they have.
func TestCredentialsThatAreNotReplaced(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsToken, nil, 1, func(c *tenant) {
		c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.ExpiresAtKey: ends(time.Hour)})
		c.imports(time.Minute)
		c.goOn(58 * time.Minute)
		c.becomes(time.Second, v1alpha1.ReasonUsable)
		c.becomes(10*time.Minute, v1alpha1.ReasonCredentialsMissing)
		calls := len(c.cloud.Ledger())
		c.declare("late", "late", "vm-1")
		c.goOn(time.Hour)
		c.want("calls with what has ended", len(c.cloud.Ledger())-calls, 0, 0)
		c.wantHeldUp(c.t, v1alpha1.ReasonCredentialsMissing)
	})
}

// Those that are renewed are not warned of, and what the status says of their end is never over while they are used.
func TestCredentialsThatAreRenewed(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 0, func(c *tenant) {
		c.iam.Configure(func(o *cbrtest.IAMOptions) { o.TokenLife = 2 * time.Hour })
		for hour := range 24 {
			c.declare(fmt.Sprintf("b-%d", hour), fmt.Sprintf("id-%d", hour), "vm-1")
			c.goOn(time.Hour)
			if end := c.project().Status.CredentialsExpiryTime; end == nil || !end.After(time.Now()) {
				c.t.Errorf("status.credentialsExpiryTime is %v at %v", end, time.Now())
			}
			if c.warning() != nil {
				c.t.Error("they are told to end soon")
			}
		}
		c.imports(time.Minute)
		c.wasNever("False")
		c.want("refused calls", c.refused(), 0, 0)
		c.want("requests to IAM", c.asked(), 12, 25)
	})
}

// The status of a project that sends nothing for long does not speak of a token that is over.
func TestAnIdleProjectWhoseTokenEnds(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.imports(time.Minute)
		c.goOn(72 * time.Hour)
		if end := c.project().Status.CredentialsExpiryTime; end != nil && !end.After(time.Now()) {
			c.t.Errorf("status.credentialsExpiryTime is %v at %v", end, time.Now())
		}
		c.declare("late", "late", "vm-1")
		c.imports(2 * time.Minute)
		c.wasNever("False")
		c.want("requests to IAM", c.asked(), 2, 8)
	})
}

// A fetch that is under way ends with what it was for, and nothing comes of it.
func TestFetchesEndWithTheirProject(t *testing.T) {
	for name, end := range map[string]func(*tenant){
		"the project is deleted":         func(c *tenant) { c.server.remove(kindProject, firstProject) },
		"the Secret is deleted":          func(c *tenant) { c.server.remove(kindSecret, "cbr") },
		"the Secret has another content": func(c *tenant) { c.editPart(v1alpha1.PasswordKey, "wr0ng") },
		"the type is another": func(c *tenant) {
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Credentials.Type = v1alpha1.CredentialsToken })
		},
	} {
		t.Run(name, func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsPassword, nil, 0, func(c *tenant) {
				var begun, over atomic.Int32
				c.iam.Configure(func(o *cbrtest.IAMOptions) {
					o.Intercept = func(w http.ResponseWriter, request *http.Request) bool {
						if begun.Add(1) > 1 { // those of the next credential
							w.WriteHeader(http.StatusServiceUnavailable)
							return true
						}
						<-request.Context().Done()
						over.Add(1)
						return true
					}
				})
				c.goOn(time.Second) // less than a fetch may take
				if begun.Load() != 1 || over.Load() != 0 {
					c.t.Fatalf("%d fetches have begun, %d are over", begun.Load(), over.Load())
				}
				end(c)
				c.actors[0].ask()
				c.goOn(time.Second)
				if over.Load() != 1 {
					c.t.Error("it is still under way")
				}
			})
		})
	}
}

func TestPodIdentityIsRefusedWhereItMayNotBeUsed(t *testing.T) {
	allow := func(namespaces ...string) func(*Reconciler) {
		return func(r *Reconciler) { r.options.PodIdentityNamespaces = sets.New(namespaces...) }
	}
	for name, c := range map[string]struct {
		alter func(*Reconciler)
		says  string
	}{
		"no namespace may":                {nil, "--pod-identity-namespaces"},
		"other namespaces may":            {allow("team", "property-2"), "--pod-identity-namespaces"},
		"it may, and the pod has none":    {allow(modelNamespace), auth.PodIdentityURLVariable},
		"all may, and the pod has none":   {allow(AnyNamespace), auth.PodIdentityURLVariable},
		"it may among others":             {allow("team", modelNamespace), auth.PodIdentityURLVariable},
		"a namespace that begins alike":   {allow(modelNamespace + "-2"), "--pod-identity-namespaces"},
		"the empty text is no namespace":  {allow(""), "--pod-identity-namespaces"},
		"a pattern is no list of all":     {allow("prop*"), "--pod-identity-namespaces"},
		"the project's name is no matter": {allow(firstProject), "--pod-identity-namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(auth.PodIdentityURLVariable, "")
			t.Setenv(auth.PodIdentityTokenFileVariable, "")
			withOptions(t, v1alpha1.CredentialsPodIdentity, nil, 2, c.alter, func(w *tenant) {
				w.becomes(time.Minute, v1alpha1.ReasonCredentialsMissing)
				w.says(c.says)
				w.goOn(time.Hour)
				w.wantHeldUp(w.t, v1alpha1.ReasonCredentialsMissing)
				w.want("calls", len(w.cloud.Ledger()), 0, 0)
			})
		})
	}
}

// held is the credential that the process keeps for the project.
func (c *tenant) held() any {
	return c.actors[0].reconciler.memories.of(c.key()).credential.Credential
}

func (c *tenant) key() client.ObjectKey {
	return client.ObjectKey{Namespace: modelNamespace, Name: firstProject}
}

// A credential has fetched something, or must not be used for a while: it is another one only if what it is made of is.
func TestACredentialIsKeptFromPassToPass(t *testing.T) {
	changes := map[string]struct {
		change func(*tenant)
		kept   bool
	}{
		"nothing":                            {func(*tenant) {}, true},
		"another backup":                     {func(c *tenant) { c.declare("more", "more", "vm-1") }, true},
		"a request":                          {func(c *tenant) { c.request(kindProject, firstProject) }, true},
		"other keys of the Secret":           {func(c *tenant) { c.editPart("note", "x") }, true},
		"the same content in another Secret": {func(c *tenant) { c.replaceSecret(v1alpha1.CredentialsPassword, nil) }, true},
		"the pace": {func(c *tenant) {
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = 7 })
		}, true},
		"the name of the Secret": {func(c *tenant) {
			c.server.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "same"}, Data: contentsOf(v1alpha1.CredentialsPassword)})
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Credentials.SecretRef.Name = "same" })
		}, true},
		"the password": {func(c *tenant) {
			c.iam.SetPassword("an0ther-password")
			c.editPart(v1alpha1.PasswordKey, "an0ther-password")
		}, false},
		"the user": {func(c *tenant) {
			c.iam.Configure(func(o *cbrtest.IAMOptions) { o.Username = "another" })
			c.editPart(v1alpha1.UsernameKey, "another")
		}, false},
		"the project id": {func(c *tenant) {
			c.iam.Configure(func(o *cbrtest.IAMOptions) { o.ProjectIDs = append(o.ProjectIDs, "another") })
			c.configure(func(o *cbrtest.Options) { o.ProjectIDs = append(o.ProjectIDs, "another") })
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.ProjectID = "another" })
		}, false},
		"IAM's endpoint": {func(c *tenant) {
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.IAMEndpoint += "/" })
		}, false},
		"the CA bundle": {func(c *tenant) {
			c.server.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "roots"}, Data: map[string][]byte{"ca.crt": []byte("any text")}})
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) {
				spec.CABundleRef = v1alpha1.CABundleReference{Kind: v1alpha1.CABundleSecret, Name: "roots", Key: "ca.crt"}
			})
		}, false},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
				c.imports(time.Minute)
				before := c.held()
				if _, is := before.(*auth.Password); !is {
					c.t.Fatalf("a %T is kept", before)
				}
				change.change(c)
				c.actors[0].ask()
				c.goOn(20 * time.Second)
				c.declare("next", "next", "vm-1")
				c.goOn(time.Minute)
				if same := c.held() == before; same != change.kept {
					c.t.Errorf("the same credential: %t", same)
				}
				c.becomes(time.Minute, v1alpha1.ReasonUsable)
				if asked := c.asked(); change.kept && asked != 1 || !change.kept && asked != 2 {
					c.t.Errorf("%d requests to IAM", asked)
				}
			})
		})
	}
}

func contentsOf(kind v1alpha1.CredentialsType) map[string][]byte {
	data := map[string][]byte{}
	for key, value := range goodContents[kind] {
		data[key] = []byte(value)
	}
	return data
}

// A Secret that is replaced in mid-run, as rotation does, is taken in the next pass; nothing is refused, and nothing comes twice.
func TestARotationInMidRun(t *testing.T) {
	for kind, rotate := range map[v1alpha1.CredentialsType]func(*tenant){
		v1alpha1.CredentialsToken: func(c *tenant) {
			c.cloud.SetTokens(cbrtest.Token, "next-token")
			c.replaceSecret(v1alpha1.CredentialsToken, map[string]string{v1alpha1.TokenKey: "next-token"})
		},
		v1alpha1.CredentialsAccessKey: func(c *tenant) {
			c.cloud.AddKeys(otherKey)
			c.replaceSecret(v1alpha1.CredentialsAccessKey, map[string]string{v1alpha1.AccessKeyKey: otherKey.Access, v1alpha1.SecretKeyKey: otherKey.Secret})
		},
		v1alpha1.CredentialsPassword: func(c *tenant) {
			c.iam.SetPassword("an0ther-password")
			c.replaceSecret(v1alpha1.CredentialsPassword, map[string]string{v1alpha1.PasswordKey: "an0ther-password"})
		},
	} {
		t.Run(string(kind), func(t *testing.T) {
			withCredentials(t, kind, nil, 0, func(c *tenant) {
				c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = 4 })
				c.declareMany(30)
				c.goOn(70 * time.Second)
				rotate(c)
				c.imports(20 * time.Minute)
				c.wasNever("False")
				c.want("refused calls", c.refused(), 0, 0)
			})
		})
	}
}

// Each message about refused credentials fits into a condition whatever CBR or IAM says.
func TestMessagesAboutRefusedCredentials(t *testing.T) {
	for _, kind := range append(secretTypes, v1alpha1.CredentialsPodIdentity, "OIDC") {
		for _, text := range []string{"", "it is so", strings.Repeat("very ", 2000), strings.Repeat("备份不存在", 1000), "<html>\r\n\x00"} {
			for _, class := range cbr.Classes {
				failed := &cbr.Error{Class: class, StatusCode: 401, Code: "APIGW.0301", Message: text, Skew: 17 * time.Minute}
				late := *failed
				late.Code = "APIGW.0303"
				known := access{credentials: kind}
				for _, message := range []string{known.rejected(failed).message, known.rejected(&late).message, explainFetch(kind, failed).message} {
					if cleaned := backupsync.CleanMessage(message); !strings.HasSuffix(cleaned, ".") || strings.HasSuffix(cleaned, "…") {
						t.Errorf("%s, %s: not whole: %q", kind, class, cleaned)
					}
				}
				if slices.Contains(secretTypes, kind) != (rejections[kind].format != "") && kind != v1alpha1.CredentialsPodIdentity {
					t.Errorf("%s has no words of its own", kind)
				}
			}
		}
	}
}
