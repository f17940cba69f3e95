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
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

const agentURL = "http://127.0.0.1:8080" + cbrtest.PodIdentityPath

// tokenFile is a file as the platform mounts it.
func tokenFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	writeFile(t, path, content)
	return path
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newPodIdentity(t *testing.T, config auth.PodIdentityConfig) *auth.PodIdentity {
	t.Helper()
	identity, err := auth.NewPodIdentity(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(identity.Close)
	return identity
}

// podIdentity is a PodIdentity that asks an agent in memory.
func podIdentity(t *testing.T, agent http.Handler) *auth.PodIdentity {
	t.Helper()
	return newPodIdentity(t, auth.PodIdentityConfig{URL: agentURL, TokenFile: tokenFile(t, cbrtest.PodToken+"\n"), ProjectID: cbrtest.ProjectID,
		Transport: inMemory{agent}, UserAgent: "backupsync/test"})
}

// signedWith is the security token of the keys that a request would be signed with.
func signedWith(t *testing.T, credential cbr.Credential) string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://cbr.example.com/v3/p/backups", nil)
	if err := credential.Authorize(t.Context(), request, nil); err != nil || !strings.HasPrefix(request.Header.Get("Authorization"), "SDK-HMAC-SHA256 ") {
		t.Fatalf("got %v, and the headers %v", err, request.Header)
	}
	return request.Header.Get("X-Security-Token")
}

func TestKeysOfThePodAreFetchedAndRenewed(t *testing.T) {
	for _, long := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			agent := cbrtest.NewIAM(cbrtest.IAMOptions{LongNames: long, KeyLife: 6 * time.Hour})
			identity := podIdentity(t, agent)
			start, state := time.Now(), fetchedState(identity)
			if !state.Ready || !state.Expires.Equal(start.Add(6*time.Hour)) || !identity.Expiry().Equal(state.Expires) || !identity.Renews() {
				t.Fatalf("long names %t: got %+v", long, state)
			}
			if request := agent.Requests()[0]; request.Method != http.MethodPost || string(request.Body) != "{}" || request.Path != cbrtest.PodIdentityPath ||
				request.Header.Get("Authorization") != cbrtest.PodToken || request.Header.Get("User-Agent") != "backupsync/test" {
				t.Errorf("the request is %+v", request)
			}
			first := signedWith(t, identity)
			if times := asked(identity, agent, time.Minute, 5*time.Hour); len(times) != 1 || times[0] < 4*time.Hour {
				t.Errorf("renewed after %s", times)
			}
			if signedWith(t, identity) == first {
				t.Error("the old keys are in use")
			}
		})
	}
}

func TestTokenOfThePodIsReadForEachFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, path := cbrtest.NewIAM(cbrtest.IAMOptions{}), tokenFile(t, cbrtest.PodToken)
		identity := newPodIdentity(t, auth.PodIdentityConfig{URL: agentURL, TokenFile: path, Transport: inMemory{agent}})
		fetchedState(identity)
		rotated := cbrtest.PodToken + "2"
		agent.Configure(func(options *cbrtest.IAMOptions) { options.PodToken = rotated })
		writeFile(t, path, rotated)
		time.Sleep(20 * time.Hour)
		if state := fetchedState(identity); state.Err != nil || len(agent.Requests()) != 2 {
			t.Errorf("got %+v after %d requests", state, len(agent.Requests()))
		}
		mustNotHold(t, "formatting", fmt.Sprintf("%v %+v %#v %d", identity, *identity, identity, identity), append(identity.Secrets(), rotated)...)
	})
}

// The agent's refusal is not for ever, as the token in the file is another soon.
func TestRefusedTokenOfThePodIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, path := cbrtest.NewIAM(cbrtest.IAMOptions{ErrorShape: cbrtest.ShapeCBR}), tokenFile(t, "expired")
		identity := newPodIdentity(t, auth.PodIdentityConfig{URL: agentURL, TokenFile: path, Transport: inMemory{agent}})
		state := fetchedState(identity)
		if err := failure(t, state.Err); err.Class != cbr.Credentials || err.Operation != auth.OperationPodIdentity || state.RetryAt.IsZero() || time.Until(state.RetryAt) > time.Minute {
			t.Errorf("got %+v", state)
		}
		writeFile(t, path, cbrtest.PodToken)
		time.Sleep(time.Minute)
		if state = fetchedState(identity); !state.Ready {
			t.Errorf("with another token: %+v", state)
		}
	})
}

func TestTokenFilesThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct{ path, text string }{
		"missing": {filepath.Join(t.TempDir(), "none"), "no such file"}, "empty": {tokenFile(t, "\n"), "empty"}, "a directory": {t.TempDir(), "directory"},
		"too long": {tokenFile(t, strings.Repeat("x", 1<<20)), "longer than"}, "two lines": {tokenFile(t, "secret1\nsecret2"), "white space"},
	} {
		synctest.Test(t, func(t *testing.T) {
			agent := cbrtest.NewIAM(cbrtest.IAMOptions{})
			state := fetchedState(newPodIdentity(t, auth.PodIdentityConfig{URL: agentURL, TokenFile: c.path, Transport: inMemory{agent}}))
			err := failure(t, state.Err)
			if err.Class != cbr.Credentials || !strings.Contains(err.Error(), auth.PodIdentityTokenFileVariable) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: got %v", name, err)
			}
			if state.RetryAt.IsZero() || len(agent.Requests()) != 0 {
				t.Errorf("%s: the next fetch is due %s, %d requests", name, state.RetryAt, len(agent.Requests()))
			}
		})
	}
}

