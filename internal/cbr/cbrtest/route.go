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

package cbrtest

import (
	"net/http"
	"strings"

	"backupsync.dev/operator/internal/cbr"
)

// errNoSuchAPI answers what is not a call of the API. That a project that does not exist is answered so is an
// assumption.
var errNoSuchAPI = &APIError{Status: http.StatusNotFound, Code: "APIGW.0101",
	Message: "The API does not exist or has not been published in the environment"}

// route is what a request's method and path stand for; the zero value is no call of the API.
type route struct {
	operation cbr.Operation
	project   string
	id        string // of a task or backup
}

// routeOf reads "/v3/{project_id}/...", exactly: no trailing slash, no escapes.
func routeOf(request *http.Request) route {
	segments := strings.Split(request.URL.Path, "/")
	if request.URL.RawPath != "" || len(segments) < 4 || segments[0] != "" || segments[1] != "v3" {
		return route{}
	}
	project, rest := segments[2], segments[3:]
	if len(rest) > 2 || rest[len(rest)-1] == "" {
		return route{}
	}
	if request.Method == http.MethodPost && len(rest) == 2 && rest[0] == "backups" && rest[1] == "sync" {
		return route{operation: cbr.OperationImport, project: project}
	}
	if request.Method != http.MethodGet {
		return route{}
	}
	return readRoute(project, rest)
}

func readRoute(project string, rest []string) route {
	read := map[string][2]cbr.Operation{
		"operation-logs": {cbr.OperationListTasks, cbr.OperationGetTask},
		"backups":        {cbr.OperationListBackups, cbr.OperationGetBackup},
	}
	operations, found := read[rest[0]]
	if !found {
		return route{}
	}
	if len(rest) == 1 {
		return route{operation: operations[0], project: project}
	}
	return route{operation: operations[1], project: project, id: rest[1]}
}
