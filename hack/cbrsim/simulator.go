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
	"net/http"
	"strings"
	"sync"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// anyBackup stands in the tables of outcomes, rejections and errors for the ids that are not in them.
const anyBackup = "*"

// simulator serves the API and, beside it, what steers and shows the Cloud.
type simulator struct {
	cloud *cbrtest.Cloud
	iam   *cbrtest.IAM
	extra *http.ServeMux

	mutex    sync.Mutex
	outcomes map[string]outcome
	rejects  map[string]cbrtest.APIError
	gets     map[string]cbrtest.APIError
}

func newSimulator(options cbrtest.Options, iam cbrtest.IAMOptions) *simulator {
	s := &simulator{extra: http.NewServeMux()}
	iam.ProjectIDs = options.ProjectIDs
	s.iam = cbrtest.NewIAM(iam)
	options.IAM = s.iam
	options.TaskOutcome, options.Reject, options.GetError = s.outcomeOf, s.rejection, s.getError
	s.cloud = cbrtest.New(options)
	s.extra.HandleFunc("GET /_ledger", s.serveLedger)
	s.extra.HandleFunc("GET /_ledger/{$}", s.servePage)
	s.extra.HandleFunc("GET /_calls", s.serveCalls)
	s.extra.HandleFunc("GET /_stored", s.serveStored)
	s.extra.HandleFunc("GET /{$}", s.servePage)
	s.extra.HandleFunc("GET /_iam", s.serveIAM)
	s.extra.HandleFunc("GET /_iam/secrets", s.serveSecrets)
	s.extra.HandleFunc("POST /_admin/iam", steer(s.changeIAM))
	s.extra.HandleFunc("POST /_admin/faults", steer(s.injectFaults))
	s.extra.HandleFunc("DELETE /_admin/faults", s.clearFaults)
	s.extra.HandleFunc("POST /_admin/tokens", steer(s.setTokens))
	s.extra.HandleFunc("POST /_admin/keys", steer(s.setKeys))
	s.extra.HandleFunc("POST /_admin/limit", steer(s.setLimit))
	s.extra.HandleFunc("POST /_admin/outcomes", steer(s.setOutcomes))
	s.extra.HandleFunc("POST /_admin/rejects", steer(s.setRejects))
	s.extra.HandleFunc("POST /_admin/gets", steer(s.setGets))
	s.extra.HandleFunc("POST /_admin/backups", steer(s.changeBackups))
	s.extra.HandleFunc("POST /_admin/options", steer(s.setOptions))
	return s
}

// ServeHTTP leaves everything to the Cloud, as it came, but the paths of IAM and those of its own.
func (s *simulator) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/" || strings.HasPrefix(request.URL.Path, "/_") {
		s.extra.ServeHTTP(writer, request)
		return
	}
	if request.URL.Path == cbrtest.TokensPath || request.URL.Path == cbrtest.PodIdentityPath {
		s.iam.ServeHTTP(writer, request)
		return
	}
	s.cloud.ServeHTTP(writer, request)
}

func (s *simulator) outcomeOf(backup cbr.Backup) cbrtest.Outcome {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	chosen, found := s.outcomes[backup.ID]
	if !found {
		chosen = s.outcomes[anyBackup]
	}
	return chosen.value()
}

func (s *simulator) rejection(backup cbr.Backup) *cbrtest.APIError {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return errorOf(s.rejects, backup.ID)
}

func (s *simulator) getError(id string) *cbrtest.APIError {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return errorOf(s.gets, id)
}

// errorOf finds what a table has for an id.
func errorOf(table map[string]cbrtest.APIError, id string) *cbrtest.APIError {
	for _, key := range []string{id, anyBackup} {
		if refused, found := table[key]; found {
			return &refused
		}
	}
	return nil
}
