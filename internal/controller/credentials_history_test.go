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
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// besides has a second project with the same Secret, of another cloud project.
func (c *tenant) besides(projectID string) {
	spec := c.project().Spec
	spec.ProjectID = projectID
	c.server.remove(kindProject, secondProject)
	c.createProject(secondProject)
	_ = c.server.change(kindProject, secondProject, func(object client.Object) (client.Object, error) {
		object.(*v1alpha1.CBRProject).Spec = spec
		return object, nil
	})
	c.actors[0].ask()
}

// refuseProject has IAM refuse the user for one project.
func (c *tenant) refuseProject(projectID string) {
	c.iam.Configure(func(o *cbrtest.IAMOptions) {
		o.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
			body, _ := io.ReadAll(r.Body)
			if r.Body = io.NopCloser(bytes.NewReader(body)); !strings.Contains(string(body), projectID) {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"error":{"code":401,"message":"The user is not in this project","title":"Unauthorized"}}`)
			return true
		}
	})
}

// loseAnswersOfIAM has IAM judge each request, and its answer be lost on the way. It returns how many there were.
func (c *tenant) loseAnswersOfIAM() *int {
	judged := new(int)
	c.iam.Configure(func(o *cbrtest.IAMOptions) {
		o.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
			*judged++
			w.WriteHeader(http.StatusGatewayTimeout)
			return true
		}
	})
	return judged
}

// askedWith counts the requests to IAM that hold a text.
func (c *tenant) askedWith(text string) int {
	count := 0
	for _, request := range c.iam.Requests() {
		if strings.Contains(string(request.Body), text) {
			count++
		}
	}
	return count
}

// Processes that follow each other count what the cloud counts, whatever is done between them: five wrong passwords within 15 minutes lock
// an account, more than five wrong signatures within five minutes a key.
func TestNoRestartsLock(t *testing.T) {
	many := func(o *cbrtest.Options) {
		for round := range 6 {
			o.ProjectIDs = append(o.ProjectIDs, fmt.Sprint("another-", round))
		}
	}
	for name, row := range map[string]struct {
		kind      v1alpha1.CredentialsType
		rounds    int
		between   time.Duration
		do        func(c *tenant, round int)
		sameSents int // of the same secret; 0 for no bound of its own
	}{
		"nothing is done": {v1alpha1.CredentialsPassword, 6, 30 * time.Second, func(*tenant, int) {}, 1},
		"another project with the same password": {v1alpha1.CredentialsPassword, 5, 30 * time.Second, func(c *tenant, round int) {
			c.besides(fmt.Sprint("another-", round))
			c.goOn(20 * time.Second)
		}, 1},
		"line ends after the password": {v1alpha1.CredentialsPassword, 5, 30 * time.Second, func(c *tenant, round int) {
			c.editPart(v1alpha1.PasswordKey, wrongPassword+strings.Repeat("\n", round+1))
		}, 1},
		"two passwords by turns": {v1alpha1.CredentialsPassword, 6, 30 * time.Second, func(c *tenant, round int) {
			c.editPart(v1alpha1.PasswordKey, []string{"wr0ng-2", wrongPassword}[round%2])
		}, 0},
		"requests": {v1alpha1.CredentialsPassword, 6, time.Minute, func(c *tenant, _ int) { c.request(kindProject, firstProject) }, 0},
		"other passwords": {v1alpha1.CredentialsPassword, 6, 30 * time.Second, func(c *tenant, round int) {
			c.editPart(v1alpha1.PasswordKey, fmt.Sprint("wr0ng-", round))
			c.goOn(30 * time.Second)
			c.request(kindProject, firstProject)
			c.goOn(10 * time.Second)
		}, 0},
		"requests for a key": {v1alpha1.CredentialsAccessKey, 6, 20 * time.Second, func(c *tenant, _ int) { c.request(kindProject, firstProject) }, 1},
		"another end of a key": {v1alpha1.CredentialsAccessKey, 6, 20 * time.Second, func(c *tenant, round int) {
			c.editPart(v1alpha1.ExpiresAtKey, ends(time.Hour+time.Duration(round)*time.Minute))
		}, 1},
		"another project with the same key": {v1alpha1.CredentialsAccessKey, 5, 20 * time.Second, func(c *tenant, round int) {
			c.configure(many)
			c.besides(fmt.Sprint("another-", round))
			c.goOn(15 * time.Second)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := map[v1alpha1.CredentialsType]map[string]string{v1alpha1.CredentialsPassword: withWrongPassword, v1alpha1.CredentialsAccessKey: withWrongKey}
			withCredentials(t, row.kind, wrong[row.kind], 3, func(c *tenant) {
				c.goOn(15 * time.Second)
				for round := range row.rounds {
					row.do(c, round)
					c.restart(0)
					c.goOn(row.between)
				}
				c.want("failures", c.asked()+c.refused(), 1, 4)
				if row.sameSents > 0 {
					c.want("times that the same was sent", c.wrongSent()+c.refused(), 1, row.sameSents)
				}
				if c.locked(modelKey) {
					c.t.Error("the key is locked")
				}
			})
		})
	}
}

// Nor do lost answers, of which a few are borne in the same time.
func TestNoRestartsLockByLostAnswers(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 0, func(c *tenant) {
		judged := c.loseAnswersOfIAM()
		for range 3 {
			c.goOn(4 * time.Minute)
			c.restart(0)
		}
		c.goOn(2 * time.Minute)
		c.want("times that the wrong password has reached IAM in 14 minutes", *judged, 1, 4)
	})
}

// A token is renewed in time although its user was refused for another project, or the account was locked when another one asked.
func TestARenewalIsNotForgottenForAnotherProject(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.iam.Configure(func(o *cbrtest.IAMOptions) { o.TokenLife = time.Hour })
		c.refuseProject("another")
		c.imports(time.Minute)
		c.goOn(33 * time.Minute)
		c.besides("another")
		c.goOn(24 * time.Minute) // it was due before minute 48, and may be made from minute 54 on
		c.want("tokens for the project before the first one ends", c.askedWith(cbrtest.ProjectID), 2, 2)
	})
}

// What a process tells of a refusal that it has not seen itself names the way out as well.
func TestAMessageAfterARestartNamesTheWayOut(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 0, func(c *tenant) {
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		c.says(v1alpha1.RequestedAtAnnotation)
		c.restart(0)
		c.goOn(time.Minute)
		c.says("before the operator started", v1alpha1.RequestedAtAnnotation)
	})
}

// A refusal may be the fault of the project id: when that is corrected, the password is tried again, by the same process or the next.
func TestACorrectedProjectIsTried(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprint(restarts), func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
				c.refuseProject("another")
				c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.ProjectID = "another" })
				c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
				c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.ProjectID = cbrtest.ProjectID })
				if restarts {
					c.restart(0)
				}
				c.imports(25 * time.Minute)
				c.want("requests to IAM", c.asked(), 2, 2)
			})
		})
	}
}

// A request that must wait is told so: nothing is said to need a person that is done by itself, and a warning stays as long as what it
// warns of.
func TestARequestThatMustWaitIsTold(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 0, func(c *tenant) {
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		for round := range 3 {
			c.editPart(v1alpha1.PasswordKey, fmt.Sprint("wr0ng-", round))
			c.goOn(30 * time.Second)
		}
		c.request(kindProject, firstProject)
		c.goOn(30 * time.Second)
		before := c.asked()
		c.says("by itself")
		c.goOn(16 * time.Minute)
		c.want("attempts after the pause", c.asked()-before, 1, 1)
	})
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.imports(time.Minute)
		c.iam.SetPassword("an0ther-password")
		c.goOn(21 * time.Hour)
		for range 6 {
			c.request(kindProject, firstProject)
			c.goOn(30 * time.Second)
			if c.warning() == nil {
				c.t.Fatal("the token is not renewed, and there is no warning")
			}
		}
	})
}

// Of an outage nothing is said that speaks of the key.
func TestAnOutageIsNoRefusalOfAKey(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsAccessKey, nil, 1, func(c *tenant) {
		c.refuseAll(cbrtest.Page(cbrtest.AllCalls, http.StatusBadGateway, time.Now().Add(20*time.Second)))
		c.goOn(15 * time.Second)
		if c.projectReason() == v1alpha1.ReasonUsable || strings.Contains(c.message(), "access key") {
			c.t.Errorf("%s: %s", c.projectReason(), c.message())
		}
		c.imports(time.Minute)
	})
}

// A request shortly before a key is tried again anyway does not put that off.
func TestARequestPutsOffNoRetryOfAKey(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsAccessKey, withWrongKey, 3, func(c *tenant) {
		c.goOn(4*time.Minute + 50*time.Second)
		c.request(kindProject, firstProject)
		c.goOn(90 * time.Second)
		c.want("times that the key was tried", c.refused(), 2, 2)
	})
}

// A tool that prunes removes an annotation that is in no manifest: that asks for nothing.
func TestARequestThatIsRemovedAsksForNothing(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 0, func(c *tenant) {
		c.request(kindProject, firstProject)
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		c.goOn(time.Minute)
		before := c.wrongSent()
		_ = c.server.change(kindProject, firstProject, func(object client.Object) (client.Object, error) {
			object.SetAnnotations(nil)
			return object, nil
		})
		c.goOn(2 * time.Minute)
		c.want("times that the password was sent for it", c.wrongSent()-before, 0, 0)
	})
}

// A token is good whatever certificates are trusted: that IAM cannot be asked when they change stops nothing.
func TestATokenOutlivesAnotherCABundle(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		trust := func(certificates string) {
			c.server.remove(kindSecret, "roots")
			c.server.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "roots"}, Data: map[string][]byte{"ca.crt": []byte(certificates)}})
		}
		trust("one")
		c.editProject(func(spec *v1alpha1.CBRProjectSpec) {
			spec.CABundleRef = v1alpha1.CABundleReference{Kind: v1alpha1.CABundleSecret, Name: "roots", Key: "ca.crt"}
		})
		c.imports(2 * time.Minute)
		c.iam.Configure(func(o *cbrtest.IAMOptions) {
			o.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
		})
		trust("one and two")
		c.declare("late", "late", "vm-1")
		c.imports(5 * time.Minute)
		c.want("requests to IAM", c.asked(), 1, 1)
	})
}

// A project that is refused does not hold up another one of the same user, which has imported, after a restart either.
func TestARefusedProjectHoldsUpNoOtherAfterARestart(t *testing.T) {
	for _, kind := range []v1alpha1.CredentialsType{v1alpha1.CredentialsPassword, v1alpha1.CredentialsAccessKey} {
		t.Run(string(kind), func(t *testing.T) {
			withCredentials(t, kind, nil, 1, func(c *tenant) {
				c.refuseProject("another")
				c.imports(time.Minute)
				c.besides("another")
				c.server.create(modelBackupOf(secondProject, "theirs", 77))
				c.goOn(3 * time.Minute)
				c.restart(0)
				c.declare("late", "late", "vm-1")
				c.actors[0].ask()
				c.liveUntil(c.actors[0], 2*time.Minute, func() bool { return c.reasons()[v1alpha1.ReasonImported] >= 2 })
				c.want("imported", c.reasons()[v1alpha1.ReasonImported], 2, 2)
			})
		})
	}
}
