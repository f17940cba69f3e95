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

package main

import (
	"errors"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// outcomeWith returns the code that a call with a key is answered with, "" for none, and how far the server's clock is off.
func outcomeWith(t *testing.T, url, access, secret, token string) (string, time.Duration) {
	t.Helper()
	key, err := auth.NewAccessKey(auth.AccessKeyConfig{Access: []byte(access), Secret: []byte(secret), SecurityToken: []byte(token), ProjectID: cbrtest.ProjectID})
	if err != nil {
		t.Fatal(err)
	}
	transport, err := (&cbr.Transports{}).For("")
	if err != nil {
		t.Fatal(err)
	}
	made, err := cbr.NewClient(cbr.Config{Endpoint: url, ProjectID: cbrtest.ProjectID, Credential: key, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	_, err = made.ListBackups(t.Context(), cbr.BackupsQuery{})
	var failed *cbr.Error
	if !errors.As(err, &failed) {
		return "", 0
	}
	return failed.Code, failed.Skew
}

func TestKeysAreSteered(t *testing.T) {
	sim := start(t, "--access-key", "AK1:SK1", "--access-key", "AK2:SK2:token/with:colon==")
	expect := func(when, ofFirst, ofSecond string) {
		t.Helper()
		first, _ := outcomeWith(t, sim.url, "AK1", "SK1", "")
		second, _ := outcomeWith(t, sim.url, "AK2", "SK2", "token/with:colon==")
		if first != ofFirst || second != ofSecond {
			t.Errorf("%s: got %q and %q, want %q and %q", when, first, second, ofFirst, ofSecond)
		}
	}
	expect("at first", "", "")
	for body, want := range map[string][2]string{
		`{"access":"AK1","secret":"SK1"}`: {"", "APIGW.0301"},
		`[{"access":"AK1","secret":"SK1","expires":"2020-01-01T00:00:00Z"},{"access":"AK2","secret":"SK2","securityToken":"token/with:colon==","lifetime":"-1s"}]`: {"APIGW.0301", "APIGW.0307"},
		`[{"access":"AK1","secret":"SK1","lifetime":"1h"}]`: {"", "APIGW.0301"},
		`[]`: {"APIGW.0301", "APIGW.0301"},
	} {
		steerTo(t, sim.url+"/_admin/keys", `[{"access":"AK1","secret":"SK1"},{"access":"AK2","secret":"SK2","securityToken":"token/with:colon=="}]`)
		expect("set anew", "", "") // which ends the row of failures
		steerTo(t, sim.url+"/_admin/keys", body)
		expect("after "+body, want[0], want[1])
	}
	for _, body := range []string{`[{"access":"AK1"}]`, `[{"secret":"SK1"}]`, `{"access":"AK1","secret":"SK1","key":1}`, `"AK1:SK1"`} {
		if status, text := send(t, "POST", sim.url+"/_admin/keys", body); status != 400 {
			t.Errorf("%s: HTTP %d %s", body, status, text)
		}
	}
}

func TestClockOfSignaturesIsSteered(t *testing.T) {
	sim := start(t, "--access-key", "AK1:SK1", "--clock-offset", "20m")
	for _, offset := range []time.Duration{20 * time.Minute, -time.Hour} {
		code, skew := outcomeWith(t, sim.url, "AK1", "SK1", "")
		if code != "APIGW.0303" || (skew-offset).Abs() > time.Minute {
			t.Errorf("got %q with a clock off by %s, want %s", code, skew, offset)
		}
		steerTo(t, sim.url+"/_admin/options", `{"clockOffset":"-1h"}`)
	}
	steerTo(t, sim.url+"/_admin/options", `{"clockOffset":"0s"}`)
	if code, _ := outcomeWith(t, sim.url, "AK1", "SK1", ""); code != "" {
		t.Errorf("with the right clock: got %q", code)
	}
}

func TestRefusesKeysOfFlags(t *testing.T) {
	for _, text := range []string{"", "AK", "AK:", ":SK", "::token"} {
		if _, err := parseKey(text); err == nil {
			t.Errorf("%q is taken for a key", text)
		}
	}
}
