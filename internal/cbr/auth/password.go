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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/utils/clock"

	"backupsync.dev/operator/internal/cbr"
)

// OperationCreateToken is the request to IAM for a token, KeystoneCreateUserTokenByPassword in the vendor's reference.
const OperationCreateToken cbr.Operation = "CreateToken"

// subjectTokenHeader carries the token in IAM's answer.
const subjectTokenHeader = "X-Subject-Token"

// PasswordConfig says with what Password gets its tokens, and from where. Names and password are the contents of a Secret's
// keys: line ends at their end are trimmed.
type PasswordConfig struct {
	// IAMEndpoint is the URL of IAM, "https://iam.cn-north-4.myhuaweicloud.com".
	IAMEndpoint string
	// ProjectID is the project that the tokens are for.
	ProjectID string
	// DomainName is the name of the account, Username that of the IAM user in it.
	DomainName, Username []byte
	Password             []byte `json:"-"`
	// Transport carries the requests: see cbr.Transports. It must not follow redirects or repeat requests.
	Transport http.RoundTripper
	// Timeout bounds each request; 30 s if 0.
	Timeout time.Duration
	// UserAgent names the program to IAM.
	UserAgent string
	// Clock is the real one if nil.
	Clock clock.PassiveClock
	// Changed, if set, is called when a fetch has ended, from the goroutine of the fetch. No lock is held.
	Changed func()
	// Hidden, if set, returns texts that must not be seen besides the password and the tokens. It must not block.
	Hidden func() []string
	// Attempts are those of all who may use the same password, with those that it was refused: a new one if nil.
	Attempts *Attempts
	// Before is what other processes have seen of the same, Again says that a person wants another try.
	Before History
	Again  bool
}

var errNoTransport = errors.New("there is no transport to ask IAM with")

// Format keeps the password out of logs and messages.
func (PasswordConfig) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "[password config]")
}

// Password authorizes requests with IAM tokens that it gets for the name and password of a user. It never sends a password again
// that IAM has refused: that locks the account. It is safe for concurrent use.
type Password struct {
	*renewer // and nothing else but pointers: formatting does not follow it
	source   *tokenSource
}

// NewPassword makes a Password. It returns an error that says what is wrong with the configuration, and repeats nothing of it.
func NewPassword(config PasswordConfig) (*Password, error) {
	endpoint, err := parseURL(strings.TrimSuffix(config.IAMEndpoint, "/"))
	if err != nil {
		return nil, fmt.Errorf("the IAM endpoint: %w", err)
	}
	if endpoint.Path != "" || endpoint.RawQuery != "" {
		return nil, fmt.Errorf("the IAM endpoint: %w alone", errServiceURL)
	}
	login, err := config.login()
	if err != nil {
		return nil, err
	}
	endpoint.Path, endpoint.RawQuery = "/v3/auth/tokens", "nocatalog=true"
	if config.Transport == nil {
		return nil, errNoTransport
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	if config.Attempts == nil {
		config.Attempts = NewAttempts(config.Clock)
	}
	source := &tokenSource{login: login, clock: config.Clock, hidden: config.Hidden, user: config.Attempts.login(endpoint.Host, login),
		service: newService(OperationCreateToken, endpoint.String(), config.UserAgent, config.Timeout, config.Transport)}
	source.user.prepare(config.Before, config.Again)
	return &Password{source: source, renewer: newRenewer(renewal{operation: OperationCreateToken, fetch: source.fetchInTurn,
		static: login.secrets, clock: config.Clock, changed: config.Changed})}, nil
}

// Names returns the names of the user and of the account, which IAM and CBR may repeat.
func (p *Password) Names() []string { return p.source.login.names() }

// WasRefused reports whether IAM has refused the password for this project, and not taken it since.
func (p *Password) WasRefused() bool { return p.source.user.wasRefused() }

// WasTaken reports whether IAM has taken the password for this project, and not refused it since.
func (p *Password) WasTaken() bool { return p.source.user.wasTaken() }

// Failures is when requests to IAM for the user have failed of late: too many lock the account.
func (p *Password) Failures() []time.Time { return p.source.user.failures() }

// InheritFrom takes over the token of one that was made of the same name and password for the same project, as long as it is valid.
func (p *Password) InheritFrom(other *Password) { p.inheritFrom(other.renewer) }

// Retry has a password that IAM has refused sent once more. What is there stays in use.
func (p *Password) Retry() {
	p.source.user.prepare(History{}, true)
	p.renewer.Retry()
}

// Format keeps the password and the token out of logs and messages, whatever the verb.
func (*Password) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "[password]") // into a buffer of fmt
}

