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
	"encoding/base64"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// hostileCase is a configuration, and what becomes of it.
type hostileCase struct {
	name string
	// spec changes the spec of a project that uses the good cloud with a token.
	spec func(*v1alpha1.CBRProjectSpec)
	// data is the Secret's; with a good token if nil. The text that it is given is secret.
	data func(secret string) map[string][]byte
	// reason is that of Ready, says a part of its message.
	reason, says string
}

func at(endpoint string) func(*v1alpha1.CBRProjectSpec) {
	return func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = endpoint }
}

// loginAt uses a password, and sends it to an IAM.
func loginAt(endpoint string) func(*v1alpha1.CBRProjectSpec) {
	return func(spec *v1alpha1.CBRProjectSpec) {
		spec.Credentials.Type, spec.IAMEndpoint = v1alpha1.CredentialsPassword, endpoint
	}
}

// signed uses an access key.
func signed(spec *v1alpha1.CBRProjectSpec) { spec.Credentials.Type = v1alpha1.CredentialsAccessKey }

func tokenIs(format string) func(string) map[string][]byte {
	return func(secret string) map[string][]byte {
		return map[string][]byte{v1alpha1.TokenKey: []byte(strings.ReplaceAll(format, "%", secret))}
	}
}

func passwordIs(format string) func(string) map[string][]byte {
	return func(secret string) map[string][]byte {
		return map[string][]byte{v1alpha1.UsernameKey: []byte(cbrtest.Username), v1alpha1.DomainNameKey: []byte(cbrtest.DomainName),
			v1alpha1.PasswordKey: []byte(strings.ReplaceAll(format, "%", secret))}
	}
}

func keysAre(access, secretFormat string) func(string) map[string][]byte {
	return func(secret string) map[string][]byte {
		return map[string][]byte{v1alpha1.AccessKeyKey: []byte(strings.ReplaceAll(access, "%", secret)),
			v1alpha1.SecretKeyKey: []byte(strings.ReplaceAll(secretFormat, "%", secret))}
	}
}

func ending(end string) func(string) map[string][]byte {
	return func(secret string) map[string][]byte {
		return map[string][]byte{v1alpha1.TokenKey: []byte(secret), v1alpha1.ExpiresAtKey: []byte(end)}
	}
}

func inUTF16(secret string) map[string][]byte {
	text := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(secret)) {
		text = append(text, byte(unit), byte(unit>>8))
	}
	return map[string][]byte{v1alpha1.TokenKey: text}
}

const (
	notAllowed = v1alpha1.ReasonEndpointNotAllowed
	missing    = v1alpha1.ReasonCredentialsMissing
	rejected   = v1alpha1.ReasonCredentialsRejected
	cut        = v1alpha1.ReasonEndpointUnavailable
	notListed  = "--allowed-endpoints"
	loopback   = "is a loopback address"
)

// A name that leads elsewhere at the next look-up is in internal/connection and in internal/controller, with a resolver of
// their own.

