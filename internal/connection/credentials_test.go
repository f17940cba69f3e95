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
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/auth"
)

// The parts of good credentials. None of these texts may be seen in a message.
var goodParts = map[string]string{
	"token":         "gAAAAABsecretsecretsecret",
	"accessKey":     "QTWAOYTTINDUT2QVKYUC",
	"secretKey":     "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
	"securityToken": "gQpjbi1ub3J0aC00kWaYOshg",
	"username":      "importer-user",
	"password":      "p4ss w0rd!x",
	"domainName":    "erp-account",
	"expiresAt":     "2026-01-04T09:05:22Z",
}

// partsOfType are the keys of each type that has a Secret: those that must be there, then those that may.
var partsOfType = map[v1alpha1.CredentialsType]struct{ required, optional []string }{
	v1alpha1.CredentialsToken:     {[]string{"token"}, []string{"expiresAt"}},
	v1alpha1.CredentialsAccessKey: {[]string{"accessKey", "secretKey"}, []string{"securityToken", "expiresAt"}},
	v1alpha1.CredentialsPassword:  {[]string{"username", "password", "domainName"}, nil},
}

func credentialsOf(kind v1alpha1.CredentialsType, keys ...v1alpha1.SecretKeys) *v1alpha1.Credentials {
	credentials := &v1alpha1.Credentials{Type: kind, SecretRef: v1alpha1.SecretReference{Name: "cbr"}}
	for _, each := range keys {
		credentials.SecretRef.Keys = each
	}
	return credentials
}

// secretOf is a Secret with some of the good parts under the keys of the defaults.
func secretOf(names ...string) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cbr"}, Data: map[string][]byte{}}
	for _, name := range names {
		secret.Data[name] = []byte(goodParts[name])
	}
	return secret
}

var surroundings = Surroundings{ProjectID: "f841e01f", IAMEndpoint: "https://iam.cn-north-4.myhuaweicloud.com",
	Transport: http.DefaultTransport}

// made makes the credentials of a type of a Secret.
func made(credentials *v1alpha1.Credentials, secret *corev1.Secret) (Credential, error) {
	contents, err := Read(credentials, secret)
	if err != nil {
		return nil, err
	}
	return NewCredential(credentials.Type, contents, surroundings)
}

// A sentence begins with a capital and ends with one full stop.
var sentence = regexp.MustCompile(`^[A-Z](?s:.*)[^.]\.$`)

// wantSentence checks that an error can be the message of a condition, and tells nothing of a content.
func wantSentence(t *testing.T, err error, contents ...string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(err).To(HaveOccurred())
	g.Expect(err.Error()).To(MatchRegexp(sentence.String()))
	g.Expect(utf8.RuneCountInString(err.Error())).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
	for _, content := range contents {
		if content = strings.TrimSpace(content); content != "" {
			g.Expect(err.Error()).NotTo(ContainSubstring(content))
		}
	}
}

func allParts() []string {
	var parts []string
	for _, part := range goodParts {
		parts = append(parts, part)
	}
	return parts
}

func TestCredentialsOfEachType(t *testing.T) {
	for kind, parts := range partsOfType {
		for _, optional := range [][]string{nil, parts.optional} {
			t.Run(fmt.Sprintf("%s with %v", kind, optional), func(t *testing.T) {
				g := NewWithT(t)
				credential, err := made(credentialsOf(kind), secretOf(slices.Concat(optional, parts.required)...))
				g.Expect(err).NotTo(HaveOccurred())
				_, fetched := credential.(auth.Renewing)
				g.Expect(credential.Renews()).To(Equal(kind == v1alpha1.CredentialsPassword))
				g.Expect(fetched).To(Equal(credential.Renews()), "what renews itself is a Renewing, and nothing else is")
				end := time.Time{}
				if len(optional) > 0 {
					end = time.Date(2026, 1, 4, 9, 5, 22, 0, time.UTC)
				}
				g.Expect(credential.Expiry()).To(BeTemporally("==", end))
				for verb, text := range map[string]string{"%v": fmt.Sprintf("%v", credential), "%+v": fmt.Sprintf("%+v", credential), "%#v": fmt.Sprintf("%#v", credential)} {
					for _, part := range parts.required {
						g.Expect(text).NotTo(ContainSubstring(goodParts[part]), verb)
					}
				}
			})
		}
	}
}

