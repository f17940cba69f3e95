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

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Without certificates of the system those of the public authorities are trusted, and with any of the system those alone.
func TestTheSystemsCertificatesGoFirst(t *testing.T) {
	folder := t.TempDir()
	own := filepath.Join(folder, "own.pem")
	if err := os.WriteFile(own, ownAuthority(t), 0o600); err != nil {
		t.Fatal(err)
	}
	nothing := filepath.Join(folder, "nothing")
	for name, c := range map[string]struct{ environment, probe string }{
		"a system with none": {"SSL_CERT_FILE=" + nothing, "TestPublicAuthoritiesAreTrusted"},
		"a system with one":  {"SSL_CERT_FILE=" + own, "TestOneAuthorityIsTrusted"},
	} {
		t.Run(name, func(t *testing.T) {
			// Roots are read once by a process, so each case has its own.
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+c.probe+"$", "-test.v")
			command.Env = append(os.Environ(), c.environment, "SSL_CERT_DIR="+nothing, probing+"="+own)
			said, err := command.CombinedOutput()
			if err != nil || !strings.Contains(string(said), "--- PASS: "+c.probe) {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// probing is the environment variable of the processes that the test above starts: the file of the one authority.
const probing = "BACKUPSYNC_TEST_AUTHORITY"

// isProbe skips the test elsewhere.
func isProbe(t *testing.T) string {
	t.Helper()
	file := os.Getenv(probing)
	if file == "" {
		t.Skip("TestTheSystemsCertificatesGoFirst runs this")
	}
	return file
}

func TestPublicAuthoritiesAreTrusted(t *testing.T) {
	isProbe(t)
	verified := 0
	for root := range bundle.Roots() {
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(certificate); err != nil {
			t.Errorf("%s is not trusted: %v", certificate.Subject, err)
		}
		verified++
	}
	if verified < 100 {
		t.Errorf("there are %d authorities", verified)
	}
}

func TestOneAuthorityIsTrusted(t *testing.T) {
	block, _ := pem.Decode([]byte(read(t, isProbe(t))))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(certificate); err != nil {
		t.Errorf("the system's own is not trusted: %v", err)
	}
	for root := range bundle.Roots() {
		if public, err := x509.ParseCertificate(root.Certificate); err != nil || verify(public) == nil {
			t.Errorf("%s is trusted, which the system does not (%v)", public.Subject, err)
		}
	}
}

// verify verifies a certificate against what is trusted by default, at a time when it was valid.
func verify(certificate *x509.Certificate) error {
	_, err := certificate.Verify(x509.VerifyOptions{CurrentTime: certificate.NotBefore.Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// ownAuthority makes a certificate that nobody knows.
func ownAuthority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "Own authority"}, SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}
