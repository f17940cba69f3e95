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
	"cmp"
	"slices"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// Statuses of backups in CBR that mean something to this package.
const (
	statusAvailable = "available"
	statusError     = "error"
)

// storedBackup is a backup in CBR, to be seen from a moment on.
type storedBackup struct {
	cbr.StoredBackup
	name, resourceName *string
	since              time.Time
	number             int
	removed            bool
	// before is what is to be seen until then: what a failed import left, nil for nothing.
	before *storedBackup
}

// imported is what becomes of a backup. That it keeps its id is inferred from the vendor's examples.
func imported(backup cbr.Backup, status string) storedBackup {
	return storedBackup{resourceName: orNull(backup.ResourceName), StoredBackup: cbr.StoredBackup{
		ID: backup.ID, Name: backup.Name, Status: status, ProviderID: ImportedProviderID,
		ResourceID: backup.ResourceID, ResourceType: backup.ResourceType,
	}}
}

// AddBackups puts backups into a project (ProjectID if "") as if they had always been there, in place of those that have
// the same ids. Their status is available if empty, their provider that of imported backups. An import replaces a backup
// in status error, and no other.
func (c *Cloud) AddBackups(projectID string, backups ...cbr.StoredBackup) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project := c.project(cmp.Or(projectID, ProjectID))
	for _, backup := range backups {
		backup.ID, backup.ResourceID = c.options.fold(backup.ID), c.options.fold(backup.ResourceID)
		backup.Status = cmp.Or(backup.Status, statusAvailable)
		backup.ProviderID = cmp.Or(backup.ProviderID, ImportedProviderID)
		project.remove(backup.ID)
		project.store(storedBackup{StoredBackup: backup}, time.Time{})
	}
}

// RemoveBackups deletes backups of a project (ProjectID if "") from CBR. Their tasks stay.
func (c *Cloud) RemoveBackups(projectID string, ids ...string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project := c.project(cmp.Or(projectID, ProjectID))
	for _, id := range ids {
		project.remove(c.options.fold(id))
	}
}

// SetBackupStatus has backups of a project (ProjectID if "") that can be seen be in another status from now on, such as error. Those that
// are not there stay so.
func (c *Cloud) SetBackupStatus(projectID, status string, ids ...string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project := c.project(cmp.Or(projectID, ProjectID))
	for _, id := range ids {
		at, found := project.positions[c.options.fold(id)]
		if !found {
			continue
		}
		if shown := project.backups[at].at(c.options.Clock.Now()); shown != nil {
			shown.Status = status
		}
	}
}

// remove lets a backup disappear, if it is there; the mutex is held.
func (p *project) remove(id string) {
	if at, found := p.positions[id]; found {
		p.backups[at].removed = true
		p.settled = min(p.settled, at)
	}
}

// store adds a backup to be seen from a moment on; the mutex is held.
func (p *project) store(backup storedBackup, since time.Time) {
	backup.since = since
	backup.name = orNull(backup.Name)
	at, found := p.positions[backup.ID]
	switch {
	case !found:
		backup.number = len(p.backups)
		p.positions[backup.ID] = len(p.backups)
		p.backups = append(p.backups, &backup)
	case p.backups[at].removed:
		backup.number = at
		p.backups[at] = &backup
	default:
		backup.number = at
		p.backups[at] = p.backups[at].and(&backup)
	}
}

// and joins what two imports make of a backup: the one that is to be seen first stays, but one in status error only until
// there is another.
func (b *storedBackup) and(other *storedBackup) *storedBackup {
	first, second := b, other
	if second.since.Before(first.since) {
		first, second = second, first
	}
	if first.Status != statusError || second.Status == statusError {
		first.before = cmp.Or(first.before, b.before)
		return first
	}
	if second.before != nil {
		first = second.before.and(first)
	}
	second.before = first
	return second
}

// at returns the backup as it is to be seen at a moment, nil if it is not.
func (b *storedBackup) at(now time.Time) *storedBackup {
	switch {
	case b == nil || b.removed:
		return nil
	case !now.Before(b.since):
		return b
	default:
		return b.before.at(now)
	}
}

func (b *storedBackup) visible(now time.Time) bool { return b.at(now) != nil }

// Appearance says from when on a backup is to be seen in a status.
type Appearance struct {
	ID     string    `json:"id"`
	Status string    `json:"status"`
	Since  time.Time `json:"since"`
}

// Appearances returns the backups of a project (ProjectID if "") as they were, are and will be to be seen by whoever may see
// all, those that were removed left out: what a test holds statements against. A backup has several where an import
// replaces what a failed one left.
func (c *Cloud) Appearances(projectID string) []Appearance {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	shown := []Appearance{}
	for _, each := range c.project(cmp.Or(projectID, ProjectID)).backups {
		for version := each; version != nil && !version.removed; version = version.before {
			shown = append(shown, Appearance{ID: version.ID, Status: version.Status, Since: version.since})
		}
	}
	return shown
}

// StoredBackups returns the ids of the backups of a project (ProjectID if "") that can be seen now, sorted.
func (c *Cloud) StoredBackups(projectID string) []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var ids []string
	for _, each := range c.project(cmp.Or(projectID, ProjectID)).backups {
		if each.visible(c.options.Clock.Now()) {
			ids = append(ids, each.ID)
		}
	}
	slices.Sort(ids)
	return ids
}
