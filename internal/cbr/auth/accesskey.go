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

package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"backupsync.dev/operator/internal/cbr"
)

// AccessKeyConfig says what an AccessKey signs with. The keys are the contents of a Secret's keys: white space around them is trimmed.
type AccessKeyConfig struct {
	// Access is the access key ID, Secret the secret access key.
	Access []byte `json:"-"`
	Secret []byte `json:"-"`
	// SecurityToken belongs to temporary keys; empty for others.
	SecurityToken []byte `json:"-"`
	// ProjectID is the project that the requests are for; sent and signed unless it is empty.
	ProjectID string
	// Expires is when temporary keys end, the zero time if that is not known.
	Expires time.Time
	// Clock is the real one if nil.
	Clock clock.PassiveClock
	// Attempts are those of all who may use the same key, which is not used for a while then after it was refused. Without any,
	// nothing is counted: of a key that is renewed when it is refused.
	Attempts *Attempts
	// Endpoint is where the requests go; it matters to Attempts alone, as another may take a key that this one refuses.
	Endpoint string
	// Before is what other processes have seen of the same, Again says that a person wants another try.
	Before History
	Again  bool
}

// Format keeps the keys out of logs and messages.
func (AccessKeyConfig) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "[access key config]") // into a buffer of fmt
}

// AccessKey signs requests with an access key (AK/SK): SDK-HMAC-SHA256. The secret key is never sent. It is safe for concurrent use.
type AccessKey struct {
	access, secret, session sealed
	projectID               string
	expires                 time.Time
	clock                   clock.PassiveClock
	user                    *user // nil if nothing is counted
}

// lockTime is how long the cloud locks a key after more than five failures in a row, and how long nothing is signed with one that was
// refused: it would not become usable again if calls went on.
const lockTime = 5 * time.Minute

var (
	errNoKey     = errors.New("there is no access key to sign with")
	errProjectID = errors.New("the project id contains white space or characters that cannot be in an HTTP header")
	// ErrKeyRests is why nothing is signed for some minutes, whether or not the secret key is right: others beside it were wrong.
	ErrKeyRests = errors.New("requests with this access key were refused several times in 5 minutes, and more could lock it")
	// ErrKeyBusy is why a request was not sent that waited for its turn: it tells nothing of the endpoint.
	ErrKeyBusy = errors.New("other requests with the same access key are under way all the time, and only a few may be at once")
	// ErrKeyLocked is why nothing is signed with what was refused.
	ErrKeyLocked = errors.New("the access key was refused, and is not used for some minutes: the cloud locks a key after several failures")
)

// NewAccessKey makes an AccessKey. It returns an error that says what is wrong with the keys, and repeats nothing of them.
func NewAccessKey(config AccessKeyConfig) (*AccessKey, error) {
	key := &AccessKey{projectID: config.ProjectID, expires: config.Expires, clock: config.Clock}
	if key.clock == nil {
		key.clock = clock.RealClock{}
	}
	if !printable([]byte(config.ProjectID)) {
		return nil, errProjectID
	}
	var err error
	if key.access, err = readKey(accessKeyID, config.Access); err != nil {
		return nil, err
	}
	if key.secret, err = readKey(secretAccessKey, config.Secret); err != nil {
		return nil, err
	}
	if len(config.SecurityToken) > 0 {
		if key.session, err = readKey(securityToken, config.SecurityToken); err != nil {
			return nil, err
		}
	}
	if err := confused(key.access.open(), key.secret.open()); err != nil {
		return nil, err
	}
	if config.Attempts != nil {
		key.user = config.Attempts.key(key.access.open(), key.secret.open(), key.session.open(), config.Endpoint, config.ProjectID)
		key.user.prepare(config.Before, config.Again)
	}
	return key, nil
}

// Authorize signs the request, of whose end Ended must be told. After a refusal it returns a *cbr.Error of class Credentials for some
// minutes. It waits while so many requests with the key are under way that their refusal could lock it.
func (k *AccessKey) Authorize(ctx context.Context, request *http.Request, body []byte) error {
	if k == nil || k.secret.open() == "" {
		return errNoKey
	}
	if err := k.begin(ctx); err != nil {
		return err
	}
	if err := k.sign(request, body); err != nil {
		k.end(neither, nil)
		return err
	}
	return nil
}