// String keeps the password and the token out of logs and messages.
func (*Password) String() string { return "[password]" }

// GoString keeps the password and the token out of logs and messages.
func (p *Password) GoString() string { return p.String() }

// login is who asks for tokens, for what.
type login struct{ domain, user, password, project string }

func (c PasswordConfig) login() (*login, error) {
	var l login
	var err error
	for _, each := range []struct {
		name    string
		content []byte
		value   *string
	}{
		{"domain name", c.DomainName, &l.domain}, {"user name", c.Username, &l.user}, {"password", c.Password, &l.password},
		{"project id", []byte(c.ProjectID), &l.project},
	} {
		if *each.value, err = plainText(each.content); err != nil {
			return nil, fmt.Errorf("the %s %w", each.name, err)
		}
	}
	return &l, nil
}

// maxNameLength bounds names and passwords, in bytes. IAM's are shorter than 128 characters.
const maxNameLength = 4 << 10

// Why a text is no name or password, in words that follow "the password".
var (
	ErrEmptyText   = errors.New("is empty")
	ErrLongText    = fmt.Errorf("is longer than %d KiB", maxNameLength>>10)
	ErrTextUTF16   = errors.New("is text in UTF-16; save it as UTF-8")
	ErrTextBOM     = errors.New("begins with a byte order mark; save it as UTF-8 without one")
	ErrTextNotUTF8 = errors.New("is not text in UTF-8")
	ErrTextControl = errors.New("contains a control character, such as a line end within it")
)

// plainText returns the content of a Secret's key without line ends at its end, as a trailing newline is common there. Other
// white space may belong to a password.
func plainText(content []byte) (string, error) {
	text := strings.TrimRight(string(content), "\r\n")
	switch {
	case strings.TrimSpace(text) == "":
		return "", ErrEmptyText
	case len(text) > maxNameLength:
		return "", ErrLongText
	case isUTF16(content):
		return "", ErrTextUTF16
	case strings.HasPrefix(text, "\ufeff"):
		return "", ErrTextBOM
	case !utf8.ValidString(text):
		return "", ErrTextNotUTF8
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", ErrTextControl
	}
	return text, nil
}

func (l *login) secrets() []string { return []string{l.password} }

func (l *login) names() []string { return []string{l.user, l.domain} }

// body is the request for a token.
func (l *login) body() []byte {
	type named struct {
		Name string `json:"name"`
	}
	var request struct {
		Auth struct {
			Identity struct {
				Methods  []string `json:"methods"`
				Password struct {
					User struct {
						named
						Password string `json:"password"`
						Domain   named  `json:"domain"`
					} `json:"user"`
				} `json:"password"`
			} `json:"identity"`
			Scope struct {
				Project struct {
					ID string `json:"id"`
				} `json:"project"`
			} `json:"scope"`
		} `json:"auth"`
	}
	request.Auth.Identity.Methods = []string{"password"}
	user := &request.Auth.Identity.Password.User
	user.Name, user.Password, user.Domain.Name = l.user, l.password, l.domain
	request.Auth.Scope.Project.ID = l.project
	encoded, err := json.Marshal(request)
	if err != nil {
		panic(err) // texts
	}
	return encoded
}

// tokenSource is IAM.
type tokenSource struct {
	*service
	login  *login
	user   *user
	hidden func() []string // nil for none
	clock  clock.PassiveClock
}

// fetchInTurn is fetch when it may be: no password is sent that was refused, and few at a time.
func (s *tokenSource) fetchInTurn(ctx context.Context) (fetched, *setback) {
	why, err := s.user.begin(ctx)
	switch {
	case err != nil:
		return fetched{}, &setback{pace: transientPace, Error: &cbr.Error{Operation: OperationCreateToken, Class: cbr.Transient, Untouched: true, Err: err}}
	case why != nil:
		return fetched{}, why.setback()
	}
	got, failed := s.fetch(ctx)
	if failed == nil {
		s.user.end(taken, nil)
	} else {
		s.user.end(failed.how, failed.Error)
	}
	return got, failed
}

