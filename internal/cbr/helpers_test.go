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
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// timeout ends calls that are never answered: long enough for this machine, short enough to wait for.
const timeout = 300 * time.Millisecond

// operations are all calls of the client.
var operations = map[cbr.Operation]func(context.Context, *cbr.Client) error{
	cbr.OperationImport: func(ctx context.Context, client *cbr.Client) error {
		_, err := client.ImportBackups(ctx, cbrtest.Backups(2))
		return err
	},
	cbr.OperationListTasks: func(ctx context.Context, client *cbr.Client) error {
		_, err := client.ListOperationLogs(ctx, cbr.OperationLogsQuery{OperationType: cbr.OperationSync})
		return err
	},
	cbr.OperationGetTask: func(ctx context.Context, client *cbr.Client) error {
		_, err := client.GetOperationLog(ctx, "some-id")
		return err
	},
	cbr.OperationListBackups: func(ctx context.Context, client *cbr.Client) error {
		_, err := client.ListBackupIDs(ctx, cbr.BackupsQuery{})
		return err
	},
	cbr.OperationGetBackup: func(ctx context.Context, client *cbr.Client) error {
		_, err := client.GetBackup(ctx, "some-id")
		return err
	},
}

// behindOf is the class of a failure of which nobody knows how far the request got.
func behindOf(operation cbr.Operation) cbr.Class {
	if operation == cbr.OperationImport {
		return cbr.Unknown
	}
	return cbr.Transient
}

// failure returns the client's error, which must be there.
func failure(t *testing.T, err error) *cbr.Error {
	t.Helper()
	var found *cbr.Error
	if !errors.As(err, &found) {
		t.Fatalf("got %v, want a *cbr.Error", err)
	}
	return found
}

// configFor is the configuration of a client that speaks to an endpoint as the program does.
func configFor(t *testing.T, endpoint, token, caBundle string) cbr.Config {
	t.Helper()
	credential, err := auth.NewToken([]byte(token), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	transports := &cbr.Transports{}
	t.Cleanup(transports.CloseIdleConnections)
	transport, err := transports.For(caBundle)
	if err != nil {
		t.Fatal(err)
	}
	return cbr.Config{Endpoint: endpoint, ProjectID: cbrtest.ProjectID, Credential: credential, Transport: transport}
}

func newClient(t *testing.T, config cbr.Config) *cbr.Client {
	t.Helper()
	client, err := cbr.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// clientOf is a client of a handler.
func clientOf(t *testing.T, handler http.HandlerFunc) *cbr.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newClient(t, configFor(t, server.URL, cbrtest.Token, ""))
}

// answering is a client of a server that answers everything with the same text.
func answering(t *testing.T, body string) *cbr.Client {
	t.Helper()
	return clientOf(t, func(writer http.ResponseWriter, _ *http.Request) { _, _ = writer.Write([]byte(body)) })
}
