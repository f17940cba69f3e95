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

package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

func TestRequestForATokenIsAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name, word = `größe "x" <&> \ 备份`, ` p&ss "word" \ü `
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{Username: name, Password: word, DomainName: name})
		config := passwordConfig(iam)
		config.Username, config.DomainName, config.Password = []byte(name+"\n"), []byte(name+"\r\n"), []byte(word+"\n")
		config.IAMEndpoint, config.UserAgent = "https://iam.example.com/", "backupsync/test"
		if state := fetchedState(newPassword(t, config)); !state.Ready {
			t.Fatalf("got %+v", state)
		}
		request := iam.Requests()[0]
		if request.Method != http.MethodPost || request.Path != "/v3/auth/tokens" || request.Query != "nocatalog=true" ||
			request.Header.Get("User-Agent") != "backupsync/test" || !strings.HasPrefix(request.Header.Get("Content-Type"), "application/json") {
			t.Errorf("got %s %s?%s %v", request.Method, request.Path, request.Query, request.Header)
		}
		var got, want any
		text := fmt.Sprintf(`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": %q, "password": %q, "domain": {"name": %[1]q}}}},
			"scope": {"project": {"id": %[3]q}}}}`, name, word, cbrtest.ProjectID)
		if json.Unmarshal(request.Body, &got) != nil || json.Unmarshal([]byte(text), &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %s", request.Body)
		}
	})
}

// answered is the state after one request that is answered so, and how many requests follow within a day.
func answered(t *testing.T, config func(*auth.PasswordConfig), options cbrtest.IAMOptions) (state auth.State, requests int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(options)
		settings := passwordConfig(iam)
		if config != nil {
			config(&settings)
		}
		password := newPassword(t, settings)
		state = fetchedState(password)
		follow(password, 24*time.Hour)
		requests = len(iam.Requests())
	})
	return state, requests
}

// follow asks for the state whenever that is worth it, and every hour.
func follow(credential auth.Renewing, until time.Duration) {
	for end := time.Now().Add(until); time.Now().Before(end); {
		pause := time.Hour
		if at := fetchedState(credential).RetryAt; !at.IsZero() {
			pause = min(pause, time.Until(at))
		}
		time.Sleep(pause)
	}
}

func TestWrongPasswordIsSentOnce(t *testing.T) {
	for _, shape := range []cbrtest.ErrorShape{"", cbrtest.ShapeCBR} {
		for _, spoil := range []func(*auth.PasswordConfig){
			func(config *auth.PasswordConfig) { config.Password = []byte("Passw0rt!") },
			func(config *auth.PasswordConfig) { config.Username = []byte("nobody") },
			func(config *auth.PasswordConfig) { config.DomainName = []byte("nowhere") },
		} {
			state, requests := answered(t, spoil, cbrtest.IAMOptions{ErrorShape: shape})
			err := failure(t, state.Err)
			if err.Class != cbr.Credentials || !errors.Is(err, auth.ErrPasswordRefused) || !state.RetryAt.IsZero() || state.Ready || requests != 1 {
				t.Errorf("shape %q: %d requests, then %+v", shape, requests, state)
			}
			if !strings.Contains(err.Error(), "CreateToken: HTTP 401") || !strings.Contains(err.Error(), "The username or password is wrong") {
				t.Errorf("shape %q: %v", shape, err)
			}
		}
	}
}

func TestLockedAccountIsLeftAlone(t *testing.T) {
	for _, shape := range []cbrtest.ErrorShape{"", cbrtest.ShapeCBR} {
		synctest.Test(t, func(t *testing.T) {
			iam := cbrtest.NewIAM(cbrtest.IAMOptions{ErrorShape: shape, LockAfter: 1})
			wrong := passwordConfig(iam)
			wrong.Password = []byte("Passw0rt!")
			fetchedState(newPassword(t, wrong))
			password := newPassword(t, passwordConfig(iam))
			state := fetchedState(password)
			if err := failure(t, state.Err); err.Class != cbr.Credentials || !errors.Is(err, auth.ErrAccountLocked) || !state.RetryAt.IsZero() {
				t.Errorf("shape %q: got %+v", shape, state)
			}
			if follow(password, 24*time.Hour); len(iam.Requests()) != 2 {
				t.Errorf("shape %q: %d requests", shape, len(iam.Requests()))
			}
		})
	}
}

