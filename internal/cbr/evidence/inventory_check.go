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

	"backupsync.dev/operator/internal/cbr"
)

// A list of backups may hide some, as enterprise projects and permissions narrow what it shows. This file holds it against what CBR shows of
// backups when it is asked for them singly.

// probe checks a list that was seen as a whole: enterprise projects, or permissions, may narrow what it shows. It asks for some
// of the backups that it lacks. That finds a list which hides most of them, as after a cluster was rebuilt; Look.AskFor is
// certain, and takes a call for each.
func (v *Inventory) probe(ctx context.Context, source Source, lacking []string) bool {
	if v.off == listProbed {
		return true
	}
	believed, refused := false, 0
	probes := v.probesOf(lacking)
	for _, id := range probes {
		if err := v.ask(ctx, source, id); err != nil {
			if isRefused(err) && !isUUID(id) {
				refused++
			}
			delete(v.failed, cbr.Fold(id)) // what the list says of it will do, if the list is believed
			continue
		}
		if _, absent := v.absent[cbr.Fold(id)]; !absent {
			return false
		}
		believed = true
	}
	v.checked = believed || refused == len(probes)
	return v.checked
}

// probesOf returns by which of the backups that a list lacks it is checked: those that were asked for, or some here and there.
func (v *Inventory) probesOf(lacking []string) []string {
	wanted := make(map[string]struct{}, len(v.probes))
	for _, id := range v.probes {
		wanted[cbr.Fold(id)] = struct{}{}
	}
	var probes []string
	for _, id := range lacking {
		if _, is := wanted[cbr.Fold(id)]; is {
			probes = append(probes, id)
		}
	}
	if len(probes) > 0 {
		return probes
	}
	first, count := firstOf(len(lacking)), min(len(lacking), maxProbes)
	for i := range count {
		probes = append(probes, lacking[(first+i*len(lacking)/count)%len(lacking)])
	}
	return probes
}

// recheck reads the list again if CBR, when asked, has shown backups that it lacked: they may have come since. Only a list that was read as
// a whole, and lacks one that was there before and is there after it, hides some.
func (v *Inventory) recheck(ctx context.Context, source Source, wanted []string) error {
	for range maxReadings {
		found := v.unlisted
		if v.unlisted = nil; len(found) == 0 || v.Narrowed || v.Doubted {
			return nil
		}
		before := make(map[string]cbr.BackupStatus, len(found))
		for _, id := range found {
			before[cbr.Fold(id)] = v.shown[cbr.Fold(id)]
		}
		whole, err := v.readList(ctx, source, wanted, true)
		if err != nil {
			return err
		}
		v.whole, v.Doubted = false, !whole
		lacking := v.lacking(wanted)
		if whole {
			v.Narrowed, v.Doubted = v.hidesAny(ctx, source, found)
		}
		if v.Doubted || v.Narrowed {
			for id, status := range before {
				if _, shown := v.shown[id]; !shown {
					v.shown[id] = status
				}
			}
			return ctx.Err()
		}
		v.whole = len(lacking) == 0 && v.checked || len(lacking) > 0 && v.probe(ctx, source, lacking)
	}
	v.Doubted, v.unlisted = len(v.unlisted) > 0, nil // they come faster than the list can be read
	return ctx.Err()
}

// hidesAny reports whether the list, just read as a whole, hides one of some backups that were there before, or whether that is not known.
func (v *Inventory) hidesAny(ctx context.Context, source Source, found []string) (hides, doubted bool) {
	for _, id := range v.lacking(found) {
		switch err := v.ask(ctx, source, id); {
		case err != nil:
			return false, true
		case len(v.unlisted) > 0:
			v.unlisted = nil
			return true, false
		}
	}
	return false, false
}
