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

package connection

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// certificate is one with its key.
type certificate struct {
	parsed *x509.Certificate
	key    *ecdsa.PrivateKey
}

// issue makes a certificate for 127.0.0.1 with some changes, issued by another one or by itself.
func issue(t *testing.T, issuer *certificate, change func(*x509.Certificate)) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	change(template)
	made := &certificate{template, key}
	if issuer == nil {
		issuer = made
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.parsed, &key.PublicKey, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	made.parsed, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (c *certificate) bundle() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.parsed.Raw}))
}

func authority(change func(*x509.Certificate)) func(*x509.Certificate) {
	return func(template *x509.Certificate) {
		template.IsCA, template.KeyUsage, template.Subject.CommonName = true, x509.KeyUsageCertSign, "authority"
		change(template)
	}
}

func unchanged(*x509.Certificate) {}

// listen takes connections on 127.0.0.1, and returns the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
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
			go func() {
				defer connection.Close()
				serve(connection)
			}()
		}
	}()
	return listener.Addr().String()
}

// speaking shakes hands by a configuration, and waits for the other side to leave.
func speaking(config *tls.Config) func(net.Conn) {
	return func(connection net.Conn) {
		secured := tls.Server(connection, config)
		_, _ = io.Copy(io.Discard, secured)
	}
}

// saying reads a little, answers and waits for the other side to leave.
func saying(answer []byte) func(net.Conn) {
	return func(connection net.Conn) {
		_, _ = connection.Read(make([]byte, 1<<12))
		_, _ = connection.Write(answer)
		_, _ = io.Copy(io.Discard, connection)
	}
}

// oldServerHello is the answer of a server that chooses TLS 1.0.
var oldServerHello = append(append([]byte{22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1}, bytes.Repeat([]byte{7}, 32)...), 0, 0xc0, 0x13, 0)

// causeAt is the cause of the failure of a call to an address.
func causeAt(t *testing.T, address, bundle string) string {
	t.Helper()
	transport, err := (&cbr.Transports{}).For(bundle)
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.NewToken([]byte("token"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := cbr.NewClient(cbr.Config{Endpoint: "https://" + address, ProjectID: "p", Credential: token, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.GetBackup(t.Context(), "b")
	var failed *cbr.Error
	if !errors.As(err, &failed) || failed.Err == nil {
		t.Fatalf("got %v", err)
	}
	return cause(failed.Err)
}

func TestCauseOfCertificates(t *testing.T) {
	past, future := time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC), time.Date(2124, 2, 29, 1, 0, 0, 0, time.UTC)
	root := issue(t, nil, authority(unchanged))
	oldRoot := issue(t, nil, authority(func(template *x509.Certificate) { template.NotBefore, template.NotAfter = past.AddDate(-1, 0, 0), past }))
	for name, c := range map[string]struct {
		issuer *certificate
		change func(*x509.Certificate)
		bundle string
		want   string
	}{
		"expired": {root, func(template *x509.Certificate) { template.NotBefore, template.NotAfter = past.AddDate(-1, 0, 0), past }, root.bundle(),
			"the endpoint's TLS certificate expired on 2024-02-29"},
		"not yet valid": {root, func(template *x509.Certificate) {
			template.NotBefore, template.NotAfter = future, future.AddDate(1, 0, 0)
		}, root.bundle(),
			"the endpoint's TLS certificate is not valid before 2124-02-29"},
		"of an expired authority": {oldRoot, unchanged, oldRoot.bundle(),
			"the certificate of the authority behind the endpoint's TLS certificate expired on 2024-02-29"},
		"for another name": {root, func(template *x509.Certificate) {
			template.IPAddresses, template.DNSNames = nil, []string{"cbr.example.com"}
		}, root.bundle(), "the endpoint's TLS certificate is for cbr.example.com, not for 127.0.0.1"},
		"for many names": {root, func(template *x509.Certificate) {
			template.IPAddresses, template.DNSNames = []net.IP{net.IPv4(10, 0, 0, 1)}, []string{"a.example.com", "*.b.example.com", "c.example.com"}
		}, root.bundle(), "the endpoint's TLS certificate is for a.example.com, *.b.example.com, c.example.com, others, not for 127.0.0.1"},
		"for no name": {root, func(template *x509.Certificate) { template.IPAddresses = nil }, root.bundle(),
			"the endpoint's TLS certificate is for no host by a subject alternative name, not for 127.0.0.1"},
		"of an unknown authority": {root, unchanged, "",
			"the endpoint's TLS certificate is not trusted: its issuer is unknown"},
		"of its own making": {nil, authority(unchanged), root.bundle(),
			"the endpoint's TLS certificate is not trusted: its issuer is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			shown := issue(t, c.issuer, c.change)
			address := listen(t, speaking(&tls.Config{MinVersion: tls.VersionTLS12,
				Certificates: []tls.Certificate{{Certificate: [][]byte{shown.parsed.Raw}, PrivateKey: shown.key}}}))
			expectCause(t, address, c.bundle, c.want)
		})
	}
}

// expectCause calls twice: what is told must not change from call to call.
func expectCause(t *testing.T, address, bundle, want string) {
	t.Helper()
	for range 2 {
		NewWithT(t).Expect(causeAt(t, address, bundle)).To(Equal(want))
	}
}

func TestCauseOfHandshakes(t *testing.T) {
	root := issue(t, nil, authority(unchanged))
	configured := func(minimum, maximum uint16, change func(*tls.Config)) func(net.Conn) {
		config := &tls.Config{MinVersion: minimum, MaxVersion: maximum,
			Certificates: []tls.Certificate{{Certificate: [][]byte{root.parsed.Raw}, PrivateKey: root.key}}}
		change(config)
		return speaking(config)
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  string
	}{
		"TLS 1.1 alone":            {configured(tls.VersionTLS10, tls.VersionTLS11, func(*tls.Config) {}), oldTLS},
		"a server that takes less": {saying(oldServerHello), oldTLS},
		"no common cipher": {configured(tls.VersionTLS12, tls.VersionTLS12, func(config *tls.Config) {
			config.CipherSuites = []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}
		}), "the endpoint found no TLS parameters in common, or asks for a client certificate"},
		"a certificate is asked for": {configured(tls.VersionTLS12, tls.VersionTLS12, func(config *tls.Config) {
			config.ClientAuth = tls.RequireAnyClientCert
		}), "the endpoint found no TLS parameters in common, or asks for a client certificate"},
		"a name that is not served": {saying([]byte{21, 3, 3, 0, 2, 2, 112}), "the endpoint refused the TLS connection: unrecognized name"},
		"plain HTTP": {saying([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")),
			"the endpoint speaks plain HTTP, it is no TLS"},
		"something else": {saying([]byte("SSH-2.0-OpenSSH_9.6\r\n")), "what the endpoint speaks is no TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			expectCause(t, listen(t, c.serve), root.bundle(), c.want)
		})
	}
	plain := &http.Server{ReadHeaderTimeout: time.Minute}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = plain.Serve(listener) }()
	t.Cleanup(func() { _ = plain.Close() })
	expectCause(t, listener.Addr().String(), "", "the endpoint speaks plain HTTP, it is no TLS")
}