func TestChangedPasswordAtRenewalKeepsTheOldToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
		password := newPassword(t, passwordConfig(iam))
		fetchedState(password)
		iam.SetPassword("another")
		time.Sleep(20 * time.Hour)
		state := fetchedState(password)
		if !state.Ready || !errors.Is(state.Err, auth.ErrPasswordRefused) || !state.RetryAt.IsZero() {
			t.Errorf("got %+v", state)
		}
		password.Ended(refusal()) // IAM's tokens end within half an hour when the password changes
		if state = fetchedState(password); state.Ready || !errors.Is(state.Err, auth.ErrPasswordRefused) || len(iam.Requests()) != 2 {
			t.Errorf("got %+v after %d requests", state, len(iam.Requests()))
		}
	})
}

// Refusals by CBR do not make the password be sent that IAM has refused.
func TestWrongPasswordStaysUnsentWhenCBRRefusesFreshTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{TokenLife: time.Minute})
		password := newPassword(t, passwordConfig(iam))
		fetchedState(password)
		password.Ended(refusal())
		fetchedState(password)
		iam.SetPassword("another")
		time.Sleep(50 * time.Second)
		if state := fetchedState(password); !state.Ready || len(iam.Requests()) != 3 {
			t.Fatalf("got %+v after %d requests", state, len(iam.Requests()))
		}
		password.Ended(refusal())
		follow(password, 24*time.Hour)
		if state := password.State(); !errors.Is(state.Err, auth.ErrPasswordRefused) || !state.RetryAt.IsZero() || len(iam.Requests()) != 3 {
			t.Errorf("got %+v after %d requests", state, len(iam.Requests()))
		}
	})
}

// answer is what an IAM, or something in its place, answers.
type answer struct {
	status  int
	headers http.Header
	body    string
}

func (a answer) options() cbrtest.IAMOptions {
	return cbrtest.IAMOptions{Intercept: func(writer http.ResponseWriter, _ *http.Request) bool {
		for name, values := range a.headers {
			writer.Header()[name] = values
		}
		writer.WriteHeader(a.status)
		_, _ = writer.Write([]byte(a.body))
		return true
	}}
}

const page = "<html><head><title>403 Forbidden</title></head></html>"

func TestClassesOfAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer
		class    cbr.Class
		requests int // within a day, at most
		text     string
	}{
		"wrong password":        {answer{401, nil, `{"error":{"code":401,"message":"The username or password is wrong.","title":"Unauthorized"}}`}, cbr.Credentials, 1, "wrong"},
		"401 of the gateway":    {answer{401, nil, `{"error_code":"APIGW.0301","error_msg":"no"}`}, cbr.Credentials, 1, "APIGW.0301"},
		"flat 401":              {answer{401, nil, `{"code":401,"message":"no","title":"Unauthorized"}`}, cbr.Credentials, 1, "no"},
		"401 without a word":    {answer{401, nil, `{}`}, cbr.Credentials, 1, "401"},
		"body refused":          {answer{400, nil, `{"error_code":"IAM.0011","error_msg":"Request body is invalid."}`}, cbr.Credentials, 1, "IAM.0011"},
		"name that cannot be":   {answer{400, nil, `{"error":{"code":"1101","message":"Invalid username."}}`}, cbr.Credentials, 1, "1101"},
		"IAM.0002":              {answer{400, nil, `{"error_code":"IAM.0002","error_msg":"no"}`}, cbr.Credentials, 1, "IAM.0002"},
		"locked with a 403":     {answer{403, nil, `{"error_code":"IAM.0061","error_msg":"Account locked."}`}, cbr.Credentials, 1, "locked"},
		"401 page":              {answer{401, nil, page}, cbr.Foreign, 31, "403 Forbidden"},
		"401 without a body":    {answer{401, nil, ""}, cbr.Foreign, 31, "401"},
		"other 400":             {answer{400, nil, `{"error":{"code":400,"message":"bad"}}`}, cbr.Refused, 31, "bad"},
		"throttled":             {answer{429, nil, `{"error_code":"IAM.0012","error_msg":"slow"}`}, cbr.Throttled, 400, "slow"},
		"IAM.0012 with a 403":   {answer{403, nil, `{"error_code":"IAM.0012","error_msg":"slow"}`}, cbr.Throttled, 400, "slow"},
		"forbidden":             {answer{403, nil, `{"error":{"code":403,"message":"frozen","title":"Forbidden"}}`}, cbr.Permission, 125, "frozen"},
		"forbidden IAM.0002":    {answer{403, nil, `{"error_code":"IAM.0002","error_msg":"You are not authorized."}`}, cbr.Permission, 125, "not authorized"},
		"firewall":              {answer{403, nil, page}, cbr.Foreign, 135, "403 Forbidden"},
		"no such project":       {answer{404, nil, `{"error":{"code":404,"message":"Could not find project"}}`}, cbr.Misdirected, 135, "project"},
		"no such API":           {answer{404, nil, `{"error_code":"APIGW.0101","error_msg":"none"}`}, cbr.Misdirected, 135, "APIGW.0101"},
		"404 page":              {answer{404, nil, page}, cbr.Foreign, 135, "404"},
		"redirect":              {answer{302, http.Header{"Location": {"https://elsewhere.example.com/"}}, ""}, cbr.Misdirected, 135, "302"},
		"200 of a portal":       {answer{200, nil, page}, cbr.Foreign, 135, "200"},
		"200 with a token":      {answer{200, http.Header{"X-Subject-Token": {"MIIabc"}}, "{}"}, cbr.Foreign, 135, "200"},
		"IAM fails":             {answer{500, nil, `{"error":{"code":500,"message":"oops"}}`}, cbr.Transient, 400, "oops"},
		"gateway without IAM":   {answer{502, nil, page}, cbr.Transient, 400, "502"},
		"201 without a header":  {answer{201, nil, `{"token":{}}`}, cbr.Foreign, 135, "no header X-Subject-Token"},
		"201 with an odd token": {answer{201, http.Header{"X-Subject-Token": {"MII abc"}}, `{}`}, cbr.Foreign, 135, "white space"},
		"201 with JSON for it":  {answer{201, http.Header{"X-Subject-Token": {`{"token":1}`}}, `{}`}, cbr.Foreign, 135, "JSON"},
	} {
		state, requests := answered(t, nil, c.options())
		err := failure(t, state.Err)
		if err.Class != c.class || err.Operation != auth.OperationCreateToken || !err.Untouched || state.Ready || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got class %s: %v", name, err.Class, err)
		}
		if final := c.requests == 1; requests > c.requests || (requests == 1) != final || state.RetryAt.IsZero() != final {
			t.Errorf("%s: %d requests in a day, want at most %d; the next after the first is due %s", name, requests, c.requests, state.RetryAt)
		}
	}
}

// issuing is an IAM that issues a token with some body, at a time of its own clock.
func issuing(date, body string) answer {
	headers := http.Header{"X-Subject-Token": {"MIIabcdefghijkl"}, "Date": {date}}
	if date == "" {
		headers["Date"] = nil
	}
	return answer{http.StatusCreated, headers, body}
}

