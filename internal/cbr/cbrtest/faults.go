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
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// Always, as Fault.Times, means every matching call; All, as Fault.AcceptItems, every item.
const (
	Always = -1
	All    = -1
)

// Fault is something that goes wrong with calls. The fields up to Skip say with which, the others what. The
// latter can be combined where that makes sense: Delay with anything, AcceptItems with what replaces the answer.
type Fault struct {
	// Operation of the calls; "" for any.
	Operation cbr.Operation `json:"operation,omitempty"`
	// Match, if set, picks calls. The items are those of an import in good order. It is called with a lock
	// held and must not call the Cloud.
	Match func(*http.Request, []cbr.Backup) bool `json:"-"`
	// Times is the number of matching calls that the fault befalls; 0 stands for 1, Always for all.
	Times int `json:"times,omitempty"`
	// Skip lets that many matching calls through before.
	Skip int `json:"skip,omitempty"`

	// Delay is real time that passes before the call is carried out, or before the fault takes its place. It
	// passes in full even if the client leaves: with Delay alone the import is accepted all the same, but late.
	Delay time.Duration `json:"-"`

	// These take the place of the answer, and of carrying out the call, see AcceptItems.

	// Status answers with this HTTP status, and a JSON error body if there is no Body.
	Status  int               `json:"status,omitempty"`
	Code    string            `json:"code,omitempty"`
	Message string            `json:"message,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	// Shape is that of the error's body, as in APIError.
	Shape ErrorShape `json:"shape,omitempty"`
	// Body answers with this text; the Status is 200 if 0, the ContentType application/json if empty.
	Body        string `json:"body,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	// Empty200 answers 200 without a body.
	Empty200 bool `json:"empty200,omitempty"`
	// RedirectTo answers 302 with this Location.
	RedirectTo string `json:"redirectTo,omitempty"`
	// Hang answers nothing until the client leaves or the server is closed.
	Hang bool `json:"hang,omitempty"`
	// CloseBefore resets the connection before anything was done.
	CloseBefore bool `json:"closeBefore,omitempty"`
	// AcceptItems is the number of items of an import, from the first on, that are taken all the same; All for
	// all of them. Nothing is taken of an import that is not in good order, nor what Options.Reject refuses.
	AcceptItems int `json:"acceptItems,omitempty"`

	// These spoil the answer of a call that was carried out as usual.

	// CloseAfter resets the connection instead of answering.
	CloseAfter bool `json:"closeAfter,omitempty"`
	// Truncate breaks off in the middle of the answer.
	Truncate bool `json:"truncate,omitempty"`
	// MissingIDs leaves that many accepted backups out of the answer of an import.
	MissingIDs int `json:"missingIDs,omitempty"`
	// ForeignIDs adds that many backups that nobody asked for.
	ForeignIDs int `json:"foreignIDs,omitempty"`
	// DuplicateIDs repeats that many backups in the answer.
	DuplicateIDs int `json:"duplicateIDs,omitempty"`
}

// Inject queues faults. Each call meets at most one: the first in the queue that matches and is not used up.
func (c *Cloud) Inject(faults ...Fault) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, fault := range faults {
		fault.Times = cmp.Or(fault.Times, 1)
		c.faults = append(c.faults, &fault)
	}
}

// ClearFaults forgets the faults that are still queued.
func (c *Cloud) ClearFaults() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.faults = nil
}

// PendingFaults returns the number of faults that are not used up.
func (c *Cloud) PendingFaults() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return len(c.faults)
}

// nextFault takes the fault that befalls a call out of the queue; the mutex is held.
func (c *Cloud) nextFault(operation cbr.Operation, request *http.Request, items []cbr.Backup) (Fault, bool) {
	for i, fault := range c.faults {
		if !fault.befalls(operation, request, items) {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		met := *fault
		if fault.Times > 0 {
			fault.Times--
		}
		if fault.Times == 0 {
			c.faults = slices.Delete(slices.Clone(c.faults), i, i+1)
		}
		return met, true
	}
	return Fault{}, false
}

func (f Fault) befalls(operation cbr.Operation, request *http.Request, items []cbr.Backup) bool {
	return (f.Operation == "" || f.Operation == operation) && (f.Match == nil || f.Match(request, items))
}

func (f Fault) replacesAnswer() bool {
	return f.Status != 0 || f.Body != "" || f.Empty200 || f.RedirectTo != "" || f.Hang || f.CloseBefore
}

// answerWithFault does what a fault does in place of carrying out the call.
func (x *exchange) answerWithFault() {
	if x.fault.CloseBefore {
		x.reset()
		return
	}
	x.acceptRegardless()
	if x.fault.Hang {
		x.hang()
	}
	answer := x.fault.reply(x)
	x.finish(answer.status, answer.code)
	x.write(answer, len(answer.body))
}

func (x *exchange) acceptRegardless() {
	count := x.fault.AcceptItems
	if count < 0 || count > len(x.items) {
		count = len(x.items)
	}
	taken := slices.DeleteFunc(slices.Clone(x.items[:count]), func(item cbr.Backup) bool { return x.options.reject([]cbr.Backup{item}) != nil })
	if len(taken) > 0 {
		x.accept(taken)
	}
}

func (f Fault) reply(x *exchange) reply {
	switch {
	case f.RedirectTo != "":
		return reply{status: cmp.Or(f.Status, http.StatusFound), headers: map[string]string{"Location": f.RedirectTo}}
	case f.Empty200:
		return reply{status: http.StatusOK, headers: f.Headers, contentType: "application/json"}
	case f.Body != "":
		return reply{status: cmp.Or(f.Status, http.StatusOK), code: f.Code, headers: f.Headers, body: []byte(f.Body),
			contentType: cmp.Or(f.ContentType, "application/json")}
	default:
		return x.refusal(&APIError{Status: f.Status, Code: f.Code, Message: f.Message, Headers: f.Headers, Shape: f.Shape})
	}
}

// alter spoils the answer of an import.
func (f Fault) alter(imports []cbr.Import) []cbr.Import {
	altered := slices.Clone(imports[min(f.MissingIDs, len(imports)):])
	altered = append(altered, altered[:min(f.DuplicateIDs, len(altered))]...)
	for i := range f.ForeignIDs {
		altered = append(altered, cbr.Import{BackupID: identifier("foreign backup", i), OperationLogID: identifier("foreign task", i)})
	}
	return altered
}

func (x *exchange) hang() {
	select {
	case <-x.request.Context().Done():
	case <-x.cloud.closed:
	}
	panic(http.ErrAbortHandler)
}

// reset drops the connection with a TCP reset, or just drops it where that cannot be done.
func (x *exchange) reset() {
	x.finish(0, "")
	connection, _, err := http.NewResponseController(x.writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if encrypted, ok := connection.(*tls.Conn); ok {
		connection = encrypted.NetConn()
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}
