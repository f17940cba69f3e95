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
	"encoding/pem"
	"net/http/httptest"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// Server is a Cloud that listens on the loopback interface.
type Server struct {
	*Cloud
	// URL is the endpoint, without a trailing slash.
	URL  string
	http *httptest.Server
}

// NewServer starts a Cloud that is closed when the test ends.
func NewServer(t testing.TB, options Options) *Server {
	t.Helper()
	cloud := New(options)
	server := &Server{Cloud: cloud, http: httptest.NewUnstartedServer(cloud)}
	if options.TLS {
		server.http.StartTLS()
	} else {
		server.http.Start()
	}
	server.URL = server.http.URL
	t.Cleanup(server.Close)
	return server
}

// Close releases the calls that hang, and stops listening: further connections are refused. It may be called
// more than once.
func (s *Server) Close() {
	s.Cloud.Close()
	s.http.Close()
}

// DropConnections closes the connections that clients hold, busy or not.
func (s *Server) DropConnections() { s.http.CloseClientConnections() }

// CABundle is the certificate to trust, as PEM; "" without TLS.
func (s *Server) CABundle() string {
	if s.http.Certificate() == nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw}))
}

// Config returns the configuration of a client of this server, with the first project and the first token, or the first access key
// if there is no token.
func (s *Server) Config(t testing.TB) cbr.Config {
	t.Helper()
	options := s.Options()
	transports := &cbr.Transports{}
	transport, err := transports.For(s.CABundle())
	if err != nil {
		t.Fatalf("the server's certificate: %v", err)
	}
	t.Cleanup(transports.CloseIdleConnections)
	return cbr.Config{Endpoint: s.URL, ProjectID: options.ProjectIDs[0], Credential: options.credential(t), Transport: transport}
}

func (o Options) credential(t testing.TB) cbr.Credential {
	t.Helper()
	switch {
	case len(o.Tokens) > 0:
		token, err := auth.NewToken([]byte(o.Tokens[0]), time.Time{})
		if err != nil {
			t.Fatalf("the first token of the options: %v", err)
		}
		return token
	case len(o.Keys) > 0:
		return o.accessKey(t, o.Keys[0])
	default:
		t.Fatal("the server accepts no token and no access key")
		return nil
	}
}

func (o Options) accessKey(t testing.TB, key Key) cbr.Credential {
	t.Helper()
	made, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(key.Access), Secret: []byte(key.Secret),
		SecurityToken: []byte(key.SecurityToken), ProjectID: o.ProjectIDs[0], Expires: key.Expires, Clock: o.Clock})
	if err != nil {
		t.Fatalf("the first access key of the options: %v", err)
	}
	return made
}

// Client returns a client of this server: see Config.
func (s *Server) Client(t testing.TB) *cbr.Client {
	t.Helper()
	client, err := cbr.NewClient(s.Config(t))
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	return client
}
