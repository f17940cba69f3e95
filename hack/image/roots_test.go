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
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// The image has no file of CA certificates, and the public authorities are trusted all the same. As none of them issues certificates to tests, an
// authority with the name of one of them does. Go then tells of the real one that it knows by that name, and only then.
func TestTheImageKnowsThePublicAuthorities(t *testing.T) {
	public := publicAuthority(t)
	impostor, other := newAuthority(t, public.RawSubject), newAuthority(t, rawName(t, "Another authority"))
	recognized := fmt.Sprintf("while trying to verify candidate authority certificate %q", public.Subject.CommonName)
	for name, c := range map[string]struct {
		trusted *authority // by SSL_CERT_FILE, which takes the place of what the image has
		says    string     // "" if the server is talked to
		without string
	}{
		"as it is":                              {nil, recognized, ""},
		"with a file of another authority":      {&other, "certificate signed by unknown authority", recognized},
		"with a file of the server's authority": {&impostor, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := talk(t, impostor, c.trusted, c.says)
			if !strings.Contains(got, c.says) || c.without != "" && strings.Contains(got, c.without) {
				t.Errorf("the manager says %s\nwant %q, and not %q", got, c.says, c.without)
			}
		})
	}
}

// publicAuthority returns one of the authorities that are built in.
func publicAuthority(t *testing.T) *x509.Certificate {
	t.Helper()
	for root := range bundle.Roots() {
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err == nil && root.Constraint == nil && certificate.Subject.CommonName != "" {
			return certificate
		}
	}
	t.Fatal("there is none")
	return nil
}

// talk has the manager of the image ask an API server whose certificate is the authority's. It returns "" when the server was asked,
// and else what the manager has logged that says so.
func talk(t *testing.T, issuer authority, trusted *authority, says string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	asked := make(chan struct{}, 1)
	server := issuer.serve(t, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		http.Error(answer, "no API server", http.StatusServiceUnavailable)
	}))
	running := newContainer(t)
	running.add(t, "kubeconfig", fmt.Appendf(nil, kubeconfig, server.URL))
	var environment []string
	if trusted != nil {
		running.add(t, "ca.pem", trusted.pem())
		environment = []string{"SSL_CERT_FILE=/ca.pem"}
	}
	lines := logOf(ctx, t, running.command(ctx, environment, "--kubeconfig=/kubeconfig", "--metrics-bind-address=0", "--health-probe-bind-address=0"))
	var last string
	for {
		select {
		case <-asked:
			return ""
		case line, open := <-lines:
			if !open {
				t.Fatalf("the manager has ended: %s", last)
			}
			last = unquote(line)
			if says != "" && strings.Contains(last, says) {
				return last
			}
		}
	}
}

// kubeconfig names an API server, and no authority for it.
const kubeconfig = `apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: it, user: it}}]
clusters: [{name: it, cluster: {server: "%s"}}]
users: [{name: it, user: {token: none}}]
`

// unquote takes away what JSON has put before quotation marks.
func unquote(line string) string { return strings.ReplaceAll(line, `\`, "") }

// logOf starts a command, and returns the lines that it logs until it or the context ends. It is killed with the context.
func logOf(ctx context.Context, t *testing.T, command *exec.Cmd) <-chan string {
	t.Helper()
	reader, writer := io.Pipe()
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = writer.CloseWithError(command.Wait())
	}()
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(reader)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { <-ended })
	return lines
}
