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
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// A password that IAM has refused is never sent again as it is, whatever is done around it: five of them lock the account.

const wrongPassword = "wrong-password"

var withWrongPassword = map[string]string{v1alpha1.PasswordKey: wrongPassword}

// everyNow repeats something a few times with time for several passes after each.
func (c *tenant) everyNow(times int, something func(round int)) {
	for round := range times {
		something(round)
		c.actors[0].ask()
		c.goOn(time.Minute)
	}
}

func TestARefusedPasswordIsNotSentAgain(t *testing.T) {
	for name, meddle := range map[string]func(*tenant, int){
		"the Secret is deleted and created again with the same content": func(c *tenant, _ int) {
			c.server.remove(kindSecret, "cbr")
			c.actors[0].ask()
			c.goOn(15 * time.Second)
			c.replaceSecret(v1alpha1.CredentialsPassword, withWrongPassword)
		},
		"the Secret flips between two wrong contents": func(c *tenant, round int) {
			c.editPart(v1alpha1.PasswordKey, []string{"wr0ng-2", wrongPassword}[round%2])
		},
		"the type is another one for a while": func(c *tenant, round int) {
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) {
				spec.Credentials.Type = []v1alpha1.CredentialsType{v1alpha1.CredentialsToken, v1alpha1.CredentialsPassword}[round%2]
			})
		},
		"the CA bundle is edited": func(c *tenant, round int) {
			c.server.remove(kindSecret, "roots")
			c.server.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "roots"}, Data: map[string][]byte{"ca.crt": []byte("any text " + strings.Repeat("!", round))}})
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) {
				spec.CABundleRef = v1alpha1.CABundleReference{Kind: v1alpha1.CABundleSecret, Name: "roots", Key: "ca.crt"}
			})
		},
		"the project id is edited": func(c *tenant, round int) {
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.ProjectID = []string{"another", cbrtest.ProjectID}[round%2] })
		},
		"the project is deleted and applied again": func(c *tenant, _ int) {
			spec := c.project().Spec
			c.server.remove(kindProject, firstProject)
			c.actors[0].ask()
			c.goOn(time.Minute)
			c.createProject(firstProject)
			c.editProject(func(next *v1alpha1.CBRProjectSpec) { *next = spec })
		},
	} {
		t.Run(name, func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 0, func(c *tenant) {
				c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
				c.everyNow(6, func(round int) { meddle(c, round) })
				c.want("times that the same wrong password was sent", c.wrongSent(), 1, 1)
			})
		})
	}
}

// wrongSent counts the requests to IAM that hold the wrong password.
func (c *tenant) wrongSent() int { return c.askedWith(wrongPassword) }

// Several CBRProjects, one for each region or cloud project, commonly use the same user, by the same Secret.
func TestAWrongPasswordOfTwoProjectsIsSentOnce(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 0, func(c *tenant) {
		spec := c.project().Spec
		spec.ProjectID = "another"
		c.createProject(secondProject)
		_ = c.server.change(kindProject, secondProject, func(object client.Object) (client.Object, error) {
			object.(*v1alpha1.CBRProject).Spec = spec
			return object, nil
		})
		c.actors[0].ask()
		c.goOn(10 * time.Minute)
		c.want("times that the same wrong password was sent", c.wrongSent(), 1, 1)
	})
}

// A request that is older than the refusal does not ask for another attempt: nobody knew of the refusal then.
func TestAnOldRequestDoesNotSendARefusedPasswordAgain(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.imports(time.Minute)
		c.request(kindProject, firstProject) // for another reason
		c.goOn(time.Minute)
		before := c.asked()
		c.iam.SetPassword("an0ther-password") // as the documents say: in IAM first, which ends tokens soon
		c.iam.Revoke()
		c.declare("late", "late", "vm-1")
		c.goOn(10 * time.Minute)
		c.want("times that the refused password was sent", c.asked()-before, 1, 1)
	})
}

// The account was locked when the token was to be renewed, and the token is valid for hours: a request has the password tried once more
// meanwhile, and nothing stands still.
func TestARequestHasARefusedRenewalTriedAgain(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.imports(time.Minute)
		right := goodContents[v1alpha1.CredentialsPassword][v1alpha1.PasswordKey]
		c.iam.SetPassword("an0ther-password")
		c.goOn(21 * time.Hour)
		before := c.asked()
		if warning := c.warning(); warning == nil || !strings.Contains(warning.Message, v1alpha1.RequestedAtAnnotation) {
			c.t.Errorf("the warning tells not how to have the password tried once more: %v", warning)
		}
		c.declare("early", "early", "vm-1")
		c.goOn(time.Minute)
		c.want("times that the refused password was sent by itself", c.asked()-before, 0, 0)
		c.iam.SetPassword(right)
		c.request(kindProject, firstProject)
		c.goOn(10 * time.Minute)
		c.want("attempts after the request", c.asked()-before, 1, 1)
		if warning := c.warning(); warning != nil {
			c.t.Errorf("still: %s", warning.Message)
		}
		c.goOn(4 * time.Hour)
		c.declare("late", "late", "vm-1")
		c.imports(time.Hour)
	})
}

// Another type is used for a while, whose credentials are good, and the process is another one then: what it does not know it does not send.
func TestARefusedPasswordIsRememberedWhileAnotherTypeIsUsed(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 3, func(c *tenant) {
		c.goOn(15 * time.Second)
		for key, value := range goodContents[v1alpha1.CredentialsAccessKey] {
			c.editPart(key, value)
		}
		c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Credentials.Type = v1alpha1.CredentialsAccessKey })
		c.imports(5 * time.Minute)
		c.restart(0)
		c.goOn(15 * time.Second)
		c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Credentials.Type = v1alpha1.CredentialsPassword })
		c.declare("late", "late", "vm-1")
		c.goOn(5 * time.Minute)
		c.want("times that the wrong password was sent", c.wrongSent(), 1, 1)
	})
}

// IAM refuses the password each time, and the answer is lost on the way, or a proxy answers in its place.
func TestAWrongPasswordWhoseRefusalIsLost(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, withWrongPassword, 0, func(c *tenant) {
		judged := c.loseAnswersOfIAM()
		c.goOn(15 * time.Minute) // in which five failures lock an account
		c.want("times that the wrong password has reached IAM", *judged, 1, 4)
	})
}
