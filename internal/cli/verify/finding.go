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
	"cmp"
	"slices"
	"strings"
	"time"
)

// Kind is what a finding tells.
type Kind string

// The kinds of findings, the gravest first.
const (
	// Missing: CBR does not have a backup any more of which the BackupSync says that it has.
	Missing Kind = "Missing"
	// Unusable: CBR holds such a backup in a status that it cannot be restored from.
	Unusable Kind = "Unusable"
	// Unknown: it cannot be told.
	Unknown Kind = "Unknown"
	// Undeclared: CBR holds a backup that no manifest declares.
	Undeclared Kind = "Undeclared"
	// Present: CBR holds a backup of which the BackupSync says that it is not imported: somebody else has done so.
	Present Kind = "Present"
	// Differs: CBR shows another name or resource than the manifest.
	Differs Kind = "Differs"
)

// kinds are all of them, in the order in which they are told.
var kinds = []Kind{Missing, Unusable, Unknown, Undeclared, Present, Differs}

// Finding is where a BackupSync and CBR do not agree.
type Finding struct {
	Kind Kind `json:"kind"`
	// BackupSync is its name, "" for a backup that no manifest declares; Says is what its status says in a word.
	BackupSync string `json:"backupSync,omitempty"`
	Says       string `json:"says,omitempty"`
	BackupID   string `json:"backupID"`
	// BackupName, Resource, Provider and Created are as CBR shows them, and only of what no manifest declares.
	BackupName string     `json:"backupName,omitempty"`
	Resource   string     `json:"resource,omitempty"`
	ResourceID string     `json:"resourceID,omitempty"`
	Provider   string     `json:"provider,omitempty"`
	Created    *time.Time `json:"created,omitempty"`
	// Status is that in which CBR shows the backup, "" if it does not.
	Status string `json:"status,omitempty"`
	Detail string `json:"detail"`
}

// Counts count the findings of each kind, and what they are held against.
type Counts struct {
	BackupSyncs int `json:"backupSyncs"`
	// Imported say that CBR has the backup; Confirmed of them are there, in a usable status.
	Imported   int `json:"imported"`
	Confirmed  int `json:"confirmed"`
	Missing    int `json:"missing"`
	Unusable   int `json:"unusable"`
	Unknown    int `json:"unknown"`
	Undeclared int `json:"undeclared"`
	Present    int `json:"present"`
	Differs    int `json:"differs"`
	// Listed is how many backups CBR's list shows.
	Listed int `json:"listed"`
	// Pages and Singles are how often CBR was asked: for a page of a list, and for one backup.
	Pages   int `json:"pages"`
	Singles int `json:"singles"`
}

// Report is what was found of a project.
type Report struct {
	Namespace string    `json:"namespace"`
	Project   string    `json:"project"`
	Endpoint  string    `json:"endpoint"`
	ProjectID string    `json:"projectID"`
	Began     time.Time `json:"began"`
	// Problem is why CBR could not be asked, or not to the end; "" if it was.
	Problem string `json:"problem,omitempty"`
	// ListUnknown is why it is not known what the list of backups hides; "" if it shows all, or that does not matter.
	ListUnknown string    `json:"listUnknown,omitempty"`
	Notes       []string  `json:"notes,omitempty"`
	Counts      Counts    `json:"counts"`
	Findings    []Finding `json:"findings"`
}

// count returns the number of a kind.
func (r *Report) count(kind Kind) *int {
	return map[Kind]*int{Missing: &r.Counts.Missing, Unusable: &r.Counts.Unusable, Unknown: &r.Counts.Unknown, Undeclared: &r.Counts.Undeclared,
		Present: &r.Counts.Present, Differs: &r.Counts.Differs}[kind]
}

// complete orders the findings and counts them.
func (r *Report) complete() {
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), strings.Compare(a.BackupSync, b.BackupSync),
			strings.Compare(a.BackupID, b.BackupID))
	})
	for i := range r.Findings {
		*r.count(r.Findings[i].Kind)++
	}
}

// found reports whether a report holds something of a kind. What could not be read at all is unknown, too.
func (r *Report) found(kind Kind) bool {
	return *r.count(kind) > 0 || kind == Unknown && (r.Problem != "" || r.ListUnknown != "")
}
