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

package auth_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// serve serves a handler over the loopback interface, and returns its URL and a transport as the program has it.
func serve(t *testing.T, handler http.Handler) (address string, transport http.RoundTripper) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	transports := &cbr.Transports{}
	t.Cleanup(transports.CloseIdleConnections)
	transport, err := transports.For("")
	if err != nil {
		t.Fatal(err)
	}
	return server.URL, transport
}

// served is a Password that asks a handler over the network, and a channel that tells of each fetch that has ended.
func served(t *testing.T, handler http.Handler, timeout time.Duration) (*auth.Password, <-chan struct{}) {
	t.Helper()
	config, ended := passwordConfig(nil), make(chan struct{}, 100)
	config.IAMEndpoint, config.Transport = serve(t, handler)
	config.Timeout, config.Changed = timeout, func() { ended <- struct{}{} }
	return newPassword(t, config), ended
}

// fetch starts a fetch and waits until it has ended.
func fetch(t *testing.T, credential auth.Renewing, ended <-chan struct{}) auth.State {
	t.Helper()
	credential.State()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("no fetch has ended within 20 s")
	}
	return credential.State()
}

func TestCallsGoOnWhenTheirCredentialEnds(t *testing.T) {
	for name, end := range map[string]func(*cbrtest.IAM){"expired": (*cbrtest.IAM).Expire, "revoked": (*cbrtest.IAM).Revoke} {
		t.Run("token "+name, func(t *testing.T) {
			iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
			password, ended := served(t, iam, 0)
			callsGoOn(t, iam, password, ended, func() { end(iam) })
		})
		t.Run("key of a pod "+name, func(t *testing.T) {
			iam, ended := cbrtest.NewIAM(cbrtest.IAMOptions{}), make(chan struct{}, 100)
			address, _ := serve(t, iam)
			identity := newPodIdentity(t, auth.PodIdentityConfig{URL: address + cbrtest.PodIdentityPath, TokenFile: tokenFile(t, cbrtest.PodToken),
				ProjectID: cbrtest.ProjectID, Changed: func() { ended <- struct{}{} }})
			callsGoOn(t, iam, identity, ended, func() { end(iam) })
		})
	}
}

// callsGoOn imports a backup, ends what the credential has, and imports another: one call is refused, and nothing taken twice.
func callsGoOn(t *testing.T, iam *cbrtest.IAM, credential auth.Renewing, ended <-chan struct{}, end func()) {
	t.Helper()
	server := cbrtest.NewServer(t, cbrtest.Options{IAM: iam, Tokens: []string{}})
	_, transport := serve(t, http.NotFoundHandler())
	client, err := cbr.NewClient(cbr.Config{Endpoint: server.URL, ProjectID: cbrtest.ProjectID, Credential: credential, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, credential, ended)
	backups := cbrtest.Backups(2)
	if _, err := client.ImportBackups(t.Context(), backups[:1]); err != nil {
		t.Fatal(err)
	}
	end()
	_, err = client.ImportBackups(t.Context(), backups[1:])
	if got := failure(t, err); got.Class != cbr.Credentials || !got.Untouched {
		t.Errorf("got %v", got)
	}
	mustNotHold(t, "the refusal", err.Error(), iam.Secrets()...)
	fetch(t, credential, ended)
	if _, err := client.ImportBackups(t.Context(), backups[1:]); err != nil {
		t.Errorf("after the refusal: %v", err)
	}
	if got := len(iam.Requests()); got != 2 || len(server.Accepted()) != 2 || len(server.AcceptedTwice()) != 0 {
		t.Errorf("%d requests to IAM, accepted %v", got, server.Accepted())
	}
}

func TestPasswordDoesNotFollowARedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var arrived atomic.Int32
		elsewhere, _ := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
		password, ended := served(t, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			http.Redirect(writer, request, elsewhere+"/v3/auth/tokens", status)
		}), 0)
		if err := failure(t, fetch(t, password, ended).Err); err.Class != cbr.Misdirected || err.StatusCode != status || arrived.Load() != 0 {
			t.Errorf("%d: got %v, and %d requests elsewhere", status, err, arrived.Load())
		}
	}
}

// hijacked answers with whatever is written to the connection.
func hijacked(answer func(net.Conn)) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		connection, _, err := http.NewResponseController(writer).Hijack()
		if err != nil {
			panic(err)
		}
		defer connection.Close()
		answer(connection)
	}
}

