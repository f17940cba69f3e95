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

package cbrtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// What the gateway does about signatures.
const (
	// MaxSignatureAge is how far the date of a signature may be from the gateway's clock.
	MaxSignatureAge = 15 * time.Minute
	// KeyFailures is how many failures of a key in a row are borne: one more locks it for KeyLockTime.
	KeyFailures = 5
	KeyLockTime = 5 * time.Minute
)

// Key is an access key (AK/SK) whose signatures are accepted for every project.
type Key struct {
	Access string `json:"access"`
	Secret string `json:"secret"`
	// SecurityToken is what must come with the signatures of a temporary key; "" for permanent ones.
	SecurityToken string `json:"securityToken,omitempty"`
	// Expires is when it ends, by the gateway's clock; never if zero.
	Expires time.Time `json:"expires,omitzero"`
}

// keyState is what the gateway remembers of a key.
type keyState struct {
	failures    int // in a row
	lockedUntil time.Time
}

// SetKeys replaces the accepted access keys. Those that are locked stay so.
func (c *Cloud) SetKeys(keys ...Key) {
	c.Configure(func(options *Options) { options.Keys = slices.Clone(keys) })
}

// AddKeys accepts further access keys; one of the same id as another takes its place.
func (c *Cloud) AddKeys(keys ...Key) {
	c.Configure(func(options *Options) {
		for _, key := range keys {
			options.Keys = append(without(options.Keys, key.Access), key)
		}
	})
}

// RevokeKeys makes access keys, by their ids, unknown.
func (c *Cloud) RevokeKeys(ids ...string) {
	c.Configure(func(options *Options) {
		for _, id := range ids {
			options.Keys = without(options.Keys, id)
		}
	})
}

// ExpireKeys ends access keys, by their ids; all if none is named.
func (c *Cloud) ExpireKeys(ids ...string) {
	c.Configure(func(options *Options) {
		for i, key := range options.Keys {
			if len(ids) == 0 || slices.Contains(ids, key.Access) {
				options.Keys[i].Expires = options.gatewayTime()
			}
		}
	})
}

func without(keys []Key, id string) []Key {
	return slices.DeleteFunc(slices.Clone(keys), func(key Key) bool { return key.Access == id })
}

// gatewayTime is what the gateway's clock shows.
func (o Options) gatewayTime() time.Time { return o.Clock.Now().Add(o.ClockOffset) }

// isSigned reports whether a request is signed, and not sent with a token.
func isSigned(request *http.Request) bool {
	return strings.HasPrefix(request.Header.Get("Authorization"), signatureAlgorithm)
}

// checkSignature returns the error of a signed request, nil for one that is in order; the mutex is held.
func (c *Cloud) checkSignature(x *exchange) *APIError {
	given, wrong := readSignature(x.request)
	if wrong != "" {
		return unauthorized("APIGW.0301", wrong)
	}
	now := x.options.gatewayTime()
	if given.date.Sub(now).Abs() > MaxSignatureAge {
		return unauthorized("APIGW.0303", "signature expired, signature time: "+given.date.Format(time.RFC3339)+", server time: "+now.UTC().Format(time.RFC3339))
	}
	key, known := x.options.key(given.access)
	if !known {
		return unauthorized("APIGW.0301", "the access key "+given.access+" does not exist")
	}
	state := c.keyState(given.access)
	if now.Before(state.lockedUntil) {
		return unauthorized("APIGW.0301", "the access key "+given.access+" is locked")
	}
	if refused := key.check(given, x, now); refused != nil {
		if state.failures++; state.failures > KeyFailures {
			*state = keyState{lockedUntil: now.Add(KeyLockTime)}
		}
		return refused
	}
	state.failures = 0
	return nil
}

// key returns the accepted access key of an id.
func (o Options) key(id string) (key Key, known bool) {
	if at := slices.IndexFunc(o.Keys, func(key Key) bool { return key.Access == id }); at >= 0 {
		return o.Keys[at], true
	}
	if o.IAM == nil {
		return Key{}, false
	}
	return o.IAM.Key(id)
}

func (c *Cloud) keyState(id string) *keyState {
	state := c.keys[id]
	if state == nil {
		state = &keyState{}
		c.keys[id] = state
	}
	return state
}

// check compares a signature with the one that a request should have. The errors repeat more than is good for their readers.
func (k Key) check(given signature, x *exchange, now time.Time) *APIError {
	session := x.request.Header.Get("X-Security-Token")
	switch {
	case given.value != signatureOf(x.request, x.body, given, k.Secret):
		return unauthorized("APIGW.0301", "verify aksk signature fail, ak: "+k.Access+", token: "+session)
	case session != k.SecurityToken:
		return unauthorized("APIGW.0301", "the security token "+session+" does not belong to the access key "+k.Access)
	case k.Expires.IsZero() || now.Before(k.Expires):
		return nil
	case k.SecurityToken != "":
		return unauthorized("APIGW.0307", "the security token "+session+" must be updated")
	default:
		return unauthorized("APIGW.0301", "the access key "+k.Access+" has expired")
	}
}

func unauthorized(code, why string) *APIError {
	return &APIError{Status: http.StatusUnauthorized, Code: code, Message: "Incorrect IAM authentication information: " + why}
}
