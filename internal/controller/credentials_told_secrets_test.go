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
	"net/http"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What a hostile endpoint says never shows a secret, nor a piece of one.

const hostileToken = "tok3n-0f-a-project-that-n0body-may-see-MIIabcdefghijkl"

// pieceIn returns a piece of a secret, eight characters at least, that a text holds.
func pieceIn(text, secret string) string {
	for at := 0; at+8 <= len(secret); at++ {
		if piece := secret[at : at+8]; strings.Contains(text, piece) {
			return piece
		}
	}
	return ""
}

func (c *tenant) wantNoPieceOf(secret string) {
	c.t.Helper()
	for message := range c.told {
		if piece := pieceIn(message, secret); piece != "" {
			c.t.Errorf("%q shows %q", message, piece)
			return
		}
	}
}

// interleaved is a text with something after every five characters.
func interleaved(text, with string) string {
	var mixed strings.Builder
	for at, character := range text {
		if mixed.WriteRune(character); at%5 == 4 {
			mixed.WriteString(with)
		}
	}
	return mixed.String()
}

// Characters that are taken out of messages do not hide a secret from the redactor.
func TestASecretWithInvisibleCharactersInItIsNotTold(t *testing.T) {
	for name, with := range map[string]string{"zero width space": "\u200b", "soft hyphen": "\u00ad", "null": "\x00", "delete": "\x7f", "replacement": "\ufffd"} {
		t.Run(name, func(t *testing.T) {
			withCredentials(t, v1alpha1.CredentialsToken, map[string]string{v1alpha1.TokenKey: hostileToken}, 1, func(c *tenant) {
				c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: 401, Code: "APIGW.0301", Message: "bad token " + interleaved(hostileToken, with)}})
				c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
				c.wantNoPieceOf(hostileToken)
			})
		})
	}
}

// An endpoint repeats a token that was replaced, and is still valid.
func TestASecretThatWasReplacedIsNotTold(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsToken, map[string]string{v1alpha1.TokenKey: hostileToken}, 1, func(c *tenant) {
		c.cloud.SetTokens(hostileToken, cbrtest.Token)
		c.imports(time.Minute)
		c.replaceSecret(v1alpha1.CredentialsToken, nil)
		c.declare("next", "next", "vm-1")
		c.imports(time.Minute)
		c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: 401, Code: "APIGW.0301", Message: "before it was " + hostileToken}})
		c.declare("late", "late", "vm-1")
		c.becomes(time.Minute, v1alpha1.ReasonCredentialsRejected)
		c.wantNoPieceOf(hostileToken)
	})
}

// Tokens of IAM live for 24 hours, and are renewed before: several are valid at the same time.
func TestATokenThatWasRenewedTwiceIsNotTold(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.imports(time.Minute)
		first := c.iam.Requests()
		c.goOn(48 * time.Hour)
		c.want("requests to IAM", c.asked()-len(first), 2, 5)
		var token string
		for _, secret := range c.iam.Secrets() {
			if len(secret) > 1000 {
				token = secret
				break
			}
		}
		c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: http.StatusForbidden, Code: "APIGW.0302", Message: "before it was " + token[len(token)/2:][:60]}})
		c.declare("late", "late", "vm-1")
		c.becomes(time.Minute, v1alpha1.ReasonPermissionDenied)
		c.wantNoPieceOf(token)
	})
}

// The names of the user and the account stand in the Secret, and are hidden where IAM repeats them: so they are where CBR does.
func TestTheNamesOfAPasswordAreNotToldByCBR(t *testing.T) {
	withCredentials(t, v1alpha1.CredentialsPassword, nil, 1, func(c *tenant) {
		c.refuseAll(cbrtest.Refusal{APIError: cbrtest.APIError{Status: http.StatusForbidden, Code: "APIGW.0302",
			Message: "user " + cbrtest.Username + " of " + cbrtest.DomainName + " may not do that"}})
		c.becomes(time.Minute, v1alpha1.ReasonPermissionDenied)
		c.wantNoPieceOf(cbrtest.Username)
		c.wantNoPieceOf(cbrtest.DomainName)
	})
}
