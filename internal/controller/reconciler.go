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
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/namespaces"
)

// Options tune the controller. The zero value of each means its default.
type Options struct {
	// Identity is a random name of this process; required.
	Identity string
	// AllowedEndpoints are the endpoints that projects may use; required.
	AllowedEndpoints connection.EndpointPatterns
	// MaxConcurrentProjects is how many projects have a pass at the same time; 32 by default.
	MaxConcurrentProjects int
	// StatusWriters is how many status writes of BackupSyncs are under way at the same time; 16 by default. Those that take long count in their
	// namespace alone.
	StatusWriters int
	// CallTimeout bounds a call of CBR; 60 s by default.
	CallTimeout time.Duration
	// WriteTimeout bounds the writes that follow a call; 30 s by default.
	WriteTimeout time.Duration
	// BeginTimeout is how long after its record a call may still begin; 15 s by default, CallTimeout if that is less.
	BeginTimeout time.Duration
	// SettleTime is how long after the end of a call CBR may take to show what it has taken of it; 60 s by default. Before that,
	// nobody looks what became of a call without an answer.
	SettleTime time.Duration
	// DeletionGrace is how long the deletion of a project waits for the outcome of its calls; 5 min by default.
	DeletionGrace time.Duration
	// RateWindow is the window of spec.limits.syncCallsPerMinute; a minute, other values are for tests.
	RateWindow time.Duration
	// Transports make the connections to CBR; by default those of the cbr package, with a guard of the allowed endpoints.
	Transports TransportSource
	// PodIdentityNamespaces are those whose projects may use the identity of the operator's pod; AnyNamespace for all.
	PodIdentityNamespaces sets.Set[string]
	// Namespaces are those that the operator watches, each through a cache of its own; all, through one cache, if empty.
	Namespaces []string
	// Unreadable returns those of Namespaces that cannot be read now, in order; nil if that does not happen to one alone.
	Unreadable func() []string
	// forgetsCalls switches off that a process looks up what its own calls have carried of late, for tests of what else is needed.
	forgetsCalls bool
	// Schema checks the CRDs in the cluster; nil if that is not wanted.
	Schema *SchemaCheck
	// UserAgent names the program to CBR.
	UserAgent string
	// Clock is the real clock by default.
	Clock clock.PassiveClock
}

// TransportSource gives out HTTP transports by the CA bundle that they trust: see cbr.Transports.
type TransportSource interface {
	For(caBundle string) (http.RoundTripper, error)
}

func (o *Options) setDefaults() {
	setDefault(&o.MaxConcurrentProjects, 32)
	setDefault(&o.StatusWriters, 16)
	setDefault(&o.CallTimeout, cbr.DefaultTimeout)
	setDefault(&o.WriteTimeout, 30*time.Second)
	setDefault(&o.BeginTimeout, min(o.CallTimeout, beginTimeout))
	setDefault(&o.DeletionGrace, DefaultDeletionGrace)
	setDefault(&o.SettleTime, DefaultSettleTime)
	setDefault(&o.RateWindow, time.Minute)
	setDefault(&o.UserAgent, "backupsync-operator")
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{metav1.NamespaceAll}
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
}

// manyCaches reports whether what the caches show of different namespaces may be of different times.
func (o *Options) manyCaches() bool { return len(o.Namespaces) > 1 }

// unreadable returns the namespaces that cannot be read now.
func (o *Options) unreadable() []string {
	if o.Unreadable == nil {
		return nil
	}
	return o.Unreadable()
}

// settlesWithin is the time in which a call that may be recorded by now has settled, whoever makes it.
func (o *Options) settlesWithin() time.Duration { return o.BeginTimeout + o.CallTimeout + o.SettleTime }

// beginTimeout is the default of Options.BeginTimeout.
const beginTimeout = 15 * time.Second

// DefaultSettleTime is the default of Options.SettleTime.
const DefaultSettleTime = 60 * time.Second

// DefaultDeletionGrace is the default of Options.DeletionGrace.
const DefaultDeletionGrace = 5 * time.Minute

// endSettles is how long CBR may take to show the backup of a task that has ended: less than after a call, of which nothing is
// known but that it was made.
func (o *Options) endSettles() time.Duration { return min(o.SettleTime, endSettleTime) }

