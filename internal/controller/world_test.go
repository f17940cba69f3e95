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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
)

type reconcileRequest = reconcile.Request

// gateKind says what a request is that waits for its turn.
type gateKind int

const (
	gateCache gateKind = iota // of the process's own cache: it does not wait
	gateRead
	gateWrite
	gateCloud // it waits on when its time is up: the process may be halted
)

// verdict is what becomes of a request.
type verdict int

const (
	goesWell verdict = iota
	failsBefore
	answerLost
	crashBefore // the process ends, the request has no effect
	crashAfter  // the process ends, the request has its effect
	arrivesLate // the connection is lost, the request has its effect later
	verdicts
)

func (v verdict) String() string {
	return [...]string{"ok", "fails", "answer lost", "CRASH before", "CRASH after", "on its way"}[v]
}

// gate is a request that waits for its turn.
type gate struct {
	actor  *actor
	name   string
	kind   gateKind
	opened chan verdict
}

// world is the API server, the cloud and the processes of a run, with what waits for its turn. It lives in a bubble of
// testing/synctest: its time passes only when the script says so.
type world struct {
	server *modelServer
	cloud  *cbrtest.Cloud
	iam    *cbrtest.IAM // nil unless projects have credentials that it issues
	audit  *audit

	behaviour behaviour         // of the cloud
	caches    cacheKind         // of the processes
	outages   bool              // whether people take away the rights in the second project's namespace
	alter     func(*Reconciler) // switches rules off
	observe   v1alpha1.LookupPolicy
	events    events.EventRecorder // of the processes
	ctx       context.Context

	mutex   sync.Mutex
	actors  [2]*actor
	started int
	waiting []*gate
	late    []*lateRequest
	created int  // BackupSyncs so far
	quiet   bool // requests go well without waiting
	outage  bool // the rights in the second project's namespace are missing
	trace   []string
}

func (w *world) note(format string, arguments ...any) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.trace = append(w.trace, fmt.Sprintf(format, arguments...))
}

// actor is one process, from its start to its end.
type actor struct {
	world      *world
	name       string
	reconciler *Reconciler
	caches     map[string]*modelCache
	unchecked  bool       // whether a call may begin is looked at before its request waits for its turn
	reading    sync.Mutex // guards the caches, but for what they were written by: passes of two projects read them
	// guarded by the world's mutex
	dead   bool
	halted bool     // none of its requests has its turn
	blind  bool     // it cannot read the second project's namespace: it was started without the rights, or its watches have ended since
	lanes  [2]*lane // passes of different projects may overlap
}

// lane is the passes of a process over one project.
type lane struct {
	project        string
	passing, asked bool
	due            time.Time
	failures       int // passes that have failed in a row
}

// The projects of a world. Both import into the same cloud project, if there are both.
const (
	firstProject  = "default"
	secondProject = "other"
)

// passing reports whether a process makes a pass; the world's mutex is held.
func (a *actor) passing() bool { return a.lanes[0].passing || a.lanes[1].passing }

// Times of the modelled processes.
const (
	propertySettle = 6 * time.Second
	propertyCall   = 3 * time.Second
)

func newWorld(ctx context.Context, observe v1alpha1.LookupPolicy, backups int, alter func(*Reconciler)) *world {
	return newWorldOf(ctx, observe, backups, alter, func(*world) {})
}

// newWorldOf is newWorld with something that happens before there are backups and processes.
func newWorldOf(ctx context.Context, observe v1alpha1.LookupPolicy, backups int, alter func(*Reconciler), begin func(*world)) *world {
	w := &world{server: newModelServer(), cloud: cbrtest.New(cbrtest.Options{}), audit: newAudit(), alter: alter, observe: observe, events: silentRecorder{}, ctx: ctx}
	w.configure(func(options *cbrtest.Options) { options.TaskDuration = 3 * time.Second })
	w.server.watch = w.audit.stored
	w.server.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cbr"}, Data: map[string][]byte{v1alpha1.TokenKey: []byte(cbrtest.Token)}})
	w.createProject(firstProject)
	begin(w)
	for range backups {
		w.createBackup()
	}
	w.restart(0)
	w.restart(1)
	return w
}

// createProject applies the manifest of a project.
func (w *world) createProject(name string) {
	second, never, once := &metav1.Duration{Duration: time.Second}, &metav1.Duration{}, int32(0)
	w.server.create(&v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CBRProjectSpec{
		Endpoint: "http://127.0.0.1:80", ProjectID: cbrtest.ProjectID, LookupPolicy: w.observe,
		Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}},
		Batch:       v1alpha1.Batch{MaxSize: 2, Window: never, MaxWait: never},
		Limits:      v1alpha1.Limits{SyncCallsPerMinute: 100000, ConcurrentSyncCalls: 2},
		Poll:        v1alpha1.Poll{Interval: second, OverdueAfter: &metav1.Duration{Duration: time.Minute}}, Retry: v1alpha1.Retry{Limit: &once},
	}})
}

