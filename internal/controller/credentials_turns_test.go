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
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/connection"
)

// hangElsewhere has so many requests of another project with the same access key at the same endpoint be under way until it is told that
// they have ended.
func (c *tenant) hangElsewhere(requests int) (end func()) {
	r := c.actors[0].reconciler
	key, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(modelKey.Access), Secret: []byte(modelKey.Secret), Clock: r.options.Clock,
		Attempts: r.attempts, Endpoint: connection.EndpointOf(&c.project().Spec), ProjectID: "another"})
	if err != nil {
		c.t.Fatal(err)
	}
	for range requests {
		if err := key.Authorize(c.ctx, httptest.NewRequestWithContext(c.ctx, http.MethodGet, "http://127.0.0.1", nil), nil); err != nil {
			c.t.Fatal(err)
		}
	}
	return func() {
		for range requests {
			key.Ended(&cbr.Error{Class: cbr.Transient})
		}
	}
}

// A project whose calls have no turn beside those of another one says so, blames neither CBR nor the network, and goes on by itself.
func TestAProjectThatWaitsForItsTurn(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsAccessKey, nil, 1, func(c *tenant) {
		c.imports(time.Minute)
		end := c.hangElsewhere(5)
		before := len(c.cloud.Ledger())
		c.declare("late", "late", "vm-1")
		c.becomes(time.Minute, v1alpha1.ReasonThrottled)
		c.says("wait for their turn", "with the same access key")
		c.goOn(5 * time.Minute)
		c.want("calls that were sent", len(c.cloud.Ledger())-before, 0, 0)
		c.want("events", c.eventsOf(v1alpha1.ReasonThrottled), 1, 1)
		end()
		c.imports(time.Minute)
		c.wasNever("False")
	})
	withCredentials(t, v1alpha1.CredentialsAccessKey, nil, 1, func(c *tenant) { // there is nothing to wait for any more
		c.imports(time.Minute)
		defer c.hangElsewhere(5)()
		c.declare("late", "late", "vm-1")
		c.becomes(time.Minute, v1alpha1.ReasonThrottled)
		c.server.remove(kindBackup, "late")
		c.becomes(time.Minute, v1alpha1.ReasonUsable)
	})
}
