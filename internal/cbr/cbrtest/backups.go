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
	"fmt"
	"net/http"
	"slices"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// storedBackup is a backup in CBR, to be seen from a moment on.
type storedBackup struct {
	cbr.StoredBackup
	name, resourceName *string
	since              time.Time
	number             int
	removed            bool
}

// imported is what becomes of a backup. That it keeps its id is inferred from the vendor's examples.
func imported(backup cbr.Backup) storedBackup {
	return storedBackup{resourceName: orNull(backup.ResourceName), StoredBackup: cbr.StoredBackup{
		ID: backup.ID, Name: backup.Name, Status: "available", ProviderID: ImportedProviderID,
		ResourceID: backup.ResourceID, ResourceType: backup.ResourceType,
	}}
}

// Backup makes a backup to import, in good order, another one for each number.
func Backup(number int) cbr.Backup {
	return cbr.Backup{
		ID: identifier("backup", number), Name: fmt.Sprintf("backup-%d", number), BucketName: "bucket",
		ImagePath: fmt.Sprintf("chain/%d", number), ResourceID: identifier("resource", number),
		ResourceName: fmt.Sprintf("vm-%d", number), ResourceType: "OS::VMware::Server", CreatedAt: 1553587260 + int64(number),
	}
}

// Backups makes so many backups to import, numbered from 0.
func Backups(count int) []cbr.Backup {
	backups := make([]cbr.Backup, count)
	for i := range backups {
		backups[i] = Backup(i)
	}
	return backups
}

// AddBackups puts backups into a project (ProjectID if "") as if they had always been there. Their status is
// available if empty, their provider that of imported backups.
func (c *Cloud) AddBackups(projectID string, backups ...cbr.StoredBackup) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project := c.project(cmp.Or(projectID, ProjectID))
	for _, backup := range backups {
		backup.Status = cmp.Or(backup.Status, "available")
		backup.ProviderID = cmp.Or(backup.ProviderID, ImportedProviderID)
		project.store(storedBackup{StoredBackup: backup}, time.Time{})
	}
}

// RemoveBackups deletes backups of a project (ProjectID if "") from CBR. Their tasks stay.
func (c *Cloud) RemoveBackups(projectID string, ids ...string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project := c.project(cmp.Or(projectID, ProjectID))
	for _, id := range ids {
		if at, found := project.positions[id]; found {
			project.backups[at].removed = true
			project.settled = min(project.settled, at)
		}
	}
}

// store adds a backup, or lets one that is there be seen earlier; the mutex is held.
func (p *project) store(backup storedBackup, since time.Time) {
	backup.since = since
	backup.name = orNull(backup.Name)
	at, found := p.positions[backup.ID]
	switch {
	case !found:
		backup.number = len(p.backups)
		p.positions[backup.ID] = len(p.backups)
		p.backups = append(p.backups, &backup)
	case p.backups[at].removed || since.Before(p.backups[at].since):
		backup.number = at
		p.backups[at] = &backup
	}
}

func (b *storedBackup) visible(now time.Time) bool { return !b.removed && !now.Before(b.since) }

// backupView is a backup as CBR shows it (ShowBackup, table BackupResp), without what says nothing here.
type backupView struct {
	ID           string   `json:"id"`
	Name         *string  `json:"name"`
	Status       string   `json:"status"`
	ProjectID    string   `json:"project_id"`
	ProviderID   string   `json:"provider_id"`
	ResourceID   string   `json:"resource_id"`
	ResourceName *string  `json:"resource_name"`
	ResourceType string   `json:"resource_type"`
	ImageType    string   `json:"image_type"`
	VaultID      *string  `json:"vault_id"`
	CheckpointID *string  `json:"checkpoint_id"`
	ParentID     *string  `json:"parent_id"`
	Description  *string  `json:"description"`
	CreatedAt    *string  `json:"created_at"`
	UpdatedAt    *string  `json:"updated_at"`
	ExpiredAt    *string  `json:"expired_at"`
	Children     []string `json:"children"`
}

func (b *storedBackup) view(x *exchange) backupView {
	return backupView{
		ID: b.ID, Name: b.name, Status: b.Status, ProjectID: x.route.project, ProviderID: b.ProviderID,
		ResourceID: b.ResourceID, ResourceName: b.resourceName, ResourceType: b.ResourceType,
		ImageType: "backup", Children: []string{},
		CreatedAt: formatted(b.since, b.number), UpdatedAt: formatted(b.since, b.number+1),
	}
}

// getBackup answers ShowBackup.
func (x *exchange) getBackup() reply {
	found := x.cloud.findBackup(x)
	if found == nil {
		return x.refusal(&APIError{Status: http.StatusNotFound, Code: cbr.CodeBackupNotFound,
			Message: "The backup does not exist"})
	}
	return jsonReply(map[string]backupView{"backup": found.view(x)})
}

func (c *Cloud) findBackup(x *exchange) *storedBackup {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project := c.project(x.route.project)
	at, found := project.positions[x.route.id]
	if !found || !project.backups[at].visible(x.options.Clock.Now()) {
		return nil
	}
	shown := *project.backups[at]
	return &shown
}

// backupFilter is the query of ListBackups, as far as it is needed here.
type backupFilter struct {
	resourceID, status, marker string
	page                       page
}

func (x *exchange) readBackupFilter() (backupFilter, *APIError) {
	query := x.request.URL.Query()
	filter := backupFilter{resourceID: query.Get("resource_id"), status: query.Get("status"), marker: query.Get("marker")}
	refused := checkQuery(query, "resource_id", "status", "marker", "limit", "offset", "enterprise_project_id")
	if refused == nil {
		filter.page, refused = readPage(query)
	}
	return filter, refused
}

// listBackups answers ListBackups, in the order of arrival.
func (x *exchange) listBackups() reply {
	filter, refused := x.readBackupFilter()
	if refused != nil {
		return x.refusal(refused)
	}
	views, count, refused := x.cloud.selectBackups(x, filter)
	if refused != nil {
		return x.refusal(refused)
	}
	return jsonReply(map[string]any{"backups": views, "count": count,
		"limit": filter.page.limit, "offset": filter.page.offset})
}

func (c *Cloud) selectBackups(x *exchange, filter backupFilter) ([]backupView, int, *APIError) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project := c.project(x.route.project)
	after, known := project.positions[filter.marker]
	if filter.marker != "" && !known {
		return nil, 0, invalid("marker: no such backup")
	}
	if !known {
		after = -1
	}
	now, views, position := x.options.Clock.Now(), []backupView{}, 0
	for _, each := range project.backups[after+1:] {
		if !filter.selects(each, now) {
			continue
		}
		if filter.page.holds(position) {
			views = append(views, each.view(x))
		}
		if position++; position >= filter.page.offset+filter.page.limit {
			break
		}
	}
	return views, project.count(filter, now), nil
}

// count returns how many backups a filter selects. Without one it looks only at those that may have changed, as CBR would
// not read all of them for each page either; the mutex is held.
func (p *project) count(filter backupFilter, now time.Time) int {
	count := 0
	if filter.resourceID == "" && filter.status == "" {
		for p.settled < len(p.backups) && p.backups[p.settled].visible(now) {
			p.settled++
		}
		count = p.settled
	}
	for _, each := range p.backups[count:] {
		if filter.selects(each, now) {
			count++
		}
	}
	return count
}

func (f backupFilter) selects(backup *storedBackup, now time.Time) bool {
	return backup.visible(now) && (f.resourceID == "" || backup.ResourceID == f.resourceID) && (f.status == "" || backup.Status == f.status)
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
