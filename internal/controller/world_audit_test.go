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

package controller

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// audit watches a world for what must never happen, whatever its script: that CBR is given a backup which it has or imports, and
// that a BackupSync is said to be imported although CBR has never had its backup in a usable status. It knows what CBR does not
// tell anybody: how each task will end.
type audit struct {
	mutex     sync.Mutex
	ends      func(cbr.Backup) cbrtest.Outcome // how a task ends; well, if nil
	options   cbrtest.Options                  // of the cloud
	taken     map[string][]acceptance          // by folded id
	held      map[string]string                // what is in CBR without us, by folded id: its status
	had       map[string]bool                  // what was held there in a usable status, whether or not it still is
	requested map[string]bool                  // a person has asked for another import
	gone      map[string]bool                  // was deleted in CBR, by folded id, whether or not it is there again
	broken    map[string]bool                  // was in error there, as an imported one
	wrong     []string
}

// acceptance is what CBR makes of a backup that it has taken.
type acceptance struct {
	at, ends, shown time.Time
	told            time.Time // when its task is seen to have ended
	leaves          string    // the status of the backup afterwards, "" for none
	removed         bool      // a person has deleted it in CBR
}

func newAudit() *audit {
	return &audit{taken: map[string][]acceptance{}, held: map[string]string{}, had: map[string]bool{}, requested: map[string]bool{},
		gone: map[string]bool{}, broken: map[string]bool{}}
}

// configure changes how the cloud behaves.
func (w *world) configure(change func(*cbrtest.Options)) {
	w.cloud.Configure(func(options *cbrtest.Options) {
		change(options)
		options.TaskOutcome = w.audit.accepted
		w.audit.mutex.Lock()
		defer w.audit.mutex.Unlock()
		w.audit.options = *options
	})
}

// endsAs has tasks end in some way.
func (w *world) endsAs(ends func(cbr.Backup) cbrtest.Outcome) {
	w.audit.mutex.Lock()
	defer w.audit.mutex.Unlock()
	w.audit.ends = ends
}

// hold puts a backup into CBR, as if it had always been there.
func (w *world) hold(id, status string) {
	w.audit.mutex.Lock()
	w.audit.held[cbr.Fold(id)] = status
	w.audit.had[cbr.Fold(id)] = w.audit.had[cbr.Fold(id)] || cbr.BackupStatus(status).Usable()
	w.audit.mutex.Unlock()
	w.cloud.AddBackups("", cbr.StoredBackup{ID: id, Status: status})
	w.note("CBR holds %s in status %q", id, status)
}

// removeInCBR deletes a backup in CBR, if it is there.
func (w *world) removeInCBR(id string) {
	there := slices.ContainsFunc(w.cloud.StoredBackups(""), func(stored string) bool { return cbr.Fold(stored) == cbr.Fold(id) })
	if !there {
		return
	}
	w.audit.mutex.Lock()
	defer w.audit.mutex.Unlock()
	delete(w.audit.held, cbr.Fold(id))
	w.audit.gone[cbr.Fold(id)] = true
	for i, each := range w.audit.taken[cbr.Fold(id)] {
		if !each.shown.After(time.Now()) {
			w.audit.taken[cbr.Fold(id)][i].removed = true
		}
	}
	w.cloud.RemoveBackups("", id)
}

// breakInCBR has an imported backup be in error in CBR.
func (w *world) breakInCBR(id string) {
	w.audit.mutex.Lock()
	w.audit.broken[cbr.Fold(id)] = true
	w.audit.mutex.Unlock()
	w.cloud.SetBackupStatus("", string(cbr.BackupError), id)
	w.note("%s is in error in CBR", id)
}

// restoreInCBR puts an imported backup back into CBR, usable.
func (w *world) restoreInCBR(id string) {
	w.cloud.AddBackups("", cbr.StoredBackup{ID: id})
	w.note("%s is usable in CBR again", id)
}

