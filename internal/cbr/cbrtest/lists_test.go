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

package cbrtest_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// lists are the paths of the lists and the names of what they answer.
var lists = map[string]string{"/operation-logs": "operation_logs", "/backups": "backups"}

// filled is a server that has imported so many backups.
func filled(t *testing.T, count int, options cbrtest.Options) *cbrtest.Server {
	t.Helper()
	server := cbrtest.NewServer(t, options)
	for i := range count {
		mustImport(t, server.Client(t), cbrtest.Backup(i))
	}
	return server
}

// listed returns the ids on a page of a list, and the answer.
func listed(t *testing.T, server *cbrtest.Server, path, query string) ([]string, answer) {
	t.Helper()
	got := send(t, http.MethodGet, projectURL(server)+path+"?"+query, "")
	if got.status != http.StatusOK {
		t.Fatalf("%s?%s: HTTP %d %s", path, query, got.status, got.Message)
	}
	var ids []string
	for _, each := range got.body[lists[path]].([]any) {
		ids = append(ids, each.(map[string]any)["id"].(string))
	}
	return ids, got
}

func TestListsWithoutALimitHaveADefaultPage(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	for i := range cbr.MaxPageSize + 1 {
		server.AddBackups("", cbr.StoredBackup{ID: fmt.Sprint("backup-", i)})
	}
	ids, got := listed(t, server, "/backups", "")
	if len(ids) != cbr.MaxPageSize || got.body["count"] != 1001.0 || got.body["limit"] != 1000.0 || got.body["offset"] != 0.0 {
		t.Errorf("got %d with count %v, limit %v and offset %v", len(ids), got.body["count"], got.body["limit"], got.body["offset"])
	}
	for path := range lists {
		for _, query := range []string{"offset=0", "offset=1", "limit=1", ""} {
			listed(t, server, path, query)
		}
	}
}

func TestOptionalParameters(t *testing.T) {
	server := filled(t, 2, cbrtest.Options{Clock: clockAt(start)})
	for path, queries := range map[string]map[string]int{
		"/operation-logs": {"provider_id=" + cbrtest.ImportedProviderID: 2, "provider_id=else": 0, "vault_id=v": 0, "vault_name=v": 0,
			"resource_name=vm-1": 1, "resource_name=vm-7": 0, "enterprise_project_id=0": 2},
		"/backups": {"name=backup-1": 1, "name=else": 0, "resource_name=vm-1": 1, "resource_type=OS::VMware::Server": 2,
			"resource_type=OS::Nova::Server": 0, "image_type=backup": 2, "image_type=replication": 0, "vault_id=v": 0, "parent_id=p": 0,
			"checkpoint_id=c": 0, "start_time=2026-03-01T12:00:00Z": 2, "start_time=2026-03-01T12:00:01Z": 0,
			"end_time=2026-03-01T12:00:00Z": 2, "end_time=2026-03-01T11:59:59Z": 0, "enterprise_project_id=all_granted_eps": 2},
	} {
		for query, want := range queries {
			if ids, got := listed(t, server, path, query); len(ids) != want || got.body["count"] != float64(want) {
				t.Errorf("%s?%s: got %d of %v, want %d", path, query, len(ids), got.body["count"], want)
			}
		}
	}
}

func TestNarrowLists(t *testing.T) {
	server := filled(t, 5, cbrtest.Options{NarrowLists: true})
	check := func(query string, want float64) {
		t.Helper()
		for path := range lists {
			if ids, got := listed(t, server, path, "limit=10"+query); float64(len(ids)) != want || got.body["count"] != want {
				t.Errorf("%s with %q: got %d of %v, want %v", path, query, len(ids), got.body["count"], want)
			}
		}
	}
	check("", 2)
	check("&enterprise_project_id="+cbrtest.DefaultEnterpriseProject, 2)
	check("&enterprise_project_id="+cbrtest.OtherEnterpriseProject, 3)
	check("&enterprise_project_id=unknown", 0)
	check("&enterprise_project_id=all_granted_eps", 5)
	hidden := cbrtest.Backup(0).ID
	if ids, _ := listed(t, server, "/backups", ""); slices.Contains(ids, hidden) {
		t.Error("the first backup is in the default enterprise project")
	}
	if got := send(t, http.MethodGet, projectURL(server)+"/backups/"+hidden, ""); got.status != http.StatusOK {
		t.Errorf("a backup that a list does not show: HTTP %d, want it by its id", got.status)
	}
	server.Configure(func(options *cbrtest.Options) { options.GrantDefaultOnly = true })
	check("&enterprise_project_id=all_granted_eps", 2)
	check("&enterprise_project_id="+cbrtest.OtherEnterpriseProject, 0)
	server.Configure(func(options *cbrtest.Options) { options.NarrowLists = false })
	check("", 2)
}

