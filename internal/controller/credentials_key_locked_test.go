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
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// The cloud locks an access key for five minutes after more than five failures in a row: nothing that this process does may make so many.

var withWrongKey = map[string]string{v1alpha1.SecretKeyKey: strings.Repeat("wr0ng", 8)}

func TestARefusedAccessKeyIsNotLockedByWhatIsEdited(t *testing.T) {
	for name, meddle := range map[string]func(*tenant, int){
		"the Secret is deleted and created again": func(c *tenant, _ int) {
			c.server.remove(kindSecret, "cbr")
			c.actors[0].ask()
			c.goOn(12 * time.Second)
			c.replaceSecret(v1alpha1.CredentialsAccessKey, withWrongKey)
		},
		"expiresAt is edited": func(c *tenant, round int) {
			c.editPart(v1alpha1.ExpiresAtKey, ends(time.Hour+time.Duration(round)*time.Minute))
		},
		"the project id is edited": func(c *tenant, round int) {
			c.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.ProjectID = []string{"another", cbrtest.ProjectID}[round%2] })
		},
		"the process starts anew": func(c *tenant, _ int) { c.restart(0) },
	} {
		t.Run(name, func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsAccessKey, withWrongKey, 3, func(c *tenant) {
				c.configure(func(o *cbrtest.Options) { o.ProjectIDs = append(o.ProjectIDs, "another") })
				c.goOn(15 * time.Second)
				for round := range 8 {
					meddle(c, round)
					c.actors[0].ask()
					c.goOn(15 * time.Second)
				}
				c.want("failed signatures in less than five minutes", c.refused(), 1, 5)
			})
		})
	}
}

// Several projects commonly use the same key: with six of them the first round locks it.
func TestAKeyThatWasRefusedRestsForAllProjects(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsAccessKey, withWrongKey, 3, func(c *tenant) {
		c.configure(func(o *cbrtest.Options) { o.ProjectIDs = append(o.ProjectIDs, "another") })
		c.goOn(30 * time.Second)
		c.want("failed signatures", c.refused(), 1, 1)
		spec := c.project().Spec
		spec.ProjectID = "another"
		c.createProject(secondProject)
		_ = c.server.change(kindProject, secondProject, func(object client.Object) (client.Object, error) {
			object.(*v1alpha1.CBRProject).Spec = spec
			return object, nil
		})
		c.server.create(modelBackupOf(secondProject, "theirs", 77))
		c.actors[0].ask()
		c.goOn(2 * time.Minute)
		c.want("failed signatures in less than five minutes", c.refused(), 1, 1)
	})
}

// The secret of a key is another one while as many calls are under way as spec.limits.concurrentSyncCalls allows. All that were signed
// before the first refusal fail: no more than five may be.
func TestAKeyThatIsRevokedWhileManyCallsAreMade(t *testing.T) {
	for _, concurrent := range []int32{4, 20} {
		t.Run(fmt.Sprint(concurrent), func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsAccessKey, nil, 0, func(c *tenant) {
				c.editProject(func(spec *v1alpha1.CBRProjectSpec) {
					spec.Batch.MaxSize, spec.Limits.ConcurrentSyncCalls = 1, concurrent
				})
				c.declare("first", "first", "vm-first")
				c.imports(time.Minute)
				c.declareMany(30)
				c.stopAt(c.actors[0], "cloud: POST")
				c.cloud.SetKeys(cbrtest.Key{Access: modelKey.Access, Secret: strings.Repeat("0ther", 8)})
				c.finish(c.actors[0])
				c.goOn(4 * time.Minute)
				c.want("failed signatures in less than five minutes", c.refused(), 1, 5)
			})
		})
	}
}

// A Secret with a wrong secret key beside the right id goes on being tried: that must not lock out those who have the right one.
func TestAKeyThatIsTriedForLongStaysUsableForOthers(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsAccessKey, withWrongKey, 3, func(c *tenant) {
		c.liveUntil(c.actors[0], 2*time.Hour, func() bool { return c.refused() > cbrtest.KeyFailures })
		if c.locked(modelKey) {
			c.t.Errorf("after %d failed signatures the cloud refuses those of others, too", c.refused())
		}
	})
}

// Who corrects the secret key again and again is not told that the right one was refused, and waits for five minutes at most.
func TestAnAccessKeyThatIsCorrectedSeveralTimes(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsAccessKey, withWrongKey, 1, func(c *tenant) {
		for round := range 6 {
			c.editPart(v1alpha1.SecretKeyKey, strings.Repeat(fmt.Sprint("wr0ng", round), 7))
			c.goOn(20 * time.Second)
		}
		c.want("failed signatures", c.refused(), 3, 5)
		c.replaceSecret(v1alpha1.CredentialsAccessKey, nil)
		c.becomes(30*time.Second, v1alpha1.ReasonThrottled)
		c.says("Calls rest for at most 5 minutes: requests with this access key were refused several times")
		c.imports(5 * time.Minute)
	})
}

// locked reports whether the cloud refuses a request that is signed with a key.
func (c *tenant) locked(key cbrtest.Key) bool {
	signer, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(key.Access), Secret: []byte(key.Secret), ProjectID: cbrtest.ProjectID})
	if err != nil {
		c.t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://127.0.0.1/v3/"+cbrtest.ProjectID+"/backups", nil)
	if err := signer.Authorize(c.t.Context(), request, nil); err != nil {
		c.t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	c.cloud.ServeHTTP(answer, request)
	return answer.Code == http.StatusUnauthorized
}
