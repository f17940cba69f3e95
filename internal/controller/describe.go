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

package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"syscall"

	"k8s.io/apimachinery/pkg/api/meta"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// maxQuoted bounds what a message quotes of CBR, so that what to do still fits.
const maxQuoted = 120

func shorten(text string) string {
	characters := []rune(cleanMessage(text))
	if len(characters) > maxQuoted {
		return string(characters[:maxQuoted-1]) + "…"
	}
	return string(characters)
}

// describeForEvent tells a failure with the request id that the vendor's support asks for.
func describeForEvent(err error) string {
	var failure *cbr.Error
	if errors.As(err, &failure) && failure.RequestID != "" {
		return describe(err) + " (request " + shorten(failure.RequestID) + ")"
	}
	return describe(err)
}

// readyMessageOf returns the message of Ready.
func readyMessageOf(backup *v1alpha1.BackupSync) string {
	if ready := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Message
	}
	return ""
}

// cause names why a call got no answer, in words that stay the same from call to call.
func cause(err error) string {
	var resolution *net.DNSError
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var timeout net.Error
	switch {
	case errors.As(err, &resolution):
		return "the host name of the endpoint cannot be resolved"
	case errors.As(err, &verification), errors.As(err, &authority), errors.As(err, &hostname):
		return "the endpoint's TLS certificate is not trusted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	default:
		return "the connection failed"
	}
}
