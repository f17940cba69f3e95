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
	"fmt"
	"net/http"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

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

// imageType is that of backups that are no replicas.
const imageType = "backup"

// backupView is a backup as CBR shows it (ShowBackup, table BackupResp): all that the reference calls mandatory, null where
// nothing is known of it.
type backupView struct {
	ID           string    `json:"id"`
	Name         *string   `json:"name"`
	Status       string    `json:"status"`
	ProjectID    string    `json:"project_id"`
	ProviderID   string    `json:"provider_id"`
	ResourceID   string    `json:"resource_id"`
	ResourceName *string   `json:"resource_name"`
	ResourceType string    `json:"resource_type"`
	ResourceAZ   *string   `json:"resource_az"`
	ResourceSize *int      `json:"resource_size"`
	ImageType    string    `json:"image_type"`
	VaultID      *string   `json:"vault_id"`
	CheckpointID *string   `json:"checkpoint_id"`
	ParentID     *string   `json:"parent_id"`
	Description  *string   `json:"description"`
	CreatedAt    *string   `json:"created_at"`
	UpdatedAt    *string   `json:"updated_at"`
	ProtectedAt  *string   `json:"protected_at"`
	ExpiredAt    *string   `json:"expired_at"`
	ExtendInfo   *struct{} `json:"extend_info"`
	Children     []string  `json:"children"`
}

func (b *storedBackup) view(x *exchange) backupView {
	return backupView{
		ID: b.ID, Name: b.name, Status: b.Status, ProjectID: x.route.project, ProviderID: b.ProviderID,
		ResourceID: b.ResourceID, ResourceName: b.resourceName, ResourceType: b.ResourceType,
		ImageType: imageType, Children: []string{},
		CreatedAt: x.options.told(b.since, b.number), UpdatedAt: x.options.told(b.since, b.number+1),
	}
}

// getBackup answers ShowBackup.
func (x *exchange) getBackup() reply {
	if refused := x.badID(); refused != nil {
		return x.refusal(refused)
	}
	found := x.cloud.findBackup(x)
	if found == nil {
		return x.refusal(x.options.BackupNotFound.or(APIError{Status: http.StatusNotFound, Code: cbr.CodeBackupNotFound,
			Message: "The backup does not exist"}))
	}
	return jsonReply(map[string]backupView{"backup": found.view(x)})
}

func (c *Cloud) findBackup(x *exchange) *storedBackup {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project := c.project(x.route.project)
	at, found := project.positions[x.options.fold(x.route.id)]
	if !found {
		return nil
	}
	current := project.backups[at].at(x.options.Clock.Now())
	if current == nil {
		return nil
	}
	shown := *current
	return &shown
}

// backupParameters are those of ListBackups that a backup must agree with, but for its times. Imported backups are in no
// vault, have no parent and belong to no checkpoint.
var backupParameters = parameters[*storedBackup]{
	"status":        func(b *storedBackup, value string) bool { return b.Status == value },
	"name":          func(b *storedBackup, value string) bool { return b.Name == value },
	"resource_id":   func(b *storedBackup, value string) bool { return b.ResourceID == value },
	"resource_name": func(b *storedBackup, value string) bool { return b.resourceName != nil && *b.resourceName == value },
	"resource_type": func(b *storedBackup, value string) bool { return b.ResourceType == value },
	"image_type":    func(_ *storedBackup, value string) bool { return value == imageType },
	"vault_id":      func(*storedBackup, string) bool { return false },
	"parent_id":     func(*storedBackup, string) bool { return false },
	"checkpoint_id": func(*storedBackup, string) bool { return false },
}

// backupFilter is the query of ListBackups.
type backupFilter struct {
	marker            string
	enterpriseProject string
	conditions        []func(*storedBackup) bool
	page              page
}

func (x *exchange) readBackupFilter() (backupFilter, *APIError) {
	query, refused := x.query(backupParameters.names("marker", "start_time", "end_time", "limit", "offset", "enterprise_project_id"))
	if refused != nil {
		return backupFilter{}, refused
	}
	filter := backupFilter{marker: query.Get("marker"), enterpriseProject: query.Get("enterprise_project_id"),
		conditions: backupParameters.conditions(query)}
	if filter.page, refused = readPage(query); refused != nil {
		return filter, refused
	}
	start, refused := x.readTime(query, "start_time")
	if refused != nil {
		return filter, refused
	}
	end, refused := x.readTime(query, "end_time")
	if !start.IsZero() {
		filter.conditions = append(filter.conditions, func(b *storedBackup) bool { return !b.since.Before(start) })
	}
	if !end.IsZero() {
		filter.conditions = append(filter.conditions, func(b *storedBackup) bool { return !b.since.After(end) })
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
	return listReply(x, "backups", views, count, filter.page)
}

func (c *Cloud) selectBackups(x *exchange, filter backupFilter) ([]backupView, int, *APIError) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	project, page := c.project(x.route.project), x.options.cut(filter.page)
	rest, known := project.after(filter.marker, project.nextShift(x.options))
	if !known {
		return nil, 0, invalid("marker: no such backup")
	}
	now, views, position := x.options.Clock.Now(), []backupView{}, 0
	for _, each := range rest {
		selected := filter.selects(each, x.options, now)
		if selected == nil {
			continue
		}
		if page.holds(position) {
			views = append(views, selected.view(x))
		}
		if position++; position >= page.offset+page.limit {
			break
		}
	}
	return views, project.count(filter, x.options, now), nil
}

// after returns the backups after the one that a marker names, in an order that has moved by so many places, and whether
// there is such a one; the mutex is held.
func (p *project) after(marker string, shift int) ([]*storedBackup, bool) {
	backups := shifted(p.backups, shift)
	if marker == "" {
		return backups, true
	}
	at, known := p.positions[marker]
	if !known {
		return nil, false
	}
	return backups[modulo(at-shift, len(backups))+1:], true
}

// count returns how many backups a filter selects. Without one it looks only at those that may have changed, as CBR would
// not read all of them for each page either; the mutex is held.
func (p *project) count(filter backupFilter, options Options, now time.Time) int {
	count := 0
	if len(filter.conditions) == 0 && !options.NarrowLists && !options.GrantDefaultOnly {
		for p.settled < len(p.backups) && p.backups[p.settled].visible(now) {
			p.settled++
		}
		count = p.settled
	}
	for _, each := range p.backups[count:] {
		if filter.selects(each, options, now) != nil {
			count++
		}
	}
	return count
}

// selects returns a backup as it is to be seen now, nil if it is not, or not in this list.
func (f backupFilter) selects(backup *storedBackup, options Options, now time.Time) *storedBackup {
	current := backup.at(now)
	if current == nil || !options.shows(current.number, f.enterpriseProject) || !meetsAll(current, f.conditions) {
		return nil
	}
	return current
}