// accepted notes that CBR takes a backup, and returns how its task ends.
func (a *audit) accepted(backup cbr.Backup) cbrtest.Outcome {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	var outcome cbrtest.Outcome
	if a.ends != nil {
		outcome = a.ends(backup)
	}
	id, now := cbr.Fold(backup.ID), time.Now()
	if why := a.whyNot(id, now); why != "" {
		a.wrong = append(a.wrong, fmt.Sprintf("%s was accepted %s", backup.ID, why))
	}
	next := acceptance{at: now, ends: now.Add(a.options.TaskDuration), leaves: a.leaves(outcome)}
	next.told = now.Add(max(a.options.TaskDuration, a.options.VisibleAfter))
	next.shown = now.Add(max(a.options.TaskDuration+outcome.BackupAfter, a.options.VisibleAfter))
	a.taken[id] = append(a.taken[id], next)
	return outcome
}

// leaves is the status of the backup that a task leaves, as cbrtest.Options tell it.
func (a *audit) leaves(outcome cbrtest.Outcome) string {
	success := outcome.Status == "" || outcome.Status == cbr.TaskSuccess
	switch {
	case outcome.BackupStatus != "":
		return outcome.BackupStatus
	case success && outcome.FailedBackups == 0:
		return string(cbr.BackupAvailable)
	case a.options.FailedInError && outcome.Status != cbr.TaskSkipped:
		return string(cbr.BackupError)
	default:
		return ""
	}
}

// whyNot tells why a backup must not be accepted at a moment, "" if it may. One that is broken may be: when its task has failed it is
// tried again, and a person may ask for it.
func (a *audit) whyNot(id string, now time.Time) string {
	if status := a.held[id]; status != "" && (status != string(cbr.BackupError) || !a.requested[id]) {
		return fmt.Sprintf("though CBR holds it in status %q", status)
	}
	for _, each := range a.taken[id] {
		switch {
		case each.removed:
		case each.ends.After(now):
			return fmt.Sprintf("again, %s after it was accepted, while its task runs", now.Sub(each.at))
		case each.leaves != "" && each.leaves != string(cbr.BackupError):
			return fmt.Sprintf("again, %s after it was accepted, though CBR has it in status %q", now.Sub(each.at), each.leaves)
		}
	}
	return ""
}

// stored looks at an object as it is stored.
func (a *audit) stored(object client.Object) {
	backup, is := object.(*v1alpha1.BackupSync)
	if !is || backupsync.StateOf(backup) != backupsync.Imported {
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	wrong := fmt.Sprintf("%s is %s though CBR has never had its backup in a usable status", backup.Name, backup.Status.Outcome)
	if !a.usable(cbr.Fold(backup.Spec.BackupID), time.Now()) && !slices.Contains(a.wrong, wrong) {
		a.wrong = append(a.wrong, wrong)
	}
	if wrong := a.untrue(backup); wrong != "" && !slices.Contains(a.wrong, wrong) {
		a.wrong = append(a.wrong, wrong)
	}
}

// untrue tells how a BackupSync speaks ill of a backup that CBR has always shown usable, "" if it does not.
func (a *audit) untrue(backup *v1alpha1.BackupSync) string {
	id, said := cbr.Fold(backup.Spec.BackupID), backupsync.AvailabilityOf(backup)
	if said == backupsync.BackupMissing && !a.gone[id] || said == backupsync.BackupUnusable && !a.broken[id] && a.held[id] != string(cbr.BackupError) {
		return fmt.Sprintf("%s is said to be %s though CBR has always shown its backup usable", backup.Name, said)
	}
	return ""
}

// usable reports whether CBR has had a backup in a usable status, or has told of the success of its task, after which it may be shown a little later.
func (a *audit) usable(id string, now time.Time) bool {
	return a.had[id] || slices.ContainsFunc(a.taken[id], func(each acceptance) bool {
		return !each.told.After(now) && cbr.BackupStatus(each.leaves).Usable()
	})
}

// found notes what must not have happened.
func (a *audit) found(format string, arguments ...any) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.wrong = append(a.wrong, fmt.Sprintf(format, arguments...))
}

// findings are what must not have happened, "" if nothing has.
func (a *audit) findings() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return strings.Join(a.wrong, "\n")
}

// tries returns how often CBR has taken a backup.
func (a *audit) tries(id string) int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return len(a.taken[cbr.Fold(id)])
}