// setback is a fetch that is not made.
func (p *pause) setback() *setback {
	failure := *p.Error
	failure.RetryAfter = p.wait
	paused := &setback{pace: refusedPace, paused: true, Error: &failure}
	if failure.Class == cbr.Credentials && !errors.Is(failure.Err, ErrRefusedElsewhere) { // that one is tried after a rest
		paused.how = wrong
	}
	return paused
}

func (s *tokenSource) fetch(ctx context.Context) (got fetched, failed *setback) {
	began := s.clock.Now()
	x := exchange{s.service, s.secrets, s.login.names()}
	failed = x.post(ctx, s.login.body(), "", http.StatusCreated, func(x exchange, response *http.Response) (failed *setback) {
		got, failed = x.token(response, began)
		return failed
	})
	if failed != nil {
		s.login.judge(failed)
	}
	return got, failed
}

func (s *tokenSource) secrets() []string {
	secrets := s.login.secrets()
	if s.hidden != nil {
		secrets = append(secrets, s.hidden()...)
	}
	return secrets
}

// token is what IAM issued.
func (x exchange) token(response *http.Response, began time.Time) (fetched, *setback) {
	if response.Header.Get(subjectTokenHeader) == "" {
		return fetched{}, x.unusable(response, fmt.Errorf("it has no header %s", subjectTokenHeader))
	}
	life, err := lifeOf(tokenEnd(response.Body), response, began)
	if err != nil {
		failed := x.unusable(response, err)
		failed.Class = cbr.Transient
		return fetched{}, failed
	}
	got := fetched{life: life, expires: expiry(began, life)}
	token, err := NewToken([]byte(response.Header.Get(subjectTokenHeader)), got.expires)
	if err != nil {
		return fetched{}, x.unusable(response, fmt.Errorf("header %s: %w", subjectTokenHeader, err))
	}
	got.credential = token
	return got, nil
}

// tokenEnd reads token.expires_at from the body of an answer, as far as needed. It returns zero if it is not there, or cannot be
// read: the token is in the header, and good all the same.
func tokenEnd(body io.Reader) time.Time {
	decoder := jsontext.NewDecoder(io.LimitReader(body, maxAnswerBytes), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return time.Time{}
		}
		if token.Kind() == jsontext.KindString && decoder.StackDepth() == 2 && decoder.StackPointer() == "/token/expires_at" {
			if end := parseTime(token.String()); !end.IsZero() { // the member's name has the same pointer, and is no time
				return end
			}
		}
	}
}

// Why IAM gives no token, however often it is asked.
var (
	ErrPasswordRefused = errors.New("IAM refuses the user name, the domain name or the password; they are not sent again until the Secret changes, " +
		"as failed attempts lock the account")
	ErrAccountLocked = errors.New("the account is locked, usually for 15 minutes after several wrong passwords; " +
		"nothing is sent again until the Secret changes")
)

// codeLocked says that an account is locked. IAM's documentation also shows it without the code, by its message.
const codeLocked = "IAM.0061"

// loginCodes blame what was sent, whatever the status: 0011 is a body that is refused, 0062 a wrong password, 1101 and 1103 a
// name and a password that cannot be right.
var loginCodes = []string{"IAM.0001", "IAM.0002", "IAM.0011", "IAM.0062", "1101", "1103"}

// judge finds the refusals that the same name and password would meet again, and failures that may hide one.
func (l *login) judge(failed *setback) {
	status, code := failed.StatusCode, failed.Code
	switch {
	case code == codeLocked, failed.Class == cbr.Credentials && strings.Contains(strings.ToLower(failed.Message), "locked"):
		failed.Class, failed.pace, failed.how, failed.Err = cbr.Credentials, refusedPace, wrong, ErrAccountLocked
	case failed.Class == cbr.Credentials, status/100 == 4 && status != http.StatusForbidden && slices.Contains(loginCodes, code):
		failed.Class, failed.pace, failed.how, failed.Err = cbr.Credentials, refusedPace, wrong, ErrPasswordRefused
	case failed.sent && status/100 != 2 && (failed.Class == cbr.Transient || failed.Class == cbr.Foreign):
		failed.how = unclear
		if failed.pace == transientPace {
			failed.pace = lostPace
		}
	}
}
