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

package verify

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// What is told of a BackupSync follows from what it says and from what CBR shows. Nothing uncertain is Missing.
func TestTell(t *testing.T) {
	own := evidence.Verdict{Kind: evidence.InProgress, Task: "t1", Own: true}
	anybodys := evidence.Verdict{Kind: evidence.InProgress, Task: "t1"}
	stored := evidence.Verdict{Kind: evidence.Stored, Status: cbr.BackupAvailable}
	broken := evidence.Verdict{Kind: evidence.Broken, Status: cbr.BackupError}
	unknown := evidence.Verdict{Kind: evidence.Unknown, Why: "CBR was not asked for it"}
	failed := evidence.Verdict{Kind: evidence.Unknown, Why: "CBR could not be asked for it", Err: &cbr.Error{StatusCode: http.StatusBadGateway}}
	passing := func(status cbr.BackupStatus) evidence.Verdict {
		return evidence.Verdict{Kind: evidence.InProgress, Status: status}
	}
	for name, c := range map[string]struct {
		of     claim
		seen   sight
		want   Kind
		detail string
	}{
		"imported and there":              {claimsImported, sight{verdict: stored}, "", ""},
		"imported and absent":             {claimsImported, sight{verdict: evidence.Verdict{Kind: evidence.Absent}, lacks: true}, Missing, ": kubectl backupsync retry b -n ns"},
		"imported and in error":           {claimsImported, sight{verdict: broken}, Unusable, "again: kubectl backupsync retry b -n ns"},
		"imported and being deleted":      {claimsImported, sight{verdict: passing(cbr.BackupDeleting)}, Unusable, "deleted"},
		"imported and to be deleted":      {claimsImported, sight{verdict: passing(cbr.BackupWaitingDelete)}, Unusable, "deleted"},
		"imported and protecting":         {claimsImported, sight{verdict: passing(cbr.BackupProtecting)}, Unknown, "passing"},
		"imported and in an odd status":   {claimsImported, sight{verdict: passing("odd")}, Unknown, "passing"},
		"imported, its task runs":         {claimsImported, sight{verdict: own, lacks: true}, Unknown, "t1"},
		"imported, its old task ended":    {claimsImported, sight{verdict: own, lacks: true, ended: true}, Missing, "any more"},
		"imported, its task ended, heard": {claimsImported, sight{verdict: own, ended: true}, Unknown, "t1"},
		"imported, anybody's task":        {claimsImported, sight{verdict: anybodys, lacks: true}, Missing, "t1"},
		"imported, not asked, and a task": {claimsImported, sight{verdict: anybodys}, Unknown, "t1"},
		"imported, not asked":             {claimsImported, sight{verdict: unknown}, Unknown, "CBR was not asked for it."},
		"imported, not answered":          {claimsImported, sight{verdict: failed}, Unknown, "HTTP 502"},
		"unusable and there":              {claimsBroken, sight{verdict: stored}, Present, "restore it now"},
		"unusable and in error":           {claimsBroken, sight{verdict: broken}, Unusable, ""},
		"unusable and absent":             {claimsBroken, sight{verdict: evidence.Verdict{Kind: evidence.Absent}}, Missing, ""},
		"later version and there":         {claimsLater, sight{verdict: stored}, "", ""},
		"later version and absent":        {claimsLater, sight{verdict: evidence.Verdict{Kind: evidence.Absent}}, Unknown, "version"},
		"pending and there":               {claimsNothing, sight{verdict: stored}, Present, "AlreadyImported"},
		"pending and in error":            {claimsNothing, sight{verdict: broken}, Present, "cannot be restored"},
		"pending and not asked":           {claimsNothing, sight{verdict: unknown}, "", ""},
		"pending and absent":              {claimsNothing, sight{verdict: evidence.Verdict{Kind: evidence.Absent}}, "", ""},
		"failed and there":                {claimsFailed, sight{verdict: stored}, Present, "failed"},
		"running and there":               {claimsRunning, sight{verdict: stored}, "", ""},
		"duplicate and there":             {claimsOther, sight{verdict: stored}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			found, is := tell("ns", &declared{name: "b", backupID: "B", task: "t1", claim: c.of}, c.seen)
			if is != (c.want != "") || found.Kind != c.want || !strings.Contains(found.Detail, c.detail) {
				t.Errorf("%+v", found)
			}
		})
	}
}

// A command that is shown to be copied names the namespace: in that of the context it finds nothing, or another BackupSync of the name.
func TestTheHintNamesTheNamespace(t *testing.T) {
	found, is := tell("backups", &declared{name: "erp-01", backupID: "a-1", claim: claimsImported}, sight{verdict: evidence.Verdict{Kind: evidence.Absent}})
	if !is || !strings.HasSuffix(found.Detail, ": kubectl backupsync retry erp-01 -n backups") {
		t.Errorf("%+v", found)
	}
}

