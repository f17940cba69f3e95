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

// extraStatus is what is shown of a CBRProject's status as it is, whatever a later version has in it.
type extraStatus struct {
	Audit map[string]any `json:"audit"`
}

// driftOf returns how many manifests of a project differ from what CBR has accepted: the operator counts the imported ones.
func driftOf(found *project, single *tally, all bool) Drift {
	drift := Drift{Count: single.drifted.count, Complete: all, Names: single.drifted.names()}
	if counts := found.Status.Backups; counts != nil && !all {
		drift.Count, drift.Complete = drift.Count+int(counts.Drifted), true
	}
	return drift
}
