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

package explain

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/liveness"
)

// Explanation is what explain prints with -o json and -o yaml. Fields are added over time, and none is taken away or changes its meaning.
type Explanation struct {
	// Time is when it was read.
	Time      metav1.Time `json:"time"`
	Namespace string      `json:"namespace"`
	Name      string      `json:"name"`
	// State is pending, running, imported or failed.
	State string `json:"state"`
	// Reason and Message are those of its condition Ready.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Unavailable is what the condition Available says of an imported backup that CBR does not show usable any more.
	Unavailable string `json:"unavailable,omitempty"`
	// Declared is what its manifest declares.
	Declared v1alpha1.BackupSyncSpec `json:"declared"`
	// Project is what can be said of the CBRProject that it names.
	Project Project `json:"project"`
	// Operator says whether the operator is alive.
	Operator liveness.Operator `json:"operator"`
	// History is what has happened, the oldest first.
	History []Happening `json:"history"`
	// Waits is what it waits for; absent once it has ended.
	Waits *Wait `json:"waits,omitempty"`
	// Call is the call of the CBRProject's journal that it is in; absent if it is in none.
	Call *Call `json:"call,omitempty"`
	// Settling says that CBR may not show yet what it has taken of it.
	Settling bool `json:"settling,omitempty"`
	// Drift is how its manifest differs from what CBR has accepted; absent if it does not.
	Drift *Drift `json:"drift,omitempty"`
	// Duplicates are other BackupSyncs of the namespace that declare the same backup.
	Duplicates []Duplicate `json:"duplicates,omitempty"`
	// Notes are what else is to be known.
	Notes []string `json:"notes,omitempty"`
	// Advice is what to do next.
	Advice []string `json:"advice"`
}

// Project is what can be said of a CBRProject.
type Project struct {
	Name string `json:"name"`
	// Known says that it could be read, Exists that it is there.
	Known  bool `json:"known"`
	Exists bool `json:"exists"`
	// Ready, Reason and Message are those of its condition Ready, Stalled says that a person has to change something.
	Ready     metav1.ConditionStatus `json:"ready,omitempty"`
	Reason    string                 `json:"reason,omitempty"`
	Message   string                 `json:"message,omitempty"`
	Stalled   bool                   `json:"stalled"`
	Suspended bool                   `json:"suspended"`
	// DeletionTime is when its deletion was asked for; absent if it was not. Nothing of it is sent any more.
	DeletionTime *metav1.Time `json:"deletionTime,omitempty"`
}

// Happening is something that has happened.
type Happening struct {
	Time metav1.Time `json:"time"`
	What string      `json:"what"`
}

// Wait is what a backup waits for.
type Wait struct {
	For string `json:"for"`
	// Until is when that is over, or looked at again, where that is known.
	Until *metav1.Time `json:"until,omitempty"`
}

// Call is a sync call whose outcome is not known.
type Call struct {
	ID        string           `json:"id"`
	StartTime metav1.MicroTime `json:"startTime"`
	// Backups is how many there are in it.
	Backups int `json:"backups"`
}

// Drift is how a manifest differs from what CBR has accepted.
type Drift struct {
	// Fields are those that differ; none if that cannot be told.
	Fields []FieldDrift `json:"fields,omitempty"`
	// Note says how that is known, or why not.
	Note string `json:"note"`
}

// FieldDrift is a field that differs.
type FieldDrift struct {
	Field    string `json:"field"`
	Sent     string `json:"sent"`
	Declared string `json:"declared"`
}

// Duplicate is another BackupSync that declares the same backup.
type Duplicate struct {
	Name    string `json:"name"`
	Project string `json:"project"`
	Reason  string `json:"reason"`
	// Owns says that, of those of the same CBRProject, it is the one that may have the backup.
	Owns bool `json:"owns"`
}
