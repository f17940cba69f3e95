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
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// maxAdminBytes bounds a request; 10,000 backups to preload take about 2 MB.
const maxAdminBytes = 16 << 20

// duration is a time.Duration that JSON spells "1.5s".
type duration time.Duration

// UnmarshalJSON reads what time.ParseDuration takes.
func (d *duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("a duration must be a text such as \"1.5s\": %w", err)
	}
	parsed, err := time.ParseDuration(text)
	*d = duration(parsed)
	return err
}

// fault is a cbrtest.Fault as JSON.
type fault struct {
	cbrtest.Fault
	Delay duration `json:"delay"`
}

// outcome is a cbrtest.Outcome as JSON.
type outcome struct {
	cbrtest.Outcome
	Duration duration `json:"duration"`
}

func (o outcome) value() cbrtest.Outcome {
	o.Outcome.Duration = time.Duration(o.Duration)
	return o.Outcome
}

type limit struct {
	SyncCallsPerMinute int      `json:"syncCallsPerMinute"`
	RateWindow         duration `json:"rateWindow"`
}

// steer makes a handler of what is done with a JSON body: 204, or 400 with what is wrong with it.
func steer[T any](act func(T) error) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		var content T
		body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, maxAdminBytes))
		if err == nil {
			err = strictly(body, &content)
		}
		if err == nil {
			err = act(content)
		}
		if err != nil {
			http.Error(writer, err.Error(), http.StatusBadRequest)
			return
		}
		writer.WriteHeader(http.StatusNoContent)
	}
}

// strictly decodes one JSON value without unknown fields.
func strictly(data []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// injectFaults takes one fault or a list of them.
func (s *simulator) injectFaults(content oneOrMore[fault]) error {
	for _, each := range content {
		each.Fault.Delay = time.Duration(each.Delay)
		s.cloud.Inject(each.Fault)
	}
	return nil
}

func (s *simulator) clearFaults(writer http.ResponseWriter, _ *http.Request) {
	s.cloud.ClearFaults()
	writer.WriteHeader(http.StatusNoContent)
}

func (s *simulator) setTokens(tokens []string) error {
	s.cloud.SetTokens(tokens...)
	return nil
}

// accessKey is a cbrtest.Key as JSON.
type accessKey struct {
	cbrtest.Key
	// Lifetime takes the place of expires: so long from now on.
	Lifetime duration `json:"lifetime"`
}

// setKeys replaces the access keys that are accepted.
func (s *simulator) setKeys(content oneOrMore[accessKey]) error {
	keys := make([]cbrtest.Key, 0, len(content))
	for _, each := range content {
		if each.Access == "" || each.Secret == "" {
			return errors.New("an access key without access or secret")
		}
		if each.Lifetime != 0 {
			each.Expires = time.Now().Add(time.Duration(each.Lifetime))
		}
		keys = append(keys, each.Key)
	}
	s.cloud.SetKeys(keys...)
	return nil
}

func (s *simulator) setLimit(content limit) error {
	if content.SyncCallsPerMinute < 0 || content.RateWindow < 0 {
		return errors.New("limits must not be negative")
	}
	s.cloud.SetSyncLimit(content.SyncCallsPerMinute, time.Duration(content.RateWindow))
	return nil
}

// setOutcomes replaces the table of how tasks end, by backup id.
func (s *simulator) setOutcomes(outcomes map[string]outcome) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.outcomes = outcomes
	return nil
}

// setRejects replaces the table of backups that are not taken, by backup id.
func (s *simulator) setRejects(rejects map[string]cbrtest.APIError) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.rejects = rejects
	return nil
}

// setGets replaces the table of errors that a GET of a task or backup is answered with, by its id.
func (s *simulator) setGets(gets map[string]cbrtest.APIError) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.gets = gets
	return nil
}

// preloaded are backups that are in a project, cbrtest.ProjectID if it is not named, and ids of those that are there no more.
type preloaded struct {
	ProjectID string             `json:"projectID"`
	Backups   []cbr.StoredBackup `json:"backups"`
	Removed   []string           `json:"removed"`
}

func (s *simulator) changeBackups(content preloaded) error {
	for _, backup := range content.Backups {
		if backup.ID == "" {
			return errors.New("a backup without id")
		}
	}
	s.cloud.RemoveBackups(content.ProjectID, content.Removed...)
	s.cloud.AddBackups(content.ProjectID, content.Backups...)
	return nil
}

// oneOrMore is a list, or its only element without the brackets.
type oneOrMore[T any] []T

// UnmarshalJSON refuses unknown fields, as the decoder around it does not look into it.
func (o *oneOrMore[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] != '[' {
		data = append(append([]byte{'['}, data...), ']')
	}
	return strictly(data, (*[]T)(o))
}
