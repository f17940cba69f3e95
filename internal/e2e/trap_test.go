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

package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// trap is a server of somebody who wants credentials: it takes all that it is sent, with TLS or without, as a server or as a
// proxy, and keeps every byte.
type trap struct {
	listener net.Listener
	identity tls.Certificate
	answer   string
	mutex    sync.Mutex
	accepted int
	received bytes.Buffer
}

// emptyAnswer is what every request is answered with that knows no better.
const emptyAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

// newTrap starts a trap on an address, such as "127.0.0.2:0". It ends with the test.
func newTrap(t *testing.T, address string, identity tls.Certificate, answer string) *trap {
	t.Helper()
	g := NewWithT(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	g.Expect(err).NotTo(HaveOccurred())
	made := &trap{listener: listener, identity: identity, answer: answer}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { made.serve(connection) })
		}
	})
	t.Cleanup(func() {
		g.Expect(listener.Close()).To(Succeed())
		serving.Wait()
	})
	return made
}

// host is its address and port.
func (s *trap) host() string { return s.listener.Addr().String() }

// port is its port.
func (s *trap) port() string {
	_, port, _ := net.SplitHostPort(s.host())
	return port
}

// seen returns how many connections it had, and all that came by them.
func (s *trap) seen() (connections int, received string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.accepted, s.received.String()
}

// trapTime is how long a connection is listened to.
const trapTime = 2 * time.Second

func (s *trap) serve(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	s.mutex.Lock()
	s.accepted++
	s.mutex.Unlock()
	_ = connection.SetDeadline(time.Now().Add(trapTime))
	s.talk(connection)
}

// talk answers what a connection carries, and listens to what comes within TLS, or behind a CONNECT, as to the rest.
func (s *trap) talk(connection net.Conn) {
	reader := bufio.NewReader(io.TeeReader(connection, s))
	first, err := reader.Peek(1)
	if err != nil {
		return
	}
	if first[0] == 0x16 { // a handshake
		inner := tls.Server(&peeked{Conn: connection, reader: reader}, &tls.Config{Certificates: []tls.Certificate{s.identity}})
		s.talk(inner)
		return
	}
	request, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	if request.Method == http.MethodConnect {
		_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\n\r\n")
		s.talk(&peeked{Conn: connection, reader: reader})
		return
	}
	_, _ = io.Copy(io.Discard, request.Body)
	_, _ = io.WriteString(connection, s.answer)
}

// Write keeps what came.
func (s *trap) Write(text []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.received.Write(text)
}

// peeked is a connection of which something was read before.
type peeked struct {
	net.Conn
	reader *bufio.Reader
}

// Read reads that first.
func (p *peeked) Read(into []byte) (int, error) { return p.reader.Read(into) }

// newIdentity makes a certificate for names and addresses, and its own authority as PEM.
func newIdentity(g *GomegaWithT, names []string, addresses ...string) (identity tls.Certificate, authority string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "trap"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	g.Expect(err).NotTo(HaveOccurred())
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}))
}
