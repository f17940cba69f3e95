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
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// Credential authorizes the calls of a project.
type Credential interface {
	cbr.Credential
	// Expiry returns when it ends, the zero time if that is not known.
	Expiry() time.Time
	// Renews reports whether it is renewed without anybody's help. It is an auth.Renewing then.
	Renews() bool
	// Retry has what was refused, or could not be fetched, tried once more as far as that locks nothing: a person asks for it.
	// What can be used meanwhile stays in use.
	Retry()
}

// Problem is what is wrong with credentials: a sentence for a condition.
type Problem struct {
	sentence string
	cause    error
}

func problem(cause error, format string, arguments ...any) *Problem {
	return &Problem{sentence: fmt.Sprintf(format, arguments...), cause: cause}
}

// Error is the sentence.
func (p *Problem) Error() string { return p.sentence }

// Unwrap returns what the sentence tells, nil if it tells all itself.
func (p *Problem) Unwrap() error { return p.cause }

// Contents are what the parts of credentials are read from: the keys of a Secret that are used, and nothing else of it.
type Contents struct {
	name  string // of the Secret
	kind  v1alpha1.CredentialsType
	parts []part
	// WrittenAt is when the Secret was last written, as far as is known.
	WrittenAt time.Time
}

// part is one key of the Secret.
type part struct {
	name, key string
	value     []byte
}

// partOf tells which part of the credentials stands under which key.
type partOf struct {
	name     string // of the key by default
	key      func(*v1alpha1.SecretKeys) string
	optional bool
	holds    string // in words
}

var (
	tokenPart     = partOf{v1alpha1.TokenKey, func(k *v1alpha1.SecretKeys) string { return k.Token }, false, "an IAM token"}
	expiresPart   = partOf{v1alpha1.ExpiresAtKey, func(k *v1alpha1.SecretKeys) string { return k.ExpiresAt }, true, "the time at which it ends"}
	accessPart    = partOf{v1alpha1.AccessKeyKey, func(k *v1alpha1.SecretKeys) string { return k.AccessKey }, false, "the access key id"}
	secretPart    = partOf{v1alpha1.SecretKeyKey, func(k *v1alpha1.SecretKeys) string { return k.SecretKey }, false, "the secret access key"}
	temporaryPart = partOf{v1alpha1.SecurityTokenKey, func(k *v1alpha1.SecretKeys) string { return k.SecurityToken }, true, "the security token of a temporary key"}
	usernamePart  = partOf{v1alpha1.UsernameKey, func(k *v1alpha1.SecretKeys) string { return k.Username }, false, "the name of the IAM user"}
	passwordPart  = partOf{v1alpha1.PasswordKey, func(k *v1alpha1.SecretKeys) string { return k.Password }, false, "the password of the IAM user"}
	domainPart    = partOf{v1alpha1.DomainNameKey, func(k *v1alpha1.SecretKeys) string { return k.DomainName }, false, "the name of the account"}
)

// partsOf are the parts of each type of credentials. A type that is not here is not known to this version.
var partsOf = map[v1alpha1.CredentialsType][]partOf{
	v1alpha1.CredentialsToken:       {tokenPart, expiresPart},
	v1alpha1.CredentialsAccessKey:   {accessPart, secretPart, temporaryPart, expiresPart},
	v1alpha1.CredentialsPassword:    {usernamePart, passwordPart, domainPart},
	v1alpha1.CredentialsPodIdentity: nil,
}

// Known reports whether this version knows a type of credentials. One that it does not know must not be taken for another.
func Known(credentials v1alpha1.CredentialsType) bool {
	_, known := partsOf[credentials]
	return known
}

// NeedsSecret reports whether credentials of a type stand in a Secret.
func NeedsSecret(credentials v1alpha1.CredentialsType) bool { return len(partsOf[credentials]) > 0 }

// Wanted says what a Secret for the credentials must hold, in words.
func Wanted(credentials *v1alpha1.Credentials) string {
	var words []string
	for _, each := range partsOf[credentials.Type] {
		if !each.optional {
			words = append(words, fmt.Sprintf("%s in its key %q", each.holds, each.keyIn(credentials)))
		}
	}
	return strings.Join(words, ", ")
}

func (p partOf) keyIn(credentials *v1alpha1.Credentials) string {
	return cmp.Or(p.key(&credentials.SecretRef.Keys), p.name)
}

// Read takes the parts of the credentials out of a Secret, which may be of any type. An error says, as a sentence, which are missing.
func Read(credentials *v1alpha1.Credentials, secret *corev1.Secret) (*Contents, error) {
	contents := &Contents{name: secret.Name, kind: credentials.Type, WrittenAt: writtenAt(secret)}
	for _, each := range partsOf[credentials.Type] {
		key := each.keyIn(credentials)
		value, found := secret.Data[key]
		if !found && !each.optional {
			return nil, problem(nil, "The Secret %s has no key %q. Put %s there, or name the right key in secretRef.keys.", secret.Name, key, each.holds)
		}
		contents.parts = append(contents.parts, part{each.name, key, value})
	}
	return contents, nil
}

