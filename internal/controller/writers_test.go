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
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

const (
	testWriters = 16
	testWrite   = 100 * time.Millisecond // how long a write takes that goes well
)

// webhookClient writes statuses to a webhookServer.
type webhookClient struct {
	Client
	server *webhookServer
}

func (c webhookClient) Status() client.SubResourceWriter { return c.server }

// webhookServer is an API server with an admission webhook in the namespace slow, which fails after a time.
type webhookServer struct {
	client.SubResourceWriter
	fails time.Duration
	mutex sync.Mutex
	now   map[string]int // writes under way by namespace
	most  map[string]int
}

// Patch answers a patch of a status.
func (s *webhookServer) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	namespace := object.GetNamespace()
	s.count(namespace, 1)
	defer s.count(namespace, -1)
	if namespace == "slow" {
		time.Sleep(s.fails)
		return apierrors.NewInternalError(errors.New("failed calling webhook"))
	}
	time.Sleep(testWrite)
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, object)
}

func (s *webhookServer) count(namespace string, by int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.now[namespace] += by
	s.most[namespace] = max(s.most[namespace], s.now[namespace])
}

// applied has a pass of a namespace write so many statuses, and returns how long it takes.
func applied(ctx context.Context, r *Reconciler, namespace string, count int) time.Duration {
	now := metav1.Now()
	changes := make([]change, count)
	for i := range changes {
		backup := newBackup(func(b *v1alpha1.BackupSync) {
			b.Namespace, b.Name, b.Spec.Suspend = namespace, fmt.Sprintf("b%d", i), true
			b.UID = types.UID(namespace + b.Name)
		})
		changes[i] = to(backup, backupsync.Present(backup, backupsync.Circumstances{}, now))
	}
	own := step{r, &scope{key: types.NamespacedName{Namespace: namespace, Name: "default"}, log: logr.Discard(), now: now.Time}, &nextPass{}}
	began := time.Now()
	newPassOf(own, newMemory()).writer.apply(ctx, changes)
	return time.Since(began)
}

// An admission webhook of one namespace is slow, or fails at once and is asked again: statuses elsewhere are written as soon as ever. Where
// only one namespace has something to write, it has all places.
func TestASlowNamespaceHoldsUpNoOther(t *testing.T) {
	const writes = 200
	for _, fails := range []time.Duration{0, time.Second, 10 * time.Second} {
		t.Run(fmt.Sprintf("it fails after %s", fails), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &webhookServer{fails: fails, now: map[string]int{}, most: map[string]int{}}
				r := &Reconciler{client: webhookClient{server: server}, counts: newStateCounts(), events: silentRecorder{}, writers: newWritePlaces(testWriters),
					options: Options{StatusWriters: testWriters, Clock: clock.RealClock{}}}
				alone := applied(t.Context(), r, "good", writes)
				if want := testWrite * (writes + testWriters - 1) / testWriters; alone > want+testWrite {
					t.Errorf("alone it takes %s, more than %s", alone, want)
				}
				var group sync.WaitGroup
				for range 3 { // projects
					group.Go(func() { applied(t.Context(), r, "slow", 100) })
				}
				synctest.Wait()
				if beside := applied(t.Context(), r, "good", writes); beside > 2*alone {
					t.Errorf("beside a namespace that is slow it takes %s, alone %s", beside, alone)
				}
				group.Wait()
				if most := server.most["slow"]; most > testWriters {
					t.Errorf("%d writes were under way in one namespace", most)
				}
				if places := r.writers; places.free != testWriters || len(places.namespaces)+len(places.waiting) > 0 {
					t.Errorf("%d places are free in the end, and %d namespaces are not forgotten", places.free, len(places.namespaces))
				}
			})
		})
	}
}

// A write that is not waited for any more gives its place in the queue back, whether or not it has one.
func TestAWriteThatIsGivenUpTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := newWritePlaces(1)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			_ = places.during(t.Context(), "team", func() error { time.Sleep(time.Second); return nil })
		})
		synctest.Wait()
		group.Go(func() {
			err := places.during(ctx, "team", func() error { t.Error("it is made"); return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("it ends with %v", err)
			}
		})
		synctest.Wait()
		cancel()
		group.Wait()
		if places.free != 1 || len(places.namespaces)+len(places.waiting) > 0 {
			t.Errorf("%d places are free, %d namespaces known, %d writes wait", places.free, len(places.namespaces), len(places.waiting))
		}
	})
}
