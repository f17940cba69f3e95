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

package overview

// What other versions of the CBRProject have in their status, and this one's types do not, stands here alone. Once the types have it, it is
// read from them, and extraStatus goes.

// extraStatus are the parts of a CBRProject's status that the types do not have yet.
type extraStatus struct {
	// Audit is status.audit, whatever is in it.
	Audit map[string]any `json:"audit"`
	// Backups.Drifted is status.backups.drifted.
	Backups struct {
		Drifted *int `json:"drifted"`
	} `json:"backups"`
}

// driftOf returns how many manifests of a project differ from what CBR has accepted. The operator's own count is believed where there is
// one. Else those that were read are counted: of imported ones that is known only if all were read.
func driftOf(found *project, single *tally, all bool) Drift {
	drift := Drift{Count: single.drifted.count, Complete: all, Names: single.drifted.names()}
	if counted := found.extra.Backups.Drifted; counted != nil {
		drift.Count, drift.Complete = *counted, true
	}
	return drift
}
