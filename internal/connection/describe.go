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
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// Describe tells a failure without anything that changes from call to call: no request id, no time, no port.
func Describe(err error) string {
	var failure *cbr.Error
	if !errors.As(err, &failure) {
		return "the call could not be made"
	}
	text := failure.Message
	if failure.RequestID != "" {
		text = strings.ReplaceAll(text, failure.RequestID, "...")
	}
	code, message := backupsync.Quote(failure.Code), backupsync.Quote(text)
	switch {
	case code != "" && message != "":
		return fmt.Sprintf("%s: %s", code, message)
	case code != "":
		return code
	case failure.StatusCode != 0 && credentialsCause(failure.Err) != "":
		return fmt.Sprintf("HTTP %d: %s", failure.StatusCode, credentialsCause(failure.Err))
	case failure.StatusCode != 0 && failure.Err != nil:
		return fmt.Sprintf("HTTP %d with an answer that cannot be read", failure.StatusCode)
	case failure.StatusCode != 0 && message != "":
		return fmt.Sprintf("HTTP %d: %s", failure.StatusCode, message)
	case failure.StatusCode != 0:
		return fmt.Sprintf("HTTP %d without an error code", failure.StatusCode)
	default:
		return cause(failure.Err)
	}
}

// DescribeForEvent tells a failure with the request id that the vendor's support asks for.
func DescribeForEvent(err error) string {
	var failure *cbr.Error
	if errors.As(err, &failure) && failure.RequestID != "" {
		return Describe(err) + " (request " + backupsync.Quote(failure.RequestID) + ")"
	}
	return Describe(err)
}

// cause names why a call got no answer, in words that stay the same from call to call.
func cause(err error) string {
	var resolution *net.DNSError
	var timeout net.Error
	if said := tlsCause(err); said != "" {
		return said
	}
	if said := credentialsCause(err); said != "" {
		return said
	}
	if refused, is := errors.AsType[*AddressError](err); is {
		return addressCause(*refused)
	}
	switch {
	case errors.As(err, &resolution):
		return "the host name of the endpoint cannot be resolved"
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

// credentialsCause names why credentials let no call out, or cannot be had, "" if the reason is another.
func credentialsCause(err error) string {
	for _, known := range []error{auth.ErrKeyBusy, auth.ErrKeyRests, auth.ErrKeyLocked, auth.ErrPasswordRefused, auth.ErrRefusedBefore, auth.ErrAccountLocked, auth.ErrNoPodIdentity} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return ""
}

// addressCause names why an address is refused, with so much of a long name that the rest is told, too.
func addressCause(refused AddressError) string {
	if name := []rune(backupsync.Quote(refused.Host)); len(name) > maxShownName {
		refused.Host = string(name[:maxShownName]) + "…"
	}
	return refused.Error()
}

// maxShownName is how many characters of a host's name are told of a refused address.
const maxShownName = 50

// tlsCause names why no TLS connection came about, "" if the reason is another.
func tlsCause(err error) string {
	var record tls.RecordHeaderError
	var alert *net.OpError
	switch said := certificateCause(err); {
	case said != "":
		return said
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the endpoint speaks plain HTTP, it is no TLS"
	case errors.As(err, &record):
		return "what the endpoint speaks is no TLS"
	case errors.As(err, &alert) && alert.Op == tlsAlertOperation:
		return alertCause(alert.Err)
	case err != nil && strings.Contains(err.Error(), tlsOldVersion):
		return oldTLS
	default:
		return ""
	}
}

// How crypto/tls tells what it has no types for. A test with real servers holds them to it.
const (
	tlsAlertOperation  = "remote error"
	tlsOldVersion      = "tls: server selected unsupported protocol version"
	tlsAlertVersion    = "tls: protocol version not supported"
	tlsAlertParameters = "tls: handshake failure"
	tlsAlertSecurity   = "tls: insufficient security level"
)

const oldTLS = "the endpoint speaks no version of TLS that is secure: TLS 1.2 or later is needed"

// alertCause names why the endpoint ended a handshake. The texts of alerts are few and fixed.
func alertCause(alert error) string {
	switch text := alert.Error(); text {
	case tlsAlertVersion:
		return oldTLS
	case tlsAlertParameters, tlsAlertSecurity:
		return "the endpoint found no TLS parameters in common, or asks for a client certificate"
	default:
		return "the endpoint refused the TLS connection: " + strings.TrimPrefix(text, "tls: ")
	}
}

// certificateCause names what is wrong with the endpoint's certificate, "" if nothing is.
func certificateCause(err error) string {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	errors.As(err, &verification)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return whose(invalid.Cert, verification) + validityCause(invalid.Cert, time.Now())
	case errors.As(err, &hostname) && hostname.Certificate != nil:
		return "the endpoint's TLS certificate is for " + namesOf(hostname.Certificate) + ", not for " + backupsync.Quote(hostname.Host)
	case errors.As(err, &authority):
		return "the endpoint's TLS certificate is not trusted: its issuer is unknown"
	case verification != nil, errors.As(err, &invalid):
		return "the endpoint's TLS certificate is not trusted"
	default:
		return ""
	}
}

// whose tells whether a certificate is the endpoint's own. That of an authority may stand in the trusted bundle.
func whose(certificate *x509.Certificate, failed *tls.CertificateVerificationError) string {
	if failed != nil && len(failed.UnverifiedCertificates) > 0 && !certificate.Equal(failed.UnverifiedCertificates[0]) {
		return "the certificate of the authority behind the endpoint's TLS certificate"
	}
	return "the endpoint's TLS certificate"
}

// validityCause names why a certificate is out of its time.
func validityCause(certificate *x509.Certificate, now time.Time) string {
	if now.Before(certificate.NotBefore) {
		return " is not valid before " + certificate.NotBefore.UTC().Format(time.DateOnly)
	}
	return " expired on " + certificate.NotAfter.UTC().Format(time.DateOnly)
}

// maxNames is how many of a certificate's names are told.
const maxNames = 3

// namesOf tells whom a certificate is for.
func namesOf(certificate *x509.Certificate) string {
	names := slices.Clone(certificate.DNSNames)
	for _, address := range certificate.IPAddresses {
		names = append(names, address.String())
	}
	switch {
	case len(names) == 0:
		return "no host by a subject alternative name"
	case len(names) > maxNames:
		names = append(names[:maxNames], "others")
	}
	return backupsync.Quote(strings.Join(names, ", "))
}
