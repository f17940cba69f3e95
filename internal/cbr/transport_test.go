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

package cbr_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

func TestRedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, target := range []string{other.URL + "/v3", ""} {
			client := clientOf(t, func(writer http.ResponseWriter, _ *http.Request) {
				if target != "" {
					writer.Header().Set("Location", target)
				}
				writer.WriteHeader(status)
			})
			for operation, call := range operations {
				got := failure(t, call(t.Context(), client))
				if got.Class != cbr.Misdirected || got.StatusCode != status || got.Untouched {
					t.Errorf("%s with %d to %q: got %+v, want Misdirected", operation, status, target, got)
				}
			}
		}
	}
	if got := followed.Load(); got != 0 {
		t.Errorf("the other server got %d requests, and with them the token", got)
	}
}

func TestResets(t *testing.T) {
	for name, fault := range map[string]cbrtest.Fault{
		"before": {CloseBefore: true, Times: cbrtest.Always}, "after": {CloseAfter: true, Times: cbrtest.Always},
	} {
		server := cbrtest.NewServer(t, cbrtest.Options{})
		server.Inject(fault)
		client := server.Client(t)
		for operation, call := range operations {
			got := failure(t, call(t.Context(), client))
			if got.Class != behindOf(operation) || got.StatusCode != 0 || got.Untouched {
				t.Errorf("%s, %s: got %+v, want %s", name, operation, got, behindOf(operation))
			}
		}
		if got := server.SyncCalls(); got != 1 {
			t.Errorf("%s: %d imports were sent, want 1", name, got)
		}
	}
}

func TestHang(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	server.Inject(cbrtest.Fault{Hang: true, Times: cbrtest.Always})
	config := server.Config(t)
	config.Timeout = timeout
	for name, client := range map[string]*cbr.Client{"the context's": server.Client(t), "the client's": newClient(t, config)} {
		for _, operation := range []cbr.Operation{cbr.OperationImport, cbr.OperationGetTask} {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			got := failure(t, operations[operation](ctx, client))
			cancel()
			if got.Class != behindOf(operation) || got.Untouched || !errors.Is(got, context.DeadlineExceeded) {
				t.Errorf("%s, %s timeout: got %+v, want %s", operation, name, got, behindOf(operation))
			}
		}
	}
}

func TestAnswerThatStopsHalfWay(t *testing.T) {
	released := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(writer, `{"sync":[`)
		_ = http.NewResponseController(writer).Flush()
		<-released
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(released) })
	config := configFor(t, server.URL, cbrtest.Token, "")
	config.Timeout = timeout
	got := failure(t, operations[cbr.OperationImport](t.Context(), newClient(t, config)))
	if got.Class != cbr.Unknown || got.StatusCode != http.StatusOK || !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("got %+v, want Unknown", got)
	}
}

// What never left this machine is Transient, and certainly untouched.
func TestFailuresBeforeTheRequestIsSent(t *testing.T) {
	closed := cbrtest.NewServer(t, cbrtest.Options{})
	closed.Close()
	encrypted := cbrtest.NewServer(t, cbrtest.Options{TLS: true})
	plain := cbrtest.NewServer(t, cbrtest.Options{})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		ctx    context.Context
		config cbr.Config
	}{
		"connection refused":    {t.Context(), configFor(t, closed.URL, cbrtest.Token, "")},
		"untrusted certificate": {t.Context(), configFor(t, encrypted.URL, cbrtest.Token, "")},
		"TLS to a plain server": {t.Context(), configFor(t, "https"+plain.URL[len("http"):], cbrtest.Token, "")},
		"context ended":         {cancelled, configFor(t, plain.URL, cbrtest.Token, "")},
	}
	for name, test := range tests {
		client := newClient(t, test.config)
		for operation, call := range operations {
			got := failure(t, call(test.ctx, client))
			if got.Class != cbr.Transient || !got.Untouched || got.StatusCode != 0 || got.Err == nil {
				t.Errorf("%s, %s: got %+v, want Transient and Untouched", name, operation, got)
			}
		}
	}
	if got := len(encrypted.Ledger()) + len(plain.Ledger()); got != 0 {
		t.Errorf("%d requests arrived", got)
	}
}

func TestTLSHandshakeThatHangs(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // connections are taken in by the kernel, and nobody speaks
	config := configFor(t, "https://"+listener.Addr().String(), cbrtest.Token, "")
	config.Timeout = timeout
	got := failure(t, operations[cbr.OperationImport](t.Context(), newClient(t, config)))
	if got.Class != cbr.Transient || !got.Untouched {
		t.Errorf("got %+v, want Transient and Untouched", got)
	}
}