func TestLifeOfATokenIsTakenFromTheClockOfIAM(t *testing.T) {
	// The test's clock begins at midnight on January 1, 2000.
	const nearby, life = "Sat, 01 Jan 2000 00:00:01 GMT", 2 * time.Hour
	end := func(text string) string { return `{"token":{"methods":["password"],"expires_at":"` + text + `"}}` }
	for name, c := range map[string]struct {
		answer
		life time.Duration // 0: not known
	}{
		"both clocks right":         {issuing(nearby, end("2000-01-01T02:00:01.000000Z")), life},
		"ours is a year behind":     {issuing("Mon, 01 Jan 2001 00:00:00 GMT", end("2001-01-01T02:00:00.000000Z")), life},
		"ours is a day ahead":       {issuing("Fri, 31 Dec 1999 00:00:00 GMT", end("1999-12-31T02:00:00.000000Z")), life},
		"without a date":            {issuing("", end("2000-01-01T02:00:00Z")), life},
		"with an odd date":          {issuing("today", end("2000-01-01T02:00:00Z")), life},
		"a proxy's date is wrong":   {issuing("Mon, 01 Jan 2001 00:00:00 GMT", end("2000-01-01T02:00:00Z")), life},
		"with another zone":         {issuing(nearby, end("2000-01-01T04:00:01+02:00")), life},
		"no date, past by ours":     {issuing("", end("1999-12-31T23:00:00Z")), 0},
		"no expires_at":             {issuing(nearby, `{"token":{}}`), 0},
		"expires_at elsewhere":      {issuing(nearby, `{"expires_at":"2000-01-01T02:00:01Z","token":{"user":{"expires_at":"2000-01-01T02:00:01Z"}}}`), 0},
		"expires_at is no time":     {issuing(nearby, end("tomorrow")), 0},
		"expires_at is null":        {issuing(nearby, `{"token":{"expires_at":null}}`), 0},
		"expires_at is a number":    {issuing(nearby, `{"token":{"expires_at":946692001}}`), 0},
		"no JSON":                   {issuing(nearby, page), 0},
		"no body":                   {issuing(nearby, ""), 0},
		"broken off behind it":      {issuing(nearby, `{"token":{"expires_at":"2000-01-01T02:00:01Z","roles":[{`), life},
		"broken off before it":      {issuing(nearby, `{"token":{"methods":["password"`), 0},
		"long":                      {issuing(nearby, `{"token":{"expires_at":"2000-01-01T02:00:01Z","roles":["`+strings.Repeat("x", 1<<20)+`"]}}`), life},
		"too long before it":        {issuing(nearby, `{"token":{"roles":["`+strings.Repeat("x", 64<<10)+`"],"expires_at":"2000-01-01T02:00:01Z"}}`), 0},
		"deep":                      {issuing(nearby, strings.Repeat(`{"token":`, 60<<10/9)), 0},
		"repeated name, before it":  {issuing(nearby, `{"token":{},"token":{"expires_at":"2000-01-01T02:00:01Z"}}`), life},
		"longer than a day":         {issuing(nearby, end("2100-01-01T00:00:00Z")), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).Sub(time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC))},
		"absurdly short":            {issuing(nearby, end("2000-01-01T00:00:02Z")), time.Second},
		"longer than can be stored": {issuing(nearby, end("9999-12-31T23:59:59Z")), 1<<63 - 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			iam := cbrtest.NewIAM(c.options())
			start := time.Now()
			password := newPassword(t, passwordConfig(iam))
			state := fetchedState(password)
			want := time.Time{}
			if c.life != 0 {
				want = start.Add(c.life)
			}
			if !state.Ready || state.Err != nil || !state.Expires.Equal(want) || mustToken(t, password) != "MIIabcdefghijkl" {
				t.Fatalf("%s: got %+v, want a life of %s", name, state, c.life)
			}
			pause := state.RetryAt.Sub(start)
			if c.life == 0 && pause != time.Hour || pause < 10*time.Second || pause > 20*time.Hour {
				t.Errorf("%s: fetched again after %s", name, pause)
			}
			if asked(password, iam, time.Second, time.Minute); len(iam.Requests()) > 7 {
				t.Errorf("%s: %d requests in a minute", name, len(iam.Requests()))
			}
		})
	}
}

func TestTokenThatHasExpiredByBothClocksIsNotUsed(t *testing.T) {
	state, requests := answered(t, nil, issuing("Sat, 01 Jan 2000 00:00:00 GMT", `{"token":{"expires_at":"2000-01-01T00:00:00Z"}}`).options())
	if err := failure(t, state.Err); state.Ready || err.Class != cbr.Transient || !strings.Contains(err.Error(), "already expired") || requests > 135 {
		t.Errorf("got %+v, and %d requests in a day", state, requests)
	}
}

func TestNamesAndPasswordsThatAreRefused(t *testing.T) {
	for content, want := range map[string]error{
		"": auth.ErrEmptyText, "\n": auth.ErrEmptyText, "  ": auth.ErrEmptyText, strings.Repeat("x", 4<<10+1): auth.ErrLongText,
		"two\nlines": auth.ErrTextControl, "a\tb": auth.ErrTextControl, "\x00": auth.ErrTextControl, "a\x7f": auth.ErrTextControl, "a\u0085b": auth.ErrTextControl,
		"\ufeffsecret": auth.ErrTextBOM, "caf\xe9": auth.ErrTextNotUTF8, "\xff\xfes\x00e\x00c\x00": auth.ErrTextUTF16, "s\x00e\x00c\x00r\x00": auth.ErrTextUTF16,
	} {
		for name, set := range map[string]func(*auth.PasswordConfig){
			"the password":    func(config *auth.PasswordConfig) { config.Password = []byte(content) },
			"the user name":   func(config *auth.PasswordConfig) { config.Username = []byte(content) },
			"the domain name": func(config *auth.PasswordConfig) { config.DomainName = []byte(content) },
			"the project id":  func(config *auth.PasswordConfig) { config.ProjectID = content },
		} {
			config := passwordConfig(nil)
			set(&config)
			_, err := auth.NewPassword(config)
			if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), name+" ") || strings.Contains(err.Error(), "sec") {
				t.Errorf("%.20q for %s: got %v, want %v", content, name, err, want)
			}
		}
	}
}