const endSettleTime = 30 * time.Second

// refusalSettleTime is what takes the place of SettleTime after a refusal by CBR itself, if it is less.
const refusalSettleTime = 10 * time.Second

// conflictWait gives the cache time to show what another writer has written.
const conflictWait = 200 * time.Millisecond

// unreadableWait is the time between two looks of what waits for a namespace that cannot be read. When it can, all look at once.
const unreadableWait = 30 * time.Second

func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// Reconciler makes the passes. A pass belongs to one CBRProject and derives everything from the API objects.
type Reconciler struct {
	client   Client        // reads the cache, which includes our own writes
	live     client.Reader // reads the API server
	events   events.EventRecorder
	options  Options
	protocol protocol
	memories memories
	counts   *stateCounts
	salt     []byte // of the hashes of credentials that are remembered
	attempts *auth.Attempts

	cloudProjects cloudProjects
	queue         atomic.Pointer[queue]
	writers       *writePlaces
	passes        passes
	audits        audits
}

// protocol is the parts of a pass on which the promise rests that no backup is submitted twice, by their
// numbers in docs/never-twice.md, and the claim. They are variables for tests alone, which show that each of them is needed.
type protocol struct {
	record  func(*submitter, context.Context, [][]batch.Candidate) ([]submission, error) // 1
	clear   func(*writer, string, []string)                                              // 2
	refresh func(*preflighter, context.Context) error                                    // 3
	resolve func(*resolver, context.Context) error                                       // 4
	mayCall func(*planner, context.Context) (bool, error)                                // claim.go
}

// Client is what passes read and write the API server with.
type Client interface {
	client.Reader
	// Patch patches an object.
	Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error
	client.StatusClient
}

// NewReconciler makes a Reconciler. The client must read its own writes (client.CacheOptions,
// EnableReadYourWritesConsistency; package namespaces for several of them): without that a backup could be taken for pending after
// it was sent.
func NewReconciler(cached Client, live client.Reader, recorder events.EventRecorder, options Options) (*Reconciler, error) {
	if options.Identity == "" || len(options.AllowedEndpoints) == 0 {
		return nil, fmt.Errorf("an identity and allowed endpoints are required")
	}
	options.setDefaults()
	if options.Transports == nil {
		guard, err := connection.NewGuard(options.AllowedEndpoints, nil)
		if err != nil {
			return nil, fmt.Errorf("guard the connections to CBR: %w", err)
		}
		options.Transports = &cbr.Transports{Dial: guard.DialContext}
	}
	return &Reconciler{
		client:  cached,
		live:    live,
		events:  recorder,
		options: options,
		protocol: protocol{record: (*submitter).record, clear: (*writer).clear, refresh: (*preflighter).refreshCandidates,
			resolve: (*resolver).resolveSubmissions, mayCall: (*planner).mayCall},
		memories: memories{byProject: map[types.NamespacedName]*memory{}},
		counts:   newStateCounts(),
		salt:     []byte(rand.Text()),
		attempts: auth.NewAttempts(options.Clock),

		cloudProjects: cloudProjects{usedBy: map[string]types.UID{}},
		writers:       newWritePlaces(options.StatusWriters),
		audits:        newAudits(),
	}, nil
}

// Reconcile makes a pass over a project. An error is one of the API server: the pass is then repeated with
// back-off. Failures of CBR are no errors here: they end in conditions, and in the time of the next pass.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	if !r.passes.begin() { // the process ends
		return reconcile.Result{}, nil
	}
	defer r.passes.running.Done()
	known := r.memories.of(request.NamespacedName)
	known.beginPass()
	defer known.endPass()
	p := r.newPass(request.NamespacedName, log.FromContext(ctx), known)
	err := p.run(ctx)
	if errors.Is(err, errConflict) { // no failure: the next pass starts from what the other one wrote
		p.log.V(1).Info("Pass ended", "cause", err.Error())
		return reconcile.Result{RequeueAfter: conflictWait}, nil
	}
	if unreadable := (*namespaces.UnreadableError)(nil); errors.As(err, &unreadable) { // the log has it once
		p.log.V(1).Info("Pass ended", "cause", err.Error())
		return reconcile.Result{RequeueAfter: unreadableWait}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return p.result(), nil
}
