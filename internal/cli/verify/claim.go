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
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// claim is what the status of a BackupSync says of CBR.
type claim uint8

const (
	claimsNothing  claim = iota // it is to be sent, still or again
	claimsFailed                // it was not imported
	claimsRunning               // a task imports it
	claimsImported              // CBR has it
	claimsBroken                // CBR has it in a status that cannot be restored from
	claimsLater                 // an outcome that a later version has written
	claimsOther                 // another BackupSync owns the backup
)

// String returns it in a word.
func (c claim) String() string {
	return [...]string{"pending", "failed", "running", "imported", "unusable", "unknown to this version", "duplicate"}[c]
}

// holds reports whether the status says that CBR has the backup, or may: then it is told what CBR lacks.
func (c claim) holds() bool { return c == claimsImported || c == claimsBroken || c == claimsLater }

// claimOf returns what the status of a BackupSync says.
func claimOf(backup *v1alpha1.BackupSync) claim {
	switch backup.Status.Outcome {
	case v1alpha1.OutcomeImported, v1alpha1.OutcomeAlreadyImported:
		return claimsImported
	case v1alpha1.OutcomeBackupUnusable:
		return claimsBroken
	case v1alpha1.OutcomeDuplicate:
		return claimsOther
	case "", v1alpha1.OutcomeRejected, v1alpha1.OutcomeOperationFailed:
	default:
		return claimsLater
	}
	switch backupsync.StateOf(backup) {
	case backupsync.Running:
		return claimsRunning
	case backupsync.Failed:
		return claimsFailed
	default:
		return claimsNothing
	}
}

// declared is what is kept of a BackupSync.
type declared struct {
	name, backupID         string
	backupName, resourceID string
	task                   string
	at                     int64 // when it ended, else was created, in seconds
	claim                  claim
	left                   bool // not to be told of
	elsewhere              bool // its backup is in another cloud project
}

func declaredOf(backup *v1alpha1.BackupSync) declared {
	at := backup.CreationTimestamp.Time
	for _, later := range []*metav1.Time{backup.Status.SubmittedTime, backup.Status.FinishedTime} {
		if later != nil && later.After(at) {
			at = later.Time
		}
	}
	return declared{name: backup.Name, backupID: backup.Spec.BackupID, backupName: backup.Spec.BackupName, resourceID: backup.Spec.ResourceID,
		task: backup.Status.OperationLogID, at: at.Unix(), claim: claimOf(backup)}
}

// settleTime is how long CBR may take to show what it has taken: the operator's default.
const settleTime = time.Minute

// question asks about the backup. A call that has not been seen to end may be younger than what the status tells of it.
func (d *declared) question() evidence.Question {
	question := evidence.Question{BackupID: d.backupID, ResourceID: d.resourceID}
	if d.claim.holds() {
		question.TaskID, question.SettledAt = d.task, time.Unix(d.at, 0).Add(settleTime)
	}
	return question
}

// manifests are the BackupSyncs of a project, by their backups.
type manifests struct {
	all  []declared
	byID map[string]int32 // by folded id, the one that owns the backup
}

func newManifests() *manifests { return &manifests{byID: map[string]int32{}} }

// add takes in a BackupSync. Of several with the same backup one is told of: one that says that CBR has it, else the first.
func (m *manifests) add(next declared) {
	at, id := int32(len(m.all)), cbr.Fold(next.backupID)
	m.all = append(m.all, next)
	other, again := m.byID[id]
	switch {
	case !again:
		m.byID[id] = at
	case rank(next.claim) > rank(m.all[other].claim):
		m.all[other].left = true
		m.byID[id] = at
	default:
		m.all[at].left = true
	}
}

// rank orders what BackupSyncs of the same backup say: which of them owns it.
func rank(said claim) int {
	switch {
	case said.holds():
		return 3
	case said == claimsRunning:
		return 2
	case said == claimsOther:
		return 0
	default:
		return 1
	}
}

// of returns the BackupSync of a backup, nil if there is none.
func (m *manifests) of(backupID string) *declared {
	if at, is := m.byID[cbr.Fold(backupID)]; is {
		return &m.all[at]
	}
	return nil
}

// ids returns the backups to tell of, and those of them that CBR is to be asked for if its list lacks them.
func (m *manifests) ids() (all, singly []string) {
	for i := range m.all {
		each := &m.all[i]
		if each.left {
			continue
		}
		all = append(all, each.backupID)
		if each.claim.holds() {
			singly = append(singly, each.backupID)
		}
	}
	return all, singly
}

// owners returns whose tasks are that are under way.
func (m *manifests) owners() map[string]evidence.Owner {
	owners := map[string]evidence.Owner{}
	for i := range m.all {
		if each := &m.all[i]; each.claim == claimsRunning {
			owner := owners[each.task]
			owner.Backups = append(owner.Backups, each.backupID)
			owners[each.task] = owner
		}
	}
	return owners
}
