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

package cbr

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Limits of a connection. The header time is what a sync call of 50 items may take before CBR answers.
const (
	dialTimeout           = 10 * time.Second
	tlsHandshakeTimeout   = 10 * time.Second
	idleConnectionTimeout = 90 * time.Second
	maxIdlePerHost        = 32
	maxHeaderBytes        = 1 << 18
)

// ErrInvalidCABundle says that a CA bundle holds no certificate that can be read.
var ErrInvalidCABundle = errors.New("the CA bundle holds no PEM certificate that can be read")

// Transports shares one HTTP transport, and with it connections, among the clients that trust the same
// certificates. Connections that are kept serve all requests to their host: they lead where they led when they were made.
// It is safe for concurrent use; its fields must not change any more when it is used.
type Transports struct {
	// Dial connects to the host and port of an endpoint; net.Dialer does by default. It is not asked for connections to a
	// proxy: whoever runs this process has chosen that, and from there on the proxy looks names up.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy returns the proxy of a request, nil for none; http.ProxyFromEnvironment by default.
	Proxy func(*http.Request) (*url.URL, error)

	mutex  sync.Mutex
	system *route
	custom map[[sha256.Size]byte]*route
}

// maxCustomTransports bounds what edits of CA bundles can leave behind.
const maxCustomTransports = 64

// For returns the transport that trusts the certificates of the bundle (PEM, as it is or base64-encoded) besides the
// system's, or the system's alone if it is empty. It returns ErrInvalidCABundle for a bundle without certificates.
func (t *Transports) For(caBundle string) (http.RoundTripper, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if strings.TrimSpace(caBundle) == "" {
		if t.system == nil {
			t.system = t.newRoute(nil)
		}
		return t.system, nil
	}
	key := sha256.Sum256([]byte(caBundle))
	if transport, found := t.custom[key]; found {
		return transport, nil
	}
	roots, err := certPool(caBundle)
	if err != nil {
		return nil, err
	}
	if len(t.custom) >= maxCustomTransports || t.custom == nil {
		t.closeCustom()
	}
	t.custom[key] = t.newRoute(roots)
	return t.custom[key], nil
}

// CloseIdleConnections closes the connections that are not in use.
func (t *Transports) CloseIdleConnections() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.system != nil {
		t.system.CloseIdleConnections()
	}
	for _, transport := range t.custom {
		transport.CloseIdleConnections()
	}
}

func (t *Transports) closeCustom() {
	for _, transport := range t.custom {
		transport.CloseIdleConnections()
	}
	t.custom = map[[sha256.Size]byte]*route{}
}

func certPool(bundle string) (*x509.CertPool, error) {
	pem := []byte(bundle)
	if !strings.Contains(bundle, "-----BEGIN") {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(bundle), ""))
		if err != nil {
			return nil, ErrInvalidCABundle
		}
		pem = decoded
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // a system without certificates
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, ErrInvalidCABundle
	}
	return roots, nil
}

// route sends requests directly or through a proxy, by transports of their own: so it is certain which of the two a connection
// is for when it is dialled.
type route struct {
	proxy           func(*http.Request) (*url.URL, error)
	direct, proxied *http.Transport
}

func (t *Transports) newRoute(roots *x509.CertPool) *route {
	dialer := &net.Dialer{KeepAlive: 30 * time.Second}
	r := &route{proxy: t.Proxy, direct: newTransport(roots, dialer.DialContext), proxied: newTransport(roots, dialer.DialContext)}
	if r.proxy == nil {
		r.proxy = http.ProxyFromEnvironment
	}
	if t.Dial != nil {
		r.direct.DialContext = inTime(t.Dial)
	}
	r.proxied.Proxy = func(request *http.Request) (*url.URL, error) {
		proxy, err := r.proxy(request)
		if proxy == nil && err == nil {
			return nil, errNoProxy
		}
		return proxy, err
	}
	return r
}

// errNoProxy says that a request had a proxy, and a moment later had none.
var errNoProxy = errors.New("the request has no proxy any more")

// RoundTrip makes one request.
func (r *route) RoundTrip(request *http.Request) (*http.Response, error) {
	if proxy, err := r.proxy(request); proxy == nil && err == nil {
		return r.direct.RoundTrip(request)
	}
	return r.proxied.RoundTrip(request)
}

// CloseIdleConnections closes the connections that are not in use.
func (r *route) CloseIdleConnections() {
	r.direct.CloseIdleConnections()
	r.proxied.CloseIdleConnections()
}

// inTime bounds the time of a dial.
func inTime(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return dial(ctx, network, address)
	}
}

// newTransport speaks HTTP/1.1 alone: HTTP/2 re-sends requests by itself when a connection goes away.
func newTransport(roots *x509.CertPool, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            inTime(dial),
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		IdleConnTimeout:        idleConnectionTimeout,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              protocols,
	}
}