// What is secret of each type is named, so that it can be hidden.
func TestCredentialsNameTheirSecrets(t *testing.T) {
	for kind, secrets := range map[v1alpha1.CredentialsType][]string{
		v1alpha1.CredentialsToken:     {"token"},
		v1alpha1.CredentialsAccessKey: {"accessKey", "secretKey", "securityToken"},
		v1alpha1.CredentialsPassword:  {"password"},
	} {
		g := NewWithT(t)
		credential, err := made(credentialsOf(kind), secretOf(slices.Concat(partsOfType[kind].optional, partsOfType[kind].required)...))
		g.Expect(err).NotTo(HaveOccurred())
		for _, name := range secrets {
			g.Expect(credential.Secrets()).To(ContainElement(goodParts[name]), "%s of %s", name, kind)
		}
	}
}

func TestMissingKeys(t *testing.T) {
	for kind, parts := range partsOfType {
		for _, missing := range parts.required {
			t.Run(string(kind)+" without "+missing, func(t *testing.T) {
				secret := secretOf(slices.Concat(parts.optional, parts.required)...)
				delete(secret.Data, missing)
				_, err := Read(credentialsOf(kind), secret)
				wantSentence(t, err, allParts()...)
				NewWithT(t).Expect(err).To(MatchError(And(HavePrefix(`The Secret cbr has no key "`+missing+`". Put `), HaveSuffix(" there, or name the right key in secretRef.keys."))))
			})
		}
		t.Run(string(kind)+" of an empty Secret", func(t *testing.T) {
			_, err := Read(credentialsOf(kind), &corev1.Secret{})
			wantSentence(t, err)
		})
	}
}

// Whatever wrote the Secret may have named its keys as it likes.
func TestRenamedKeys(t *testing.T) {
	keys := v1alpha1.SecretKeys{Token: "x.Token", ExpiresAt: "x.ExpiresAt", AccessKey: "x.AccessKey", SecretKey: "x.SecretKey",
		SecurityToken: "x.SecurityToken", Username: "x.Username", Password: "x.Password", DomainName: "x.DomainName"}
	for kind, parts := range partsOfType {
		t.Run(string(kind), func(t *testing.T) {
			g := NewWithT(t)
			all := slices.Concat(parts.optional, parts.required)
			renamed := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cbr"}, Data: map[string][]byte{}}
			for _, name := range all {
				renamed.Data["x."+strings.ToUpper(name[:1])+name[1:]] = []byte(goodParts[name])
			}
			plain, err := Read(credentialsOf(kind), secretOf(all...))
			g.Expect(err).NotTo(HaveOccurred())
			other, err := Read(credentialsOf(kind, keys), renamed)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(other.Bytes()).To(Equal(plain.Bytes()), "the same content")
			_, err = NewCredential(kind, other, surroundings)
			g.Expect(err).NotTo(HaveOccurred())

			_, err = Read(credentialsOf(kind, keys), secretOf(all...))
			wantSentence(t, err, allParts()...)
			g.Expect(err).To(MatchError(ContainSubstring(`has no key "x.`)), "the key that was asked for, not the default")
			for _, name := range parts.required {
				g.Expect(Wanted(credentialsOf(kind, keys))).To(ContainSubstring(`"x.` + strings.ToUpper(name[:1]) + name[1:] + `"`))
				g.Expect(Wanted(credentialsOf(kind))).To(ContainSubstring(`"` + name + `"`))
			}
			for _, name := range parts.optional {
				g.Expect(Wanted(credentialsOf(kind))).NotTo(ContainSubstring(`"`+name+`"`), "need not be there")
			}
		})
	}
}

// One key may be renamed, and the others keep their names.
func TestOneRenamedKey(t *testing.T) {
	g := NewWithT(t)
	secret := secretOf("password", "domainName")
	secret.Data["user"] = []byte("importer")
	_, err := made(credentialsOf(v1alpha1.CredentialsPassword, v1alpha1.SecretKeys{Username: "user"}), secret)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestSecretsOfAnyTypeCanBeUsed(t *testing.T) {
	g := NewWithT(t)
	yes := true
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cbr"}, Type: corev1.SecretTypeBasicAuth, Immutable: &yes,
		Data: map[string][]byte{"username": []byte("importer"), "password": []byte("p4ssw0rd"), "domainName": []byte("erp")}}
	_, err := made(credentialsOf(v1alpha1.CredentialsPassword), secret)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestExpiresAt(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-04T09:05:22Z":        "2026-01-04T09:05:22Z",
		"2026-01-04T09:05:22.523000Z": "2026-01-04T09:05:22.523Z",
		"2026-01-04T17:05:22+08:00":   "2026-01-04T09:05:22Z",
		" 2026-01-04T09:05:22Z\r\n":   "2026-01-04T09:05:22Z",
		"":                            "0001-01-01T00:00:00Z",
		" \n":                         "0001-01-01T00:00:00Z",
	} {
		for kind := range partsOfType {
			if kind == v1alpha1.CredentialsPassword { // has no such key
				continue
			}
			g := NewWithT(t)
			secret := secretOf(partsOfType[kind].required...)
			secret.Data["expiresAt"] = []byte(text)
			credential, err := made(credentialsOf(kind), secret)
			g.Expect(err).NotTo(HaveOccurred(), "%q", text)
			g.Expect(credential.Expiry().UTC().Format(time.RFC3339Nano)).To(Equal(want), "%q of %s", text, kind)
		}
	}
}

