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
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// ledger is what /_ledger shows.
type ledger struct {
	// SyncCalls is the number of ImportBackup calls that arrived.
	SyncCalls int `json:"syncCalls"`
	// AcceptedUnique is the number of backups that were accepted at least once.
	AcceptedUnique int `json:"acceptedUnique"`
	// AcceptedTwice are the ids of those that were accepted more than once.
	AcceptedTwice []string `json:"acceptedTwice"`
	// Calls counts by operation, Answers by operation, status and code.
	Calls   map[string]int `json:"calls"`
	Answers map[string]int `json:"answers"`
	// MaxCallsInWindow is the largest number of ImportBackup calls within any rate window.
	MaxCallsInWindow       int      `json:"maxCallsInWindow"`
	RateWindow             string   `json:"rateWindow"`
	MaxConcurrentSyncCalls int      `json:"maxConcurrentSyncCalls"`
	PendingFaults          int      `json:"pendingFaults"`
	Backups                []backup `json:"backups"`

	calls []cbrtest.Call
}

type backup struct {
	BackupID        string   `json:"backupID"`
	Accepted        int      `json:"accepted"`
	OperationLogIDs []string `json:"operationLogIDs"`
}

func (s *simulator) ledger() ledger {
	window := s.cloud.Options().RateWindow
	accepted := s.cloud.Accepted()
	shown := ledger{
		SyncCalls: s.cloud.SyncCalls(), AcceptedUnique: len(accepted), AcceptedTwice: []string{},
		Calls: map[string]int{}, Answers: map[string]int{}, MaxCallsInWindow: s.cloud.MaxCallsInWindow(window),
		RateWindow: window.String(), MaxConcurrentSyncCalls: s.cloud.MaxConcurrentSyncCalls(),
		PendingFaults: s.cloud.PendingFaults(), Backups: make([]backup, 0, len(accepted)), calls: s.cloud.Ledger(),
	}
	for id, count := range accepted {
		shown.Backups = append(shown.Backups, backup{BackupID: id, Accepted: count, OperationLogIDs: s.cloud.OperationLogIDs(id)})
		if count > 1 {
			shown.AcceptedTwice = append(shown.AcceptedTwice, id)
		}
	}
	slices.Sort(shown.AcceptedTwice)
	slices.SortFunc(shown.Backups, func(a, b backup) int { return strings.Compare(a.BackupID, b.BackupID) })
	shown.countCalls()
	return shown
}

func (l *ledger) countCalls() {
	for _, call := range l.calls {
		operation := string(call.Operation)
		if operation == "" {
			operation = "unknown"
		}
		l.Calls[operation]++
		answer := fmt.Sprintf("%s %d %s", operation, call.Status, call.Code)
		l.Answers[strings.TrimSpace(answer)]++
	}
}

func (s *simulator) serveLedger(writer http.ResponseWriter, _ *http.Request) {
	writer.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(writer)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(s.ledger())
}

// call is one call as /_calls shows it.
type call struct {
	// Time is when it arrived.
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`
	ProjectID string    `json:"projectID"`
	Query     string    `json:"query,omitempty"`
	// Backups is the number of items that it carried, Accepted of those that were taken.
	Backups  int `json:"backups,omitempty"`
	Accepted int `json:"accepted,omitempty"`
	// Status and Code are those of the answer; 0 while there is none.
	Status int    `json:"status"`
	Code   string `json:"code,omitempty"`
}

// serveCalls shows every call, or those of one operation.
func (s *simulator) serveCalls(writer http.ResponseWriter, request *http.Request) {
	operation, calls := request.URL.Query().Get("operation"), []call{}
	for _, each := range s.cloud.Ledger() {
		if operation == "" || string(each.Operation) == operation {
			calls = append(calls, call{Time: each.Time, Operation: string(each.Operation), ProjectID: each.ProjectID, Query: each.Query,
				Backups: len(each.BackupIDs), Accepted: each.Accepted, Status: each.Status, Code: each.Code})
		}
	}
	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(calls)
}

// serveStored shows the backups of a project, whatever lists show of them and calls are refused.
func (s *simulator) serveStored(writer http.ResponseWriter, request *http.Request) {
	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(s.cloud.Appearances(request.URL.Query().Get("project")))
}

// Recent returns the last calls, the newest first.
func (l ledger) Recent() []cbrtest.Call {
	recent := slices.Clone(l.calls[max(0, len(l.calls)-50):])
	slices.Reverse(recent)
	return recent
}

// FirstBackups keeps the page short.
func (l ledger) FirstBackups() []backup { return l.Backups[:min(len(l.Backups), 500)] }

func (s *simulator) servePage(writer http.ResponseWriter, _ *http.Request) {
	var text bytes.Buffer
	page, err := template.New("page").Parse(pageTemplate)
	if err == nil {
		err = page.Execute(&text, s.ledger())
	}
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	writer.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = writer.Write(text.Bytes())
}

const pageTemplate = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>cbrsim</title>
<style>body{font-family:sans-serif;margin:2em}td,th{padding:.1em .8em .1em 0;text-align:left}.bad{color:#b00;font-weight:bold}</style>
</head><body>
<h1>cbrsim: what CBR was sent</h1>
<table>
<tr><th>ImportBackup calls</th><td>{{.SyncCalls}}</td></tr>
<tr><th>most within {{.RateWindow}}</th><td>{{.MaxCallsInWindow}}</td></tr>
<tr><th>most at once</th><td>{{.MaxConcurrentSyncCalls}}</td></tr>
<tr><th>backups accepted</th><td>{{.AcceptedUnique}}</td></tr>
<tr><th>accepted more than once</th><td{{if .AcceptedTwice}} class="bad"{{end}}>{{len .AcceptedTwice}}{{range .AcceptedTwice}} {{.}}{{end}}</td></tr>
</table>
<h2>Answers</h2>
<table>{{range $answer, $count := .Answers}}<tr><td>{{$count}}</td><td>{{$answer}}</td></tr>
{{end}}</table>
<h2>Last calls</h2>
<table><tr><th>time</th><th>call</th><th>backups</th><th>accepted</th><th>answer</th></tr>
{{range .Recent}}<tr><td>{{.Time.UTC.Format "15:04:05.000"}}</td><td>{{.Method}} {{.Path}}{{if .Query}}?{{.Query}}{{end}}</td><td>{{len .BackupIDs}}</td><td>{{.Accepted}}</td><td>{{if .Status}}{{.Status}} {{.Code}}{{else}}none{{end}}</td></tr>
{{end}}</table>
<h2>Backups</h2>
<table><tr><th>backup</th><th>accepted</th><th>operation logs</th></tr>
{{range .FirstBackups}}<tr><td>{{.BackupID}}</td><td{{if gt .Accepted 1}} class="bad"{{end}}>{{.Accepted}}</td><td>{{range .OperationLogIDs}}{{.}} {{end}}</td></tr>
{{end}}</table>
</body></html>
`
