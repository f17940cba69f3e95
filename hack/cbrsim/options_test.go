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
	"flag"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr/cbrtest"
)

func TestFlagsOfOptions(t *testing.T) {
	for flags, want := range map[string]cbrtest.Options{
		"--shared-tasks --name-first":                   {SharedTaskIDs: true, NameFirst: true},
		"--hide-task-backup --hide-task-resource":       {HideTaskBackup: true, HideTaskResource: true},
		"--start-time-is-start --failed-in-error":       {StartTimeIsStart: true, FailedInError: true},
		"--fold-case --require-uuids":                   {FoldCase: true, RequireUUIDs: true},
		"--narrow-lists":                                {NarrowLists: true},
		"--grant-default-only":                          {GrantDefaultOnly: true},
		"--quota -1 --list-shift 2 --max-page 3":        {Quota: -1, ListShift: 2, MaxPage: 3},
		"--clock-offset -20m":                           {ClockOffset: -20 * time.Minute},
		"--time-offset 8h":                              {TimeOffset: 8 * time.Hour},
		"--visible-after 4s --reads-per-second 5":       {VisibleAfter: 4 * time.Second, ReadsPerSecond: 5},
		"--error-shape nested --count missing":          {ErrorShape: cbrtest.ShapeNested, Count: cbrtest.CountMissing},
		`--task-not-found {"code":"x"}`:                 {TaskNotFound: &cbrtest.APIError{Code: "x"}},
		`--backup-not-found {"shape":"empty"}`:          {BackupNotFound: &cbrtest.APIError{Shape: cbrtest.ShapeEmpty}},
		`--refusal {"calls":"reads","status":418}`:      {Refusals: []cbrtest.Refusal{{Calls: cbrtest.Reads, APIError: cbrtest.APIError{Status: 418}}}},
		`--refusal {"status":1} --refusal {"status":2}`: {Refusals: []cbrtest.Refusal{{APIError: cbrtest.APIError{Status: 1}}, {APIError: cbrtest.APIError{Status: 2}}}},
	} {
		parsed, err := parse(strings.Fields(flags), io.Discard)
		if err != nil {
			t.Errorf("%s: %v", flags, err)
			continue
		}
		want.TaskDuration, want.RateWindow, want.ProjectIDs = 5*time.Second, time.Minute, list{}
		if !reflect.DeepEqual(parsed.options, want) {
			t.Errorf("%s: got %+v, want %+v", flags, parsed.options, want)
		}
	}
}

func TestFlagsForATime(t *testing.T) {
	before := time.Now()
	parsed, err := parse([]string{"--permission-delay", "15m", "--refusal", `{"for":"30s"}`}, io.Discard)
	if err != nil || len(parsed.options.Refusals) != 2 {
		t.Fatalf("got %+v and %v", parsed.options.Refusals, err)
	}
	for i, want := range []time.Duration{15 * time.Minute, 30 * time.Second} {
		if until := parsed.options.Refusals[i].Until; until.Before(before.Add(want)) || until.After(time.Now().Add(want)) {
			t.Errorf("refusal %d ends at %s, want %s from now", i, until, want)
		}
	}
	if got := parsed.options.Refusals[0]; got.Status != 403 || !strings.HasPrefix(got.Message, "Policy doesn't allow") {
		t.Errorf("the permission delay is %+v", got)
	}
}

func TestRefusesFlagsOfOptions(t *testing.T) {
	for _, flags := range []string{
		"--visible-after -1s", "--max-page -1", "--reads-per-second -1", "--permission-delay -1s", "--permission-delay soon", "--error-shape xml",
		"--count wrong", "--refusal x", `--refusal {"call":"reads"}`, `--refusal {"calls":"some"}`, "--task-not-found x", `--backup-not-found {"shape":"xml"}`,
	} {
		if _, err := parse(strings.Fields(flags), io.Discard); err == nil {
			t.Errorf("%s: not refused", flags)
		}
	}
}

// TestFlagsAndJSONHaveTheSameOptions: whatever a flag can set can be changed at run time, and the other way round.
func TestFlagsAndJSONHaveTheSameOptions(t *testing.T) {
	names := map[string]string{"sharedTaskIDs": "shared-tasks"}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	addOptions(flags, &cbrtest.Options{})
	known := 0
	for _, fields := range []reflect.Type{reflect.TypeFor[cbrtest.Options](), reflect.TypeFor[options]()} {
		for i := range fields.NumField() {
			name := fields.Field(i).Tag.Get("json")
			if name == "" || name == "-" || name == "latency" || name == "taskDuration" {
				continue
			}
			known++
			spelled := names[name]
			if spelled == "" {
				spelled = strings.TrimSuffix(dashed(name), "s")
			}
			if flags.Lookup(spelled) == nil && flags.Lookup(spelled+"s") == nil {
				t.Errorf("%s has no flag --%s", name, spelled)
			}
		}
	}
	defined := 0
	flags.VisitAll(func(*flag.Flag) { defined++ })
	if defined != known+1 { // --permission-delay is a refusal
		t.Errorf("%d flags for %d options", defined, known)
	}
}