func TestExpiresAtThatIsNoTime(t *testing.T) {
	for _, text := range []string{"9999-12-31T23:59:59-12:00", "0000-01-01T00:00:00+12:00", "tomorrow", "2027-01-04", "2027-01-04 09:05:22", "2027-01-04T09:05:22", "1767517522", "24h", `"2026-01-04T09:05:22Z"`,
		"\xff\xfe2\x00", "2026-13-04T09:05:22Z", strings.Repeat("9", 1<<16), goodParts["token"]} {
		for _, kind := range []v1alpha1.CredentialsType{v1alpha1.CredentialsToken, v1alpha1.CredentialsAccessKey} {
			secret := secretOf(partsOfType[kind].required...)
			secret.Data["end"] = []byte(text)
			_, err := made(credentialsOf(kind, v1alpha1.SecretKeys{ExpiresAt: "end"}), secret)
			wantSentence(t, err, text)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(`The key "end" of Secret cbr must hold a time such as`)))
		}
	}
}

// mistakes are contents of each key that are not what should stand there.
func mistakes() map[string]string {
	return map[string]string{
		"nothing": "", "white space": " \n", "a byte order mark": "\ufeffsecret-text", "UTF-16": "s\x00e\x00c\x00r\x00e\x00t\x00",
		"a line break inside": "secret\nsecond-line", "a NUL": "secret\x00text", "too much": strings.Repeat("s3cret", 20_000),
	}
}

func TestContentsThatCannotBeUsed(t *testing.T) {
	for kind, parts := range partsOfType {
		for _, name := range parts.required {
			for what, text := range mistakes() {
				t.Run(fmt.Sprintf("%s with %s for %s", kind, what, name), func(t *testing.T) {
					secret := secretOf(parts.required...)
					secret.Data[name] = []byte(text)
					_, err := made(credentialsOf(kind), secret)
					wantSentence(t, err, append(allParts(), text, "second-line", "s3cret")...)
					NewWithT(t).Expect(err).To(MatchError(ContainSubstring("cbr")), "it names the Secret")
				})
			}
		}
	}
}

// The name of a Secret may be as long as Kubernetes allows, which leaves less room than there is: the content is not shown even so.
func TestMessagesWithALongName(t *testing.T) {
	secret := secretOf()
	secret.Name = strings.Repeat("n", 63)
	for kind := range partsOfType {
		_, err := Read(credentialsOf(kind), secret)
		wantSentence(t, err)
	}
	secret = secretOf("token")
	secret.Name, secret.Data["token"] = strings.Repeat("n", 63), []byte(`{"token": {"expires_at": "2026-01-04T09:05:22.523000Z"}}`)
	_, err := made(credentialsOf(v1alpha1.CredentialsToken), secret)
	wantSentence(t, err, "expires_at")
}