// createBackup applies the manifest of another backup.
func (w *world) createBackup() {
	w.server.create(w.behaviour.spell(modelBackup(w.created)))
	w.note("b%d is created", w.created)
	w.created++
}

func modelBackup(number int) *v1alpha1.BackupSync {
	return modelBackupOf(firstProject, fmt.Sprintf("b%d", number), number)
}

// modelBackupOf is a BackupSync of a project. Those of the same number declare the same backup.
func modelBackupOf(project, name string, number int) *v1alpha1.BackupSync {
	item := cbrtest.Backup(number)
	backup := &v1alpha1.BackupSync{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.BackupSyncSpec{
		ProjectRef: v1alpha1.ProjectReference{Name: project}, BackupID: item.ID, BackupName: item.Name, BucketName: item.BucketName,
		ImagePath: item.ImagePath, ResourceID: item.ResourceID, ResourceName: item.ResourceName, ResourceType: item.ResourceType, CreatedAt: item.CreatedAt,
	}}
	backup.Status.ObservedGeneration = -1
	backup.Status.Conditions = backupsync.ConditionSet{Ready: metav1.ConditionUnknown, Reconciling: true}.Apply(
		&backup.ObjectMeta, nil, v1alpha1.ReasonQueued, v1alpha1.QueuedMessage, metav1.NewTime(time.Unix(0, 0)))
	return backup
}

// restart ends a process, if it runs, and starts it anew: with another identity, no memory, and a cache of its own.
func (w *world) restart(index int) {
	if old := w.actors[index]; old != nil {
		w.kill(old)
	}
	w.started++
	a := &actor{world: w, name: fmt.Sprintf("%c%d", 'P'+index, w.started), caches: map[string]*modelCache{},
		lanes: [2]*lane{{project: firstProject, asked: true}, {project: secondProject, asked: true}}}
	for _, part := range w.parts() {
		a.caches[part] = &modelCache{objects: map[string]client.Object{}, written: map[string]int64{}}
	}
	endpoints, err := connection.ParseEndpointPatterns("http://127.0.0.1:*")
	if err != nil {
		panic(err)
	}
	a.reconciler, err = NewReconciler(cachedClient{actor: a}, liveReader{actor: a}, w.events, Options{
		Identity: a.name, AllowedEndpoints: endpoints, Transports: a, StatusWriters: 4,
		CallTimeout: propertyCall, SettleTime: propertySettle, WriteTimeout: 5 * time.Second, Namespaces: w.caches.namespaces(),
	})
	if err != nil {
		panic(err)
	}
	if w.caches == oneOfEach {
		a.reconciler.options.Unreadable = a.unreadable
	}
	asking := queue(askingQueue{actor: a})
	a.reconciler.queue.Store(&asking)
	if w.alter != nil {
		w.alter(a.reconciler)
	}
	a.blind = w.isOutage()
	w.actors[index] = a
	w.note("%s starts", a.name)
	a.sees() // its informers list before the first pass
}

// askingQueue is the workqueue of a process, as far as it asks itself for a pass.
type askingQueue struct {
	queue
	actor *actor
}

// Add asks for a pass over a project.
func (q askingQueue) Add(request reconcileRequest) {
	q.actor.world.mutex.Lock()
	defer q.actor.world.mutex.Unlock()
	for _, l := range q.actor.lanes {
		if l.project == request.Name {
			l.asked = true
		}
	}
}

// kill ends a process: what it asks from now on has no effect.
func (w *world) kill(a *actor) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	a.dead = true
	w.waiting = slices.DeleteFunc(w.waiting, func(g *gate) bool {
		if g.actor == a {
			g.opened <- failsBefore
		}
		return g.actor == a
	})
}

func (a *actor) ask() {
	a.world.mutex.Lock()
	defer a.world.mutex.Unlock()
	a.lanes[0].asked, a.lanes[1].asked = true, true
}

// enter waits for the turn of a request and returns what becomes of it: goesWell, failsBefore, answerLost or arrivesLate.
func (a *actor) enter(ctx context.Context, name string, kind gateKind) verdict {
	w := a.world
	if kind == gateCloud {
		ctx = context.WithoutCancel(ctx)
	}
	w.mutex.Lock()
	switch {
	case a.dead || ctx.Err() != nil:
		w.mutex.Unlock()
		return failsBefore
	case kind == gateCache || w.quiet:
		w.mutex.Unlock()
		return goesWell
	}
	g := &gate{actor: a, name: name, kind: kind, opened: make(chan verdict, 1)}
	w.waiting = append(w.waiting, g)
	w.mutex.Unlock()
	select {
	case outcome := <-g.opened:
		return outcome
	case <-ctx.Done():
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.waiting = slices.DeleteFunc(w.waiting, func(other *gate) bool { return other == g })
		return failsBefore
	}
}

