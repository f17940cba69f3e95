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
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
	"backupsync.dev/operator/internal/cli"
)

var update = flag.Bool("update", false, "write the golden files")

// golden holds a text against a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is not as it was: -update if it is right\n%s", path, text)
	}
}

func newStopped(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	return ctx, stop
}

// sample is a report with one finding of each kind.
func sample() *Report {
	created := time.Date(2026, 1, 4, 9, 5, 22, 0, time.UTC)
	report := &Report{Namespace: "backups", Project: "vmware", Endpoint: "https://cbr.cn-north-4.myhuaweicloud.com", ProjectID: "f841e01fd2b14e7fa41b6ae7aa6b0594", Began: testNow,
		Counts: Counts{BackupSyncs: 9, Imported: 5, Confirmed: 2, Listed: 1200, Pages: 3, Singles: 2}}
	for i, seen := range []sight{absentSight, brokenSight, unknownSight} {
		found, _ := tell("backups", &declared{name: fmt.Sprintf("backup-%d", i), backupID: fmt.Sprintf("1f9e6b47-7655-4a19-b563-%012d", i), claim: claimsImported}, seen)
		report.Findings = append(report.Findings, found)
	}
	present, _ := tell("backups", &declared{name: "backup-3", backupID: "1f9e6b47-7655-4a19-b563-000000000003", claim: claimsFailed}, storedSight)
	report.Findings = append(report.Findings, present,
		Finding{Kind: Differs, BackupSync: "backup-4", Says: "imported", BackupID: "1f9e6b47-7655-4a19-b563-000000000004", Detail: `backupName is "b" in CBR, "a" in the manifest. CBR cannot change a backup that it holds.`},
		Finding{Kind: Undeclared, BackupID: "1f9e6b47-7655-4a19-b563-000000000005", BackupName: "nightly_5", Resource: "machine_5", ResourceID: "r-5", Provider: importedProvider,
			Created: &created, Status: "available", Detail: "No BackupSync declares it."},
		Finding{Kind: Undeclared, BackupID: "1f9e6b47-7655-4a19-b563-000000000006", Status: "error", Detail: "No BackupSync declares it."})
	report.complete()
	return report
}

// What is printed reads well, in each format.
func TestFormats(t *testing.T) {
	unread := &Report{Namespace: "backups", Project: "other", Endpoint: "https://cbr.example.com", ProjectID: "p", Began: testNow, Findings: []Finding{},
		Problem: "CBR refuses the credentials (APIGW.0301). Check that they are of this project, and have not ended.", Counts: Counts{BackupSyncs: 4, Imported: 3, Unknown: 3}}
	narrowed := &Report{Namespace: "backups", Project: "third", Endpoint: "https://cbr.example.com", ProjectID: "p", Began: testNow, Findings: []Finding{},
		ListUnknown: "CBR's list hides backups.", Notes: []string{"Something."}, Counts: Counts{BackupSyncs: 1, Imported: 1, Confirmed: 1, Listed: 1, Pages: 1, Singles: 1}}
	for _, format := range formats {
		var out bytes.Buffer
		if err := write(&out, format, []*Report{sample(), unread, narrowed}, 0); err != nil {
			t.Fatal(err)
		}
		golden(t, "report"+map[string]string{"": ".txt", "wide": "-wide.txt", "json": ".json", "yaml": ".yaml"}[format], out.String())
	}
	var out bytes.Buffer
	if err := write(&out, "", []*Report{sample()}, 1); err != nil {
		t.Fatal(err)
	}
	golden(t, "report-limit.txt", out.String())
}

// A pipe that is closed is an error, not a panic.
func TestClosedPipe(t *testing.T) {
	for _, format := range formats {
		if err := write(closedPipe{}, format, []*Report{sample()}, 0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%q: %v", format, err)
		}
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, os.ErrClosed }

// The texts of what keeps CBR from being asked say what to do.
func TestProblems(t *testing.T) {
	var texts bytes.Buffer
	for _, class := range cbr.Classes {
		fmt.Fprintf(&texts, "%s: %s\n", class, explainRead(&cbr.Error{Class: class, StatusCode: http.StatusTeapot, Code: "CODE", Message: "said"}))
	}
	for _, kind := range []v1alpha1.CredentialsType{v1alpha1.CredentialsPassword, v1alpha1.CredentialsPodIdentity} {
		for _, class := range []cbr.Class{cbr.Credentials, cbr.Permission, cbr.Transient} {
			fmt.Fprintf(&texts, "%s, %s: %s\n", kind, class, explainFetch(kind, &cbr.Error{Class: class, StatusCode: http.StatusTeapot, Code: "CODE"}))
		}
	}
	golden(t, "problems.txt", texts.String())
}

// The help is as it was.
func TestHelp(t *testing.T) {
	var out bytes.Buffer
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out})
	root := cli.NewCommand(f, NewCommand(f))
	root.SetArgs([]string{"verify", "--help"})
	if status := cli.Run(f, root); status != 0 {
		t.Fatalf("%d: %s", status, out.String())
	}
	text, _, _ := bytes.Cut(out.Bytes(), []byte("Global Flags:"))
	golden(t, "help.txt", string(text))
}

