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
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

const secret = "MIISkAYJKoZIhvcNAQcCoIISgTCCEn0CAQEx+/=="

func TestTokenIsTrimmed(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{Tokens: []string{secret}})
	for _, content := range []string{secret, secret + "\n", secret + "\r\n", " \t\n" + secret + " \n\n"} {
		client := newClient(t, configFor(t, server.URL, content, ""))
		if _, err := client.ListBackupIDs(t.Context(), cbr.BackupsQuery{}); err != nil {
			t.Errorf("%q: %v", strings.ReplaceAll(content, secret, "TOKEN"), err)
		}
	}
}

func TestWithoutCredentialNothingIsSent(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	config := server.Config(t)
	config.Credential = auth.Token{}
	client := newClient(t, config)
	for operation, call := range operations {
		got := failure(t, call(t.Context(), client))
		if got.Class != cbr.Credentials || !got.Untouched || !errors.Is(got, auth.ErrEmptyToken) {
			t.Errorf("%s: got %+v, want Credentials and Untouched", operation, got)
		}
	}
	if got := len(server.Ledger()); got != 0 {
		t.Errorf("%d calls were sent", got)
	}
}

func TestErrorsDoNotRepeatTheToken(t *testing.T) {
	echo := func(status int, format string) http.HandlerFunc {
		return func(writer http.ResponseWriter, request *http.Request) {
			token := request.Header.Get("X-Auth-Token")
			if status != http.StatusOK { // see TestRequestIDOfAnAnswerThatCannotBeReadDoesNotRepeatTheToken
				writer.Header().Set("X-Request-Id", "id-"+token)
			}
			writer.WriteHeader(status)
			_, _ = writer.Write([]byte(strings.ReplaceAll(format, "TOKEN", token)))
		}
	}
	handlers := map[string]http.HandlerFunc{
		"message":     echo(401, `{"error_code":"APIGW.0301","error_msg":"decrypt TOKEN: TOKEN failed"}`),
		"code":        echo(400, `{"error_code":"TOKEN","error_msg":"m"}`),
		"request id":  echo(500, `{"error_code":"c","error_msg":"m","request_id":"TOKEN"}`),
		"HTML":        echo(502, `<html>TOKEN</html>`),
		"a 200":       echo(200, `TOKEN`),
		"an odd list": echo(200, `{"sync":"TOKEN","operation_logs":"TOKEN","backups":"TOKEN","backup":"TOKEN","operation_log":"TOKEN"}`),
		"redirect": func(writer http.ResponseWriter, request *http.Request) {
			writer.Header().Set("Location", "http://127.0.0.1:1/?"+request.Header.Get("X-Auth-Token"))
			writer.WriteHeader(http.StatusFound)
		},
		"redirect to nonsense": func(writer http.ResponseWriter, request *http.Request) {
			writer.Header().Set("Location", "http://[::1/"+request.Header.Get("X-Auth-Token"))
			writer.WriteHeader(http.StatusFound)
		},
		"no HTTP": func(writer http.ResponseWriter, request *http.Request) {
			connection, _, _ := writer.(http.Hijacker).Hijack()
			defer connection.Close()
			_, _ = fmt.Fprintf(connection, "NOT HTTP %s\r\n\r\n", request.Header.Get("X-Auth-Token"))
		},
	}
	for name, handler := range handlers {
		server := httptest.NewServer(handler)
		client := newClient(t, configFor(t, server.URL, secret, ""))
		for operation, call := range operations {
			got := failure(t, call(t.Context(), client))
			if text := fmt.Sprintf("%v %+v %v", got, *got, got.Err); strings.Contains(text, secret) {
				t.Errorf("%s, %s: the error repeats the token", name, operation)
			}
		}
		server.Close()
		got := failure(t, operations[cbr.OperationImport](t.Context(), client))
		if strings.Contains(got.Error(), secret) {
			t.Errorf("%s: the error of a refused connection repeats the token", name)
		}
	}
}

func TestRequestIDOfAnAnswerThatCannotBeReadDoesNotRepeatTheToken(t *testing.T) {
	client := clientOf(t, func(writer http.ResponseWriter, request *http.Request) {
		writer.Header().Set("X-Request-Id", "id-"+request.Header.Get("X-Auth-Token"))
	})
	for operation, call := range operations {
		if got := failure(t, call(t.Context(), client)); strings.Contains(got.Error(), cbrtest.Token) {
			t.Errorf("%s: the error repeats the token", operation)
		}
	}
}

func TestEchoedTokenIsReplacedAndTheRestKept(t *testing.T) {
	client := clientOf(t, func(writer http.ResponseWriter, request *http.Request) {
		writer.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(writer, `{"error_code":"APIGW.0301","error_msg":"token %s expired"}`, request.Header.Get("X-Auth-Token"))
	})
	got := failure(t, operations[cbr.OperationImport](t.Context(), client))
	if got.Message != "token [redacted] expired" || got.Code != "APIGW.0301" {
		t.Errorf("got %+v", got)
	}
}

func TestTokenDoesNotTravelInTheURL(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	client := newClient(t, configFor(t, "http://"+address, secret, ""))
	if got := failure(t, operations[cbr.OperationListTasks](t.Context(), client)); strings.Contains(got.Error(), secret) || !strings.Contains(got.Error(), address) {
		t.Errorf("got %v, want the address without the token", got)
	}
}
