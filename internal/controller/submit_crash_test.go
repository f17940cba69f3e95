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

package controller_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

// doom ends a process at a chosen request: from then on none of its requests has any effect, neither at the API server
// nor at CBR, and no clean-up of it is seen.
type doom struct {
	dead  atomic.Bool
	mutex sync.Mutex
	point *crashPoint
	seen  int
	held  bool // a record was written
}

// crashPoint is a request at which a process ends.
type crashPoint struct {
	method, path string // of the request; the path is a part of it
	body         string // a part of the body
	strike       bool   // the first write of the project without submissions after one with them
	after        int    // how many such requests pass before
	applied      bool   // whether the request itself still has its effect, with its answer lost
}

func (d *doom) now() { d.dead.Store(true) }

// pass lets a request pass, unless the process has ended or ends with it.
func (d *doom) pass(request *http.Request, next http.RoundTripper) (*http.Response, error) {
	if d == nil {
		return next.RoundTrip(request)
	}
	if d.dead.Load() {
		return nil, errCrashed
	}
	if !d.strikes(request) {
		return next.RoundTrip(request)
	}
	d.now()
	if d.point.applied {
		if response, err := next.RoundTrip(request); err == nil {
			_ = response.Body.Close()
		}
	}
	return nil, errCrashed
}

func (d *doom) strikes(request *http.Request) bool {
	if d.point == nil || request.Method != d.point.method || !strings.Contains(request.URL.Path, d.point.path) {
		return false
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return false
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	d.mutex.Lock()
	defer d.mutex.Unlock()
	holds := bytes.Contains(body, []byte(recorded))
	due := d.held && !holds
	d.held = d.held || holds
	if !bytes.Contains(body, []byte(d.point.body)) || d.point.strike && !due {
		return false
	}
	d.seen++
	return d.seen == d.point.after+1
}

// doomedTransports cut a process off from CBR when it has ended.
type doomedTransports struct {
	cbr.Transports
	doom *doom
}

func (t *doomedTransports) For(bundle string) (http.RoundTripper, error) {
	next, err := t.Transports.For(bundle)
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if t.doom.dead.Load() {
			return nil, errCrashed
		}
		return next.RoundTrip(request)
	}), err
}

// startDoomed starts a controller that ends at a point, or when it is told to.
func (w *world) startDoomed(point *crashPoint) *doom {
	GinkgoHelper()
	end := &doom{point: point}
	survivors := w.requests
	w.requests = &requestLog{doom: end}
	w.start(impatient, func(options *controller.Options) { options.Transports = &doomedTransports{doom: end} })
	w.requests = survivors
	return end
}

const (
	projectStatus = "/cbrprojects/default/status"
	backupStatus  = "/backupsyncs/"
	recorded      = `"submissions":[`
)

var _ = Describe("A process that crashes", func() {
	DescribeTable("leaves enough behind for the next one to submit each backup exactly once",
		func(ctx context.Context, point crashPoint, calls int) {
			const count = 10
			w := newWorld(ctx, cbrtest.Options{TaskDuration: 2 * time.Second})
			w.apply(ctx, w.secret(cbrtest.Token), w.project(func(spec *v1alpha1.CBRProjectSpec) {
				spec.LookupPolicy = v1alpha1.LookupNever // it must not be the look before that saves us
				spec.Batch.MaxSize = 5
			}))
			w.applyBackups(ctx, count)
			end := w.startDoomed(&point)
			Eventually(end.dead.Load).Should(BeTrue(), "the point is reached")
			w.start(impatient)
			Eventually(w.reasons(ctx), 3*time.Minute).Should(Equal(map[string]int{v1alpha1.ReasonImported: count}))
			w.expectEachAcceptedOnce(ctx, count)
			Expect(w.cloud.SyncCalls()).To(Equal(calls))
		},
		Entry("before the record", crashPoint{method: "PATCH", path: projectStatus, body: recorded}, 2),
		Entry("after the record, before the calls", crashPoint{method: "PATCH", path: projectStatus, body: recorded, applied: true}, 2),
		Entry("after the answers, before the first status write", crashPoint{method: "PATCH", path: backupStatus}, 2),
		Entry("between the status writes", crashPoint{method: "PATCH", path: backupStatus, after: 3}, 2),
		Entry("with the answer of a status write lost", crashPoint{method: "PATCH", path: backupStatus, after: 6, applied: true}, 2),
		Entry("before the strike", crashPoint{method: "PATCH", path: projectStatus, strike: true}, 2),
		Entry("with the answer of the strike lost", crashPoint{method: "PATCH", path: projectStatus, strike: true, applied: true}, 2),
	)
})