// A command line that is wrong exits with 2, and says what is wrong.
func TestUsage(t *testing.T) {
	var texts bytes.Buffer
	for _, arguments := range [][]string{{"-A", "vmware"}, {"-o", "xml"}, {"--limit=-1"}, {"--fail-on=lost"}, {"--fail-on=undeclared", "--ignore-undeclared"},
		{"--since=yesterday"}, {"--allowed-endpoints=*"}, {"--credentials-type=Token"}, {"--credentials-type=PodIdentity", "--credentials-file=x"}, {"--unknown"}} {
		f := cli.NewFactory("test", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &texts, ErrOut: &texts})
		root := cli.NewCommand(f, NewCommand(f))
		root.SetArgs(append([]string{"verify"}, arguments...))
		if status := cli.Run(f, root); status != cli.ExitUsage {
			t.Errorf("%v exits with %d", arguments, status)
		}
	}
	golden(t, "usage.txt", texts.String())
}

// The status to exit with follows from what was found and from what is to fail. What was not verified never ends well.
func TestVerdicts(t *testing.T) {
	unread, hidden := &Report{Problem: "x"}, &Report{ListUnknown: "x"}
	missing := &Report{Findings: []Finding{{Kind: Missing}}}
	missing.complete()
	for name, c := range map[string]struct {
		failOn  string
		reports []*Report
		status  int
	}{
		"well":                          {"missing,unknown", []*Report{{}}, 0},
		"missing":                       {"missing", []*Report{{}, missing}, cli.ExitFound},
		"missing does not matter":       {"unusable", []*Report{missing}, 0},
		"not read":                      {"missing,unknown", []*Report{unread}, cli.ExitFound},
		"not read, unknown left out":    {"missing", []*Report{unread}, cli.ExitError},
		"not read and missing":          {"missing", []*Report{unread, missing}, cli.ExitFound},
		"nothing fails, and not read":   {"", []*Report{unread}, cli.ExitError},
		"the list hides some":           {"unknown", []*Report{hidden}, cli.ExitFound},
		"the list hides some, for once": {"missing", []*Report{hidden}, 0},
	} {
		fails, err := parseKinds(c.failOn)
		if err != nil {
			t.Fatal(err)
		}
		if status := cli.StatusOf((&command{fails: fails}).verdict(c.reports)); status != c.status {
			t.Errorf("%s: %d", name, status)
		}
	}
}

var (
	absentSight  = sight{verdict: evidence.Verdict{Kind: evidence.Absent}, lacks: true}
	brokenSight  = sight{verdict: evidence.Verdict{Kind: evidence.Broken, Status: cbr.BackupError}}
	unknownSight = sight{verdict: evidence.Verdict{Kind: evidence.Unknown, Why: "calls that may have carried it are still settling"}}
	storedSight  = sight{verdict: evidence.Verdict{Kind: evidence.Stored, Status: cbr.BackupAvailable}}
)

// At a terminal a line shows how far it is, not too often, and goes away; elsewhere nothing is shown.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := clocktesting.NewFakeClock(testNow)
	shown := newProgress(&out, now)
	shown.show("nothing")
	shown.end()
	if out.Len() > 0 {
		t.Errorf("what is no terminal is shown %q", out.String())
	}
	shown.out = &out
	shown.show("page %d", 1)
	shown.show("page %d", 2)
	now.Step(redrawAfter)
	shown.count("asked %d")
	shown.end()
	shown.end()
	if want := clearLine + "page 1" + clearLine + "asked 1" + clearLine; out.String() != want {
		t.Errorf("%q, not %q", out.String(), want)
	}
}