// endpoints are hosts to which nothing may be sent, or no more than a handshake.
func (h *hostile) endpoints() []hostileCase {
	api, err := url.Parse(h.bed.kubernetes.Config.Host)
	if err != nil {
		panic(err) // it was used
	}
	cases := []hostileCase{
		{name: "an attacker's host", spec: at("https://" + h.plain.host()), reason: notAllowed, says: notListed},
		{name: "an attacker's host by its name", spec: at("https://cbr.attacker.example"), reason: notAllowed, says: notListed},
		{name: "a rented host under the vendor's domain", spec: at("https://evil.obs.cn-north-4.myhuaweicloud.com"), reason: notAllowed, says: notListed},
		{name: "a rented host whose name begins as CBR's", spec: at("https://cbr.evil.obs.cn-north-4.myhuaweicloud.com"), reason: notAllowed, says: notListed},
		{name: "a host that ends as the vendor's", spec: at("https://cbr.cn-north-4.evilmyhuaweicloud.com"), reason: notAllowed, says: notListed},
		{name: "the vendor's host before an attacker's", spec: at("https://cbr.cn-north-4.myhuaweicloud.com.attacker.example"), reason: notAllowed, says: notListed},
		{name: "IAM's host", spec: at("https://iam.cn-north-4.myhuaweicloud.com"), reason: notAllowed, says: notListed},
		{name: "http", spec: at("http://" + cbrInBeijing), reason: notAllowed, says: notListed},
		{name: "another port", spec: at("https://" + cbrInBeijing + ":8443"), reason: notAllowed, says: notListed},
		{name: "another port of an allowed address", spec: at("http://" + h.local.host()), reason: notAllowed, says: notListed},
		{name: "another scheme of an allowed address", spec: at(strings.Replace(h.cloud.URL, "http:", "https:", 1)), reason: notAllowed, says: notListed},
		{name: "the metadata service", spec: at("http://169.254.169.254"), reason: notAllowed, says: notListed},
		{name: "the metadata service by TLS", spec: at("https://169.254.169.254"), reason: notAllowed, says: notListed},
		{name: "the metadata service in IPv6", spec: at("http://[fe80::a9fe:a9fe]"), reason: notAllowed, says: notListed},
		{name: "the metadata service, mapped to IPv6", spec: at("https://[::ffff:169.254.169.254]"), reason: notAllowed, says: notListed},
		{name: "the API server", spec: at("https://" + api.Host), reason: notAllowed, says: notListed},
		{name: "a number as address", spec: at("http://2130706433:" + h.local.port()), reason: notAllowed, says: notListed},
		{name: "a short address", spec: at("http://127.1:" + h.local.port()), reason: notAllowed, says: notListed},
		{name: "an address in hex", spec: at("http://0x7f.0.0.1:" + h.local.port()), reason: notAllowed, says: notListed},
		{name: "an address mapped to IPv6", spec: at("http://[::ffff:127.0.0.1]:" + h.local.port()), reason: notAllowed, says: notListed},
		{name: "a name that leads here", spec: at("http://localhost:" + h.local.port()), reason: notAllowed, says: loopback},
		{name: "a name that leads here, by TLS", spec: at("https://localhost:" + h.local.port()), reason: notAllowed, says: loopback},
		{name: "a redirect to another server", spec: at("http://" + h.redirector.host()), reason: v1alpha1.ReasonNotCBR},
		{name: "a certificate of an unknown issuer", spec: at("https://" + h.untrusted.host()), reason: cut, says: "issuer is unknown"},
		{name: "a proxy that pretends to be CBR", spec: func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint, spec.Region = "", "cn-north-4" },
			reason: cut, says: "issuer is unknown"},
	}
	if h.hostname != "" {
		cases = append(cases, hostileCase{name: "the name of this machine", spec: at("http://" + h.hostname + ":" + h.local.port()), reason: notAllowed, says: "resolves to"})
	}
	for i := range cases { // those who may say so trust the attacker
		before := cases[i].spec
		cases[i].spec = func(spec *v1alpha1.CBRProjectSpec) {
			before(spec)
			if cases[i].says == notListed || cases[i].says == loopback {
				spec.CABundleRef = v1alpha1.CABundleReference{Name: "authority"}
			}
		}
	}
	return cases
}

// logins are those to which no password may be sent.
func (h *hostile) logins() []hostileCase {
	cases := []hostileCase{
		{name: "IAM at an attacker's host", spec: loginAt("http://" + h.plain.host()), reason: notAllowed, says: notListed},
		{name: "IAM at a rented host", spec: loginAt("https://iam.obs.cn-north-4.myhuaweicloud.com"), reason: notAllowed, says: notListed},
		{name: "IAM at CBR's host", spec: loginAt("https://" + cbrInBeijing), reason: notAllowed, says: notListed},
		{name: "IAM by http", spec: loginAt("http://iam.cn-north-4.myhuaweicloud.com"), reason: notAllowed, says: notListed},
		{name: "IAM at the metadata service", spec: loginAt("http://169.254.169.254"), reason: notAllowed, says: notListed},
		{name: "IAM at a name that leads here", spec: loginAt("http://localhost:" + h.local.port()), reason: notAllowed, says: loopback},
		{name: "IAM at a redirect", spec: loginAt("http://" + h.redirector.host()), reason: cut},
		{name: "IAM at a certificate of an unknown issuer", spec: loginAt("https://" + h.untrusted.host()), reason: cut, says: "issuer is unknown"},
		{name: "IAM at a proxy that pretends to be it", spec: loginAt("https://iam.cn-north-4.myhuaweicloud.com"), reason: cut},
	}
	for i := range cases {
		cases[i].data = passwordIs("%")
	}
	return cases
}