// paged reads a list by offset, two elements at a time.
func paged(t *testing.T, server *cbrtest.Server, path string, count int) []string {
	t.Helper()
	var all []string
	for offset := 0; offset < count; offset += 2 {
		ids, _ := listed(t, server, path, fmt.Sprintf("limit=2&offset=%d", offset))
		all = append(all, ids...)
	}
	return all
}

func distinct(ids []string) int {
	slices.Sort(ids)
	return len(slices.Compact(ids))
}

func TestListsShiftBetweenPages(t *testing.T) {
	const count = 7
	for _, shift := range []int{1, -1, 3} {
		server := filled(t, count, cbrtest.Options{})
		for path := range lists {
			if got := distinct(paged(t, server, path, count)); got != count {
				t.Errorf("%s: %d of %d seen without a shift", path, got, count)
			}
		}
		server.Configure(func(options *cbrtest.Options) { options.ListShift = shift })
		for path := range lists {
			ids := paged(t, server, path, count)
			if len(ids) != count || distinct(ids) >= count {
				t.Errorf("%s shifted by %d: read %v, want %d elements with some of them twice", path, shift, ids, count)
			}
		}
	}
}

func TestListsShiftUnderAMarker(t *testing.T) {
	server := filled(t, 7, cbrtest.Options{ListShift: 1})
	first, _ := listed(t, server, "/backups", "limit=1") // from 0
	second, _ := listed(t, server, "/backups", "limit=9&marker="+first[0])
	if len(second) != 0 { // from 1: the marker comes last
		t.Errorf("after the backup that moved to the end: %v", second)
	}
	third, _ := listed(t, server, "/backups", "limit=9&marker="+cbrtest.Backup(5).ID) // from 2
	if want := []string{cbrtest.Backup(6).ID, cbrtest.Backup(0).ID, cbrtest.Backup(1).ID}; !slices.Equal(third, want) {
		t.Errorf("got %v, want %v", third, want)
	}
}

func TestPagesShorterThanAsked(t *testing.T) {
	server := filled(t, 5, cbrtest.Options{MaxPage: 2})
	for path := range lists {
		var seen []string
		for _, want := range []int{2, 2, 1, 0} {
			ids, got := listed(t, server, path, fmt.Sprintf("limit=100&offset=%d", len(seen)))
			if len(ids) != want || got.body["count"] != 5.0 || got.body["limit"] != 100.0 {
				t.Errorf("%s after %d: got %d of %v with limit %v, want %d", path, len(seen), len(ids), got.body["count"], got.body["limit"], want)
			}
			seen = append(seen, ids...)
		}
		if distinct(seen) != 5 {
			t.Errorf("%s: seen %v", path, seen)
		}
	}
	if ids, _ := listed(t, server, "/backups", "limit=1"); len(ids) != 1 {
		t.Errorf("got %d for a limit of 1", len(ids))
	}
}

func TestCounts(t *testing.T) {
	server := filled(t, 3, cbrtest.Options{})
	for count, want := range map[cbrtest.Count]any{
		"": 3.0, cbrtest.CountAll: 3.0, cbrtest.CountMissing: nil, cbrtest.CountPage: 2.0, cbrtest.CountLess: 2.0, cbrtest.CountMore: 4.0,
		cbrtest.CountZero: 0.0, cbrtest.CountText: "3",
	} {
		server.Configure(func(options *cbrtest.Options) { options.Count = count })
		for path := range lists {
			_, got := listed(t, server, path, "limit=2")
			if value, found := got.body["count"]; value != want || found == (count == cbrtest.CountMissing) {
				t.Errorf("%s, count %q: got %v (there: %t), want %v", path, count, value, found, want)
			}
		}
	}
}
