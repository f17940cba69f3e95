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

package evidence

import (
	"context"
	"slices"

	"backupsync.dev/operator/internal/cbr"
)

// AuditQuery says which backups an audit is to tell of.
type AuditQuery struct {
	// Known is what is known before. Known.Now is when the audit begins.
	Known Known
	// BackupIDs are the backups to tell of.
	BackupIDs []string
	// Singly are those of them that are asked for by their ids if the list lacks them: of the others the audit tells only whether the
	// list shows them.
	Singly []string
	// Few asks for those in Singly alone, without a look at the list, if they are few.
	Few bool
}

// Audit looks at all tasks, then at the list of all backups to its end, and then asks for each of some that the list lacks by its id: so
// that what it does not show is absent whatever the list hides. It is for people, not for what sends: it takes as long as it takes, and
// is to be judged by when it began. With an error comes what was seen before.
func Audit(ctx context.Context, source Source, query AuditQuery) (*Look, error) {
	look := &Look{Began: query.Known.Now, Tasks: newTaskList(), Backups: NewInventory(0)}
	look.Tasks.off, look.Backups.off = query.Known.off, query.Known.off
	if err := look.Tasks.readAll(ctx, source, TaskQuery{Known: query.Known}); err != nil {
		return look, err
	}
	return look, look.Backups.audit(ctx, source, query)
}

// audit reads the list, and then asks for what it lacks.
func (v *Inventory) audit(ctx context.Context, source Source, query AuditQuery) error {
	singly := unique(query.Singly)
	if query.Few && len(singly) <= FewBackups {
		if err := v.askSingly(ctx, source, singly); err != nil || len(v.refusedOf(singly)) == 0 {
			return err
		}
	}
	whole, err := v.readList(ctx, source, unique(query.BackupIDs), true)
	if err != nil {
		return err
	}
	v.Complete = whole
	lacking := slices.DeleteFunc(singly, func(id string) bool { return v.of(cbr.Fold(id)).sight == there })
	err = v.askSingly(ctx, source, lacking)
	v.Narrowed = v.Narrowed || whole && slices.ContainsFunc(lacking, func(id string) bool { return v.of(cbr.Fold(id)).sight == there })
	if whole && !v.Narrowed {
		for _, id := range v.refusedOf(lacking) {
			v.note(id, func() { v.absent[cbr.Fold(id)] = struct{}{} })
		}
	}
	return err
}

// refusedOf returns those of some backups that CBR takes in no question, as their ids are no UUIDs: there its list tells.
func (v *Inventory) refusedOf(ids []string) []string {
	var refused []string
	for _, id := range ids {
		if isRefused(v.failed[cbr.Fold(id)]) && !isUUID(id) {
			refused = append(refused, id)
		}
	}
	return refused
}