func TestEndpointsThatAreRefused(t *testing.T) {
	for _, endpoint := range []string{"", "iam.example.com", "ftp://iam.example.com", "https://", "https://user:secret@iam.example.com", "https://iam.example.com?secret",
		"https://iam.example.com#secret", "https://iam.example.com/secret", "https://iam.example.com\n", "https://[secret"} {
		config := passwordConfig(nil)
		config.IAMEndpoint = endpoint
		if _, err := auth.NewPassword(config); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v", endpoint, err)
		}
	}
}

// forms are how a secret may appear.
func forms(secrets ...string) (texts []string) {
	for _, secret := range secrets {
		quoted, _ := json.Marshal(secret)
		texts = append(texts, secret, string(quoted[1:len(quoted)-1]), fmt.Sprintf("%x", secret), url.QueryEscape(secret), url.PathEscape(secret),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)))
	}
	return texts
}

func mustNotHold(t *testing.T, name, text string, secrets ...string) {
	t.Helper()
	for _, each := range forms(secrets...) {
		if strings.Contains(text, each) {
			t.Errorf("%s holds %s", name, each)
		}
	}
}

func TestFormattingHidesPasswordAndToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const word = "p&ss<word>\"ü"
		iam := cbrtest.NewIAM(cbrtest.IAMOptions{Password: word})
		config := passwordConfig(iam)
		config.Password = []byte(word)
		password := newPassword(t, config)
		state := fetchedState(password)
		token := mustToken(t, password)
		for _, value := range []any{password, *password, config, &config, state, struct{ Inner any }{password}, struct{ Inner *auth.Password }{password},
			cbr.Config{Credential: password}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				mustNotHold(t, verb, fmt.Sprintf(verb, value), word, token)
			}
			text, _ := json.Marshal(value)
			mustNotHold(t, "JSON", string(text), word, token)
		}
	})
}

func TestErrorsRepeatNeitherPasswordNorToken(t *testing.T) {
	const word, token = `pa"ss&word-of-a-user`, "MIIFyAYJKoZIhvcNAQcCoIIFuTCCBbUCAQExDTALBglghkgBZQMEAgEwggOW"
	for name, c := range map[string]answer{
		"message":  {401, nil, `{"error":{"code":401,"message":"no user with %s"}}`},
		"title":    {400, nil, `{"error":{"code":400,"title":"%s"}}`},
		"code":     {500, nil, `{"error_code":"%s","error_msg":"m"}`},
		"page":     {502, nil, `<html><title>%s</title></html>`},
		"text":     {503, nil, `%s`},
		"token":    {403, http.Header{"X-Subject-Token": {token}}, `{"error":{"code":"` + token + `","message":"` + token[:40] + `"}}`},
		"header":   {201, http.Header{"X-Subject-Token": {token + " " + token}}, `{}`},
		"redirect": {302, http.Header{"Location": {"http://[::1/" + word}}, ``},
	} {
		synctest.Test(t, func(t *testing.T) {
			escaped, _ := json.Marshal(word)
			c.body = strings.ReplaceAll(c.body, "%s", string(escaped[1:len(escaped)-1]))
			config := passwordConfig(cbrtest.NewIAM(c.options()))
			config.Password = []byte(word)
			password := newPassword(t, config)
			err := failure(t, fetchedState(password).Err)
			_, unauthorized := tokenOf(t, password)
			mustNotHold(t, name, fmt.Sprintf("%v %+v %v %v", err, *err, err.Err, unauthorized), word, token, token[:40])
		})
	}
}