// writtenAt returns when an object was last written, as its managers tell.
func writtenAt(secret *corev1.Secret) time.Time {
	latest := secret.CreationTimestamp.Time
	for _, manager := range secret.ManagedFields {
		if manager.Time != nil && manager.Time.After(latest) {
			latest = manager.Time.Time
		}
	}
	return latest
}

// Bytes are all that the credentials are made of, each part with its length, to tell one content from another.
func (c *Contents) Bytes() []byte {
	var all []byte
	for _, each := range c.parts {
		all = appendPart(all, each.value)
	}
	return all
}

// appendPart appends a part with its length, so that no two lists of parts are the same text.
func appendPart(all, value []byte) []byte { return fmt.Appendf(all, "%d:%s", len(value), value) }

func (c *Contents) part(of partOf) part {
	for _, each := range c.parts {
		if each.name == of.name {
			return each
		}
	}
	return part{}
}

// Surroundings are what credentials need besides their contents.
type Surroundings struct {
	ProjectID   string
	Endpoint    string
	IAMEndpoint string
	Transport   http.RoundTripper // to IAM
	Timeout     time.Duration
	UserAgent   string
	Clock       clock.PassiveClock
	// Changed is called when credentials that are fetched in the background have changed, or could not be fetched.
	Changed func()
	// Hidden returns texts that must not be seen besides the secrets of the credentials.
	Hidden func() []string
	// Attempts are those of all projects of the process.
	Attempts *auth.Attempts
	// Before is what other processes have seen of the same contents, Again says that a person wants them tried once more.
	Before auth.History
	Again  bool
}

// NewCredential makes the credentials of a type of what a Secret holds. An error says, as a sentence, what is wrong with that,
// and repeats none of it.
func NewCredential(kind v1alpha1.CredentialsType, contents *Contents, with Surroundings) (Credential, error) {
	switch kind {
	case v1alpha1.CredentialsToken:
		return contents.token()
	case v1alpha1.CredentialsAccessKey:
		return contents.accessKey(with)
	case v1alpha1.CredentialsPassword:
		return contents.password(with)
	case v1alpha1.CredentialsPodIdentity:
		return podIdentity(with)
	default:
		return nil, problem(nil, "This version of the operator does not know the credentials.type %q.", kind)
	}
}

func (c *Contents) token() (Credential, error) {
	expires, err := c.expires()
	if err != nil {
		return nil, err
	}
	read := c.part(tokenPart)
	token, err := auth.NewToken(read.value, expires)
	if err != nil {
		return nil, c.unusable(read.key, err)
	}
	return token, nil
}

func (c *Contents) accessKey(with Surroundings) (Credential, error) {
	expires, err := c.expires()
	if err != nil {
		return nil, err
	}
	access, secret, temporary := c.part(accessPart), c.part(secretPart), c.part(temporaryPart)
	key, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: access.value, Secret: secret.value, SecurityToken: temporary.value,
		ProjectID: with.ProjectID, Expires: expires, Clock: with.Clock,
		Attempts: with.Attempts, Endpoint: with.Endpoint, Before: with.Before, Again: with.Again})
	if err != nil {
		return nil, c.unusable("", err)
	}
	return key, nil
}

func (c *Contents) password(with Surroundings) (Credential, error) {
	password, err := auth.NewPassword(auth.PasswordConfig{
		IAMEndpoint: with.IAMEndpoint, ProjectID: with.ProjectID,
		DomainName: c.part(domainPart).value, Username: c.part(usernamePart).value, Password: c.part(passwordPart).value,
		Transport: with.Transport, Timeout: with.Timeout, UserAgent: with.UserAgent, Clock: with.Clock, Changed: with.Changed,
		Hidden: with.Hidden, Attempts: with.Attempts, Before: with.Before, Again: with.Again})
	if err != nil {
		return nil, c.unusable("", err)
	}
	return password, nil
}

// expires reads when a token or key ends, the zero time if the Secret does not say.
func (c *Contents) expires() (time.Time, error) {
	read := c.part(expiresPart)
	text := string(bytes.TrimSpace(read.value))
	if text == "" {
		return time.Time{}, nil
	}
	expires, err := time.Parse(time.RFC3339, text)
	if year := expires.UTC().Year(); err != nil || year < 1 || year > 9999 { // a status cannot hold another
		return time.Time{}, problem(nil, "The key %q of Secret %s must hold a time such as 2026-01-04T09:05:22Z (RFC 3339), or be left out.", read.key, c.name)
	}
	return expires, nil
}

// unusable says that the content of a key, or of the Secret, cannot be used.
func (c *Contents) unusable(key string, err error) error {
	if key == "" {
		return problem(err, "The Secret %s cannot be used: %v.", c.name, err)
	}
	return problem(err, "The key %q of Secret %s cannot be used: %v.", key, c.name, err)
}

func podIdentity(with Surroundings) (Credential, error) {
	identity, err := auth.NewPodIdentity(auth.PodIdentityConfig{ProjectID: with.ProjectID, Timeout: with.Timeout,
		UserAgent: with.UserAgent, Clock: with.Clock, Changed: with.Changed}.FromEnvironment())
	if err != nil {
		return nil, problem(err, "The credentials.type PodIdentity cannot be used: %v.", err)
	}
	return identity, nil
}