func TestBrokenAnswersEndInTime(t *testing.T) {
	closed := make(chan struct{})
	defer close(closed)
	hang := func(connection net.Conn) {
		gone := make(chan struct{})
		go func() {
			_, _ = bufio.NewReader(connection).ReadByte() // fails when the client leaves
			close(gone)
		}()
		select {
		case <-gone:
		case <-closed:
		}
	}
	endless := func(connection net.Conn, text string) {
		for {
			if _, err := io.WriteString(connection, text); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		answer func(net.Conn)
		ready  bool
	}{
		"nothing": {hang, false},
		"closed":  {func(net.Conn) {}, false},
		"no HTTP": {func(connection net.Conn) { _, _ = io.WriteString(connection, "NOT HTTP\r\n\r\n") }, false},
		"an upgrade": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
			hang(c)
		}, false},
		"a refusal, slowly": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n{")
			hang(c)
		}, false},
		"endless headers": {func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\n"); endless(c, "A: b\r\n") }, false},
		"endless refusal": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 500 No\r\n\r\n")
			endless(c, strings.Repeat("x", 1<<10))
		}, false},
		"a token, then nothing": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nX-Subject-Token: MIIabc\r\nContent-Length: 100\r\n\r\n{")
			hang(c)
		}, true},
		"a token, then without end": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nX-Subject-Token: MIIabc\r\n\r\n{\"token\":{\"roles\":[")
			endless(c, strings.Repeat(`"x",`, 1<<8))
		}, true},
	} {
		password, ended := served(t, hijacked(c.answer), 500*time.Millisecond)
		start := time.Now()
		if state := fetch(t, password, ended); state.Ready != c.ready || (state.Err == nil) != c.ready || time.Since(start) > 10*time.Second {
			t.Errorf("%s: got %+v after %s", name, state, time.Since(start))
		} else if !c.ready && failure(t, state.Err).Class == cbr.Credentials {
			t.Errorf("%s: it is no word about the password: %v", name, state.Err)
		}
		password.Close()
	}
}

// A connection that goes away after the request was read must not make net/http send the password again by itself.
func TestPasswordIsSentOnceOverAConnectionThatBreaks(t *testing.T) {
	var iam *cbrtest.IAM
	breaks := hijacked(func(net.Conn) {})
	iam = cbrtest.NewIAM(cbrtest.IAMOptions{TokenLife: time.Second, Intercept: func(writer http.ResponseWriter, request *http.Request) bool {
		if len(iam.Requests()) == 1 {
			return false // the first leaves a connection to use again
		}
		breaks(writer, request)
		return true
	}})
	password, ended := served(t, iam, 0)
	fetch(t, password, ended)
	password.Ended(&cbr.Error{Class: cbr.Credentials, StatusCode: 401})
	if state := fetch(t, password, ended); failure(t, state.Err).Class != cbr.Transient || len(iam.Requests()) != 2 {
		t.Errorf("got %+v after %d requests", state, len(iam.Requests()))
	}
}

func TestEverybodyAtOnce(t *testing.T) {
	iam := cbrtest.NewIAM(cbrtest.IAMOptions{Latency: time.Millisecond})
	password, ended := served(t, iam, 0)
	fetch(t, password, ended)
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			for i := range 200 {
				switch (worker + i) % 4 {
				case 0:
					password.State()
				case 1:
					_, _ = tokenOf(t, password)
				case 2:
					password.Secrets()
				default:
					if i%20 == 0 {
						password.Ended(refusal())
					}
					password.Expiry()
				}
			}
		})
	}
	group.Wait()
	if iam.MaxConcurrent() != 1 || len(iam.Requests()) > 5 {
		t.Errorf("%d requests, %d at once", len(iam.Requests()), iam.MaxConcurrent())
	}
}

func TestNoGoroutineStays(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("many", func(t *testing.T) {
		for i := range 20 {
			iam := cbrtest.NewIAM(cbrtest.IAMOptions{Intercept: func(_ http.ResponseWriter, request *http.Request) bool {
				if i%2 == 0 {
					<-request.Context().Done()
				}
				return i%2 == 0
			}})
			password, ended := served(t, iam, 0)
			password.State()
			password.Close()
			<-ended
		}
	})
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

func TestUnreachableIAM(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	config, ended := passwordConfig(nil), make(chan struct{}, 1)
	_, config.Transport = serve(t, http.NotFoundHandler())
	config.IAMEndpoint, config.Changed = "http://"+listener.Addr().String(), func() { ended <- struct{}{} }
	password := newPassword(t, config)
	state := fetch(t, password, ended)
	got := failure(t, state.Err)
	var refused *net.OpError
	if got.Class != cbr.Transient || !errors.As(got, &refused) || !strings.Contains(fmt.Sprint(got), listener.Addr().String()) {
		t.Errorf("got %v", got)
	}
	if pause := time.Until(state.RetryAt); state.RetryAt.IsZero() || pause > time.Second {
		t.Errorf("the next fetch is due at %s", state.RetryAt)
	}
	mustNotHold(t, "the error", got.Error(), cbrtest.Password)
}