// A type that this version does not know is no other one: a later version has put it there.
func TestAnUnknownType(t *testing.T) {
	g := NewWithT(t)
	for _, kind := range []v1alpha1.CredentialsType{"", "token", "OIDC"} {
		g.Expect(Known(kind)).To(BeFalse(), string(kind))
		g.Expect(NeedsSecret(kind)).To(BeFalse(), string(kind))
		contents, err := Read(credentialsOf(kind), secretOf("token"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(contents.Bytes()).To(BeEmpty(), "nothing of the Secret is taken")
		_, err = NewCredential(kind, contents, surroundings)
		wantSentence(t, err, allParts()...)
	}
	for kind := range partsOfType {
		g.Expect(Known(kind) && NeedsSecret(kind)).To(BeTrue(), string(kind))
	}
	g.Expect(Known(v1alpha1.CredentialsPodIdentity)).To(BeTrue())
	g.Expect(NeedsSecret(v1alpha1.CredentialsPodIdentity)).To(BeFalse())
}

func TestBytesTellContentsApart(t *testing.T) {
	for kind, parts := range partsOfType {
		t.Run(string(kind), func(t *testing.T) {
			g := NewWithT(t)
			all := slices.Concat(parts.optional, parts.required)
			bytesOf := func(change func(*corev1.Secret)) string {
				secret := secretOf(all...)
				change(secret)
				contents, err := Read(credentialsOf(kind), secret)
				g.Expect(err).NotTo(HaveOccurred())
				return string(contents.Bytes())
			}
			seen := map[string]string{bytesOf(func(*corev1.Secret) {}): "as it was"}
			add := func(what string, change func(*corev1.Secret)) {
				got := bytesOf(change)
				g.Expect(seen[got]).To(BeEmpty(), "%s is the same as %s", what, seen[got])
				seen[got] = what
			}
			for _, name := range all {
				add("another "+name, func(s *corev1.Secret) { s.Data[name] = []byte("other") })
				add("an empty "+name, func(s *corev1.Secret) { s.Data[name] = nil })
				add("a longer "+name, func(s *corev1.Secret) { s.Data[name] = append(s.Data[name], ' ') })
			}
			if len(all) > 1 { // what stands under one key is not taken for what stands under the next
				add("a part under another key", func(s *corev1.Secret) {
					s.Data[all[0]], s.Data[all[1]] = s.Data[all[1]], s.Data[all[0]]
				})
			}
			same := func(what string, change func(*corev1.Secret)) {
				g.Expect(seen[bytesOf(change)]).To(Equal("as it was"), what)
			}
			same("another key", func(s *corev1.Secret) { s.Data["note"] = []byte("rotated by hand") })
			same("keys of other types", func(s *corev1.Secret) {
				for name, part := range goodParts {
					if _, used := s.Data[name]; !used {
						s.Data[name] = []byte(part)
					}
				}
			})
			same("metadata", func(s *corev1.Secret) {
				s.Labels, s.ResourceVersion, s.UID = map[string]string{"team": "erp"}, "7", "another"
			})
		})
	}
}

// Where one part ends and the next begins is part of the content.
func TestBytesAreNotAmbiguous(t *testing.T) {
	g := NewWithT(t)
	bytesOf := func(access, secret string) []byte {
		contents, err := Read(credentialsOf(v1alpha1.CredentialsAccessKey), &corev1.Secret{Data: map[string][]byte{
			"accessKey": []byte(access), "secretKey": []byte(secret)}})
		g.Expect(err).NotTo(HaveOccurred())
		return contents.Bytes()
	}
	g.Expect(bytesOf("ab", "c")).NotTo(Equal(bytesOf("a", "bc")))
	g.Expect(bytesOf("a1:b", "")).NotTo(Equal(bytesOf("a", "b")))
}

func TestWrittenAt(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 1, 4, hour, 0, 0, 0, time.UTC) }
	managed := func(hours ...int) []metav1.ManagedFieldsEntry {
		entries := []metav1.ManagedFieldsEntry{{Manager: "without a time"}}
		for _, hour := range hours {
			entries = append(entries, metav1.ManagedFieldsEntry{Time: &metav1.Time{Time: at(hour)}})
		}
		return entries
	}
	for what, c := range map[string]struct {
		created int
		managed []metav1.ManagedFieldsEntry
		want    int
	}{
		"created":                         {3, managed(), 3},
		"created, and not written since":  {3, managed(3), 3},
		"written since":                   {3, managed(5), 5},
		"written by several":              {3, managed(4, 9, 7), 9},
		"restored with times from before": {3, managed(1, 2), 3},
	} {
		secret := secretOf("token")
		secret.CreationTimestamp, secret.ManagedFields = metav1.NewTime(at(c.created)), c.managed
		contents, err := Read(credentialsOf(v1alpha1.CredentialsToken), secret)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(contents.WrittenAt).To(BeTemporally("==", at(c.want)), what)
	}
}

func TestPodIdentityWithoutItsVariables(t *testing.T) {
	g := NewWithT(t)
	makeOne := func() error {
		contents, err := Read(credentialsOf(v1alpha1.CredentialsPodIdentity), &corev1.Secret{})
		g.Expect(err).NotTo(HaveOccurred())
		_, err = NewCredential(v1alpha1.CredentialsPodIdentity, contents, surroundings)
		return err
	}
	for _, c := range []struct{ url, file, says string }{
		{"", "", auth.PodIdentityURLVariable},
		{"", "/var/run/token", auth.PodIdentityURLVariable},
		{"http://127.0.0.1:1", "", auth.PodIdentityTokenFileVariable},
		{"http://agent.example.com", "/var/run/token", "must be an https:// URL"},
	} {
		t.Setenv(auth.PodIdentityURLVariable, c.url)
		t.Setenv(auth.PodIdentityTokenFileVariable, c.file)
		err := makeOne()
		wantSentence(t, err, c.url, c.file)
		g.Expect(err).To(MatchError(ContainSubstring(c.says)))
	}
	t.Setenv(auth.PodIdentityURLVariable, "http://127.0.0.1:1/v1/credentials")
	t.Setenv(auth.PodIdentityTokenFileVariable, "/var/run/token")
	g.Expect(makeOne()).NotTo(HaveOccurred())
}
