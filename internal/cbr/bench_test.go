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

package cbr_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// A backup and a task as the API reference shows them (ListBackups, ListOpLogs), with a number for their ids.
const (
	listedBackup = `{"checkpoint_id":"92dba902-4ade-4e3c-a0eb-%[1]012d","created_at":"2019-05-08T04:18:17.000000","description":"",
"expired_at":null,"extend_info":{"auto_trigger":true,"bootable":true,"incremental":false,"snapshot_id":null,"support_lld":true,
"supported_restore_mode":"snapshot","os_images_data":[{"image_id":null}],"contain_system_disk":true,"encrypted":false,"system_disk":true},
"id":"b1c4afd9-e7a6-4888-9010-%[1]012d","image_type":"backup","name":"backup_aaaa-%[1]d","parent_id":null,
"project_id":"4229d7a45436489f8c3dc2b1d35d4987","protected_at":"2019-05-08T04:18:17.000000","provider_id":"0daac4c5-6707-4851-97ba-169e36266b66",
"resource_az":"br-iaas-odin1a","resource_id":"1e0ea7e5-9d5e-4d4e-bd5b-%[1]012d","resource_name":"ecs-%[1]d","resource_size":40,
"resource_type":"OS::Nova::Server","status":"available","updated_at":"2019-05-08T04:23:42.785000","vault_id":"6ccd4f8d-2d7c-4b0c-8b12-aabbccddeeff",
"replication_records":[],"enterprise_project_id":"0","incremental":false,"version":0,"children":[]}`
	listedTask = `{"status":"success","provider_id":"0daac4c5-6707-4851-97ba-169e36266b66","checkpoint_id":"b432511f-d889-428b-8b0e-%[1]012d",
"updated_at":"2019-05-23T12:35:29.584418","error_info":{"message":"","code":""},"vault_id":null,"started_at":"2019-05-23T12:31:42.211414",
"id":"4827f2da-b008-4507-ab7d-%[1]012d","policy_id":null,"extra_info":{"vault_delete":null,"remove_resources":null,"vault_name":null,
"replication":null,"resource":{"type":"OS::VMware::Server","id":"96f7512d-239d-3f31-80cf-%[1]012d","name":"vm-%[1]d"},
"backup":{"backup_id":"1f9e6b47-7655-4a19-b563-%[1]012d","backup_name":"nightly-%[1]d","incremental":null},
"common":{"progress":100,"request_id":"req-%[1]012d","task_id":"c3a1"},"sync":{"sync_backup_num":1,"delete_backup_num":0,"err_sync_backup_num":0},"delete":null,"restore":null},
"ended_at":"2019-05-23T12:35:29.584418","created_at":"2019-05-23T12:31:42.211414","operation_type":"sync","project_id":"4229d7a45436489f8c3dc2b1d35d4987"}`
)

// fullPage is a page of so many elements as CBR answers it.
func fullPage(list, element string, size int) string {
	elements := make([]string, size)
	for i := range elements {
		elements[i] = fmt.Sprintf(element, i)
	}
	page := fmt.Sprintf(`{%q:[%s],"count":%d,"limit":1000,"offset":0}`, list, strings.Join(elements, ","), size)
	return strings.ReplaceAll(page, ",\n", ",")
}

func benchmarkList(b *testing.B, body string, list func(*cbr.Client) int) {
	token, err := auth.NewToken([]byte(fuzzToken), time.Time{})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) { _, _ = writer.Write([]byte(body)) }))
	b.Cleanup(server.Close)
	network, err := (&cbr.Transports{}).For("")
	if err != nil {
		b.Fatal(err)
	}
	for name, transport := range map[string]http.RoundTripper{"memory": stub{status: http.StatusOK, body: body}, "network": network} {
		client, err := cbr.NewClient(cbr.Config{Endpoint: server.URL, ProjectID: cbrtest.ProjectID, Credential: token, Transport: transport})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if got := list(client); got != cbr.MaxPageSize {
					b.Fatalf("got %d elements", got)
				}
			}
		})
	}
}

// A full page of backups is what a look for new backups among many costs again and again.
func BenchmarkListBackups(b *testing.B) {
	benchmarkList(b, fullPage("backups", listedBackup, cbr.MaxPageSize), func(client *cbr.Client) int {
		page, _ := client.ListBackups(b.Context(), cbr.BackupsQuery{Limit: cbr.MaxPageSize})
		return len(page.Items)
	})
}

func BenchmarkListOperationLogs(b *testing.B) {
	benchmarkList(b, fullPage("operation_logs", listedTask, cbr.MaxPageSize), func(client *cbr.Client) int {
		page, _ := client.ListOperationLogs(b.Context(), cbr.OperationLogsQuery{Limit: cbr.MaxPageSize})
		return len(page.Items)
	})
}
