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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// A bundle adds to what the system trusts: a project that needs one for its proxy can still reach Huawei Cloud. What the system
// trusts is read once for each process, hence a process of its own.
func TestCABundlesAddToTheSystem(t *testing.T) {
	file := os.Getenv(systemTrusts)
	if file == "" {
		runWithTrust(t)
		return
	}
	system, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	own, stranger := selfSigned(t), selfSigned(t)
	for name, c := range map[string]struct {
		server  tls.Certificate
		bundle  string
		trusted bool
	}{
		"the system's":                          {system, "", true},
		"the system's, with a bundle":           {system, certificatePEM(own), true},
		"the bundle's":                          {own, certificatePEM(own), true},
		"the bundle's, without it":              {own, "", false},
		"neither the system's nor the bundle's": {stranger, certificatePEM(own), false},
	} {
		server := httptest.NewUnstartedServer(cbrtest.New(cbrtest.Options{}))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{c.server}, MinVersion: tls.VersionTLS12}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		_, err := through(t, &cbr.Transports{}, server.URL, c.bundle).ListBackupIDs(t.Context(), cbr.BackupsQuery{})
		if (err == nil) != c.trusted {
			t.Errorf("%s: got %v", name, err)
		}
		server.Close()
	}
}

// systemTrusts is the environment variable that names the file of what the system trusts in the test's own process.
const systemTrusts = "TEST_SYSTEM_TRUSTS"

// runWithTrust runs a test again where the system trusts one certificate, whose key is there, too.
func runWithTrust(t *testing.T) {
	t.Helper()
	trusted := selfSigned(t)
	key, err := x509.MarshalPKCS8PrivateKey(trusted.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "system.pem")
	content := certificatePEM(trusted) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	command.Env = append(os.Environ(), systemTrusts+"="+file, "SSL_CERT_FILE="+file, "SSL_CERT_DIR="+t.TempDir())
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// selfSigned makes a certificate for 127.0.0.1.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func certificatePEM(certificate tls.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
}
