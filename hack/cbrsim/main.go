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

// Command cbrsim is the in-memory CBR of internal/cbr/cbrtest as a process, for demonstrations and black-box
// tests. It serves the API, a ledger of what it was sent at /_ledger (JSON) and / (HTML), the single calls at /_calls
// (JSON, ?operation= for those of one operation), the backups that it holds at /_stored (JSON, ?project= for another
// project than the first), and calls under /_admin/ to steer it. IAM and the agent of pod identity
// are served beside it: /_iam shows what they were asked (JSON), /_iam/secrets what must not be seen anywhere.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"backupsync.dev/operator/internal/cbr/cbrtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	settings, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		err = run(ctx, settings, os.Stdout)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "cbrsim:", err)
		os.Exit(1)
	}
}

// Limits of a process that anybody on the machine can reach.
const (
	readHeaderTimeout = 10 * time.Second
	shutdownTimeout   = 2 * time.Second
)

// run serves until the context ends. Calls that hang are dropped then.
func run(ctx context.Context, settings settings, output io.Writer) error {
	listener, err := settings.listen(ctx)
	if err != nil {
		return err
	}
	simulator := newSimulator(settings.options, settings.iam)
	server := &http.Server{Handler: simulator, ReadHeaderTimeout: readHeaderTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := settings.announce(listener.Addr(), output); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err = <-served:
	case <-ctx.Done():
		err = stopServing(context.WithoutCancel(ctx), simulator.cloud, server)
	}
	if settings.addrFile != "" {
		err = errors.Join(err, os.Remove(settings.addrFile))
	}
	return err
}

func stopServing(ctx context.Context, cloud *cbrtest.Cloud, server *http.Server) error {
	cloud.Close()
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		return server.Close()
	}
	return nil
}

// listen speaks HTTP/1.1 over TLS, not HTTP/2, whose connections cannot be reset for one call.
func (s settings) listen(ctx context.Context) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if s.tlsCert == "" {
		return listener, nil
	}
	certificate, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load the certificate: %w", err), listener.Close())
	}
	return tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"},
	}), nil
}

// announce tells people and scripts where the server is. Connections are already taken in.
func (s settings) announce(addr net.Addr, output io.Writer) error {
	scheme := "http"
	if s.tlsCert != "" {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s", scheme, addr)
	if s.addrFile != "" {
		if err := writeAtomically(s.addrFile, url+"\n"); err != nil {
			return fmt.Errorf("write the address file: %w", err)
		}
	}
	_, err := fmt.Fprintf(output, "cbrsim listening on %s\n", url)
	return err
}

// writeAtomically lets readers see the whole text or no file.
func writeAtomically(path, text string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.WriteString(text)
	if err = errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