// contents are what people put into Secrets. None of it is sent, but what only CBR can tell from a good token.
func (h *hostile) contents() []hostileCase {
	return []hostileCase{
		{name: "a line end in a token", data: tokenIs("%\r\nX-Evil: 1\r\n\r\n%"), reason: missing, says: "white space or characters"},
		{name: "a line feed in a token", data: tokenIs("%\n%"), reason: missing, says: "white space or characters"},
		{name: "a token that ended", data: ending(time.Now().Add(-time.Hour).Format(time.RFC3339)), reason: missing, says: "ended at"},
		{name: "an end that is no time", data: ending("tomorrow"), reason: missing, says: "RFC 3339"},
		{name: "a revoked token", data: tokenIs("%"), reason: rejected, says: "APIGW.0301"},
		{name: "no token", data: tokenIs(""), reason: missing, says: "is empty"},
		{name: "white space for a token", data: tokenIs(" \n\t "), reason: missing, says: "is empty"},
		{name: "another key", data: func(secret string) map[string][]byte { return map[string][]byte{"Token": []byte(secret)} }, reason: missing, says: `has no key "token"`},
		{name: "a token of 64 KiB and a byte", data: tokenIs("%" + strings.Repeat("A", 64<<10+1-secretLength)), reason: missing, says: "longer than 64 KiB"},
		{name: "a token behind a byte order mark", data: tokenIs("\ufeff%"), reason: missing, says: "byte order mark"},
		{name: "a token in UTF-16", data: inUTF16, reason: missing, says: "UTF-16"},
		{name: "a token in quotes", data: tokenIs(`"%"`), reason: missing, says: "quotation marks"},
		{name: "a token in typographic quotes", data: tokenIs("“%”"), reason: missing, says: "quotation marks"},
		{name: "a whole header", data: tokenIs("X-Subject-Token: %"), reason: missing, says: "line of a header"},
		{name: "the JSON body", data: tokenIs(`{"token": {"id": "%"}}`), reason: missing, says: "is JSON"},
		{name: "a token encoded twice", data: func(secret string) map[string][]byte {
			return map[string][]byte{v1alpha1.TokenKey: []byte(base64.StdEncoding.EncodeToString([]byte("MII" + secret)))}
		}, reason: missing, says: "base64-encoded twice"},
		{name: "a wrong access key", spec: signed, data: keysAre("HPUAWRONGWRONGWRONG1", "%"), reason: rejected, says: "APIGW.0301"},
		{name: "keys that are swapped", spec: signed, data: keysAre("%", "HPUAWRONGWRONGWRONG1"), reason: missing, says: "swapped"},
		{name: "a file for a key", spec: signed, data: keysAre("HPUAWRONGWRONGWRONG1", "User Name,Access Key Id,Secret Access Key\nme,HPUA,%"),
			reason: missing, says: "credentials.csv"},
		{name: "a line end in a secret key", spec: signed, data: keysAre("HPUAWRONGWRONGWRONG1", "%\r\n%"), reason: missing, says: "white space or characters"},
		{name: "a wrong password", spec: loginAt(h.cloud.URL), data: passwordIs("%"), reason: rejected, says: "refuses the name or the password"},
		{name: "a line end in a password", spec: loginAt(h.cloud.URL), data: passwordIs("%\n%"), reason: missing, says: "control character"},
		{name: "a password behind a byte order mark", spec: loginAt(h.cloud.URL), data: passwordIs("\ufeff%"), reason: missing, says: "byte order mark"},
		{name: "no password", spec: loginAt(h.cloud.URL), data: passwordIs(""), reason: missing, says: "is empty"},
		{name: "the identity of a pod that others own", spec: func(spec *v1alpha1.CBRProjectSpec) {
			spec.Credentials = v1alpha1.Credentials{Type: v1alpha1.CredentialsPodIdentity}
		}, reason: missing, says: "--pod-identity-namespaces"},
	}
}
