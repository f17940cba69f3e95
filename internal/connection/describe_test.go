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
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/internal/cbr"
)

func TestDescribe(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"code and message": {&cbr.Error{StatusCode: 400, Code: "BackupService.9900", Message: "Invalid parameters."},
			"BackupService.9900: Invalid parameters."},
		"code alone":           {&cbr.Error{StatusCode: 400, Code: "BackupService.9900"}, "BackupService.9900"},
		"message alone":        {&cbr.Error{StatusCode: 400, Message: "Invalid parameters."}, "HTTP 400: Invalid parameters."},
		"status alone":         {&cbr.Error{StatusCode: 503}, "HTTP 503 without an error code"},
		"an unreadable answer": {&cbr.Error{StatusCode: 200, Err: errors.New("unexpected end of JSON input")}, "HTTP 200 with an answer that cannot be read"},
		"no answer":            {&cbr.Error{Err: context.DeadlineExceeded}, "no answer in time"},
		"a wrapped one":        {fmt.Errorf("list: %w", &cbr.Error{StatusCode: 400, Code: "BackupService.9900"}), "BackupService.9900"},
		"no error of a call":   {errors.New("odd"), "the call could not be made"},
		"nothing is known":     {&cbr.Error{}, "the connection failed"},
		"dirt in the message":  {&cbr.Error{Code: "BackupService.9900", Message: "a\nb\x00c"}, "BackupService.9900: a bc"},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(Describe(c.err)).To(Equal(c.want))
		})
	}
}

// Events are there for the details that conditions leave out. The API server takes notes of at most 1,024 bytes.
func TestDescribeForEvent(t *testing.T) {
	g := NewWithT(t)
	failed := &cbr.Error{StatusCode: 500, Code: "BackupService.9910", Message: "internal error", RequestID: "2f3d8a2f"}
	g.Expect(DescribeForEvent(failed)).To(Equal("BackupService.9910: internal error (request 2f3d8a2f)"))
	failed.RequestID = ""
	g.Expect(DescribeForEvent(failed)).To(Equal("BackupService.9910: internal error"))
	g.Expect(DescribeForEvent(errors.New("odd"))).To(Equal("the call could not be made"))
}

func TestEventsOfHostileAnswersFit(t *testing.T) {
	hostile := strings.Repeat("备\n", 5000)
	for name, failed := range map[string]*cbr.Error{
		"a long message":    {Code: "BackupService.9910", Message: hostile},
		"a long request id": {Code: "BackupService.9910", RequestID: hostile},
		"a long code":       {Code: hostile},
		"all of them":       {Code: hostile, Message: hostile, RequestID: hostile},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			note := fmt.Sprintf("A sync call failed (backups: %d): %s", 50, DescribeForEvent(failed))
			g.Expect(len(note)).To(BeNumerically("<=", 1024), "longer notes are refused, the event is lost")
			g.Expect(note).NotTo(ContainSubstring("\n"))
		})
	}
}

func TestCause(t *testing.T) {
	dialed := func(err error) error {
		return &url.Error{Op: "Post", URL: "https://cbr.example.com", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no such host":        {dialed(&net.DNSError{Err: "no such host", Name: "cbr.example.com", IsNotFound: true}), "the host name of the endpoint cannot be resolved"},
		"slow name service":   {dialed(&net.DNSError{Err: "timeout", IsTimeout: true}), "the host name of the endpoint cannot be resolved"},
		"unknown authority":   {dialed(x509.UnknownAuthorityError{}), "the endpoint's TLS certificate is not trusted: its issuer is unknown"},
		"another failure":     {dialed(x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}), "the endpoint's TLS certificate is not trusted"},
		"another host's":      {dialed(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "cbr.example.com"}), "the endpoint's TLS certificate is for no host by a subject alternative name, not for cbr.example.com"},
		"expired certificate": {dialed(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}), "the endpoint's TLS certificate is not trusted"},
		"connection refused":  {dialed(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection refused"},
		"connection reset":    {dialed(os.NewSyscallError("read", syscall.ECONNRESET)), "connection reset"},
		"deadline":            {&url.Error{Op: "Post", Err: context.DeadlineExceeded}, "no answer in time"},
		"time-out of the net": {dialed(os.ErrDeadlineExceeded), "no answer in time"},
		"no route":            {dialed(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "the connection failed"},
		"nothing":             {nil, "the connection failed"},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(cause(c.err)).To(Equal(c.want))
		})
	}
}