// What a status says follows from its facts, and of several BackupSyncs of a backup the one that owns it is told of.
func TestClaims(t *testing.T) {
	backup := func(change func(*v1alpha1.BackupSyncStatus)) *v1alpha1.BackupSync {
		made := &v1alpha1.BackupSync{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: v1alpha1.BackupSyncSpec{BackupID: "B"}}
		change(&made.Status)
		return made
	}
	outcome := func(of v1alpha1.Outcome) *v1alpha1.BackupSync {
		return backup(func(s *v1alpha1.BackupSyncStatus) { s.Outcome = of })
	}
	for want, of := range map[claim]*v1alpha1.BackupSync{
		claimsNothing:  outcome(""),
		claimsImported: outcome(v1alpha1.OutcomeAlreadyImported),
		claimsBroken:   outcome(v1alpha1.OutcomeBackupUnusable),
		claimsOther:    outcome(v1alpha1.OutcomeDuplicate),
		claimsLater:    outcome("Archived"),
		claimsRunning:  backup(func(s *v1alpha1.BackupSyncStatus) { s.OperationLogID = "t" }),
	} {
		if said := claimOf(of); said != want {
			t.Errorf("%+v says %s, not %s", of.Status, said, want)
		}
	}
	for _, pair := range [][2]claim{{claimsNothing, claimsImported}, {claimsImported, claimsNothing}, {claimsOther, claimsFailed}, {claimsRunning, claimsImported}} {
		m := newManifests()
		m.add(declared{name: "a", backupID: "B", claim: pair[0]})
		m.add(declared{name: "b", backupID: "b", claim: pair[1]})
		all, _ := m.ids()
		if of := m.of("B"); len(all) != 1 || rank(of.claim) != max(rank(pair[0]), rank(pair[1])) {
			t.Errorf("%v: %s, %v", pair, of.claim, all)
		}
	}
}

// Only what may help is tried again, and CBR says when.
func TestPauseAfter(t *testing.T) {
	throttled := &cbr.Error{Class: cbr.Throttled, StatusCode: http.StatusTooManyRequests}
	told := &cbr.Error{Class: cbr.Throttled, StatusCode: http.StatusTooManyRequests, RetryAfter: 17 * time.Second}
	long := &cbr.Error{Class: cbr.Throttled, StatusCode: http.StatusTooManyRequests, RetryAfter: time.Hour}
	refused := &cbr.Error{Class: cbr.Credentials, StatusCode: http.StatusUnauthorized, Code: "APIGW.0301"}
	for name, c := range map[string]struct {
		err      error
		failures int
		pause    time.Duration
		again    bool
		renews   bool
	}{
		"well":             {nil, 1, 0, false, false},
		"throttled":        {throttled, 1, time.Second, true, false},
		"throttled often":  {throttled, 7, time.Minute, true, false},
		"throttled for it": {throttled, 8, time.Minute, false, false},
		"as CBR says":      {told, 1, 17 * time.Second, true, false},
		"longer than that": {long, 1, time.Hour, false, false},
		"an outage":        {&cbr.Error{Class: cbr.Transient}, 2, 2 * time.Second, true, false},
		"a long outage":    {&cbr.Error{Class: cbr.Transient}, 3, 4 * time.Second, false, false},
		"refused":          {&cbr.Error{Class: cbr.Permission}, 1, time.Second, false, false},
		"a token":          {refused, 1, time.Second, false, false},
		"a renewed token":  {refused, 1, time.Second, true, true},
		"Ctrl-C":           {context.Canceled, 1, 0, false, false},
		"absent":           {&cbr.Error{Class: cbr.NotFound}, 1, time.Second, false, false},
		"something else":   {errors.New("else"), 1, time.Second, true, false},
	} {
		if pause, again := pauseAfter(c.err, c.failures, c.renews); pause != c.pause || again != c.again {
			t.Errorf("%s: %s, %t", name, pause, again)
		}
	}
}

// A command line that contradicts itself is a mistake in usage.
func TestTexts(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if since, err := parseSince("24h", now); err != nil || !since.Equal(now.Add(-24*time.Hour)) {
		t.Errorf("%s, %v", since, err)
	}
	if since, err := parseSince("2026-01-04T09:05:22Z", now); err != nil || since.Year() != 2026 || since.Month() != time.January {
		t.Errorf("%s, %v", since, err)
	}
	for _, wrong := range []string{"yesterday", "-1h", "2026"} {
		if _, err := parseSince(wrong, now); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
	if found, err := parseKinds(" Missing,unknown,"); err != nil || len(found) != 2 || found[0] != Missing || found[1] != Unknown {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := parseKinds("lost"); err == nil {
		t.Error("a finding is taken that there is not")
	}
	for text, want := range map[string]string{
		"kind: Secret\napiVersion: v1\nstringData: {token: abc}": "abc",
		"kind: Secret\napiVersion: v1\ndata: {token: YWJj}":      "abc",
		"token: abc": "abc",
		"- abc":      "",
		"":           "",
	} {
		if secret, valid := parseSecret([]byte(text)); valid != (want != "") || valid && string(secret.Data["token"]) != want {
			t.Errorf("%q: %v, %t", text, secret, valid)
		}
	}
}