// begin waits for the turn of a request.
func (k *AccessKey) begin(ctx context.Context) error {
	if k.user == nil {
		return nil
	}
	why, err := k.user.begin(ctx)
	switch {
	case err != nil:
		return &cbr.Error{Class: cbr.Transient, Untouched: true, Err: fmt.Errorf("%w: %w", ErrKeyBusy, err)}
	case why != nil && why.Error == manyFailures:
		return &cbr.Error{Class: cbr.Transient, Untouched: true, RetryAfter: why.wait, Err: ErrKeyRests}
	case why != nil:
		return &cbr.Error{Class: cbr.Credentials, Untouched: true, RetryAfter: why.wait, Err: ErrKeyLocked}
	default:
		return nil
	}
}

func (k *AccessKey) end(how result, failure *cbr.Error) {
	if k.user != nil {
		k.user.end(how, failure)
	}
}

func (k *AccessKey) sign(request *http.Request, body []byte) error {
	request.Header.Set(sdkDateHeader, k.clock.Now().UTC().Format(signDateLayout))
	signed := []string{"host"}
	if k.projectID != "" {
		request.Header.Set(projectIDHeader, k.projectID)
		signed = append(signed, strings.ToLower(projectIDHeader))
	}
	signed = append(signed, strings.ToLower(sdkDateHeader))
	if session := k.session.open(); session != "" {
		request.Header.Set(securityTokenHeader, session)
		signed = append(signed, strings.ToLower(securityTokenHeader))
	}
	authorization, err := signature(request, body, signed, k.access.open(), k.secret.open())
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", authorization)
	return nil
}

// Ended implements cbr.Judged. A clock that is off (0303) is not the key's fault.
func (k *AccessKey) Ended(failure *cbr.Error) {
	switch {
	case failure == nil: // an answer that cannot be read may be anybody's
		k.end(taken, nil)
	case failure.Class == cbr.Credentials && failure.StatusCode != 0 && !failure.BlamesClock():
		k.end(wrong, failure)
	default:
		k.end(neither, nil)
	}
}

// WasRefused reports whether the key was refused for this project, and not taken since.
func (k *AccessKey) WasRefused() bool { return k.user != nil && k.user.wasRefused() }

// WasTaken reports whether the key was taken for this project, and not refused since.
func (k *AccessKey) WasTaken() bool { return k.user != nil && k.user.wasTaken() }

// Failures is when requests with the key were refused of late: too many lock it.
func (k *AccessKey) Failures() []time.Time {
	if k.user == nil {
		return nil
	}
	return k.user.failures()
}

// Retry has a key that was refused tried once more, as soon as that does not lock it.
func (k *AccessKey) Retry() {
	if k.user != nil {
		k.user.prepare(History{}, true)
	}
}

// Secrets returns the keys, the access key ID among them: whoever knows it can have the key locked.
func (k *AccessKey) Secrets() []string {
	if k == nil {
		return nil
	}
	secrets := []string{k.secret.open(), k.access.open()}
	if session := k.session.open(); session != "" {
		secrets = append(secrets, session)
	}
	return secrets
}

// Expiry returns when a temporary key ends, the zero time if that is not known.
func (k *AccessKey) Expiry() time.Time { return k.expires }

// Renews reports that an access key does not renew itself.
func (*AccessKey) Renews() bool { return false }

// Format keeps the keys out of logs and messages, whatever the verb.
func (*AccessKey) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "[access key]") // into a buffer of fmt
}

// String keeps the keys out of logs and messages.
func (*AccessKey) String() string { return "[access key]" }

// GoString keeps the keys out of logs and messages.
func (k *AccessKey) GoString() string { return k.String() }

// MarshalJSON keeps the keys out of logs and messages.
func (*AccessKey) MarshalJSON() ([]byte, error) { return []byte(`"[access key]"`), nil }
