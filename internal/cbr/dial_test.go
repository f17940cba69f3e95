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
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// dials records what it is asked to connect to, and leads all of it to one server.
type dials struct {
	server string
	mutex  sync.Mutex
	asked  []string
}

func (d *dials) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mutex.Lock()
	d.asked = append(d.asked, address)
	d.mutex.Unlock()
	return (&net.Dialer{}).DialContext(ctx, network, d.server)
}

func addressOf(t *testing.T, text string) string {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Host
}

// through makes a client of some transports, and closes what they leave.
func through(t *testing.T, transports *cbr.Transports, endpoint, caBundle string) *cbr.Client {
	t.Helper()
	t.Cleanup(transports.CloseIdleConnections)
	transport, err := transports.For(caBundle)
	if err != nil {
		t.Fatal(err)
	}
	config := configFor(t, endpoint, cbrtest.Token, "")
	config.Transport = transport
	return newClient(t, config)
}

// Whoever dials is given the host of the endpoint and its port, once for as many calls as come after each other.
func TestDialIsAskedForTheHostOfTheEndpoint(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	dialled := &dials{server: addressOf(t, server.URL)}
	client := through(t, &cbr.Transports{Dial: dialled.dial}, "http://cbr.example.com", "")
	for range 3 {
		if _, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(dialled.asked) != 1 || dialled.asked[0] != "cbr.example.com:80" {
		t.Errorf("it was asked for %q, want the host once", dialled.asked)
	}
}

// Wherever the connection leads, the certificate must be for the host of the endpoint.
func TestTheCertificateMustBeForTheHost(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{TLS: true}) // of httptest: for example.com and 127.0.0.1
	for host, trusted := range map[string]bool{"example.com": true, "cbr.example.org": false} {
		dialled := &dials{server: addressOf(t, server.URL)}
		client := through(t, &cbr.Transports{Dial: dialled.dial}, "https://"+host, server.CABundle())
		if _, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{}); (err == nil) != trusted {
			t.Errorf("%s: got %v", host, err)
		}
		if len(dialled.asked) != 1 || dialled.asked[0] != host+":443" {
			t.Errorf("%s: it was asked for %q", host, dialled.asked)
		}
	}
}

// A dial that refuses is the cause of the failure, and nothing was sent.
func TestARefusedDialIsTold(t *testing.T) {
	refused := errors.New("it leads nowhere good")
	client := through(t, &cbr.Transports{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}, "https://cbr.example.com", "")
	for operation, call := range operations {
		got := failure(t, call(t.Context(), client))
		if !errors.Is(got, refused) || got.Class != cbr.Transient || !got.Untouched {
			t.Errorf("%s: got %+v, want the cause, Transient and Untouched", operation, got)
		}
	}
}

// The proxy is whoever's who runs the process: it is connected to without asking, and looks up the name itself.
func TestAProxyIsNotGuarded(t *testing.T) {
	var mutex sync.Mutex
	var proxied []string
	proxy := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		proxied = append(proxied, request.Method+" "+request.Host)
		http.Error(writer, "no way", http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	address := &url.URL{Scheme: "http", Host: addressOf(t, proxy.URL)}
	dialled := &dials{server: "127.0.0.1:1"}
	transports := &cbr.Transports{Dial: dialled.dial, Proxy: func(request *http.Request) (*url.URL, error) {
		switch request.URL.Host {
		case "direct.example.com":
			return nil, nil
		case "broken.example.com":
			return nil, errors.New("no proxy")
		default:
			return address, nil
		}
	}}
	for _, endpoint := range []string{"http://cbr.example.com", "https://cbr.example.com", "http://broken.example.com", "http://direct.example.com"} {
		if _, err := through(t, transports, endpoint, "").ListBackupIDs(t.Context(), cbr.BackupsQuery{}); err == nil {
			t.Errorf("%s: no error", endpoint)
		}
	}
	if len(proxied) != 2 || proxied[0] != "GET cbr.example.com" || proxied[1] != "CONNECT cbr.example.com:443" {
		t.Errorf("the proxy was asked for %q", proxied)
	}
	if len(dialled.asked) != 1 || dialled.asked[0] != "direct.example.com:80" {
		t.Errorf("dialled were %q, want what has no proxy", dialled.asked)
	}
}