// dashed spells a JSON name as a flag: "maxPage" is "max-page".
func dashed(name string) string {
	name = strings.ReplaceAll(strings.ReplaceAll(name, "UUID", "Uuid"), "IDs", "Ids")
	var text strings.Builder
	for _, letter := range name {
		if letter >= 'A' && letter <= 'Z' {
			text.WriteByte('-')
		}
		text.WriteString(strings.ToLower(string(letter)))
	}
	return text.String()
}

func TestOptionsAreChangedAtRunTime(t *testing.T) {
	sim := start(t, "--task-duration", "0s", "--fold-case")
	project, id := sim.url+"/v3/"+cbrtest.ProjectID, cbrtest.Backup(1).ID
	get := func(path string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, project+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Auth-Token", cbrtest.Token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	for _, step := range []struct {
		steer, body, path string
		status            int
		text              string
	}{
		{"backups", `{"backups":[{"id":"` + id + `","status":"deleting"}]}`, "/backups/" + strings.ToUpper(id), 200, `"status":"deleting"`},
		{"backups", `{"backups":[{"id":"` + id + `","status":"error"}]}`, "/backups/" + id, 200, `"status":"error"`},
		{"gets", `{"` + id + `":{"status":500,"code":"BackupService.9910"}}`, "/backups/" + id, 500, `BackupService.9910`},
		{"gets", `{}`, "/backups/" + id, 200, id},
		{"options", `{"count":"missing","maxPage":1,"visibleAfter":"1s","latency":"1ms"}`, "/backups", 200, `{"backups":[{"id":"` + id},
		{"options", `{"refusals":[{"calls":"ListBackups","status":403,"shape":"html","for":"1h"}]}`, "/backups", 403, "<html>"},
		{"options", `{"maxPage":2}`, "/backups", 403, "<html>"},
		{"options", `{"refusals":[{"for":"1ns","status":418},{"until":"2020-01-01T00:00:00Z","status":418}]}`, "/backups", 200, id},
		{"options", `{"refusals":[]}`, "/backups", 200, id},
		{"options", `{"backupNotFound":{"shape":"openstack","message":"none"}}`, "/backups/x", 404, `{"itemNotFound":{"code":404,"message":"none"}}`},
		{"options", `{"backupNotFound":{"code":"BackupService.6201"}}`, "/backups/x", 404, `{"error_code":"BackupService.6201","error_msg":"The backup does not exist"}`},
		{"options", `{"taskNotFound":{"code":"BackupService.6501"},"foldCase":true}`, "/operation-logs/x", 404, `BackupService.6501`},
		{"backups", `{"removed":["` + id + `"]}`, "/backups/" + id, 404, `BackupService.6201`},
	} {
		steerTo(t, sim.url+"/_admin/"+step.steer, step.body)
		if status, text := get(step.path); status != step.status || !strings.Contains(text, step.text) {
			t.Errorf("after %s %s: %s is HTTP %d %s, want %d %s", step.steer, step.body, step.path, status, text, step.status, step.text)
		}
	}
	if _, text := get("/backups"); strings.Contains(text, `"count"`) {
		t.Error("the count is back, though nobody asked for it")
	}
}

func TestWrongOptionsChangeNothing(t *testing.T) {
	sim := newSimulator(cbrtest.Options{MaxPage: 7}, cbrtest.IAMOptions{})
	for _, body := range []string{
		`[]`, `{"maxPage":1,"latency":"-1s"}`, `{"maxPage":-1}`, `{"maxPage":1,"else":2}`, `{"maxPage":1,"count":"wrong"}`, `{"maxPage":1,"latency":5}`,
		`{"maxPage":1,"refusals":[{"calls":"some"}]}`, `{"maxPage":1,"refusals":[{"when":"now"}]}`, `{"maxPage":1,"errorShape":"xml"}`,
	} {
		if err := sim.setOptions([]byte(body)); err == nil || sim.cloud.Options().MaxPage != 7 {
			t.Errorf("%s: got %v, and pages of %d", body, err, sim.cloud.Options().MaxPage)
		}
	}
}