func TestAnswersOfTheAgentThatCannotBeUsed(t *testing.T) {
	keys := func(change map[string]any) string {
		members := map[string]any{"access": "HSTAACCESS", "secret": "the-secret-key-of-a-pod", "securitytoken": "the-security-token", "expires_at": "2000-01-01T06:00:00Z"}
		for name, value := range change {
			members[name] = value
		}
		text, err := json.Marshal(map[string]any{"credentials": members})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, c := range map[string]struct {
		answer
		class cbr.Class
	}{
		"no JSON":            {answer{200, nil, page}, cbr.Foreign},
		"nothing":            {answer{200, nil, ""}, cbr.Foreign},
		"another object":     {answer{200, nil, `{"token":{}}`}, cbr.Foreign},
		"null":               {answer{200, nil, `{"credentials":null}`}, cbr.Foreign},
		"numbers":            {answer{200, nil, keys(map[string]any{"secret": 5})}, cbr.Foreign},
		"no access":          {answer{200, nil, keys(map[string]any{"access": ""})}, cbr.Foreign},
		"no secret":          {answer{200, nil, keys(map[string]any{"secret": ""})}, cbr.Foreign},
		"no security token":  {answer{200, nil, keys(map[string]any{"securitytoken": ""})}, cbr.Foreign},
		"a line end in it":   {answer{200, nil, keys(map[string]any{"securitytoken": "the-security\r\nX-Evil: token"})}, cbr.Foreign},
		"too long":           {answer{200, nil, keys(map[string]any{"more": strings.Repeat("x", 64<<10)})}, cbr.Foreign},
		"already expired":    {answer{200, http.Header{"Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}}, keys(map[string]any{"expires_at": "1999-12-31T23:59:59Z"})}, cbr.Transient},
		"a redirect":         {answer{307, http.Header{"Location": {"https://elsewhere.example.com/"}}, ""}, cbr.Misdirected},
		"no association":     {answer{404, nil, `{"error_code":"CCE.0001","error_msg":"no pod identity association"}`}, cbr.Misdirected},
		"forbidden":          {answer{403, nil, `{"error_code":"CCE.0002","error_msg":"no"}`}, cbr.Permission},
		"agent fails":        {answer{500, nil, ""}, cbr.Transient},
		"throttled":          {answer{429, nil, ""}, cbr.Throttled},
		"a proxy's 201 page": {answer{201, nil, page}, cbr.Foreign},
	} {
		synctest.Test(t, func(t *testing.T) {
			state := fetchedState(podIdentity(t, cbrtest.NewIAM(c.options())))
			err := failure(t, state.Err)
			if err.Class != c.class || state.Ready || state.RetryAt.IsZero() {
				t.Errorf("%s: got class %s: %+v", name, err.Class, state)
			}
			mustNotHold(t, name, fmt.Sprintf("%v %+v", err, *err), "the-secret-key-of-a-pod", "the-security", cbrtest.PodToken)
		})
	}
}

func TestPodWithoutIdentity(t *testing.T) {
	for _, c := range []struct{ url, file, want string }{
		{"", "", auth.PodIdentityURLVariable}, {"", "/file", auth.PodIdentityURLVariable}, {agentURL, "", auth.PodIdentityTokenFileVariable},
	} {
		t.Setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", c.url)
		t.Setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", c.file)
		_, err := auth.NewPodIdentity(auth.PodIdentityConfig{}.FromEnvironment())
		if !errors.Is(err, auth.ErrNoPodIdentity) || !strings.Contains(err.Error(), c.want+" is not set") || !strings.Contains(err.Error(), "CCE") {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	t.Setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", agentURL)
	t.Setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/file")
	if _, err := auth.NewPodIdentity(auth.PodIdentityConfig{}.FromEnvironment()); err != nil {
		t.Error(err)
	}
}

// The token of the pod and its keys must not pass a network in the clear.
func TestURLsOfTheAgent(t *testing.T) {
	for url, good := range map[string]bool{
		"http://127.0.0.1/v1/credentials": true, "http://127.0.0.1:8080": true, "http://[::1]:80/x?y=z": true, "http://169.254.170.23/v1": true, "http://[fe80::1]/": true,
		"https://agent.example.com/v1": true, "https://10.0.0.1/": true, "http://[::ffff:127.0.0.1]/": true,
		"http://localhost/": false, "http://agent.example.com/": false, "http://10.0.0.1/": false, "http://8.8.8.8/": false, "http://[fd00::1]/": false, "http://2130706433/": false,
		"http://127.0.0.1.example.com/": false, "http://user:secret@127.0.0.1/": false, "file:///etc/passwd": false, "127.0.0.1": false, "http://": false,
		"http://[::ffff:8.8.8.8]/": false, "http://127.0.0.1/#secret": false, "http://127.0.0.1\n/secret": false,
	} {
		_, err := auth.NewPodIdentity(auth.PodIdentityConfig{URL: url, TokenFile: "/file"})
		if good && err != nil || !good && !errors.Is(err, auth.ErrPodIdentityURL) || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want it taken: %t", url, err, good)
		}
	}
}

func TestAgentIsAskedOverTheNetwork(t *testing.T) {
	agent := cbrtest.NewIAM(cbrtest.IAMOptions{})
	address, _ := serve(t, agent)
	ended := make(chan struct{}, 1)
	identity := newPodIdentity(t, auth.PodIdentityConfig{URL: address + cbrtest.PodIdentityPath, TokenFile: tokenFile(t, cbrtest.PodToken),
		Changed: func() { ended <- struct{}{} }})
	if state := fetch(t, identity, ended); !state.Ready || len(agent.Requests()) != 1 {
		t.Errorf("got %+v", state)
	}
}
