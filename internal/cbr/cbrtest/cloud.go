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

package cbrtest

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// Cloud is a CBR that lives in memory. It is an http.Handler, and safe for concurrent use.
type Cloud struct {
	mutex    sync.Mutex
	options  Options
	projects map[string]*project
	tasks    int // accepted so far
	ledger   ledger
	faults   []*Fault
	keys     map[string]*keyState // by access key id

	closeOnce sync.Once
	closed    chan struct{}
}

// project is what CBR holds of one project.
type project struct {
	id        string
	tasks     []*task // by id
	backups   []*storedBackup
	positions map[string]int // in backups, by id
	settled   int            // so many of the first backups are to be seen, all of them
	shift     int            // by so many places the order of the lists has moved
}

// New makes a Cloud. Close releases the calls that a fault left hanging.
func New(options Options) *Cloud {
	return &Cloud{
		options:  options.withDefaults(),
		projects: map[string]*project{},
		ledger:   newLedger(),
		keys:     map[string]*keyState{},
		closed:   make(chan struct{}),
	}
}

// Close drops the calls that hang or are delayed. The state stays readable.
func (c *Cloud) Close() { c.closeOnce.Do(func() { close(c.closed) }) }

// Configure changes the options at run time: calls that arrive later see them.
func (c *Cloud) Configure(change func(*Options)) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	changed := c.options.withDefaults() // calls under way keep the slices that they have
	change(&changed)
	c.options = changed.withDefaults()
}

// Options returns the options as they are now, with the defaults filled in.
func (c *Cloud) Options() Options {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.options.withDefaults()
}

// SetTokens replaces the accepted tokens; without any, every token is refused.
func (c *Cloud) SetTokens(tokens ...string) {
	c.Configure(func(options *Options) { options.Tokens = append([]string{}, tokens...) })
}

// SetSyncLimit replaces the limit of ImportBackup calls: see Options.SyncCallsPerMinute and RateWindow.
func (c *Cloud) SetSyncLimit(calls int, window time.Duration) {
	c.Configure(func(options *Options) { options.SyncCallsPerMinute, options.RateWindow = calls, window })
}

// project returns what is known of a project; the mutex is held.
func (c *Cloud) project(id string) *project {
	if known := c.projects[id]; known != nil {
		return known
	}
	added := &project{id: id, positions: map[string]int{}}
	c.projects[id] = added
	return added
}

// exchange is one request and what is known about it.
type exchange struct {
	cloud     *Cloud
	options   Options // as they were when the request arrived
	writer    http.ResponseWriter
	request   *http.Request
	route     route
	body      []byte
	items     []cbr.Backup // of an import in good order
	invalid   *APIError    // why an import is not in good order
	unsigned  *APIError    // why a signature is refused
	throttled bool
	fault     Fault // the zero value for none
	call      int   // index in the ledger
	requestID string
	finished  bool
}

// maxRequestBytes is far more than 50 backups take.
const maxRequestBytes = 4 << 20

// ServeHTTP answers a call of the API.
func (c *Cloud) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	x := &exchange{cloud: c, writer: writer, request: request, route: routeOf(request)}
	body, err := io.ReadAll(io.LimitReader(request.Body, maxRequestBytes+1))
	x.body = body
	if x.route.operation == cbr.OperationImport && err == nil {
		x.items, x.invalid = decodeImport(request, x.body)
	}
	c.arrive(x)
	defer x.finish(0, "")
	if err != nil { // the client broke off: nothing was asked for
		panic(http.ErrAbortHandler)
	}
	x.wait(x.options.Latency + x.fault.Delay)
	if x.fault.replacesAnswer() {
		x.answerWithFault()
		return
	}
	x.deliver(x.answer())
}

// arrive takes note of a request and decides what depends on the moment of its arrival.
func (c *Cloud) arrive(x *exchange) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	x.options = c.options
	if !slices.Contains(x.options.ProjectIDs, x.route.project) {
		x.route, x.items = route{}, nil
	}
	now := x.options.Clock.Now()
	switch {
	case x.route.operation == cbr.OperationImport:
		limit := x.options.SyncCallsPerMinute
		x.throttled = limit > 0 && since(now.Add(-x.options.RateWindow), c.ledger.syncTimes) >= limit
	case x.route.operation != "":
		limit := x.options.ReadsPerSecond
		x.throttled = limit > 0 && since(now.Add(-time.Second), c.ledger.readTimes) >= limit
	}
	x.call = c.ledger.arrived(x, now)
	x.requestID = identifier("request", x.call)
	if x.route.operation != "" && isSigned(x.request) {
		x.unsigned = c.checkSignature(x)
		c.ledger.calls[x.call].Authorized = x.unsigned == nil
	}
	x.fault, c.ledger.calls[x.call].Faulted = c.nextFault(x.route.operation, x.request, x.items)
}

// finish takes note of the answer, just before it is sent: a client that has it finds it in the ledger.
// Only the first call counts. Status 0 means that there is no answer.
func (x *exchange) finish(status int, code string) {
	if x.finished {
		return
	}
	x.finished = true
	x.cloud.mutex.Lock()
	defer x.cloud.mutex.Unlock()
	x.cloud.ledger.answered(x, status, code)
}

// wait lets real time pass, whether or not the client is still there, as CBR would go on working.
func (x *exchange) wait(duration time.Duration) {
	if duration <= 0 {
		return
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.cloud.closed:
		panic(http.ErrAbortHandler)
	}
}

// answer does what the request asks for, in the order in which gateway and backend look at it.
func (x *exchange) answer() reply {
	if refused := x.turnedAway(); refused != nil {
		return x.refusal(refused)
	}
	switch x.route.operation {
	case cbr.OperationImport:
		return x.importBackups()
	case cbr.OperationListTasks:
		return x.listTasks()
	case cbr.OperationGetTask:
		return x.getTask()
	case cbr.OperationListBackups:
		return x.listBackups()
	default:
		return x.getBackup()
	}
}

// turnedAway returns the error of a call that does not get as far as to be carried out.
func (x *exchange) turnedAway() *APIError {
	if page := x.refused(true); page != nil {
		return page
	}
	if x.route.operation == "" {
		return errNoSuchAPI
	}
	if refused := x.authenticate(); refused != nil {
		return refused
	}
	if x.throttled {
		return x.options.throttle(x.route.operation)
	}
	return x.refused(false)
}

func (x *exchange) authenticate() *APIError {
	if x.options.Authenticate != nil {
		return x.options.Authenticate(x.request)
	}
	if isSigned(x.request) {
		return x.unsigned
	}
	token := x.request.Header.Get(tokenHeader)
	if token == "" {
		return &APIError{Status: http.StatusUnauthorized, Code: "APIGW.0301",
			Message: "Incorrect IAM authentication information: x-auth-token not found"}
	}
	return x.options.tokenRefusal(token)
}