// open gives a request its turn.
func (w *world) open(index int, outcome verdict) {
	w.mutex.Lock()
	g := w.waiting[index]
	w.waiting = slices.Delete(w.waiting, index, index+1)
	w.mutex.Unlock()
	w.note("%s %s: %s", g.actor.name, g.name, outcome)
	switch outcome {
	case crashBefore, crashAfter:
		position := slices.Index(w.actors[:], g.actor)
		effect := failsBefore
		if outcome == crashAfter {
			effect = answerLost
		}
		g.opened <- effect
		synctest.Wait()
		w.restart(position)
	default:
		g.opened <- outcome
	}
}

// lateRequest is a request whose sender has given up on it.
type lateRequest struct {
	name   string
	arrive chan struct{}
}

// later lets a request have its effect when the script says so, or else after a time.
func (w *world) later(name string, within time.Duration, effect func()) {
	request := &lateRequest{name: name, arrive: make(chan struct{})}
	w.mutex.Lock()
	w.late = append(w.late, request)
	w.mutex.Unlock()
	go func() {
		select {
		case <-request.arrive:
		case <-time.After(within):
		}
		w.mutex.Lock()
		w.late = slices.DeleteFunc(w.late, func(other *lateRequest) bool { return other == request })
		w.mutex.Unlock()
		w.note("%s: arrives", name)
		effect()
	}()
}

// arrive lets one of the late requests have its effect.
func (w *world) arrive(which int) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.late) > 0 {
		position := which % len(w.late)
		close(w.late[position].arrive)
		w.late = slices.Delete(w.late, position, position+1)
	}
}

// begin starts the passes of a process that are due.
func (w *world) begin(a *actor) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, l := range a.lanes {
		if !l.passing && !a.dead && (l.asked || !l.due.IsZero() && !time.Now().Before(l.due)) {
			w.beginIn(a, l)
		}
	}
}

// beginIn starts a pass; the mutex is held.
func (w *world) beginIn(a *actor, l *lane) {
	l.passing, l.asked, l.due = true, false, time.Time{}
	w.trace = append(w.trace, a.name+" begins a pass over "+l.project)
	go func() {
		ctx := context.WithValue(log.IntoContext(w.ctx, logr.Discard()), passOf{}, l.project)
		result, err := a.reconciler.Reconcile(ctx, reconcileRequest{NamespacedName: types.NamespacedName{Namespace: modelNamespace, Name: l.project}})
		w.mutex.Lock()
		defer w.mutex.Unlock()
		l.passing = false
		switch {
		case err != nil: // the queue backs off: see SetupWithManager
			l.failures++
			l.due = time.Now().Add(backupsync.Backoff(passRetry, passMaxRetry, l.failures))
			return
		case result.RequeueAfter > 0:
			l.due = time.Now().Add(result.RequeueAfter)
		}
		l.failures = 0
	}()
}

// For makes the process the source of its own connections to the cloud.
func (a *actor) For(string) (http.RoundTripper, error) { return a, nil }

var errCloudConnection = errors.New("the connection to the cloud was lost")

// RoundTrip carries a request to the cloud.
func (a *actor) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host == modelIAM {
		return a.askIAM(request)
	}
	var body []byte
	if request.Body != nil && a.unchecked {
		body, _ = io.ReadAll(request.Body)
	}
	outcome := a.enter(request.Context(), "cloud: "+request.Method+" "+request.URL.Path, gateCloud)
	if trace := httptrace.ContextClientTrace(request.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if request.Body != nil && !a.unchecked {
		var err error
		if body, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
	}
	if outcome == failsBefore {
		return nil, errCloudConnection
	}
	arrived := request.Clone(context.WithoutCancel(request.Context()))
	arrived.Body, arrived.RequestURI = io.NopCloser(bytes.NewReader(body)), request.URL.RequestURI()
	answer := httptest.NewRecorder()
	if outcome == arrivesLate { // CBR takes no longer with a call than its caller waits: docs/never-twice.md
		a.world.later(a.name+" cloud: "+request.Method, propertyCall, func() { a.world.cloud.ServeHTTP(answer, arrived) })
		return nil, errCloudConnection
	}
	a.world.cloud.ServeHTTP(answer, arrived)
	if outcome == answerLost {
		return nil, errCloudConnection
	}
	return answer.Result(), nil
}

type silentRecorder struct{}

func (silentRecorder) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {
}

func readyReasonIn(patch []byte) string {
	var content struct {
		Status v1alpha1.BackupSyncStatus `json:"status"`
	}
	if json.Unmarshal(patch, &content) != nil {
		return ""
	}
	return readyOf(content.Status.Conditions).Reason
}
