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
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

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
		c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Batch.MaxSize = 3 })
		c.goOn(10 * time.Hour)
		c.want("requests to IAM", c.asked(), 1, 1)
		c.want("calls", len(c.cloud.Ledger()), 0, 0)
		c.wantHeldUp(c.t, v1alpha1.ReasonCredentialsRejected)
		c.replaceSecret(v1alpha1.CredentialsPassword, nil)
		c.imports(time.Minute)
		c.want("requests to IAM", c.asked(), 2, 2)
	})
}

// A person may have it tried once more: the account may have been locked until now.
func TestAWrongPasswordIsSentOnceMoreForEachRequest(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, map[string]string{v1alpha1.PasswordKey: "wrong-password"}, 3, func(c *tenant) {
		for tries := 1; tries < 4; tries++ {
			c.goOn(5 * time.Hour)
			c.want("requests to IAM", c.asked(), tries, tries)
			c.request(kindProject, firstProject)
		}
		c.iam.SetPassword("wrong-password") // it is right from now on
		c.goOn(5 * time.Hour)
		c.imports(time.Minute)
		c.want("requests to IAM", c.asked(), 4, 4)
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

// Somebody tries many: the account stays unlocked, and the right one is tried as soon as that is safe. Nobody says that it was refused.
func TestManyWrongPasswordsDoNotLockTheAccount(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, map[string]string{v1alpha1.PasswordKey: "wr0ng-0"}, 1, func(c *tenant) {
		for i := range 10 {
			c.editPart(v1alpha1.PasswordKey, fmt.Sprintf("wr0ng-%d", i))
			c.goOn(time.Minute)
		}
		c.want("requests to IAM", c.asked(), 4, 4)
		c.editPart(v1alpha1.PasswordKey, cbrtest.Password)
		c.becomes(30*time.Second, v1alpha1.ReasonThrottled)
		c.says("The operator asks IAM for no token for at most 15 minutes", "could lock the account")
		c.imports(15 * time.Minute)
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
		"other keys of the Secret":           {func(c *tenant) { c.editPart("note", "x") }, true},
		"the same content in another Secret": {func(c *tenant) { c.replaceSecret(v1alpha1.CredentialsPassword, nil) }, true},
		"the pace": {func(c *tenant) {
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Limits.SyncCallsPerMinute = 7 })
		}, true},
		"the name of the Secret": {func(c *tenant) {
			c.server.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "same"}, Data: contentsOf(v1alpha1.CredentialsPassword)})
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Credentials.SecretRef.Name = "same" })
		}, true},
		"a request, when nothing is wrong": {func(c *tenant) { c.request(kindProject, firstProject) }, true},
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
		}, false}, // and its token is taken over
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
				c.wasNever("False")
				keepsToken := change.kept || name == "the CA bundle"
				if asked := c.asked(); keepsToken && asked != 1 || !keepsToken && asked != 2 {
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