func TestCABundles(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{TLS: true})
	bundle := server.CABundle()
	for name, text := range map[string]string{"PEM": bundle, "base64": base64.StdEncoding.EncodeToString([]byte(bundle))} {
		client := newClient(t, configFor(t, server.URL, cbrtest.Token, text))
		if _, err := client.ImportBackups(t.Context(), cbrtest.Backups(1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var transports cbr.Transports
	for _, text := range []string{"x", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "!!", base64.StdEncoding.EncodeToString([]byte("x"))} {
		if _, err := transports.For(text); !errors.Is(err, cbr.ErrInvalidCABundle) {
			t.Errorf("%q: got %v, want ErrInvalidCABundle", text, err)
		}
	}
	system, _ := transports.For("")
	blank, _ := transports.For(" \n")
	custom, _ := transports.For(bundle)
	again, _ := transports.For(bundle)
	if system != blank || custom != again || system == custom {
		t.Error("clients that trust the same do not share a transport, or others do")
	}
}

func TestHTTP2IsNotSpoken(t *testing.T) {
	var version atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		version.Store(int32(request.ProtoMajor))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	lender := cbrtest.NewServer(t, cbrtest.Options{TLS: true}) // httptest has one certificate for all
	_ = operations[cbr.OperationImport](t.Context(), newClient(t, configFor(t, server.URL, cbrtest.Token, lender.CABundle())))
	if got := version.Load(); got != 1 {
		t.Errorf("HTTP/%d was spoken, which sends requests again by itself", got)
	}
}

// A server may close a kept-alive connection just when the next request is on its way. net/http sends a
// request that it takes for harmless to repeat once more; an import must never be among those.
func TestImportIsSentOnceOverAConnectionThatGoesAway(t *testing.T) {
	requests := make(chan string, 10)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go answerOnce(connection, requests)
		}
	}()
	client := newClient(t, configFor(t, "http://"+listener.Addr().String(), cbrtest.Token, ""))
	if err := operations[cbr.OperationImport](t.Context(), client); err != nil {
		t.Fatalf("the first import: %v", err)
	}
	got := failure(t, operations[cbr.OperationImport](t.Context(), client))
	if got.Class != cbr.Unknown || got.Untouched {
		t.Errorf("got %+v, want Unknown", got)
	}
	if sent := len(requests); sent != 2 {
		t.Errorf("two imports were sent %d times", sent)
	}
	// A read may be repeated: that is what makes the above a test.
	if err := operations[cbr.OperationImport](t.Context(), client); err != nil {
		t.Fatalf("the third import: %v", err)
	}
	_ = operations[cbr.OperationGetTask](t.Context(), client)
	if sent := len(requests); sent != 5 {
		t.Errorf("after an import and a read %d requests, want 5: net/http no longer repeats anything?", sent)
	}
}

// answerOnce answers the first request of a connection, reads the next one and hangs up on it.
func answerOnce(connection net.Conn, requests chan<- string) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for number := range 2 {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		requests <- request.Method
		if number == 0 {
			_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"sync\":[]}")
		}
	}
}

// A call that is late must not be taken, even if a part of it went out with a long token.
func TestImportThatIsLateIsNotSent(t *testing.T) {
	for name, token := range map[string]string{"short": cbrtest.Token, "long": strings.Repeat("t", 20_000)} {
		server := cbrtest.NewServer(t, cbrtest.Options{Tokens: []string{token}})
		client := server.Client(t)
		for range 2 { // over a new connection, then over one that is kept
			_, err := client.ImportBackups(cbr.BeginBefore(t.Context(), time.Now().Add(-time.Millisecond)), cbrtest.Backups(1))
			got := failure(t, err)
			if !errors.Is(got, cbr.ErrTooLate) || got.Class != cbr.Transient || !got.Untouched {
				t.Errorf("%s token: got %+v, want ErrTooLate, Transient and Untouched", name, got)
			}
			if _, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{}); err != nil {
				t.Errorf("%s token: the next call: %v", name, err)
			}
		}
		if got := len(server.Accepted()); got != 0 {
			t.Errorf("%s token: %d backups were taken", name, got)
		}
		if _, err := client.ImportBackups(cbr.BeginBefore(t.Context(), time.Now().Add(time.Minute)), cbrtest.Backups(1)); err != nil {
			t.Errorf("%s token: in time: %v", name, err)
		}
	}
}

// What has begun in time may take its time.
func TestImportThatBeganInTimeIsSentToItsEnd(t *testing.T) {
	const size = 12 << 20                    // more than the sockets hold
	limit := time.Now().Add(5 * time.Second) // time enough to encode the body on a busy machine
	received := make(chan int, 1)
	client := clientOf(t, func(writer http.ResponseWriter, request *http.Request) {
		<-time.After(time.Until(limit) + 10*time.Millisecond)
		body, _ := io.ReadAll(request.Body)
		received <- len(body)
		_, _ = io.WriteString(writer, `{"sync":[]}`)
	})
	backup := cbrtest.Backup(1)
	backup.ImagePath = strings.Repeat("x", size)
	if _, err := client.ImportBackups(cbr.BeginBefore(t.Context(), limit), []cbr.Backup{backup}); err != nil {
		t.Fatal(err)
	}
	if got := <-received; got < size {
		t.Errorf("%d bytes arrived, want %d", got, size)
	}
}

// failingWrites is a connection whose writes fail from a moment on, before anything is written.
type failingWrites struct {
	net.Conn
	failing *atomic.Bool
}

func (f failingWrites) Write(content []byte) (int, error) {
	if f.failing.Load() {
		return 0, errors.New("broken pipe")
	}
	return f.Conn.Write(content)
}

// When nothing at all was written, net/http repeats even a POST, if it can make its body anew.
func TestImportIsNotRepeatedWhenNothingWasWritten(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	var failing atomic.Bool
	var dials atomic.Int32
	transports := &cbr.Transports{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
		if dials.Add(1) > 1 {
			return connection, err
		}
		return failingWrites{connection, &failing}, err
	}}
	t.Cleanup(transports.CloseIdleConnections)
	transport, err := transports.For("")
	if err != nil {
		t.Fatal(err)
	}
	config := server.Config(t)
	config.Transport = transport
	client := newClient(t, config)
	if err := operations[cbr.OperationImport](t.Context(), client); err != nil {
		t.Fatalf("the first import: %v", err)
	}
	failing.Store(true)
	got := failure(t, operations[cbr.OperationImport](t.Context(), client))
	if server.SyncCalls() != 1 || dials.Load() != 1 {
		t.Errorf("got %v, %d calls over %d connections; want one of each", got, server.SyncCalls(), dials.Load())
	}
}
