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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
)

// One process alone: the answer of a status patch is lost, its retry conflicts with itself, and the cache lags.
func TestPropertyLostAnswerOfAStatusPatch(t *testing.T) {
	var trace, problem string
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, v1alpha1.ObserveNever, 3, nil) // size 2: b0,b1 then b2
		a := w.actors[0]
		lose := ""
		drain := func() {
			for range 200 {
				synctest.Wait()
				w.mutex.Lock()
				n := len(w.waiting)
				name := ""
				if n > 0 {
					name = w.waiting[0].name
				}
				w.mutex.Unlock()
				if n > 0 {
					outcome := goesWell
					if lose != "" && strings.HasPrefix(name, lose) {
						outcome, lose = answerLost, ""
					}
					w.open(0, outcome)
					continue
				}
				w.mutex.Lock()
				passing := a.passing
				w.mutex.Unlock()
				if !passing {
					return
				}
				time.Sleep(50 * time.Millisecond) // a retry's back-off
			}
		}
		pass := func() { w.begin(a); drain() }
		pass() // takes over, submits b0,b1,b2
		w.server.create(modelBackup(3))
		a.advance(kindBackup, a.behind(kindBackup)) // sees b3, newer than the takeover
		lose = "patch status of b3"
		pass()
		a.ask()
		pass()
		if twice := w.cloud.AcceptedTwice(); len(twice) > 0 {
			problem = strings.Join(twice, " ")
		}
		trace = strings.Join(w.trace, "\n")
		w.kill(w.actors[0])
		w.kill(w.actors[1])
		cancel()
		time.Sleep(time.Hour)
	})
	t.Log(trace)
	if problem != "" {
		t.Fatal("accepted twice: ", problem)
	}
}
